//! The command line against servers and issuers that lie (facts C03 to C18): what it sends whom, and how it ends.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{
    cli::{Account, Ended},
    liar::{Hit, ISSUER, Liar, Lie, RESOURCE, field, only},
    process::Running,
};

const SECRET: &str = "s3cret-of-the-client";

/// An account with a client that every issuer knows.
fn account() -> Account {
    Account::new().with("SECUREMCP_CLIENT_ID", "cli").with("SECUREMCP_CLIENT_SECRET", SECRET)
}

fn call(account: &Account, server: &str) -> Ended {
    // Bounded: a lie may keep it busy for ever.
    Running::start(account.command(&["call", "echo", "hi", "--server", server])).ended()
}

/// A tool with an argument that is mirrored in a header of this name.
fn mirroring(name: &str, header: &str) -> Value {
    let tenant = json!({"type": "string", "x-mcp-header": header});
    json!({"name": name, "inputSchema": {"type": "object",
        "properties": {"message": {"type": "string"}, "tenant": tenant}, "required": ["message"]}})
}

#[test]
fn c16_a_tool_whose_headers_have_bad_names_is_no_tool() {
    let liar = Liar::start();
    let account = account().with("SECUREMCP_SERVER", &liar.url);
    let bad = ["", "A B", "Tenant\r\nAuthorization: x", "Tenant:", "T\u{e9}"];
    let tools = bad.iter().enumerate().map(|(number, header)| mirroring(&format!("bad-{number}"), header));
    liar.offer(tools.chain([mirroring("good", "Tenant")]).collect());
    let listed = account.run(&["tools", "--output", "json"]).json();
    let names: Vec<_> = listed.as_array().expect("a list").iter().map(|tool| tool["name"].clone()).collect();
    assert_eq!(names, ["good"]);
    account.run(&["call", "bad-2", "hi", "--tenant", "t"]).failed(2, &["no tool `bad-2`"]);
    liar.hits();
    assert_eq!(account.run(&["call", "good", "hi", "--tenant", "blue"]).done(), "hi\n");
    let hits = liar.hits();
    let [call] = only(&hits, "POST /mcp tools/call")[..] else { panic!("{hits:?}") };
    assert_eq!(call.headers["mcp-param-tenant"], "blue", "the twin");
}

