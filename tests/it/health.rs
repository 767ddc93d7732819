//! `securemcp health` against servers and issuers that are not well, or not ours: what it says, and how it ends.

use serde_json::{Value, json};

use crate::harness::{
    cli::{Account, Ended},
    liar::{ISSUER, Liar, Lie, RESOURCE},
    server::TestServer,
    tls::{Authority, Files},
};

fn health(server: &str) -> Ended {
    Account::new().run(&["health", "--server", server, "--output", "json"])
}

/// State and detail of a check, and its hint.
#[track_caller]
fn check(ended: &Ended, subject: &str) -> (String, String, String) {
    let checks = ended.json();
    let found = checks.as_array().expect("a list").iter().find(|check| check["subject"] == subject);
    let found = found.unwrap_or_else(|| panic!("no `{subject}`: {checks:#}"));
    let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    (text("state"), text("detail"), text("hint"))
}

/// A server that answers everything to somebody without a token.
fn open() -> Liar {
    let liar = Liar::start();
    liar.lie("POST /mcp", Lie::Answer(200, json!({"jsonrpc": "2.0", "id": 1, "result": {}})));
    liar.lie("GET /.well-known", Lie::Answer(404, Value::Null));
    liar
}

#[test]
fn a_server_that_asks_for_no_token_is_well() {
    let liar = open();
    let ended = health(&liar.url);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let (state, detail, _) = check(&ended, "resource metadata");
    assert_eq!((state.as_str(), detail.as_str()), ("ok", "none: the server asks for no token"));
    // Of the other generation: it wants another beginning, and says so in JSON-RPC.
    liar.repent();
    liar.lie(
        "POST /mcp",
        Lie::Answer(404, json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no"}})),
    );
    liar.lie("GET /.well-known", Lie::Page(200, "<html>an application</html>"));
    assert_eq!(health(&liar.url).code, Some(0));
}

#[test]
fn a_server_that_speaks_no_mcp_is_not_well() {
    let liar = open();
    for (lie, said, hint) in [
        (Lie::Answer(500, Value::Null), "HTTP 500", "see what the server logs"),
        (Lie::Redirect(302, "/login".to_owned()), "HTTP 302", "no redirect is followed"),
        (Lie::Answer(429, Value::Null), "HTTP 429", "wait a moment"),
        (Lie::Page(404, "nothing here"), "HTTP 404", "check the path of the URL"),
        (Lie::Page(200, "<html>an application</html>"), "HTTP 200", "check the path of the URL"),
    ] {
        for what in ["POST /mcp", ""] {
            liar.repent();
            liar.lie(what, lie.clone());
            let ended = health(&liar.url);
            assert_eq!(ended.code, Some(5), "{ended:#?}");
            let (state, detail, advice) = check(&ended, "MCP endpoint");
            assert!(state == "fail" && detail.ends_with(&format!("`{}` answered with {said}", liar.url)), "{detail}");
            assert!(advice.contains(hint), "{advice}");
            assert!(!ended.stdout.contains("asks for no token"), "{ended:#?}");
        }
    }
}

#[test]
fn only_the_servers_own_words_are_live_and_ready() {
    let liar = open();
    let (live, ready) = (json!({"status": "healthy"}), json!({"status": "ready"}));
    let states = || {
        let ended = health(&liar.url);
        ["server live", "server ready"].map(|subject| check(&ended, subject))
    };
    for lie in [
        Lie::Page(200, "<html>"),
        Lie::Answer(200, json!({"status": "fine"})),
        Lie::Answer(401, Value::Null),
        Lie::Redirect(302, "/login".to_owned()),
        Lie::Page(404, ""),
    ] {
        liar.lie("GET /health", lie);
        for (state, detail, hint) in states() {
            assert_eq!(state, "warn", "{detail}");
            assert_eq!(hint, "nothing to do if the server is not securemcp");
        }
        liar.repent();
        liar.lie("POST /mcp", Lie::Answer(200, json!({"jsonrpc": "2.0", "id": 1, "result": {}})));
    }
    liar.lie("GET /health", Lie::Answer(503, json!({"status": "unready"})));
    assert_eq!(states().map(|(state, ..)| state), ["fail", "fail"]);
    liar.repent();
    liar.lie("GET /health/live", Lie::Answer(200, live));
    liar.lie("GET /health/ready", Lie::Answer(200, ready));
    assert_eq!(states().map(|(state, ..)| state), ["ok", "ok"], "the twin");
}

#[test]
fn an_issuer_is_called_by_its_name_and_its_answer_told() {
    let liar = Liar::start();
    let (state, detail, _) = check(&health(&liar.url), "issuer metadata");
    assert_eq!((state.as_str(), detail), ("ok", format!("{}{ISSUER}", liar.origin)), "the twin");
    for status in [500, 302, 429] {
        liar.repent();
        liar.lie("GET /.well-known/oauth-authorization-server", Lie::Answer(status, Value::Null));
        let (state, detail, hint) = check(&health(&liar.url), "issuer metadata");
        assert_eq!(
            (state.as_str(), detail),
            ("fail", format!("`{}{ISSUER}` answered with HTTP {status}", liar.origin))
        );
        assert_eq!(hint, "see what the issuer logs, and a proxy in front of it");
    }
    liar.repent();
    liar.lie("GET /.well-known/oauth-authorization-server", Lie::Answer(404, Value::Null));
    let (state, detail, _) = check(&health(&liar.url), "issuer metadata");
    assert_eq!((state.as_str(), detail), ("fail", format!("`{}` has no metadata", liar.origin)));
    liar.lie("GET /.well-known/oauth-protected-resource", Lie::Answer(500, Value::Null));
    let (state, detail, _) = check(&health(&liar.url), "resource metadata");
    assert_eq!((state.as_str(), detail), ("fail", format!("`{}{RESOURCE}` answered with HTTP 500", liar.origin)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_authority_is_not_a_server_that_does_not_run() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(&["127.0.0.1", "localhost"]));
    let flags = [("server.tls_cert", files.certificate()), ("server.tls_key", files.key())];
    let server = TestServer::start(&flags.each_ref().map(|(key, value)| (*key, value.as_str()))).await;
    let ended = health(&format!("https://{}/mcp", server.address));
    assert_eq!(ended.code, Some(5), "{ended:#?}");
    let (_, detail, hint) = check(&ended, "server live");
    assert!(detail.contains("certificate") && hint.contains("`--ca FILE`"), "{detail}: {hint}");
    assert!(!ended.stdout.contains("start it with"), "{ended:#?}");
    server.stop().await;
}

#[test]
fn a_redis_that_does_not_answer_is_a_warning() {
    let account = Account::new();
    let health = |url: &str| account.run(&["health", "--server", url, "--output", "json"]);
    let serve = account.serve_with(&["--redis-url", "redis://127.0.0.1:1/0"]);
    let ended = health(&serve.url);
    let (state, detail, hint) = check(&ended, "Redis");
    assert_eq!((ended.code, state.as_str()), (Some(0), "warn"), "{ended:#?}");
    assert!(detail.contains("does not answer") && hint.contains("docs/REDIS.md"), "{detail} {hint}");
    drop(serve);
    let without = health(&account.serve().url).json();
    assert!(without.as_array().expect("a list").iter().all(|check| check["subject"] != "Redis"), "{without:#}");
}
