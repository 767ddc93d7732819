//! A first, borrowed look at a JSON-RPC message: enough to decide who may do it, before the MCP library sees it.
//!
//! The decision is made on the body, never on the headers that mirror it (MCP 2026-07-28): a request whose header says one
//! tool and whose body says another is judged by its body.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

use super::error::{INVALID_REQUEST, PARSE_ERROR, Refusal};
use crate::json::{is_deeper_than, present};
use axum::http::StatusCode;

/// Deepest nesting of a body.
const MAX_DEPTH: usize = 64;
/// Longest JSON-RPC id, in bytes.
const MAX_ID_BYTES: usize = 256;
/// Longest URI, in bytes.
const MAX_URI_BYTES: usize = 8192;
/// How many resources one `subscriptions/listen` may name.
const MAX_SUBSCRIPTIONS: usize = 1_000;

/// What a message asks for.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    /// The request's id; notifications and answers have none here.
    pub(super) id: Option<&'a RawValue>,
    /// `None` for an answer to something the server asked.
    pub(super) method: Option<Cow<'a, str>>,
    /// What it wants to use.
    pub(super) target: Target<'a>,
    /// Whether it is a message of 2026-07-28 or later: it carries its protocol version itself and has no session.
    pub(super) is_stateless: bool,
}

/// What a message wants to use, by name or URI.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// Nothing that scopes are asked for, or nothing that has a name: rmcp says what is missing.
    #[default]
    None,
    /// `tools/call`.
    Tool(Cow<'a, str>),
    /// `prompts/get`, and completion for one.
    Prompt(Cow<'a, str>),
    /// `resources/read` and subscriptions.
    Resources(Vec<Cow<'a, str>>),
    /// `tasks/get`, `tasks/update` and `tasks/cancel`, by the id of the task.
    Task(Cow<'a, str>),
    /// Completion for a template, by the template's own text.
    Template(Cow<'a, str>),
    /// `skills/get`, by the URI of the skill.
    Skill(Cow<'a, str>),
    /// `resources/directory/read`.
    Folder(Cow<'a, str>),
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct RawMessage<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "of_an_object")]
    params: RawParams<'a>,
    result: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(expecting = "an object")]
struct RawParams<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    name: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    uri: Option<&'a RawValue>,
    /// Of `tasks/get` and its like.
    #[serde(borrow, default, rename = "taskId", deserialize_with = "present")]
    task_id: Option<&'a RawValue>,
    /// Of `completion/complete`.
    #[serde(borrow, default, rename = "ref", deserialize_with = "present")]
    reference: Option<&'a RawValue>,
    /// Of `subscriptions/listen`.
    #[serde(borrow, default, deserialize_with = "present")]
    notifications: Option<&'a RawValue>,
    #[serde(default, rename = "_meta")]
    meta: Option<RawMeta>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct RawMeta {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    protocol_version: Option<IgnoredAny>,
}

impl<'a> Envelope<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 with -32700 for what is not JSON in UTF-8, 400 with -32600 for what is JSON and not one JSON-RPC message: batches,
    /// doubled members, odd ids, too deep nesting.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(body).map_err(|_| bad(PARSE_ERROR, "the body is not UTF-8"))?;
        if text.trim_start().starts_with('[') {
            return Err(bad(INVALID_REQUEST, "batches are not supported; send one message in each request"));
        }
        if is_deeper_than(MAX_DEPTH, body) {
            return Err(bad(INVALID_REQUEST, "the body is nested too deeply"));
        }
        let message: RawMessage<'a> = serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => bad(INVALID_REQUEST, &format!("not a JSON-RPC message: {error}")),
            _ => bad(PARSE_ERROR, &format!("the body is not JSON: {error}")),
        })?;
        if message.jsonrpc != "2.0" {
            return Err(bad(INVALID_REQUEST, "`jsonrpc` must be \"2.0\""));
        }
        if let Some(id) = message.id {
            check_id(id)?;
        }
        let is_answer = message.result.is_some() || message.error.is_some();
        if message.method.is_none() && !is_answer {
            return Err(bad(INVALID_REQUEST, "the message has no `method`"));
        }
        let target =
            message.method.as_deref().map_or(Ok(Target::None), |method| Target::of(method, &message.params))?;
        let is_stateless = message.params.meta.is_some_and(|meta| meta.protocol_version.is_some());
        Ok(Self { id: message.id, method: message.method, target, is_stateless })
    }
}

