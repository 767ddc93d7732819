//! A short way for the most frequent request, a stateless call of a simple tool, and for the longest, `subscriptions/listen`.
//!
//! rmcp serves each stateless request by a service of its own: three tasks, their channels, and the message written as JSON
//! again to compare it with its headers. A tool that neither asks nor tells its caller anything needs none of that. This
//! reads and writes with rmcp's own types, and takes only what it knows whole, with headers that are right: everything
//! else, and everything that is wrong, is for rmcp to answer. The tests hold both against each other.

mod listen;

use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};
use rmcp::model::{ClientCapabilities, ErrorCode, JsonObject, RequestId, ServerJsonRpcMessage};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    documents::json_response,
    envelope::{Envelope, Target},
    handler::{Handler, unless_it_panics},
};
use crate::{
    auth::Principal,
    tools::{TaskSupport, Tools},
};

/// The revision whose requests are stateless.
const REVISION: &str = "2026-07-28";
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// `Accept` as clients send it that know rmcp's rule: both, in whichever order.
const ACCEPTS: [&str; 2] = ["application/json, text/event-stream", "text/event-stream, application/json"];
/// In a schema: a header mirrors this argument, and rmcp compares them.
const MIRRORED: &str = "x-mcp-header";

/// Answers calls of simple tools, and who wants to hear of changes.
pub(super) struct Lane {
    handler: Handler,
    /// Ends streams.
    stopping: CancellationToken,
    /// The tools of our own that ask nothing, become no tasks and have no mirrored argument, and what each shows of its result.
    tools: HashMap<Cow<'static, str>, Option<&'static str>>,
}

/// A request with nothing in it but what is answered here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<P> {
    #[serde(rename = "jsonrpc")]
    _jsonrpc: IgnoredAny,
    id: RequestId,
    #[serde(rename = "method")]
    _method: IgnoredAny,
    params: P,
}

/// Of a call.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    #[serde(rename = "name")]
    _name: IgnoredAny,
    arguments: Option<JsonObject>,
    #[serde(rename = "_meta")]
    _meta: Meta,
}

/// The metadata of a request of this revision, of which nothing is left to know.
struct Meta;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members<'a> {
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    revision: Cow<'a, str>,
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities")]
    _capabilities: ClientCapabilities,
    #[serde(rename = "io.modelcontextprotocol/clientInfo")]
    _client: Option<IgnoredAny>,
}

impl Lane {
    /// For the tools that the server was built with: those of an upstream server come and go.
    pub(super) fn new(handler: Handler, tools: &Tools, stopping: CancellationToken) -> Self {
        let tools = tools.list();
        let own = tools.iter().filter(|tool| tool.upstream.is_none());
        let simple = own.filter(|tool| {
            !tool.asks && tool.task == TaskSupport::Never && !tool.input_schema.values().any(is_mirrored)
        });
        let tools = simple.map(|tool| (tool.name.clone(), tool.shows)).collect();
        Self { handler, stopping, tools }
    }

    /// The answer to a message that was let in, if it is one of these.
    pub(super) async fn answer(
        &self,
        headers: &HeaderMap,
        envelope: &Envelope<'_>,
        body: &[u8],
        principal: &Arc<Principal>,
    ) -> Option<Response<Body>> {
        if envelope.method.as_deref() == Some(listen::METHOD) && envelope.is_stateless {
            return listen::answer(&self.handler, &self.stopping, headers, body);
        }
        let Target::Tool(name) = &envelope.target else { return None };
        let name = &**name;
        let shows = *self.tools.get(name)?;
        let Message::<Params> { id, params, .. } = read(headers, "tools/call", Some(name), body)?;
        let cancel = CancellationToken::new();
        // A caller that goes away drops this future; work that the tool started elsewhere learns of it here.
        let given_up = cancel.clone().drop_guard();
        let arguments = params.arguments.unwrap_or_default();
        let call = self.handler.call_alone(Arc::clone(principal), cancel, name, shows, arguments);
        let (status, message) = match unless_it_panics(call).await {
            Ok(result) => (StatusCode::OK, ServerJsonRpcMessage::response(result.into(), id)),
            Err(error) => (status_of(error.code), ServerJsonRpcMessage::error(error, Some(id))),
        };
        given_up.disarm();
        // An answer is seldom much longer than what was asked.
        let mut answer = Vec::with_capacity(body.len() + 256);
        serde_json::to_writer(&mut answer, &message).expect("texts and JSON values");
        Some(json_response(status, answer.into()))
    }
}

/// As rmcp has it: a tool that asks without having said so may need what its caller cannot do.
fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// The request, if it is one that is answered here and its headers are what rmcp wants to see with it. Names of tools need
/// no escapes.
fn read<'a, P: Deserialize<'a>>(
    headers: &HeaderMap,
    method: &str,
    name: Option<&str>,
    body: &'a [u8],
) -> Option<Message<P>> {
    let is_named = match name {
        Some(name) => only(headers, &NAME).is_some_and(|said| said == name),
        None => !headers.contains_key(&NAME),
    };
    let is_right = is_named
        && only(headers, &PROTOCOL_VERSION).is_some_and(|version| version == REVISION)
        && only(headers, &METHOD).is_some_and(|said| said == method)
        && only(headers, &header::ACCEPT).is_some_and(|accept| ACCEPTS.iter().any(|both| accept == both));
    if is_right { serde_json::from_slice(body).ok() } else { None }
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn is_mirrored(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => members.contains_key(MIRRORED) || members.values().any(is_mirrored),
        Value::Array(items) => items.iter().any(is_mirrored),
        _ => false,
    }
}

/// serde would take an array for the members of a struct, and rmcp does not.
impl<'de> Deserialize<'de> for Meta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfAnObject;

        impl<'de> Visitor<'de> for OfAnObject {
            type Value = Meta;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "the metadata of a request of {REVISION}")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Meta, A::Error> {
                let members = Members::deserialize(MapAccessDeserializer::new(members))?;
                if members.revision == REVISION {
                    Ok(Meta)
                } else {
                    Err(de::Error::invalid_value(Unexpected::Str(&members.revision), &self))
                }
            }
        }

        deserializer.deserialize_map(OfAnObject)
    }
}

#[cfg(test)]
mod tests;
