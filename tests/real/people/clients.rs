//! What each client does, and what must come of it.

use std::{fs, path::PathBuf, time::Instant};

use serde_json::{Value, json};

use super::Place;
use crate::{
    harness::{Person, figure, free_port},
    sdk_clients::all_tools_work,
};

/// The official Python SDK's `OAuthClientProvider`.
pub(super) fn python_sdk(place: &Place<'_>) {
    let person = place.person("python-sdk");
    let told = place.run(&person, "client.py", &["modern", "login"]).json();
    assert_eq!(told["protocol"], "2026-07-28");
    all_tools_work(&told, "A summary from the Python SDK.");
    assert_eq!(told["refreshed"], json!({"echo": "again", "given": 2}));
    place.logged_in_once(&person);
}

/// The official TypeScript SDK 1.x with a provider.
pub(super) fn typescript_sdk_1(place: &Place<'_>) {
    let person = place.person("typescript-sdk-1");
    let told = place.run(&person, "client-v1.mjs", &["login"]).json();
    assert_eq!(told["protocol"], "2025-11-25");
    all_tools_work(&told, "A summary from the TypeScript SDK 1.x.");
    assert_eq!(told["refreshed"], json!({"echo": "again", "given": 2}));
    place.logged_in_once(&person);
}

/// The official TypeScript SDK 2.x with a provider.
pub(super) fn typescript_sdk_2(place: &Place<'_>) {
    let person = place.person("typescript-sdk-2");
    let told = place.run(&person, "client-v2.mjs", &["modern", "login"]).json();
    assert_eq!(told["protocol"], "2026-07-28");
    all_tools_work(&told, "A summary from the TypeScript SDK 2.x.");
    assert_eq!(told["refreshed"], json!({"echo": "again", "given": 2}));
    place.logged_in_once(&person);
}

/// FastMCP's client with `auth="oauth"`.
pub(super) fn fastmcp(place: &Place<'_>) {
    let person = place.person("fastmcp");
    let told = place.run(&person, "fastmcp_client.py", &[]).json();
    assert_eq!(told["tools"], json!(["echo", "timestamp", "calculator", "summarize"]));
    assert_eq!((&told["echo"], &told["again"], &told["given"]), (&json!("Grüße"), &json!("again"), &json!(2)));
    place.logged_in_once(&person);
}

/// `mcp-remote`, behind which a program that knows stdio only is: logs in once, then goes on with what it has kept, and
/// refreshes it.
pub(super) fn mcp_remote(place: &Place<'_>) {
    let person = place.person("mcp-remote");
    let by_document = by_document(place);
    let began = Instant::now();
    bridged(&person, &place.url, &by_document);
    let took = began.elapsed().as_secs_f32();
    figure(&format!("mcp-remote at {}: {took:.1} s from nothing to all tools called", place.issuer));
    place.logged_in_once(&person);

    let before = spoil_what_mcp_remote_kept(&person);
    bridged(&person, &place.url, &[&by_document, &["--protocol", "auto"][..]].concat());
    let (_, after) = what_mcp_remote_kept(&person);
    assert_ne!(after["access_token"], "spoilt");
    assert!(before["refresh_token"].is_string() && after["refresh_token"].is_string(), "{after:#}");
    assert_ne!(after["refresh_token"], before["refresh_token"], "it rotates");
    place.logged_in_once(&person);
}

/// How both name their document.
fn by_document<'a>(place: &'a Place<'_>) -> Vec<&'a str> {
    place.document.as_ref().map_or_else(Vec::new, |url| vec!["--client-metadata-url", url])
}

/// Runs a program on `mcp-remote`, with all its tools.
pub(super) fn bridged(person: &Person, url: &str, more: &[&str]) {
    let told = person.run("bridge.mjs", &[&[url], more].concat()).json();
    all_tools_work(&told, "A summary by way of mcp-remote.");
}

/// Makes the access token that it has kept one that no server takes, as time would; gives what it had kept.
pub(super) fn spoil_what_mcp_remote_kept(person: &Person) -> Value {
    let (path, kept) = what_mcp_remote_kept(person);
    let mut spoilt = kept.clone();
    spoilt["access_token"] = "spoilt".into();
    fs::write(path, spoilt.to_string()).expect("the home is writable");
    kept
}

fn what_mcp_remote_kept(person: &Person) -> (PathBuf, Value) {
    let kept = person.desk().home().join(".mcp-auth/mcp-remote-v1");
    let mut files = fs::read_dir(kept).expect("it keeps its tokens").map(|file| file.expect("a file").path());
    let path = files.find(|path| path.to_string_lossy().ends_with("_tokens.json")).expect("its tokens");
    let kept = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    (path, kept)
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

/// A program that runs in a browser, at an origin that is allowed, and at another one.
pub(super) fn in_a_browser(place: &Place<'_>) {
    let person = place.person("browser");
    let at = |origin: &str| person.play("browser.mjs", &[&place.url, origin]);
    let told = at("http://localhost:6274");
    assert_eq!(told.json(), json!({"protocol": "2026-07-28", "tools": 4, "echo": "Grüße"}), "{told:#?}");
    let stopped = at("http://localhost:6299");
    assert_eq!(stopped.json(), json!({"error": "TypeError: Failed to fetch"}), "{stopped:#?}");
    assert!(stopped.stderr.contains("blocked by CORS policy"), "{stopped:#?}");
}

/// MCP Inspector's command line: logs in once, then refreshes what it has kept.
pub(super) fn inspector_command_line(place: &Place<'_>) {
    let person = place.person("inspector-cli");
    let callback = format!("http://127.0.0.1:{}/oauth/callback", free_port());
    let inspect = |more: &[&str]| {
        let arguments =
            [&["--server-url", &place.url, "--callback-url", &callback], &*by_document(place), more].concat();
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
    let person = place.person("denied").deciding(Some("deny"));
    let told = place.run(&person, "client-v2.mjs", &["modern", "login"]);
    told.failed(1, &["no code: error=access_denied"]);
    assert_eq!(told.stdout, "");
    let visit = &person.visits(1)[0];
    assert_eq!((&visit["error"], &visit["issuer"]), (&json!("access_denied"), &json!(place.issuer)), "{visit:#}");
}