#[derive(Deserialize)]
struct RawReference {
    name: Option<String>,
    uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawNotifications {
    resource_subscriptions: Option<Vec<String>>,
}

impl<'a> Target<'a> {
    fn of(method: &str, params: &RawParams<'a>) -> Result<Self, Refusal> {
        Ok(match method {
            "tools/call" => {
                let name = params.name.ok_or_else(|| bad(INVALID_REQUEST, "`tools/call` needs a `name`"))?;
                Self::Tool(named("name", name)?)
            }
            "prompts/get" => match params.name {
                Some(name) => Self::Prompt(named("name", name)?),
                None => Self::None,
            },
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => match params.uri {
                Some(uri) => Self::Resources(vec![checked_uri(named("uri", uri)?)?]),
                None => Self::None,
            },
            "skills/get" | "resources/directory/read" => match params.uri {
                Some(uri) => {
                    let uri = checked_uri(named("uri", uri)?)?;
                    if method == "skills/get" { Self::Skill(uri) } else { Self::Folder(uri) }
                }
                None => Self::None,
            },
            "tasks/get" | "tasks/update" | "tasks/cancel" => match params.task_id {
                Some(id) => Self::Task(named("taskId", id)?),
                None => Self::None,
            },
            "completion/complete" => match params.reference.map(|raw| serde_json::from_str(raw.get())) {
                Some(Ok(RawReference { uri: Some(uri), name: None })) => Self::Template(checked_uri(uri.into())?),
                Some(Ok(RawReference { name: Some(name), uri: None })) => Self::Prompt(name.into()),
                Some(_) => {
                    return Err(bad(INVALID_REQUEST, "`ref` must name a prompt by `name` or a resource by `uri`"));
                }
                None => Self::None,
            },
            "subscriptions/listen" => match params.notifications.map(|raw| serde_json::from_str(raw.get())) {
                Some(Ok(RawNotifications { resource_subscriptions })) => {
                    Self::Resources(subscribed(resource_subscriptions.unwrap_or_default())?)
                }
                Some(Err(_)) => return Err(bad(INVALID_REQUEST, "`notifications` is no filter of subscriptions")),
                None => Self::None,
            },
            _ => Self::None,
        })
    }
}

/// Parameters that are an object; an array has neither a name nor metadata, and rmcp refuses it by itself.
fn of_an_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RawParams<'de>, D::Error> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = RawParams<'de>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("the parameters of a request")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
            RawParams::deserialize(MapAccessDeserializer::new(members))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Self::Value, A::Error> {
            IgnoredAny.visit_seq(elements)?;
            Ok(RawParams::default())
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(RawParams::default())
        }
    }

    deserializer.deserialize_any(Members)
}

fn named<'a>(member: &str, raw: &'a RawValue) -> Result<Cow<'a, str>, Refusal> {
    let text: Cow<'a, str> =
        serde_json::from_str(raw.get()).map_err(|_| bad(INVALID_REQUEST, &format!("`{member}` must be a string")))?;
    if text.chars().any(char::is_control) {
        return Err(bad(INVALID_REQUEST, &format!("`{member}` has control characters")));
    }
    Ok(text)
}

