use std::collections::BTreeMap;

use super::*;
use crate::config::IssuerChoice;

const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2VjdXJlbWNwc2VjdXJlbWNw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn told(desk: &Desk) -> (BTreeMap<String, String>, Option<String>) {
    match desk.config().issuer.choice {
        IssuerChoice::Embedded { users, auto_approve, .. } => (users, auto_approve.map(|scopes| scopes.to_string())),
        IssuerChoice::External { .. } => panic!("another issuer"),
    }
}

#[test]
fn without_a_word_there_are_no_users_and_everybody_is_asked() {
    assert_eq!(told(&Desk::serve()), (BTreeMap::new(), None));
}

#[test]
fn users_have_names_and_argon2id_hashes() {
    let desk = Desk::serve().toml(&format!("[embedded.users]\nalice = '{HASH}'\n\"bob@example.com\" = '{HASH}'"));
    let names: Vec<_> = told(&desk).0.into_keys().collect();
    assert_eq!(names, ["alice", "bob@example.com"]);
    let shown = format!("{:?}", desk.config().effective);
    assert!(shown.contains("alice") && !shown.contains("AAAA"), "{shown}");
}

#[test]
fn what_is_no_hash_is_refused_and_never_shown() {
    let no_hash = "is no argon2id hash in PHC format, expected `$argon2id$v=19$m=..`";
    for (name, value, problem) in [
        ("alice", "'hunter2'", format!("`embedded.users.alice` {no_hash}")),
        ("alice", "''", format!("`embedded.users.alice` {no_hash}")),
        ("alice", &format!("'{}'", HASH.replace("argon2id", "argon2i")), format!("`embedded.users.alice` {no_hash}")),
        ("alice", "'$argon2id$v=19$m=19456,t=2,p=1$c2VjdXJlbWNw'", format!("`embedded.users.alice` {no_hash}")),
        ("alice", "['hunter2']", "`embedded.users.alice` is no text, expected an argon2id hash".to_owned()),
        (
            "\"a b\"",
            &format!("'{HASH}'"),
            "`embedded.users.a b` is no name of a user: 1 to 64 visible characters".to_owned(),
        ),
    ] {
        let (found, hint) = Desk::serve().toml(&format!("[embedded.users]\n{name} = {value}")).problem();
        assert_eq!(found, format!("`securemcp.toml` line 2: {problem}"));
        assert!(hint.contains("argon2") && !format!("{found}{hint}").contains("hunter2"), "{hint}");
    }
    let (found, _) = Desk::serve().toml("embedded.users = 'alice'").problem();
    assert_eq!(found, "`securemcp.toml` line 1: `embedded.users` is a value, expected a section `[embedded.users]`");
}

#[test]
fn a30_nobody_is_asked_on_loopback_only_and_for_what_is_written() {
    let flag = || Desk::serve().flag("embedded.auto_approve", "--auto-approve", "true");
    assert_eq!(told(&flag()).1.as_deref(), Some("mcp:read"));
    for (written, scopes) in
        [("true", Some("mcp:read")), ("'mcp:read mcp:write'", Some("mcp:read mcp:write")), ("false", None)]
    {
        assert_eq!(told(&Desk::serve().toml(&format!("embedded.auto_approve = {written}"))).1.as_deref(), scopes);
    }
    let hash = format!("[embedded.users]\nalice = '{HASH}'");
    for (desk, is_too) in [
        (flag().variables(&[ISSUER]), "`issuer.url`"),
        (flag().variable("SECUREMCP_RESOURCE", "http://127.0.0.1:8000/mcp"), "`server.resource`"),
        (flag().variable("SECUREMCP_TRUSTED_PROXIES", "127.0.0.1"), "`server.trusted_proxies`"),
        (flag().toml(&hash), "`embedded.users`"),
    ] {
        let (problem, hint) = desk.problem();
        let expected =
            format!("`--auto-approve`: `embedded.auto_approve` is set, and {is_too} is too: it is for trying things");
        assert_eq!(problem, expected);
        assert_eq!(hint, "unset `embedded.auto_approve`: people log in, and are asked");
    }
    let exposed = flag().variable("SECUREMCP_LISTEN", "10.0.0.1:8000").problems();
    assert!(
        exposed.iter().any(|problem| problem.contains("`server.listen` is `10.0.0.1:8000`, beyond loopback")),
        "{exposed:?}"
    );
    let odd = Desk::serve().toml("embedded.auto_approve = 'a\"b'").problem().0;
    assert!(odd.contains("expected `true`, `false`, or the scopes that nobody is asked about"), "{odd}");
    let variable = Desk::serve().variable("SECUREMCP_EMBEDDED_AUTO_APPROVE", "true");
    assert_eq!(variable.problems().len(), 1, "a safety switch has no variable");
}
