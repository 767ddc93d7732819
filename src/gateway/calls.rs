//! The way of a call to the guarded server: of its tools, its resources and its prompts.

use std::{pin::pin, sync::Arc};

use rmcp::{
    RoleClient,
    model::{
        ArgumentInfo, CallToolRequest, CallToolRequestParams, CallToolResult, CancelledNotificationParam,
        ClientCapabilities, ClientRequest, CompleteRequestParams, CompletionContext, ErrorCode, ErrorData,
        GetPromptRequest, GetPromptRequestParams, GetPromptResult, InputResponses, MetaObject, ReadResourceRequest,
        ReadResourceRequestParams, ReadResourceResult, Reference, RequestId, RequestMetaObject, ResultType,
        ServerResult,
    },
    service::{Peer, PeerRequestOptions, ServiceError},
};
use serde_json::Value;
use tokio::runtime::Handle;

use super::{
    heard::{self, Word},
    questions::Questions,
    status::{Connection, Status},
};
use crate::{
    call::{AskError, Begun, BoxFuture, CallContext},
    config::MayAsk,
    prompts::{Gives, PromptError},
    resources::{self, Readable, Requested, ResourceError},
    said::{said, without_deception},
    tools::{Callable, Output, ToolError},
};

/// Members of a result's `_meta` that are about the connection to the guarded server, and not about the result.
const OF_THE_CONNECTION: &[&str] = &["io.modelcontextprotocol/serverInfo", "io.modelcontextprotocol/subscriptionId"];

/// What servers of 2025 say of a resource that there is none; those of 2026-07-28 say -32602.
const RESOURCE_NOT_FOUND: ErrorCode = ErrorCode(-32002);
/// How many completions are passed on: those that are not told are only counted.
const MAX_COMPLETIONS: usize = 1_000;

/// Why a call has no result.
pub(super) enum Failure {
    /// The guarded server says that it is the caller's fault.
    Refused(ErrorCode, String),
    Failed(String),
    /// A task of the guarded server has ended with this.
    Rpc(ErrorData),
    /// It does this as a task only.
    TaskRequired,
    Ask(AskError),
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

/// What is asked for.
enum Wanted {
    Tool(CallToolRequestParams),
    Resource(ReadResourceRequestParams),
    Prompt(GetPromptRequestParams),
}

impl Wanted {
    fn request(&self) -> ClientRequest {
        match self {
            Self::Tool(params) => CallToolRequest::new(params.clone()).into(),
            Self::Resource(params) => ReadResourceRequest::new(params.clone()).into(),
            Self::Prompt(params) => GetPromptRequest::new(params.clone()).into(),
        }
    }

    /// Whether it is the result that was asked for.
    fn is_answered_by(&self, result: &ServerResult) -> bool {
        match (self, result) {
            (
                Self::Tool(_),
                ServerResult::CallToolResult(_) | ServerResult::EmptyResult(_) | ServerResult::TaskAckResult(_),
            )
            | (Self::Resource(_), ServerResult::ReadResourceResult(_))
            | (Self::Prompt(_), ServerResult::GetPromptResult(_)) => true,
            (Self::Tool(_), ServerResult::CustomResult(result)) => is_bare(&result.0),
            _ => false,
        }
    }

    /// The same with what the caller has answered.
    fn answer(&mut self, responses: InputResponses, state: Option<String>) {
        let (answers, kept) = match self {
            Self::Tool(params) => (&mut params.input_responses, &mut params.request_state),
            Self::Resource(params) => (&mut params.input_responses, &mut params.request_state),
            Self::Prompt(params) => (&mut params.input_responses, &mut params.request_state),
        };
        (*answers, *kept) = (Some(responses), state);
    }
}

impl Connection {
    /// What a request says of the caller whom it is for, if the guarded server reads that.
    pub(super) fn meta(&self, capabilities: ClientCapabilities, context: &CallContext) -> Option<RequestMetaObject> {
        self.is_modern().then(|| {
            let mut meta = RequestMetaObject::default();
            meta.set_client_capabilities(capabilities);
            if let Some(level) = context.tell.log_level() {
                meta.set_log_level(level.into());
            }
            meta
        })
    }

