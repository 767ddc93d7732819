//! What of the deployment may fail, be slow or be replaced while calls go on: rows of a matrix of faults.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    harness::{Load, Redis, Stack, echo, figure, libfaketime, stateless, status_of},
    stack::{run, token},
    stack_sessions::Session,
};

/// How long anything may take to recover.
const LIMIT: Duration = Duration::from_mins(2);

pub(crate) async fn replicas_are_replaced_under_load(stack: &mut Stack) {
    let load = Load::begin(stack.http(), &stack.resource(), &token(stack));
    // Another one was killed just now.
    for replica in 0..2 {
        takes_part(stack, replica, &load).await;
    }
    for replica in 0..2 {
        load.more(50).await;
        let (server, account) = stack.replicas[replica].take().expect("it runs");
        server.end();
        load.more(50).await;
        drop(account);
        stack.begin_replica(replica);
        takes_part(stack, replica, &load).await;
    }
    load.more(50).await;
    let calls = load.end().await;
    if calls.answers.len() > 1 {
        let log = stack.edge_log();
        // What the proxy says of its failures, not of its refusals.
        let failures = log
            .lines()
            .filter(|line| line.contains("upstream") && line.contains("[error]") || line.contains("\"status\":502"));
        failures.for_each(figure);
    }
    let good = calls.all_good();
    figure(&format!("R12, both replicas replaced one after the other: 0 of {good} calls failed"));
}

/// Waits until a new replica gets calls: the proxy leaves one alone for a while that was away.
pub(crate) async fn takes_part(stack: &Stack, replica: usize, load: &Load) {
    let (server, _) = stack.replicas[replica].as_ref().expect("it runs");
    let began = Instant::now();
    while !server.log().contains("\"message\":\"tool_called\"") {
        assert!(began.elapsed() < LIMIT, "replica {replica} gets no calls");
        load.more(10).await;
    }
}

pub(crate) async fn keys_rotate_under_load(stack: &Stack) {
    let old = token(stack);
    let load = Load::begin(stack.http(), &stack.resource(), &old);
    load.more(50).await;
    let realm = stack.keycloak.admin("GET", "/realms/mcp-realm", None).expect("a realm")["id"].clone();
    let components = "/realms/mcp-realm/components";
    let key = json!({"name": "next", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
        "parentId": realm, "config": {"priority": ["200"], "enabled": ["true"], "active": ["true"],
        "algorithm": ["RS256"], "keySize": ["2048"]}});
    stack.keycloak.admin("POST", components, Some(&key));
    let new = token(stack);
    let header = |token: &str| token.split('.').next().expect("a header").to_owned();
    assert_ne!(header(&old), header(&new), "signed by another key");
    load.also_with(&new);
    load.more(200).await;
    let good = load.end().await.all_good();
    figure(&format!("R1, a new key: 0 of {good} calls failed, with tokens of the old and of the new one"));
}

