//! Dynamic client registration: RFC 7591.

use std::path::PathBuf;

use super::{Client, ClientError, discover::DiscoverError};
use crate::{
    oauth::{AuthMethod, Issuer, RegisteredClient, Scopes},
    secret::Secret,
};

/// What to register.
#[derive(Clone, Debug)]
pub struct RegistrationRequest {
    /// For people.
    pub name: String,
    /// The grants it will use.
    pub grants: Vec<String>,
    /// Where people come back to; none for machines.
    pub redirect_uris: Vec<String>,
    /// The scopes it may ask for.
    pub scopes: Option<Scopes>,
    /// How it will prove itself. For `private_key_jwt` a key is made and kept here.
    pub auth_method: AuthMethod,
    /// Opens the registration endpoint (RFC 7591 section 3).
    pub initial_access_token: Option<Secret>,
}

/// A registration that is safe on disk.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Where.
    pub issuer: Issuer,
    /// What the issuer answered.
    pub client: RegisteredClient,
    /// Whether it was there before and still works.
    pub reused: bool,
    /// The file that keeps it.
    pub file: PathBuf,
}

impl Client {
    /// Registers a client and keeps it; a kept one that still works is used again, unless
    /// [`force_new`](super::Settings::force_new).
    #[expect(clippy::unused_async, reason = "the body comes next")]
    pub async fn register(&self, _request: RegistrationRequest) -> Result<Registered, ClientError> {
        Err(DiscoverError::Unbuilt.into())
    }

    /// Asks the issuer what it knows of the kept registration (RFC 7592 section 2.1).
    #[expect(clippy::unused_async, reason = "the body comes next")]
    pub async fn show_registration(&self) -> Result<RegisteredClient, ClientError> {
        Err(DiscoverError::Unbuilt.into())
    }
}
