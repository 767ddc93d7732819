//! A form that a server wants filled in: an object of plain values (MCP, elicitation, "requested schema").

use serde_json::{Map, Value};

/// A form, and the JSON Schema that judges what is filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// As the server sent it.
    pub schema: Value,
    /// In the server's order.
    pub fields: Vec<Field>,
}

/// One value to fill in.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The property's name.
    pub name: String,
    /// What people call it; unescaped, as everything that a server says here.
    pub title: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Whether the form is incomplete without it.
    pub is_required: bool,
    /// What the server proposes (SEP-1034).
    pub default: Option<Value>,
    /// What kind of value it is.
    pub input: Input,
}

/// Kinds of values.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A text.
    Text,
    /// A number, with or without decimals.
    Number,
    /// Yes or no.
    Switch,
    /// One of these.
    One(Vec<Choice>),
    /// Some of these.
    Several(Vec<Choice>),
}

/// What can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What people call it, if that is something else.
    pub title: Option<String>,
}

/// What is wrong with a form as it was filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormProblem {
    /// Nothing to put where something must be.
    #[error("`{0}` is missing")]
    Missing(String),
    /// The schema does not take it.
    #[error("{0}")]
    Unfit(String),
}

impl Form {
    /// Reads the schema.
    pub fn of(schema: Value) -> Self {
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let properties = schema["properties"].as_object().into_iter().flatten();
        let fields = properties.map(|(name, property)| Field {
            name: name.clone(),
            title: text(&property["title"]),
            description: text(&property["description"]),
            is_required: required.contains(&name.as_str()),
            default: property.get("default").filter(|default| !default.is_null()).cloned(),
            input: Input::of(property),
        });
        let fields = fields.collect();
        Self { schema, fields }
    }

    /// The form as it is sent: the server's defaults where nothing was filled in, the rest left out.
    ///
    /// # Errors
    /// A [`FormProblem`] if a required value is missing, or one is not as the schema wants it.
    pub fn fill(&self, mut given: Map<String, Value>) -> Result<Map<String, Value>, FormProblem> {
        for field in &self.fields {
            match &field.default {
                Some(default) if !given.contains_key(&field.name) => {
                    given.insert(field.name.clone(), default.clone());
                }
                None if field.is_required && !given.contains_key(&field.name) => {
                    return Err(FormProblem::Missing(field.name.clone()));
                }
                _ => {}
            }
        }
        self.judge(&given)?;
        Ok(given)
    }

    /// Whether the form may be sent like this.
    ///
    /// # Errors
    /// [`FormProblem::Unfit`] if not.
    pub fn judge(&self, filled: &Map<String, Value>) -> Result<(), FormProblem> {
        judge(&self.schema, &Value::Object(filled.clone()))
    }

    /// Whether this value may stand in this field, whatever the others hold.
    ///
    /// # Errors
    /// [`FormProblem::Unfit`] if not.
    pub fn takes(&self, field: &Field, value: &Value) -> Result<(), FormProblem> {
        judge(&self.schema["properties"][&field.name], value)
    }
}

fn judge(schema: &Value, value: &Value) -> Result<(), FormProblem> {
    let options = jsonschema::options().offline().should_validate_formats(true);
    // A pattern is a stranger's: only the engine without backtracking, so that it cannot take for ever.
    let options = options.with_pattern_options(jsonschema::PatternOptions::regex());
    // A schema that cannot be used here is the server's business: it judges in any case.
    let Ok(validator) = options.build(schema) else { return Ok(()) };
    let problem = |error: jsonschema::ValidationError<'_>| {
        let name = error.instance_path().to_string();
        match name.trim_start_matches('/') {
            "" => FormProblem::Unfit(error.to_string()),
            name => FormProblem::Unfit(format!("`{name}`: {error}")),
        }
    };
    validator.validate(value).map_err(problem)
}

impl Input {
    fn of(property: &Value) -> Self {
        let kind = property["type"].as_str().unwrap_or_default();
        let choices = if kind == "array" { choices(&property["items"]) } else { choices(property) };
        match (kind, choices) {
            ("array", choices) => Self::Several(choices.unwrap_or_default()),
            (_, Some(choices)) => Self::One(choices),
            ("number" | "integer", _) => Self::Number,
            ("boolean", _) => Self::Switch,
            _ => Self::Text,
        }
    }
}

