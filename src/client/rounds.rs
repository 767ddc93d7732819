//! One way of having begun a session, and the requests in it: with the questions that come back instead of a result, and
//! with what the server is told when nobody waits any more.
#![expect(deprecated, reason = "MCP deprecates logging (SEP-2577); servers of every revision still log")]

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rmcp::{
    model::{
        CancelledNotification, CancelledNotificationParam, ClientRequest, DiscoverResult, ErrorCode, Implementation,
        InputResponses, RequestId, RequestMetaObject, ServerPeerInfo, ServerResult, SetLevelRequestParams,
    },
    service::{PeerRequestOptions, RoleClient, RunningService, ServiceError},
};
use serde_json::{Value, json};

use super::{host::Handler, servers::Era};

/// How often one request may be answered with questions.
const MAX_ROUNDS: usize = 10;

/// How long to wait before a server that asks nothing, and only for patience, is asked again; each time twice as long.
const PAUSE: Duration = Duration::from_millis(50);

/// How long taking leave of the server may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A server of 2025-11-25 wants pages visited before it answers.
const URL_ELICITATION_REQUIRED: ErrorCode = ErrorCode(-32042);

/// What a request is repeated with: the answers so far, and the server's state, exactly as it was sent.
pub(super) type Inputs = (Option<InputResponses>, Option<String>);

/// One way of having begun the session.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) running: RunningService<RoleClient, Handler>,
    /// Whether the server has not confirmed in this run that it still speaks this revision.
    pub(super) from_memory: bool,
    /// Requests without an answer.
    under_way: Mutex<HashSet<RequestId>>,
}

impl Open {
    pub(super) fn new(running: RunningService<RoleClient, Handler>, from_memory: bool) -> Self {
        Self { running, from_memory, under_way: Mutex::default() }
    }

    pub(super) fn peer_info(&self) -> Option<Arc<ServerPeerInfo>> {
        self.running.peer().peer_info()
    }

    /// Sends a request until its answer is a result, and answers what is asked on the way.
    pub(super) async fn rounds(
        &self,
        request: &(dyn Fn(Inputs) -> ClientRequest + Send + Sync),
    ) -> Result<ServerResult, ServiceError> {
        let mut inputs = Inputs::default();
        let mut pause = PAUSE;
        for _ in 0..MAX_ROUNDS {
            let (questions, state) = match self.send(request(inputs.clone())).await {
                Ok(ServerResult::InputRequiredResult(result)) => {
                    let questions = serde_json::to_value(result.input_requests).expect("it came as JSON");
                    (questions, result.request_state)
                }
                // With a question in it that rmcp cannot read.
                Ok(ServerResult::CustomResult(result)) if result.0["resultType"] == "input_required" => {
                    let state = result.0["requestState"].as_str().map(str::to_owned);
                    (result.0["inputRequests"].clone(), state)
                }
                Err(ServiceError::McpError(error)) if error.code == URL_ELICITATION_REQUIRED => {
                    if !self.visits(error.data.as_ref()).await? {
                        return Err(ServiceError::McpError(error));
                    }
                    continue;
                }
                done => return done,
            };
            let mut responses = InputResponses::new();
            for (key, question) in questions.as_object().into_iter().flatten() {
                responses.insert(key.clone(), self.respond(question.clone()).await?);
            }
            if responses.is_empty() {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            inputs = ((!responses.is_empty()).then_some(responses), state);
        }
        Err(ServiceError::InputRequiredRoundsExceeded { max_rounds: MAX_ROUNDS })
    }

    async fn respond(&self, question: Value) -> Result<Value, ServiceError> {
        self.running.service().respond(question, self.running.peer()).await.map_err(ServiceError::McpError)
    }

    /// Whether every page that an error names was visited, and there was one.
    async fn visits(&self, data: Option<&Value>) -> Result<bool, ServiceError> {
        let pages = data.and_then(|data| data["elicitations"].as_array()).map(Vec::as_slice).unwrap_or_default();
        for page in pages {
            let question = json!({"method": "elicitation/create", "params": page});
            if self.respond(question).await?["action"] != "accept" {
                return Ok(false);
            }
        }
        Ok(!pages.is_empty())
    }

    /// Sends a request and waits for its answer. One that is dropped meanwhile stays under way.
    async fn send(&self, request: ClientRequest) -> Result<ServerResult, ServiceError> {
        let mut options = PeerRequestOptions::no_options();
        if self.is_modern()
            && let Some(level) = self.running.service().wants()
        {
            let mut meta = RequestMetaObject::default();
            meta.set_log_level(level.into());
            options.meta = Some(meta);
        }
        let handle = self.running.send_cancellable_request(request, options).await?;
        self.running.service().follows(handle.progress_token.clone());
        let id = handle.id.clone();
        self.under_way().insert(id.clone());
        let answered = handle.await_response().await;
        self.under_way().remove(&id);
        answered
    }

    /// Tells the server that nobody waits for these answers: `notifications/cancelled`, or since 2026-07-28 the end of
    /// their streams.
    pub(super) async fn cancel_what_is_under_way(&self) {
        let given_up: Vec<_> = self.under_way().drain().collect();
        for id in given_up {
            let params = CancelledNotificationParam::new(Some(id), Some("nobody waits for it any more".to_owned()));
            let told = self.running.send_notification(CancelledNotification::new(params).into());
            let _ = tokio::time::timeout(FAREWELL, told).await;
        }
    }

    /// Asks a server of 2025 for the log lines that somebody wants; one of 2026 is asked in each request.
    pub(super) async fn ask_for_log(&self) {
        let has_log = self.peer_info().is_some_and(|info| info.capabilities.logging.is_some());
        if let Some(level) = self.running.service().wants().filter(|_| has_log && !self.is_modern())
            && let Err(error) = self.running.set_level(SetLevelRequestParams::new(level.into())).await
        {
            // Debug escapes what the server says.
            tracing::debug!(?error, "the server does not let its log be heard");
        }
    }

    fn is_modern(&self) -> bool {
        self.peer_info().is_some_and(|info| !info.protocol_version.has_initialize())
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<RequestId>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to remember of the way it began.
    pub(super) fn era(&self) -> Option<Era> {
        let info = self.peer_info()?;
        if info.protocol_version.has_initialize() {
            return Some(Era::Legacy);
        }
        let mut discovered = DiscoverResult::new(vec![info.protocol_version.clone()], info.capabilities.clone());
        if let Some(server) = &info.server_info {
            discovered.set_server_info(Implementation::new(server.name.clone(), server.version.clone()));
        }
        Some(Era::Modern(Box::new(discovered)))
    }
}

/// The answer to a request is that to another one.
pub(super) fn unexpected() -> ServiceError {
    ServiceError::UnexpectedResponse
}
