//! A tool that panics (fact P05): one request fails, and nobody else notices.

use std::time::Duration;

use reqwest::{Method, Response};
use schemars::JsonSchema;
use securemcp::tools::{CallContext, Tool, ToolError, Tools};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::harness::server::{Guarded, stateless, with_mirrors};

struct Faulty;

#[derive(Deserialize, JsonSchema)]
struct Input {
    is_bad: bool,
}

#[derive(Serialize, JsonSchema)]
struct Output {
    is_good: bool,
}

impl Tool for Faulty {
    type Input = Input;
    type Output = Output;

    const NAME: &'static str = "faulty";
    const DESCRIPTION: &'static str = "Panics when told to.";
    const SCOPES: &'static [&'static str] = &["mcp:read"];
    const READ_ONLY: bool = true;
    const OPEN_WORLD: bool = false;

    async fn call(&self, input: Input, _: &CallContext) -> Result<Output, ToolError> {
        assert!(!input.is_bad, "a secret of the tool");
        Ok(Output { is_good: true })
    }
}

/// What an answer says; it must come soon.
async fn said(answer: impl Future<Output = Result<Response, reqwest::Error>>) -> (u16, String) {
    let answer = async {
        let answer = answer.await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a whole answer"))
    };
    tokio::time::timeout(Duration::from_secs(10), answer).await.expect("an answer in time")
}

/// Whether it says that the call failed, and no more.
#[track_caller]
fn failed_silently((status, text): &(u16, String)) {
    assert!(*status == 500 || text.contains("-32603"), "{status}: {text}");
    for inside in ["a secret of the tool", "panic", "src/", ".rs"] {
        assert!(!text.contains(inside), "{text}");
    }
}

#[tokio::test]
async fn p05_a_panic_ends_one_call_of_a_stateless_client() {
    let guarded = Guarded::with_tools(Tools::builtin().with(Faulty)).await;
    let token = guarded.token(&json!({}));
    let call = |is_bad: bool| {
        let body = stateless("tools/call", json!({"name": "faulty", "arguments": {"is_bad": is_bad}}));
        with_mirrors(guarded.server.post(&token, body), "tools/call", Some("faulty")).send()
    };
    assert_eq!(said(call(false)).await.0, 200);
    let (bad, good) = tokio::join!(said(call(true)), said(call(false)));
    failed_silently(&bad);
    assert_eq!(good.0, 200);
    assert_eq!(said(call(false)).await.0, 200);
}

#[tokio::test]
async fn p05_a_panic_ends_one_call_of_a_session() {
    let guarded = Guarded::with_tools(Tools::builtin().with(Faulty)).await;
    let token = guarded.token(&json!({}));
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let answer = guarded.server.post(&token, initialize.to_string()).send().await.expect("an answer");
    let session = answer.headers()["mcp-session-id"].clone();
    let send = |message: Value| {
        let request = guarded.server.post(&token, message.to_string()).header("mcp-session-id", session.clone());
        request.header("mcp-protocol-version", "2025-11-25").send()
    };
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(said(send(initialized)).await.0, 202);
    let call = |id: u64, is_bad: bool| {
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": "faulty", "arguments": {"is_bad": is_bad}}})
    };
    assert_eq!(said(send(call(1, false))).await.0, 200);
    failed_silently(&said(send(call(2, true))).await);
    let (status, text) = said(send(call(3, false))).await;
    assert_eq!(status, 200, "the session is unharmed: {text}");
    assert!(text.contains("is_good"), "{text}");
}

#[tokio::test]
async fn p05_a_panic_ends_one_call_over_rest() {
    let guarded = Guarded::with_tools(Tools::builtin().with(Faulty)).await;
    let token = guarded.token(&json!({}));
    let call = |is_bad: bool| {
        let request = guarded.server.request(Method::POST, "/api/v1/tools/faulty").bearer_auth(&token);
        request.json(&json!({ "is_bad": is_bad })).send()
    };
    let (bad, good) = tokio::join!(said(call(true)), said(call(false)));
    failed_silently(&bad);
    assert_eq!((bad.0, good.0), (500, 200));
    assert_eq!(said(call(false)).await.0, 200);
}
