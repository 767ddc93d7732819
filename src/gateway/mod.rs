//! An MCP server that exists, guarded: over Streamable HTTP or as a child process, of either protocol generation.
//!
//! [`Gateway::run`] keeps one connection to it for as long as we serve, and keeps [`Tools`] informed of its tools. All callers
//! share that connection: the ids on it are rmcp's own, so that equal ids of two callers never meet. What the guarded server
//! gets of a call is the tool's name and its arguments: no header, no token, no id of the caller.

mod bounded;
mod child;
mod down;
mod handler;
mod link;
mod listed;
mod questions;
mod status;

use std::{sync::Arc, time::Duration};

use rmcp::{
    RoleClient,
    model::{ServerPeerInfo, SubscriptionFilter},
    service::{Peer, Subscription},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::status::Status;
use self::{
    down::Down,
    link::{Era, Link},
    listed::Listed,
    status::Connection,
};
use crate::{
    config::{Upstream, UpstreamTarget},
    net::{NetError, Options, Streamable},
    oauth::Scopes,
    said::said,
    telemetry::metrics::Metrics,
    tools::Tools,
};

/// The first pause before a lost connection is made again; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A connection that held for this long begins with the first pause again.
const STEADY: Duration = Duration::from_mins(1);
/// How often the list of tools is asked for without word that it has changed; this is also how a server over HTTP is
/// found to be gone when nobody calls.
const REFRESH: Duration = Duration::from_secs(30);
/// How long a server may take to begin: a program may have to be fetched first.
const BEGINNING: Duration = Duration::from_mins(2);
/// How long it may take to list its tools.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to gather notices that the list has changed before it is asked for.
const GATHER: Duration = Duration::from_millis(50);
/// The longest name of a guarded server, in characters.
const MAX_NAME: usize = 80;

/// The guarded server.
pub(crate) struct Gateway {
    settings: Upstream,
    http: Streamable,
    tools: Arc<Tools>,
    metrics: Metrics,
    status: Arc<Status>,
}

impl Gateway {
    /// The server of these settings, which is not connected to yet.
    pub(crate) fn new(settings: Upstream, tools: Arc<Tools>, metrics: Metrics) -> Result<Self, NetError> {
        let options = Options::with_timeout(settings.timeout);
        let secure = matches!(&settings.target, UpstreamTarget::Http { url, .. } if url.scheme() == "https");
        let http = if secure { crate::net::client(&options)? } else { crate::net::plain_client(&options)? };
        Ok(Self { settings, http: Streamable::new(http), tools, metrics, status: Arc::default() })
    }

    /// Whether it takes calls: read it as often as wanted.
    pub(crate) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// How it is reached, for its operator: a URL without its query, or a program without its arguments.
    pub(crate) fn target(&self) -> String {
        match &self.settings.target {
            UpstreamTarget::Http { url, .. } => {
                let mut url = url.clone();
                url.set_query(None);
                url.to_string()
            }
            UpstreamTarget::Command { argv, .. } => argv.first().map(|program| said(program)).unwrap_or_default(),
        }
    }

    /// Keeps the connection until told to stop; a child process has ended when this has.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let (mut pause, mut era, mut listed) = (FIRST_PAUSE, Era::Unknown, Listed::new(self.metrics.clone()));
        while !stop.is_cancelled() {
            let began = Instant::now();
            let Some(down) = self.live(&stop, &mut era, &mut listed).await else { break };
            if began.elapsed() >= STEADY {
                pause = FIRST_PAUSE;
            }
            let again_in_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            let (upstream, target, detail) = (self.status.name(), self.target(), down.detail());
            tracing::warn!(%upstream, target, reason = %down, detail, again_in_ms, "the guarded server takes no calls");
            self.status.set_down(down);
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                break;
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
        self.status.set_down(Down::Stopped);
    }

    /// One connection, from its beginning to its end; `None` if it ended because we stop.
    async fn live(&self, stop: &CancellationToken, era: &mut Era, listed: &mut Listed) -> Option<Down> {
        let opening = tokio::time::timeout(BEGINNING, Link::open(&self.settings, &self.http, era));
        let mut link = match stop.run_until_cancelled(opening).await? {
            Ok(Ok(link)) => link,
            Ok(Err(down)) => return Some(down),
            Err(_) => {
                era.doubt();
                return Some(Down::Silent);
            }
        };
        let down = stop.run_until_cancelled(self.serve(&mut link, listed)).await;
        let has_burst = link.has_burst();
        let exit = link.close().await;
        match (down?, exit) {
            (Down::Closed, _) if has_burst => Some(Down::TooLarge),
            // Rather than that its pipe was closed.
            (Down::Closed, Some(status)) => Some(Down::Ended(status)),
            (down, _) => Some(down),
        }
    }

    /// Passes calls on over a link until it breaks.
    async fn serve(&self, link: &mut Link, listed: &mut Listed) -> Down {
        let info = link.peer().peer_info();
        let own_name = info.as_ref().and_then(|info| Some(info.server_info.as_ref()?.name.as_str()));
        let name = said(&own_name.unwrap_or(status::NAMELESS).chars().take(MAX_NAME).collect::<String>());
        let connection = Arc::new(Connection::new(link.peer().clone(), name, link.has_process()));
        if let Err(down) = self.refresh(&connection, listed).await {
            return down;
        }
        self.status.set_up(&connection);
        let protocol = info.as_ref().map(|info| info.protocol_version.to_string()).unwrap_or_default();
        tracing::info!(upstream = %connection.name(), protocol, tools = listed.len(), "the guarded server takes calls");
        let mut subscription = subscribe(link.peer(), info.as_deref()).await;
        let changed = link.changed();
        loop {
            let mut is_suspect = false;
            tokio::select! {
                down = link.broken() => return down,
                () = connection.suspected() => is_suspect = true,
                () = changed.notified() => tokio::time::sleep(GATHER).await,
                () = told(&mut subscription) => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(REFRESH) => {}
            }
            match self.refresh(&connection, listed).await {
                Ok(()) => {}
                // It may be busy with a call; readiness says so, and calls are still passed on.
                Err(Down::Silent) if !is_suspect => {
                    tracing::warn!(upstream = %connection.name(), "the guarded server does not list its tools in time");
                }
                Err(down) => return down,
            }
        }
    }

    /// Asks for the tools and has them served.
    async fn refresh(&self, connection: &Connection, listed: &mut Listed) -> Result<(), Down> {
        let found = tokio::time::timeout(PATIENCE, listed::fetch(connection.peer())).await;
        let found = found.unwrap_or(Err(Down::Silent));
        self.status.set_answers(found.is_ok());
        listed.update(found?, connection.name(), &self.settings, &self.tools, &self.status);
        Ok(())
    }
}

/// Every scope that a guarded server's tools may turn out to need.
pub(crate) fn scopes(settings: &Upstream) -> Scopes {
    settings.scopes.values().fold(listed::default_scopes(), |all, more| all.union(more))
}

/// Asks a server of 2026-07-28 to tell of changes; one of 2025 does so unasked.
async fn subscribe(peer: &Peer<RoleClient>, info: Option<&ServerPeerInfo>) -> Option<Subscription> {
    let info = info.filter(|info| !info.protocol_version.has_initialize())?;
    info.capabilities.tools.as_ref().filter(|tools| tools.list_changed == Some(true))?;
    let asked = peer.listen(SubscriptionFilter::builder().tools_list_changed().build());
    // Without it, the list is asked for from time to time all the same.
    tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()
}

/// Waits for the next word of a subscription; for ever without one, or when it has ended.
async fn told(subscription: &mut Option<Subscription>) {
    if let Some(open) = subscription {
        if let Ok(Some(_)) = open.next().await {
            return;
        }
        *subscription = None;
    }
    std::future::pending::<()>().await;
}
