//! Every path of the server.

use std::{future::ready, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Method, Response, StatusCode},
    middleware::map_request,
    response::IntoResponse as _,
    routing::{any, get, post},
};

use super::{
    App,
    address::Address,
    docs, documents,
    error::problem,
    layers::{self, Layered},
    mcp,
    names::MCP_PATH,
    openapi, rest,
};
use crate::issuer::{MaxBodyBytes, Sender};

/// All routes behind all layers. `issuer` is the embedded issuer's own router, if it is on.
pub(super) fn build(app: &Arc<App>, issuer: Option<Router>) -> Layered {
    let routes = Router::new()
        .route(MCP_PATH, any(mcp::endpoint))
        .route("/.well-known/oauth-protected-resource", get(documents::resource_metadata))
        .route("/.well-known/oauth-protected-resource/mcp", get(documents::resource_metadata))
        .route("/", get(documents::front_page))
        .route("/health", get(documents::live))
        .route("/health/live", get(documents::live))
        .route("/health/ready", get(documents::ready))
        .route("/api/v1/me", get(rest::me))
        .route("/api/v1/user", get(rest::me))
        .route("/api/v1/tools", get(rest::tools))
        .route("/api/v1/tools/{name}", post(rest::call))
        .route("/openapi.json", get(openapi::get))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .with_state(Arc::clone(app));
    let routes = match issuer {
        Some(issuer) => {
            let max_body_bytes = MaxBodyBytes(app.max_body_bytes);
            routes.merge(issuer.layer(map_request(move |request| ready(with_what_it_needs(request, max_body_bytes)))))
        }
        None => routes,
    };
    layers::around(routes.fallback(not_found).method_not_allowed_fallback(wrong_method), app)
}

/// The issuer counts by the sender, and does not know how it is found; and it has no settings of HTTP.
fn with_what_it_needs(request: Request, max_body_bytes: MaxBodyBytes) -> Request {
    let (mut parts, body) = request.into_parts();
    let sender = Sender(Address::of_request(&parts).network());
    parts.extensions.insert(sender);
    parts.extensions.insert(max_body_bytes);
    Request::from_parts(parts, body)
}

async fn not_found() -> Response<Body> {
    problem(StatusCode::NOT_FOUND, "there is nothing at this path")
}

/// axum adds `Allow`.
async fn wrong_method(method: Method) -> Response<Body> {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path does not answer to that method; `Allow` names those that it does",
    )
}
