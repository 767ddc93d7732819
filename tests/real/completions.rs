//! The completion scripts in real bash, zsh and fish, as a person presses Tab.

use std::{path::Path, process::Command};

/// A line, and what it becomes.
const LINES: [(&str, &str); 3] = [
    ("securemcp dcr upd", "update"),
    ("securemcp heal", "health"),
    ("securemcp dcr register --auth-method pri", "private_key_jwt"),
];

fn source(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

fn said(command: &mut Command) -> String {
    let home = tempfile::tempdir().expect("a temporary directory");
    let command = command.current_dir(home.path()).env("HOME", home.path());
    let output = command.output().expect("./tests/run installs the shells");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

/// The checked-in script is what the binary prints.
#[track_caller]
fn is_printed(shell: &str, file: &str) {
    let printed = said(Command::new(env!("CARGO_BIN_EXE_securemcp")).args(["completions", shell]));
    assert_eq!(printed, std::fs::read_to_string(source(file)).expect("it is there").trim());
}

#[test]
fn bash_completes() {
    is_printed("bash", "completions/securemcp.bash");
    for (line, word) in LINES {
        let mut bash = Command::new("bash");
        bash.args(["--norc", &source("tests/real/shells/complete.bash"), &source("completions/securemcp.bash")]);
        assert_eq!(said(bash.args(line.split(' '))), word, "{line}");
    }
}

#[test]
fn zsh_completes() {
    is_printed("zsh", "completions/_securemcp");
    for (line, word) in LINES {
        let mut zsh = Command::new("zsh");
        zsh.args(["-f", &source("tests/real/shells/complete.zsh"), &source("completions"), line]);
        let before = line.rsplit_once(' ').expect("two words").0;
        assert_eq!(said(&mut zsh), format!("{before} {word}"), "{line}");
    }
}

#[test]
fn fish_completes() {
    is_printed("fish", "completions/securemcp.fish");
    let script = source("completions/securemcp.fish");
    for (line, word) in LINES {
        let ask = format!("source '{script}'; complete -C '{line}'");
        let all = said(Command::new("fish").args(["--no-config", "-c", &ask]));
        let candidates: Vec<_> = all.lines().map(|line| line.split('\t').next().unwrap_or_default()).collect();
        assert_eq!(candidates, [word], "{line}");
    }
}
