//! MCP as clients of both generations speak it, and the original's tool cases.

use serde_json::{Value, json};

use crate::harness::server::{Guarded, stateless, with_mirrors};

impl Guarded {
    async fn result(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.server.call(&self.token(&json!({})), tool, arguments).await;
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.expect("JSON")["result"].take()
    }

    async fn structured(&self, tool: &str, arguments: Value) -> Value {
        let result = self.result(tool, arguments).await;
        assert!(!result["isError"].as_bool().unwrap_or_default(), "{result}");
        result["structuredContent"].clone()
    }

    async fn fails(&self, tool: &str, arguments: Value) -> String {
        let result = self.result(tool, arguments.clone()).await;
        assert_eq!(result["isError"], true, "{arguments}: {result}");
        result["content"][0]["text"].as_str().expect("a text").to_owned()
    }
}

#[tokio::test]
async fn discovery_names_every_revision() {
    let guarded = Guarded::start().await;
    let request = guarded.server.post(&guarded.token(&json!({})), stateless("server/discover", json!({})));
    let answer = with_mirrors(request, "server/discover", None).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.expect("JSON");
    let versions = body["result"]["supportedVersions"].as_array().expect("versions").clone();
    for version in ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"] {
        assert!(versions.contains(&json!(version)), "{version}: {versions:?}");
    }
}

#[tokio::test]
async fn a_session_begins_in_any_revision_that_has_them() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({}));
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": version,
            "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
        let answer = guarded.server.post(&token, body.to_string()).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{version}");
        assert!(answer.headers().contains_key("mcp-session-id"), "{version}");
        let text = answer.text().await.expect("a body");
        assert!(text.contains(&format!(r#""protocolVersion":"{version}""#)), "{text}");
    }
}

#[tokio::test]
async fn all_tools_are_listed_with_scopes_and_schemas() {
    let guarded = Guarded::start().await;
    let request =
        guarded.server.post(&guarded.token(&json!({"scope": "mcp:read"})), stateless("tools/list", json!({})));
    let answer = with_mirrors(request, "tools/list", None).send().await.expect("an answer");
    let body: Value = answer.json().await.expect("JSON");
    let tools = body["result"]["tools"].as_array().expect("tools");
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["echo", "timestamp", "calculator", "summarize"]);
    let scopes: Vec<_> =
        tools.iter().map(|tool| tool["_meta"]["io.securemcp/scopes"][0].as_str().expect("a scope")).collect();
    assert_eq!(scopes, ["mcp:read", "mcp:read", "mcp:write", "mcp:infer"]);
    assert!(
        tools.iter().all(|tool| tool["inputSchema"]["type"] == "object" && tool["outputSchema"]["type"] == "object")
    );
}

#[tokio::test]
async fn echo_as_the_original_did() {
    let guarded = Guarded::start().await;
    let whole = guarded.server.call(&guarded.token(&json!({})), "echo", json!({"message": "Hello!"})).await;
    assert!(whole.headers().contains_key("content-length"), "in one piece, not in chunks");
    let plain = guarded.result("echo", json!({"message": "Hello!"})).await;
    assert_eq!(plain["structuredContent"], json!({"echo": "Hello!", "timestamp": null, "length": 6}));
    assert_eq!(plain["content"], json!([{"type": "text", "text": "Hello!"}]), "what a person reads");
    let loud = guarded.structured("echo", json!({"message": "grüße", "uppercase": true, "timestamp": true})).await;
    assert_eq!(loud["echo"], "GRÜSSE");
    assert_eq!(loud["length"], 5, "of the input, in characters");
    assert_eq!(loud["timestamp"].as_str().expect("a time")[..19].to_owned(), "2027-01-15T08:00:00");
}

