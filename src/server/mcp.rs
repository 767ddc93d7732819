//! `/mcp`: every decision about a request, then rmcp.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts},
};
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use serde_json::value::RawValue;

use super::{
    App,
    address::Address,
    authn::{self, Needed},
    body::read_json,
    envelope::{Envelope, Target},
    error::{INVALID_REQUEST, METHOD_NOT_FOUND, REFUSED, Refusal},
    events::is_event_id,
    gather::gathered,
    handler::LetGo,
    in_flight::{held_until_sent, holding},
    session::{self, SESSION_ID, Session},
    sessions::{Asking, Reservation},
    shared_sessions::{Told, told},
    unread::Way,
};
use crate::{
    auth::Principal,
    call::Kind,
    oauth::Scopes,
    telemetry::{
        audit::{self, Event},
        request::Ids,
    },
};

/// The longest `initialize`: what is in it is kept for as long as its session, here and in Redis.
const MAX_INITIALIZE_BYTES: usize = 64 * 1024;
const LAST_EVENT_ID: &str = "last-event-id";
/// How much of a method's name is in an answer, in characters: it is none of ours.
const MAX_METHOD: usize = 128;
/// What rmcp wants to read in `Accept`, literally.
const ACCEPT_BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// Authentication, then body, session and scope, in this order; each refusal is final and costs no more than it must.
pub(super) async fn endpoint(State(app): State<Arc<App>>, request: Request<Body>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let in_flight = (parts.method != Method::GET).then(|| app.in_flight.enter());
    let way = Way::of(&parts);
    let principal = match authn::authenticate(&app, &parts).await {
        Ok(principal) => principal,
        Err(refusal) => return refusal.with_id(None),
    };
    // The token has done its work: nothing behind this point sees it.
    parts.headers.remove(header::AUTHORIZATION);
    parts.headers.remove(authn::DPOP);
    parts.extensions.insert(Arc::clone(&principal));
    let mut response = match parts.method {
        Method::POST => post(&app, parts, body, &principal).await,
        Method::GET => listening(&app, without_body(&app, parts, &principal).await, &principal),
        Method::DELETE => ended(without_body(&app, parts, &principal).await),
        _ => method_not_allowed(),
    };
    // It was for this caller; rmcp says `no-cache` of its event streams, and nothing of the rest.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A listening stream is no work under way: a drain ends it instead of waiting for it.
    let listens = response.extensions_mut().remove::<Listening>().is_some();
    let response = app.unread.count(response, &principal, way);
    match in_flight.filter(|_| !listens) {
        Some(guard) => held_until_sent(&app, response, guard),
        None => response,
    }
}

async fn post(app: &Arc<App>, parts: Parts, body: Body, principal: &Arc<Principal>) -> Response<Body> {
    let bytes = match read_json(&parts.headers, body, app.max_body_bytes).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refusal.with_id(None),
    };
    let envelope = match Envelope::parse(&bytes) {
        Ok(envelope) => envelope,
        Err(refusal) => return refusal.with_id(None),
    };
    // Notifications, and answers to our questions, belong to what was let in before.
    if envelope.id.is_some()
        && envelope.method.is_some()
        && let Err(refusal) = app.rates.admit_more(principal, Address::of_request(&parts))
    {
        return refusal.with_id(envelope.id);
    }
    let (parts, admitted) = match admit(app, parts, &envelope, principal).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.with_id(envelope.id),
    };
    match admitted {
        Admitted::Asks(asking, session) => {
            let let_go = LetGo::default();
            let mut parts = parts;
            parts.extensions.insert(let_go.clone());
            let response = forward(app, parts, bytes.clone(), envelope.id, session).await;
            holding(gathered(response, let_go.0.cancelled_owned()).await, asking)
        }
        Admitted::Begins(reservation) => begin(app, parts, bytes.clone(), envelope.id, reservation, principal).await,
        Admitted::Plainly(session) => {
            let response = match app.lane.answer(&parts.headers, &envelope, &bytes, principal).await {
                Some(response) => response,
                None => forward(app, parts, bytes.clone(), envelope.id, session).await,
            };
            match envelope.method.as_deref() {
                Some("subscriptions/listen") => listening(app, response, principal),
                _ => response,
            }
        }
    }
}