/// `enum`, with the `enumNames` of older servers, or `oneOf` and `anyOf` of constants with titles.
fn choices(schema: &Value) -> Option<Vec<Choice>> {
    if let Some(values) = schema["enum"].as_array() {
        let choice = |(index, value): (usize, &Value)| {
            let value = text(value)?;
            let title = text(&schema["enumNames"][index]).filter(|title| *title != value);
            Some(Choice { value, title })
        };
        return Some(values.iter().enumerate().filter_map(choice).collect());
    }
    let titled = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())?;
    let choice = |one: &Value| {
        let value = text(&one["const"])?;
        let title = text(&one["title"]).filter(|title| *title != value);
        Some(Choice { value, title })
    };
    Some(titled.iter().filter_map(choice).collect())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn form() -> Form {
        Form::of(json!({"type": "object", "required": ["name", "size"], "properties": {
            "name": {"type": "string", "title": "Your name", "minLength": 2, "maxLength": 5},
            "size": {"type": "string", "enum": ["s", "l"], "enumNames": ["small", "large"], "default": "l"},
            "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
            "share": {"type": "number", "maximum": 1},
            "sure": {"type": "boolean", "default": false},
            "colour": {"type": "string", "oneOf": [{"const": "#f00", "title": "red"}, {"const": "blue", "title": "blue"}]},
            "days": {"type": "array", "maxItems": 1, "items": {"anyOf": [{"const": "mo", "title": "Monday"}]}},
            "mail": {"type": "string", "format": "email"},
        }}))
    }

    #[test]
    fn what_is_not_filled_in_gets_the_servers_defaults_or_stays_away() {
        let filled = form().fill(object(&json!({"name": "Ada", "count": 4}))).unwrap();
        assert_eq!(Value::Object(filled), json!({"name": "Ada", "count": 4, "size": "l", "sure": false}));
        let problem = form().fill(Map::new()).unwrap_err();
        assert_eq!(problem, FormProblem::Missing("name".to_owned()), "it has no default");
    }

    #[test]
    fn every_kind_of_field_is_known_in_order() {
        let form = form();
        let names: Vec<_> = form.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["name", "size", "count", "share", "sure", "colour", "days", "mail"]);
        let choice = |value: &str, title: Option<&str>| Choice { value: value.into(), title: title.map(Into::into) };
        let inputs: Vec<_> = form.fields.iter().map(|field| field.input.clone()).collect();
        assert_eq!(
            inputs,
            [
                Input::Text,
                Input::One(vec![choice("s", Some("small")), choice("l", Some("large"))]),
                Input::Number,
                Input::Number,
                Input::Switch,
                Input::One(vec![choice("#f00", Some("red")), choice("blue", None)]),
                Input::Several(vec![choice("mo", Some("Monday"))]),
                Input::Text,
            ]
        );
        assert_eq!(Form::of(json!({"type": "object", "properties": {}})).fields, []);
    }

    #[test]
    fn what_the_schema_does_not_take_is_not_sent() {
        for (name, bad, good) in [
            ("name", json!("A"), json!("Ad")),
            ("name", json!("Augusta"), json!("Ada")),
            ("name", json!(7), json!("7.")),
            ("size", json!("large"), json!("l")),
            ("count", json!(0), json!(1)),
            ("count", json!(2.5), json!(2)),
            ("share", json!(1.5), json!(0.5)),
            ("sure", json!("yes"), json!(true)),
            ("colour", json!("red"), json!("#f00")),
            ("days", json!(["mo", "mo"]), json!(["mo"])),
            ("days", json!(["tu"]), json!([])),
            ("mail", json!("ada"), json!("ada@example.com")),
        ] {
            let (form, mut given) = (form(), object(&json!({"name": "Ada"})));
            let field = form.fields.iter().find(|field| field.name == name).unwrap().clone();
            given.insert(name.to_owned(), bad.clone());
            let problem = form.fill(given.clone()).unwrap_err().to_string();
            assert!(problem.starts_with(&format!("`{name}")), "{problem}");
            assert!(form.takes(&field, &bad).is_err(), "{name} = {bad}");
            given.insert(name.to_owned(), good.clone());
            assert_eq!(form.fill(given).unwrap()[name], good);
            assert_eq!(form.takes(&field, &good), Ok(()));
        }
    }
}
