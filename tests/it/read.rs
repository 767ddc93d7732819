//! `securemcp resource`, `securemcp prompt` and `securemcp skill`, on a server that has some and on one that has none.

use serde_json::json;

use crate::harness::{
    cli::{Account, Ended},
    liar::{Liar, field, only},
    terminal::Terminal,
};

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
    liar.answer_method("resources/read", json!({"uri": "memo://old"}), json!(-32002));
    liar.answer_method("resources/read", json!({}), json!(-32602));
    let prompts = json!({"prompts": [{"name": "review", "description": "Reviews code.", "arguments":
        [{"name": "language", "required": true}, {"name": "style"}]}], "nextCursor": "next"});
    liar.answer_method("prompts/list", json!({"cursor": null}), prompts);
    liar.answer_method("prompts/list", json!({"cursor": "next"}), json!({"prompts": [{"name": "greet"}]}));
    let message = json!({"messages": [{"role": "user", "content": {"type": "text", "text": "Review this."}}]});
    liar.answer_method("prompts/get", json!({"name": "review", "arguments": {"language": "Rust"}}), message);
    liar.answer_method("prompts/get", json!({}), json!(-32602));
    (account, liar)
}

fn run(account: &Account, liar: &Liar, arguments: &[&str]) -> Ended {
    account.run(&[arguments, &["--server", &liar.url]].concat())
}

#[test]
fn resources_are_listed_page_by_page_and_read_as_they_are() {
    let (account, liar) = server();
    let listed = "memo://one     one    text/plain  The first.\nmemo://bytes   bytes\nmemo://{name}  any\n";
    assert_eq!(run(&account, &liar, &["resource", "list"]).done(), listed);
    let json = run(&account, &liar, &["resource", "list", "--output", "json"]).json();
    let lengths = ["resources", "resourceTemplates"].map(|list| json[list].as_array().map(Vec::len));
    assert_eq!(lengths, [Some(2), Some(1)]);
    assert_eq!(run(&account, &liar, &["resource", "read", "memo://one"]).done(), "line one\nline two");
    assert_eq!(run(&account, &liar, &["resource", "read", "memo://bytes"]).done().as_bytes(), [0, 1, 2, 3]);
    let json = run(&account, &liar, &["resource", "read", "memo://bytes", "--output", "json"]).json();
    assert_eq!(json["contents"][0]["blob"], "AAECAw==");
    for missing in ["memo://none", "memo://old"] {
        let missing = run(&account, &liar, &["resource", "read", missing]);
        missing.failed(2, &["there is no such thing", "`securemcp resource list`"]);
    }
}

#[test]
fn bytes_are_not_written_to_a_terminal() {
    let (account, liar) = server();
    for (uri, expected, words) in
        [("memo://one", Some(0), "line one"), ("memo://bytes", Some(1), "is 4 bytes and no text")]
    {
        let terminal = Terminal::start(account.command(&["resource", "read", uri, "--server", &liar.url]));
        let (code, screen) = terminal.ended();
        assert_eq!(code, expected, "{screen}");
        assert!(screen.contains(words) && !screen.contains('\u{1}'), "{screen:?}");
    }
}

#[test]
fn more_scopes_are_got_for_what_needs_them() {
    for (arguments, method) in [
        (&["resource", "read", "memo://one"][..], "resources/read"),
        (&["prompt", "get", "review", "--arg", "language=Rust"], "prompts/get"),
    ] {
        let (account, liar) = server();
        liar.needs("mcp:read mcp:write");
        run(&account, &liar, arguments).done();
        let hits = liar.hits();
        let asked: Vec<_> = only(&hits, "POST /token").iter().map(|hit| field(&hit.body, "scope")).collect();
        assert_eq!(asked, [Some("mcp:read".to_owned()), Some("mcp:read mcp:write".to_owned())]);
        assert_eq!(only(&hits, &format!("POST /mcp {method}")).len(), 2);
        // Scopes that are named are not widened.
        liar.revoke_all();
        let refused = run(&account, &liar, &[arguments, &["--scope", "mcp:read"]].concat());
        refused.failed(6, &["mcp:write"]);
    }
}

#[test]
fn what_a_server_once_lacked_is_asked_for_again() {
    let (account, liar) = server();
    let later = Liar::start();
    run(&account, &later, &["resource", "list"]).failed(1, &["has no resources"]);
    later.answer_method("resources/list", json!({}), json!({"resources": [{"uri": "memo://new", "name": "new"}]}));
    later.answer_method("resources/templates/list", json!({}), json!(-32601));
    assert_eq!(run(&account, &later, &["resource", "list"]).done(), "memo://new  new\n");
    // The twin: what is remembered and enough is not asked for.
    run(&account, &liar, &["prompt", "list"]).done();
    liar.hits();
    run(&account, &liar, &["prompt", "list"]).done();
    assert_eq!(only(&liar.hits(), "POST /mcp server/discover").len(), 0);
}

