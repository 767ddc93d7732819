//! An MCP session over Streamable HTTP, of whichever revision the server speaks.

use std::{
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rmcp::{
    model::{
        CallToolRequestParams, CallToolResult, ClientRequest, DiscoverResult, ErrorCode, ErrorData,
        GetPromptRequestParams, GetPromptResult, Prompt, ProtocolVersion, ReadResourceRequestParams,
        ReadResourceResult, Request, Resource, ResourceTemplate, ServerCapabilities, ServerResult, Tool,
    },
    service::{ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, ServiceError},
    transport::{
        StreamableHttpClientTransport,
        common::client_side_sse::ExponentialBackoff,
        streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError},
    },
};
use serde_json::{Map, Value};

use super::{
    Client, ClientError,
    bearer::Bearer,
    error::said,
    host::{Handler, Host, server_name},
    rounds::{Inputs, Open, unexpected},
    servers::Era,
    transport::Wire,
};

/// How often a broken event stream is taken up again.
const MAX_RECONNECTS: usize = 3;

/// How long a server may think about `server/discover`.
const MAX_PROBE: Duration = Duration::from_secs(10);

/// An open session.
#[derive(Debug)]
pub struct Session {
    client: Client,
    handler: Handler,
    open: RwLock<Arc<Open>>,
}

/// A request under way.
pub(super) type Asked<T> = Pin<Box<dyn Future<Output = Result<T, ServiceError>> + Send>>;

/// How to begin.
#[derive(Clone, Debug)]
enum Opening {
    Remembered(Box<DiscoverResult>),
    Discover,
    Initialize,
}

/// Why a session did not begin.
enum NotBegun {
    /// The server does not begin in this way; it may in another.
    OtherEra(ClientError),
    Failed(ClientError),
}

impl Client {
    /// Opens a session; gets a token on the way if the server asks for one.
    ///
    /// The server is offered what the host can answer. With a server that is known to speak 2026-07-28, nothing is sent
    /// yet: the first request is the first message.
    pub async fn connect(&self, host: Host) -> Result<Session, ClientError> {
        let (held, era) = self.recall().await?;
        let bearer = Arc::new(Bearer::new(self.clone(), held));
        let handler = Handler::new(host, bearer);
        let open = RwLock::new(Arc::new(Box::pin(self.open(&handler, era)).await?));
        Ok(Session { client: self.clone(), handler, open })
    }

    /// Begins in the way that is remembered, else in the newest way that the server understands, and remembers it.
    async fn open(&self, handler: &Handler, era: Option<Era>) -> Result<Open, ClientError> {
        let ways = match &era {
            Some(Era::Modern(discovered)) => vec![Opening::Remembered(discovered.clone())],
            Some(Era::Legacy) => vec![Opening::Initialize, Opening::Discover],
            None => vec![Opening::Discover, Opening::Initialize],
        };
        let mut last = None;
        for way in ways {
            match self.begin(handler, way).await {
                Ok(open) => {
                    let now = open.era();
                    if now != era {
                        self.note_era(now).await?;
                    }
                    return Ok(open);
                }
                Err(NotBegun::OtherEra(error)) => last = Some(error),
                Err(NotBegun::Failed(error)) => return Err(error),
            }
        }
        Err(last.expect("there is at least one way"))
    }

    async fn begin(&self, handler: &Handler, way: Opening) -> Result<Open, NotBegun> {
        let server = &self.settings.server;
        let http = self.web.at(&server.url()).map_err(|error| NotBegun::Failed(error.into()))?.unbounded().clone();
        let mut config = StreamableHttpClientTransportConfig::with_uri(server.as_str());
        let mut retries = ExponentialBackoff::default();
        (retries.max_times, retries.max_delay) = (Some(MAX_RECONNECTS), Some(self.settings.timeout));
        config.retry_config = Arc::new(retries);
        // Some servers of 2025 answer nothing at all to what they do not know.
        let probing = matches!(way, Opening::Discover);
        let patience = if probing { self.settings.timeout.min(MAX_PROBE) } else { self.settings.timeout };
        let modern = || ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
        let (remembered, mode) = match way {
            Opening::Remembered(discovered) => (Some(*discovered), modern()),
            Opening::Discover => (None, modern()),
            Opening::Initialize => (None, ClientLifecycleMode::Initialize),
        };
        let from_memory = remembered.is_some();
        let wire = Wire::new(http, handler.bearer().clone(), remembered);
        let transport = StreamableHttpClientTransport::with_client(wire, config);
        let begun =
            handler.bearer().within(patience, Box::pin(handler.clone().serve_with_lifecycle(transport, mode))).await;
        let error = match begun {
            Ok(Ok(running)) => {
                let open = Open::new(running, from_memory);
                handler.bearer().within(patience, open.ask_for_log()).await.map_err(NotBegun::Failed)?;
                return Ok(open);
            }
            Ok(Err(error)) => self.initialize_error(error),
            Err(error) => error,
        };
        // Whatever the server made of it: it did not understand the question.
        let asked_in_vain = matches!(error, ClientError::TimedOut { .. }) && probing;
        match error {
            ClientError::Rpc { .. } | ClientError::NotMcp { .. } | ClientError::Status { .. } => {
                Err(NotBegun::OtherEra(error))
            }
            _ if asked_in_vain => Err(NotBegun::OtherEra(error)),
            _ => Err(NotBegun::Failed(error)),
        }
    }

