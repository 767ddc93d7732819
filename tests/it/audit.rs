//! Every decision leaves one audit event, which is found again by the ids in the answer.

use std::fs;

use reqwest::{Method, RequestBuilder, Response, header::HeaderMap};
use serde_json::{Value, json};

use crate::{
    features,
    harness::{
        issuer::{Behaviour, LyingIssuer},
        keys::Key,
        log::Log,
        server::{Guarded, NOW, TestServer, stateless, with_mirrors},
    },
    introspection::asking,
};

/// A request: what it is called, what is sent, the status of its answer, and the one event that is left of it, with the
/// field that tells why.
type Row = (&'static str, RequestBuilder, u16, &'static str, (&'static str, String));

fn row(
    name: &'static str,
    request: RequestBuilder,
    status: u16,
    event: &'static str,
    field: &'static str,
    value: impl Into<String>,
) -> Row {
    (name, request, status, event, (field, value.into()))
}

/// Sends it under a request id and a correlation id of its own, which the answer must have.
async fn sent(name: &str, request: RequestBuilder) -> Response {
    let correlation = format!("run-of-{name}");
    let request = request.header("x-request-id", name).header("x-correlation-id", &correlation);
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.headers()["x-request-id"], name);
    assert_eq!(answer.headers()["x-correlation-id"], correlation, "{name}");
    answer
}

impl Log {
    /// Sends the request of a row and looks for what it left; headers and body of the answer.
    async fn holds(&self, (name, request, status, event, (field, value)): Row) -> (HeaderMap, Value) {
        let answer = sent(name, request).await;
        let (found, headers) = (answer.status(), answer.headers().clone());
        let body = answer.text().await.expect("a whole body");
        assert_eq!(found, status, "{name}: {body}");
        let events = self.audited(name);
        assert_eq!(events.len(), 1, "{name}: {events:#?}");
        let fields = &events[0];
        assert_eq!((&fields["message"], &fields[field]), (&json!(event), &json!(value)), "{name}: {fields}");
        assert_eq!(fields["correlation_id"], format!("run-of-{name}"));
        (headers, serde_json::from_str(&body).unwrap_or_default())
    }

    async fn hold(&self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            self.holds(row).await;
        }
        assert!(!self.text().contains("eyJ"), "a token is in {}", self.text());
    }

    /// Sends a request that nothing is decided about.
    async fn is_silent(&self, name: &str, request: RequestBuilder, status: u16) {
        assert_eq!(sent(name, request).await.status(), status, "{name}");
        assert_eq!(self.audited(name), Vec::<Value>::new(), "{name}");
    }
}

impl TestServer {
    fn echo(&self, token: &str) -> RequestBuilder {
        self.tool(token, "echo", &json!({"message": "hi"}))
    }

    fn tool(&self, token: &str, name: &str, arguments: &Value) -> RequestBuilder {
        let body = stateless("tools/call", json!({"name": name, "arguments": arguments}));
        with_mirrors(self.post(token, body), "tools/call", Some(name))
    }

    fn over_rest(&self, token: &str, name: &str, arguments: &Value) -> RequestBuilder {
        self.request(Method::POST, &format!("/api/v1/tools/{name}")).bearer_auth(token).json(arguments)
    }

    fn initialize(&self, token: &str) -> RequestBuilder {
        let parameters = json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"}});
        self.post(token, json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters}).to_string())
    }
}

#[tokio::test]
async fn a_token_that_is_not_believed() {
    let (log, _guard) = Log::start();
    let guarded = Guarded::start_with(Key::ec(), &[("issuer.allowed_clients", "cli")]).await;
    let (server, issuer) = (&guarded.server, &guarded.issuer.url);
    let token = |changes: Value| guarded.token(&changes);
    let failed = "authentication_failed";
    let bare = || server.request(Method::POST, "/mcp");
    let of_stranger = Key::ec().token(&guarded.header(), &guarded.claims());
    let refused = |name, token: &str, reason: &str| row(name, server.echo(token), 401, failed, "reason", reason);
    let port = server.address.port();
    let [first, second, third] = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("`http://{host}:{port}/mcp`"));
    let audience = format!(r#"`aud` is "https://other.example/mcp", expected {first} or {second} or {third}"#);
    let (malformed, two) = (bare().header("authorization", "Bearer a b"), bare().bearer_auth("a").bearer_auth("b"));
    let me = || server.request(Method::GET, "/api/v1/me");
    log.hold([
        row("no-token", bare(), 401, failed, "reason", "no token"),
        row("no-token-from", bare(), 401, failed, "address", "127.0.0.1"),
        row("no-token-over-rest", me(), 401, failed, "reason", "no token"),
        row("malformed", malformed, 401, failed, "reason", "malformed Authorization header"),
        row("two", two, 400, failed, "reason", "more than one token"),
        refused("expired", &token(json!({"exp": NOW - 60})), "token expired 60 s ago"),
        refused("audience", &token(json!({"aud": "https://other.example/mcp"})), &audience),
        refused(
            "issuer",
            &token(json!({"iss": "https://other.example"})),
            &format!("`iss` is `https://other.example`, expected `{issuer}`"),
        ),
        refused("garbage", "garbage", "token is not a signed JWT: no dots"),
        refused("signature", &of_stranger, "token signature does not fit the issuer's key"),
        row("client", server.echo(&token(json!({"client_id": "evil"}))), 403, "access_denied", "client", "evil"),
        row(
            "client-over-rest",
            me().bearer_auth(token(json!({"client_id": "evil"}))),
            403,
            "access_denied",
            "operation",
            "any",
        ),
        row("twin", server.echo(&token(json!({}))), 200, "tool_called", "outcome", "ok"),
    ])
    .await;
    log.is_silent("twin-that-calls-nothing", me().bearer_auth(token(json!({}))), 200).await;
}