#[test]
fn prompts_are_listed_and_filled_in() {
    let (account, liar) = server();
    let get = |arguments: &[&str]| run(&account, &liar, &[&["prompt", "get"], arguments].concat());
    assert_eq!(run(&account, &liar, &["prompt", "list"]).done(), "review  language [style]  Reviews code.\ngreet\n");
    assert_eq!(get(&["review", "--arg", "language=Rust"]).done(), "user: Review this.\n");
    let json = get(&["review", "--arg", "language=Rust", "--output", "json"]).json();
    assert_eq!(json["messages"][0]["role"], "user");
    let refused = get(&["review", "--arg", "language=Rust", "--arg", "style=odd"]);
    refused.failed(2, &["there is no such thing", "`securemcp prompt list`"]);
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

const SKILL: &str = "skill://forms/SKILL.md";
const SKILL_TEXT: &str = "---\nname: forms\ndescription: Fills forms\n---\n\nFill them.\n";

/// A server with one skill of two files, of which the first is this text.
fn server_with_skill(text: &str) -> (Account, Liar) {
    let (account, liar) = (account(), Liar::start());
    // Of `SKILL_TEXT` and of `forms`.
    let files = json!([
        {"uri": SKILL, "size": 57, "digest": "sha256:399a373c56c688f8439e7dfd52b852a2cdf4959945db61f0bf9083259e85e3f9"},
        {"uri": "skill://forms/FORMS.md", "size": 5, "digest": "sha256:8bec8757f662f0f3cab90d3c7cfbf69ce66e4e120b0f8fb911aa1022798b3edf"},
    ]);
    let skills =
        json!([{"uri": SKILL, "frontmatter": {"name": "forms", "description": "Fills forms"}, "resources": files}]);
    liar.answer_method("skills/list", json!({}), json!({ "skills": skills }));
    liar.answer_method("resources/read", json!({"uri": SKILL}), json!({"contents": [{"uri": SKILL, "text": text}]}));
    let forms = json!({"contents": [{"uri": "skill://forms/FORMS.md", "text": "forms"}]});
    liar.answer_method("resources/read", json!({"uri": "skill://forms/FORMS.md"}), forms);
    (account, liar)
}

#[test]
fn skills_are_listed_and_read_as_they_were_listed() {
    let (account, liar) = server_with_skill(SKILL_TEXT);
    assert_eq!(run(&account, &liar, &["skill", "list"]).done(), "forms  Fills forms\n");
    let json = run(&account, &liar, &["skill", "list", "--output", "json"]).json();
    assert_eq!(json["skills"][0]["resources"][1]["uri"], "skill://forms/FORMS.md");
    assert!(only(&liar.hits(), "POST /mcp resources/read").is_empty(), "nothing is read before it is asked for");
    assert_eq!(run(&account, &liar, &["skill", "read", "forms"]).done(), SKILL_TEXT);
    assert_eq!(run(&account, &liar, &["skill", "read", "forms", "skill://forms/FORMS.md"]).done(), "forms");
    let json = run(&account, &liar, &["skill", "read", "forms", "--output", "json"]).json();
    assert_eq!((&json["text"], &json["frontmatter"]["name"]), (&json!(SKILL_TEXT), &json!("forms")));
    run(&account, &liar, &["skill", "read", "form"]).failed(2, &["no skill `form`", "did you mean `forms`?"]);
    run(&account, &liar, &["skill", "read", "forms", "memo://one"]).failed(1, &["has no file `memo://one`"]);
}

#[test]
fn a_skill_that_is_not_what_was_listed_is_not_shown() {
    for (text, problem) in [
        (SKILL_TEXT.replace("Fill them", "Kill them"), "has digest"),
        (format!("{SKILL_TEXT}And more.\n"), "is 67 bytes"),
    ] {
        let (account, liar) = server_with_skill(&text);
        let refused = run(&account, &liar, &["skill", "read", "forms"]);
        refused.failed(1, &["another file than it has listed", problem]);
        assert!(refused.stdout.is_empty());
    }
    let (account, liar) = (account(), Liar::start());
    run(&account, &liar, &["skill", "list"]).failed(1, &["has no skills"]);
}
