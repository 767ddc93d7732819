//! The body of a `POST /mcp`: what we read in it before we let it in is what the MCP library reads in it afterwards.

use rmcp::model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage, Reference};
use securemcp::server::fuzz::read_envelope;
use serde_json::Value;

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

pub(super) fn read(bytes: &[u8]) {
    let Some(envelope) = read_envelope(bytes) else { return };
    let value: Value = serde_json::from_slice(bytes).expect("what was read is JSON");
    assert_eq!(value["jsonrpc"], "2.0");
    assert_eq!(value.get("method").and_then(Value::as_str), envelope.method.as_deref());
    assert_eq!(value["params"]["_meta"].get(VERSION).is_some_and(|version| !version.is_null()), envelope.is_stateless);
    match &value["id"] {
        Value::Null => assert!(envelope.id.is_none()),
        // `-0` is 0 to us and to rmcp; a general reader makes a float of it.
        id if id.as_f64() == Some(0.0) => assert!(envelope.id.is_some(), "{id}"),
        id => assert!((id.is_string() || id.is_i64() || id.is_u64()) && envelope.id.is_some(), "{id}"),
    }
    // What rmcp cannot read it uses for nothing.
    if let Ok(JsonRpcMessage::Request(request)) = serde_json::from_slice::<ClientJsonRpcMessage>(bytes)
        && !matches!(request.request, ClientRequest::CustomRequest(_))
    {
        // The decision was made by our names, what is used is rmcp's.
        assert_eq!(used(&request.request), envelope.uses, "{value}");
    }
}

fn used(request: &ClientRequest) -> Vec<String> {
    match request {
        ClientRequest::CallToolRequest(request) => vec![request.params.name.to_string()],
        ClientRequest::GetPromptRequest(request) => vec![request.params.name.clone()],
        ClientRequest::ReadResourceRequest(request) => vec![request.params.uri.clone()],
        ClientRequest::SubscribeRequest(request) => vec![request.params.uri.clone()],
        ClientRequest::UnsubscribeRequest(request) => vec![request.params.uri.clone()],
        ClientRequest::SubscriptionsListenRequest(request) => {
            request.params.notifications.resource_subscriptions.clone().unwrap_or_default()
        }
        ClientRequest::CompleteRequest(request) => match &request.params.r#ref {
            Reference::Resource(resource) => vec![resource.uri.clone()],
            Reference::Prompt(prompt) => vec![prompt.name.clone()],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
