//! Getting a token for an MCP server, and calling it: discovery, registration, grants, token keeping, the session.
//!
//! Knows no axum and prints nothing. What a server or an issuer says is data, and escaped where it becomes a message.

mod bearer;
mod discover;
mod ending;
mod error;
mod grant;
mod identity;
mod initial_token;
mod keycloak;
mod listed;
mod login;
mod manage;
mod mcp;
mod possession;
mod prune;
mod quirks;
mod reach;
mod register;
mod sampling;
mod servers;
mod settings;
#[cfg(test)]
mod testing;
mod tokens;
mod transport;

use std::sync::{Arc, OnceLock};

use url::Url;

pub use discover::Discovery;
pub use error::{ClientError, Kind, withheld_hint};
pub use initial_token::InitialTokenProblem;
pub use keycloak::KeycloakAdmin;
pub use listed::ListedTool;
pub use login::{DeviceCode, Grant, Person};
pub use manage::RegistrationChange;
pub use mcp::Session;
pub use prune::{StaleClient, day};
pub use register::RegistrationRequest;
pub use sampling::{BoxFuture, Sampler};
pub use settings::Settings;
pub use tokens::{AccessToken, TokenSourceKind};

use crate::{
    net::{Http, NetError, Options},
    store::{PrivateDir, StoreError},
};

/// Calls one MCP server, and gets tokens for it.
#[derive(Clone, Debug)]
pub struct Client {
    settings: Arc<Settings>,
    web: Arc<Web>,
    proofs: Arc<possession::Proofs>,
}

/// The HTTP clients, each made when it is first needed.
#[derive(Debug)]
struct Web {
    options: Options,
    plain: OnceLock<Http>,
    secure: OnceLock<Http>,
}

impl Client {
    /// A client for the server of these settings. Touches neither network nor disk.
    pub fn new(settings: Settings) -> Result<Self, ClientError> {
        let options = Options { timeout: settings.timeout, extra_roots: settings.extra_roots.clone() };
        let web = Arc::new(Web { options, plain: OnceLock::new(), secure: OnceLock::new() });
        web.at(&settings.server.url())?;
        Ok(Self { settings: Arc::new(settings), web, proofs: Arc::default() })
    }

    /// What it was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Runs what blocks on the disk, given the state directory.
    async fn on_disk<T, F>(&self, work: F) -> Result<T, ClientError>
    where
        T: Send + 'static,
        F: FnOnce(&PrivateDir) -> Result<T, StoreError> + Send + 'static,
    {
        let path = self.settings.state_dir.clone();
        let done = tokio::task::spawn_blocking(move || work(&PrivateDir::open(&path)?)).await;
        Ok(done.expect("work on the disk does not panic")?)
    }
}

impl Web {
    /// The client for this URL.
    fn at(&self, url: &Url) -> Result<&Http, NetError> {
        let secure = url.scheme() == "https";
        let slot = if secure { &self.secure } else { &self.plain };
        if let Some(http) = slot.get() {
            return Ok(http);
        }
        let http = if secure { Http::new(&self.options)? } else { Http::plain(&self.options)? };
        Ok(slot.get_or_init(|| http))
    }
}
