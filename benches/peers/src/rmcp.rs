//! The MCP library with a verifier in front.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
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

use crate::verifier::Verifier;

/// Many tools, which all do what `echo` does.
#[derive(Clone)]
struct Handler {
    tools: Arc<[Tool]>,
}

impl Handler {
    fn new(count: usize) -> Self {
        let schema = json!({"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]});
        let Value::Object(schema) = schema else { unreachable!("it is one") };
        let schema = Arc::new(schema);
        let name = |number| if number == 0 { "echo".to_owned() } else { format!("echo-{number}") };
        let tools = (0..count).map(|number| Tool::new(name(number), "Gives a message back.", Arc::clone(&schema)));
        Self { tools: tools.collect() }
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("peers", "0"))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.to_vec()))
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

/// `/mcp`, as rmcp serves it.
pub(crate) fn routes(verifier: Arc<Verifier>) -> Router {
    open_routes(1).layer(middleware::from_fn_with_state(verifier, authenticate))
}

/// The same with so many tools, for anybody.
pub(crate) fn open_routes(count: usize) -> Router {
    let handler = Handler::new(count);
    let mcp = StreamableHttpService::new(
        move || Ok(handler.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default().with_json_response(true),
    );
    Router::new().route_service("/mcp", mcp)
}

async fn authenticate(State(verifier): State<Arc<Verifier>>, mut request: Request, next: Next) -> Response {
    let Some(claims) = verifier.claims(request.headers()) else { return StatusCode::UNAUTHORIZED.into_response() };
    request.extensions_mut().insert(claims);
    next.run(request).await
}
