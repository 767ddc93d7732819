//! Tokens that are kept: one file each, one writer at a time.

use std::time::Duration;

use super::{Client, ClientError, discover::DiscoverError};
use crate::{
    oauth::{Challenge, Scopes},
    secret::Secret,
};

/// A token for the server of the settings, and no other.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub secret: Secret,
    /// What it allows, if the issuer said.
    pub scopes: Option<Scopes>,
    /// Since the epoch, if the issuer said.
    pub expires_at: Option<Duration>,
    /// Where it came from.
    pub source: TokenSourceKind,
}

/// Where a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSourceKind {
    /// From the settings.
    Given,
    /// From our own disk.
    Cached,
    /// From the issuer, just now.
    Fetched,
}

impl TokenSourceKind {
    /// For a message: `the ..` refused.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Given => "token that was given",
            Self::Cached => "cached token",
            Self::Fetched => "token that its issuer had just made",
        }
    }
}

impl Client {
    /// The token that is given or kept and still good, else a new one.
    #[expect(clippy::unused_async, reason = "the body comes next")]
    pub async fn access_token(&self, _challenge: Option<&Challenge>) -> Result<AccessToken, ClientError> {
        Err(DiscoverError::Unbuilt.into())
    }

    /// The token that is given or kept and still good; nobody is asked for a new one.
    #[expect(clippy::unused_async, reason = "the body comes next")]
    pub async fn kept_token(&self) -> Result<Option<AccessToken>, ClientError> {
        Ok(None)
    }
}
