//! The fuzzers' readers on what fuzzing has found worth keeping, and on what proptest makes up.

#[path = "../../fuzz/src/readers/mod.rs"]
mod readers;

use std::{fs, path::Path};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// Runs of each property; tests/fuzz is for more.
const CASES: u32 = 300;

#[test]
fn every_corpus_is_read_as_the_rules_say() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut names: Vec<_> =
        fs::read_dir(&corpora).expect("corpora").map(|entry| entry.expect("one").file_name()).collect();
    names.sort();
    let targets = readers::READERS.map(|(name, _)| name);
    assert_eq!(names, targets, "a corpus for each fuzzer");
    for (name, read) in readers::READERS {
        let files: Vec<_> = fs::read_dir(corpora.join(name)).expect("a corpus").collect();
        assert!(files.len() >= 5, "{name} has {} inputs", files.len());
        for file in files {
            read(&fs::read(file.expect("an entry").path()).expect("readable"));
        }
    }
}

/// Inputs of the corpus with pieces cut out, doubled, exchanged and put in.
#[test]
fn what_is_nearly_good_is_read_as_the_rules_say() {
    for (name, read) in readers::READERS {
        let inputs = inputs(name);
        let edit = (any::<Index>(), any::<Index>(), select(PIECES), 0..4_u8);
        let strategy = (select(inputs), vec(edit, 1..4));
        // The same ones in every run: tests/fuzz is for what nobody has seen yet.
        let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, random);
        let outcome = runner.run(&strategy, |(input, edits)| {
            read(&edits.iter().fold(input, edited));
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// Bytes that mean something to some reader.
const PIECES: &[&str] = &[
    "\"",
    "\\",
    "\\u0000",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\n",
    "\0",
    " ",
    "=",
    ".",
    "..",
    "/",
    "//",
    "@",
    "#",
    "?",
    "*",
    "%2e",
    "%2f",
    "127.0.0.1",
    "[::1]",
    "localhost",
    "169.254.169.254",
    "javascript:",
    "http:",
    "https:",
    ":443",
    "null",
    "true",
    "-1",
    "1e999",
    "1800000001",
    "\"id\":1,",
    "\"method\":\"tools/call\",",
    "\"name\":\"echo\",",
    "\"params\":{},",
    "\"exp\":1,",
    "\"aud\":[],",
    "\"alg\":\"none\",",
    "\"crit\":[],",
    "\"cnf\":{},",
    "Bearer ",
    "\u{e9}",
    "\u{202e}",
];

fn inputs(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(folder).expect("a corpus").map(|entry| entry.expect("one").path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).expect("readable")).collect()
}

fn edited(mut input: Vec<u8>, (from, to, piece, kind): &(Index, Index, &str, u8)) -> Vec<u8> {
    let (from, to) = (from.index(input.len() + 1), to.index(input.len() + 1));
    let (from, to) = (from.min(to), from.max(to));
    match kind {
        0 => drop(input.drain(from..to)),
        1 => {
            let part = input[from..to].to_vec();
            drop(input.splice(to..to, part));
        }
        2 => drop(input.splice(from..from, piece.bytes())),
        _ => drop(input.splice(from..to, piece.bytes())),
    }
    input
}
