//! An audit log whose lines vouch for each other, as a server writes it and `securemcp audit verify` reads it.

use std::fs;

use crate::harness::cli::Account;

const KEY: &str = "the key of an audit log";

fn account() -> Account {
    Account::new().with("SECUREMCP_AUDIT_KEY", KEY)
}

/// Two runs of a server on one file; its lines.
fn log(account: &Account) -> Vec<String> {
    for _ in 0..2 {
        let serve = account.serve_with(&["--audit-file", "audit.log"]);
        for message in ["one", "two"] {
            account.run(&["call", "echo", message, "--server", &serve.url]).done();
        }
    }
    let text = fs::read_to_string(account.home().join("audit.log")).expect("it was written");
    text.lines().map(|line| format!("{line}\n")).collect()
}

fn write(account: &Account, lines: &[String]) {
    fs::write(account.home().join("audit.log"), lines.concat()).expect("it is ours");
}

#[test]
fn what_a_server_wrote_is_intact_and_what_was_done_to_it_shows() {
    let account = account();
    let lines = log(&account);
    assert!(lines.len() > 4, "{lines:?}");
    let verify = |more: &[&str]| account.run(&[&["audit", "verify", "audit.log"], more].concat());
    assert_eq!(verify(&[]).done(), format!("intact; lines: {}, chains: 2\n", lines.len()));
    let json = verify(&["--output", "json"]).json();
    assert_eq!((&json["lines"], &json["chains"]), (&lines.len().into(), &2.into()));

    let mut changed = lines.clone();
    changed[1] = changed[1].replace("\"level\":\"INFO\"", "\"level\":\"WARN\"");
    assert_ne!(changed, lines);
    write(&account, &changed);
    verify(&[]).failed(1, &["`audit.log` is not intact", "line 2 was changed"]);
    let mut removed = lines.clone();
    removed.remove(1);
    write(&account, &removed);
    verify(&[]).failed(1, &["line 2 does not follow"]);
    let mut cut = lines.clone();
    let second = lines.iter().rposition(|line| line.contains("\"seq\":0,")).expect("a second run");
    cut.remove(second - 1);
    write(&account, &cut);
    verify(&[]).failed(1, &[&format!("line {second} begins a chain after a line that is missing")]);
    write(&account, &lines);
    verify(&[]).done();
}

#[test]
fn an_audit_log_is_checked_with_its_key_only() {
    let account = account();
    let lines = log(&account);
    let others = |key: &str| Account::new().with("SECUREMCP_AUDIT_KEY", key);
    let path = account.home().join("audit.log").display().to_string();
    others(KEY).run(&["audit", "verify", &path]).done();
    others("the key of somebody else").run(&["audit", "verify", &path]).failed(1, &["line 1 was changed, or written"]);
    others("short").run(&["audit", "verify", &path]).failed(3, &["`audit.key`", "shorter than 16"]);
    Account::new().run(&["audit", "verify", &path]).failed(3, &["without the key", "SECUREMCP_AUDIT_KEY_FILE"]);
    account.run(&["audit", "verify", "none"]).failed(1, &["No such file"]);
    account.run(&["serve", "--check"]).failed(3, &["`audit.key` is set without `audit.file`"]);
    assert!(lines.iter().all(|line| !line.contains(KEY)));
}

#[test]
fn a_line_that_a_power_cut_tore_does_not_spoil_the_log() {
    let account = account();
    let whole = log(&account).concat();
    fs::write(account.home().join("audit.log"), &whole[..whole.len() - 20]).expect("it is ours");
    let verify = || account.run(&["audit", "verify", "audit.log"]);
    verify().failed(1, &["is in no chain"]);
    let serve = account.serve_with(&["--audit-file", "audit.log"]);
    account.run(&["call", "echo", "three", "--server", &serve.url]).done();
    drop(serve);
    let verified = verify();
    assert!(verified.stderr.contains("lines that were written in part: 1;"), "{verified:?}");
    let lines = fs::read_to_string(account.home().join("audit.log")).expect("text").lines().count();
    assert_eq!(verified.done(), format!("intact; lines: {lines}, chains: 3\n"));
}
