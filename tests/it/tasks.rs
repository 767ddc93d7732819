//! Calls that become tasks: of one owner, for a time, within bounds, by the rules of every call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use securemcp::{
    call::CallContext,
    tools::{Content, TaskSupport, Tool, ToolError, Tools},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::{
    keys::Key,
    redis::{FakeRedis, Mood},
    replicas::Replicas,
    server::{Guarded, NOW, merged, stateless, with_mirrors},
    until::{seen, until},
};

/// What a client says that knows tasks and shows forms.
fn knowing() -> Value {
    json!({"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}})
}

/// Works until it is told that it is done; its calls become tasks.
#[derive(Clone)]
struct Slow {
    done: Arc<Semaphore>,
    /// How many calls have been given up or have ended.
    ended: Arc<AtomicUsize>,
}

impl Default for Slow {
    fn default() -> Self {
        Self { done: Arc::new(Semaphore::new(0)), ended: Arc::default() }
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Order {
    /// What is given back.
    what: String,
    /// How often.
    times: Option<usize>,
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Tool for Slow {
    type Input = Order;
    type Output = Content;

    const NAME: &'static str = "slow";
    const DESCRIPTION: &'static str = "Takes its time.";
    const SCOPES: &'static [&'static str] = &["mcp:write"];
    const TASK: TaskSupport = TaskSupport::Optional;

    async fn call(&self, order: Order, context: &CallContext) -> Result<Content, ToolError> {
        let _ended = Counted(Arc::clone(&self.ended));
        context.begin_task().await?;
        self.done.acquire().await.expect("it is not closed").forget();
        Ok(Content::text(order.what.repeat(order.times.unwrap_or(1))))
    }
}

/// Asks whether to go on, within its task.
struct Asking;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Sure {
    sure: bool,
}

impl Tool for Asking {
    type Input = std::collections::BTreeMap<String, String>;
    type Output = Content;

    const NAME: &'static str = "asking";
    const DESCRIPTION: &'static str = "Asks.";
    const SCOPES: &'static [&'static str] = &[];
    const ASKS: bool = true;
    const TASK: TaskSupport = TaskSupport::Required;

    async fn call(&self, _: Self::Input, context: &CallContext) -> Result<Content, ToolError> {
        context.begin_task().await?;
        let Sure { sure } = context.ask.elicit("sure", "Are you sure?").await?;
        Ok(Content::text(format!("sure: {sure}")))
    }
}

impl Guarded {
    /// What is answered to a client that knows tasks and shows forms: status and body.
    pub(crate) async fn asked_with_tasks(&self, token: &str, method: &str, params: Value) -> (u16, Value) {
        let name = params["name"].as_str().or(params["taskId"].as_str()).map(str::to_owned);
        let mut body: Value = serde_json::from_str(&stateless(method, params)).expect("JSON");
        body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = knowing();
        let request = with_mirrors(self.server.post(token, body.to_string()), method, name.as_deref());
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    /// Calls a tool, whose call becomes a task; its id.
    pub(crate) async fn begin_task(&self, token: &str, tool: &str, arguments: Value) -> String {
        let (status, body) =
            self.asked_with_tasks(token, "tools/call", json!({"name": tool, "arguments": arguments})).await;
        assert_eq!((status, &body["result"]["resultType"]), (200, &json!("task")), "{body}");
        assert_eq!(body["result"]["status"], "working", "{body}");
        body["result"]["taskId"].as_str().expect("an id").to_owned()
    }

    /// What has become of a task.
    pub(crate) async fn task(&self, token: &str, id: &str) -> Value {
        let (status, mut body) = self.asked_with_tasks(token, "tasks/get", json!({ "taskId": id })).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["result"]["taskId"], id, "{body}");
        body["result"].take()
    }

    /// The task, once it is so.
    pub(crate) async fn task_until(&self, token: &str, id: &str, status: &str) -> Value {
        let what = format!("the task is `{status}`");
        seen(&what, async || Some(self.task(token, id).await).filter(|task| task["status"] == status)).await
    }
}

/// A server with these two.
struct Working {
    guarded: Guarded,
    slow: Slow,
}

impl Working {
    async fn start() -> Self {
        let slow = Slow::default();
        let tools = Tools::default().with(slow.clone()).with(Asking);
        Self { guarded: Guarded::start_whole(Key::ec(), &[], tools).await, slow }
    }

    /// A token of that time.
    fn later(&self, changes: &Value, by: Duration) -> String {
        let now = NOW + by.as_secs();
        self.guarded.token(&merged(json!({"iat": now, "exp": now + 300}), changes))
    }

    async fn asked(&self, token: &str, method: &str, params: Value) -> (u16, Value) {
        self.guarded.asked_with_tasks(token, method, params).await
    }

    async fn begin(&self, token: &str, tool: &str, arguments: Value) -> String {
        self.guarded.begin_task(token, tool, arguments).await
    }

    async fn order(&self, token: &str, what: &str) -> String {
        self.begin(token, "slow", json!({ "what": what })).await
    }

    async fn get(&self, token: &str, id: &str) -> Value {
        self.guarded.task(token, id).await
    }

    async fn until(&self, token: &str, id: &str, status: &str) -> Value {
        self.guarded.task_until(token, id, status).await
    }

    /// What each method says of this task: status of HTTP, code and message of the error.
    async fn refusals(&self, token: &str, id: &str) -> Vec<(u16, Value, Value)> {
        let sure = json!({"sure": {"action": "accept", "content": {"sure": true}}});
        let mut all = Vec::new();
        for (method, params) in [
            ("tasks/get", json!({ "taskId": id })),
            ("tasks/update", json!({"taskId": id, "inputResponses": sure})),
            ("tasks/cancel", json!({ "taskId": id })),
        ] {
            let (status, body) = self.asked(token, method, params).await;
            all.push((status, body["error"]["code"].clone(), body["error"]["message"].clone()));
        }
        all
    }
}

#[tokio::test]
async fn a_task_goes_on_when_its_call_is_answered_and_has_the_result() {
    let working = Working::start().await;
    let alice = working.guarded.token(&json!({}));
    let id = working.order(&alice, "soup").await;
    assert_eq!(working.get(&alice, &id).await["status"], "working");
    working.slow.done.add_permits(1);
    let task = working.until(&alice, &id, "completed").await;
    assert_eq!(task["result"]["content"][0]["text"], "soup", "{task}");
    let (_, discovered) = working.asked(&alice, "server/discover", json!({})).await;
    let capabilities = &discovered["result"]["capabilities"];
    assert_eq!(capabilities["extensions"], json!({"io.modelcontextprotocol/tasks": {}}), "{capabilities}");
}

#[tokio::test]
async fn a_task_of_somebody_else_is_not_found_whatever_is_asked() {
    let working = Working::start().await;
    let alice = working.guarded.token(&json!({}));
    let id = working.begin(&alice, "asking", json!({})).await;
    working.until(&alice, &id, "input_required").await;
    for (who, changes) in
        [("another subject", json!({"sub": "bob"})), ("another client", json!({"client_id": "other"}))]
    {
        let thief = working.guarded.token(&changes);
        let stolen = working.refusals(&thief, &id).await;
        assert_eq!(stolen, vec![(200, json!(-32602), json!("there is no such task")); 3], "{who}");
        assert_eq!(stolen, working.refusals(&thief, &"x".repeat(43)).await, "nothing tells that there is such a task");
    }
    // Neither answered nor cancelled; and its owner does both, with another token too.
    let refreshed = working.guarded.token(&json!({"jti": "another"}));
    let task = working.get(&refreshed, &id).await;
    assert_eq!(task["status"], "input_required", "{task}");
    assert_eq!(task["inputRequests"]["sure"]["method"], "elicitation/create", "{task}");
    let sure = json!({"sure": {"action": "accept", "content": {"sure": true}}});
    let (status, body) = working.asked(&refreshed, "tasks/update", json!({"taskId": id, "inputResponses": sure})).await;
    assert_eq!((status, &body["result"]["resultType"]), (200, &json!("complete")), "{body}");
    let task = working.until(&refreshed, &id, "completed").await;
    assert_eq!(task["result"]["content"][0]["text"], "sure: true", "{task}");
    let other = working.order(&alice, "soup").await;
    let (status, body) = working.asked(&alice, "tasks/cancel", json!({ "taskId": other })).await;
    assert_eq!((status, &body["result"]["resultType"]), (200, &json!("complete")), "{body}");
    working.until(&alice, &other, "cancelled").await;
    assert_eq!(working.slow.ended.load(Ordering::SeqCst), 1, "its tool has been given up");
}

#[tokio::test]
async fn a_token_that_allows_less_than_the_tool_needs_reads_and_changes_nothing() {
    let working = Working::start().await;
    let (good, weak) = (working.guarded.token(&json!({})), working.guarded.token(&json!({"scope": "mcp:read"})));
    let id = working.order(&good, "soup").await;
    for (status, code, message) in working.refusals(&weak, &id).await {
        let expected = (403, json!(-32000), json!("`slow` needs scope `mcp:write`"));
        assert_eq!((status, code, message), expected);
    }
    assert_eq!(working.get(&good, &id).await["status"], "working", "the twin, and nothing was cancelled");
    let (status, _) = working.asked(&weak, "tools/call", json!({"name": "slow", "arguments": {"what": "x"}})).await;
    assert_eq!(status, 403, "nor is a task begun");
}

#[tokio::test]
async fn an_expired_task_is_not_found_and_one_that_has_not_is() {
    let working = Working::start().await;
    let alice = working.guarded.token(&json!({}));
    let id = working.order(&alice, "soup").await;
    working.slow.done.add_permits(1);
    let task = working.until(&alice, &id, "completed").await;
    let time_to_live = Duration::from_millis(task["ttlMs"].as_u64().expect("a number"));
    working.guarded.server.clock.advance(time_to_live.saturating_sub(Duration::from_millis(1)));
    let alice = working.later(&json!({}), time_to_live);
    assert_eq!(working.get(&alice, &id).await["status"], "completed");
    working.guarded.server.clock.advance(Duration::from_millis(1));
    let gone = working.refusals(&alice, &id).await;
    assert_eq!(gone, vec![(200, json!(-32602), json!("there is no such task")); 3]);
}

#[tokio::test]
async fn an_owner_has_so_many_tasks_and_others_are_not_kept_from_theirs() {
    let working = Working::start().await;
    let alice = working.guarded.token(&json!({}));
    for number in 0..128 {
        working.order(&alice, &number.to_string()).await;
    }
    let call = json!({"name": "slow", "arguments": {"what": "one more"}});
    let (_, body) = working.asked(&alice, "tools/call", call.clone()).await;
    assert_eq!(body["result"]["isError"], true, "{body}");
    let text = body["result"]["content"][0]["text"].as_str().expect("a text");
    assert!(text.contains("this caller has too many tasks"), "{text}");
    working.order(&working.guarded.token(&json!({"sub": "bob"})), "soup").await;
    // What has expired makes room, and its tools are given up.
    working.guarded.server.clock.advance(Duration::from_hours(1));
    working.order(&working.later(&json!({}), Duration::from_hours(1)), "soup").await;
    // The one that was refused is among them.
    until("all 130 have ended", async || working.slow.ended.load(Ordering::SeqCst) == 130).await;
}

#[tokio::test]
async fn what_is_kept_of_an_owners_results_has_a_bound() {
    let working = Working::start().await;
    let (alice, bob) = (working.guarded.token(&json!({})), working.guarded.token(&json!({"sub": "bob"})));
    working.slow.done.add_permits(100);
    let kept = async |token: &str, mebibytes: usize| {
        let order = json!({"what": "x".repeat(1024), "times": mebibytes * 1024});
        let id = working.begin(token, "slow", order).await;
        let ended = async || Some(working.get(token, &id).await).filter(|task| task["status"] != "working");
        seen("its end", ended).await
    };
    for _ in 0..5 {
        assert_eq!(kept(&alice, 3).await["status"], "completed");
    }
    let failed = |message: &str| json!({"code": -32603, "message": message});
    let no_room = failed("there is no room to keep the result of this task");
    assert_eq!(kept(&alice, 3).await["error"], no_room, "the sixth of 3 MiB");
    assert_eq!(kept(&bob, 3).await["status"], "completed");
    assert_eq!(kept(&bob, 4).await["error"], failed("the result of this task is too large to be kept"));
}

#[tokio::test]
async fn only_who_knows_tasks_is_given_one() {
    let working = Working::start().await;
    let alice = working.guarded.token(&json!({}));
    working.slow.done.add_permits(1);
    let params = json!({"name": "slow", "arguments": {"what": "soup"}});
    let (_, body) = working.guarded.asked(&alice, "tools/call", params).await;
    assert_eq!(body["result"]["content"][0]["text"], "soup", "{body}");
    let params = json!({"name": "asking", "arguments": {}});
    let (status, body) = working.guarded.asked_by(&alice, json!({"elicitation": {}}), "tools/call", params).await;
    let needed = json!({"requiredCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}});
    assert_eq!((status, &body["error"]["code"], &body["error"]["data"]), (400, &json!(-32021), &needed), "{body}");
    let request = working.guarded.server.request(reqwest::Method::POST, "/api/v1/tools/asking").bearer_auth(&alice);
    let answer = request.json(&json!({})).send().await.expect("an answer");
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.expect("a body").contains("only done as a task"));
}

#[tokio::test]
async fn an_answer_to_nothing_that_is_open_changes_nothing() {
    let working = Working::start().await;
    let alice = working.guarded.token(&json!({}));
    let id = working.begin(&alice, "asking", json!({})).await;
    working.until(&alice, &id, "input_required").await;
    for answers in [json!({"other": {"action": "accept", "content": {"sure": true}}}), json!({"sure": 5}), json!({})] {
        let (status, _) = working.asked(&alice, "tasks/update", json!({"taskId": id, "inputResponses": answers})).await;
        assert_eq!(status, 200, "{answers}");
        assert_eq!(working.get(&alice, &id).await["status"], "input_required", "{answers}");
    }
}

#[tokio::test]
async fn a_server_that_stops_waits_for_its_tasks() {
    let working = Working::start().await;
    let alice = working.guarded.token(&json!({}));
    let id = working.order(&alice, "soup").await;
    assert_eq!(working.get(&alice, &id).await["status"], "working");
    let Working { guarded, slow } = working;
    let stopping = tokio::spawn(guarded.server.stop());
    assert_eq!(slow.ended.load(Ordering::SeqCst), 0);
    slow.done.add_permits(1);
    stopping.await.expect("it stops in order");
    assert_eq!(slow.ended.load(Ordering::SeqCst), 1);
    assert_eq!(slow.done.available_permits(), 0, "it was done and not given up");
}

/// Two replicas with these tools, on one Redis.
struct Pair {
    replicas: Replicas,
    slow: Slow,
}

impl Pair {
    async fn on(redis: &FakeRedis) -> Self {
        let slow = Slow::default();
        let tools = || Tools::default().with(slow.clone()).with(Asking);
        Self { replicas: Replicas::serving(&redis.url(), &[], tools).await, slow }
    }

    async fn asked(&self, replica: usize, token: &str, method: &str, params: Value) -> (u16, Value) {
        let name = params["name"].as_str().or(params["taskId"].as_str()).map(str::to_owned);
        let mut body: Value = serde_json::from_str(&stateless(method, params)).expect("JSON");
        body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = knowing();
        let request = with_mirrors(self.replicas.post(replica, token, &body), method, name.as_deref());
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn begin(&self, token: &str, tool: &str, arguments: Value) -> String {
        let (status, body) = self.asked(0, token, "tools/call", json!({"name": tool, "arguments": arguments})).await;
        assert_eq!((status, &body["result"]["resultType"]), (200, &json!("task")), "{body}");
        body["result"]["taskId"].as_str().expect("an id").to_owned()
    }

    /// The task as this replica tells of it, once it is so.
    async fn until(&self, replica: usize, token: &str, id: &str, status: &str) -> Value {
        let look = async || {
            let (code, mut body) = self.asked(replica, token, "tasks/get", json!({ "taskId": id })).await;
            assert_eq!(code, 200, "{body}");
            Some(body["result"].take()).filter(|task| task["status"] == status)
        };
        seen(&format!("the task is `{status}` at replica {replica}"), look).await
    }
}

#[tokio::test]
async fn another_replica_tells_of_a_task_and_has_it_hear_its_owner_and_nobody_else() {
    let redis = FakeRedis::start();
    let pair = Pair::on(&redis).await;
    let (alice, bob) = (pair.replicas.token_of("alice"), pair.replicas.token_of("bob"));
    let id = pair.begin(&alice, "asking", json!({})).await;
    let task = pair.until(1, &alice, &id, "input_required").await;
    assert_eq!(task["inputRequests"]["sure"]["method"], "elicitation/create", "{task}");
    let sure = json!({"sure": {"action": "accept", "content": {"sure": true}}});
    let other_client = pair.replicas.token_with(&pair.replicas.key, "k1", &json!({"client_id": "other"}));
    for thief in [&bob, &other_client] {
        for (method, params) in [
            ("tasks/get", json!({ "taskId": id })),
            ("tasks/update", json!({"taskId": id, "inputResponses": sure})),
            ("tasks/cancel", json!({ "taskId": id })),
        ] {
            let (_, body) = pair.asked(1, thief, method, params).await;
            assert_eq!(body["error"]["message"], "there is no such task", "{method}: {body}");
        }
    }
    assert_eq!(pair.until(0, &alice, &id, "input_required").await["status"], "input_required");
    let (status, body) = pair.asked(1, &alice, "tasks/update", json!({"taskId": id, "inputResponses": sure})).await;
    assert_eq!((status, &body["result"]["resultType"]), (200, &json!("complete")), "{body}");
    // What was answered is open no more, at once and everywhere.
    for replica in [0, 1] {
        let (_, body) = pair.asked(replica, &alice, "tasks/get", json!({ "taskId": id })).await;
        assert_eq!(body["result"]["inputRequests"], Value::Null, "{body}");
    }
    let task = pair.until(1, &alice, &id, "completed").await;
    assert_eq!(task["result"]["content"][0]["text"], "sure: true", "{task}");
    let slow = pair.begin(&alice, "slow", json!({"what": "soup"})).await;
    let weak = pair.replicas.token_with(&pair.replicas.key, "k1", &json!({"scope": "mcp:read"}));
    assert_eq!(pair.asked(1, &weak, "tasks/cancel", json!({ "taskId": slow })).await.0, 403);
    assert_eq!(pair.asked(1, &alice, "tasks/cancel", json!({ "taskId": slow })).await.0, 200);
    pair.until(1, &alice, &slow, "cancelled").await;
    assert_eq!(pair.slow.ended.load(Ordering::SeqCst), 1, "its tool has been given up");
}

#[tokio::test]
async fn whoever_reads_redis_reads_nothing_of_a_task_and_changes_nothing() {
    let redis = FakeRedis::start();
    let pair = Pair::on(&redis).await;
    let alice = pair.replicas.token_of("alice");
    pair.slow.done.add_permits(1);
    let id = pair.begin(&alice, "slow", json!({"what": "a secret soup"})).await;
    pair.until(1, &alice, &id, "completed").await;
    let kept = redis.kept();
    assert!(kept.iter().any(|(key, _)| key.contains("task:")), "{kept:?}");
    for word in ["soup", "alice", "slow", id.as_str()] {
        assert!(kept.iter().all(|(key, value)| !key.contains(word) && !value.contains(word)), "{word}");
    }
    assert_eq!(redis.kept_for_ever(), Vec::<Vec<String>>::new());
    assert_eq!(redis.damage("task:", "{}"), 1);
    let (_, body) = pair.asked(1, &alice, "tasks/get", json!({ "taskId": id })).await;
    assert_eq!(body["error"]["message"], "there is no such task", "{body}");
    assert_eq!(pair.until(0, &alice, &id, "completed").await["result"]["content"][0]["text"], "a secret soup");
}

#[tokio::test]
async fn without_redis_no_task_begins_and_none_is_said_not_to_be() {
    let redis = FakeRedis::start();
    let pair = Pair::on(&redis).await;
    let alice = pair.replicas.token_of("alice");
    let id = pair.begin(&alice, "slow", json!({"what": "soup"})).await;
    redis.set(Mood::Refuses("LOADING Redis is loading the dataset in memory"));
    let call = json!({"name": "slow", "arguments": {"what": "more"}});
    let (_, body) = pair.asked(0, &alice, "tools/call", call).await;
    let text = "the call cannot go on as a task: nobody can keep it now; try again later";
    assert_eq!((&body["result"]["isError"], &body["result"]["content"][0]["text"]), (&json!(true), &json!(text)));
    let (status, body) = pair.asked(1, &alice, "tasks/get", json!({ "taskId": id })).await;
    assert_eq!(status, 503, "{body}");
    // The replica that runs it goes on, and the other hears of it when Redis is back.
    pair.slow.done.add_permits(1);
    assert_eq!(pair.until(0, &alice, &id, "completed").await["result"]["content"][0]["text"], "soup");
    redis.set(Mood::Well);
    assert_eq!(pair.until(1, &alice, &id, "completed").await["result"]["content"][0]["text"], "soup");
}
