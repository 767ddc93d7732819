//! An MCP session over Streamable HTTP, of whichever revision the server speaks.
#![expect(deprecated, reason = "MCP deprecates sampling (SEP-2577); servers of every revision still ask for it")]

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use rmcp::{
    ClientHandler,
    model::{
        CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, CreateMessageRequestParams,
        CreateMessageResult, DiscoverResult, ErrorCode, ErrorData, Implementation, ProtocolVersion, SamplingMessage,
        ServerPeerInfo, Tool,
    },
    service::{
        ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, RequestContext, RoleClient, RunningService,
        ServiceError,
    },
    transport::{
        StreamableHttpClientTransport,
        common::client_side_sse::ExponentialBackoff,
        streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError},
    },
};
use serde_json::{Map, Value};

use super::{
    Client, ClientError,
    error::said,
    servers::Era,
    transport::{Bearer, Wire},
};

/// How often a server may ask for the model in one session: each time the clock for its own answer starts anew.
const MAX_SAMPLINGS: usize = 16;

/// How often a broken event stream is taken up again.
const MAX_RECONNECTS: usize = 3;

/// A future without a name.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Answers a server that asks for its caller's model.
pub trait Sampler: Send + Sync {
    /// Answers one `sampling/createMessage`, whose params these are, with a text, or with the reason why not.
    fn sample(&self, request: Value) -> BoxFuture<'_, Result<String, String>>;
}

/// An open session.
#[derive(Debug)]
pub struct Session {
    client: Client,
    handler: Handler,
    open: RwLock<Arc<Open>>,
}

/// One way of having begun the session.
#[derive(Debug)]
struct Open {
    running: RunningService<RoleClient, Handler>,
    /// Whether the server has not confirmed in this run that it still speaks this revision.
    from_memory: bool,
}

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

/// What the server may ask of us.
#[derive(Clone)]
struct Handler {
    sampler: Option<Arc<dyn Sampler>>,
    samplings: Arc<AtomicUsize>,
    bearer: Arc<Bearer>,
}

impl Client {
    /// Opens a session; gets a token on the way if the server asks for one.
    ///
    /// Without a sampler the server is not offered sampling. With a server that is known to speak 2026-07-28, nothing is
    /// sent yet: the first request is the first message.
    pub async fn connect(&self, sampler: Option<Arc<dyn Sampler>>) -> Result<Session, ClientError> {
        let (held, era) = self.recall().await?;
        let bearer = Arc::new(Bearer::new(self.clone(), held));
        let handler = Handler { sampler, samplings: Arc::default(), bearer };
        let open = RwLock::new(Arc::new(self.open(&handler, era).await?));
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
        let modern = || ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
        let (remembered, mode) = match way {
            Opening::Remembered(discovered) => (Some(*discovered), modern()),
            Opening::Discover => (None, modern()),
            Opening::Initialize => (None, ClientLifecycleMode::Initialize),
        };
        let from_memory = remembered.is_some();
        let wire = Wire::new(http, handler.bearer.clone(), remembered);
        let transport = StreamableHttpClientTransport::with_client(wire, config);
        let begun = handler.bearer.in_time(handler.clone().serve_with_lifecycle(transport, mode)).await;
        match begun.map_err(NotBegun::Failed)? {
            Ok(running) => Ok(Open { running, from_memory }),
            Err(error) => Err(self.not_begun(error)),
        }
    }

    fn not_begun(&self, error: ClientInitializeError) -> NotBegun {
        match error {
            // A correlated error is an answer to the question in which era the server lives; so is no common version.
            ClientInitializeError::JsonRpcError(error) => NotBegun::OtherEra(rpc_error(&error)),
            ClientInitializeError::NoCompatibleProtocolVersion { .. }
            | ClientInitializeError::UncorrelatedErrorResponse { .. } => {
                NotBegun::OtherEra(self.not_mcp(&error.to_string()))
            }
            ClientInitializeError::TransportError { error, .. } => NotBegun::Failed(self.transport_error(error.error)),
            other => NotBegun::Failed(self.not_mcp(&other.to_string())),
        }
    }

