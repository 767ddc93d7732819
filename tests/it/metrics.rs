//! `/metrics` on its own listener: what is counted, and that strangers can neither make it grow nor read names in it (H24).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{
    cli::Account,
    issuer::Behaviour,
    keys::Key,
    server::{Guarded, TestServer, stateless, with_mirrors},
};

const ON: (&str, &str) = ("server.metrics_listen", "127.0.0.1:0");

/// Every series with its value.
async fn series(server: &TestServer) -> BTreeMap<String, String> {
    let page = page(server).await;
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').expect("a value")).map(|(name, value)| (name.into(), value.into())).collect()
}

async fn page(server: &TestServer) -> String {
    let answer = server.get_metrics("/metrics").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let page = answer.text().await.expect("text");
    assert!(page.ends_with("# EOF\n"), "{page}");
    page
}

/// The counters among the series, without what depends on time.
async fn counts(server: &TestServer) -> BTreeMap<String, String> {
    let mut series = series(server).await;
    series.retain(|name, _| !name.contains("_bucket{") && !name.contains("_sum"));
    series
}

/// A server that was called in every way that is counted.
async fn busy() -> Guarded {
    let guarded = Guarded::start_with(Key::ec(), &[ON]).await;
    let (server, good) = (&guarded.server, guarded.token(&json!({})));
    let narrow = guarded.token(&json!({"scope": "mcp:read"}));
    for (token, tool, arguments, status) in [
        (&good, "echo", json!({"message": "x"}), 200),
        (&good, "echo", json!({"message": "y"}), 200),
        (&good, "echo", json!({"wrong": 1}), 200),
        (&good, "calculator", json!({"operation": "divide", "numbers": [1, 0]}), 200),
        (&good, "no_such_tool", json!({}), 200),
        (&narrow, "calculator", json!({"operation": "add", "numbers": [1, 2]}), 403),
        (&"not-a-token".to_owned(), "echo", json!({"message": "x"}), 401),
    ] {
        let answer = server.call(token, tool, arguments).await;
        assert_eq!(answer.status(), status, "{tool}");
    }
    assert_eq!(server.get("/health").await.status(), 200);
    assert_eq!(server.get("/nowhere").await.status(), 404);
    let rest = server.request(reqwest::Method::POST, "/api/v1/tools/echo").bearer_auth(&good);
    assert_eq!(rest.json(&json!({"message": "z"})).send().await.expect("an answer").status(), 200);
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}});
    for ends in [true, false] {
        let begun = server.post(&good, initialize.to_string()).send().await.expect("an answer");
        assert_eq!(begun.status(), 200);
        let session = begun.headers()["mcp-session-id"].clone();
        begun.bytes().await.expect("whole");
        if ends {
            let end = server.request(reqwest::Method::DELETE, "/mcp").bearer_auth(&good);
            assert!(end.header("mcp-session-id", session).send().await.expect("an answer").status().is_success());
        }
    }
    guarded.issuer.behave(Behaviour::Text(500, "down"));
    server.clock.advance(Duration::from_secs(31));
    let unknown =
        guarded.key.token(&json!({"alg": guarded.key.alg(), "kid": "unknown", "typ": "at+jwt"}), &guarded.claims());
    assert_eq!(server.status_with(&unknown).await, 401);
    guarded
}