    fn initialize_error(&self, error: ClientInitializeError) -> ClientError {
        match error {
            ClientInitializeError::JsonRpcError(error) => rpc_error(&error),
            ClientInitializeError::TransportError { error, .. } => self.transport_error(error.error),
            other => self.not_mcp(&other.to_string()),
        }
    }

    fn service_error(&self, error: ServiceError) -> ClientError {
        match error {
            ServiceError::McpError(error) => rpc_error(&error),
            ServiceError::TransportSend(error) => self.transport_error(error.error),
            ServiceError::TransportClosed => self
                .not_mcp("the stream of its answer broke off, or had an event in it that is larger than what is read"),
            other => self.not_mcp(&other.to_string()),
        }
    }

    /// Our own error comes back out of rmcp's.
    fn transport_error(&self, error: Box<dyn std::error::Error + Send + Sync>) -> ClientError {
        match error.downcast::<StreamableHttpError<ClientError>>() {
            Ok(error) => match *error {
                StreamableHttpError::Client(error) => error,
                other => self.not_mcp(&other.to_string()),
            },
            Err(other) => self.not_mcp(&other.to_string()),
        }
    }

    fn not_mcp(&self, problem: &str) -> ClientError {
        ClientError::NotMcp { server: self.settings.server.to_string(), problem: said(problem) }
    }
}

impl Session {
    /// Every tool of the server, page by page.
    pub async fn list_tools(&self) -> Result<Vec<Tool>, ClientError> {
        let tools = self.ask((), |open, ()| Box::pin(async move { open.running.list_all_tools().await })).await?;
        self.client.note_tools(&tools).await;
        Ok(tools)
    }