/// A session has ended when this is said; rmcp's 202 says that it may, and the Python SDK calls that a failure.
fn ended(mut response: Response<Body>) -> Response<Body> {
    if response.status() == StatusCode::ACCEPTED {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    response
}

/// Of an answer that is a stream of whatever may come.
#[derive(Clone, Copy)]
struct Listening;

/// Whoever listens does so for as long as the token is good. A call that was let in goes on to its answer, which has a
/// bound of its own.
fn listening(app: &Arc<App>, mut response: Response<Body>, principal: &Arc<Principal>) -> Response<Body> {
    let kind = response.headers().get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| !kind.as_bytes().starts_with(b"text/event-stream")) {
        return response;
    }
    response.extensions_mut().insert(Listening);
    let (app, principal) = (Arc::clone(app), Arc::clone(principal));
    let ended = Box::pin(async move { app.authenticator.ended(&principal).await });
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(ended)))
}

/// What has to be kept while a message is under way.
enum Admitted {
    /// A request within a session.
    Asks(Asking, Session),
    /// The first request of one.
    Begins(Reservation),
    /// Anything else.
    Plainly(Session),
}

/// Session, scope and `Accept`.
async fn admit(
    app: &App,
    mut parts: Parts,
    envelope: &Envelope<'_>,
    principal: &Arc<Principal>,
) -> Result<(Parts, Admitted), Refusal> {
    // Whatever version it names: rmcp begins a session for every `initialize`.
    let begins_session = envelope.method.as_deref() == Some("initialize");
    let session = if envelope.is_stateless || begins_session {
        // Neither has a session yet; an id chosen by the client is nobody's.
        parts.headers.remove(SESSION_ID);
        Session::Here
    } else {
        session::check(app, &parts, principal).await?
    };
    check_method(app, &parts.headers, envelope)?;
    // rmcp runs calls on tasks of its own.
    if let Some(ids) = Ids::current() {
        parts.extensions.insert(ids);
    }
    // By the body, never by the headers that mirror it.
    authn::authorize(app, &parts, &needed(app, &envelope.target, principal).await?, principal)?;
    if accepts_anything(&parts.headers) {
        parts.headers.insert(header::ACCEPT, ACCEPT_BOTH);
    }
    let id = parts.headers.get(SESSION_ID).and_then(|id| id.to_str().ok());
    let admitted = match (id, envelope.id) {
        _ if begins_session => Admitted::Begins(session::reserve(app, principal)?),
        (Some(session_id), Some(id)) if envelope.method.is_some() => Admitted::Asks(ask(app, session_id, id)?, session),
        _ => Admitted::Plainly(session),
    };
    Ok((parts, admitted))
}

/// What the message wants to use and there is. What there is not is for the handler to answer: -32602, never a challenge.
async fn needed<'a>(app: &App, target: &'a Target<'_>, principal: &Principal) -> Result<Vec<Needed<'a>>, Refusal> {
    let of =
        |kind, name: &'a str| Some(Needed { kind, name: name.into(), scopes: app.features.scopes_of(kind, name)? });
    let readable =
        |uri: &'a str, scopes: &Scopes| vec![Needed { kind: Kind::Resource, name: uri.into(), scopes: scopes.clone() }];
    let resources = &app.features.resources;
    Ok(match target {
        Target::None => Vec::new(),
        Target::Tool(name) => of(Kind::Tool, name).into_iter().collect(),
        Target::Prompt(name) => of(Kind::Prompt, name).into_iter().collect(),
        Target::Resources(uris) => uris.iter().filter_map(|uri| of(Kind::Resource, uri)).collect(),
        // What its tool needs; a task of somebody else is none.
        Target::Task(id) => {
            let task = app.tasks.find(id, principal).await.map_err(|error| Refusal::tasks_unavailable(&error))?;
            let tool = task.map(|task| task.tool());
            let scopes = tool.as_deref().and_then(|tool| app.features.scopes_of(Kind::Tool, tool));
            let needed = tool.zip(scopes).map(|(tool, scopes)| Needed { kind: Kind::Tool, name: tool.into(), scopes });
            needed.into_iter().collect()
        }
        // The very one that answers, and not another that its text would fit.
        Target::Template(uri) => {
            resources.find_template(uri).map(|template| readable(uri, &template.scopes)).unwrap_or_default()
        }
        Target::Skill(uri) => resources.skill(uri).map(|skill| readable(uri, &skill.scopes)).unwrap_or_default(),
        Target::Folder(uri) => resources.folder(uri).map(|(_, scopes)| readable(uri, &scopes)).unwrap_or_default(),
    })
}

