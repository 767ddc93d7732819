//! Attacks on HTTP (facts H01 to H29): names, headers, sizes, encodings; and what must work beside them.

use std::time::Duration;

use reqwest::{Method, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{
    raw::{exchange, status},
    server::{Guarded, TestServer, stateless, with_mirrors},
};

pub(crate) const ECHO: &str = "echo";

impl Guarded {
    /// A raw POST to `/mcp` with these extra header lines.
    pub(crate) fn raw_post(&self, lines: &[String], body: &str) -> String {
        let host = self.server.address;
        let extra: String = lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
        format!("POST /mcp HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{extra}\r\n{body}")
    }

    pub(crate) fn good_lines(&self, body: &str) -> Vec<String> {
        vec![
            format!("Authorization: Bearer {}", self.token(&json!({}))),
            "Content-Type: application/json".to_owned(),
            "Accept: application/json, text/event-stream".to_owned(),
            "MCP-Protocol-Version: 2026-07-28".to_owned(),
            "Mcp-Method: tools/call".to_owned(),
            "Mcp-Name: echo".to_owned(),
            format!("Content-Length: {}", body.len()),
        ]
    }

    pub(crate) async fn raw_status(&self, lines: &[String], body: &str) -> u16 {
        status(&exchange(self.server.address, self.raw_post(lines, body).as_bytes()).await)
    }

    /// The status and JSON-RPC error code of a posted body.
    pub(crate) async fn post_body(&self, body: impl Into<reqwest::Body>) -> (u16, i64) {
        let token = self.token(&json!({}));
        let answer = self.server.post(&token, body).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap_or_default();
        (status, body["error"]["code"].as_i64().unwrap_or_default())
    }
}

pub(crate) fn echo_body() -> String {
    stateless("tools/call", json!({"name": ECHO, "arguments": {"message": "hi"}}))
}

#[tokio::test]
async fn h01_no_token_is_a_challenge_that_leads_to_the_metadata() {
    let guarded = Guarded::start().await;
    let answer = guarded.server.request(Method::POST, "/mcp").body("{}").send().await.expect("an answer");
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let challenge =
        securemcp::oauth::Challenge::parse(answer.headers()[header::WWW_AUTHENTICATE].to_str().expect("ASCII"))
            .expect("a Bearer challenge");
    assert_eq!(challenge.error, None, "no error when no token was sent (RFC 6750 section 3)");
    assert_eq!(challenge.scope.expect("scopes").to_string(), "mcp:read mcp:write mcp:infer");
    let metadata_url = challenge.resource_metadata.expect("a metadata URL");
    assert_eq!(metadata_url, format!("{}/.well-known/oauth-protected-resource/mcp", guarded.server.url));
    let inserted = guarded.server.get("/.well-known/oauth-protected-resource/mcp").await.bytes().await.expect("a body");
    let root = guarded.server.get("/.well-known/oauth-protected-resource").await.bytes().await.expect("a body");
    assert_eq!(inserted, root);
    let metadata: Value = serde_json::from_slice(&root).expect("JSON");
    assert_eq!(metadata["resource"], format!("{}/mcp", guarded.server.url));
    assert_eq!(metadata["authorization_servers"], json!([guarded.issuer.url]));
    assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));
    assert_eq!(metadata["scopes_supported"], json!(["mcp:read", "mcp:write", "mcp:infer"]));
}

#[tokio::test]
async fn h02_h03_host_chooses_among_our_names_only() {
    let guarded = Guarded::start().await;
    let port = guarded.server.address.port();
    let metadata = |host: String| {
        let lines = format!(
            "GET /.well-known/oauth-protected-resource HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\nConnection: close\r\n\r\n"
        );
        async move { exchange(guarded.server.address, lines.as_bytes()).await }
    };
    for name in ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"] {
        let answer = metadata(format!("{name}:{port}")).await;
        assert_eq!(status(&answer), 200, "{answer}");
        let resource = format!("\"resource\":\"http://{}:{port}/mcp\"", name.to_lowercase());
        assert!(answer.contains(&resource), "{answer}");
        assert!(!answer.contains("evil"), "{answer}");
    }
    for name in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        "127.0.0.1".to_owned(),
        "127.0.0.1:1".to_owned(),
        format!("127.0.0.1.evil.example:{port}"),
        format!("127.0.0.1:{port}@evil"),
        String::new(),
    ] {
        let answer = metadata(name.clone()).await;
        assert!(matches!(status(&answer), 421 | 400), "{name}: {answer}");
    }
}

