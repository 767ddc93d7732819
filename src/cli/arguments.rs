//! The arguments of a tool, as its input schema describes them and as a command line gives them.
//!
//! Positional words fill the `required` properties in order, a trailing list takes the rest; every property is a flag,
//! true-or-false ones without a value; `--arg name=value` reaches any property. A pure function of schema and words.

use std::fmt::Write as _;

use jsonschema::{ValidationError, error::ValidationErrorKind};
use serde_json::{Map, Value};

use super::{
    separate::Flags,
    shape::{Shape, plain},
    usage::{secret_advice, with_usage},
};
use crate::said::said;

/// What a tool can be given.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    tool: &'a str,
    schema: &'a Value,
    /// The required ones first, in the order in which positional words fill them.
    properties: Vec<Property<'a>>,
}

/// One property of the input schema.
#[derive(Debug)]
struct Property<'a> {
    name: &'a str,
    /// Without dashes; `None` where the name is one of our own flags.
    flag: Option<String>,
    shape: Shape,
    is_required: bool,
    schema: &'a Value,
}

/// Why words do not fit a tool.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Misfit {
    message: String,
    /// What to do about it, the usage line included.
    pub(super) hint: String,
}

impl<'a> Signature<'a> {
    /// Reads the input schema; what it says beyond names and simple types is left to the validator.
    pub(super) fn of(tool: &'a str, schema: &'a Value, ours: &Flags) -> Self {
        let known = schema.get("properties").and_then(Value::as_object);
        let required: Vec<_> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let optional = known.into_iter().flat_map(Map::keys).map(String::as_str);
        let names = required.iter().copied().chain(optional.filter(|name| !required.contains(name)));
        let properties = names.map(|name| {
            let property = known.and_then(|known| known.get(name)).unwrap_or(&Value::Bool(true));
            let kebab = name.replace('_', "-");
            let is_taken = known.is_some_and(|known| known.contains_key(&kebab));
            let flag = Some(if is_taken { name.to_owned() } else { kebab }).filter(|flag| !ours.contains(flag));
            let is_required = required.contains(&name);
            Property { name, flag, shape: Shape::of(property, schema), is_required, schema: property }
        });
        Self { tool, schema, properties: properties.collect() }
    }

