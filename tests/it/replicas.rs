//! Two replicas on one Redis: what they share, and what happens when it fails (facts S15, S16, R7 to R11).

use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::Method;
use rustix::process::Signal;
use securemcp::secret::sha256_base64url;
use serde_json::{Value, json};

use crate::harness::{
    cli::Account,
    issuer::Behaviour,
    keys::Key,
    redis::{FakeRedis, Mood},
    replicas::{HOST, Replicas, ended, start},
    server::NOW,
};

#[tokio::test]
async fn a_session_goes_on_at_another_replica_for_its_owner_only() {
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let (alice, bob) = (replicas.token_of("alice"), replicas.token_of("bob"));
    let id = replicas.begin(0, &alice).await;
    let other_client = replicas.token_with(&replicas.key, "k1", &json!({"client_id": "other"}));
    let nobodys = "x".repeat(43);
    for replica in [1, 0] {
        for thief in [&bob, &other_client] {
            assert_eq!(replicas.list(replica, thief, &id).await, 404);
            for method in [Method::GET, Method::DELETE] {
                let answer = async |id: &str| {
                    let request = replicas.without_body(replica, method.clone(), thief, id);
                    let answer = request.send().await.expect("an answer");
                    (answer.status().as_u16(), answer.text().await.expect("a body"))
                };
                let (stolen, unknown) = (answer(&id).await, answer(&nobodys).await);
                assert_eq!(stolen.0, 404);
                assert_eq!(stolen, unknown, "nothing tells that there is such a session");
            }
        }
    }
    assert_eq!(replicas.list(1, &alice, &id).await, 200);
    assert_eq!(replicas.list(0, &alice, &id).await, 200);
    // Many at once find one session, and one place.
    let others = replicas.begin(0, &alice).await;
    let lists = (0..20).map(|_| replicas.list(1, &alice, &others));
    assert_eq!(futures_util::future::join_all(lists).await, [200; 20]);
}

#[tokio::test]
async fn a_session_that_ends_at_one_replica_ends_at_all() {
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.token_of("alice");
    let (id, other) = (replicas.begin(0, &alice).await, replicas.begin(0, &alice).await);
    let stream = replicas.listen(0, &alice, &id).await;
    let answer = replicas.without_body(1, Method::DELETE, &alice, &id).send().await.expect("an answer");
    assert_eq!(answer.status(), 204);
    // It was heard where the session was.
    ended(stream.bytes()).await;
    assert_eq!([replicas.list(0, &alice, &id).await, replicas.list(1, &alice, &id).await], [404, 404]);
    assert_eq!(replicas.list(1, &alice, &other).await, 200);
}

#[tokio::test]
async fn what_ended_while_redis_was_away_ends_here_when_it_is_back() {
    let redis = FakeRedis::start();
    let replicas = Replicas::with(&redis.url(), &[("limits.sessions_per_principal", "2")]).await;
    let alice = replicas.token_of("alice");
    let (missed, kept) = (replicas.begin(0, &alice).await, replicas.begin(0, &alice).await);
    let of_missed = replicas.listen(0, &alice, &missed).await;
    let mut of_kept = Box::pin(replicas.listen(0, &alice, &kept).await.bytes());
    let gone = redis.gone().await;
    replicas.until_redis_is("failing").await;
    assert_eq!(gone.forget(&sha256_base64url(missed.as_bytes())), 1);
    let redis = gone.back();
    ended(of_missed.bytes()).await;
    redis.until_asked("EXISTS", &sha256_base64url(kept.as_bytes()), 1).await;
    // One place is free, not two.
    let statuses = [replicas.initialize(0, &alice).await.status(), replicas.initialize(0, &alice).await.status()];
    assert_eq!(statuses.map(|status| status.as_u16()), [200, 429]);
    assert!((&mut of_kept).now_or_never().is_none());
    let answer = replicas.without_body(1, Method::DELETE, &alice, &kept).send().await.expect("an answer");
    assert_eq!(answer.status(), 204);
    ended(of_kept).await;
}

