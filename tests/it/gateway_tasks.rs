//! Tasks of a guarded server: each is a task here too, of whoever called.

use serde_json::{Value, json};

use crate::{
    gateway::guard_with,
    harness::{
        server::Guarded,
        until::until,
        upstream::{Lie, Upstream},
    },
};

const FORM: &str = r#"{"method": "elicitation/create", "params": {"mode": "form", "message": "Go on?",
    "requestedSchema": {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}}}"#;

async fn guarding(task: Value, flags: &[(&'static str, &str)]) -> (Upstream, Guarded) {
    let upstream = Upstream::start(true).await;
    upstream.rules().task = Some(task);
    let guarded = guard_with(&upstream, flags).await;
    (upstream, guarded)
}

fn becomes(upstream: &Upstream, task: Value) {
    upstream.rules().task = Some(task);
}

fn done() -> Value {
    json!({"status": "completed", "result": {"content": [{"type": "text", "text": "done"}], "resultType": "complete"}})
}

async fn begin(guarded: &Guarded, token: &str) -> String {
    guarded.begin_task(token, "write", json!({"text": "x"})).await
}

/// The bodies of the requests of this method, once there is one.
async fn asked(upstream: &Upstream, method: &str) -> Vec<Value> {
    let what = format!("POST {method}");
    until(&what, async || upstream.count(&what) > 0).await;
    let hits = upstream.hits().into_iter().filter(|hit| hit.what == what);
    hits.map(|hit| hit.body["params"].clone()).collect()
}

#[tokio::test]
async fn a_task_of_the_guarded_server_is_its_callers_task() {
    let (upstream, guarded) = guarding(json!({"status": "working"}), &[]).await;
    let alice = guarded.token(&json!({}));
    let id = begin(&guarded, &alice).await;
    assert_ne!(id, "behind", "nobody learns that id");
    assert_eq!(guarded.task(&alice, &id).await["status"], "working");
    for (token, id) in [(guarded.token(&json!({"sub": "bob"})), id.as_str()), (alice.clone(), "behind")] {
        let (_, body) = guarded.asked_with_tasks(&token, "tasks/get", json!({ "taskId": id })).await;
        assert_eq!(body["error"]["message"], "there is no such task", "{body}");
    }
    becomes(&upstream, done());
    let task = guarded.task_until(&alice, &id, "completed").await;
    assert_eq!(task["result"]["content"][0]["text"], "done", "{task}");
    assert!(asked(&upstream, "tasks/get").await.iter().all(|asked| asked["taskId"] == "behind"));
    assert_eq!(upstream.count("POST tasks/cancel"), 0, "it has ended by itself");
}

#[tokio::test]
async fn who_does_not_know_tasks_gets_the_result_or_hears_that_there_is_none() {
    let (upstream, guarded) = guarding(json!({"status": "working"}), &[]).await;
    assert_eq!(guarded.called("write", json!({"text": "x"})).await["content"][0]["text"], "{\"text\":\"x\"}");
    let needed = r#"{"jsonrpc":"2.0","id":{id},"error":{"code":-32021,"message":"tasks!","data":{"requiredCapabilities":
        {"extensions":{"io.modelcontextprotocol/tasks":{}}}}}}"#;
    upstream.lie("write", Lie::Text(400, "application/json", needed.to_owned()));
    let call = json!({"name": "write", "arguments": {"text": "x"}});
    let (status, body) = guarded.asked(&guarded.token(&json!({})), "tools/call", call).await;
    assert_eq!((status, &body["error"]["code"]), (400, &json!(-32021)), "{body}");
    let tasks = &body["error"]["data"]["requiredCapabilities"]["extensions"]["io.modelcontextprotocol/tasks"];
    assert!(tasks.is_object(), "{body}");
}

