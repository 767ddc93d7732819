//! A call that the guarded server answers with a task (SEP-2663): it becomes a task here too, of whoever called, which
//! asks after the one behind it, asks its own owner what that wants to know, and has it given up.
//!
//! The caller never learns the id that the guarded server knows the task by, so nobody else can use it.

use std::{collections::BTreeSet, time::Duration};

use rmcp::{
    ErrorData, RoleClient,
    model::{
        CallToolResult, CancelTaskParams, CancelTaskRequest, ClientRequest, ErrorCode, GetTaskParams, GetTaskRequest,
        InputRequests, JsonObject, RequestMetaObject, ServerResult, Task, TaskPayload, UpdateTaskParams,
        UpdateTaskRequest,
    },
    service::{Peer, ServiceError},
};
use serde_json::Value;
use tokio::{runtime::Handle, time::sleep};

use super::{
    calls::{Failure, with},
    questions::Questions,
    status::Connection,
};
use crate::{call::CallContext, said::without_deception};

/// How long to wait before asking again, whatever the guarded server wishes.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// And if it wishes nothing.
const PAUSE: Duration = Duration::from_millis(500);

impl Connection {
    /// Makes a task of the call, and waits for the result of the one that the guarded server has begun.
    ///
    /// Dropping this, when the owner gives it up or the time is over, cancels that one.
    pub(super) async fn follow(
        &self,
        begun: Task,
        questions: &mut Questions<'_>,
        context: &CallContext,
        name: &str,
    ) -> Result<CallToolResult, Failure> {
        let meta = self.meta(questions.capabilities(), context);
        let mut going = Going { peer: self.peer(), meta: meta.clone(), id: Some(begun.task_id.clone()) };
        context.begin_task().await.map_err(|error| Failure::Failed(error.to_string()))?;
        let (id, mut wish, mut asked) = (begun.task_id, begun.poll_interval_ms, BTreeSet::new());
        loop {
            sleep(pause(wish)).await;
            let request = GetTaskRequest::new(GetTaskParams::new(&id)).into();
            let ServerResult::GetTaskResult(now) = self.say(request, meta.as_ref(), name).await? else {
                return Err(self.confused(name).await);
            };
            wish = now.task.task.poll_interval_ms;
            match now.task.payload {
                TaskPayload::InputRequired { input_requests } => {
                    // What has been answered may still be told for a moment.
                    let new: InputRequests =
                        input_requests.into_iter().filter(|(key, _)| asked.insert(key.clone())).collect();
                    if !new.is_empty() {
                        let answers = questions.pass_on(Some(new), name).await?;
                        let request = UpdateTaskRequest::new(UpdateTaskParams::new(&id, answers)).into();
                        self.say(request, meta.as_ref(), name).await?;
                    }
                }
                TaskPayload::Completed { result } => {
                    going.id = None;
                    let result = serde_json::from_value(Value::Object(result));
                    return match result {
                        Ok(result) => Ok(result),
                        Err(_) => Err(self.confused(name).await),
                    };
                }
                TaskPayload::Failed { error } => {
                    going.id = None;
                    return Err(Failure::Rpc(told(&error)));
                }
                TaskPayload::Cancelled => {
                    going.id = None;
                    return Err(Failure::Failed(format!("the guarded server `{name}` cancelled the task")));
                }
                _ => {}
            }
        }
    }

    async fn say(
        &self,
        request: ClientRequest,
        meta: Option<&RequestMetaObject>,
        name: &str,
    ) -> Result<ServerResult, Failure> {
        let asked =
            async { self.peer().send_cancellable_request(request, with(meta.cloned())).await?.await_response().await };
        match asked.await {
            Ok(answer) => Ok(answer),
            Err(ServiceError::McpError(error)) => {
                let message = without_deception(&error.message);
                Err(Failure::Failed(format!("the guarded server `{name}` has lost the task: {message}")))
            }
            Err(error) => Err(Failure::Failed(self.failed(error, name).await)),
        }
    }

    async fn confused(&self, name: &str) -> Failure {
        Failure::Failed(self.failed(ServiceError::UnexpectedResponse, name).await)
    }
}

fn pause(wish: Option<u64>) -> Duration {
    wish.map_or(PAUSE, Duration::from_millis).clamp(PAUSES.0, PAUSES.1)
}

/// The error that a task has ended with, without what could deceive a person.
fn told(error: &JsonObject) -> ErrorData {
    let code = error.get("code").and_then(Value::as_i64).and_then(|code| i32::try_from(code).ok());
    let message = error.get("message").and_then(Value::as_str).unwrap_or("the task has failed");
    ErrorData::new(code.map_or(ErrorCode::INTERNAL_ERROR, ErrorCode), without_deception(message), None)
}

/// A task of the guarded server's that is cancelled if nobody waits for it any more.
struct Going<'a> {
    peer: &'a Peer<RoleClient>,
    meta: Option<RequestMetaObject>,
    id: Option<String>,
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        // Without a runtime, the connection goes down with everything else.
        let (Some(id), Ok(runtime)) = (self.id.take(), Handle::try_current()) else { return };
        let (peer, options) = (self.peer.clone(), with(self.meta.take()));
        runtime.spawn(async move {
            let request = CancelTaskRequest::new(CancelTaskParams::new(id)).into();
            // It fails when the connection is over, and the server will see to its tasks itself.
            if let Ok(asked) = peer.send_cancellable_request(request, options).await {
                let _ = asked.await_response().await;
            }
        });
    }
}
