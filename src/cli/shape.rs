//! What a JSON Schema wants of one argument, as far as a command line can tell it apart.

use serde_json::{Map, Value};

/// How many `$ref`s and combinations are followed; a schema may refer to itself.
const MAX_DEPTH: usize = 16;

/// The forms a value may take; none listed means any.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shape(Vec<Form>);

/// One form, in the order in which a text is tried: what is most particular comes first.
#[derive(Clone, Debug, PartialEq)]
enum Form {
    Choice(Value),
    Boolean,
    Integer,
    Number,
    Object,
    Null,
    Text,
    Array(Shape),
}

impl Shape {
    /// Reads `schema`, a part of the document `root` that its references point into.
    pub(super) fn of(schema: &Value, root: &Value) -> Self {
        let mut forms = read(schema, root, 0).unwrap_or_default();
        forms.sort_by_key(Form::rank);
        Self(forms)
    }

    /// Makes a value of what was typed for one argument, however often it was given; `None` if no form fits.
    pub(super) fn value(&self, texts: &[&str]) -> Option<Value> {
        if let [text] = texts
            && let Some(value) = self.scalar(text)
        {
            return Some(value);
        }
        let items = self.items()?;
        // Unless the items are texts, a bracket can only begin the whole list.
        if let [text] = texts
            && !items.takes_text()
            && let Ok(list @ Value::Array(_)) = serde_json::from_str(text)
        {
            return Some(list);
        }
        texts.iter().map(|text| items.value(&[text])).collect::<Option<Vec<_>>>().map(Value::Array)
    }

    /// Whether the argument may be given several times.
    pub(super) fn is_list(&self) -> bool {
        self.items().is_some()
    }

    /// Whether naming the argument is enough: it is true or false.
    pub(super) fn is_switch(&self) -> bool {
        self.0.contains(&Form::Boolean) && self.0.iter().all(|form| matches!(form, Form::Boolean | Form::Null))
    }

    /// What to expect, as the rest of "expected ...".
    pub(super) fn words(&self) -> String {
        let choices: Vec<_> = self.choices().map(|choice| format!("`{choice}`")).collect();
        let mut words: Vec<String> = match choices.as_slice() {
            [] => Vec::new(),
            [one] => vec![one.clone()],
            _ => vec![format!("one of {}", choices.join(", "))],
        };
        words.extend(self.0.iter().filter_map(|form| {
            Some(match form {
                Form::Choice(_) | Form::Null => return None,
                Form::Boolean => "true or false".to_owned(),
                Form::Integer => "an integer".to_owned(),
                Form::Number => "a number".to_owned(),
                Form::Object => "a JSON object".to_owned(),
                Form::Text => "a string".to_owned(),
                Form::Array(items) => match items.name().as_str() {
                    "value" => "a list".to_owned(),
                    name => format!("a list of {name}s"),
                },
            })
        }));
        if words.is_empty() { "any value".to_owned() } else { words.join(" or ") }
    }

    /// One word for a usage line.
    pub(super) fn name(&self) -> String {
        if self.choices().next().is_some() {
            return self.choices().collect::<Vec<_>>().join("|");
        }
        let word = match self.0.iter().find(|form| **form != Form::Null) {
            Some(Form::Boolean) => "boolean",
            Some(Form::Integer) => "integer",
            Some(Form::Number) => "number",
            Some(Form::Object) => "object",
            Some(Form::Text) => "string",
            Some(Form::Array(items)) => return items.name(),
            _ => "value",
        };
        word.to_owned()
    }

    fn choices(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|form| match form {
            Form::Choice(value) => Some(plain(value)),
            _ => None,
        })
    }

    fn items(&self) -> Option<&Self> {
        self.0.iter().find_map(|form| match form {
            Form::Array(items) => Some(items),
            _ => None,
        })
    }

    fn takes_text(&self) -> bool {
        self.0.is_empty() || self.0.iter().any(|form| matches!(form, Form::Text | Form::Choice(Value::String(_))))
    }

    fn scalar(&self, text: &str) -> Option<Value> {
        if self.0.is_empty() {
            return Some(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)));
        }
        self.0.iter().find_map(|form| form.scalar(text))
    }
}

impl Form {
    fn rank(&self) -> u8 {
        match self {
            Self::Choice(_) => 0,
            Self::Boolean => 1,
            Self::Integer => 2,
            Self::Number => 3,
            Self::Object => 4,
            // Where a text is welcome, `null` is a text like any other.
            Self::Text => 5,
            Self::Null => 6,
            Self::Array(_) => 7,
        }
    }

