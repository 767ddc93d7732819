//! `POST /introspect`: RFC 7662, for every client that proves itself.

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{Embedded, RouteError, call::Call, client_auth::Credentials};
use crate::oauth::{client_auth::Audience, token::Introspection};

pub(super) async fn post(State(issuer): State<Arc<Embedded>>, call: Call) -> Result<Json<Introspection>, RouteError> {
    introspect(&issuer, &call).map(Json).map_err(|error| call.refused("introspect", error))
}

fn introspect(issuer: &Embedded, call: &Call) -> Result<Introspection, RouteError> {
    let form = call.form()?;
    issuer.authenticate(&Credentials::read(call, &form)?)?;
    let token = form.get("token").ok_or(RouteError::InvalidRequest("token is missing"))?;
    let Some(token) = issuer.read_token(token).filter(|token| !issuer.is_revoked(&token.jti)) else {
        return Ok(Introspection::default());
    };
    Ok(Introspection {
        active: true,
        scope: Some(token.scope),
        client_id: Some(token.client_id),
        sub: Some(token.sub),
        aud: Some(Audience::One(token.aud)),
        iss: Some(token.iss),
        exp: Some(token.exp),
        iat: Some(token.iat),
        jti: Some(token.jti),
        token_type: Some("Bearer".to_owned()),
    })
}
