//! The official conformance suite on the client: every scenario that it has for clients, on
//! `examples/conformance_client.rs`, which runs what `securemcp call` runs. Nothing is expected to fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    conformance::SUITE,
    harness::{Foreign, figure},
};

/// Checks that say nothing, each with the reason why that is right.
const SKIPPED: [(&str, &str, &str); 4] = [
    ("http-standard-headers", "sep-2243-client-includes-standard-headers", "2026-07-28 has no `initialize`"),
    ("http-standard-headers", "sep-2243-client-includes-standard-headers", "nor what follows it"),
    ("request-metadata", "sep-2575-client-declares-roots-capability", "the client has no roots"),
    ("request-metadata", "sep-2575-client-declares-sampling-capability", "it has no model unless it is given one"),
];

/// Warnings, each with the reason why it is right.
const WARNINGS: [(&str, &str, &str); 0] = [];

#[test]
fn all_of_2025_11_25() {
    passes(&["--requirements", "2025-11-25"], 25);
}

#[test]
fn all_of_2026_07_28() {
    passes(&["--requirements", "2026-07-28"], 39);
}

/// What no revision requires is among them: extensions, and servers of 2025-03-26.
#[test]
fn all_that_there_are() {
    let scenarios = passes(&["--suite", "all"], 48);
    for unscored in [
        "auth/2025-03-26-oauth-endpoint-fallback",
        "auth/2025-03-26-oauth-metadata-backcompat",
        "auth/client-credentials-basic",
        "auth/client-credentials-jwt",
        "auth/dpop",
        "auth/dpop-nonce",
        "auth/enterprise-managed-authorization",
        "auth/wif-jwt-bearer",
        "json-schema-2020-12-preservation",
        "sep-2640-client-no-prefetch",
        "sep-2640-client-verify-digest",
        "sep-2640-client-verify-frontmatter",
        "sep-2640-client-verify-size",
    ] {
        assert!(scenarios.contains(unscored), "{unscored}: {scenarios:#?}");
    }
}

/// Runs a selection: at least so many scenarios, each with a success, and no check that fails. Returns their names.
#[track_caller]
fn passes(selection: &[&str], at_least: usize) -> BTreeSet<String> {
    let foreign = Foreign::new();
    let client = example().display().to_string();
    let arguments = [&["client", "--command", &client, "-o", "results", "--timeout", "60000"], selection].concat();
    let ended = foreign.run_with(SUITE, &arguments, &[]);
    let scenarios = scenarios_in(&foreign.home().join("results"), "");
    assert!(scenarios.len() >= at_least, "{} scenarios, expected {at_least}: {ended:#?}", scenarios.len());
    let mut successes = 0;
    for (scenario, checks) in &scenarios {
        let with = |status: &str| {
            let found = checks.iter().filter(|check| check["status"] == status);
            found.filter_map(|check| check["id"].as_str()).collect::<Vec<_>>()
        };
        assert_eq!(with("FAILURE"), [""; 0], "{scenario}: {checks:#?}");
        assert!(!with("SUCCESS").is_empty(), "{scenario}: {checks:#?}");
        successes += with("SUCCESS").len();
        for (status, reasons) in [("SKIPPED", &SKIPPED[..]), ("WARNING", &WARNINGS)] {
            let mut known: Vec<_> = reasons.iter().filter(|(of, ..)| of == scenario).map(|(_, id, _)| *id).collect();
            let mut found = with(status);
            known.sort_unstable();
            found.sort_unstable();
            assert!(found.is_empty() || found == known, "{scenario}, {status}: {found:?}, known are {known:?}");
        }
    }
    ended.done();
    figure(&format!("conformance client {}: {} scenarios, {successes} checks", selection.join(" "), scenarios.len()));
    scenarios.into_keys().collect()
}

/// The checks of each scenario, by its name, before which the suite says what it was run on.
pub(crate) fn scenarios_in(results: &Path, on: &str) -> BTreeMap<String, Vec<Value>> {
    let mut scenarios = BTreeMap::new();
    read(results, "", &mut scenarios);
    let named =
        scenarios.into_iter().map(|(name, checks)| (name.strip_prefix(on).expect("it says so").to_owned(), checks));
    named.collect()
}

/// Results are in folders that are called after the scenario and the time.
fn read(folder: &Path, above: &str, scenarios: &mut BTreeMap<String, Vec<Value>>) {
    for entry in fs::read_dir(folder).expect("the suite writes results") {
        let entry = entry.expect("the folder is readable");
        let name = entry.file_name().into_string().expect("UTF-8");
        let file = entry.path().join("checks.json");
        if !file.exists() {
            read(&entry.path(), &format!("{above}{name}/"), scenarios);
            continue;
        }
        // `-2026-11-30T02-04-27-116Z`
        let scenario = name.split_at(name.len() - 25).0;
        let checks = fs::read(file).expect("checks.json is readable");
        let checks = serde_json::from_slice(&checks).expect("checks.json is a list");
        let before = scenarios.insert(format!("{above}{scenario}"), checks);
        assert!(before.is_none(), "{above}{scenario} ran twice");
    }
}

/// Built with these tests.
fn example() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_securemcp")).with_file_name("examples/conformance_client");
    assert!(path.exists(), "{} is missing: `cargo build --example conformance_client` makes it", path.display());
    path
}
