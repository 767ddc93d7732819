//! What a guarded server asks of us and of our callers: nothing passes but what the settings allow.

use serde_json::{Value, json};

use crate::{
    drain::event,
    gateway::guard_with,
    harness::{
        server::{Guarded, merged, stateless, with_mirrors},
        until::{seen, until},
        upstream::{Lie, Upstream},
    },
};

#[tokio::test]
async fn g11_what_the_guarded_server_wants_of_us_is_not_asked_of_the_caller() {
    let upstream = Upstream::start(true).await;
    upstream.rules().token = Some("right");
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "right").unwrap();
    let guarded = guard_with(&upstream, &[("upstream.token", secret.path().to_str().unwrap())]).await;
    assert_eq!(guarded.called("read", json!({})).await["isError"], Value::Null);
    // The twin: the same call, when the server wants another token.
    upstream.rules().token = Some("other");
    let told = guarded.told("read").await;
    assert!(told.contains("`fake`") && told.contains("has to set `upstream.token`"), "{told}");
    // And it recovers by itself.
    upstream.rules().token = Some("right");
    guarded.server.until_ready().await;
    assert_eq!(guarded.called("read", json!({})).await["isError"], Value::Null);
}

/// A question of the guarded server: that of a sampling.
pub(crate) fn asks_the_model() -> Value {
    json!({"method": "sampling/createMessage", "params": {"includeContext": "allServers", "maxTokens": 9,
        "messages": [{"role": "user", "content": {"type": "text", "text": "Which colour?"}}]}})
}

/// The result of a call of `write` with these members more, by a caller with these capabilities.
async fn called_by(guarded: &Guarded, capabilities: Value, more: &Value) -> Value {
    answered(guarded, capabilities, more).await["result"].take()
}

/// The whole answer to it.
async fn answered(guarded: &Guarded, capabilities: Value, more: &Value) -> Value {
    let params = merged(json!({"name": "write", "arguments": {"text": "x"}}), more);
    let mut body: Value = serde_json::from_str(&stateless("tools/call", params)).expect("JSON");
    body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities;
    let request = guarded.server.post(&guarded.token(&json!({})), body.to_string());
    let answer = with_mirrors(request, "tools/call", Some("write")).send().await.expect("an answer");
    answer.json().await.expect("JSON")
}

#[tokio::test]
async fn g06_the_guarded_server_asks_callers_only_what_the_settings_allow() {
    let sampling = json!({"sampling": {}});
    for allowed in ["", "sampling"] {
        let upstream = Upstream::start(true).await;
        upstream.rules().asks.insert("write", json!({ "colour": asks_the_model() }));
        let guarded = guard_with(&upstream, &[("upstream.allow_requests", allowed)]).await;
        upstream.hits();
        let result = called_by(&guarded, sampling.clone(), &json!({})).await;
        let sent = upstream.hits().iter().find(|hit| hit.what == "POST tools/call").unwrap().body["params"].clone();
        let told = &sent["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        if allowed.is_empty() {
            let text = result["content"][0]["text"].as_str().unwrap();
            assert!(text.contains("asks its caller something, which is not passed on here (sampling)"), "{text}");
            assert!(!result.to_string().contains("colour"), "the caller sees nothing of the question: {result}");
            assert_eq!(told, &json!({}), "the guarded server knows");
            continue;
        }
        assert_eq!(told, &sampling);
        assert_eq!(result["resultType"], "input_required", "{result}");
        let requests = result["inputRequests"].as_object().unwrap();
        let (key, question) = requests.iter().next().unwrap();
        assert_eq!((requests.len(), &question["method"]), (1, &json!("sampling/createMessage")));
        assert_eq!(question["params"]["messages"], asks_the_model()["params"]["messages"]);
        assert_eq!(question["params"]["includeContext"], Value::Null, "nothing of other servers");
        assert!(!result.to_string().contains("of-the-upstream"), "its state stays between it and us");

        let answer = json!({"role": "assistant", "content": {"type": "text", "text": "Blue."}, "model": "m"});
        let again = json!({"inputResponses": {key: answer}, "requestState": result["requestState"]});
        let result = called_by(&guarded, sampling.clone(), &again).await;
        let responses: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(responses["colour"]["content"], answer["content"], "it reached the guarded server");

        // The answer to one question is none to another.
        let mut other = asks_the_model();
        other["params"]["messages"][0]["content"]["text"] = "Which password?".into();
        upstream.rules().asks.insert("write", json!({ "colour": other }));
        let result = called_by(&guarded, sampling.clone(), &again).await;
        assert!(result["inputRequests"].to_string().contains("Which password?"), "{result}");
    }
}

