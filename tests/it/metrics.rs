//! `/metrics` on its own listener: what is counted, and that strangers can neither make it grow nor read names in it (H24).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use securemcp::tools::Tools;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    drain::Slow,
    features,
    harness::{
        cli::Account,
        issuer::{Behaviour, LyingIssuer},
        keys::Key,
        server::{Guarded, NOW, TestServer, stateless, with_mirrors},
    },
};

const DOCUMENTED: &str = include_str!("../../docs/METRICS.md");
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

/// A server that was called in every way but those of [`rarely`], and what of these calls nobody may read.
async fn busy() -> (Guarded, Vec<String>) {
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
    let mut secrets = vec![good.clone(), narrow];
    for ends in [true, false] {
        let begun = server.post(&good, initialize.to_string()).send().await.expect("an answer");
        assert_eq!(begun.status(), 200);
        let session = begun.headers()["mcp-session-id"].clone();
        begun.bytes().await.expect("whole");
        secrets.push(session.to_str().expect("ASCII").to_owned());
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
    secrets.push(unknown);
    (guarded, secrets)
}

/// The remaining ways: outcomes that take another configuration, and every path. The pages that tell of them.
async fn rarely() -> Vec<String> {
    let limited = TestServer::start(&[ON, ("limits.per_address", "1/s")]).await;
    for path in ["/", "/"] {
        limited.get(path).await;
    }
    let mut pages = vec![page(&limited).await, page(&callers_limited().await.server).await];
    pages.push(page(&tokens_judged().await.server).await);
    pages.push(page(&no_word_of_the_issuer().await).await);
    pages.push(page(&calls_ended().await.server).await);
    pages.push(page(&read_and_given().await.server).await);
    let embedded = TestServer::start(&[ON]).await;
    for path in values("route", "securemcp_http_request_duration_seconds") {
        let path = path.replace("other", "/nowhere").replace("{name}", "x").replace("{file}", "x");
        embedded.get(&path.replace("{client_id}", "x")).await;
    }
    pages.push(page(&embedded).await);
    pages
}

/// Two calls of one user of one client in a second, and two of another user of another, when one is allowed.
async fn callers_limited() -> Guarded {
    let guarded = Guarded::start_with(Key::ec(), &[ON, ("limits.per_client", "1/s")]).await;
    for (subject, client, status) in
        [("alice", "cli", 200), ("alice", "cli", 429), ("bob", "cli", 429), ("alice", "web", 429), ("bob", "app", 200)]
    {
        let token = guarded.token(&json!({"sub": subject, "client_id": client}));
        assert_eq!(guarded.server.status_with(&token).await, status, "{subject} with {client}");
    }
    guarded
}

/// Two tokens of a client that is listed, one of another.
async fn tokens_judged() -> Guarded {
    let guarded = Guarded::start_with(Key::ec(), &[ON, ("issuer.allowed_clients", "cli")]).await;
    for (client, status) in [("cli", 200), ("cli", 200), ("other", 403)] {
        assert_eq!(guarded.server.status_with(&guarded.token(&json!({"client_id": client}))).await, status, "{client}");
    }
    guarded
}

/// A token of an issuer that was never reached.
async fn no_word_of_the_issuer() -> TestServer {
    let key = Key::ec();
    let issuer = LyingIssuer::start(Behaviour::Text(500, "down")).await;
    let server = TestServer::start(&[ON, ("issuer.url", issuer.url.as_str())]).await;
    let claims = json!({"iss": issuer.url, "aud": format!("{}/mcp", server.url), "sub": "alice", "client_id": "cli",
                        "exp": NOW + 300, "iat": NOW, "scope": "mcp:read"});
    let token = key.token(&json!({"alg": key.alg(), "kid": "k1", "typ": "at+jwt"}), &claims);
    assert_eq!(server.status_with(&token).await, 503);
    server
}

/// A call that failed, one that asked, and one whose caller went away.
async fn calls_ended() -> Guarded {
    let slow = Slow::default();
    let guarded = Guarded::start_whole(Key::ec(), &[ON], Tools::builtin().with(slow.clone())).await;
    let (server, token) = (&guarded.server, guarded.token(&json!({})));
    // A caller without a model.
    assert_eq!(server.call(&token, "summarize", json!({"text": "A long story."})).await.status(), 400);
    let story = stateless("tools/call", json!({"name": "summarize", "arguments": {"text": "A long story."}}));
    let mut story: serde_json::Value = serde_json::from_str(&story).expect("JSON");
    story["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"sampling": {}});
    let asked = with_mirrors(server.post(&token, story.to_string()), "tools/call", Some("summarize")).send();
    assert_eq!(asked.await.expect("an answer").status(), 200);
    let request = server.request(reqwest::Method::POST, "/api/v1/tools/slow").bearer_auth(&token);
    let leaving = tokio::spawn(request.json(&json!({})).send());
    slow.0.0.notified().await;
    leaving.abort();
    let cancelled = r#"securemcp_tool_calls_total{tool="slow",outcome="cancelled"}"#;
    let seen = async { while !series(server).await.contains_key(cancelled) {} };
    tokio::time::timeout(Duration::from_secs(30), seen).await.expect("it is seen that the caller went away");
    guarded
}

/// A resource that was read and one that is not there, and so for prompts.
async fn read_and_given() -> Guarded {
    let guarded = Guarded::start_whole(Key::ec(), &[ON], features::all()).await;
    let token = guarded.token(&json!({}));
    for (method, params) in [
        ("resources/read", json!({"uri": "notes://desk/7"})),
        ("resources/read", json!({"uri": "nothing://"})),
        ("prompts/get", json!({"name": "review", "arguments": {"text": "x"}})),
        ("prompts/get", json!({"name": "nothing"})),
    ] {
        guarded.asked(&token, method, params).await;
    }
    guarded
}

/// What docs/METRICS.md says that this label of this metric can be.
fn values(label: &str, metric: &str) -> BTreeSet<String> {
    let row = format!("| `{label}` | `{metric}` | ");
    let mut rest = DOCUMENTED.lines().find_map(|line| line.strip_prefix(&row)).expect("a row");
    let mut values = BTreeSet::new();
    // Remarks are in parentheses.
    while let Some((_, value)) = rest.split_once('`') {
        let (value, after) = value.split_once('`').expect("an end");
        values.insert(value.to_owned());
        rest = after.trim_start_matches(" (");
    }
    values
}

#[tokio::test]
async fn everything_that_happens_is_counted_once() {
    let (guarded, _) = busy().await;
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
    let (of_address, of_callers) = (counts(&server).await, counts(&callers_limited().await.server).await);
    let each = |counts: &BTreeMap<String, String>| {
        ["address", "client", "user"]
            .map(|scope| counts[&format!("securemcp_rate_limited_total{{scope=\"{scope}\"}}")].clone())
    };
    assert_eq!(
        (each(&of_address), each(&of_callers)),
        (["2", "0", "0"].map(String::from), ["0", "2", "1"].map(String::from))
    );
}

#[tokio::test]
async fn rare_outcomes_are_counted_each_by_itself() {
    let of_tokens = |outcome| format!("securemcp_token_validation_duration_seconds_count{{outcome=\"{outcome}\"}}");
    let judged = counts(&tokens_judged().await.server).await;
    assert_eq!((&*judged[&of_tokens("accepted")], &*judged[&of_tokens("not_allowed")]), ("2", "1"));
    let unheard = counts(&no_word_of_the_issuer().await).await;
    assert_eq!(unheard[&of_tokens("unavailable")], "1");
    assert!(!unheard.contains_key(&of_tokens("refused")), "{unheard:#?}");
    let ended = counts(&calls_ended().await.server).await;
    let calls: Vec<_> = ended.into_iter().filter(|(name, _)| name.starts_with("securemcp_tool_calls_total")).collect();
    let call = |tool, outcome| format!("securemcp_tool_calls_total{{tool=\"{tool}\",outcome=\"{outcome}\"}}");
    let expected = [call("slow", "cancelled"), call("summarize", "error"), call("summarize", "input_required")];
    assert_eq!(calls, expected.map(|name| (name, "1".to_owned())));
}

#[tokio::test]
async fn h24_strangers_cannot_make_it_grow() {
    let guarded = Guarded::start_with(Key::ec(), &[ON]).await;
    let (server, good) = (&guarded.server, guarded.token(&json!({})));
    let mut sizes = Vec::new();
    for round in 0..2 {
        // Half of them over REST, where the name is in the path.
        for number in 0..2_500 {
            let name = format!("tool-{round}-{number}");
            let body = stateless("tools/call", json!({"name": name, "arguments": {}}));
            let call = with_mirrors(server.post(&good, body), "tools/call", Some(&name));
            assert!(call.send().await.expect("an answer").status().is_success());
            let call = server.request(reqwest::Method::POST, &format!("/api/v1/tools/rest-{name}")).bearer_auth(&good);
            assert_eq!(call.json(&json!({})).send().await.expect("an answer").status(), 404);
        }
        for number in 0..500 {
            let method = reqwest::Method::from_bytes(format!("ODD{round}X{number}").as_bytes()).expect("a method");
            let path = format!("/nowhere/{round}/{number}?{number}");
            assert_eq!(server.request(method.clone(), &path).send().await.expect("an answer").status(), 404);
            assert_eq!(server.request(method, "/health").send().await.expect("an answer").status(), 405);
            assert_eq!(server.status_with(&format!("token-{round}-{number}")).await, 401);
        }
        sizes.push(series(server).await.len());
    }
    assert_eq!(sizes[0], sizes[1]);
    assert_eq!(server.call(&good, "echo", json!({"message": "x"})).await.status(), 200);
    let series = counts(server).await;
    assert_eq!(series[r#"securemcp_tool_calls_total{tool="other",outcome="unknown_tool"}"#], "10000");
    assert_eq!(series[r#"securemcp_http_request_duration_seconds_count{route="other",status="404"}"#], "1000");
    assert_eq!(series[r#"securemcp_tool_calls_total{tool="echo",outcome="ok"}"#], "1", "a tool that there is");
}

#[tokio::test]
async fn h24_nobody_is_named() {
    let (guarded, secrets) = busy().await;
    let page = page(&guarded.server).await;
    assert_eq!(secrets.len(), 5, "three tokens and two sessions");
    for secret in &secrets {
        assert!(secret.len() > 40 && !page.contains(secret.as_str()), "{secret} in {page}");
    }
    let names =
        ["alice", "\"cli\"", "not-a-token", "no_such_tool", "nowhere", "127.0.0.1", "rmcp", "hyper", "prometheus"];
    for name in names.into_iter().chain([&*guarded.issuer.url, env!("CARGO_PKG_VERSION")]) {
        assert!(!page.contains(name), "{name} in {page}");
    }
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
    tokio::time::timeout(Duration::from_mins(1), closed).await.expect("each was closed");
}

#[tokio::test]
async fn the_pages_and_the_documentation_name_the_same_metrics_labels_and_values() {
    let (guarded, _) = busy().await;
    let mut pages = rarely().await;
    pages.push(page(&guarded.server).await);
    // A page leaves out what has not happened yet.
    let types = pages.iter().flat_map(|page| page.lines()).filter_map(|line| line.strip_prefix("# TYPE "));
    let found: BTreeSet<_> = types.map(|line| line.replacen(' ', " | ", 1)).collect();
    let rows = DOCUMENTED.lines().filter(|line| line.starts_with("| `securemcp_"));
    let rows: Vec<Vec<_>> = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect();
    let family = |metric: &str| metric.trim_matches('`').trim_end_matches("_total").to_owned();
    let described: BTreeSet<_> = rows.iter().map(|row| format!("{} | {}", family(row[0]), row[1])).collect();
    assert_eq!(described, found);
    assert_eq!(rows.len(), 12);

    let mut seen: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for line in pages.iter().flat_map(|page| page.lines()).filter(|line| !line.starts_with('#')) {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let metric = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let (labels, _) = rest.rsplit_once('}').expect("an end");
        for label in labels.split(',') {
            let (label, value) = label.split_once('=').expect("a value");
            let values = seen.entry((metric.to_owned(), label.to_owned())).or_default();
            values.insert(value.trim_matches('"').to_owned());
        }
    }
    seen.retain(|(_, label), _| label != "le");
    let of_rows = rows.iter().flat_map(|row| {
        let labels = row[2].split('`').skip(1).step_by(2);
        labels.map(|label| (row[0].trim_matches('`').to_owned(), label.to_owned()))
    });
    assert_eq!(seen.keys().cloned().collect::<BTreeSet<_>>(), of_rows.collect());
    for ((metric, label), mut seen) in seen {
        let mut documented = values(&label, &metric);
        match &*label {
            "status" => {
                assert!(seen.iter().all(|status| status.len() == 3 && status.parse::<u16>().is_ok()), "{seen:?}");
                seen.clear();
            }
            "tool" => {
                seen.retain(|tool| !["echo", "calculator", "summarize", "slow"].contains(&tool.as_str()));
            }
            "resource" => assert!(seen.remove("notes://{folder}/{id}")),
            "prompt" => assert!(seen.remove("review")),
            // They end as calls of tools do, in the same place.
            "outcome"
                if ["securemcp_resource_reads_total", "securemcp_prompts_given_total"].contains(&metric.as_str()) =>
            {
                assert!(seen.is_subset(&documented), "{seen:?}");
                seen.clone_from(&documented);
            }
            // It takes half a minute; that each end of a call has its outcome is tested where tools are.
            "outcome" if metric.contains("tool_calls") => assert!(documented.remove("timeout")),
            _ => {}
        }
        assert_eq!(seen, documented, "{label} of {metric}");
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
    let check = |listen, metrics| other.run(&["serve", "--check", "--listen", listen, "--metrics-listen", metrics]);
    for (listen, metrics) in [("127.0.0.1:8000", "127.0.0.1:8000"), ("127.0.0.1:8000", "0.0.0.0:8000")] {
        let clash = format!("`server.metrics_listen` is `{metrics}`, where `server.listen` is too: `{listen}`");
        check(listen, metrics).failed(3, &[&clash, "hint: choose another port"]);
    }
    for (listen, metrics) in [("127.0.0.1:8000", "127.0.0.1:8001"), ("127.0.0.1:0", "127.0.0.1:0")] {
        check(listen, metrics).done();
    }
}
