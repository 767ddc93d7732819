//! Signals: a stopping server finishes what it has begun, takes its time but not for ever, and a second signal ends it.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Method, RequestBuilder, Response};
use rustix::process::Signal;
use schemars::JsonSchema;
use securemcp::{
    call::Changes,
    server::Features,
    tools::{CallContext, Tool, ToolError, Tools},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
};

use crate::harness::{
    cli::Account,
    keys::Key,
    process::Serve,
    server::{Guarded, stateless, with_mirrors},
};

/// A session whose call of `summarize` waits for its client, and the session's open event stream.
struct UnderWay {
    _account: Account,
    serve: Serve,
    token: String,
    session: String,
    call: Response,
    stream: Response,
}

impl UnderWay {
    async fn start(account: Account) -> Self {
        let serve = account.start(&[]);
        let token = account.run(&["token", "get", "--server", &serve.url]).done().trim_end().to_owned();
        let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {"sampling": {}},
            "clientInfo": {"name": "test", "version": "1"}}});
        let answer = in_session(&serve, &token, None).json(&initialize).send().await.expect("an answer");
        let session = answer.headers()["mcp-session-id"].to_str().expect("ASCII").to_owned();
        let request = || in_session(&serve, &token, Some(&session));
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(request().json(&initialized).send().await.expect("an answer").status(), 202);
        let stream = serve.http.get(&serve.url).bearer_auth(&token).header("accept", "text/event-stream");
        let stream = stream.header("mcp-session-id", &session).send().await.expect("an answer");
        assert_eq!(stream.status(), 200);
        let call = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call",
            "params": {"name": "summarize", "arguments": {"text": "a long text"}}});
        let mut call = request().json(&call).send().await.expect("an answer");
        assert_eq!(call.status(), 200);
        let question = event(&mut call).await;
        assert_eq!(question["method"], "sampling/createMessage");
        Self { _account: account, serve, token, session, call, stream }
    }

    async fn readiness(&self) -> u16 {
        self.serve.get("/health/ready").await.status().as_u16()
    }

    async fn until_draining(&self) {
        let started = Instant::now();
        while self.readiness().await != 503 {
            assert!(started.elapsed() < Duration::from_secs(10), "readiness does not turn");
        }
    }

    /// Says what the model says.
    async fn answer(&self) -> u16 {
        let answer = json!({"jsonrpc": "2.0", "id": 0, "result": {"model": "test", "role": "assistant",
            "content": {"type": "text", "text": "a short text"}}});
        let request = in_session(&self.serve, &self.token, Some(&self.session));
        request.json(&answer).send().await.expect("an answer").status().as_u16()
    }
}

fn in_session(serve: &Serve, token: &str, session: Option<&str>) -> RequestBuilder {
    let request =
        serve.http.post(&serve.url).bearer_auth(token).header("accept", "application/json, text/event-stream");
    match session {
        Some(session) => request.header("mcp-session-id", session).header("mcp-protocol-version", "2025-11-25"),
        None => request,
    }
}

/// The next event with a message in it.
pub(crate) async fn event(response: &mut Response) -> Value {
    let mut text = String::new();
    loop {
        let chunk = response.chunk().await.expect("no broken stream").expect("one more event");
        text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let message = lines.find_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
        if let Some(message) = message {
            return message;
        }
    }
}

