//! Getting a token for an MCP server, and calling it: discovery, registration, grants, token keeping, the session.
//!
//! Knows no axum and prints nothing. What a server or an issuer says is data, and escaped where it becomes a message.

mod discover;
mod error;
mod manage;
mod mcp;
mod register;
mod settings;
mod tokens;

pub use discover::{DiscoverError, Discovery};
pub use error::{ClientError, Kind};
pub use mcp::{BoxFuture, Sampler, Session};
pub use register::{Registered, RegistrationRequest};
pub use settings::Settings;
pub use tokens::{AccessToken, TokenSourceKind};

/// Calls one MCP server, and gets tokens for it.
#[derive(Clone, Debug)]
pub struct Client {
    settings: std::sync::Arc<Settings>,
}

impl Client {
    /// A client for the server of these settings. Touches neither network nor disk.
    pub fn new(settings: Settings) -> Result<Self, ClientError> {
        Ok(Self { settings: std::sync::Arc::new(settings) })
    }

    /// What it was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