    /// Calls a tool. An error that the tool itself reports is a result with `is_error`.
    pub async fn call_tool(&self, name: &str, arguments: Map<String, Value>) -> Result<CallToolResult, ClientError> {
        let params = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments);
        let result = self.converse(move |inputs| {
            let mut params = params.clone();
            (params.input_responses, params.request_state) = inputs;
            ClientRequest::CallToolRequest(Request::new(params))
        });
        match result.await? {
            ServerResult::CallToolResult(result) => Ok(result),
            _ => Err(self.client.service_error(unexpected())),
        }
    }

    /// Every resource of the server, page by page.
    pub async fn list_resources(&self) -> Result<Vec<Resource>, ClientError> {
        self.offers("resources", |capabilities| capabilities.resources.is_some()).await?;
        self.ask((), |open, ()| Box::pin(async move { open.running.list_all_resources().await })).await
    }

    /// Every template that URIs of resources are made of, page by page.
    pub async fn list_resource_templates(&self) -> Result<Vec<ResourceTemplate>, ClientError> {
        self.offers("resources", |capabilities| capabilities.resources.is_some()).await?;
        self.ask((), |open, ()| Box::pin(async move { open.running.list_all_resource_templates().await })).await
    }

    /// What a resource holds.
    pub async fn read_resource(&self, uri: &str) -> Result<ReadResourceResult, ClientError> {
        self.offers("resources", |capabilities| capabilities.resources.is_some()).await?;
        let params = ReadResourceRequestParams::new(uri);
        let result = self.converse(move |inputs| {
            let mut params = params.clone();
            (params.input_responses, params.request_state) = inputs;
            ClientRequest::ReadResourceRequest(Request::new(params))
        });
        match result.await? {
            ServerResult::ReadResourceResult(result) => Ok(result),
            _ => Err(self.client.service_error(unexpected())),
        }
    }

    /// Every prompt of the server, page by page.
    pub async fn list_prompts(&self) -> Result<Vec<Prompt>, ClientError> {
        self.offers("prompts", |capabilities| capabilities.prompts.is_some()).await?;
        self.ask((), |open, ()| Box::pin(async move { open.running.list_all_prompts().await })).await
    }

    /// A prompt with these arguments filled in.
    pub async fn get_prompt(&self, name: &str, arguments: Map<String, Value>) -> Result<GetPromptResult, ClientError> {
        self.offers("prompts", |capabilities| capabilities.prompts.is_some()).await?;
        let params = GetPromptRequestParams::new(name).with_arguments(arguments);
        let result = self.converse(move |inputs| {
            let mut params = params.clone();
            (params.input_responses, params.request_state) = inputs;
            ClientRequest::GetPromptRequest(Request::new(params))
        });
        match result.await? {
            ServerResult::GetPromptResult(result) => Ok(result),
            _ => Err(self.client.service_error(unexpected())),
        }
    }

    /// The revision that is spoken.
    pub fn protocol_version(&self) -> String {
        self.current().peer_info().map(|info| info.protocol_version.to_string()).unwrap_or_default()
    }

    /// How the server calls itself, unescaped; empty if it does not say.
    pub fn server_name(&self) -> String {
        server_name(self.current().running.peer())
    }

    /// Ends the session at the server too; a request that was given up while under way is cancelled there.
    pub async fn close(self) {
        let open = self.open.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = Arc::into_inner(open) {
            open.cancel_what_is_under_way().await;
            // What is left to go wrong concerns nobody any more.
            let _ = open.running.cancel().await;
        }
    }

    fn current(&self) -> Arc<Open> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The answer to a request; if the server turns out to speak another generation, to the request in that one.
    pub(super) async fn ask<P: Clone, T>(
        &self,
        params: P,
        request: impl Fn(Arc<Open>, P) -> Asked<T>,
    ) -> Result<T, ClientError> {
        let open = self.current();
        match self.ask_once(request(Arc::clone(&open), params.clone())).await {
            Err(error) if self.begins_otherwise(&open, &error).await? => {
                self.ask_once(request(self.current(), params)).await
            }
            done => done,
        }
    }

    /// The last result of a request whose answer may be a question, `input_required`: asked again with the answers.
    async fn converse(
        &self,
        request: impl Fn(Inputs) -> ClientRequest + Send + Sync + 'static,
    ) -> Result<ServerResult, ClientError> {
        let request = Arc::new(request);
        let result = self.ask(request, |open, request| Box::pin(async move { open.rounds(&*request).await })).await;
        match self.handler.unanswered() {
            Some(unanswered) => Err(unanswered.into()),
            None => result,
        }
    }

    async fn ask_once<T>(&self, asked: Asked<T>) -> Result<T, ClientError> {
        let answered = self.handler.bearer().in_time(asked).await?;
        answered.map_err(|error| self.client.service_error(error))
    }

    /// Whether the server says that it has any; many answer nothing useful when asked for what they do not have.
    pub(super) async fn offers(
        &self,
        what: &'static str,
        has: impl Fn(&ServerCapabilities) -> bool,
    ) -> Result<(), ClientError> {
        let lacks = |open: &Open| open.peer_info().is_some_and(|info| !has(&info.capabilities));
        let open = self.current();
        // What it had in an earlier run is not what it has.
        if lacks(&open) && (!open.from_memory || lacks(&*self.begin_anew().await?)) {
            return Err(ClientError::HasNone { server: self.client.settings.server.to_string(), what });
        }
        Ok(())
    }

    /// Whether the server turned out to speak another generation than it did in an earlier run; if so, the session has
    /// begun anew. A server that still begins as remembered meant its error, and nothing is sent twice.
    async fn begins_otherwise(&self, open: &Open, error: &ClientError) -> Result<bool, ClientError> {
        let doubtful = match error {
            ClientError::Rpc { code, .. } => WRONG_ERA.contains(&ErrorCode(*code)),
            ClientError::Status { status, .. } => (400..500).contains(status),
            _ => false,
        };
        if !open.from_memory || !doubtful {
            return Ok(false);
        }
        Ok(self.begin_anew().await?.era() != open.era())
    }

    /// Begins without trusting what is remembered.
    async fn begin_anew(&self) -> Result<Arc<Open>, ClientError> {
        let now = Arc::new(self.client.open(&self.handler, None).await?);
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&now);
        Ok(now)
    }
}

/// What servers answer to a message of the other generation; -32000 is what the TypeScript SDK says.
const WRONG_ERA: [ErrorCode; 4] = [
    ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
    ErrorCode::METHOD_NOT_FOUND,
    ErrorCode::INVALID_REQUEST,
    ErrorCode(-32000),
];