#[tokio::test]
async fn a_redis_that_does_not_say_what_it_has_ends_nothing() {
    for error in ["LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down"] {
        let redis = FakeRedis::start();
        let replicas = Replicas::with(&redis.url(), &[("limits.sessions_per_principal", "2")]).await;
        let alice = replicas.token_of("alice");
        let (missed, kept) = (replicas.begin(0, &alice).await, replicas.begin(0, &alice).await);
        let mut of_missed = Box::pin(replicas.listen(0, &alice, &missed).await.bytes());
        let gone = redis.gone().await;
        replicas.until_redis_is("failing").await;
        assert_eq!(gone.forget(&sha256_base64url(missed.as_bytes())), 1);
        gone.set(Mood::Refuses(error));
        let redis = gone.back();
        replicas.until_redis_is("ready").await;
        // It is asked again and again, and believed when it answers.
        redis.until_asked("EXISTS", "session:", 2).await;
        assert!((&mut of_missed).now_or_never().is_none(), "{error}");
        redis.set(Mood::Well);
        ended(of_missed).await;
        redis.until_asked("EXISTS", &sha256_base64url(kept.as_bytes()), 1).await;
        let statuses = [replicas.initialize(0, &alice).await.status(), replicas.initialize(0, &alice).await.status()];
        assert_eq!(statuses.map(|status| status.as_u16()), [200, 429], "{error}");
    }
}