#[tokio::test]
async fn h03_the_host_is_checked_before_the_token_and_not_for_probes() {
    let guarded = Guarded::start().await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: 10.0.0.7:8000\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&exchange(guarded.server.address, request("/mcp").as_bytes()).await), 421);
    for probe in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(status(&exchange(guarded.server.address, request(probe).as_bytes()).await), 200, "{probe}");
    }
    let two = format!("GET / HTTP/1.1\r\nHost: {0}\r\nHost: {0}\r\nConnection: close\r\n\r\n", guarded.server.address);
    assert_eq!(status(&exchange(guarded.server.address, two.as_bytes()).await), 400);
}

#[tokio::test]
async fn h04_pages_of_other_origins_are_refused() {
    let guarded = Guarded::start().await;
    let port = guarded.server.address.port();
    let with_origin = |origin: String| {
        let request = guarded.server.post(&guarded.token(&json!({})), echo_body()).header(header::ORIGIN, origin);
        async { with_mirrors(request, "tools/call", Some(ECHO)).send().await.expect("an answer").status().as_u16() }
    };
    for good in
        ["http://localhost:6274".to_owned(), "http://127.0.0.1:6274".to_owned(), format!("http://127.0.0.1:{port}")]
    {
        assert_eq!(with_origin(good.clone()).await, 200, "{good}");
    }
    for evil in [
        "https://evil.example".to_owned(),
        "null".to_owned(),
        "http://127.0.0.1.evil.com".to_owned(),
        "http://localhost:6275".to_owned(),
        "https://localhost:6274".to_owned(),
        format!("http://evil@127.0.0.1:{port}"),
        "http://localhost".to_owned(),
    ] {
        assert_eq!(with_origin(evil.clone()).await, 403, "{evil}");
    }
    assert_eq!(guarded.server.status_with(&guarded.token(&json!({}))).await, 200, "no Origin at all");
}

