//! A stream that broke goes on, with Redis at another replica too: each event once, in order, for its owner only (facts
//! R13, R25, S07, S08, S16).

use std::{sync::Arc, time::Duration};

use reqwest::{Method, Response};
use securemcp::tools::Tools;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    harness::{
        redis::FakeRedis,
        replicas::{Replicas, ended},
        server::Guarded,
    },
    sessions::Waits,
};

/// How Redis keeps them.
const EVENTS: &str = ":events:";

/// An event as a client reads it.
#[derive(Clone, Debug, PartialEq)]
struct Event {
    id: String,
    /// `Null` where a stream only says where it begins.
    message: Value,
}

struct World {
    redis: FakeRedis,
    replicas: Replicas,
    gate: Arc<Semaphore>,
    alice: String,
    session: String,
}

impl World {
    async fn new() -> Self {
        let (redis, gate) = (FakeRedis::start(), Arc::new(Semaphore::new(0)));
        let tools = || Tools::builtin().with(Waits(Arc::clone(&gate)));
        let replicas = Replicas::serving(&redis.url(), &[], tools).await;
        let alice = replicas.token_of("alice");
        let session = replicas.begin(0, &alice).await;
        Self { redis, replicas, gate, alice, session }
    }

    /// Calls the tool that waits; its stream.
    async fn call(&self, id: u64) -> Response {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": "waits", "arguments": {}}});
        let request = self.replicas.post(0, &self.alice, &message).header("mcp-session-id", &self.session);
        let answer = request.header("mcp-protocol-version", "2025-11-25").send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer
    }

    async fn resume(&self, replica: usize, token: &str, session: &str, last: &str) -> Response {
        let request = self.replicas.without_body(replica, Method::GET, token, session).header("last-event-id", last);
        request.send().await.expect("an answer")
    }

    /// What comes after this event, to the end of the stream.
    async fn rest(&self, replica: usize, last: &str) -> Vec<Event> {
        let answer = self.resume(replica, &self.alice, &self.session, last).await;
        assert_eq!(answer.status(), 200);
        let text = tokio::time::timeout(Duration::from_secs(20), answer.text()).await.expect("it ends");
        events(&text.expect("in order"))
    }

    /// A call that was answered: where its stream began, and what it brought.
    async fn answered(&self, id: u64) -> (String, Event) {
        self.gate.add_permits(1);
        let told = events(&self.call(id).await.text().await.expect("an answer"));
        let [beginning, answer] = <[Event; 2]>::try_from(told).expect("two events");
        assert_eq!((&beginning.message, &answer.message["id"]), (&Value::Null, &json!(id)));
        (beginning.id, answer)
    }
}

fn events(text: &str) -> Vec<Event> {
    let fields = |event: &str, name: &str| {
        let values = event.lines().filter_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
        values.collect::<String>()
    };
    let events = text.split("\n\n").filter(|event| event.contains("data:"));
    events
        .map(|event| Event {
            id: fields(event, "id:"),
            message: serde_json::from_str(&fields(event, "data:")).unwrap_or_default(),
        })
        .collect()
}

/// The first event of a stream, which is then cut.
async fn first(mut answer: Response) -> Event {
    let mut text = String::new();
    while !text.contains("\n\n") {
        let piece = answer.chunk().await.expect("in order").expect("an event");
        text.push_str(std::str::from_utf8(&piece).expect("UTF-8"));
    }
    events(&text).remove(0)
}

#[tokio::test]
async fn what_a_client_missed_comes_once_and_in_order_at_any_replica() {
    let world = World::new().await;
    // Cut before the answer was there.
    let beginning = first(world.call(7).await).await;
    assert_eq!(beginning.message, Value::Null);
    world.gate.add_permits(1);
    world.redis.until_asked("EVAL", EVENTS, 1).await;
    let (other_beginning, other) = world.answered(8).await;
    for replica in [1, 0, 1] {
        let rest = world.rest(replica, &beginning.id).await;
        assert_eq!(rest.len(), 1, "once, and nothing of another stream: {rest:?}");
        assert_eq!(
            (&rest[0].message["id"], &rest[0].message["result"]["structuredContent"]["done"]),
            (&json!(7), &json!(true))
        );
        assert_eq!(world.rest(replica, &other_beginning).await, std::slice::from_ref(&other), "as it was sent");
        assert_eq!(world.rest(replica, &rest[0].id).await, [], "nothing twice");
    }
    assert_eq!(world.redis.kept_for_ever(), Vec::<Vec<String>>::new());
}

