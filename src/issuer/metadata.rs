//! What anybody may read: `GET /.well-known/oauth-authorization-server` (RFC 8414) and `GET /jwks`.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use http::{HeaderName, header};
use url::Url;

use super::{Embedded, Settings, token::CLIENT_CREDENTIALS};
use crate::{
    jose::{ALGORITHMS, algorithm_name},
    oauth::{AuthMethod, Issuer, ServerMetadata},
};

/// Pages of any origin may read these documents; there is nothing in them that is not public.
const PUBLIC: [(HeaderName, &str); 2] =
    [(header::CACHE_CONTROL, "public, max-age=300"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];

pub(super) async fn get(State(issuer): State<Arc<Embedded>>) -> impl IntoResponse {
    (PUBLIC, Json(describe(&issuer.settings)))
}

pub(super) async fn get_keys(State(issuer): State<Arc<Embedded>>) -> impl IntoResponse {
    (PUBLIC, [(header::CONTENT_TYPE, "application/json")], issuer.key_set())
}

/// Where an endpoint is, as clients call it.
pub(super) fn endpoint(issuer: &Issuer, path: &str) -> Url {
    issuer.url().join(path).expect("an absolute path joins to every http URL")
}

/// Says what the other files do, and nothing else: a test uses all of it.
fn describe(settings: &Settings) -> ServerMetadata {
    let at = |path| Some(endpoint(&settings.issuer, path));
    let methods = vec![AuthMethod::PrivateKeyJwt, AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost];
    let algorithms: Vec<_> = ALGORITHMS.into_iter().map(|algorithm| algorithm_name(algorithm).to_owned()).collect();
    ServerMetadata {
        issuer: settings.issuer.clone(),
        authorization_endpoint: None,
        token_endpoint: at("/token"),
        jwks_uri: at("/jwks"),
        registration_endpoint: at("/register"),
        revocation_endpoint: at("/revoke"),
        introspection_endpoint: at("/introspect"),
        scopes_supported: settings.scopes.iter().map(str::to_owned).collect(),
        response_types_supported: Vec::new(),
        grant_types_supported: vec![CLIENT_CREDENTIALS.to_owned()],
        token_endpoint_auth_methods_supported: methods.clone(),
        token_endpoint_auth_signing_alg_values_supported: algorithms.clone(),
        revocation_endpoint_auth_methods_supported: methods.clone(),
        revocation_endpoint_auth_signing_alg_values_supported: algorithms.clone(),
        introspection_endpoint_auth_methods_supported: methods,
        introspection_endpoint_auth_signing_alg_values_supported: algorithms,
        code_challenge_methods_supported: Vec::new(),
    }
}