    fn scalar(&self, text: &str) -> Option<Value> {
        match self {
            Self::Choice(value) => (plain(value) == text).then(|| value.clone()),
            Self::Boolean => text.parse::<bool>().ok().map(Value::from),
            Self::Integer => integer(text),
            Self::Number => integer(text).or_else(|| number(text)),
            Self::Object => serde_json::from_str::<Map<String, Value>>(text).ok().map(Value::from),
            Self::Text => Some(Value::from(text)),
            Self::Null => (text == "null").then_some(Value::Null),
            Self::Array(_) => None,
        }
    }
}

fn integer(text: &str) -> Option<Value> {
    text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from)).ok()
}

fn number(text: &str) -> Option<Value> {
    // `parse` also knows `inf` and `nan`, which JSON does not.
    text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number)
}

pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The forms of a schema; `None` if it allows anything, or says it in a way that only a validator follows.
fn read(schema: &Value, root: &Value, depth: usize) -> Option<Vec<Form>> {
    let schema = schema.as_object().filter(|_| depth < MAX_DEPTH)?;
    if let Some(target) = schema.get("$ref") {
        let pointer = target.as_str()?.strip_prefix('#')?;
        return read(root.pointer(pointer)?, root, depth + 1);
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return Some(values.iter().map(choice).collect());
    }
    if let Some(value) = schema.get("const") {
        return Some(vec![choice(value)]);
    }
    if let Some(Value::Array(alternatives)) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
        let forms: Option<Vec<_>> = alternatives.iter().map(|schema| read(schema, root, depth + 1)).collect();
        return forms.map(|forms| forms.concat());
    }
    if let Some(Value::Array(parts)) = schema.get("allOf") {
        return parts.iter().find_map(|part| read(part, root, depth + 1));
    }
    let names = match schema.get("type") {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ if schema.contains_key("properties") => vec!["object"],
        _ if schema.contains_key("items") => vec!["array"],
        _ => return None,
    };
    names.into_iter().map(|name| form(name, schema, root, depth)).collect()
}

fn form(name: &str, schema: &Map<String, Value>, root: &Value, depth: usize) -> Option<Form> {
    Some(match name {
        "null" => Form::Null,
        "boolean" => Form::Boolean,
        "integer" => Form::Integer,
        "number" => Form::Number,
        "string" => Form::Text,
        "object" => Form::Object,
        "array" => {
            let mut items = schema.get("items").and_then(|items| read(items, root, depth + 1)).unwrap_or_default();
            items.sort_by_key(Form::rank);
            Form::Array(Shape(items))
        }
        _ => return None,
    })
}

