//! HTTP: the server that guards tools.
//!
//! [`Server::bind`] checks everything and opens the port; [`Server::run`] serves until told to stop, then drains. The caller
//! decides when to stop, so that tests run the same server as the command.

mod address;
mod asset;
mod authn;
mod body;
mod check;
mod docs;
mod documents;
mod dpop;
mod envelope;
mod error;
mod events;
mod features;
#[cfg(feature = "internals")]
pub mod fuzz;
mod gather;
mod handler;
mod in_flight;
mod lane;
mod layers;
mod limiter;
mod linger;
mod listener;
mod listing;
mod local;
mod mcp;
mod metrics;
mod names;
mod openapi;
mod rates;
mod recent;
mod refusals;
mod reload;
mod replicas;
mod request_id;
mod rest;
mod route;
mod router;
mod session;
mod sessions;
mod shared_changes;
mod shared_rates;
mod shared_secret;
mod shared_sessions;
mod stall;
mod tasks;
mod tls;
mod trust;
mod unread;

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{
    asset::Asset,
    documents::Documents,
    dpop::DpopPolicy,
    handler::Handler,
    in_flight::InFlight,
    lane::Lane,
    layers::Layered,
    limiter::Limiter,
    names::Names,
    rates::Rates,
    refusals::Refusals,
    reload::Running,
    sessions::Sessions,
    shared_changes::SharedChanges,
    shared_secret::SharedSecret,
    shared_sessions::{Notes, SharedSessions},
    tasks::Tasks,
    tls::Tls,
    trust::Trust,
    unread::Unread,
};
use crate::{
    auth::{Authenticator, Proofs},
    clock::SharedClock,
    config::{Config, IpNetwork},
    gateway::{self, Gateway},
    hint::Hint,
    issuer::OpenError,
    net::NetError,
    oauth::{Issuer, Resource, Scopes},
    store::{PrivateDir, Redis, RedisError, StoreError},
    telemetry::metrics::Metrics,
    tools::Tools,
};
pub use check::check;
pub use features::Features;
pub use local::Local;
pub use reload::{Reloaded, Reloader};

/// How long what is cut off at the end of a drain may take to say so.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long one fetch of metadata or keys may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// A server with an open port that does not serve yet.
pub struct Server {
    listener: TcpListener,
    metrics_listener: Option<(TcpListener, SocketAddr)>,
    running: Arc<Running>,
    gateway: Option<Gateway>,
    drain_timeout: Duration,
    /// Whether calls come by way of a proxy, which keeps connections open for the next one.
    is_behind_proxy: bool,
}

/// What a server keeps for its whole life, whatever it is told meanwhile.
struct Lasting {
    address: SocketAddr,
    resource: Resource,
    state: PrivateDir,
    clock: SharedClock,
    features: Features,
    /// What the features need: the server's own, and those that the guarded server's may need.
    feature_scopes: Scopes,
    /// Whether lists have tools of the guarded server that the caller's token does not allow.
    show_locked: bool,
    /// Of the guarded server, if there is one.
    upstream: Option<Arc<gateway::Status>>,
    handler: Handler,
    sessions: Arc<Sessions>,
    tasks: Tasks,
    /// What replicas share, if they do.
    redis: Option<Arc<Redis>>,
    shared_sessions: Option<Arc<SharedSessions>>,
    /// Where something says itself that it has changed.
    shared_changes: Option<Arc<SharedChanges>>,
    secret: Arc<SharedSecret>,
    limiter: Arc<Limiter>,
    refusals: Arc<Refusals>,
    unread: Unread,
    metrics: Metrics,
    trust: Trust,
    proofs: Arc<Proofs>,
    /// Ends every stream and session.
    streams: CancellationToken,
    in_flight: InFlight,
    draining: Arc<AtomicBool>,
}

