//! Rows of the matrix of faults that are about the network between two parties: Toxiproxy is in between.

use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::harness::{Account, Load, Toxiproxy, figure, free_port, is_soak};

/// The id of an event, and its message.
type Event = (String, Value);

/// A client of 2025-11-25 behind a network that may be cut.
struct Behind {
    url: String,
    token: String,
    http: Client,
    session: String,
}

impl Behind {
    async fn begin(url: String, token: String) -> Self {
        let http = securemcp::net::plain_client(&securemcp::net::Options::with_timeout(Duration::from_mins(1)));
        let mut behind = Self { url, token, http: http.expect("a client"), session: String::new() };
        let parameters = json!({"protocolVersion": "2025-11-25", "capabilities": {"sampling": {}},
            "clientInfo": {"name": "test", "version": "1"}});
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": parameters});
        let answer = behind.post(&message).await;
        assert_eq!(answer.status(), 200);
        behind.session = answer.headers()["mcp-session-id"].to_str().expect("ASCII").to_owned();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(behind.post(&initialized).await.status(), 202);
        behind
    }

    fn of_session(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request.bearer_auth(&self.token).header("accept", "application/json, text/event-stream");
        if self.session.is_empty() {
            return request;
        }
        request.header("mcp-session-id", &self.session).header("mcp-protocol-version", "2025-11-25")
    }

    async fn post(&self, message: &Value) -> Response {
        let request = self.of_session(self.http.post(&self.url)).header("content-type", "application/json");
        request.body(message.to_string()).send().await.expect("an answer")
    }

    async fn resume(&self, last: &str) -> Response {
        let request = self.of_session(self.http.get(&self.url)).header("last-event-id", last);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer
    }
}

/// Those that are whole in this text.
fn events(text: &str) -> Vec<Event> {
    let field = |event: &str, name: &str| {
        event.lines().filter_map(|line| Some(line.strip_prefix(name)?.trim())).collect::<String>()
    };
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end + 2]);
    let events = whole.split("\n\n").filter(|event| event.contains("data:"));
    events
        .map(|event| (field(event, "id:"), serde_json::from_str(&field(event, "data:")).unwrap_or_default()))
        .collect()
}

/// Reads the first event, which says nothing but its id.
async fn beginning(answer: &mut Response) -> String {
    let (id, message) = read(answer, |_| true).await.remove(0);
    assert_eq!(message, Value::Null, "{id}");
    id
}

/// Reads until there is a message; all that there are then.
async fn messages(answer: &mut Response) -> Vec<Event> {
    read(answer, |(_, message)| !message.is_null()).await
}

/// Reads until there is such an event; all of them that there are then.
async fn read(answer: &mut Response, is_wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut text = String::new();
    loop {
        let wanted: Vec<_> = events(&text).into_iter().filter(&is_wanted).collect();
        if !wanted.is_empty() {
            return wanted;
        }
        let piece = answer.chunk().await.expect("in order").expect("more events");
        text.push_str(std::str::from_utf8(&piece).expect("UTF-8"));
    }
}

/// A call that asks its caller's model in the middle: cut once before the question is read, and once before the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r25_a_client_that_is_cut_off_loses_nothing_and_gets_nothing_twice() {
    let (account, port) = (Account::new(), free_port());
    let way = Toxiproxy::to(port).await;
    let resource = format!("http://127.0.0.1:{}/mcp", way.port);
    let server = account.serve_at(port, &[("SECUREMCP_RESOURCE", &resource)], &[]);
    let token = account.securemcp(&["token", "get", "--server", &resource, "--scope", "mcp:infer"]);
    let client = Behind::begin(resource, token.done().trim_end().to_owned()).await;
    let times = if is_soak() { 50 } else { 3 };
    let began = Instant::now();
    for time in 1..=times {
        let call = json!({"jsonrpc": "2.0", "id": time, "method": "tools/call",
            "params": {"name": "summarize", "arguments": {"text": "a text"}}});
        let mut stream = client.post(&call).await;
        let beginning = beginning(&mut stream).await;
        way.cut(true).await;
        while stream.chunk().await.is_ok_and(|piece| piece.is_some()) {}
        way.cut(false).await;
        let mut stream = client.resume(&beginning).await;
        let asked = messages(&mut stream).await;
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!(asked[0].1["method"], "sampling/createMessage");
        way.cut(true).await;
        while stream.chunk().await.is_ok_and(|piece| piece.is_some()) {}
        way.cut(false).await;
        let answer = json!({"jsonrpc": "2.0", "id": asked[0].1["id"], "result": {"role": "assistant", "model": "m",
            "content": {"type": "text", "text": format!("summary {time}")}}});
        assert_eq!(client.post(&answer).await.status(), 202);
        let mut stream = client.resume(&asked[0].0).await;
        let told = messages(&mut stream).await;
        assert_eq!(told.len(), 1, "nothing twice: {told:?}");
        assert_eq!(told[0].1["result"]["structuredContent"]["summary"], format!("summary {time}"));
    }
    figure(&format!(
        "R25, {times} calls cut off twice each: 0 events lost, 0 twice, {} ms",
        began.elapsed().as_millis()
    ));
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
    drop(account.serve_at(port, &[], &flags));
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
    let request = crate::harness::stateless(http.post(server.url()), &token).body(crate::harness::echo("hi"));
    let answer = request.send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("retry-after")), (503, true));
    figure(&format!(
        "R29, the issuer's name is not found: 0 of {good} calls failed with keys of before; 503 without any"
    ));
}
