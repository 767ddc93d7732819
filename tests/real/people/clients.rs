//! What each client does, and what must come of it.

use std::{fs, time::Instant};

use serde_json::{Value, json};

use super::Place;
use crate::{
    harness::{figure, free_port},
    sdk_clients::all_tools_work,
};

/// The official Python SDK's `OAuthClientProvider`.
pub(super) fn python_sdk(place: &Place<'_>) {
    let person = place.person("python-sdk");
    let told = person.run("client.py", &[&place.url, "modern", "login"]).json();
    assert_eq!(told["protocol"], "2026-07-28");
    all_tools_work(&told, "A summary from the Python SDK.");
    assert_eq!(told["refreshed"], json!({"echo": "again", "given": 2}));
    place.logged_in_once(&person);
}

/// The official TypeScript SDK 1.x with a provider.
pub(super) fn typescript_sdk_1(place: &Place<'_>) {
    let person = place.person("typescript-sdk-1");
    let told = person.run("client-v1.mjs", &[&place.url, "login"]).json();
    assert_eq!(told["protocol"], "2025-11-25");
    all_tools_work(&told, "A summary from the TypeScript SDK 1.x.");
    assert_eq!(told["refreshed"], json!({"echo": "again", "given": 2}));
    place.logged_in_once(&person);
}

/// The official TypeScript SDK 2.x with a provider.
pub(super) fn typescript_sdk_2(place: &Place<'_>) {
    let person = place.person("typescript-sdk-2");
    let told = person.run("client-v2.mjs", &[&place.url, "modern", "login"]).json();
    assert_eq!(told["protocol"], "2026-07-28");
    all_tools_work(&told, "A summary from the TypeScript SDK 2.x.");
    assert_eq!(told["refreshed"], json!({"echo": "again", "given": 2}));
    place.logged_in_once(&person);
}

/// FastMCP's client with `auth="oauth"`.
pub(super) fn fastmcp(place: &Place<'_>) {
    let person = place.person("fastmcp");
    let told = person.run("fastmcp_client.py", &[&place.url]).json();
    assert_eq!(told["tools"], json!(["echo", "timestamp", "calculator", "summarize"]));
    assert_eq!((&told["echo"], &told["again"], &told["given"]), (&json!("Grüße"), &json!("again"), &json!(2)));
    place.logged_in_once(&person);
}

/// `mcp-remote`, behind which a program that knows stdio only is: logs in once, then goes on with what it has kept, and
/// refreshes it.
pub(super) fn mcp_remote(place: &Place<'_>) {
    let person = place.person("mcp-remote");
    let story = |more: &[&str]| {
        let told = person.run("bridge.mjs", &[&[&*place.url], more].concat()).json();
        all_tools_work(&told, "A summary by way of mcp-remote.");
    };
    let began = Instant::now();
    story(&[]);
    figure(&format!(
        "mcp-remote at {}: {:.1} s from nothing to all tools called",
        place.issuer,
        began.elapsed().as_secs_f32()
    ));
    place.logged_in_once(&person);

    let kept = person.desk().home().join(".mcp-auth/mcp-remote-v1");
    let kept = fs::read_dir(kept).expect("it keeps its tokens").map(|file| file.expect("a file").path());
    let kept = kept.into_iter().find(|path| path.to_string_lossy().ends_with("_tokens.json")).expect("tokens");
    let read = || -> Value { serde_json::from_slice(&fs::read(&kept).expect("a file")).expect("JSON") };
    let mut tokens = read();
    let first = tokens["refresh_token"].clone();
    tokens["access_token"] = "spoilt".into();
    fs::write(&kept, tokens.to_string()).expect("the home is writable");
    story(&["--protocol", "auto"]);
    assert_ne!(read()["access_token"], "spoilt");
    assert!(first.is_string() && read()["refresh_token"].is_string() && read()["refresh_token"] != first, "it rotates");
    place.logged_in_once(&person);
}

/// MCP Inspector in a browser.
pub(super) fn inspector(place: &Place<'_>) {
    let person = place.person("inspector");
    let port = free_port();
    let _service = person.desk().inspector(port, &place.url);
    let began = Instant::now();
    let told = person.play("inspector.mjs", &[&format!("http://127.0.0.1:{port}")]).json();
    figure(&format!(
        "Inspector at {}: {:.1} s from its page to a tool's answer",
        place.issuer,
        began.elapsed().as_secs_f32()
    ));
    assert_eq!((&told["tools"], &told["result"]), (&json!("Tools (4)"), &json!("GRÜSSE")), "{told:#}");
    assert_eq!((&told["resource"], &told["code_challenge_method"]), (&json!(place.url), &json!("S256")), "{told:#}");
}

/// MCP Inspector's command line: logs in once, then refreshes what it has kept.
pub(super) fn inspector_command_line(place: &Place<'_>) {
    let person = place.person("inspector-cli");
    let callback = format!("http://127.0.0.1:{}/oauth/callback", free_port());
    let inspect = |more: &[&str]| {
        let arguments = [&["--server-url", &place.url, "--callback-url", &callback], more].concat();
        person.desk().inspector_cli(&arguments, &[("BROWSER", &person.browser())])
    };
    let anonymous = inspect(&["--method", "tools/list", "--stored-auth-only"]);
    anonymous.failed(3, &["auth_required"]);
    let listed = inspect(&["--method", "tools/list"]).json();
    let tools = listed["result"]["tools"].as_array().expect("a list").iter().map(|tool| tool["name"].clone());
    assert_eq!(tools.collect::<Vec<_>>(), ["echo", "timestamp", "calculator", "summarize"]);
    place.logged_in_once(&person);
    let call = ["--method", "tools/call", "--tool-name", "echo", "--tool-arg", "message=again"];
    let called = inspect(&[&call, &["--use-stored-auth", "--protocol-era", "modern"][..]].concat()).json();
    assert_eq!(called["result"]["structuredContent"]["echo"], "again", "{called:#}");
    place.logged_in_once(&person);
}

/// A program whose user does not want it.
pub(super) fn nobody(place: &Place<'_>) {
    let person = place.person("denied").deciding("deny");
    let told = person.run("client-v2.mjs", &[&place.url, "modern", "login"]);
    told.failed(1, &["no code: error=access_denied"]);
    assert_eq!(told.stdout, "");
    let visit = &person.visits(1)[0];
    assert_eq!((&visit["error"], &visit["issuer"]), (&json!("access_denied"), &json!(place.issuer)), "{visit:#}");
}
