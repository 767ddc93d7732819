//! Calls that may become tasks, and `tasks/get`, `tasks/update`, `tasks/cancel`.

use std::{sync::Arc, time::Duration};

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolResponse, CreateTaskResult, JsonObject},
    service::RequestContext,
};
use serde_json::Value;
use tokio::sync::{Notify, OnceCell};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{Handler, round::Round, unless_it_panics};
use crate::{
    call::{Ask, AskError, BeginTask, BoxFuture, Capability, Question, TaskError},
    server::{
        sessions::Owner,
        tasks::{Begun, End, Found, One, Tasks, Unheard},
    },
    telemetry::{
        audit::{self, Event},
        request::Ids,
    },
    tools::Definition,
};

/// A call that may become a task.
pub(super) struct Candidate {
    tasks: Tasks,
    owner: Owner,
    tool: String,
    timeout: Duration,
    /// Has the tool give up, for a caller that does or for a server that stops.
    pub(super) cancel: CancellationToken,
    /// How the caller is asked until then.
    ask: Arc<dyn Ask>,
    begun: OnceCell<Arc<One>>,
    has_begun: Notify,
}

impl Candidate {
    /// The task, from when there is one.
    pub(super) fn task(&self) -> Option<&Arc<One>> {
        self.begun.get()
    }
}

impl BeginTask for Candidate {
    fn begin(&self) -> BoxFuture<'_, Result<(), TaskError>> {
        Box::pin(async move {
            let Self { owner, tool, timeout, cancel, .. } = self;
            let begin = async || {
                let (owner, tool, cancel) = (owner.clone(), tool.clone(), cancel.clone());
                self.tasks.begin(Begun { owner, tool, timeout: *timeout, cancel }).await
            };
            self.begun.get_or_try_init(begin).await?;
            self.has_begun.notify_one();
            Ok(())
        })
    }
}

impl Ask for Candidate {
    fn can(&self, capability: Capability) -> bool {
        self.ask.can(capability)
    }

    fn put<'a>(&'a self, key: &'a str, question: Question) -> BoxFuture<'a, Result<Value, AskError>> {
        let Some(one) = self.task() else { return self.ask.put(key, question) };
        Box::pin(async move {
            let capability = Capability::of(&question);
            if !self.can(capability) {
                return Err(AskError::Unsupported(capability));
            }
            let answer = one.ask(key, question, self.tasks.now());
            answer.await.map_err(|_| AskError::Failed("the task has ended".to_owned()))
        })
    }
}

/// Ends a task, in whatever way its call does: also one that is dropped.
struct Ending(Arc<Candidate>);

impl Ending {
    fn with(&self, result: Option<&Result<CallToolResponse, ErrorData>>) {
        let Candidate { tasks, cancel, .. } = &*self.0;
        let Some(one) = self.0.task() else { return };
        let end = match result {
            _ if tasks.are_stopped() => End::stopped("the server stopped before the task had ended"),
            Some(_) if cancel.is_cancelled() => End::Cancelled,
            Some(Ok(CallToolResponse::Complete(result))) => End::completed(result),
            Some(Err(error)) => End::failed(error),
            Some(Ok(_)) | None => End::stopped("the task has no result"),
        };
        tasks.end(one, end);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.with(None);
    }
}

impl Handler {
    /// Runs a tool whose call may become a task: the answer is a task from when it has.
    pub(super) async fn call_as_task(
        &self,
        definition: Arc<Definition>,
        arguments: JsonObject,
        mut round: Round,
    ) -> Result<CallToolResponse, ErrorData> {
        let given_up = round.call.cancel;
        let candidate = Arc::new(Candidate {
            tasks: self.shared.tasks.clone(),
            owner: Owner::of(&round.call.principal),
            tool: definition.name.to_string(),
            timeout: self.shared.features.tools.timeout(&definition.name).unwrap_or_default(),
            cancel: self.shared.tasks.cancel_token(),
            ask: round.call.ask,
            begun: OnceCell::new(),
            has_begun: Notify::new(),
        });
        (round.call.cancel, round.call.ask) = (candidate.cancel.clone(), Arc::clone(&candidate) as Arc<dyn Ask>);
        round.call.task = Some(Arc::clone(&candidate) as Arc<dyn BeginTask>);
        let (handler, ending) = (self.clone(), Ending(Arc::clone(&candidate)));
        let call = async move {
            let called = handler.called(&definition.name, definition.shows, arguments, &round);
            let result = unless_it_panics(called).await;
            ending.with(Some(&result));
            result
        };
        let call = match Ids::current() {
            Some(ids) => tokio::spawn(ids.around(call)),
            None => tokio::spawn(call),
        };
        let mut call = AbortOnDropHandle::new(call);
        let result = tokio::select! {
            result = &mut call => Some(result),
            () = candidate.has_begun.notified() => None,
            () = given_up.cancelled() => {
                candidate.cancel.cancel();
                Some((&mut call).await)
            }
        };
        match (candidate.task(), result) {
            (Some(one), _) => {
                call.detach();
                Ok(CreateTaskResult::new(one.seed()).into())
            }
            (None, Some(Ok(result))) => result,
            (None, _) => Err(ErrorData::internal_error("internal error", None)),
        }
    }

    /// The task of this id, of whoever asks. To anybody else there is none.
    pub(super) async fn task(&self, id: &str, context: &RequestContext<RoleServer>) -> Result<Found, ErrorData> {
        let principal = self.principal(context)?;
        let found = self.shared.tasks.find(id, &principal).await.map_err(|error| unheard(&error.into()))?;
        found.ok_or_else(|| {
            let reason = "no such task of this caller";
            audit::record(Event::AccessDenied { actor: principal.actor(), operation: "task", reason });
            ErrorData::invalid_params("there is no such task", None)
        })
    }
}

/// It is not said that there is no such task: a client would give it up.
pub(super) fn unheard(error: &Unheard) -> ErrorData {
    tracing::debug!(%error, "a task is not available");
    ErrorData::internal_error("tasks are not available at the moment; keep this one and try again", None)
}
