//! `--dpop`: the command line against the server that it ships with, by tokens that nobody else can use.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};

use crate::harness::cli::{Account, Serving};

/// A running server with these variables, and an account whose commands find it.
fn account(variables: &[(&'static str, &str)]) -> (Account, Serving) {
    let account = variables.iter().fold(Account::new(), |account, (name, value)| account.with(name, value));
    let serving = account.serve();
    let account = account.with("SECUREMCP_SERVER", &serving.url);
    (account, serving)
}

impl Account {
    /// What is kept in a folder of the state directory, for this account only.
    fn kept(&self, folder: &str) -> Vec<String> {
        let folder = self.home().join(".local/state/securemcp").join(folder);
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let files = entries.map(|entry| entry.expect("an entry").path());
        let files = files.filter(|path| !path.file_name().expect("a name").to_string_lossy().starts_with('.'));
        let read = |path: std::path::PathBuf| {
            let mode = fs::metadata(&path).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
            fs::read_to_string(path).expect("text")
        };
        files.map(read).collect()
    }
}

#[test]
fn hello_by_a_bound_token_needs_no_set_up_either() {
    let (account, _serving) = account(&[]);
    for _ in 0..2 {
        let ended = account.run(&["call", "--dpop", "echo", "Hello!"]);
        assert_eq!((ended.done(), ended.stderr.as_str()), ("Hello!\n", ""));
    }
    assert_eq!(account.kept("dpop-keys").len(), 1);
    let tokens = account.kept("tokens");
    assert_eq!(tokens.len(), 1);
    let bound: Value = serde_json::from_str(&tokens[0]).expect("JSON");
    assert_eq!(bound["bound_to"].as_str().map(str::len), Some(43));
    assert!(account.run(&["tools", "--dpop"]).done().contains("calculator"));
    // A bearer token is another one, and neither is taken for the other.
    assert_eq!(account.run(&["call", "echo", "Hello!"]).done(), "Hello!\n");
    assert_eq!(account.kept("tokens").len(), 2);
    let account = account.with("SECUREMCP_DPOP", "true");
    assert_eq!(account.run(&["call", "echo", "by its variable"]).done(), "by its variable\n");
    assert_eq!((account.kept("tokens").len(), account.kept("dpop-keys").len()), (2, 1));
}

#[test]
fn a_bound_token_is_said_to_be_of_no_use_by_itself_and_is_not() {
    let (account, serving) = account(&[]);
    let ended = account.run(&["token", "get", "--dpop", "--header"]);
    let token = ended.done().trim_end().strip_prefix("Authorization: DPoP ").expect("a header").to_owned();
    assert!(ended.stderr.contains("of no use without a proof"), "{ended:#?}");
    let got = account.run(&["token", "get", "--dpop", "--output", "json"]).json();
    assert_eq!((&got["token_type"], &got["access_token"]), (&json!("DPoP"), &json!(token)));
    let inspected = account.run(&["token", "inspect", "--dpop"]);
    assert!(inspected.done().contains("of no use without a proof by it (DPoP)"), "{inspected:#?}");
    let thief = Account::new().with("SECUREMCP_SERVER", &serving.url).with("SECUREMCP_TOKEN", &token);
    thief.run(&["call", "echo", "hi"]).failed(4, &["refused the token that was given"]);
    thief.run(&["call", "--dpop", "echo", "hi"]).failed(2, &["cannot be proved to be ours", "hint: leave `--dpop`"]);
    assert_eq!(account.run(&["call", "--dpop", "echo", "hi"]).done(), "hi\n", "the twin");
    let plain = account.run(&["token", "get", "--header"]);
    assert!(plain.done().starts_with("Authorization: Bearer ") && plain.stderr.is_empty(), "{plain:#?}");
}

#[test]
fn a_lost_key_costs_a_new_token() {
    let (account, _serving) = account(&[]);
    assert_eq!(account.run(&["call", "--dpop", "echo", "hi"]).done(), "hi\n");
    fs::remove_dir_all(account.home().join(".local/state/securemcp/dpop-keys")).expect("it was there");
    assert_eq!(account.run(&["call", "--dpop", "echo", "hi"]).done(), "hi\n");
}

#[test]
fn a_server_that_wants_proofs_gets_them_or_says_so() {
    let (account, _serving) = account(&[("SECUREMCP_REQUIRE_DPOP", "mcp:write")]);
    let add = ["call", "calculator", "add", "1", "2"];
    assert_eq!(account.run(&["call", "echo", "hi"]).done(), "hi\n");
    account.run(&add).failed(4, &["takes only access tokens that are bound to a key (DPoP)", "hint: add `--dpop`"]);
    assert_eq!(account.run(&[&add[..], &["--dpop"]].concat()).done(), "3\n");
}

#[test]
fn nonces_are_put_into_proofs_for_issuer_and_server() {
    let (account, _serving) = account(&[("SECUREMCP_DPOP_NONCE", "true")]);
    for _ in 0..2 {
        let ended = account.run(&["call", "--dpop", "echo", "hi"]);
        assert_eq!((ended.done(), ended.stderr.as_str()), ("hi\n", ""));
    }
    assert!(account.run(&["tools", "--dpop"]).done().contains("calculator"));
    assert_eq!(account.run(&["call", "echo", "hi"]).done(), "hi\n", "a bearer token needs none");
}

#[test]
fn a_policy_for_a_scope_that_nothing_has_is_refused() {
    let account = Account::new().with("SECUREMCP_REQUIRE_DPOP", "mcp:wrote");
    for arguments in [["serve", "--listen", "127.0.0.1:0"].as_slice(), &["serve", "--check"]] {
        let ended = account.run(arguments);
        ended.failed(3, &["`scopes.require_dpop` names `mcp:wrote`", "its scopes are: mcp:read mcp:write mcp:infer"]);
    }
    account.with("SECUREMCP_REQUIRE_DPOP", "mcp:write").run(&["serve", "--check"]).done();
}