#[tokio::test]
async fn a_token_that_nobody_can_judge() {
    let (log, _guard) = Log::start();
    let issuer = LyingIssuer::start(Behaviour::Text(500, "")).await;
    let by_keys = TestServer::start(&[("issuer.url", &issuer.url)]).await;
    let by_word = asking(&issuer.url, &[]).await;
    issuer.answer_questions(Some(Behaviour::Text(500, "")));
    let unavailable = "authentication_unavailable";
    log.hold([
        row("keys", by_keys.echo("token"), 503, unavailable, "reason", "the issuer's keys are not available"),
        row("word", by_word.echo("token"), 503, unavailable, "reason", "the issuer cannot be asked about tokens"),
    ])
    .await;
    issuer.answer_questions(None);
    let reason = "the issuer says that the token is not active";
    log.hold([row("told", by_word.echo("token"), 401, "authentication_failed", "reason", reason)]).await;
}

#[tokio::test]
async fn a_host_or_a_page_that_is_not_ours() {
    let (log, _guard) = Log::start();
    let guarded = Guarded::start().await;
    let server = &guarded.server;
    let token = guarded.token(&json!({}));
    let with = |name: &str, value: &str| server.echo(&token).header(name, value);
    let refused = "request_refused";
    log.hold([
        row("origin", with("origin", "https://evil.example"), 403, refused, "check", "origin"),
        row("origin-value", with("origin", "https://evil.example"), 403, refused, "value", "https://evil.example"),
        row("host", with("host", "evil.example"), 421, refused, "check", "host"),
        row("host-address", with("host", "evil.example"), 421, refused, "address", "127.0.0.1"),
        row("odd-host", with("host", &"\"x".repeat(999)), 421, refused, "value", "\\\"x".repeat(86)[..256].to_owned()),
        row("twin", with("origin", &server.url), 200, "tool_called", "outcome", "ok"),
    ])
    .await;
    let page = |path: &str| server.request(Method::GET, path);
    log.is_silent("document", page("/.well-known/oauth-protected-resource"), 200).await;
    log.is_silent("front", page("/"), 200).await;
    log.is_silent("probe", page("/health").header("host", "evil.example"), 200).await;
}

#[tokio::test]
async fn what_a_caller_does() {
    let (log, _guard) = Log::start();
    let guarded = Guarded::start().await;
    let server = &guarded.server;
    let token = guarded.token(&json!({}));
    let weak = guarded.token(&json!({"scope": "mcp:read"}));
    let (sum, story) = (json!({"operation": "add", "numbers": [1, 2]}), json!({"text": "A long story."}));
    let (hi, denied, called) = (json!({"message": "hi"}), "access_denied", "tool_called");
    let forged = json!({"name": "summarize", "arguments": story, "requestState": "forged"});
    let forged = with_mirrors(server.post(&token, stateless("tools/call", forged)), "tools/call", Some("summarize"));
    let reason = "needs scope `mcp:write`, has `mcp:read`";
    let echo = |arguments: &Value| server.tool(&token, "echo", arguments);
    log.hold([
        row("scope", server.tool(&weak, "calculator", &sum), 403, denied, "reason", reason),
        row("scope-for", server.tool(&weak, "calculator", &sum), 403, denied, "operation", "tools/call calculator"),
        row("scope-of", server.tool(&weak, "calculator", &sum), 403, denied, "subject", "alice"),
        row(
            "scope-over-rest",
            server.over_rest(&weak, "calculator", &sum),
            403,
            denied,
            "operation",
            "tools/call calculator",
        ),
        row("ok", echo(&hi), 200, called, "outcome", "ok"),
        row("ok-of", echo(&hi), 200, called, "client", "cli"),
        row("ok-over-rest", server.over_rest(&token, "echo", &hi), 200, called, "outcome", "ok"),
        row("error", server.tool(&token, "summarize", &story), 400, called, "outcome", "error"),
        row("error-over-rest", server.over_rest(&token, "summarize", &story), 422, called, "outcome", "error"),
        row("arguments", echo(&json!({"massage": "hi"})), 200, called, "outcome", "invalid_arguments"),
        row(
            "arguments-over-rest",
            server.over_rest(&token, "echo", &json!({})),
            422,
            called,
            "outcome",
            "invalid_arguments",
        ),
        row("unknown", server.tool(&token, "nope", &json!({})), 200, called, "outcome", "unknown_tool"),
        row("unknown-over-rest", server.over_rest(&token, "nope", &json!({})), 404, called, "outcome", "unknown_tool"),
        row("forged", forged, 200, denied, "operation", "tools/call summarize"),
    ])
    .await;
}