/// What every request needs. A reload makes a new one; requests under way keep theirs.
struct App {
    names: Names,
    documents: Documents,
    /// `/openapi.json`.
    openapi: Asset,
    /// What a caller without a token is told to ask for.
    scopes: Scopes,
    authenticator: Authenticator,
    proofs: Arc<Proofs>,
    dpop: DpopPolicy,
    rates: Rates,
    unread: Unread,
    metrics: Metrics,
    /// Peers whose forwarded headers count.
    trusted_proxies: Vec<IpNetwork>,
    features: Features,
    /// The tools among them.
    tools: Arc<Tools>,
    /// Whether lists have tools of the guarded server that the caller's token does not allow.
    show_locked: bool,
    /// Of the guarded server, if there is one.
    upstream: Option<Arc<gateway::Status>>,
    sessions: Arc<Sessions>,
    tasks: Tasks,
    redis: Option<Arc<Redis>>,
    shared_sessions: Option<Arc<SharedSessions>>,
    mcp: StreamableHttpService<Handler, Sessions>,
    lane: Lane,
    clock: SharedClock,
    max_body_bytes: usize,
    /// What browsers are told about plain http.
    hsts: Option<HeaderValue>,
    in_flight: InFlight,
    draining: Arc<AtomicBool>,
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or not ours to take.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// With which flag.
        flag: &'static str,
        /// The system's words.
        source: io::Error,
    },
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StoreError),
    /// The embedded issuer's state cannot be used.
    #[error(transparent)]
    Issuer(#[from] OpenError),
    /// A proof is asked for with a scope that nothing needs.
    #[error("`scopes.require_dpop` names `{scope}`, which is no scope of this server")]
    UnknownScope {
        /// As it was written.
        scope: String,
        /// Those that there are.
        supported: String,
    },
    /// There is no way to reach Redis.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// There is no way to fetch keys.
    #[error(transparent)]
    Net(#[from] NetError),
    /// No certificate can be made for a name of this server.
    #[error("cannot make a certificate for `{hosts}`")]
    SelfSigned {
        /// The names.
        hosts: String,
        /// What is wrong with one of them.
        source: rcgen::Error,
    },
}

impl Hint for StartError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { address, flag, source } => match source.kind() {
                io::ErrorKind::AddrInUse => Some(format!(
                    "stop what listens there (`ss -ltnp 'sport = :{}'` names it), or choose another port with `{flag}`",
                    address.port()
                )),
                io::ErrorKind::PermissionDenied => Some(format!("choose a port above 1023 with `{flag}`")),
                io::ErrorKind::AddrNotAvailable => Some(format!("choose an address of this machine with `{flag}`")),
                _ => None,
            },
            Self::State(error) => error.hint(),
            Self::Issuer(error) => error.hint(),
            Self::UnknownScope { supported, .. } => Some(format!("its scopes are: {supported}")),
            Self::Redis(error) => error.hint(),
            Self::Net(error) => error.hint(),
            Self::SelfSigned { .. } => Some(
                "see `server.resource` and `server.allowed_hosts`, or bring a certificate with `--tls-cert`".to_owned(),
            ),
        }
    }
}

impl Server {
    /// Opens the port and everything that the configuration names. Does not wait for an issuer elsewhere.
    pub async fn bind(config: &Config, features: impl Into<Features>, clock: SharedClock) -> Result<Self, StartError> {
        let mut features = features.into();
        let own_changes = features.changes.clone();
        if config.upstream.is_some() {
            // A guarded server tells of changes, or is asked for them.
            features.changes.get_or_insert_default();
        }
        let (listener, address) = listen(config.server.listen, "--listen").await?;
        let metrics_listener = match config.server.metrics_listen {
            Some(address) => Some(listen(address, "--metrics-listen").await?),
            None => None,
        };
        let metrics = if metrics_listener.is_some() { Metrics::on() } else { Metrics::default() };
        let names = Names::new(&config.server, address);
        let state = PrivateDir::open(&config.state_dir)?;
        let tls = config.server.tls.as_ref().map(|tls| Tls::open(tls, &names, &state, clock.since_epoch()));
        let tls = tls.transpose()?;
        let gateway = config.upstream.clone();
        let gateway = gateway.map(|upstream| Gateway::new(upstream, features.offer(), metrics.clone())).transpose()?;
        let feature_scopes = scopes_of(config, &features);
        let scopes = config.scopes_supported.clone().unwrap_or_else(|| feature_scopes.clone());
        let redis = config.redis.as_ref().map(|redis| Redis::open(&redis.url, names.resource().as_str()).map(Arc::new));
        let redis = redis.transpose()?;
        dpop::check_scopes(&config.dpop, &scopes)?;
        let proofs = Arc::new(Proofs::new(redis.clone(), Arc::clone(&clock)));
        let trust = Trust::open(config, &names, scopes, &state, Arc::clone(&clock), redis.as_ref(), metrics.clone())?;
        let show_locked = config.upstream.as_ref().is_none_or(|upstream| upstream.show_locked);
        let upstream = gateway.as_ref().map(Gateway::status);
        let (streams, in_flight) = (CancellationToken::new(), InFlight::default());
        let tasks = Tasks::new(Arc::clone(&clock), in_flight.clone(), streams.clone(), redis.clone());
        let key = config.client.registration_key.as_ref();
        let secret = SharedSecret::new(redis.clone(), key, names.resource().as_str(), Arc::clone(&clock));
        let secret = Arc::new(secret);
        let shared_changes = redis.clone().zip(own_changes).map(|(redis, changes)| {
            Arc::new(SharedChanges::new(redis, Arc::clone(&secret), changes, Arc::clone(&clock)))
        });
        let handler = Handler::new(
            features.clone(),
            upstream.clone(),
            show_locked,
            tasks.clone(),
            Arc::clone(&secret),
            Arc::clone(&clock),
            metrics.clone(),
        );
        let refusals = Refusals::new(Arc::clone(&clock));
        let lasting = Lasting {
            address,
            resource: names.resource().clone(),
            state,
            handler,
            clock,
            features,
            feature_scopes,
            show_locked,
            upstream,
            sessions: Arc::new(Sessions::new(config.limits.clone(), metrics.clone(), redis.clone())),
            tasks,
            shared_sessions: redis
                .clone()
                .map(|redis| Arc::new(SharedSessions::new(redis, config.limits.session_idle))),
            shared_changes,
            secret,
            redis,
            limiter: Arc::new(Limiter::new(config.redis.is_some())),
            refusals,
            unread: Unread::new(config.limits.unread_bytes),
            metrics,
            trust,
            proofs,
            streams,
            in_flight,
            draining: Arc::default(),
        };
        let running = Arc::new(Running::new(lasting, tls, config.clone()));
        Ok(Self {
            listener,
            metrics_listener,
            running,
            gateway,
            drain_timeout: config.server.drain_timeout,
            is_behind_proxy: !config.server.trusted_proxies.is_empty(),
        })
    }