    /// The arguments in one line: `<message> [--uppercase]`.
    pub(super) fn line(&self) -> String {
        let last = self.required().count().saturating_sub(1);
        let words = self.properties.iter().enumerate().map(|(index, property)| {
            let many = if property.shape.is_list() { "..." } else { "" };
            match (&property.flag, property.shape.name()) {
                _ if property.is_required => {
                    format!("<{}>{}", property.name, if index == last { many } else { "" })
                }
                (Some(flag), _) if property.shape.is_switch() => format!("[--{flag}]"),
                (Some(flag), name) => format!("[--{flag} <{name}>]{many}"),
                (None, name) => format!("[--arg {}=<{name}>]{many}", property.name),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// The command line that calls the tool.
    pub(super) fn usage(&self) -> String {
        format!("securemcp call {} {}", self.tool, self.line()).trim_end().to_owned()
    }

    /// The flags that can still be given, without dashes; a list's again and again.
    pub(super) fn flags(&self, given: &[&str]) -> Vec<&str> {
        let is_open = |property: &&Property<'_>| {
            let is_given = |name: &&str| property.flag.as_deref() == Some(name) || property.name == *name;
            property.shape.is_list() || !given.iter().any(is_given)
        };
        self.properties.iter().filter(is_open).filter_map(|property| property.flag.as_deref()).collect()
    }

    /// Whether a value follows this flag, which has no dashes here.
    pub(super) fn takes_value(&self, flag: &str) -> bool {
        self.find(flag).is_some_and(|(index, is_negated)| !is_negated && !self.properties[index].shape.is_switch())
    }

    /// Each argument as it is written on a command line, and what is to be known of it.
    pub(super) fn descriptions(&self) -> Vec<(String, String)> {
        let describe = |property: &Property<'_>| {
            let written = match &property.flag {
                Some(flag) if property.is_required => format!("<{}>, --{flag}", property.name),
                Some(flag) => format!("--{flag}"),
                None if property.is_required => format!("<{}>", property.name),
                None => format!("--arg {}=", property.name),
            };
            let mut words = property.shape.words();
            if property.is_required {
                words.push_str(", required");
            }
            if let Some(default) = property.schema.get("default").filter(|default| !default.is_null()) {
                let _ = write!(words, ", default {default}");
            }
            if let Some(text) = property.schema.get("description").and_then(Value::as_str) {
                let _ = write!(words, ": {}", text.split_whitespace().collect::<Vec<_>>().join(" "));
            }
            (written, words)
        };
        self.properties.iter().map(describe).collect()
    }

    /// Makes the arguments of a call out of the words behind the tool's name and the values of `--arg`.
    ///
    /// # Errors
    /// A [`Misfit`] that names the argument and what was expected.
    pub(super) fn arguments(&self, words: &[String], named: &[String]) -> Result<Map<String, Value>, Misfit> {
        let mut given = Given { texts: vec![Vec::new(); self.properties.len()], positional: Vec::new() };
        let mut arguments = Map::new();
        self.read_words(words, &mut given)?;
        for pair in named {
            let (name, text) = pair
                .split_once('=')
                .ok_or_else(|| self.misfit(format!("`--arg {pair}` is not of the form `name=value`"), None))?;
            match self.properties.iter().position(|property| property.name == name) {
                Some(index) => given.texts[index].push(text),
                None if self.schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                    return Err(self.unknown_argument(name));
                }
                None => {
                    let value = Shape::default().value(&[text]).unwrap_or_default();
                    arguments.insert(name.to_owned(), value);
                }
            }
        }
        self.place_positional(&mut given)?;
        for (property, texts) in self.properties.iter().zip(&given.texts) {
            match texts.as_slice() {
                [] if property.is_required => return Err(self.missing(property)),
                [] => {}
                texts => {
                    arguments.insert(property.name.to_owned(), self.value(property, texts)?);
                }
            }
        }
        self.validate(arguments)
    }

    fn read_words<'w>(&self, words: &'w [String], given: &mut Given<'w>) -> Result<(), Misfit> {
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix("--") else {
                if word.len() > 1 && word.starts_with('-') && word.parse::<f64>().is_err() {
                    let advice = "put `--` before words that begin with a dash".to_owned();
                    return Err(self.misfit(format!("unknown flag `{word}`"), Some(advice)));
                }
                given.positional.push(word);
                continue;
            };
            if flag.is_empty() {
                given.positional.extend(words.by_ref());
                break;
            }
            let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
            let (index, is_negated) = self.find(name).ok_or_else(|| self.unknown_flag(name))?;
            let text = match value {
                Some(_) if is_negated => {
                    return Err(self.misfit(format!("`--{name}` takes no value"), None));
                }
                Some(value) => value,
                None if is_negated => "false",
                None if self.properties[index].shape.is_switch() => "true",
                None => words.next().filter(|next| !next.starts_with("--")).ok_or_else(|| {
                    let expected = self.properties[index].shape.words();
                    let advice = format!("for a value that begins with dashes write `--{name}=VALUE`");
                    self.misfit(format!("`--{name}` needs a value, expected {expected}"), Some(advice))
                })?,
            };
            given.texts[index].push(text);
        }
        Ok(())
    }

    /// The property that a flag names, and whether it is `--no-` of a switch.
    fn find(&self, name: &str) -> Option<(usize, bool)> {
        let named = |name: &str| {
            let by_name = self.properties.iter().position(|property| property.name == name);
            by_name.or_else(|| self.properties.iter().position(|property| property.flag.as_deref() == Some(name)))
        };
        named(name).map(|index| (index, false)).or_else(|| {
            let index = named(name.strip_prefix("no-")?)?;
            self.properties[index].shape.is_switch().then_some((index, true))
        })
    }

    fn place_positional(&self, given: &mut Given<'_>) -> Result<(), Misfit> {
        let mut positional = std::mem::take(&mut given.positional).into_iter();
        let last = self.required().count().saturating_sub(1);
        for (index, property) in
            self.required().enumerate().filter(|(index, _)| given.texts[*index].is_empty()).collect::<Vec<_>>()
        {
            let count = if index == last && property.shape.is_list() { usize::MAX } else { 1 };
            given.texts[index].extend(positional.by_ref().take(count));
        }
        match positional.next() {
            None => Ok(()),
            Some(extra) => Err(self.misfit(format!("unexpected argument `{extra}`"), None)),
        }
    }

    fn value(&self, property: &Property<'_>, texts: &[&str]) -> Result<Value, Misfit> {
        property.shape.value(texts).ok_or_else(|| {
            let (name, expected) = (property.name, property.shape.words());
            match texts {
                [_, second, ..] if !property.shape.is_list() => {
                    self.misfit(format!("`{name}` is given twice, again as `{second}`, expected {expected}"), None)
                }
                _ => {
                    let wrong = texts.iter().find(|text| property.shape.value(&[text]).is_none());
                    let found = wrong.or(texts.first()).copied().unwrap_or_default();
                    self.misfit(format!("`{name}` is `{found}`, expected {expected}"), None)
                }
            }
        })
    }

    /// Judges arguments that were given whole, and what the schema says of others beyond their types: ranges, lengths,
    /// patterns, what goes with what.
    ///
    /// # Errors
    /// A [`Misfit`] that names the argument and what was expected.
    pub(super) fn validate(&self, arguments: Map<String, Value>) -> Result<Map<String, Value>, Misfit> {
        // A pattern is a stranger's: only the engine without backtracking, so that it cannot take for ever.
        let options = jsonschema::options().offline().with_pattern_options(jsonschema::PatternOptions::regex());
        // A schema that cannot be used here is the server's business: it judges in any case.
        let Ok(validator) = options.build(self.schema) else { return Ok(arguments) };
        let arguments = Value::Object(arguments);
        if let Err(error) = validator.validate(&arguments) {
            return Err(self.violation(&error));
        }
        match arguments {
            Value::Object(arguments) => Ok(arguments),
            _ => unreachable!("made of a map above"),
        }
    }

    /// A violation of the schema in the words that are used for words.
    fn violation(&self, error: &ValidationError<'_>) -> Misfit {
        let path = error.instance_path().to_string();
        let name = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let property = |name: &str| self.properties.iter().find(|property| property.name == name);
        match error.kind() {
            ValidationErrorKind::Required { property: missing } if name.is_empty() => {
                let missing = missing.as_str().unwrap_or_default();
                match property(missing) {
                    Some(property) => self.missing(property),
                    None => self.misfit(format!("`{missing}` is missing"), None),
                }
            }
            ValidationErrorKind::AdditionalProperties { unexpected } if name.is_empty() => {
                self.unknown_argument(unexpected.first().map(String::as_str).unwrap_or_default())
            }
            ValidationErrorKind::Type { .. } | ValidationErrorKind::Enum { .. }
                if let Some(property) = property(name) =>
            {
                let expected = property.shape.words();
                let found = said(&plain(error.instance()));
                self.misfit(format!("`{name}` is `{found}`, expected {expected}"), None)
            }
            _ => {
                // An argument may be as long as a request.
                let problem = said(&error.to_string());
                self.misfit(if name.is_empty() { problem } else { format!("`{name}`: {problem}") }, None)
            }
        }
    }

    fn missing(&self, property: &Property<'_>) -> Misfit {
        self.misfit(format!("`{}` is missing, expected {}", property.name, property.shape.words()), None)
    }

    fn unknown_argument(&self, name: &str) -> Misfit {
        let similar = nearest(name, self.properties.iter().map(|property| property.name));
        let advice = similar.map(|similar| format!("did you mean `{similar}`?"));
        self.misfit(format!("`{}` has no argument `{}`", self.tool, said(name)), advice)
    }

    fn unknown_flag(&self, name: &str) -> Misfit {
        let advice = secret_advice(name).map(str::to_owned).or_else(|| {
            let flags = self.properties.iter().filter_map(|property| property.flag.as_deref());
            nearest(name, flags).map(|flag| format!("did you mean `--{flag}`?"))
        });
        self.misfit(format!("`{}` has no flag `--{name}`", self.tool), advice)
    }

    fn required(&self) -> impl Iterator<Item = &Property<'a>> {
        self.properties.iter().take_while(|property| property.is_required)
    }

    fn misfit(&self, message: String, advice: Option<String>) -> Misfit {
        Misfit { message, hint: with_usage(advice, format!("usage: {}", self.usage())) }
    }
}

