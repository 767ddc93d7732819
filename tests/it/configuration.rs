//! Settings as the command shows and uses them, and what a process keeps to itself.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{
    cli::Account,
    person::Person,
    process::{Running, Serve},
    until::block_until,
};

fn write(account: &Account, name: &str, text: &str) {
    fs::write(account.home().join(name), text).expect("the home is writable");
}

#[test]
fn config_show_tells_every_setting_and_where_it_comes_from() {
    let account = Account::new().with("SECUREMCP_CLIENT_SECRET", "hunter2").with("OAUTH_AUDIENCE", "old");
    write(&account, "securemcp.toml", "[server]\nlisten = \"127.0.0.1:9000\"\n");
    let show = |more: &[&str]| account.run(&[&["config", "show"], more].concat());
    let text = show(&[]).done().to_owned();
    for line in [
        "server.listen = \"127.0.0.1:9000\"  # `securemcp.toml` line 2",
        "server.audiences = \"old\"  # `OAUTH_AUDIENCE`",
        "server.drain_timeout = \"25s\"  # default",
        "# issuer.url: none: the embedded issuer",
        "# client.secret = [redacted]  # `SECUREMCP_CLIENT_SECRET`",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    let document = show(&["--output", "json"]).json();
    assert_eq!(document["server.listen"], json!({"value": "127.0.0.1:9000", "origin": "`securemcp.toml` line 2"}));
    assert_eq!(document["client.secret"], json!({"value": "[redacted]", "origin": "`SECUREMCP_CLIENT_SECRET`"}));
    assert_eq!(document["issuer.url"], json!({"value": null, "origin": "default"}));
    assert_eq!(document.as_object().expect("an object").len(), text.lines().count());
    assert!(!format!("{text}{document}").contains("hunter2"));

    // A command's variables may be secrets.
    write(&account, "command.toml", "upstream.command = \"env API_KEY='top secret' B=2 program --a=b\"\n");
    let command = show(&["--config", "command.toml"]);
    let shown = "upstream.command = \"env API_KEY=[redacted] B=[redacted] program --a=b\"  # `command.toml` line 1";
    assert!(command.done().lines().any(|line| line == shown), "{command:?}");

    // A section whose names are free is shown whole.
    let section =
        "[upstream]\nurl = \"http://127.0.0.1:9/mcp\"\n[upstream.scopes]\n\"a b\" = \"x\"\nc = [\"y\", \"z\"]\n";
    write(&account, "guards.toml", section);
    let guards = show(&["--config", "guards.toml", "--output", "json"]).json();
    assert_eq!(guards["upstream.scopes"]["value"], json!({"a b": "x", "c": ["y", "z"]}));
    write(&account, "guards.toml", show(&["--config", "guards.toml"]).done());
    let again = show(&["--config", "guards.toml", "--output", "json"]).json();
    assert_eq!(again["upstream.scopes"]["value"], guards["upstream.scopes"]["value"]);

    // What is shown is a configuration file that means the same.
    write(&account, "shown.toml", &text);
    let again = show(&["--config", "shown.toml", "--output", "json"]).json();
    let values = |document: &Value| -> Vec<Value> {
        document.as_object().expect("an object").values().map(|one| one["value"].clone()).collect()
    };
    assert_eq!(values(&again), values(&document));

    write(&account, "securemcp.toml", "server.lisen = 1");
    show(&[]).failed(3, &["`securemcp.toml` line 1: there is no key `server.lisen`"]);
    let of_clients = show(&["--client", "--output", "json"]).json();
    assert_eq!(of_clients["client.server"]["value"], "http://127.0.0.1:8000/mcp");
    assert_eq!(of_clients.get("server.listen"), None);
}

#[test]
fn client_commands_read_nothing_from_the_working_directory() {
    let account = Account::new();
    let serve = account.start(&[]);
    let evil = "client.server = \"http://127.0.0.1:9/mcp\"\n[issuer]\nurl = \"http://127.0.0.1:9\"\n";
    for name in ["securemcp.toml", ".securemcp.toml", ".env", "config.toml", ".config/securemcp.toml"] {
        fs::create_dir_all(account.home().join(".config")).expect("the home is writable");
        write(&account, name, if name == ".env" { "SECUREMCP_SERVER=http://127.0.0.1:9/mcp\n" } else { evil });
    }
    for arguments in [
        &["call", "echo", "hi"][..],
        &["tools"],
        &["token", "get"],
        &["health"],
        &["dcr", "register", "--name", "elsewhere"],
        &["token", "forget"],
    ] {
        account.run(&[arguments, &["--server", &serve.url]].concat()).done();
    }
    let shown = account.run(&["config", "show", "--client", "--output", "json"]).json();
    assert!(shown.as_object().expect("an object").values().all(|one| one["origin"] == "default"), "{shown}");
    // The same file, named, is read.
    account.run(&["call", "echo", "hi", "--config", "securemcp.toml"]).failed(5, &["127.0.0.1:9"]);
}

#[tokio::test]
async fn audit_events_have_a_file_of_their_own_whatever_the_level() {
    let account = Account::new().with("SECUREMCP_LOG_FILE", "log.json").with("SECUREMCP_LOG_LEVEL", "info");
    let serve = Serve::start_saying(
        account.command(&["serve", "--listen", "127.0.0.1:0", "--audit-file", "audit.json"]),
        &account.home().join("log.json"),
    );
    assert_eq!(serve.post("/mcp").header("x-request-id", "r-1").send().await.expect("an answer").status(), 401);
    serve.process.signal(Signal::TERM);
    let ended = serve.process.ended();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "all lines are in the files");
    let lines = |name: &str| -> Vec<Value> {
        let path = account.home().join(name);
        assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o777, 0o600);
        let text = fs::read_to_string(path).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let audit = lines("audit.json");
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!(audit[0]["message"], "authentication_failed");
    assert_eq!(audit[0]["request_id"], "r-1");
    let log = lines("log.json");
    assert!(log.len() >= 2 && log.iter().all(|event| event["target"] != "audit"), "{log:?}");
}