#[tokio::test]
async fn a_client_that_comes_back_before_the_answer_gets_it_when_it_is_there() {
    let world = World::new().await;
    for (number, replica) in [(7, 0), (8, 1)] {
        let beginning = first(world.call(number).await).await;
        let before = world.redis.count("GET", EVENTS);
        let resumed = world.resume(replica, &world.alice, &world.session, &beginning.id).await;
        assert_eq!(resumed.status(), 200);
        // It has looked, and there was nothing yet.
        world.redis.until_asked("GET", EVENTS, before + 1).await;
        world.gate.add_permits(1);
        let rest = events(&resumed.text().await.expect("an answer"));
        assert_eq!(rest.iter().map(|event| &event.message["id"]).collect::<Vec<_>>(), [&json!(number)]);
    }
}

#[tokio::test]
async fn s07_s08_event_ids_open_no_stream_of_others_at_any_replica() {
    let world = World::new().await;
    let (beginning, _) = world.answered(7).await;
    let bob = world.replicas.token_of("bob");
    for replica in [0, 1] {
        assert_eq!(world.resume(replica, &bob, &world.session, &beginning).await.status(), 404);
        for garbage in ["x", "0", "0/0", "a.b.c", "a.1.c.d", "*", &"1".repeat(1000)] {
            let answer = world.resume(replica, &world.alice, &world.session, garbage).await;
            assert_eq!(answer.status(), 400, "{garbage}");
        }
        // In a session of his own there is nothing of hers, and it ends with the session.
        let own = world.replicas.begin(replica, &bob).await;
        let stream = world.resume(replica, &bob, &own, &beginning).await;
        assert_eq!(stream.status(), 200);
        let answer = world.replicas.without_body(replica, Method::DELETE, &bob, &own).send().await.expect("an answer");
        assert_eq!(answer.status(), 204);
        let text = tokio::time::timeout(Duration::from_secs(20), stream.text()).await.expect("it ends");
        assert_eq!(events(&text.expect("in order")), []);
        assert_eq!(world.rest(replica, &beginning).await.len(), 1, "the twin");
    }
}

#[tokio::test]
async fn s16_events_that_were_changed_moved_or_said_twice_are_left_out() {
    let world = World::new().await;
    let (beginning, answer) = world.answered(7).await;
    let (other, other_answer) = world.answered(8).await;
    let kept = world.redis.kept().into_iter().find(|(key, _)| key.contains(EVENTS)).expect("they are kept").1;
    let lines: Vec<_> = kept.lines().collect();
    let [first, second] = lines[..] else { panic!("{kept}") };
    let sealed = |line: &str| line.split_once(' ').expect("a place").1.to_owned();
    let flipped = first.replace(&sealed(first), &format!("AAAA{}", &sealed(first)[4..]));
    let moved = first.replace(&sealed(first), &sealed(second));
    let in_clear = format!("{} {}", answer.id, answer.message);
    for (said, found) in [
        (format!("{flipped}\n{second}\n"), 0),
        (format!("{moved}\n{second}\n"), 0),
        (format!("{in_clear}\n{second}\n"), 0),
        (format!("{first}\n{first}\n{second}\n{first}\n"), 1),
        (format!("{second}\n{first}\n"), 1),
        (format!("nonsense\n\n . \n{first}\n{second}\n"), 1),
    ] {
        assert_eq!(world.redis.damage(EVENTS, &said), 1);
        // Those that lack the answer wait for it until the session ends: that is looked at below.
        if found == 1 {
            assert_eq!(world.rest(1, &beginning).await, std::slice::from_ref(&answer), "{said}");
        } else {
            let before = world.redis.count("GET", EVENTS);
            let stream = world.resume(1, &world.alice, &world.session, &beginning).await;
            // It has looked twice, and told nothing that it found.
            world.redis.until_asked("GET", EVENTS, before + 2).await;
            world.redis.damage(EVENTS, &kept);
            let rest = events(&stream.text().await.expect("an answer"));
            assert_eq!(rest, std::slice::from_ref(&answer), "{said}");
        }
        assert_eq!(world.rest(1, &other).await, std::slice::from_ref(&other_answer), "{said}");
    }
}

#[tokio::test]
async fn so_many_streams_of_a_session_are_gone_on_with_at_a_time_and_no_more() {
    let world = World::new().await;
    let beginning = first(world.call(7).await).await;
    let resume = || world.resume(0, &world.alice, &world.session, &beginning.id);
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(resume().await);
    }
    assert_eq!(world.rest(0, &beginning.id).await, [], "it ends at once, and before the answer is there");
    world.gate.add_permits(1);
    for stream in streams {
        let rest = events(&stream.text().await.expect("an answer"));
        assert_eq!(rest.iter().map(|event| &event.message["id"]).collect::<Vec<_>>(), [&json!(7)]);
    }
    assert_eq!(world.rest(0, &beginning.id).await.len(), 1, "the twin, when the others have ended");
}

