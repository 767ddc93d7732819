//! The official conformance suite on the product, with authentication on.
//!
//! The suite cannot send a token, so a loopback proxy adds one (node/proxy.mjs).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use crate::harness::{Account, Foreign, free_port, status_of};

/// Its program, in the home of foreign programs.
pub(crate) const SUITE: &str = "node_modules/@modelcontextprotocol/conformance/dist/index.js";

/// Every scenario has it: each message that was sent fits the schema of the revision.
const SCHEMA: &str = "wire-schema-valid";

/// The scenario that the suite itself skips: it is yet to be written there.
const UNWRITTEN: &str = "server-tasks-status-notifications";

/// Those of an extension that no revision requires (SEP-2640): they are run by name.
const OF_SKILLS: [&str; 3] = ["sep-2640-skills-directory", "sep-2640-skills-enumeration", "sep-2640-skills-manifest"];

/// Their checks that the suite skips in 2025-11-25, which has no caching hints.
pub(crate) const OF_HINTS: [&str; 2] =
    ["sep-2640-skills-list-cache-attributes", "sep-2640-skills-get-cache-attributes"];

/// A server that the suite is run on, and what it takes to be let in.
pub(crate) struct Subject<'a> {
    /// Its MCP endpoint, on this machine.
    pub(crate) url: &'a str,
    pub(crate) token: &'a str,
    /// Its certificate, if it has one.
    pub(crate) ca: Option<&'a Path>,
}

/// What docs/PROTOCOL.md may name: `tests/it/protocol.rs` reads this list, which it cannot ask for.
#[test]
fn the_scenarios_are_those_that_the_pages_may_name() {
    let listed = Foreign::new().run(SUITE, &["list"], "");
    assert_eq!(listed.done(), include_str!("../it/scenarios.txt"), "what `list` prints goes to tests/it/scenarios.txt");
}

#[test]
fn everything_of_2025_11_25() {
    on_the_example(|subject| {
        subject.passes_2025_11_25(84);
    });
}

#[test]
fn everything_of_2026_07_28() {
    on_the_example(|subject| {
        let ids = subject.passes_2026_07_28(49, 196);
        for id in [
            "sep-2663-tasks-get-status-completed",
            "tasks-mrtr-partial-fulfillment",
            "sep-2663-mrtr-synchronous-before-task-creation",
        ] {
            assert!(ids.contains(id), "{id}: {ids:?}");
        }
    });
}

#[test]
fn skills_of_2025_11_25() {
    on_the_example(|subject| subject.passes_skills("2025-11-25", 43, &OF_HINTS));
}

#[test]
fn skills_of_2026_07_28() {
    on_the_example(|subject| subject.passes_skills("2026-07-28", 45, &[]));
}

#[test]
fn our_own_command_finds_the_skills_to_be_what_they_say() {
    let account = Account::new();
    let server = account.serve_example();
    let run =
        |arguments: &[&str]| account.securemcp(&[arguments, &["--server", &server.url()]].concat()).done().to_owned();
    let listed = run(&["skill", "list"]);
    assert!(listed.contains("fill-forms") && listed.contains("take-minutes"), "{listed}");
    assert!(run(&["skill", "read", "take-minutes"]).contains("# Take minutes"));
    let script = run(&["skill", "read", "fill-forms", "skill://fill-forms/scripts/check.py"]);
    assert!(script.contains("import json"), "{script}");
}

