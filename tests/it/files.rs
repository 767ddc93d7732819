//! Files that others could read or write, that cannot be read, and disks that are full: one clear error, nothing half-written.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use reqwest::StatusCode;
use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use crate::{
    faults::figure,
    harness::{
        cli::{Account, Ended},
        person::Person,
        process::{Running, Serve, free_port},
        program,
    },
};

/// Asserts that there is one error, in these words, and a hint.
#[track_caller]
fn fails(ended: &Ended, code: i32, words: &[&str]) {
    ended.failed(code, words);
    assert_eq!(ended.stderr.lines().filter(|line| line.starts_with("error:")).count(), 1, "{ended:#?}");
    assert!(ended.stderr.lines().any(|line| line.trim_start().starts_with("hint: ")), "no hint: {ended:#?}");
    assert_eq!(ended.stdout, "", "{ended:#?}");
}

/// Every file below a directory but locks, which are empty, with its content.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(content(&path));
        } else if path.extension().is_none_or(|extension| extension != "lock") {
            found.insert(path.clone(), fs::read(&path).expect("it can be read"));
        }
    }
    found
}

/// The only visible file of a directory, as a path below the home directory.
fn only(person: &Person, directory: &str) -> String {
    let names = fs::read_dir(person.path(directory)).expect("a directory");
    let names = names.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let visible: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
    assert_eq!(visible.len(), 1, "{visible:?}");
    format!("{directory}/{}", visible[0])
}

#[test]
fn settings_that_others_may_write_are_refused() {
    let person = Person::new();
    let check = |arguments: &[&str], code: i32, mode: u32| {
        let ended = person.run(arguments);
        if code == 0 {
            ended.done();
        } else {
            fails(&ended, code, &["may be written by group or others", &format!("(mode {mode:04o})"), "chmod go-w "]);
        }
    };
    for (mode, code) in [(0o666, 3), (0o620, 3), (0o602, 3), (0o600, 0), (0o644, 0)] {
        person.write("securemcp.toml", "[log]\nlevel = \"info\"\n", mode);
        person.write("settings.env", "SECUREMCP_LOG_LEVEL=info\n", mode);
        check(&["serve", "--check"], code, mode);
        check(&["serve", "--check", "--config", "securemcp.toml"], code, mode);
        check(&["serve", "--check", "--config", "/dev/null", "--env-file", "settings.env"], code, mode);
        let nothing_kept = if code == 0 { 4 } else { code };
        let ended = person.run(&["token", "inspect", "--config", "securemcp.toml"]);
        assert_eq!(ended.code, Some(nothing_kept), "{ended:#?}");
    }
    person.write("secret", "hunter2\n", 0o666);
    let get =
        ["token", "get", "--server", "http://127.0.0.1:9/mcp", "--client-id", "x", "--client-secret-file", "secret"];
    fails(&person.run(&get), 3, &["may be written by group or others"]);
    person.change_mode("secret", 0o644);
    person.run(&get).failed(5, &["warning: ", "may be read by every account", "cannot reach"]);
}

#[test]
fn the_issuers_files_are_for_its_account_alone() {
    let person = Person::new();
    drop(person.start());
    let state = ".local/state/securemcp";
    let paths = [
        state.to_owned(),
        format!("{state}/issuer"),
        format!("{state}/issuer/clients"),
        format!("{state}/issuer/grants"),
        format!("{state}/issuer/revoked"),
        format!("{state}/issuer/signing-key.pem"),
        format!("{state}/local-client.json"),
        format!("{state}/initial-access-token"),
        only(&person, &format!("{state}/issuer/clients")),
    ];
    let serve = || person.run(&["serve", "--listen", "127.0.0.1:0"]);
    let check = || person.run(&["serve", "--check"]);
    for path in &paths {
        check().done();
        let is_file = person.path(path).is_file();
        let (private, open) = if is_file { (0o600, [0o640, 0o604]) } else { (0o700, [0o750, 0o701]) };
        for mode in open {
            person.change_mode(path, mode);
            for ended in [serve(), check()] {
                fails(&ended, 1, &[path, &format!("is open to others: its mode is {mode:03o}"), "chmod go-rwx "]);
            }
        }
        person.change_mode(path, private);
        let elsewhere = person.path("elsewhere");
        fs::rename(person.path(path), &elsewhere).expect("it is there");
        symlink(&elsewhere, person.path(path)).expect("nothing is there");
        for ended in [serve(), check()] {
            fails(&ended, 1, &[path, "is a symbolic link"]);
        }
        fs::remove_file(person.path(path)).expect("the link is there");
        fs::rename(&elsewhere, person.path(path)).expect("it is there");
    }
    drop(person.start());
}

