//! What the embedded issuer is told: who may log in, and whether anybody has to.

use std::collections::BTreeMap;

use argon2::password_hash::phc::PasswordHash;

use super::{
    problem::quoted,
    raw::Written,
    reader::Reader,
    values::{self, Refusal},
};
use crate::oauth::Scopes;

/// What is granted without asking anybody, unless more is written.
const WITHOUT_ASKING: &str = "mcp:read";
/// Longest name of a user, in characters.
const MAX_NAME: usize = 64;

/// Names and argon2id hashes of passwords.
pub(super) fn users(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Some(section) = reader.values.get("embedded.users") else { return found };
    let Written::Section(entries) = &section.written else { return found };
    for (name, value) in entries {
        let parsed = match &value.written {
            Written::Text(_) if !is_name(name) => Err("is no name of a user: 1 to 64 visible characters".to_owned()),
            Written::Text(hash) => argon2id(hash),
            _ => Err("is no text, expected an argon2id hash".to_owned()),
        };
        match parsed {
            Ok(hash) => drop(found.insert(name.clone(), hash)),
            Err(refusal) => {
                let shown = quoted(&format!("embedded.users.{name}"));
                let message = format!("{}: {shown} {refusal}", value.origin);
                let hint = "make the hash of a password with `argon2 \"$(openssl rand -hex 16)\" -id -m 16 -e`";
                reader.report.problem_with_hint(message, hint);
            }
        }
    }
    found
}

fn is_name(name: &str) -> bool {
    let is_visible = |character: char| !character.is_control() && !character.is_whitespace();
    !name.is_empty() && name.chars().count() <= MAX_NAME && name.chars().all(is_visible)
}

/// What is written is never quoted: it may be the password itself.
fn argon2id(text: &str) -> Result<String, Refusal> {
    match PasswordHash::new(text) {
        Ok(hash) if hash.algorithm.as_str() == "argon2id" && hash.hash.is_some() => Ok(text.to_owned()),
        _ => Err("is no argon2id hash in PHC format, expected `$argon2id$v=19$m=..`".to_owned()),
    }
}

/// The scopes that a program on this machine gets without asking anybody; none if everybody is asked.
pub(super) fn auto_approve(reader: &mut Reader<'_>) -> Option<Scopes> {
    let scopes = reader.optional("embedded.auto_approve", scopes_or_switch).flatten()?;
    let hint = "unset `embedded.auto_approve`: people log in, and are asked";
    let mut refuse = |path: &str| {
        let origin = &reader.values["embedded.auto_approve"].origin;
        let message = format!("{origin}: `embedded.auto_approve` is set, and `{path}` is too: it is for trying things");
        reader.report.problem_with_hint(message, hint);
    };
    for path in ["issuer.url", "server.resource", "server.trusted_proxies", "embedded.users"] {
        if reader.values.contains_key(path) {
            refuse(path);
        }
    }
    Some(scopes)
}

fn scopes_or_switch(text: &str) -> Result<Option<Scopes>, Refusal> {
    match values::switch(text) {
        Ok(false) => Ok(None),
        Ok(true) => Ok(Some(Scopes::parse(WITHOUT_ASKING).expect("it is a scope"))),
        Err(_) => match Scopes::parse(text) {
            Ok(scopes) if !scopes.is_empty() => Ok(Some(scopes)),
            _ => Err(values::expected(text, "`true`, `false`, or the scopes that nobody is asked about")),
        },
    }
}
