//! Settings of clients that prove themselves with a key of their own, or that somebody vouches for.

use std::sync::Arc;

use super::{Environment, VouchedBy, reader::Reader, values};
use crate::{jose::PrivateKey, secret::Secret};

/// What GitHub sets for a job that may ask for its identity (`permissions: id-token: write`).
const GITHUB_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const GITHUB_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// The keys of which at most one may be set: each is a way of its own to be vouched for.
const WAYS: [&str; 3] = ["client.assertion", "client.workload_identity", "client.id_token"];

/// The client's own key.
pub(super) fn private_key(reader: &mut Reader<'_>) -> Option<Arc<PrivateKey>> {
    let path = "client.private_key";
    let kid = reader.optional("client.private_key_id", values::text);
    let read = |pem: &str| PrivateKey::from_pem(pem, kid.as_deref()).map_err(|refusal| format!("is {refusal}"));
    let key = reader.optional(path, read);
    for (path, other) in [(path, "client.id"), ("client.private_key_id", path)] {
        demand(reader, path, other);
    }
    if !reader.is_unset("client.secret") {
        exclude(reader, path, "client.secret");
    }
    key.map(Arc::new)
}

/// Who vouches for the client.
pub(super) fn vouched_by(reader: &mut Reader<'_>, environment: &Environment) -> Option<VouchedBy> {
    let mut set = WAYS.into_iter().filter(|path| !reader.is_unset(path));
    let first = set.next();
    if let (Some(first), Some(second)) = (first, set.next()) {
        exclude(reader, second, first);
    }
    demand(reader, "client.id_token", "client.identity_provider");
    let of_provider = ["", "_client_id", "_client_secret"].map(|end| format!("client.identity_provider{end}"));
    for path in of_provider {
        demand(reader, &path, "client.id_token");
    }
    let secret = |text: &str| values::text(text).map(Secret::new);
    if let Some(assertion) = reader.optional("client.assertion", secret) {
        return Some(VouchedBy::Assertion(assertion));
    }
    if let Some(by) = reader.optional("client.workload_identity", |text| workload(text, environment)) {
        return Some(by);
    }
    let issuer = reader.optional("client.identity_provider", values::issuer);
    let client_id = reader.optional("client.identity_provider_client_id", values::text);
    let client_id = client_id.or_else(|| reader.quietly("client.id", values::text));
    let client_secret = reader.optional("client.identity_provider_client_secret", secret);
    let id_token = reader.optional("client.id_token", secret)?;
    if client_id.is_none() {
        demand(reader, "client.id_token", "client.identity_provider_client_id");
    }
    Some(VouchedBy::IdentityProvider { issuer: issuer?, client_id: client_id?, client_secret, id_token })
}

fn workload(text: &str, environment: &Environment) -> Result<VouchedBy, values::Refusal> {
    if text != "github-actions" {
        return Err(values::expected(text, "`github-actions`"));
    }
    let missing = || format!("needs `{GITHUB_URL}` and `{GITHUB_TOKEN}`, which a job has with `id-token: write`");
    let url = environment.get(GITHUB_URL).ok_or_else(missing)?;
    let token = environment.get(GITHUB_TOKEN).map(Secret::new).ok_or_else(missing)?;
    Ok(VouchedBy::Workload { url: values::http_url(url)?, token })
}

/// `path` means nothing without `other`.
fn demand(reader: &mut Reader<'_>, path: &str, other: &str) {
    if let Some(value) = reader.values.get(path).filter(|_| reader.is_unset(other)) {
        let message = format!("{}: `{path}` is set without `{other}`", value.origin);
        let hint = super::keys::find(other).and_then(|key| key.flag).map(|flag| format!("set it, or give `{flag}`"));
        reader.report.problem_with_hint(message, hint.unwrap_or_default());
    }
}

/// `path` and `other` are two ways to the same thing.
fn exclude(reader: &mut Reader<'_>, path: &str, other: &str) {
    if let Some(value) = reader.values.get(path) {
        let message = format!("{}: `{path}` and `{other}` are both set, expected one", value.origin);
        reader.report.problem_with_hint(message, "unset one of the two");
    }
}
