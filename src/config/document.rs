//! The configuration file: TOML, sections as in the table of keys.

use std::collections::BTreeMap;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys,
    problem::{Report, quoted},
    raw::{Value, Written},
};
use crate::said::said;

/// What a file says, by the path of the key.
pub(super) struct Document {
    pub(super) values: BTreeMap<&'static str, Value>,
    /// Syntax errors leave it unknown what else the file meant to say.
    pub(super) is_whole: bool,
}

impl Document {
    /// Reads a file's text. Messages quote names and never values: a line with a syntax error may hold a secret.
    pub(super) fn parse(text: &str, file: &str, report: &mut Report) -> Self {
        let (table, mut errors) = DeTable::parse_recoverable(text);
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        let mut reader = Reader { text, file, report, values: BTreeMap::new() };
        for error in &errors {
            let origin = reader.origin(error.span().map_or(0, |span| span.start));
            reader.report.problem(format!("{origin}: not TOML: {}", said(&error.message().replace('\n', ", "))));
        }
        if errors.is_empty() {
            reader.section("", table.get_ref());
        }
        Self { values: reader.values, is_whole: errors.is_empty() }
    }
}

struct Reader<'a> {
    text: &'a str,
    file: &'a str,
    report: &'a mut Report,
    values: BTreeMap<&'static str, Value>,
}

impl Reader<'_> {
    fn section(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = format!("{prefix}{}", name.get_ref());
            let origin = self.origin(name.span().start);
            let section = format!("{path}.");
            if let Some(key) = keys::find(&path) {
                let value =
                    if key.is_section { self.entries(&path, value, origin) } else { self.value(&path, value, origin) };
                self.values.insert(key.path, value);
            } else if !keys::keys().iter().any(|key| key.path.starts_with(&section)) {
                self.unknown(&path, &origin);
            } else if let Some(inner) = value.get_ref().as_table() {
                self.section(&section, inner);
            } else {
                let message = format!("{origin}: {} is a value, expected a section `[{path}]`", quoted(&path));
                self.report.problem(message);
            }
        }
    }

    /// A section whose names are free.
    fn entries(&mut self, path: &str, section: &Spanned<DeValue<'_>>, origin: String) -> Value {
        let Some(table) = section.get_ref().as_table() else {
            self.report.problem(format!("{origin}: {} is a value, expected a section `[{path}]`", quoted(path)));
            return Value::broken();
        };
        let entries = table.iter().map(|(name, value)| {
            let origin = self.origin(name.span().start);
            let shown = quoted(&format!("{path}.{}", name.get_ref()));
            (name.get_ref().to_string(), self.value(shown.trim_matches('`'), value, origin))
        });
        let written = Written::Section(entries.collect());
        Value { written, origin, hint: None }
    }

    fn value(&mut self, path: &str, value: &Spanned<DeValue<'_>>, origin: String) -> Value {
        let written = match value.get_ref() {
            DeValue::Array(items) => {
                items.iter().map(|item| scalar(item.get_ref())).collect::<Option<_>>().map(Written::List)
            }
            other => scalar(other).map(Written::Text),
        };
        let written = written.unwrap_or_else(|| {
            self.report.problem(format!("{origin}: `{path}` has a table in it, expected a value or a list of values"));
            Written::Broken
        });
        Value { written, origin, hint: None }
    }

    fn unknown(&mut self, path: &str, origin: &str) {
        let message = format!("{origin}: there is no key {}", quoted(path));
        let hint = keys::nearest(path, keys::keys().iter().map(|key| key.path)).map_or_else(
            || "see docs/ENVIRONMENT.md for every key".to_owned(),
            |near| format!("write `{near}` if that was meant"),
        );
        self.report.problem_with_hint(message, hint);
    }

    fn origin(&self, offset: usize) -> String {
        let line = self.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1;
        format!("{} line {line}", quoted(self.file))
    }
}

/// The text that a variable would have for the same value.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            let decimal = i64::from_str_radix(number.as_str(), number.radix());
            Some(decimal.map_or_else(|_| number.to_string(), |number| number.to_string()))
        }
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(is_true) => Some(is_true.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
