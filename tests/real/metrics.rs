//! Prometheus' own reader understands the metrics.

use serde_json::{Value, json};

use crate::harness::{Account, Foreign, free_port};

#[test]
fn prometheus_reads_the_metrics() {
    let account = Account::new();
    let port = free_port();
    let server = account.serve_with(&["--metrics-listen", &format!("127.0.0.1:{port}")]);
    let token = account.token(&server.url());
    for message in ["one", "two"] {
        account.with_token(Some(&token), &["call", "echo", message, "--server", &server.url()]).done();
    }
    let read = Foreign::new().run("metrics.py", &[&format!("http://127.0.0.1:{port}/metrics")], "");
    let read: Value = serde_json::from_str(read.done()).expect("JSON");
    let types = [
        ("http_request_duration_seconds", "histogram"),
        ("token_validation_duration_seconds", "histogram"),
        ("tool_calls", "counter"),
        ("jwks_fetches", "counter"),
        ("introspections", "counter"),
        ("sessions", "gauge"),
        ("sessions_opened", "counter"),
        ("sessions_unavailable", "counter"),
        ("rate_limited", "counter"),
        ("upstream_tool_changes", "counter"),
    ];
    assert_eq!(read["types"].as_object().expect("an object").len(), types.len(), "{read:#}");
    for (name, kind) in types {
        assert_eq!(read["types"][format!("securemcp_{name}")], kind, "{name}");
    }
    let samples = read["samples"].as_array().expect("a list");
    let sample = json!(["securemcp_tool_calls_total", {"tool": "echo", "outcome": "ok"}, 2]);
    assert_eq!(samples.iter().filter(|found| **found == sample).count(), 1, "{read:#}");
}
