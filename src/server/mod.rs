//! HTTP: the server that guards tools.
//!
//! [`Server::bind`] checks everything and opens the port; [`Server::run`] serves until told to stop, then drains. The caller
//! decides when to stop, so that tests run the same server as the command.

mod ask;
mod authn;
mod documents;
mod envelope;
mod error;
mod handler;
mod in_flight;
mod layers;
mod listener;
mod mcp;
mod names;
mod request_id;
mod router;
mod sessions;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{documents::Documents, handler::Handler, in_flight::InFlight, names::Names, sessions::Sessions};
use crate::{
    auth::{Authenticator, IsRevoked, Jwks, Keys, Principal, Rules, Source},
    clock::SharedClock,
    config::{Config, IssuerChoice},
    hint::Hint,
    issuer::{Embedded, OpenError},
    jose::{Expect, KeySet},
    net::{Http, NetError, Options},
    oauth::{Issuer, Resource, Scopes},
    store::{PrivateDir, StoreError},
    tools::Tools,
};

/// How long one fetch of metadata or keys may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// A server with an open port that does not serve yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    routes: Router,
    jwks: Option<Arc<Jwks>>,
    /// Ends every stream and session.
    streams: CancellationToken,
    drain_timeout: Duration,
}

/// What every request needs.
struct App {
    names: Names,
    documents: Documents,
    /// What a caller without a token is told to ask for.
    scopes: Scopes,
    authenticator: Authenticator,
    tools: Arc<Tools>,
    sessions: Arc<Sessions>,
    mcp: StreamableHttpService<Handler, Sessions>,
    max_body_bytes: usize,
    in_flight: InFlight,
    draining: AtomicBool,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or not ours to take.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StoreError),
    /// The embedded issuer's state cannot be used.
    #[error(transparent)]
    Issuer(#[from] OpenError),
    /// There is no way to fetch keys.
    #[error(transparent)]
    Net(#[from] NetError),
}

impl Hint for StartError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { address, source } => match source.kind() {
                io::ErrorKind::AddrInUse => Some(format!(
                    "stop what listens there (`ss -ltnp 'sport = :{}'` names it), or choose another port with `--listen`",
                    address.port()
                )),
                io::ErrorKind::PermissionDenied => Some("choose a port above 1023 with `--listen`".to_owned()),
                io::ErrorKind::AddrNotAvailable => Some("choose an address of this machine with `--listen`".to_owned()),
                _ => None,
            },
            Self::State(error) => error.hint(),
            Self::Issuer(error) => error.hint(),
            Self::Net(error) => error.hint(),
        }
    }
}

impl Server {
    /// Opens the port and everything that the configuration names. Does not wait for an issuer elsewhere.
    pub async fn bind(config: &Config, tools: Tools, clock: SharedClock) -> Result<Self, StartError> {
        let listen = config.server.listen;
        let listen_error = |source| StartError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let names = Names::new(&config.server, address);
        let tools = Arc::new(tools);
        let state = PrivateDir::open(&config.state_dir)?;
        let scopes = config.scopes_supported.clone().unwrap_or_else(|| tools.scopes_supported().clone());
        let trust = trust(config, &names, &scopes, &state, &clock)?;

        let streams = CancellationToken::new();
        let sessions = Arc::new(Sessions::new(config.limits.clone()));
        let handler = Handler::new(Arc::clone(&tools), Arc::clone(&clock));
        let mcp = StreamableHttpService::new(
            move || Ok(handler.clone()),
            Arc::clone(&sessions),
            // Host and Origin were checked before anything else was; the body has been read and capped.
            StreamableHttpServerConfig::default()
                .disable_allowed_hosts()
                .disable_allowed_origins()
                .with_json_response(true)
                .with_max_request_body_bytes(config.server.max_body_bytes)
                .with_cancellation_token(streams.clone()),
        );
        let app = Arc::new(App {
            documents: Documents::new(&names, trust.authenticator.issuer(), &scopes),
            names,
            scopes,
            authenticator: trust.authenticator,
            tools,
            sessions,
            mcp,
            max_body_bytes: config.server.max_body_bytes,
            in_flight: InFlight::new(),
            draining: AtomicBool::new(false),
        });
        let routes = router::build(&app, trust.issuer.as_ref().map(Embedded::router));
        let drain_timeout = config.server.drain_timeout;
        Ok(Self { listener, address, app, routes, jwks: trust.jwks, streams, drain_timeout })
    }

