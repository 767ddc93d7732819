//! Whether the guarded server takes calls, and the way to it.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rmcp::{
    RoleClient,
    service::{Peer, ServiceError},
};
use tokio::sync::{Notify, watch};

use super::down::Down;

/// What a guarded server is called that has not said its name.
pub(super) const NAMELESS: &str = "upstream";

/// How long a call waits to learn how the process ended that was to answer it: as long as that may take.
const ENDING: Duration = Duration::from_secs(7);

/// Whether the guarded server takes calls.
pub(crate) struct Status {
    state: RwLock<State>,
    /// Whether it answered when it was last asked for its tools.
    answers: AtomicBool,
}

struct State {
    name: Arc<str>,
    /// The way to it, or why there is none.
    way: Result<Arc<Connection>, Arc<Down>>,
}

/// The way to the guarded server.
pub(super) struct Connection {
    peer: Peer<RoleClient>,
    /// How the server calls itself, safe to print.
    name: Arc<str>,
    /// Told by a call that could not be sent.
    suspect: Notify,
    /// Whether it speaks 2026-07-28.
    is_modern: bool,
    /// Whether it is the pipe of a process, which is over when one call on it breaks off.
    is_pipe: bool,
    /// Why it is over.
    end: watch::Sender<Option<Arc<Down>>>,
}

impl Connection {
    pub(super) fn new(peer: Peer<RoleClient>, name: String, is_pipe: bool) -> Self {
        let is_modern = peer.peer_info().is_some_and(|info| !info.protocol_version.has_initialize());
        Self { peer, name: name.into(), suspect: Notify::new(), is_modern, is_pipe, end: watch::Sender::new(None) }
    }

    pub(super) const fn is_modern(&self) -> bool {
        self.is_modern
    }

    pub(super) const fn peer(&self) -> &Peer<RoleClient> {
        &self.peer
    }

    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// In words for the caller: why a call has failed on the way.
    pub(super) async fn failed(&self, error: ServiceError, name: &str) -> String {
        if let ServiceError::Cancelled { .. } = error {
            return format!("the guarded server `{name}` cancelled the call");
        }
        self.suspect.notify_one();
        let down = self.reason(Down::of_service(error)).await;
        tracing::warn!(upstream = name, reason = %down, detail = down.detail(), "a call was not answered");
        down.during_a_call(name)
    }

    /// Why a call was not answered that this happened to: that its pipe was closed tells nobody much.
    async fn reason(&self, down: Down) -> Arc<Down> {
        if !(self.is_pipe && matches!(down, Down::Closed)) {
            return Arc::new(down);
        }
        let mut end = self.end.subscribe();
        let known = tokio::time::timeout(ENDING, end.wait_for(Option::is_some)).await;
        known.ok().and_then(|end| end.ok()?.clone()).unwrap_or_else(|| Arc::new(down))
    }

    /// Waits until a call could not be sent.
    pub(super) async fn suspected(&self) {
        self.suspect.notified().await;
    }
}

impl Default for Status {
    fn default() -> Self {
        let state = State { name: NAMELESS.into(), way: Err(Arc::new(Down::Starting)) };
        Self { state: RwLock::new(state), answers: AtomicBool::new(false) }
    }
}

impl Status {
    /// Whether it makes sense to send calls.
    pub(crate) fn is_ready(&self) -> bool {
        let is_up = self.state.read().unwrap_or_else(PoisonError::into_inner).way.is_ok();
        is_up && self.answers.load(Ordering::Relaxed)
    }

    /// What to tell a caller while nothing is known of the tools, because there is no way to ask.
    pub(crate) fn excuse(&self) -> Option<String> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.way.as_ref().err().map(|down| down.before_a_call(&state.name))
    }

    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).name)
    }

    pub(super) fn set_up(&self, connection: &Arc<Connection>) {
        let state = State { name: Arc::clone(&connection.name), way: Ok(Arc::clone(connection)) };
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(super) fn set_down(&self, down: Down) {
        let down = Arc::new(down);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Ok(connection) = std::mem::replace(&mut state.way, Err(Arc::clone(&down))) {
            connection.end.send_replace(Some(down));
        }
    }

    pub(super) fn set_answers(&self, answers: bool) {
        self.answers.store(answers, Ordering::Relaxed);
    }

    /// The way to it, and how it calls itself.
    pub(super) fn way(&self) -> (Arc<str>, Result<Arc<Connection>, Arc<Down>>) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&state.name), state.way.clone())
    }
}