#[tokio::test]
async fn a_uri_is_cut_off_where_it_is_too_long() {
    let (log, _guard) = Log::start();
    let guarded = Guarded::start_whole(Key::ec(), &[], features::all()).await;
    let token = guarded.token(&json!({}));
    let read = |uri: &str| {
        let request = guarded.server.post(&token, stateless("resources/read", json!({ "uri": uri })));
        with_mirrors(request, "resources/read", Some(uri))
    };
    let (short, stretched) = ("notes://desk/7", format!("notes://desk/{}", "7".repeat(1_000)));
    log.hold([
        row("whole", read(short), 200, "resource_read", "uri", short),
        row("cut-off", read(&stretched), 200, "resource_read", "uri", &stretched[..512]),
    ])
    .await;
}

#[tokio::test]
async fn what_becomes_of_sessions() {
    let (log, _guard) = Log::start();
    let limits = [("limits.sessions_per_principal", "1"), ("limits.sessions", "2")];
    let guarded = Guarded::start_with(Key::ec(), &limits).await;
    let server = &guarded.server;
    let token = |subject: &str| guarded.token(&json!({ "sub": subject }));
    let (opened, denied, reason) = ("session_opened", "access_denied", "reason");
    let alice = row("opened", server.initialize(&token("alice")), 200, opened, "subject", "alice");
    let session = log.holds(alice).await.0["mcp-session-id"].clone();
    let within = |subject: &str, method| {
        server.request(method, "/mcp").bearer_auth(token(subject)).header("mcp-session-id", &session)
    };
    let (too_many, full) = ("this caller has too many sessions", "this server has too many sessions");
    let foreign = "no such session of this caller";
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    log.hold([
        row("too-many", server.initialize(&token("alice")), 429, denied, reason, too_many),
        row("second", server.initialize(&token("bob")), 200, opened, "subject", "bob"),
        row("full", server.initialize(&token("carol")), 503, denied, reason, full),
        row("full-for", server.initialize(&token("carol")), 503, denied, "operation", "initialize"),
        row("foreign", within("bob", Method::POST).json(&list), 404, denied, reason, foreign),
        row("foreign-stream", within("bob", Method::GET), 404, denied, "subject", "bob"),
        row("foreign-end", within("bob", Method::DELETE), 404, denied, "operation", "session"),
    ])
    .await;
    let accept = "application/json, text/event-stream";
    log.is_silent("own", within("alice", Method::POST).header("accept", accept).json(&list), 200).await;
}

#[tokio::test]
async fn who_comes_too_often() {
    let (log, _guard) = Log::start();
    let per_client = Guarded::start_with(Key::ec(), &[("limits.per_client", "1/s")]).await;
    let per_address = Guarded::start_with(Key::ec(), &[("limits.per_address", "1/s")]).await;
    let token = per_client.token(&json!({}));
    let page = || per_address.server.request(Method::GET, "/");
    log.is_silent("first-page", page(), 200).await;
    log.hold([
        row("first", per_client.server.echo(&token), 200, "tool_called", "outcome", "ok"),
        row("client", per_client.server.echo(&token), 429, "rate_limited", "subject", "alice"),
        row("address", page(), 429, "rate_limited", "address", "127.0.0.1"),
    ])
    .await;
    // Within the second there is no more of either, and at the end what was left out.
    for name in ["address-again", "and-again"] {
        log.is_silent(name, page(), 429).await;
    }
    log.is_silent("client-again", per_client.server.echo(&token), 429).await;
    for guarded in [per_client, per_address] {
        guarded.server.stop().await;
    }
    let events = log.text().lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect::<Vec<_>>();
    let limited = events.iter().map(|event| &event["fields"]).filter(|fields| fields["message"] == "rate_limited");
    let limited: Vec<_> = limited.map(|fields| (&fields["scope"], &fields["count"], &fields["subject"])).collect();
    let (client, address) = (json!("client"), json!("address"));
    let (one, two, alice, nobody) = (json!(1), json!(2), json!("alice"), Value::Null);
    let expected =
        [(&client, &one, &alice), (&address, &one, &nobody), (&client, &one, &alice), (&address, &two, &nobody)];
    assert_eq!(limited, expected);
}

