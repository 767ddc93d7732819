//! Tools, from the side of another crate: adding them, and the one way to run them.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use securemcp::{
    auth::Principal,
    call::{Capability, Question},
    clock::TestClock,
    config::{Environment, Flag, Inputs},
    tools::{AskError, CallContext, CallError, JsonObject, Output, SampleRequest, Tool, ToolError, Tools},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::harness::{log::Log, server::Guarded};

/// The code of docs/TOOLS.md.
#[expect(unreachable_pub, reason = "it is shown as the code of another crate")]
mod word_count {
    use schemars::JsonSchema;
    use securemcp::tools::{CallContext, Tool, ToolError, Tools};
    use serde::{Deserialize, Serialize};

    pub struct WordCount;

    #[derive(Deserialize, JsonSchema)]
    pub struct Input {
        /// The text whose words are counted.
        text: String,
        /// Shorter words do not count.
        #[serde(default)]
        #[schemars(range(max = 100))]
        min_length: usize,
    }

    #[derive(Serialize, JsonSchema)]
    pub struct Output {
        /// How many words there are.
        words: usize,
    }

    impl Tool for WordCount {
        type Input = Input;
        type Output = Output;

        const NAME: &'static str = "word_count";
        const DESCRIPTION: &'static str = "Counts the words of a text.";
        const SCOPES: &'static [&'static str] = &["mcp:read"];
        const READ_ONLY: bool = true;
        const OPEN_WORLD: bool = false;

        async fn call(&self, input: Input, _: &CallContext) -> Result<Output, ToolError> {
            if input.text.contains('\0') {
                return Err(ToolError::argument("text", "expected text, found binary data"));
            }
            let long_enough = |word: &&str| word.chars().count() >= input.min_length;
            Ok(Output { words: input.text.split_whitespace().filter(long_enough).count() })
        }
    }

    pub fn tools() -> Tools {
        Tools::builtin().with(WordCount)
    }
}

/// The rest of it.
#[expect(unreachable_pub, reason = "it is shown as the code of another crate")]
mod serving {
    use std::error::Error;

    use super::word_count::tools;
    use securemcp::{
        clock::SystemClock,
        config::{self, Inputs, Purpose},
        server::Server,
    };

    pub async fn serve(inputs: &Inputs, stop: impl Future<Output = ()>) -> Result<(), Box<dyn Error>> {
        let config = config::load(Purpose::Serve, inputs)?;
        let server = Server::bind(&config, tools(), SystemClock::shared()).await?;
        server.run(stop).await;
        Ok(())
    }
}

/// Does as it is told.
struct Puppet;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Act {
    Finish,
    Fail,
    Refuse,
    Ask,
    Hang,
    Panic,
}

#[derive(Deserialize, JsonSchema)]
struct Script {
    act: Act,
}

#[derive(Serialize, JsonSchema)]
struct Empty {}

impl Tool for Puppet {
    type Input = Script;
    type Output = Empty;

    const NAME: &'static str = "puppet";
    const DESCRIPTION: &'static str = "Does as it is told.";
    const SCOPES: &'static [&'static str] = &["stage:one", "stage:two"];

    async fn call(&self, script: Script, context: &CallContext) -> Result<Empty, ToolError> {
        match script.act {
            Act::Finish => Ok(Empty {}),
            Act::Fail => Err(ToolError::Failed("the strings broke".to_owned())),
            Act::Refuse => Err(ToolError::argument("act", "not in this mood")),
            Act::Ask => {
                let request = SampleRequest { prompt: "?".to_owned(), system: None, max_tokens: 1 };
                context.ask.sample("anything", request).await?;
                Ok(Empty {})
            }
            Act::Hang => std::future::pending().await,
            Act::Panic => panic!("as told"),
        }
    }
}

/// Waits for its caller for ever.
struct Patient;

impl Tool for Patient {
    type Input = Arguments<Nothing>;
    type Output = Empty;