#[tokio::test]
async fn g06_within_a_session_the_caller_is_asked_while_the_call_waits() {
    let upstream = Upstream::start(true).await;
    upstream.rules().asks.insert("write", json!({ "colour": asks_the_model() }));
    let guarded = guard_with(&upstream, &[("upstream.allow_requests", "sampling")]).await;
    let token = guarded.token(&json!({}));
    let session = guarded.begin_with(&token, &json!({"sampling": {}})).await;
    let call = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "write", "arguments": {}}});
    let mut call = guarded.in_session(&token, &session, call.to_string()).await;
    let question = event(&mut call).await;
    assert_eq!(question["method"], "sampling/createMessage");
    assert!(question["params"].to_string().contains("Which colour?"), "{question}");
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"role": "assistant", "model": "m",
        "content": {"type": "text", "text": "Blue."}}});
    assert_eq!(guarded.in_session(&token, &session, answer.to_string()).await.status(), 202);
    let result = event(&mut call).await["result"].take();
    assert!(result["content"][0]["text"].as_str().is_some_and(|text| text.contains("Blue.")), "{result}");
}

#[tokio::test]
async fn g06_what_cannot_be_asked_is_one_clear_error() {
    let upstream = Upstream::start(true).await;
    let guarded = guard_with(&upstream, &[("upstream.allow_requests", "sampling")]).await;
    let mut with_tools = asks_the_model();
    with_tools["params"]["tools"] = json!([{"name": "t", "inputSchema": {"type": "object"}}]);
    let elicitation = json!({"method": "elicitation/create", "params": {"mode": "form", "message": "your password?",
        "requestedSchema": {"type": "object", "properties": {}}}});
    let many: serde_json::Map<_, _> = (0..9).map(|index| (format!("q{index}"), asks_the_model())).collect();
    let sampling = json!({"sampling": {}});
    upstream.rules().asks.insert("write", json!({"q": asks_the_model()}));
    let error = answered(&guarded, json!({}), &json!({})).await["error"].take();
    assert_eq!(error["code"], -32021, "{error}");
    assert!(
        error["message"].as_str().unwrap().contains("asks the caller's model, and the caller offers none"),
        "{error}"
    );
    for (questions, capabilities, expected) in [
        (json!({"q": with_tools}), sampling.clone(), "not passed on here (sampling with tools)"),
        (json!({"a": asks_the_model(), "q": elicitation}), sampling.clone(), "not passed on here (elicitation)"),
        (json!({"q": {"method": "roots/list"}}), sampling.clone(), "not passed on here (roots)"),
        (many.into(), sampling.clone(), "asks its caller more than 8 questions in one call"),
    ] {
        upstream.rules().asks.insert("write", questions);
        upstream.hits();
        let result = called_by(&guarded, capabilities, &json!({})).await;
        let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{expected}: {result}"));
        assert!(text.contains(expected) && !text.contains("password"), "{text}");
        assert_eq!(upstream.count("POST tools/call"), 1);
    }
}

#[tokio::test]
async fn g06_a_server_of_2025_cannot_say_whom_it_asks() {
    // It sends a request of its own, on the stream of the call or on another.
    let upstream = Upstream::start(false).await;
    let guarded = guard_with(&upstream, &[("upstream.allow_requests", "sampling")]).await;
    until("the stream for notices", async || upstream.count("GET") > 0).await;
    let begun = upstream.hits().into_iter().find(|hit| hit.what == "POST initialize").unwrap();
    assert_eq!(begun.body["params"]["capabilities"], json!({}), "it is not told otherwise");
    let question = json!({"jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": {"mode": "form",
        "message": "your password?", "requestedSchema": {"type": "object", "properties": {}}}});
    let events =
        format!("data: {question}\n\ndata: {{\"jsonrpc\":\"2.0\",\"id\":{{id}},\"result\":{{\"content\":[]}}}}\n\n");
    upstream.lie("write", Lie::Text(200, "text/event-stream", events));
    upstream.hits();
    guarded.called("write", json!({})).await;
    let answer = seen("the answer", async || upstream.hits().into_iter().find(|hit| hit.body["id"] == "q1")).await.body;
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("elicitation is not passed on"), "{answer}");
}
