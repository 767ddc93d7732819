//! Callers who ask for much and do not read it (R20): what their answers hold of memory is bounded, and is theirs to lose.

use std::sync::Arc;

use reqwest::{Response, StatusCode};
use securemcp::tools::{CallContext, Tool, ToolError, Tools};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
};

use crate::{
    harness::{
        keys::Key,
        log::Log,
        server::{Guarded, stateless, with_mirrors},
        until::until,
    },
    sessions::Nothing,
};

/// `limits.unread_bytes` of these servers.
const SHARED: usize = 16 * 1024 * 1024;
/// What callers have echoed, in bytes. The system would take all of the answer if it were not told to leave it.
const MESSAGE: usize = 1000 * 1024;

/// A call that was answered, of which nothing is read but the head.
struct Unread {
    stream: TcpStream,
    status: u16,
    head: String,
    /// Of the body: its length, and how much came with the head.
    length: usize,
    came: usize,
}

impl Unread {
    /// Has a message echoed, over a connection of its own that takes little.
    async fn call(guarded: &Guarded, token: &str, message: usize) -> Self {
        let body = stateless("tools/call", json!({"name": "echo", "arguments": {"message": "x".repeat(message)}}));
        let head = "/mcp HTTP/1.1\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: echo\r\n\
                    accept: application/json, text/event-stream";
        Self::post(guarded, token, head, &body).await
    }

    /// The same over REST.
    async fn call_by_rest(guarded: &Guarded, token: &str, message: usize) -> Self {
        let body = json!({"message": "x".repeat(message)}).to_string();
        Self::post(guarded, token, "/api/v1/tools/echo HTTP/1.1", &body).await
    }

    async fn post(guarded: &Guarded, token: &str, head: &str, body: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a setting");
        let mut stream = socket.connect(guarded.server.address).await.expect("it listens");
        let request = format!(
            "POST {head}\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            guarded.server.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("it takes all of it");
        let mut read = Vec::new();
        let end = loop {
            let mut buffer = [0; 512];
            let count = stream.read(&mut buffer).await.expect("an answer");
            assert!(count > 0, "it ends with its head");
            read.extend_from_slice(&buffer[..count]);
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8(read[..end].to_vec()).expect("a head");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let (status, length) = (head[9..12].parse().expect("a status"), length.parse().expect("a number"));
        Self { stream, status, length, came: read.len() - end, head }
    }

    /// Reads the rest. Whether all of it came.
    async fn read(mut self) -> bool {
        let mut buffer = vec![0; 65536];
        while self.came < self.length {
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return false,
                Ok(count) => self.came += count,
            }
        }
        self.came == self.length
    }
}

async fn start() -> Guarded {
    start_with(Tools::builtin(), SHARED).await
}

async fn start_with(tools: Tools, shared: usize) -> Guarded {
    Guarded::start_whole(Key::ec(), &[("limits.unread_bytes", &shared.to_string())], tools).await
}

/// What a tool says as soon as it may.
struct Late(Arc<Semaphore>);

#[derive(Serialize, schemars::JsonSchema)]
struct Said {
    text: String,
}

impl Tool for Late {
    type Input = Nothing;
    type Output = Said;

    const NAME: &'static str = "late";
    const DESCRIPTION: &'static str = "Waits for a permit and says much.";
    const SCOPES: &'static [&'static str] = &[];

    async fn call(&self, _: Nothing, _: &CallContext) -> Result<Said, ToolError> {
        self.0.acquire().await.expect("open").forget();
        Ok(Said { text: "x".repeat(MESSAGE) })
    }
}

