//! What one replica says and another one is shown: states of round trips (SEP-2322), and word of changes.

use std::time::Duration;

use securemcp::{
    call::Changes,
    secret::{Secret, is_sha256_base64url},
    server::Features,
    store::Sealer,
    tools::Tools,
};
use serde_json::{Value, json};

use crate::{
    features,
    harness::{
        events::Events,
        log::Log,
        redis::{FakeRedis, Mood},
        replicas::{HOST, REGISTRATION_KEY, Replicas, start},
        server::{NOW, merged, stateless, with_mirrors},
    },
};

const KEY: &str = "a-key-of-the-replicas-of-32-characters";
const OTHER_KEY: &str = "another-key-of-replicas-of-32-characters";

/// How long a replica goes by what it last read in Redis.
const BETWEEN_LOOKS: Duration = Duration::from_mins(1);

impl Replicas {
    /// A token with which a model is asked.
    fn inferring(&self, changes: &Value) -> String {
        let all = merged(json!({"scope": "mcp:infer mcp:read", "exp": NOW + 3600}), changes);
        self.token_with(&self.key, "k1", &all)
    }

    async fn summarize(&self, replica: usize, token: &str, more: &Value) -> Value {
        let params = merged(json!({"name": "summarize", "arguments": {"text": "A long story."}}), more);
        self.asked_by(replica, token, json!({"sampling": {}}), "tools/call", params).await
    }

    /// Begins a call that asks its caller: the answer to it, and the state that goes with it.
    async fn asks(&self, replica: usize, token: &str) -> Value {
        let question = self.summarize(replica, token, &json!({})).await;
        let result = &question["result"];
        assert_eq!(result["resultType"], "input_required", "{question}");
        let keys: Vec<_> = result["inputRequests"].as_object().expect("requests").keys().collect();
        let answer = json!({"role": "assistant", "content": {"type": "text", "text": "Short."}, "model": "m"});
        json!({"inputResponses": {keys[0].as_str(): answer}, "requestState": result["requestState"]})
    }

    /// Whether a state is taken; if not, the call is refused.
    async fn takes(&self, replica: usize, token: &str, answer: &Value) -> bool {
        let ended = self.summarize(replica, token, answer).await;
        let is_taken = ended["result"]["structuredContent"]["summary"] == "Short.";
        assert_eq!(ended["error"]["code"] == -32602, !is_taken, "{ended}");
        is_taken
    }

    /// Whether each of them takes what the other one asked.
    async fn cross(&self, token: &str) -> [bool; 2] {
        let (first, second) = (self.asks(0, token).await, self.asks(1, token).await);
        [self.takes(1, token, &first).await, self.takes(0, token, &second).await]
    }

    fn later(&self) {
        self.servers.iter().for_each(|server| server.clock.advance(BETWEEN_LOOKS));
    }

    /// Listens for changes of tools and of one resource at each.
    async fn listen_to_changes(&self, token: &str) -> [Events; 2] {
        let wanted = json!({"notifications": {"toolsListChanged": true, "promptsListChanged": true,
            "resourceSubscriptions": ["notes://desk/7"]}});
        let listen = async |replica: usize| {
            let message = stateless("subscriptions/listen", wanted.clone());
            let request = self.servers[replica].post(token, message).header("host", HOST);
            let stream = with_mirrors(request, "subscriptions/listen", None).send().await.expect("a stream");
            let mut events = Events::of(stream);
            assert_eq!(events.next().await["method"], "notifications/subscriptions/acknowledged");
            events
        };
        [listen(0).await, listen(1).await]
    }
}

