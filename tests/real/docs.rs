//! `/docs` in headless Chromium, with a tool from outside the crate.

use std::path::Path;

use schemars::JsonSchema;
use securemcp::tools::{CallContext, Tool, ToolError, Tools};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::harness::{Account, Foreign, browser};

/// A tool whose arguments no plain field can show.
struct Order;

#[derive(Deserialize, JsonSchema)]
struct Input {
    /// What is wanted.
    lines: Vec<Line>,
    /// For the one who packs.
    note: Option<String>,
    /// Pack it as a present.
    #[serde(default)]
    wrap: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Line {
    item: String,
    #[schemars(range(min = 1))]
    count: u32,
}

#[derive(Serialize, JsonSchema)]
struct Output {
    summary: String,
}

impl Tool for Order {
    type Input = Input;
    type Output = Output;

    const NAME: &'static str = "order";
    const TITLE: Option<&'static str> = Some("Order <b>things</b>");
    const DESCRIPTION: &'static str = "Says what was ordered.";
    const SCOPES: &'static [&'static str] = &["mcp:read"];

    async fn call(&self, input: Input, _: &CallContext) -> Result<Output, ToolError> {
        let lines: Vec<_> = input.lines.iter().map(|line| format!("{} {}", line.count, line.item)).collect();
        Ok(Output { summary: format!("{} ({:?}, wrapped: {})", lines.join(", "), input.note, input.wrap) })
    }
}

#[test]
fn a_person_reads_and_calls_the_tools() {
    let account = Account::new();
    let server = account.serve_tools(Tools::builtin().with(Order));
    let origin = &server.origin;
    let token = account.token_for(&format!("{origin}/mcp"), "mcp:read");
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-logs/docs");
    let browser = browser();
    let arguments = [origin, browser.to_str().expect("UTF-8"), pictures.to_str().expect("UTF-8")];
    let told = Foreign::new().run("page.mjs", &arguments, &token).json();

    reads_everything_from_this_server(&told, origin);
    shows_every_tool(&told);
    explains_refusals(&told);
    calls_tools(&told);
    keeps_no_token(&told, &token);
    is_for_everybody(&told);

    let curl = told["curl"].as_str().expect("a command");
    assert_eq!(told["copied"], curl);
    assert!(curl.contains("$TOKEN") && !curl.contains(&token), "{curl}");
    let answer = account.shell(curl, &[("TOKEN", &token)]).json();
    assert_eq!(answer["result"], json!({"echo": "IT'S Ü", "timestamp": null, "length": 6}));
}

