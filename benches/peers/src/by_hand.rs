//! Handlers that know one tool and nothing else, with the answers that securemcp gives.

use std::{borrow::Cow, sync::Arc};

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::verifier::Verifier;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Arguments<'a>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

#[derive(Serialize)]
struct Answer<'a> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    result: CallResult<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallResult<'a> {
    result_type: &'static str,
    content: [Text<'a>; 1],
    structured_content: Echoed<'a>,
    is_error: bool,
}

#[derive(Serialize)]
struct Text<'a> {
    r#type: &'static str,
    text: &'a str,
}

#[derive(Serialize)]
struct Echoed<'a> {
    echo: &'a str,
    timestamp: Option<&'a str>,
    length: usize,
}

#[derive(Serialize)]
struct Called<'a> {
    tool: &'static str,
    result: Echoed<'a>,
    user: &'a str,
    client: &'a str,
}

impl<'a> Echoed<'a> {
    fn of(message: &'a str) -> Self {
        Self { echo: message, timestamp: None, length: message.chars().count() }
    }
}

/// Gives any message back: what HTTP itself costs.
pub(crate) async fn floor(body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// `tools/call` of `echo`, over JSON-RPC.
pub(crate) async fn json_rpc(State(verifier): State<Arc<Verifier>>, headers: HeaderMap, body: Bytes) -> Response {
    if verifier.claims(&headers).is_none() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match serde_json::from_slice::<Request<'_>>(&body) {
        Ok(Request { id, method, params }) if method == "tools/call" && params.name == "echo" => {
            let message = &*params.arguments.message;
            let content = [Text { r#type: "text", text: message }];
            let structured_content = Echoed::of(message);
            let result = CallResult { result_type: "complete", content, structured_content, is_error: false };
            json(&Answer { jsonrpc: "2.0", id, result })
        }
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// `echo` over REST.
pub(crate) async fn rest(State(verifier): State<Arc<Verifier>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(claims) = verifier.claims(&headers) else { return StatusCode::UNAUTHORIZED.into_response() };
    match serde_json::from_slice::<Arguments<'_>>(&body) {
        Ok(Arguments { message }) => {
            json(&Called { tool: "echo", result: Echoed::of(&message), user: &claims.sub, client: &claims.client_id })
        }
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn json<T: Serialize>(answer: &T) -> Response {
    let body = serde_json::to_vec(answer).expect("texts and numbers");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
