//! What README.md and docs/PROTOCOL.md call proven, is: every name in their columns of proofs is that of a test, or of a
//! scenario of the official conformance suite, and every RFC and extension that a page names has such a row.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const PROOFS: &str = "proven by";

/// A row of a table with a column of proofs.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// All of it.
    text: String,
    /// The names in that column.
    names: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).expect("it is there")
}

/// The files below a directory of the sources whose names end like this.
fn files(directory: &str, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root().join(directory)];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    found
}

fn rows(page: &str) -> Vec<Row> {
    let mut column = None;
    let mut rows = Vec::new();
    for line in page.lines() {
        let Some(cells) = line.strip_prefix('|') else {
            column = None;
            continue;
        };
        let cells: Vec<_> = cells.split('|').map(str::trim).collect();
        if let Some(proofs) = cells.iter().position(|cell| *cell == PROOFS) {
            column = Some(proofs);
        } else if let Some(column) = column.filter(|_| !line.starts_with("|--")) {
            let names = cells
                .get(column)
                .copied()
                .unwrap_or_default()
                .split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect();
            rows.push(Row { text: line.to_owned(), names });
        }
    }
    rows
}

/// The names of the functions behind a test attribute.
fn tests_in(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some((name, _)) = function.filter(|_| is_test).and_then(|function| function.split_once('(')) {
            found.insert(name.to_owned());
            is_test = false;
        }
    }
    found
}

/// The scenarios in what the suite's `list` prints.
fn scenarios(list: &str) -> BTreeSet<String> {
    let lines = list.lines().filter_map(|line| line.strip_prefix("  - "));
    lines.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// All that may be named: tests of ours, and scenarios.
fn known() -> BTreeSet<String> {
    let sources = [files("tests", ".rs"), files("src", ".rs")].concat();
    let tests = sources.iter().flat_map(|path| tests_in(&read(path)));
    tests.chain(scenarios(include_str!("scenarios.txt"))).collect()
}

/// Whether there is one of this name, or of these where the name has a `*`.
fn is_known(name: &str, known: &BTreeSet<String>) -> bool {
    match name.split_once('*') {
        None => known.contains(name),
        Some((start, end)) => known.iter().any(|known| known.starts_with(start) && known.ends_with(end)),
    }
}

/// `RFC 1234` and `SEP-123` in a text, however its lines are broken.
fn specifications(text: &str) -> BTreeSet<String> {
    let words: Vec<_> = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '-').collect();
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let extensions = words.iter().filter(|word| word.strip_prefix("SEP-").is_some_and(is_number));
    let rfcs = words.windows(2).filter(|pair| pair[0] == "RFC" && is_number(pair[1]));
    extensions.map(|word| (*word).to_owned()).chain(rfcs.map(|pair| pair.join(" "))).collect()
}

#[test]
fn what_the_pages_call_proven_is_a_test_or_a_scenario() {
    let known = known();
    for (page, at_least) in [("README.md", 8), ("docs/PROTOCOL.md", 55)] {
        let rows = rows(&read(page));
        assert!(rows.len() >= at_least, "{page}: {} rows", rows.len());
        for Row { text, names } in rows {
            assert!(!names.is_empty(), "{page}: nothing proves `{text}`");
            let unknown: Vec<_> = names.iter().filter(|name| !is_known(name, &known)).collect();
            assert!(unknown.is_empty(), "{page}: there is no test and no scenario {unknown:?}");
        }
    }
}

#[test]
fn every_rfc_and_extension_that_a_page_names_is_proven() {
    let proven = rows(&read("docs/PROTOCOL.md")).iter().flat_map(|row| specifications(&row.text)).collect();
    let pages = [files("docs", ".md"), files("keycloak", ".md"), vec![root().join("README.md")]].concat();
    let mut named = BTreeSet::new();
    for page in &pages {
        let specifications = specifications(&read(page));
        let missing: Vec<_> = specifications.difference(&proven).collect();
        assert!(missing.is_empty(), "{}: docs/PROTOCOL.md has no row for {missing:?}", page.display());
        named.extend(specifications);
    }
    assert!(named.len() >= 30, "they were found: {named:?}");
}

#[test]
fn tables_names_and_specifications_are_read() {
    let page = "| `a` | proven by | how |\n|---|---|---|\n| `x` | none | `y` |\n\n| what | proven by |\n|--|--|\n\
        | `b` | `c-*`, or `d` |\n\n| e |\n|--|\n| `f` |\n";
    let names: Vec<_> = rows(page).into_iter().map(|row| row.names).collect();
    assert_eq!(names, [vec![], vec!["c-*".to_owned(), "d".to_owned()]]);
    let source = "#[test]\nfn one() {}\nfn two() {}\n#[tokio::test(flavor = \"x\")]\n#[ignore]\nasync fn three() {}\n";
    assert_eq!(tests_in(source).into_iter().collect::<Vec<_>>(), ["one", "three"]);
    let known = scenarios("Server scenarios:\n  - a-b [2025]\n  - c/d [x]\n");
    assert_eq!(
        ["a-b", "a-*", "*-b", "c/*", "a", "b-*", "*-c"].map(|name| is_known(name, &known)),
        [true, true, true, true, false, false, false]
    );
    let found = specifications("by RFC\n7523, (RFC 7591's) and SEP-2663: `RFC`, SEP-x, RFC 1a");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["RFC 7523", "RFC 7591", "SEP-2663"]);
}