#[tokio::test]
async fn h05_pages_of_strangers_get_nothing() {
    let guarded = Guarded::start().await;
    let preflight = |origin: &'static str| {
        guarded
            .server
            .request(Method::OPTIONS, "/mcp")
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization,content-type")
            .send()
    };
    let good = preflight("http://localhost:6274").await.expect("an answer");
    assert_eq!(good.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:6274");
    let evil = preflight("https://evil.example").await.expect("an answer");
    assert!(!evil.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    assert!(!good.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
    let call = |origin: Option<&'static str>| {
        let call = guarded.server.post(&guarded.token(&json!({})), echo_body());
        let call = with_mirrors(call, "tools/call", Some(ECHO));
        let call = origin.into_iter().fold(call, |call, origin| call.header(header::ORIGIN, origin));
        async move { call.send().await.expect("an answer") }
    };
    let from_page = call(Some("http://localhost:6274")).await;
    assert_eq!(from_page.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:6274");
    let exposed = from_page.headers()[header::ACCESS_CONTROL_EXPOSE_HEADERS].to_str().expect("text");
    assert!(exposed.contains("www-authenticate") && exposed.contains("mcp-session-id"), "{exposed}");
    let from_nobody = call(None).await;
    assert_eq!((from_page.status().as_u16(), from_nobody.status().as_u16()), (200, 200));
    assert!(!from_nobody.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    let document = guarded.server.request(Method::GET, "/.well-known/oauth-protected-resource");
    let document = document.header(header::ORIGIN, "https://evil.example").send().await.expect("an answer");
    assert_eq!(document.status(), 200);
    assert!(document.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), "anybody may read the metadata");
}

#[tokio::test]
async fn h06_h07_one_token_in_one_header() {
    let guarded = Guarded::start().await;
    let (token, body) = (guarded.token(&json!({})), echo_body());
    let others = guarded.good_lines(&body)[1..].to_vec();
    let with = |authorization: &[&str]| {
        let mut lines = others.clone();
        lines.extend(authorization.iter().map(|line| (*line).to_owned()));
        lines
    };
    let header = format!("Authorization: Bearer {token}");
    assert_eq!(guarded.raw_status(&with(&[&header]), &body).await, 200, "the twin");
    for scheme in ["bearer", "BEARER", "bEaReR"] {
        assert_eq!(
            guarded.raw_status(&with(&[&format!("Authorization: {scheme} {token}")]), &body).await,
            200,
            "{scheme}"
        );
    }
    assert_eq!(guarded.raw_status(&with(&[&header, &header]), &body).await, 400, "two headers");
    for line in [
        format!("Authorization: {token}"),
        format!("Authorization: Token {token}"),
        "Authorization: ".to_owned(),
        "Authorization: Bearer".to_owned(),
        "Authorization: Bearer ".to_owned(),
        format!("Authorization: Bearer  {token}"),
        format!("Authorization: Bearer {token} y"),
        format!("Authorization: Bearer\t{token}"),
        format!("Authorization: Bearer {token},{token}"),
        format!("Authorization: Bearer {token}, Bearer {token}"),
        "Authorization: Bearer ' OR 1=1--".to_owned(),
        "Authorization: Bearer <script>alert(1)</script>".to_owned(),
        format!("Authorization: Bearer {}", "x".repeat(4000)),
        format!("Cookie: access_token={token}"),
        format!("X-Authorization: Bearer {token}"),
    ] {
        assert_eq!(guarded.raw_status(&with(&[&line]), &body).await, 401, "{}", &line[..line.len().min(60)]);
    }
    let nul = guarded.raw_post(&with(&[&format!("Authorization: Bearer {token}\0")]), &body);
    assert_eq!(status(&exchange(guarded.server.address, nul.as_bytes()).await), 400, "NUL is no header byte");
    let query = |path: &str| {
        guarded.server.request(Method::POST, path).header("content-type", "application/json").body(body.clone())
    };
    let in_query = query(&format!("/mcp?access_token={token}")).send().await.expect("an answer");
    assert_eq!(in_query.status(), 401);
    let in_both = query(&format!("/mcp?access_token={token}")).bearer_auth(&token).send().await.expect("an answer");
    assert_eq!(in_both.status(), 400);
    let form =
        guarded.server.request(Method::POST, "/mcp").form(&[("access_token", &token)]).send().await.expect("an answer");
    assert_eq!(form.status(), 401);
}

#[tokio::test]
async fn h08_a_missing_scope_is_said_over_http_before_the_tool_runs() {
    let guarded = Guarded::start().await;
    let reader = guarded.token(&json!({"scope": "mcp:read"}));
    assert_eq!(guarded.server.status_with(&reader).await, 200, "the twin");
    let answer = guarded.server.call(&reader, "calculator", json!({"operation": "add", "operands": [1, 2]})).await;
    assert_eq!(answer.status(), 403);
    let challenge =
        securemcp::oauth::Challenge::parse(answer.headers()[header::WWW_AUTHENTICATE].to_str().expect("ASCII"))
            .expect("a Bearer challenge");
    assert_eq!(challenge.error.as_deref(), Some("insufficient_scope"));
    assert_eq!(challenge.scope.expect("scopes").to_string(), "mcp:write");
    assert!(challenge.resource_metadata.expect("a URL").ends_with("/.well-known/oauth-protected-resource/mcp"));
    let unknown = guarded.server.call(&reader, "no_such_tool", json!({})).await;
    assert!(!unknown.headers().contains_key(header::WWW_AUTHENTICATE), "an unknown tool is never a challenge");
    let body: Value = unknown.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], -32602);
}

#[tokio::test]
async fn h09_headers_mirror_the_body_and_the_body_decides() {
    let guarded = Guarded::start().await;
    let reader = guarded.token(&json!({"scope": "mcp:read"}));
    let calculator =
        stateless("tools/call", json!({"name": "calculator", "arguments": {"operation": "add", "operands": [1, 2]}}));
    let smuggled = with_mirrors(guarded.server.post(&reader, calculator.clone()), "tools/call", Some(ECHO));
    assert_eq!(smuggled.send().await.expect("an answer").status(), 403, "judged by its body");
    let all = guarded.token(&json!({}));
    let post = |method: &'static str, name: Option<&'static str>| {
        with_mirrors(guarded.server.post(&all, calculator.clone()), method, name)
    };
    for (what, request) in [
        ("another name", post("tools/call", Some(ECHO))),
        ("no name", post("tools/call", None)),
        ("another method", post("tools/list", Some("calculator"))),
        (
            "no mirrors at all",
            guarded.server.post(&all, calculator.clone()).header("mcp-protocol-version", "2026-07-28"),
        ),
    ] {
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{what}");
        assert_eq!(answer.json::<Value>().await.expect("JSON")["error"]["code"], -32020, "{what}");
    }
    let base64 = post("tools/call", Some("=?base64?Y2FsY3VsYXRvcg==?="));
    assert_eq!(base64.send().await.expect("an answer").status(), 200, "decoded before it is compared");
}