#[tokio::test]
async fn what_the_embedded_issuer_decides() {
    let (log, _guard) = Log::start();
    let server = TestServer::start(&[]).await;
    let opener = fs::read_to_string(server.state.path().join("state/initial-access-token")).expect("it was made");
    let wishes = json!({"token_endpoint_auth_method": "client_secret_post", "scope": "mcp:read"});
    let register = |opener: &str| server.request(Method::POST, "/register").bearer_auth(opener);
    let refused = "issuer_refused";
    log.hold([
        row("opener", register("guessed").json(&wishes), 401, refused, "endpoint", "register"),
        row("wishes", register(&opener).json(&json!({"redirect_uris": ["x"]})), 400, refused, "endpoint", "register"),
    ])
    .await;
    let body = register(&opener).json(&wishes);
    let answer = sent("registered", body).await;
    assert_eq!(answer.status(), 201);
    let client: Value = answer.json().await.expect("JSON");
    let text = |name: &str| client[name].as_str().expect("text").to_owned();
    let (id, secret) = (text("client_id"), text("client_secret"));
    let events = log.audited("registered");
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!((&events[0]["message"], &events[0]["client"]), (&json!("client_registered"), &json!(id)));

    let form = |path: &str, secret: &str, more: &[(&str, &str)]| {
        let credentials = [("client_id", id.as_str()), ("client_secret", secret)];
        server.request(Method::POST, path).form(&[&credentials, more].concat())
    };
    let grant = [("grant_type", "client_credentials")];
    let wide = [grant[0], ("scope", "mcp:write")];
    let issued = row("issued", form("/token", &secret, &grant), 200, "token_issued", "client", &*id);
    let (_, answer) = log.holds(issued).await;
    let token = answer["access_token"].as_str().expect("a token").to_owned();
    let of_token = [("token", token.as_str())];
    let not_proven =
        "invalid_client: unknown client, wrong secret, or not the authentication method that the client registered";
    let not_its_own = "the token is unknown, expired or another client's";
    let manage = |method, bearer: &str| server.request(method, &format!("/register/{id}")).bearer_auth(bearer);
    let manager = text("registration_access_token");
    let change = json!({"client_id": id, "scope": "mcp:read", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_post"});
    log.hold([
        row("issued-scope", form("/token", &secret, &grant), 200, "token_issued", "scope", "mcp:read"),
        row("not-proven", form("/token", "guessed", &grant), 401, refused, "reason", not_proven),
        row("not-proven-by", form("/token", "guessed", &grant), 401, refused, "client", &*id),
        row("too-wide", form("/token", &secret, &wide), 400, refused, "endpoint", "token"),
        row("used", server.echo(&token), 200, "tool_called", "client", &*id),
        row("introspected", form("/introspect", &secret, &of_token), 200, "token_introspected", "client", &*id),
        row("not-introspected", form("/introspect", "guessed", &of_token), 401, refused, "endpoint", "introspect"),
        row("not-revoked", form("/revoke", "guessed", &of_token), 401, refused, "endpoint", "revoke"),
        row("nothing-revoked", form("/revoke", &secret, &[("token", "x")]), 200, refused, "reason", not_its_own),
        row("revoked", form("/revoke", &secret, &of_token), 200, "token_revoked", "client", &*id),
        row("used-again", server.echo(&token), 401, "authentication_failed", "reason", "token was revoked"),
        row("read", manage(Method::GET, &manager), 200, "client_read", "client", &*id),
        row("not-read", manage(Method::GET, "guessed"), 401, refused, "endpoint", "manage"),
        row("not-updated", manage(Method::PUT, "guessed").json(&change), 401, refused, "endpoint", "manage"),
    ])
    .await;
    let updated = row("updated", manage(Method::PUT, &manager).json(&change), 200, "client_updated", "client", &*id);
    let (_, answer) = log.holds(updated).await;
    let manager = answer["registration_access_token"].as_str().expect("a token");
    log.hold([
        row("not-removed", manage(Method::DELETE, "guessed"), 401, refused, "endpoint", "manage"),
        row("removed", manage(Method::DELETE, manager), 204, "client_removed", "reason", "deleted"),
        row("gone", form("/token", &secret, &grant), 401, refused, "endpoint", "token"),
    ])
    .await;
    for hidden in [&opener, &secret, &token, manager, "guessed"] {
        assert!(!log.text().contains(hidden), "{hidden} is in {}", log.text());
    }
}
