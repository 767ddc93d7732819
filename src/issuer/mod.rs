//! The embedded authorization server: for people the authorization code with PKCE, refresh tokens and devices, for machines
//! `client_credentials`; registration, revocation, introspection.
//!
//! | file | noun |
//! |---|---|
//! | `metadata` | the documents that anybody may read |
//! | `call` | a request, and the form in it |
//! | `client_auth`, `assertion`, `attempts` | how a caller proves to be a client, and how often it may try |
//! | `authorize`, `device` | where clients send people, and where devices do |
//! | `person`, `pages`, `browser`, `users` | what people answer and see, where they have logged in, and who they are |
//! | `token`, `access_token`, `grants` | the token endpoint, what it issues, and what people granted |
//! | `possession` | the key that a token is asked for with |
//! | `register`, `manage`, `client`, `clients` | registration, its later life, and what is kept of a client |
//! | `cimd` | clients that nobody registered: their id is the URL of what they say of themselves |
//! | `revoke`, `introspect`, `revoked` | what became of a token |
//! | `keys`, `seal` | the signing key; texts that only we can have written |
//! | `error` | every way to say no |
//!
//! It is one process with its state in files below `issuer/` in the state directory. An answer is given when what it
//! promises is on the disk, and what a reader sees in memory is on the disk already. It knows neither `auth` nor `client`,
//! so it cannot share a bug with the verifier that judges its tokens. Request ids and `Host` are the server's business;
//! bodies are read as it reads them (`net::read_body`).

mod access_token;
mod assertion;
mod attempts;
mod authorize;
mod browser;
mod call;
mod cimd;
mod client;
mod client_auth;
mod clients;
mod device;
mod error;
#[cfg(feature = "internals")]
pub mod fuzz;
mod grants;
mod introspect;
mod keys;
mod manage;
mod metadata;
mod pages;
mod person;
mod possession;
mod register;
mod revoke;
mod revoked;
mod seal;
#[cfg(test)]
mod testing;
mod token;
mod users;

use std::{
    net::IpAddr,
    panic::resume_unwind,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn, map_response},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderValue, header};
use tokio::sync::watch;

pub use access_token::ACCESS_TOKEN_LIFETIME;
use assertion::UsedAssertions;
use attempts::{Attempts, BySender};
use browser::Browsers;
use cimd::{Documents, is_document_id};
pub use client::PAGE_CLIENT;
use clients::Clients;
use device::Devices;
use error::RouteError;
use grants::Grants;
use keys::Keys;
use revoked::Revoked;
use seal::Seal;
pub use users::PasswordHashes;
use users::Users;

use crate::{
    clock::SharedClock,
    hint::Hint,
    jose::{Nonces, sign::NotAKey},
    oauth::{Issuer, RedirectUri, Resource, Scopes},
    secret::Secret,
    store::{Expiring, Lock, PrivateDir, StoreError, initial_access_token},
    telemetry::request::Ids,
};

/// What the issuer is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name: the server's origin.
    pub issuer: Issuer,
    /// The values of `resource` that tokens are issued for. The first is meant when a request names none.
    pub resources: Vec<Resource>,
    /// Where people come back to the server's own page, which is a client without registration: [`PAGE_CLIENT`].
    pub own_page: Vec<RedirectUri>,
    /// Every scope that a client can have.
    pub scopes: Scopes,
    /// Whether clients' metadata documents may be on this machine.
    pub cimd_allow_loopback: bool,
    /// Who may log in; if nobody is named, one user `dev` with a password in the state directory.
    pub users: PasswordHashes,
    /// What programs on this machine get as `dev` without asking anybody.
    pub auto_approve: Option<Scopes>,
    /// Whether DPoP proofs must have a nonce of this issuer.
    pub dpop_nonce: bool,
    /// Tells the time.
    pub clock: SharedClock,
}

/// Where a request comes from, in its extensions: the network that is counted as one caller, as the server in front of the
/// routes found it. Requests without it count as one caller's.
#[derive(Clone, Copy, Debug)]
pub struct Sender(pub IpAddr);

/// The largest body that is taken, in the extensions of a request: a setting of the server in front, which may change while
/// this runs. Without it, it is that setting's default.
#[derive(Clone, Copy, Debug)]
pub struct MaxBodyBytes(pub usize);

