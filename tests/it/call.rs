//! The command line against the server that it ships with, as two processes of one account.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::{
    cli::{Account, Serving},
    process::{Serve, free_port},
};

/// A running server, and an account whose commands find it.
fn account() -> (Account, Serving) {
    let account = Account::new();
    let serving = account.serve();
    let account = account.with("SECUREMCP_SERVER", &serving.url);
    (account, serving)
}

#[test]
fn hello_needs_no_set_up() {
    let (account, _serving) = account();
    let ended = account.run(&["call", "echo", "Hello!"]);
    assert_eq!((ended.done(), ended.stderr.as_str()), ("Hello!\n", ""));
}

#[test]
fn arguments_come_by_position_by_name_and_as_json() {
    let (account, _serving) = account();
    for (arguments, output) in [
        (&["calculator", "add", "2", "-3", "4"][..], "3\n"),
        (&["calculator", "--operands", "2", "--operands", "-3", "subtract"], "5\n"),
        (&["echo", "--message", "Hello!", "--uppercase"], "HELLO!\n"),
        (&["echo", "--no-uppercase", "--", "--uppercase"], "--uppercase\n"),
        (&["echo", "--arg", "message=by name"], "by name\n"),
        (&["echo", "--json", r#"{"message":"hi"}"#], "hi\n"),
    ] {
        let arguments = [&["call"], arguments].concat();
        assert_eq!(account.run(&arguments).done(), output, "{arguments:?}");
    }
    std::fs::write(account.home().join("arguments.json"), r#"{"message":"from a file"}"#).unwrap();
    assert_eq!(account.run(&["call", "echo", "--json", "@arguments.json"]).done(), "from a file\n");
    let ended = account.run_with_input(&["call", "echo", "--json", "-"], r#"{"message":"from stdin"}"#);
    assert_eq!(ended.done(), "from stdin\n");
}

#[test]
fn json_is_the_whole_result() {
    let (account, _serving) = account();
    let result = account.run(&["call", "echo", "hi", "--output", "json"]).json();
    assert_eq!(result["content"][0], json!({"type": "text", "text": "hi"}));
    assert_eq!(result["structuredContent"]["length"], 2);
}

#[test]
fn arguments_that_do_not_fit_end_with_2_and_the_usage() {
    let (account, _serving) = account();
    let usage = "usage: securemcp call echo <message> [--uppercase] [--timestamp]";
    account.run(&["call", "echo"]).failed(2, &["error: `message` is missing, expected a string", usage]);
    account.run(&["call", "echo", "hi", "--shout"]).failed(2, &["`echo` has no flag `--shout`", usage]);
    account.run(&["call", "calculator", "ad", "1"]).failed(2, &["`operation` is `ad`, expected one of `add`,"]);
    account.run(&["call", "ecko", "hi"]).failed(2, &["no tool `ecko`", "did you mean `echo`?", "`securemcp tools`"]);
    account.run(&["call", "nothing", "--json", "{}"]).failed(2, &["`nothing`", "hint: `securemcp tools` lists"]);
}

#[test]
fn arguments_as_json_are_judged_like_words() {
    let (account, _serving) = account();
    let usage = "usage: securemcp call echo <message> [--uppercase] [--timestamp]";
    for (tool, json, words) in [
        ("echo", "{}", &["error: `message` is missing, expected a string", usage][..]),
        ("echo", r#"{"message":5}"#, &["error: `message` is `5`, expected a string", usage]),
        ("echo", r#"{"message":"hi","mesage":1}"#, &["`echo` has no argument `mesage`", "did you mean `message`?"]),
        ("calculator", r#"{"operation":"ad","operands":[1]}"#, &["`operation` is `ad`, expected one of `add`,"]),
    ] {
        let ended = account.run(&["call", tool, "--json", json]);
        ended.failed(2, words);
        let ended = account.run(&["call", tool, "--json", json, "--output", "json"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:#?}");
    }
    // What fits, and the tool still refuses, is the tool's own error.
    let divide = r#"{"operation":"divide","operands":[1,0]}"#;
    account.run(&["call", "calculator", "--json", divide]).failed(1, &["division by zero"]);
}

#[test]
fn arguments_larger_than_the_servers_limit_end_with_1_and_name_it() {
    let (account, _serving) = account();
    let arguments = |name: &str, length: usize| {
        std::fs::write(account.home().join(name), json!({"message": "x".repeat(length)}).to_string()).unwrap();
        format!("@{name}")
    };
    let large = arguments("large.json", 10_000_000);
    // Without a token the first answer is a 401, with one it is the 413: both come while the client still sends.
    for _ in 0..2 {
        let ended = account.run(&["call", "echo", "--json", &large]);
        ended.failed(1, &["error: the body is larger than 4194304 bytes: send less at once"]);
    }
    let fits = arguments("fits.json", 4_000_000);
    account.run(&["token", "revoke"]).done();
    assert_eq!(account.run(&["call", "echo", "--json", &fits]).done().len(), 4_000_001);
}

#[test]
fn what_a_tool_refuses_ends_with_1() {
    let (account, _serving) = account();
    let ended = account.run(&["call", "calculator", "divide", "1", "0"]);
    ended.failed(1, &["division by zero"]);
    assert_eq!(ended.stdout, "");
    let ended = account.run(&["call", "calculator", "divide", "1", "0", "--output", "json"]);
    assert_eq!((ended.code, ended.error()["code"].as_str()), (Some(1), Some("failed")));
    assert_eq!(ended.json()["isError"], true);
}

#[test]
fn a_tool_has_help_of_its_own() {
    let (account, _serving) = account();
    let help = account.run(&["call", "echo", "--help"]);
    for words in ["Usage: securemcp call echo <message>", "--uppercase", "default false", "Scopes: mcp:read"] {
        assert!(help.done().contains(words), "`{words}` in {help:#?}");
    }
}

#[test]
fn tools_lists_arguments_and_scopes() {
    let (account, _serving) = account();
    let list = account.run(&["tools"]);
    let echo = list.done().lines().find(|line| line.starts_with("echo ")).unwrap();
    assert!(echo.contains("<message> [--uppercase] [--timestamp]") && echo.contains("mcp:read"), "{echo}");
    let list = account.run(&["tools", "--output", "json"]).json();
    let names: Vec<_> = list.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["echo", "timestamp", "calculator", "summarize"]);
}

#[test]
fn a_model_is_a_command_of_the_users() {
    let (account, _serving) = account();
    let asked = account.run(&["call", "summarize", "long text"]);
    asked.failed(1, &["sampling", "hint: give it a model: `--sampling-command CMD`"]);
    let ended = account.run(&["call", "summarize", "long text", "--sampling-command", "cat >/dev/null; echo short"]);
    assert_eq!(ended.done(), "short\n");
}

#[test]
fn ending_a_token_is_one_document_too() {
    let (account, _serving) = account();
    account.run(&["token", "get"]).done();
    assert_eq!(account.run(&["token", "revoke", "--output", "json"]).json(), serde_json::json!({"revoked": true}));
    assert_eq!(account.run(&["token", "revoke", "--output", "json"]).json(), serde_json::json!({"revoked": false}));
    account.run(&["token", "get"]).done();
    assert_eq!(account.run(&["token", "forget", "--output", "json"]).json(), serde_json::json!({"forgotten": 1}));
}

#[test]
fn a_token_is_printed_alone_and_works_elsewhere() {
    let (account, serving) = account();
    let token = account.run(&["token", "get"]).done().trim_end().to_owned();
    assert_eq!(token.split('.').count(), 3);
    assert_eq!(account.run(&["token", "get", "--header"]).done(), format!("Authorization: Bearer {token}\n"));
    assert_eq!(account.run(&["token", "get", "--output", "json"]).json()["access_token"], token);
    assert_ne!(account.run(&["token", "get", "--new"]).done().trim_end(), token);
    let stranger = Account::new().with("SECUREMCP_SERVER", &serving.url).with("SECUREMCP_TOKEN", &token);
    assert_eq!(stranger.run(&["call", "echo", "hi"]).done(), "hi\n");
    let ended = account.run_with_input(&["call", "echo", "hi", "--token-file", "-"], &format!("{token}\n"));
    assert_eq!(ended.done(), "hi\n");
}

#[test]
fn the_most_talkative_log_has_no_secret_in_it() {
    let (account, _serving) = account();
    let ended = account.run(&["call", "echo", "hi", "-vvv"]);
    assert!(ended.stderr.contains("/token") && ended.stderr.contains("connected"), "{ended:#?}");
    let token = account.run(&["token", "get"]).done().trim_end().to_owned();
    let signature = token.rsplit('.').next().unwrap();
    assert!(!ended.stderr.contains(signature) && !ended.stderr.contains("eyJ"), "{ended:#?}");
}

#[test]
fn without_a_way_to_a_token_it_ends_with_4() {
    let (_account, serving) = account();
    let stranger = Account::new().with("SECUREMCP_SERVER", &serving.url);
    stranger.run(&["call", "echo", "hi"]).failed(4, &["error: ", "hint: "]);
    stranger.with("SECUREMCP_TOKEN", "a.b.c").run(&["call", "echo", "hi"]).failed(4, &["error: "]);
}

#[test]
fn a_scope_that_is_not_to_be_had_ends_with_6() {
    let (account, _serving) = account();
    account.run(&["call", "echo", "hi", "--scope", "mcp:none"]).failed(6, &["invalid_scope"]);
}

#[test]
fn scopes_that_are_named_are_what_is_got_and_no_more() {
    let (account, _serving) = account();
    let get = |more: &[&str]| {
        let got = account.run(&[&["token", "get", "--output", "json"], more].concat()).json();
        (got["scope"].as_str().unwrap().to_owned(), got["access_token"].as_str().unwrap().to_owned())
    };
    let (scope, all) = get(&[]);
    assert_eq!(scope, "mcp:read mcp:write mcp:infer");
    assert_eq!(get(&["--scope", "mcp:read"]).0, "mcp:read");
    assert_eq!(get(&[]), (scope, all), "without `--scope`, what the server asks for");
    let add = ["call", "calculator", "add", "1", "2"];
    let hint = "hint: ask for them too with `--scope \"mcp:read mcp:write\"`, or leave `--scope` out";
    let words = ["does not permit this, it needs the scopes `mcp:write`", hint];
    account.run(&[&add[..], &["--scope", "mcp:read"]].concat()).failed(6, &words);
    assert_eq!(account.run(&add).done(), "3\n", "the twin");
    assert_eq!(get(&["--scope", "mcp:read"]).0, "mcp:read");
}

#[test]
fn inspect_tells_what_a_token_says_without_the_token() {
    let (account, serving) = account();
    account.run(&["token", "inspect"]).failed(4, &["no token is kept", "`securemcp token get`"]);
    let token = account.run(&["token", "get"]).done().trim_end().to_owned();
    let ended = account.run(&["token", "inspect"]);
    for words in ["at+jwt", "expires in 1", &format!("good for `{}`", serving.url)] {
        assert!(ended.done().contains(words), "`{words}` in {ended:#?}");
    }
    assert!(!ended.stdout.contains(&token) && !ended.stdout.contains(token.rsplit('.').next().unwrap()));
    let forged = format!("{}AAAA", &token[..token.len() - 4]);
    let ended = account.run_with_input(&["token", "inspect", "--token-file", "-"], &forged);
    ended.failed(4, &["error: token is not good for", "  caused by: token signature does not fit", "hint: "]);
    assert!(!ended.stderr.contains(&forged));
    let ended = account.run_with_input(&["token", "inspect", "--token-file", "-", "--output", "json"], &forged);
    assert_eq!((ended.code, &ended.json()["accepted"]), (Some(4), &json!(false)));
}

#[test]
fn c14_a_claim_that_a_stranger_has_written_makes_no_line_of_its_own() {
    let (account, _serving) = account();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"iss": "https://evil.example", "sub": "mallory\nFORGED", "a\nFORGED": 1,
        "aud": "x", "exp": 1, "iat": 0, "jti": "x", "client_id": "x"});
    let token = format!("{}.{}.AAAA", part(&json!({"alg": "RS256", "typ": "at+jwt", "kid": "x"})), part(&claims));
    let ended = account.run_with_input(&["token", "inspect", "--token-file", "-"], &token);
    assert!(ended.code == Some(4) && ended.stdout.contains("mallory\\nFORGED"), "{ended:#?}");
    assert!(!ended.stdout.lines().any(|line| line.trim_start().starts_with("FORGED")), "{ended:#?}");
    assert!(!ended.stderr.contains("set `issuer.url`"), "nobody is told to trust it: {ended:#?}");
}

#[test]
fn a_revoked_or_forgotten_token_is_gone() {
    let (account, serving) = account();
    for command in ["revoke", "forget"] {
        let token = account.run(&["token", "get"]).done().trim_end().to_owned();
        account.run(&["token", command]).done();
        assert_ne!(account.run(&["token", "get"]).done().trim_end(), token, "{command}");
        let old = Account::new().with("SECUREMCP_SERVER", &serving.url).with("SECUREMCP_TOKEN", &token);
        let code = if command == "revoke" { 4 } else { 0 };
        assert_eq!(old.run(&["call", "echo", "hi"]).code, Some(code), "{command}");
    }
}

#[test]
fn health_is_a_line_for_each_check() {
    let (account, _serving) = account();
    let ended = account.run(&["health", "--wait", "20s"]);
    assert_eq!(ended.done().lines().filter(|line| line.starts_with("ok    ")).count(), 7, "{ended:#?}");
    assert_eq!(ended.stdout.lines().count(), 7, "{ended:#?}");
}

#[test]
fn a_container_asks_its_server_alone_by_whatever_name() {
    let (account, serving) = account();
    for state in ["live", "ready"] {
        let ended = account.run(&["health", "--only", state]);
        let line = format!("ok    server {state}  {}/health/{state}\n", serving.url.trim_end_matches("/mcp"));
        assert_eq!(ended.done(), line);
    }
    // A server that is not called by its own name, and whose issuer is away.
    let listen = format!("127.0.0.1:{}", free_port());
    let flags =
        ["--resource", "https://mcp.example/mcp", "--issuer", "http://127.0.0.1:9", "--trusted-proxy", "10.0.0.1"];
    let elsewhere = ["serve", "--listen", &listen, "--state-dir", "other"];
    let _elsewhere = Serve::start(account.command(&[&elsewhere[..], &flags].concat()));
    let url = format!("http://{listen}/mcp");
    let ask = |more: &[&str]| account.run(&[&["health", "--server", &url][..], more].concat());
    ask(&["--only", "live"]).done();
    ask(&["--only", "ready"]).failed(5, &["is not healthy: 1 of 1 checks failed"]);
    ask(&[]).failed(5, &["is not healthy"]);
    drop(serving);
    account.run(&["health", "--only", "live"]).failed(5, &["1 of 1"]);
}

#[test]
fn a_registration_is_kept_and_its_secrets_are_not_shown() {
    let (account, _serving) = account();
    let register = ["dcr", "register", "--name", "ci", "--scope", "mcp:read"];
    let ended = account.run(&register);
    assert!(ended.done().contains("[redacted]") && ended.stderr.contains("saved in `"), "{ended:#?}");
    let again = account.run(&[&register[..], &["--output", "json", "--show-secrets"]].concat());
    assert!(again.stderr.contains("kept from before"), "{again:#?}");
    let secret = again.json()["client_secret"].as_str().unwrap().to_owned();
    assert!(!ended.stdout.contains(&secret));
    assert!(account.run(&["dcr", "show"]).done().contains(again.json()["client_id"].as_str().unwrap()));
}

#[test]
fn what_a_registration_lacks_is_named_before_anything_is_registered() {
    let (account, _serving) = account();
    let register = |more: &[&str]| account.run(&[&["dcr", "register"], more].concat());
    let add = "hint: to have `ci.env` made, with the new client in it, add `--auto-update`";
    register(&["--env-file", "ci.env"]).failed(3, &["env file `ci.env` does not exist", add]);
    let missing = register(&["--env-file", "sub/ci.env", "--auto-update"]);
    missing.failed(1, &["cannot write `sub/ci.env`: there is no directory `sub`", "hint: make its directory first"]);
    assert_eq!(account.run(&["dcr", "show"]).code, Some(4), "nothing was registered");
    register(&["--env-file", "ci.env", "--auto-update"]).done();
    register(&["--env-file", "ci.env"]).done();
    let codes = register(&["--grant", "authorization_code", "--redirect-uri", "http://127.0.0.1/"]);
    assert!(codes.done().contains("authorization_code"), "a client that logs people in");
}

#[test]
fn a_token_file_with_anything_else_in_it_is_told_with_what_belongs_there() {
    let account = Account::new();
    let hint = "hint: it has to hold the secret alone, such as a token as `securemcp token get` prints it";
    for bad in ["\n", "a b\n", "a\nb\n", "a\0b\n", "a\u{1}b", "t\u{f6}k", &"x".repeat(16 * 1024 + 1)] {
        std::fs::write(account.home().join("bad"), bad).unwrap();
        account.run(&["tools", "--token-file", "bad"]).failed(2, &["`bad` does not hold a secret in one line", hint]);
    }
    std::fs::write(account.home().join("good"), "a-b.c_d~e+f/g=\r\n").unwrap();
    let ended = account.run(&["tools", "--token-file", "good", "--server", "http://127.0.0.1:9/mcp"]);
    ended.failed(5, &["cannot reach"]);
}

/// A proxy would see all that is said over plain http, and has a loopback of its own.
#[test]
fn what_is_not_encrypted_goes_through_no_proxy() {
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let account = Account::new().with("http_proxy", &url).with("HTTP_PROXY", &url).with("all_proxy", &url);
    let guarded = account.start(&[]);
    assert_eq!(account.run(&["call", "echo", "hi", "--server", &guarded.url]).done(), "hi\n");
    account.run(&["token", "get", "--new", "--server", &guarded.url]).done();
    account.run(&["token", "inspect", "--server", &guarded.url]).done();
    account.run(&["health", "--server", &guarded.url]).done();
    // A server behind a guard, and an issuer elsewhere, are reached so too.
    let token = account.run(&["token", "get", "--server", &guarded.url]).done().trim_end().to_owned();
    let origin = guarded.url.trim_end_matches("/mcp").to_owned();
    let other = Account::new().with("http_proxy", &url).with("SECUREMCP_UPSTREAM_TOKEN", &token);
    let guard = other.start(&["--upstream", &guarded.url, "--issuer", &origin]);
    let ended = other.run(&["health", "--server", &guard.url]);
    assert!(ended.stdout.contains("ready"), "{ended:?}");
    assert!(proxy.accept().is_err(), "the proxy was asked");
}

#[test]
fn a_registration_for_something_else_does_not_take_the_accounts_place() {
    let (account, _serving) = account();
    let ended = account.run(&["dcr", "register", "--name", "nightly", "--scope", "mcp:read", "--output", "json"]);
    let nightly = ended.json()["client_id"].as_str().unwrap().to_owned();
    let add = ["call", "calculator", "add", "1", "2"];
    assert_eq!(account.run(&add).done(), "3\n");
    let as_nightly = [&add[..], &["--client-id", &nightly]].concat();
    assert_eq!(account.run(&as_nightly).code, Some(6), "named, it is used, and has only what it was registered for");
    assert_eq!(account.run(&["call", "echo", "hi", "--client-id", &nightly, "--scope", "mcp:read"]).done(), "hi\n");
}
