//! Who a verified token speaks for.

use std::{sync::OnceLock, time::Duration};

use crate::{
    oauth::{Issuer, Scopes},
    telemetry::audit::Actor,
};

/// Whoever a verified token speaks for. The authenticator makes it, or there is only one
/// caller: the person who started the server on stdio.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Principal {
    /// Who vouched for it.
    pub issuer: Issuer,
    /// `sub`: unique within the issuer.
    pub subject: String,
    /// `client_id`, else `azp`: the software that holds the token.
    pub client_id: Option<String>,
    /// `preferred_username`, for people to read; identifies nobody.
    pub username: Option<String>,
    /// What the token allows.
    pub scopes: Scopes,
    /// `exp`, since the epoch, without leeway. A token without one is good as long as its issuer says so when asked.
    pub expires_at: Option<Duration>,
    /// `jti`.
    pub token_id: Option<String>,
    /// `cnf.jkt`: the thumbprint of the key that whoever sent the token has proved to hold; `None` for a bearer token.
    pub bound_to: Option<String>,
    /// Where requests of its client and of its user are counted, once that was worked out.
    pub(crate) buckets: OnceLock<[u64; 2]>,
}

impl Principal {
    /// The name to show a person: the username if there is one, else the subject.
    pub fn display_name(&self) -> &str {
        self.username.as_deref().unwrap_or(&self.subject)
    }

    /// The principal as audit events name it.
    pub(crate) fn actor(&self) -> Actor<'_> {
        Actor {
            issuer: self.issuer.as_str(),
            subject: &self.subject,
            client: self.client_id.as_deref().unwrap_or_default(),
        }
    }

    /// Whoever is at the other end of a connection without authentication: everything is allowed.
    pub(crate) fn local(scopes: Scopes) -> Self {
        Self {
            issuer: Issuer::parse("https://localhost").expect("a literal"),
            subject: "local".to_owned(),
            client_id: None,
            username: None,
            scopes,
            expires_at: None,
            token_id: None,
            bound_to: None,
            buckets: OnceLock::new(),
        }
    }

    /// A principal out of nothing, for tests and benches of what lies behind authentication.
    #[cfg(any(test, feature = "internals"))]
    pub fn for_tests(subject: &str, client_id: &str, scopes: &str) -> Self {
        Self {
            issuer: Issuer::parse("https://issuer.test").expect("a literal"),
            subject: subject.to_owned(),
            client_id: Some(client_id.to_owned()),
            username: None,
            scopes: Scopes::parse(scopes).expect("a literal"),
            expires_at: None,
            token_id: None,
            bound_to: None,
            buckets: OnceLock::new(),
        }
    }
}