#[tokio::test]
async fn h10_versions_and_methods_that_do_not_exist() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({}));
    let body = echo_body().replace("2026-07-28", "2099-01-01");
    let request = guarded
        .server
        .post(&token, body)
        .header("mcp-protocol-version", "2099-01-01")
        .header("mcp-method", "tools/call")
        .header("mcp-name", ECHO);
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 400);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], -32022, "{body}");
    assert!(body["error"]["data"]["supported"].as_array().is_some_and(|versions| versions.len() >= 4), "{body}");
    let unknown = with_mirrors(guarded.server.post(&token, stateless("no/such", json!({}))), "no/such", None);
    let answer = unknown.send().await.expect("an answer");
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.json::<Value>().await.expect("JSON")["error"]["code"], -32601);
}

#[tokio::test]
async fn h16_headers_have_limits() {
    let guarded = Guarded::start().await;
    let body = echo_body();
    let with = |more: Vec<String>| {
        let mut lines = guarded.good_lines(&body);
        lines.extend(more);
        lines
    };
    let many = |count: usize| (0..count).map(|number| format!("X-{number}: y")).collect::<Vec<_>>();
    assert_eq!(guarded.raw_status(&with(many(50)), &body).await, 200, "the twin");
    assert_eq!(guarded.raw_status(&with(many(200)), &body).await, 431);
    assert_eq!(guarded.raw_status(&with(vec![format!("X-Big: {}", "x".repeat(64 * 1024))]), &body).await, 431);
}

#[tokio::test]
async fn h20_request_ids_are_kept_when_sane_and_replaced_when_not() {
    let guarded = Guarded::start().await;
    let with = |name: &'static str, value: String| guarded.server.request(Method::GET, "/").header(name, value).send();
    let kept = with("x-request-id", "Run-7.b_c".to_owned()).await.expect("an answer");
    assert_eq!(kept.headers()["x-request-id"], "Run-7.b_c");
    let correlated = with("x-correlation-id", "job-1".to_owned()).await.expect("an answer");
    assert_eq!(correlated.headers()["x-correlation-id"], "job-1");
    assert_eq!(correlated.headers()["x-request-id"], "job-1");
    for odd in ["a b".to_owned(), "a%0d%0aX: y".to_owned(), "\u{9b}31m".to_owned(), "x".repeat(10_000)] {
        let answer = with("x-request-id", odd.clone()).await.expect("an answer");
        let id = answer.headers()["x-request-id"].to_str().expect("ASCII").to_owned();
        assert!(id != odd && id.len() <= 64, "{id}");
    }
    let injected = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nX-Request-Id: a\rX: y\r\nConnection: close\r\n\r\n",
        guarded.server.address
    );
    assert!(!exchange(guarded.server.address, injected.as_bytes()).await.contains("\nX: y"));
}

#[tokio::test]
async fn h21_h22_only_the_paths_and_methods_that_exist() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({}));
    for path in ["/mcp/", "//mcp", "/mcp/..;/admin", "/%6dcp", "/MCP", "/admin"] {
        let answer = guarded.server.request(Method::POST, path).bearer_auth(&token).send().await.expect("an answer");
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
    for method in ["PUT", "PATCH", "TRACE", "HEAD", "X"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a token");
        let without = guarded.server.request(method.clone(), "/mcp").send().await.expect("an answer");
        assert!(matches!(without.status().as_u16(), 401 | 405), "{method}");
        let with = guarded.server.request(method.clone(), "/mcp").bearer_auth(&token).send().await.expect("an answer");
        assert_eq!(with.status(), 405, "{method}");
        let page = guarded.server.request(method.clone(), "/health").send().await.expect("an answer");
        assert!(page.status().is_success() == (method == Method::HEAD) && !page.status().is_server_error(), "{method}");
    }
}