/// The example with every feature, in one process that keeps everything in memory.
fn on_the_example(run: impl FnOnce(&Subject<'_>)) {
    let account = Account::new();
    let server = account.serve_example();
    assert_eq!(status_of(server.port, "/mcp"), Some(401), "authentication is on");
    let token = account.token_for(&server.url(), "mcp:read mcp:write");
    run(&Subject { url: &server.url(), token: &token, ca: None });
}

/// All that a revision requires, and what is run besides and never scored.
impl Subject<'_> {
    /// With at least so many successful checks.
    pub(crate) fn passes_2025_11_25(&self, successes: usize) {
        let checks = self.whole("2025-11-25");
        assert!(checks.len() >= 33, "{:?}", checks.keys());
        let ids: BTreeSet<_> = checks.values().flatten().filter_map(|check| check["id"].as_str()).collect();
        for id in
            ["server-sse-disconnect-resume", "tools-call-sampling", "tools-call-elicitation", "resources-subscribe"]
        {
            assert!(ids.contains(id), "{id}: {ids:?}");
        }
        assert!(count(&checks, "SUCCESS") >= successes, "{}", count(&checks, "SUCCESS"));
    }

    /// With at least so many scenarios and successful checks; the names of all checks.
    pub(crate) fn passes_2026_07_28(&self, scenarios: usize, successes: usize) -> BTreeSet<String> {
        let checks = self.whole("2026-07-28");
        assert!(checks.len() >= scenarios, "{:?}", checks.keys());
        let ids: BTreeSet<_> = checks.values().flatten().filter_map(|check| check["id"].as_str()).collect();
        for id in [
            "sep-2575-server-rejects-undeclared-capability",
            "sep-2575-server-tags-subscription-id",
            "sep-2549-resources-read-caching-hints",
            "sep-2322-reject-tampered-state",
            "sep-2322-non-tool-complete",
        ] {
            assert!(ids.contains(id), "{id}: {ids:?}");
        }
        assert!(count(&checks, "SUCCESS") >= successes, "{}", count(&checks, "SUCCESS"));
        ids.into_iter().map(str::to_owned).collect()
    }

    /// Every scenario of skills, with so many successful checks; of the others these may be skipped.
    pub(crate) fn passes_skills(&self, revision: &str, successes: usize, skipped: &[&str]) {
        let mut all = BTreeMap::new();
        for scenario in OF_SKILLS {
            let checks = self.scenario(scenario, revision);
            let is_good = |check: &&Value| match check["status"].as_str() {
                Some("SUCCESS") => true,
                Some("SKIPPED") => check["id"].as_str().is_some_and(|id| skipped.contains(&id)),
                _ => false,
            };
            let bad: Vec<_> = checks.iter().filter(|check| !is_good(check)).collect();
            assert!(bad.is_empty(), "{scenario}: {bad:#?}");
            all.insert(scenario.to_owned(), checks);
        }
        assert_eq!(count(&all, "SUCCESS"), successes);
    }

    /// Runs one scenario, also one that is of no revision; gives its checks.
    fn scenario(&self, scenario: &str, revision: &str) -> Vec<Value> {
        let foreign = Foreign::new();
        let port = free_port();
        let _proxy = foreign.proxy(port, self.url, self.token, self.ca);
        let url = format!("http://127.0.0.1:{port}/mcp");
        let arguments =
            ["server", "--url", &url, "--scenario", scenario, "--spec-version", revision, "--force", "-o", "results"];
        let ended = foreign.run(SUITE, &arguments, "");
        let checks = checks(&foreign.home().join("results"));
        ended.done();
        checks
    }

    /// Runs every scenario of a revision; gives the checks of each, of which none may have failed, warned, or been left
    /// out.
    fn whole(&self, revision: &str) -> BTreeMap<String, Vec<Value>> {
        let foreign = Foreign::new();
        let port = free_port();
        let _proxy = foreign.proxy(port, self.url, self.token, self.ca);
        let url = format!("http://127.0.0.1:{port}/mcp");
        let ended = foreign.run(SUITE, &["server", "--url", &url, "--requirements", revision, "-o", "results"], "");
        let mut all = BTreeMap::new();
        for folder in fs::read_dir(foreign.home().join("results")).expect("the suite writes results") {
            let folder = folder.expect("readable").path();
            let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
            let checks = fs::read(folder.join("checks.json")).expect("the suite writes checks.json");
            let checks: Vec<Value> = serde_json::from_slice(&checks).expect("checks.json is a list");
            if !name.starts_with(UNWRITTEN) {
                all.insert(name, checks);
            }
        }
        for (scenario, checks) in &all {
            let passed = checks.iter().filter(|check| check["status"] == "SUCCESS" && check["id"] != SCHEMA).count();
            assert!(passed > 0, "{scenario} checked nothing: {checks:#?}");
            let is_good = |check: &&Value| ["SUCCESS", "INFO"].contains(&check["status"].as_str().unwrap_or_default());
            let bad: Vec<_> = checks.iter().filter(|check| !is_good(check)).collect();
            assert!(bad.is_empty(), "{scenario}: {bad:#?}");
        }
        ended.done();
        all
    }
}

fn count(checks: &BTreeMap<String, Vec<Value>>, status: &str) -> usize {
    checks.values().flatten().filter(|check| check["status"] == status).count()
}

#[test]
fn server_initialize() {
    passes("server-initialize", "2025-11-25", &["server-initialize", "server-session-id-visible-ascii", SCHEMA]);
}

#[test]
fn ping() {
    passes("ping", "2025-11-25", &["ping", SCHEMA]);
}

#[test]
fn tools_list_by_initialize() {
    passes("tools-list", "2025-11-25", &["tools-list", "tools-name-format", SCHEMA]);
}

#[test]
fn tools_list_stateless() {
    passes("tools-list", "2026-07-28", &["tools-list", "tools-name-format", SCHEMA]);
}

#[test]
fn dns_rebinding_protection_by_initialize() {
    let ids = ["localhost-host-rebinding-rejected", "localhost-host-valid-accepted"];
    passes("dns-rebinding-protection", "2025-11-25", &ids);
}

#[test]
fn dns_rebinding_protection_stateless() {
    let ids = ["localhost-host-rebinding-rejected", "localhost-host-valid-accepted"];
    passes("dns-rebinding-protection", "2026-07-28", &ids);
}

/// Runs one scenario; these checks must be among its checks, and every check a success.
#[track_caller]
fn passes(scenario: &str, revision: &str, ids: &[&str]) {
    let account = Account::new();
    let server = account.serve();
    assert_eq!(status_of(server.port, "/mcp"), Some(401), "authentication is on");
    let token = account.token(&server.url());
    let checks = Subject { url: &server.url(), token: &token, ca: None }.scenario(scenario, revision);
    let with = |status: &str| {
        checks
            .iter()
            .filter(|check| check["status"] == status)
            .filter_map(|check| check["id"].as_str())
            .collect::<Vec<_>>()
    };
    let successes = with("SUCCESS");
    for id in ids {
        assert!(successes.contains(id), "{id}: {checks:#?}");
    }
    assert_eq!(successes.len(), checks.len(), "{checks:#?}");
}

/// The checks of the one scenario that was run.
fn checks(results: &Path) -> Vec<Value> {
    let folders: Vec<_> = fs::read_dir(results).expect("the suite writes results").collect();
    let [Ok(folder)] = folders.as_slice() else { panic!("expected one scenario: {folders:?}") };
    let checks = fs::read(folder.path().join("checks.json")).expect("the suite writes checks.json");
    serde_json::from_slice(&checks).expect("checks.json is a list")
}
