//! Logging a person in: by a browser of this machine, or by a code that is typed on another one; and a next token
//! without the person.

mod authorization;
mod callback;
mod code;
mod device;
mod error;
mod keeping;
mod page;
mod person;
mod refresh;
mod who;

use error::Abandoned;
pub(super) use error::LoginError;
pub use person::{DeviceCode, Grant, Person};
pub(super) use who::{LoginClient, is_document};

use super::{Client, ClientError, quirks};
use crate::oauth::{ErrorCode, Resource, Scopes, ServerMetadata, TokenResponse};

/// Ways to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In a browser of this machine.
    Code,
    /// In a browser anywhere.
    Device,
}

/// What a login is to bring, and who is there for it.
pub(super) struct Wanted<'a> {
    issuer: &'a ServerMetadata,
    resource: &'a Resource,
    scopes: Option<Scopes>,
    person: &'a dyn Person,
}

impl Way {
    const fn grant(self) -> &'static str {
        match self {
            Self::Code => Grant::AuthorizationCode.registered(),
            Self::Device => Grant::DeviceCode.registered(),
        }
    }

    /// The way that was named, else the one that the issuer has.
    fn at(issuer: &ServerMetadata, named: Option<Grant>) -> Self {
        let has_only_devices =
            issuer.authorization_endpoint.is_none() && issuer.device_authorization_endpoint.is_some();
        match named {
            Some(Grant::DeviceCode) => Self::Device,
            None if has_only_devices => Self::Device,
            _ => Self::Code,
        }
    }
}

impl Client {
    /// Has the person log in with this client.
    ///
    /// A next token without the person (`offline_access`) is asked for where the issuer offers that and nobody has
    /// named the scopes; if it will not give this one to this person, the login is tried once more without.
    async fn log_in(
        &self,
        mut wanted: Wanted<'_>,
        client: &LoginClient,
        way: Way,
    ) -> Result<TokenResponse, ClientError> {
        let named = self.settings.scopes.is_some();
        let (plain, offline) = (wanted.scopes.clone(), offline(wanted.issuer));
        if !named && !offline.is_empty() {
            wanted.scopes = Some(plain.as_ref().map_or_else(|| offline.clone(), |scopes| scopes.union(&offline)));
        }
        match self.log_in_once(&wanted, client, way).await {
            Err(error) if wanted.scopes != plain && is_about_offline(&error) => {
                wanted.scopes = plain;
                self.log_in_once(&wanted, client, way).await
            }
            answered => answered,
        }
    }

    async fn log_in_once(
        &self,
        wanted: &Wanted<'_>,
        client: &LoginClient,
        way: Way,
    ) -> Result<TokenResponse, ClientError> {
        match way {
            Way::Code => Box::pin(self.log_in_by_code(wanted, client)).await,
            Way::Device => Box::pin(self.log_in_by_device(wanted, client)).await,
        }
    }
}

/// `offline_access`, where the issuer lists it; else nothing (MCP 2026-07-28, refresh tokens).
fn offline(issuer: &ServerMetadata) -> Scopes {
    let listed = issuer.scopes_supported.iter().map(String::as_str);
    Scopes::from_claims(listed.filter(|scope| *scope == "offline_access"))
}

fn is_about_offline(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { code: ErrorCode::InvalidScope, .. } => true,
        ClientError::Refused { answer, .. } => quirks::forbids_offline(answer),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
