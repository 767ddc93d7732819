//! Scripts and CI: the example script, the example workflow, and the page about them.

use std::{fs, os::unix::fs::symlink, path::Path};

use crate::harness::{
    cli::Account,
    newcomer::{Newcomer, shown},
    process::Running,
    program,
};

const WORKFLOW: &str = include_str!("../../examples/github-actions.yml");

fn script(account: &Account, url: &str) -> Running {
    let bin = account.home().join("bin");
    if !bin.exists() {
        fs::create_dir(&bin).expect("an empty home");
        symlink(program::path(), bin.join("securemcp")).expect("an empty directory");
    }
    let mut shell = account.command_of("sh");
    shell.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci.sh"));
    shell.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("CI", "true").env("SECUREMCP_SERVER", url);
    Running::start(shell)
}

#[test]
fn the_example_script_runs() {
    let account = Account::new();
    let serve = account.start(&[]);
    let ended = script(&account, &serve.url).ended();
    assert!(ended.done().ends_with("\nall is well\n"), "{ended:?}");
    assert!(!account.home().join("answer.json").exists() && !account.home().join("error.json").exists());
}

#[test]
fn the_example_script_stops_where_something_is_wrong() {
    let account = Account::new();
    let serve = account.start(&[]);
    let stranger = Account::new();
    // The server is healthy, and does not know who asks.
    let ended = script(&stranger, &serve.url).ended();
    ended.failed(4, &["no client for the issuer", "SECUREMCP_CLIENT_ID"]);
    assert_eq!(ended.stdout.matches("all is well").count(), 0);
}

#[test]
fn the_workflow_runs_commands_that_work() {
    let account = Account::new();
    let serve = account.start(&[]);
    let account = account.with("SECUREMCP_SERVER", &serve.url);
    let lines = WORKFLOW.lines().filter_map(|line| line.trim().strip_prefix("run: securemcp "));
    let commands: Vec<_> = lines
        .chain(WORKFLOW.split("$(securemcp ").skip(1).map(|rest| rest.split(')').next().expect("it ends")))
        .collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for command in commands {
        let mut shell = account.command_of("sh");
        shell.args(["-c", &format!("exec \"$0\" {command}"), program::path()]);
        Running::start(shell).ended().done();
    }
    let registered = WORKFLOW.lines().find_map(|line| line.trim_start_matches('#').trim().strip_prefix("securemcp "));
    let words = registered.expect("it says how to register").split(' ').collect::<Vec<_>>();
    account.run(&words).done();
    assert!(!WORKFLOW.contains('\t') && WORKFLOW.contains("jobs:"));
}

#[test]
fn the_page_about_ci_does_what_it_shows() {
    let mut newcomer = Newcomer::new();
    let (_server, _) = newcomer.serve("securemcp serve");
    let all = shown(include_str!("../../docs/CI.md"));
    assert!(all.len() >= 12, "the commands were found: {}", all.len());
    for shown in &all {
        newcomer.does(shown);
    }
}
