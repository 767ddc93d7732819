//! `securemcp init`: on a terminal, without one, and where it must not write.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
};

use crate::harness::{cli::Account, process::Running, terminal::Terminal};

const FILES: [&str; 2] = ["securemcp.toml", ".env"];

fn read(account: &Account, name: &str) -> String {
    fs::read_to_string(account.home().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The names of all files, but for directories.
fn names(account: &Account) -> Vec<String> {
    let entries = fs::read_dir(account.home()).expect("a home").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[test]
fn a_person_is_asked_and_a_wrong_answer_asked_again() {
    let account = Account::new();
    let mut terminal = Terminal::start(account.command(&["init"]));
    terminal.shows("Where should the server listen?");
    terminal.types("nonsense\r");
    terminal.shows("nonsense");
    // The wrong answer stays there to be mended.
    terminal.types(&"\u{7f}".repeat("nonsense".len()));
    terminal.types("0.0.0.0:8443\r");
    terminal.shows("Which issuer does it trust?");
    terminal.types("https://kc.example/realms/mcp\r");
    terminal.shows("By which URL do clients call it?");
    terminal.types("https://mcp.example/mcp\r");
    terminal.shows("Which network is the TLS proxy in?");
    terminal.types("10.0.0.0/8\r");
    let (code, screen) = terminal.ended();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("securemcp serve --env-file .env"), "{screen}");
    let toml = read(&account, "securemcp.toml");
    for line in [
        "[server]",
        "listen = \"0.0.0.0:8443\"",
        "resource = \"https://mcp.example/mcp\"",
        "trusted_proxies = [\"10.0.0.0/8\"]",
        "[issuer]",
        "url = \"https://kc.example/realms/mcp\"",
    ] {
        assert!(toml.lines().any(|written| written == line), "no `{line}` in {toml}");
    }
    assert!(read(&account, ".env").contains("SECUREMCP_SERVER=https://mcp.example/mcp\n"));
    account.run(&["serve", "--check", "--env-file", ".env"]).done();
}

#[test]
fn on_loopback_two_questions_are_enough() {
    let account = Account::new();
    let mut terminal = Terminal::start(account.command(&["init"]));
    terminal.shows("Where should the server listen?");
    terminal.types("\r");
    terminal.shows("Which issuer does it trust?");
    terminal.types("\r");
    let (code, screen) = terminal.ended();
    assert!(code == Some(0) && !screen.contains("By which URL"), "{code:?} {screen}");
    account.run(&["serve", "--check", "--env-file", ".env"]).done();
}

#[test]
fn nobody_is_asked_who_is_not_there() {
    for (flags, variable, on_terminal) in
        [(&["init"][..], None, false), (&["init"], Some("CI"), true), (&["init", "--yes"], None, true)]
    {
        let account = Account::new();
        let mut command = account.command(flags);
        command.envs(variable.map(|name| (name, "true")));
        if on_terminal {
            let (code, screen) = Terminal::start(command).ended();
            assert!(code == Some(0) && !screen.contains('?'), "{flags:?}: {screen}");
        } else {
            Running::start(command).ended().done();
        }
        for name in FILES {
            let mode = fs::metadata(account.home().join(name)).expect("it was made").mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(names(&account), [".env", "securemcp.toml"], "and nothing beside them");
    }
}

#[test]
fn flags_say_everything_and_what_is_written_works() {
    let account = Account::new();
    fs::create_dir(account.home().join("there")).expect("an empty home");
    let flags = ["init", "--directory", "there", "--listen", "127.0.0.1:0", "--log-level", "debug", "--output", "json"];
    let written = account.run(&[&flags[..], &["--audit-file", "audit.log"]].concat());
    written.done();
    let said = written.json();
    assert_eq!(said["files"], serde_json::json!(["there/securemcp.toml", "there/.env"]));
    assert_eq!(said["next"], "securemcp serve --config there/securemcp.toml --env-file there/.env");
    let next: Vec<_> = said["next"].as_str().expect("a command").split(' ').skip(1).collect();
    let serve = crate::harness::process::Serve::start(account.command(&next));
    assert_eq!(account.run(&["call", "echo", "hi", "--server", &serve.url]).done(), "hi\n");
    // The key that was made is good for the log that was named.
    let verified = account.run(&["audit", "verify", "audit.log", "--env-file", "there/.env"]);
    assert!(verified.done().contains(", chains: 1, open: 1,"), "{verified:?}");
}

#[test]
fn what_is_there_stays_unless_forced() {
    for there in FILES {
        let account = Account::new();
        fs::write(account.home().join(there), "# mine\n").expect("an empty home");
        account.run(&["init"]).failed(1, &[there, "is there already", "hint: ", "--force"]);
        assert_eq!(names(&account), [there], "nothing half-written");
        assert_eq!(read(&account, there), "# mine\n");
        account.run(&["init", "--force"]).done();
        assert_ne!(read(&account, there), "# mine\n");
    }
    let account = Account::new();
    account.run(&["init"]).done();
    account.run(&["init"]).failed(1, &["securemcp.toml` and `./.env` are there already", "replace them with"]);
    account.run(&["init", "--directory", "no/where"]).failed(1, &["no/where", "hint: make its directory first"]);
    let account = Account::new();
    fs::write(account.home().join("victim"), "untouched").expect("an empty home");
    symlink("victim", account.home().join(".env")).expect("an empty home");
    account.run(&["init", "--force"]).failed(1, &["is a symbolic link"]);
    assert_eq!(
        (read(&account, "victim").as_str(), names(&account)),
        ("untouched", vec![".env".to_owned(), "victim".to_owned()])
    );
}

#[test]
fn what_serve_would_refuse_is_not_written() {
    let account = Account::new();
    for bad in [
        &["--listen", "nonsense"][..],
        &["--listen", "0.0.0.0:8000"],
        &["--listen", "0.0.0.0:8000", "--issuer", "https://kc.example/realms/mcp"],
        &["--issuer", "http://kc.example/"],
        &["--trusted-proxy", "nowhere"],
        &["--log-level", "loud"],
    ] {
        let ended = account.run(&[&["init"], bad].concat());
        ended.failed(3, &[bad[0]]);
        assert!(names(&account).is_empty(), "{bad:?}");
    }
    account.run(&["init", "--directory", "nowhere"]).failed(1, &["nowhere"]);
    account.run(&["init"]).done();
}

/// What the deployment in compose/ is called.
const DEPLOYMENT: [&str; 6] = [
    "init",
    "--compose",
    "--resource",
    "https://mcp.localhost:8443/mcp",
    "--issuer",
    "https://auth.localhost:8443/realms/mcp-realm",
];

#[test]
fn the_deployments_secrets_are_made_once_and_none_is_like_another() {
    let account = Account::new();
    let said = account.run(&[&DEPLOYMENT[..], &["--output", "json"]].concat());
    assert_eq!(said.json()["next"], "docker compose up --wait");
    assert_eq!(names(&account), [".env", "secrets"]);
    let env = read(&account, ".env");
    let lines: Vec<_> = env.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["MCP_HOST=mcp.localhost", "AUTH_HOST=auth.localhost", "HTTPS_PORT=8443"]);
    let secrets = account.home().join("secrets");
    assert_eq!(fs::metadata(&secrets).expect("it was made").mode() & 0o777, 0o700);
    let mut values = Vec::new();
    for entry in fs::read_dir(&secrets).expect("it was made") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("a file").mode() & 0o777;
        assert_eq!(mode, 0o644, "containers run as accounts of their own: {entry:?}");
        let value = fs::read_to_string(entry.path()).expect("text");
        assert!(value.len() > 40 && !said.stdout.contains(value.trim()) && !env.contains(value.trim()), "{entry:?}");
        values.push(value);
    }
    assert_eq!(values.len(), 9);
    let (all, distinct) = (values.len(), values.iter().collect::<std::collections::BTreeSet<_>>().len());
    assert_eq!(all, distinct);
    let redis = read(&account, "secrets/redis_password");
    assert_eq!(read(&account, "secrets/redis_url"), format!("redis://:{}@redis:6379/0\n", redis.trim()));
    let ca = ["serve", "--check", "--tls-cert", "secrets/tls_certificate", "--tls-key", "secrets/tls_key"];
    account.run(&ca).done();

    account.run(&DEPLOYMENT).failed(1, &["secrets/redis_password", "are there already", "--force"]);
    assert_eq!(read(&account, "secrets/redis_password"), redis);
    account.run(&[&DEPLOYMENT[..], &["--force"]].concat()).done();
    assert_ne!(read(&account, "secrets/redis_password"), redis);
}

#[test]
fn the_deployment_takes_a_certificate_that_is_there() {
    let account = Account::new();
    account.run(&DEPLOYMENT).done();
    let mut given: Vec<_> = DEPLOYMENT.to_vec();
    let key = ["--tls-cert", "secrets/tls_certificate", "--tls-key", "secrets/tls_key", "--directory", "other"];
    given.extend(key);
    account.run(&given).failed(1, &["there is no directory `other`", "compose.yaml"]);
    fs::create_dir(account.home().join("other")).expect("nothing is there");
    account.run(&given).done();
    for name in ["tls_certificate", "tls_key"] {
        assert_eq!(read(&account, &format!("secrets/{name}")), read(&account, &format!("other/secrets/{name}")));
    }
    // The twin: a key that is another's.
    fs::create_dir(account.home().join("third")).expect("nothing is there");
    account.run(&[&DEPLOYMENT[..], &["--directory", "third"]].concat()).done();
    let mixed = ["--tls-cert", "secrets/tls_certificate", "--tls-key", "third/secrets/tls_key", "--force"];
    account.run(&[&DEPLOYMENT[..], &mixed].concat()).failed(3, &["--tls-cert"]);
}

#[test]
fn a_deployment_has_two_https_names_at_one_port() {
    let account = Account::new();
    let issuer = "https://auth.example/realms/mcp-realm";
    for (resource, issuer, words) in [
        (None, None, "needs the URLs"),
        (None, Some(issuer), "needs the URLs"),
        (Some("https://mcp.example/other"), Some(issuer), "expected `https://<name>/mcp`"),
        (Some("https://mcp.example/mcp"), Some("https://auth.example/realms/other"), "expected `https://<name>/realms"),
        (Some("https://auth.example/mcp"), Some(issuer), "expected two names"),
        (Some("https://mcp.example:8443/mcp"), Some(issuer), "at one port"),
        (Some("https://192.0.2.1/mcp"), Some(issuer), "need names"),
        (Some("http://127.0.0.1/mcp"), Some(issuer), "expected `https://"),
    ] {
        let mut arguments = vec!["init", "--compose"];
        arguments.extend(resource.iter().flat_map(|url| ["--resource", url]));
        arguments.extend(issuer.iter().flat_map(|url| ["--issuer", url]));
        account.run(&arguments).failed(3, &[words, "hint: such as"]);
        assert!(names(&account).is_empty(), "{arguments:?}");
    }
    account.run(&["init", "--compose", "--resource", "https://mcp.example/mcp", "--issuer", issuer]).done();
}