#[tokio::test]
async fn r20_who_does_not_read_is_refused_and_others_are_not() {
    let (log, _guard) = Log::start();
    let guarded = start().await;
    let (alice, bob) = (guarded.token(&json!({})), guarded.token(&json!({"sub": "bob"})));
    let session = guarded.begin(&alice).await;
    let mut open =
        vec![Unread::call(&guarded, &alice, MESSAGE).await, Unread::call_by_rest(&guarded, &alice, MESSAGE).await];
    assert!(open[0].length > 2 * MESSAGE && open[1].length > MESSAGE, "text and structured content; the latter alone");
    let mut left = SHARED - open[0].length - open[1].length;
    while left > 0 {
        open.push(Unread::call(&guarded, &alice, MESSAGE).await);
        left = left.saturating_sub(open[0].length);
    }
    assert_eq!(
        open.iter().map(|call| call.status).collect::<Vec<_>>(),
        vec![200; open.len()],
        "it has not had its share"
    );
    let refused = [
        Unread::call(&guarded, &alice, 10).await,
        Unread::call_by_rest(&guarded, &guarded.token(&json!({"client_id": "another"})), 10).await,
    ];
    for refused in refused {
        assert_eq!(refused.status, 429);
        assert!(refused.head.contains("retry-after: 1\r\n"), "{}", refused.head);
    }
    let answer = guarded.server.call(&alice, "echo", json!({"message": "hi"})).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let answer: Value = answer.json().await.expect("JSON");
    let why = "too many answers to this user wait to be read; read them or close their connections, and try again";
    assert_eq!(answer["error"]["message"], why);
    for path in ["/api/v1/tools", "/api/v1/me"] {
        let answer = guarded.server.request(reqwest::Method::GET, path).bearer_auth(&alice).send().await;
        assert_eq!(answer.expect("an answer").status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    let told = log.text();
    let told = told.lines().filter(|line| line.contains("rate_limited")).map(|line| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        (event["fields"]["scope"].clone(), event["fields"]["subject"].clone(), event["fields"]["count"].clone())
    });
    // The others are told within a second, and the clock stands still.
    assert_eq!(told.collect::<Vec<_>>(), [(json!("unread"), json!("alice"), json!(1))]);
    // What ends something is no more work.
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
    assert_eq!(guarded.in_session(&alice, &session, cancelled.to_string()).await.status(), 202);
    // Another user knows nothing of it, whatever that one asks for.
    assert_eq!(guarded.server.status_with(&bob).await, 200);
    let large = Unread::call(&guarded, &bob, MESSAGE).await;
    assert!(large.status == 200 && large.read().await);
    // Who reads again is let in again, and has lost nothing.
    assert!(open.pop().expect("a call").read().await);
    until("there is room", async || guarded.server.status_with(&alice).await == 200).await;
    for call in open {
        assert!(call.read().await);
    }
}

/// Fails, and says much of it.
struct Fails;

impl Tool for Fails {
    type Input = Nothing;
    type Output = Said;

    const NAME: &'static str = "fails";
    const DESCRIPTION: &'static str = "Fails.";
    const SCOPES: &'static [&'static str] = &[];

    async fn call(&self, _: Nothing, _: &CallContext) -> Result<Said, ToolError> {
        Err(ToolError::Failed("x".repeat(MESSAGE)))
    }
}

#[tokio::test]
async fn r20_what_a_failed_call_says_counts_over_rest() {
    let guarded = start_with(Tools::builtin().with(Fails), MESSAGE).await;
    let token = guarded.token(&json!({}));
    let failed = Unread::post(&guarded, &token, "/api/v1/tools/fails HTTP/1.1", "{}").await;
    assert!(failed.status == 500 && failed.length > MESSAGE, "{}", failed.head);
    assert_eq!(guarded.server.status_with(&token).await, 429);
    assert!(failed.read().await);
    until("there is room", async || guarded.server.status_with(&token).await == 200).await;
}

#[tokio::test]
async fn r20_many_who_do_not_read_lose_their_oldest_answers() {
    let (log, _guard) = Log::start();
    let guarded = start().await;
    let token = |number: usize| guarded.token(&json!({"sub": format!("user {number}")}));
    let first = Unread::call(&guarded, &token(0), MESSAGE).await;
    let (room, more) = ((SHARED + SHARED / 6) / first.length, 5);
    let mut open = vec![first];
    for number in 1..room + more {
        let call = Unread::call(&guarded, &token(number), MESSAGE).await;
        assert_eq!(call.status, 200, "nobody has more than its share");
        open.push(call);
    }
    let mut whole = Vec::new();
    for call in open {
        whole.push(call.read().await);
    }
    assert_eq!(whole[..more], vec![false; more], "the oldest have given way");
    assert_eq!(whole[more..], vec![true; room]);
    let warnings = log.text();
    let warnings = warnings.lines().filter(|line| line.contains("too many answers wait to be read")).map(|line| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        event["fields"]["user"].as_str().expect("a text").to_owned()
    });
    assert_eq!(warnings.collect::<Vec<_>>(), ["user 0", "user 1", "user 2", "user 3", "user 4"]);
    assert_eq!(guarded.server.status_with(&token(0)).await, 200);
}

