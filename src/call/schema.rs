//! From Rust types to JSON Schema, and from JSON Schema to what is wrong with arguments.

use jsonschema::{
    Draft, ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
};
use schemars::{JsonSchema, generate::SchemaSettings, transform::RestrictFormats};
use serde_json::Value;

use super::{JsonObject, Violation};

/// How many violations are told; a caller who has these right may ask for more.
const MAX_VIOLATIONS: usize = 10;
/// From how many values on only the first violation is told.
const MAX_VALUES: usize = 10_000;
/// How long one message may get, in characters: it may quote the caller.
const MAX_MESSAGE: usize = 300;

/// The schema of what a tool takes. It is closed: a misspelt argument must not pass for one left out.
pub(crate) fn of_input<T: JsonSchema>() -> JsonObject {
    let mut schema = derive::<T>(SchemaSettings::draft2020_12().for_deserialize());
    if !schema.contains_key("additionalProperties") && !schema.contains_key("unevaluatedProperties") {
        // `additionalProperties` does not see what a flattened enum adds.
        let composed = ["allOf", "anyOf", "oneOf"].iter().any(|keyword| schema.contains_key(*keyword));
        let keyword = if composed { "unevaluatedProperties" } else { "additionalProperties" };
        schema.insert(keyword.to_owned(), Value::Bool(false));
    }
    schema
}

/// The schema of what a tool gives.
pub(crate) fn of_output<T: JsonSchema>() -> JsonObject {
    derive::<T>(SchemaSettings::draft2020_12().for_serialize())
}

fn derive<T: JsonSchema>(settings: SchemaSettings) -> JsonObject {
    let mut schema = settings
        // Several clients do not follow `$ref`.
        .with(|settings| settings.inline_subschemas = true)
        // The TypeScript SDK prints a warning for each `uint32` and the like.
        .with_transform(RestrictFormats::default())
        .into_generator()
        .into_root_schema_for::<T>();
    // MCP takes 2020-12 for granted, and clients on plain Ajv (TypeScript SDK 1.x) know its URI for no schema at all.
    schema.remove("$schema");
    schema.remove("title");
    match schema.to_value() {
        Value::Object(schema) if schema.get("type").and_then(Value::as_str) == Some("object") => schema,
        schema => panic!("`{}` has to be an object for MCP, its schema is {schema}", std::any::type_name::<T>()),
    }
}

/// Compiles a schema, whose references may only point inside.
pub(crate) fn compile(schema: &JsonObject) -> Validator {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .build(&Value::Object(schema.clone()))
        .unwrap_or_else(|error| panic!("not a usable JSON Schema: {error}"))
}

/// Compiles the schema of an upstream server: of the dialect that it names, else 2020-12. No reference leads outside.
pub(crate) fn compile_foreign(schema: &JsonObject) -> Result<Validator, String> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err("it is not of type `object`".to_owned());
    }
    let compiled = jsonschema::options().offline().build(&Value::Object(schema.clone()));
    compiled.map_err(|error| shorten(&error.to_string()))
}

/// What is wrong with the arguments.
///
/// # Errors
/// Every violation, up to ten; only the first if the arguments are many.
pub(crate) fn check(validator: &Validator, arguments: &Value) -> Result<(), Vec<Violation>> {
    let Err(first) = validator.validate(arguments) else { return Ok(()) };
    // `iter_errors` gathers all before it gives the first: 1.4 million values, which 4 MiB can hold, took 445 MB.
    if count(arguments) > MAX_VALUES {
        return Err(vec![violation(&first)]);
    }
    Err(validator.iter_errors(arguments).take(MAX_VIOLATIONS).map(|error| violation(&error)).collect())
}

/// How many values there are in a value, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

fn violation(error: &ValidationError<'_>) -> Violation {
    let message = match error.kind() {
        ValidationErrorKind::Required { property } => {
            format!("`{}` is missing", property.as_str().unwrap_or_default())
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            format!("there is no argument `{}`", unexpected.join("`, `"))
        }
        ValidationErrorKind::Type { kind } => {
            format!("expected {}, found {}", types(kind), type_name(error.instance()))
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<_> = options.as_array().into_iter().flatten().map(Value::to_string).collect();
            format!("expected one of {}", options.join(", "))
        }
        // Masked, because an instance may be as long as a request.
        _ => error.masked_with("the value").to_string(),
    };
    Violation { path: error.instance_path().to_string(), message: shorten(&message) }
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => one.to_string(),
        TypeKind::Multiple(set) => set.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" or "),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A message without what exceeds its bound.
pub(crate) fn shorten(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}..", &message[..end]),
        None => message.to_owned(),
    }
}
