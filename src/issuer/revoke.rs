//! `POST /revoke`: RFC 7009.

use std::sync::Arc;

use axum::extract::State;

use super::{Embedded, RouteError, call::Call, client_auth::Credentials};
use crate::telemetry::audit::{Event, record};

pub(super) async fn post(State(issuer): State<Arc<Embedded>>, call: Call) -> Result<(), RouteError> {
    revoke(&issuer, &call).await.map_err(|error| call.refused("revoke", error))
}

/// A token that is unknown, expired or another client's is no error (RFC 7009 section 2.2), and nothing happens to it.
async fn revoke(issuer: &Arc<Embedded>, call: &Call) -> Result<(), RouteError> {
    let form = call.form()?;
    let client = issuer.authenticate(&Credentials::read(call, &form)?)?;
    let token = form.get("token").ok_or(RouteError::InvalidRequest("token is missing"))?;
    let Some(token) = issuer.read_token(token).filter(|token| token.client_id == client.client_id) else {
        return Ok(());
    };
    let now = issuer.settings.clock.since_epoch().as_secs();
    let token_id = token.jti.clone();
    issuer.on_disk(move |issuer| issuer.revoked.add(&token.jti, token.exp, now)).await?;
    record(Event::TokenRevoked { client: &client.client_id, token_id: &token_id });
    Ok(())
}
