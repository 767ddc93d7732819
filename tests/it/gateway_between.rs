//! Between the callers of a guarded server, who share one connection to it: what is of one of them is neither shown to
//! another nor decided by one.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{
    drain::event,
    gateway::guard_with,
    gateway_questions::asks_the_model,
    harness::{
        keys::Key,
        server::{Guarded, merged, stateless, with_mirrors},
        upstream::Upstream,
    },
};

/// Somebody with a session, and the stream of what is told besides answers.
struct Caller<'a> {
    guarded: &'a Guarded,
    token: String,
    session: String,
    told: Response,
}

impl<'a> Caller<'a> {
    /// Whose client could answer for a model.
    async fn begin(guarded: &'a Guarded, claims: &Value) -> Self {
        let token = guarded.token(claims);
        let session = guarded.begin_with(&token, &json!({"sampling": {}})).await;
        let told = guarded.without_body(Method::GET, Some(&token), &[("mcp-session-id", &session)]).await;
        assert_eq!(told.status(), 200);
        Self { guarded, token, session, told }
    }

    async fn send(&self, method: &str, params: Value) -> Response {
        let request = json!({"jsonrpc": "2.0", "id": 5, "method": method, "params": params});
        self.guarded.in_session(&self.token, &self.session, request.to_string()).await
    }

    async fn subscribe(&self, uri: &str) -> Response {
        self.send("resources/subscribe", json!({ "uri": uri })).await
    }
}

/// The resource that the next word is about.
async fn heard_of(stream: &mut Response) -> String {
    let told = event(stream).await;
    assert_eq!(told["method"], "notifications/resources/updated", "{told}");
    told["params"]["uri"].as_str().expect("a URI").to_owned()
}

/// The stream of a caller of 2026-07-28 who wants to hear of these resources.
async fn listen(guarded: &Guarded, token: &str, uris: &[&str]) -> Response {
    let wanted = json!({"notifications": {"resourceSubscriptions": uris}});
    let request = guarded.server.post(token, stateless("subscriptions/listen", wanted));
    with_mirrors(request, "subscriptions/listen", None).send().await.expect("an answer")
}

fn answer_of_a_model(text: &str) -> Value {
    json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": text}})
}

/// What the guarded server was told that somebody had answered.
fn answers_behind_us(upstream: &Upstream) -> Vec<String> {
    let hits = upstream.hits().into_iter().map(|hit| hit.body["params"]["inputResponses"].clone());
    hits.filter(Value::is_object).map(|answers| answers.to_string()).collect()
}

#[tokio::test]
async fn s13_a_question_is_answered_by_its_caller_only() {
    let upstream = Upstream::start(true).await;
    upstream.rules().asks.insert("write", json!({ "colour": asks_the_model() }));
    let guarded = guard_with(&upstream, &[("upstream.allow_requests", "sampling")]).await;
    let ask = async |claims: Value, more: Value| {
        let params = merged(json!({"name": "write", "arguments": {"text": "x"}}), &more);
        guarded.asked_by(&guarded.token(&claims), json!({"sampling": {}}), "tools/call", params).await.1
    };
    let question = ask(json!({}), json!({})).await["result"].take();
    let key = question["inputRequests"].as_object().expect("a question").keys().next().expect("one");
    let answer = |text: &str| json!({"inputResponses": {key: answer_of_a_model(text)}, "requestState": question["requestState"]});
    upstream.hits();
    for stranger in [json!({"sub": "bob"}), json!({"client_id": "other"})] {
        let refused = ask(stranger.clone(), answer("Red.")).await;
        assert_eq!(refused["error"]["code"], -32602, "{stranger}: {refused}");
    }
    assert_eq!(upstream.count("POST tools/call"), 0, "nothing of it was sent");
    let result = ask(json!({}), answer("Blue.")).await["result"].take();
    assert!(result["content"][0]["text"].as_str().is_some_and(|text| text.contains("Blue.")), "the twin: {result}");
}

#[tokio::test]
async fn s13_a_question_within_a_session_is_shown_to_its_caller_and_answered_there_only() {
    let upstream = Upstream::start(true).await;
    upstream.rules().asks.insert("write", json!({ "colour": asks_the_model() }));
    let guarded = guard_with(&upstream, &[("upstream.allow_requests", "sampling")]).await;
    let listening = upstream.asked_to_tell_of(&[]).await;
    let mut bob = Caller::begin(&guarded, &json!({"sub": "bob"})).await;
    let alice = Caller::begin(&guarded, &json!({})).await;
    for caller in [&bob, &alice] {
        let read = caller.send("tools/call", json!({"name": "read", "arguments": {"text": "x"}})).await;
        assert!(read.text().await.expect("a body").contains(r#"{\"text\":\"x\"}"#));
    }
    upstream.hits();
    let mut call = alice.send("tools/call", json!({"name": "write", "arguments": {}})).await;
    let question = tokio::select! {
        question = event(&mut call) => question,
        told = event(&mut bob.told) => panic!("that is not for Bob: {told}"),
    };
    assert_eq!(question["method"], "sampling/createMessage");

    // Bob answers it where he is, and where she is.
    let answer = |text| json!({"jsonrpc": "2.0", "id": question["id"], "result": answer_of_a_model(text)}).to_string();
    assert_eq!(guarded.in_session(&bob.token, &bob.session, answer("Red.")).await.status(), 202);
    assert_eq!(guarded.in_session(&bob.token, &alice.session, answer("Red.")).await.status(), 404);
    let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed",
        "params": {"_meta": {"io.modelcontextprotocol/subscriptionId": listening}}});
    upstream.rules().tools.pop();
    upstream.notify(&changed);
    assert_eq!(event(&mut bob.told).await["method"], "notifications/tools/list_changed", "he was not asked before");
    assert!(answers_behind_us(&upstream).is_empty());
    assert_eq!(guarded.in_session(&alice.token, &alice.session, answer("Blue.")).await.status(), 202);
    let result = event(&mut call).await["result"].take();
    assert!(result["content"][0]["text"].as_str().is_some_and(|text| text.contains("Blue.")), "the twin: {result}");
    let [answered] = &answers_behind_us(&upstream)[..] else { panic!("one answer") };
    assert!(answered.contains("Blue.") && !answered.contains("Red."), "{answered}");
}

