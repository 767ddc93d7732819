//! Beginning a connection to the guarded server, and ending it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rmcp::{
    RoleClient,
    model::ProtocolVersion,
    service::{ClientLifecycleMode, ClientServiceExt as _, Peer, RunningService, RunningServiceCancellationToken},
    transport::{
        IntoTransport, StreamableHttpClientTransport, async_rw::AsyncRwTransport,
        common::client_side_sse::ExponentialBackoff, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    bounded::Bounded,
    child::Process,
    down::Down,
    handler::{Changed, Handler},
    heard::Heard,
};
use crate::{
    config::{Upstream, UpstreamTarget},
    net::Streamable,
    secret::Secret,
};

/// How often a broken event stream is taken up again before the call on it fails.
const MAX_RECONNECTS: usize = 3;
/// How many calls are under way at the guarded server at once; further ones wait.
const MAX_CALLS: usize = 512;
/// How long a server may think about `server/discover`: some of 2025 say nothing to what they do not know.
const PROBE: Duration = Duration::from_secs(5);
/// How long the end of a session may take.
const CLOSING: Duration = Duration::from_secs(2);

/// Which generation the server spoke when it last began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    Unknown,
    Legacy,
    Modern,
}

impl Era {
    /// The last beginning failed in a way that the other generation might explain.
    pub(super) fn doubt(&mut self) {
        *self = match self {
            Self::Unknown => Self::Legacy,
            Self::Legacy | Self::Modern => Self::Unknown,
        };
    }
}

/// An open connection.
pub(super) struct Link {
    peer: Peer<RoleClient>,
    cancel: RunningServiceCancellationToken,
    /// Fires when the connection is over.
    closed: CancellationToken,
    changed: Arc<Changed>,
    process: Option<Process>,
    /// Whether the process has written more than is read.
    has_burst: Arc<AtomicBool>,
}

impl Link {
    /// Connects, or starts the process, and begins in the newest way that the server understands.
    pub(super) async fn open(settings: &Upstream, http: &Streamable, era: &mut Era) -> Result<Self, Down> {
        let handler = Handler::default();
        let changed = handler.changed();
        let (running, process, has_burst) = match &settings.target {
            UpstreamTarget::Http { url, token } => {
                let running = over_http(&handler, http, url, token.as_ref(), *era).await?;
                (running, None, Arc::default())
            }
            UpstreamTarget::Command { argv, environment } => {
                let (running, process, has_burst) = over_stdio(handler, argv, environment, era).await?;
                (running, Some(process), has_burst)
            }
        };
        let info = running.peer().peer_info();
        let is_legacy = info.is_some_and(|info| info.protocol_version.has_initialize());
        *era = if is_legacy { Era::Legacy } else { Era::Modern };
        if is_legacy && settings.may_ask.anything() {
            tracing::warn!(
                "`upstream.allow_requests` allows nothing to a guarded server that does not speak 2026-07-28"
            );
        }
        let (peer, cancel, closed) = (running.peer().clone(), running.cancellation_token(), CancellationToken::new());
        let guard = closed.clone().drop_guard();
        tokio::spawn(async move {
            let _guard = guard;
            // However it ended: that is told to the calls on it.
            let _ = running.waiting().await;
        });
        Ok(Self { peer, cancel, closed, changed, process, has_burst })
    }

    pub(super) const fn peer(&self) -> &Peer<RoleClient> {
        &self.peer
    }

    /// Whether what answers is a process of ours.
    pub(super) const fn has_process(&self) -> bool {
        self.process.is_some()
    }

    /// Whether the connection is over because the process has written more than is read.
    pub(super) fn has_burst(&self) -> bool {
        self.has_burst.load(Ordering::Acquire)
    }

    /// What a server of 2025 has said to have changed.
    pub(super) fn changed(&self) -> Arc<Changed> {
        Arc::clone(&self.changed)
    }

    /// Waits until the connection is over, or the process.
    pub(super) async fn broken(&mut self) -> Down {
        match &mut self.process {
            None => {
                self.closed.cancelled().await;
                Down::Closed
            }
            Some(process) => tokio::select! {
                status = process.exited() => Down::Ended(status),
                () = self.closed.cancelled() => Down::Closed,
            },
        }
    }

    /// Ends session and process; says how a process ended that was not asked to.
    pub(super) async fn close(self) -> Option<String> {
        self.cancel.cancel();
        // A session is ended at the server too; the pipe of a process is closed, which asks it to end.
        let _ = tokio::time::timeout(CLOSING, self.closed.cancelled()).await;
        match self.process {
            Some(process) => process.end().await,
            None => None,
        }
    }
}

async fn over_http(
    handler: &Handler,
    http: &Streamable,
    url: &Url,
    token: Option<&Secret>,
    era: Era,
) -> Result<RunningService<RoleClient, Handler>, Down> {
    let ways = match era {
        Era::Legacy => [ClientLifecycleMode::Initialize, discover()],
        Era::Unknown | Era::Modern => [discover(), ClientLifecycleMode::Initialize],
    };
    let mut last = Down::Silent;
    for way in ways {
        let probes = matches!(way, ClientLifecycleMode::Discover { .. });
        let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str()).max_concurrent_requests(MAX_CALLS);
        let mut retries = ExponentialBackoff::default();
        retries.max_times = Some(MAX_RECONNECTS);
        config.retry_config = Arc::new(retries);
        config.auth_header = token.map(|token| token.expose().to_owned());
        let transport = StreamableHttpClientTransport::with_client(http.clone(), config);
        let beginning = begin(handler.clone(), Heard::over(transport, false), way);
        let begun = if probes {
            tokio::time::timeout(PROBE, beginning).await.unwrap_or(Err(Down::Silent))
        } else {
            beginning.await
        };
        match begun {
            Err(down) if down.may_be_other_era() => last = down,
            done => return done,
        }
    }
    Err(last)
}

async fn over_stdio(
    handler: Handler,
    argv: &[String],
    environment: &[(String, String)],
    era: &mut Era,
) -> Result<(RunningService<RoleClient, Handler>, Process, Arc<AtomicBool>), Down> {
    let (mut process, stdout, stdin) = Process::start(argv, environment)?;
    let (stdout, has_burst) = Bounded::new(stdout);
    let way = match era {
        Era::Legacy => ClientLifecycleMode::Initialize,
        Era::Modern => discover(),
        Era::Unknown => {
            ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::V_2026_07_28], legacy_version: None }
        }
    };
    let beginning = begin(handler, Heard::over(AsyncRwTransport::new_client(stdout, stdin), true), way);
    let begun = tokio::select! {
        begun = beginning => begun,
        status = process.exited() => Err(Down::Ended(status)),
    };
    match begun {
        Ok(running) => Ok((running, process, has_burst)),
        Err(down) => {
            era.doubt();
            match (down, process.end().await) {
                (Down::Closed, _) if has_burst.load(Ordering::Acquire) => Err(Down::TooLarge),
                (Down::Closed, Some(status)) => Err(Down::Ended(status)),
                (down, _) => Err(down),
            }
        }
    }
}

fn discover() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

async fn begin<T, E, A>(
    handler: Handler,
    transport: T,
    way: ClientLifecycleMode,
) -> Result<RunningService<RoleClient, Handler>, Down>
where
    T: IntoTransport<RoleClient, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    // Large, and copied from caller to caller otherwise.
    Box::pin(handler.serve_with_lifecycle(transport, way)).await.map_err(Down::of_initialize)
}
