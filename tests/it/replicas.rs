//! Two replicas on one Redis: what they share, and what happens when it fails (facts S15, S16, R7 to R11).

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use reqwest::{Method, RequestBuilder, Response};
use securemcp::tools::Tools;
use serde_json::{Value, json};

use crate::harness::{
    cli::Account,
    issuer::{Behaviour, LyingIssuer},
    keys::Key,
    redis::{FakeRedis, Mood},
    server::{NOW, TestServer, merged, stateless, with_mirrors},
};

/// What both are called.
const HOST: &str = "127.0.0.1:9";

/// A server whose file names this Redis: a flag takes no password.
async fn start(redis: &str, flags: &[(&'static str, &str)]) -> TestServer {
    let state = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(state.path().join("securemcp.toml"), format!("[redis]\nurl = \"{redis}\"\n")).expect("written");
    TestServer::start_in(state, flags, Tools::builtin()).await
}

struct Replicas {
    servers: [TestServer; 2],
    issuer: LyingIssuer,
    key: Key,
}

impl Replicas {
    async fn on(redis: &FakeRedis) -> Self {
        Self::with(&redis.url(), &[]).await
    }

    async fn with(redis: &str, more: &[(&'static str, &str)]) -> Self {
        let key = Key::ec();
        let issuer = LyingIssuer::start(Behaviour::Keys(vec![key.jwk("k1")])).await;
        let resource = format!("http://{HOST}/mcp");
        let mut flags = vec![("issuer.url", issuer.url.as_str()), ("server.resource", resource.as_str())];
        flags.extend(more);
        let servers = [start(redis, &flags).await, start(redis, &flags).await];
        for server in &servers {
            server.until_ready().await;
        }
        Self { servers, issuer, key }
    }

    fn token_of(&self, subject: &str) -> String {
        self.token_with(&self.key, "k1", &json!({"sub": subject}))
    }

    fn token_with(&self, key: &Key, kid: &str, changes: &Value) -> String {
        let claims = json!({"iss": self.issuer.url, "aud": format!("http://{HOST}/mcp"), "sub": "alice",
            "client_id": "cli", "exp": NOW + 300, "iat": NOW, "scope": "mcp:read mcp:write"});
        key.token(&json!({"alg": key.alg(), "kid": kid, "typ": "at+jwt"}), &merged(claims, changes))
    }

    fn post(&self, replica: usize, token: &str, message: &Value) -> RequestBuilder {
        self.servers[replica].post(token, message.to_string()).header("host", HOST)
    }

    async fn initialize(&self, replica: usize, token: &str) -> Response {
        let parameters = json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}});
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": parameters});
        self.post(replica, token, &message).send().await.expect("an answer")
    }

    async fn begin(&self, replica: usize, token: &str) -> String {
        let answer = self.initialize(replica, token).await;
        assert_eq!(answer.status(), 200);
        let id = answer.headers()["mcp-session-id"].to_str().expect("ASCII").to_owned();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let answer = self.post(replica, token, &initialized).header("mcp-session-id", &id).send().await;
        assert_eq!(answer.expect("an answer").status(), 202);
        id
    }

    /// The status of a list within a session; a good one has tools.
    async fn list(&self, replica: usize, token: &str, id: &str) -> u16 {
        // In one session each has its own.
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let id_of_request = NEXT.fetch_add(1, Ordering::Relaxed);
        let message = json!({"jsonrpc": "2.0", "id": id_of_request, "method": "tools/list"});
        let request = self.post(replica, token, &message).header("mcp-session-id", id);
        let answer = request.header("mcp-protocol-version", "2025-11-25").send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.text().await.expect("a body");
        assert_eq!(body.contains("\"calculator\""), status == 200, "{status} {body}");
        status
    }

    /// The status of a call that needs no session.
    async fn call(&self, replica: usize, token: &str) -> u16 {
        let message = stateless("tools/call", json!({"name": "echo", "arguments": {"message": "hi"}}));
        let request = self.servers[replica].post(token, message).header("host", HOST);
        with_mirrors(request, "tools/call", Some("echo")).send().await.expect("an answer").status().as_u16()
    }

    fn without_body(&self, replica: usize, method: Method, token: &str, id: &str) -> RequestBuilder {
        let request = self.servers[replica].request(method, "/mcp").header("host", HOST).bearer_auth(token);
        request.header("accept", "text/event-stream").header("mcp-session-id", id)
    }

    async fn says_of_redis(&self, replica: usize) -> (u16, String) {
        let answer = self.servers[replica].get("/health/ready").await;
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.expect("JSON")["redis"].as_str().expect("a word").to_owned())
    }

    async fn until_redis_is(&self, word: &str) {
        for replica in [0, 1] {
            for tries in 0.. {
                if self.says_of_redis(replica).await.1 == word {
                    break;
                }
                assert!(tries < 1000, "Redis did not become `{word}`");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_session_goes_on_at_another_replica_for_its_owner_only() {
    let redis = FakeRedis::start().await;
    let replicas = Replicas::on(&redis).await;
    let (alice, bob) = (replicas.token_of("alice"), replicas.token_of("bob"));
    let id = replicas.begin(0, &alice).await;
    assert_eq!(replicas.list(1, &bob, &id).await, 404);
    assert_eq!(replicas.list(0, &bob, &id).await, 404);
    assert_eq!(replicas.list(1, &alice, &id).await, 200);
    assert_eq!(replicas.list(0, &alice, &id).await, 200);
    // Many at once find one session, and one place.
    let others = replicas.begin(0, &alice).await;
    let lists = (0..20).map(|_| replicas.list(1, &alice, &others));
    assert_eq!(futures_util::future::join_all(lists).await, [200; 20]);
}

#[tokio::test]
async fn a_session_that_ends_at_one_replica_ends_at_all() {
    let redis = FakeRedis::start().await;
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.token_of("alice");
    let (id, other) = (replicas.begin(0, &alice).await, replicas.begin(0, &alice).await);
    let stream = replicas.without_body(0, Method::GET, &alice, &id).send().await.expect("an answer");
    assert_eq!(stream.status(), 200);
    let ended = replicas.without_body(1, Method::DELETE, &alice, &id).send().await.expect("an answer");
    assert_eq!(ended.status(), 202);
    // It was heard where the session was.
    stream.bytes().await.expect("the end of the stream");
    assert_eq!([replicas.list(0, &alice, &id).await, replicas.list(1, &alice, &id).await], [404, 404]);
    assert_eq!(replicas.list(1, &alice, &other).await, 200);
}

#[tokio::test]
async fn a_session_that_ended_while_redis_was_away_ends_when_it_is_back() {
    let redis = FakeRedis::start().await;
    let replicas = Replicas::on(&redis).await;
    let alice = replicas.token_of("alice");
    let (id, other) = (replicas.begin(0, &alice).await, replicas.begin(0, &alice).await);
    let stream = replicas.without_body(0, Method::GET, &alice, &id).send().await.expect("an answer");
    assert_eq!(stream.status(), 200);
    let gone = redis.gone().await;
    replicas.until_redis_is("failing").await;
    // Another replica, which still reached it, ended the session; nobody here could hear of it.
    let redis = gone.back_without(&id).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), stream.bytes()).await;
    ended.expect("the stream ends").expect("in order");
    replicas.until_redis_is("ready").await;
    assert_eq!([replicas.list(0, &alice, &id).await, replicas.list(0, &alice, &other).await], [404, 200]);
    drop(redis);
}

#[tokio::test]
async fn r7_without_redis_sessions_are_503_and_nothing_is_lost() {
    let redis = FakeRedis::start().await;
    let replicas = Replicas::with(&redis.url(), &[("server.metrics_listen", "127.0.0.1:0")]).await;
    let alice = replicas.token_of("alice");
    let id = replicas.begin(0, &alice).await;
    let gone = redis.gone().await;
    replicas.until_redis_is("failing").await;
    assert_eq!([replicas.list(0, &alice, &id).await, replicas.list(1, &alice, &id).await], [503, 503]);
    let begun = replicas.initialize(0, &alice).await;
    assert_eq!((begun.status().as_u16(), begun.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    let ended = replicas.without_body(0, Method::DELETE, &alice, &id).send().await.expect("an answer");
    assert_eq!(ended.status(), 503);
    let metrics = replicas.servers[0].get_metrics("/metrics").await.text().await.expect("text");
    assert!(metrics.contains("securemcp_sessions_unavailable_total 3"), "{metrics}");
    assert_eq!([replicas.call(0, &alice).await, replicas.call(1, &alice).await], [200, 200]);
    // A load balancer keeps both.
    assert_eq!(replicas.says_of_redis(0).await, (200, "failing".to_owned()));
    let _redis = gone.back().await;
    replicas.until_redis_is("ready").await;
    assert_eq!([replicas.list(0, &alice, &id).await, replicas.list(1, &alice, &id).await], [200, 200]);
}

#[tokio::test]
async fn r9_an_empty_redis_is_404_and_clients_begin_again() {
    let redis = FakeRedis::start().await;
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
    let redis = FakeRedis::start().await;
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
    let redis = FakeRedis::start().await;
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
async fn s15_an_id_that_is_none_is_not_asked_about() {
    let redis = FakeRedis::start().await;
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
    let redis = FakeRedis::start().await;
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
    let redis = FakeRedis::start().await;
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
async fn keys_in_redis_that_are_damaged_or_of_another_issuer_are_not_taken() {
    let redis = FakeRedis::start().await;
    let first = Replicas::on(&redis).await;
    let forged = Key::ec();
    let document = json!({"keys": [forged.jwk("k1")]}).to_string();
    let of = |issuer: &str| json!({"issuer": issuer, "confirmed_at": NOW, "document": document}).to_string();
    for (copy, fetches) in [(of("https://other.example"), 1), ("{".to_owned(), 1), (of(&first.issuer.url), 0)] {
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
async fn rates_count_for_all_replicas_together() {
    let redis = FakeRedis::start().await;
    let replicas = Replicas::with(&redis.url(), &[("limits.per_client", "20/s")]).await;
    let alice = replicas.token_of("alice");
    for _ in 0..20 {
        assert_eq!(replicas.call(0, &alice).await, 200);
    }
    assert_eq!(replicas.call(0, &alice).await, 429);
    // All that was taken has been told.
    assert_eq!(replicas.call(1, &alice).await, 200, "it has not heard of this client yet");
    redis.until_told("rate:c:").await;
    for tries in 0.. {
        if replicas.call(1, &alice).await == 429 {
            break;
        }
        assert!(tries < 18, "the other replica counts for itself");
        redis.until_told("rate:c:").await;
    }
    let bob = replicas.token_with(&replicas.key, "k1", &json!({"sub": "bob", "client_id": "other"}));
    assert_eq!(replicas.call(1, &bob).await, 200);
}

#[tokio::test]
async fn a_wrong_password_keeps_sessions_away_and_nothing_else() {
    let redis = FakeRedis::with_password(Some("right")).await;
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
