//! Rows of the matrix of faults that need one server: what callers do to it, clocks, and time. Each prints its figure;
//! `./tests/run --soak` runs them with their full load.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    slice, thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpSocket, task::JoinSet};

use crate::harness::{
    Account, Load, Server, Usage, echo, eventually, figure, free_port, is_soak, libfaketime, stateless,
};

/// A server whose issuer is its own, and who calls it.
struct Desk {
    server: Server,
    token: String,
    http: Client,
    account: Account,
}

impl Desk {
    fn start(variables: &[(&str, &str)]) -> Self {
        let account = Account::new();
        let server = account.serve_at(free_port(), variables, &[]);
        let token = account.token(&server.url());
        let http = securemcp::net::plain_client(&securemcp::net::Options::with_timeout(Duration::from_secs(30)));
        Self { server, token, http: http.expect("a client"), account }
    }

    fn load(&self) -> Load {
        Load::begin(self.http.clone(), &self.server.url(), &self.token)
    }

    async fn call(&self) -> u16 {
        self.call_with(&self.token).await
    }

    async fn call_with(&self, token: &str) -> u16 {
        let request = stateless(self.http.post(self.server.url()), token).body(echo("hi"));
        request.send().await.expect("an answer").status().as_u16()
    }

    async fn initialize(&self) -> Response {
        let parameters = json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}});
        self.in_session(None, &json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": parameters})).await
    }

    async fn in_session(&self, session: Option<&str>, message: &Value) -> Response {
        let mut request = self.http.post(self.server.url()).bearer_auth(&self.token);
        request = request.header("content-type", "application/json");
        request = request.header("accept", "application/json, text/event-stream");
        if let Some(session) = session {
            request = request.header("mcp-session-id", session).header("mcp-protocol-version", "2025-11-25");
        }
        request.body(message.to_string()).send().await.expect("an answer")
    }

    async fn begin(&self) -> String {
        let answer = self.initialize().await;
        assert_eq!(answer.status(), 200);
        let session = answer.headers()["mcp-session-id"].to_str().expect("ASCII").to_owned();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(self.in_session(Some(&session), &initialized).await.status(), 202);
        session
    }

    async fn listen(&self, session: &str) -> Response {
        let request = self.http.get(self.server.url()).bearer_auth(&self.token).timeout(Duration::from_hours(1));
        let request = request.header("accept", "text/event-stream").header("mcp-session-id", session);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer
    }

    /// A connection over which these bytes went out, and nothing was read.
    fn connection(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.server.port)).expect("it listens");
        stream.write_all(bytes).expect("it takes them");
        stream
    }

    /// The same, where the system takes little for who does not read.
    async fn narrow_connection(&self, bytes: &[u8]) -> tokio::net::TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a setting");
        let address = ([127, 0, 0, 1], self.server.port).into();
        let mut stream = socket.connect(address).await.expect("it listens");
        stream.write_all(bytes).await.expect("it takes them");
        stream
    }

    /// A call that was answered, with which status, and is not read.
    async fn unread(&self, call: &[u8]) -> (u16, tokio::net::TcpStream) {
        let stream = self.narrow_connection(call).await;
        let mut head = [0; 12];
        while stream.peek(&mut head).await.expect("an answer") < head.len() {
            stream.readable().await.expect("an answer");
        }
        (std::str::from_utf8(&head[9..]).expect("digits").parse().expect("a status"), stream)
    }

    /// The token of a client that was registered for it.
    async fn another_client(&self) -> String {
        let opener = self.account.home().join("state/securemcp/initial-access-token");
        let opener = std::fs::read_to_string(opener).expect("the server has made one");
        let metadata = json!({"client_name": "Reader", "grant_types": ["client_credentials"], "response_types": [],
            "token_endpoint_auth_method": "client_secret_post"});
        let request = self.http.post(format!("{}/register", self.server.origin())).bearer_auth(opener.trim());
        let registered = request.json(&metadata).send().await.expect("an answer");
        assert_eq!(registered.status(), 201);
        let registered: Value = registered.json().await.expect("JSON");
        let of = |answer: &Value, name: &str| answer[name].as_str().expect("a text").to_owned();
        let form = [
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", of(&registered, "client_id")),
            ("client_secret", of(&registered, "client_secret")),
            ("resource", self.server.url()),
            ("scope", "mcp:read".to_owned()),
        ];
        let granted = self.http.post(format!("{}/token", self.server.origin())).form(&form).send().await;
        let granted = granted.expect("an answer");
        assert_eq!(granted.status(), 200);
        of(&granted.json().await.expect("JSON"), "access_token")
    }

    /// A call of `echo` as bytes.
    fn raw_call(&self, message: &str) -> Vec<u8> {
        self.raw_call_with(&self.token, message)
    }

    fn raw_call_with(&self, token: &str, message: &str) -> Vec<u8> {
        let body = echo(message);
        format!(
            "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\n\
             mcp-name: echo\r\ncontent-length: {}\r\n\r\n{body}",
            self.server.port,
            body.len()
        )
        .into_bytes()
    }

    /// Waits until it has no more descriptors than then, and a few that stay open for the next call.
    fn has_let_go(&self, before: Usage) -> Usage {
        eventually("descriptors are given back", || {
            Some(self.server.usage()).filter(|now| now.descriptors <= before.descriptors + 16)
        })
    }
}