fn choice(value: &Value) -> Form {
    if value.is_null() { Form::Null } else { Form::Choice(value.clone()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(schema: &Value, texts: &[&str]) -> Option<Value> {
        Shape::of(schema, schema).value(texts)
    }

    #[test]
    fn texts_become_what_the_type_says() {
        for (kind, text, expected) in [
            ("string", "5", json!("5")),
            ("string", "null", json!("null")),
            ("integer", "-3", json!(-3)),
            ("integer", "18446744073709551615", json!(u64::MAX)),
            ("number", "2", json!(2)),
            ("number", "-2.5e3", json!(-2500.0)),
            ("boolean", "false", json!(false)),
            ("object", r#"{"a":[1]}"#, json!({"a": [1]})),
            ("null", "null", json!(null)),
        ] {
            assert_eq!(value(&json!({ "type": kind }), &[text]), Some(expected), "{kind} {text}");
        }
    }

    #[test]
    fn texts_that_do_not_fit_are_nothing() {
        for (kind, text) in [
            ("integer", "2.5"),
            ("integer", ""),
            ("integer", "99999999999999999999"),
            ("number", "x"),
            ("number", "nan"),
            ("number", "inf"),
            ("number", "1e999"),
            ("boolean", "yes"),
            ("boolean", "TRUE"),
            ("object", "[1]"),
            ("object", "{"),
        ] {
            assert_eq!(value(&json!({ "type": kind }), &[text]), None, "{kind} {text}");
        }
        assert_eq!(value(&json!({"type": "string"}), &["a", "b"]), None, "only a list is given twice");
    }

    #[test]
    fn a_list_is_made_by_repetition() {
        let numbers = json!({"type": "array", "items": {"type": "number"}});
        assert_eq!(value(&numbers, &["2", "-3"]), Some(json!([2, -3])));
        assert_eq!(value(&numbers, &["2"]), Some(json!([2])));
        assert_eq!(value(&numbers, &["2", "x"]), None);
        assert_eq!(value(&numbers, &["[2, 3]"]), Some(json!([2, 3])), "JSON, where it cannot be an item");
        let texts = json!({"type": "array", "items": {"type": "string"}});
        assert_eq!(value(&texts, &["a,b"]), Some(json!(["a,b"])), "commas are part of a text");
        assert_eq!(value(&texts, &["[1]"]), Some(json!(["[1]"])));
        let objects = json!({"type": "array", "items": {"type": "object"}});
        assert_eq!(value(&objects, &[r#"{"a":1}"#, "{}"]), Some(json!([{"a": 1}, {}])));
        assert_eq!(value(&objects, &[r#"[{"a":1}]"#]), Some(json!([{"a": 1}])));
        assert_eq!(value(&json!({"type": "array"}), &["1", "x"]), Some(json!([1, "x"])));
    }

    #[test]
    fn unions_take_the_most_particular_form() {
        let union = json!({"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]});
        assert_eq!(value(&union, &["5"]), Some(json!(5)));
        assert_eq!(value(&union, &["five"]), Some(json!("five")));
        assert_eq!(value(&union, &["null"]), Some(json!("null")));
        let nullable = json!({"type": ["integer", "null"]});
        assert_eq!(value(&nullable, &["null"]), Some(json!(null)));
        assert_eq!(value(&nullable, &["x"]), None);
        let one_or_many = json!({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]});
        assert_eq!(value(&one_or_many, &["a"]), Some(json!("a")));
        assert_eq!(value(&one_or_many, &["a", "b"]), Some(json!(["a", "b"])));
        assert!(Shape::of(&json!({"type": ["boolean", "null"]}), &json!({})).is_switch());
        assert!(!Shape::of(&json!({"type": ["boolean", "string"]}), &json!({})).is_switch());
    }

    #[test]
    fn choices_keep_their_type() {
        let level = json!({"enum": ["low", 5, true, null]});
        assert_eq!(value(&level, &["low"]), Some(json!("low")));
        assert_eq!(value(&level, &["5"]), Some(json!(5)));
        assert_eq!(value(&level, &["true"]), Some(json!(true)));
        assert_eq!(value(&level, &["high"]), None);
        assert_eq!(Shape::of(&level, &level).words(), "one of `low`, `5`, `true`");
        let described = json!({"oneOf": [{"const": "add", "description": "sum"}, {"const": "sqrt"}]});
        assert_eq!(Shape::of(&described, &described).name(), "add|sqrt");
    }

    #[test]
    fn references_are_followed_and_circles_end() {
        let root = json!({"$defs": {"Op": {"enum": ["add"]}, "Loop": {"$ref": "#/$defs/Loop"}}});
        assert_eq!(Shape::of(&json!({"$ref": "#/$defs/Op"}), &root).value(&["add"]), Some(json!("add")));
        for odd in ["#/$defs/Loop", "#/$defs/None", "https://elsewhere.example/schema"] {
            let shape = Shape::of(&json!({ "$ref": odd }), &root);
            assert_eq!(shape.value(&["x"]), Some(json!("x")), "{odd}: the server decides");
        }
        let nested = json!({"$defs": {"Op": {"enum": ["add"]}}, "allOf": [{"$ref": "#/$defs/Op"}]});
        assert_eq!(Shape::of(&nested, &nested).words(), "`add`");
    }

    #[test]
    fn anything_is_json_or_else_text() {
        for schema in [json!({}), json!(true), json!({"type": "colour"}), json!({"description": "?"})] {
            assert_eq!(value(&schema, &["[1]"]), Some(json!([1])));
            assert_eq!(value(&schema, &["hi"]), Some(json!("hi")));
            assert_eq!(Shape::of(&schema, &schema).words(), "any value");
        }
    }

    #[test]
    fn words_say_what_to_expect() {
        for (schema, words) in [
            (json!({"type": "array", "items": {"type": "number"}}), "a list of numbers"),
            (json!({"type": "array"}), "a list"),
            (json!({"type": ["integer", "string", "null"]}), "an integer or a string"),
            (json!({"properties": {}}), "a JSON object"),
        ] {
            assert_eq!(Shape::of(&schema, &schema).words(), words);
        }
    }
}
