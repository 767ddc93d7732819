//! The command line on a FastMCP server whose `JWTVerifier` trusts the product's embedded issuer.

use serde_json::{Value, json};

use crate::harness::{Account, Ended, Foreign, Server, Service, free_port};

/// A FastMCP server, and the issuer that it trusts.
struct Guarded {
    // Before the directories that they use: fields are dropped in this order.
    _running: (Service, Server, Foreign),
    account: Account,
    issuer: String,
    url: String,
    /// The product's own MCP endpoint.
    own_url: String,
}

#[test]
fn a_token_is_found_by_discovery() {
    let fastmcp = Guarded::new();
    let result = fastmcp.securemcp(&["call", "greet", "Ada", "--output", "json"], None).json();
    assert_eq!(
        result["structuredContent"],
        json!({
            "greeting": "Hello, Ada!",
            "issuer": fastmcp.issuer,
            "audience": fastmcp.url,
            "scopes": ["mcp:read"],
        })
    );
}

#[test]
fn tools_are_those_that_the_scopes_allow() {
    let fastmcp = Guarded::new();
    let names = |more: &[&str]| {
        let tools = fastmcp.securemcp(&[&["tools", "--output", "json"], more].concat(), None).json();
        tools.as_array().expect("a list").iter().map(|tool| tool["name"].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(names(&[]), ["greet"]);
    assert_eq!(names(&["--scope", "mcp:read mcp:write"]), ["greet", "wipe"]);
}

#[test]
fn a_token_from_elsewhere_is_sent() {
    let fastmcp = Guarded::new();
    let token = fastmcp.account.token(&fastmcp.url);
    let ended = fastmcp.securemcp(&["call", "wipe", "--confirm"], Some(&token));
    assert_eq!(ended.done(), "wiped: True\n");
}

#[test]
fn a_token_for_the_issuers_own_server_is_refused() {
    let fastmcp = Guarded::new();
    let token = fastmcp.account.token(&fastmcp.own_url);
    let ended = fastmcp.securemcp(&["call", "greet", "Ada"], Some(&token));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(4), ""), "{ended:#?}");
}

impl Guarded {
    fn new() -> Self {
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}/mcp");
        let account = Account::new();
        // The issuer gives tokens for no server that it does not know.
        account.configure(&format!("[embedded]\nresources = [\"{url}\"]\n"));
        let server = account.serve();
        let issuer = server.origin();
        let foreign = Foreign::new();
        let metadata = "/.well-known/oauth-protected-resource/mcp";
        let service = foreign.serve("fastmcp_server.py", port, &[&issuer], metadata, 200);
        Self { issuer, url, own_url: server.url(), _running: (service, server, foreign), account }
    }

    fn securemcp(&self, arguments: &[&str], token: Option<&str>) -> Ended {
        self.account.with_token(token, &[arguments, &["--server", &self.url]].concat())
    }
}
