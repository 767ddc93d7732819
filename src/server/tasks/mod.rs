//! Tasks: calls that go on when their requests have been answered, each with one owner.
//!
//! A task belongs to whoever called (issuer, subject, client), as a session does; to anybody else there is none of its id.
//! Whoever asks about a task needs what its tool needs, so that a token that allows less does not read what it could not
//! have called. A task is kept for as long as its tool may take and [`KEPT_FOR`] more, which is its `ttlMs`. With Redis
//! every replica can tell of it, and has the one that runs it hear what its owner says.

mod one;
mod record;
mod shared;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rmcp::model::{DetailedTask, InputResponses};
use tokio_util::sync::CancellationToken;

use self::shared::{Shared, Word};
pub(super) use self::{
    one::One,
    record::{End, Record},
    shared::Unheard,
};
use super::{in_flight::InFlight, sessions::Owner};
use crate::{
    auth::Principal,
    call::TaskError,
    clock::SharedClock,
    secret::{Secret, sha256_base64url},
    store::{Redis, RedisError},
};

/// How long the result of the slowest call is kept.
const KEPT_FOR: Duration = Duration::from_mins(10);
/// The largest result, in bytes of JSON.
const MAX_BYTES_OF_ONE: usize = 4 * 1024 * 1024;
/// How many tasks one owner has, those that have ended included.
const MAX_OF_OWNER: usize = 128;
/// How many there are in all.
const MAX: usize = 4096;
/// How much is kept of the results of one owner, in bytes of JSON.
const MAX_BYTES_OF_OWNER: usize = 16 * 1024 * 1024;
/// How much is kept in all.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// The tasks of this process.
#[derive(Clone)]
pub(super) struct Tasks(Arc<Inner>);

struct Inner {
    kept: Mutex<Kept>,
    clock: SharedClock,
    in_flight: InFlight,
    /// Ends every task.
    stopped: CancellationToken,
    shared: Option<Shared>,
}

#[derive(Default)]
struct Kept {
    /// By the hash of its id.
    by_hash: HashMap<String, Arc<One>>,
    /// Tasks of each owner, and the bytes of their results.
    used: HashMap<Owner, Used>,
    bytes: usize,
}

#[derive(Clone, Copy, Default)]
struct Used {
    tasks: usize,
    bytes: usize,
}

/// A task of whoever asked for it.
pub(super) enum Found {
    Here(Arc<One>),
    /// As the replica that runs it, or ran it, has told.
    Elsewhere(Record),
}

impl Found {
    /// Whether it is this caller's, and has not expired.
    fn is_of(&self, caller: &Principal, now: Duration) -> bool {
        match self {
            Self::Here(one) => one.owner().is(caller) && !one.has_expired(now),
            Self::Elsewhere(record) => record.owner.is(caller) && record.left(now).is_some(),
        }
    }

    /// The tool that it runs.
    pub(super) fn tool(&self) -> String {
        match self {
            Self::Here(one) => one.tool(),
            Self::Elsewhere(record) => record.tool.clone(),
        }
    }

    /// What has become of it.
    pub(super) fn detailed(&self, id: &str) -> DetailedTask {
        match self {
            Self::Here(one) => one.detailed(),
            Self::Elsewhere(record) => record.detailed(id),
        }
    }
}

/// What a task is begun with.
pub(super) struct Begun {
    pub(super) owner: Owner,
    pub(super) tool: String,
    /// How long the tool may take.
    pub(super) timeout: Duration,
    /// Has the tool give up.
    pub(super) cancel: CancellationToken,
}

impl Tasks {
    /// A drain waits for tasks as for calls; when `stopped` fires, those that are left end.
    pub(super) fn new(
        clock: SharedClock,
        in_flight: InFlight,
        stopped: CancellationToken,
        redis: Option<Arc<Redis>>,
    ) -> Self {
        let shared = redis.map(Shared::new);
        Self(Arc::new(Inner { kept: Mutex::default(), clock, in_flight, stopped, shared }))
    }

    /// Makes a task, of which every replica can tell when this is done.
    ///
    /// # Errors
    /// There are too many, or Redis does not keep it.
    pub(super) async fn begin(&self, begun: Begun) -> Result<Arc<One>, TaskError> {
        let mut placed = Placed { tasks: self, one: self.place(begun)?, stays: false };
        if let Some(shared) = &self.0.shared {
            shared.keep(&placed.one, self.now()).await.map_err(|error| {
                tracing::debug!(%error, "a task is not kept");
                TaskError("nobody can keep it now; try again later")
            })?;
            self.follow(Arc::clone(&placed.one));
        }
        placed.stays = true;
        Ok(Arc::clone(&placed.one))
    }

    /// Has other replicas know what becomes of a task, and it hear what they are told.
    fn follow(&self, one: Arc<One>) {
        let tasks = self.clone();
        tokio::spawn(async move {
            let Some(shared) = &tasks.0.shared else { return };
            shared.follow(&one, || tasks.now(), |word| tasks.hear(&one, word)).await;
            one.leave();
        });
    }

    /// Gives a task its place here.
    fn place(&self, begun: Begun) -> Result<Arc<One>, TaskError> {
        let now = self.now();
        let mut kept = self.kept();
        kept.forget_expired(now);
        if kept.by_hash.len() >= MAX {
            return Err(TaskError("this server has too many tasks; try again later"));
        }
        let used = kept.used.entry(begun.owner.clone()).or_default();
        if used.tasks >= MAX_OF_OWNER {
            return Err(TaskError("this caller has too many tasks; try again when some of them have expired"));
        }
        used.tasks += 1;
        let id = Secret::random().expose().to_owned();
        let hash = sha256_base64url(id.as_bytes());
        let time_to_live = begun.timeout + KEPT_FOR;
        let one = One::new(id, begun, now, time_to_live, self.0.in_flight.enter());
        let one = Arc::new(one);
        kept.by_hash.insert(hash, Arc::clone(&one));
        drop(kept);
        Ok(one)
    }

