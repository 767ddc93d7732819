//! Values by the name of their key: parsed, or reported with where they were written.

use std::collections::BTreeMap;

use url::Url;

use super::{
    Fallback, keys,
    problem::Report,
    raw::{Value, Written, items},
    values::{self, Refusal},
};
use crate::oauth::is_https_or_loopback;

/// Reads values one by one; what is wrong goes to the report.
pub(super) struct Reader<'a> {
    pub(super) values: &'a BTreeMap<&'static str, Value>,
    pub(super) report: &'a mut Report,
}

impl Reader<'_> {
    pub(super) fn optional<T>(&mut self, path: &'static str, parse: impl Fn(&str) -> Result<T, Refusal>) -> Option<T> {
        match &self.values.get(path)?.written {
            Written::Text(text) => parse(text).map_err(|refusal| self.refuse(path, &refusal)).ok(),
            Written::List(_) => {
                self.refuse(path, "is a list, expected one value");
                None
            }
            Written::Section(_) | Written::Broken => None,
        }
    }

    /// The value of a key that has a default.
    pub(super) fn required<T>(&mut self, path: &'static str, parse: impl Fn(&str) -> Result<T, Refusal>) -> T {
        self.optional(path, &parse).unwrap_or_else(|| {
            let default = keys::find(path).map(|key| key.default);
            let Some(Fallback::Value(text)) = default else { unreachable!("`{path}` has a default in the table") };
            parse(text).unwrap_or_else(|refusal| unreachable!("the default of `{path}` {refusal}"))
        })
    }

    pub(super) fn list<T>(&mut self, path: &'static str, parse: impl Fn(&str) -> Result<T, Refusal>) -> Option<Vec<T>> {
        let items: Vec<String> = match &self.values.get(path)?.written {
            Written::Text(text) => items(text).collect(),
            Written::List(items) => items.clone(),
            Written::Section(_) | Written::Broken => return None,
        };
        let mut good = Vec::new();
        for item in items {
            match parse(&item) {
                Ok(value) => good.push(value),
                Err(refusal) => self.refuse(path, &format!("has an item that {refusal}")),
            }
        }
        Some(good)
    }

    /// A list that means nothing without an item.
    pub(super) fn filled_list<T>(
        &mut self,
        path: &'static str,
        parse: impl Fn(&str) -> Result<T, Refusal>,
    ) -> Option<Vec<T>> {
        if self.is_empty(path) {
            self.refuse(path, "is an empty list, expected at least one item");
        }
        self.list(path, parse)
    }

    /// A URL that keys or metadata come from.
    pub(super) fn fetched_from(&mut self, path: &'static str) -> Option<Url> {
        let url = self.optional(path, values::http_url)?;
        if !is_https_or_loopback(&url) {
            self.report.warn(format!(
                "`{path}` is plain http to another machine: use it only where nobody can change its answers on the way"
            ));
        }
        Some(url)
    }

    /// A value that has been judged already.
    pub(super) fn quietly<T>(&self, path: &str, parse: impl Fn(&str) -> Result<T, Refusal>) -> Option<T> {
        match &self.values.get(path)?.written {
            Written::Text(text) => parse(text).ok(),
            _ => None,
        }
    }

    pub(super) fn is_unset(&self, path: &str) -> bool {
        !self.values.contains_key(path)
    }

    pub(super) fn is_empty(&self, path: &str) -> bool {
        self.values.get(path).is_some_and(|value| match &value.written {
            Written::Text(text) => items(text).next().is_none(),
            Written::List(items) => items.is_empty(),
            Written::Section(entries) => entries.is_empty(),
            Written::Broken => false,
        })
    }

    pub(super) fn refuse(&mut self, path: &'static str, refusal: &str) {
        let value = &self.values[path];
        let message = format!("{}: `{path}` {refusal}", value.origin);
        match value.hint {
            Some(hint) => self.report.problem_with_hint(message, hint),
            None => self.report.problem(message),
        };
    }
}
