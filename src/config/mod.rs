//! Settings: what was written and where (`raw`), what it means (`validate`), and a [`Config`] that cannot be invalid.
//!
//! One table, [`keys()`], is the source of every name; no configuration crate reads it, because none of them reports
//! all problems at once with the place that each value came from.

mod document;
mod dotenv;
mod effective;
mod embedded;
mod environment;
mod files;
mod keys;
mod network;
mod originals;
#[cfg(test)]
mod page;
mod problem;
mod raw;
mod reader;
mod table;
mod tls;
mod upstream;
mod validate;
mod values;
mod vouched;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;
use url::Url;

pub use dotenv::{Unwritable, assign, assigned};
pub use effective::{Effective, Shown};
pub use environment::Environment;
pub use keys::{Fallback, Key, keys};
pub use network::{IpNetwork, NotANetwork};
pub use problem::{Invalid, Problem};

use crate::{
    jose::PrivateKey,
    oauth::{Issuer, Resource, Scopes},
    secret::Secret,
    tls::Certificate,
};

/// Every setting, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where state is kept; absolute.
    pub state_dir: PathBuf,
    /// The server's own settings. A client command sees the defaults here.
    pub server: Server,
    /// Who issues the tokens that the server accepts.
    pub issuer: IssuerSettings,
    /// What replicas share; `None`: nothing, it is all in this process's memory.
    pub redis: Option<Redis>,
    /// The scopes that the metadata lists; `None`: those of the tools.
    pub scopes_supported: Option<Scopes>,
    /// Which access tokens must be bound to a key.
    pub dpop: Dpop,
    /// The MCP server that is guarded, if the server is to have its tools.
    pub upstream: Option<Upstream>,
    /// Bounds on requests and sessions.
    pub limits: Limits,
    /// What the log says and how.
    pub log: Log,
    /// How this account's commands reach a server.
    pub client: ClientSettings,
    /// Every key with what it is set to and where that was written.
    pub effective: Vec<Effective>,
    /// What works but should be changed, one sentence each, for stderr.
    pub warnings: Vec<String>,
}

/// Settings of `serve`.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The server's name; `None`: derive it from the listening address, which is then loopback.
    pub resource: Option<Resource>,
    /// The certificate that it shows; `None`: plain http, on loopback or behind a TLS proxy.
    pub tls: Option<Tls>,
    /// For how long browsers are told to come by https only; `None`: they are not told.
    pub hsts_max_age: Option<Duration>,
    /// What else `aud` may contain besides the resource.
    pub audiences: Vec<String>,
    /// Peers whose forwarded headers count.
    pub trusted_proxies: Vec<IpNetwork>,
    /// Values of `Host` besides the resource's own; lower case.
    pub allowed_hosts: Vec<String>,
    /// Values of `Origin`, as browsers write them; empty: the default of the resource.
    pub allowed_origins: Vec<String>,
    /// As which client the page at `/docs` logs in at an issuer elsewhere; `None`: it does not.
    pub docs_client_id: Option<String>,
    /// The largest request body.
    pub max_body_bytes: usize,
    /// How long a stopping server waits for calls in flight.
    pub drain_timeout: Duration,
    /// Where metrics are read; `None`: nowhere, and nothing is counted.
    pub metrics_listen: Option<SocketAddr>,
}

/// The policy on proofs of possession (RFC 9449).
#[derive(Debug, Clone)]
pub struct Dpop {
    /// What needs one of these scopes takes only tokens that are bound to a key.
    pub required_for: Scopes,
    /// Whether proofs must have a nonce of this server, and of its embedded issuer.
    pub nonce: bool,
}

/// Where the server's certificate comes from.
#[derive(Debug, Clone)]
pub enum Tls {
    /// From files, read and judged.
    Files(Certificate),
    /// The server makes its own, in its state directory.
    SelfSigned,
}

/// Who issues tokens.
#[derive(Debug, Clone)]
pub enum IssuerChoice {
    /// The server itself.
    Embedded {
        /// Whether it may do so beyond loopback.
        face_network: bool,
        /// Whether clients' metadata documents may be on this machine.
        cimd_allow_loopback: bool,
        /// Other servers that it gives tokens for; tokens for them are no good here.
        resources: Vec<Resource>,
        /// Names and argon2id hashes of those who may log in; if there are none, one user `dev`.
        users: BTreeMap<String, String>,
        /// What programs on this machine get without asking anybody.
        auto_approve: Option<Scopes>,
    },
    /// Somebody else.
    External {
        /// Its name, as tokens carry it.
        url: Issuer,
        /// Where it is reached, if not at its name.
        backchannel_url: Option<Url>,
        /// Where its keys are, if not where its metadata says.
        jwks_uri: Option<Url>,
    },
}

/// How an issuer is asked about tokens (RFC 7662).
#[derive(Debug, Clone)]
pub struct Introspection {
    /// Where, if not where its metadata says.
    pub endpoint: Option<Url>,
    /// Our client there.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

/// Where replicas keep what they share.
#[derive(Debug, Clone)]
pub struct Redis {
    /// `redis://` or `rediss://`, with user, password and database where they are needed.
    pub url: Secret,
    /// How long documents of the issuer are kept there.
    pub ttl: Duration,
}

/// How tokens are judged.
#[derive(Debug, Clone)]
pub struct IssuerSettings {
    /// Who issues them.
    pub choice: IssuerChoice,
    /// How an issuer elsewhere is asked about them; `None`: they are JWTs, judged by its keys.
    pub introspection: Option<Introspection>,
    /// The signature algorithms that count; asymmetric, never empty.
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may disagree; at most 60 s.
    pub leeway: Duration,
    /// The only clients whose tokens count; `None`: any.
    pub allowed_clients: Option<Vec<String>>,
}

/// An MCP server that is guarded.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// How it is reached.
    pub target: UpstreamTarget,
    /// What a token must allow for a tool or a prompt, by its name, or for a resource, by its URI or template; not empty.
    pub scopes: BTreeMap<String, Scopes>,
    /// Whether the lists have what the caller's token does not allow.
    pub show_locked: bool,
    /// What it may ask the client of a caller for during a call.
    pub may_ask: MayAsk,
    /// How long a call of it may take.
    pub timeout: Duration,
}

