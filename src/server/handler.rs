//! The MCP server proper: what rmcp asks us when a message has passed every check.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::http::request::Parts;
use futures_util::FutureExt as _;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult,
        Implementation, JsonObject, ListToolsResult, PaginatedRequestParams, RequestStateCodec, ServerCapabilities,
        ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    ask::{RoundTripAsk, SessionAsk},
    listing::{Listing, excuse},
};
use crate::{
    auth::Principal,
    clock::SharedClock,
    gateway::Status,
    secret::sha256_base64url,
    telemetry::{
        audit::{self, Event},
        metrics::Metrics,
        request::Ids,
    },
    tools::{Ask, AskError, CallContext, CallError, NoAsk, Output, Tools},
};

/// In an error's `data`, as `reason`: the guarded server is the one that does not answer. Our client looks for it.
const UPSTREAM_DOWN: &str = "upstream_down";
/// How much of a tool's name is in an audit event, in characters: it may be none of ours.
const MAX_NAME: usize = 128;

/// Cheap to clone: rmcp makes one for every stateless request.
#[derive(Clone)]
pub(super) struct Handler {
    shared: Arc<Shared>,
}

struct Shared {
    tools: Arc<Tools>,
    upstream: Option<Arc<Status>>,
    listing: Listing,
    info: ServerConfig,
    state_codec: RequestStateCodec,
    clock: SharedClock,
    metrics: Metrics,
}

impl Shared {
    fn excuse(&self) -> Option<String> {
        excuse(&self.tools, self.upstream.as_deref())
    }
}

impl Handler {
    /// With `show_locked`, callers also see tools of an upstream server that their token does not allow.
    pub(super) fn new(
        tools: Arc<Tools>,
        upstream: Option<Arc<Status>>,
        show_locked: bool,
        clock: SharedClock,
        metrics: Metrics,
    ) -> Self {
        let listing = Listing::new(Arc::clone(&tools), show_locked);
        let info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("securemcp", env!("CARGO_PKG_VERSION")));
        // A new key with each start: a question left open across a restart is asked again.
        let key = crate::secret::Secret::random();
        let state_codec =
            RequestStateCodec::try_new(key.expose().as_bytes()).expect("43 bytes are more than the 32 that it wants");
        Self { shared: Arc::new(Shared { tools, upstream, listing, info, state_codec, clock, metrics }) }
    }

    async fn run(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let principal = principal(&context)?;
        let shared = &self.shared;
        let arguments = request.arguments.unwrap_or_default();
        let state = request.request_state.as_deref();
        let definition = shared.tools.find(&request.name);
        let shows = definition.as_ref().and_then(|definition| definition.shows);
        let asks = definition.is_some_and(|definition| definition.asks);
        if !asks && state.is_none() {
            return self.run_alone(principal, context.ct, &request.name, shows, arguments).await;
        }
        // Sessions have an initialize handshake behind them; a stateless request brings its capabilities along.
        let Some(capabilities) = context.meta.client_capabilities() else {
            let ask = Arc::new(SessionAsk::new(context.peer));
            let call = self.call_context(principal, context.ct, ask);
            return self.answer(shows, shared.tools.call(&request.name, arguments, &call).await);
        };
        let binding = binding(&principal, &request.name, &arguments);
        let can_sample = capabilities.sampling.is_some();
        let ask = RoundTripAsk::new(&shared.state_codec, &binding, can_sample, state, request.input_responses)
            .map_err(|_| foreign_state(&principal, &request.name))?;
        let ask = Arc::new(ask);
        let call = self.call_context(principal, context.ct, Arc::clone(&ask) as _);
        let result = shared.tools.call(&request.name, arguments, &call).await;
        if let Err(CallError::Ask(AskError::Pending)) = &result
            && let Some(question) = ask.input_required(&shared.state_codec, &binding)
        {
            return Ok(question.into());
        }
        self.answer(shows, result)
    }

    /// Runs a tool that has nobody to ask.
    pub(super) async fn run_alone(
        &self,
        principal: Arc<Principal>,
        cancel: CancellationToken,
        name: &str,
        shows: Option<&str>,
        arguments: JsonObject,
    ) -> Result<CallToolResponse, ErrorData> {
        let call = self.call_context(principal, cancel, Arc::new(NoAsk));
        self.answer(shows, self.shared.tools.call(name, arguments, &call).await)
    }

    fn answer(&self, shows: Option<&str>, result: Result<Output, CallError>) -> Result<CallToolResponse, ErrorData> {
        match result {
            Ok(Output::Upstream(result)) => Ok((*result).into()),
            Ok(Output::Value(value)) => {
                let text = for_people(&value, shows);
                // `CallToolResult::structured` would write the whole value as a text that is not wanted.
                let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
                result.structured_content = Some(value);
                Ok(result.into())
            }
            // It may well be a tool of the guarded server, which has not said yet what it has.
            Err(CallError::UnknownTool(_)) if let Some(excuse) = self.shared.excuse() => {
                Ok(CallToolResult::error(vec![ContentBlock::text(excuse)]).into())
            }
            Err(error @ CallError::UnknownTool(_)) => Err(ErrorData::invalid_params(error.to_string(), None)),
            // Told as a result, so that a model reads it and can do better.
            Err(error) => Ok(CallToolResult::error(vec![ContentBlock::text(error.to_string())]).into()),
        }
    }

    fn call_context(&self, principal: Arc<Principal>, cancel: CancellationToken, ask: Arc<dyn Ask>) -> CallContext {
        let mut call = CallContext::new(principal, Arc::clone(&self.shared.clock));
        (call.cancel, call.ask, call.metrics) = (cancel, ask, self.shared.metrics.clone());
        call
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        self.shared.info.clone()
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.shared.listing.find(name)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let principal = principal(&context)?;
        // An empty list would say that there are no tools.
        if let Some(excuse) = self.shared.excuse() {
            return Err(ErrorData::internal_error(excuse, Some(json!({ "reason": UPSTREAM_DOWN }))));
        }
        Ok(ListToolsResult::with_all_items(self.shared.listing.for_caller(&principal)))
    }

    fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<CallToolResponse, ErrorData>> + Send {
        // This is a task of rmcp's own: without its ids an audit line would not be found again.
        let parts = context.extensions.get::<Parts>();
        let ids = parts.and_then(|parts| parts.extensions.get::<Ids>()).cloned();
        // Boxed, because rmcp copies this future several times on its way into a task.
        Box::pin(async move {
            let call = unless_it_panics(self.run(request, context));
            match ids {
                Some(ids) => ids.around(call).await,
                None => call.await,
            }
        })
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        // Methods that there are not have been refused: these are ours, with parameters that rmcp cannot read.
        Err(ErrorData::invalid_params(unfit_params(&request.method, request.params.as_ref()), None))
    }
}

