//! The tools over REST: every sub-case of the program that this one replaces, and the attacks of `http.rs` on these routes.

use std::fs;

use reqwest::{Method, RequestBuilder, Response, header};
use schemars::JsonSchema;
use securemcp::{
    oauth::Challenge,
    tools::{CallContext, Tool, ToolError, Tools},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::harness::{
    keys::{Key, b64},
    raw::{exchange, status},
    server::{Guarded, NOW, TestServer, merged},
};

const ALL: &str = "mcp:read mcp:write mcp:infer";

impl TestServer {
    /// A token of the embedded issuer, for a client that was registered for it.
    async fn token_with(&self, scope: &str) -> String {
        let opener = fs::read_to_string(self.state.path().join("state/initial-access-token")).expect("it was made");
        let client = self.request(Method::POST, "/register").bearer_auth(opener).json(&json!({})).send().await;
        let client: Value = client.expect("an answer").json().await.expect("JSON");
        let text = |name: &str| client[name].as_str().expect("a text").to_owned();
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        let request = self.request(Method::POST, "/token").form(&form);
        let answer = request.basic_auth(text("client_id"), Some(text("client_secret"))).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        assert_eq!(answer["scope"], scope);
        answer["access_token"].as_str().expect("a text").to_owned()
    }

    fn rest(&self, token: &str, tool: &str, arguments: &Value) -> RequestBuilder {
        self.request(Method::POST, &format!("/api/v1/tools/{tool}")).bearer_auth(token).json(arguments)
    }

    async fn called(&self, token: &str, tool: &str, arguments: Value) -> (u16, Value) {
        let answer = self.rest(token, tool, &arguments).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn status_of(&self, token: Option<&str>, path: &str) -> u16 {
        let request = self.request(Method::GET, path);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.expect("an answer").status().as_u16()
    }
}

/// The challenge of a refusal, which is a problem document too.
#[track_caller]
fn challenge(answer: &Response) -> Challenge {
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let header = answer.headers()[header::WWW_AUTHENTICATE].to_str().expect("ASCII");
    Challenge::parse(header).expect("a Bearer challenge")
}

#[tokio::test]
async fn without_a_token_only_public_documents_are_read() {
    let server = TestServer::start(&[]).await;
    for (method, path) in [
        (Method::GET, "/api/v1/me"),
        (Method::GET, "/api/v1/user"),
        (Method::GET, "/api/v1/tools"),
        (Method::POST, "/api/v1/tools/echo"),
        (Method::POST, "/api/v1/tools/no_such_tool"),
    ] {
        let answer = server.request(method, path).json(&json!({"message": "hi"})).send().await.expect("an answer");
        assert_eq!(answer.status(), 401, "{path}");
        let challenge = challenge(&answer);
        assert_eq!(challenge.error, None, "{path}");
        assert_eq!(challenge.scope.expect("scopes").to_string(), ALL);
        let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", server.url);
        assert_eq!(challenge.resource_metadata.as_deref(), Some(metadata.as_str()), "{path}");
    }
    for path in [
        "/",
        "/health",
        "/health/live",
        "/health/ready",
        "/docs",
        "/openapi.json",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
    ] {
        assert_eq!(server.status_of(None, path).await, 200, "{path}");
    }
}

#[tokio::test]
async fn scopes_decide_who_calls_which_tool() {
    let server = TestServer::start(&[]).await;
    let calls = [
        ("echo", json!({"message": "hi"}), "mcp:read"),
        ("timestamp", json!({}), "mcp:read"),
        ("calculator", json!({"operation": "add", "operands": [1, 2]}), "mcp:write"),
    ];
    for scopes in ["mcp:read", "mcp:write", "mcp:infer", ALL] {
        let token = server.token_with(scopes).await;
        for path in ["/api/v1/me", "/api/v1/user", "/api/v1/tools"] {
            assert_eq!(server.status_of(Some(&token), path).await, 200, "{scopes}: {path}");
        }
        for (tool, arguments, needed) in &calls {
            let answer = server.rest(&token, tool, arguments).send().await.expect("an answer");
            if scopes.contains(needed) {
                assert_eq!(answer.status(), 200, "{scopes}: {tool}");
                continue;
            }
            assert_eq!(answer.status(), 403, "{scopes}: {tool}");
            let challenge = challenge(&answer);
            assert_eq!(challenge.error.as_deref(), Some("insufficient_scope"));
            assert_eq!(challenge.scope.expect("scopes").to_string(), *needed);
            assert!(challenge.resource_metadata.expect("a URL").ends_with("/.well-known/oauth-protected-resource/mcp"));
        }
    }
    assert_eq!(server.status_of(Some("bogus"), "/api/v1/tools").await, 401);
}

#[tokio::test]
async fn the_caller_is_who_the_token_says() {
    let guarded = Guarded::start().await;
    let me = async |changes: Value| {
        let request = guarded.server.request(Method::GET, "/api/v1/me").bearer_auth(guarded.token(&changes));
        request.send().await.expect("an answer").json::<Value>().await.expect("JSON")
    };
    let full = json!({"sub": "alice", "user": "alice", "client": "cli", "issuer": guarded.issuer.url,
                      "scopes": ["mcp:read", "mcp:write", "mcp:infer"], "exp": NOW + 300});
    assert_eq!(me(json!({})).await, full);
    let named = json!({"preferred_username": "Ada", "client_id": null, "azp": "app", "scope": ""});
    let short = merged(full, &json!({"user": "Ada", "client": "app", "scopes": []}));
    assert_eq!(me(named).await, short);
    assert_eq!(me(json!({"client_id": null})).await["client"], Value::Null);

    let token = guarded.token(&json!({"preferred_username": "Ada"}));
    let (status, answer) = guarded.server.called(&token, "echo", json!({"message": "hi"})).await;
    let result = json!({"echo": "hi", "timestamp": null, "length": 2});
    assert_eq!((status, answer), (200, json!({"tool": "echo", "result": result, "user": "Ada", "client": "cli"})));
}

#[tokio::test]
async fn every_tool_is_listed_with_what_it_needs() {
    let guarded = Guarded::start().await;
    let request = guarded.server.request(Method::GET, "/api/v1/tools");
    let answer = request.bearer_auth(guarded.token(&json!({"scope": ""}))).send().await.expect("an answer");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let answer: Value = answer.json().await.expect("JSON");
    let tools = answer["tools"].as_array().expect("a list");
    let short: Vec<_> = tools
        .iter()
        .map(|tool| ["name", "endpoint", "method", "required_scope"].map(|name| tool[name].as_str().expect("a text")))
        .collect();
    assert_eq!(
        short,
        [
            ["echo", "/api/v1/tools/echo", "POST", "mcp:read"],
            ["timestamp", "/api/v1/tools/timestamp", "POST", "mcp:read"],
            ["calculator", "/api/v1/tools/calculator", "POST", "mcp:write"],
            ["summarize", "/api/v1/tools/summarize", "POST", "mcp:infer"],
        ]
    );
    for tool in tools {
        assert!(tool["description"].as_str().is_some_and(|text| !text.is_empty()), "{tool}");
        assert_eq!(tool["input_schema"]["type"], "object");
    }
}

#[tokio::test]
async fn tools_answer_as_they_always_did() {
    let server = TestServer::start(&[]).await;
    let token = server.token_with(ALL).await;
    let stamp = "2027-01-15T08:00:00Z";
    for (tool, arguments, expected) in [
        (
            "echo",
            json!({"message": "Hello, World!", "uppercase": true, "timestamp": true}),
            json!({"echo": "HELLO, WORLD!", "timestamp": stamp, "length": 13}),
        ),
        ("echo", json!({"message": "plain"}), json!({"echo": "plain", "timestamp": null, "length": 5})),
        (
            "echo",
            json!({"message": "grüße 🦀", "uppercase": true}),
            json!({"echo": "GRÜSSE 🦀", "timestamp": null, "length": 7}),
        ),
        (
            "timestamp",
            json!({"format": "%Y-%m-%d %H:%M:%S", "include_epoch": true}),
            json!({"timestamp": "2027-01-15 08:00:00", "epoch": NOW, "timezone": "UTC",
                   "format_used": "%Y-%m-%d %H:%M:%S"}),
        ),
        (
            "timestamp",
            json!({"timezone": "America/New_York"}),
            json!({"timestamp": "2027-01-15T03:00:00-05:00", "epoch": null, "timezone": "America/New_York",
                   "format_used": "%Y-%m-%dT%H:%M:%S%:z"}),
        ),
        (
            "timestamp",
            json!({}),
            json!({"timestamp": "2027-01-15T08:00:00+00:00", "epoch": null, "timezone": "UTC",
                   "format_used": "%Y-%m-%dT%H:%M:%S%:z"}),
        ),
    ] {
        let (status, answer) = server.called(&token, tool, arguments.clone()).await;
        assert_eq!((status, &answer["result"]), (200, &expected), "{tool} {arguments}");
        assert_eq!(answer["tool"], tool);
        assert_eq!(answer["user"], answer["client"], "a client that speaks for itself");
    }
    for (operation, operands, expected) in [
        ("add", json!([10, 20, 30]), 60),
        ("multiply", json!([2, 4, 5]), 40),
        ("divide", json!([100, 4]), 25),
        ("power", json!([2, 8]), 256),
        ("sqrt", json!([144]), 12),
        ("factorial", json!([5]), 120),
    ] {
        let arguments = json!({"operation": operation, "operands": operands});
        let (status, answer) = server.called(&token, "calculator", arguments).await;
        let result = json!({"result": expected, "operation": operation, "operands": operands, "precision": null});
        assert_eq!((status, &answer["result"]), (200, &result), "{operation}");
    }
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_told_one_by_one() {
    let server = TestServer::start(&[]).await;
    let token = server.token_with(ALL).await;
    for (tool, arguments, pointers) in [
        ("calculator", json!({"operation": "divide", "operands": [1, 0]}), &["/operands"][..]),
        ("calculator", json!({"operation": "power", "operands": [10, 400]}), &["/operands"]),
        ("calculator", json!({"operation": "modulo", "operands": ["1", 2]}), &["/operation", "/operands/0"]),
        ("calculator", json!({}), &["", ""]),
        ("timestamp", json!({"timezone": "Mars/Olympus"}), &["/timezone"]),
        ("echo", json!({"message": 1}), &["/message"]),
        ("echo", json!({"message": "hi", "loud": true}), &[""]),
    ] {
        let answer = server.rest(&token, tool, &arguments).send().await.expect("an answer");
        assert_eq!(answer.status(), 422, "{tool} {arguments}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
        let problem: Value = answer.json().await.expect("JSON");
        let errors = problem["errors"].as_array().expect("a list");
        let found: Vec<_> = errors.iter().filter_map(|error| error["pointer"].as_str()).collect();
        assert_eq!(found, pointers, "{problem}");
        assert!(errors.iter().all(|error| error["detail"].as_str().is_some_and(|text| !text.is_empty())), "{problem}");
        assert_eq!((&problem["status"], &problem["title"]), (&json!(422), &json!("Unprocessable Entity")));
    }
    let deep = format!("{{\"message\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for body in ["", "{", "not JSON", "[]", "null", r#""text""#, r#"{"message":"\ud800"}"#, deep.as_str()] {
        let request = server.request(Method::POST, "/api/v1/tools/echo").bearer_auth(&token);
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_owned());
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{}", &body[..body.len().min(40)]);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
}

#[tokio::test]
async fn what_rest_cannot_do_is_said() {
    let server = TestServer::start(&[]).await;
    let token = server.token_with(ALL).await;
    let (status, problem) = server.called(&token, "summarize", json!({"text": "long"})).await;
    assert_eq!(status, 422);
    let detail = problem["detail"].as_str().expect("a text");
    let mcp = format!("{}/mcp", server.url);
    assert!(detail.contains("over REST nobody can be asked") && detail.contains(&mcp), "{detail}");
    let unknown = server.rest(&token, "no_such_tool", &json!({})).send().await.expect("an answer");
    assert_eq!(unknown.status(), 404);
    assert!(!unknown.headers().contains_key(header::WWW_AUTHENTICATE), "an unknown tool is never a challenge");
    assert!(unknown.text().await.expect("a body").contains("there is no tool `no_such_tool`"));
}

/// Asks the person behind its caller.
struct Curious;

#[derive(Deserialize, Serialize, JsonSchema)]
struct Name {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

impl Tool for Curious {
    type Input = Nothing;
    type Output = Name;

    const NAME: &'static str = "curious";
    const DESCRIPTION: &'static str = "Asks for a name.";
    const SCOPES: &'static [&'static str] = &["mcp:read"];
    const ASKS: bool = true;

    async fn call(&self, _: Nothing, context: &CallContext) -> Result<Name, ToolError> {
        Ok(context.ask.elicit("who", "Who are you?").await?)
    }
}

#[tokio::test]
async fn who_would_have_been_asked_is_said() {
    let guarded = Guarded::with_tools(Tools::builtin().with(Curious)).await;
    let token = guarded.token(&json!({}));
    for (tool, arguments, said) in [
        ("curious", json!({}), "this asks the person behind the caller"),
        ("summarize", json!({"text": "long"}), "this asks the caller's model"),
    ] {
        let (status, problem) = guarded.server.called(&token, tool, arguments).await;
        let detail = problem["detail"].as_str().expect("a text");
        assert_eq!(status, 422, "{detail}");
        assert!(detail.starts_with(said) && detail.contains(&format!("call `{tool}` over MCP")), "{detail}");
    }
}

#[tokio::test]
async fn j01_to_j25_bad_tokens_are_refused_over_rest_too() {
    let guarded = Guarded::start().await;
    let good = guarded.token(&json!({}));
    let (input, signature) = good.rsplit_once('.').expect("three parts");
    let (header_part, payload) = input.split_once('.').expect("three parts");
    let unsigned = b64(merged(guarded.header(), &json!({"alg": "none"})).to_string());
    let stranger = Key::ec().token(&guarded.header(), &guarded.claims());
    let with = async |authorization: String| {
        let lines = format!("GET /api/v1/me HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", guarded.server.address);
        let answer = exchange(guarded.server.address, format!("{lines}{authorization}\r\n").as_bytes()).await;
        let challenged = answer.to_lowercase().contains("www-authenticate: bearer");
        (status(&answer), challenged)
    };
    for line in [format!("Authorization: Bearer {good}\r\n"), format!("Authorization: bearer {good}\r\n")] {
        assert_eq!(with(line).await, (200, false), "the twin");
    }
    for (what, token) in [
        ("another key", stranger.as_str()),
        ("no header", &format!(".{payload}.{signature}")),
        ("no payload", &format!("{header_part}..{signature}")),
        ("no base64", &format!("{header_part}.!!!.{signature}")),
        ("alg none", &format!("{unsigned}.{payload}.")),
        ("another issuer", &guarded.token(&json!({"iss": "https://evil.example"}))),
        ("another audience", &guarded.token(&json!({"aud": "https://other.example/mcp"}))),
        ("no exp", &guarded.token(&json!({"exp": null}))),
        ("expired", &guarded.token(&json!({"exp": NOW - 60}))),
        ("cut off", &good[..good.len() / 2]),
        ("SQL", "' OR 1=1--"),
        ("a script", "<script>alert(1)</script>"),
        ("4,000 x", &"x".repeat(4000)),
        ("nothing", ""),
    ] {
        assert_eq!(with(format!("Authorization: Bearer {token}\r\n")).await, (401, true), "{what}");
    }
    for line in [
        format!("Authorization: {good}\r\n"),
        format!("Authorization: Token {good}\r\n"),
        "Authorization: none\r\n".to_owned(),
        "Authorization: \r\n".to_owned(),
        "Authorization: Bearer\r\n".to_owned(),
        format!("Authorization: Bearer  {good}\r\n"),
        format!("Cookie: access_token={good}\r\n"),
        String::new(),
    ] {
        assert_eq!(with(line.clone()).await, (401, true), "{line}");
    }
    assert_eq!(guarded.server.status_of(None, &format!("/api/v1/me?access_token={good}")).await, 401);
    let twice = guarded.server.request(Method::GET, &format!("/api/v1/me?access_token={good}"));
    assert_eq!(twice.bearer_auth(&good).send().await.expect("an answer").status(), 400);
}

#[tokio::test]
async fn h12_h29_bodies_are_json_and_have_a_limit() {
    let guarded = Guarded::start_with(Key::ec(), &[("server.max_body_bytes", "100000")]).await;
    let token = guarded.token(&json!({}));
    let post = |kind: &'static str, length: usize| {
        let request = guarded.server.request(Method::POST, "/api/v1/tools/echo").bearer_auth(&token);
        let body = json!({"message": "x".repeat(length)}).to_string();
        let request = request.header(header::CONTENT_TYPE, kind).body(body);
        async { request.send().await.expect("an answer").status().as_u16() }
    };
    for kind in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(post(kind, 90_000).await, 200, "{kind}");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", ""] {
        assert_eq!(post(kind, 10).await, 415, "{kind}");
    }
    assert_eq!(post("application/json", 100_000).await, 413);
}

#[tokio::test]
async fn h21_a_path_in_disguise_is_no_path() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({}));
    let post = async |path: &str| {
        let body = r#"{"message":"hi"}"#;
        let lines = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            guarded.server.address,
            body.len()
        );
        status(&exchange(guarded.server.address, lines.as_bytes()).await)
    };
    assert_eq!(post("/api/v1/tools/echo").await, 200, "the twin");
    for path in [
        "/api/v1/tools/echo/",
        "/api/v1/tools//echo",
        "//api/v1/tools/echo",
        "/api/v1/tools/%65cho",
        "/api/v1/tools/ECHO",
        "/API/v1/tools/echo",
        "/api/v1/tools/..;/echo",
        "/api/v1/tools/x/../echo",
        "/api/v1/tools/echo%00",
        "/api/v1/tools/echo%2f",
        "/api/v1/%74ools/echo",
        "/api/v1/tools/%ff",
        "/docs/../api/v1/tools/echo",
    ] {
        assert_eq!(post(path).await, 404, "{path}");
    }
    for path in ["/docs/", "/docs/page.html", "/docs/%70age.css/x", "/docs/..%2fpage.css", "/openapi.json/", "/api/v1"]
    {
        assert_eq!(guarded.server.status_of(Some(&token), path).await, 404, "{path}");
    }
}

