//! The lane and rmcp, asked the same: whatever the lane takes, it answers as rmcp does.

use std::sync::Mutex;

use axum::{body::Bytes, http::Request};
use http_body_util::{BodyExt as _, Full};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    super::{features::Features, in_flight::InFlight, shared_secret::SharedSecret, tasks::Tasks},
    *,
};
use crate::{
    clock::TestClock,
    telemetry::metrics::Metrics,
    tools::{CallContext, SampleRequest, Tool, ToolError},
};

/// Does what its argument says, and keeps what tells it that its caller has gone away.
#[derive(Clone, Default)]
struct Puppet(Arc<Mutex<Option<CancellationToken>>>);

#[derive(Deserialize, JsonSchema)]
struct Says {
    say: String,
    number: Option<f64>,
    #[expect(dead_code, reason = "for callers to fill")]
    more: Option<Value>,
}

#[derive(Serialize, JsonSchema)]
struct Said {
    said: String,
    number: Option<f64>,
}

impl Tool for Puppet {
    type Input = Says;
    type Output = Said;

    const NAME: &'static str = "puppet";
    const DESCRIPTION: &'static str = "Does as it is told.";
    const SCOPES: &'static [&'static str] = &[];

    async fn call(&self, input: Says, context: &CallContext) -> Result<Said, ToolError> {
        *self.0.lock().expect("nobody panics with it") = Some(context.cancel.clone());
        match &*input.say {
            "fail" => Err(ToolError::Failed("it failed".to_owned())),
            "argue" => Err(ToolError::argument("say", "not that")),
            "panic" => panic!("as it was told"),
            "wait" => std::future::pending().await,
            "ask" => Ok(Said { said: context.ask.sample("what", question()).await?, number: None }),
            _ => Ok(Said { said: input.say, number: input.number }),
        }
    }
}

/// Shows one member, and asks.
struct Curious;

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

impl Tool for Curious {
    type Input = Nothing;
    type Output = Said;

    const NAME: &'static str = "curious";
    const DESCRIPTION: &'static str = "Asks.";
    const SCOPES: &'static [&'static str] = &[];
    const ASKS: bool = true;

    async fn call(&self, _: Nothing, context: &CallContext) -> Result<Said, ToolError> {
        Ok(Said { said: context.ask.sample("what", question()).await?, number: None })
    }
}

fn question() -> SampleRequest {
    SampleRequest { prompt: "What?".to_owned(), system: None, max_tokens: 10 }
}

/// Has an argument that a header mirrors.
struct Regional;

#[derive(Deserialize, JsonSchema)]
struct Where {
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: String,
}

impl Tool for Regional {
    type Input = Where;
    type Output = Said;

    const NAME: &'static str = "regional";
    const DESCRIPTION: &'static str = "Is somewhere.";
    const SCOPES: &'static [&'static str] = &[];
    const SHOWS: Option<&'static str> = Some("said");

    async fn call(&self, input: Where, _: &CallContext) -> Result<Said, ToolError> {
        Ok(Said { said: input.region, number: None })
    }
}

/// Both ways to the same tools.
struct Both {
    lane: Lane,
    rmcp: StreamableHttpService<Handler, LocalSessionManager>,
    principal: Arc<Principal>,
    puppet: Puppet,
}

/// A request as text, so that it can be wrong in every way.
#[derive(Clone)]
struct Asked {
    headers: Vec<(&'static str, &'static str)>,
    id: &'static str,
    name: &'static str,
    /// In front of the name: members of the parameters.
    params: &'static str,
    meta: &'static str,
    /// In front of the id: members of the message.
    more: &'static str,
}

#[derive(Debug, PartialEq)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

const META: &str =
    r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
const HELLO: &str = r#""arguments":{"say":"hello"},"#;