/// Two replicas with something that changes, and what says so at each.
async fn changing(redis: &str, more: &[(&'static str, &str)]) -> (Replicas, [Changes; 2]) {
    let changes = [Changes::default(), Changes::default()];
    let mut next = changes.iter();
    let features = || {
        let changes = next.next().expect("there are two").clone();
        features::all().with_changes(changes)
    };
    (Replicas::serving(redis, more, features).await, changes)
}

/// What is told next.
async fn told(events: &mut Events) -> String {
    let message = events.next().await;
    let uri = message["params"]["uri"].as_str().map(|uri| format!(" {uri}")).unwrap_or_default();
    let method = message["method"].as_str().expect("a notification");
    format!("{}{uri}", method.trim_start_matches("notifications/"))
}

const TOOLS: &str = "tools/list_changed";
const PROMPTS: &str = "prompts/list_changed";
const NOTE: &str = "resources/updated notes://desk/7";

/// Everything that is listened to.
const EVERYTHING: [&str; 3] = [TOOLS, PROMPTS, NOTE];

#[tokio::test]
async fn s13_a_state_of_one_replica_is_good_at_another_for_its_caller_and_call_only() {
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.inferring(&json!({}));
    let answer = replicas.asks(0, &alice).await;
    for thief in [json!({"sub": "bob"}), json!({"client_id": "other"})] {
        assert!(!replicas.takes(1, &replicas.inferring(&thief), &answer).await, "{thief}");
    }
    let state = answer["requestState"].as_str().expect("a state");
    let end = state.len() - 1;
    let other = if state.ends_with('A') { 'B' } else { 'A' };
    for forged in [format!("{}{other}", &state[..end]), format!("{state}A"), state[..end].to_owned(), String::new()] {
        let answer = merged(answer.clone(), &json!({ "requestState": forged }));
        assert!(!replicas.takes(1, &alice, &answer).await, "{forged}");
    }
    let another_call = merged(answer.clone(), &json!({"arguments": {"text": "Another story."}}));
    assert!(!replicas.takes(1, &alice, &another_call).await);
    assert!(replicas.takes(1, &alice, &answer).await, "the twin");
    assert_eq!(replicas.cross(&alice).await, [true, true]);
    assert_eq!(redis.kept_for_ever(), Vec::<Vec<String>>::new());
}

#[tokio::test]
async fn without_redis_a_state_is_good_where_it_was_begun_and_everywhere_when_it_is_back() {
    let redis = FakeRedis::start();
    let (url, gone) = (redis.url(), redis.gone().await);
    let replicas = Replicas::with(&url, &[]).await;
    replicas.until_redis_is("failing").await;
    let alice = replicas.inferring(&json!({}));
    let begun = [replicas.asks(0, &alice).await, replicas.asks(1, &alice).await];
    assert_eq!([replicas.takes(0, &alice, &begun[0]).await, replicas.takes(1, &alice, &begun[0]).await], [true, false]);
    let redis = gone.back();
    replicas.until_redis_is("ready").await;
    assert_eq!(replicas.cross(&alice).await, [true, true]);
    let kept = [replicas.takes(0, &alice, &begun[0]).await, replicas.takes(1, &alice, &begun[1]).await];
    assert_eq!(kept, [true, true], "what clients have already is still good where it was begun");
    // One that is lost is put back by whoever knows it.
    let begun = replicas.asks(0, &alice).await;
    redis.empty();
    replicas.later();
    assert!(replicas.takes(1, &alice, &begun).await);
    assert_eq!(replicas.cross(&alice).await, [true, true]);
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_has_the_secret_of_whoever_comes_first() {
    let redis = FakeRedis::start();
    let mut replicas = Replicas::on(&redis).await;
    let alice = replicas.inferring(&json!({}));
    let begun = replicas.asks(0, &alice).await;
    let gone = redis.gone().await;
    replicas.until_redis_is("failing").await;
    assert_eq!(gone.forget(":secret"), 1);
    let redis = gone.back();
    replicas.until_redis_is("ready").await;
    let resource = format!("http://{HOST}/mcp");
    let flags = [("issuer.url", replicas.issuer.url.as_str()), ("server.resource", resource.as_str())];
    let newcomer = start(&redis.url(), &flags).await;
    newcomer.until_ready().await;
    replicas.servers[1] = newcomer;
    let of_newcomer = replicas.asks(1, &alice).await;
    assert!(replicas.takes(0, &alice, &of_newcomer).await, "the others look again");
    assert!(replicas.takes(0, &alice, &begun).await, "what clients have already is still good where it was begun");
    assert_eq!(replicas.cross(&alice).await, [true, true]);
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_tells_the_secret() {
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.inferring(&json!({}));
    let answer = replicas.asks(0, &alice).await;
    redis.set(Mood::OnlyReads("READONLY You can't write against a read only replica."));
    assert!(replicas.takes(1, &alice, &answer).await);
}

#[tokio::test]
async fn a_secret_in_redis_that_is_none_of_ours_is_not_taken_and_said_once() {
    let (log, _guard) = Log::start();
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.inferring(&json!({}));
    let answer = replicas.asks(0, &alice).await;
    assert!(replicas.takes(1, &alice, &answer).await);
    for forged in ["", "short", "\u{fffd}", &"x".repeat(44)] {
        assert_eq!(redis.damage(":secret", forged), 1);
        replicas.later();
        assert!(replicas.takes(1, &alice, &answer).await, "`{forged}` is not taken");
        assert_eq!(replicas.cross(&alice).await, [true, true]);
    }
    assert_eq!(log.text().matches("the secret of the replicas in Redis is not sealed by our key").count(), 2);
    // The twin: one that could be ours is.
    assert_eq!(redis.damage(":secret", Secret::random().expose()), 1);
    replicas.later();
    assert_eq!(replicas.cross(&alice).await, [true, true]);
    replicas.later();
    assert_eq!(redis.damage(":secret", Secret::random().expose()), 1);
    assert_eq!(replicas.cross(&alice).await, [true, true]);
    assert!(!replicas.takes(1, &alice, &answer).await, "nobody knows its secret any more");
}

#[tokio::test]
async fn replicas_with_different_keys_do_not_take_each_others_states() {
    let redis = FakeRedis::start();
    let mut replicas = Replicas::with(&redis.url(), &[(REGISTRATION_KEY, KEY)]).await;
    let alice = replicas.inferring(&json!({}));
    assert_eq!(replicas.cross(&alice).await, [true, true], "the twin: one key");
    let kept = redis.kept();
    let (_, sealed) = kept.iter().find(|(key, _)| key.ends_with(":secret")).expect("it is there");
    assert!(!is_sha256_base64url(sealed), "it is not there in clear: {sealed}");
    let resource = format!("http://{HOST}/mcp");
    for key in [Some(OTHER_KEY), None] {
        let mut flags = vec![("issuer.url", replicas.issuer.url.as_str()), ("server.resource", resource.as_str())];
        flags.extend(key.map(|key| (REGISTRATION_KEY, key)));
        let other = start(&redis.url(), &flags).await;
        other.until_ready().await;
        replicas.servers[1] = other;
        assert_eq!(replicas.cross(&alice).await, [false, false], "{key:?}");
        let own = replicas.asks(1, &alice).await;
        assert!(replicas.takes(1, &alice, &own).await, "each goes on by itself");
    }
}

#[tokio::test]
async fn a_change_at_one_replica_is_told_once_at_each() {
    let redis = FakeRedis::start();
    let (replicas, changes) = changing(&redis.url(), &[]).await;
    replicas.until_redis_is("ready").await;
    let alice = replicas.token_of("alice");
    let mut streams = replicas.listen_to_changes(&alice).await;
    for (here, there) in [(0, 1), (1, 0)] {
        changes[here].tools();
        changes[here].resource("notes://desk/8");
        changes[here].resource("notes://desk/7");
        for stream in &mut streams {
            assert_eq!([told(stream).await, told(stream).await], [TOOLS, NOTE]);
        }
        // What was said twice would be heard before this.
        changes[there].prompts();
        for stream in &mut streams {
            assert_eq!(told(stream).await, PROMPTS);
        }
    }
    assert_eq!(redis.count("PUBLISH", "change "), 8, "what was heard is not announced again");
}

#[tokio::test]
async fn in_a_session_changes_of_another_replica_are_told_too() {
    let redis = FakeRedis::start();
    let (replicas, changes) = changing(&redis.url(), &[]).await;
    replicas.until_redis_is("ready").await;
    let alice = replicas.token_of("alice");
    let id = replicas.begin(0, &alice).await;
    // It goes on at the other one, where it is told of changes.
    assert_eq!(replicas.list(1, &alice, &id).await, 200);
    let mut stream = Events::of(replicas.listen(1, &alice, &id).await);
    changes[0].tools();
    assert_eq!(told(&mut stream).await, TOOLS);
}

#[tokio::test]
async fn an_announcement_that_is_none_of_ours_is_ignored_and_said_once() {
    let (log, _guard) = Log::start();
    let redis = FakeRedis::start();
    let (replicas, changes) = changing(&redis.url(), &[(REGISTRATION_KEY, KEY)]).await;
    replicas.until_redis_is("ready").await;
    let alice = replicas.token_of("alice");
    let mut streams = replicas.listen_to_changes(&alice).await;
    changes[0].prompts();
    for stream in &mut streams {
        assert_eq!(told(stream).await, PROMPTS);
    }
    let good = redis.announcements().pop().expect("one");
    assert!(!good.contains("prompts") && !good.contains("Prompts"), "{good}");
    let clear = json!({"from": "forger", "change": "Tools"}).to_string();
    let sealed = |secret: &Secret, clear: &str| {
        let sealed = Sealer::new(secret, "announcements of replicas").seal("change ", clear.as_bytes());
        format!("change {sealed}")
    };
    let forged = [
        "change ".to_owned(),
        format!("change {clear}"),
        sealed(&Secret::random(), &clear),
        sealed(&Secret::new(KEY), &clear),
        good[..good.len() - 1].to_owned(),
        format!("{good}A"),
        good.replace("change ", "change  "),
        format!("change {}", "A".repeat(1 << 20)),
        "changed".to_owned(),
        "\u{0}".to_owned(),
    ];
    for text in &forged {
        redis.announce(text);
    }
    changes[1].resource("notes://desk/7");
    for stream in &mut streams {
        assert_eq!(told(stream).await, NOTE, "nothing else was told meanwhile");
    }
    let warnings = || log.text().matches("what was announced in Redis is not sealed by our replicas").count();
    assert_eq!(warnings(), 2, "one of each replica");
    replicas.later();
    redis.announce(&forged[0]);
    changes[0].tools();
    for stream in &mut streams {
        assert_eq!(told(stream).await, TOOLS);
    }
    assert_eq!(warnings(), 4, "a minute later it is said again");
}

#[tokio::test]
async fn r7_without_redis_changes_are_told_here_and_when_it_is_back_everything_may_have_changed() {
    let redis = FakeRedis::start();
    let (replicas, changes) = changing(&redis.url(), &[]).await;
    replicas.until_redis_is("ready").await;
    let alice = replicas.token_of("alice");
    let mut streams = replicas.listen_to_changes(&alice).await;
    let gone = redis.gone().await;
    replicas.until_redis_is("failing").await;
    changes[0].resource("notes://desk/7");
    assert_eq!(told(&mut streams[0]).await, NOTE, "here it is told at once");
    let _redis = gone.back();
    for stream in &mut streams {
        for expected in EVERYTHING {
            assert_eq!(told(stream).await, expected);
        }
    }
}

#[tokio::test]
async fn what_could_not_be_announced_is_made_good() {
    let redis = FakeRedis::start();
    let (replicas, changes) = changing(&redis.url(), &[]).await;
    replicas.until_redis_is("ready").await;
    let alice = replicas.token_of("alice");
    let [mut here, mut there] = replicas.listen_to_changes(&alice).await;
    redis.set(Mood::OnlyReads("NOPERM this user has no permissions to run the 'publish' command"));
    changes[0].resource("notes://desk/7");
    assert_eq!(told(&mut here).await, NOTE);
    redis.until_asked("PUBLISH", "change ", 1).await;
    redis.set(Mood::Well);
    for expected in EVERYTHING {
        assert_eq!(told(&mut there).await, expected);
    }
    changes[0].prompts();
    assert_eq!(told(&mut here).await, PROMPTS, "who said it is not told again");
}

#[tokio::test]
async fn more_changes_than_can_be_kept_are_everything() {
    let redis = FakeRedis::start();
    let (replicas, changes) = changing(&redis.url(), &[]).await;
    replicas.until_redis_is("ready").await;
    let alice = replicas.token_of("alice");
    let [_, mut there] = replicas.listen_to_changes(&alice).await;
    changes[0].resource("notes://desk/7");
    (0..300).for_each(|_| changes[0].tools());
    assert_eq!(told(&mut there).await, TOOLS);
    while told(&mut there).await != NOTE {}
    // A URI that is too long for others is everything to them, too.
    redis.until_asked("PUBLISH", "change ", 257).await;
    let [_, mut there] = replicas.listen_to_changes(&alice).await;
    changes[0].resource(&"x".repeat(9000));
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let next = told(&mut there).await;
        // Those that were under way.
        if next != TOOLS || !heard.contains(&next) {
            heard.push(next);
        }
    }
    assert_eq!(heard, EVERYTHING);
}

#[tokio::test]
async fn nothing_is_announced_where_nothing_says_itself_that_it_changes() {
    let redis = FakeRedis::start();
    let features = || Features::from(Tools::builtin());
    let replicas = Replicas::serving(&redis.url(), &[], features).await;
    replicas.until_redis_is("ready").await;
    redis.announce("change nonsense");
    assert_eq!(replicas.call(0, &replicas.token_of("alice")).await, 200);
    assert_eq!(redis.count("PUBLISH", "change "), 0);
}
