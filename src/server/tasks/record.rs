//! What is kept of a task, here and where other replicas find it.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use rmcp::{
    ErrorData,
    model::{CallToolResult, DetailedTask, InputRequests, Task, TaskPayload, TaskStatus},
};
use serde::{Deserialize, Serialize};

use crate::{call::JsonObject, server::sessions::Owner};

/// How often a client should ask.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A task as it is at one moment.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::server) struct Record {
    pub(super) owner: Owner,
    /// The tool that it runs.
    pub(in crate::server) tool: String,
    /// Since the epoch, as `updated`.
    pub(super) created: Duration,
    pub(super) time_to_live: Duration,
    pub(super) updated: Duration,
    /// The questions that are open, by keys that no other question of this task has.
    pub(super) open: InputRequests,
    pub(super) end: Option<End>,
}

/// How a task has ended.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::server) enum End {
    /// With the result of the call, which may say that it failed.
    Completed(Json),
    /// With an error of JSON-RPC.
    Failed(Json),
    /// Its owner gave up.
    Cancelled,
}

/// An object as text: as values it would take many times the room.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::server) struct Json(Box<str>);

impl Json {
    fn of(object: &impl Serialize) -> Self {
        Self(serde_json::to_string(object).expect("texts and JSON values").into())
    }

    fn object(&self) -> JsonObject {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl End {
    /// As the answer to the call would have been.
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

impl Record {
    /// How long it is kept from now on; `None` if it has expired.
    pub(super) fn left(&self, now: Duration) -> Option<Duration> {
        (self.created + self.time_to_live).checked_sub(now).filter(|left| !left.is_zero())
    }

    /// What a client is told when it begins.
    pub(super) fn seed(&self, id: &str) -> Task {
        Task::new(id, TaskStatus::Working, date(self.created), date(self.updated))
            .with_ttl_ms(milliseconds(self.time_to_live))
            .with_poll_interval_ms(milliseconds(POLL_INTERVAL))
    }

    /// What has become of it.
    pub(in crate::server) fn detailed(&self, id: &str) -> DetailedTask {
        let payload = match &self.end {
            Some(End::Completed(result)) => TaskPayload::Completed { result: result.object() },
            Some(End::Failed(error)) => TaskPayload::Failed { error: error.object() },
            Some(End::Cancelled) => TaskPayload::Cancelled,
            None if self.open.is_empty() => TaskPayload::Working,
            None => TaskPayload::InputRequired { input_requests: self.open.clone() },
        };
        DetailedTask::new(self.seed(id), payload)
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
