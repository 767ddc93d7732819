//! `/openapi.json` and `/docs`: made from whatever tools there are.

use std::{collections::BTreeSet, path::Path};

use reqwest::{Method, header};
use schemars::JsonSchema;
use securemcp::tools::{CallContext, Tool, ToolError, Tools};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::harness::server::TestServer;

/// A tool of another crate, whose schema refers to itself.
struct Count;

#[derive(Deserialize, JsonSchema)]
struct Tree {
    /// What hangs below.
    children: Vec<Tree>,
}

#[derive(Serialize, JsonSchema)]
struct Leaves {
    /// How many.
    leaves: usize,
}

impl Tree {
    fn leaves(&self) -> usize {
        if self.children.is_empty() { 1 } else { self.children.iter().map(Self::leaves).sum() }
    }
}

impl Tool for Count {
    type Input = Tree;
    type Output = Leaves;

    const NAME: &'static str = "count.leaves-1";
    const DESCRIPTION: &'static str = "Counts leaves.";
    const SCOPES: &'static [&'static str] = &["mcp:read", "tree:read"];

    async fn call(&self, tree: Tree, _: &CallContext) -> Result<Leaves, ToolError> {
        Ok(Leaves { leaves: tree.leaves() })
    }
}

async fn document(tools: Tools) -> Value {
    let server = TestServer::start_with(&[], tools).await;
    server.get("/openapi.json").await.json().await.expect("JSON")
}

/// Everything that the document refers to.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_is_the_one_in_the_docs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let document = format!("{:#}\n", document(Tools::builtin()).await);
    #[expect(clippy::disallowed_methods, reason = "a switch of this test, not a setting")]
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &document).expect("the docs can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == document, "docs/openapi.json is stale; write it with: UPDATE=1 cargo test --test it openapi");
}

#[tokio::test]
async fn every_tool_has_an_operation_with_its_schemas_and_scopes() {
    let tools = Tools::builtin().with(Count);
    let names: Vec<_> = tools.list().iter().map(|tool| tool.name.clone()).collect();
    assert_eq!(names.len(), 5);
    let document = document(tools).await;
    for name in names {
        let operation = &document["paths"][format!("/api/v1/tools/{name}")]["post"];
        let input = format!("#/components/schemas/{name}.input");
        assert_eq!(operation["requestBody"]["content"]["application/json"]["schema"]["$ref"], input, "{name}");
        assert_eq!(document["components"]["schemas"][format!("{name}.input")]["type"], "object", "{name}");
        assert!(operation["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
    let count = &document["paths"]["/api/v1/tools/count.leaves-1"]["post"];
    assert_eq!(count["security"], json!([{"bearer": ["mcp:read", "tree:read"]}]));
    let itself = &document["components"]["schemas"]["count.leaves-1.input"]["properties"]["children"]["items"]["$ref"];
    assert_eq!(itself, "#/components/schemas/count.leaves-1.input", "what was the root is elsewhere now");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn who_has_a_document_is_not_sent_it_again() {
    let server = TestServer::start(&[]).await;
    for (path, kind) in [
        ("/openapi.json", "application/json"),
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/page.js", "text/javascript; charset=utf-8"),
        ("/docs/page.css", "text/css; charset=utf-8"),
        ("/docs/icon.svg", "image/svg+xml"),
    ] {
        let first = server.get(path).await;
        assert_eq!(first.headers()[header::CONTENT_TYPE], kind);
        assert_eq!(first.headers()[header::CACHE_CONTROL], "no-cache");
        let etag = first.headers()[header::ETAG].clone();
        let ask = |etag: &str| server.request(Method::GET, path).header(header::IF_NONE_MATCH, etag).send();
        let known = ask(etag.to_str().expect("ASCII")).await.expect("an answer");
        assert_eq!((known.status().as_u16(), &known.headers()[header::ETAG]), (304, &etag), "{path}");
        assert_eq!(ask("\"another\"").await.expect("an answer").status(), 200, "{path}");
    }
}

#[tokio::test]
async fn h28_the_page_runs_nothing_but_its_own() {
    let server = TestServer::start(&[]).await;
    let page = server.get("/docs").await;
    let headers = page.headers().clone();
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["x-frame-options"], "DENY");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    let policy = headers["content-security-policy"].to_str().expect("ASCII");
    let directives: Vec<_> = policy.split(';').map(str::trim).collect();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(directives.contains(&directive), "{directive}: {policy}");
    }
    for word in ["unsafe", "http:", "https:", "data:", "blob:", "*"] {
        assert!(!policy.contains(word), "{word}: {policy}");
    }
    let html = page.text().await.expect("a body");
    let mut loaded = 0;
    for attribute in html.split(['"', '\'']).filter(|text| text.starts_with("docs/")) {
        assert_eq!(server.get(&format!("/{attribute}")).await.status(), 200, "{attribute}");
        loaded += 1;
    }
    assert_eq!(loaded, 4, "the style, the script, the icon and the picture");
    for foreign in ["http://", "https://", "//", "<style", " style=", "onclick", "onload"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
}