#[tokio::test]
async fn a_session_that_ends_while_it_is_restored_does_not_stay() {
    for (mood, status) in [(Mood::ForgetsWhatItSaid, 200), (Mood::Well, 429)] {
        let redis = FakeRedis::start();
        let replicas = Replicas::with(&redis.url(), &[("limits.sessions_per_principal", "1")]).await;
        let alice = replicas.token_of("alice");
        let id = replicas.begin(0, &alice).await;
        redis.set(mood.clone());
        assert_eq!(replicas.list(1, &alice, &id).await, 200);
        redis.set(Mood::Well);
        assert_eq!(replicas.initialize(1, &alice).await.status(), status, "{mood:?}");
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_ended_for_all_goes_on() {
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.token_of("alice");
    let id = replicas.begin(0, &alice).await;
    let mut stream = Box::pin(replicas.listen(0, &alice, &id).await.bytes());
    let end = || replicas.without_body(1, Method::DELETE, &alice, &id).send();
    redis.set(Mood::Refuses("NOPERM this user has no permissions to run the 'eval' command"));
    assert_eq!(end().await.expect("an answer").status(), 503);
    redis.set(Mood::Well);
    assert_eq!([replicas.list(0, &alice, &id).await, replicas.list(1, &alice, &id).await], [200, 200]);
    assert!((&mut stream).now_or_never().is_none());
    assert_eq!(end().await.expect("an answer").status(), 204);
    ended(stream).await;
}

#[tokio::test]
async fn nothing_is_kept_for_ever() {
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.token_of("alice");
    let id = replicas.begin(0, &alice).await;
    assert_eq!(replicas.list(1, &alice, &id).await, 200);
    redis.until_asked("EVAL", "rate:c:", 1).await;
    assert_eq!((redis.count("SET", "session:"), redis.count("SET", "keys:")), (1, 1));
    assert_eq!(redis.kept_for_ever(), Vec::<Vec<String>>::new());
}

#[tokio::test]
async fn r7_without_redis_sessions_are_503_and_nothing_is_lost() {
    let redis = FakeRedis::start();
    let replicas = Replicas::with(&redis.url(), &[("server.metrics_listen", "127.0.0.1:0")]).await;
    let alice = replicas.token_of("alice");
    let id = replicas.begin(0, &alice).await;
    let gone = redis.gone().await;
    replicas.until_redis_is("failing").await;
    assert_eq!([replicas.list(0, &alice, &id).await, replicas.list(1, &alice, &id).await], [503, 503]);
    let begun = replicas.initialize(0, &alice).await;
    assert_eq!((begun.status().as_u16(), begun.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    let answer = replicas.without_body(0, Method::DELETE, &alice, &id).send().await.expect("an answer");
    assert_eq!(answer.status(), 503);
    let metrics = replicas.servers[0].get_metrics("/metrics").await.text().await.expect("text");
    assert!(metrics.contains("securemcp_sessions_unavailable_total 3"), "{metrics}");
    assert_eq!([replicas.call(0, &alice).await, replicas.call(1, &alice).await], [200, 200]);
    // A load balancer keeps both.
    assert_eq!(replicas.says_of_redis(0).await, (200, "failing".to_owned()));
    let _redis = gone.back();
    replicas.until_redis_is("ready").await;
    assert_eq!([replicas.list(0, &alice, &id).await, replicas.list(1, &alice, &id).await], [200, 200]);
}

#[tokio::test]
async fn r9_an_empty_redis_is_404_and_clients_begin_again() {
    let redis = FakeRedis::start();
    let replicas = Replicas::with(&redis.url(), &[("limits.sessions_per_principal", "1")]).await;
    let alice = replicas.token_of("alice");
    let id = replicas.begin(0, &alice).await;
    assert_eq!(replicas.initialize(0, &alice).await.status(), 429);
    redis.empty();
    assert_eq!(replicas.list(0, &alice, &id).await, 404);
    // Its place is free again.
    let next = replicas.begin(0, &alice).await;
    assert_eq!(replicas.list(0, &alice, &next).await, 200);
}

#[tokio::test]
async fn r10_a_redis_that_refuses_is_503_and_nothing_is_lost() {
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.token_of("alice");
    let id = replicas.begin(0, &alice).await;
    for error in [
        "READONLY You can't write against a read only replica.",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "LOADING Redis is loading the dataset in memory",
        "MISCONF Redis is configured to save RDB snapshots",
        "NOPERM this user has no permissions",
    ] {
        redis.set(Mood::Refuses(error));
        assert_eq!([replicas.list(0, &alice, &id).await, replicas.list(1, &alice, &id).await], [503, 503], "{error}");
        assert_eq!(replicas.initialize(1, &alice).await.status(), 503, "{error}");
        assert_eq!(replicas.call(0, &alice).await, 200, "{error}");
        redis.set(Mood::Well);
        assert_eq!(replicas.list(1, &alice, &id).await, 200, "{error}");
    }
}

#[tokio::test]
async fn r11_a_redis_that_says_nothing_is_given_up_and_taken_again() {
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.token_of("alice");
    let id = replicas.begin(0, &alice).await;
    redis.set(Mood::Silent);
    assert_eq!(replicas.list(0, &alice, &id).await, 503);
    assert_eq!(replicas.call(0, &alice).await, 200);
    replicas.until_redis_is("failing").await;
    redis.set(Mood::Well);
    replicas.until_redis_is("ready").await;
    assert_eq!([replicas.list(0, &alice, &id).await, replicas.list(1, &alice, &id).await], [200, 200]);
}

#[tokio::test]
async fn r10_a_redis_that_answers_nonsense_is_503_and_taken_again() {
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.token_of("alice");
    let id = replicas.begin(0, &alice).await;
    let nested: &[u8] = &b"*1\r\n".repeat(500);
    let endless: [&[u8]; 8] = [
        b"$99999999999\r\nabc",
        b"*9223372036854775807\r\n",
        b"%-1\r\n",
        b"|9223372036854775807\r\n",
        b"=-1\r\n",
        b"\0\xff\r\n",
        b":7\r\n",
        nested,
    ];
    for answer in endless {
        redis.set(Mood::Says(answer.to_vec()));
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(30)]).into_owned();
        assert_eq!([replicas.list(0, &alice, &id).await, replicas.list(1, &alice, &id).await], [503, 503], "{shown}");
        assert_eq!(replicas.call(0, &alice).await, 200, "{shown}");
        redis.set(Mood::Well);
        replicas.until_session_is(&alice, &id, 200).await;
    }
}

#[tokio::test]
async fn s15_an_id_that_is_none_is_not_asked_about() {
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.token_of("alice");
    let id = replicas.begin(0, &alice).await;
    let asked = redis.count("GETEX", "session:");
    for odd in ["*", "../", "session:*", "a b", &"x".repeat(44), &"x".repeat(42), &format!("{}*", &id[..42])] {
        assert_eq!(replicas.list(1, &alice, odd).await, 404, "{odd}");
    }
    assert_eq!(redis.count("GETEX", "session:"), asked);
    assert_eq!(redis.count("GETEX", &id), 0, "an id is not to be read in Redis");
    assert_eq!(replicas.list(1, &alice, &id).await, 200);
    assert_eq!(redis.count("GETEX", "session:"), asked + 1);
}

#[tokio::test]
async fn s16_a_session_that_was_tampered_with_is_refused() {
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.token_of("alice");
    for damage in ["", "{", "null", "[]", "{\"owner\":1}"] {
        let id = replicas.begin(0, &alice).await;
        assert_eq!(replicas.list(1, &alice, &id).await, 200);
        assert_eq!(redis.damage("session:", damage), 1);
        assert_eq!([replicas.list(0, &alice, &id).await, replicas.list(1, &alice, &id).await], [404, 404], "{damage}");
        redis.empty();
    }
}

#[tokio::test]
async fn keys_are_fetched_once_for_all_replicas() {
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.token_of("alice");
    assert_eq!([replicas.call(0, &alice).await, replicas.call(1, &alice).await], [200, 200]);
    assert_eq!(replicas.issuer.jwks_hits(), 1);
    // Both see a token of the new key at the same moment: one asks for both.
    let next = Key::ec();
    replicas.issuer.behave(Behaviour::Keys(vec![replicas.key.jwk("k1"), next.jwk("k2")]));
    let token = replicas.token_with(&next, "k2", &json!({}));
    for server in &replicas.servers {
        server.clock.advance(Duration::from_secs(40));
    }
    let both = tokio::join!(replicas.call(0, &token), replicas.call(1, &token));
    assert_eq!(both, (200, 200));
    assert!((2..=3).contains(&replicas.issuer.jwks_hits()), "{}", replicas.issuer.jwks_hits());
}

#[tokio::test]
async fn keys_in_redis_that_are_damaged_old_or_of_another_issuer_are_not_taken() {
    let redis = FakeRedis::start();
    let first = Replicas::on(&redis).await;
    let forged = Key::ec();
    let of = |issuer: &str, confirmed_at: u64, keys: &[Value]| {
        let document = json!({"keys": keys}).to_string();
        json!({"issuer": issuer, "confirmed_at": confirmed_at, "document": document}).to_string()
    };
    let (own, keys) = (first.issuer.url.as_str(), [forged.jwk("k1")]);
    for (copy, fetches) in [
        (of("https://other.example", NOW, &keys), 1),
        ("{".to_owned(), 1),
        (of(own, NOW - 300, &keys), 1),
        (of(own, NOW - 299, &keys), 0),
        (of(own, NOW + 60, &keys), 1),
        (of(own, NOW + 59, &keys), 0),
        (of(own, NOW, &[]), 1),
        (of(own, NOW, &keys), 0),
    ] {
        assert_eq!(redis.damage("keys:", &copy), 1);
        let before = first.issuer.jwks_hits();
        let resource = format!("http://{HOST}/mcp");
        let flags = [("issuer.url", first.issuer.url.as_str()), ("server.resource", &resource)];
        let server = start(&redis.url(), &flags).await;
        server.until_ready().await;
        assert_eq!(first.issuer.jwks_hits() - before, fetches, "{copy}");
    }
}

#[tokio::test]
async fn deployments_that_share_a_redis_share_nothing_else() {
    let redis = FakeRedis::start();
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.token_of("alice");
    let id = replicas.begin(0, &alice).await;
    for (resource, status) in [("http://127.0.0.1:8/mcp", 404), ("http://127.0.0.1:9/mcp", 200)] {
        let flags = [("issuer.url", replicas.issuer.url.as_str()), ("server.resource", resource)];
        let other = start(&redis.url(), &flags).await;
        other.until_ready().await;
        let token = replicas.token_with(&replicas.key, "k1", &json!({"sub": "alice", "aud": resource}));
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
        let host = resource.trim_start_matches("http://").trim_end_matches("/mcp");
        let request = other.post(&token, message).header("host", host).header("mcp-session-id", &id);
        assert_eq!(request.send().await.expect("an answer").status().as_u16(), status, "{resource}");
    }
}

#[tokio::test]
async fn rates_count_for_all_replicas_together() {
    let redis = FakeRedis::start();
    let replicas = Replicas::with(&redis.url(), &[("limits.per_client", "20/s")]).await;
    let alice = replicas.token_of("alice");
    for _ in 0..20 {
        assert_eq!(replicas.call(0, &alice).await, 200);
    }
    assert_eq!(replicas.call(0, &alice).await, 429);
    // Counted before the call: what it took may be told before the call has returned.
    let told = || redis.count("EVAL", "rate:c:");
    let mut before = told();
    assert_eq!(replicas.call(1, &alice).await, 200, "it has not heard of this client yet");
    for tries in 0.. {
        redis.until_asked("EVAL", "rate:c:", before + 1).await;
        before = told();
        if replicas.call(1, &alice).await == 429 {
            break;
        }
        assert!(tries < 18, "the other replica counts for itself");
    }
    let bob = replicas.token_with(&replicas.key, "k1", &json!({"sub": "bob", "client_id": "other"}));
    assert_eq!(replicas.call(1, &bob).await, 200);
}

#[tokio::test]
async fn a_wrong_password_keeps_sessions_away_and_nothing_else() {
    let redis = FakeRedis::with_password(Some("right"));
    let with = |password: &str| format!("redis://:{password}@{}/0", redis.address);
    for (password, word, status) in [("wrong", "failing", 503), ("right", "ready", 200)] {
        let replicas = Replicas::with(&with(password), &[]).await;
        replicas.until_redis_is(word).await;
        let alice = replicas.token_of("alice");
        assert_eq!(replicas.initialize(0, &alice).await.status(), status, "{password}");
        assert_eq!(replicas.call(0, &alice).await, 200);
    }
}

#[test]
fn a_password_is_not_taken_from_the_command_line() {
    let account = Account::new();
    let check = |url: &str| account.run(&["serve", "--check", "--redis-url", url]);
    let refused = check("redis://:hunter2@127.0.0.1:6379/0");
    refused.failed(3, &["`--redis-url` has a password in it", "SECUREMCP_REDIS_URL_FILE"]);
    assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
    check("redis://127.0.0.1:6379/0").done();
    for odd in ["http://127.0.0.1", "redis:", "redis://host/zero", "127.0.0.1:6379"] {
        check(odd).failed(3, &["is no URL of a Redis"]);
    }
}

#[test]
fn the_password_is_not_shown() {
    let account = Account::new().with("SECUREMCP_REDIS_URL", "redis://someone:hunter2@127.0.0.1:1/0");
    for arguments in [&["config", "show"][..], &["config", "show", "--output", "json"]] {
        let shown = account.run(arguments);
        assert!(shown.done().contains("[redacted]"), "{shown:?}");
        assert!(!format!("{shown:?}").contains("hunter2"), "{shown:?}");
    }
    let bad = Account::new().with("SECUREMCP_REDIS_URL", "redis://someone:hunter2@127.0.0.1:port/0");
    let refused = bad.run(&["serve", "--check"]);
    refused.failed(3, &["is no URL of a Redis"]);
    assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
}

#[test]
fn the_most_talkative_log_says_nothing_of_the_password() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for (password, words) in [("hunter2-right", "connected to Redis"), ("hunter2-wrong", "sessions are not available")]
    {
        let redis = runtime.block_on(async { FakeRedis::with_password(Some("hunter2-right")) });
        let account = Account::new().with("SECUREMCP_REDIS_URL", &format!("redis://:{password}@{}/0", redis.address));
        let mut serve = account.start(&["--log-level", "trace"]);
        serve.process.said(words);
        serve.process.signal(Signal::TERM);
        let ended = serve.process.ended();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
    }
}