/// Why the parameters of a method that there is do not fit it.
fn unfit_params(method: &str, params: Option<&Value>) -> String {
    match params.and_then(|params| params.get("arguments")) {
        Some(arguments) if method == "tools/call" && !arguments.is_object() => {
            "`arguments` of `tools/call` must be an object".to_owned()
        }
        _ => format!("the parameters do not fit `{method}`"),
    }
}

/// Who asks: read from this very request, never from what a session knew when it began.
fn principal(context: &RequestContext<RoleServer>) -> Result<Arc<Principal>, ErrorData> {
    let parts = context.extensions.get::<Parts>();
    let principal = parts.and_then(|parts| parts.extensions.get::<Arc<Principal>>()).cloned();
    principal.ok_or_else(|| ErrorData::internal_error("the request has no principal", None))
}

/// A panic as an error, in a caller's own terms. Of rmcp's calls, which run on tasks of their own, nobody would ever hear
/// otherwise: the layer around the routes cannot catch it there.
pub(super) async fn unless_it_panics<T>(call: impl Future<Output = Result<T, ErrorData>>) -> Result<T, ErrorData> {
    // The panic hook has logged what happened and where.
    let answer = AssertUnwindSafe(call).catch_unwind().await;
    answer.unwrap_or_else(|_cause| Err(ErrorData::internal_error("internal error", None)))
}

/// A result as a person reads it: the one member that the tool shows, else all of it.
fn for_people(result: &Value, shows: Option<&str>) -> String {
    match shows.and_then(|member| result.get(member)) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => result.to_string(),
    }
}

fn foreign_state(principal: &Principal, tool: &str) -> ErrorData {
    let message = "`requestState` is not one of this server for this call";
    let operation = format!("tools/call {}", tool.chars().take(MAX_NAME).collect::<String>());
    audit::record(Event::AccessDenied { actor: principal.actor(), operation: &operation, reason: message });
    ErrorData::invalid_params(message, None)
}

/// What a `requestState` is good for: this caller, this tool, these arguments.
fn binding(principal: &Principal, tool: &str, arguments: &JsonObject) -> Vec<u8> {
    let arguments = serde_json::to_vec(arguments).expect("JSON values");
    let parts = json!([principal.issuer, principal.subject, principal.client_id, tool, sha256_base64url(&arguments)]);
    parts.to_string().into_bytes()
}