    /// Where it listens: the real port, also if port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's principal name.
    pub fn resource(&self) -> &Resource {
        self.app.names.resource()
    }

    /// Whose tokens it takes.
    pub fn issuer(&self) -> &Issuer {
        self.app.authenticator.issuer()
    }

    /// Its tools.
    pub fn tools(&self) -> &Tools {
        &self.app.tools
    }

    /// Serves until `stop` resolves, then drains: readiness turns 503, calls in flight finish, streams end.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let keys = self.jwks.map(|jwks| tokio::spawn(async move { jwks.run().await }));
        let app = self.app;
        let stop_accepting = CancellationToken::new();
        let connections = tokio::spawn(listener::accept(self.listener, self.routes, stop_accepting.clone()));
        stop.await;
        app.draining.store(true, Ordering::Relaxed);
        tracing::info!("stopping: calls under way finish");
        let drained = async {
            // Connections are still accepted meanwhile: a load balancer must be able to read that we are not ready.
            app.in_flight.none().await;
            self.streams.cancel();
            stop_accepting.cancel();
            if let Ok(connections) = connections.await {
                connections.shutdown().await;
            }
        };
        if tokio::time::timeout(self.drain_timeout, drained).await.is_err() {
            tracing::warn!("stopped with calls under way: the drain timeout is over");
        }
        stop_accepting.cancel();
        self.streams.cancel();
        if let Some(keys) = keys {
            keys.abort();
        }
        tracing::info!("stopped");
    }
}

/// Whose tokens are taken, and by which keys they are judged.
struct Trust {
    authenticator: Authenticator,
    issuer: Option<Arc<Embedded>>,
    jwks: Option<Arc<Jwks>>,
}

fn trust(
    config: &Config,
    names: &Names,
    scopes: &Scopes,
    state: &PrivateDir,
    clock: &SharedClock,
) -> Result<Trust, StartError> {
    let audiences = names.resources().map(|resource| resource.as_str().to_owned());
    let audiences = audiences.chain(config.server.audiences.iter().cloned()).collect();
    let settings = &config.issuer;
    let rules = |issuer: Issuer, is_revoked: Option<IsRevoked>| Rules {
        expect: Expect { issuer, audiences, algorithms: settings.algorithms.clone(), leeway: settings.leeway },
        allowed_clients: settings.allowed_clients.as_ref().map(|clients| clients.iter().cloned().collect()),
        is_revoked,
    };
    match &settings.choice {
        IssuerChoice::Embedded { resources, .. } => {
            let origin = names.resource().url().origin().ascii_serialization();
            let issuer = Issuer::parse(&origin).expect("a resource is https, or http on loopback");
            let scopes = scopes.clone();
            let resources = names.resources().chain(resources).cloned().collect();
            let settings =
                crate::issuer::Settings { issuer: issuer.clone(), resources, scopes, clock: Arc::clone(clock) };
            let embedded = Embedded::open(state, settings)?;
            let keys = KeySet::parse(&embedded.key_set()).expect("the embedded issuer writes key sets");
            let revocations = Arc::clone(&embedded);
            let is_revoked = move |principal: &Principal| {
                revocations.is_revoked(principal.token_id.as_deref(), principal.client_id.as_deref())
            };
            let rules = rules(issuer, Some(Arc::new(is_revoked)));
            let authenticator = Authenticator::new(rules, Keys::Fixed(keys), Arc::clone(clock));
            Ok(Trust { authenticator, issuer: Some(embedded), jwks: None })
        }
        IssuerChoice::External { url, backchannel_url, jwks_uri } => {
            let source =
                Source { issuer: url.clone(), backchannel_url: backchannel_url.clone(), jwks_uri: jwks_uri.clone() };
            let http = Http::new(&Options::with_timeout(FETCH_TIMEOUT))?;
            let jwks = Jwks::new(source, http, Arc::clone(clock), Some(state.child("issuers")?));
            let keys = Keys::Remote(Arc::clone(&jwks));
            let authenticator = Authenticator::new(rules(url.clone(), None), keys, Arc::clone(clock));
            Ok(Trust { authenticator, issuer: None, jwks: Some(jwks) })
        }
    }
}
