//! Getting a token for an MCP server, and calling it: discovery, registration, grants, token keeping, the session.
//!
//! This is what `securemcp call` runs. A program of its own says in [`Settings`] which server it means and who it is,
//! and opens a [`Session`]:
//!
//! ```no_run
//! # async fn call() -> Result<(), Box<dyn std::error::Error>> {
//! use securemcp::{
//!     client::{Client, Host, Settings},
//!     oauth::Resource,
//!     secret::Secret,
//! };
//!
//! let mut settings = Settings::new(Resource::parse("https://mcp.example/mcp")?, "/var/lib/caller".into());
//! (settings.client_id, settings.client_secret) = (Some("caller".into()), Some(Secret::new("..")));
//! let session = Client::new(settings)?.connect(Host::default()).await?;
//! let result = session.call_tool("echo", serde_json::Map::from_iter([("message".to_owned(), "Hello!".into())])).await?;
//! assert_ne!(result.is_error, Some(true));
//! session.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! It knows no axum and prints nothing. What a server or an issuer says is data, and escaped where it becomes a message.

mod bearer;
mod discover;
mod elicitation;
mod ending;
mod error;
mod form;
mod grant;
mod host;
mod identity;
mod initial_token;
mod keycloak;
mod legacy;
mod listed;
mod listener;
mod login;
mod manage;
mod mcp;
mod possession;
mod prune;
mod quirks;
mod reach;
mod register;
mod rounds;
mod sampling;
mod servers;
mod settings;
mod shared_client;
mod skills;
#[cfg(test)]
mod testing;
mod tokens;
mod transport;
mod voucher;

use std::sync::{Arc, OnceLock};

use url::Url;

pub use discover::Discovery;
pub use elicitation::{Asked, Question, Reply, Respondent, Unanswered};
pub use error::{ClientError, Kind};
pub use form::{Choice, Field, Form, FormProblem, Input};
pub use host::Host;
pub use keycloak::KeycloakAdmin;
pub use listener::{Level, Listener, LogLine, Progress};
pub use login::{DeviceCode, Grant, Person};
pub use mcp::Session;
pub use prune::StaleClient;
pub use sampling::{BoxFuture, Sampler};
pub use settings::Settings;
pub use skills::SkillError;
pub use tokens::{AccessToken, TokenSourceKind};
pub use voucher::{IdentityProvider, Voucher, WorkloadIdentity};

// Of the command line only.
pub(crate) use error::withheld_hint;
pub(crate) use initial_token::InitialTokenProblem;
pub(crate) use listed::ListedTool;
pub(crate) use manage::RegistrationChange;
pub(crate) use prune::day;
pub(crate) use register::{Registered, RegistrationRequest};
pub(crate) use rmcp::model::Skill;
pub(crate) use shared_client::SharedClient;

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
