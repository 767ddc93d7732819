//! The command line on the official `@modelcontextprotocol/server-everything`, which has no authentication.

use serde_json::{Value, json};

use crate::harness::{Account, Foreign, free_port};

#[test]
fn tools_are_listed() {
    on_everything(|account, url| {
        let tools = account.securemcp(&["tools", "--server", url, "--output", "json"]).json();
        let mut names: Vec<_> =
            tools.as_array().expect("a list").iter().filter_map(|tool| tool["name"].as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "echo",
                "get-annotated-message",
                "get-env",
                "get-resource-links",
                "get-resource-reference",
                "get-structured-content",
                "get-sum",
                "get-tiny-image",
                "gzip-file-as-resource",
                "simulate-research-query",
                "toggle-simulated-logging",
                "toggle-subscriber-updates",
                "trigger-long-running-operation",
            ]
        );
    });
}

#[test]
fn tools_are_called_with_words_flags_and_json() {
    on_everything(|account, url| {
        let call = |arguments: &[&str]| account.securemcp(&[&["call"], arguments, &["--server", url]].concat());
        assert_eq!(call(&["echo", "Hello!"]).done(), "Echo: Hello!\n");
        assert_eq!(call(&["get-sum", "2", "-3"]).done(), "The sum of 2 and -3 is -1.\n");
        assert_eq!(call(&["get-sum", "--b", "0.5", "--a", "1"]).done(), "The sum of 1 and 0.5 is 1.5.\n");
        assert_eq!(call(&["echo", "--json", r#"{"message":"hi"}"#]).done(), "Echo: hi\n");
        let image = call(&["get-tiny-image"]);
        assert!(image.done().contains("[image image/png"), "{image:#?}");
    });
}

#[test]
fn a_result_is_printed_whole_as_json() {
    on_everything(|account, url| {
        let call = ["call", "get-structured-content", "New York", "--server", url, "--output", "json"];
        let result = account.securemcp(&call).json();
        let weather = json!({"temperature": 33, "conditions": "Cloudy", "humidity": 82});
        assert_eq!(result["structuredContent"], weather);
        let text = result["content"][0]["text"].as_str().expect("a text");
        assert_eq!(serde_json::from_str::<Value>(text).expect("JSON in the text"), weather);
    });
}

#[test]
fn arguments_that_do_not_fit_are_usage_errors() {
    on_everything(|account, url| {
        for call in
            [&["get-sum", "two", "3"][..], &["get-sum", "2"], &["get-structured-content", "Paris"], &["no-such-tool"]]
        {
            let ended = account.securemcp(&[&["call"], call, &["--server", url]].concat());
            assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{call:?}: {ended:#?}");
        }
    });
}

#[test]
fn a_server_that_asks_for_a_model_gets_the_commands_answer() {
    on_everything(|account, url| {
        let call = ["call", "trigger-sampling-request", "Why?", "--server", url, "--sampling-command", "echo Because."];
        let ended = account.securemcp(&call);
        assert!(ended.done().contains("LLM sampling result") && ended.stdout.contains("Because."), "{ended:#?}");
    });
}

#[test]
fn a_form_is_filled_in_and_a_long_job_says_how_far_it_is() {
    on_everything(|account, url| {
        let call = |more: &[&str]| account.securemcp(&[&["call"], more, &["--server", url]].concat());
        let form = ["trigger-elicitation-request", "--answer", "name=Ada", "--answer", "check=true"];
        let filled = call(&form);
        for told in ["- Name: Ada", "\"action\": \"accept\"", "\"integer\": 42", "\"titledMultipleSelectEnum\": ["] {
            assert!(filled.done().contains(told), "{told}: {filled:#?}");
        }
        call(&[&form[..], &["--answer", "integer=1000"]].concat()).failed(2, &["but `integer`"]);
        call(&form[..1]).failed(2, &["the server has no tool", "`--answer`"]);
        let job = call(&["trigger-long-running-operation", "--duration", "0.2", "--steps", "2", "-v"]);
        assert!(job.done().contains("completed"), "{job:#?}");
        assert!(job.stderr.contains("progress 1/2\n") && job.stderr.contains("progress 2/2\n"), "{job:#?}");
    });
}

fn on_everything(story: impl FnOnce(&Account, &str)) {
    let port = free_port();
    let foreign = Foreign::new();
    let _everything = foreign.everything(port);
    story(&Account::new(), &format!("http://127.0.0.1:{port}/mcp"));
}

#[test]
fn resources_are_read_and_prompts_are_got() {
    on_everything(|account, url| {
        let run = |arguments: &[&str]| account.securemcp(&[arguments, &["--server", url]].concat());
        let listed = run(&["resource", "list", "--output", "json"]).json();
        let uris = listed["resources"].as_array().expect("a list").iter().map(|one| one["uri"].as_str().expect("text"));
        let uris: Vec<_> = uris.collect();
        assert!(uris.contains(&"demo://resource/static/document/architecture.md"), "{uris:?}");
        assert!(!listed["resourceTemplates"].as_array().expect("a list").is_empty());
        let read = run(&["resource", "read", "demo://resource/static/document/architecture.md"]);
        assert!(read.done().contains("Architecture"), "{read:#?}");
        let prompts = run(&["prompt", "list"]);
        assert!(prompts.done().contains("args-prompt"), "{prompts:#?}");
        let prompt = run(&["prompt", "get", "args-prompt", "--arg", "city=Bern"]);
        assert!(prompt.done().starts_with("user: ") && prompt.done().contains("Bern"), "{prompt:#?}");
        run(&["prompt", "get", "args-prompt"]).failed(2, &["needs the argument `city`"]);
    });
}
