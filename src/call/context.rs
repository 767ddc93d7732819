//! What a call knows about itself.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Ask, Level, NoAsk, NoTell, Progress, Tell};
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
            ask: Arc::new(NoAsk),
            tell: NoTell::shared(),
            clock,
            metrics: Metrics::default(),
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
