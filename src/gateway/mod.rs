//! An MCP server that exists, guarded: over Streamable HTTP or as a child process, of either protocol generation.
//!
//! [`Gateway::run`] keeps one connection to it for as long as we serve, and keeps [`Tools`] informed of its tools. All callers
//! share that connection: the ids on it are rmcp's own, so that equal ids of two callers never meet. What the guarded server
//! gets of a call is the tool's name and its arguments: no header, no token, no id of the caller.

mod bounded;
mod calls;
mod child;
mod down;
mod fetch;
mod handler;
mod heard;
mod link;
mod listed;
mod questions;
mod skills;
mod status;
mod subscriptions;
mod tasks;
mod thing;

use std::{sync::Arc, time::Duration};

use rmcp::{
    RoleClient,
    model::{Prompt, Skill, Tool},
    service::Peer,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::status::Status;
use self::{
    down::Down,
    fetch::fetch,
    link::{Era, Link},
    listed::Listed,
    status::Connection,
    subscriptions::Subscriptions,
    thing::{Able, With},
};
use crate::{
    call::{Change, Changes},
    config::{Upstream, UpstreamTarget},
    net::{NetError, Options, Streamable},
    oauth::Scopes,
    prompts::Prompts,
    resources::{Described, Resources},
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

/// Where what the guarded server has is on offer to callers.
pub(crate) struct Offer {
    pub(crate) tools: Arc<Tools>,
    pub(crate) resources: Arc<Resources>,
    pub(crate) prompts: Arc<Prompts>,
    pub(crate) changes: Changes,
}

/// The guarded server.
pub(crate) struct Gateway {
    settings: Upstream,
    http: Streamable,
    offer: Offer,
    metrics: Metrics,
    status: Arc<Status>,
}

impl Gateway {
    /// The server of these settings, which is not connected to yet.
    pub(crate) fn new(settings: Upstream, offer: Offer, metrics: Metrics) -> Result<Self, NetError> {
        let options = Options::with_timeout(settings.timeout);
        let secure = matches!(&settings.target, UpstreamTarget::Http { url, .. } if url.scheme() == "https");
        let http = if secure { crate::net::client(&options)? } else { crate::net::plain_client(&options)? };
        Ok(Self { settings, http: Streamable::new(http).naming_origins(), offer, metrics, status: Arc::default() })
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
        let (mut pause, mut era, mut lists) = (FIRST_PAUSE, Era::Unknown, Lists::new(&self.metrics));
        while !stop.is_cancelled() {
            let began = Instant::now();
            let Some(down) = self.live(&stop, &mut era, &mut lists).await else { break };
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
    async fn live(&self, stop: &CancellationToken, era: &mut Era, lists: &mut Lists) -> Option<Down> {
        let opening = tokio::time::timeout(BEGINNING, Link::open(&self.settings, &self.http, era));
        let mut link = match stop.run_until_cancelled(opening).await? {
            Ok(Ok(link)) => link,
            Ok(Err(down)) => return Some(down),
            Err(_) => {
                era.doubt();
                return Some(Down::Silent);
            }
        };
        let down = stop.run_until_cancelled(self.serve(&mut link, lists)).await;
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
    async fn serve(&self, link: &mut Link, lists: &mut Lists) -> Down {
        let info = link.peer().peer_info();
        let own_name = info.as_ref().and_then(|info| Some(info.server_info.as_ref()?.name.as_str()));
        let name = said(&own_name.unwrap_or(status::NAMELESS).chars().take(MAX_NAME).collect::<String>());
        let able = Able::of(info.as_deref());
        let connection = Arc::new(Connection::new(link.peer().clone(), name, link.has_process()));
        if let Err(down) = self.refresh(&connection, able, lists).await {
            return down;
        }
        self.status.set_up(&connection);
        let protocol = info.as_ref().map(|info| info.protocol_version.to_string()).unwrap_or_default();
        let (tools, resources, prompts) = (lists.tools.len(), lists.resources.len(), lists.prompts.len());
        let (skills, upstream) = (lists.skills.len(), &**connection.name());
        tracing::info!(upstream, protocol, tools, resources, prompts, skills, "the guarded server takes calls");
        let changed = link.changed();
        let mut subscriptions =
            Subscriptions::new(link.peer().clone(), info, Arc::clone(&changed), self.offer.changes.watched());
        let mut refresh_at = Instant::now() + REFRESH;
        loop {
            let mut is_suspect = false;
            tokio::select! {
                down = link.broken() => return down,
                () = connection.suspected() => is_suspect = true,
                () = changed.more() => tokio::time::sleep(GATHER).await,
                () = subscriptions.keep() => continue,
                () = tokio::time::sleep_until(refresh_at) => subscriptions.renew(),
            }
            let told = changed.take();
            let is_of_lists = told.iter().any(|change| !matches!(change, Change::Resource(_)));
            if is_of_lists || told.is_empty() {
                let refreshed = self.refresh(&connection, able, lists).await;
                refresh_at = Instant::now() + REFRESH;
                match refreshed {
                    Ok(()) => {}
                    // It may be busy with a call; readiness says so, and calls are still passed on.
                    Err(Down::Silent) if !is_suspect => {
                        tracing::warn!(upstream, "the guarded server does not list what it has in time");
                    }
                    Err(down) => return down,
                }
            }
            // Also if nothing is different: then it knows of something that is not in the lists.
            for change in told {
                self.offer.changes.say(change);
            }
        }
    }

    /// Asks for what there is, and has it served.
    async fn refresh(&self, connection: &Connection, able: Able, lists: &mut Lists) -> Result<(), Down> {
        let found = tokio::time::timeout(PATIENCE, Found::ask(connection.peer(), able)).await;
        let found = found.unwrap_or(Err(Down::Silent));
        self.status.set_answers(found.is_ok());
        let found = found?;
        let is_first = !lists.are_known;
        let upstream = connection.name();
        let with = With { settings: &self.settings, able, upstream, status: &self.status };
        let changed = [
            (lists.tools.update(found.tools, &with, &self.offer), Change::Tools),
            (lists.resources.update(found.resources, &with, &self.offer), Change::Resources),
            (lists.prompts.update(found.prompts, &with, &self.offer), Change::Prompts),
            // Of skills nothing else is told (SEP-2640).
            (lists.skills.update(found.skills, &with, &self.offer), Change::Resources),
        ];
        for (_, change) in changed.into_iter().filter(|(is_other, _)| *is_other) {
            self.offer.changes.say(change);
        }
        if is_first {
            let keys = lists.tools.keys().chain(lists.resources.keys()).chain(lists.prompts.keys());
            let keys = keys.chain(lists.skills.keys());
            listed::check_settings(&with, keys);
            lists.are_known = true;
        }
        Ok(())
    }
}

/// What is served at the moment.
struct Lists {
    tools: Listed<Tool>,
    resources: Listed<Described>,
    prompts: Listed<Prompt>,
    skills: Listed<Skill>,
    /// Whether the guarded server has ever said what it has.
    are_known: bool,
}

impl Lists {
    fn new(metrics: &Metrics) -> Self {
        Self {
            tools: Listed::new(metrics.clone()),
            resources: Listed::new(metrics.clone()),
            prompts: Listed::new(metrics.clone()),
            skills: Listed::new(metrics.clone()),
            are_known: false,
        }
    }
}

/// What the guarded server has.
struct Found {
    tools: Vec<Tool>,
    resources: Vec<Described>,
    prompts: Vec<Prompt>,
    skills: Vec<Skill>,
}

impl Found {
    async fn ask(peer: &Peer<RoleClient>, able: Able) -> Result<Self, Down> {
        let tools = fetch(peer).await?;
        let skills = if able.skills { fetch(peer).await? } else { Vec::new() };
        let mut resources = Vec::new();
        if able.resources {
            resources.extend(fetch(peer).await?.into_iter().map(Described::Resource));
            resources.extend(fetch(peer).await?.into_iter().map(Described::Template));
            resources = skills::with_files(resources, &skills);
        }
        let prompts = if able.prompts { fetch(peer).await? } else { Vec::new() };
        Ok(Self { tools, resources, prompts, skills })
    }
}

/// Every scope that what a guarded server has may turn out to need.
pub(crate) fn scopes(settings: &Upstream) -> Scopes {
    settings.scopes.values().fold(listed::default_scopes(), |all, more| all.union(more))
}