#[tokio::test]
async fn timestamp_as_the_original_did() {
    let guarded = Guarded::start().await;
    let default = guarded.structured("timestamp", json!({})).await;
    assert_eq!(default["timezone"], "UTC");
    assert_eq!(default["epoch"], Value::Null);
    let new_york = guarded
        .structured("timestamp", json!({"timezone": "America/New_York", "format": "%H:%M", "include_epoch": true}))
        .await;
    assert_eq!(new_york["timestamp"], "03:00");
    assert_eq!(new_york["epoch"].as_f64().map(f64::to_bits), Some(1_800_000_000_f64.to_bits()));
    assert!(guarded.fails("timestamp", json!({"timezone": "Mars/Olympus"})).await.contains("Mars/Olympus"));
    assert!(guarded.fails("timestamp", json!({"format": "%Q"})).await.contains("format"));
}

#[tokio::test]
async fn calculator_as_the_original_did() {
    let guarded = Guarded::start().await;
    for (operation, operands, expected) in [
        ("add", json!([10, 20, 30]), json!(60)),
        ("multiply", json!([4, 10]), json!(40)),
        ("divide", json!([100, 4]), json!(25)),
        ("power", json!([2, 8]), json!(256)),
        ("sqrt", json!([144]), json!(12)),
        ("factorial", json!([5]), json!(120)),
        ("subtract", json!([1, 3]), json!(-2)),
    ] {
        let result = guarded.structured("calculator", json!({"operation": operation, "operands": operands})).await;
        assert_eq!(result["result"], expected, "{operation}");
    }
    for (operation, operands) in [
        ("divide", json!([1, 0])),
        ("sqrt", json!([-1])),
        ("factorial", json!([2.5])),
        ("factorial", json!([-1])),
        ("power", json!([10, 400])),
        ("power", json!([1, 2, 3])),
        ("add", json!([])),
        ("add", json!(["1"])),
        ("modulo", json!([1, 2])),
        ("add", json!([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])),
    ] {
        guarded.fails("calculator", json!({"operation": operation, "operands": operands})).await;
    }
}

#[tokio::test]
async fn five_malformed_bodies_are_told_what_is_wrong() {
    let guarded = Guarded::start().await;
    assert!(guarded.fails("echo", json!({})).await.contains("message"));
    assert!(guarded.fails("echo", json!({"message": 5})).await.contains("message"));
    assert!(guarded.fails("echo", json!({"message": "x", "mesage": "y"})).await.contains("mesage"));
    assert!(guarded.fails("calculator", json!({"operation": "add"})).await.contains("operands"));
}