    /// Asks for something, and tells the caller what is told of it on the way.
    ///
    /// Dropping this, when the caller goes away or the time is up, cancels it at the guarded server too.
    async fn ask(
        &self,
        mut request: ClientRequest,
        capabilities: ClientCapabilities,
        context: &CallContext,
    ) -> Result<ServerResult, ServiceError> {
        let mut words = heard::words_of(&mut request);
        let options = with(self.meta(capabilities, context));
        let handle = self.peer().send_cancellable_request(request, options).await?;
        let mut unanswered = Unanswered { peer: self.peer(), id: Some(handle.id.clone()) };
        let mut answer = pin!(handle.await_response());
        let answer = loop {
            tokio::select! {
                biased;
                Some(word) = words.recv() => tell(context, word).await,
                answer = &mut answer => break answer,
            }
        };
        unanswered.id = None;
        while let Ok(word) = words.try_recv() {
            tell(context, word).await;
        }
        answer
    }
}

pub(super) fn with(meta: Option<RequestMetaObject>) -> PeerRequestOptions {
    let options = PeerRequestOptions::no_options();
    match meta {
        Some(meta) => options.with_meta(meta),
        None => options,
    }
}

async fn tell(context: &CallContext, word: Word) {
    match word {
        Word::Progress(progress) => context.tell.progress(progress).await,
        Word::Log(level, data) => context.tell.log(level, data).await,
    }
}

/// A request that is cancelled at the guarded server if nobody waits for its answer any more.
struct Unanswered<'a> {
    peer: &'a Peer<RoleClient>,
    id: Option<RequestId>,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        // Without a runtime, the connection goes down with everything else.
        let (Some(id), Ok(runtime)) = (self.id.take(), Handle::try_current()) else { return };
        let peer = self.peer.clone();
        runtime.spawn(async move {
            let reason = Some("the caller gave up".to_owned());
            // It fails when the connection is over, and the call with it.
            let _ = peer.notify_cancelled(CancelledNotificationParam::new(Some(id), reason)).await;
        });
    }
}

impl Status {
    /// Asks for something until it is there: the questions of a server of 2026-07-28 are its answer to this very call, so
    /// they reach nobody else's client.
    async fn get(&self, mut wanted: Wanted, may_ask: MayAsk, context: &CallContext) -> Result<ServerResult, Failure> {
        let (name, way) = self.way();
        let connection = way.map_err(|down| Failure::Failed(down.before_a_call(&name)))?;
        let mut questions = Questions::of(context, may_ask);
        loop {
            match connection.ask(wanted.request(), questions.capabilities(), context).await {
                Ok(ServerResult::CreateTaskResult(begun)) if context.knows_tasks() => {
                    let result = connection.follow(begun.task, &mut questions, context, &name).await?;
                    return Ok(ServerResult::CallToolResult(result));
                }
                Ok(ServerResult::InputRequiredResult(asked)) => {
                    wanted.answer(questions.pass_on(asked.input_requests, &name).await?, asked.request_state);
                }
                Ok(result) if wanted.is_answered_by(&result) => return Ok(result),
                Ok(_) => {
                    return Err(Failure::Failed(connection.failed(ServiceError::UnexpectedResponse, &name).await));
                }
                Err(ServiceError::McpError(error)) => return Err(refused(&error, &questions, &name)),
                Err(error) => return Err(Failure::Failed(connection.failed(error, &name).await)),
            }
        }
    }

    /// What may be filled in; nothing if the guarded server does not say.
    async fn complete(&self, of: Reference, begun: &Begun) -> Vec<String> {
        let Ok(connection) = self.way().1 else { return Vec::new() };
        let mut params = CompleteRequestParams::new(of, ArgumentInfo::new(&begun.name, &begun.value));
        if !begun.others.is_empty() {
            params.context = Some(CompletionContext::with_arguments(begun.others.clone()));
        }
        let Ok(completed) = connection.peer().complete(params).await else { return Vec::new() };
        let values = completed.completion.values.into_iter().take(MAX_COMPLETIONS);
        values.map(|value| without_deception(&value)).collect()
    }
}

fn refused(error: &ErrorData, questions: &Questions<'_>, name: &str) -> Failure {
    let needed = || {
        let needed = error.data.as_ref()?.get("requiredCapabilities")?.clone();
        let needed: ClientCapabilities = serde_json::from_value(needed).ok()?;
        let question = questions.missing(&needed).map(|missing| AskError::Unsupported(missing).into());
        question.or_else(|| (needed.supports_tasks() && !questions.know_tasks()).then_some(Failure::TaskRequired))
    };
    if error.code == ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY
        && let Some(missing) = needed()
    {
        return missing;
    }
    let message = format!("the guarded server `{name}` answered with error {}: {}", error.code.0, said(&error.message));
    Failure::Refused(error.code, message)
}

fn something_else(status: &Status) -> String {
    format!("the guarded server `{}` answered with something else than a result", status.name())
}

/// Whether a result has nothing but `_meta` in it.
fn is_bare(result: &Value) -> bool {
    result.as_object().is_some_and(|members| members.keys().all(|name| name == "_meta"))
}