impl Asked {
    /// A good call.
    fn good() -> Self {
        Self {
            headers: vec![
                ("accept", "application/json, text/event-stream"),
                ("content-type", "application/json"),
                ("host", "localhost"),
                ("mcp-protocol-version", "2026-07-28"),
                ("mcp-method", "tools/call"),
                ("mcp-name", "puppet"),
            ],
            id: "\"id\":1,",
            name: "\"puppet\"",
            params: HELLO,
            meta: META,
            more: "",
        }
    }

    /// The same with another header; an empty one is left out.
    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        if !value.is_empty() {
            self.headers.push((name, value));
        }
        self
    }

    /// The same with one more header.
    fn and(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn of_tool(self, quoted: &'static str, plain: &'static str) -> Self {
        Self { name: quoted, ..self.with("mcp-name", plain) }
    }

    fn body(&self) -> String {
        let Self { id, name, params, meta, more, .. } = self;
        format!(
            r#"{{"jsonrpc":"2.0",{more}{id}"method":"tools/call","params":{{{params}"name":{name},"_meta":{meta}}}}}"#
        )
    }

    fn request(&self, principal: &Arc<Principal>) -> Request<Full<Bytes>> {
        let mut request = Request::post("/mcp").body(Full::from(self.body())).expect("a request");
        for (name, value) in &self.headers {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
            request.headers_mut().append(HeaderName::from_static(name), value);
        }
        request.extensions_mut().insert(Arc::clone(principal));
        request
    }
}

impl Both {
    fn new() -> Self {
        let puppet = Puppet::default();
        let features = Features::from(Tools::builtin().with(puppet.clone()).with(Curious).with(Regional));
        let clock = TestClock::at(1_800_000_000);
        let tasks = Tasks::new(clock.clone(), InFlight::default(), CancellationToken::new(), None);
        let secret = Arc::new(SharedSecret::alone(clock.clone()));
        let handler = Handler::new(features.clone(), None, true, tasks, secret, clock, Metrics::default());
        let settings = StreamableHttpServerConfig::default().disable_allowed_hosts().with_json_response(true);
        let for_rmcp = handler.clone();
        let rmcp = StreamableHttpService::new(move || Ok(for_rmcp.clone()), Arc::default(), settings);
        let principal = Arc::new(Principal::for_tests("ada", "cli", "mcp:read mcp:write mcp:infer"));
        Self { lane: Lane::new(handler, &features.tools, CancellationToken::new()), rmcp, principal, puppet }
    }

    /// Whether the puppet's last caller has gone away.
    fn is_given_up(&self) -> bool {
        let last = self.puppet.0.lock().expect("nobody panics with it").clone();
        last.expect("it was called").is_cancelled()
    }

    async fn lane(&self, asked: &Asked) -> Option<Answer> {
        let (body, request) = (asked.body(), asked.request(&self.principal));
        let envelope = Envelope::parse(body.as_bytes()).ok()?;
        let response = self.lane.answer(request.headers(), &envelope, body.as_bytes(), &self.principal).await?;
        Some(Answer::of(response).await)
    }

    async fn rmcp(&self, asked: &Asked) -> Answer {
        Answer::of(self.rmcp.handle(asked.request(&self.principal)).await.map(Body::new)).await
    }

    /// What rmcp answers, and whether the lane takes it: then it has answered the same.
    async fn ask(&self, asked: &Asked) -> (Answer, bool) {
        let rmcp = self.rmcp(asked).await;
        let lane = self.lane(asked).await;
        if let Some(lane) = &lane {
            assert_eq!(*lane, rmcp, "{:?} {}", asked.headers, asked.body());
        }
        (rmcp, lane.is_some())
    }
}

impl Answer {
    async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Self { status: parts.status, headers: parts.headers, body }
    }

    /// The code of its error, if it is one.
    fn code(&self) -> Option<i64> {
        serde_json::from_slice::<Value>(&self.body).ok()?["error"]["code"].as_i64()
    }
}