#[test]
fn a_check_says_what_a_start_would_say_of_the_state_directory_and_makes_nothing() {
    let person = Person::new();
    let check = || person.run(&["serve", "--check", "--output", "json", "--state-dir", "below/state"]);
    let good = || {
        assert_eq!(check().json(), json!({"good": true, "warnings": []}));
        assert_eq!(check().stderr, "");
    };
    good();
    assert!(!person.path("below").exists(), "nothing was made");
    person.make_directory("below", 0o500);
    for directory in ["below", "below/state"] {
        let refused = check();
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
        let message = refused.error()["message"].as_str().expect("a text").to_owned();
        assert!(message.contains(&format!("{directory}`: Permission denied")), "{message}");
        person.change_mode(directory, 0o700);
        good();
        if directory == "below" {
            person.make_directory("below/state", 0o500);
        }
    }
    person.change_mode("below/state", 0o777);
    assert!(check().error()["message"].as_str().is_some_and(|text| text.contains("its mode is 777")));
    person.write("file", "", 0o600);
    let ended = person.run(&["serve", "--check", "--state-dir", "file/state"]);
    fails(&ended, 1, &["cannot write to `", "not a directory", "it, or one above it, is a file"]);
}

#[test]
fn kept_tokens_are_for_their_account_alone() {
    let person = Person::new();
    let serve = person.start();
    let get = || person.run(&["token", "get", "--server", &serve.url]);
    let token = get().done().to_owned();
    let state = ".local/state/securemcp";
    let kept = [only(&person, &format!("{state}/tokens")), only(&person, &format!("{state}/servers"))];
    let folders = [state.to_owned(), format!("{state}/tokens"), format!("{state}/servers")];
    for path in folders.iter().chain(&kept) {
        let (private, open) = if person.path(path).is_file() { (0o600, 0o640) } else { (0o700, 0o705) };
        person.change_mode(path, open);
        fails(&get(), 1, &[path, "is open to others: its mode is", "chmod go-rwx "]);
        person.change_mode(path, private);
        assert_eq!(get().done(), token, "{path}");
    }
    // The key that gets tokens.
    person.run(&["token", "forget", "--server", &serve.url]).done();
    person.change_mode(&format!("{state}/local-client.json"), 0o640);
    fails(&get(), 1, &["local-client.json` is open to others"]);
    person.change_mode(&format!("{state}/local-client.json"), 0o600);
    get().done();
    for path in [kept[0].as_str(), state] {
        fs::rename(person.path(path), person.path("elsewhere")).expect("it is there");
        symlink(person.path("elsewhere"), person.path(path)).expect("nothing is there");
        fails(&get(), 1, &["is a symbolic link"]);
        fs::remove_file(person.path(path)).expect("the link is there");
        fs::rename(person.path("elsewhere"), person.path(path)).expect("it is there");
    }
    get().done();
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    let person = Person::new();
    let serve = |state: &str| person.run(&["serve", "--listen", "127.0.0.1:0", "--state-dir", state]);
    let get = |state: &str| person.run(&["token", "get", "--server", "http://127.0.0.1:9/mcp", "--state-dir", state]);
    fails(&serve("/usr"), 1, &["`/usr` belongs to user 0, expected", "`state_dir`"]);
    fails(&get("/usr"), 1, &["`/usr` belongs to user 0, expected", "`state_dir`"]);
    person.write("file", "", 0o600);
    fails(&serve("file"), 1, &["file`", "`state_dir`"]);
    fails(&serve("file/below"), 1, &["file/below`", "`state_dir`"]);
    fs::create_dir(person.path("locked")).expect("nothing is there");
    person.change_mode("locked", 0o555);
    fails(&serve("locked/below"), 1, &["cannot make the directory", "locked/below`", "writable for this account"]);
    fails(&get("locked/below"), 1, &["cannot make the directory", "locked/below`", "writable for this account"]);
    serve_and_stop(&person);
    // What is there can be read, and nothing can be added.
    person.change_mode(".local/state/securemcp", 0o500);
    let ended = person.run(&["token", "get", "--server", "http://127.0.0.1:9/mcp"]);
    fails(&ended, 1, &["cannot make the directory", "writable for this account"]);
    person.change_mode(".local/state/securemcp", 0o700);
}

