//! Rows of the matrix of faults that are about names and networks.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{StreamExt as _, stream};
use reqwest::{Client, Response};
use schemars::JsonSchema;
use securemcp::tools::{CallContext, Tool, ToolError, Tools};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::{
    Account, InProcess, Link, Load, Toxiproxy, echo, eventually, figure, free_port, is_soak, stateless,
};

/// Runs the server of an account until it has a copy of its issuer's keys.
fn learn_keys(account: &Account, port: u16, flags: &[&str]) {
    let server = account.serve_at(port, &[], flags);
    // It is written behind the backs of those who are served.
    let copies = account.home().join("state/securemcp/issuers");
    eventually("a copy of the keys", || {
        let names = fs::read_dir(&copies).ok()?.map(|file| file.expect("readable").file_name());
        names.into_iter().find(|name| name.to_string_lossy().starts_with("keys-"))
    });
    drop(server);
}

/// Keys of an issuer whose name is not to be found any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r29_a_name_that_is_not_found_costs_nobody_who_is_known() {
    let (home, account, port) = (Account::new(), Account::new(), free_port());
    let resource = format!("http://127.0.0.1:{port}/mcp");
    let issuer = home.serve_at(free_port(), &[("SECUREMCP_EMBEDDED_RESOURCES", &resource)], &[]);
    let arguments = ["token", "get", "--resource", &resource, "--issuer", &issuer.origin(), "--scope", "mcp:read"];
    let token = home.securemcp(&arguments).done().trim_end().to_owned();
    let flags = ["--issuer", &issuer.origin(), "--resource", &resource];
    learn_keys(&account, port, &flags);
    let http = securemcp::net::plain_client(&securemcp::net::Options::with_timeout(Duration::from_secs(30)));
    let http = http.expect("a client");
    // Nobody may have this name (RFC 6761 section 6.4).
    let nowhere = [("SECUREMCP_ISSUER_BACKCHANNEL_URL", "http://issuer.invalid:8080")];
    let server = account.serve_until(port, &nowhere, &flags, 200);
    let load = Load::begin(http.clone(), &server.url(), &token);
    load.more(200).await;
    let good = load.end().await.all_good();
    drop(server);
    // The twin has nothing to go by: it says so, and throws nobody's token away.
    let stranger = Account::new();
    let server = stranger.serve_until(port, &nowhere, &flags, 503);
    let request = stateless(http.post(server.url()), &token).body(echo("hi"));
    let answer = request.send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("retry-after")), (503, true));
    figure(&format!(
        "R29, the issuer's name is not found: 0 of {good} calls failed with keys of before; 503 without any"
    ));
}

/// An issuer that takes 30 s to say what its keys are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_a_slow_issuer_is_waited_for_by_nobody_who_is_known() {
    let (home, account, port) = (Account::new(), Account::new(), free_port());
    let resource = format!("http://127.0.0.1:{port}/mcp");
    let issuer = home.serve_at(free_port(), &[("SECUREMCP_EMBEDDED_RESOURCES", &resource)], &[]);
    let arguments = ["token", "get", "--resource", &resource, "--issuer", &issuer.origin(), "--scope", "mcp:read"];
    let token = home.securemcp(&arguments).done().trim_end().to_owned();
    let way = Link::to(issuer.port);
    let backchannel = format!("http://127.0.0.1:{}", way.port);
    let flags = ["--issuer", &issuer.origin(), "--resource", &resource];
    // Who begins with a copy asks anew, and serves meanwhile.
    learn_keys(&account, port, &flags);
    way.delay(Duration::from_secs(30));
    let server = account.serve_at(port, &[("SECUREMCP_ISSUER_BACKCHANNEL_URL", &backchannel)], &flags);
    let http = http();
    eventually("it asks", || Some(()).filter(|()| way.count("GET /") > 0));
    // Who comes with a key that nobody knows waits for the answer, and not for ever.
    let (header, rest) = token.split_once('.').expect("a header");
    let header = URL_SAFE_NO_PAD.decode(header).expect("base64");
    let mut header: Value = serde_json::from_slice(&header).expect("JSON");
    header["kid"] = "unknown".into();
    let unknown = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()));
    let began = Instant::now();
    let asking = tokio::spawn(stateless(http.post(server.url()), &unknown).body(echo("hi")).send());
    let load = Load::begin(http, &server.url(), &token);
    load.more(200).await;
    let refused = asking.await.expect("no panic").expect("an answer").status();
    let waited = began.elapsed();
    let loaded = load.end().await;
    assert!([401, 503].contains(&refused.as_u16()), "{refused}");
    figure(&format!(
        "R4, an issuer that takes 30 s: 0 of {} calls failed, 99 of 100 within {} ms; a token with an unknown key is \
         {refused} after {} ms; {} requests to the issuer",
        loaded.all_good(),
        loaded.p99(),
        waited.as_millis(),
        way.count("GET /")
    ));
}