    const NAME: &'static str = "patient";
    const DESCRIPTION: &'static str = "Waits.";
    const SCOPES: &'static [&'static str] = &[];
    const ASKS: bool = true;

    async fn call(&self, _: Self::Input, _: &CallContext) -> Result<Empty, ToolError> {
        std::future::pending().await
    }
}

/// Takes whatever its type parameter says.
struct Takes<I>(std::marker::PhantomData<fn() -> I>);

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

#[derive(Deserialize, JsonSchema)]
struct Arguments<T> {
    #[serde(flatten)]
    _rest: T,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema matters")]
enum Either {
    Left(u32),
    Right(u32),
}

impl<I: serde::de::DeserializeOwned + JsonSchema + Send + 'static> Tool for Takes<I> {
    type Input = I;
    type Output = Empty;

    const NAME: &'static str = "takes";
    const DESCRIPTION: &'static str = "Takes something.";
    const SCOPES: &'static [&'static str] = &[];

    async fn call(&self, _: I, _: &CallContext) -> Result<Empty, ToolError> {
        Ok(Empty {})
    }
}

fn caller(scopes: &str) -> CallContext {
    CallContext::new(Arc::new(Principal::for_tests("ada", "cli", scopes)), TestClock::at(1_795_428_000))
}

fn object(value: Value) -> JsonObject {
    let Value::Object(object) = value else { panic!("{value} is not an object") };
    object
}

