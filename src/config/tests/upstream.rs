use std::time::Duration;

use super::*;
use crate::config::{MayAsk, UpstreamTarget};

fn loaded(desk: &Desk) -> crate::config::Upstream {
    load(desk.purpose, &desk.inputs).expect("a good configuration").upstream.expect("a server to guard")
}

#[test]
fn without_a_server_to_guard_there_is_none() {
    let config = load(Purpose::Serve, &Desk::serve().inputs).unwrap();
    assert!(config.upstream.is_none());
}

#[test]
fn a_url_may_have_a_token_of_our_own() {
    let desk = Desk::serve()
        .flag("upstream.url", "--upstream", "http://127.0.0.1:9000/mcp")
        .file("token", "abc.DEF-1\n")
        .variables(&[("SECUREMCP_UPSTREAM_TOKEN_FILE", "token"), ("SECUREMCP_UPSTREAM_TIMEOUT", "5m")]);
    let upstream = loaded(&desk);
    assert_eq!(upstream.timeout, Duration::from_mins(5));
    assert!(!upstream.show_locked && !upstream.may_ask.anything());
    let UpstreamTarget::Http { url, token } = upstream.target else { panic!("{upstream:?}") };
    assert_eq!((url.as_str(), token.unwrap().expose()), ("http://127.0.0.1:9000/mcp", "abc.DEF-1"));
}

#[test]
fn a_command_is_split_without_a_shell_and_gets_little_of_our_environment() {
    let command = r#"npx -y '@a/b c' "$HOME/x" a\ b"#;
    let desk = Desk::serve().flag("upstream.command", "--upstream-command", command).variables(&[
        ("PATH", "/bin"),
        ("LANG", "C"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("SECUREMCP_LOG_LEVEL", "info"),
        ("NODE_OPTIONS", "--require=x"),
    ]);
    let UpstreamTarget::Command { argv, environment } = loaded(&desk).target else { panic!("a command") };
    assert_eq!(argv, ["npx", "-y", "@a/b c", "$HOME/x", "a b"], "nothing is expanded");
    let names: Vec<_> = environment.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["PATH", "LANG"]);
}

#[test]
fn scopes_stand_in_a_section_whose_names_are_free() {
    let text = "[upstream]\nurl = 'https://h/mcp'\n[upstream.scopes]\nread = 'a b'\n'get.user' = ['c']\n";
    let scopes = loaded(&Desk::serve().toml(text)).scopes;
    let shown: Vec<_> = scopes.iter().map(|(tool, scopes)| (tool.as_str(), scopes.to_string())).collect();
    assert_eq!(shown, [("get.user", "c".to_owned()), ("read", "a b".to_owned())]);
}

#[test]
fn requests_are_allowed_by_their_names() {
    let sampling = MayAsk { sampling: true, ..MayAsk::default() };
    let all = MayAsk { sampling: true, elicitation: true, roots: true };
    for (written, may_ask) in [
        ("['sampling']", sampling),
        ("'sampling'", sampling),
        ("'sampling elicitation roots'", all),
        ("[]", MayAsk::default()),
    ] {
        let text = format!("[upstream]\nurl = 'https://h/mcp'\nallow_requests = {written}\n");
        assert_eq!(loaded(&Desk::serve().toml(&text)).may_ask, may_ask, "{written}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    for (text, problem) in [
        ("upstream.url = 'x'", "`securemcp.toml` line 1: `upstream.url` is `x`, expected an absolute URL"),
        (
            "upstream.url = 'http://u:p@h/'",
            "`securemcp.toml` line 1: `upstream.url` has user information in its URL, expected none",
        ),
        ("upstream.command = ' '", "`securemcp.toml` line 1: `upstream.command` is empty, expected a command"),
        (
            "upstream.command = \"a 'b\"",
            "`securemcp.toml` line 1: `upstream.command` has a quote that does not end, or a trailing backslash",
        ),
        (
            "upstream.url = 'https://h/'\nupstream.command = 'a'",
            "`securemcp.toml` line 1: `upstream.url` is set, and `securemcp.toml` line 2: `upstream.command` is too",
        ),
        ("upstream.token = 'a'", "`securemcp.toml` line 1: `upstream.token` is set without a server to guard"),
        (
            "upstream.token = 'a'\nupstream.command = 'a'",
            "`securemcp.toml` line 1: `upstream.token` is set, but `upstream.command` is no URL to show it to",
        ),
        (
            "upstream.url = 'https://h/'\nupstream.token = 'a b'",
            "`securemcp.toml` line 2: `upstream.token` is no bearer token, expected letters, digits and `-._~+/=` only",
        ),
        (
            "upstream.url = 'http://h/'\nupstream.token = 'a'",
            "`upstream.url` is `http://h/`, over which `upstream.token` could be read",
        ),
        ("[upstream.scopes]\na = 'b'", "`securemcp.toml` line 1: `upstream.scopes` is set without a server to guard"),
        (
            "upstream.url = 'https://h/'\nupstream.scopes = 'b'",
            "`securemcp.toml` line 2: `upstream.scopes` is a value, expected a section `[upstream.scopes]`",
        ),
        (
            "upstream.url = 'https://h/'\nupstream.scopes.a = ''",
            "`securemcp.toml` line 2: `upstream.scopes.a` is empty, expected at least one scope",
        ),
        (
            "upstream.url = 'https://h/'\n[upstream.scopes]\na.b = 'c'",
            "`securemcp.toml` line 3: `upstream.scopes.a` has a table in it, expected a value or a list of values",
        ),
        (
            "upstream.url = 'https://h/'\nupstream.allow_requests = ['sampling', 'tools']",
            "`securemcp.toml` line 2: `upstream.allow_requests` has an item that is `tools`, expected `sampling`, `elicitation` or `roots`",
        ),
        (
            "upstream.allow_requests = 'sampling'",
            "`securemcp.toml` line 1: `upstream.allow_requests` is set without a server to guard",
        ),
        (
            "upstream.url = 'https://h/'\nupstream.timeout = '0'",
            "`securemcp.toml` line 2: `upstream.timeout` is `0`, expected at least `1s`",
        ),
    ] {
        assert_eq!(Desk::serve().toml(text).problems(), [problem], "{text}");
    }
}