#[tokio::test]
async fn h24_h27_answers_tell_nothing_about_the_inside() {
    let guarded = Guarded::start().await;
    for path in ["/health", "/health/live"] {
        assert_eq!(guarded.server.get(path).await.text().await.expect("a body"), r#"{"status":"healthy"}"#);
    }
    for body in [
        "{",
        "[]",
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":1}}}"#,
    ] {
        let answer = guarded.server.post(&guarded.token(&json!({})), body).send().await.expect("an answer");
        let text = answer.text().await.expect("a body");
        for inside in ["src/", ".rs:", "/home", "panicked", &guarded.issuer.url] {
            assert!(!text.contains(inside), "{inside}: {text}");
        }
    }
}

#[tokio::test]
async fn h28_every_answer_has_the_security_headers() {
    let guarded = Guarded::start().await;
    for path in [
        "/",
        "/health",
        "/mcp",
        "/nowhere",
        "/.well-known/oauth-protected-resource",
        "/api/v1/tools",
        "/api/v1/tools/echo",
        "/openapi.json",
        "/docs",
        "/docs/page.js",
    ] {
        let answer = guarded.server.get(path).await;
        let headers = answer.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert!(headers["content-security-policy"].to_str().expect("ASCII").contains("default-src 'none'"), "{path}");
        assert!(headers.contains_key("x-request-id"), "{path}");
    }
}

#[tokio::test]
async fn h28_no_answer_to_a_caller_may_be_kept() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({}));
    let session = guarded.begin(&token).await;
    let modern = |method: &str| {
        let request = guarded.server.post(&token, stateless(method, json!({})));
        with_mirrors(request, method, None).send()
    };
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    for answer in [
        guarded.server.call(&token, ECHO, json!({"message": "hi"})).await,
        modern("tools/list").await.expect("an answer"),
        modern("no/such").await.expect("an answer"),
        guarded.in_session(&token, &session, list).await,
        guarded.in_session(&token, &session, "{".to_owned()).await,
    ] {
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store", "{answer:?}");
    }
}

#[tokio::test]
async fn headers_that_decide_count_once_and_agree_with_the_target() {
    let guarded = Guarded::start().await;
    let host = guarded.server.address;
    let token = guarded.token(&json!({}));
    let get = |target: &str, lines: &[&str]| {
        let lines = lines.join("\r\n");
        format!("GET {target} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{lines}\r\n\r\n")
    };
    let (own, evil) = (format!("Host: {host}"), "Host: evil.example");
    let good_origin = "Origin: http://localhost:6274";
    for (target, lines, expected) in [
        ("/api/v1/me".to_owned(), vec![own.as_str(), good_origin], 200),
        ("/api/v1/me".to_owned(), vec![own.as_str(), good_origin, "Origin: http://evil.example"], 400),
        ("/api/v1/me".to_owned(), vec![own.as_str(), "Mcp-Session-Id: a", "Mcp-Session-Id: b"], 400),
        (
            "/api/v1/me".to_owned(),
            vec![own.as_str(), "Content-Type: application/json", "Content-Type: text/plain"],
            400,
        ),
        (format!("http://{host}/api/v1/me"), vec![own.as_str()], 200),
        ("http://evil.example/api/v1/me".to_owned(), vec![own.as_str()], 400),
        (format!("http://{host}/api/v1/me"), vec![evil], 400),
        ("http://evil.example/api/v1/me".to_owned(), vec![evil], 421),
    ] {
        let answer = exchange(host, get(&target, &lines).as_bytes()).await;
        assert_eq!(status(&answer), expected, "{target} {lines:?}");
    }
}

/// Time stands still but for waiting: ten seconds without a word pass at once.
#[tokio::test(start_paused = true)]
async fn h17_who_connects_and_asks_nothing_is_not_waited_for() {
    let server = TestServer::start(&[]).await;
    // `P` may still become `POST` or the preface of HTTP/2.
    for said in ["", "P", "PRI * HT", "G", "GET /health HTTP/1.1\r\nHost: "] {
        let began = tokio::time::Instant::now();
        let mut stream = TcpStream::connect(server.address).await.expect("it listens");
        stream.write_all(said.as_bytes()).await.expect("it is open");
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_mins(1), stream.read_to_end(&mut answer)).await.expect("an end");
        let seconds = began.elapsed().as_secs();
        assert!((9..=11).contains(&seconds), "{said:?}: {seconds} s");
    }
    // The twin: who has asked may be silent for a while.
    let mut stream = TcpStream::connect(server.address).await.expect("it listens");
    for pause in [0, 9] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.expect("it is open");
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.expect("an answer");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK"));
    }
}
