//! Tasks that another replica can tell of, and pass on what their owners say.
//!
//! The replica that runs a task keeps in Redis what has become of it. Another one reads that there, and what an owner
//! answers or gives up it leaves at the task's own place, where the first one takes it: it is told to look, and looks by
//! itself once a second. Both are sealed by the task's id, which Redis does not have.

use std::{sync::Arc, time::Duration};

use rmcp::model::InputResponses;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{One, Record};
use crate::{
    secret::{Secret, sha256_base64url},
    store::{Redis, RedisError, Sealer},
};

/// How often a task that goes on looks for what its owner has said elsewhere, and tries again what Redis did not take.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// How long what an owner has said waits to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often whoever left it looks whether it is taken.
const BETWEEN_CHECKS: Duration = Duration::from_millis(20);

/// In front of the hash of a task's id, in an announcement.
pub(super) const ANNOUNCED: &str = "task ";

/// What an owner says to its task.
#[derive(Serialize, Deserialize)]
pub(super) enum Word {
    Answers(InputResponses),
    Cancel,
}

/// Why it was not heard.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum Unheard {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("the replica that runs this task does not answer; try again")]
    Silent,
}

/// Tasks in Redis.
pub(super) struct Shared(Arc<Redis>);

/// Where one task is in Redis.
struct Place {
    record: String,
    word: String,
    /// What is announced when a word is there.
    announced: String,
    sealer: Sealer,
}

impl Place {
    fn of(id: &str) -> Self {
        // Whoever reads Redis does not learn the id.
        let hash = sha256_base64url(id.as_bytes());
        let sealer = Sealer::new(&Secret::new(id), "a task");
        Self {
            record: format!("task:{hash}"),
            word: format!("task-word:{hash}"),
            sealer,
            announced: format!("{ANNOUNCED}{hash}"),
        }
    }

    fn seal(&self, place: &str, value: &impl Serialize) -> Vec<u8> {
        let bytes = serde_json::to_vec(value).expect("strings and JSON");
        self.sealer.seal(place, &bytes).into_bytes()
    }

    fn open<T: DeserializeOwned>(&self, place: &str, sealed: &[u8]) -> Option<T> {
        let opened = self.sealer.open(place, sealed).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if opened.is_none() {
            warn!("a task in Redis is damaged, and left out");
        }
        opened
    }
}

impl Shared {
    pub(super) fn new(redis: Arc<Redis>) -> Self {
        Self(redis)
    }

    /// The task of this id, whoever asks.
    ///
    /// # Errors
    /// Nobody can tell now.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Record>, RedisError> {
        let place = Place::of(id);
        let sealed = self.0.get(&place.record).await?;
        Ok(sealed.and_then(|sealed| place.open(&place.record, &sealed)))
    }

    /// Keeps what has become of a task until now.
    ///
    /// # Errors
    /// What is kept is old.
    pub(super) async fn keep(&self, one: &One, now: Duration) -> Result<(), RedisError> {
        let place = Place::of(one.id());
        let _writing = one.writing.lock().await;
        let record = one.record();
        let Some(left) = record.left(now) else { return Ok(()) };
        self.0.put(&place.record, &place.seal(&place.record, &record), left).await
    }

    /// Has the replica that runs a task hear this. When it is done, what is kept of the task is as that made it.
    ///
    /// # Errors
    /// It may not have been heard.
    pub(super) async fn say(&self, id: &str, word: &Word) -> Result<(), Unheard> {
        let place = Place::of(id);
        let sealed = place.seal(&place.word, word);
        let until = Instant::now() + PATIENCE;
        // One word at a time.
        while !self.0.put_new(&place.word, &sealed, PATIENCE * 2).await? {
            wait(until).await?;
        }
        self.0.announce(&place.announced).await?;
        while self.0.has(&place.word).await? {
            if let Err(silent) = wait(until).await {
                // What nobody has taken by now is not to be heard later.
                return if self.0.remove(&place.word).await? { Err(silent) } else { Ok(()) };
            }
        }
        Ok(())
    }

    /// Takes what is said to a task, and keeps what becomes of it, until it has ended and that is kept.
    pub(super) async fn follow(&self, one: &One, now: impl Fn() -> Duration, hear: impl Fn(Word)) {
        let place = Place::of(one.id());
        loop {
            let has_ended = one.has_ended();
            match self.turn(&place, one, &now, &hear).await {
                Ok(()) if has_ended => return,
                Ok(()) => {}
                Err(error) => debug!(%error, "what is kept of a task is old"),
            }
            if one.has_expired(now()) {
                return;
            }
            let _ = tokio::time::timeout(BETWEEN_LOOKS, one.stirred.notified()).await;
        }
    }

    async fn turn(
        &self,
        place: &Place,
        one: &One,
        now: impl Fn() -> Duration,
        hear: impl Fn(Word),
    ) -> Result<(), RedisError> {
        let word = self.0.get(&place.word).await?;
        if let Some(word) = word.as_ref().and_then(|sealed| place.open(&place.word, sealed)) {
            hear(word);
        }
        self.keep(one, now()).await?;
        if word.is_some() {
            self.0.remove(&place.word).await?;
        }
        Ok(())
    }
}

async fn wait(until: Instant) -> Result<(), Unheard> {
    if Instant::now() >= until {
        return Err(Unheard::Silent);
    }
    tokio::time::sleep(BETWEEN_CHECKS).await;
    Ok(())
}