#[tokio::test]
async fn who_reads_redis_reads_no_event() {
    let world = World::new().await;
    world.answered(7).await;
    let kept = format!("{:?}", world.redis.kept());
    assert!(kept.contains(EVENTS), "{kept}");
    for secret in [&world.session, "\"done\"", "structuredContent", "\"result\""] {
        assert!(!kept.contains(secret), "{secret}: {kept}");
    }
    // What ends takes its events along.
    let ending = world.replicas.without_body(1, Method::DELETE, &world.alice, &world.session).send().await;
    assert_eq!(ending.expect("an answer").status(), 204);
    assert!(world.redis.kept().iter().all(|(key, _)| !key.contains(EVENTS)));
}

#[tokio::test]
async fn without_redis_a_stream_lives_on() {
    let World { redis, replicas, gate, alice, session } = World::new().await;
    let message =
        json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "waits", "arguments": {}}});
    let call = replicas.post(0, &alice, &message).header("mcp-session-id", &session);
    let stream = call.header("mcp-protocol-version", "2025-11-25").send().await.expect("an answer");
    let listening = replicas.listen(0, &alice, &session).await;
    let gone = redis.gone().await;
    replicas.until_redis_is("failing").await;
    gate.add_permits(1);
    let told = events(&stream.text().await.expect("an answer"));
    assert_eq!((told.len(), &told[1].message["id"]), (2, &json!(7)));
    // Nobody can go on with it meanwhile, nor is anybody told that there is no such session.
    for replica in [0, 1] {
        let request =
            replicas.without_body(replica, Method::GET, &alice, &session).header("last-event-id", &told[0].id);
        assert_eq!(request.send().await.expect("an answer").status(), 503);
    }
    let _redis = gone.back();
    replicas.until_redis_is("ready").await;
    let answer = replicas.without_body(1, Method::DELETE, &alice, &session).send().await.expect("an answer");
    assert_eq!(answer.status(), 204);
    ended(listening.bytes()).await;
}

#[tokio::test]
async fn one_process_keeps_what_a_client_missed_after_the_answer_was_sent() {
    let gate = Arc::new(Semaphore::new(0));
    let guarded = Guarded::with_tools(Tools::builtin().with(Waits(Arc::clone(&gate)))).await;
    let alice = guarded.token(&json!({}));
    let session = guarded.begin(&alice).await;
    let call = async |id: u64| {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": "waits", "arguments": {}}});
        guarded.in_session(&alice, &session, message.to_string()).await
    };
    let resume = async |session: &str, last: &str| {
        let request = guarded.server.request(Method::GET, "/mcp").bearer_auth(&alice).header("last-event-id", last);
        let request = request.header("accept", "text/event-stream").header("mcp-session-id", session);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer
    };
    let rest = async |last: &str| {
        let text = tokio::time::timeout(Duration::from_secs(20), resume(&session, last).await.text()).await;
        events(&text.expect("it ends").expect("in order"))
    };
    // Neither was read further when the answers came, and the second one's connection is still open.
    let (cut, mut open) = (call(7).await, call(8).await);
    let cut = first(cut).await;
    let piece = open.chunk().await.expect("in order").expect("an event");
    let still_open = events(std::str::from_utf8(&piece).expect("UTF-8")).remove(0);
    gate.add_permits(2);
    for (beginning, id) in [(&cut, 7), (&still_open, 8)] {
        // The first time the answer may have yet to come; the second time it has been sent.
        for _ in 0..2 {
            let told = rest(&beginning.id).await;
            assert_eq!(told.iter().map(|event| &event.message["id"]).collect::<Vec<_>>(), [&json!(id)]);
            assert_eq!(rest(&told[0].id).await, [], "nothing twice");
        }
    }
    drop(open);
    // In another session of hers there is nothing of it, and what has ended is gone.
    let other = guarded.begin(&alice).await;
    let mut elsewhere = resume(&other, &cut.id).await;
    for id in [&other, &session] {
        let request = guarded.server.request(Method::DELETE, "/mcp").bearer_auth(&alice).header("mcp-session-id", id);
        assert_eq!(request.send().await.expect("an answer").status(), 204);
    }
    let mut told = String::new();
    while let Some(piece) = elsewhere.chunk().await.expect("in order") {
        told.push_str(std::str::from_utf8(&piece).expect("UTF-8"));
    }
    assert_eq!(events(&told), []);
}