#[tokio::test]
async fn h22_h23_each_path_has_its_methods() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({}));
    let routes = [
        ("/api/v1/me", "GET,HEAD"),
        ("/api/v1/user", "GET,HEAD"),
        ("/api/v1/tools", "GET,HEAD"),
        ("/api/v1/tools/echo", "POST"),
        ("/openapi.json", "GET,HEAD"),
        ("/docs", "GET,HEAD"),
        ("/docs/page.css", "GET,HEAD"),
        ("/health", "GET,HEAD"),
        ("/health/live", "GET,HEAD"),
        ("/health/ready", "GET,HEAD"),
        ("/", "GET,HEAD"),
        ("/.well-known/oauth-protected-resource", "GET,HEAD"),
    ];
    for (path, allowed) in routes {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X"] {
            let request = guarded.server.request(Method::from_bytes(method.as_bytes()).expect("a token"), path);
            let answer = request.bearer_auth(&token).json(&json!({"message": "hi"})).send().await.expect("an answer");
            let expected = match method {
                _ if allowed.split(',').any(|one| one == method) => 200,
                "OPTIONS" => 204,
                _ => 405,
            };
            assert_eq!(answer.status(), expected, "{method} {path}");
            if expected != 200 {
                assert_eq!(answer.headers()[header::ALLOW], allowed, "{method} {path}");
            }
            if method == "HEAD" {
                assert_eq!(answer.bytes().await.expect("no body").len(), 0, "{path}");
            }
        }
    }
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let get = guarded.server.request(Method::GET, "/api/v1/tools/echo").bearer_auth(&token).header(name, "POST");
        assert_eq!(get.send().await.expect("an answer").status(), 405, "{name}");
        let post = guarded.server.rest(&token, "echo", &json!({"message": "hi"})).header(name, "DELETE");
        assert_eq!(post.send().await.expect("an answer").status(), 200, "{name}");
    }
    let query = guarded.server.request(Method::GET, "/api/v1/tools/echo?_method=POST").bearer_auth(&token);
    assert_eq!(query.send().await.expect("an answer").status(), 405);
}

#[tokio::test]
async fn h24_h27_answers_over_rest_tell_nothing_about_the_inside() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({"preferred_username": "Ada"}));
    for path in ["/health", "/health/live", "/health/ready"] {
        let request = guarded.server.request(Method::GET, path).bearer_auth(&token).header("mcp-session-id", "s-1");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let mut headers = answer.headers().clone();
        // Random, and a name that browsers may read.
        headers.remove("x-request-id");
        headers.remove(header::ACCESS_CONTROL_EXPOSE_HEADERS);
        let told = format!("{headers:?} {}", answer.text().await.expect("a body"));
        for inside in [&token, "Ada", "alice", "s-1", "session", &guarded.issuer.url, "rmcp", "axum", "0."] {
            assert!(!told.contains(inside), "{path}: {inside} in {told}");
        }
    }
    for (tool, arguments) in [("echo", json!({"message": 1})), ("calculator", json!({})), ("nope", json!({}))] {
        let (_, problem) = guarded.server.called(&token, tool, arguments).await;
        let text = problem.to_string();
        for inside in ["src/", ".rs", "/home", "panicked", &guarded.issuer.url, &token] {
            assert!(!text.contains(inside), "{inside}: {text}");
        }
    }
}
