//! Who is there while a session is open: what the server may ask for, and who hears what it tells.
#![expect(
    deprecated,
    reason = "MCP deprecates sampling and logging (SEP-2577); servers of every revision still use them"
)]

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use rmcp::{
    ClientHandler, Peer,
    model::{
        ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult, CustomRequest, CustomResult,
        ElicitRequestParams, ElicitResult, ElicitationCapability, ErrorCode, ErrorData, Implementation,
        ListRootsResult, LoggingMessageNotificationParam, ProgressNotificationParam, ProgressToken, ProtocolVersion,
        SamplingMessage,
    },
    service::{NotificationContext, RequestContext, RoleClient},
};
use serde_json::Value;

use super::{
    bearer::Bearer,
    elicitation::{PAGE, Question, Reply, Respondent, Unanswered},
    listener::{Level, Listener},
    sampling::Sampler,
};

/// How much a server may ask in one session: each time the clock for its own answer starts anew.
const MAX_QUESTIONS: usize = 32;

const ELICITATION: &str = "elicitation/create";

/// Who is there for the server. By default nobody: then nothing is offered, and what it asks all the same is refused.
#[derive(Clone, Default)]
pub struct Host {
    /// Answers for a model.
    pub sampler: Option<Arc<dyn Sampler>>,
    /// Answers for a person.
    pub respondent: Option<Arc<dyn Respondent>>,
    /// Hears what the server tells.
    pub listener: Option<Arc<dyn Listener>>,
}

/// The host, as rmcp wants it.
#[derive(Clone)]
pub(super) struct Handler {
    host: Host,
    bearer: Arc<Bearer>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    questions: AtomicUsize,
    /// People answer one question at a time.
    turn: tokio::sync::Mutex<()>,
    unanswered: Mutex<Option<Unanswered>>,
    /// That of the request under way.
    progress_token: Mutex<Option<ProgressToken>>,
}

impl Handler {
    pub(super) fn new(host: Host, bearer: Arc<Bearer>) -> Self {
        Self { host, bearer, shared: Arc::default() }
    }

    pub(super) fn bearer(&self) -> &Arc<Bearer> {
        &self.bearer
    }

    /// The least important log lines that somebody wants to hear.
    pub(super) fn wants(&self) -> Option<Level> {
        self.host.listener.as_ref()?.wants()
    }

    /// Hears of no other request's progress.
    pub(super) fn follows(&self, token: ProgressToken) {
        *self.shared.progress_token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    /// The question that found no answer, if there was one.
    pub(super) fn unanswered(&self) -> Option<Unanswered> {
        self.shared.unanswered.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Answers one of the questions of an `input_required`.
    pub(super) async fn respond(&self, question: Value, peer: &Peer<RoleClient>) -> Result<Value, ErrorData> {
        let params = &question["params"];
        match question["method"].as_str() {
            Some("sampling/createMessage") => {
                let params = serde_json::from_value(params.clone())
                    .map_err(|_| ErrorData::invalid_params("this is no question for a model", None))?;
                let answer = self.sample(params).await?;
                Ok(serde_json::to_value(answer).expect("JSON values, lists and maps of strings"))
            }
            Some(ELICITATION) => self.elicit(params, peer).await,
            _ => Err(no_roots()),
        }
    }

    async fn sample(&self, params: CreateMessageRequestParams) -> Result<CreateMessageResult, ErrorData> {
        let Some(sampler) = &self.host.sampler else {
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "this client has no model to ask", None));
        };
        self.count()?;
        let request = serde_json::to_value(params).expect("it came as JSON");
        let _busy = self.bearer.busy();
        let text = sampler.sample(request).await.map_err(|reason| ErrorData::internal_error(reason, None))?;
        let answer = CreateMessageResult::new(SamplingMessage::assistant_text(text), "sampling-command".to_owned());
        Ok(answer.with_stop_reason(CreateMessageResult::STOP_REASON_END_TURN))
    }

    /// Answers a question for a person; also one of a kind that was not offered, since the person is to know of it.
    async fn elicit(&self, params: &Value, peer: &Peer<RoleClient>) -> Result<Value, ErrorData> {
        self.count()?;
        let refused = || ErrorData::invalid_params("this client did not offer to answer such questions", None);
        let respondent = self.host.respondent.as_ref().ok_or_else(refused)?;
        let is_form = params["mode"] != PAGE;
        let is_offered = if is_form { respondent.fills_forms() } else { respondent.opens_pages() };
        let server = self.bearer.settings().server.to_string();
        let _busy = self.bearer.busy();
        let _turn = self.shared.turn.lock().await;
        let answered = match Question::of(params, server_name(peer), server) {
            Ok(question) => respondent.answer(question).await,
            Err(unanswered) => Err(unanswered),
        };
        let reply = answered.unwrap_or_else(|unanswered| {
            let mut first = self.shared.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(unanswered);
            Reply::Cancel
        });
        if is_offered { Ok(reply.into_result(is_form)) } else { Err(refused()) }
    }

    fn count(&self) -> Result<(), ErrorData> {
        if self.shared.questions.fetch_add(1, Ordering::Relaxed) < MAX_QUESTIONS {
            return Ok(());
        }
        Err(ErrorData::invalid_request(format!("more than {MAX_QUESTIONS} questions in one session"), None))
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.sampling = self.host.sampler.is_some().then(Default::default);
        if let Some(respondent) = &self.host.respondent {
            let mut elicitation = ElicitationCapability::new();
            elicitation.form = respondent.fills_forms().then(Default::default);
            elicitation.url = respondent.opens_pages().then(Default::default);
            let is_empty = elicitation.form.is_none() && elicitation.url.is_none();
            capabilities.elicitation = (!is_empty).then_some(elicitation);
        }
        ClientConfig::new(capabilities, Implementation::new("securemcp", env!("CARGO_PKG_VERSION")))
            .with_protocol_version(ProtocolVersion::V_2025_11_25)
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.sample(params).await
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let params = serde_json::to_value(request).expect("it came as JSON");
        let answer = self.elicit(&params, &context.peer).await?;
        Ok(serde_json::from_value(answer).expect("made of one of its forms"))
    }

    /// Questions that rmcp cannot read come here.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleClient>,
    ) -> Result<CustomResult, ErrorData> {
        match request.params {
            Some(params) if request.method == ELICITATION => {
                self.elicit(&params, &context.peer).await.map(CustomResult::new)
            }
            _ => Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None)),
        }
    }

    async fn list_roots(&self, _context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Err(no_roots())
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        let followed = self.shared.progress_token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(listener) = self.host.listener.as_ref().filter(|_| followed == Some(params.progress_token.clone()))
        {
            listener.progress(params.into());
        }
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        if let Some(listener) = self.host.listener.as_ref().filter(|listener| listener.wants().is_some()) {
            listener.log(params.into());
        }
    }
}

/// MCP deprecates roots (SEP-2577), and a command that calls one tool has no folders to show.
fn no_roots() -> ErrorData {
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "this client shows no folders (roots)", None)
}

/// How the server calls itself, unescaped.
pub(super) fn server_name(peer: &Peer<RoleClient>) -> String {
    let info = peer.peer_info();
    info.and_then(|info| info.server_info.as_ref().map(|server| server.name.clone())).unwrap_or_default()
}

impl fmt::Debug for Handler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handler").finish_non_exhaustive()
    }
}
