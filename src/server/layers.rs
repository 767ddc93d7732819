//! Every layer in front of the routes, in order, in one function.

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts},
    middleware::{self, Next},
};
use tower::ServiceExt as _;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
};
use tracing::Instrument as _;

use super::{App, error::problem, request_id};

const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// Which of the server's resources a request addressed, by its `Host`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResourceIndex(usize);

impl ResourceIndex {
    /// As the host check found it; the principal resource where that check does not apply.
    pub(super) fn of(parts: &Parts) -> usize {
        parts.extensions.get::<Self>().map_or(0, |index| index.0)
    }
}

/// Wraps the routes. A request passes from top to bottom: the last `layer` call is the outermost.
pub(super) fn around(routes: Router, app: &Arc<App>) -> Router {
    let without_cors = routes.clone();
    routes
        // Innermost, so that an answer to a preflight never reaches a route.
        .layer(cors(Arc::clone(app)))
        .layer(middleware::from_fn_with_state(without_cors, plain_options))
        // Before anything looks at the body or the token: a rebound page must not get that far.
        .layer(middleware::from_fn_with_state(Arc::clone(app), check_host_and_origin))
        // A panic ends one request; its answer still gets an id and the security headers.
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(security_headers))
        .layer(middleware::from_fn(identify))
}

/// Gives the request its id, a span with it, and a debug line when it is answered.
async fn identify(request: Request, next: Next) -> Response<Body> {
    let id = request_id::of(request.headers());
    let correlation = request_id::valid(request.headers().get(&CORRELATION_ID)).cloned();
    let span = tracing::info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        correlation_id = correlation.as_ref().and_then(|value| value.to_str().ok()),
    );
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    async move {
        let mut response = next.run(request).await;
        tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
        let headers = response.headers_mut();
        headers.insert(request_id::HEADER, id);
        if let Some(correlation) = correlation {
            headers.insert(CORRELATION_ID, correlation);
        }
        response
    }
    .instrument(span)
    .await
}

async fn security_headers(request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

/// Closes DNS rebinding: a page that made its own name point here still says its own name.
async fn check_host_and_origin(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response<Body> {
    let path = request.uri().path();
    // Probes of an orchestrator send the pod's address, and learn nothing here.
    if path == "/health" || path.starts_with("/health/") {
        return next.run(request).await;
    }
    let Some(host) = host(&request) else {
        return closing(problem(StatusCode::BAD_REQUEST, "the request has no Host, or more than one"));
    };
    if !app.names.allows_host(host) {
        tracing::warn!(host = %host.escape_debug(), "refused a request for another host");
        return problem(StatusCode::MISDIRECTED_REQUEST, "this server is not reached under that name");
    }
    let index = ResourceIndex(app.names.resource_index(host));
    let is_public_document = path.starts_with("/.well-known/");
    let origin = request.headers().get(header::ORIGIN).filter(|_| !is_public_document);
    if let Some(origin) = origin
        && !origin.to_str().is_ok_and(|origin| app.names.allows_origin(origin))
    {
        tracing::warn!(?origin, "refused a request from another origin");
        return problem(StatusCode::FORBIDDEN, "pages of that origin may not call this server");
    }
    request.extensions_mut().insert(index);
    // An intermediary may have gone by a Content-Length, which hyper drops beside Transfer-Encoding: whatever it left on the
    // connection is no request (RFC 9112 section 6.1).
    let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let response = next.run(request).await;
    if is_chunked { closing(response) } else { response }
}

/// The CORS layer takes every `OPTIONS` for a preflight; one that asks for no method is a question to the route.
async fn plain_options(State(routes): State<Router>, request: Request, next: Next) -> Response<Body> {
    let is_preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() != Method::OPTIONS || is_preflight {
        return next.run(request).await;
    }
    let Ok(response) = routes.oneshot(request).await;
    response
}

fn host(request: &Request) -> Option<&str> {
    let mut values = request.headers().get_all(header::HOST).iter();
    match (values.next(), values.next()) {
        (Some(host), None) => host.to_str().ok(),
        (None, None) => request.uri().authority().map(axum::http::uri::Authority::as_str),
        _ => None,
    }
}

fn closing(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn cors(app: Arc<App>) -> CorsLayer {
    let allowed = AllowOrigin::predicate(move |origin: &HeaderValue, parts: &Parts| {
        // What anybody may read without a token, any page may read too.
        parts.uri.path().starts_with("/.well-known/")
            || origin.to_str().is_ok_and(|origin| app.names.allows_origin(origin))
    });
    let name = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            name("mcp-session-id"),
            name("mcp-protocol-version"),
            name("mcp-method"),
            name("mcp-name"),
            name("last-event-id"),
            request_id::HEADER,
            CORRELATION_ID,
        ])
        .expose_headers([header::WWW_AUTHENTICATE, header::RETRY_AFTER, name("mcp-session-id"), request_id::HEADER])
        .max_age(Duration::from_mins(10))
}

fn panicked(_cause: Box<dyn Any + Send>) -> Response<Body> {
    // The panic hook has logged what happened and where.
    problem(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_single() {
        let request = |hosts: &[&str]| {
            let mut request = Request::new(Body::empty());
            for host in hosts {
                request.headers_mut().append(header::HOST, HeaderValue::from_str(host).unwrap());
            }
            host(&request).map(str::to_owned)
        };
        assert_eq!(request(&["a"]).as_deref(), Some("a"));
        assert_eq!(request(&["a", "b"]), None);
        assert_eq!(request(&[]), None);
    }
}
