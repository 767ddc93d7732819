//! Other people's servers behind ours: two official ones on stdio, one over HTTP, and a FastMCP server.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Account, Ended, Foreign, Server, Service, free_port};

/// Our server, in front of another.
struct Guard {
    // Before the directories that it uses: fields are dropped in this order.
    server: Server,
    account: Account,
}

impl Guard {
    fn new(account: Account, flag: &str, value: &str) -> Self {
        Self { server: account.serve_with(&[flag, value]), account }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.account.securemcp(&[arguments, &["--server", &self.server.url()]].concat())
    }

    /// With a token that has no more than this scope.
    fn run_with(&self, scope: &str, arguments: &[&str]) -> Ended {
        let url = self.server.url();
        let token = self.account.securemcp(&["token", "get", "--server", &url, "--scope", scope]);
        self.account.with_token(Some(token.done().trim_end()), &[arguments, &["--server", &url]].concat())
    }

    fn tools(&self, scope: &str) -> Vec<String> {
        let tools = self.run_with(scope, &["tools", "--output", "json"]).json();
        let names =
            tools.as_array().expect("a list").iter().map(|tool| tool["name"].as_str().expect("a name").to_owned());
        names.collect()
    }
}

#[test]
fn the_official_filesystem_server_is_read_by_readers_and_written_by_writers() {
    let foreign = Foreign::new();
    let account = Account::new();
    let files = account.home().join("files");
    fs::create_dir(&files).expect("the home is writable");
    fs::write(files.join("a.txt"), "Grüße\n").expect("the folder is writable");
    let path = |name: &str| files.join(name).display().to_string();
    let guard = Guard::new(account, "--upstream-command", &foreign.on_stdio("server-filesystem", &[&path("")]));

    let readers = guard.tools("mcp:read");
    assert!(readers.contains(&"read_text_file".to_owned()) && readers.contains(&"list_directory".to_owned()));
    assert!(!readers.contains(&"write_file".to_owned()), "{readers:?}");
    let all = guard.tools("mcp:read mcp:write");
    assert!(all.contains(&"write_file".to_owned()) && all.len() > readers.len(), "{all:?}");

    assert_eq!(guard.run_with("mcp:read", &["call", "read_text_file", &path("a.txt")]).done(), "Grüße\n");
    let write = ["call", "write_file", &path("b.txt"), "new"];
    let refused = guard.run_with("mcp:read", &write);
    assert_eq!(refused.code, Some(2), "it is not shown: {refused:#?}");
    assert!(refused.stderr.contains("`--scope`") && !files.join("b.txt").exists(), "{refused:#?}");
    assert_eq!(guard.run_with("mcp:read mcp:write", &write).code, Some(0));
    assert_eq!(fs::read_to_string(files.join("b.txt")).expect("it was written"), "new");

    let outside = guard.run(&["call", "read_text_file", "/etc/passwd"]);
    assert_eq!(outside.code, Some(1), "the server's own refusal: {outside:#?}");
    assert!(format!("{}{}", outside.stdout, outside.stderr).contains("Access denied"), "{outside:#?}");
    let misspelt = guard.run(&["call", "read_text_file", "--json", r#"{"path": 7}"#]);
    assert_eq!(misspelt.code, Some(2), "as with words: {misspelt:#?}");
    assert!(misspelt.stderr.contains("`path` is `7`, expected a string"), "{misspelt:#?}");
}

#[test]
fn the_official_memory_server_remembers_what_two_callers_tell_it() {
    let foreign = Foreign::new();
    let guard = Guard::new(Account::new(), "--upstream-command", &foreign.on_stdio("server-memory", &[]));
    let told = |name: &str| {
        let entity = json!({"entities": [{"name": name, "entityType": "person", "observations": ["codes"]}]});
        guard.run(&["call", "create_entities", "--json", &entity.to_string()])
    };
    assert_eq!(told("Ada").code, Some(0), "{:#?}", told("Ada"));
    assert_eq!(told("Grace").code, Some(0));
    let graph = guard.run(&["call", "read_graph", "--output", "json"]).json();
    let text = graph.to_string();
    assert!(text.contains("Ada") && text.contains("Grace"), "{text}");
}

#[test]
fn the_official_server_with_everything_is_guarded_for_official_clients_of_both_generations() {
    let port = free_port();
    let foreign = Foreign::new();
    let _everything = foreign.everything(port);
    let guard = Guard::new(Account::new(), "--upstream", &format!("http://127.0.0.1:{port}/mcp"));
    let url = guard.server.url();
    let token = guard.account.securemcp(&["token", "get", "--server", &url, "--scope", "mcp:read mcp:write"]);
    for (generation, protocol) in [("legacy", "2025-11-25"), ("modern", "2026-07-28")] {
        let refused = foreign.run("guarded.mjs", &[&url, generation], "");
        assert_ne!(refused.code, Some(0), "without a token: {refused:#?}");
        let told = foreign.run("guarded.mjs", &[&url, generation], token.done().trim_end()).json();
        assert_eq!(told["protocol"], protocol);
        assert!(told["tools"].as_array().is_some_and(|tools| tools.contains(&json!("get-sum"))), "{told}");
        assert_eq!(told["echo"]["content"], json!([{"type": "text", "text": "Echo: Grüße"}]));
        assert_eq!(told["image"], json!(["text", "image", "text"]));
        let weather = json!({"temperature": 36, "conditions": "Light rain / drizzle", "humidity": 82});
        assert_eq!(told["structured"]["structuredContent"], weather, "{told}");
    }
    assert_eq!(guard.run(&["call", "get-sum", "2", "-3"]).done(), "The sum of 2 and -3 is -1.\n");
}

/// A FastMCP server that wants tokens of its own, and an issuer that gives them.
#[test]
fn a_fastmcp_server_gets_our_own_token_and_never_a_callers() {
    let port = free_port();
    let upstream = format!("http://127.0.0.1:{port}/mcp");
    let owner = Account::new();
    owner.configure(&format!("[embedded]\nresources = [\"{upstream}\"]\n"));
    let issuer = owner.serve();
    let foreign = Foreign::new();
    let metadata = "/.well-known/oauth-protected-resource/mcp";
    let _fastmcp: Service = foreign.serve("fastmcp_server.py", port, &[&issuer.origin()], metadata, 200);

    let account = Account::new();
    let token_file = account.home().join("upstream-token");
    fs::write(&token_file, owner.token(&upstream)).expect("the home is writable");
    let flags = ["--upstream", &upstream, "--upstream-token-file", &token_file.display().to_string()];
    let server = account.serve_with(&flags);
    let guard = Guard { server, account };
    let greeting = guard.run(&["call", "greet", "Ada", "--output", "json"]).json();
    let said: &Value = &greeting["structuredContent"];
    assert_eq!(said["greeting"], "Hello, Ada!");
    assert_eq!(said["audience"], upstream, "the token is for the server behind us");
    assert_eq!(said["issuer"], issuer.origin());
}

/// The commands of docs/GATEWAY.md, with `npx` as it finds packages that are installed already.
#[test]
fn the_page_about_guarding_does_what_it_shows() {
    let page = include_str!("../../docs/GATEWAY.md");
    let foreign = Foreign::new();
    let account = Account::new();
    let toml = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a file is shown");
    account.configure(toml);
    assert_eq!(account.securemcp(&["serve", "--check"]).code, Some(0), "the file that is shown");
    account.configure("");

    let port = free_port();
    let mut served: Option<Service> = None;
    let (mut ran, mut compared) = (0, 0);
    for block in page.split("```console\n").skip(1) {
        let block = block.split("```").next().expect("split has a first part");
        for shown in block.split("$ ").skip(1) {
            let (command, output) = shown.split_once('\n').expect("a line");
            ran += 1;
            if command.starts_with("securemcp serve --upstream") {
                drop(served.take());
                let service = account.documented(&foreign, port, command).serving(port);
                assert_eq!(account.as_shown(port, &service.log()), output, "{command}");
                served = Some(service);
            } else {
                let ended = account.documented(&foreign, port, command).ended();
                assert_eq!(ended.code, Some(0), "{command}: {ended:#?}");
                if !output.is_empty() {
                    compared += 1;
                    let said = account.as_shown(port, &format!("{}{}", ended.stdout, ended.stderr));
                    assert_eq!(said, output, "{command}");
                }
            }
        }
    }
    assert_eq!((ran, compared), (6, 3), "the commands were found");
}
