//! `subscriptions/listen` (2026-07-28): one stream of changes, of those that were asked for.

use rmcp::{
    ErrorData,
    model::SubscriptionFilter,
    service::{SubscriptionContext, SubscriptionSendError, SubscriptionSink},
};
use tokio::sync::broadcast::error::RecvError;

use super::Handler;
use crate::call::{Change, Changes, Receiver, Watch};

/// What a client hears of for as long as this lives.
pub(in crate::server) struct Hearing {
    /// Of what it asked for, what there is.
    pub(in crate::server) accepted: SubscriptionFilter,
    pub(in crate::server) changes: Receiver,
    _watches: Vec<Watch>,
}

impl Handler {
    /// What there is of what a client wants to hear of. What it may not read has been refused.
    pub(super) fn accepted(&self, requested: &SubscriptionFilter) -> SubscriptionFilter {
        let mut accepted = requested.clone();
        if let Some(uris) = &mut accepted.resource_subscriptions {
            uris.retain(|uri| self.shared.features.resources.find(uri).is_some());
        }
        accepted
    }

    /// Hears of it from now on; `None` if nothing ever changes.
    pub(in crate::server) fn hear(&self, requested: &SubscriptionFilter) -> Option<Hearing> {
        let features = &self.shared.features;
        let changes = features.changes.as_ref()?;
        let offered = requested.supported_by(&features.capabilities());
        let accepted = requested.intersection(&self.accepted(requested)).intersection(&offered);
        let watches = accepted.resource_subscriptions.iter().flatten().map(|uri| changes.watch(uri)).collect();
        Some(Hearing { changes: changes.listen(), accepted, _watches: watches })
    }
}

/// Passes changes on until the client goes away, or the server stops.
pub(super) async fn listen(
    context: SubscriptionContext,
    mut heard: Receiver,
    changes: &Changes,
) -> Result<(), ErrorData> {
    let sink = context.sink();
    let uris = sink.accepted().resource_subscriptions.iter().flatten();
    let _watches: Vec<_> = uris.map(|uri| changes.watch(uri)).collect();
    loop {
        let change = tokio::select! {
            () = context.cancelled() => return Ok(()),
            change = heard.recv() => change,
        };
        let to_tell = match change {
            Ok(Change::Everything) | Err(RecvError::Lagged(_)) => everything(sink.accepted()),
            Ok(change) => vec![change],
            Err(RecvError::Closed) => return Ok(()),
        };
        for change in to_tell {
            match tell(sink, &change).await {
                // It was not asked for.
                Ok(()) | Err(SubscriptionSendError::NotificationNotAccepted(_)) => {}
                Err(_) => return Ok(()),
            }
        }
    }
}

async fn tell(sink: &SubscriptionSink, change: &Change) -> Result<(), SubscriptionSendError> {
    match change {
        Change::Tools => sink.notify_tool_list_changed().await,
        Change::Resources => sink.notify_resource_list_changed().await,
        Change::Prompts => sink.notify_prompt_list_changed().await,
        Change::Resource(uri) => sink.notify_resource_updated(&**uri).await,
        // It is told one by one.
        Change::Everything => Ok(()),
    }
}

/// Nobody knows what was missed, so all of it may have changed.
pub(in crate::server) fn everything(accepted: &SubscriptionFilter) -> Vec<Change> {
    let uris = accepted.resource_subscriptions.iter().flatten();
    let uris = uris.map(|uri| Change::Resource(uri.as_str().into()));
    [Change::Tools, Change::Resources, Change::Prompts].into_iter().chain(uris).collect()
}
