//! `USE_DCR=true securemcp serve`: the client of a deployment, registered once at an issuer that lies, is down or
//! forgets.

use std::{fs, os::unix::fs::MetadataExt as _};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{
    cli::Account,
    liar::{Hit, ISSUER, Liar, Lie, only},
    process::{Serve, free_port},
    until::block_until,
};

pub(crate) const REGISTERED: &str = "registered the client of this deployment";
pub(crate) const KEPT: &str = "the client of this deployment is the one that was kept";
pub(crate) const NOT_YET: &str = "the registration of this deployment is not done yet";
pub(crate) const INITIAL_TOKEN: &str = "initial-access-token-of-the-tests";

/// An account whose servers are to register at this issuer, with an initial access token.
fn account_at(issuer: &str) -> Account {
    account_without_token(issuer).with("DCR_INITIAL_ACCESS_TOKEN", INITIAL_TOKEN)
}

fn account_without_token(issuer: &str) -> Account {
    Account::new().with("USE_DCR", "True").with("OAUTH_ISSUER", issuer)
}

/// Its event with these words, once it was logged.
pub(crate) fn event(serve: &mut Serve, words: &str) -> Value {
    serde_json::from_str(&serve.process.said(words)).expect("one event in JSON")
}

pub(crate) fn end(serve: Serve) -> String {
    serve.process.signal(Signal::TERM);
    let ended = serve.process.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.stderr
}

pub(crate) fn registrations(hits: &[Hit]) -> Vec<&Hit> {
    only(hits, "POST /register")
}

/// What a liar answers about the client that it has registered.
pub(crate) fn known(liar: &Liar) -> Lie {
    Lie::Answer(200, client(liar, "registered"))
}

/// A client as a liar registers it.
pub(crate) fn client(liar: &Liar, id: &str) -> Value {
    json!({"client_id": id, "client_secret": format!("secret-of-the-{id}"),
        "registration_access_token": "next-token",
        "registration_client_uri": format!("{}/register/{id}", liar.origin)})
}

#[test]
fn the_client_is_registered_saved_and_used_by_this_account() {
    let liar = Liar::start();
    let account = account_at(&liar.origin);
    let mut serve = account.start(&[]);
    let said = event(&mut serve, REGISTERED);
    assert_eq!((&said["client_id"], &said["issuer"]), (&json!("registered"), &json!(liar.origin)));
    let file = said["file"].as_str().expect("a path");
    assert_eq!(fs::metadata(file).expect("it was saved before it was said").mode() & 0o777, 0o600);
    assert!(fs::read_to_string(file).expect("it is there").contains("secret-of-the-registered"));
    let hits = liar.hits();
    let sent = registrations(&hits);
    assert_eq!(sent.len(), 1, "{hits:?}");
    assert_eq!(sent[0].authorization, Some(format!("Bearer {INITIAL_TOKEN}")));
    let asked: Value = serde_json::from_str(&sent[0].body).expect("JSON");
    assert_eq!(
        (&asked["client_name"], &asked["grant_types"]),
        (&json!("securemcp server"), &json!(["client_credentials"]))
    );
    assert_eq!(asked["scope"], "mcp:read mcp:write mcp:infer");
    // The twin of a client that somebody configured: it needs no setting at all.
    account.run(&["token", "get", "--server", &liar.url]).done();
    let hits = liar.hits();
    let basic = only(&hits, "POST /token")[0].authorization.clone().expect("it proves itself");
    assert_eq!(basic, "Basic cmVnaXN0ZXJlZDpzZWNyZXQtb2YtdGhlLXJlZ2lzdGVyZWQ=", "`registered` and its secret");
    let said = end(serve);
    for secret in ["secret-of-the-registered", "registration-access-token", INITIAL_TOKEN] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[test]
fn without_the_setting_nothing_is_registered() {
    let liar = Liar::start();
    for (value, count) in [("false", 0), ("true", 1)] {
        let account = Account::new().with("USE_DCR", value).with("OAUTH_ISSUER", &liar.origin);
        let mut serve = account.start(&[]);
        if count == 1 {
            event(&mut serve, REGISTERED);
        }
        end(serve);
        let hits = liar.hits();
        assert_eq!(
            (registrations(&hits).len(), registrations(&hits).iter().all(|hit| hit.authorization.is_none())),
            (count, true)
        );
    }
}

#[test]
fn replicas_that_share_a_state_directory_register_once() {
    let liar = Liar::start();
    liar.lie("GET /register/registered", known(&liar));
    let account = account_at(&liar.origin);
    // All of them are there before the first is answered.
    let gate = liar.hold("POST /register");
    let start = || Serve::start(account.command(&["serve", "--listen", "127.0.0.1:0"]));
    let mut replicas: Vec<_> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        started.into_iter().map(|replica| replica.join().expect("it starts")).collect()
    });
    gate.send(true).expect("the issuer waits for it");
    for replica in &mut replicas {
        let said = event(replica, "client of this deployment");
        assert_eq!(said["client_id"], "registered", "{said}");
    }
    assert_eq!(registrations(&liar.hits()).len(), 1);
    for replica in replicas {
        end(replica);
    }

    // Neither does the next start, and it needs no initial access token any more.
    liar.lie("POST /register", Lie::Answer(401, json!({"error": "invalid_token"})));
    let mut serve = account.start(&[]);
    assert_eq!(event(&mut serve, KEPT)["client_id"], "registered");
    end(serve);
    let hits = liar.hits();
    assert_eq!((registrations(&hits).len(), only(&hits, "GET /register/registered").len()), (0, 1));
}

