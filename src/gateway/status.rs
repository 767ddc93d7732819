//! Whether the guarded server takes calls, and the way of a call to it.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ResultType},
    service::{Peer, ServiceError},
};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::{down::Down, questions::Questions};
use crate::{
    said::said,
    tools::{BoxFuture, CallContext, Callable, Output, ToolError},
};

/// What a guarded server is called that has not said its name.
pub(super) const NAMELESS: &str = "upstream";

/// How long a call waits to learn how the process ended that was to answer it: as long as that may take.
const ENDING: Duration = Duration::from_secs(7);

/// Members of a result's `_meta` that are about the connection to the guarded server, and not about the result.
const OF_THE_CONNECTION: &[&str] = &["io.modelcontextprotocol/serverInfo", "io.modelcontextprotocol/subscriptionId"];

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
    /// Whether it is the pipe of a process, which is over when one call on it breaks off.
    is_pipe: bool,
    /// Why it is over.
    end: watch::Sender<Option<Arc<Down>>>,
}

impl Connection {
    pub(super) fn new(peer: Peer<RoleClient>, name: String, is_pipe: bool) -> Self {
        Self { peer, name: name.into(), suspect: Notify::new(), is_pipe, end: watch::Sender::new(None) }
    }

    pub(super) const fn peer(&self) -> &Peer<RoleClient> {
        &self.peer
    }

    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
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

    async fn call(
        &self,
        tool: &str,
        arguments: Value,
        mut questions: Questions<'_>,
    ) -> Result<CallToolResult, ToolError> {
        let (name, way) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&state.name), state.way.clone())
        };
        let connection = way.map_err(|down| ToolError::Failed(down.before_a_call(&name)))?;
        let mut params = CallToolRequestParams::new(tool.to_owned());
        if let Value::Object(arguments) = arguments {
            params = params.with_arguments(arguments);
        }
        // Dropping this, when the caller goes away or the time is up, cancels the call at the guarded server too.
        let mut answered = connection.peer.call_tool_once(params.clone()).await;
        // The questions of a server of 2026-07-28 are its answer to this very call: they reach nobody else's client.
        while let Ok(CallToolResponse::InputRequired(asked)) = answered {
            params.input_responses = Some(questions.pass_on(asked.input_requests, &name).await?);
            params.request_state = asked.request_state;
            answered = connection.peer.call_tool_once(params.clone()).await;
        }
        let failed = match answered {
            Ok(CallToolResponse::Complete(result)) => return Ok(passed_on(result)),
            Ok(_) => format!("the guarded server `{name}` answered with something else than a result"),
            Err(ServiceError::McpError(error)) => {
                format!("the guarded server `{name}` answered with error {}: {}", error.code.0, said(&error.message))
            }
            Err(ServiceError::Cancelled { .. }) => format!("the guarded server `{name}` cancelled the call"),
            Err(error) => {
                connection.suspect.notify_one();
                let down = connection.reason(Down::of_service(error)).await;
                tracing::warn!(upstream = %name, tool, reason = %down, detail = down.detail(), "a call was not answered");
                down.during_a_call(&name)
            }
        };
        Err(ToolError::Failed(failed))
    }
}

fn passed_on(mut result: CallToolResult) -> CallToolResult {
    result.result_type = Some(ResultType::COMPLETE);
    if let Some(meta) = &mut result.meta {
        for name in OF_THE_CONNECTION {
            meta.remove(*name);
        }
    }
    result.meta = result.meta.filter(|meta| !meta.is_empty());
    result
}

/// One of the guarded server's tools.
pub(super) struct GuardedTool {
    pub(super) name: String,
    pub(super) status: Arc<Status>,
    pub(super) may_sample: bool,
}

impl Callable for GuardedTool {
    fn call<'a>(&'a self, arguments: Value, context: &'a CallContext) -> BoxFuture<'a, Result<Output, ToolError>> {
        Box::pin(async move {
            let questions = Questions::to(context.ask.as_ref(), self.may_sample);
            let result = self.status.call(&self.name, arguments, questions).await?;
            Ok(Output::Upstream(Box::new(result)))
        })
    }
}
