//! The least that guards a tool with a token: what `benches/run` compares securemcp with.
//!
//! It has rmcp, the allocator of securemcp, and a map of tokens that were verified already, keyed by their SHA-256. It
//! checks no signature, scope, host or session owner, writes no log line and drains nothing.
//!
//! usage: `TOKEN=... bare_rmcp ADDRESS`

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    serve::ListenerExt as _,
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
        PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// When a token that was good expires, since the epoch.
type Verified = Arc<Mutex<HashMap<[u8; 32], Arc<Duration>>>>;

#[derive(Clone)]
struct Handler {
    echo: Tool,
}

impl Handler {
    fn new() -> Self {
        let schema = json!({"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]});
        let Value::Object(schema) = schema else { unreachable!("it is one") };
        Self { echo: Tool::new("echo", "Gives a message back.", Arc::new(schema)) }
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("bare_rmcp", "0"))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        (name == "echo").then(|| self.echo.clone())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![self.echo.clone()]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let Some(message) = arguments.get("message").and_then(Value::as_str) else {
            return Err(ErrorData::invalid_params("`message` is missing", None));
        };
        let shown = json!({"echo": message, "timestamp": null, "length": message.chars().count()});
        let mut result = CallToolResult::success(vec![ContentBlock::text(message)]);
        result.structured_content = Some(shown);
        Ok(result.into())
    }
}

async fn authenticate(State(verified): State<Verified>, mut request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let expires_at = header.and_then(|value| value.strip_prefix("Bearer ")).and_then(|token| {
        let hash = hash(token);
        verified.lock().expect("nobody panics with it").get(&hash).cloned()
    });
    match expires_at {
        Some(expires_at) if now() < *expires_at => {
            request.extensions_mut().insert(expires_at);
            next.run(request).await
        }
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn main() {
    let address = std::env::args().nth(1).expect("an argument: the address to listen on");
    let token = std::env::var("TOKEN").expect("TOKEN in the environment: the token to let in");
    let verified = Verified::default();
    verified.lock().expect("nobody panicked").insert(hash(&token), Arc::new(now() + Duration::from_hours(1)));
    let handler = Handler::new();
    let mcp = StreamableHttpService::new(
        move || Ok(handler.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default().with_json_response(true),
    );
    let routes = Router::new().route_service("/mcp", mcp).layer(middleware::from_fn_with_state(verified, authenticate));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(&address).await.expect("the address is free");
        // Without it an event stream waits 40 ms for each small write.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, routes).await.expect("it runs until it is killed");
    });
}