    fn service_error(&self, error: ServiceError) -> ClientError {
        match error {
            ServiceError::McpError(error) => rpc_error(&error),
            ServiceError::TransportSend(error) => self.transport_error(error.error),
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
        let open = self.current();
        match self.list_tools_of(&open).await {
            Err(error) if self.begins_otherwise(&open, &error).await? => self.list_tools_of(&self.current()).await,
            done => done,
        }
    }

    /// Calls a tool. An error that the tool itself reports is a result with `is_error`.
    pub async fn call_tool(&self, name: &str, arguments: Map<String, Value>) -> Result<CallToolResult, ClientError> {
        let params = CallToolRequestParams::new(name.to_owned()).with_arguments(arguments);
        let open = self.current();
        match self.call_tool_of(&open, params.clone()).await {
            Err(error) if self.begins_otherwise(&open, &error).await? => {
                self.call_tool_of(&self.current(), params).await
            }
            done => done,
        }
    }

    /// The revision that is spoken.
    pub fn protocol_version(&self) -> String {
        self.current().peer_info().map(|info| info.protocol_version.to_string()).unwrap_or_default()
    }

    /// How the server calls itself, unescaped; empty if it does not say.
    pub fn server_name(&self) -> String {
        let info = self.current().peer_info();
        info.and_then(|info| info.server_info.as_ref().map(|server| server.name.clone())).unwrap_or_default()
    }

    /// Ends the session at the server too.
    pub async fn close(self) {
        let open = self.open.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = Arc::into_inner(open) {
            // What is left to go wrong concerns nobody any more.
            let _ = open.running.cancel().await;
        }
    }

    fn current(&self) -> Arc<Open> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn list_tools_of(&self, open: &Open) -> Result<Vec<Tool>, ClientError> {
        let listed = self.handler.bearer.in_time(open.running.list_all_tools()).await?;
        listed.map_err(|error| self.client.service_error(error))
    }

    async fn call_tool_of(&self, open: &Open, params: CallToolRequestParams) -> Result<CallToolResult, ClientError> {
        let called = self.handler.bearer.in_time(open.running.call_tool(params)).await?;
        called.map_err(|error| self.client.service_error(error))
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
        let now = self.client.open(&self.handler, None).await?;
        let differs = now.era() != open.era();
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
        Ok(differs)
    }
}

/// What servers answer to a message of the other generation; -32000 is what the TypeScript SDK says.
const WRONG_ERA: [ErrorCode; 4] = [
    ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
    ErrorCode::METHOD_NOT_FOUND,
    ErrorCode::INVALID_REQUEST,
    ErrorCode(-32000),
];

impl Open {
    fn peer_info(&self) -> Option<Arc<ServerPeerInfo>> {
        self.running.peer().peer_info()
    }

    /// What to remember of the way it began.
    fn era(&self) -> Option<Era> {
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

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.sampling = self.sampler.is_some().then(Default::default);
        ClientConfig::new(capabilities, Implementation::new("securemcp", env!("CARGO_PKG_VERSION")))
            .with_protocol_version(ProtocolVersion::V_2025_11_25)
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let Some(sampler) = &self.sampler else {
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "this client has no model to ask", None));
        };
        if self.samplings.fetch_add(1, Ordering::Relaxed) >= MAX_SAMPLINGS {
            return Err(ErrorData::invalid_request(
                format!("more than {MAX_SAMPLINGS} samplings in one session"),
                None,
            ));
        }
        let request = serde_json::to_value(params).expect("it came as JSON");
        let _busy = self.bearer.busy();
        let text = sampler.sample(request).await.map_err(|reason| ErrorData::internal_error(reason, None))?;
        let answer = CreateMessageResult::new(SamplingMessage::assistant_text(text), "sampling-command".to_owned());
        Ok(answer.with_stop_reason(CreateMessageResult::STOP_REASON_END_TURN))
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handler").field("samples", &self.sampler.is_some()).finish_non_exhaustive()
    }
}

fn rpc_error(error: &ErrorData) -> ClientError {
    ClientError::Rpc { code: error.code.0, message: said(&error.message) }
}
