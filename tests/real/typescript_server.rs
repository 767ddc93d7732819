//! The command line on a server made with the TypeScript SDK 2.x that speaks 2026-07-28 and nothing older.

use serde_json::json;

use crate::harness::{Account, Foreign, free_port};

#[test]
fn tools_are_listed() {
    on_typescript(|account, url| {
        let tools = account.securemcp(&["tools", "--server", url, "--output", "json"]).json();
        let names: Vec<_> = tools.as_array().expect("a list").iter().map(|tool| &tool["name"]).collect();
        assert_eq!(names, ["join", "fail", "ask", "book"]);
    });
}

#[test]
fn a_tool_is_called() {
    on_typescript(|account, url| {
        let call =
            |more: &[&str]| account.securemcp(&[&["call", "join", "a", "b", "c", "--server", url], more].concat());
        assert_eq!(call(&[]).done(), "a b c\n");
        assert_eq!(call(&["--separator", "-"]).done(), "a-b-c\n");
        let result = call(&["--output", "json"]).json();
        assert_eq!(result["structuredContent"], json!({"joined": "a b c", "count": 3}));
    });
}

#[test]
fn a_tool_that_fails_ends_with_1() {
    on_typescript(|account, url| {
        let ended = account.securemcp(&["call", "fail", "--server", url]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:#?}");
        assert!(ended.stderr.contains("this tool always fails"), "{ended:#?}");
    });
}

#[test]
fn a_server_that_asks_for_a_model_gets_the_commands_answer() {
    on_typescript(|account, url| {
        let call = ["call", "ask", "Why?", "--server", url, "--sampling-command", "echo Because."];
        assert_eq!(account.securemcp(&call).done(), "The model says: Because.\n");
    });
}

#[test]
fn questions_of_several_rounds_are_answered() {
    on_typescript(|account, url| {
        let book = |more: &[&str]| account.securemcp(&[&["call", "book", "--server", url], more].concat());
        let booked = book(&["--answer", "where=Rome", "--answer", "sure=true", "-v"]);
        assert_eq!(booked.done(), "booked: {\"where\":\"Rome\",\"nights\":2}\n");
        assert!(booked.stderr.contains("progress 1/1: booked"), "{booked:#?}");
        assert_eq!(book(&["--answer", "where=Rome", "--answer", "sure=false"]).done(), "nothing is booked\n");
        book(&["--answer", "where=Rome"]).failed(2, &["the server asks \"Sure?\"", "--answer sure=VALUE"]);
        // It is offered nothing, and says so itself.
        book(&[]).failed(1, &["-32021", "--answer NAME=VALUE"]);
    });
}

fn on_typescript(story: impl FnOnce(&Account, &str)) {
    let port = free_port();
    let foreign = Foreign::new();
    // It has no GET: that it answers is enough.
    let _server = foreign.serve("server-v2.mjs", port, &[], "/mcp", 405);
    story(&Account::new(), &format!("http://127.0.0.1:{port}/mcp"));
}
