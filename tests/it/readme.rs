//! Every command that README.md, docs/TLS.md and docs/DOCKER.md show, run as it stands there, with the output that is shown.
//!
//! Those that use curl wait for `tests/real`, which runs them all: a machine with nothing but Rust has none.

use crate::harness::newcomer::{Newcomer, shown};

#[test]
fn the_readme_does_what_it_shows() {
    let mut newcomer = Newcomer::new();
    let all = shown(include_str!("../../README.md"));
    let (first, rest) = all.split_first().expect("the README shows commands");
    assert_eq!(first.command, "cargo run --release -- serve");
    let (_server, said) = newcomer.serve(&first.command);
    assert!(said.starts_with(&first.output), "{said}\nexpected:\n{}", first.output);

    let rest: Vec<_> = rest.iter().filter(|shown| !shown.command.contains("curl ")).collect();
    assert!(rest.len() >= 10, "the commands were found: {}", rest.len());
    for shown in rest {
        newcomer.does(shown);
    }
}

#[test]
fn the_page_on_tls_does_what_it_shows() {
    let mut newcomer = Newcomer::new();
    let all = shown(include_str!("../../docs/TLS.md"));
    let [first, call] = all.as_slice() else { panic!("two commands") };
    let (_server, said) = newcomer.serve(&first.command);
    assert!(said.starts_with(&first.output), "{said}\nexpected:\n{}", first.output);
    newcomer.does(call);
}

#[test]
fn the_page_on_containers_does_what_it_shows_without_them() {
    let mut newcomer = Newcomer::new();
    let all = shown(include_str!("../../docs/DOCKER.md"));
    let [init] = all.as_slice() else { panic!("one command") };
    newcomer.does(init);
}
