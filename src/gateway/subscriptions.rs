//! What the guarded server tells without being asked again: that its lists have changed, and resources that callers watch.
#![expect(deprecated, reason = "2026-07-28 has other words for it; servers of 2025 are asked in theirs")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rmcp::{
    RoleClient,
    model::{ServerNotification, ServerPeerInfo, SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams},
    service::{Peer, Subscription},
};
use tokio::sync::watch;

use super::{GATHER, PATIENCE, handler::Changed};
use crate::call::Change;

/// How many resources are watched at the guarded server for all callers together.
const MAX_WATCHED: usize = 1_000;

type Watched = BTreeMap<Arc<str>, usize>;

/// What we are told of over a connection.
pub(super) struct Subscriptions {
    peer: Peer<RoleClient>,
    info: Option<Arc<ServerPeerInfo>>,
    changed: Arc<Changed>,
    /// What callers want to hear of.
    watched: watch::Receiver<Watched>,
    /// What the guarded server has been asked to tell.
    uris: BTreeSet<Arc<str>>,
    /// Of a server of 2026-07-28.
    open: Option<Subscription>,
    /// Whether the guarded server is to be asked now, or when something makes it necessary.
    is_due: bool,
}

impl Subscriptions {
    pub(super) fn new(
        peer: Peer<RoleClient>,
        info: Option<Arc<ServerPeerInfo>>,
        changed: Arc<Changed>,
        mut watched: watch::Receiver<Watched>,
    ) -> Self {
        watched.mark_unchanged();
        Self { peer, info, changed, watched, uris: BTreeSet::new(), open: None, is_due: true }
    }

    /// Takes one step: asks to be told, or notes what is told. Waits until there is one to take; nothing is lost when this is
    /// dropped while it waits.
    pub(super) async fn keep(&mut self) {
        if self.is_due {
            self.ask().await;
            self.is_due = false;
        }
        tokio::select! {
            changed = self.watched.changed() => match changed {
                Ok(()) => {
                    self.is_due = true;
                    // Whoever comes and goes at once is not worth asking for.
                    tokio::time::sleep(GATHER).await;
                }
                Err(_) => std::future::pending().await,
            },
            told = next(&mut self.open) => match told {
                Some(change) => self.changed.note(change),
                None => self.open = None,
            },
        }
    }

    /// Asks again if the guarded server has ended what it told.
    pub(super) fn renew(&mut self) {
        self.is_due |= self.open.is_none();
    }

    /// Asks for what callers want to hear of now.
    async fn ask(&mut self) {
        let Some(info) = &self.info else { return };
        let capabilities = &info.capabilities;
        let can_watch = capabilities.resources.as_ref().is_some_and(|resources| resources.subscribe == Some(true));
        let wanted: BTreeSet<_> = if can_watch {
            self.watched.borrow_and_update().keys().take(MAX_WATCHED).cloned().collect()
        } else {
            self.watched.mark_unchanged();
            BTreeSet::new()
        };
        if info.protocol_version.has_initialize() {
            self.ask_by_requests(wanted).await;
            return;
        }
        let mut filter = SubscriptionFilter::new();
        let tools = capabilities.tools.as_ref().and_then(|tools| tools.list_changed);
        let resources = capabilities.resources.as_ref().and_then(|resources| resources.list_changed);
        let prompts = capabilities.prompts.as_ref().and_then(|prompts| prompts.list_changed);
        filter.tools_list_changed = tools.filter(|told| *told);
        filter.resources_list_changed = resources.filter(|told| *told);
        filter.prompts_list_changed = prompts.filter(|told| *told);
        if !wanted.is_empty() {
            filter.resource_subscriptions = Some(wanted.iter().map(ToString::to_string).collect());
        }
        if filter == SubscriptionFilter::new() {
            self.open = None;
        } else if let Ok(Ok(open)) = tokio::time::timeout(PATIENCE, self.peer.listen(filter)).await {
            // The one before ends only now, so that nothing is missed in between.
            self.open = Some(open);
        }
        self.uris = wanted;
    }

    async fn ask_by_requests(&mut self, wanted: BTreeSet<Arc<str>>) {
        for uri in self.uris.difference(&wanted) {
            let request = UnsubscribeRequestParams::new(uri.to_string());
            // It then tells more than anybody wants to hear.
            let _ = tokio::time::timeout(PATIENCE, self.peer.unsubscribe(request)).await;
        }
        for uri in wanted.difference(&self.uris) {
            let request = SubscribeRequestParams::new(uri.to_string());
            if !matches!(tokio::time::timeout(PATIENCE, self.peer.subscribe(request)).await, Ok(Ok(()))) {
                tracing::debug!(uri = crate::said::said(uri), "the guarded server does not tell of a resource");
            }
        }
        self.uris = wanted;
    }
}

/// The next change; `None` when there will be no more. Waits for ever without a subscription.
async fn next(open: &mut Option<Subscription>) -> Option<Change> {
    let Some(open) = open else { return std::future::pending().await };
    loop {
        match open.next().await.ok()?? {
            ServerNotification::ToolListChangedNotification(_) => return Some(Change::Tools),
            ServerNotification::ResourceListChangedNotification(_) => return Some(Change::Resources),
            ServerNotification::PromptListChangedNotification(_) => return Some(Change::Prompts),
            ServerNotification::ResourceUpdatedNotification(updated) => {
                return Some(Change::Resource(updated.params.uri.into()));
            }
            _ => {}
        }
    }
}
