//! Attacks on the sessions of the 2025 revisions (facts S01 to S08).

use std::{collections::BTreeSet, sync::Arc};

use reqwest::{Method, Response};
use schemars::JsonSchema;
use securemcp::tools::{CallContext, Tool, ToolError, Tools};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::{
    keys::Key,
    server::{Guarded, merged},
    until::until,
};

fn initialize() -> String {
    initialize_with(&json!({}))
}

fn initialize_with(capabilities: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25",
        "capabilities": capabilities, "clientInfo": {"name": "test", "version": "1"}}})
    .to_string()
}

fn list() -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string()
}

impl Guarded {
    /// Begins a session and says so; its id.
    pub(crate) async fn begin(&self, token: &str) -> String {
        self.begin_with(token, &json!({})).await
    }

    /// The same for a client with these capabilities.
    pub(crate) async fn begin_with(&self, token: &str, capabilities: &Value) -> String {
        let answer = self.server.post(token, initialize_with(capabilities)).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let id = answer.headers()["mcp-session-id"].to_str().expect("ASCII").to_owned();
        answer.bytes().await.expect("the whole answer");
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
        let answer = self.in_session(token, &id, initialized).await;
        assert_eq!(answer.status(), 202);
        id
    }

    pub(crate) async fn in_session(&self, token: &str, id: &str, body: String) -> Response {
        let request = self.server.post(token, body).header("mcp-session-id", id);
        request.header("mcp-protocol-version", "2025-11-25").send().await.expect("an answer")
    }

    pub(crate) async fn without_body(&self, method: Method, token: Option<&str>, headers: &[(&str, &str)]) -> Response {
        let mut request = self.server.request(method, "/mcp").header("accept", "text/event-stream");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer")
    }

    async fn works(&self, token: &str, id: &str) -> bool {
        let answer = self.in_session(token, id, list()).await;
        answer.status() == 200 && answer.text().await.expect("a body").contains("\"calculator\"")
    }
}

#[tokio::test]
async fn s01_a_session_id_is_no_token() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({}));
    let id = guarded.begin(&token).await;
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let answer = guarded.without_body(method.clone(), None, &[("mcp-session-id", &id)]).await;
        assert_eq!(answer.status(), 401, "{method}");
    }
    assert!(guarded.works(&token, &id).await, "the twin, and the session is unharmed");
}

#[tokio::test]
async fn s02_s03_s04_a_session_belongs_to_issuer_subject_and_client() {
    let guarded = Guarded::start().await;
    let alice = guarded.token(&json!({}));
    let id = guarded.begin(&alice).await;
    for stranger in [json!({"sub": "bob"}), json!({"client_id": "other"}), json!({"client_id": null})] {
        let token = guarded.token(&stranger);
        assert_eq!(guarded.in_session(&token, &id, list()).await.status(), 404, "{stranger}");
        for method in [Method::GET, Method::DELETE] {
            let answer = guarded.without_body(method.clone(), Some(&token), &[("mcp-session-id", &id)]).await;
            assert_eq!(answer.status(), 404, "{stranger} {method}");
        }
    }
    let refreshed = guarded.token(&json!({"jti": "another", "scope": "mcp:read"}));
    assert_ne!(refreshed, alice);
    assert!(guarded.works(&refreshed, &id).await, "a refreshed token keeps its session");
    assert!(guarded.works(&alice, &id).await, "strangers have not harmed it");
    let ended = guarded.without_body(Method::DELETE, Some(&alice), &[("mcp-session-id", &id)]).await;
    assert_eq!(ended.status(), 204);
    assert_eq!(guarded.in_session(&alice, &id, list()).await.status(), 404, "ended is ended");
}