fn http() -> Client {
    let options = securemcp::net::Options::with_timeout(Duration::from_secs(30));
    securemcp::net::plain_client(&options).expect("a client")
}

/// How many streams are gone on with at once: a session may go on with 8.
const AT_ONCE: usize = 5;

/// A tool that waits for a permit.
struct Waits {
    permits: Arc<Semaphore>,
    begun: Arc<AtomicUsize>,
    /// Calls that were given up.
    given_up: Arc<AtomicUsize>,
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

#[derive(Serialize, JsonSchema)]
struct Waited {
    done: bool,
}

/// Counts a call that ends without its end.
struct Call(Option<Arc<AtomicUsize>>);

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(given_up) = &self.0 {
            given_up.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Tool for Waits {
    type Input = Nothing;
    type Output = Waited;

    const NAME: &'static str = "waits";
    const DESCRIPTION: &'static str = "Waits for a permit.";
    const SCOPES: &'static [&'static str] = &[];

    async fn call(&self, _: Nothing, _: &CallContext) -> Result<Waited, ToolError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let mut call = Call(Some(Arc::clone(&self.given_up)));
        self.permits.acquire().await.expect("open").forget();
        call.0 = None;
        Ok(Waited { done: true })
    }
}

/// A client of a server that it reaches by a network with faults.
struct Far {
    // Before the directory that it uses: fields are dropped in this order.
    _server: InProcess,
    _account: Account,
    way: Toxiproxy,
    host: String,
    token: String,
    http: Client,
}

impl Far {
    async fn from(tools: Tools) -> Self {
        let account = Account::new();
        let server = tokio::task::block_in_place(|| account.serve_tools(tools));
        let host = server.origin.trim_start_matches("http://").to_owned();
        let port = host.rsplit(':').next().expect("a port").parse().expect("a number");
        let token = account.token(&format!("{}/mcp", server.origin));
        Self { _server: server, _account: account, way: Toxiproxy::to(port).await, host, token, http: http() }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.way.port)
    }

    async fn post(&self, session: Option<&str>, message: &Value) -> Response {
        let mut request = self.http.post(self.url()).header("host", &self.host).bearer_auth(&self.token);
        request = request.header("content-type", "application/json");
        request = request.header("accept", "application/json, text/event-stream");
        if let Some(session) = session {
            request = request.header("mcp-session-id", session).header("mcp-protocol-version", "2025-11-25");
        }
        request.body(message.to_string()).send().await.expect("an answer")
    }

    async fn begin(&self) -> String {
        let parameters = json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}});
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": parameters});
        let answer = self.post(None, &message).await;
        assert_eq!(answer.status(), 200);
        let session = answer.headers()["mcp-session-id"].to_str().expect("ASCII").to_owned();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(self.post(Some(&session), &initialized).await.status(), 202);
        session
    }

    /// Ids and messages after this event, to the end of the stream.
    async fn rest(&self, session: &str, last: &str) -> Vec<(String, Value)> {
        let request = self.http.get(self.url()).header("host", &self.host).bearer_auth(&self.token);
        let request = request.header("accept", "text/event-stream").header("mcp-session-id", session);
        let answer = request.header("last-event-id", last).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        events(&answer.text().await.expect("its end"))
    }
}

