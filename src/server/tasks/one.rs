//! One task that this process runs, or has run.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rmcp::model::{DetailedTask, InputRequests, InputResponses, Task};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Begun, End, Record};
use crate::{
    call::{Question, Repeats, is_answer},
    server::{in_flight::Guard, sessions::Owner},
};

/// One task.
pub(in crate::server) struct One {
    id: String,
    owner: Owner,
    cancel: CancellationToken,
    state: Mutex<State>,
    /// What other replicas know of it is old, or they have said something.
    pub(super) stirred: Notify,
    /// What other replicas know is written by one at a time, in the order in which it happened.
    pub(super) writing: tokio::sync::Mutex<()>,
}

struct State {
    record: Record,
    waiting: HashMap<String, oneshot::Sender<Value>>,
    repeats: Repeats,
    /// Until the end it is a call under way.
    under_way: Option<Guard>,
}

impl One {
    pub(super) fn new(id: String, begun: Begun, now: Duration, time_to_live: Duration, under_way: Guard) -> Self {
        let Begun { owner, tool, cancel, .. } = begun;
        let record = Record {
            owner: owner.clone(),
            tool,
            created: now,
            time_to_live,
            updated: now,
            open: InputRequests::new(),
            end: None,
        };
        let state = State { record, waiting: HashMap::new(), repeats: Repeats::default(), under_way: Some(under_way) };
        let (stirred, writing) = (Notify::new(), tokio::sync::Mutex::default());
        Self { id, owner, cancel, state: Mutex::new(state), stirred, writing }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn owner(&self) -> &Owner {
        &self.owner
    }

    pub(super) fn has_expired(&self, now: Duration) -> bool {
        self.state().record.left(now).is_none()
    }

    /// The task as it is now.
    pub(super) fn record(&self) -> Record {
        self.state().record.clone()
    }

    pub(super) fn tool(&self) -> String {
        self.state().record.tool.clone()
    }

    pub(super) fn detailed(&self) -> DetailedTask {
        self.state().record.detailed(&self.id)
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.state().record.end.is_some()
    }

    /// What a client is told when it begins.
    pub(in crate::server) fn seed(&self) -> Task {
        self.state().record.seed(&self.id)
    }

    /// Has its owner asked something; the answer comes over the channel. It is closed if the task has ended.
    pub(in crate::server) fn ask(&self, key: &str, question: Question, now: Duration) -> oneshot::Receiver<Value> {
        let (sender, answer) = oneshot::channel();
        let mut state = self.state();
        if state.record.end.is_some() {
            return answer;
        }
        let key = state.repeats.next(key);
        state.record.open.insert(key.clone(), question);
        state.record.updated = now;
        state.waiting.insert(key, sender);
        drop(state);
        self.stirred.notify_one();
        answer
    }

    /// Takes the answers to open questions. What answers none, or is no answer to its question, is left out.
    pub(super) fn answer(&self, answers: InputResponses, now: Duration) {
        let mut state = self.state();
        for (key, answer) in answers {
            if !state.record.open.get(&key).is_some_and(|question| is_answer(question, &answer)) {
                continue;
            }
            state.record.open.remove(&key);
            state.record.updated = now;
            // Whoever asked may have given up.
            let _ = state.waiting.remove(&key).map(|waiting| waiting.send(answer));
        }
    }

    /// Has the tool give up. What has ended stays as it is.
    pub(super) fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Whether it ends with this: it may have ended already.
    pub(super) fn end(&self, end: End, now: Duration) -> bool {
        let mut state = self.state();
        if state.record.end.is_some() {
            return false;
        }
        state.record.open.clear();
        state.record.end = Some(end);
        state.record.updated = now;
        state.waiting.clear();
        drop(state);
        self.stirred.notify_one();
        true
    }

    /// A drain waits for it no longer.
    pub(super) fn leave(&self) {
        let under_way = self.state().under_way.take();
        drop(under_way);
    }

    /// How many bytes its end takes.
    pub(super) fn bytes(&self) -> usize {
        self.state().record.end.as_ref().map_or(0, End::bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
