//! The official conformance suite on the product, with authentication on.
//!
//! The suite cannot send a token, so a loopback proxy adds one (node/proxy.mjs).

use std::{fs, path::Path};

use serde_json::Value;

use crate::harness::{Account, Foreign, free_port, status_of};

const SUITE: &str = "node_modules/@modelcontextprotocol/conformance/dist/index.js";

/// Every scenario has it: each message that was sent fits the schema of the revision.
const SCHEMA: &str = "wire-schema-valid";

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
    let foreign = Foreign::new();
    let port = free_port();
    let _proxy = foreign.proxy(port, server.port, &token);

    let url = format!("http://127.0.0.1:{port}/mcp");
    let arguments = ["server", "--url", &url, "--scenario", scenario, "--spec-version", revision, "-o", "results"];
    let ended = foreign.run(SUITE, &arguments, "");
    let checks = checks(&foreign.home().join("results"));
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
    ended.done();
}

/// The checks of the one scenario that was run.
fn checks(results: &Path) -> Vec<Value> {
    let folders: Vec<_> = fs::read_dir(results).expect("the suite writes results").collect();
    let [Ok(folder)] = folders.as_slice() else { panic!("expected one scenario: {folders:?}") };
    let checks = fs::read(folder.path().join("checks.json")).expect("the suite writes checks.json");
    serde_json::from_slice(&checks).expect("checks.json is a list")
}