#[test]
fn replicas_without_a_key_are_told_of_it() {
    for (redis, is_told) in [(true, true), (false, false)] {
        let liar = Liar::start();
        let replicas = [account_at(&liar.origin), account_at(&liar.origin)];
        for account in &replicas {
            let nobody = format!("redis://127.0.0.1:{}/0", free_port());
            let flags: &[&str] = if redis { &["--redis-url", &nobody] } else { &[] };
            let mut serve = account.start(flags);
            let said = event(&mut serve, REGISTERED);
            let hint = said["hint"].as_str().unwrap_or_default();
            assert_eq!(hint.contains("set `client.registration_key`"), is_told, "{said}");
            end(serve);
        }
        // In clear it is in no Redis, so there is no place to find another's client in.
        assert_eq!(registrations(&liar.hits()).len(), 2);
    }
}

#[test]
fn a_client_that_the_issuer_forgot_is_registered_anew() {
    let liar = Liar::start();
    let account = account_at(&liar.origin);
    for _ in 0..2 {
        let mut serve = account.start(&[]);
        event(&mut serve, REGISTERED);
        end(serve);
        // It answers 404 to who asks for what it has registered.
        assert_eq!(registrations(&liar.hits()).len(), 1);
    }
}

#[test]
fn a_person_of_the_account_keeps_the_client_that_was_chosen_last() {
    let liar = Liar::start();
    liar.lie("GET /register/registered", known(&liar));
    let account = account_at(&liar.origin);
    for words in [REGISTERED, KEPT] {
        let mut serve = account.start(&[]);
        event(&mut serve, words);
        end(serve);
        account.run(&["dcr", "register", "--name", "mine", "--server", &liar.url]).done();
    }
    let mut serve = account.start(&[]);
    event(&mut serve, KEPT);
    end(serve);
    let shown = account.run(&["dcr", "show", "--server", &liar.url, "--output", "json", "-v"]);
    shown.done();
    let newest = fs::read_dir(account.state().join("clients")).expect("a directory").filter_map(|entry| {
        let path = entry.expect("an entry").path();
        let kept: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        Some((kept["order"].as_u64()?, kept["name"].as_str()?.to_owned()))
    });
    assert_eq!(newest.max().expect("two are kept").1, "mine");
}

#[tokio::test]
async fn an_issuer_that_is_down_at_the_start_holds_nothing_up() {
    let port = free_port();
    let account = account_at(&format!("http://127.0.0.1:{port}"));
    let mut serve = account.start(&[]);
    assert_eq!(serve.get("/health/live").await.status(), 200);
    let said = event(&mut serve, NOT_YET);
    assert!(
        said["hint"].is_string() && said["error"].as_str().expect("a reason").contains(&port.to_string()),
        "{said}"
    );
    assert_eq!(serve.post("/mcp").body("{}").send().await.expect("an answer").status(), 401, "never open");
    let liar = Liar::start_at(port);
    assert_eq!(event(&mut serve, REGISTERED)["client_id"], "registered");
    assert_eq!(registrations(&liar.hits()).len(), 1);
    end(serve);
}