impl Default for MaxBodyBytes {
    fn default() -> Self {
        Self(4 << 20)
    }
}

/// Why the issuer cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the state directory.
    #[error("another server uses the state directory `{path}`", path = .path.display())]
    Taken {
        /// The state directory.
        path: PathBuf,
    },
    /// The signing key is damaged.
    #[error("cannot use the signing key `{path}`", path = .path.display())]
    BadKey {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        source: NotAKey,
    },
    /// A registration is damaged, or of a newer version.
    #[error("`{path}` is not the registration of a client", path = .path.display())]
    BadRegistration {
        /// Its file.
        path: PathBuf,
    },
    /// The disk refused, or somebody else could read our files.
    #[error("cannot use the embedded issuer's state")]
    Store(#[from] StoreError),
}

impl Hint for OpenError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Taken { .. } => Some("stop the other server, or give this one its own `state_dir`".to_owned()),
            Self::BadKey { path, .. } => Some(format!(
                "restore `{}` from a backup, or remove it: a new key is made and tokens issued so far stop working",
                path.display()
            )),
            Self::BadRegistration { path } => {
                Some(format!("restore `{}` from a backup, or remove it and register the client again", path.display()))
            }
            Self::Store(error) => error.hint(),
        }
    }
}

/// The issuer: its keys, its clients, and what it has to remember.
pub struct Embedded {
    settings: Settings,
    /// When this process began, since the epoch.
    started: Duration,
    keys: Keys,
    clients: Clients,
    revoked: Revoked,
    grants: Grants,
    users: Users,
    browsers: Browsers,
    devices: Devices,
    documents: Documents,
    used_assertions: Mutex<UsedAssertions>,
    /// Those of clients that strangers registered.
    strangers_assertions: Mutex<UsedAssertions>,
    used_proofs: Mutex<Expiring>,
    nonces: Nonces,
    failures: Mutex<Attempts>,
    registrations: Mutex<BySender>,
    initial_access_token: Secret,
    /// Told of whatever may have ended a token.
    news: watch::Sender<()>,
    _lock: Lock,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Embedded").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Where errors are those of OAuth.
const ENDPOINTS: [&str; 5] = ["/token", "/register", "/revoke", "/introspect", "/device_authorization"];
/// Where people are.
const PAGES: [&str; 5] = ["/authorize", "/login", "/consent", "/logout", "/device"];
const REGISTRATION: &str = "/register/{client_id}";
const DOCUMENTS: [&str; 3] =
    ["/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp", "/jwks"];

/// Whether errors at this path are those of OAuth.
pub fn is_endpoint(path: &str) -> bool {
    ENDPOINTS.contains(&path) || path.starts_with("/register/")
}

/// Whether people send forms there. Their browsers say nothing of where they were, since our pages ask them not to.
pub fn takes_forms(path: &str) -> bool {
    PAGES.contains(&path)
}

/// The route of this path, if it is one of the issuer's.
pub fn route_of(path: &str) -> Option<&'static str> {
    let plain = ENDPOINTS.into_iter().chain(PAGES).chain(DOCUMENTS).find(|plain| *plain == path);
    plain.or_else(|| path.starts_with("/register/").then_some(REGISTRATION))
}

impl Embedded {
    /// Reads the state, or makes it: the signing key, this account's client, the initial access token.
    ///
    /// Blocks on the disk. The state directory belongs to this issuer until it is dropped.
    pub fn open(state: &PrivateDir, settings: Settings) -> Result<Arc<Self>, OpenError> {
        let taken = || OpenError::Taken { path: state.path().to_owned() };
        let lock = state.try_lock("issuer")?.ok_or_else(taken)?;
        let dir = state.child("issuer")?;
        let started = settings.clock.since_epoch();
        let clients = Clients::open(dir.child("clients")?)?;
        let users = Users::open(state, &settings.users)?;
        clients.provision_local(state, &settings.issuer, &settings.scopes, started.as_secs())?;
        clients.provision_page(settings.own_page.clone(), &settings.scopes, started.as_secs());
        Ok(Arc::new(Self {
            started,
            keys: Keys::open(&dir)?,
            clients,
            revoked: Revoked::open(dir.child("revoked")?, started.as_secs())?,
            grants: Grants::open(dir.child("grants")?, Seal::kept(&dir)?, &users, started)?,
            users,
            browsers: Browsers::new(&settings.issuer, Arc::clone(&settings.clock)),
            devices: Devices::default(),
            documents: Documents::new(&settings),
            used_assertions: Mutex::default(),
            strangers_assertions: Mutex::default(),
            used_proofs: Mutex::default(),
            nonces: Nonces::new(&Secret::random()),
            failures: Mutex::new(Attempts::new(client_auth::MAX_FAILURES)),
            registrations: Mutex::new(register::registrations()),
            initial_access_token: initial_access_token(state)?,
            news: watch::Sender::new(()),
            _lock: lock,
            settings,
        }))
    }