#[tokio::test]
async fn calls_of_simple_tools_are_answered_as_rmcp_does() {
    let both = Both::new();
    let good = Asked::good;
    for (asked, part) in [
        (good(), r#""structuredContent":{"said":"hello","number":null}"#),
        (good().with("accept", ACCEPTS[1]), "hello"),
        (good().and("mcp-param-region", "north").and("x-other", "1"), "hello"),
        (good().of_tool(r#""pup\u0070et""#, "puppet"), "hello"),
        (Asked { id: r#""id":"","#, ..good() }, r#""id":"""#),
        (Asked { id: r#""id":"\u00e9\ud83d\ude00","#, ..good() }, "\"id\":\"é😀\""),
        (Asked { id: r#""id":-9223372036854775808,"#, ..good() }, r#""id":-9223372036854775808"#),
        (Asked { id: r#""id":-0,"#, ..good() }, r#""id":0"#),
        (Asked { params: r#""arguments":{"say":"\u0000\"","number":-1e-7,"more":[{}]},"#, ..good() }, "-1e-7"),
        (Asked { params: r#""arguments":{"say":"a","say":"b"},"#, ..good() }, r#""said":"b""#),
        (Asked { params: r#""arguments":{"say":5,"other":1},"#, ..good() }, "there is no argument `other`"),
        (Asked { params: r#""arguments":{"say":"fail"},"#, ..good() }, "it failed"),
        (Asked { params: r#""arguments":{"say":"argue"},"#, ..good() }, "not that"),
        (Asked { params: r#""arguments":{"say":"panic"},"#, ..good() }, "-32603"),
        (Asked { params: r#""arguments":null,"#, ..good() }, "`say` is missing"),
        (Asked { params: "", ..good() }, "`say` is missing"),
        (
            Asked { params: r#""arguments":{"message":"Hi!"},"#, ..good() }.of_tool("\"echo\"", "echo"),
            r#""content":[{"type":"text","text":"Hi!"}]"#,
        ),
    ] {
        let (answer, is_taken) = both.ask(&asked).await;
        assert!(is_taken, "{}", asked.body());
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == StatusCode::OK && text.contains(part), "{}: {text}", asked.body());
    }
}

#[tokio::test]
async fn a_tool_that_asks_without_having_said_so_fails_as_with_rmcp() {
    let asked = Asked { params: r#""arguments":{"say":"ask"},"#, ..Asked::good() };
    let (answer, is_taken) = Both::new().ask(&asked).await;
    assert_eq!((answer.status, answer.code(), is_taken), (StatusCode::BAD_REQUEST, Some(-32021), true));
}

#[tokio::test]
async fn h09_headers_that_contradict_the_body_are_left_to_rmcp_which_refuses_them() {
    let both = Both::new();
    let good = Asked::good;
    for (asked, code) in [
        (good().with("mcp-protocol-version", ""), -32020),
        (good().with("mcp-protocol-version", "2025-11-25"), -32020),
        (good().with("mcp-protocol-version", "2099-01-01"), -32020),
        (good().with("mcp-method", ""), -32020),
        (good().with("mcp-method", "tools/list"), -32020),
        (good().with("mcp-method", "Tools/Call"), -32020),
        (good().and("mcp-method", "tools/call"), -32020),
        (good().with("mcp-name", ""), -32020),
        (good().with("mcp-name", "echo"), -32020),
        (good().with("mcp-name", "Puppet"), -32020),
        (good().and("mcp-name", "puppet"), -32020),
        (good().with("mcp-name", "püppet"), -32020),
        (good().with("mcp-name", "=?base64?ZWNobw==?="), -32020),
        (good().with("mcp-name", "=?base64?!?="), -32020),
        (Asked { params: r#""arguments":{"region":"north"},"#, ..good() }.of_tool("\"regional\"", "regional"), -32020),
    ] {
        let (answer, is_taken) = both.ask(&asked).await;
        let found = (answer.status, answer.code(), is_taken);
        assert_eq!(found, (StatusCode::BAD_REQUEST, Some(code), false), "{:?}", asked.headers);
    }
}

#[tokio::test]
async fn what_the_lane_does_not_know_goes_the_long_way() {
    let both = Both::new();
    let good = Asked::good;
    let regional = Asked { params: r#""arguments":{"region":"north"},"#, ..good() };
    let meta = |meta| Asked { meta, ..good() };
    for (asked, status, code) in [
        // Good ones.
        (good().with("mcp-name", "=?base64?cHVwcGV0?="), 200, None),
        (good().with("accept", "application/json;q=0.5, text/event-stream"), 200, None),
        (regional.of_tool("\"regional\"", "regional").and("mcp-param-region", "north"), 200, None),
        (Asked { params: "", ..good() }.of_tool("\"curious\"", "curious"), 400, Some(-32021)),
        (Asked { more: r#""more":1,"#, ..good() }, 200, None),
        (Asked { params: r#""arguments":{"say":"x"},"task":{},"#, ..good() }, 200, None),
        (Asked { params: r#""arguments":{"say":"x"},"inputResponses":{},"#, ..good() }, 200, None),
        (
            meta(
                r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken":1,
                    "io.modelcontextprotocol/clientCapabilities":{}}"#,
            ),
            200,
            None,
        ),
        (
            meta(
                r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/logLevel":"debug",
                    "io.modelcontextprotocol/clientCapabilities":{}}"#,
            ),
            200,
            None,
        ),
        // Bad ones.
        (good().with("accept", "application/json"), 406, None),
        (good().of_tool("\"no-such\"", "no-such"), 200, Some(-32602)),
        (Asked { params: r#""arguments":[1],"#, ..good() }, 200, Some(-32602)),
        (Asked { params: r#""arguments":{"say":"x"},"requestState":"x","#, ..good() }, 200, Some(-32602)),
        (meta(r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#), 400, Some(-32602)),
        (
            meta(r#"{"io.modelcontextprotocol/protocolVersion":"2025-11-25","io.modelcontextprotocol/clientCapabilities":{}}"#),
            400,
            Some(-32020),
        ),
        (
            meta(r#"{"io.modelcontextprotocol/protocolVersion":"2099-01-01","io.modelcontextprotocol/clientCapabilities":{}}"#)
                .with("mcp-protocol-version", "2099-01-01"),
            400,
            Some(-32022),
        ),
    ] {
        let (answer, is_taken) = both.ask(&asked).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!((answer.status.as_u16(), answer.code(), is_taken), (status, code, false), "{}: {text}", asked.body());
    }
}

/// Every header with every body: what the lane takes it answers as rmcp does, whatever is odd about it.
#[tokio::test]
async fn no_two_oddities_together_are_answered_otherwise_than_by_rmcp() {
    let both = Both::new();
    let heads: [fn(Asked) -> Asked; 14] = [
        |asked| asked,
        |asked| asked.with("mcp-protocol-version", ""),
        |asked| asked.with("mcp-protocol-version", "2025-06-18"),
        |asked| asked.with("mcp-protocol-version", "2099-01-01"),
        |asked| asked.with("mcp-method", ""),
        |asked| asked.with("mcp-method", "ping"),
        |asked| asked.with("mcp-name", ""),
        |asked| asked.with("mcp-name", "curious"),
        |asked| asked.with("mcp-name", "regional"),
        |asked| asked.with("mcp-name", "=?base64?cHVwcGV0?="),
        |asked| asked.and("mcp-param-region", "north"),
        |asked| asked.with("accept", "text/event-stream, application/json"),
        |asked| asked.with("accept", "text/event-stream"),
        |asked| asked.and("accept", "*/*"),
    ];
    let names = ["\"puppet\"", "\"curious\"", "\"regional\"", "\"none\""];
    let ids = ["\"id\":1,", "\"id\":-0,", "\"id\":\"1\",", ""];
    let params = [
        HELLO,
        "",
        r#""arguments":null,"#,
        r#""arguments":{},"#,
        r#""arguments":[],"#,
        r#""arguments":{"say":"x","number":1e400},"#,
        r#""arguments":{"say":"x","number":12345678901234567890123},"#,
        r#""arguments":{"say":"x","more":{"$serde_json::private::RawValue":"[1]"}},"#,
        r#""arguments":{"$serde_json::private::RawValue":"{}"},"#,
        r#""arguments":{"region":"north"},"#,
        r#""arguments":{"say":"x"},"arguments":{"say":"y"},"#,
        r#""arguments":{"say":"x"},"requestState":null,"inputResponses":null,"#,
        r#""arguments":{"say":"x"},"requestState":"y","#,
    ];
    let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let capabilities = |value| format!(r#"{{{version},"io.modelcontextprotocol/clientCapabilities":{value}}}"#);
    let values =
        ["{}", "null", "[]", "[null,null,null,null,null]", "5", r#"{"sampling":{},"x":1}"#, r#"{"sampling":5}"#];
    let mut metas: Vec<String> = values.map(capabilities).to_vec();
    metas.extend([
        format!("{{{version}}}"),
        META.replace("2026-07-28", "2025-11-25"),
        META.replace("2026-07-28", "2099-01-01"),
        META.replace("\"2026-07-28\"", r#"{"2026-07-28":null}"#),
        META.replace("\"2026-07-28\"", "5"),
        META.replace("{}", r#"{},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}"#),
        META.replace("{}", r#"{},"io.modelcontextprotocol/clientInfo":5"#),
        META.replace("{}", r#"{},"progressToken":1"#),
        META.replace("{}", r#"{},"io.modelcontextprotocol/logLevel":"debug""#),
        META.replace("{}", r#"{},"io.modelcontextprotocol/clientCapabilities":5"#),
        r#"["2026-07-28",{},null]"#.to_owned(),
        "{}".to_owned(),
    ]);
    // The tests' process is short: these few texts live as long as it does.
    let metas: Vec<&'static str> = metas.into_iter().map(|meta| &*meta.leak()).collect();
    let (mut asked_in_all, mut taken) = (0, 0);
    for head in heads {
        for (params, meta) in
            params.into_iter().map(|params| (params, META)).chain(metas.iter().map(|meta| (HELLO, *meta)))
        {
            for (name, id) in names.into_iter().map(|name| (name, ids[0])).chain(ids.map(|id| (names[0], id))) {
                let asked = head(Asked { id, name, params, meta, ..Asked::good() });
                asked_in_all += 1;
                taken += usize::from(both.ask(&asked).await.1);
            }
        }
    }
    assert_eq!((asked_in_all, taken), (3584, 156));
}

#[test]
fn an_array_is_no_metadata_though_serde_would_take_it_for_a_struct() {
    let asked = |meta| Asked { meta, ..Asked::good() }.body();
    assert!(serde_json::from_str::<Message<Params>>(&asked(META)).is_ok());
    assert!(serde_json::from_str::<Message<Params>>(&asked(r#"["2026-07-28",{},null]"#)).is_err());
}

#[tokio::test]
async fn a_call_whose_caller_goes_away_ends() {
    let both = Both::new();
    let asked = Asked { params: r#""arguments":{"say":"wait"},"#, ..Asked::good() };
    let mut waiting = Box::pin(both.lane(&asked));
    assert!(futures_util::poll!(&mut waiting).is_pending(), "the tool waits for ever");
    assert!(!both.is_given_up());
    drop(waiting);
    assert!(both.is_given_up());
    assert!(both.lane(&Asked::good()).await.is_some() && !both.is_given_up(), "its twin, which is answered");
}
