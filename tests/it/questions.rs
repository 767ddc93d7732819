//! What a server asks and tells on its way to the result of a call: answered by flags or at a terminal, shown,
//! cancelled.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{
    cli::Account,
    process::Running,
    talker::{Step, Talker},
    terminal::Terminal,
};

const GENERATIONS: [bool; 2] = [false, true];
const ENTER: &str = "\r";
const DOWN: &str = "\u{1b}[B";

fn question(message: &str, properties: &Value, required: &[&str]) -> Value {
    let schema = json!({"type": "object", "properties": properties, "required": required});
    json!({"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}})
}

fn trip() -> Value {
    let properties = json!({
        "where": {"type": "string", "title": "Destination", "minLength": 3},
        "nights": {"type": "integer", "minimum": 1, "default": 2},
        "class": {"type": "string", "enum": ["e", "f"], "enumNames": ["economy", "first"], "default": "e"},
        "extras": {"type": "array", "items": {"anyOf": [{"const": "wifi", "title": "Wi-Fi"}, {"const": "meal"}]}},
        "insured": {"type": "boolean", "default": false},
    });
    question("Where to?", &properties, &["where"])
}

fn visit(url: &str) -> Value {
    let params = json!({"mode": "url", "message": "Pay, please.", "url": url, "elicitationId": "e1"});
    json!({"method": "elicitation/create", "params": params})
}

fn progress(done: u32, message: &str) -> Step {
    let params = json!({"progress": done, "total": 4, "message": message});
    Step::Tell(json!({"method": "notifications/progress", "params": params}))
}

fn log(level: &str, text: &str) -> Step {
    let params = json!({"level": level, "logger": "engine", "data": text});
    Step::Tell(json!({"method": "notifications/message", "params": params}))
}

fn call<'a>(talker: &'a Talker, more: &[&'a str]) -> Vec<&'a str> {
    [&["call", "work", "--json", "{}", "--server", &talker.url], more].concat()
}

#[test]
fn scripts_answer_with_flags() {
    for modern in GENERATIONS {
        let confirm = question("Sure?", &json!({"sure": {"type": "boolean"}}), &["sure"]);
        let talker = Talker::start(modern, &[Step::Ask("a", trip()), Step::Ask("b", confirm)]);
        let account = Account::new();
        let flags =
            ["where=Rome", "sure=true", "extras=wifi", "extras=meal"].map(|answer| ["--answer", answer]).concat();
        let ended = account.run(&call(&talker, &flags));
        let answers: Value = serde_json::from_str(ended.done()).expect("JSON");
        let form = json!({"where": "Rome", "nights": 2, "class": "e", "extras": ["wifi", "meal"], "insured": false});
        assert_eq!(answers["a"], json!({"action": "accept", "content": form}), "modern: {modern}");
        assert_eq!(answers["b"], json!({"action": "accept", "content": {"sure": true}}));
        // The same from standard input; what was not asked for is said.
        let given = r#"{"where": "Rome", "nights": 3, "sure": true, "colour": "red"}"#;
        let ended = account.run_with_input(&call(&talker, &["--answer-json", "-"]), given);
        let answers: Value = serde_json::from_str(ended.done()).expect("JSON");
        assert_eq!(answers["a"]["content"]["nights"], 3);
        assert!(ended.stderr.contains("warning: the server did not ask for `colour`"), "{ended:#?}");
    }
}

#[test]
fn what_no_flag_answers_ends_the_call_at_once() {
    for modern in GENERATIONS {
        let talker = Talker::start(modern, &[Step::Ask("a", trip())]);
        let account = Account::new();
        let refused = account.run(&call(&talker, &[]));
        assert_eq!(refused.stdout, "");
        let told = "the server asks \"Where to?\", and nobody is here to answer";
        refused.failed(2, &[told, "hint: run the command at a terminal, or add `--answer where=VALUE`"]);
        let offered = |talker: &Talker| {
            talker
                .heard("tools/call")
                .iter()
                .chain(&talker.heard("initialize"))
                .any(|message| message["params"].to_string().contains("\"elicitation\""))
        };
        assert!(!offered(&talker), "nothing is offered that cannot be kept");
        // What is given but does not fit is no better.
        for (answer, told) in [
            ("where=R", "but `where`: the value is shorter than 3 characters"),
            ("nights=x", "but `nights` is `x`, expected an integer"),
            ("nights=2", "but `where` is missing"),
        ] {
            let refused = account.run(&call(&talker, &["--answer", answer, "--output", "json"]));
            assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{refused:#?}");
            assert!(refused.error()["message"].as_str().expect("a text").contains(told), "{refused:#?}");
        }
        assert!(offered(&talker), "the twin");
    }
}

#[test]
fn a_secret_in_an_argument_is_refused_before_anything_is_asked() {
    let account = Account::new();
    let refused =
        account.run(&["call", "echo", "hi", "--server", "http://127.0.0.1:9/mcp", "--answer", "password=hunter2"]);
    refused.failed(2, &["`--answer`: its `password` looks like a secret", "--answer-json @FILE"]);
    assert!(!refused.stderr.contains("hunter2"), "{refused:#?}");
}

#[test]
fn a_secret_is_not_taken_from_a_command_line_for_a_form() {
    let ask = question("Log in", &json!({"password": {"type": "string"}}), &["password"]);
    let talker = Talker::start(true, &[Step::Ask("a", ask)]);
    let account = Account::new();
    let refused = account.run(&call(&talker, &["--answer", "password=hunter2"]));
    refused.failed(2, &["its `password` looks like a secret", "--answer-json @FILE"]);
    assert!(!refused.stderr.contains("hunter2"), "{refused:#?}");
    let refused = account.run(&call(&talker, &["--answer-json", r#"{"password": "hunter2"}"#]));
    refused.failed(2, &["its `password` looks like a secret", "--answer-json @FILE"]);
    assert!(!refused.stderr.contains("hunter2"), "{refused:#?}");
    let given = account.run_with_input(&call(&talker, &["--answer-json", "-"]), r#"{"password": "hunter2"}"#);
    assert!(given.done().contains("hunter2") && !given.stderr.contains("hunter2"), "{given:#?}");
}

#[test]
fn a_person_fills_in_a_form() {
    for modern in GENERATIONS {
        let talker = Talker::start(modern, &[Step::Ask("a", trip())]);
        let account = Account::new();
        let mut terminal = Terminal::start(account.command(&call(&talker, &[])));
        terminal.shows("cancel");
        let screen = terminal.screen();
        assert!(
            screen.contains("talker") && screen.contains(&talker.url) && screen.contains("| Where to?"),
            "{screen}"
        );
        terminal.types(ENTER);
        terminal.shows("Destination");
        terminal.types("R\r");
        terminal.shows("shorter than 3");
        terminal.types("\u{7f}Rome\r");
        terminal.shows("nights");
        terminal.types("0\r");
        terminal.shows("less than");
        terminal.types("\u{7f}5\r");
        terminal.shows("first (f)");
        terminal.types(&format!("{DOWN}{ENTER}"));
        terminal.shows("Wi-Fi (wifi)");
        terminal.types(&format!(" {ENTER}"));
        terminal.shows("insured");
        terminal.types(ENTER);
        terminal.shows("change");
        terminal.types(ENTER);
        let (code, screen) = terminal.ended();
        assert_eq!(code, Some(0), "{screen:?}");
        let content = r#"{"where":"Rome","nights":5,"class":"f","extras":["wifi"],"insured":false}"#;
        let answer = format!(r#"{{"a":{{"action":"accept","content":{content}}}}}"#);
        assert!(screen.contains(&answer), "{screen:?}");
    }
}

#[test]
fn a_person_may_decline_or_cancel_or_leave() {
    for modern in GENERATIONS {
        for (keys, action) in [(format!("{DOWN}{ENTER}"), "decline"), (format!("{DOWN}{DOWN}{ENTER}"), "cancel")] {
            let talker = Talker::start(modern, &[Step::Ask("a", trip())]);
            let account = Account::new();
            let mut terminal = Terminal::start(account.command(&call(&talker, &[])));
            terminal.shows("cancel");
            terminal.types(&keys);
            let (code, screen) = terminal.ended();
            assert_eq!(code, Some(0), "{screen:?}");
            assert!(screen.contains(&format!(r#"{{"a":{{"action":"{action}"}}}}"#)), "{screen:?}");
        }
        let talker = Talker::start(modern, &[Step::Ask("a", trip())]);
        let account = Account::new();
        let mut terminal = Terminal::start(account.command(&call(&talker, &[])));
        terminal.shows("cancel");
        let (code, screen) = terminal.interrupted();
        assert_eq!(code, Some(130), "{screen:?}");
        assert!(screen.contains("\u{1b}[?25h"), "the cursor is back: {screen:?}");
        // As the terminal does with a key that comes between two that are read.
        let mut terminal = Terminal::start(account.command(&call(&talker, &[])));
        terminal.shows("cancel");
        terminal.signal(Signal::INT);
        let (code, screen) = terminal.ended();
        assert_eq!(code, Some(130), "{screen:?}");
        assert!(screen.contains("\u{1b}[?25h"), "the cursor is back: {screen:?}");
    }
}

#[test]
fn a_page_is_opened_when_the_person_says_so() {
    for modern in GENERATIONS {
        let page = "https://pay.example/x?id=1";
        let talker = Talker::start(modern, &[Step::Ask("a", visit(page))]);
        let account = Account::new();
        let (program, opened) = (account.home().join("browser"), account.home().join("opened"));
        std::fs::write(&program, format!("echo \"$1\" >> {}\n", opened.display())).expect("writable");
        let start = || {
            let mut command = account.command(&call(&talker, &[]));
            command.env("BROWSER", format!("sh {}", program.display()));
            Terminal::start(command)
        };
        let mut terminal = start();
        terminal.shows("cancel");
        let screen = terminal.screen();
        assert!(screen.contains(page) && screen.contains("pay.example"), "{screen:?}");
        assert!(!opened.exists(), "nothing opens unasked");
        terminal.types(&format!("{DOWN}{ENTER}"));
        assert!(terminal.ended().1.contains(r#"{"a":{"action":"decline"}}"#));
        assert!(!opened.exists());
        let mut terminal = start();
        terminal.shows("cancel");
        terminal.types(ENTER);
        terminal.shows("done there");
        assert_eq!(std::fs::read_to_string(&opened).expect("it opened"), format!("{page}\n"));
        terminal.types(ENTER);
        assert!(terminal.ended().1.contains(r#"{"a":{"action":"accept"}}"#));
        for bad in
            ["javascript:alert(1)", "file:///etc/passwd", "http://pay.example/", "https://pay.example@evil.example/"]
        {
            talker.rules().steps = vec![Step::Ask("a", visit(bad))];
            let (code, screen) = start().ended();
            assert_eq!(code, Some(1), "{screen:?}");
            assert!(screen.contains("that is no page to send a person to"), "{screen:?}");
        }
        assert_eq!(std::fs::read_to_string(&opened).expect("it opened").lines().count(), 1);
    }
}

#[test]
fn c14_the_words_of_a_server_cannot_draw() {
    let evil = "x\u{1b}]8;;http://evil.example\u{7}y\u{202e}z\n$ securemcp: type your code";
    for modern in GENERATIONS {
        let ask = question(evil, &json!({"a": {"type": "string", "title": evil, "description": evil}}), &["a"]);
        let talker = Talker::start(modern, &[progress(1, evil), log("error", evil), Step::Ask("a", ask)]);
        let account = Account::new();
        for flags in [&[][..], &["-v"]] {
            let mut terminal = Terminal::start(account.command(&call(&talker, flags)));
            terminal.shows("cancel");
            terminal.types(ENTER);
            terminal.shows("type your code: x");
            let (code, screen) = terminal.interrupted();
            assert_eq!(code, Some(130), "{screen:?}");
            assert!(
                !screen.contains("\u{1b}]") && !screen.contains('\u{202e}') && !screen.contains('\u{7}'),
                "{screen:?}"
            );
            assert!(
                screen.lines().all(|line| !line.starts_with("$ securemcp")),
                "no line is the server's alone: {screen:?}"
            );
            assert!(screen.contains("\\u{1b}]8"), "the twin: it is there to be seen: {screen:?}");
        }
    }
}

#[test]
fn how_far_the_server_is_can_be_seen_at_a_terminal() {
    for modern in GENERATIONS {
        let talker = Talker::start(modern, &[progress(1, "packing"), Step::Hang]);
        let account = Account::new();
        let mut terminal = Terminal::start(account.command(&call(&talker, &[])));
        terminal.shows("1/4: packing");
        drop(terminal);
        // Nobody looks, or everything is wanted as lines.
        let talker = Talker::start(modern, &[progress(1, "packing"), progress(4, "packed")]);
        let piped = account.run(&call(&talker, &[]));
        assert!(piped.done().contains("{}") && piped.stderr.is_empty(), "{piped:#?}");
        let told = account.run(&call(&talker, &["-v"]));
        assert!(
            told.stderr.contains("progress 1/4: packing\n") && told.stderr.contains("progress 4/4: packed\n"),
            "{told:#?}"
        );
    }
}

#[test]
fn s14_the_progress_of_something_else_is_not_shown() {
    for modern in GENERATIONS {
        let params = json!({"progress": 3, "total": 4, "message": "foreign", "progressToken": "another"});
        let foreign = Step::Tell(json!({"method": "notifications/progress", "params": params}));
        let talker = Talker::start(modern, &[foreign, progress(1, "ours")]);
        let told = Account::new().run(&call(&talker, &["-v"]));
        told.done();
        assert!(told.stderr.contains("progress 1/4: ours\n") && !told.stderr.contains("foreign"), "{told:#?}");
    }
}

#[test]
fn c15_a_server_that_only_says_that_it_works_is_left_and_told_so() {
    for modern in GENERATIONS {
        let talker = Talker::start(modern, &[progress(1, "packing"), Step::Hang]);
        let left = Account::new().run(&call(&talker, &["--timeout", "1s"]));
        left.failed(5, &["did not answer within 1 s"]);
        talker.hears("gone");
        assert_eq!(talker.heard("notifications/cancelled").len(), usize::from(!modern));
    }
}

#[test]
fn the_log_of_a_server_is_for_those_who_want_it() {
    for modern in GENERATIONS {
        let many = (0..2000).map(|_| log("info", "again"));
        let talker = Talker::start(modern, &[log("warning", "hot")].into_iter().chain(many).collect::<Vec<_>>());
        let account = Account::new();
        let wanted = |talker: &Talker| {
            let set = talker.heard("logging/setLevel").pop().map(|message| message["params"]["level"].clone());
            let call = talker.heard("tools/call").pop().expect("it called");
            set.unwrap_or_else(|| call["params"]["_meta"]["io.modelcontextprotocol/logLevel"].clone())
        };
        let silent = account.run(&call(&talker, &[]));
        silent.done();
        assert_eq!((silent.stderr.as_str(), wanted(&talker)), ("", Value::Null), "modern: {modern}");
        for (flag, level) in [("-v", "info"), ("-vv", "debug")] {
            let told = account.run(&call(&talker, &[flag]));
            told.done();
            assert_eq!(wanted(&talker), level);
            assert!(told.stderr.contains("server warning (engine): hot\n"), "{told:#?}");
            // Not even a server that never stops fills the terminal.
            assert_eq!(told.stderr.matches("server info (engine): again\n").count(), 999);
            assert_eq!(told.stderr.matches("the server says more than is shown\n").count(), 1);
        }
    }
}

#[test]
fn ctrl_c_reaches_the_server() {
    for modern in GENERATIONS {
        let talker = Talker::start(modern, &[progress(1, "packing"), Step::Hang]);
        let account = Account::new();
        let mut running = Running::start(account.command(&call(&talker, &["-v"])));
        running.said("progress 1/4");
        running.signal(Signal::INT);
        let ended = running.ended();
        ended.failed(130, &["interrupted"]);
        talker.hears("gone");
        let cancelled = talker.heard("notifications/cancelled");
        if modern {
            assert_eq!(cancelled, Vec::<Value>::new(), "the end of the stream says it");
        } else {
            let called = talker.heard("tools/call").pop().expect("it called");
            assert_eq!(cancelled.len(), 1);
            assert_eq!(cancelled[0]["params"]["requestId"], called["id"]);
        }
    }
}

#[test]
fn a_server_that_changed_its_generation_is_understood() {
    let talker = Talker::start(true, &[Step::Ask("a", question("ok?", &json!({}), &[]))]);
    let account = Account::new();
    for modern in [true, false, false, true, true] {
        talker.rules().modern = modern;
        let ended = account.run(&call(&talker, &["--answer-json", "{}"]));
        assert_eq!(ended.done().trim_end(), r#"{"a":{"action":"accept","content":{}}}"#, "modern: {modern}");
    }
}