#[test]
fn p02_an_audit_file_that_others_could_change_is_refused() {
    let person = Person::new();
    let serve = || person.run(&["serve", "--listen", "127.0.0.1:0", "--audit-file", "audit.json"]);
    person.write("audit.json", "", 0o620);
    serve().failed(1, &["audit.json` may be written by group or others: its mode is 620", "hint: chmod go-w "]);
    person.write("sealed", "", 0o400);
    let ended = person.run(&["serve", "--listen", "127.0.0.1:0", "--audit-file", "sealed"]);
    ended.failed(1, &["cannot append to `", "hint: set `log.file` or `audit.file`"]);
    fs::remove_file(person.path("audit.json")).expect("it is there");
    std::os::unix::fs::symlink("sealed", person.path("audit.json")).expect("nothing is there");
    serve().failed(1, &["audit.json` is a symbolic link"]);
    assert!(!person.state().exists(), "nothing was begun");
}

#[test]
fn tokens_can_be_forgotten_at_once() {
    let account = Account::new();
    let serve = account.start(&[]);
    let kept = |variables: &[(&'static str, &str)]| {
        let mut command = account.command(&["call", "echo", "hi", "--server", &serve.url]);
        command.envs(variables.iter().copied());
        Running::start(command).ended().done();
        account.state().join("tokens").exists()
    };
    assert!(!kept(&[("SECUREMCP_TOKEN_STORE", "memory")]));
    assert!(kept(&[]), "the twin");
}

#[test]
fn p04_no_process_leaves_a_core_or_lets_its_account_look_inside() {
    let person = Person::new();
    let serve = person.start();
    let process = format!("/proc/{}", serve.process.pid().as_raw_nonzero());
    let limits = fs::read_to_string(format!("{process}/limits")).expect("text");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    // Its memory and environment would be this account's to read.
    let look = |path: &str| person.run_other("cat", &[path]);
    assert_ne!(look(&format!("{process}/environ")).code, Some(0));
    let mut other = person.command_of_other("sleep", &["60"]);
    let twin = Running::start({
        other.env("WITNESS", "1");
        other
    });
    let twin_environment = format!("/proc/{}/environ", twin.pid().as_raw_nonzero());
    // At first it is the program that changes the user, which is nobody's to look into either.
    block_until("the twin's environment can be read", || look(&twin_environment).stdout.contains("WITNESS"));
}

/// Every path below a directory.
fn paths(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        found.push(entry.path().display().to_string());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            paths(&entry.path(), found);
        }
    }
}

#[test]
fn p06_it_runs_as_nobody_in_a_directory_that_it_cannot_write() {
    let person = Person::new();
    person.write("securemcp.toml", "server.tls_self_signed = true\nstate_dir = 'state'\n", 0o644);
    person.make_directory("state", 0o700);
    person.change_mode(".", 0o555);
    let mut before = Vec::new();
    paths(&person.path("."), &mut before);
    let mut command: Command = person.command(&["serve", "--listen", "127.0.0.1:0"]);
    // Whatever asks for a temporary file would have to make it here.
    command.env("TMPDIR", person.path("."));
    let serve = Serve::start(command);
    let ca = person.path("state/tls/self-signed.pem").display().to_string();
    let call = ["call", "echo", "hi", "--server", &serve.url, "--ca", &ca, "--state-dir", "state"];
    assert_eq!(person.run(&call).done(), "hi\n");
    serve.process.signal(Signal::HUP);
    let mut serve = serve;
    serve.process.said("reloaded");
    let status = fs::read_to_string(format!("/proc/{}/status", serve.process.pid().as_raw_nonzero())).expect("text");
    let user = status.lines().find(|line| line.starts_with("Uid:")).expect("a user");
    assert!(!user.split_whitespace().any(|id| id == "0"), "{user}");
    serve.process.signal(Signal::TERM);
    assert_eq!(serve.process.ended().code, Some(0));
    let mut after = Vec::new();
    paths(&person.path("."), &mut after);
    let state = person.path("./state").display().to_string();
    after.retain(|path| !path.starts_with(&format!("{state}/")));
    before.sort();
    after.sort();
    assert_eq!(after, before);
    person.change_mode(".", 0o755);
}