    /// The task of this id, if it is this caller's.
    ///
    /// # Errors
    /// Nobody can tell now.
    pub(super) async fn find(&self, id: &str, caller: &Principal) -> Result<Option<Found>, RedisError> {
        let now = self.now();
        let one = self.kept().by_hash.get(&sha256_base64url(id.as_bytes())).cloned();
        let found = match (one, &self.0.shared) {
            (Some(one), _) => Some(Found::Here(one)),
            (None, Some(shared)) => shared.find(id).await?.map(Found::Elsewhere),
            (None, None) => None,
        };
        Ok(found.filter(|found| found.is_of(caller, now)))
    }

    /// Has a task hear the answers of its owner.
    ///
    /// # Errors
    /// It may not have heard them.
    pub(super) async fn answer(&self, id: &str, found: &Found, answers: InputResponses) -> Result<(), Unheard> {
        self.say(id, found, Word::Answers(answers)).await
    }

    /// Has a task's tool give up. What has ended stays as it is.
    ///
    /// # Errors
    /// It may not have heard of it.
    pub(super) async fn cancel(&self, id: &str, found: &Found) -> Result<(), Unheard> {
        self.say(id, found, Word::Cancel).await
    }

    async fn say(&self, id: &str, found: &Found, word: Word) -> Result<(), Unheard> {
        match (found, &self.0.shared) {
            (Found::Here(one), shared) => {
                self.hear(one, word);
                if let Some(shared) = shared
                    && shared.keep(one, self.now()).await.is_err()
                {
                    one.stirred.notify_one();
                }
                Ok(())
            }
            (Found::Elsewhere(record), Some(shared)) if record.end.is_none() => match shared.say(id, &word).await {
                // Whoever has ended meanwhile hears nothing.
                Err(Unheard::Silent) if shared.find(id).await?.is_some_and(|record| record.end.is_some()) => Ok(()),
                said => said,
            },
            (Found::Elsewhere(_), _) => Ok(()),
        }
    }

    fn hear(&self, one: &One, word: Word) {
        match word {
            Word::Answers(answers) => one.answer(answers, self.now()),
            Word::Cancel => one.cancel(),
        }
    }

    /// Something was said to a task at another replica.
    pub(super) fn announced(&self, text: &str) {
        let hash = text.strip_prefix(shared::ANNOUNCED);
        if let Some(one) = hash.and_then(|hash| self.kept().by_hash.get(hash).cloned()) {
            one.stirred.notify_one();
        }
    }

    /// Keeps how a task has ended, if there is room for it; else that there was none. What has ended stays as it is.
    pub(super) fn end(&self, one: &One, end: End) {
        if end.bytes() > MAX_BYTES_OF_ONE {
            return self.end(one, End::stopped("the result of this task is too large to be kept"));
        }
        let mut kept = self.kept();
        let used = kept.used.get(one.owner()).copied().unwrap_or_default();
        let bytes = end.bytes();
        let has_room = used.bytes + bytes <= MAX_BYTES_OF_OWNER && kept.bytes + bytes <= MAX_BYTES;
        let end = if has_room { end } else { End::stopped("there is no room to keep the result of this task") };
        let bytes = end.bytes();
        // What has been forgotten meanwhile takes no room.
        let is_kept = kept.by_hash.contains_key(&sha256_base64url(one.id().as_bytes()));
        if one.end(end, self.now()) && is_kept {
            kept.bytes += bytes;
            if let Some(used) = kept.used.get_mut(one.owner()) {
                used.bytes += bytes;
            }
        }
        drop(kept);
        if self.0.shared.is_none() {
            one.leave();
        }
    }

    fn take_away(&self, one: &One) {
        let mut kept = self.kept();
        if kept.by_hash.remove(&sha256_base64url(one.id().as_bytes())).is_some() {
            kept.free(one);
        }
    }

    /// Has a tool give up: when the server has waited long enough for it.
    pub(super) fn cancel_token(&self) -> CancellationToken {
        self.0.stopped.child_token()
    }

    /// Whether what gives up now does so because the server stops.
    pub(super) fn are_stopped(&self) -> bool {
        self.0.stopped.is_cancelled()
    }

    /// The time by which tasks are dated.
    pub(super) fn now(&self) -> Duration {
        self.0.clock.since_epoch()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that has a place and is perhaps not kept: whoever begins it may fail, or give up.
struct Placed<'a> {
    tasks: &'a Tasks,
    one: Arc<One>,
    stays: bool,
}

impl Drop for Placed<'_> {
    fn drop(&mut self) {
        if !self.stays {
            self.tasks.take_away(&self.one);
        }
    }
}

impl Kept {
    fn forget_expired(&mut self, now: Duration) {
        let expired: Vec<_> = self.by_hash.extract_if(|_, one| one.has_expired(now)).map(|(_, one)| one).collect();
        for one in expired {
            one.cancel();
            self.free(&one);
        }
    }

    fn free(&mut self, one: &One) {
        let bytes = one.bytes();
        self.bytes -= bytes;
        if let Some(of_owner) = self.used.get_mut(one.owner()) {
            of_owner.bytes -= bytes;
            of_owner.tasks -= 1;
            if of_owner.tasks == 0 {
                self.used.remove(one.owner());
            }
        }
    }
}
