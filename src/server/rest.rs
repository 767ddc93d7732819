//! `/api/v1`: the tools as plain HTTP, by the same tokens, scopes and [`Tools::call`](crate::tools::Tools::call) as `/mcp`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Response, StatusCode, header, request::Parts},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    App,
    address::Address,
    authn::{self, Needed},
    body::read_json,
    documents::json_response,
    error::{PARSE_ERROR, REFUSED, Refusal},
    in_flight::held_until_sent,
    listing::{excuse, is_shown},
    unread::Way,
};
use crate::{
    auth::Principal,
    call::Kind,
    json::is_deeper_than,
    tools::{CallContext, CallError, Definition, JsonObject},
};

/// Below it, one resource for each tool.
const TOOLS: &str = "/api/v1/tools/";
/// Deepest nesting of a body.
const MAX_DEPTH: usize = 64;

/// The answer to a call.
#[derive(Serialize)]
struct Called<'a> {
    tool: &'a str,
    result: Value,
    user: &'a str,
    client: Option<&'a str>,
}

/// `GET /api/v1/me`, also `/api/v1/user`: who the token says you are.
pub(super) async fn me(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let principal = match caller(&app, &parts).await {
        Ok(principal) => principal,
        Err(refusal) => return refusal.into_problem(),
    };
    let response = private(&json!({
        "sub": principal.subject,
        "user": principal.display_name(),
        "client": principal.client_id,
        "issuer": principal.issuer,
        "scopes": principal.scopes.iter().collect::<Vec<_>>(),
        "exp": principal.expires_at.map(|at| at.as_secs()),
    }));
    app.unread.count(response, &principal, Way::of(&parts))
}

/// `GET /api/v1/tools`: every tool, what it takes, and what it needs.
pub(super) async fn tools(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let principal = match caller(&app, &parts).await {
        Ok(principal) => principal,
        Err(refusal) => return refusal.into_problem(),
    };
    if let Some(excuse) = excuse(&app.tools, app.upstream.as_deref()) {
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, REFUSED, excuse).into_problem();
    }
    let tools = app.tools.list();
    let shown = tools.iter().filter(|tool| is_shown(tool, &principal, app.show_locked));
    let response = private(&json!({"tools": shown.map(|tool| listed(tool)).collect::<Vec<_>>()}));
    app.unread.count(response, &principal, Way::of(&parts))
}

/// `POST /api/v1/tools/{name}`: the body is the arguments.
pub(super) async fn call(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let guard = app.in_flight.enter();
    let (parts, body) = request.into_parts();
    let principal = match caller(&app, &parts).await {
        Ok(principal) => principal,
        Err(refusal) => return refusal.into_problem(),
    };
    let response = answer(&app, &parts, body, &principal).await.unwrap_or_else(Refusal::into_problem);
    let response = app.unread.count(response, &principal, Way::of(&parts));
    held_until_sent(&app, response, guard)
}

