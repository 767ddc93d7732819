//! Log lines of the real server: an audit line is found again by the id of its request.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{
    cli::Account,
    server::{stateless, with_mirrors},
};

const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");

#[tokio::test]
async fn an_audit_line_names_its_request_in_either_generation() {
    let account = Account::new();
    let server = account.start(&[]);
    let token = account.run(&["token", "get", "--server", &server.url]).done().trim_end().to_owned();
    let post = |id: &str, body: String| {
        let request = server.post("/mcp").bearer_auth(&token).header(ACCEPT.0, ACCEPT.1);
        request.header("content-type", "application/json").header("x-request-id", id).body(body)
    };
    let echo = json!({"name": "echo", "arguments": {"message": "hi"}});

    let modern = post("modern", stateless("tools/call", echo.clone())).header("x-correlation-id", "run-7");
    let answer = with_mirrors(modern, "tools/call", Some("echo")).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-request-id"], "modern");
    assert_eq!(answer.headers()["x-correlation-id"], "run-7");

    let parameters = json!({"protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"}});
    let begin = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters});
    let session = post("begun", begin.to_string()).send().await.expect("an answer");
    let session = session.headers()["mcp-session-id"].to_str().expect("text").to_owned();
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    for (id, status, message) in [
        ("initialized", 202, initialized),
        ("session", 200, json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": echo})),
    ] {
        let answer = post(id, message.to_string()).header("mcp-session-id", &session).send().await.expect("an answer");
        assert_eq!(answer.status(), status);
        answer.bytes().await.expect("a whole body");
    }
    let refused = server.post("/mcp").header("x-request-id", "refused").send().await.expect("an answer");
    assert_eq!(refused.status(), 401);

    server.process.signal(Signal::TERM);
    let said = server.process.ended().stderr;
    let audit: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .filter(|event: &Value| event["target"] == "audit")
        .collect();
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let found: Vec<_> = audit.iter().map(|event| [text(event, "message"), text(event, "request_id")]).collect();
    let events = [
        ["tool_called", "modern"],
        ["session_opened", "begun"],
        ["tool_called", "session"],
        ["authentication_failed", "refused"],
    ];
    // The token that the story begins with has an event of its own, with an id of the server's.
    assert_eq!(found.len(), events.len() + 1, "{audit:#?}");
    assert_eq!(found[0][0], "token_issued");
    assert!(!found[0][1].is_empty(), "{audit:#?}");
    assert_eq!(found[1..], events);
    let correlated: Vec<_> = audit.iter().map(|event| event["correlation_id"].as_str()).collect();
    assert_eq!(correlated, [None, Some("run-7"), None, None, None]);
}
