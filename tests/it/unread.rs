//! Callers who ask for much and do not read it (R20): what they hold of memory is bounded, and is theirs.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::harness::{
    log::Log,
    server::{Guarded, stateless, with_mirrors},
    until::until,
};

/// Of answers that wait there are so many bytes when callers above their share are refused, and so many at all.
const SHARED: usize = 96 * 1024 * 1024;
const MAX: usize = 112 * 1024 * 1024;
/// What callers have echoed, in bytes. The system would take all of the answer if it were not told to leave it.
const MESSAGE: usize = 1000 * 1024;

/// A call that was answered, of which nothing is read but the head.
struct Unread {
    stream: TcpStream,
    status: u16,
    head: String,
    /// Of the body: its length, and what came with the head.
    length: usize,
    came: usize,
}

impl Unread {
    /// Has a message echoed, over a connection of its own that takes little.
    async fn call(guarded: &Guarded, token: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a setting");
        let mut stream = socket.connect(guarded.server.address).await.expect("it listens");
        let body = stateless("tools/call", json!({"name": "echo", "arguments": {"message": "x".repeat(MESSAGE)}}));
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\n\
             mcp-method: tools/call\r\nmcp-name: echo\r\ncontent-length: {}\r\n\r\n",
            guarded.server.address,
            body.len()
        );
        // Who is refused may have been so before the body was there.
        let _ = stream.write_all(&[head.into_bytes(), body.into_bytes()].concat()).await;
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
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let length = header("content-length: ").expect("a length").parse().expect("a number");
        let status = head[9..12].parse().expect("a status");
        Self { stream, status, length, came: read.len() - end, head }
    }

    /// The rest of it; how much of the body came in all.
    async fn read(mut self) -> usize {
        let mut rest = Vec::new();
        let mut buffer = vec![0; 65536];
        while self.came + rest.len() < self.length {
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => rest.extend_from_slice(&buffer[..count]),
            }
        }
        self.came + rest.len()
    }
}

/// Calls until it is refused. What was let in, and the refusal.
async fn fill(guarded: &Guarded, token: &str) -> (Vec<Unread>, Unread) {
    let mut open = Vec::new();
    loop {
        assert!(open.len() < 200, "it is never refused");
        let call = Unread::call(guarded, token).await;
        if call.status != 200 {
            return (open, call);
        }
        open.push(call);
    }
}

#[tokio::test]
async fn r20_who_does_not_read_is_refused_and_others_are_not() {
    let (log, _guard) = Log::start();
    let guarded = Guarded::start().await;
    let (alice, bob) = (guarded.token(&json!({})), guarded.token(&json!({"sub": "bob"})));
    let (mut open, refused) = fill(&guarded, &alice).await;
    let length = open[0].length;
    assert!(length > 2 * MESSAGE, "text and structured content");
    assert_eq!(open.len(), SHARED.div_ceil(length));
    assert_eq!(refused.status, 429);
    assert!(refused.head.contains("retry-after: 1\r\n"), "{}", refused.head);
    let answer = guarded.server.call(&alice, "echo", json!({"message": "hi"})).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let answer: Value = answer.json().await.expect("JSON");
    let why = "too many answers to this caller wait to be read; read them or close their connections, and try again";
    assert_eq!(answer["error"]["message"], why);
    let rest = guarded.server.request(reqwest::Method::GET, "/api/v1/me").bearer_auth(&alice);
    assert_eq!(rest.send().await.expect("an answer").status(), StatusCode::TOO_MANY_REQUESTS);
    let told = log.text();
    let told = told.lines().filter(|line| line.contains("rate_limited")).map(|line| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        (event["fields"]["scope"].clone(), event["fields"]["subject"].clone(), event["fields"]["count"].clone())
    });
    // The second and the third are told within a second, and the clock stands still.
    assert_eq!(told.collect::<Vec<_>>(), [(json!("unread"), json!("alice"), json!(1))]);
    // Another caller knows nothing of it, whatever it asks for.
    assert_eq!(guarded.server.status_with(&bob).await, 200);
    let large = Unread::call(&guarded, &bob).await;
    assert_eq!((large.status, large.read().await), (200, length));
    // Who reads again is let in again, and has lost nothing.
    assert_eq!(open.pop().expect("a call").read().await, length);
    until("there is room", async || guarded.server.status_with(&alice).await == 200).await;
    for call in open {
        assert_eq!(call.read().await, length);
    }
}

#[tokio::test]
async fn r20_many_who_do_not_read_lose_their_oldest_answers() {
    let guarded = Guarded::start().await;
    let token = |number: usize| guarded.token(&json!({"sub": format!("user {number}")}));
    let first = Unread::call(&guarded, &token(0)).await;
    let (length, mut open) = (first.length, vec![first]);
    let (room, more) = (MAX / length, 5);
    for number in 1..room + more {
        let call = Unread::call(&guarded, &token(number)).await;
        assert_eq!(call.status, 200, "nobody has more than its share");
        open.push(call);
    }
    let mut whole = Vec::new();
    for call in open {
        whole.push(call.read().await == length);
    }
    assert_eq!(whole[..more], vec![false; more], "the oldest have given way");
    assert_eq!(whole[more..], vec![true; room]);
    assert_eq!(guarded.server.status_with(&token(0)).await, 200);
}

#[tokio::test]
async fn r20_an_http2_peer_that_takes_nothing_is_refused_too() {
    let guarded = Guarded::start().await;
    #[expect(clippy::disallowed_methods, reason = "the product never does this")]
    let http2 = reqwest::Client::builder();
    // One stream takes 64 KiB, and all of them together no more.
    let http2 = http2.http2_prior_knowledge().http2_initial_stream_window_size(65535);
    let http2 = http2.http2_initial_connection_window_size(65535).build().expect("a client");
    let call = async |token: &str| {
        let params = json!({"name": "echo", "arguments": {"message": "x".repeat(MESSAGE)}});
        let request = http2.post(format!("{}/mcp", guarded.server.url)).bearer_auth(token);
        let request = request.header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream");
        let request = with_mirrors(request, "tools/call", Some("echo"));
        request.body(stateless("tools/call", params)).send().await.expect("an answer")
    };
    let token = guarded.token(&json!({}));
    let mut open = Vec::new();
    let refused = loop {
        assert!(open.len() < 200, "it is never refused");
        let answer = call(&token).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        open.push(answer);
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        open.len(),
        SHARED.div_ceil(usize::try_from(open[0].content_length().expect("a length")).expect("small"))
    );
    drop(open);
    until("there is room", async || guarded.server.status_with(&token).await == 200).await;
}
