//! Every layer in front of the routes, in order, in one function.

use std::{convert::Infallible, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts},
};
use futures_util::FutureExt as _;
use tower::Service as _;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{
    App, address::Address, authn::DPOP, error::problem, listener::Connection, mcp, names::MCP_PATH, request_id, rest,
    route,
};
use crate::{
    issuer,
    telemetry::{
        audit::{self, Event},
        request::Ids,
    },
};

/// What to put into the next proof (RFC 9449 section 8).
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// Headers that decide something, besides `Host` and `Authorization`, which have answers of their own.
static DECIDING: [HeaderName; 4] = [
    header::ORIGIN,
    header::CONTENT_TYPE,
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("mcp-protocol-version"),
];
/// How much of a refused header is in an audit event, in characters: it is anybody's text.
const MAX_AUDITED: usize = 256;

/// Which of the server's resources a request addressed, by its `Host`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ResourceIndex(usize);

impl ResourceIndex {
    /// As the host check found it; the principal resource where that check does not apply.
    pub(super) fn of(parts: &Parts) -> usize {
        parts.extensions.get::<Self>().copied().unwrap_or_default().0
    }
}

/// The routes with every layer in front of them.
///
/// The outer layers are one function instead of `axum` middleware, which boxes the whole way down once for each layer and
/// request.
#[derive(Clone)]
pub(super) struct Layered {
    app: Arc<App>,
    routes: Router,
    without_cors: Router,
}

/// Wraps the routes.
pub(super) fn around(routes: Router, app: &Arc<App>) -> Layered {
    // The innermost layer, so that a preflight never reaches a route.
    let with_cors = routes.clone().layer(cors(Arc::clone(app)));
    Layered { app: Arc::clone(app), routes: with_cors, without_cors: routes }
}

impl Layered {
    /// Answers a request: an id in every line that it logs, Host and Origin, the routes, security headers, and a debug line.
    pub(super) async fn answer(self, request: Request) -> Response<Body> {
        let correlation = request_id::correlation(request.headers()).cloned();
        let id = request_id::of(request.headers(), correlation.as_ref());
        let ids = Ids { request: id.clone(), correlation: correlation.clone() };
        let asked = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| (request.method().clone(), request.uri().path().to_owned(), peer_of(&request)));
        let hsts = self.app.hsts.clone();
        let gets_nonce = self.gets_nonce(&request).then(|| Arc::clone(&self.app));
        let counted = self.app.metrics.is_on().then(|| {
            let app = Arc::clone(&self.app);
            (route::of(request.uri().path()), app.clock.monotonic(), app)
        });
        ids.around(async move {
            let mut response = self.admit(request).await;
            if let Some((method, path, peer)) = asked {
                tracing::debug!(%method, path, peer = peer.map(tracing::field::display), status = response.status().as_u16(), "answered");
            }
            if let Some((route, began, app)) = counted {
                let took = app.clock.monotonic().saturating_sub(began);
                app.metrics.request(route, response.status().as_u16(), took);
            }
            if let Some(app) = gets_nonce
                && let Some(nonce) = app.proofs.nonce().await.and_then(|nonce| HeaderValue::try_from(nonce).ok())
            {
                response.headers_mut().insert(DPOP_NONCE, nonce);
            }
            let headers = response.headers_mut();
            add_security_headers(headers, hsts);
            headers.insert(request_id::HEADER, id);
            if let Some(correlation) = correlation {
                headers.insert(request_id::CORRELATION, correlation);
            }
            response
        })
        .await
    }

    /// Whoever sends proofs that need a nonce is told which, with every answer. The embedded issuer has its own.
    fn gets_nonce(&self, request: &Request) -> bool {
        self.app.dpop.needs_nonce && request.headers().contains_key(DPOP) && !issuer::is_endpoint(request.uri().path())
    }

    async fn admit(self, mut request: Request) -> Response<Body> {
        // Probes of an orchestrator send the pod's address for a name, and learn nothing here.
        if !is_probe(request.uri().path()) {
            let address = Address::of(peer_of(&request), request.headers(), &self.app.trusted_proxies);
            // Before anything is refused: each refusal is a line of the audit log, and must not come without end.
            if let Err(refusal) = self.app.rates.admit(address) {
                return refusal.at(request.uri().path());
            }
            // Before anything looks at the body or the token: a rebound page must not get that far.
            match check_host_and_origin(&self.app, &request, address) {
                Ok(index) => request.extensions_mut().insert(index),
                Err(refusal) => return *refusal,
            };
            request.extensions_mut().insert(address);
        }
        // An intermediary may have gone by a Content-Length, which hyper drops beside Transfer-Encoding: whatever it left on
        // the connection is no request (RFC 9112 section 6.1).
        let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
        // A panic ends one request; its answer still gets an id and the security headers. The panic hook has logged what
        // happened and where.
        let answer = AssertUnwindSafe(self.dispatch(request)).catch_unwind().await;
        let response = answer.unwrap_or_else(|_cause| problem(StatusCode::INTERNAL_SERVER_ERROR, "internal error"));
        if is_chunked { closing(response) } else { response }
    }

    async fn dispatch(mut self, request: Request) -> Response<Body> {
        let is_from_no_page = !request.headers().contains_key(header::ORIGIN);
        // Most of the load, to which neither routing nor CORS would add anything.
        if is_from_no_page && request.method() == Method::POST {
            match request.uri().path() {
                MCP_PATH => return Box::pin(mcp::endpoint(State(self.app), request)).await,
                path if rest::is_call(path) => return Box::pin(rest::call(State(self.app), request)).await,
                _ => {}
            }
        }
        // The CORS layer takes every `OPTIONS` for a preflight; one that asks for no method is a question to the route.
        let is_preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let routes = if request.method() == Method::OPTIONS && !is_preflight {
            &mut self.without_cors
        } else {
            &mut self.routes
        };
        let answer: Result<_, Infallible> = routes.call(request).await;
        answer.unwrap_or_else(|never| match never {})
    }
}