#[tokio::test]
async fn scopes_are_judged_on_each_call_of_a_session() {
    let guarded = Guarded::start().await;
    let all = guarded.token(&json!({}));
    let id = guarded.begin(&all).await;
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "calculator", "arguments": {"operation": "add", "operands": [1, 2]}}})
    .to_string();
    assert_eq!(guarded.in_session(&all, &id, call.clone()).await.status(), 200);
    let reader = guarded.token(&json!({"scope": "mcp:read"}));
    assert_eq!(guarded.in_session(&reader, &id, call).await.status(), 403);
}

/// A tool that waits for a permit.
pub(crate) struct Waits(pub(crate) Arc<Semaphore>);

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Waited {
    done: bool,
}

impl Tool for Waits {
    type Input = Nothing;
    type Output = Waited;

    const NAME: &'static str = "waits";
    const DESCRIPTION: &'static str = "Waits for a permit.";
    const SCOPES: &'static [&'static str] = &[];

    async fn call(&self, _: Nothing, _: &CallContext) -> Result<Waited, ToolError> {
        self.0.acquire().await.expect("open").forget();
        Ok(Waited { done: true })
    }
}

#[tokio::test]
async fn an_id_under_way_cannot_be_used_again() {
    let gate = Arc::new(Semaphore::new(0));
    let guarded = Guarded::with_tools(Tools::builtin().with(Waits(Arc::clone(&gate)))).await;
    let token = guarded.token(&json!({}));
    let id = guarded.begin(&token).await;
    let wait = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "waits", "arguments": {}}});
    let waiting = guarded.in_session(&token, &id, wait.to_string()).await;
    assert_eq!(waiting.status(), 200, "its answer streams when the tool is done");
    assert_eq!(guarded.in_session(&token, &id, list()).await.status(), 400, "the same id, which rmcp would not answer");
    let other = merged(serde_json::from_str(&list()).expect("JSON"), &json!({"id": 2}));
    assert_eq!(guarded.in_session(&token, &id, other.to_string()).await.status(), 200, "the twin");
    gate.add_permits(1);
    assert!(waiting.text().await.expect("the answer").contains("\"done\":true"));
    assert_eq!(guarded.in_session(&token, &id, list()).await.status(), 200, "free again");
}

#[tokio::test]
async fn s05_s06_ids_are_the_servers_own() {
    let guarded = Guarded::start_with(Key::ec(), &[("limits.sessions_per_principal", "200")]).await;
    let token = guarded.token(&json!({}));
    let request = guarded.server.post(&token, initialize()).header("mcp-session-id", "chosen-by-the-client");
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_ne!(answer.headers()["mcp-session-id"], "chosen-by-the-client");
    assert_eq!(guarded.in_session(&token, "chosen-by-the-client", list()).await.status(), 404);
    let mut ids = BTreeSet::new();
    for _ in 0..100 {
        let answer = guarded.server.post(&token, initialize()).send().await.expect("an answer");
        let id = answer.headers()["mcp-session-id"].to_str().expect("ASCII").to_owned();
        assert_eq!(id.len(), 43, "256 bits in base64url");
        assert!(ids.insert(id));
    }
}

#[tokio::test]
async fn s07_s08_event_ids_open_no_stream_of_others() {
    let guarded = Guarded::start().await;
    let (alice, bob) = (guarded.token(&json!({})), guarded.token(&json!({"sub": "bob"})));
    let id = guarded.begin(&alice).await;
    let stolen = [("mcp-session-id", id.as_str()), ("last-event-id", "a.0.common")];
    assert_eq!(guarded.without_body(Method::GET, Some(&bob), &stolen).await.status(), 404);
    assert_eq!(guarded.without_body(Method::GET, Some(&alice), &stolen).await.status(), 200, "the twin");
    let long = "1".repeat(1000);
    for garbage in ["x", "-1", "0", "0/0", "1/2/3", "0; DROP", "*", long.as_str()] {
        let headers = [("mcp-session-id", id.as_str()), ("last-event-id", garbage)];
        assert_eq!(guarded.without_body(Method::GET, Some(&alice), &headers).await.status(), 400, "{garbage}");
    }
}

