//! Word of changes that reaches the clients of every replica.
//!
//! What this process says itself it also announces to the others, sealed by the secret that they share; what they announce
//! is said here, and goes no further. What a guarded server tells is not announced, since every replica hears it from
//! there. While Redis is away each replica tells its own clients only, and when it is back, that everything may have
//! changed.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::{self, error::RecvError};
use tracing::warn;

use super::shared_secret::SharedSecret;
use crate::{
    call::{Change, Changes, Receiver},
    clock::SharedClock,
    secret::Secret,
    store::Redis,
};

/// In front of what is sealed, in an announcement, and what it is sealed for.
const ANNOUNCED: &str = "change ";
/// How many announcements wait to be read; if there are more, everything may have changed.
const MAX_WAITING: usize = 256;
/// The longest URI that is announced, in bytes; of a longer one others hear that everything may have changed.
const MAX_URI_BYTES: usize = 8 * 1024;
/// How long to wait before what was not announced is made good.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
/// What is none of ours is said once in this time.
const BETWEEN_WARNINGS: Duration = Duration::from_mins(1);

/// What replicas tell each other of changes.
pub(super) struct SharedChanges {
    redis: Arc<Redis>,
    secret: Arc<SharedSecret>,
    changes: Changes,
    clock: SharedClock,
    /// Who announces: nobody else has this name.
    name: String,
    announced: broadcast::Sender<Arc<str>>,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Announcement {
    from: String,
    change: Change,
}

impl SharedChanges {
    pub(super) fn new(redis: Arc<Redis>, secret: Arc<SharedSecret>, changes: Changes, clock: SharedClock) -> Self {
        let name = Secret::random().expose().to_owned();
        Self { redis, secret, changes, clock, name, announced: broadcast::Sender::new(MAX_WAITING) }
    }

    /// Announcements may have been missed.
    pub(super) fn connected(&self) {
        self.changes.say(Change::Everything);
    }

    /// Somebody has announced this.
    pub(super) fn announced(&self, text: &str) {
        if let Some(sealed) = text.strip_prefix(ANNOUNCED) {
            // It fails when nobody reads any more.
            let _ = self.announced.send(sealed.into());
        }
    }

    /// Tells and hears from now on, until the future is dropped.
    pub(super) fn run(self: Arc<Self>) -> impl Future<Output = ()> + use<> {
        let (said, announced) = (self.changes.said_here(), self.announced.subscribe());
        async move {
            tokio::join!(self.tell(said), self.hear(announced));
        }
    }

    async fn tell(&self, mut said: Receiver) {
        let mut is_behind = false;
        loop {
            let change = tokio::select! {
                change = said.recv() => change,
                () = tokio::time::sleep(BETWEEN_TRIES), if is_behind => Ok(Change::Everything),
            };
            let change = match change {
                Ok(change) if !is_behind => change,
                Ok(_) | Err(RecvError::Lagged(_)) => Change::Everything,
                Err(RecvError::Closed) => return,
            };
            let text = self.sealed(change).await;
            // Redis says in the log why it does not answer.
            is_behind = self.redis.announce(&text).await.is_err();
        }
    }

    async fn hear(&self, mut announced: broadcast::Receiver<Arc<str>>) {
        let mut warned = None;
        loop {
            let sealed = match announced.recv().await {
                Ok(sealed) => sealed,
                Err(RecvError::Lagged(_)) => {
                    self.changes.say(Change::Everything);
                    continue;
                }
                Err(RecvError::Closed) => return,
            };
            match self.opened(&sealed).await {
                // It was said here when it was announced.
                Some(Announcement { from, .. }) if from == self.name => {}
                Some(Announcement { change, .. }) => self.changes.say(change),
                None => {
                    let now = self.clock.monotonic();
                    if warned.is_none_or(|warned| now >= warned + BETWEEN_WARNINGS) {
                        warn!("what was announced in Redis is not sealed by our replicas, and ignored");
                        warned = Some(now);
                    }
                }
            }
        }
    }

    async fn sealed(&self, change: Change) -> String {
        let change = match change {
            Change::Resource(uri) if uri.len() > MAX_URI_BYTES => Change::Everything,
            change => change,
        };
        let announcement = Announcement { from: self.name.clone(), change };
        let bytes = serde_json::to_vec(&announcement).expect("strings");
        let keys = self.secret.keys().await;
        format!("{ANNOUNCED}{}", keys.current.announcements.seal(ANNOUNCED, &bytes))
    }

    async fn opened(&self, sealed: &str) -> Option<Announcement> {
        let keys = self.secret.keys().await;
        let bytes = keys.all().find_map(|key| key.announcements.open(ANNOUNCED, sealed.as_bytes()))?;
        serde_json::from_slice(&bytes).ok()
    }
}