fn ask(app: &App, session: &str, id: &RawValue) -> Result<Asking, Refusal> {
    let message = "a request of this `id` is under way in this session; give each its own";
    let refusal = || Refusal::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, message);
    app.sessions.ask(session, id.get()).ok_or_else(refusal)
}

async fn without_body(app: &App, mut parts: Parts, principal: &Arc<Principal>) -> Response<Body> {
    let session = match session::check(app, &parts, principal).await {
        Ok(session) => session,
        Err(refusal) => return refusal.with_id(None),
    };
    if let Some(id) = parts.headers.get(LAST_EVENT_ID)
        && !id.to_str().is_ok_and(is_event_id)
    {
        return Refusal::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, "Last-Event-ID is not one of this server")
            .with_id(None);
    }
    if accepts_anything(&parts.headers) {
        parts.headers.insert(header::ACCEPT, ACCEPT_BOTH);
    }
    forward(app, parts, Bytes::new(), None, session).await
}

/// The answer of rmcp.
async fn forward(app: &App, parts: Parts, bytes: Bytes, id: Option<&RawValue>, session: Session) -> Response<Body> {
    // Several kilobytes that would otherwise be part of this future, and be copied with it from layer to layer.
    let response = Box::pin(app.mcp.handle(Request::from_parts(parts, Full::new(bytes))));
    let response = match session {
        Session::Here => response.await,
        Session::Elsewhere(restored) => restored.around(app, response).await,
    };
    in_json(response, id).await
}

/// The answer to `initialize`.
async fn begin(
    app: &App,
    parts: Parts,
    bytes: Bytes,
    id: Option<&RawValue>,
    reservation: Reservation,
    principal: &Principal,
) -> Response<Body> {
    if bytes.len() > MAX_INITIALIZE_BYTES {
        let message =
            format!("this `initialize` is larger than {MAX_INITIALIZE_BYTES} bytes: say less about the client");
        return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, REFUSED, message).with_id(id);
    }
    let response = Box::pin(app.mcp.handle(Request::from_parts(parts, Full::new(bytes))));
    let (response, initialize) = told(Told::default(), response).await;
    let session = response.headers().get(SESSION_ID).and_then(|session| session.to_str().ok());
    if let Some(session) = session {
        if let Err(refusal) = session::keep(app, session, principal, initialize).await {
            app.sessions.close(session).await;
            return refusal.with_id(id);
        }
        reservation.claim(session);
        audit::record(Event::SessionOpened { actor: principal.actor() });
    }
    in_json(response, id).await
}

/// rmcp says some refusals in plain text; a JSON-RPC client reads JSON.
async fn in_json(
    response: Response<http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>>,
    id: Option<&RawValue>,
) -> Response<Body> {
    let status = response.status();
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response.map(Body::new);
    }
    // rmcp calls a body that fits no message 415, which is about its type, and it was JSON; and says why in its own terms.
    if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return Refusal::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, "the body is no message of MCP").with_id(id);
    }
    let Ok(text) = response.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let text = String::from_utf8_lossy(&text);
    let message = text.trim_start_matches("Bad Request: ").trim_start_matches("Not Found: ");
    Refusal::new(status, INVALID_REQUEST, message).with_id(id)
}

/// Whether there is such a method; rmcp would answer with its bare name. 404 on 2026-07-28, and 200 within a session.
fn check_method(app: &App, headers: &HeaderMap, envelope: &Envelope<'_>) -> Result<(), Refusal> {
    let (Some(_), Some(method)) = (envelope.id, envelope.method.as_deref()) else { return Ok(()) };
    let status = if envelope.is_stateless {
        StatusCode::NOT_FOUND
    } else if headers.contains_key(SESSION_ID) {
        StatusCode::OK
    } else {
        // Whoever has not begun a session is told so.
        return Ok(());
    };
    if app.features.answers(method, envelope.is_stateless) {
        return Ok(());
    }
    let method: String = method.chars().take(MAX_METHOD).collect();
    Err(Refusal::new(status, METHOD_NOT_FOUND, format!("this server has no method `{method}`")))
}

/// No `Accept` or `*/*` accepts everything (RFC 9110 section 12.5.1); probes of real clients send that.
fn accepts_anything(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_none_or(|value| value.as_bytes().trim_ascii() == b"*/*")
}

fn method_not_allowed() -> Response<Body> {
    let mut response =
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, INVALID_REQUEST, "use POST, GET or DELETE").with_id(None);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
    response
}