/// The short form, or the load of the matrix.
fn many(short: usize, full: usize) -> usize {
    if is_soak() { full } else { short }
}

fn grown(before: Usage, after: Usage) -> i64 {
    i64::try_from(after.kib).expect("it fits") - i64::try_from(before.kib).expect("it fits")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r17_a_clock_that_jumps_costs_nobody_more_than_it_must() {
    let home = tempfile::tempdir().expect("a directory");
    let clock = home.path().join("clock").display().to_string();
    let set = |ahead: &str| std::fs::write(&clock, ahead).expect("it is ours");
    set("+0");
    let library = libfaketime();
    let desk = Desk::start(&[
        ("LD_PRELOAD", &library),
        ("FAKETIME_TIMESTAMP_FILE", &clock),
        ("FAKETIME_NO_CACHE", "1"),
        // A system's clock may jump, its stopwatch does not.
        ("DONT_FAKE_MONOTONIC", "1"),
    ]);
    let session = desk.begin().await;
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let before = desk.server.usage();
    let mut answered = Vec::new();
    // Tokens live for 15 minutes, with 30 s of leeway; one that was judged stays good when a clock goes back.
    for (ahead, expected) in
        [("+0", 200), ("+60", 200), ("+600", 200), ("-20", 200), ("-60", 200), ("+960", 401), ("+0", 200)]
    {
        set(ahead);
        assert_eq!(desk.call().await, expected, "{ahead}");
        assert_eq!(desk.in_session(Some(&session), &list).await.status().as_u16(), expected, "{ahead}");
        answered.push(format!("{ahead} s: {expected}"));
    }
    let began = Instant::now();
    thread::sleep(Duration::from_secs(1));
    let spent = desk.server.usage().processor.saturating_sub(before.processor);
    figure(&format!(
        "R17, a clock that jumps: {}; {} ms of processor in {} ms",
        answered.join(", "),
        spent.as_millis(),
        began.elapsed().as_millis()
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r18_without_descriptors_it_waits_and_comes_back() {
    let desk = Desk::start(&[]);
    // This one stays open.
    assert_eq!(desk.call().await, 200);
    let before = desk.server.usage();
    desk.server.tell("prlimit", &["--nofile=256", "--pid"]);
    let strangers: Vec<_> = (0..400).map(|_| desk.connection(b"")).collect();
    eventually("it has no more", || Some(()).filter(|()| desk.server.log().contains("cannot accept a connection")));
    let (began, exhausted) = (Instant::now(), desk.server.usage());
    for _ in 0..20 {
        assert_eq!(desk.call().await, 200, "who is in is served");
    }
    let spent = desk.server.usage().processor.saturating_sub(exhausted.processor);
    let waited = began.elapsed();
    drop(strangers);
    let began = Instant::now();
    let fresh = securemcp::net::plain_client(&securemcp::net::Options::with_timeout(Duration::from_secs(30)));
    let answer = fresh.expect("a client").get(format!("{}/health/ready", desk.server.origin())).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
    let recovered = began.elapsed();
    desk.has_let_go(before);
    figure(&format!(
        "R18, 400 connections and 256 descriptors: 0 of 20 calls over a connection that was there failed, {} ms of \
         processor in {} ms; a new connection is answered {} ms after they went",
        spent.as_millis(),
        waited.as_millis(),
        recovered.as_millis()
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r19_idle_streams_cost_little_and_disturb_nobody() {
    let streams = many(200, 8_000);
    let desk =
        Desk::start(&[("SECUREMCP_LIMITS_SESSIONS_PER_PRINCIPAL", "20000"), ("SECUREMCP_LIMITS_SESSIONS", "20000")]);
    let quiet = desk.load();
    quiet.more(200).await;
    let quiet = quiet.end().await;
    let before = desk.server.usage();
    let mut open = Vec::new();
    for _ in 0..streams {
        open.push(desk.listen(&desk.begin().await).await);
    }
    let after = desk.server.usage();
    let load = desk.load();
    load.more(200).await;
    let loaded = load.end().await;
    let good = loaded.all_good();
    assert!(desk.server.usage().descriptors >= streams, "each is open");
    drop(open);
    desk.has_let_go(before);
    figure(&format!(
        "R19, {streams} idle streams of sessions: {} KiB each; 0 of {good} other calls failed, 99 of 100 within {} ms \
         (before: {} ms)",
        grown(before, after) / i64::try_from(streams).expect("it fits"),
        loaded.p99(),
        quiet.p99()
    ));
}

/// What became of calls whose answers nobody reads.
struct Unread {
    refused: usize,
    closed: usize,
    mib: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r20_who_does_not_read_holds_nothing_up() {
    let readers = many(100, 900);
    let desk = Desk::start(&[]);
    let message = "x".repeat(1024 * 1024);
    let greedy = desk.another_client().await;
    // More would not be registered in a minute.
    let others = join_all((0..19).map(|_| desk.another_client())).await;
    let load = desk.load();
    load.more(200).await;
    let before = desk.server.usage();
    let mut open = Vec::new();
    let mut found = Vec::new();
    for callers in [slice::from_ref(&greedy), &others] {
        let calls: Vec<_> = callers.iter().map(|token| desk.raw_call_with(token, &message)).collect();
        let mut refused = 0;
        // One after the other: it is about those that do not read, not about many calls at once.
        for number in 0..readers {
            let (status, stream) = desk.unread(&calls[number % calls.len()]).await;
            assert!([200, 429].contains(&status), "{status}");
            refused += usize::from(status == 429);
            open.push(stream);
        }
        let closed = desk.server.log().matches("closed a connection: too many answers wait to be read").count();
        found.push(Unread { refused, closed, mib: grown(before, desk.server.usage()) / 1024 });
        load.more(200).await;
    }
    let calls = load.end().await;
    let good = calls.all_good();
    drop(open);
    let after = desk.has_let_go(before);
    let (of_one, of_many) = (&found[0], &found[1]);
    figure(&format!(
        "R20, {readers} calls and nobody reads 2 MiB: of one client {} refused, {} closed, {} MiB more; as many of 19 \
         others {} refused, {} closed, {} MiB more; {} MiB when all went; 0 of {good} other calls failed, 99 of 100 \
         within {} ms",
        of_one.refused,
        of_one.closed,
        of_one.mib,
        of_many.refused,
        of_many.closed,
        of_many.mib,
        grown(before, after) / 1024,
        calls.p99()
    ));
    assert!(of_one.refused > 0 && of_one.closed == 0, "who comes alone is refused");
    assert!(of_many.closed > 0, "the oldest answers of many give way");
    assert!(of_one.mib < 200 && of_many.mib < 200, "it is bounded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r21_who_sends_slowly_is_cut_off_and_holds_nothing_up() {
    let slow = many(100, 500);
    let desk = Desk::start(&[]);
    let before = desk.server.usage();
    let call = desk.raw_call("hi");
    let half_a_head = &call[..60];
    let began = Instant::now();
    let mut open: Vec<_> = (0..slow).map(|_| desk.connection(half_a_head)).collect();
    let load = desk.load();
    load.more(200).await;
    // Another byte does not buy more time.
    for stream in &mut open {
        let _ = stream.write_all(b"x");
    }
    let ended = open.into_iter().map(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a socket");
        let mut said = Vec::new();
        // Closed, or reset since a byte was not read.
        let end = stream.read_to_end(&mut said);
        assert!(
            end.is_ok() || end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset),
            "it is open"
        );
        assert!(!said.starts_with(b"HTTP/1.1 200"));
    });
    assert_eq!(ended.count(), slow);
    let took = began.elapsed();
    let good = load.end().await.all_good();
    desk.has_let_go(before);
    figure(&format!(
        "R21, {slow} slow heads: all cut off after {} ms; 0 of {good} other calls failed",
        took.as_millis()
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r22_abandoned_sessions_are_capped_and_end() {
    let attempts = many(200, 8_000);
    let desk = Desk::start(&[("SECUREMCP_LIMITS_SESSION_IDLE", "2s")]);
    let mut told = Vec::new();
    for _ in 0..3 {
        let before = desk.server.usage();
        let (mut begun, mut refused) = (0, 0);
        for _ in 0..attempts {
            let answer = desk.initialize().await;
            match answer.status().as_u16() {
                200 => begun += 1,
                429 => {
                    assert!(answer.headers().contains_key("retry-after"));
                    refused += 1;
                }
                other => panic!("{other}"),
            }
            // A slow machine has another 50 end meanwhile.
            if refused == 0 {
                assert!(begun <= 50, "more than one caller may have");
            }
        }
        assert!(refused > 0 && begun > 0, "{begun} begun, {refused} refused");
        assert_eq!(desk.call().await, 200, "the hog's other work goes on");
        let after = desk.server.usage();
        told.push(format!("{} KiB", grown(before, after)));
        // They end by themselves.
        while desk.initialize().await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    figure(&format!("R22, 3 waves of {attempts} abandoned sessions, 50 let in at a time: {}", told.join(", ")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r26_settings_good_and_bad_change_under_load() {
    let account = Account::new();
    let settings = |level: &str| account.configure(&format!("[log]\nlevel = \"{level}\"\n"));
    settings("info");
    let server = account.serve();
    let token = account.token(&server.url());
    let http = securemcp::net::plain_client(&securemcp::net::Options::with_timeout(Duration::from_secs(30)));
    let load = Load::begin(http.expect("a client"), &server.url(), &token);
    let times = many(10, 200);
    for time in 0..times {
        let (level, words) = if time % 2 == 0 { ("info", "\"reloaded\"") } else { ("nonsense", "\"not reloaded") };
        let before = server.log().matches(words).count();
        settings(level);
        server.tell("kill", &["-HUP"]);
        eventually("it has read them", || Some(()).filter(|()| server.log().matches(words).count() > before));
        load.more(20).await;
    }
    let good = load.end().await.all_good();
    figure(&format!("R26, settings read {times} times, every other time bad: 0 of {good} calls failed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r27_more_than_it_may_take_is_refused_at_once() {
    let desk = Desk::start(&[("SECUREMCP_LIMITS_PER_CLIENT", "10/s"), ("SECUREMCP_LIMITS_PER_ADDRESS", "10/s")]);
    let seconds = many(3, 60);
    let (began, mut callers) = (Instant::now(), JoinSet::new());
    for _ in 0..32 {
        let (http, url, token) = (desk.http.clone(), desk.server.url(), desk.token.clone());
        callers.spawn(async move {
            let mut answers = Vec::new();
            while began.elapsed() < Duration::from_secs(seconds as u64) {
                let asked = Instant::now();
                let answer = stateless(http.post(&url), &token).body(echo("hi")).send().await.expect("an answer");
                answers.push((answer.status().as_u16(), answer.headers().contains_key("retry-after"), asked.elapsed()));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            answers
        });
    }
    let answers: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    assert!(answers.iter().all(|(status, is_told, _)| matches!((status, is_told), (200, false) | (429, true))));
    let mut good: Vec<_> = answers.iter().filter(|answer| answer.0 == 200).map(|answer| answer.2).collect();
    good.sort_unstable();
    assert!(!good.is_empty() && good.len() < answers.len(), "{} of {}", good.len(), answers.len());
    let began = Instant::now();
    while desk.call().await != 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    figure(&format!(
        "R27, {} calls in {seconds} s where 10 a second may come: {} let in, 99 of 100 of them within {} ms, the others \
         429 at once; the next one let in {} ms after the flood",
        answers.len(),
        good.len(),
        good[good.len() * 99 / 100].as_millis(),
        began.elapsed().as_millis()
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r28_time_costs_nothing() {
    let mut desk = Desk::start(&[]);
    let rounds = many(5, 180);
    let load = desk.load();
    let mut seen = Vec::new();
    for _ in 0..rounds {
        let until = Instant::now() + Duration::from_secs(many(1, 10) as u64);
        while Instant::now() < until {
            let session = desk.begin().await;
            let stream = desk.listen(&session).await;
            let ending =
                desk.http.delete(desk.server.url()).bearer_auth(&desk.token).header("mcp-session-id", &session);
            assert_eq!(ending.send().await.expect("an answer").status(), 204);
            stream.bytes().await.expect("its end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The token would not outlive half an hour.
        desk.token = desk.account.new_token(&desk.server.url());
        load.now_with(&desk.token);
        seen.push(desk.server.usage());
    }
    let good = load.end().await.all_good();
    let (first, last) = (seen[seen.len() / 5], seen[seen.len() - 1]);
    assert!(last.descriptors <= first.descriptors + 16, "{first:?}, {last:?}");
    assert_eq!(last.threads, first.threads);
    if is_soak() {
        assert!(grown(first, last) < 24 * 1024, "more than 1 MiB a minute: {first:?}, {last:?}");
    }
    figure(&format!(
        "R28, {rounds} rounds of calls and sessions: 0 of {good} calls failed; {} KiB, {} descriptors, {} threads after \
         the first fifth, {} KiB, {} and {} at the end",
        first.kib, first.descriptors, first.threads, last.kib, last.descriptors, last.threads
    ));
}
