//! Sessions of the 2025 revisions, through the proxy and from replica to replica.

use std::time::{Duration, Instant};

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    harness::{Load, Stack, figure},
    stack::token,
    stack_faults::takes_part,
};

/// How long anything may take to recover.
const LIMIT: Duration = Duration::from_mins(2);

/// A session of 2025-11-25 through the edge.
pub(crate) struct Session {
    http: Client,
    url: String,
    pub(crate) token: String,
    id: String,
}

impl Session {
    pub(crate) async fn begin(stack: &Stack) -> Self {
        let mut session = Self { http: stack.http(), url: stack.resource(), token: token(stack), id: String::new() };
        let client = json!({"name": "test", "version": "1"});
        let parameters =
            json!({"protocolVersion": "2025-11-25", "capabilities": {"sampling": {}}, "clientInfo": client});
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": parameters});
        let answer = session.post(&message).await;
        assert_eq!(answer.status(), 200);
        session.id = answer.headers()["mcp-session-id"].to_str().expect("ASCII").to_owned();
        let initialized = session.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assert_eq!(initialized.status(), 202);
        session
    }

    async fn post(&self, message: &Value) -> Response {
        let mut request = self.http.request(Method::POST, &self.url).bearer_auth(&self.token);
        request = request.header("accept", "application/json, text/event-stream");
        if !self.id.is_empty() {
            request = request.header("mcp-session-id", &self.id).header("mcp-protocol-version", "2025-11-25");
        }
        let request = request.header("content-type", "application/json").body(message.to_string());
        request.send().await.expect("an answer")
    }

    pub(crate) async fn call(&self) -> u16 {
        let params = json!({"name": "echo", "arguments": {"message": "still here"}});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let answer = self.post(&message).await;
        let status = answer.status().as_u16();
        let comes_back = answer.headers().contains_key("retry-after");
        assert!(comes_back || status != 503, "nobody is told when to come back: {answer:?}");
        assert_eq!(answer.text().await.expect("a body").contains("still here"), status == 200);
        status
    }

    /// Opens its event stream.
    pub(crate) async fn listen(&self) -> Response {
        let request = self.http.request(Method::GET, &self.url).bearer_auth(&self.token);
        let request = request.header("accept", "text/event-stream").header("mcp-session-id", &self.id);
        let answer = request.header("mcp-protocol-version", "2025-11-25").send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer
    }

    /// Waits until calls are answered so, and says for how many milliseconds they were not. No answer sends the client
    /// to another session or for another token.
    pub(crate) async fn until(&self, status: u16) -> u128 {
        let began = Instant::now();
        loop {
            let answered = self.call().await;
            if answered == status {
                return began.elapsed().as_millis();
            }
            assert!([200, 502, 503].contains(&answered), "a session is answered with {answered}");
            assert!(began.elapsed() < LIMIT, "a session is answered with {answered}, not {status}");
        }
    }
}

/// What is too small to fill any buffer comes through while nothing follows it: the sign of life in a silent stream.
pub(crate) async fn a_heartbeat_comes_through(mut stream: Response) {
    let read = async {
        let mut text = String::new();
        while !text.lines().any(|line| line.starts_with(':')) {
            let piece = stream.chunk().await.expect("a stream").expect("no end");
            text.push_str(&String::from_utf8_lossy(&piece));
        }
    };
    timeout(LIMIT, read).await.expect("a stream is not silent for so long");
}

pub(crate) async fn a_session_outlives_its_replica(stack: &mut Stack) {
    let session = Session::begin(stack).await;
    // An event leaves before the next one exists: the tool's question comes through before it has its answer.
    let params = json!({"name": "summarize", "arguments": {"text": "a long story"}});
    let mut answer = session.post(&json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})).await;
    assert_eq!(answer.status(), 200);
    let question = event(&mut answer, "sampling/createMessage").await;
    let result = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "in short"}});
    let said = session.post(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result})).await;
    assert_eq!(said.status(), 202);
    let summary = event(&mut answer, "\"id\":7").await;
    assert!(summary["result"].to_string().contains("in short"), "{summary}");

    // R13. It stays with one replica as long as there is one.
    for _ in 0..3 {
        session.until(200).await;
    }
    let log = stack.edge_log();
    let used: Vec<_> =
        log.lines().rev().filter(|line| line.contains("\"path\":\"/mcp\"")).take(5).map(upstream).collect();
    assert!(used.len() == 5 && used.iter().all(|port| *port == used[0]), "{used:?}");
    let replica = stack.replica_ports.iter().position(|port| *port == used[0]).expect("one of both");
    let (server, account) = stack.replicas[replica].take().expect("it runs");
    drop(server);
    let millis = session.until(200).await;
    figure(&format!("R13, a replica killed: its session goes on at the other after {millis} ms"));
    drop(account);
    stack.begin_replica(replica);
    let load = Load::begin(stack.http(), &stack.resource(), &session.token);
    takes_part(stack, replica, &load).await;
    load.end().await.all_good();
    session.until(200).await;
}

/// The port of the replica that answered.
fn upstream(line: &str) -> u16 {
    let line: Value = serde_json::from_str(line).expect("JSON");
    let address = line["upstream"].as_str().expect("an address").rsplit(", ").next().expect("one at least").to_owned();
    address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

/// Reads an answer until an event has these words in it.
async fn event(answer: &mut Response, words: &str) -> Value {
    let read = async {
        let mut text = String::new();
        while let Some(piece) = answer.chunk().await.expect("a stream") {
            text.push_str(&String::from_utf8_lossy(&piece));
            let whole = text.lines().filter_map(|line| line.strip_prefix("data: ")).find(|data| data.contains(words));
            if let Some(message) = whole.and_then(|data| serde_json::from_str(data).ok()) {
                return message;
            }
        }
        panic!("no {words} in {text}")
    };
    timeout(LIMIT, read).await.unwrap_or_else(|_| panic!("no {words}"))
}
