//! A guarded server over HTTP: what it gets of a call, what callers get of it, and what happens when it lies.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    keys::Key,
    server::{Guarded, merged, stateless, with_mirrors},
    until::{seen, until},
    upstream::{Lie, Upstream, tool},
};

/// In front of it: our server, which has its tools.
pub(crate) async fn guard(upstream: &Upstream) -> Guarded {
    guard_with(upstream, &[]).await
}

pub(crate) async fn guard_with(upstream: &Upstream, flags: &[(&'static str, &str)]) -> Guarded {
    let mut all = vec![("upstream.url", upstream.url.as_str())];
    all.extend(flags);
    Guarded::guarding(Key::ec(), &all).await
}

impl Guarded {
    /// The tools that a caller with this scope is shown.
    pub(crate) async fn shown(&self, scope: &str) -> Vec<Value> {
        let token = self.token(&json!({ "scope": scope }));
        let request = self.server.post(&token, stateless("tools/list", json!({})));
        let answer = with_mirrors(request, "tools/list", None).send().await.expect("an answer");
        let mut body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["result"]["cacheScope"], "private", "a list for one caller must not be another's");
        let Value::Array(tools) = body["result"]["tools"].take() else { panic!("no tools in {body}") };
        tools
    }

    pub(crate) async fn names_shown(&self, scope: &str) -> Vec<String> {
        let tools = self.shown(scope).await;
        tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// The result of a call that passes all checks of ours.
    pub(crate) async fn called(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.server.call(&self.token(&json!({})), tool, arguments).await;
        assert_eq!(answer.status(), 200);
        assert!(!answer.headers().contains_key("www-authenticate"));
        let mut body: Value = answer.json().await.expect("JSON");
        assert!(body["result"].is_object(), "{body}");
        body["result"].take()
    }

    /// What a caller reads of a call that failed behind us.
    pub(crate) async fn told(&self, tool: &str) -> String {
        let result = self.called(tool, json!({})).await;
        assert_eq!(result["isError"], true, "{result}");
        result["content"][0]["text"].as_str().expect("a text").to_owned()
    }

    /// Waits until the tools are these.
    pub(crate) async fn until_shown(&self, expected: &[&str]) {
        let what = format!("{expected:?}");
        until(&what, async || self.names_shown("mcp:read mcp:write").await == expected).await;
    }
}

/// A call with the token of a caller, and with headers that a caller might hope to have passed on.
async fn called_with_headers(guarded: &Guarded, token: &str, headers: &[(&'static str, &str)]) -> u16 {
    let body = stateless("tools/call", json!({"name": "read", "arguments": {"text": "hi"}}));
    let mut request = with_mirrors(guarded.server.post(token, body), "tools/call", Some("read"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn tools_of_either_generation_are_served_to_both() {
    for modern in [true, false] {
        let upstream = Upstream::start(modern).await;
        let guarded = guard(&upstream).await;
        assert_eq!(guarded.names_shown("mcp:read mcp:write").await, ["read", "write"]);
        let result = guarded.called("write", json!({"text": "hi"})).await;
        assert_eq!(result["content"], json!([{"type": "text", "text": "{\"text\":\"hi\"}"}]), "modern: {modern}");

        // A client of 2025, with a session.
        let token = guarded.token(&json!({}));
        let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
        let answer = guarded.server.post(&token, initialize.to_string()).send().await.unwrap();
        let session = answer.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        assert_ne!(session, "of-the-upstream");
        let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": {"name": "read", "arguments": {"text": "ho"}}});
        let request = guarded.server.post(&token, call.to_string()).header("mcp-session-id", &session);
        let text = request.send().await.unwrap().text().await.unwrap();
        assert!(text.contains(r#"{\"text\":\"ho\"}"#), "modern: {modern}: {text}");
    }
}

#[tokio::test]
async fn g01_nothing_of_a_callers_request_reaches_the_guarded_server_but_tool_and_arguments() {
    for modern in [true, false] {
        let upstream = Upstream::start(modern).await;
        upstream.rules().token = Some("the-servers-own-token");
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "the-servers-own-token\n").unwrap();
        let guarded = guard_with(&upstream, &[("upstream.token", secret.path().to_str().unwrap())]).await;
        let token = guarded.token(&json!({}));
        let headers = [
            ("cookie", "session=of-the-caller"),
            ("dpop", "proof-of-the-caller"),
            ("x-forwarded-user", "mallory"),
            ("x-user", "mallory"),
            ("x_user", "mallory"),
            ("forwarded", "for=mallory"),
            ("connection", "authorization"),
            ("traceparent", "of-the-caller"),
            ("x-request-id", "of-the-caller"),
        ];
        assert_eq!(called_with_headers(&guarded, &token, &headers).await, 200);
        let hits = upstream.hits();
        assert_eq!(hits.iter().filter(|hit| hit.what == "POST tools/call").count(), 1);
        let known =
            ["host", "content-type", "accept", "accept-encoding", "content-length", "user-agent", "authorization"];
        for hit in &hits {
            assert_eq!(hit.headers["authorization"], "Bearer the-servers-own-token", "{hit:?}");
            for (name, value) in &hit.headers {
                assert!(known.contains(&name.as_str()) || name.as_str().starts_with("mcp-"), "{name}");
                let value = value.to_str().unwrap();
                assert!(!value.contains("caller") && !value.contains("mallory") && !value.contains(&token), "{value}");
            }
            assert!(!hit.body.to_string().contains(&token), "{hit:?}");
        }
        let call = hits.iter().find(|hit| hit.what == "POST tools/call").unwrap();
        assert_eq!(call.body["params"]["name"], "read");
        assert_eq!(call.body["params"]["arguments"], json!({"text": "hi"}));
    }
}

#[tokio::test]
async fn g05_a_tool_that_the_token_does_not_allow_is_not_shown_and_not_called() {
    let upstream = Upstream::start(true).await;
    let guarded = guard(&upstream).await;
    assert_eq!(guarded.names_shown("mcp:read").await, ["read"]);
    assert_eq!(guarded.names_shown("mcp:read mcp:write").await, ["read", "write"]);

    let reader = guarded.token(&json!({"scope": "mcp:read"}));
    let refused = guarded.server.call(&reader, "write", json!({"text": "hi"})).await;
    assert_eq!(refused.status(), 403);
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
    assert!(challenge.contains(r#"scope="mcp:write""#), "{challenge}");
    assert!(challenge.contains("resource_metadata="), "{challenge}");
    assert_eq!(upstream.count("POST tools/call"), 0, "nothing was sent");
    // The twin: the same call, with the scope.
    let writer = guarded.token(&json!({"scope": "mcp:write"}));
    assert_eq!(guarded.server.call(&writer, "write", json!({"text": "hi"})).await.status(), 200);
    assert_eq!(upstream.count("POST tools/call"), 1);

    let unknown = guarded.server.call(&reader, "no_such_tool", json!({})).await;
    assert!(!unknown.headers().contains_key("www-authenticate"), "no scope would help");
    assert_eq!(unknown.json::<Value>().await.unwrap()["error"]["code"], -32602);
}

#[tokio::test]
async fn scopes_of_the_file_beat_what_the_server_says_of_its_tools() {
    let upstream = Upstream::start(true).await;
    upstream.rules().tools.push(tool("get.user", true));
    let file =
        "[upstream]\nshow_locked = true\n[upstream.scopes]\nread = 'mcp:read files:all'\n'get.user' = ['users']\n";
    let flags = [("upstream.url", upstream.url.as_str())];
    let guarded = Guarded::guarding_with_file(Key::ec(), &flags, file).await;
    assert_eq!(guarded.names_shown("mcp:read").await, ["read", "write", "get.user"], "locked ones are shown");
    let scopes: Vec<_> =
        guarded.shown("x").await.iter().map(|tool| tool["_meta"]["io.securemcp/scopes"].clone()).collect();
    assert_eq!(scopes, [json!(["mcp:read", "files:all"]), json!(["mcp:write"]), json!(["users"])]);
    for (scope, tool, status) in [
        ("mcp:read", "read", 403),
        ("mcp:read files:all", "read", 200),
        ("mcp:read", "get.user", 403),
        ("users", "get.user", 200),
    ] {
        let token = guarded.token(&json!({ "scope": scope }));
        assert_eq!(guarded.server.call(&token, tool, json!({})).await.status(), status, "{scope} {tool}");
    }
    let metadata: Value = guarded.server.get("/.well-known/oauth-protected-resource").await.json().await.unwrap();
    assert_eq!(metadata["scopes_supported"], json!(["mcp:read", "mcp:write", "users", "files:all"]));
}

#[tokio::test]
async fn definitions_and_results_pass_unchanged() {
    for modern in [true, false] {
        let upstream = Upstream::start(modern).await;
        let definition = json!({"name": "picture", "title": "Picture", "description": "Shows\na picture.",
            "inputSchema": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
                "properties": {"size": {"type": "integer", "exclusiveMinimum": 0}}, "additionalProperties": false},
            "outputSchema": {"type": "object", "properties": {"width": {"type": "number"}}},
            "annotations": {"title": "P", "readOnlyHint": true, "idempotentHint": true, "openWorldHint": false},
            "icons": [{"src": "https://h/i.png", "mimeType": "image/png", "sizes": ["48x48"]}],
            "_meta": {"com.example/x": {"y": [1]}}});
        let result = json!({"content": [
                {"type": "text", "text": "a \u{1b}[31m text", "annotations": {"audience": ["user"], "priority": 0.5}},
                {"type": "image", "data": "AAAA", "mimeType": "image/png"},
                {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
                {"type": "resource", "resource": {"uri": "test://a", "mimeType": "text/plain", "text": "t"}},
                {"type": "resource_link", "uri": "test://b", "name": "b"}],
            "structuredContent": {"width": 1.5}, "isError": false, "_meta": {"com.example/z": 1}});
        upstream.rules().tools.push(definition.clone());
        upstream.rules().results.insert("picture", result.clone());
        let failed = json!({"content": [{"type": "text", "text": "no"}], "isError": true});
        upstream.rules().results.insert("read", failed.clone());
        let guarded = guard(&upstream).await;

        let shown = guarded.shown("mcp:read").await.pop().unwrap();
        let meta = json!({"com.example/x": {"y": [1]}, "io.securemcp/scopes": ["mcp:read"]});
        assert_eq!(shown, merged(definition, &json!({ "_meta": meta })), "modern: {modern}");
        let called = guarded.called("picture", json!({"size": 1})).await;
        for member in ["content", "structuredContent", "isError"] {
            assert_eq!(called[member], result[member], "modern: {modern}");
        }
        assert_eq!(called["_meta"]["com.example/z"], 1);
        let called = guarded.called("read", json!({})).await;
        assert_eq!((&called["content"], &called["isError"]), (&failed["content"], &json!(true)));

        // Judged by the dialect that the schema names, and before anything is sent.
        upstream.hits();
        let result = guarded.called("picture", json!({"size": 0, "colour": 1})).await;
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("invalid arguments: "), "{text}");
        assert!(text.contains("`/size`") && text.contains("there is no argument `colour`"), "{text}");
        assert_eq!(upstream.count("POST tools/call"), 0);
    }
}

#[tokio::test]
async fn g04_a_poisoned_description_is_cleaned_and_an_unusable_tool_left_out() {
    let upstream = Upstream::start(true).await;
    let mut poisoned = tool("poisoned", true);
    poisoned["description"] = "Fine.\u{1b}]8;;http://e\u{7}\u{202e}\u{e0041}\n".into();
    poisoned["inputSchema"]["properties"]["text"]["description"] = "a\u{200b}b\u{1b}[2J".into();
    poisoned["inputSchema"]["properties"]["text"]["enum"] = json!(["a\u{200b}"]);
    let unusable = [
        json!({"name": "two words", "inputSchema": {"type": "object"}}),
        json!({"name": "no_object", "inputSchema": {"type": "string"}}),
        json!({"name": "bad_pattern", "inputSchema": {"type": "object", "properties": {"a": {"pattern": "("}}}}),
        json!({"name": "far", "inputSchema": {"type": "object", "$ref": "https://evil.example/schema.json"}}),
        json!({"name": "schemaless"}),
        json!({"name": "read", "inputSchema": {"type": "object"}}),
        json!("not a tool"),
    ];
    upstream.rules().tools.extend(unusable);
    upstream.rules().tools.push(poisoned);
    let guarded = guard(&upstream).await;
    assert_eq!(guarded.names_shown("mcp:read mcp:write").await, ["read", "write", "poisoned"]);
    let shown = guarded.shown("mcp:read").await;
    assert_eq!(shown[1]["description"], "Fine.]8;;http://e\n");
    assert_eq!(shown[1]["inputSchema"]["properties"]["text"]["description"], "ab[2J");
    assert_eq!(shown[1]["inputSchema"]["properties"]["text"]["enum"], json!(["a\u{200b}"]), "a value means what it is");
    assert_eq!(shown[0]["annotations"]["readOnlyHint"], true, "the first of two is kept");
}

#[tokio::test]
async fn a_long_list_is_followed_to_its_end_and_one_without_end_is_left() {
    let upstream = Upstream::start(true).await;
    upstream.rules().tools = (0..25).map(|index| tool(&format!("t{index}"), true)).collect();
    upstream.rules().page = 10;
    let guarded = guard(&upstream).await;
    assert_eq!(guarded.names_shown("mcp:read").await.len(), 25);
    let endless = Upstream::start(true).await;
    endless.rules().circles = true;
    let guarded = guard(&endless).await;
    assert_eq!(guarded.names_shown("mcp:read mcp:write").await, ["read", "write"]);
    assert!(endless.count("POST tools/list") <= 4);
}

#[tokio::test]
async fn changed_tools_are_asked_for_when_the_server_says_so() {
    for modern in [true, false] {
        let upstream = Upstream::start(modern).await;
        let guarded = guard(&upstream).await;
        let asked = upstream.count("POST tools/list");
        assert!(asked >= 1);
        // Until the stream for notices is open.
        let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {}});
        let kind = if modern { "POST subscriptions/listen" } else { "GET" };
        until("the stream for notices", async || upstream.count(kind) > 0).await;
        let id = upstream.hits().iter().find(|hit| hit.what == kind).map(|hit| hit.body["id"].clone()).unwrap();
        let meta = json!({ "_meta": {"io.modelcontextprotocol/subscriptionId": id} });
        let changed = if modern { merged(changed, &json!({ "params": meta })) } else { changed };
        // A writing tool that now says that it only reads does not open to readers while we run.
        upstream.rules().tools = vec![tool("new", true), tool("write", true)];
        assert_eq!(upstream.notify(&changed), 1);
        guarded.until_shown(&["new", "write"]).await;
        assert_eq!(guarded.names_shown("mcp:read").await, ["new"]);
        let gone = guarded.server.call(&guarded.token(&json!({})), "read", json!({})).await;
        assert_eq!(gone.json::<Value>().await.unwrap()["error"]["code"], -32602);
        assert_eq!(guarded.called("new", json!({})).await["isError"], Value::Null);
    }
}

#[tokio::test]
async fn g07_a_lie_about_one_call_is_one_clear_error_and_leaves_other_calls_alone() {
    let elsewhere = Upstream::start(true).await;
    let huge = format!(r#"{{"jsonrpc":"2.0","id":{{id}},"result":{{"content":[],"x":"{}"}}}}"#, "x".repeat(17 << 20));
    let of_another_kind = r#"{"jsonrpc":"2.0","id":{id},"result":{"tools":[]}}"#;
    let error = r#"{"jsonrpc":"2.0","id":{id},"error":{"code":-32020,"message":"bad\u001b[31m"}}"#;
    let json = |text: &str| Lie::Text(200, "application/json", text.to_owned());
    let lies = [
        (Lie::Unauthorized, "refuses this server's own credential (HTTP 401); your token is not the reason"),
        (Lie::Redirect(elsewhere.url.clone()), "redirects (HTTP 307), and redirects are not followed"),
        (Lie::Text(500, "text/plain", "stack trace of /srv/secret".to_owned()), "answered with HTTP 500"),
        (json("{"), "its answer is not MCP"),
        (Lie::Text(200, "text/html", "<html>".to_owned()), "its answer is not MCP"),
        (json(&huge), "its answer is larger than 16 MiB"),
        (Lie::Endless("application/json", &[b'x'; 1 << 14]), "its answer is larger than 16 MiB"),
        (json(of_another_kind), "its answer is not MCP"),
        (json(error), "answered with error -32020: bad\\u{1b}[31m"),
    ];
    for modern in [true, false] {
        let upstream = Upstream::start(modern).await;
        let guarded = guard_with(&upstream, &[]).await;
        for (lie, expected) in &lies {
            told_of(&upstream, &guarded, lie, expected).await;
        }
    }
    assert!(elsewhere.hits().is_empty(), "a redirect is not followed");
}

#[tokio::test]
async fn g07_an_answer_that_is_not_the_calls_is_none() {
    let json = |body: &str| Lie::Text(200, "application/json", body.to_owned());
    let lies = [
        (json(r#"{"jsonrpc":"2.0","id":"other","result":{"content":[]}}"#), "its answer is not MCP"),
        (json(r#"{"jsonrpc":"2.0","id":9999,"result":{"content":[]}}"#), "its answer is not MCP"),
        (Lie::Hang, "the tool did not finish within 1 seconds"),
    ];
    for modern in [true, false] {
        let upstream = Upstream::start(modern).await;
        let guarded = guard_with(&upstream, &[("upstream.timeout", "1s")]).await;
        for (lie, expected) in &lies {
            told_of(&upstream, &guarded, lie, expected).await;
        }
        let only = "data: {\"jsonrpc\":\"2.0\",\"id\":9999,\"result\":{\"content\":[]}}\n\n".to_owned();
        told_of(&upstream, &guarded, &Lie::Text(200, "text/event-stream", only), "the connection to it broke off")
            .await;
        // Beside the true answer, they change nothing.
        let events = [
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}"#,
            r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[{"type":"text","text":"true"}]}}"#,
            r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[{"type":"text","text":"twice"}]}}"#,
            r#"{"jsonrpc":"2.0","id":9999,"result":{"content":[]}}"#,
        ];
        let events = format!("data: {}\n\n", events.join("\n\ndata: "));
        upstream.lie("write", Lie::Text(200, "text/event-stream", events));
        assert_eq!(guarded.called("write", json!({})).await["content"][0]["text"], "true", "modern: {modern}");
    }
}

/// What a caller of `write` is told when the guarded server lies; `read` is answered all the while.
async fn told_of(upstream: &Upstream, guarded: &Guarded, lie: &Lie, expected: &str) {
    upstream.lie("write", lie.clone());
    let (told, other) = tokio::join!(guarded.told("write"), guarded.called("read", json!({"text": "x"})));
    assert!(told.contains(expected), "expected {expected:?} in {told:?}");
    assert!(!told.contains("127.0.0.1") && !told.contains("/srv/secret") && !told.contains("evil"), "{told}");
    assert_eq!(other["content"][0]["text"], "{\"text\":\"x\"}", "{expected}");
    upstream.rules().lies.clear();
}

#[tokio::test]
async fn a_call_whose_caller_is_gone_is_cancelled_behind_us_too() {
    let upstream = Upstream::start(false).await;
    upstream.lie("write", Lie::Hang);
    let guarded = guard_with(&upstream, &[("upstream.timeout", "1m")]).await;
    upstream.hits();
    let token = guarded.token(&json!({}));
    let call = guarded.server.call(&token, "write", json!({}));
    tokio::select! {
        answer = call => panic!("{answer:?}"),
        () = until("the call", async || upstream.count("POST tools/call") > 0) => {}
    }
    until("that it was given up", async || upstream.count("POST notifications/cancelled") == 1).await;
    let hits = upstream.hits();
    let of = |what: &str| hits.iter().find(|hit| hit.what == what).unwrap_or_else(|| panic!("no {what}")).body.clone();
    assert_eq!(of("POST notifications/cancelled")["params"]["requestId"], of("POST tools/call")["id"]);
}

#[tokio::test]
async fn calls_that_hang_do_not_keep_others_from_being_answered() {
    for modern in [true, false] {
        let upstream = Upstream::start(modern).await;
        upstream.lie("write", Lie::Hang);
        let guarded = guard(&upstream).await;
        let (server, token) = (&guarded.server, guarded.token(&json!({})));
        let hang =
            all_at_once((0..64).map(|_| Box::pin(async { drop(server.call(&token, "write", json!({})).await) })));
        let others = async {
            for _ in 0..5 {
                assert_eq!(guarded.called("read", json!({})).await["isError"], Value::Null);
            }
        };
        tokio::select! {
            () = hang => panic!("the others were not answered first"),
            () = others => {}
        }
    }
}

#[tokio::test]
async fn s09_equal_ids_of_two_callers_do_not_cross() {
    for modern in [true, false] {
        let upstream = Upstream::start(modern).await;
        let guarded = guard(&upstream).await;
        let callers = ["alice", "bob"].map(|name| (name, guarded.token(&json!({ "sub": name }))));
        upstream.hits();
        let mut calls = Vec::new();
        for round in 0..50 {
            for (name, token) in &callers {
                // Every one of them has the JSON-RPC id 1.
                let (guarded, text) = (&guarded, format!("{name}-{round}"));
                calls.push(Box::pin(async move {
                    let answer = guarded.server.call(token, "read", json!({ "text": text })).await;
                    let body: Value = answer.json().await.unwrap();
                    assert_eq!(body["id"], 1);
                    assert_eq!(body["result"]["content"][0]["text"], json!({ "text": text }).to_string());
                }));
            }
        }
        all_at_once(calls).await;
        let hits = upstream.hits();
        let ids: std::collections::BTreeSet<_> =
            hits.iter().filter(|hit| hit.what == "POST tools/call").map(|hit| hit.body["id"].to_string()).collect();
        assert_eq!(ids.len(), 100, "each call has an id of its own behind us");
    }
}

/// Runs them all at once.
async fn all_at_once<F: Future<Output = ()> + Unpin>(calls: impl IntoIterator<Item = F>) {
    let mut calls: Vec<_> = calls.into_iter().collect();
    std::future::poll_fn(|context| {
        calls.retain_mut(|call| std::pin::Pin::new(call).poll(context).is_pending());
        if calls.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_dead_at_start_is_waited_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/mcp");
    let guarded = Guarded::guarding_unready(Key::ec(), &[("upstream.url", &url)]).await;
    assert_eq!(guarded.server.get("/health/live").await.status(), 200);
    // The keys come by themselves.
    let ready = guarded.server.until_failing("upstream").await;
    assert!(!ready.to_string().contains("127.0.0.1"), "{ready}");
    let words = "the guarded server `upstream` takes no calls: it cannot be reached; it is tried again; if this lasts, \
                 tell whoever runs this server";
    // Not that there are no tools: nobody knows.
    let token = guarded.token(&json!({"scope": "mcp:read"}));
    let list = guarded.server.post(&token, stateless("tools/list", json!({})));
    let answer = with_mirrors(list, "tools/list", None).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let error = answer.json::<Value>().await.unwrap()["error"].take();
    assert_eq!(error, json!({"code": -32603, "message": words, "data": {"reason": "upstream_down"}}));
    for (method, path) in [(Method::GET, "/api/v1/tools"), (Method::POST, "/api/v1/tools/read")] {
        let request = guarded.server.request(method, path).bearer_auth(&token).json(&json!({}));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 503, "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["detail"], words, "{path}");
    }
    // Not that there is no such tool: nobody knows.
    assert!(guarded.told("read").await.contains("takes no calls: it cannot be reached"));

    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let upstream = Upstream::start_on(listener, true);
    guarded.server.until_ready().await;
    assert_eq!(guarded.names_shown("mcp:read").await, ["read"]);
    assert_eq!(guarded.called("read", json!({})).await["isError"], Value::Null);

    // And one that goes away later is told of, and waited for again.
    drop(upstream);
    let told = seen("the end of the connection", async || {
        Some(guarded.told("read").await).filter(|told| !told.contains("did not answer this call"))
    });
    let told = told.await;
    assert!(told.contains("the guarded server `fake` takes no calls: it cannot be reached"), "{told}");
    assert!(!told.contains("127.0.0.1"), "{told}");
    let _upstream = Upstream::start_on(tokio::net::TcpListener::bind(address).await.unwrap(), false);
    guarded.server.until_ready().await;
    assert_eq!(guarded.called("read", json!({})).await["isError"], Value::Null);
}

#[tokio::test]
async fn g05_guarded_tools_over_rest_are_shown_and_called_by_the_same_rules() {
    let upstream = Upstream::start(true).await;
    let guarded = guard(&upstream).await;
    let (server, reader) = (&guarded.server, guarded.token(&json!({"scope": "mcp:read"})));
    let send = async |method: reqwest::Method, path: &str, token: &str| {
        let request = server.request(method, path).header("authorization", format!("Bearer {token}"));
        let answer = request.json(&json!({"text": "hi"})).send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.headers().contains_key("www-authenticate"), answer.json::<Value>().await.expect("JSON"))
    };
    let (_, _, list) = send(reqwest::Method::GET, "/api/v1/tools", &reader).await;
    let names: Vec<_> = list["tools"].as_array().expect("a list").iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["read"]);
    let (status, _, called) = send(reqwest::Method::POST, "/api/v1/tools/read", &reader).await;
    assert_eq!((status, &called["result"]["content"][0]["text"]), (200, &json!("{\"text\":\"hi\"}")));
    let (status, challenged, _) = send(reqwest::Method::POST, "/api/v1/tools/write", &reader).await;
    assert_eq!((status, challenged), (403, true));
    // A failure behind us is one of a gateway, and never our own 401.
    upstream.lie("read", Lie::Unauthorized);
    let (status, challenged, told) = send(reqwest::Method::POST, "/api/v1/tools/read", &reader).await;
    assert_eq!((status, challenged), (502, false));
    assert!(told["detail"].as_str().is_some_and(|text| text.contains("`upstream.token`")), "{told}");
    let page: Value = server.get("/openapi.json").await.json().await.expect("JSON");
    assert!(page["paths"]["/api/v1/tools"].is_object() && !page.to_string().contains("/api/v1/tools/read"), "{page}");
}