/// The events of a stream; the message of the first one is `Null`.
fn events(text: &str) -> Vec<(String, Value)> {
    let field = |event: &str, name: &str| {
        event.lines().filter_map(|line| Some(line.strip_prefix(name)?.trim())).collect::<String>()
    };
    let events = text.split("\n\n").filter(|event| event.contains("id:"));
    events
        .map(|event| (field(event, "id:"), serde_json::from_str(&field(event, "data:")).unwrap_or_default()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r25_a_call_whose_network_is_cut_is_gone_on_with_or_given_up() {
    let (permits, begun, given_up) = (Arc::new(Semaphore::new(0)), Arc::default(), Arc::default());
    let waits = Waits { permits: Arc::clone(&permits), begun: Arc::clone(&begun), given_up: Arc::clone(&given_up) };
    let (count, seconds) = if is_soak() { (100, 5) } else { (10, 1) };
    let far = Far::from(Tools::builtin().with(waits)).await;
    let session = far.begin().await;
    let (mut kept, mut known) = (0, 0);
    for (round, is_noticed) in [false, true].into_iter().enumerate() {
        let mut streams = Vec::new();
        for number in 0..count {
            let id = round * count + number + 1;
            let parameters = json!({"name": "waits", "arguments": {}});
            let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": parameters});
            let mut answer = far.post(Some(&session), &call).await;
            let mut text = String::new();
            while !text.contains("\n\n") {
                let piece = answer.chunk().await.expect("in order").expect("an event");
                text.push_str(std::str::from_utf8(&piece).expect("UTF-8"));
            }
            streams.push((id, events(&text).remove(0).0, answer));
        }
        if is_noticed {
            far.way.cut(true).await;
        } else {
            far.way.swallow().await;
        }
        // One half is answered while there is no network, the other half when the client is back.
        permits.add_permits(count / 2);
        let cut = Instant::now();
        while permits.available_permits() > 0 || cut.elapsed() < Duration::from_secs(seconds) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let beginnings: Vec<_> = streams.into_iter().map(|(id, beginning, _)| (id, beginning)).collect();
        if is_noticed {
            far.way.cut(false).await;
        } else {
            far.way.heal().await;
        }
        let resuming = stream::iter(beginnings)
            .map(async |(id, beginning)| (id, far.rest(&session, &beginning).await))
            .buffered(AT_ONCE)
            .collect::<Vec<_>>();
        let (resumed, ()) = tokio::join!(resuming, async { permits.add_permits(count - count / 2) });
        for (id, told) in resumed {
            let [(last, answer)] = &told[..] else { panic!("{id}: one event, not {told:?}") };
            assert_eq!((&answer["id"], &answer["result"]["structuredContent"]["done"]), (&json!(id), &json!(true)));
            assert_eq!(far.rest(&session, last).await, [], "nothing twice");
            kept += 1;
            known += usize::from(!is_noticed);
        }
        assert_eq!((permits.available_permits(), given_up.load(Ordering::SeqCst)), (0, 0));
    }
    // A call of 2026-07-28 has no stream to come back to.
    let mut calls = Vec::new();
    for _ in 0..count {
        let body = echo("hi").replace("\"echo\"", "\"waits\"").replace("\"message\":\"hi\"", "");
        let request = far.http.post(far.url()).header("host", &far.host).bearer_auth(&far.token).body(body);
        let request = request.header("content-type", "application/json").header("mcp-method", "tools/call");
        let request = request.header("accept", "application/json, text/event-stream").header("mcp-name", "waits");
        calls.push(tokio::spawn(request.header("mcp-protocol-version", "2026-07-28").send()));
    }
    while begun.load(Ordering::SeqCst) < 3 * count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    far.way.cut(true).await;
    let cut = Instant::now();
    while given_up.load(Ordering::SeqCst) < count {
        assert!(cut.elapsed() < Duration::from_mins(1), "they go on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for call in calls {
        assert!(call.await.expect("no panic").is_err(), "its connection was cut");
    }
    figure(&format!(
        "R25, a network cut for {seconds} s: {kept} of {kept} calls of a session gone on with, {known} of them while their old \
         streams were open, 0 events lost, 0 twice; {count} of {count} calls of 2026-07-28 given up after {} ms",
        cut.elapsed().as_millis()
    ));
}
