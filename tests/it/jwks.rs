//! Attacks on fetching keys (facts K01 to K12): a key set is fetched seldom, bounded, and never believed blindly.

use std::{io::Write as _, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::harness::{
    issuer::{Behaviour, LyingIssuer},
    keys::Key,
    process::free_port,
    server::{Guarded, NOW, TestServer, merged},
    until::until,
};
use securemcp::{clock::Clock as _, tools::Tools};

fn token(key: &Key, kid: &str, issuer: &str, server: &TestServer) -> String {
    let header = json!({"alg": key.alg(), "kid": kid, "typ": "at+jwt"});
    let now = server.clock.since_epoch().as_secs();
    let claims = json!({"iss": issuer, "aud": format!("{}/mcp", server.url), "sub": "alice", "client_id": "cli",
        "exp": now + 12 * 3600, "scope": "mcp:read"});
    key.token(&header, &claims)
}

impl Guarded {
    fn named(&self, kid: &str) -> String {
        token(&self.key, kid, &self.issuer.url, &self.server)
    }

    /// One look at the issuer, by an unknown `kid` after the cool-down.
    async fn look_again(&self) {
        self.server.clock.advance(Duration::from_secs(31));
        self.server.status_with(&self.named("nobody")).await;
    }
}

#[tokio::test]
async fn k01_a_flood_of_unknown_keys_fetches_once_in_a_cool_down() {
    let guarded = Guarded::start().await;
    let good = guarded.named("k1");
    let before = guarded.issuer.jwks_hits();
    for number in 0..300 {
        assert_eq!(guarded.server.status_with(&guarded.named(&format!("random-{number}"))).await, 401);
        if number % 100 == 0 {
            assert_eq!(guarded.server.status_with(&good).await, 200);
        }
    }
    assert_eq!(guarded.issuer.jwks_hits(), before + 1);
    guarded.look_again().await;
    assert_eq!(guarded.issuer.jwks_hits(), before + 2, "the next cool-down allows one more");
}

#[tokio::test]
async fn k01_a_token_that_no_key_could_make_good_fetches_nothing() {
    let guarded = Guarded::start().await;
    guarded.server.clock.advance(Duration::from_secs(31));
    let before = guarded.issuer.jwks_hits();
    for (what, alg, issuer, fetches) in [
        ("a symmetric algorithm", "HS256", guarded.issuer.url.as_str(), 0),
        ("none at all", "none", &guarded.issuer.url, 0),
        ("another issuer", guarded.key.alg(), "https://other.example", 0),
        ("the twin", guarded.key.alg(), &guarded.issuer.url, 1),
    ] {
        let header = json!({"alg": alg, "kid": "unknown", "typ": "at+jwt"});
        let claims = merged(guarded.claims(), &json!({"iss": issuer, "exp": null}));
        let claims = merged(claims, &json!({"exp": guarded.server.clock.since_epoch().as_secs() + 60}));
        assert_eq!(guarded.server.status_with(&guarded.key.token(&header, &claims)).await, 401, "{what}");
        assert_eq!(guarded.issuer.jwks_hits() - before, fetches, "{what}");
    }
}

#[tokio::test]
async fn k02_known_keys_work_while_the_issuer_is_down_up_to_a_bound() {
    let guarded = Guarded::start().await;
    guarded.issuer.behave(Behaviour::Text(500, "down"));
    guarded.look_again().await;
    assert_eq!(guarded.server.status_with(&guarded.named("k1")).await, 200);
    guarded.server.clock.advance(Duration::from_hours(23));
    assert_eq!(guarded.server.status_with(&guarded.named("k1")).await, 200);
    guarded.server.clock.advance(Duration::from_hours(2));
    for _ in 0..20 {
        let answer = guarded.server.call(&guarded.named("k1"), "echo", json!({"message": "x"})).await;
        assert_eq!(answer.status(), 503, "never 401, which would make a client throw its token away");
        assert!(answer.headers().contains_key("retry-after"));
    }
    assert_eq!(guarded.server.get("/health/ready").await.status(), 503);
    let _ =
        writeln!(std::io::stderr(), "R5, keys of 25 hours ago and no issuer: 20 of 20 calls are 503 with Retry-After");
}

#[tokio::test]
async fn k03_starts_without_the_issuer_and_recovers() {
    let address = format!("127.0.0.1:{}", free_port());
    let (url, key) = (format!("http://{address}"), Key::ec());
    let server = TestServer::start(&[("issuer.url", &url)]).await;
    assert_eq!(server.get("/health/live").await.status(), 200);
    let ready = server.get("/health/ready").await;
    assert_eq!(ready.status(), 503);
    let body: Value = ready.json().await.expect("JSON");
    assert_eq!(body["failing"], json!(["issuer_keys"]), "names the part, never a URL");
    let good = token(&key, "k1", &url, &server);
    assert_eq!(server.status_with(&good).await, 503, "never open, and not 401");
    assert_eq!(server.status_with("no token").await, 401, "for which nobody needs keys");
    let listener = TcpListener::bind(&address).await.expect("the port is free still");
    let _issuer = LyingIssuer::start_on(listener, Behaviour::Keys(vec![key.jwk("k1")]));
    server.until_ready().await;
    assert_eq!(server.status_with(&good).await, 200);
}

#[tokio::test]
async fn k04_nobody_waits_for_a_slow_key_set() {
    let guarded = Guarded::start().await;
    guarded.issuer.behave(Behaviour::Drip);
    guarded.server.clock.advance(Duration::from_secs(31));
    let unknown = guarded.named("unknown");
    let slow = guarded.server.status_with(&unknown);
    let fast = async {
        for _ in 0..10 {
            assert_eq!(guarded.server.status_with(&guarded.named("k1")).await, 200);
        }
    };
    // These calls end while the one that needs the key set still waits: `select` would pick it otherwise.
    tokio::select! {
        biased;
        status = slow => panic!("answered {status} before the others"),
        () = fast => {}
    }
}

#[tokio::test]
async fn k05_to_k09_bad_key_sets_change_nothing() {
    let guarded = Guarded::start().await;
    let trap = LyingIssuer::start(Behaviour::Keys(vec![guarded.key.jwk("stolen")])).await;
    let stolen = serde_json::json!({"keys": [guarded.key.jwk("stolen")]}).to_string();
    for (what, behaviour) in [
        ("an error with keys in it", Behaviour::Text(500, stolen.leak())),
        ("an endless body", Behaviour::Endless),
        ("a gzip bomb", Behaviour::GzipBomb),
        ("a redirect", Behaviour::Redirect(format!("{}/jwks", trap.url))),
        ("an error", Behaviour::Text(500, "{\"keys\":[]}")),
        ("HTML", Behaviour::Text(200, "<html>log in</html>")),
        ("broken JSON", Behaviour::Text(200, "{\"keys\":[")),
        ("an empty set", Behaviour::Text(200, "{\"keys\":[]}")),
        ("no set", Behaviour::Text(200, "{}")),
    ] {
        guarded.issuer.behave(behaviour);
        guarded.look_again().await;
        assert_eq!(guarded.server.status_with(&guarded.named("k1")).await, 200, "{what}: old keys are kept");
        assert_eq!(guarded.server.status_with(&guarded.named("stolen")).await, 401, "{what}");
    }
    assert_eq!(trap.jwks_hits(), 0, "the redirect was not followed");
    let next = Key::ec();
    guarded.issuer.behave(Behaviour::Keys(vec![json!({"kty": "RSA"}), json!(7), next.jwk("k2")]));
    guarded.look_again().await;
    let new = token(&next, "k2", &guarded.issuer.url, &guarded.server);
    assert_eq!(guarded.server.status_with(&new).await, 200, "bad keys beside a good one are skipped");
}

#[tokio::test]
async fn k10_rotation_refuses_no_valid_token_and_ends_the_old_key() {
    let guarded = Guarded::start().await;
    let old = guarded.named("k1");
    assert_eq!(guarded.server.status_with(&old).await, 200);
    let next = Key::ec();
    guarded.issuer.behave(Behaviour::Keys(vec![next.jwk("k2"), guarded.key.jwk("k1")]));
    let new = token(&next, "k2", &guarded.issuer.url, &guarded.server);
    assert_eq!(guarded.server.status_with(&new).await, 200, "found by one refetch");
    assert_eq!(guarded.server.status_with(&old).await, 200);
    guarded.issuer.behave(Behaviour::Keys(vec![next.jwk("k2")]));
    guarded.look_again().await;
    assert_eq!(guarded.server.status_with(&old).await, 401, "the removed key is dead, also for a remembered token");
    assert_eq!(guarded.server.status_with(&new).await, 200);
}

#[tokio::test]
async fn k11_a_herd_waits_for_one_fetch() {
    let guarded = Guarded::start().await;
    let (gate, next) = (Arc::new(Semaphore::new(0)), Key::ec());
    guarded.issuer.behave(Behaviour::Gated(Arc::clone(&gate), vec![next.jwk("k2"), guarded.key.jwk("k1")]));
    let before = guarded.issuer.jwks_hits();
    let new = token(&next, "k2", &guarded.issuer.url, &guarded.server);
    let mut herd = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let request = guarded.server.post(
            &new,
            crate::harness::server::stateless("tools/call", json!({"name": "echo", "arguments": {"message": "x"}})),
        );
        let request = crate::harness::server::with_mirrors(request, "tools/call", Some("echo"));
        herd.spawn(async move { request.send().await.expect("an answer").status().as_u16() });
    }
    // The gate holds the one fetch until it has begun; whoever comes later joins it or finds its result.
    until("the fetch", async || guarded.issuer.jwks_hits() > before).await;
    gate.add_permits(1);
    let statuses = herd.join_all().await;
    assert_eq!(statuses, vec![200; 100]);
    assert_eq!(guarded.issuer.jwks_hits(), before + 1);
}