fn serve_and_stop(person: &Person) {
    drop(person.start());
    assert!(person.state().is_dir());
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let person = Person::new();
    person.write("sealed", "x", 0o000);
    fs::create_dir(person.path("folder")).expect("nothing is there");
    for file in ["sealed", "folder", "absent"] {
        for (arguments, code) in [
            (&["serve", "--check", "--config"][..], 3),
            (&["serve", "--check", "--env-file"], 3),
            (&["tools", "--config"], 3),
            (&["tools", "--env-file"], 3),
            (&["tools", "--ca"], 3),
            (&["token", "get", "--client-id", "x", "--client-secret-file"], 3),
            (&["dcr", "register", "--initial-access-token-file"], 3),
            (&["tools", "--token-file"], 1),
            (&["token", "inspect", "--token-file"], 1),
        ] {
            fails(&person.run(&[arguments, &[file]].concat()), code, &[&format!("`{file}`")]);
        }
    }
    person.change_mode("sealed", 0o600);
    person.run(&["tools", "--token-file", "sealed", "--server", "http://127.0.0.1:9/mcp"]).failed(5, &["cannot reach"]);
}

#[test]
fn a_busy_port_is_named_and_nothing_is_written() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let account = Account::new();
    let serve = || account.command(&["serve", "--listen", &address]);
    fails(&Running::start(serve()).ended(), 1, &[&address, "choose another port with `--listen`"]);
    assert!(!account.state().exists());
    drop(listener);
    drop(Serve::start(serve()));
}

#[tokio::test]
async fn a_state_directory_has_one_server() {
    let account = Account::new();
    let serve = account.start(&[]);
    let before = content(&account.state());
    let ended = Running::start(account.command(&["serve", "--listen", "127.0.0.1:0"])).ended();
    fails(&ended, 1, &["another server uses the state directory", "`state_dir`"]);
    assert_eq!(content(&account.state()), before);
    assert_eq!(serve.get("/health/ready").await.status(), 200);
    account.run(&["token", "get", "--server", &serve.url]).done();
    serve.process.kill();
    drop(account.start(&[]));
}

