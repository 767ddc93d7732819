//! Every path of the server.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{Response, StatusCode},
    routing::{any, get},
};

use super::{
    App, documents,
    error::problem,
    layers::{self, Layered},
    mcp,
    names::MCP_PATH,
};

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
        .with_state(Arc::clone(app));
    let routes = match issuer {
        Some(issuer) => routes.merge(issuer),
        None => routes,
    };
    layers::around(routes.fallback(not_found), app)
}

async fn not_found() -> Response<Body> {
    problem(StatusCode::NOT_FOUND, "there is nothing at this path")
}
