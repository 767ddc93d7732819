//! Whoever comes too often is told when to come back: by address, by client, by user. Clocks stand still unless moved.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{
    cli::Account,
    keys::Key,
    log::Log,
    server::{Guarded, TestServer},
};

const PER_CLIENT: &str = "limits.per_client";
const PER_ADDRESS: &str = "limits.per_address";
const PROXIES: (&str, &str) = ("server.trusted_proxies", "127.0.0.1 10.0.0.0/8");

/// The statuses of so many harmless calls with this token.
async fn statuses(server: &TestServer, token: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(server.status_with(token).await);
    }
    statuses
}

/// The status of a request without a token that has been forwarded for these.
async fn forwarded(server: &TestServer, name: &str, value: &str) -> u16 {
    let request = server.request(Method::GET, "/").header(name, value);
    request.send().await.expect("an answer").status().as_u16()
}

/// Registers a client with a request that has been forwarded for this address.
async fn registration(server: &TestServer, from: &str) -> Response {
    let path = server.state.path().join("state/initial-access-token");
    let initial = std::fs::read_to_string(path).expect("it was made");
    let request = server.request(Method::POST, "/register").bearer_auth(initial).header("x-forwarded-for", from);
    request.json(&json!({})).send().await.expect("an answer")
}

/// The statuses of so many registrations, each for another address.
async fn registrations(server: &TestServer, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for number in 0..count {
        statuses.push(registration(server, &format!("198.51.100.{number}")).await.status().as_u16());
    }
    statuses
}

fn retry_after(answer: &Response) -> u64 {
    answer.headers()["retry-after"].to_str().expect("text").parse().expect("whole seconds")
}

#[tokio::test]
async fn h26_a_refused_caller_is_told_when_to_come_back() {
    let guarded = Guarded::start_with(Key::ec(), &[(PER_CLIENT, "3/s")]).await;
    let server = &guarded.server;
    let token = guarded.token(&json!({}));
    assert_eq!(statuses(server, &token, 3).await, [200, 200, 200]);
    let refused = server.call(&token, "echo", json!({"message": "hi"})).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(retry_after(&refused), 1);
    assert_eq!(refused.headers()["cache-control"], "no-store");
    assert!(refused.headers().contains_key("x-request-id") && !refused.headers().contains_key("www-authenticate"));
    let body: Value = refused.json().await.expect("JSON");
    assert_eq!((&body["jsonrpc"], &body["error"]["code"]), (&json!("2.0"), &json!(-32000)));
    assert_eq!(body["error"]["message"], "too many requests of this client; wait for the time in Retry-After");
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(statuses(server, &token, 4).await, [200, 200, 200, 429]);
}