/// Whether a tool is called at this path: it is the prefix and one segment.
pub(super) fn is_call(path: &str) -> bool {
    path.strip_prefix(TOOLS).is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

/// Where a tool is called.
pub(super) fn endpoint(definition: &Definition) -> String {
    format!("{TOOLS}{}", definition.name)
}

/// Whoever asks, and may ask for more.
async fn caller(app: &App, parts: &Parts) -> Result<Arc<Principal>, Refusal> {
    let principal = authn::authenticate(app, parts).await?;
    app.rates.admit_more(&principal, Address::of_request(parts))?;
    Ok(principal)
}

/// Tool, scope, body, arguments: each refusal is final and costs no more than it must.
async fn answer(app: &App, parts: &Parts, body: Body, principal: &Arc<Principal>) -> Result<Response<Body>, Refusal> {
    // The segment as it was sent: names need no escapes, so one with an escape is nobody's.
    let name = parts.uri.path().strip_prefix(TOOLS).unwrap_or_default();
    let mut context = CallContext::new(Arc::clone(principal), Arc::clone(&app.clock));
    context.metrics = app.metrics.clone();
    let arguments = match app.tools.find(name) {
        Some(definition) => {
            let needed = Needed { kind: Kind::Tool, name: name.into(), scopes: definition.scopes.clone() };
            authn::authorize(app, parts, &[needed], principal)?;
            arguments(&read_json(&parts.headers, body, app.max_body_bytes).await?)?
        }
        // The call says so, and is audited.
        None => JsonObject::new(),
    };
    // A caller that goes away drops this future; work that the tool started elsewhere learns of it here.
    let given_up = context.cancel.clone().drop_guard();
    let result = app.tools.call(name, arguments, &context).await;
    given_up.disarm();
    match result {
        // A guarded server's tool says in its result that it failed, and why.
        Ok(output) if output.is_error() => {
            Err(Refusal::new(StatusCode::BAD_GATEWAY, REFUSED, output.into_value().to_string()))
        }
        Ok(output) => {
            let (user, client) = (principal.display_name(), principal.client_id.as_deref());
            Ok(private(&Called { tool: name, result: output.into_value(), user, client }))
        }
        Err(error) => Err(failed(app, name, error)),
    }
}

fn arguments(bytes: &[u8]) -> Result<JsonObject, Refusal> {
    let bad = |message: &str| Refusal::new(StatusCode::BAD_REQUEST, PARSE_ERROR, message);
    if is_deeper_than(MAX_DEPTH, bytes) {
        return Err(bad("the body is nested too deeply"));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(arguments)) => Ok(arguments),
        Ok(_) => Err(bad("the body must be a JSON object: the arguments of the tool")),
        Err(error) => Err(bad(&format!("the body is not JSON: {error}"))),
    }
}

fn failed(app: &App, tool: &str, error: CallError) -> Refusal {
    // It may well be a tool of the guarded server.
    if let (CallError::Unknown { .. }, Some(excuse)) = (&error, excuse(&app.tools, app.upstream.as_deref())) {
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, REFUSED, excuse);
    }
    let message = error.to_string();
    let status = match error {
        CallError::Unknown { .. } => StatusCode::NOT_FOUND,
        // Looked at before the call: `authorize` has said it with a challenge.
        CallError::MissingScope { .. } => StatusCode::FORBIDDEN,
        CallError::InvalidArguments(violations) => return Refusal::unfit_arguments(violations),
        CallError::TaskRequired => {
            let mcp = app.names.resource();
            let message = format!("{message}; over REST there are none, so call `{tool}` over MCP at `{mcp}`");
            return Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, REFUSED, message);
        }
        CallError::Ask(_) => {
            let mcp = app.names.resource();
            let message = format!(
                "{message}; over REST nobody can be asked, so call `{tool}` over MCP at `{mcp}`, with a client that can"
            );
            return Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, REFUSED, message);
        }
        CallError::Failed(_) | CallError::Rpc(_) if app.upstream.is_some() => StatusCode::BAD_GATEWAY,
        CallError::Failed(_) | CallError::Rpc(_) => StatusCode::INTERNAL_SERVER_ERROR,
        CallError::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
        CallError::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, REFUSED, message)
}

fn listed(definition: &Definition) -> Value {
    json!({
        "name": definition.name,
        "title": definition.title,
        "description": definition.description,
        "endpoint": endpoint(definition),
        "method": "POST",
        "required_scope": (!definition.scopes.is_empty()).then(|| definition.scopes.to_string()),
        "input_schema": definition.input_schema,
        "output_schema": definition.output_schema,
    })
}

/// What is for one caller's eyes, and kept by nobody on the way.
fn private(value: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_vec(value).expect("texts and JSON values");
    let mut response = json_response(StatusCode::OK, body.into());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::is_call;

    #[test]
    fn a_tool_is_one_segment_below_the_tools() {
        assert!(is_call("/api/v1/tools/echo") && is_call("/api/v1/tools/%65cho"), "as the router has it");
        for path in ["/api/v1/tools", "/api/v1/tools/", "/api/v1/tools/a/b", "/api/v1/tools//a", "/api/v1/me", "/mcp"] {
            assert!(!is_call(path), "{path}");
        }
    }
}