/// In an error's `data`, as `reason`: the server guards another one, which does not answer.
const UPSTREAM_DOWN: &str = "upstream_down";

fn rpc_error(error: &ErrorData) -> ClientError {
    if error.data.as_ref().is_some_and(|data| data["reason"] == UPSTREAM_DOWN) {
        return ClientError::UpstreamDown { message: said(&error.message) };
    }
    ClientError::Rpc { code: error.code.0, message: said(&error.message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{
            Kind,
            testing::{World, echo},
        },
        oauth::Resource,
    };

    #[tokio::test]
    async fn a_call_finds_its_own_way_from_nothing_to_the_answer() {
        let world = World::new().await;
        assert_eq!(echo(&world.client()).await.unwrap(), "hi");
        assert_eq!(
            world.whats(),
            [
                "POST /mcp server/discover",
                "GET /.well-known/oauth-protected-resource/mcp",
                "GET /.well-known/oauth-authorization-server",
                "POST /token",
                "POST /mcp server/discover",
                "POST /mcp tools/call",
            ]
        );
    }

    #[tokio::test]
    async fn a_second_call_is_one_request() {
        let world = World::new().await;
        echo(&world.client()).await.unwrap();
        world.seen();
        // From another task, as a gateway would.
        let client = world.client();
        assert_eq!(tokio::spawn(async move { echo(&client).await }).await.unwrap().unwrap(), "hi");
        assert_eq!(world.whats(), ["POST /mcp tools/call"]);
    }

    #[tokio::test]
    async fn a_server_of_2025_is_initialized_and_the_next_time_at_once() {
        let world = World::new().await;
        world.change(|rules| rules.modern = false);
        let session = world.client().connect(Host::default()).await.unwrap();
        assert_eq!((session.protocol_version(), session.server_name()), ("2025-11-25".into(), "world".into()));
        assert_eq!(session.list_tools().await.unwrap()[0].name, "echo");
        session.close().await;
        world.seen();
        assert_eq!(echo(&world.client()).await.unwrap(), "hi");
        let expected = ["POST /mcp initialize", "POST /mcp notifications/initialized", "POST /mcp tools/call"];
        assert_eq!(world.whats(), expected);
    }

    #[tokio::test]
    async fn a_server_that_changed_its_generation_is_asked_anew() {
        let world = World::new().await;
        for modern in [true, false, true] {
            world.change(|rules| rules.modern = modern);
            assert_eq!(echo(&world.client()).await.unwrap(), "hi");
            world.seen();
            assert_eq!(echo(&world.client()).await.unwrap(), "hi");
            assert_eq!(world.whats().iter().any(|what| what.ends_with("initialize")), !modern);
        }
    }

    #[tokio::test]
    async fn an_open_server_needs_no_token() {
        let world = World::new().await;
        world.change(|rules| rules.protected = false);
        let nobody = world.client_with(|settings| (settings.client_id, settings.client_secret) = (None, None));
        assert_eq!(echo(&nobody).await.unwrap(), "hi");
        assert!(world.seen().iter().all(|seen| seen.authorization.is_none()));
    }

    #[tokio::test]
    async fn a_servers_error_keeps_its_code_and_loses_its_escapes() {
        let world = World::new().await;
        let session = world.client().connect(Host::default()).await.unwrap();
        let error = session.call_tool("fail", Map::new()).await.unwrap_err();
        let ClientError::Rpc { code, message } = &error else { panic!("{error:?}") };
        assert_eq!((*code, message.as_str()), (-32602, "no \\u{1b}[31mtool\\nhere"));
        assert_eq!(error.kind(), Kind::Server);
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_to_what_it_does_not_know_is_initialized() {
        let world = World::new().await;
        world.change(|rules| (rules.modern, rules.hangs_on) = (false, "server/discover"));
        let client = world.client_with(|settings| settings.timeout = Duration::from_millis(200));
        assert_eq!(echo(&client).await.unwrap(), "hi");
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_left() {
        let world = World::new().await;
        world.change(|rules| rules.hangs_on = "tools/call");
        let client = world.client_with(|settings| settings.timeout = Duration::from_millis(100));
        let error = echo(&client).await.unwrap_err();
        assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
        let nowhere =
            world.client_with(|settings| settings.server = Resource::parse("http://127.0.0.1:1/mcp").unwrap());
        assert_eq!(echo(&nowhere).await.unwrap_err().kind(), Kind::Unreachable);
    }
}
