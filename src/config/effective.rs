//! What every key is set to in the end, and where that was written: for people, and to see what has changed.

use super::{
    Fallback, Key, Purpose,
    keys::keys,
    raw::{Values, Written},
};
use crate::secret::{Secret, constant_time_eq};

/// One key and its value.
#[derive(Debug, Clone)]
pub struct Effective {
    /// Which.
    pub key: &'static Key,
    /// As it was written.
    pub value: Shown,
    /// Where: `default`, or a file with a line, a variable, a flag.
    pub origin: String,
}

/// A value as it may be shown. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub enum Shown {
    /// Nobody said anything, and the words say what happens then.
    Unset(&'static str),
    /// One value.
    Text(String),
    /// A list, item by item.
    List(Vec<String>),
    /// A section whose names are free.
    Section(Vec<(String, Shown)>),
    /// Something that must not be seen.
    Secret(Secret),
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unset(_), Self::Unset(_)) => true,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Section(one), Self::Section(other)) => one == other,
            (Self::Secret(one), Self::Secret(other)) => {
                constant_time_eq(one.expose().as_bytes(), other.expose().as_bytes())
            }
            _ => false,
        }
    }
}

/// Every key that `purpose` reads, in the order of the table.
pub(super) fn of(purpose: Purpose, mut values: Values) -> Vec<Effective> {
    let read = keys().iter().filter(|key| key.is_for(purpose));
    let effective = read.map(|key| {
        let Some(value) = values.by_path.remove(key.path) else {
            let (Fallback::Value(words) | Fallback::Unset(words)) = key.default;
            return Effective { key, value: Shown::Unset(words), origin: "default".to_owned() };
        };
        Effective { key, value: shown(key, value.written), origin: value.origin }
    });
    effective.collect()
}

/// A command without the values of variables that it is started with, as in `env NAME=value program`: they may be secrets.
fn without_assigned(command: &str) -> String {
    let assigns = |word: &str| {
        let (name, _) = word.split_once('=')?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name.then(|| format!("{name}=[redacted]"))
    };
    let Some(words) = shlex::split(command) else { return "[redacted]".to_owned() };
    if !words.iter().any(|word| assigns(word).is_some()) {
        return command.to_owned();
    }
    let words = words.into_iter().map(|word| assigns(&word).unwrap_or(word));
    words.collect::<Vec<_>>().join(" ")
}

fn shown(key: &Key, written: Written) -> Shown {
    match written {
        Written::Text(text) if key.secret => Shown::Secret(Secret::new(text)),
        Written::Text(text) if key.path.ends_with("command") => Shown::Text(without_assigned(&text)),
        Written::Text(text) => Shown::Text(text),
        Written::List(items) => Shown::List(items),
        Written::Section(entries) => {
            Shown::Section(entries.into_iter().map(|(name, value)| (name, shown(key, value.written))).collect())
        }
        // Settings with a value that could not be read are refused as a whole.
        Written::Broken => Shown::Unset(""),
    }
}
