//! Tasks: calls that go on when their requests have been answered, each with one owner.
//!
//! A task belongs to whoever called (issuer, subject, client), as a session does; to anybody else there is none of its id.
//! Whoever asks about a task needs what its tool needs, so that a token that allows less does not read what it could not
//! have called. A task is kept for as long as its tool may take and [`KEPT_FOR`] more, which is its `ttlMs`.

mod one;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

pub(super) use self::one::{End, One};
use super::{in_flight::InFlight, sessions::Owner};
use crate::{auth::Principal, call::TaskError, clock::SharedClock, secret::Secret};

/// How long the result of the slowest call is kept.
const KEPT_FOR: Duration = Duration::from_mins(10);
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
}

#[derive(Default)]
struct Kept {
    by_id: HashMap<String, Arc<One>>,
    /// Tasks of each owner, and the bytes of their results.
    used: HashMap<Owner, Used>,
    bytes: usize,
}

#[derive(Clone, Copy, Default)]
struct Used {
    tasks: usize,
    bytes: usize,
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
    pub(super) fn new(clock: SharedClock, in_flight: InFlight, stopped: CancellationToken) -> Self {
        Self(Arc::new(Inner { kept: Mutex::default(), clock, in_flight, stopped }))
    }

    /// Makes a task.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn begin(&self, begun: Begun) -> Result<Arc<One>, TaskError> {
        let now = self.0.clock.since_epoch();
        let mut kept = self.kept();
        kept.forget_expired(now);
        if kept.by_id.len() >= MAX {
            return Err(TaskError("this server has too many tasks; try again later"));
        }
        let used = kept.used.entry(begun.owner.clone()).or_default();
        if used.tasks >= MAX_OF_OWNER {
            return Err(TaskError("this caller has too many tasks; try again when some of them have expired"));
        }
        used.tasks += 1;
        let id = Secret::random().expose().to_owned();
        let time_to_live = begun.timeout + KEPT_FOR;
        let one = One::new(id.clone(), begun, now, time_to_live, self.0.in_flight.enter());
        let one = Arc::new(one);
        kept.by_id.insert(id, Arc::clone(&one));
        drop(kept);
        Ok(one)
    }

    /// The task of this id, if it is this caller's.
    pub(super) fn find(&self, id: &str, caller: &Principal) -> Option<Arc<One>> {
        let now = self.0.clock.since_epoch();
        let one = self.kept().by_id.get(id).cloned();
        one.filter(|one| one.owner().is(caller) && !one.has_expired(now))
    }

    /// Keeps how a task has ended, if there is room for it; else that there was none. What has ended stays as it is.
    pub(super) fn end(&self, one: &One, end: End) {
        let mut kept = self.kept();
        let used = kept.used.get(one.owner()).copied().unwrap_or_default();
        let bytes = end.bytes();
        let has_room = used.bytes + bytes <= MAX_BYTES_OF_OWNER && kept.bytes + bytes <= MAX_BYTES;
        let end = if has_room { end } else { End::stopped("there is no room to keep the result of this task") };
        let bytes = end.bytes();
        if one.end(end, self.0.clock.since_epoch()) {
            kept.bytes += bytes;
            if let Some(used) = kept.used.get_mut(one.owner()) {
                used.bytes += bytes;
            }
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

impl Kept {
    fn forget_expired(&mut self, now: Duration) {
        let Self { by_id, used, bytes } = self;
        for (_, one) in by_id.extract_if(|_, one| one.has_expired(now)) {
            let freed = one.forget();
            *bytes -= freed;
            if let Some(of_owner) = used.get_mut(one.owner()) {
                of_owner.bytes -= freed;
                of_owner.tasks -= 1;
                if of_owner.tasks == 0 {
                    used.remove(one.owner());
                }
            }
        }
    }
}