#[tokio::test]
async fn k12_the_issuer_may_not_move_while_we_run() {
    let guarded = Guarded::start().await;
    let attacker = Key::ec();
    let elsewhere = LyingIssuer::start(Behaviour::Keys(vec![attacker.jwk("evil")])).await;
    let evil = token(&attacker, "evil", &guarded.issuer.url, &guarded.server);
    guarded.issuer.say("jwks_uri", json!(format!("{}/jwks", elsewhere.url.replace("127.0.0.1", "localhost"))));
    guarded.look_again().await;
    assert_eq!(elsewhere.jwks_hits(), 0, "another host");
    assert_eq!(guarded.server.status_with(&evil).await, 401);
    guarded.issuer.say("jwks_uri", json!(format!("{}/jwks", guarded.issuer.url)));
    guarded.issuer.behave(Behaviour::Keys(vec![attacker.jwk("evil")]));
    guarded.issuer.say("issuer", json!("https://other.example"));
    guarded.look_again().await;
    assert_eq!(guarded.server.status_with(&evil).await, 401, "another name");
    guarded.issuer.say("issuer", json!(guarded.issuer.url));
    guarded.look_again().await;
    assert_eq!(guarded.server.status_with(&evil).await, 200, "the twin: the same keys under the right name and host");
}

#[tokio::test]
async fn the_last_good_copy_survives_a_restart_without_the_issuer() {
    let guarded = Guarded::start().await;
    let Guarded { server, issuer, key } = guarded;
    let url = issuer.url.clone();
    // The copy is written beside the request; wait until it is there.
    let copies = server.state.path().join("state/issuers");
    let is_written = || {
        std::fs::read_dir(&copies)
            .is_ok_and(|files| files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("keys-")))
    };
    until("the copy", async || is_written()).await;
    let state = server.stop().await;
    drop(issuer);
    let server = TestServer::start_in(state, &[("issuer.url", &url)], Tools::builtin()).await;
    let claims = merged(
        json!({"iss": url, "sub": "alice", "client_id": "cli", "exp": NOW + 300, "scope": "mcp:read"}),
        &json!({"aud": format!("{}/mcp", server.url)}),
    );
    let good = key.token(&json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}), &claims);
    assert_eq!(server.status_with(&good).await, 200);
    assert_eq!(server.get("/health/ready").await.status(), 200);
}