#[test]
fn a_person_logs_in_and_calls_a_tool_and_no_answer_of_another_is_used() {
    let account = Account::new();
    let server = account.serve_tools(Tools::builtin());
    let origin = &server.origin;
    let password = std::fs::read_to_string(account.home().join("state/securemcp/dev-password")).expect("it was made");
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-logs/screens");
    let browser = browser();
    let arguments = [origin, browser.to_str().expect("UTF-8"), pictures.to_str().expect("UTF-8")];
    let told = Foreign::new().run("page-login.mjs", &arguments, password.trim_end()).json();

    let logins = told["logins"].as_object().expect("an object");
    assert_eq!(logins.keys().collect::<Vec<_>>(), ["light", "dark", "localhost"]);
    for (name, login) in logins {
        is_logged_in(name, login, origin);
    }
    refuses_answers(&told["answers"], origin);
    assert_eq!(told["violations"], json!([]), "nothing breaks the content security policy");
    let words = told["console"].as_array().expect("a list").iter().filter_map(Value::as_str);
    // The browser itself notes each answer that is an error.
    let odd: Vec<_> = words.filter(|line| !line.starts_with("Failed to load resource: the server responded")).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

fn is_logged_in(name: &str, login: &Value, origin: &str) {
    let says = |member: &str, words: &str| {
        assert!(login[member].as_str().is_some_and(|text| text.contains(words)), "{name}: {words} in {login}");
    };
    says("consent", "Allow “Tools page of this server” to use this server as dev?");
    assert!(!login["consent"].to_string().contains("nobody has checked it"), "{name}: {login}");
    assert_eq!(login["meanwhile"], meanwhile(name), "what is kept until the page is back");
    says("caller", "dev, by docs: mcp:read mcp:write mcp:infer, until ");
    assert_eq!((&login["status"], &login["traded"]), (&json!("200 OK"), &json!(1)), "{name}");
    let host = if name == "localhost" { origin.replace("127.0.0.1", "localhost") } else { origin.to_owned() };
    let nothing = json!({"session": {}, "local": 0, "cookie": "", "address": format!("{host}/docs")});
    assert_eq!(login["after"], nothing, "{name}");
    says("reloaded", "No token yet");
}

/// The issuer's page cannot see what a page of another origin keeps.
fn meanwhile(name: &str) -> Value {
    if name == "localhost" { json!([]) } else { json!(["verifier", "state", "issuer"]) }
}

fn refuses_answers(answers: &Value, origin: &str) {
    let another = &*format!("The answer is not from {origin}, where the login was begun");
    let expected = [
        ("wrong_state", "for no login that was begun in this tab", 0),
        ("no_state", "for no login that was begun in this tab", 0),
        ("wrong_issuer", another, 0),
        ("wrong_issuer_of_a_refusal", another, 0),
        ("no_issuer", another, 0),
        ("refusal", "The issuer refused: server_error: <b>Closed</b> today.", 0),
        ("bad_code", "The issuer refused: invalid_grant: ", 1),
        ("denied", "Access was not allowed at the issuer", 0),
    ];
    assert_eq!(answers.as_object().expect("an object").len(), expected.len());
    for (name, words, traded) in expected {
        let answer = &answers[name];
        assert!(answer["said"].as_str().is_some_and(|text| text.contains(words)), "{name}: {answer}");
        assert!(answer["said"].as_str().is_some_and(|text| text.contains("Log in once more")), "{name}: what to do");
        assert_eq!((&answer["traded"], &answer["repeats"]), (&json!(traded), &json!(false)), "{name}: {answer}");
        let nothing = json!({"session": {}, "local": 0, "cookie": "", "address": format!("{origin}/docs")});
        assert_eq!(answer["after"], nothing, "{name}");
        assert!(answer["caller"].as_str().is_some_and(|text| text.starts_with("No token yet")), "{name}: {answer}");
        assert_eq!(answer["problems"]["found"], json!([]), "{name}");
        assert!(answer["problems"]["checked"].as_u64() > Some(20), "{name}");
    }
}

fn reads_everything_from_this_server(told: &Value, origin: &str) {
    let requests: Vec<_> = told["requests"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(requests.len() > 15, "{requests:?}");
    let foreign: Vec<_> = requests.iter().filter(|url| !url.starts_with(&format!("{origin}/"))).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert_eq!(told["violations"], json!([]), "nothing breaks the content security policy");
    let words = told["console"].as_array().expect("a list").iter().filter_map(Value::as_str);
    // The browser itself notes each answer that is an error.
    let odd: Vec<_> = words.filter(|line| !line.starts_with("Failed to load resource: the server responded")).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

fn shows_every_tool(told: &Value) {
    let titles = json!(["Echo", "Timestamp", "Calculator", "Summarize", "Order <b>things</b>"]);
    assert_eq!(told["tools"], titles, "text stays text");
    assert_eq!(told["index"], titles);
}

fn explains_refusals(told: &Value) {
    let says = |name: &str, status: &str, words: &[&str]| {
        let answer = &told[name];
        assert_eq!(answer["status"], status, "{name}");
        let text = answer["text"].as_str().expect("a text");
        for words in words {
            assert!(text.contains(words), "{name}: expected `{words}` in {text}");
        }
    };
    let metadata = "/.well-known/oauth-protected-resource/mcp";
    says("anonymous", "401 Unauthorized", &["No token was sent", "mcp:read mcp:write mcp:infer", metadata]);
    says("refused", "401 Unauthorized", &["expired, revoked, or issued for another server", metadata]);
    let missing = ["does not allow this tool", "mcp:write", metadata, "securemcp token get"];
    says("calculator", "403 Forbidden", &missing);
    says("timestamp", "422 Unprocessable Entity", &["/timezone", "Mars/Olympus"]);
    let marked = &told["marked"];
    assert_eq!((&marked["invalid"], &marked["focused"]), (&json!("true"), &json!(true)), "{marked}");
    assert!(marked["error"].as_str().is_some_and(|text| text.contains("IANA")), "{marked}");
    assert!(told["not_sent"].as_str().is_some_and(|text| text.starts_with("not JSON")), "{}", told["not_sent"]);
    let places = (&told["typing_in"], &told["sent_to"]);
    assert_eq!(places, (&json!("call_order-note"), &json!("call_order-lines")));
    assert!(told["wrong"].as_str().is_some_and(|text| text.starts_with("Refused with 401")), "{}", told["wrong"]);
    assert!(told["typo"].as_str().is_some_and(|text| text.starts_with("That is no token")), "{}", told["typo"]);
}

fn calls_tools(told: &Value) {
    assert!(told["caller"].as_str().is_some_and(|text| text.contains(": mcp:read, until ")), "{}", told["caller"]);
    let badges: Vec<_> = told["badges"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(badges.len(), 5);
    assert!(badges[0].contains("your token has it") && badges[2].contains("your token lacks it"), "{badges:?}");
    assert_eq!(told["echo"]["status"], "200 OK");
    assert!(told["echo"]["text"].as_str().is_some_and(|text| text.contains("IT'S Ü")), "{}", told["echo"]);
    assert_eq!(told["order"]["status"], "200 OK", "{}", told["order"]);
    let order = told["order"]["text"].as_str().expect("a text");
    assert!(order.contains(r#"3 nut (Some(\"soon\"), wrapped: false)"#), "{order}");
}

fn keeps_no_token(told: &Value, token: &str) {
    let kept = &told["kept"];
    for place in ["local", "session", "databases", "caches"] {
        assert_eq!(kept[place], 0, "{place}");
    }
    assert_eq!((&kept["cookie"], &kept["in_page"]), (&json!(""), &json!(false)));
    assert_eq!(told["left_in_the_field"], "");
    assert!(kept["address"].as_str().is_some_and(|address| address.ends_with("/docs")), "{kept}");
    assert!(!told.to_string().contains(token), "neither in an address nor in what the page shows");
    assert!(told["after_reload"].as_str().is_some_and(|text| text.starts_with("No token")), "{}", told["after_reload"]);
}

/// Both colour schemes, on a desk and on a phone.
fn is_for_everybody(told: &Value) {
    let problems = told["problems"].as_object().expect("an object");
    assert_eq!(problems.len(), 4);
    for (view, problems) in problems {
        assert_eq!(problems["found"], json!([]), "{view}");
        assert_eq!(problems["wide"], false, "{view}: nothing is wider than the screen");
        assert!(problems["checked"].as_u64() > Some(20), "{view}: {problems}");
    }
}