    /// Where it listens: the real port, also if port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.running.lasting.address
    }

    /// Where metrics are read, if they are.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_listener.as_ref().map(|(_, address)| *address)
    }

    /// The file with the certificate that clients have to be told to trust, if the server made its own.
    pub fn own_certificate(&self) -> Option<&Path> {
        self.running.tls.as_ref()?.own_certificate()
    }

    /// The server's principal name.
    pub fn resource(&self) -> &Resource {
        &self.running.lasting.resource
    }

    /// Whose tokens it takes.
    pub fn issuer(&self) -> &Issuer {
        self.running.lasting.trust.issuer()
    }

    /// Its tools.
    pub fn tools(&self) -> &Tools {
        &self.running.lasting.features.tools
    }

    /// What the use of its features needs.
    pub fn feature_scopes(&self) -> &Scopes {
        &self.running.lasting.feature_scopes
    }

    /// What it shares with other replicas, if it does.
    pub(crate) fn redis(&self) -> Option<&Arc<Redis>> {
        self.running.lasting.redis.as_ref()
    }

    /// What changes its settings while it runs.
    pub fn reloader(&self) -> Reloader {
        Reloader::of(&self.running)
    }

    /// The server that it guards: a URL without its query, or a program.
    pub fn upstream(&self) -> Option<String> {
        self.gateway.as_ref().map(Gateway::target)
    }

    /// Serves until `stop` resolves, then drains: readiness turns 503, calls in flight finish, streams end.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let lasting = &self.running.lasting;
        let trust = tokio::spawn(lasting.trust.upkeep());
        let redis = replicas::follow(lasting);
        let leave_upstream = CancellationToken::new();
        let gateway = self.gateway.map(|gateway| tokio::spawn(gateway.run(leave_upstream.clone())));
        let stop_accepting = CancellationToken::new();
        let accepting = listener::accept(self.listener, Arc::clone(&self.running), stop_accepting.clone());
        let connections = tokio::spawn(accepting);
        let stop_metrics = CancellationToken::new();
        let metrics = self.metrics_listener.map(|(listener, address)| {
            tokio::spawn(metrics::serve(listener, address, lasting.metrics.clone(), stop_metrics.clone()))
        });
        stop.await;
        lasting.draining.store(true, Ordering::Relaxed);
        tracing::info!("stopping: calls under way finish");
        let drained = async {
            // Connections are still accepted meanwhile: a load balancer must be able to read that we are not ready.
            lasting.in_flight.none().await;
            stop_accepting.cancel();
            let Ok(connections) = connections.await else { return };
            if self.is_behind_proxy {
                listener::left_by_proxy(&connections, self.drain_timeout).await;
                lasting.in_flight.none().await;
            }
            // Only now: calls that are answered in events end with the streams.
            lasting.streams.cancel();
            connections.shutdown().await;
        };
        if tokio::time::timeout(self.drain_timeout, drained).await.is_err() {
            tracing::warn!("stopped with calls under way: the drain timeout is over");
        }
        stop_accepting.cancel();
        lasting.streams.cancel();
        // Tasks that were cut off tell other replicas so.
        let _ = tokio::time::timeout(LAST_WORDS, lasting.in_flight.none()).await;
        trust.abort();
        if let Some(redis) = redis {
            redis.abort();
        }
        leave_upstream.cancel();
        if let Some(gateway) = gateway {
            // It bounds its own end; a panic in it was logged where it happened.
            let _ = gateway.await;
        }
        // Last, so that the drain can be watched.
        stop_metrics.cancel();
        if let Some(metrics) = metrics {
            let _ = metrics.await;
        }
        lasting.refusals.tell_all();
        tracing::info!("stopped");
    }
}