#[tokio::test]
async fn everything_that_happens_is_counted_once() {
    let guarded = busy().await;
    let counts = counts(&guarded.server).await;
    let counted = |name: &str| counts.get(name).map_or("none", String::as_str);
    for (name, value) in [
        (r#"tool_calls_total{tool="echo",outcome="ok"}"#, "3"),
        (r#"tool_calls_total{tool="echo",outcome="invalid_arguments"}"#, "1"),
        (r#"tool_calls_total{tool="calculator",outcome="invalid_arguments"}"#, "1"),
        (r#"tool_calls_total{tool="calculator",outcome="ok"}"#, "none"),
        (r#"tool_calls_total{tool="other",outcome="unknown_tool"}"#, "1"),
        (r#"token_validation_duration_seconds_count{outcome="accepted"}"#, "10"),
        (r#"token_validation_duration_seconds_count{outcome="refused"}"#, "2"),
        (r#"http_request_duration_seconds_count{route="/mcp",status="200"}"#, "7"),
        (r#"http_request_duration_seconds_count{route="/mcp",status="401"}"#, "2"),
        (r#"http_request_duration_seconds_count{route="/mcp",status="403"}"#, "1"),
        (r#"http_request_duration_seconds_count{route="/api/v1/tools/{name}",status="200"}"#, "1"),
        (r#"http_request_duration_seconds_count{route="/health",status="200"}"#, "1"),
        (r#"http_request_duration_seconds_count{route="other",status="404"}"#, "1"),
        (r#"jwks_fetches_total{outcome="ok"}"#, "1"),
        (r#"jwks_fetches_total{outcome="error"}"#, "1"),
        ("sessions", "1"),
        ("sessions_opened_total", "2"),
        ("upstream_tool_changes_total", "0"),
    ] {
        assert_eq!(counted(&format!("securemcp_{name}")), value, "{name} in {counts:#?}");
    }
}

#[tokio::test]
async fn refusals_for_coming_too_often_are_counted() {
    let server = TestServer::start(&[ON, ("limits.per_address", "2/s")]).await;
    for status in [401, 401, 429, 429] {
        assert_eq!(server.request(reqwest::Method::GET, "/mcp").send().await.expect("an answer").status(), status);
    }
    assert_eq!(counts(&server).await[r#"securemcp_rate_limited_total{scope="address"}"#], "2");
}

#[tokio::test]
async fn h24_strangers_cannot_make_it_grow() {
    let guarded = Guarded::start_with(Key::ec(), &[ON]).await;
    let (server, good) = (&guarded.server, guarded.token(&json!({})));
    let odd = |number: usize| async move {
        let method = reqwest::Method::from_bytes(format!("ODD{number}").as_bytes()).expect("a method");
        (method, format!("/nowhere/{number}?{number}"))
    };
    let mut sizes = Vec::new();
    for round in 0..2 {
        for number in 0..500 {
            let name = format!("tool-{round}-{number}");
            let body = stateless("tools/call", json!({"name": name, "arguments": {}}));
            let call = with_mirrors(server.post(&good, body), "tools/call", Some(&name));
            assert!(call.send().await.expect("an answer").status().is_success());
            let (method, path) = odd(round * 1000 + number).await;
            assert_eq!(server.request(method, &path).send().await.expect("an answer").status(), 404);
            assert_eq!(server.status_with(&format!("token-{round}-{number}")).await, 401);
        }
        sizes.push(series(server).await.len());
    }
    assert_eq!(sizes[0], sizes[1]);
    assert_eq!(server.call(&good, "echo", json!({"message": "x"})).await.status(), 200);
    assert!(series(server).await.contains_key(r#"securemcp_tool_calls_total{tool="echo",outcome="ok"}"#));
}

#[tokio::test]
async fn h24_nobody_is_named() {
    let guarded = busy().await;
    let page = page(&guarded.server).await;
    for secret in ["alice", "cli\"", "not-a-token", "no_such_tool", "nowhere", &guarded.issuer.url, "rmcp", "hyper"] {
        assert!(!page.contains(secret), "{secret} in {page}");
    }
    let session =
        |line: &str| line.split(['"', ' ', '{']).any(|word| word.len() == 43 && !word.starts_with("securemcp_"));
    assert!(!page.lines().any(session), "{page}");
}

#[tokio::test]
async fn each_listener_has_its_own_paths() {
    let server = TestServer::start(&[ON]).await;
    assert_eq!(server.get("/metrics").await.status(), 404);
    for path in ["/", "/mcp", "/health", "/metrics/", "/Metrics"] {
        assert_eq!(server.get_metrics(path).await.status(), 404, "{path}");
    }
    assert_eq!(server.get_metrics("/metrics?x=1").await.status(), 200);
    let address = server.metrics.expect("there are metrics");
    for (method, path, status) in [("HEAD", "/metrics", 200), ("POST", "/metrics", 405), ("POST", "/mcp", 404)] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = server.http.request(method, format!("http://{address}{path}")).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{path}");
        let headers = answer.headers();
        assert!(headers.contains_key("x-request-id") && headers.contains_key("content-security-policy"), "{headers:?}");
        assert_eq!(
            (&headers["x-frame-options"], &headers["cache-control"]),
            (&"DENY".parse().expect("a value"), &"no-store".parse().expect("a value"))
        );
    }
}

#[tokio::test]
async fn h24_a_rebound_page_reads_no_metrics() {
    let server = TestServer::start(&[ON]).await;
    let address = server.metrics.expect("there are metrics");
    let port = address.port();
    for (host, status) in [
        ("evil.example", 421),
        (&*format!("evil.example:{port}"), 421),
        ("127.0.0.1.evil.example", 421),
        (&*format!("127.0.0.1:{port}"), 200),
        ("localhost", 200),
        (&*format!("[::1]:{port}"), 200),
    ] {
        let request = server.http.get(format!("http://{address}/metrics")).header("host", host);
        assert_eq!(request.send().await.expect("an answer").status(), status, "{host}");
    }
}

/// Takes the ten seconds that the listener waits for anybody.
#[tokio::test]
async fn h17_peers_that_say_nothing_do_not_keep_the_scraper_out() {
    let server = TestServer::start(&[ON]).await;
    let address = server.metrics.expect("there are metrics");
    let mut silent = Vec::new();
    for said in ["", "G", "P", "GET /metrics HTTP/1.1\r\n"].iter().cycle().take(64) {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(said.as_bytes()).await.expect("written");
        silent.push(stream);
    }
    assert_eq!(server.get_metrics("/metrics").await.status(), 200);
    let closed = async {
        for mut stream in silent {
            // By the listener: reading comes to an end, or to a reset.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), closed).await.expect("each was closed");
}

#[tokio::test]
async fn the_page_and_the_documentation_name_the_same_metrics() {
    let guarded = busy().await;
    let page = page(&guarded.server).await;
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let found: BTreeSet<_> = types.map(|line| line.replacen(' ', " | ", 1)).collect();
    let documented = include_str!("../../docs/METRICS.md");
    let rows = documented.lines().filter_map(|line| line.strip_prefix("| `securemcp_"));
    let rows: Vec<Vec<_>> = rows.map(|row| row.split('|').map(str::trim).collect()).collect();
    let family = |name: &str| format!("securemcp_{}", name.trim_end_matches('`').trim_end_matches("_total"));
    let described: BTreeSet<_> = rows.iter().map(|row| format!("{} | {}", family(row[0]), row[1])).collect();
    assert_eq!(described, found);
    for row in &rows {
        let family = family(row[0]);
        let labels = row[2].split('`').skip(1).step_by(2).filter(|label| *label != "le");
        for label in labels {
            let has = |line: &&str| line.starts_with(&family) && line.contains(&format!("{label}=\""));
            let happened = page.lines().any(|line| has(&line));
            assert!(happened, "{family} has no label {label}");
        }
    }
}

#[test]
fn the_server_says_where_metrics_are_and_a_busy_port_is_one_clear_error() {
    let account = Account::new();
    let server = account.start(&["--metrics-listen", "127.0.0.1:0"]);
    let said: serde_json::Value = serde_json::from_str(&server.announced).expect("JSON");
    let address = said["metrics"].as_str().expect("it says where").to_owned();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let other = Account::new();
    let ended = other.run(&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", &address]);
    ended.failed(1, &[&format!("cannot listen on `{address}`"), "hint: ", "--metrics-listen"]);
    other.run(&["serve", "--check", "--metrics-listen", "nowhere"]).failed(3, &["server.metrics_listen"]);
}
