//! The official SDKs' clients list and call the product's tools, in both generations of the protocol.

use serde_json::{Value, json};

use crate::harness::{Account, Foreign};

#[test]
fn python_sdk_by_initialize() {
    let told = story("client.py", &["legacy"]);
    assert_eq!(told["protocol"], "2025-11-25");
    all_tools_work(&told, "A summary from the Python SDK.");
}

#[test]
fn python_sdk_stateless() {
    let told = story("client.py", &["modern"]);
    assert_eq!(told["protocol"], "2026-07-28");
    all_tools_work(&told, "A summary from the Python SDK.");
}

#[test]
fn typescript_sdk_1_by_initialize() {
    let told = story("client-v1.mjs", &[]);
    assert_eq!(told["protocol"], "2025-11-25");
    all_tools_work(&told, "A summary from the TypeScript SDK 1.x.");
}

#[test]
fn typescript_sdk_2_by_initialize() {
    let told = story("client-v2.mjs", &["legacy"]);
    assert_eq!(told["protocol"], "2025-11-25");
    all_tools_work(&told, "A summary from the TypeScript SDK 2.x.");
}

#[test]
fn typescript_sdk_2_stateless() {
    let told = story("client-v2.mjs", &["modern"]);
    assert_eq!(told["protocol"], "2026-07-28");
    all_tools_work(&told, "A summary from the TypeScript SDK 2.x.");
}

/// What a client script did with a server that wants tokens; without one it must fail.
fn story(script: &str, generation: &[&str]) -> Value {
    let account = Account::new();
    let server = account.serve();
    let url = server.url();
    let foreign = Foreign::new();
    let arguments = [&[&*url], generation].concat();
    let refused = foreign.run(script, &arguments, "");
    assert_ne!(refused.code, Some(0), "{refused:#?}");
    assert_eq!(refused.stdout, "");
    foreign.run(script, &arguments, &account.token(&url)).json()
}

/// Asserts what a client script told of the four tools.
#[track_caller]
pub(crate) fn all_tools_work(told: &Value, summary: &str) {
    assert_eq!(told["server"], "securemcp");
    assert_eq!(told["tools"], json!(["echo", "timestamp", "calculator", "summarize"]));
    for tool in ["echo", "timestamp", "calculator", "summarize"] {
        assert_eq!(told[tool]["error"], false, "{tool}: {:#}", told[tool]);
    }

    assert_eq!(told["echo"]["structured"], json!({"echo": "GRÜSSE", "timestamp": null, "length": 5}));
    assert_eq!(told["echo"]["text"], "GRÜSSE");

    let timestamp = &told["timestamp"]["structured"];
    assert_eq!(timestamp["timezone"], "America/New_York");
    assert!(timestamp["epoch"].is_number(), "{timestamp}");
    assert!(timestamp["timestamp"].as_str().is_some_and(|text| !text.is_empty()), "{timestamp}");

    let calculator = &told["calculator"]["structured"];
    assert_eq!(calculator["operation"], "add");
    assert_eq!(calculator["result"].as_f64(), Some(60.0));
    assert_eq!(calculator["operands"].as_array().map(Vec::len), Some(3));
    let refused = &told["refused"];
    assert_eq!(refused["error"], true);
    assert!(refused["text"].as_str().is_some_and(|text| text.contains("zero")), "{refused}");

    assert_eq!(told["summarize"]["structured"], json!({"summary": summary}));
    let sampled = told["sampled"].as_array().expect("a list");
    assert_eq!(sampled.len(), 1, "the model is asked once: {sampled:?}");
    assert!(sampled[0].as_str().is_some_and(|asked| asked.contains("A long story about a short name.")), "{sampled:?}");
}