/// A command that can write no file, or none when told so later: what a full disk does, for an account that cannot fill one.
pub(crate) fn limited(account: &Account, at_once: bool, arguments: &[&str]) -> Command {
    let mut command = account.command_of("sh");
    let limit = if at_once { "ulimit -S -f 0;" } else { "" };
    command.args(["-c", &format!(r#"trap "" XFSZ; {limit} exec "$@""#), "sh"]);
    command.arg(program::path()).args(arguments);
    command
}

fn on_full_disk(account: &Account, arguments: &[&str]) -> Ended {
    Running::start(limited(account, true, arguments)).ended()
}

#[test]
fn a_full_disk_stops_a_first_start_and_no_other() {
    let account = Account::new();
    let ended = on_full_disk(&account, &["serve", "--listen", "127.0.0.1:0"]);
    fails(&ended, 1, &["cannot write `", "free some space"]);
    assert_eq!(content(&account.state()), BTreeMap::new());
    let listen = format!("127.0.0.1:{}", free_port());
    drop(Serve::start(account.command(&["serve", "--listen", &listen])));
    let serve = Serve::start(limited(&account, true, &["serve", "--listen", &listen]));
    let ended = account.run(&["token", "get", "--server", &serve.url]);
    ended.done();
}

#[test]
fn a_full_disk_costs_a_command_nothing_that_it_had() {
    let account = Account::new();
    let serve = account.start(&[]);
    let account = account.with("SECUREMCP_SERVER", &serve.url);
    fails(&on_full_disk(&account, &["token", "get"]), 1, &["cannot write `", "free some space"]);
    let token = account.run(&["token", "get"]).done().to_owned();
    account.run(&["call", "echo", "hi"]).done();
    let before = content(&account.state());
    fails(&on_full_disk(&account, &["token", "get", "--new"]), 1, &["cannot write `", "free some space"]);
    fails(&on_full_disk(&account, &["dcr", "register"]), 1, &["cannot write `", "free some space"]);
    let mut after = content(&account.state());
    // The server has its own disk, and has registered.
    after.retain(|path, _| before.contains_key(path) || !path.starts_with(account.state().join("issuer")));
    assert_eq!(after, before);
    assert_eq!(on_full_disk(&account, &["token", "get"]).done(), token);
    assert_eq!(on_full_disk(&account, &["call", "echo", "hi"]).done(), "hi\n");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let ended = account.command(&["call", "echo", "hi"]).stdout(Stdio::from(full)).output().expect("starts");
    let stderr = String::from_utf8(ended.stderr).expect("UTF-8");
    let ended = Ended { code: ended.status.code(), stdout: String::new(), stderr };
    fails(&ended, 1, &["cannot write the result to stdout", "free some space"]);
    figure(&format!(
        "R16, a full disk: 4 of 4 commands that had to write say so, 2 of 2 that had not succeed, 0 of {} files changed",
        before.len()
    ));
}

#[tokio::test]
async fn a_full_disk_makes_the_issuer_promise_nothing() {
    let account = Account::new();
    let serve = Serve::start(limited(&account, false, &["serve", "--listen", "127.0.0.1:0"]));
    let opener = account.initial_access_token();
    let register = || serve.register(&opener, &json!({"token_endpoint_auth_method": "client_secret_basic"}));
    let answer: Value = register().send().await.expect("an answer").json().await.expect("JSON");
    let (id, secret) = (answer["client_id"].as_str().expect("an id"), answer["client_secret"].as_str().expect("one"));
    let token = async || {
        let answer = serve.token(id, secret).send().await.expect("an answer");
        answer.json::<Value>().await.expect("JSON")["access_token"].as_str().expect("a token").to_owned()
    };
    let about = async |path: &str, token: &str| {
        let request = serve.post(path).basic_auth(id, Some(secret)).form(&[("token", token)]);
        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.json::<Value>().await.unwrap_or_default())
    };
    let (one, other) = (token().await, token().await);
    assert_eq!(about("/revoke", &one).await.0, 200, "the twin");
    let before = content(&account.state());

    let limit = |current| Rlimit { current, maximum: None };
    prlimit(Some(serve.process.pid()), Resource::Fsize, limit(Some(0))).expect("it is ours");
    let refused = register().send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let refused = refused.text().await.expect("a body");
    assert!(
        refused.contains("server_error") && !refused.contains(account.home().to_str().expect("UTF-8")),
        "{refused}"
    );
    let (status, refused) = about("/revoke", &other).await;
    assert_eq!((status, &refused["error"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("server_error")));
    assert_eq!(about("/introspect", &other).await.1["active"], true, "what was not promised is not done");
    assert_eq!(about("/introspect", &one).await.1["active"], false);
    assert_eq!(content(&account.state()), before);
    let third = token().await;

    prlimit(Some(serve.process.pid()), Resource::Fsize, limit(None)).expect("it is ours");
    assert_eq!(register().send().await.expect("an answer").status(), StatusCode::CREATED);
    assert_eq!(about("/revoke", &other).await.0, 200);
    assert_eq!(about("/introspect", &other).await.1["active"], false);
    assert_eq!(about("/introspect", &third).await.1["active"], true);
    assert_eq!(content(&account.state()).len(), before.len() + 2);
    let ended = serve.process.kill();
    assert_eq!(ended.stderr.matches("the embedded issuer could not complete a request").count(), 2, "{ended:?}");
    assert!(ended.stderr.contains("cannot write `"), "{ended:?}");
}
