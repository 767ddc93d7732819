//! What a call knows about itself.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Ask, BeginTask, Level, NoAsk, NoTell, Progress, TaskError, Tell};
use crate::{auth::Principal, clock::SharedClock, telemetry::metrics::Metrics};

/// What a call knows about itself.
#[derive(Clone)]
#[non_exhaustive]
pub struct CallContext {
    /// Who calls.
    pub principal: Arc<Principal>,
    /// Fires when the caller gives up. The call ends by itself then; work that it started elsewhere may want to know.
    pub cancel: CancellationToken,
    /// The way to the caller's model, to the person behind the caller, and to its folders.
    pub ask: Arc<dyn Ask>,
    /// Whom to tell how the call goes.
    pub tell: Arc<dyn Tell>,
    /// Makes a task of the call, for a caller that knows tasks.
    pub(crate) task: Option<Arc<dyn BeginTask>>,
    /// The time.
    pub clock: SharedClock,
    /// Where the call is counted.
    pub(crate) metrics: Metrics,
}

impl CallContext {
    /// A call that nobody cancels, and that has nobody to ask or to tell; set the fields for more.
    pub fn new(principal: Arc<Principal>, clock: SharedClock) -> Self {
        Self {
            principal,
            cancel: CancellationToken::new(),
            ask: NoAsk::shared(),
            tell: NoTell::shared(),
            task: None,
            clock,
            metrics: Metrics::default(),
        }
    }

    /// Whether the call may become a task: its caller knows tasks.
    pub(crate) const fn knows_tasks(&self) -> bool {
        self.task.is_some()
    }

    /// Answers the caller with a task, if it knows tasks; the call goes on, and the caller asks for its result later.
    ///
    /// Do first what is quick, and what the caller should hear at once: wrong arguments, and questions to it. From here
    /// on, a question is part of the task: it waits for its answer, and the call is not run again.
    ///
    /// # Errors
    /// [`TaskError`]: there are too many tasks, or nobody could keep this one.
    pub async fn begin_task(&self) -> Result<(), TaskError> {
        match &self.task {
            Some(task) => task.begin().await,
            None => Ok(()),
        }
    }

    /// Tells the caller how far the call has come, if it wants to know.
    pub async fn progress(&self, done: f64, total: f64, message: &str) {
        self.tell.progress(Progress { done, total: Some(total), message: Some(message.to_owned()) }).await;
    }

    /// Sends the caller a log message, if it wants to know. No secrets.
    pub async fn log(&self, level: Level, data: impl Into<Value>) {
        self.tell.log(level, data.into()).await;
    }

    /// The time as a date.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        let now = self.clock.since_epoch();
        i64::try_from(now.as_secs())
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, now.subsec_nanos()))
            .expect("the clock is within the 262,000 years of the calendar")
    }
}