#[tokio::test]
async fn sessions_are_capped_for_each_caller_and_in_all() {
    let guarded =
        Guarded::start_with(Key::ec(), &[("limits.sessions_per_principal", "2"), ("limits.sessions", "3")]).await;
    let (alice, bob) = (guarded.token(&json!({})), guarded.token(&json!({"sub": "bob"})));
    let first = guarded.begin(&alice).await;
    guarded.begin(&alice).await;
    let full = guarded.server.post(&alice, initialize()).send().await.expect("an answer");
    assert_eq!(full.status(), 429);
    assert!(full.headers().contains_key("retry-after"));
    guarded.begin(&bob).await;
    assert_eq!(
        guarded.server.post(&bob, initialize()).send().await.expect("an answer").status(),
        503,
        "the server is full"
    );
    let ended = guarded.without_body(Method::DELETE, Some(&alice), &[("mcp-session-id", &first)]).await;
    assert_eq!(ended.status(), 204);
    guarded.begin(&alice).await;
}

#[tokio::test]
async fn no_initialize_goes_round_the_caps() {
    let guarded = Guarded::start_with(Key::ec(), &[("limits.sessions_per_principal", "1")]).await;
    let token = guarded.token(&json!({}));
    guarded.begin(&token).await;
    let mut modern: Value = serde_json::from_str(&initialize()).expect("JSON");
    modern["params"]["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}});
    // 2026-07-28 has no such method; whatever the header says, a body without its metadata begins a session.
    for (body, status) in [(modern.to_string(), 404), (initialize(), 429)] {
        for version in ["2025-11-25", "2026-07-28"] {
            let request = guarded.server.post(&token, body.clone()).header("mcp-protocol-version", version);
            let answer = request.header("mcp-method", "initialize").send().await.expect("an answer");
            assert_eq!(answer.status(), status, "{version}");
            assert!(!answer.headers().contains_key("mcp-session-id"), "{version}");
        }
    }
}

#[tokio::test]
async fn a_session_that_failed_to_begin_takes_no_place() {
    let guarded = Guarded::start_with(Key::ec(), &[("limits.sessions_per_principal", "1")]).await;
    let token = guarded.token(&json!({}));
    for _ in 0..3 {
        let broken = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": 7}});
        let answer = guarded.server.post(&token, broken.to_string()).send().await.expect("an answer");
        assert!(answer.status().is_client_error(), "{}", answer.status());
    }
    guarded.begin(&token).await;
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_bounded() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({}));
    for (length, status) in [(64 * 1024, 200), (64 * 1024 + 1, 413)] {
        let long = |length: usize| initialize().replace("test", &"x".repeat(length));
        let body = long(length - long(0).len());
        assert_eq!(body.len(), length);
        let answer = guarded.server.post(&token, body).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{length}");
        assert_eq!(answer.headers().contains_key("mcp-session-id"), status == 200);
    }
}

#[tokio::test]
async fn an_idle_session_ends_by_itself() {
    let guarded = Guarded::start_with(Key::ec(), &[("limits.session_idle", "1s")]).await;
    let token = guarded.token(&json!({}));
    let id = guarded.begin(&token).await;
    // 400 while it exists (the event id is garbage), 404 once it is gone; neither touches the session.
    let headers = [("mcp-session-id", &*id), ("last-event-id", "x")];
    let look = async || guarded.without_body(Method::GET, Some(&token), &headers).await.status().as_u16();
    assert_eq!(look().await, 400);
    until("its end", async || look().await == 404).await;
}

#[tokio::test]
async fn a_request_without_session_is_told_to_begin_one() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({}));
    let request = guarded.server.post(&token, list()).header("mcp-protocol-version", "2025-11-25");
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_client_error());
    let body: Value = answer.json().await.expect("a JSON-RPC error");
    assert!(body["error"]["message"].as_str().expect("a text").to_lowercase().contains("session"), "{body}");
}