#[tokio::test]
async fn why_the_issuer_refuses_is_logged_and_it_is_asked_again() {
    let liar = Liar::start();
    let expired = format!("{}.{}.AAAA", "eyJhbGciOiJIUzUxMiJ9", "eyJleHAiOjF9");
    let undecoded = json!({"error": "invalid_token", "error_description": "Failed decode token"});
    liar.lie("POST /register", Lie::Answer(401, undecoded));
    let account = account_without_token(&liar.origin).with("SECUREMCP_INITIAL_ACCESS_TOKEN", &expired);
    let mut serve = account.start(&[]);
    let said = event(&mut serve, NOT_YET);
    assert!(said["error"].as_str().expect("a reason").contains("Failed decode token"), "{said}");
    assert!(said["hint"].as_str().expect("a hint").contains("the initial access token expired"), "{said}");
    assert_eq!(serve.get("/health/live").await.status(), 200);
    liar.repent();
    event(&mut serve, REGISTERED);
    assert!(!end(serve).contains(&expired));
}

#[tokio::test]
async fn a_server_ends_while_it_waits_for_the_next_try() {
    let liar = Liar::start();
    liar.lie("POST /register", Lie::Answer(503, json!({"error": "temporarily_unavailable"})));
    let account = account_at(&liar.origin);
    let mut serve = account.start(&[]);
    event(&mut serve, NOT_YET);
    let stderr = end(serve);
    assert!(stderr.contains("stopped") && !stderr.contains("drain timeout"), "{stderr}");
}

#[test]
fn a_server_that_is_told_to_end_keeps_what_the_issuer_answers() {
    let liar = Liar::start();
    let gate = liar.hold("POST /register");
    let account = account_at(&liar.origin);
    let mut serve = account.start(&[]);
    block_until("it registers", || !registrations(&liar.hits()).is_empty());
    serve.process.signal(Signal::TERM);
    serve.process.said("stopped");
    gate.send(true).expect("the issuer waits for it");
    let ended = serve.process.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains(REGISTERED), "{ended:#?}");
    liar.lie("GET /register/registered", known(&liar));
    account.run(&["dcr", "show", "--server", &liar.url]).done();
}

#[test]
fn a_wrong_password_of_an_administrator_is_tried_once() {
    let liar = Liar::start();
    let issuer = format!("{}/realms/mcp", liar.origin);
    let metadata = json!({"issuer": issuer, "registration_endpoint": format!("{}/register", liar.origin)});
    liar.lie("GET /.well-known/oauth-authorization-server/realms/mcp", Lie::Answer(200, metadata));
    let refused = json!({"error": "invalid_grant", "error_description": "Invalid user credentials"});
    liar.lie("POST /realms/master/", Lie::Answer(401, refused));
    let account = account_without_token(&issuer).with("SECUREMCP_KEYCLOAK_ADMIN", "admin");
    account.run(&["serve", "--check"]).failed(3, &["`client.use_dcr` is to use `client.keycloak_admin`", "hint: set"]);
    let account = account.with("KEYCLOAK_ADMIN_PASSWORD", "wrong-password");
    account.run(&["serve", "--check"]).done();
    let mut serve = account.start(&[]);
    let said = event(&mut serve, "not tried again before a restart");
    assert!(said["error"].as_str().expect("a reason").contains("Invalid user credentials"), "{said}");
    assert!(said["hint"].as_str().expect("a hint").contains("`--keycloak-admin`"), "{said}");
    assert!(!end(serve).contains("wrong-password"));
    let hits = liar.hits();
    assert_eq!((only(&hits, "POST /realms/master/").len(), registrations(&hits).len()), (1, 0));
}

#[test]
fn the_embedded_issuer_registers_nobody() {
    let account = Account::new().with("USE_DCR", "true");
    let mut serve = account.start(&[]);
    let said = serve.process.stderr_so_far();
    assert!(said.contains("`USE_DCR`: `client.use_dcr` has no effect: the embedded issuer"), "{said}");
    let clients = fs::read_dir(account.state().join("clients"));
    assert!(clients.is_err(), "nothing is kept as registered");
    assert_eq!(account.run(&["call", "echo", "hi", "--server", &serve.url]).done(), "hi\n");
    serve.process.said("listening");
    end(serve);
}

#[test]
fn metadata_of_another_issuer_registers_nobody() {
    let liar = Liar::start();
    liar.claim(ISSUER, "issuer", "https://other.example");
    let account = account_at(&liar.origin);
    let mut serve = account.start(&[]);
    let said = event(&mut serve, NOT_YET);
    assert!(said["error"].as_str().expect("a reason").contains("describes another issuer"), "{said}");
    assert!(registrations(&liar.hits()).is_empty(), "nobody was shown the token");
    liar.claim(ISSUER, "issuer", liar.origin.clone());
    event(&mut serve, REGISTERED);
    assert_eq!(registrations(&liar.hits()).len(), 1);
    end(serve);
}
