//! What only happens where a person looks: spinners and colours.

use std::net::TcpListener;

use rustix::process::Signal;

use crate::harness::{cli::Account, process::Running, terminal::Terminal, until::block_until};

const WORDS: &str = "connecting and getting a token";

/// A call of a server that takes connections and never answers.
fn hanging(account: &Account, more: &[&str]) -> (TcpListener, std::process::Command) {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/mcp", silent.local_addr().expect("bound"));
    let command = account.command(&[&["call", "echo", "hi", "--server", &url, "--timeout", "1s"], more].concat());
    (silent, command)
}

#[test]
fn who_waits_at_a_terminal_sees_for_what() {
    let account = Account::new();
    let (_silent, command) = hanging(&account, &[]);
    let mut terminal = Terminal::start(command);
    terminal.shows(WORDS);
    let (code, screen) = terminal.ended();
    assert_eq!(code, Some(5), "{screen:?}");
    let after = screen.rsplit_once(WORDS).expect("it was shown").1;
    assert!(after.contains("\u{1b}[2K") && after.contains("error:"), "the line is taken away: {screen:?}");
}

#[test]
fn nobody_is_shown_a_spinner_who_does_not_look() {
    let account = Account::new();
    let quiet = [(&["--quiet"][..], None), (&[], Some("CI")), (&["-v"], None), (&["--output", "json"], Some("CI"))];
    for (flags, variable) in quiet {
        let (_silent, mut command) = hanging(&account, flags);
        command.envs(variable.map(|name| (name, "true")));
        let (code, screen) = Terminal::start(command).ended();
        assert_eq!(code, Some(5), "{screen:?}");
        assert!(!screen.contains(WORDS), "{flags:?}: {screen:?}");
    }
    let (_silent, command) = hanging(&account, &[]);
    let ended = Running::start(command).ended();
    ended.failed(5, &["hint: "]);
    assert!(!ended.stderr.contains(WORDS) && !ended.stderr.contains('\u{1b}'), "{ended:?}");
}

#[test]
fn colours_are_for_terminals_or_on_demand() {
    let account = Account::new();
    let coloured = |arguments: &[&str], variable: Option<&str>| {
        let mut command = account.command(arguments);
        command.envs(variable.map(|name| (name, "1")));
        Terminal::start(command).ended().1.contains("\u{1b}[")
    };
    let commands: [&[&str]; 8] = [
        &["--help"],
        &["token", "inspect"],
        &["health", "--server", "http://127.0.0.1:9/mcp"],
        &["tools", "--server", "http://127.0.0.1:9/mcp"],
        &["call", "x", "--server", "http://127.0.0.1:9/mcp"],
        &["dcr", "show", "--server", "http://127.0.0.1:9/mcp"],
        &["serve", "--listen", "nonsense"],
        &["nonsense"],
    ];
    for command in commands {
        assert!(coloured(command, None), "{command:?}");
        assert!(!coloured(command, Some("NO_COLOR")), "{command:?}");
        assert!(!coloured(&[command, &["--color", "never"]].concat(), None), "{command:?}");
        let piped = account.run(&[command, &["--color", "always"]].concat());
        assert!(format!("{}{}", piped.stdout, piped.stderr).contains("\u{1b}["), "{command:?}: {piped:?}");
        let piped = account.run(command);
        assert!(!format!("{}{}", piped.stdout, piped.stderr).contains('\u{1b}'), "{command:?}: {piped:?}");
    }
}

#[test]
fn every_failure_is_one_object_where_json_is_wanted() {
    let account = Account::new();
    let far = "http://127.0.0.1:9/mcp";
    let commands: [(&[&str], i32); 9] = [
        (&["token", "get", "--server", far], 5),
        (&["token", "inspect", "--server", far], 4),
        (&["health", "--server", far], 5),
        (&["tools", "--server", far], 5),
        (&["call", "x", "--server", far], 5),
        (&["dcr", "register", "--server", far], 5),
        (&["dcr", "delete", "--server", far], 5),
        (&["serve", "--listen", "nonsense"], 3),
        (&["completions", "nonsense"], 2),
    ];
    for (command, code) in commands {
        let ended = account.run(&[command, &["--output", "json"]].concat());
        assert_eq!(ended.code, Some(code), "{command:?}: {ended:?}");
        let error = ended.error();
        let message = error["message"].as_str().expect("a text");
        // What was expected is as good as a hint.
        let says_what_to_do = error["hint"].is_string() || message.contains("expected");
        assert!(error["code"].is_string() && says_what_to_do, "{error}");
    }
}

#[test]
fn a_hidden_line_that_is_left_by_ctrl_c_leaves_nothing_hidden() {
    let account = Account::new();
    let register = ["dcr", "register", "--new", "--keycloak-admin", "admin", "--issuer", "http://127.0.0.1:9"];
    let mut terminal = Terminal::start(account.command(&register));
    terminal.shows("Password of Keycloak's administrator `admin`");
    block_until("the line is hidden", || !terminal.echoes());
    terminal.signal(Signal::INT);
    block_until("it is hidden no more", || terminal.echoes());
    let (code, screen) = terminal.ended();
    assert!(code == Some(130) && screen.contains("interrupted"), "{screen}");
}