/// What a guarded server may ask the client of a caller for during a call; by default nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MayAsk {
    /// The client's model.
    pub sampling: bool,
    /// The person behind the client: to fill in a form, or to visit a page.
    pub elicitation: bool,
    /// The folders that the client works in.
    pub roots: bool,
}

impl MayAsk {
    /// Whether it may ask for anything at all.
    pub fn anything(self) -> bool {
        self != Self::default()
    }
}

/// How a guarded server is reached.
#[derive(Debug, Clone)]
pub enum UpstreamTarget {
    /// Streamable HTTP.
    Http {
        /// The endpoint.
        url: Url,
        /// What we show it: never a token of a caller.
        token: Option<Secret>,
    },
    /// A child process on stdio.
    Command {
        /// Program and arguments, at least the program.
        argv: Vec<String>,
        /// All of its environment.
        environment: Vec<(String, String)>,
    },
}

/// Bounds, none of them zero.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests a second of one client, and of one user.
    pub per_client: u32,
    /// Requests a second of one address.
    pub per_address: u32,
    /// Open sessions of one principal.
    pub sessions_per_principal: usize,
    /// Open sessions in all.
    pub sessions: usize,
    /// A session unused for this long is closed.
    pub session_idle: Duration,
    /// Answers that wait to be read, in bytes, before users who have their share of them are refused.
    pub unread_bytes: usize,
}

/// What the log says and how.
#[derive(Debug, Clone)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
    /// Where lines go; `None`: to stderr. Absolute.
    pub file: Option<PathBuf>,
    /// Where audit events go instead, whatever the level. Absolute.
    pub audit_file: Option<PathBuf>,
    /// What its lines vouch for each other with.
    pub audit_key: Option<Secret>,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// How commands reach a server and get a token.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// The MCP server.
    pub server: Resource,
    /// A client id registered beforehand.
    pub id: Option<String>,
    /// Its secret.
    pub secret: Option<Secret>,
    /// Its private key, where it has no secret.
    pub private_key: Option<Arc<PrivateKey>>,
    /// Who vouches for it, or instead of it.
    pub vouched_by: Option<VouchedBy>,
    /// Where a document describes this client (CIMD).
    pub metadata_url: Option<Url>,
    /// Whether tokens are bound to a key of this account (RFC 9449).
    pub dpop: bool,
    /// An access token from elsewhere, `SECUREMCP_TOKEN`; never read by `serve`.
    pub token: Option<Secret>,
    /// Whether tokens are kept on disk for the next command.
    pub keeps_tokens: bool,
    /// What opens an issuer's registration endpoint.
    pub initial_access_token: Option<Secret>,
    /// Whether the server registers a client for its deployment.
    pub use_dcr: bool,
    /// What that client is sealed with, for replicas to find it in Redis.
    pub registration_key: Option<Secret>,
    /// Who administers a Keycloak.
    pub keycloak_admin: Option<String>,
    /// The password of a Keycloak's administrator.
    pub keycloak_admin_password: Option<Secret>,
    /// The only issuer that may be used, if one is named.
    pub issuer: Option<Issuer>,
    /// Where that issuer is reached, if not at its name.
    pub issuer_backchannel_url: Option<Url>,
}

/// Who tells an issuer who we are, in place of a client's own proof.
#[derive(Debug, Clone)]
pub enum VouchedBy {
    /// A JWT that is there already.
    Assertion(Secret),
    /// The CI provider of this job.
    Workload {
        /// Where it signs.
        url: Url,
        /// What it wants to see there.
        token: Secret,
    },
    /// The identity provider that a person is logged in at.
    IdentityProvider {
        /// Its name.
        issuer: Issuer,
        /// Our client there.
        client_id: String,
        /// That client's secret.
        client_secret: Option<Secret>,
        /// What the person got.
        id_token: Secret,
    },
}

/// For whom the settings are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `serve`: every key, and a file from the working directory.
    Serve,
    /// Every other command: only keys for clients, and never a file from the working directory, so that a cloned
    /// repository cannot redirect credentials.
    Client,
}

/// One setting on the command line.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The key's path.
    pub key: &'static str,
    /// As typed; `true` for a switch; for a secret the path of a file that holds it. A list's flag may be repeated.
    pub value: String,
    /// The flag's name with its dashes, for messages.
    pub name: &'static str,
}

/// Everything that settings are read from.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// `--config`.
    pub config_file: Option<PathBuf>,
    /// `--env-file`.
    pub env_file: Option<PathBuf>,
    /// The other flags.
    pub flags: Vec<Flag>,
    /// The process environment.
    pub environment: Environment,
}

/// Reads and checks all settings.
///
/// # Errors
/// [`Invalid`] with every problem there is.
pub fn load(purpose: Purpose, inputs: &Inputs) -> Result<Config, Invalid> {
    let mut report = problem::Report::default();
    let values = raw::collect(purpose, inputs, &mut report);
    let config = validate::validate(purpose, &values, &inputs.environment, &mut report);
    if report.problems.is_empty() {
        Ok(Config { effective: effective::of(purpose, values), warnings: report.warnings, ..config })
    } else {
        Err(Invalid::new(report.problems))
    }
}

#[cfg(test)]
mod tests;
