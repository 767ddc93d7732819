//! One task: what has become of it, and the questions that it waits with.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, SecondsFormat};
use rmcp::{
    ErrorData,
    model::{CallToolResult, DetailedTask, InputRequests, InputResponses, Task, TaskPayload, TaskStatus},
};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Begun;
use crate::{
    call::{JsonObject, Question, is_answer},
    server::{in_flight::Guard, sessions::Owner},
};

/// How often a client should ask.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// One task.
pub(in crate::server) struct One {
    id: String,
    owner: Owner,
    tool: String,
    /// Since the epoch.
    created: Duration,
    time_to_live: Duration,
    cancel: CancellationToken,
    state: Mutex<State>,
}

struct State {
    updated: Duration,
    /// The questions that are open, by keys that no other question of this task has.
    open: InputRequests,
    waiting: HashMap<String, oneshot::Sender<Value>>,
    /// How often was asked by each key.
    times: BTreeMap<String, usize>,
    end: Option<End>,
    /// Until the end it is a call under way.
    under_way: Option<Guard>,
}

/// How a task has ended.
pub(in crate::server) enum End {
    /// With the result of the call, which may say that it failed.
    Completed(Json),
    /// With an error of JSON-RPC.
    Failed(Json),
    /// Its owner gave up.
    Cancelled,
}

/// An object as text: as values it would take many times the room.
pub(in crate::server) struct Json(Box<str>);

impl Json {
    fn of(object: &impl serde::Serialize) -> Self {
        Self(serde_json::to_string(object).expect("texts and JSON values").into())
    }

    fn object(&self) -> JsonObject {
        serde_json::from_str(&self.0).expect("it was written as an object")
    }
}

impl End {
    pub(in crate::server) fn completed(result: &CallToolResult) -> Self {
        Self::Completed(Json::of(result))
    }

    pub(in crate::server) fn failed(error: &ErrorData) -> Self {
        Self::Failed(Json::of(error))
    }

    /// For a reason that is no fault of its tool.
    pub(in crate::server) fn stopped(message: &'static str) -> Self {
        Self::failed(&ErrorData::internal_error(message, None))
    }

    /// As it is kept.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Completed(json) | Self::Failed(json) => json.0.len(),
            Self::Cancelled => 0,
        }
    }
}

impl One {
    pub(super) fn new(id: String, begun: Begun, now: Duration, time_to_live: Duration, under_way: Guard) -> Self {
        let Begun { owner, tool, cancel, .. } = begun;
        let state = State {
            updated: now,
            open: InputRequests::new(),
            waiting: HashMap::new(),
            times: BTreeMap::new(),
            end: None,
            under_way: Some(under_way),
        };
        Self { id, owner, tool, created: now, time_to_live, cancel, state: Mutex::new(state) }
    }

    pub(super) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The tool that it runs.
    pub(in crate::server) fn tool(&self) -> &str {
        &self.tool
    }

    pub(super) fn has_expired(&self, now: Duration) -> bool {
        now >= self.created + self.time_to_live
    }

    /// What a client is told when it begins.
    pub(in crate::server) fn seed(&self) -> Task {
        self.task(&self.state())
    }

    /// What has become of it.
    pub(in crate::server) fn detailed(&self) -> DetailedTask {
        let state = self.state();
        let payload = match &state.end {
            Some(End::Completed(result)) => TaskPayload::Completed { result: result.object() },
            Some(End::Failed(error)) => TaskPayload::Failed { error: error.object() },
            Some(End::Cancelled) => TaskPayload::Cancelled,
            None if state.open.is_empty() => TaskPayload::Working,
            None => TaskPayload::InputRequired { input_requests: state.open.clone() },
        };
        DetailedTask::new(self.task(&state), payload)
    }

    fn task(&self, state: &State) -> Task {
        Task::new(&self.id, TaskStatus::Working, date(self.created), date(state.updated))
            .with_ttl_ms(milliseconds(self.time_to_live))
            .with_poll_interval_ms(milliseconds(POLL_INTERVAL))
    }

    /// Has its owner asked something; the answer comes over the channel. It is closed if the task has ended.
    pub(in crate::server) fn ask(&self, key: &str, question: Question, now: Duration) -> oneshot::Receiver<Value> {
        let (sender, answer) = oneshot::channel();
        let mut state = self.state();
        if state.end.is_some() {
            return answer;
        }
        let times = state.times.entry(key.to_owned()).or_default();
        *times += 1;
        let key = if *times == 1 { key.to_owned() } else { format!("{key}-{times}") };
        state.open.insert(key.clone(), question);
        state.waiting.insert(key, sender);
        state.updated = now;
        drop(state);
        answer
    }

    /// Takes the answers to open questions. What answers none, or is no answer to its question, is left out.
    pub(in crate::server) fn answer(&self, answers: InputResponses, now: Duration) {
        let mut state = self.state();
        for (key, answer) in answers {
            if !state.open.get(&key).is_some_and(|question| is_answer(question, &answer)) {
                continue;
            }
            state.open.remove(&key);
            state.updated = now;
            // Whoever asked may have given up.
            let _ = state.waiting.remove(&key).map(|waiting| waiting.send(answer));
        }
    }

    /// Has the tool give up. What has ended stays as it is.
    pub(in crate::server) fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Whether it ends with this: it may have ended already.
    pub(super) fn end(&self, end: End, now: Duration) -> bool {
        let mut state = self.state();
        if state.end.is_some() {
            return false;
        }
        state.open.clear();
        state.waiting.clear();
        state.end = Some(end);
        state.updated = now;
        let under_way = state.under_way.take();
        drop(state);
        drop(under_way);
        true
    }

    /// How many bytes its end took.
    pub(super) fn forget(&self) -> usize {
        self.cancel();
        self.state().end.as_ref().map_or(0, End::bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// ISO 8601.
fn date(since_epoch: Duration) -> String {
    let milliseconds = i64::try_from(since_epoch.as_millis()).ok().and_then(DateTime::from_timestamp_millis);
    milliseconds.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