    /// Every path of the issuer, and nothing else.
    pub fn router(self: &Arc<Self>) -> Router {
        let secret = Router::new()
            .route("/token", post(token::post))
            .route("/register", post(register::post))
            .route(REGISTRATION, get(manage::get).put(manage::put).delete(manage::delete))
            .route("/revoke", post(revoke::post))
            .route("/introspect", post(introspect::post))
            .route("/device_authorization", post(device::authorize))
            .route("/authorize", get(authorize::get))
            .route("/login", post(person::log_in))
            .route("/consent", post(person::decide))
            .route("/logout", post(person::log_out))
            .route("/device", get(device::get).post(device::post))
            .layer(from_fn(to_its_end))
            .layer(map_response(never_stored));
        Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata::get))
            // Where clients look that take the path of the MCP server for one of the issuer.
            .route("/.well-known/oauth-authorization-server/mcp", get(metadata::get))
            .route("/jwks", get(metadata::get_keys))
            .merge(secret)
            .with_state(Arc::clone(self))
    }

    /// The published key set, as JSON.
    pub fn key_set(&self) -> Vec<u8> {
        self.keys.document().to_vec()
    }

    /// Whether the token of this `jti` was revoked, or its client is gone, or what a person granted has ended: whoever
    /// deletes a registration ends its tokens with it (RFC 7592 section 2.3). Ids of clients never come twice. Cheap:
    /// memory only.
    pub fn is_revoked(&self, token_id: Option<&str>, client_id: Option<&str>) -> bool {
        token_id.is_none_or(|token_id| self.revoked.contains(token_id))
            || token_id.and_then(|id| id.split_once('.')).is_some_and(|(grant, _)| !self.grants.has(grant))
            || client_id.is_none_or(|client_id| !is_document_id(client_id) && self.clients.get(client_id).is_none())
    }

    /// Changes whenever a token may have been revoked.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Does work that blocks on the disk. Whatever was written may have ended a token.
    async fn on_disk<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, RouteError> + Send + 'static,
    ) -> Result<T, RouteError> {
        let (issuer, ids) = (Arc::clone(self), Ids::current());
        let work = move || match ids {
            Some(ids) => ids.around_blocking(|| work(&issuer)),
            None => work(&issuer),
        };
        let done = tokio::task::spawn_blocking(work).await;
        self.news.send_replace(());
        done.map_err(|error| RouteError::Broken(Box::new(error)))?
    }
}

/// Goes on even if the caller goes away: what was done is then in the audit log too.
async fn to_its_end(request: Request, next: Next) -> Response {
    let answer = next.run(request);
    let answer = match Ids::current() {
        Some(ids) => tokio::spawn(ids.around(answer)),
        None => tokio::spawn(answer),
    };
    answer.await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        // The process ends.
        Err(error) => RouteError::Broken(Box::new(error)).into_response(),
    })
}