#[tokio::test]
async fn what_is_under_way_is_finished_before_the_end() {
    for (signal, code) in [(Signal::TERM, 0), (Signal::INT, 130)] {
        let mut under_way = UnderWay::start(Account::new()).await;
        assert_eq!(under_way.readiness().await, 200, "the twin");
        under_way.serve.process.signal(signal);
        under_way.until_draining().await;
        assert_eq!(under_way.serve.get("/health/live").await.status(), 200, "it is alive while it drains");
        assert_eq!(under_way.answer().await, 202);
        let result = event(&mut under_way.call).await;
        assert_eq!((&result["id"], &result["result"]["content"][0]["text"]), (&json!(5), &json!("a short text")));
        assert!(under_way.call.chunk().await.expect("a whole answer").is_none());
        while under_way.stream.chunk().await.expect("an end, not a break").is_some() {}
        let ended = under_way.serve.process.ended();
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.stderr.contains("stopping: calls under way finish"), "{ended:?}");
        assert!(!ended.stderr.contains("the drain timeout is over"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let under_way = UnderWay::start(Account::new()).await;
    under_way.serve.process.signal(Signal::TERM);
    under_way.until_draining().await;
    let started = Instant::now();
    under_way.serve.process.signal(Signal::TERM);
    under_way.serve.process.ended().failed(130, &["interrupted before calls under way had ended"]);
    assert!(started.elapsed() < Duration::from_secs(10), "the drain timeout is 25 s");
}

#[tokio::test]
async fn a_call_that_does_not_end_is_not_waited_for_for_ever() {
    let under_way = UnderWay::start(Account::new().with("SECUREMCP_DRAIN_TIMEOUT", "1s")).await;
    under_way.serve.process.signal(Signal::TERM);
    let started = Instant::now();
    let ended = under_way.serve.process.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("the drain timeout is over"), "{ended:?}");
    let took = started.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn an_open_stream_alone_holds_nothing_up() {
    let mut under_way = UnderWay::start(Account::new()).await;
    assert_eq!(under_way.answer().await, 202);
    event(&mut under_way.call).await;
    assert!(under_way.call.chunk().await.expect("a whole answer").is_none());
    let started = Instant::now();
    under_way.serve.process.signal(Signal::TERM);
    while under_way.stream.chunk().await.expect("an end, not a break").is_some() {}
    assert_eq!(under_way.serve.process.ended().code, Some(0));
    assert!(started.elapsed() < Duration::from_secs(10), "the drain timeout is 25 s");
}

#[tokio::test]
async fn a_stream_of_changes_alone_holds_nothing_up() {
    let features = Features::from(Tools::builtin()).with_changes(Changes::default());
    let guarded = Guarded::start_whole(Key::ec(), &[], features).await;
    let wanted = json!({"notifications": {"toolsListChanged": true}});
    let request = guarded.server.post(&guarded.token(&json!({})), stateless("subscriptions/listen", wanted));
    let mut stream = with_mirrors(request, "subscriptions/listen", None).send().await.expect("a stream");
    assert_eq!(event(&mut stream).await["method"], "notifications/subscriptions/acknowledged");
    let started = Instant::now();
    let stopping = tokio::spawn(guarded.server.stop());
    while stream.chunk().await.expect("an end, not a break").is_some() {}
    stopping.await.expect("it ends");
    assert!(started.elapsed() < Duration::from_secs(10), "the drain timeout is 25 s");
}

/// Says that it began, and ends when the test says so.
#[derive(Clone, Default)]
pub(crate) struct Slow(pub(crate) Arc<(Notify, Notify)>);

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Done {}

impl Tool for Slow {
    type Input = Nothing;
    type Output = Done;

    const NAME: &'static str = "slow";
    const DESCRIPTION: &'static str = "Takes its time.";
    const SCOPES: &'static [&'static str] = &["mcp:read"];

    async fn call(&self, _: Nothing, _: &CallContext) -> Result<Done, ToolError> {
        self.0.0.notify_one();
        self.0.1.notified().await;
        Ok(Done {})
    }
}

#[tokio::test]
async fn a_call_over_rest_is_waited_for_too() {
    let slow = Slow::default();
    let guarded = Guarded::with_tools(Tools::builtin().with(slow.clone())).await;
    let request = guarded.server.request(Method::POST, "/api/v1/tools/slow").bearer_auth(guarded.token(&json!({})));
    let call = tokio::spawn(request.json(&json!({})).send());
    slow.0.0.notified().await;
    let (http, ready) = (guarded.server.http.clone(), format!("{}/health/ready", guarded.server.url));
    let stopping = tokio::spawn(guarded.server.stop());
    let started = Instant::now();
    while http.get(&ready).send().await.expect("it still answers").status() != 503 {
        assert!(started.elapsed() < Duration::from_secs(10), "readiness does not turn");
    }
    // On a connection of its own: the server goes on accepting while a call is under way.
    let another =
        securemcp::net::client(&securemcp::net::Options::with_timeout(Duration::from_secs(5))).expect("a client");
    assert_eq!(another.get(&ready).send().await.expect("it still accepts").status(), 503);
    slow.0.1.notify_one();
    let answer = call.await.expect("no panic").expect("an answer");
    assert_eq!((answer.status().as_u16(), &answer.headers()["connection"]), (200, &"close".parse().expect("ASCII")));
    stopping.await.expect("it ends");
}

/// One call over a connection that stays open; its head.
async fn call_over(stream: &mut TcpStream, address: SocketAddr, token: &str) -> String {
    let body = r#"{"message":"hi"}"#;
    let head = format!(
        "POST /api/v1/tools/echo HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("it is open");
    let (mut answer, mut piece) = (String::new(), [0; 4096]);
    while !answer.contains("\"echo\":\"hi\"") {
        let count = stream.read(&mut piece).await.expect("it is open");
        assert!(count > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&piece[..count]).expect("UTF-8"));
    }
    answer.to_lowercase()
}

#[tokio::test]
async fn r12_what_a_proxy_sends_over_an_idle_connection_is_answered_while_the_server_ends() {
    for proxies in ["", "192.0.2.0/24"] {
        let guarded = Guarded::start_with(Key::ec(), &[("server.trusted_proxies", proxies)]).await;
        let (address, token) = (guarded.server.address, guarded.token(&json!({})));
        let mut idle = TcpStream::connect(address).await.expect("it listens");
        assert!(!call_over(&mut idle, address, &token).await.contains("connection: close"));
        let ending = tokio::spawn(guarded.server.stop());
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        if proxies.is_empty() {
            assert_eq!(idle.read(&mut [0]).await.expect("an end"), 0, "the twin: nobody is waited for");
        } else {
            // Nobody knows whether a call was done that a closed connection swallowed.
            assert!(call_over(&mut idle, address, &token).await.contains("connection: close"), "it is the last one");
        }
        ending.await.expect("it ends");
    }
}
