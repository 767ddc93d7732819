//! Which session a request belongs to, and whether it may.

use std::sync::Arc;

use axum::http::{Method, StatusCode, request::Parts};
use rmcp::model::InitializeRequestParams;

use super::{
    App,
    error::{INVALID_REQUEST, REFUSED, Refusal},
    sessions::{Full, Owner, Reservation},
    shared_sessions::{Kept, Told, told},
};
use crate::{
    auth::Principal,
    store::RedisError,
    telemetry::audit::{self, Event},
};

pub(super) const SESSION_ID: &str = "mcp-session-id";

/// Where a request's session is.
pub(super) enum Session {
    /// In this process, or there is none.
    Here,
    /// Another replica began it, and this one goes on with it.
    Elsewhere(Box<Restored>),
}

/// A session that this process is about to have.
pub(super) struct Restored {
    id: String,
    initialize: InitializeRequestParams,
}

/// The session that the headers name. An id is good only for its owner; to anybody else the session does not exist.
///
/// # Errors
/// 404 if there is none of this caller, 503 if nobody can tell, 429 or 503 if there is no place for it here.
pub(super) async fn check(app: &App, parts: &Parts, principal: &Arc<Principal>) -> Result<Session, Refusal> {
    let Some(id) = parts.headers.get(SESSION_ID) else { return Ok(Session::Here) };
    let Some(id) = id.to_str().ok().filter(|id| is_one(id)) else { return Err(none(principal)) };
    let Some(shared) = &app.shared_sessions else {
        return if app.sessions.belongs_to(id, principal) { Ok(Session::Here) } else { Err(none(principal)) };
    };
    let Some(kept) = shared.find(id).await.map_err(|error| unknown(app, &error))? else {
        // Another replica ended it and we did not hear, or Redis has lost it: then it is gone for everybody.
        if app.sessions.belongs_to(id, principal) {
            app.sessions.close(id).await;
        }
        return Err(none(principal));
    };
    if !kept.owner.is(principal) {
        return Err(none(principal));
    }
    if parts.method == Method::DELETE {
        shared.end(id).await.map_err(|error| unknown(app, &error))?;
        return Ok(Session::Here);
    }
    if app.sessions.has(id) {
        return Ok(Session::Here);
    }
    reserve(app, principal)?.claim(id);
    Ok(Session::Elsewhere(Box::new(Restored { id: id.to_owned(), initialize: kept.initialize })))
}

/// Takes a place for a session.
///
/// # Errors
/// 429 or 503 if there is none.
pub(super) fn reserve(app: &App, principal: &Principal) -> Result<Reservation, Refusal> {
    app.sessions.reserve(Owner::of(principal)).map_err(|full| {
        let (reason, refusal) = match full {
            Full::Principal => {
                let reason = "this caller has too many sessions";
                (reason, Refusal::too_many_sessions(&format!("{reason}; end one with DELETE")))
            }
            Full::Server => {
                let reason = "this server has too many sessions";
                let message = format!("{reason}; try again later");
                (reason, Refusal::new(StatusCode::SERVICE_UNAVAILABLE, REFUSED, message))
            }
        };
        audit::record(Event::AccessDenied { actor: principal.actor(), operation: "initialize", reason });
        refusal
    })
}

/// Keeps a session that has begun where other replicas find it, if there is such a place.
///
/// # Errors
/// 503: it could not be kept, and must not go on.
pub(super) async fn keep(
    app: &App,
    id: &str,
    principal: &Principal,
    initialize: Option<InitializeRequestParams>,
) -> Result<(), Refusal> {
    let (Some(shared), Some(initialize)) = (&app.shared_sessions, initialize) else { return Ok(()) };
    let kept = Kept { owner: Owner::of(principal), initialize };
    shared.keep(id, &kept).await.map_err(|error| unknown(app, &error))
}

impl Restored {
    /// Has `exchange` find how the session began, and gives its place back if that was no use.
    pub(super) async fn around<T>(self, app: &App, exchange: impl Future<Output = T>) -> T {
        let Self { id, initialize } = self;
        let (answer, _) = told(Told::restoring(initialize), exchange).await;
        if !app.sessions.has(&id) || has_ended(app, &id).await {
            app.sessions.close(&id).await;
        }
        answer
    }
}

/// Whether a session was ended elsewhere while it was restored, when there was nothing here yet to end.
async fn has_ended(app: &App, id: &str) -> bool {
    let Some(shared) = &app.shared_sessions else { return false };
    !app.sessions.has_place(id) || matches!(shared.has(id).await, Ok(false))
}

/// Whether this may be an id of ours: 256 bits, base64url.
fn is_one(id: &str) -> bool {
    id.len() == 43 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn none(principal: &Principal) -> Refusal {
    audit::record(Event::AccessDenied {
        actor: principal.actor(),
        operation: "session",
        reason: "no such session of this caller",
    });
    Refusal::new(StatusCode::NOT_FOUND, INVALID_REQUEST, "no such session; begin a new one with `initialize`")
}

/// Never 404 or 401: a client would throw its session or its token away.
fn unknown(app: &App, error: &RedisError) -> Refusal {
    app.metrics.session_unavailable();
    tracing::debug!(%error, "a session is not available");
    Refusal::sessions_unavailable()
}