/// On every answer, of either listener.
pub(super) fn add_security_headers(headers: &mut HeaderMap, hsts: Option<HeaderValue>) {
    if let Some(hsts) = hsts {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
}

fn peer_of(request: &Request) -> Option<SocketAddr> {
    Connection::of(request.extensions()).map(|connection| connection.peer)
}

/// They come often, and under any name.
fn is_probe(path: &str) -> bool {
    path == "/health" || path.starts_with("/health/")
}

/// Closes DNS rebinding: a page that made its own name point here still says its own name.
fn check_host_and_origin(app: &App, request: &Request, address: Address) -> Result<ResourceIndex, Box<Response<Body>>> {
    let path = request.uri().path();
    let Some(host) = host(request) else {
        record_refused(address, "host", b"");
        let detail = "the request has no Host, more than one, or another than its target";
        return Err(closing(problem(StatusCode::BAD_REQUEST, detail)).into());
    };
    if let Some(header) = doubled(request) {
        record_refused(address, "header", header.as_str().as_bytes());
        let detail = format!("the request has more than one `{header}`");
        return Err(closing(problem(StatusCode::BAD_REQUEST, &detail)).into());
    }
    if !app.names.allows_host(host) {
        record_refused(address, "host", host.as_bytes());
        return Err(problem(StatusCode::MISDIRECTED_REQUEST, "this server is not reached under that name").into());
    }
    let index = ResourceIndex(app.names.resource_index(host));
    let is_public_document = path.starts_with("/.well-known/");
    // Forms of our own pages, which are made so that nobody else can send them, come from nowhere: the pages forbid their
    // browser to say where they are.
    let is_form = issuer::takes_forms(path);
    let origin = request.headers().get(header::ORIGIN).filter(|_| !is_public_document);
    let origin = origin.filter(|origin| !(is_form && *origin == "null"));
    if let Some(origin) = origin
        && !origin.to_str().is_ok_and(|origin| app.names.allows_origin(origin))
    {
        record_refused(address, "origin", origin.as_bytes());
        return Err(problem(StatusCode::FORBIDDEN, "pages of that origin may not call this server").into());
    }
    Ok(index)
}

fn record_refused(address: Address, check: &str, value: &[u8]) {
    let value: String = String::from_utf8_lossy(value).escape_debug().take(MAX_AUDITED).collect();
    audit::record(Event::RequestRefused { check, value: &value, address: &address.to_string() });
}

/// The one name that a request is for.
pub(super) fn host<B>(request: &Request<B>) -> Option<&str> {
    let mut values = request.headers().get_all(header::HOST).iter();
    // In a target that is a whole URL the host counts, and not the header (RFC 9112 section 3.2.2); nobody honest sends two.
    let target = request.uri().authority().map(axum::http::uri::Authority::as_str);
    match (values.next(), values.next(), target) {
        (Some(host), None, None) => host.to_str().ok(),
        (Some(host), None, Some(target)) => host.to_str().ok().filter(|host| host.eq_ignore_ascii_case(target)),
        (None, None, target) => target,
        _ => None,
    }
}

/// A header that decides something and is there twice: whoever stands in front may have read the other one.
fn doubled(request: &Request) -> Option<&'static HeaderName> {
    let headers = request.headers();
    if headers.keys_len() == headers.len() {
        return None;
    }
    DECIDING.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some())
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
            DPOP,
            header::CONTENT_TYPE,
            header::ACCEPT,
            name("mcp-session-id"),
            name("mcp-protocol-version"),
            name("mcp-method"),
            name("mcp-name"),
            name("last-event-id"),
            request_id::HEADER,
            request_id::CORRELATION,
        ])
        .expose_headers([
            header::WWW_AUTHENTICATE,
            DPOP_NONCE,
            header::RETRY_AFTER,
            name("mcp-session-id"),
            request_id::HEADER,
        ])
        .max_age(Duration::from_mins(10))
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
