//! Logging in at `/docs`: what the page may do, and the client that it is at the embedded issuer.

use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::harness::{
    browser::Browser,
    keys::Key,
    server::{Guarded, TestServer},
};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const ELSEWHERE: &str = "http://127.0.0.1:9/mcp";

/// What the page asks for, at a host of this server.
fn path(redirect_uri: Option<&str>, resource: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs([
        ("response_type", "code"),
        ("client_id", "docs"),
        ("state", "some-state"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("resource", resource),
        ("scope", "mcp:read"),
    ]);
    query.extend_pairs(redirect_uri.map(|redirect_uri| ("redirect_uri", redirect_uri)));
    format!("/authorize?{}", query.finish())
}

fn password(server: &TestServer) -> String {
    std::fs::read_to_string(server.state.path().join("state/dev-password")).expect("it was made")
}

/// The requests that the page may make, and the client that it is told to be, under this name.
async fn told(server: &TestServer, host: &str) -> (String, Value) {
    let get = |path: &str| server.http.get(format!("http://{host}:{}{path}", server.address.port())).send();
    let page = get("/docs").await.expect("an answer");
    let policy = page.headers()["content-security-policy"].to_str().expect("ASCII").to_owned();
    let requests = policy.split("; ").find(|directive| directive.starts_with("connect-src")).expect("it is limited");
    for word in ["unsafe", "https:;", "*", "data:"] {
        assert!(!policy.contains(word), "{policy}");
    }
    assert!(policy.contains("require-trusted-types-for 'script'; trusted-types 'none'"), "{policy}");
    let front: Value = get("/").await.expect("an answer").json().await.expect("JSON");
    (requests.to_owned(), front["docs_client_id"].clone())
}

#[tokio::test]
async fn h28_the_page_asks_this_server_and_the_issuer_that_it_logs_in_at() {
    let server = TestServer::start(&[]).await;
    assert_eq!(told(&server, "127.0.0.1").await, ("connect-src 'self'".to_owned(), json!("docs")));
    assert_eq!(told(&server, "localhost").await, (format!("connect-src 'self' {}", server.url), json!("docs")));

    let guarded = Guarded::start().await;
    assert_eq!(told(&guarded.server, "127.0.0.1").await, ("connect-src 'self'".to_owned(), Value::Null));
    let guarded = Guarded::start_with(Key::ec(), &[("server.docs_client_id", "tools-page")]).await;
    let expected = (format!("connect-src 'self' {}", guarded.issuer.url), json!("tools-page"));
    assert_eq!(told(&guarded.server, "127.0.0.1").await, expected);
}

#[tokio::test]
async fn the_page_is_a_client_that_people_know() {
    let server = TestServer::start(&[]).await;
    for host in ["127.0.0.1", "localhost"] {
        let origin = format!("http://{host}:{}", server.address.port());
        let (page, resource) = (format!("{origin}/docs"), format!("{origin}/mcp"));
        let path = path(Some(&page), &resource);
        let mut browser = Browser::at(&server.url);
        let back = browser.allow(&path, "dev", &password(&server)).await;
        assert!(back.as_str().starts_with(&format!("{page}?code=")), "{back}");
        let consent = browser.get(&path).await;
        assert!(
            consent.text.contains("Allow “Tools page of this server” to use this server as dev?"),
            "{}",
            consent.text
        );
        assert!(!consent.text.contains("nobody has checked it"), "{}", consent.text);
        assert!(consent.text.contains(&server.address.to_string()) || host == "localhost", "{}", consent.text);

        let (_, code) = back.query_pairs().find(|(name, _)| name == "code").expect("a code");
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", "docs"),
            ("code", &code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", &page),
        ];
        let request = server.http.post(format!("{}/token", server.url)).header("origin", &origin).form(&fields);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.headers()["access-control-allow-origin"], origin, "the page may read it");
        let tokens: Value = answer.json().await.expect("JSON");
        assert_eq!((&tokens["scope"], &tokens["refresh_token"]), (&json!("mcp:read"), &Value::Null), "{tokens}");
        let token = tokens["access_token"].as_str().expect("a token");
        let me = server.http.get(format!("{origin}/api/v1/me")).bearer_auth(token).send().await.expect("an answer");
        let me: Value = me.json().await.expect("JSON");
        assert_eq!((&me["sub"], &me["client"]), (&json!("dev"), &json!("docs")));
    }
}

#[tokio::test]
async fn a06_nobody_else_is_sent_the_pages_code() {
    let server = TestServer::start(&[("embedded.resources", ELSEWHERE)]).await;
    let (url, resource, port) = (&server.url, format!("{}/mcp", server.url), server.address.port());
    let mut browser = Browser::at(url);
    let own = format!("{url}/docs");
    let path_to = |redirect_uri: Option<&str>| path(redirect_uri, &resource);
    browser.allow(&path_to(Some(&own)), "dev", &password(&server)).await;
    for other in [
        "http://127.0.0.1:9/docs".to_owned(),
        format!("http://localhost:{}/docs", port ^ 1),
        "http://127.0.0.1/docs".to_owned(),
        format!("https://127.0.0.1:{port}/docs"),
        format!("{url}/docs/"),
        format!("{url}/docs?x"),
        format!("{url}/"),
        format!("{url}/device"),
        format!("http://mcp.localhost:{port}/docs"),
        "https://evil.example/docs".to_owned(),
    ] {
        let page = browser.get(&path_to(Some(&other))).await;
        assert_eq!((page.status, page.header("location")), (400, ""), "{other}: {}", page.text);
        assert!(page.text.contains("cannot be trusted with an answer"), "{}", page.text);
    }
    assert_eq!(browser.get(&path_to(None)).await.status, 400, "which of its names is meant is nothing to guess");
    let back = browser.allow(&path_to(Some(&own)), "dev", &password(&server)).await;
    assert_eq!(back.origin(), Url::parse(url).expect("a URL").origin(), "the twin");
}