const ALL: [&str; 3] = ["docs://a", "docs://b", "docs://c"];

/// Tells of all, the first one twice as often; Alice wants to hear of that one, and Bob of the others.
async fn each_hears_of_its_own(upstream: &Upstream, alice: &mut Response, bob: &mut Response) {
    let id = upstream.asked_to_tell_of(&ALL).await;
    for uri in &ALL[1..] {
        upstream.tell_of("docs://a", &id);
        assert_eq!(heard_of(alice).await, "docs://a");
        upstream.tell_of(uri, &id);
        assert_eq!(heard_of(bob).await, *uri, "and nothing before");
    }
}

#[tokio::test]
async fn s13_changes_are_told_in_the_session_that_subscribed_to_them() {
    for modern in [true, false] {
        let upstream = Upstream::with_resources(modern, &ALL).await;
        let guarded = guard_with(&upstream, &[]).await;
        let mut alice = Caller::begin(&guarded, &json!({})).await;
        let mut bob = Caller::begin(&guarded, &json!({"sub": "bob"})).await;
        for (caller, uri) in [(&alice, ALL[0]), (&bob, ALL[1]), (&bob, ALL[2])] {
            let answer = caller.subscribe(uri).await.text().await.expect("a body");
            assert!(answer.contains(r#""result":{}"#), "{answer}");
        }
        each_hears_of_its_own(&upstream, &mut alice.told, &mut bob.told).await;
    }
}

#[tokio::test]
async fn s13_changes_are_told_on_the_stream_that_asked_for_them() {
    for modern in [true, false] {
        let upstream = Upstream::with_resources(modern, &ALL).await;
        let guarded = guard_with(&upstream, &[]).await;
        let mut alice = listen(&guarded, &guarded.token(&json!({})), &ALL[..1]).await;
        let mut bob = listen(&guarded, &guarded.token(&json!({"sub": "bob"})), &ALL[1..]).await;
        for stream in [&mut alice, &mut bob] {
            assert_eq!(event(stream).await["method"], "notifications/subscriptions/acknowledged");
        }
        each_hears_of_its_own(&upstream, &mut alice, &mut bob).await;
    }
}

#[tokio::test]
async fn g05_who_may_not_read_a_resource_does_not_hear_of_it() {
    for modern in [true, false] {
        let upstream = Upstream::with_resources(modern, &["docs://plans"]).await;
        let flags = [("upstream.url", upstream.url.as_str())];
        let file = "[upstream.scopes]\n'docs://plans' = 'plans'\n";
        let guarded = Guarded::guarding_with_file(Key::ec(), &flags, file).await;
        let bob = Caller::begin(&guarded, &json!({"sub": "bob"})).await;
        let refused = [bob.subscribe("docs://plans").await, listen(&guarded, &bob.token, &["docs://plans"]).await];
        for refused in refused {
            assert_eq!(refused.status(), 403, "modern: {modern}");
            let challenge = refused.headers()["www-authenticate"].to_str().expect("a text");
            assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
            assert!(challenge.contains(r#"scope="plans""#), "{challenge}");
        }
        let asked = upstream.hits().into_iter().filter(|hit| hit.body.to_string().contains("docs://plans"));
        assert_eq!(asked.count(), 0, "nobody is told there that somebody wants to hear of it");

        let may = json!({"scope": "plans"});
        let mut alice = Caller::begin(&guarded, &may).await;
        assert_eq!(alice.subscribe("docs://plans").await.status(), 200, "the twin");
        let mut stream = listen(&guarded, &alice.token, &["docs://plans"]).await;
        assert_eq!(event(&mut stream).await["method"], "notifications/subscriptions/acknowledged");
        let id = upstream.asked_to_tell_of(&["docs://plans"]).await;
        upstream.tell_of("docs://plans", &id);
        assert_eq!(heard_of(&mut alice.told).await, "docs://plans");
        assert_eq!(heard_of(&mut stream).await, "docs://plans");
    }
}