fn without_the_connection(meta: &mut Option<MetaObject>) {
    if let Some(meta) = meta {
        for name in OF_THE_CONNECTION {
            meta.remove(*name);
        }
    }
    *meta = meta.take().filter(|meta| !meta.is_empty());
}

/// Something of the guarded server's, by the name that it has there.
pub(super) struct Guarded {
    pub(super) name: String,
    pub(super) status: Arc<Status>,
    pub(super) may_ask: MayAsk,
}

impl Callable for Guarded {
    fn call<'a>(&'a self, arguments: Value, context: &'a CallContext) -> BoxFuture<'a, Result<Output, ToolError>> {
        Box::pin(async move {
            let mut params = CallToolRequestParams::new(self.name.clone());
            if let Value::Object(arguments) = arguments {
                params = params.with_arguments(arguments);
            }
            let result =
                self.status.get(Wanted::Tool(params), self.may_ask, context).await.map_err(
                    |failure| match failure {
                        Failure::Refused(_, message) | Failure::Failed(message) => ToolError::Failed(message),
                        Failure::Rpc(error) => ToolError::Rpc(error),
                        Failure::TaskRequired => ToolError::TaskRequired,
                        Failure::Ask(error) => ToolError::Ask(error),
                    },
                )?;
            let mut result = match result {
                ServerResult::CallToolResult(result) => result,
                // Without `content` rmcp takes it for something else.
                _ => CallToolResult::default(),
            };
            result.result_type = Some(ResultType::COMPLETE);
            without_the_connection(&mut result.meta);
            Ok(Output::Upstream(Box::new(result)))
        })
    }
}

impl Readable for Guarded {
    fn read<'a>(
        &'a self,
        requested: &'a Requested<'a>,
        _definition: &'a resources::Definition,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<ReadResourceResult, ResourceError>> {
        Box::pin(async move {
            let params = ReadResourceRequestParams::new(requested.uri);
            let result = self.status.get(Wanted::Resource(params), self.may_ask, context).await;
            let result = result.map_err(|failure| match failure {
                // There is nothing else in the parameters that could be wrong.
                Failure::Refused(RESOURCE_NOT_FOUND | ErrorCode::INVALID_PARAMS, _) => ResourceError::NotFound,
                Failure::Refused(_, message) | Failure::Failed(message) => ResourceError::Failed(message),
                Failure::Rpc(_) | Failure::TaskRequired => ResourceError::Failed(something_else(&self.status)),
                Failure::Ask(error) => ResourceError::Ask(error),
            })?;
            let ServerResult::ReadResourceResult(result) = result else {
                return Err(ResourceError::Failed(something_else(&self.status)));
            };
            let kept = ReadResourceResult::new(result.contents).with_ttl_ms(result.ttl_ms.unwrap_or_default());
            // Whatever the guarded server says: other callers may not read it.
            Ok(kept.with_cache_scope(rmcp::model::CacheScope::Private))
        })
    }

    fn complete<'a>(&'a self, begun: &'a Begun, _context: &'a CallContext) -> BoxFuture<'a, Vec<String>> {
        Box::pin(self.status.complete(Reference::for_resource(&self.name), begun))
    }
}

impl Gives for Guarded {
    fn get<'a>(
        &'a self,
        arguments: Value,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<GetPromptResult, PromptError>> {
        Box::pin(async move {
            let mut params = GetPromptRequestParams::new(&self.name);
            if let Value::Object(arguments) = arguments {
                params = params.with_arguments(arguments);
            }
            let result = self.status.get(Wanted::Prompt(params), self.may_ask, context).await;
            let result = result.map_err(|failure| match failure {
                Failure::Refused(ErrorCode::INVALID_PARAMS, message) => PromptError::argument("", message),
                Failure::Refused(_, message) | Failure::Failed(message) => PromptError::Failed(message),
                Failure::Rpc(_) | Failure::TaskRequired => PromptError::Failed(something_else(&self.status)),
                Failure::Ask(error) => PromptError::Ask(error),
            })?;
            let ServerResult::GetPromptResult(mut result) = result else {
                return Err(PromptError::Failed(something_else(&self.status)));
            };
            result.result_type = Some(ResultType::COMPLETE);
            result.description = result.description.map(|text| without_deception(&text));
            without_the_connection(&mut result.meta);
            Ok(result)
        })
    }

    fn complete<'a>(&'a self, begun: &'a Begun, _context: &'a CallContext) -> BoxFuture<'a, Vec<String>> {
        Box::pin(self.status.complete(Reference::for_prompt(&self.name), begun))
    }
}
