//! What a tool knows about its call.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::{Ask, NoAsk};
use crate::{auth::Principal, clock::SharedClock, telemetry::metrics::Metrics};

/// What a tool knows about its call.
#[derive(Clone)]
#[non_exhaustive]
pub struct CallContext {
    /// Who calls.
    pub principal: Arc<Principal>,
    /// Fires when the caller gives up. The call ends by itself then; work that it started elsewhere may want to know.
    pub cancel: CancellationToken,
    /// The way to the caller's model.
    pub ask: Arc<dyn Ask>,
    /// The time.
    pub clock: SharedClock,
    /// Where the call is counted.
    pub(crate) metrics: Metrics,
}

impl CallContext {
    /// A call that nobody cancels and that has nobody to ask; set the fields for more.
    pub fn new(principal: Arc<Principal>, clock: SharedClock) -> Self {
        Self { principal, cancel: CancellationToken::new(), ask: Arc::new(NoAsk), clock, metrics: Metrics::default() }
    }

    /// The time as a date.
    pub(super) fn now(&self) -> DateTime<Utc> {
        let now = self.clock.since_epoch();
        i64::try_from(now.as_secs())
            .ok()
            .and_then(|seconds| DateTime::from_timestamp(seconds, now.subsec_nanos()))
            .expect("the clock is within the 262,000 years of the calendar")
    }
}
