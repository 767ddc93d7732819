//! An MCP session over Streamable HTTP, of whichever revision the server speaks.

use std::sync::{Arc, PoisonError, RwLock};

use rmcp::{
    model::{
        CallToolRequestParams, CallToolResult, DiscoverResult, ErrorCode, ErrorData, Implementation, ProtocolVersion,
        ServerPeerInfo, Tool,
    },
    service::{
        ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, RoleClient, RunningService, ServiceError,
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
    sampling::{Handler, Sampler},
    servers::Era,
    transport::{Bearer, Wire},
};

/// How often a broken event stream is taken up again.
const MAX_RECONNECTS: usize = 3;

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

impl Client {
    /// Opens a session; gets a token on the way if the server asks for one.
    ///
    /// Without a sampler the server is not offered sampling. With a server that is known to speak 2026-07-28, nothing is
    /// sent yet: the first request is the first message.
    pub async fn connect(&self, sampler: Option<Arc<dyn Sampler>>) -> Result<Session, ClientError> {
        let (held, era) = self.recall().await?;
        let bearer = Arc::new(Bearer::new(self.clone(), held));
        let handler = Handler::new(sampler, bearer);
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
        let wire = Wire::new(http, handler.bearer().clone(), remembered);
        let transport = StreamableHttpClientTransport::with_client(wire, config);
        let begun = handler.bearer().in_time(handler.clone().serve_with_lifecycle(transport, mode)).await;
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
        let listed = self.handler.bearer().in_time(open.running.list_all_tools()).await?;
        listed.map_err(|error| self.client.service_error(error))
    }

    async fn call_tool_of(&self, open: &Open, params: CallToolRequestParams) -> Result<CallToolResult, ClientError> {
        let called = self.handler.bearer().in_time(open.running.call_tool(params)).await?;
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

fn rpc_error(error: &ErrorData) -> ClientError {
    ClientError::Rpc { code: error.code.0, message: said(&error.message) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{
        client::{
            Kind,
            testing::{World, field},
        },
        oauth::Resource,
        secret::Secret,
    };

    async fn echo(client: &Client) -> Result<String, ClientError> {
        let session = client.connect(None).await?;
        let arguments = Map::from_iter([("message".to_owned(), json!("hi"))]);
        let result = session.call_tool("echo", arguments).await;
        session.close().await;
        Ok(result?.content[0].as_text().unwrap().text.clone())
    }

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
        assert_eq!(echo(&world.client()).await.unwrap(), "hi");
        assert_eq!(world.whats(), ["POST /mcp tools/call"]);
    }

    #[tokio::test]
    async fn a_server_of_2025_is_initialized_and_the_next_time_at_once() {
        let world = World::new().await;
        world.change(|rules| rules.modern = false);
        let session = world.client().connect(None).await.unwrap();
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
    async fn a_401_without_a_challenge_is_enough() {
        let world = World::new().await;
        for challenge in [None, Some("Basic realm=\"x\"".to_owned())] {
            world.change(|rules| rules.challenge = challenge);
            assert_eq!(echo(&world.client_with(|settings| settings.force_new = true)).await.unwrap(), "hi");
        }
    }

    #[tokio::test]
    async fn a_kept_token_that_is_refused_is_replaced_once() {
        let world = World::new().await;
        echo(&world.client()).await.unwrap();
        world.forget_tokens();
        world.seen();
        assert_eq!(echo(&world.client()).await.unwrap(), "hi");
        assert_eq!(world.whats().iter().filter(|what| *what == "POST /token").count(), 1);
        world.seen();
        echo(&world.client()).await.unwrap();
        assert_eq!(world.whats(), ["POST /mcp tools/call"]);
    }

    #[tokio::test]
    async fn a_server_that_refuses_everything_gets_one_new_token() {
        let world = World::new().await;
        echo(&world.client()).await.unwrap();
        world.change(|rules| {
            rules.refuses_all = true;
            rules.challenge = Some("Bearer error=\"invalid_token\", error_description=\"aud\u{9}is wrong\"".to_owned());
        });
        world.seen();
        let error = echo(&world.client()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotAuthenticated);
        assert!(error.to_string().contains("aud\\tis wrong"), "{error}");
        let whats = world.whats();
        assert_eq!(whats.iter().filter(|what| *what == "POST /token").count(), 1);
        assert_eq!(whats.iter().filter(|what| *what == "POST /mcp tools/call").count(), 2);
    }

    #[tokio::test]
    async fn a_given_token_is_sent_as_it_is_and_never_replaced() {
        let world = World::new().await;
        let given = || world.client_with(|settings| settings.token = Some(Secret::new("given")));
        let error = echo(&given()).await.unwrap_err();
        assert!(matches!(error, ClientError::TokenRefused { .. }), "{error}");
        assert_eq!(world.whats(), ["POST /mcp server/discover"]);
        world.allow("given", "mcp:read");
        assert_eq!(echo(&given()).await.unwrap(), "hi");
        world.change(|rules| rules.call_scope = "mcp:write".to_owned());
        let error = echo(&given()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotPermitted);
        assert!(error.to_string().contains("mcp:write"), "{error}");
        assert!(!world.whats().contains(&"POST /token".to_owned()));
    }

    #[tokio::test]
    async fn a_missing_scope_is_asked_for_together_with_the_old_ones() {
        let world = World::new().await;
        world.change(|rules| rules.call_scope = "mcp:write".to_owned());
        assert_eq!(echo(&world.client()).await.unwrap(), "hi");
        let asked: Vec<_> = world.seen().iter().filter_map(|seen| field(&seen.body, "scope")).collect();
        assert_eq!(asked, ["mcp:read", "mcp:read mcp:write"]);
        assert_eq!(echo(&world.client()).await.unwrap(), "hi");
        assert_eq!(world.whats(), ["POST /mcp tools/call"]);
    }

    #[tokio::test]
    async fn a_scope_that_is_not_granted_is_asked_for_once() {
        let world = World::new().await;
        world.change(|rules| rules.call_scope = "mcp:write".to_owned());
        world.change(|rules| {
            let answer = json!({"access_token": "weak", "token_type": "Bearer", "expires_in": 60, "scope": "mcp:read"});
            rules.answers.insert("/token".to_owned(), (200, answer));
        });
        world.allow("weak", "mcp:read");
        let error = echo(&world.client()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotPermitted);
        assert_eq!(world.whats().iter().filter(|what| *what == "POST /token").count(), 2);
    }

    #[tokio::test]
    async fn a_servers_error_keeps_its_code_and_loses_its_escapes() {
        let world = World::new().await;
        let session = world.client().connect(None).await.unwrap();
        let error = session.call_tool("fail", Map::new()).await.unwrap_err();
        let ClientError::Rpc { code, message } = &error else { panic!("{error:?}") };
        assert_eq!((*code, message.as_str()), (-32602, "no \\u{1b}[31mtool\\nhere"));
        assert_eq!(error.kind(), Kind::Server);
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (world, other) = (World::new().await, World::new().await);
        let moved = (307, json!({"location": other.origin}));
        world.change(|rules| drop(rules.answers.insert("/mcp".to_owned(), moved)));
        let error = echo(&world.client()).await.unwrap_err();
        assert!(matches!(error, ClientError::Status { status: 307, .. }), "{error}");
        assert!(other.seen().is_empty());
    }

    #[tokio::test]
    async fn an_answer_without_end_is_cut_off() {
        let world = World::new().await;
        world.change(|rules| drop(rules.answers.insert("/mcp".to_owned(), (200, "x".repeat(17 << 20).into()))));
        let error = echo(&world.client()).await.unwrap_err();
        assert!(error.to_string().contains("maximum size"), "{error}");
        world.change(|rules| drop(rules.answers.insert("/mcp".to_owned(), (500, "x".repeat(100_000).into()))));
        assert!(echo(&world.client()).await.unwrap_err().to_string().len() < 2_200);
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_left() {
        let world = World::new().await;
        world.change(|rules| rules.hangs = true);
        let client = world.client_with(|settings| settings.timeout = Duration::from_millis(100));
        let error = echo(&client).await.unwrap_err();
        assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
        let nowhere =
            world.client_with(|settings| settings.server = Resource::parse("http://127.0.0.1:1/mcp").unwrap());
        assert_eq!(echo(&nowhere).await.unwrap_err().kind(), Kind::Unreachable);
    }
}
