//! An issuer that is asked about tokens (RFC 7662) and not believed blindly: facts J27 and K13.

use std::{sync::Arc, time::Duration};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::harness::{
    cli::Account,
    issuer::{Behaviour, LyingIssuer},
    process::{Running, Serve, free_port},
    server::{NOW, TestServer, merged},
};
use securemcp::{clock::Clock as _, tools::Tools};

/// Opaque: no JWT, so that nothing but the issuer's word can make it good.
const TOKEN: &str = "opaque-token";
/// Characters that `Basic` must encode.
const SECRET: &str = "s3cr:t +%/é";

/// A server that asks a [`LyingIssuer`] about tokens.
struct Asking {
    server: TestServer,
    issuer: LyingIssuer,
}

impl Asking {
    async fn start(flags: &[(&'static str, &str)]) -> Self {
        let issuer = LyingIssuer::start(Behaviour::Keys(Vec::new())).await;
        let server = asking(&issuer.url, flags).await;
        server.until_ready().await;
        Self { server, issuer }
    }

    /// What the issuer says of a good token, but for these members (null takes one away).
    fn say(&self, changes: &Value) {
        let answer = json!({"active": true, "aud": [format!("{}/mcp", self.server.url)], "sub": "alice",
            "client_id": "cli", "scope": "mcp:read", "token_type": "Bearer",
            "exp": self.server.clock.since_epoch().as_secs() + 300});
        self.issuer.say_of(TOKEN, merged(answer, changes));
    }

    async fn status(&self) -> u16 {
        self.server.status_with(TOKEN).await
    }

    fn asked(&self) -> usize {
        self.issuer.questions().len()
    }

    fn later(&self, seconds: u64) {
        self.server.clock.advance(Duration::from_secs(seconds));
    }
}

/// A server that asks this issuer.
pub(crate) async fn asking(issuer: &str, flags: &[(&'static str, &str)]) -> TestServer {
    let state = tempfile::tempdir().expect("a temporary directory");
    let secret = state.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).expect("a file");
    let secret = secret.to_str().expect("UTF-8").to_owned();
    let mut all = vec![
        ("issuer.url", issuer),
        ("issuer.introspection.client_id", "mcp resource"),
        ("issuer.introspection.client_secret", secret.as_str()),
    ];
    all.extend(flags);
    TestServer::start_in(state, &all, Tools::builtin()).await
}

#[tokio::test]
async fn the_issuers_word_opens_the_door_and_is_remembered_for_half_a_minute() {
    let asking = Asking::start(&[]).await;
    asking.say(&json!({}));
    for _ in 0..5 {
        assert_eq!(asking.status().await, 200);
    }
    let questions = asking.issuer.questions();
    assert_eq!(questions.len(), 1, "{questions:?}");
    let form: Vec<_> = questions[0].form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(form, [("token", TOKEN), ("token_type_hint", "access_token")]);
    // `mcp+resource:s3cr%3At+%2B%25%2F%C3%A9` (RFC 6749 section 2.3.1).
    let expected = "Basic bWNwK3Jlc291cmNlOnMzY3IlM0F0KyUyQiUyNSUyRiVDMyVBOQ==";
    assert_eq!(questions[0].authorization.as_deref(), Some(expected));
    asking.later(29);
    assert_eq!((asking.status().await, asking.asked()), (200, 0));
    asking.later(1);
    assert_eq!((asking.status().await, asking.asked()), (200, 1));
    assert_eq!(asking.issuer.jwks_hits(), 0, "no key is of any use");
}

#[tokio::test]
async fn j27_an_inactive_token_is_refused_within_the_life_of_a_verdict() {
    let asking = Asking::start(&[("server.metrics_listen", "127.0.0.1:0")]).await;
    asking.say(&json!({}));
    assert_eq!(asking.status().await, 200);
    asking.issuer.say_of(TOKEN, json!({"active": false}));
    asking.later(30);
    let answer = asking.server.call(TOKEN, "echo", json!({"message": "x"})).await;
    assert_eq!(answer.status(), 401);
    let challenge = answer.headers()["www-authenticate"].to_str().expect("text");
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert_eq!(asking.asked(), 2);
    for _ in 0..20 {
        assert_eq!(asking.status().await, 401);
    }
    assert_eq!(asking.asked(), 0, "a client that tries again and again does not make us ask again and again");
    asking.say(&json!({}));
    asking.later(30);
    assert_eq!((asking.status().await, asking.asked()), (200, 1));
    asking.issuer.answer_questions(Some(Behaviour::Text(500, "")));
    asking.later(30);
    assert_eq!(asking.status().await, 503);
    let page = asking.server.get_metrics("/metrics").await.text().await.expect("text");
    for (outcome, count) in [("active", 2), ("inactive", 1), ("error", 1)] {
        let line = format!("securemcp_introspections_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(page.contains(&line), "{line} in {page}");
    }
}

#[tokio::test]
async fn no_verdict_outlives_the_token() {
    let asking = Asking::start(&[]).await;
    asking.say(&json!({"exp": NOW + 10}));
    assert_eq!(asking.status().await, 200);
    asking.later(9);
    assert_eq!((asking.status().await, asking.asked()), (200, 1));
    asking.later(1);
    asking.issuer.say_of(TOKEN, json!({"active": false}));
    assert_eq!((asking.status().await, asking.asked()), (401, 1), "asked again, though clocks may differ by 30 s");
}

#[tokio::test]
async fn what_the_issuer_leaves_out_is_not_made_up() {
    let asking = Asking::start(&[]).await;
    for (changes, status) in [
        (json!({"exp": null, "client_id": null, "token_type": null}), 200),
        (json!({"iss": asking.issuer.url}), 200),
        (json!({"iss": "https://other.example"}), 401),
        (json!({"aud": null}), 401),
        (json!({"aud": "https://other.example/mcp"}), 401),
        (json!({"sub": null}), 401),
        (json!({"exp": NOW - 31}), 401),
        (json!({"scope": null}), 403),
        (json!({"cnf": {"jkt": "x"}}), 401),
        (json!({"typ": "Refresh"}), 401),
    ] {
        asking.later(30);
        asking.say(&changes);
        assert_eq!(asking.status().await, status, "{changes}");
    }
    assert_eq!(asking.asked(), 10);
}

#[tokio::test]
async fn k13_nobody_enters_while_the_issuer_cannot_say() {
    let asking = Asking::start(&[]).await;
    asking.say(&json!({}));
    let trap = LyingIssuer::start(Behaviour::Text(200, "")).await;
    trap.say_of(TOKEN, json!({"active": true, "sub": "alice", "aud": format!("{}/mcp", asking.server.url)}));
    let claims = format!("{{\"active\":true,\"sub\":\"alice\",\"aud\":\"{}/mcp\"}}", asking.server.url);
    let claims: &'static str = claims.leak();
    for (what, behaviour) in [
        ("an error with an answer in it", Behaviour::Text(500, claims)),
        ("a refusal of our client", Behaviour::Text(401, "{\"error\":\"invalid_client\"}")),
        ("another refusal of our client", Behaviour::Text(400, "{\"error\":\"invalid_client\"}")),
        ("a busy issuer", Behaviour::Text(429, "")),
        ("another good status", Behaviour::Text(201, claims)),
        ("HTML", Behaviour::Text(200, "<html>log in</html>")),
        ("nothing", Behaviour::Text(200, "")),
        ("no verdict", Behaviour::Text(200, "{\"sub\":\"alice\"}")),
        ("a verdict in words", Behaviour::Text(200, "{\"active\":\"true\"}")),
        ("two verdicts", Behaviour::Text(200, "{\"active\":false,\"active\":true}")),
        ("a redirect", Behaviour::Redirect(format!("{}/introspect", trap.url))),
        ("an endless body", Behaviour::Endless),
        ("a gzip bomb", Behaviour::GzipBomb),
    ] {
        asking.issuer.answer_questions(Some(behaviour));
        let answer = asking.server.call(TOKEN, "echo", json!({"message": "x"})).await;
        assert_eq!(answer.status(), 503, "{what}: never 401, which would make a client throw its token away");
        assert!(answer.headers().contains_key("retry-after"), "{what}");
        assert!(!answer.headers().contains_key("www-authenticate"), "{what}");
        assert_eq!(asking.asked(), 1, "{what}");
        asking.later(2);
    }
    assert_eq!(trap.questions().len(), 0, "the redirect was not followed");
    asking.issuer.answer_questions(None);
    assert_eq!(asking.status().await, 200);
}

#[tokio::test]
async fn k13_a_verdict_holds_while_the_issuer_is_away_and_nothing_is_asked_in_vain() {
    let Asking { server, issuer } = Asking::start(&[]).await;
    let asking = Asking { server, issuer };
    asking.say(&json!({}));
    assert_eq!(asking.status().await, 200);
    let Asking { server, issuer } = asking;
    drop(issuer);
    server.clock.advance(Duration::from_secs(29));
    assert_eq!(server.status_with(TOKEN).await, 200);
    server.clock.advance(Duration::from_secs(1));
    for _ in 0..3 {
        assert_eq!(server.status_with(TOKEN).await, 503);
    }
    assert_eq!(server.get("/health/live").await.status(), 200);
}

#[tokio::test]
async fn many_requests_with_one_new_token_ask_once() {
    let asking = Asking::start(&[]).await;
    let gate = Arc::new(Semaphore::new(0));
    asking.say(&json!({}));
    asking.issuer.answer_questions(Some(Behaviour::Gated(Arc::clone(&gate), Vec::new())));
    let calls = futures_util::future::join_all((0..10).map(|_| asking.status()));
    let open = async {
        // The answer that the gate holds back is none, so that all ten show whether they shared it.
        gate.add_permits(10);
    };
    let (statuses, ()) = tokio::join!(calls, open);
    assert_eq!(statuses, [503; 10]);
    assert_eq!(asking.asked(), 1);
}

#[tokio::test]
async fn starts_without_the_issuer_and_recovers() {
    let address = format!("127.0.0.1:{}", free_port());
    let server = asking(&format!("http://{address}"), &[]).await;
    assert_eq!(server.get("/health/live").await.status(), 200);
    let ready = server.get("/health/ready").await;
    assert_eq!(ready.status(), 503);
    let body: Value = ready.json().await.expect("JSON");
    assert_eq!(body["failing"], json!(["issuer_introspection"]), "names the part, never a URL");
    assert_eq!(server.status_with(TOKEN).await, 503, "never open, and not 401");
    let listener = TcpListener::bind(&address).await.expect("the port is free still");
    let issuer = LyingIssuer::start_on(listener, Behaviour::Keys(Vec::new()));
    let asking = Asking { server, issuer };
    asking.say(&json!({}));
    asking.server.until_ready().await;
    asking.later(2);
    assert_eq!(asking.status().await, 200);
}

#[tokio::test]
async fn the_endpoint_may_be_named_and_may_want_the_secret_in_the_form() {
    let elsewhere = LyingIssuer::start(Behaviour::Keys(Vec::new())).await;
    let asking = Asking::start(&[("issuer.introspection.endpoint", &format!("{}/introspect", elsewhere.url))]).await;
    elsewhere.say_of(
        TOKEN,
        json!({"active": true, "sub": "alice", "aud": format!("{}/mcp", asking.server.url),
        "scope": "mcp:read"}),
    );
    assert_eq!(asking.status().await, 200);
    assert_eq!((asking.asked(), elsewhere.questions().len()), (0, 1));

    let issuer = LyingIssuer::start(Behaviour::Keys(Vec::new())).await;
    issuer.say("introspection_endpoint_auth_methods_supported", json!(["client_secret_post"]));
    let server = self::asking(&issuer.url, &[]).await;
    server.until_ready().await;
    assert_eq!(server.status_with(TOKEN).await, 401);
    let questions = issuer.questions();
    assert_eq!((questions.len(), &questions[0].authorization), (1, &None));
    let secret = questions[0].form.iter().find(|(name, _)| name == "client_secret").map(|(_, value)| value.as_str());
    assert_eq!(secret, Some(SECRET));
}

#[tokio::test]
async fn only_listed_clients_pass_when_there_is_a_list() {
    let asking = Asking::start(&[("issuer.allowed_clients", "cli other")]).await;
    asking.say(&json!({}));
    assert_eq!(asking.status().await, 200);
    asking.later(30);
    asking.say(&json!({"client_id": "mallory"}));
    asking.asked();
    for _ in 0..5 {
        assert_eq!(asking.status().await, 403);
    }
    assert_eq!(asking.asked(), 1, "the issuer is not asked again and again about whom we do not want");
}

/// A server of this account that asks `issuer` about tokens.
fn serve_asking(account: &Account, port: u16, issuer: &str, client_id: &str, secret: &str) -> Serve {
    let mut command = account.command(&["serve", "--listen", &format!("127.0.0.1:{port}")]);
    command.env("SECUREMCP_ISSUER", issuer);
    command.env("SECUREMCP_INTROSPECTION_CLIENT_ID", client_id).env("SECUREMCP_INTROSPECTION_CLIENT_SECRET", secret);
    Serve::start(command)
}

/// What the server has said until it was told to stop.
fn ended(server: Serve) -> String {
    server.process.signal(Signal::TERM);
    server.process.ended().stderr
}

#[test]
fn one_securemcp_asks_another_and_says_what_is_wrong() {
    let port = free_port();
    let guarded = format!("http://127.0.0.1:{port}/mcp");
    let person = Account::new().with("SECUREMCP_EMBEDDED_RESOURCES", &guarded);
    let issuer = person.start(&[]);
    let register = ["dcr", "register", "--show-secrets", "--output", "json", "--server", &issuer.url];
    let client = person.run(&register).json();
    let (id, secret) = (client["client_id"].as_str().expect("an id"), client["client_secret"].as_str().expect("one"));
    let machine = Account::new();

    let server = serve_asking(&machine, port, &issuer.origin, id, secret);
    assert_eq!(person.run(&["call", "echo", "hi", "--server", &guarded]).done(), "hi\n");
    let revoked =
        person.run(&["token", "get", "--scope", "mcp:read", "--server", &guarded]).done().trim_end().to_owned();
    person.run(&["token", "revoke", "--scope", "mcp:read", "--server", &guarded]).done();
    let call = |token: &str| {
        let mut command = person.command(&["call", "echo", "hi", "--server", &guarded]);
        command.env("SECUREMCP_TOKEN", token);
        Running::start(command).ended()
    };
    call(&revoked).failed(4, &["invalid_token"]);
    let said = ended(server);
    assert!(said.contains("the issuer says that the token is not active"), "{said}");
    assert!(said.contains(&format!("map `{id}` into `aud`")), "{said}");
    assert!(!said.contains(&revoked) && !said.contains(secret), "{said}");

    let good = person.run(&["token", "get", "--server", &issuer.url]).done().trim_end().to_owned();
    let server = serve_asking(&machine, port, &issuer.origin, id, "wrong");
    call(&good).failed(1, &["keep the token and try again"]);
    let said = ended(server);
    assert!(said.contains(&format!("refuses client `{id}`")), "{said}");
    assert!(said.contains("check `issuer.introspection.client_id` and its secret"), "{said}");
}