/// What was typed, sorted to the properties.
struct Given<'w> {
    texts: Vec<Vec<&'w str>>,
    positional: Vec<&'w str>,
}

/// The candidate that was most likely meant, if any is near.
pub(super) fn nearest<'c>(written: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(written, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + written.len().min(candidate.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn echo() -> Value {
        json!({"type": "object", "required": ["message"], "properties": {
            "message": {"type": "string", "description": "what to\n  say"},
            "uppercase": {"type": "boolean", "default": false},
            "timestamp": {"type": "boolean", "default": false},
            "max_len": {"type": ["integer", "null"], "minimum": 1},
        }, "additionalProperties": false})
    }

    fn calculator() -> Value {
        json!({"type": "object", "required": ["operation", "operands"], "properties": {
            "operation": {"$ref": "#/$defs/Operation"},
            "operands": {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 10},
            "precision": {"anyOf": [{"type": "integer", "maximum": 10}, {"type": "null"}]},
        }, "$defs": {"Operation": {"enum": ["add", "subtract", "sqrt"]}}})
    }

    fn words(line: &str) -> Vec<String> {
        line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    fn ours() -> Flags {
        let command = clap::Command::new("call").arg(clap::Arg::new("timeout").long("timeout"));
        Flags::of(&command)
    }

    fn read(schema: &Value, line: &str, named: &str) -> Result<Value, String> {
        let signature = Signature::of("tool", schema, &ours());
        let arguments = signature.arguments(&words(line), &words(named));
        arguments.map(Value::Object).map_err(|misfit| format!("{misfit} | {}", misfit.hint))
    }

    fn misfit(schema: &Value, line: &str) -> String {
        read(schema, line, "").unwrap_err()
    }

    #[test]
    fn positional_words_fill_the_required_properties_in_order() {
        assert_eq!(read(&echo(), "Hello!", "").unwrap(), json!({"message": "Hello!"}));
        let sum = json!({"operation": "add", "operands": [2, -3, 4.5]});
        assert_eq!(read(&calculator(), "add 2 -3 4.5", "").unwrap(), sum, "a trailing list takes the rest");
        assert_eq!(read(&calculator(), "--operation add 2 -3 4.5", "").unwrap(), sum, "what is named is not asked for");
        assert_eq!(
            read(&calculator(), "sqrt --operands 9 --operands 16", "").unwrap(),
            json!({"operation": "sqrt", "operands": [9, 16]})
        );
    }

    #[test]
    fn only_a_trailing_list_takes_the_rest() {
        let schema = json!({"required": ["names", "last"], "properties": {
            "names": {"type": "array", "items": {"type": "string"}}, "last": {"type": "string"}}});
        assert_eq!(read(&schema, "a b", "").unwrap(), json!({"names": ["a"], "last": "b"}));
        assert!(
            misfit(&schema, "a b c").starts_with("unexpected argument `c` | usage: securemcp call tool <names> <last>")
        );
    }

    #[test]
    fn flags_stand_anywhere_and_take_values_two_ways() {
        for line in
            ["hi --uppercase --max-len 5", "--max-len=5 --uppercase hi", "--uppercase=true --message hi --max_len 5"]
        {
            let expected = json!({"message": "hi", "uppercase": true, "max_len": 5});
            assert_eq!(read(&echo(), line, "").unwrap(), expected, "{line}");
        }
        assert_eq!(read(&echo(), "--message=--uppercase", "").unwrap(), json!({"message": "--uppercase"}));
        assert_eq!(read(&echo(), "--message -x", "").unwrap(), json!({"message": "-x"}));
        assert_eq!(read(&echo(), "--message=", "").unwrap(), json!({"message": ""}));
    }

    #[test]
    fn switches_have_three_forms() {
        for line in ["hi --uppercase=false", "hi --no-uppercase", "--no-uppercase hi"] {
            assert_eq!(read(&echo(), line, "").unwrap(), json!({"message": "hi", "uppercase": false}), "{line}");
        }
        assert!(misfit(&echo(), "hi --no-uppercase=true").starts_with("`--no-uppercase` takes no value"));
        assert!(misfit(&echo(), "hi --no-message").contains("no flag `--no-message`"));
        assert!(misfit(&echo(), "hi --uppercase=yes").starts_with("`uppercase` is `yes`, expected true or false"));
        let schema = json!({"properties": {"no_cache": {"type": "boolean"}, "cache": {"type": "boolean"}}});
        assert_eq!(read(&schema, "--no-cache", "").unwrap(), json!({"no_cache": true}), "a name of its own goes first");
    }

    #[test]
    fn two_dashes_end_flags() {
        assert_eq!(
            read(&echo(), "--uppercase -- --loud", "").unwrap(),
            json!({"message": "--loud", "uppercase": true})
        );
        assert_eq!(read(&echo(), "-", "").unwrap(), json!({"message": "-"}));
        assert!(misfit(&echo(), "-x").contains("put `--` before words that begin with a dash"));
    }

    #[test]
    fn any_property_is_reached_by_name() {
        let schema = json!({"properties": {"timeout": {"type": "integer"}, "tags": {"type": "array"}}});
        assert_eq!(read(&schema, "", "timeout=5 tags=a tags=2").unwrap(), json!({"timeout": 5, "tags": ["a", 2]}));
        assert_eq!(read(&schema, "", "other=x=y").unwrap(), json!({"other": "x=y"}), "the schema allows others");
        let error = read(&echo(), "hi", "uppercas=true").unwrap_err();
        assert!(error.contains("no argument `uppercas`") && error.contains("did you mean `uppercase`?"), "{error}");
        assert!(read(&echo(), "hi", "uppercase").unwrap_err().contains("not of the form `name=value`"));
    }

    #[test]
    fn misfits_name_the_argument_what_was_expected_and_the_usage() {
        let usage = "usage: securemcp call tool <message> [--uppercase] [--timestamp] [--max-len <integer>]";
        for (line, message) in [
            ("", "`message` is missing, expected a string"),
            ("a b", "unexpected argument `b`"),
            ("hi --max-len x", "`max_len` is `x`, expected an integer"),
            ("hi --max-len", "`--max-len` needs a value, expected an integer"),
            ("hi --max-len --uppercase", "`--max-len` needs a value, expected an integer"),
            ("hi --max-len 1 --max-len 2", "`max_len` is given twice, again as `2`, expected an integer"),
            ("hi --max-len 0", "`max_len`: 0 is less than the minimum of 1"),
            ("hi --shout", "`tool` has no flag `--shout`"),
        ] {
            let misfit = misfit(&echo(), line);
            assert!(misfit.starts_with(message) && misfit.ends_with(usage), "{line}: {misfit}");
        }
        assert!(misfit(&calculator(), "multply 1").starts_with("`operation` is `multply`, expected one of `add`,"));
        assert!(misfit(&calculator(), "add 1 two 3").starts_with("`operands` is `two`, expected a list of numbers"));
        assert!(misfit(&calculator(), "add").starts_with("`operands` is missing, expected a list of numbers"));
        let eleven = "add 1 2 3 4 5 6 7 8 9 10 11";
        assert!(misfit(&calculator(), eleven).starts_with("`operands`: "), "{}", misfit(&calculator(), eleven));
    }

    #[test]
    fn what_is_given_whole_is_judged_in_the_same_words() {
        let judge = |schema: &Value, given: Value| {
            let Value::Object(given) = given else { panic!("an object") };
            let signature = Signature::of("tool", schema, &ours());
            signature.validate(given).map(Value::Object).map_err(|misfit| format!("{misfit} | {}", misfit.hint))
        };
        let fits = json!({"message": "hi", "max_len": null});
        assert_eq!(judge(&echo(), fits.clone()).unwrap(), fits);
        let usage = "usage: securemcp call tool <message> [--uppercase] [--timestamp] [--max-len <integer>]";
        for (given, message) in [
            (json!({}), "`message` is missing, expected a string"),
            (json!({"message": 5}), "`message` is `5`, expected a string"),
            (json!({"message": "hi", "max_len": "x"}), "`max_len` is `x`, expected an integer"),
            (json!({"message": "hi", "max_len": 0}), "`max_len`: 0 is less than the minimum of 1"),
            (json!({"message": "hi", "mesage": "x"}), "`tool` has no argument `mesage` | did you mean `message`?"),
        ] {
            let misfit = judge(&echo(), given).unwrap_err();
            assert!(misfit.starts_with(message) && misfit.ends_with(usage), "{misfit}");
        }
        let misfit = judge(&calculator(), json!({"operation": "ad", "operands": [1]})).unwrap_err();
        assert!(misfit.starts_with("`operation` is `ad`, expected one of `add`,"), "{misfit}");
        let misfit = judge(&echo(), json!({"message": ["x".repeat(10_000)]})).unwrap_err();
        assert!(misfit.len() < 2500, "an argument may be as long as a request");
    }

    #[test]
    fn the_nearest_flag_is_suggested_and_secrets_are_led_elsewhere() {
        assert!(misfit(&echo(), "hi --upercase").contains("did you mean `--uppercase`?"));
        assert!(misfit(&echo(), "hi --token x").contains("`--token-file`"));
    }

    #[test]
    fn a_schema_without_properties_takes_nothing() {
        for schema in [json!({"type": "object"}), json!({}), json!(true), json!(null)] {
            assert_eq!(read(&schema, "", "").unwrap(), json!({}));
            assert!(misfit(&schema, "x").starts_with("unexpected argument `x` | usage: securemcp call tool"));
        }
    }

    #[test]
    fn strangers_schemas_end_in_bounded_time() {
        let schema = json!({"required": ["a"], "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}});
        assert!(misfit(&schema, &format!("{}!", "a".repeat(5000))).starts_with("`a`: "));
        let broken =
            json!({"properties": {"a": {"type": "string", "pattern": "("}, "b": {"$ref": "http://127.0.0.1:1/"}}});
        assert_eq!(read(&broken, "--a x", "").unwrap(), json!({"a": "x"}), "the server judges");
    }

    #[test]
    fn help_tells_each_argument() {
        let (schema, ours) = (echo(), ours());
        let lines = Signature::of("echo", &schema, &ours).descriptions();
        assert_eq!(lines[0], ("<message>, --message".to_owned(), "a string, required: what to say".to_owned()));
        assert_eq!(lines[1], ("--uppercase".to_owned(), "true or false, default false".to_owned()));
        let schema = calculator();
        let signature = Signature::of("calculator", &schema, &ours);
        assert_eq!(signature.usage(), "securemcp call calculator <operation> <operands>... [--precision <integer>]");
        let taken = json!({"properties": {"timeout": {"type": "integer"}}});
        assert_eq!(Signature::of("t", &taken, &ours).line(), "[--arg timeout=<integer>]");
    }
}