/// A client that speaks HTTP/2 and takes so many bytes of each answer until it reads it.
struct Narrow<'a> {
    guarded: &'a Guarded,
    http: reqwest::Client,
}

impl<'a> Narrow<'a> {
    fn new(guarded: &'a Guarded, takes: u32) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the product never does this")]
        let builder = reqwest::Client::builder();
        let builder = builder.http2_prior_knowledge().http2_initial_stream_window_size(takes);
        Self { guarded, http: builder.build().expect("a client") }
    }

    async fn post(
        &self,
        token: &str,
        body: String,
        dress: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Response {
        let request = self.http.post(format!("{}/mcp", self.guarded.server.url)).bearer_auth(token);
        let request = request.header("content-type", "application/json");
        let request = dress(request.header("accept", "application/json, text/event-stream")).body(body);
        request.send().await.expect("an answer")
    }

    async fn echo(&self, token: &str, message: &str) -> Response {
        let body = stateless("tools/call", json!({"name": "echo", "arguments": {"message": message}}));
        self.post(token, body, |request| with_mirrors(request, "tools/call", Some("echo"))).await
    }
}

/// Calls until it is refused. What was let in.
async fn fill(mut call: impl AsyncFnMut() -> Response) -> Vec<Response> {
    let mut open = Vec::new();
    loop {
        assert!(open.len() < 100, "it is never refused");
        let answer = call().await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            return open;
        }
        assert_eq!(answer.status(), StatusCode::OK);
        open.push(answer);
    }
}

#[tokio::test]
async fn r20_over_http2_small_answers_that_wait_count() {
    for takes in [0, 1] {
        let guarded = start_with(Tools::builtin(), 64 * 1024).await;
        let (narrow, token) = (Narrow::new(&guarded, takes), guarded.token(&json!({})));
        let open = fill(async || narrow.echo(&token, "hi").await).await;
        assert_eq!(open.len(), 16, "4 KiB each");
        assert_eq!(guarded.server.status_with(&guarded.token(&json!({"sub": "bob"}))).await, 200);
        // Who takes anything gets all of it.
        for answer in open.into_iter().filter(|_| takes > 0) {
            assert!(answer.text().await.expect("an answer").contains("\"hi\""));
        }
        until("there is room", async || guarded.server.status_with(&token).await == 200).await;
    }
}

#[tokio::test]
async fn r20_over_http2_events_behind_one_that_waits_count() {
    let gate = Arc::new(Semaphore::new(0));
    let guarded = start_with(Tools::builtin().with(Late(Arc::clone(&gate))), SHARED).await;
    let (narrow, token) = (Narrow::new(&guarded, 0), guarded.token(&json!({})));
    let session = guarded.begin(&token).await;
    let mut id = 0;
    let open = fill(async || {
        id += 1;
        let call =
            json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "late", "arguments": {}}});
        let in_session = |request: reqwest::RequestBuilder| {
            request.header("mcp-session-id", &session).header("mcp-protocol-version", "2025-11-25")
        };
        let answer = narrow.post(&token, call.to_string(), in_session).await;
        // It has begun before the tool is done.
        gate.add_permits(1);
        until("the tool is done", async || gate.available_permits() == 0 || answer.status() != StatusCode::OK).await;
        answer
    })
    .await;
    // What the tool has said is counted a moment after it is done.
    let least = SHARED.div_ceil(2 * MESSAGE + 4096);
    assert!((least..least + 3).contains(&open.len()), "{} let in", open.len());
    drop(open);
    until("there is room", async || guarded.server.status_with(&token).await == 200).await;
}

#[tokio::test]
async fn r20_over_http2_a_connection_that_holds_too_much_is_closed() {
    let guarded = start_with(Tools::builtin(), 64 * 1024).await;
    let narrow = Narrow::new(&guarded, 1);
    let alice = guarded.token(&json!({}));
    let open = fill(async || narrow.echo(&alice, "hi").await).await;
    for number in 0..30 {
        let other = guarded.token(&json!({"sub": format!("user {number}")}));
        let call = Unread::call(&guarded, &other, MESSAGE).await;
        assert!(call.status == 200 && call.read().await, "one answer of any size is nobody's fault");
    }
    for answer in open {
        assert!(answer.text().await.is_err(), "it held the most when there was too much");
    }
}
