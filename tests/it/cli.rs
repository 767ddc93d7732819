//! The command line where no server is needed: usage, exit codes, settings, standard streams.

use std::{
    fs,
    io::Read as _,
    net::TcpListener,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::harness::cli::Account;

/// A port where nothing listens: it was free a moment ago.
fn nowhere() -> String {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    format!("http://{}/mcp", address.expect("a free port"))
}

/// Help without its line breaks, which depend on the width.
fn on_one_line(help: &str) -> String {
    help.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn usage_errors_end_with_2_and_say_what_was_meant() {
    let account = Account::new();
    for (arguments, words) in [
        (&["tool"][..], &["error: unknown command `tool`", "did you mean `tools`?"][..]),
        (&["tools", "--sever", "x"], &["error: unknown flag `--sever`", "did you mean `--server`?"]),
        (&["tools", "extra"], &["error: unexpected argument `extra`", "hint: usage: securemcp tools"]),
        (&["token"], &["error: a command is missing", "`get`, `inspect`, `revoke`, `forget`"]),
        (&["call"], &["error: `<TOOL>` is missing"]),
        (&["tools", "--timeout", "soon"], &["`--timeout` is `soon`: expected a time such as"]),
        (
            &["tools", "--output", "jsn"],
            &["`--output` is `jsn`, expected one of `text`, `json`", "did you mean `json`?"],
        ),
        (&["call", "x", "--json", "{}", "y"], &["`--json` is not to be combined with"]),
        (&["call", "x", "--json", "[1]"], &["error: `--json` is not a JSON object", "--json @FILE"]),
        (&["call", "x", "--json", "@nowhere.json"], &["error: cannot read `nowhere.json`"]),
        (&["token", "get", "--scope", "a\"b"], &["is not a scope"]),
        (&[], &["error: a command is missing", "`serve`"]),
    ] {
        let code = if words[0].contains("nowhere.json") { 1 } else { 2 };
        let ended = account.run(arguments);
        ended.failed(code, words);
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
}

#[test]
fn a_flag_without_its_value_is_named_wherever_it_stands() {
    let account = Account::new();
    for (arguments, flag, written) in [
        (&["call", "echo", "--scope"][..], "--scope", "--scope <SCOPES>"),
        (&["call", "echo", "hi", "--scope", "--uppercase"], "--scope", "--scope <SCOPES>"),
        (&["call", "echo", "--timeout"], "--timeout", "--timeout <TIME>"),
        (&["call", "echo", "--json"], "--json", "--json <JSON>"),
        (&["call", "--ca"], "--ca", "--ca <FILE>"),
        (&["tools", "--scope"], "--scope", "--scope <SCOPES>"),
        (&["tools", "--timeout", "--quiet"], "--timeout", "--timeout <TIME>"),
        (&["token", "get", "--scope", "--header"], "--scope", "--scope <SCOPES>"),
        (&["dcr", "register", "--name"], "--name", "--name <NAME>"),
        (&["serve", "--listen"], "--listen", "--listen <ADDRESS>"),
        (&["--config"], "--config", "--config <FILE>"),
    ] {
        let hint = format!("hint: write `{written}`; a value that begins with a dash as `{flag}=VALUE`");
        account.run(arguments).failed(2, &[&format!("error: `{flag}` needs a value"), &hint]);
    }
    for arguments in
        [&["call", "echo", "--timeout", "-1"][..], &["tools", "--timeout", "-1"], &["tools", "--timeout=-1"]]
    {
        account.run(arguments).failed(2, &["error: `--timeout` is `-1`: expected a time such as"]);
    }
}

#[test]
fn no_flag_takes_a_secret_and_the_hint_leads_elsewhere() {
    let account = Account::new();
    account.run(&["tools", "--token", "hunter2"]).failed(2, &["unknown flag `--token`", "`SECUREMCP_TOKEN`"]);
    let ended = account.run(&["token", "get", "--client-secret", "hunter2"]);
    ended.failed(2, &["unknown flag `--client-secret`", "`--client-secret-file`"]);
    assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
}

#[test]
fn with_json_a_failure_is_one_object_at_the_end_of_stderr() {
    let account = Account::new();
    for arguments in [&["--output", "json", "tool"][..], &["tool", "--output=json"], &["call", "--output", "json"]] {
        let ended = account.run(arguments);
        assert_eq!((ended.code, ended.error()["code"].as_str()), (Some(2), Some("usage")), "{arguments:?}");
    }
    let ended = account.run(&["tools", "--output", "json", "--server", &nowhere()]);
    assert_eq!(ended.error()["code"], "unreachable");
    assert!(ended.error()["message"].as_str().unwrap().starts_with("cannot reach `http://127.0.0.1:"), "{ended:?}");
    assert!(ended.error()["hint"].is_string(), "{ended:?}");
}

#[test]
fn a_server_that_is_not_there_ends_with_5() {
    let (account, server) = (Account::new().with("SECUREMCP_SERVER", &nowhere()), "error: cannot reach `");
    for arguments in [&["tools"][..], &["call", "echo", "hi"], &["call", "echo", "--help"], &["token", "get"]] {
        account.run(arguments).failed(5, &[server, "  caused by: ", "hint: "]);
    }
    let ended = account.run(&["health"]);
    ended.failed(5, &["is not healthy"]);
    assert!(ended.stdout.starts_with("fail  server live"), "{ended:?}");
    assert!(ended.stdout.contains("hint: start it with `securemcp serve`"), "{ended:?}");
}

#[test]
fn a_server_that_never_answers_ends_with_5_in_time() {
    // The backlog takes the connection; nobody reads it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}/mcp", listener.local_addr().unwrap());
    let started = Instant::now();
    let ended = Account::new().run(&["tools", "--server", &server, "--timeout", "200ms"]);
    ended.failed(5, &["did not answer within 0.2 s", "--timeout"]);
    assert!(started.elapsed() < Duration::from_secs(10));
    let started = Instant::now();
    Account::new().run(&["health", "--server", &server, "--wait", "300ms"]).failed(5, &["is not healthy"]);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn settings_that_cannot_be_used_end_with_3() {
    Account::new().with("SECUREMCP_SEVER", "http://x").run(&["tools"]).failed(3, &["`SECUREMCP_SEVER`"]);
    let account = Account::new();
    account.run(&["tools", "--server", "ftp://x"]).failed(3, &["`--server`"]);
    account.run(&["tools", "--config", "none.toml"]).failed(3, &["none.toml"]);
    account.run(&["tools", "--ca", "none.pem"]).failed(3, &["cannot read `none.pem`", "PEM"]);
    fs::write(account.home().join("empty.pem"), "no certificate").unwrap();
    account.run(&["tools", "--ca", "empty.pem"]).failed(3, &["`empty.pem` has no certificate"]);
}

#[test]
fn client_commands_read_no_file_of_the_working_directory() {
    let account = Account::new().with("SECUREMCP_SERVER", &nowhere());
    fs::write(account.home().join("securemcp.toml"), "nonsense = ").unwrap();
    fs::write(account.home().join(".env"), "SECUREMCP_SEVER=x\n").unwrap();
    account.run(&["tools"]).failed(5, &["cannot reach"]);
}

#[test]
fn help_lists_variables_and_goes_to_stdout() {
    let account = Account::new();
    for (arguments, words) in [
        (&["--help"][..], &["securemcp serve", "Exit codes:", "[env: SECUREMCP_SERVER]"][..]),
        (&["serve", "--help"], &["--listen <ADDRESS>", "[env: SECUREMCP_LISTEN]", "--check", "Examples:"]),
        (&["call", "--help"], &["--json <JSON>", "[env: SECUREMCP_TOKEN]", "--arg NAME=VALUE"]),
        (&["help", "call"], &["--json <JSON>"]),
        (&["token", "get", "-h"], &["--header", "[env: SECUREMCP_CLIENT_ID]", "[env: SECUREMCP_CLIENT_SECRET]"]),
        (&["dcr", "register", "--help"], &["[env: SECUREMCP_INITIAL_ACCESS_TOKEN]", "private_key_jwt"]),
        (&["--version"], &[env!("CARGO_PKG_VERSION")]),
    ] {
        let ended = account.run(arguments);
        let text = on_one_line(ended.done());
        for words in words {
            assert!(text.contains(words), "`{words}` in {ended:#?}");
        }
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn safety_switches_have_no_variable() {
    let help = Account::new().run(&["serve", "--help"]);
    let help = on_one_line(help.done());
    let (_, switch) = help.split_once("--embedded-issuer-on-network").unwrap();
    let words = switch.split("--").next().unwrap();
    assert!(words.contains("network") && !words.contains("[env:"), "{words}");
}

#[test]
fn global_flags_stand_before_or_after_the_command() {
    let account = Account::new();
    for arguments in [["--output", "json", "health"], ["health", "--output", "json"]] {
        assert_eq!(account.run(&[&arguments[..], &["--server", &nowhere()]].concat()).json()[0]["state"], "fail");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let account = Account::new();
    let mut child = account.command(&["--help"]).spawn().unwrap();
    drop(child.stdout.take());
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert_eq!((child.wait().unwrap().code(), words.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_is_a_failure() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Account::new().command(&["--version"]).stdout(Stdio::from(full)).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: cannot write the result to stdout"));
}

#[test]
fn ctrl_c_ends_with_130() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}/mcp", listener.local_addr().unwrap());
    let account = Account::new();
    let child = account.command(&["tools", "--server", &server]).spawn().unwrap();
    // Once it asks, it waits for an answer and for signals.
    let (mut connection, _) = listener.accept().unwrap();
    connection.read_exact(&mut [0]).unwrap();
    let process = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &process]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: interrupted\n");
}

#[test]
fn colours_are_for_those_who_want_them() {
    let account = Account::new();
    assert!(!account.run(&["tool"]).stderr.contains('\u{1b}'), "no terminal, no colour");
    assert!(account.run(&["tool", "--color", "always"]).stderr.starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m "));
    assert!(!account.run(&["--help", "--color", "never"]).stdout.contains('\u{1b}'));
}

#[test]
fn quiet_leaves_results_and_errors() {
    let account = Account::new().with("SECUREMCP_SERVER", &nowhere());
    let ended = account.run(&["token", "forget", "-q"]);
    assert_eq!((ended.done(), ended.stderr.as_str()), ("", ""));
    account.run(&["-q", "tools"]).failed(5, &["error: "]);
}

#[test]
fn a_shell_that_completes_hears_nothing_of_what_is_wrong_and_nothing_is_made() {
    let account = Account::new();
    for (variable, line) in [
        ("", "securemcp call ec"),
        ("", "securemcp call --server nonsense ec"),
        ("", "securemcp call --config missing.toml ec"),
        ("x", "securemcp call ec"),
        ("", "securemcp 'call"),
        ("", ""),
    ] {
        let mut command = account.command(&["__complete", line]);
        let output = command.env("SECUREMCP_NONSENSE", variable).output().expect("it starts");
        assert_eq!((output.status.code(), output.stdout, output.stderr), (Some(0), Vec::new(), Vec::new()), "{line}");
    }
    assert_eq!(std::fs::read_dir(account.home()).expect("it is there").count(), 0);
}
