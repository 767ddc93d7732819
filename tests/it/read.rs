//! `securemcp resource` and `securemcp prompt`, on a server that has some and on one that has none.

use serde_json::{Value, json};

use crate::harness::{cli::Account, liar::Liar};

/// An account with a client of its own.
fn account() -> Account {
    Account::new().with("SECUREMCP_CLIENT_ID", "c").with("SECUREMCP_CLIENT_SECRET", "s")
}

/// A server with two pages of resources and one prompt, and an account that may call it.
fn server() -> (Account, Liar) {
    let (account, liar) = (account(), Liar::start());
    let first = json!({"resources": [{"uri": "memo://one", "name": "one", "mimeType": "text/plain",
        "description": "The first.\nMore of it."}], "nextCursor": "next"});
    liar.answer_method("resources/list", json!({"cursor": null}), first);
    let second = json!({"resources": [{"uri": "memo://bytes", "name": "bytes"}]});
    liar.answer_method("resources/list", json!({"cursor": "next"}), second);
    let templates = json!({"resourceTemplates": [{"uriTemplate": "memo://{name}", "name": "any"}]});
    liar.answer_method("resources/templates/list", json!({}), templates);
    let text = json!({"contents": [{"uri": "memo://one", "text": "line one\nline two"}]});
    liar.answer_method("resources/read", json!({"uri": "memo://one"}), text);
    let bytes = json!({"contents": [{"uri": "memo://bytes", "blob": "AAECAw=="}]});
    liar.answer_method("resources/read", json!({"uri": "memo://bytes"}), bytes);
    liar.answer_method("resources/read", json!({}), Value::Null);
    let prompts = json!({"prompts": [{"name": "review", "description": "Reviews code.", "arguments":
        [{"name": "language", "required": true}, {"name": "style"}]}]});
    liar.answer_method("prompts/list", json!({}), prompts);
    let message = json!({"messages": [{"role": "user", "content": {"type": "text", "text": "Review this."}}]});
    liar.answer_method("prompts/get", json!({"name": "review", "arguments": {"language": "Rust"}}), message);
    (account, liar)
}

fn run(account: &Account, liar: &Liar, arguments: &[&str]) -> crate::harness::cli::Ended {
    account.run(&[arguments, &["--server", &format!("{}/mcp", liar.origin)]].concat())
}

#[test]
fn resources_are_listed_page_by_page_and_read_as_they_are() {
    let (account, liar) = server();
    let listed = "memo://one     one    text/plain  The first.\nmemo://bytes   bytes\nmemo://{name}  any\n";
    assert_eq!(run(&account, &liar, &["resource", "list"]).done(), listed);
    let json = run(&account, &liar, &["resource", "list", "--output", "json"]).json();
    let lengths = ["resources", "resourceTemplates"].map(|list| json[list].as_array().map(Vec::len));
    assert_eq!(lengths, [Some(2), Some(1)]);
    assert_eq!(run(&account, &liar, &["resource", "read", "memo://one"]).done(), "line one\nline two\n");
    assert_eq!(run(&account, &liar, &["resource", "read", "memo://bytes"]).done().as_bytes(), [0, 1, 2, 3]);
    let json = run(&account, &liar, &["resource", "read", "memo://bytes", "--output", "json"]).json();
    assert_eq!(json["contents"][0]["blob"], "AAECAw==");
    let missing = run(&account, &liar, &["resource", "read", "memo://none"]);
    missing.failed(2, &["there is no such thing", "`securemcp resource list`"]);
}

#[test]
fn prompts_are_listed_and_filled_in() {
    let (account, liar) = server();
    let get = |arguments: &[&str]| run(&account, &liar, &[&["prompt", "get"], arguments].concat());
    assert_eq!(run(&account, &liar, &["prompt", "list"]).done(), "review  language [style]  Reviews code.\n");
    assert_eq!(get(&["review", "--arg", "language=Rust"]).done(), "user: Review this.\n");
    let json = get(&["review", "--arg", "language=Rust", "--output", "json"]).json();
    assert_eq!(json["messages"][0]["role"], "user");
    get(&["reviev"]).failed(2, &["no prompt `reviev`", "did you mean `review`?"]);
    get(&["review"]).failed(2, &["needs the argument `language`", "--arg language=VALUE"]);
    get(&["review", "--arg", "lang=Rust"]).failed(2, &["has no argument `lang`", "`language`, `style`"]);
    get(&["review", "--arg", "language"]).failed(2, &["has no `=`"]);
    get(&["review", "--arg", "language=a", "--arg", "language=b"]).failed(2, &["given twice"]);
}

#[test]
fn a_server_that_has_none_is_named() {
    let (account, liar) = (account(), Liar::start());
    for (arguments, what) in [
        (&["resource", "list"][..], "has no resources"),
        (&["resource", "read", "memo://one"], "has no resources"),
        (&["prompt", "list"], "has no prompts"),
        (&["prompt", "get", "review"], "has no prompts"),
    ] {
        run(&account, &liar, arguments).failed(1, &[what, "securemcp tools"]);
    }
}