async fn listen(address: SocketAddr, flag: &'static str) -> Result<(TcpListener, SocketAddr), StartError> {
    let error = |source| StartError::Listen { address, flag, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let real = listener.local_addr().map_err(error)?;
    keep_unsent_here(&listener);
    Ok((listener, real))
}

/// Has Linux take of an answer only what is soon on its way: the rest waits in this process, where it is counted. Every
/// connection has it from its listener.
fn keep_unsent_here(listener: &TcpListener) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(listener).set_tcp_notsent_lowat(128 * 1024) {
        tracing::debug!(%error, "cannot set TCP_NOTSENT_LOWAT");
    }
}

impl Lasting {
    /// What callers can be allowed.
    fn scopes<'a>(&'a self, config: &'a Config) -> &'a Scopes {
        let configured = || config.scopes_supported.as_ref().unwrap_or(&self.feature_scopes);
        self.trust.fixed_scopes().unwrap_or_else(configured)
    }

    /// Everything in front of the tools, as this configuration wants it.
    fn routes(&self, config: &Config) -> Layered {
        let names = Names::new(&config.server, self.address);
        let handler = self.handler.clone();
        // Host and Origin were checked before anything else was; the body has been read and capped.
        let mut settings = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_json_response(true)
            .with_max_request_body_bytes(config.server.max_body_bytes)
            .with_cancellation_token(self.streams.clone());
        if self.shared_sessions.is_some() {
            settings.session_store = Some(Arc::new(Notes));
            // Where a stream begins is said by `Sessions`, in words that other replicas understand.
            settings.sse_retry = None;
        }
        let mcp = StreamableHttpService::new(move || Ok(handler.for_another()), Arc::clone(&self.sessions), settings);
        let scopes = self.scopes(config).clone();
        let dpop = DpopPolicy::new(&config.dpop, &scopes);
        let page_client = self.trust.page_client(config);
        let app = Arc::new(App {
            documents: Documents::new(&names, self.trust.issuer(), &scopes, page_client, dpop.is_always_needed),
            openapi: openapi::document(&self.features.tools),
            authenticator: self.trust.authenticator(config, &names),
            proofs: Arc::clone(&self.proofs),
            dpop,
            rates: Rates::new(
                Arc::clone(&self.limiter),
                Arc::clone(&self.refusals),
                self.unread.clone(),
                Arc::clone(&self.clock),
                &config.limits,
                self.metrics.clone(),
            ),
            unread: self.unread.clone(),
            metrics: self.metrics.clone(),
            trusted_proxies: config.server.trusted_proxies.clone(),
            names,
            scopes,
            tools: Arc::clone(&self.features.tools),
            features: self.features.clone(),
            show_locked: self.show_locked,
            upstream: self.upstream.clone(),
            sessions: Arc::clone(&self.sessions),
            tasks: self.tasks.clone(),
            redis: self.redis.clone(),
            shared_sessions: self.shared_sessions.clone(),
            mcp,
            lane: Lane::new(self.handler.clone(), &self.features.tools, self.streams.clone()),
            clock: Arc::clone(&self.clock),
            max_body_bytes: config.server.max_body_bytes,
            hsts: config.server.hsts_max_age.map(hsts),
            in_flight: self.in_flight.clone(),
            draining: Arc::clone(&self.draining),
        });
        router::build(&app, self.trust.router())
    }
}

/// What callers may need for what there is, or may turn out to be at a guarded server.
fn scopes_of(config: &Config, features: &Features) -> Scopes {
    let of_upstream = config.upstream.as_ref().map_or_else(Scopes::none, gateway::scopes);
    features.scopes_supported().union(&of_upstream)
}

fn hsts(max_age: Duration) -> HeaderValue {
    HeaderValue::from_str(&format!("max-age={}", max_age.as_secs())).expect("digits are a header's value")
}