/// A key that the issuer takes away is known until the keys are fetched again, after 5 minutes, and no longer.
pub(crate) async fn a_removed_key_dies(stack: &mut Stack) {
    let clock = stack.caller.home().join("clock");
    let set = |ahead: &str| std::fs::write(&clock, ahead).expect("the home is writable");
    set("+0");
    let (library, file) = (libfaketime(), clock.display().to_string());
    // Its clocks, the one that only goes forward too, are what the file says.
    let clocks = [("LD_PRELOAD", library.as_str()), ("FAKETIME_TIMESTAMP_FILE", &file), ("FAKETIME_NO_CACHE", "1")];
    stack.start_replica(0, &clocks, 200);
    let providers = "/realms/mcp-realm/components?type=org.keycloak.keys.KeyProvider";
    let providers = stack.keycloak.admin("GET", providers, None).expect("a list");
    let find = |name: &str| providers.as_array().expect("a list").iter().find(|provider| provider["name"] == name);
    let mut newest = find("next").expect("it was added").clone();
    let path = format!("/realms/mcp-realm/components/{}", newest["id"].as_str().expect("an id"));
    let mut enabled = async |is_enabled: bool| {
        newest["config"]["enabled"] = json!([is_enabled.to_string()]);
        newest["config"]["active"] = json!([is_enabled.to_string()]);
        stack.keycloak.admin("PUT", &path, Some(&newest));
    };
    // Signed by the key that goes, and by the one that stays.
    let removed = token(stack);
    enabled(false).await;
    let good = token(stack);
    let key = |token: &str| token.split('.').next().expect("a header").to_owned();
    assert_ne!(key(&removed), key(&good));
    let (http, url) = (stack.http(), format!("http://127.0.0.1:{}/mcp", stack.replica_ports[0]));
    let host = stack.resource().replace("https://", "").replace("/mcp", "");
    let status = async |token: &str| {
        let request = stateless(http.post(&url), token).header("host", &host).body(echo("hi"));
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!([status(&removed).await, status(&good).await], [200, 200], "keys are not asked for at each call");
    // Within the leeway of both tokens, which live for five minutes too.
    set("+301");
    let began = Instant::now();
    let mut calls = 0;
    while status(&removed).await == 200 {
        assert!(began.elapsed() < LIMIT, "the key lives on");
        assert_eq!(status(&good).await, 200);
        calls += 1;
    }
    assert_eq!([status(&removed).await, status(&good).await], [401, 200]);
    figure(&format!(
        "R1, a removed key: refused {} ms after the 5 minutes for which keys are kept, after {calls} more calls; 0 calls \
         with the other key failed",
        began.elapsed().as_millis()
    ));
    enabled(true).await;
    stack.begin_replica(0);
}

/// A token that only a key which nobody knows could have signed.
fn of_unknown_key(token: &str, number: u32) -> String {
    let claims = token.split('.').nth(1).expect("claims");
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": format!("unknown-{number}")});
    format!("{}.{claims}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode([7; 256]))
}

pub(crate) async fn unknown_keys_and_a_slow_issuer(stack: &mut Stack) {
    // After one look for an unknown key there is none for a while: these have not looked yet.
    for replica in 0..2 {
        stack.begin_replica(replica);
    }
    let token = token(stack);
    let quiet = Load::begin(stack.http(), &stack.resource(), &token);
    quiet.more(200).await;
    let quiet = quiet.end().await;
    let before = stack.keycloak_link.count("/protocol/openid-connect/certs");
    stack.keycloak_link.delay(Duration::from_secs(2));
    let load = Load::begin(stack.http(), &stack.resource(), &token);
    let (http, url) = (stack.http(), stack.resource());
    let mut flood = JoinSet::new();
    for number in 0..500 {
        flood.spawn(stateless(http.post(&url), &of_unknown_key(&token, number)).body(echo("hi")).send());
    }
    let answers = flood.join_all().await;
    let refused = answers.iter().filter(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 401)).count();
    load.more(100).await;
    stack.keycloak_link.delay(Duration::ZERO);
    let fetches = stack.keycloak_link.count("/protocol/openid-connect/certs") - before;
    let loaded = load.end().await;
    let good = quiet.all_good() + loaded.all_good();
    assert_eq!(refused, 500);
    assert!((1..=2).contains(&fetches), "one for each replica: {fetches}");
    figure(&format!(
        "R4 and R6, 500 unknown keys and an issuer that takes 2 s: {fetches} fetches, 0 of {good} good calls failed, \
         99 of 100 within {} ms (before: {} ms)",
        loaded.p99(),
        quiet.p99()
    ));
}

pub(crate) async fn redis_fails(stack: &mut Stack) {
    let session = Session::begin(stack).await;
    assert_eq!(session.call().await, 200);
    stack.redis_link.delay(Duration::from_millis(500));
    let millis = session.until(503).await;
    let load = Load::begin(stack.http(), &stack.resource(), &session.token);
    load.more(100).await;
    let calls = load.end().await;
    let good = calls.all_good();
    stack.redis_link.delay(Duration::ZERO);
    let back = session.until(200).await;
    figure(&format!(
        "R8, Redis answers after 500 ms: sessions are 503 after {millis} ms, 0 of {good} other calls failed, 99 of 100 \
         within {} ms; back after {back} ms",
        calls.p99()
    ));
    let load = Load::begin(stack.http(), &stack.resource(), &session.token);
    stack.redis.end();
    let millis = session.until(503).await;
    load.more(100).await;
    stack.redis.begin();
    let back = session.until(200).await;
    let good = load.end().await.all_good();
    figure(&format!(
        "R7, Redis gone: sessions are 503 after {millis} ms, 0 of {good} other calls failed; back after {back} ms, and \
         the session with it"
    ));
    let load = Load::begin(stack.http(), &stack.resource(), &session.token);
    for (fault, begin, end) in [
        ("R11, Redis frozen", Change::Freeze(true), Change::Freeze(false)),
        ("R10, Redis read-only", Change::Command("REPLICAOF 127.0.0.1 1"), Change::Command("REPLICAOF NO ONE")),
    ] {
        begin.make(&stack.redis);
        let millis = session.until(503).await;
        load.more(50).await;
        assert_eq!(stack.shell("$CURL -o /dev/null -w '%{http_code}' $MCP/health/ready", &[]).done(), "200");
        end.make(&stack.redis);
        let back = session.until(200).await;
        figure(&format!("{fault}: sessions are 503 after {millis} ms, back after {back} ms"));
    }
    let good = load.end().await.all_good();
    figure(&format!("Redis frozen and read-only: 0 of {good} other calls failed"));
}

/// What is done to a Redis that goes on running.
enum Change {
    Freeze(bool),
    Command(&'static str),
}

impl Change {
    fn make(&self, redis: &Redis) {
        match self {
            Self::Freeze(is_frozen) => redis.freeze(*is_frozen),
            Self::Command(command) => assert_eq!(redis.cli(command).trim(), "OK"),
        }
    }
}

pub(crate) async fn the_database_is_gone(stack: &mut Stack) {
    let load = Load::begin(stack.http(), &stack.resource(), &token(stack));
    stack.postgres.end();
    load.more(50).await;
    let failing = run(stack, &["token", "get", "--new"]);
    failing.failed(5, &["unknown_error", "hint: try again later; the issuer's log says more"]);
    stack.postgres.begin();
    let began = Instant::now();
    while run(stack, &["token", "get", "--new"]).code != Some(0) {
        assert!(began.elapsed() < LIMIT, "no token since the database is back");
    }
    let good = load.end().await.all_good();
    figure(&format!(
        "PostgreSQL gone: 0 of {good} calls failed; tokens {} ms after it was back",
        began.elapsed().as_millis()
    ));
}

pub(crate) async fn keycloak_is_gone(stack: &mut Stack) {
    let token = token(stack);
    let load = Load::begin(stack.http(), &stack.resource(), &token);
    stack.keycloak.end();
    load.more(100).await;
    // A new replica has the keys of the others.
    stack.begin_replica(0);
    load.more(100).await;
    let good = load.end().await.answers;
    // The one that was killed had calls under way.
    let failed: usize = good.iter().filter(|(answer, _)| *answer != "200").map(|(_, count)| count).sum();
    figure(&format!(
        "R2, Keycloak gone, and a replica killed: {failed} of {} calls failed",
        good.values().sum::<usize>()
    ));
    assert!(failed <= 4, "{good:?}");

    // Where nobody has any: alive, not ready, and not open.
    assert_eq!(stack.redis.cli("FLUSHALL").trim(), "OK");
    stack.start_replica(0, &[], 503);
    let port = stack.replica_ports[0];
    assert_eq!(status_of(port, "/health/live"), Some(200));
    let host = stack.resource().replace("https://", "").replace("/mcp", "");
    let http = stack.http();
    let call = || {
        let request = stateless(http.post(format!("http://127.0.0.1:{port}/mcp")), &token);
        request.header("host", &host).body(echo("hi")).send()
    };
    let answer = call().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("retry-after")), (503, true));
    assert!(!answer.headers().contains_key("www-authenticate"), "nobody is to throw a token away");
    stack.begin_keycloak();
    let began = Instant::now();
    while status_of(port, "/health/ready") != Some(200) {
        assert!(began.elapsed() < LIMIT, "not ready since Keycloak is back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    figure(&format!("R3, started without Keycloak: ready {} ms after it was", began.elapsed().as_millis()));
    assert_eq!(call().await.expect("an answer").status(), 200);
    assert_eq!(run(stack, &["call", "echo", "Hello!"]).done(), "Hello!\n");
}
