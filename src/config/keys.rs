//! The table of keys: every name that a person may write, once.

use strsim::damerau_levenshtein;

use super::{Purpose, table::KEYS};

/// One setting.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "columns of a table, each for itself")]
pub struct Key {
    /// Where it stands in the file: section and name.
    pub path: &'static str,
    /// Its environment variable.
    pub variable: Option<&'static str>,
    /// The names that the original program read; `originals` knows those that only mean something together.
    pub original: &'static [&'static str],
    /// Its flag. A secret's flag takes the path of a file, and is named after that.
    pub flag: Option<&'static str>,
    /// What holds when nobody says anything.
    pub default: Fallback,
    /// What it is for, in one line.
    pub doc: &'static str,
    /// Whether client commands read it too.
    pub for_clients: bool,
    /// Whether it is never shown; its variable then also has a `_FILE` form.
    pub secret: bool,
    /// Whether it is a section of the file whose names are free.
    pub is_section: bool,
    /// Whether a running server takes over a new value (`SIGHUP`); if not, it needs a restart.
    pub reloads: bool,
}

/// What holds when nobody says anything.
#[derive(Debug, Clone, Copy)]
pub enum Fallback {
    /// A value, read like one from a variable.
    Value(&'static str),
    /// No value; the words say what happens then.
    Unset(&'static str),
}

impl Fallback {
    /// For `--help` and the documentation.
    pub const fn text(&self) -> &'static str {
        match self {
            Self::Value(text) | Self::Unset(text) => text,
        }
    }
}

impl Key {
    /// The variable that names a file with the value; secrets only.
    pub fn file_variable(&self) -> Option<String> {
        self.variable.filter(|_| self.secret).map(|variable| format!("{variable}_FILE"))
    }
}

impl Key {
    /// Whether its flag takes the path of a file with the value. A URL is only a secret when it has a password in it.
    pub fn flag_names_file(&self) -> bool {
        self.secret && self.flag.is_none_or(|flag| !flag.ends_with("-url"))
    }

    /// Whether commands of this kind read it.
    pub(super) fn is_for(&self, purpose: Purpose) -> bool {
        self.for_clients || purpose == Purpose::Serve
    }

    /// Whether it is a secret that this variable holds.
    pub(super) fn holds_secret_in(&self, variable: &str) -> bool {
        self.secret && (self.variable == Some(variable) || self.original.contains(&variable))
    }
}

/// Every key, in the order of the documentation.
pub const fn keys() -> &'static [Key] {
    KEYS
}

/// An access token from elsewhere: a variable of the environment only, without a key or a `_FILE` form.
pub(super) const TOKEN_VARIABLE: &str = "SECUREMCP_TOKEN";

/// What every variable of ours begins with.
pub(super) const PREFIX: &str = "SECUREMCP_";

/// Whether some key has this name.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Every variable that begins with [`PREFIX`] and means something.
pub(super) fn variables() -> impl Iterator<Item = String> {
    let of_keys = KEYS.iter().flat_map(|key| key.variable.map(str::to_owned).into_iter().chain(key.file_variable()));
    of_keys.chain([TOKEN_VARIABLE.to_owned()])
}

/// The candidate that was most likely meant, if any is near.
pub(super) fn nearest<'a>(written: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    candidates
        .map(|candidate| {
            let whole = damerau_levenshtein(written, candidate);
            // The right name in the wrong section.
            let name = damerau_levenshtein(&last(written), &last(candidate)) + 1;
            (whole.min(name), candidate)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= last(written).len() / 3 + 1)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_used_once() {
        let names: Vec<String> = KEYS
            .iter()
            .flat_map(|key| [Some(key.path), key.flag].into_iter().flatten().chain(key.original.iter().copied()))
            .map(str::to_owned)
            .chain(variables())
            .collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        assert!(variables().all(|name| name.starts_with(PREFIX)));
    }

    #[test]
    fn only_secrets_have_a_file_form() {
        let forms: Vec<_> = KEYS.iter().filter_map(Key::file_variable).collect();
        let secrets = [
            "INTROSPECTION_CLIENT_SECRET",
            "REDIS_URL",
            "UPSTREAM_TOKEN",
            "AUDIT_KEY",
            "CLIENT_SECRET",
            "CLIENT_PRIVATE_KEY",
            "ASSERTION",
            "ID_TOKEN",
            "IDENTITY_PROVIDER_CLIENT_SECRET",
            "REGISTRATION_KEY",
            "INITIAL_ACCESS_TOKEN",
            "KEYCLOAK_ADMIN_PASSWORD",
        ];
        assert_eq!(forms, secrets.map(|name| format!("SECUREMCP_{name}_FILE")));
    }

    #[test]
    fn the_nearest_key_is_found_across_sections_and_nothing_is_made_up() {
        let nearest = |written| nearest(written, KEYS.iter().map(|key| key.path));
        assert_eq!(nearest("server.lisen"), Some("server.listen"));
        assert_eq!(nearest("listen"), Some("server.listen"));
        assert_eq!(nearest("server.allowed_clients"), Some("issuer.allowed_clients"));
        assert_eq!(nearest("server.colour"), None);
    }
}
