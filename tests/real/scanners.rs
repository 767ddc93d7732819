//! Other people's scanners find nothing: schemathesis on the REST view, mcp-authlab on the authorization.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::harness::{Account, Ended, Foreign, Person, Server, free_port};

/// For each operation, besides the examples at every boundary of its schemas.
const EXAMPLES: &str = "60";

#[test]
fn schemathesis_finds_nothing() {
    let account = Account::new();
    let server = account.serve();
    let token = account.token(&server.url());
    let ended = fuzzed(&server, &token, &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    for words in ["13 selected / 13 total", "Tested: 13"] {
        assert!(ended.stdout.contains(words), "expected `{words}` in {}", ended.stdout);
    }
    // At the boundaries of the schemas, and with random values.
    assert_eq!(ended.stdout.matches("✅ 13 passed").count(), 2, "{}", ended.stdout);
}

#[test]
fn schemathesis_finds_what_is_wrong() {
    let account = Account::new();
    let server = account.serve();
    // The twin: with a token that allows nothing but reading, the calculator refuses what should be accepted.
    let token = account.token_for(&server.url(), "mcp:read");
    let ended = fuzzed(&server, &token, &["--include-path", "/api/v1/tools/calculator"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
}

fn fuzzed(server: &Server, token: &str, more: &[&str]) -> Ended {
    let document = format!("{}/openapi.json", server.origin());
    let arguments = ["schemathesis", "run", &document, "--max-examples", EXAMPLES, "--seed", "1", "--no-color"];
    Foreign::new().run("program.py", &[&arguments, more].concat(), token)
}

#[test]
fn mcp_authlab_sees_no_must_failure() {
    let foreign = Foreign::new();
    let port = free_port();
    let _issuer = foreign.serve("issuer.py", port, &[], "/jwks", 200);
    let issuer = format!("http://127.0.0.1:{port}");
    let account = Account::new();
    account.configure(&format!("[issuer]\nurl = \"{issuer}\"\n"));
    let server = account.serve();
    let token = |aud: &str| {
        let ask = format!(
            "curl --fail --silent --show-error --get '{issuer}/token' -d scope=mcp:read --data-urlencode 'aud={aud}'"
        );
        account.shell(&ask, &[]).done().to_owned()
    };
    let (token, other) = (token(&server.url()), token("https://other.example/mcp"));
    // A tool that the token does not allow, so that the challenge for more scopes is looked at.
    let report =
        scanned(&foreign, &server, &[], &[("MCP_AUTHLAB_TOKEN", &token), ("MCP_AUTHLAB_FOREIGN_TOKEN", &other)]);
    assert_eq!((&report["must_failures"], &report["critical_failures"]), (&json!([]), &json!([])), "{report:#}");
    assert_eq!(report["counts"]["fail"], 0, "{report:#}");
    assert_eq!(report["counts"]["error"], 0, "{report:#}");
    // What needs a person's login is not run.
    let skipped = with_status(&report, "skip");
    assert_eq!(skipped, BTreeSet::from(["ASF-01", "ASF-02", "ASF-03", "ASF-04", "ASF-05", "ASF-06"]), "{report:#}");
    // Plain http, on loopback.
    assert_eq!(with_status(&report, "warn"), BTreeSet::from(["TLS-01"]), "{report:#}");
}

#[test]
fn mcp_authlab_finds_nothing_after_logins_at_the_embedded_issuer() {
    let account = Account::new();
    // It wants a token for another server, too.
    let other = "http://127.0.0.1:9/mcp";
    account.configure(&format!("[embedded]\nresources = [\"{other}\"]\n"));
    let server = account.serve();
    let person = Person::at_securemcp(&account, "mcp-authlab");
    let url = server.url();
    let told =
        person.run("program.py", &["mcp-authlab", "login", &url, "--foreign-resource", other, "--scope", "mcp:read"]);
    for (visit, resource) in person.visits(2).iter().zip([&*url, other]) {
        assert!(visit["lost"].is_null(), "{visit:#}");
        assert_eq!((&visit["asked"]["resource"], &visit["error"]), (&json!(resource), &Value::Null), "{visit:#}");
    }
    told.done();
    let report = scanned(person.desk(), &server, &["--fail-under", "A"], &[]);
    assert_eq!(report["counts"], json!({"pass": 32, "fail": 0, "warn": 1, "skip": 0, "error": 0}), "{report:#}");
    assert_eq!(report["coverage"]["line"], "coverage 33/33");
    // Plain http, on loopback.
    assert_eq!(with_status(&report, "warn"), BTreeSet::from(["TLS-01"]), "{report:#}");
}

/// What the scanner reports of a server.
fn scanned(foreign: &Foreign, server: &Server, more: &[&str], variables: &[(&str, &str)]) -> Value {
    let url = server.url();
    let arguments = ["mcp-authlab", "scan", &url, "--tool", "calculator", "--format", "json", "-o", "report.json"];
    foreign.run_with("program.py", &[&arguments, more].concat(), variables).done();
    let report = fs::read(foreign.home().join("report.json")).expect("it writes a report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    assert!(report["counts"]["pass"].as_u64() > Some(20), "{report:#}");
    report
}

fn with_status<'a>(report: &'a Value, status: &str) -> BTreeSet<&'a str> {
    let results = report["results"].as_array().expect("a list").iter();
    results.filter(|result| result["status"] == status).filter_map(|result| result["id"].as_str()).collect()
}