#[tokio::test]
async fn a_question_of_a_task_is_its_owners_if_it_may_be_asked() {
    let asks: Value = json!({"status": "input_required", "inputRequests": {
        "go": serde_json::from_str::<Value>(FORM).expect("JSON")}});
    let (upstream, guarded) = guarding(asks.clone(), &[("upstream.allow_requests", "elicitation")]).await;
    let alice = guarded.token(&json!({}));
    let id = begin(&guarded, &alice).await;
    let task = guarded.task_until(&alice, &id, "input_required").await;
    let questions = task["inputRequests"].as_object().expect("questions");
    let (key, question) = questions.iter().next().expect("one");
    assert_eq!((questions.len(), &question["params"]["message"]), (1, &json!("Go on?")), "{task}");
    let answer = json!({"action": "accept", "content": {"sure": true}});
    let answers = json!({"taskId": id, "inputResponses": { key: answer }});
    let (_, body) =
        guarded.asked_with_tasks(&guarded.token(&json!({"sub": "bob"})), "tasks/update", answers.clone()).await;
    assert_eq!(body["error"]["message"], "there is no such task", "{body}");
    assert_eq!(upstream.count("POST tasks/update"), 0);
    guarded.asked_with_tasks(&alice, "tasks/update", answers).await;
    let told = asked(&upstream, "tasks/update").await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["taskId"], &told[0]["inputResponses"]["go"]), (&json!("behind"), &answer), "{told:?}");
    becomes(&upstream, done());
    guarded.task_until(&alice, &id, "completed").await;

    let (upstream, guarded) = guarding(asks, &[]).await;
    let alice = guarded.token(&json!({}));
    let id = begin(&guarded, &alice).await;
    let task = guarded.task_until(&alice, &id, "completed").await;
    let text = task["result"]["content"][0]["text"].as_str().expect("why");
    assert!(task["result"]["isError"] == true && text.contains("not passed on here (elicitation)"), "{task}");
    assert_eq!(asked(&upstream, "tasks/cancel").await[0]["taskId"], "behind", "it would wait for ever");
}

#[tokio::test]
async fn how_a_task_fails_is_told_and_cannot_draw() {
    let failed = json!({"status": "failed", "error": {"code": -32000, "message": "no\u{1b}[2J"}});
    let (upstream, guarded) = guarding(failed, &[]).await;
    let alice = guarded.token(&json!({}));
    let id = begin(&guarded, &alice).await;
    let task = guarded.task_until(&alice, &id, "failed").await;
    assert_eq!(task["error"]["code"], -32000, "{task}");
    assert!(!task["error"]["message"].as_str().expect("a text").contains('\u{1b}'), "{task}");
    becomes(&upstream, json!({"status": "cancelled"}));
    let id = begin(&guarded, &alice).await;
    let task = guarded.task_until(&alice, &id, "completed").await;
    assert!(task["result"]["content"][0]["text"].as_str().expect("why").contains("cancelled the task"), "{task}");
    for strange in [json!({"status": "completed", "result": {"content": 7}}), json!({"status": "lost"})] {
        becomes(&upstream, strange.clone());
        let id = begin(&guarded, &alice).await;
        let task = guarded.task_until(&alice, &id, "completed").await;
        assert_eq!(task["result"]["isError"], true, "{strange}: {task}");
    }
}

#[tokio::test]
async fn a_task_that_is_given_up_is_cancelled_behind_us_too() {
    let (upstream, guarded) = guarding(json!({"status": "working"}), &[]).await;
    let alice = guarded.token(&json!({}));
    let id = begin(&guarded, &alice).await;
    let (_, body) =
        guarded.asked_with_tasks(&guarded.token(&json!({"sub": "bob"})), "tasks/cancel", json!({ "taskId": id })).await;
    assert_eq!(body["error"]["message"], "there is no such task", "{body}");
    assert_eq!(upstream.count("POST tasks/cancel"), 0);
    guarded.asked_with_tasks(&alice, "tasks/cancel", json!({ "taskId": id })).await;
    guarded.task_until(&alice, &id, "cancelled").await;
    assert_eq!(asked(&upstream, "tasks/cancel").await[0]["taskId"], "behind");
}