async fn call(tools: &Tools, name: &str, arguments: Value, context: &CallContext) -> Result<Value, CallError> {
    tools.call(name, object(arguments), context).await.map(Output::into_value)
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_tool_of_another_crate_is_listed_and_called_like_the_others() {
    let tools = word_count::tools();
    let definition = tools.find("word_count").unwrap();
    assert_eq!(tools.list().last().unwrap().name, "word_count");
    assert_eq!(definition.input_schema["properties"]["text"]["description"], "The text whose words are counted.");
    assert_eq!(definition.input_schema["required"], json!(["text"]));

    let context = caller("mcp:read");
    let result = call(&tools, "word_count", json!({"text": "so it is said", "min_length": 3}), &context).await;
    assert_eq!(result.unwrap(), json!({"words": 1}));
    let error = call(&tools, "word_count", json!({"text": "\0", "min_lenght": 3}), &context).await.unwrap_err();
    assert_eq!(error.to_string(), "invalid arguments: there is no argument `min_lenght`");
    let error = call(&tools, "word_count", json!({"text": "\0"}), &context).await.unwrap_err();
    assert_eq!(error.to_string(), "invalid arguments: `/text`: expected text, found binary data");
    let error = call(&tools, "word_count", json!({"text": ""}), &caller("mcp:write")).await.unwrap_err();
    assert!(matches!(error, CallError::MissingScope { .. }));
}

#[tokio::test]
async fn a_server_of_another_crate_serves_its_tools() {
    let home = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let flag = |key, value: String| Flag { key, value, name: "--test" };
    let inputs = Inputs {
        flags: vec![
            flag("server.listen", free.to_string()),
            flag("state_dir", home.path().join("state").to_str().unwrap().to_owned()),
        ],
        environment: Environment::new(home.path(), None),
        ..Inputs::default()
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let asks = async {
        let http = securemcp::net::client(&securemcp::net::Options::with_timeout(Duration::from_secs(20))).unwrap();
        for _ in 0..1000 {
            if let Ok(answer) = http.get(format!("http://{free}/")).send().await {
                let _ = stop.send(());
                return answer.status().as_u16();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("nothing answers at {free}");
    };
    let serves = serving::serve(&inputs, async {
        let _ = stopped.await;
    });
    let (ended, status) = tokio::join!(serves, asks);
    ended.unwrap();
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_tool_of_another_crate_is_called_over_http_like_the_others() {
    let guarded = Guarded::with_tools(word_count::tools()).await;
    let reader = guarded.token(&json!({"scope": "mcp:read"}));
    let answer = guarded.server.call(&reader, "word_count", json!({"text": "so it is said"})).await;
    assert_eq!(answer.json::<Value>().await.unwrap()["result"]["structuredContent"], json!({"words": 4}));
    let writer = guarded.token(&json!({"scope": "mcp:write"}));
    assert_eq!(guarded.server.call(&writer, "word_count", json!({"text": ""})).await.status(), 403);
}

#[test]
fn the_documentation_shows_the_code_that_is_tested() {
    let documentation = include_str!("../../docs/TOOLS.md");
    let tested = [
        include_str!("tools.rs"),
        include_str!("features.rs"),
        include_str!("skills.rs"),
        include_str!("../../src/tools/echo.rs"),
    ]
    .map(squeezed)
    .concat();
    let blocks: Vec<&str> = documentation
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split_once("```").expect("a code block that ends").0)
        .collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        assert!(tested.contains(&squeezed(block)), "not what is tested:\n{block}");
    }
}

#[test]
fn every_builtin_tool_is_complete_and_shows_up_wherever_tools_are_listed() {
    let tools = Tools::builtin();
    for tool in tools.list().iter() {
        let name = &tool.name;
        assert!(tool.description.ends_with('.'), "{name} has a description");
        assert!(tool.title.is_some(), "{name} has a title");
        assert_eq!(tool.input_schema["type"], "object", "{name}");
        assert_eq!(tool.input_schema["additionalProperties"], false, "{name} tells misspelt arguments");
        let output_schema = tool.output_schema.as_ref().unwrap_or_else(|| panic!("{name} says what it gives"));
        assert_eq!(output_schema["type"], "object", "{name}");
        for schema in [&tool.input_schema, output_schema] {
            for (property, schema) in schema["properties"].as_object().unwrap() {
                assert!(schema["description"].is_string(), "`{property}` of {name} has a description");
            }
            let text = serde_json::to_string(schema).unwrap();
            for absent in ["$ref", "$schema", "format\":\""] {
                assert!(!text.contains(absent), "{name}: some clients stumble over `{absent}`: {text}");
            }
        }
        assert!(!tool.scopes.is_empty(), "{name} needs a scope");
        assert!(tools.scopes_supported().covers(&tool.scopes), "{name}");
        assert!(!(tool.annotations.read_only && tool.annotations.destructive), "{name}: annotations agree");
        assert_eq!(tools.find(name).unwrap().description, tool.description, "{name} is found");
    }
}

#[test]
fn the_builtin_tools_and_their_scopes_are_those_of_the_contract() {
    let tools = Tools::builtin();
    let list = tools.list();
    let listed: Vec<_> = list.iter().map(|tool| (&*tool.name, tool.scopes.to_string())).collect();
    let expected = [
        ("echo", "mcp:read".to_owned()),
        ("timestamp", "mcp:read".to_owned()),
        ("calculator", "mcp:write".to_owned()),
        ("summarize", "mcp:infer".to_owned()),
    ];
    assert_eq!(listed, expected);
    assert_eq!(tools.scopes_supported().to_string(), "mcp:read mcp:write mcp:infer");
}

#[tokio::test]
async fn a_token_for_another_scope_does_not_do() {
    let tools = Tools::builtin();
    let good = [
        ("echo", json!({"message": "hi"}), "mcp:read", "mcp:write"),
        ("timestamp", json!({}), "mcp:read", "mcp:write mcp:infer"),
        ("calculator", json!({"operation": "add", "operands": [1]}), "mcp:write", "mcp:read"),
    ];
    for (name, arguments, enough, wrong) in good {
        assert!(call(&tools, name, arguments.clone(), &caller(enough)).await.is_ok(), "{name} with {enough}");
        let error = call(&tools, name, arguments, &caller(wrong)).await.unwrap_err();
        let CallError::MissingScope { needed, .. } = error else { panic!("{error}") };
        assert_eq!(needed.to_string(), enough);
    }
}

#[tokio::test]
async fn every_scope_of_a_tool_is_needed_and_all_of_them_are_named() {
    let tools = Tools::default().with(Puppet);
    for scopes in ["", "stage:one", "stage:two", "stage:three"] {
        let error = call(&tools, "puppet", json!({"act": "finish"}), &caller(scopes)).await.unwrap_err();
        assert_eq!(error.to_string(), "the token does not allow this tool, which needs `stage:one stage:two`");
    }
    assert!(call(&tools, "puppet", json!({"act": "finish"}), &caller("stage:two stage:one")).await.is_ok());
}

#[tokio::test]
async fn scopes_are_judged_before_arguments() {
    let error = call(&Tools::builtin(), "echo", json!({"bad": 1}), &caller("")).await.unwrap_err();
    assert!(matches!(error, CallError::MissingScope { .. }));
}

#[tokio::test]
async fn an_unknown_tool_is_named_but_not_at_length() {
    let tools = Tools::builtin();
    for name in ["Echo", "echo ", "", "nope"] {
        let error = call(&tools, name, json!({}), &caller("")).await.unwrap_err();
        assert_eq!(error.to_string(), format!("there is no tool `{name}`"));
    }
    let error = call(&tools, &"x".repeat(1_000_000), json!({}), &caller("")).await.unwrap_err();
    assert!(error.to_string().len() < 200);
}

#[tokio::test]
async fn a_flood_of_violations_is_told_in_ten_short_ones() {
    let tools = Tools::builtin();
    let wrong = vec!["x".repeat(1000); 4000];
    let arguments = json!({"operation": "y".repeat(100_000), "operands": wrong, ("z".repeat(100_000)): 1});
    let error = call(&tools, "calculator", arguments, &caller("mcp:write")).await.unwrap_err();
    assert!(error.to_string().len() < 4000);
    let CallError::InvalidArguments(violations) = error else { panic!("{error}") };
    assert_eq!(violations.len(), 10);

    let arguments = json!({"operation": "add", "operands": vec![Value::Null; 1_000_000]});
    let error = call(&tools, "calculator", arguments, &caller("mcp:write")).await.unwrap_err();
    let CallError::InvalidArguments(violations) = error else { panic!("{error}") };
    assert_eq!(violations.len(), 1, "one is enough, and all would fill the memory");
}

#[tokio::test]
async fn what_the_schema_allows_and_the_type_does_not_is_an_argument_error() {
    let tools = Tools::builtin();
    let arguments = json!({"operation": "add", "operands": [1], "precision": 2.0});
    let error = call(&tools, "calculator", arguments, &caller("mcp:write")).await.unwrap_err();
    assert!(matches!(error, CallError::InvalidArguments(_)));
}

#[tokio::test]
async fn a_flattened_enum_is_closed_too() {
    let tools = Tools::default().with(Takes::<Arguments<Either>>(std::marker::PhantomData));
    assert!(call(&tools, "takes", json!({"left": 1}), &caller("")).await.is_ok());
    for wrong in [json!({}), json!({"left": 1, "lfet": 2}), json!({"left": "1"})] {
        let error = call(&tools, "takes", wrong, &caller("")).await.unwrap_err();
        assert!(matches!(error, CallError::InvalidArguments(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_has_half_a_minute_and_one_that_asks_five() {
    let tools = Tools::default().with(Puppet).with(Patient);
    let started = tokio::time::Instant::now();
    let error = call(&tools, "puppet", json!({"act": "hang"}), &caller("stage:one stage:two")).await.unwrap_err();
    assert_eq!(error.to_string(), "the tool did not finish within 30 seconds");
    assert_eq!(started.elapsed().as_secs(), 30);
    let error = call(&tools, "patient", json!({}), &caller("")).await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut { bound, .. } if bound == Duration::from_mins(5)));
    assert_eq!(started.elapsed().as_secs(), 330);
}

#[tokio::test]
async fn nobody_to_ask_is_an_error_of_its_own() {
    let tools = Tools::default().with(Puppet);
    let error = call(&tools, "puppet", json!({"act": "ask"}), &caller("stage:one stage:two")).await.unwrap_err();
    assert!(matches!(error, CallError::Ask(AskError::Unsupported(Capability::Sampling))));
}

#[tokio::test(start_paused = true)]
async fn every_way_out_is_audited_once_and_without_arguments() {
    let (log, _guard) = Log::start();
    let tools = Arc::new(Tools::default().with(Puppet));
    let context = caller("stage:one stage:two");
    let outcomes = [
        ("finish", "ok"),
        ("fail", "error"),
        ("ask", "error"),
        ("refuse", "invalid_arguments"),
        ("secret", "invalid_arguments"),
        ("hang", "timeout"),
    ];
    for (act, outcome) in outcomes {
        let _: Result<_, _> = call(&tools, "puppet", json!({"act": act}), &context).await;
        let expected = json!({
            "message": "tool_called", "issuer": "https://issuer.test", "subject": "ada", "client": "cli",
            "tool": "puppet", "outcome": outcome,
        });
        assert_eq!(log.take(), expected);
    }

    let _: Result<_, _> = call(&tools, "nope", json!({}), &context).await;
    assert_eq!(log.take()["outcome"], "unknown_tool");

    let _: Result<_, _> = call(&tools, "puppet", json!({"act": "finish"}), &caller("stage:one")).await;
    let event = log.take();
    assert_eq!(event["message"], "access_denied");
    assert_eq!(event["operation"], "tools/call puppet");
    assert_eq!(event["reason"], "needs `stage:one stage:two`");

    let mut cancelled = caller("stage:one stage:two");
    cancelled.cancel.cancel();
    let error = call(&tools, "puppet", json!({"act": "hang"}), &cancelled).await.unwrap_err();
    assert!(matches!(error, CallError::Cancelled));
    assert_eq!(log.take()["outcome"], "cancelled");

    cancelled.ask = Arc::new(Later);
    cancelled.cancel = context.cancel.clone();
    let error = call(&tools, "puppet", json!({"act": "ask"}), &cancelled).await.unwrap_err();
    assert!(matches!(error, CallError::Ask(AskError::Pending)));
    assert_eq!(log.take()["outcome"], "input_required");

    let gone = tokio::time::timeout(Duration::ZERO, call(&tools, "puppet", json!({"act": "hang"}), &context));
    assert!(gone.await.is_err());
    assert_eq!(log.take()["outcome"], "cancelled", "a client that went away");

    let task = tokio::spawn(async move { call(&tools, "puppet", json!({"act": "panic"}), &context).await });
    assert!(task.await.unwrap_err().is_panic(), "a panic goes through");
    assert_eq!(log.take()["outcome"], "error");
}

/// Records the question and has no answer yet.
struct Later;

impl securemcp::tools::Ask for Later {
    fn can(&self, _: Capability) -> bool {
        true
    }

    fn put<'a>(&'a self, _: &'a str, _: Question) -> securemcp::tools::BoxFuture<'a, Result<Value, AskError>> {
        Box::pin(async { Err(AskError::Pending) })
    }
}

#[test]
#[should_panic(expected = "there are two tools named `word_count`")]
fn two_tools_of_one_name_do_not_start() {
    let _ = word_count::tools().with(word_count::WordCount);
}

#[test]
#[should_panic(expected = "has to be an object for MCP, its schema is")]
fn a_tool_that_takes_no_object_does_not_start() {
    let _ = Tools::default().with(Takes::<String>(std::marker::PhantomData));
}
