//! `subscriptions/listen` (2026-07-28): one stream of changes, of those that were asked for.

use rmcp::{
    ErrorData,
    model::SubscriptionFilter,
    service::{SubscriptionContext, SubscriptionSendError, SubscriptionSink},
};
use tokio::sync::broadcast::error::RecvError;

use crate::call::{Change, Changes, Receiver};

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
        let told = match change {
            Ok(change) => tell(sink, &change).await,
            Err(RecvError::Lagged(_)) => tell_all(sink).await,
            Err(RecvError::Closed) => return Ok(()),
        };
        match told {
            // It was not asked for.
            Ok(()) | Err(SubscriptionSendError::NotificationNotAccepted(_)) => {}
            Err(_) => return Ok(()),
        }
    }
}

async fn tell(sink: &SubscriptionSink, change: &Change) -> Result<(), SubscriptionSendError> {
    match change {
        Change::Tools => sink.notify_tool_list_changed().await,
        Change::Resources => sink.notify_resource_list_changed().await,
        Change::Prompts => sink.notify_prompt_list_changed().await,
        Change::Resource(uri) => sink.notify_resource_updated(&**uri).await,
    }
}

/// Nobody knows what was missed, so all of it may have changed.
async fn tell_all(sink: &SubscriptionSink) -> Result<(), SubscriptionSendError> {
    let SubscriptionFilter { resource_subscriptions, .. } = sink.accepted();
    let uris = resource_subscriptions.iter().flatten().map(|uri| Change::Resource(uri.as_str().into()));
    for change in [Change::Tools, Change::Resources, Change::Prompts].into_iter().chain(uris) {
        match tell(sink, &change).await {
            Ok(()) | Err(SubscriptionSendError::NotificationNotAccepted(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
