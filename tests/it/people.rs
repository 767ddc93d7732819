//! People at the embedded issuer, over HTTP: what the layers of the server add to its pages, and what streams lose when
//! a login ends (facts A19, A28, S10, S11).

use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::harness::{
    browser::Browser,
    log::Log,
    replicas::ended,
    server::{Guarded, NOW, TestServer},
};

pub(crate) const CALLBACK: &str = "http://127.0.0.1:49152/callback";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A public client of a stranger, and what it has.
struct Editor<'a> {
    server: &'a TestServer,
    id: String,
}

impl<'a> Editor<'a> {
    async fn registered(server: &'a TestServer) -> Self {
        let metadata =
            json!({"client_name": "Editor", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"});
        let answer = server.http.post(format!("{}/register", server.url)).json(&metadata).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        Self { server, id: answer["client_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned() }
    }

    fn path(&self, scope: &str) -> String {
        let parameters = [
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", CALLBACK),
            ("state", "secret-state"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("scope", scope),
        ];
        format!("/authorize?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish())
    }

    fn password(&self) -> String {
        std::fs::read_to_string(self.server.state.path().join("state/dev-password")).expect("it was made")
    }

    async fn tokens(&self) -> Value {
        let mut browser = Browser::at(&self.server.url);
        let back = browser.allow(&self.path("mcp:read mcp:write"), "dev", &self.password()).await;
        let (_, code) = back.query_pairs().find(|(name, _)| name == "code").expect("a code");
        let fields = [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", VERIFIER)];
        let answer = self.post("/token", &fields).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.expect("JSON")
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let fields = [&[("client_id", self.id.as_str())], fields].concat();
        self.server.http.post(format!("{}{path}", self.server.url)).form(&fields).send().await.expect("an answer")
    }
}

fn text<'a>(tokens: &'a Value, name: &str) -> &'a str {
    tokens[name].as_str().unwrap_or_else(|| panic!("{tokens}"))
}

/// A stream that waits for what the server has to say, in a session of its own.
async fn listening(server: &TestServer, token: &str) -> Response {
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25",
        "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let begun = server.post(token, initialize.to_string()).send().await.expect("an answer");
    let id = begun.headers()["mcp-session-id"].clone();
    let request = server.request(Method::GET, "/mcp").bearer_auth(token).header("mcp-session-id", id);
    let answer = request.header("accept", "text/event-stream").send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer
}

/// Whether there is no more to hear for now, and the stream has not ended.
fn is_open(stream: &mut Response) -> bool {
    while let Some(chunk) = stream.chunk().now_or_never() {
        if chunk.expect("in order").is_none() {
            return false;
        }
    }
    true
}

async fn heard_to_the_end(mut stream: Response) {
    ended(async {
        while stream.chunk().await?.is_some() {}
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_person_logs_in_and_the_client_calls_tools_as_that_person() {
    let server = TestServer::start(&[]).await;
    let editor = Editor::registered(&server).await;
    let tokens = editor.tokens().await;
    let answer =
        server.call(text(&tokens, "access_token"), "calculator", json!({"operation": "add", "operands": [1, 2]})).await;
    assert_eq!(answer.status(), 200);
    let me = server.request(Method::GET, "/api/v1/me").bearer_auth(text(&tokens, "access_token")).send().await;
    let me: Value = me.expect("an answer").json().await.expect("JSON");
    assert_eq!((&me["sub"], &me["client"]), (&json!("dev"), &json!(editor.id)));
    // What nobody said yes to is refused, with what it needs.
    let answer = server.call(text(&tokens, "access_token"), "summarize", json!({"text": "x"})).await;
    assert_eq!(answer.status(), 403);
}

#[tokio::test]
async fn a28_pages_tell_nobody_where_the_person_was_and_logs_have_no_code() {
    let (log, _guard) = Log::start();
    let server = TestServer::start(&[]).await;
    let editor = Editor::registered(&server).await;
    let mut browser = Browser::at(&server.url);
    let page = browser.get(&editor.path("mcp:read")).await;
    for (name, value) in [
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
    let back = browser.allow(&editor.path("mcp:read"), "dev", &editor.password()).await;
    let (_, code) = back.query_pairs().find(|(name, _)| name == "code").expect("a code");
    let text = log.text();
    assert!(text.contains("consent_given"), "{text}");
    for secret in [&*code, &editor.password(), "secret-state"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn only_forms_come_from_nowhere() {
    let server = TestServer::start(&[]).await;
    let editor = Editor::registered(&server).await;
    let from = async |path: &str, origin: &str| {
        let request = server.http.post(format!("{}{path}", server.url)).header("origin", origin).form(&[("a", "b")]);
        request.send().await.expect("an answer").status().as_u16()
    };
    for path in ["/login", "/consent", "/logout", "/device"] {
        assert_eq!((from(path, "null").await, from(path, "https://evil.example").await), (400, 403), "{path}");
    }
    for path in ["/token", "/register", "/revoke", "/mcp"] {
        assert_eq!(from(path, "null").await, 403, "{path}");
    }
    // And a page of ours that is sent with its own origin works as well.
    let mut browser = Browser::at(&server.url);
    browser.allow(&editor.path("mcp:read"), "dev", &editor.password()).await;
}

#[tokio::test]
async fn s11_who_gives_a_login_back_stops_hearing() {
    let server = TestServer::start(&[]).await;
    let editor = Editor::registered(&server).await;
    let (tokens, others) = (editor.tokens().await, editor.tokens().await);
    let mut stream = listening(&server, text(&tokens, "access_token")).await;
    let mut other = listening(&server, text(&others, "access_token")).await;
    assert!(is_open(&mut stream));
    let revoked = editor.post("/revoke", &[("token", text(&tokens, "refresh_token"))]).await;
    assert_eq!(revoked.status(), 200);
    heard_to_the_end(stream).await;
    assert!(is_open(&mut other), "the twin");
    assert_eq!(server.status_with(text(&tokens, "access_token")).await, 401);
    assert_eq!(server.status_with(text(&others, "access_token")).await, 200);
}

#[tokio::test]
async fn s10_a_stream_ends_with_its_token() {
    let guarded = Guarded::start_with(crate::harness::keys::Key::ec(), &[("issuer.leeway", "0s")]).await;
    let (short, long) = (guarded.token(&json!({"exp": NOW + 1})), guarded.token(&json!({})));
    let (mut first, mut second) = (listening(&guarded.server, &short).await, listening(&guarded.server, &long).await);
    assert!(is_open(&mut first));
    guarded.server.clock.advance(Duration::from_secs(1));
    heard_to_the_end(first).await;
    assert!(is_open(&mut second), "the twin");
}

#[tokio::test]
async fn pages_of_allowed_origins_use_the_endpoints_and_no_others() {
    let server = TestServer::start(&[]).await;
    for (path, method) in [("/register", "POST"), ("/token", "POST"), ("/revoke", "POST")] {
        for (origin, is_allowed) in [("http://localhost:6274", true), ("https://evil.example", false)] {
            let request = server.request(Method::OPTIONS, path).header("origin", origin);
            let request = request.header("access-control-request-method", method);
            let answer =
                request.header("access-control-request-headers", "content-type,mcp-protocol-version").send().await;
            let answer = answer.expect("an answer");
            let allowed =
                answer.headers().get("access-control-allow-origin").map(|value| value.to_str().expect("ASCII"));
            assert_eq!(allowed, is_allowed.then_some(origin), "{path}");
        }
    }
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/jwks",
    ] {
        let answer = server.request(Method::GET, path).header("origin", "http://localhost:6274").send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        let headers = answer.headers().clone();
        assert!(headers.contains_key("access-control-allow-origin"), "{path}");
    }
}