/// What is answered to a request of either generation: status and error.
async fn refused(guarded: &Guarded, session: &str, method: &str, params: Value) -> [(u16, Value); 2] {
    let token = guarded.token(&json!({}));
    let in_session = json!({"jsonrpc": "2.0", "id": 5, "method": method, "params": params}).to_string();
    let legacy = guarded.in_session(&token, session, in_session).await;
    let name = params["name"].as_str().map(str::to_owned);
    let request = guarded.server.post(&token, stateless(method, params));
    let modern = with_mirrors(request, method, name.as_deref()).send().await.expect("an answer");
    let mut found = Vec::new();
    for answer in [legacy, modern] {
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        let json = text.lines().find_map(|line| line.strip_prefix("data: {").map(|rest| format!("{{{rest}")));
        let body: Value = serde_json::from_str(&json.unwrap_or(text)).expect("JSON");
        found.push((status, body["error"].clone()));
    }
    found.try_into().expect("two answers")
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_no_missing_method() {
    let guarded = Guarded::start().await;
    let session = guarded.begin(&guarded.token(&json!({}))).await;
    let not_an_object = "`arguments` of `tools/call` must be an object";
    for (method, params, message) in [
        ("tools/call", json!({"name": "echo", "arguments": [1]}), not_an_object),
        ("tools/call", json!({"name": "echo", "arguments": "x"}), not_an_object),
        ("tools/call", json!({"name": "echo", "inputResponses": 5}), "the parameters do not fit `tools/call`"),
    ] {
        let error = json!({"code": -32602, "message": message});
        let found = refused(&guarded, &session, method, params.clone()).await;
        assert_eq!(found, [(200, error.clone()), (200, error)], "{method} {params}");
    }
}

#[tokio::test]
async fn h10_a_method_that_is_not_there_is_named_in_a_sentence() {
    let guarded = Guarded::start().await;
    let session = guarded.begin(&guarded.token(&json!({}))).await;
    for method in ["no/such", "prompts/list", "logging/setLevel", "completion/complete"] {
        let error = json!({"code": -32601, "message": format!("this server has no method `{method}`")});
        let found = refused(&guarded, &session, method, json!({})).await;
        assert_eq!(found, [(200, error.clone()), (404, error)], "{method}");
    }
    let [_, modern] = refused(&guarded, &session, "ping", json!({})).await;
    assert_eq!((modern.0, &modern.1["message"]), (404, &json!("this server has no method `ping`")));
    let [(status, error), _] = refused(&guarded, &session, &"x".repeat(5000), json!({})).await;
    assert_eq!((status, error["message"].as_str().expect("a text").len()), (200, 156));
}

#[tokio::test]
async fn summarize_asks_in_two_rounds() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({}));
    let body = |extra: Value| {
        let body: Value = serde_json::from_str(&stateless(
            "tools/call",
            json!({"name": "summarize", "arguments": {"text": "A long story."}}),
        ))
        .expect("JSON");
        let mut body = crate::harness::server::merged(body, &json!({}));
        body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"sampling": {}});
        for (name, value) in extra.as_object().expect("an object") {
            body["params"][name] = value.clone();
        }
        body.to_string()
    };
    let send = |body: String| with_mirrors(guarded.server.post(&token, body), "tools/call", Some("summarize")).send();
    let question: Value = send(body(json!({}))).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(question["result"]["resultType"], "input_required", "{question}");
    let requests = question["result"]["inputRequests"].as_object().expect("requests");
    let (key, request) = requests.iter().next().expect("one request");
    assert_eq!(request["method"], "sampling/createMessage");
    assert!(request["params"]["messages"][0].to_string().contains("A long story."));
    let state = question["result"]["requestState"].as_str().expect("a state").to_owned();
    let answer = json!({ key: {"role": "assistant", "content": {"type": "text", "text": "Short."}, "model": "m"} });
    let good = json!({"inputResponses": answer, "requestState": state});
    let done: Value = send(body(good.clone())).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(done["result"]["structuredContent"]["summary"], "Short.", "{done}");

    let tampered = crate::harness::server::merged(good.clone(), &json!({"requestState": format!("{state}x")}));
    let refused: Value = send(body(tampered)).await.expect("an answer").json().await.expect("JSON");
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let bob = guarded.token(&json!({"sub": "bob"}));
    let stolen = with_mirrors(guarded.server.post(&bob, body(good)), "tools/call", Some("summarize"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        stolen.json::<Value>().await.expect("JSON")["error"]["code"],
        -32602,
        "another caller cannot use the state"
    );
}

#[tokio::test]
async fn summarize_without_a_model_says_so() {
    let guarded = Guarded::start().await;
    let token = guarded.token(&json!({}));
    let answer = guarded.server.call(&token, "summarize", json!({"text": "A long story."})).await;
    assert_eq!(answer.status(), 400);
    let error = answer.json::<Value>().await.expect("JSON")["error"].take();
    assert_eq!((&error["code"], &error["data"]), (&json!(-32021), &json!({"requiredCapabilities": {"sampling": {}}})));
    assert_eq!(error["message"], "this asks the caller's model, and the caller offers none (MCP `sampling`)");
    // A session has no such error.
    let session = guarded.begin(&token).await;
    let call = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "summarize",
        "arguments": {"text": "A long story."}}});
    let text = guarded.in_session(&token, &session, call.to_string()).await.text().await.expect("a body");
    assert!(text.contains(r#""isError":true"#) && text.contains("the caller offers none"), "{text}");
}
