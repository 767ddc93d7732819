//! Sessions that another replica can go on with.
//!
//! What makes a session is kept in Redis: whose it is, and how it began. Our layer asks there before rmcp sees a
//! request and says what it found, so rmcp's own store never has to ask, and a store that fails is always our 503: a
//! client that reads 404 would throw its session away.

use std::{cell::RefCell, sync::Arc, time::Duration};

use async_trait::async_trait;
use rmcp::{
    model::InitializeRequestParams,
    transport::streamable_http_server::session::store::{SessionState, SessionStore, SessionStoreError},
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::warn;

use super::{
    events,
    sessions::{Owner, Sessions},
};
use crate::{
    secret::sha256_base64url,
    store::{Redis, RedisError},
};

/// How long to wait after a Redis that refuses to say what it has.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);

/// Sessions in Redis.
#[derive(Debug)]
pub(super) struct SharedSessions {
    redis: Arc<Redis>,
    idle: Duration,
}

/// What is kept of a session.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) owner: Owner,
    pub(super) initialize: InitializeRequestParams,
}

impl SharedSessions {
    pub(super) fn new(redis: Arc<Redis>, idle: Duration) -> Self {
        Self { redis, idle }
    }

    /// The session of this id, which lives on from now; `None` if there is none.
    ///
    /// # Errors
    /// Nobody can tell now.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Kept>, RedisError> {
        let found = self.redis.get_and_keep(&key(id), self.idle).await?;
        let kept = found.map(|bytes| serde_json::from_slice(&bytes));
        Ok(kept.transpose().unwrap_or_else(|error| {
            warn!(%error, "a session in Redis is damaged, and refused");
            None
        }))
    }

    /// Keeps a session that has begun.
    ///
    /// # Errors
    /// It is not kept.
    pub(super) async fn keep(&self, id: &str, kept: &Kept) -> Result<(), RedisError> {
        let bytes = serde_json::to_vec(kept).expect("strings and JSON");
        self.redis.put(&key(id), &bytes, self.idle).await
    }

    /// Ends a session for every replica.
    ///
    /// # Errors
    /// It may live on.
    pub(super) async fn end(&self, id: &str) -> Result<(), RedisError> {
        // The id is dead by then: whoever reads it has nothing.
        self.redis.remove_and_announce(&[&key(id), &events::key(id)], id).await
    }

    /// Whether there is still such a session, for somebody.
    ///
    /// # Errors
    /// Nobody can tell now.
    pub(super) async fn has(&self, id: &str) -> Result<bool, RedisError> {
        self.redis.has(&key(id)).await
    }

    /// Ends those sessions here that ended elsewhere while we could not hear of it, each time that `connected` says so,
    /// until the future is dropped.
    pub(super) async fn follow(&self, sessions: &Arc<Sessions>, connected: &Notify) {
        loop {
            connected.notified().await;
            // If the connection is lost meanwhile, the next one begins this anew.
            while let Err(RedisError::Refused { .. }) = self.sweep(sessions).await {
                tokio::time::sleep(BETWEEN_SWEEPS).await;
            }
        }
    }

    async fn sweep(&self, sessions: &Arc<Sessions>) -> Result<(), RedisError> {
        for id in sessions.ids() {
            if !self.has(&id).await? {
                close(sessions, &id);
            }
        }
        Ok(())
    }
}

/// Ends a session here that has ended elsewhere, without waiting for its worker.
pub(super) fn close(sessions: &Arc<Sessions>, id: &str) {
    // Everybody hears of every session that ends.
    if sessions.has_place(id) {
        let (sessions, id) = (Arc::clone(sessions), id.to_owned());
        tokio::spawn(async move { sessions.close(&id).await });
    }
}

/// Whoever reads Redis does not learn the id.
fn key(id: &str) -> String {
    format!("session:{}", sha256_base64url(id.as_bytes()))
}

/// What our layer and rmcp tell each other about the session of one request.
#[derive(Default)]
pub(super) struct Told {
    /// How a session began that rmcp does not know.
    restore: Option<InitializeRequestParams>,
    /// How the one began that it has just made.
    begun: RefCell<Option<InitializeRequestParams>>,
}

impl Told {
    /// For a session that rmcp shall go on with.
    pub(super) fn restoring(initialize: InitializeRequestParams) -> Self {
        Self { restore: Some(initialize), begun: RefCell::default() }
    }
}

tokio::task_local! {
    /// rmcp asks its store within the request's own task.
    static TOLD: Told;
}

/// Runs an exchange with rmcp; also says how the session began that it made, if it made one.
pub(super) async fn told<T>(tell: Told, exchange: impl Future<Output = T>) -> (T, Option<InitializeRequestParams>) {
    TOLD.scope(tell, async {
        let answer = exchange.await;
        (answer, TOLD.with(|told| told.begun.take()))
    })
    .await
}

/// What rmcp believes to be a store.
pub(super) struct Notes;

#[async_trait]
impl SessionStore for Notes {
    async fn load(&self, _id: &str) -> Result<Option<SessionState>, SessionStoreError> {
        Ok(TOLD.try_with(|told| told.restore.clone().map(SessionState::new)).ok().flatten())
    }

    async fn store(&self, _id: &str, state: &SessionState) -> Result<(), SessionStoreError> {
        let _ = TOLD.try_with(|told| told.begun.replace(Some(state.initialize_params.clone())));
        Ok(())
    }

    async fn delete(&self, _id: &str) -> Result<(), SessionStoreError> {
        Ok(())
    }
}
