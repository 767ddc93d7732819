//! What a session has asked to be told: its log level, and the changes that it hears of.
//!
//! It is kept where the session is. On another replica a session begins with the default level and without subscriptions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use rmcp::{RoleServer, model::ResourceUpdatedNotificationParam, service::Peer};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::task::AbortOnDropHandle;

use crate::call::{Change, Changes, Level, Receiver, Watch};

/// How many resources one session may subscribe to.
const MAX_SUBSCRIBED: usize = 1_000;
/// How long their URIs may be together, in bytes.
const MAX_SUBSCRIBED_BYTES: usize = 256 * 1024;

/// What a session has asked to be told; a request of 2026-07-28 has one to itself.
#[derive(Default)]
pub(super) struct Connection(Mutex<Wishes>);

struct Wishes {
    level: Level,
    subscribed: BTreeMap<String, Watch>,
    /// Passes changes on for as long as the session lives.
    following: Option<AbortOnDropHandle<()>>,
    /// Of `subscriptions/listen`: what has changed since it was accepted.
    heard: Option<Receiver>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { level: Level::Info, subscribed: BTreeMap::new(), following: None, heard: None }
    }
}

/// A session has as many subscriptions as it may.
#[derive(Debug)]
pub(super) struct TooMany;

impl Connection {
    pub(super) fn level(&self) -> Level {
        self.wishes().level
    }

    pub(super) fn set_level(&self, level: Level) {
        self.wishes().level = level;
    }

    /// # Errors
    /// There are a thousand already, or 256 KiB of them with this one.
    pub(super) fn subscribe(&self, uri: String, changes: &Changes) -> Result<(), TooMany> {
        let mut wishes = self.wishes();
        let bytes = || wishes.subscribed.keys().map(String::len).sum::<usize>() + uri.len();
        let is_full = || wishes.subscribed.len() >= MAX_SUBSCRIBED || bytes() > MAX_SUBSCRIBED_BYTES;
        if wishes.subscribed.contains_key(&uri) {
            return Ok(());
        }
        if is_full() {
            return Err(TooMany);
        }
        let watch = changes.watch(&uri);
        wishes.subscribed.insert(uri, watch);
        drop(wishes);
        Ok(())
    }

    pub(super) fn unsubscribe(&self, uri: &str) {
        self.wishes().subscribed.remove(uri);
    }

    /// Tells the client of changes from now on.
    pub(super) fn follow(self: &Arc<Self>, changes: Receiver, peer: Peer<RoleServer>) {
        let following = tokio::spawn(follow(Arc::downgrade(self), changes, peer));
        self.wishes().following = Some(AbortOnDropHandle::new(following));
    }

    /// Keeps what changes from now on, for [`heard`](Self::heard).
    pub(super) fn hear(&self, changes: Receiver) {
        self.wishes().heard = Some(changes);
    }

    pub(super) fn heard(&self) -> Option<Receiver> {
        self.wishes().heard.take()
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn follow(connection: Weak<Connection>, mut changes: Receiver, peer: Peer<RoleServer>) {
    loop {
        let change = changes.recv().await;
        let Some(connection) = connection.upgrade() else { return };
        let subscribed = |uri: &str| connection.wishes().subscribed.contains_key(uri);
        let told = match change {
            Ok(Change::Tools) => peer.notify_tool_list_changed().await,
            Ok(Change::Resources) => peer.notify_resource_list_changed().await,
            Ok(Change::Prompts) => peer.notify_prompt_list_changed().await,
            Ok(Change::Resource(uri)) if subscribed(&uri) => {
                peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(&*uri)).await
            }
            Ok(Change::Resource(_)) => Ok(()),
            Ok(Change::Everything) | Err(RecvError::Lagged(_)) => tell_all(&connection, &peer).await,
            Err(RecvError::Closed) => return,
        };
        // The session is over.
        if told.is_err() {
            return;
        }
    }
}

/// Nobody knows what was missed, so all of it may have changed.
async fn tell_all(connection: &Connection, peer: &Peer<RoleServer>) -> Result<(), rmcp::ServiceError> {
    peer.notify_tool_list_changed().await?;
    peer.notify_resource_list_changed().await?;
    peer.notify_prompt_list_changed().await?;
    let subscribed: Vec<_> = connection.wishes().subscribed.keys().cloned().collect();
    for uri in subscribed {
        peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_so_many_subscriptions_and_no_more() {
        let (connection, changes) = (Connection::default(), Changes::default());
        for number in 0..MAX_SUBSCRIBED {
            connection.subscribe(number.to_string(), &changes).unwrap();
        }
        assert!(connection.subscribe("one more".to_owned(), &changes).is_err());
        connection.subscribe("7".to_owned(), &changes).expect("it is there already");
        connection.unsubscribe("7");
        connection.subscribe("one more".to_owned(), &changes).unwrap();
    }

    #[test]
    fn a_session_has_so_many_bytes_of_subscriptions_and_no_more() {
        let (connection, changes) = (Connection::default(), Changes::default());
        let uri = |number: usize| format!("{number:08192}");
        for number in 0..32 {
            connection.subscribe(uri(number), &changes).unwrap();
        }
        assert!(connection.subscribe("x".to_owned(), &changes).is_err());
        connection.subscribe(uri(7), &changes).expect("it is there already");
        connection.unsubscribe(&uri(7));
        connection.subscribe("x".to_owned(), &changes).unwrap();
    }
}