/// Also where it is no member of the parameters.
fn checked_uri(uri: Cow<'_, str>) -> Result<Cow<'_, str>, Refusal> {
    if uri.len() > MAX_URI_BYTES {
        return Err(bad(INVALID_REQUEST, &format!("a URI is longer than {MAX_URI_BYTES} bytes")));
    }
    if uri.chars().any(char::is_control) {
        return Err(bad(INVALID_REQUEST, "a URI has control characters"));
    }
    Ok(uri)
}

fn subscribed<'a>(uris: Vec<String>) -> Result<Vec<Cow<'a, str>>, Refusal> {
    if uris.len() > MAX_SUBSCRIPTIONS {
        let message = format!("`resourceSubscriptions` has more than {MAX_SUBSCRIPTIONS} URIs");
        return Err(bad(INVALID_REQUEST, &message));
    }
    uris.into_iter().map(|uri| checked_uri(uri.into())).collect()
}

fn check_id(id: &RawValue) -> Result<(), Refusal> {
    let text = id.get();
    let is_string = text.starts_with('"');
    let is_integer = text.parse::<i64>().is_ok();
    if (is_string || is_integer) && text.len() <= MAX_ID_BYTES {
        return Ok(());
    }
    Err(bad(INVALID_REQUEST, "`id` must be a string or an integer of at most 256 bytes"))
}

fn bad(code: i64, message: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, code, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refused(body: &[u8]) -> String {
        format!("{:?}", Envelope::parse(body).expect_err("must be refused"))
    }

    #[test]
    fn the_tool_is_read_from_the_body() {
        let body =
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ech\u006f","arguments":{"name":"x"}}}"#;
        let envelope = Envelope::parse(body).unwrap();
        assert_eq!(envelope.target, Target::Tool("echo".into()));
        assert_eq!(envelope.id.unwrap().get(), "1");
        assert!(!envelope.is_stateless);
    }

    #[test]
    fn new_messages_carry_their_version() {
        let body = br#"{"jsonrpc":"2.0","id":"a","method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        assert!(Envelope::parse(body).unwrap().is_stateless);
    }

    #[test]
    fn notifications_and_answers_have_no_id_or_method() {
        assert!(Envelope::parse(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap().id.is_none());
        let answer = Envelope::parse(br#"{"jsonrpc":"2.0","id":7,"result":{"method":"x"}}"#).unwrap();
        assert!(answer.method.is_none() && answer.target == Target::None);
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"calculator"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"},"params":{"name":"x"}}"#,
        ] {
            assert!(refused(body.as_bytes()).contains("-32600"), "{body}");
        }
    }

    /// What a request of this method wants to use.
    fn target_of(method: &str, params: &Value) -> Result<String, String> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let envelope = Envelope::parse(body.as_bytes());
        envelope.map(|envelope| format!("{:?}", envelope.target)).map_err(|refusal| format!("{refusal:?}"))
    }

    #[test]
    fn a_uri_has_a_bound_and_no_control_characters_wherever_it_is() {
        let params = |method: &str, uri: &str| match method {
            "completion/complete" => json!({"ref": {"type": "ref/resource", "uri": uri}}),
            "subscriptions/listen" => json!({"notifications": {"resourceSubscriptions": ["a://b", uri]}}),
            _ => json!({ "uri": uri }),
        };
        let longest = format!("a://{}", "x".repeat(MAX_URI_BYTES - 4));
        let longer = format!("{longest}x");
        for method in [
            "resources/read",
            "resources/subscribe",
            "resources/unsubscribe",
            "resources/directory/read",
            "skills/get",
            "completion/complete",
            "subscriptions/listen",
        ] {
            let target = target_of(method, &params(method, &longest));
            assert!(target.is_ok_and(|target| target.contains(&longest)), "{method}");
            for bad in [longer.as_str(), "a://b\nc", "a://\u{0}", "a://\u{85}"] {
                let refused = target_of(method, &params(method, bad)).expect_err("must be refused");
                assert!(refused.contains("-32600"), "{method}: {refused}");
            }
        }
    }

    #[test]
    fn one_stream_is_of_a_thousand_resources_at_most() {
        let filter = |count: usize| json!({"notifications": {"resourceSubscriptions": vec!["a://b"; count]}});
        assert!(target_of("subscriptions/listen", &filter(1_000)).is_ok());
        let refused = target_of("subscriptions/listen", &filter(1_001)).unwrap_err();
        assert!(refused.contains("-32600") && refused.contains("1000 URIs"), "{refused}");
    }

    #[test]
    fn odd_ids_are_refused() {
        let long = format!("\"{}\"", "x".repeat(1_000_000));
        for id in ["null", "{}", "[1]", "1.5", "1e999", "true", long.as_str()] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            assert!(refused(body.as_bytes()).contains("-32600"), "{}", &body[..40]);
        }
        for id in ["0", "-1", "\"a\"", "9007199254740993"] {
            assert!(Envelope::parse(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#).as_bytes()).is_ok());
        }
    }

    #[test]
    fn garbage_is_a_parse_error_and_structure_an_invalid_request() {
        for body in [
            &b"\xff{}"[..],
            b"{",
            b"",
            b"<html>",
            br#"{"jsonrpc":"2.0","id":1,"method":"a\ud800"}"#,
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"ec\0ho\"}}",
        ] {
            assert!(refused(body).contains("-32700"), "{}", String::from_utf8_lossy(body));
        }
        let deep =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        for body in [
            b"[]".as_slice(),
            b" [{}]",
            b"{}",
            b"5",
            br#"{"jsonrpc":"1.0","id":1,"method":"x"}"#,
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
            deep.as_bytes(),
        ] {
            assert!(refused(body).contains("-32600"), "{}", String::from_utf8_lossy(&body[..body.len().min(60)]));
        }
    }

    #[test]
    fn a_refusal_is_in_words_of_json_and_not_of_our_source() {
        for body in [
            "5",
            "\"x\"",
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":5}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":5}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
            r#"{"jsonrpc":5,"id":1,"method":"x"}"#,
        ] {
            let refused = refused(body.as_bytes());
            assert!(refused.contains("not a JSON-RPC message: invalid type: "), "{body}: {refused}");
            assert!(!refused.contains("Raw") && !refused.contains("struct"), "{body}: {refused}");
        }
    }
}
