//! What a session has asked to be told: its log level, and the changes that it hears of.
//!
//! It is kept where the session is. On another replica a session begins with the default level and without subscriptions.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use rmcp::{RoleServer, model::ResourceUpdatedNotificationParam, service::Peer};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::task::AbortOnDropHandle;

use crate::call::{Change, Level, Receiver};

/// How many resources one session may subscribe to.
const MAX_SUBSCRIBED: usize = 1_000;

/// What a session has asked to be told; a request of 2026-07-28 has one to itself.
#[derive(Default)]
pub(super) struct Connection(Mutex<Wishes>);

struct Wishes {
    level: Level,
    subscribed: BTreeSet<String>,
    /// Passes changes on for as long as the session lives.
    following: Option<AbortOnDropHandle<()>>,
    /// Of `subscriptions/listen`: what has changed since it was accepted.
    heard: Option<Receiver>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self { level: Level::Info, subscribed: BTreeSet::new(), following: None, heard: None }
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
    /// There are a thousand already.
    pub(super) fn subscribe(&self, uri: String) -> Result<(), TooMany> {
        let mut wishes = self.wishes();
        if wishes.subscribed.len() >= MAX_SUBSCRIBED && !wishes.subscribed.contains(&uri) {
            return Err(TooMany);
        }
        wishes.subscribed.insert(uri);
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
        let subscribed = |uri: &str| connection.wishes().subscribed.contains(uri);
        let told = match change {
            Ok(Change::Tools) => peer.notify_tool_list_changed().await,
            Ok(Change::Resources) => peer.notify_resource_list_changed().await,
            Ok(Change::Prompts) => peer.notify_prompt_list_changed().await,
            Ok(Change::Resource(uri)) if subscribed(&uri) => {
                peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(&*uri)).await
            }
            Ok(Change::Resource(_)) => Ok(()),
            Err(RecvError::Lagged(_)) => tell_all(&connection, &peer).await,
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
    let subscribed = connection.wishes().subscribed.clone();
    for uri in subscribed {
        peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await?;
    }
    Ok(())
}