#[tokio::test]
async fn h26_a_client_and_a_user_are_counted_each_by_itself() {
    let guarded = Guarded::start_with(Key::ec(), &[(PER_CLIENT, "2/s")]).await;
    let server = &guarded.server;
    let token = |subject: &str, client: &str| guarded.token(&json!({"sub": subject, "client_id": client}));
    assert_eq!(statuses(server, &token("alice", "cli"), 3).await, [200, 200, 429]);
    assert_eq!(server.status_with(&token("bob", "cli")).await, 429, "another user of the same client");
    assert_eq!(server.status_with(&token("alice", "web")).await, 429, "the same user with another client");
    assert_eq!(server.status_with(&token("bob", "app")).await, 200, "another user of another client");
    // A new token is no new caller.
    assert_eq!(server.status_with(&guarded.token(&json!({"jti": "another"}))).await, 429);
    // Over REST it is the same bucket.
    let over_rest = server.request(Method::GET, "/api/v1/me").bearer_auth(token("alice", "cli"));
    let refused = over_rest.send().await.expect("an answer");
    assert_eq!((refused.status().as_u16(), retry_after(&refused)), (429, 1));
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn h26_an_address_is_refused_before_its_token_is_looked_at() {
    let guarded = Guarded::start_with(Key::ec(), &[(PER_ADDRESS, "2/s")]).await;
    let server = &guarded.server;
    for status in [200, 200, 429] {
        assert_eq!(server.get("/").await.status().as_u16(), status);
    }
    assert_eq!(server.status_with("guess").await, 429);
    assert_eq!(server.status_with(&guarded.token(&json!({}))).await, 429);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(server.status_with("guess").await, 401);
}

#[tokio::test]
async fn h26_a_refused_token_costs_its_address_more() {
    let guarded = Guarded::start_with(Key::ec(), &[(PER_ADDRESS, "13/s")]).await;
    let server = &guarded.server;
    assert_eq!(statuses(server, "guess", 4).await, [401, 401, 429, 429]);
    let refused = server.get("/").await;
    // 22 of 13 are gone: another is there when ten have come.
    assert_eq!((refused.status().as_u16(), retry_after(&refused)), (429, 1));
    server.clock.advance(Duration::from_millis(769));
    assert_eq!(server.get("/").await.status(), 429);
    server.clock.advance(Duration::from_millis(2));
    assert_eq!(server.get("/").await.status(), 200);

    let twin = Guarded::start_with(Key::ec(), &[(PER_ADDRESS, "13/s")]).await;
    assert_eq!(statuses(&twin.server, &twin.token(&json!({})), 14).await, [vec![200; 13], vec![429]].concat());
    // What is no token guesses none.
    let clumsy = Guarded::start_with(Key::ec(), &[(PER_ADDRESS, "13/s")]).await;
    assert_eq!(statuses(&clumsy.server, "no token", 14).await, [vec![401; 13], vec![429]].concat());
}

#[tokio::test]
async fn h26_each_kind_of_path_says_it_in_its_own_words() {
    let server = TestServer::start(&[(PER_ADDRESS, "1/s")]).await;
    assert_eq!(server.get("/").await.status(), 200);
    for (method, path, kind, member, expected) in [
        (Method::POST, "/mcp", "application/json", "jsonrpc", json!("2.0")),
        (Method::GET, "/mcp", "application/json", "jsonrpc", json!("2.0")),
        (Method::GET, "/api/v1/tools", "application/problem+json", "status", json!(429)),
        (Method::GET, "/nowhere", "application/problem+json", "status", json!(429)),
        (Method::GET, "/.well-known/oauth-protected-resource", "application/problem+json", "status", json!(429)),
        (Method::POST, "/token", "application/json", "error", json!("temporarily_unavailable")),
        (Method::POST, "/register", "application/json", "error", json!("temporarily_unavailable")),
        (Method::GET, "/register/someone", "application/json", "error", json!("temporarily_unavailable")),
    ] {
        let answer = server.request(method, path).send().await.expect("an answer");
        assert_eq!((answer.status().as_u16(), retry_after(&answer)), (429, 1), "{path}");
        assert_eq!(answer.headers()["content-type"], kind, "{path}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body[member], expected, "{path}: {body}");
    }
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(server.get(path).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn h25_forwarded_headers_do_not_evade_the_limit() {
    for name in ["x-forwarded-for", "forwarded"] {
        let value = |number: usize| match name {
            "forwarded" => format!("for=198.51.100.{number}"),
            _ => format!("198.51.100.{number}"),
        };
        let server = TestServer::start(&[(PER_ADDRESS, "2/s")]).await;
        let behind_a_proxy = TestServer::start(&[(PER_ADDRESS, "2/s"), PROXIES]).await;
        for (number, status) in [(1, 200), (2, 200), (3, 429), (4, 429)] {
            assert_eq!(forwarded(&server, name, &value(number)).await, status, "{name}");
            assert_eq!(forwarded(&behind_a_proxy, name, &value(number)).await, 200, "{name}");
        }
    }
}

#[tokio::test]
async fn h25_through_a_declared_proxy_two_clients_are_apart() {
    let server = TestServer::start(&[(PER_ADDRESS, "2/s"), PROXIES]).await;
    // Whatever the caller writes stands to the left of what the proxy saw.
    for (value, status) in [
        ("198.51.100.1", 200),
        ("192.0.2.1, 198.51.100.1", 200),
        ("192.0.2.2, 198.51.100.1", 429),
        ("192.0.2.3, 198.51.100.1, 10.0.0.7", 429),
        ("198.51.100.1, 198.51.100.2", 200),
        ("2001:db8:1:2::1", 200),
        ("2001:db8:1:2:aaaa::2", 200),
        ("2001:db8:1:2:bbbb::3", 429),
        ("2001:db8:1:3::1", 200),
    ] {
        assert_eq!(forwarded(&server, "x-forwarded-for", value).await, status, "{value}");
    }
}

#[tokio::test]
async fn a20_one_address_cannot_use_up_the_registrations_of_others() {
    let server = TestServer::start(&[PROXIES]).await;
    // Whatever a caller writes to the left of what the proxy saw, and any address of its /64, is the same caller.
    for number in 0..20 {
        let from = format!("203.0.113.{number}, 2001:db8:1:2::{number:x}");
        assert_eq!(registration(&server, &from).await.status(), 201, "{from}");
    }
    server.clock.advance(Duration::from_secs(20));
    let refused = registration(&server, "2001:db8:1:2:ffff::1").await;
    assert_eq!((refused.status().as_u16(), retry_after(&refused)), (429, 41));
    let body: Value = refused.json().await.expect("JSON");
    assert_eq!(body["error"], "temporarily_unavailable");
    let words = "too many registrations of this address; wait for the time in Retry-After";
    assert_eq!(body["error_description"], words);
    assert_eq!(registration(&server, "2001:db8:1:3::1").await.status(), 201, "the twin: another network");
    server.clock.advance(Duration::from_secs(40));
    assert_eq!(registration(&server, "2001:db8:1:2::1").await.status(), 201, "the twin: a minute later");
}

#[tokio::test]
async fn a20_many_addresses_register_no_more_than_sixty_together() {
    let server = TestServer::start(&[PROXIES]).await;
    let statuses = registrations(&server, 61).await;
    assert_eq!(statuses, [vec![201; 60], vec![429]].concat());
}

#[tokio::test]
async fn a20_a_forwarded_address_is_believed_of_a_proxy_only() {
    let server = TestServer::start(&[]).await;
    let statuses = registrations(&server, 21).await;
    assert_eq!(statuses, [vec![201; 20], vec![429]].concat());
}

#[tokio::test]
async fn h26_who_is_refused_for_a_name_or_a_page_is_counted_too() {
    for (name, value, status) in
        [("host", "evil.example", 421), ("origin", "https://evil.example", 403), ("mcp-session-id", "", 400)]
    {
        let (log, _guard) = Log::start();
        let server = TestServer::start(&[(PER_ADDRESS, "2/s")]).await;
        let asked = async || {
            let request = server.request(Method::GET, "/mcp").header(name, value);
            // Twice, where that is what is refused.
            let request = if status == 400 { request.header(name, "x") } else { request };
            request.send().await.expect("an answer").status().as_u16()
        };
        for expected in [status, status, 429, 429, 429] {
            assert_eq!(asked().await, expected, "{name}");
        }
        assert_eq!(server.get("/").await.status(), 429, "{name}: it is the same bucket");
        assert_eq!(server.get("/health").await.status(), 200);
        let said = log.text();
        let lines = ["request_refused", "rate_limited"].map(|event| said.matches(event).count());
        assert_eq!(lines, [2, 1], "{name}: {said}");
        // The twin: who comes at a bearable rate is told what is wrong.
        server.clock.advance(Duration::from_secs(1));
        assert_eq!((asked().await, server.get("/").await.status().as_u16()), (status, 200), "{name}");
    }
}

#[tokio::test]
async fn h26_audit_events_count_every_refusal() {
    for (rate, may_refuse) in [("1/s", true), ("1000000/s", false)] {
        let account = Account::new().with("SECUREMCP_LIMITS_PER_ADDRESS", rate);
        let server = account.start(&[]);
        let mut refused = 0;
        for _ in 0..50 {
            let answer = server.http.get(&server.origin).send().await.expect("an answer");
            refused += u64::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
        }
        assert_eq!(refused > 0, may_refuse, "{refused} at {rate}");
        server.process.signal(Signal::TERM);
        let said = server.process.ended().stderr;
        let events = said.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let limited: Vec<_> = events.filter(|event| event["message"] == "rate_limited").collect();
        let counted: u64 = limited.iter().map(|event| event["count"].as_u64().expect("a number")).sum();
        assert_eq!(counted, refused);
        for event in &limited {
            assert_eq!((&event["target"], &event["scope"]), (&json!("audit"), &json!("address")));
            assert_eq!(event["address"], "127.0.0.1");
        }
    }
}
