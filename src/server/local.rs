//! The same features without authentication, for a pipe or for loopback.

use rmcp::ServerHandler;
use tokio_util::sync::CancellationToken;

use super::{Features, handler::Handler, in_flight::InFlight, tasks::Tasks};
use crate::clock::SharedClock;

/// What a server offers, without authentication: whoever reaches it may use everything. For a process on stdio, or on
/// loopback behind a server that guards it.
pub struct Local(Handler);

impl Local {
    /// These features, for whoever is there.
    pub fn new(features: impl Into<Features>, clock: SharedClock) -> Self {
        let tasks = Tasks::new(SharedClock::clone(&clock), InFlight::default(), CancellationToken::new(), None);
        Self(Handler::local(features.into(), tasks, clock))
    }

    /// What `rmcp` serves one session or one stateless request with.
    pub fn handler(&self) -> impl ServerHandler + Clone + use<> {
        self.0.for_another()
    }
}