/// RFC 6749 section 5.1: what carries a credential is kept by nobody on the way.
async fn never_stored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use serde_json::json;

    use super::*;
    use crate::{
        issuer::testing::{FORM, Fixture, JSON},
        telemetry::testing::Log,
    };

    #[tokio::test]
    async fn a_second_server_on_the_same_state_is_told_so() {
        let issuer = Fixture::new();
        let refused = issuer.open_again().unwrap_err();
        let path = issuer.state.path().display().to_string();
        assert_eq!(refused.to_string(), format!("another server uses the state directory `{path}`"));
        assert!(refused.hint().unwrap().contains("state_dir"));
        issuer.restarted().local_token().await;
    }

    #[tokio::test]
    async fn the_state_is_where_it_should_be() {
        let issuer = Fixture::new();
        assert_eq!(issuer.state.names().unwrap(), ["dev-password", "initial-access-token", "local-client.json"]);
        let dir = issuer.state.child("issuer").unwrap();
        assert_eq!(dir.names().unwrap(), ["grant-key", "signing-key.pem"]);
        let token = issuer.local_token().await;
        let key_set = issuer.embedded.key_set();
        let issuer = issuer.restarted();
        assert_eq!(issuer.embedded.key_set(), key_set);
        assert_eq!(issuer.local("/introspect", &[("token", &token)]).await.json["active"], true);
    }

    #[tokio::test]
    async fn a32_there_are_no_other_paths() {
        let issuer = Fixture::new();
        for path in [
            "/",
            "/authorize/",
            "/par",
            "/userinfo",
            "/device/x",
            "/.well-known/openid-configuration",
            "/register/",
            "/token/x",
        ] {
            let answer = issuer.send(Method::GET, path, &[], "").await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        }
        for (method, path) in [
            (Method::POST, "/jwks"),
            (Method::POST, "/.well-known/oauth-authorization-server"),
            (Method::GET, "/register"),
            (Method::POST, "/register/client-x"),
            (Method::PATCH, "/register/client-x"),
            (Method::GET, "/revoke"),
            (Method::GET, "/introspect"),
            (Method::POST, "/authorize"),
            (Method::GET, "/login"),
            (Method::GET, "/consent"),
            (Method::GET, "/logout"),
        ] {
            let answer = issuer.send(method, path, &[FORM], "").await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_an_oauth_error_too() {
        let issuer = Fixture::new();
        let body = "x".repeat(5 << 20);
        for path in ENDPOINTS {
            let answer = issuer.send(Method::POST, path, &[FORM], &body).await;
            assert_eq!(
                (answer.status, &answer.json["error"]),
                (StatusCode::PAYLOAD_TOO_LARGE, &json!("invalid_request"))
            );
        }
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_is_audited_all_the_same() {
        let (log, _guard) = Log::start();
        let issuer = Fixture::new();
        let body = json!({}).to_string();
        let initial = format!("Bearer {}", issuer.initial_access_token());
        let headers = [JSON, ("authorization", initial.as_str())];
        let mut asking = Box::pin(issuer.send(Method::POST, "/register", &headers, &body));
        assert!(futures_util::poll!(&mut asking).is_pending(), "it is under way");
        drop(asking);
        let audited = async {
            while !log.text().contains("client_registered") {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), audited).await.expect("an event");
        assert_eq!(issuer.state.child("issuer").unwrap().child("clients").unwrap().names().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn the_audit_log_tells_what_happened_and_no_secret() {
        let (log, _guard) = Log::start();
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered("client_secret_post").await;
        let token = issuer.with_secret("/token", &id, &secret, &[]).await.json["access_token"].clone();
        let token = token.as_str().unwrap();
        issuer.with_secret("/revoke", &id, &secret, &[("token", token)]).await;
        issuer.with_secret("/token", &id, "wrong-secret", &[]).await;
        issuer.with_basic("/introspect", "evil\n\u{1b}[31m", "wrong-secret", &[]).await;
        issuer.local("/token", &[("scope", "wrong-scope")]).await;
        issuer.register(&json!({"redirect_uris": ["x"]})).await;
        issuer.send(Method::POST, "/register", &[("authorization", "Bearer wrong-secret")], "").await;
        std::fs::remove_dir_all(issuer.state.path().join("issuer/clients")).unwrap();
        issuer.register(&json!({})).await;

        let log = log.text();
        let count = |event: &str| log.lines().filter(|line| line.contains(&format!("\"message\":\"{event}\""))).count();
        let counts = ["client_registered", "token_issued", "token_revoked", "issuer_refused"].map(count);
        assert_eq!(counts, [1, 1, 1, 6], "{log}");
        assert!(log.contains(&id) && log.contains("invalid_scope") && log.contains("No such file"), "{log}");
        let assertion = issuer.local_client().private_key;
        let initial = issuer.initial_access_token();
        for hidden in [&secret, token, "wrong-s", assertion.expose(), &initial, "\u{1b}", "eyJ"] {
            assert!(!log.contains(hidden), "{hidden} is in {log}");
        }
    }
}
