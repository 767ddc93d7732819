//! Every command that the README and docs/API.md show, run with curl as it stands there.

use crate::newcomer::{Newcomer, shown};

#[track_caller]
fn does_what_it_shows(page: &str, at_least: usize) {
    let mut newcomer = Newcomer::new();
    let (_server, _) = newcomer.serve("securemcp serve");
    let all: Vec<_> = shown(page).into_iter().filter(|shown| !shown.command.ends_with(" serve")).collect();
    assert!(all.len() >= at_least, "the commands were found: {}", all.len());
    assert!(all.iter().any(|shown| shown.command.starts_with("curl ")), "it shows curl");
    for shown in &all {
        newcomer.does(shown);
    }
}

#[test]
fn the_readme_does_what_it_shows() {
    does_what_it_shows(include_str!("../../README.md"), 11);
}

#[test]
fn the_api_reference_does_what_it_shows() {
    does_what_it_shows(include_str!("../../docs/API.md"), 12);
}