#[test]
fn arguments_as_json_cost_no_question_until_they_are_refused() {
    let liar = Liar::start();
    let account = account().with("SECUREMCP_SERVER", &liar.url);
    account.run(&["call", "echo", "hi"]).done();
    liar.hits();
    assert_eq!(account.run(&["call", "echo", "--json", r#"{"message":"hi"}"#]).done(), "hi\n");
    let whats = |hits: Vec<Hit>| hits.into_iter().map(|hit| hit.what).collect::<Vec<_>>();
    assert_eq!(whats(liar.hits()), ["POST /mcp tools/call"]);
    let refused = json!({"isError": true, "content": [{"type": "text", "text": "no"}]});
    liar.answer_calls(refused);
    let ended = account.run(&["call", "echo", "--json", r#"{"message":5}"#]);
    fails(&ended, 2, &["`message` is `5`, expected a string", "usage: securemcp call echo <message>"]);
    assert_eq!(whats(liar.hits()), ["POST /mcp tools/call", "POST /mcp tools/list"]);
    fails(&account.run(&["call", "echo", "--json", r#"{"message":"hi"}"#]), 1, &["error: no"]);
    // A server that cannot say what it wants has the last word.
    liar.lie("POST /mcp tools/list", Lie::Answer(500, Value::Null));
    fails(&account.run(&["call", "echo", "--json", r#"{"message":5}"#]), 1, &["error: no"]);
}

#[test]
fn an_endpoint_that_does_not_answer_in_oauth_is_told_with_what_to_do() {
    let liar = Liar::start();
    let account = account().with("SECUREMCP_SERVER", &liar.url);
    let busy = || json!({"error": "temporarily_unavailable", "error_description": "too many"});
    for (what, arguments) in [("POST /token", &["token", "get"][..]), ("POST /register", &["dcr", "register"])] {
        for (lie, code, words) in [
            (
                Lie::Redirect(302, "/elsewhere".to_owned()),
                1,
                &["answered with HTTP 302", "hint: no redirect is followed"],
            ),
            (Lie::Answer(500, Value::Null), 1, &["answered with HTTP 500", "hint: try again later"]),
            (Lie::Answer(429, Value::Null), 1, &["answered with HTTP 429", "hint: it was asked too often"]),
            (Lie::Busy("41", Value::Null), 1, &["answered with HTTP 429", "hint: try again in 41 s"]),
            (Lie::Busy("41", busy()), 5, &["was refused by", "hint: try again in 41 s"]),
            (
                Lie::Busy("Mon, 23 Nov 2026 17:00:00 GMT", busy()),
                5,
                &["temporarily_unavailable", "hint: try again after Mon, 23 Nov 2026 17:00:00 GMT"],
            ),
        ] {
            liar.repent();
            liar.lie(what, lie);
            fails(&account.run(arguments), code, words);
        }
    }
    liar.repent();
    account.run(&["token", "get"]).done();
    account.run(&["dcr", "register"]).done();
}

#[test]
fn http_to_a_port_that_speaks_tls_is_told_as_such() {
    let (account, free) = (account(), Account::new());
    let serving = free.serve_with(&["--tls-self-signed"]);
    let plain = serving.url.replace("https://", "http://");
    let hint = "hint: what answers there does not speak HTTP: if it speaks TLS, begin the URL with https";
    for command in [&["tools"][..], &["token", "get"]] {
        let ended = account.run(&[command, &["--server", &plain]].concat());
        fails(&ended, 5, &["broke off", hint]);
    }
    let ended = account.run(&["health", "--server", &plain]);
    assert!(ended.code == Some(5) && ended.stdout.contains(hint), "{ended:#?}");
}

#[test]
fn scopes_that_the_issuer_leaves_out_are_named() {
    let liar = Liar::start();
    let account = account().with("SECUREMCP_SERVER", &liar.url);
    account.run(&["token", "get", "--scope", "mcp:read mcp:write"]).done();
    let less = json!({"access_token": "less", "token_type": "Bearer", "scope": "profile mcp:read", "expires_in": 300});
    liar.lie("POST /token", Lie::Answer(200, less));
    let got = account.run(&["token", "get", "--new", "--scope", "mcp:read mcp:write"]);
    assert_eq!(got.done(), "less\n");
    assert!(got.stderr.contains("warning: the issuer left `mcp:write` out of the token"), "{got:#?}");
    account.run(&["token", "get", "--scope", "mcp:read", "--new"]).done();
    let called = account.run(&["call", "echo", "hi", "--scope", "mcp:read mcp:write"]);
    fails(&called, 4, &["refused the", "hint: the issuer left `mcp:write` out", "Keycloak"]);
}

/// Asserts that nobody was asked for a token, nor given one.
#[track_caller]
fn nothing_was_given(hits: &[Hit]) {
    assert!(!hits.is_empty(), "it was asked something");
    for hit in hits {
        assert!(!hit.what.starts_with("POST /token") && hit.authorization.is_none(), "{hit:?}");
        assert!(!hit.body.contains(SECRET), "{hit:?}");
    }
}

/// Asserts one clear error with a hint or a cause, and the exit code.
#[track_caller]
fn fails(ended: &Ended, code: i32, words: &[&str]) {
    ended.failed(code, words);
    assert_eq!(ended.stderr.lines().filter(|line| line.starts_with("error:")).count(), 1, "{ended:#?}");
    assert_eq!(ended.stdout, "", "{ended:#?}");
}

#[test]
fn c03_metadata_of_another_resource_ends_it() {
    let liar = Liar::start();
    assert_eq!(call(&account(), &liar.url).done(), "hi\n", "the twin");
    let known = account();
    assert_eq!(call(&known, &liar.url).done(), "hi\n");
    for resource in [
        "https://attacker.example/mcp".to_owned(),
        format!("{}/", liar.url),
        format!("{}/other", liar.origin),
        liar.origin.clone(),
        liar.url.replace("127.0.0.1", "localhost"),
    ] {
        liar.claim(RESOURCE, "resource", resource.as_str());
        liar.hits();
        fails(&call(&account(), &liar.url), 4, &["describes another resource", &resource, &liar.url]);
        nothing_was_given(&liar.hits());
        // Nor does a token that is no longer good lead there.
        liar.revoke_all();
        fails(&call(&known, &liar.url), 4, &["describes another resource"]);
        assert!(only(&liar.hits(), "POST /token").is_empty());
    }
}

#[test]
fn c04_metadata_of_another_issuer_ends_it() {
    let liar = Liar::start();
    for issuer in [
        format!("{}/", liar.origin),
        liar.origin.replace("127.0.0.1", "localhost"),
        liar.origin.replace("http:", "https:"),
        format!("{}/realms/mcp", liar.origin),
        "https://attacker.example".to_owned(),
    ] {
        liar.claim(ISSUER, "issuer", issuer.as_str());
        fails(&call(&account(), &liar.url), 4, &["describes another issuer", &issuer, &liar.origin]);
        nothing_was_given(&liar.hits());
    }
    liar.claim(ISSUER, "issuer", liar.origin.as_str());
    // The other way round: the resource names its issuer with a slash that the issuer does not have.
    liar.claim(RESOURCE, "authorization_servers", json!([format!("{}/", liar.origin)]));
    fails(&call(&account(), &liar.url), 4, &["describes another issuer"]);
    nothing_was_given(&liar.hits());
    liar.claim(RESOURCE, "authorization_servers", json!([liar.origin]));
    assert_eq!(call(&account(), &liar.url).done(), "hi\n", "the twin");
    let other = ["call", "echo", "hi", "--server", &liar.url, "--issuer", "https://issuer.example"];
    fails(&account().run(&other), 4, &["does not accept tokens of `https://issuer.example`"]);
}

#[test]
fn c08_secrets_go_to_no_endpoint_in_the_clear() {
    let (liar, other) = (Liar::start(), Liar::start());
    let endpoints = [
        "http://attacker.example/token".to_owned(),
        "http://10.0.0.1:9/token".to_owned(),
        format!("{}/token", other.origin),
        liar.origin.replace("127.0.0.1", "localhost") + "/token",
        format!("{}/token", liar.origin.replace("http://", "http://cli:x@attacker.example#@")),
    ];
    for endpoint in &endpoints {
        liar.claim(ISSUER, "token_endpoint", endpoint.as_str());
        fails(&call(&account(), &liar.url), 4, &["the token endpoint of issuer", "plain http"]);
        nothing_was_given(&liar.hits());
        liar.claim(ISSUER, "registration_endpoint", endpoint.as_str());
        let register = ["dcr", "register", "--server", &liar.url];
        fails(&Account::new().run(&register), 4, &["the registration endpoint of issuer", "plain http"]);
        nothing_was_given(&liar.hits());
    }
    assert!(other.hits().is_empty());
    liar.claim(ISSUER, "token_endpoint", format!("{}/token", liar.origin));
    assert_eq!(call(&account(), &liar.url).done(), "hi\n", "the twin");
}

#[test]
fn c08_no_redirect_takes_a_secret_along() {
    let (liar, other) = (Liar::start(), Liar::start());
    let known = account();
    call(&known, &liar.url).done();
    for status in [301, 302, 303, 307, 308] {
        liar.lie("POST /token", Lie::Redirect(status, format!("{}/token", other.origin)));
        fails(&call(&account(), &liar.url), 1, &["/token` answered with HTTP ", &status.to_string()]);
        liar.repent();
        liar.lie("POST /register", Lie::Redirect(status, format!("{}/register", other.origin)));
        let register = ["dcr", "register", "--server", &liar.url];
        let variables = Account::new().with("SECUREMCP_INITIAL_ACCESS_TOKEN", "initial-access-token");
        fails(&variables.run(&register), 1, &["/register` answered with HTTP ", &status.to_string()]);
        liar.repent();
        liar.lie("POST /revoke", Lie::Redirect(status, format!("{}/revoke", other.origin)));
        let revoke = ["token", "revoke", "--server", &liar.url];
        fails(&known.run(&revoke), 1, &["/revoke` answered with HTTP ", &status.to_string()]);
        liar.repent();
        // C09: nor the token to another server.
        liar.lie("POST /mcp", Lie::Redirect(status, other.url.clone()));
        fails(&call(&known, &liar.url), 1, &[&liar.url, &status.to_string()]);
        liar.repent();
    }
    assert!(other.hits().is_empty(), "no redirect was followed");
    call(&known, &liar.url).done();
}

#[test]
fn c10_a_server_that_refuses_everything_is_asked_twice() {
    let liar = Liar::start();
    let known = account();
    call(&known, &liar.url).done();
    liar.refuse_all();
    liar.hits();
    for account in [account(), known] {
        let refused = "refused the token that its issuer had just made";
        fails(&call(&account, &liar.url), 4, &[refused, "`securemcp token inspect`"]);
        let hits = liar.hits();
        assert_eq!((only(&hits, "POST /mcp").len(), only(&hits, "POST /token").len()), (2, 1), "{hits:#?}");
    }
    let given = Account::new().with("SECUREMCP_TOKEN", "a-token-from-elsewhere");
    fails(&call(&given, &liar.url), 4, &["refused the token that was given"]);
    let hits = liar.hits();
    assert_eq!((only(&hits, "POST /mcp").len(), only(&hits, "POST /token").len()), (1, 0), "{hits:#?}");
}

#[test]
fn a_401_without_a_challenge_is_enough() {
    let liar = Liar::start();
    for challenge in [None, Some("Basic realm=\"x\""), Some("Bearer"), Some("Bearer ,,=\"")] {
        liar.challenge(challenge);
        assert_eq!(call(&account(), &liar.url).done(), "hi\n", "{challenge:?}");
    }
    // A challenge must not choose whom we ask.
    let other = Liar::start();
    liar.challenge(Some(&format!("Bearer resource_metadata=\"{}{RESOURCE}\"", other.origin)));
    liar.hits();
    fails(&call(&account(), &liar.url), 4, &["points to metadata at another origin", &other.origin]);
    nothing_was_given(&liar.hits());
    assert!(other.hits().is_empty());
}

#[test]
fn more_scope_is_asked_for_once_and_with_what_there_was() {
    let liar = Liar::start();
    liar.needs("mcp:write");
    let account = account();
    assert_eq!(call(&account, &liar.url).done(), "hi\n");
    let hits = liar.hits();
    let scopes: Vec<_> = only(&hits, "POST /token").iter().map(|hit| field(&hit.body, "scope")).collect();
    assert_eq!(scopes, [Some("mcp:read".to_owned()), Some("mcp:read mcp:write".to_owned())]);
    assert_eq!(call(&account, &liar.url).done(), "hi\n", "with the token that is kept");
    assert!(only(&liar.hits(), "POST /token").is_empty());

    // A server for which it is never enough.
    liar.lie("POST /mcp tools/call", Lie::Answer(403, json!({})));
    fails(&call(&account, &liar.url), 6, &["does not permit this"]);
    liar.repent();
    liar.needs("mcp:infer");
    liar.lie("POST /token", Lie::Answer(400, json!({"error": "invalid_scope", "error_description": "not for you"})));
    fails(&call(&account, &liar.url), 6, &["invalid_scope", "not for you", "`--scope`"]);
}

#[test]
fn c12_twenty_commands_at_once_ask_for_one_token() {
    let liar = Liar::start();
    let account = account();
    let command = || account.command(&["call", "echo", "hi", "--server", &liar.url]);
    let running: Vec<_> = (0..20).map(|_| Running::start(command())).collect();
    for running in running {
        assert_eq!(running.ended().done(), "hi\n");
    }
    assert_eq!(only(&liar.hits(), "POST /token").len(), 1);
    // And when the kept one is refused, for one more.
    liar.revoke_all();
    let running: Vec<_> = (0..20).map(|_| Running::start(command())).collect();
    for running in running {
        assert_eq!(running.ended().done(), "hi\n");
    }
    assert_eq!(only(&liar.hits(), "POST /token").len(), 1);
}

#[test]
fn c18_a_token_goes_to_no_other_server() {
    let (one, two) = (Liar::start(), Liar::start());
    let account = account();
    call(&account, &one.url).done();
    let sent = |liar: &Liar| -> Vec<_> { liar.hits().into_iter().filter_map(|hit| hit.authorization).collect() };
    let tokens: Vec<_> = sent(&one).into_iter().filter(|value| value.starts_with("Bearer ")).collect();
    assert!(!tokens.is_empty());
    let theirs = |liar: &Liar| sent(liar).iter().filter(|value| tokens.contains(value)).count();
    // Another server with another issuer, and with the same one.
    assert_eq!(call(&account, &two.url).done(), "hi\n");
    assert_eq!(theirs(&two), 0);
    two.claim(RESOURCE, "authorization_servers", json!([one.origin]));
    two.revoke_all();
    let again = account.run(&["call", "echo", "hi", "--server", &two.url, "--issuer", &one.origin]);
    fails(&again, 4, &["refused the token that its issuer had just made"]);
    assert_eq!(theirs(&two), 0);
    let hits = one.hits();
    let resources: Vec<_> = only(&hits, "POST /token").iter().map(|hit| field(&hit.body, "resource")).collect();
    assert_eq!(resources, [Some(two.url.clone())], "for whom it is, its issuer is told");
    // Another server at the same origin.
    one.claim(RESOURCE, "resource", "https://nobody.example");
    let ended = call(&account, &format!("{}/other/mcp", one.origin));
    assert_ne!(ended.code, Some(0), "{ended:?}");
    assert_eq!(theirs(&one), 0);
    // One that says it was the first.
    two.claim(RESOURCE, "resource", one.url.as_str());
    fails(&call(&account, &two.url), 4, &["describes another resource"]);
    assert_eq!(theirs(&two), 0);
    assert_eq!(call(&account, &one.url).done(), "hi\n", "the twin: it is still kept, and good");
    assert_ne!(theirs(&one), 0);
}

#[test]
fn the_accounts_own_key_is_for_its_own_issuer() {
    let account = Account::new();
    let serve = account.start(&[]);
    assert_eq!(call(&account, &serve.url).done(), "hi\n", "the twin");
    let liar = Liar::start();
    fails(&call(&account, &liar.url), 4, &["no client for the issuer", &liar.origin]);
    nothing_was_given(&liar.hits());
    // A server that names the account's own issuer gets no token of it.
    liar.claim(RESOURCE, "authorization_servers", json!([serve.origin]));
    fails(&call(&account, &liar.url), 4, &["invalid_target"]);
    nothing_was_given(&liar.hits());
    let register = ["dcr", "register", "--server", &liar.url];
    liar.claim(RESOURCE, "authorization_servers", json!([liar.origin]));
    account.run(&register).done();
    let hits = liar.hits();
    assert_eq!(only(&hits, "POST /register")[0].authorization, None, "the initial access token is its issuer's alone");
}

#[test]
fn c07_a_server_does_not_choose_who_gets_a_secret() {
    let (server, other) = (Liar::start(), Liar::start());
    server.claim(RESOURCE, "authorization_servers", json!([other.origin]));
    let initial = Account::new().with("SECUREMCP_INITIAL_ACCESS_TOKEN", "opens-the-registration");
    for (account, command, secret, asked) in [
        (account(), &["token", "get"][..], "a client secret", "POST /token"),
        (initial, &["dcr", "register"], "an initial access token", "POST /register"),
    ] {
        let arguments = [command, &["--server", &server.url]].concat();
        let refused = account.run(&arguments);
        fails(&refused, 2, &[secret, "named by the server", &format!("--issuer {}", other.origin)]);
        assert!(other.hits().iter().all(|hit| hit.what.starts_with("GET ")), "it got more than a look");
        // The twin: the issuer that a person names, and the server's own.
        account.run(&[&arguments[..], &["--issuer", &other.origin]].concat()).done();
        assert_eq!(only(&other.hits(), asked).len(), 1);
        let own = Liar::start();
        account.run(&[command, &["--server", &own.url]].concat()).done();
        assert_eq!(only(&own.hits(), asked).len(), 1);
    }
}

#[test]
fn what_is_no_answer_to_the_question_is_told_at_once() {
    let (account, liar) = (account(), Liar::start());
    call(&account, &liar.url).done();
    let result = json!({"content": [{"type": "text", "text": "hush"}], "resultType": "complete"});
    let answer = |id: Value| json!({"jsonrpc": "2.0", "id": id, "result": result});
    let mut lies: Vec<_> = [
        json!("1"),
        json!("0"),
        json!(999_999),
        json!(-1),
        json!(1.5),
        json!(null),
        json!(true),
        json!([1]),
        json!({}),
    ]
    .map(answer)
    .into();
    lies.extend([
        json!({"jsonrpc": "2.0", "result": result}),
        json!({"jsonrpc": "2.0", "id": 999_999, "error": {"code": -32603, "message": "hush"}}),
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "hush"}}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"}),
        json!({"jsonrpc": "1.0", "id": 1, "result": result}),
        json!([answer(json!(1))]),
        json!({}),
        json!(1),
    ]);
    for lie in lies {
        liar.lie("POST /mcp tools/call", Lie::Answer(200, lie.clone()));
        let ended = call(&account, &liar.url);
        fails(&ended, 1, &["does not speak MCP here"]);
        assert!(!ended.stdout.contains("hush") && ended.stderr.len() < 1000, "{lie}: {ended:#?}");
        liar.repent();
    }
    call(&account, &liar.url).done();
}

/// Ends a command, and says how it ended and how much memory it took at most, in MiB.
fn measured(account: &Account, arguments: &[&str]) -> (Ended, u64) {
    let running = Running::start(account.command(arguments));
    let (mut peak, started) = (0, Instant::now());
    while let Some(now) = running.peak_memory_mib() {
        peak = peak.max(now);
        assert!(started.elapsed() < Duration::from_secs(100), "`--timeout` is at most 60 s: {arguments:?}");
        thread::sleep(Duration::from_millis(5));
    }
    (running.ended(), peak)
}

#[test]
fn c15_what_has_no_end_is_bounded_in_time_and_memory() {
    const ZEROS: &[u8] = &[b'0'; 64 * 1024];
    let (sse, json) = ("text/event-stream", "application/json");
    let liar = Liar::start();
    let account = account();
    call(&account, &liar.url).done();
    let arguments = ["call", "echo", "hi", "--server", &liar.url];
    let event = b"data: {\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n\n";
    let late = (5, "did not answer within 2 s");
    let not_mcp = (1, "does not speak MCP here");
    let large = (1, "is larger than 1 MiB");
    let mut seen = 0;
    for (name, what, lie, (code, words)) in [
        ("comments without end", "POST /mcp", Lie::Endless(sse, b"", b": nothing\n\n"), late),
        ("events without end", "POST /mcp", Lie::Endless(sse, b"", event), late),
        ("retries without end", "POST /mcp", Lie::Endless(sse, b"", b"retry: 999999999\nid: 1\ndata:\n\n"), late),
        ("a line without end", "POST /mcp", Lie::Endless(sse, b"data: ", ZEROS), (1, "broke off, or had an event")),
        ("JSON without end", "POST /mcp", Lie::Endless(json, b"{\"jsonrpc\": \"", ZEROS), not_mcp),
        ("a bomb", "POST /mcp", Lie::GzipBomb, not_mcp),
        ("a page without end", "POST /mcp", Lie::Endless("text/html", b"", ZEROS), not_mcp),
        ("a token without end", "POST /token", Lie::Endless(json, b"{\"access_token\": \"", ZEROS), large),
        ("a bomb of a token", "POST /token", Lie::GzipBomb, large),
        ("metadata without end", "GET /.well-known", Lie::Endless(json, b"{\"issuer\": \"", ZEROS), large),
        ("a bomb of metadata", "GET /.well-known", Lie::GzipBomb, large),
    ] {
        if what != "POST /mcp" {
            liar.revoke_all();
        }
        liar.lie(what, lie);
        // Only what is bounded by time may depend on it.
        let timeout = if (code, words) == late { "2s" } else { "60s" };
        let (ended, peak) = measured(&account, &[&arguments[..], &["--timeout", timeout]].concat());
        fails(&ended, code, &[words]);
        assert!(ended.stderr.len() < 1000, "{name}: {ended:#?}");
        assert!(peak < 160, "{name}: {peak} MiB");
        seen += usize::from(peak > 1);
        liar.repent();
    }
    // A process that ends at once may do so between two looks; those that wait are always seen.
    assert!(seen >= 3, "{seen}");
    assert_eq!(account.run(&arguments).done(), "hi\n", "the twin");
}
