//! What anybody may read: protected resource metadata (RFC 9728), the front page, health.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, Response, StatusCode, header},
};
use serde_json::json;

use super::{App, docs, layers::ResourceIndex, names::Names};
use crate::{
    jose::dpop,
    oauth::{Issuer, Resource, ResourceMetadata, Scopes},
};

/// How many headers an answer has room for without being moved.
const HEADERS: usize = 12;

/// Documents made with the settings, and not for each request: one for each name of the server.
#[derive(Debug)]
pub(super) struct Documents {
    resources: Vec<ResourceDocuments>,
}

#[derive(Debug)]
struct ResourceDocuments {
    metadata: Bytes,
    metadata_url: String,
    front_page: Bytes,
    docs_policy: HeaderValue,
}

impl Documents {
    /// `page_client` is the client as which the page at `/docs` logs in; `needs_proof`, whether only bound tokens are taken.
    pub(super) fn new(
        names: &Names,
        issuer: &Issuer,
        scopes: &Scopes,
        page_client: Option<&str>,
        needs_proof: bool,
    ) -> Self {
        let documents = |resource| ResourceDocuments::new(resource, issuer, scopes, page_client, needs_proof);
        Self { resources: names.resources().map(documents).collect() }
    }

    /// Where the metadata of the addressed resource is, for challenges.
    pub(super) fn metadata_url(&self, resource: usize) -> &str {
        &self.resources[resource].metadata_url
    }

    /// What the page at `/docs` of the addressed resource may do.
    pub(super) fn docs_policy(&self, resource: usize) -> HeaderValue {
        self.resources[resource].docs_policy.clone()
    }
}

impl ResourceDocuments {
    fn new(
        resource: &Resource,
        issuer: &Issuer,
        scopes: &Scopes,
        page_client: Option<&str>,
        needs_proof: bool,
    ) -> Self {
        let metadata = ResourceMetadata {
            resource: resource.clone(),
            authorization_servers: vec![issuer.clone()],
            scopes_supported: scopes.iter().map(str::to_owned).collect(),
            bearer_methods_supported: vec!["header".to_owned()],
            dpop_signing_alg_values_supported: dpop::algorithm_names().map(str::to_owned).collect(),
            dpop_bound_access_tokens_required: needs_proof,
            resource_name: Some("securemcp".to_owned()),
            resource_documentation: None,
        };
        let front_page = json!({
            "service": "securemcp",
            "version": env!("CARGO_PKG_VERSION"),
            "mcp": resource,
            "resource_metadata": resource.metadata_url(),
            "authorization_servers": [issuer],
            "api": "/api/v1/tools",
            "openapi": "/openapi.json",
            "docs": "/docs",
            "docs_client_id": page_client,
            "health": "/health",
        });
        Self {
            metadata: serde_json::to_vec(&metadata).expect("strings only").into(),
            metadata_url: resource.metadata_url().into(),
            front_page: front_page.to_string().into(),
            docs_policy: docs::policy(resource, page_client.map(|_| issuer)),
        }
    }
}

/// `GET /.well-known/oauth-protected-resource` and `.../mcp`: the same bytes.
pub(super) async fn resource_metadata(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let document = app.documents.resources[ResourceIndex::of(&parts)].metadata.clone();
    let mut response = json_response(StatusCode::OK, document);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// `GET /`: what this is.
pub(super) async fn front_page(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    json_response(StatusCode::OK, app.documents.resources[ResourceIndex::of(&parts)].front_page.clone())
}

/// `GET /health` and `/health/live`: the process answers.
pub(super) async fn live() -> Response<Body> {
    json_response(StatusCode::OK, Bytes::from_static(br#"{"status":"healthy"}"#))
}

/// `GET /health/ready`: whether it makes sense to send work here. Names the part that is not ready, never a URL.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response<Body> {
    let failing: Vec<&str> = [
        app.draining.load(Ordering::Relaxed).then_some("draining"),
        app.authenticator.missing(),
        app.upstream.as_ref().is_some_and(|upstream| !upstream.is_ready()).then_some("upstream"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let (code, mut body) = if failing.is_empty() {
        (StatusCode::OK, json!({"status": "ready"}))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "unready", "failing": failing}))
    };
    if let Some(upstream) = &app.upstream {
        body["upstream"] = if upstream.is_ready() { "ready" } else { "failing" }.into();
    }
    // Calls that need no session go on without it, so it takes no replica out of the load.
    if let Some(redis) = &app.redis {
        body["redis"] = if redis.is_up() { "ready" } else { "failing" }.into();
    }
    json_response(code, body.to_string().into())
}

pub(super) fn json_response(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    // With room for those that every answer has: each time that there is none all of them move.
    response.headers_mut().reserve(HEADERS);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
