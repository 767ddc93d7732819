//! `POST /introspect`: RFC 7662, for every client that proves itself.

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{Embedded, RouteError, call::Call, client::Proof, client_auth::Credentials};
use crate::{
    oauth::{
        client_auth::Audience,
        token::{Introspection, token_type},
    },
    telemetry::audit::{Event, record},
};

pub(super) async fn post(State(issuer): State<Arc<Embedded>>, call: Call) -> Result<Json<Introspection>, RouteError> {
    introspect(&issuer, &call).map(Json).map_err(|error| call.refused("introspect", error))
}

fn introspect(issuer: &Embedded, call: &Call) -> Result<Introspection, RouteError> {
    let form = call.form()?;
    let client = issuer.authenticate(&Credentials::read(call, &form)?, call.sender())?;
    if client.proof == Proof::None {
        return Err(RouteError::invalid_client("a public client is told nothing of tokens: anybody can be it"));
    }
    let token = form.get("token").ok_or(RouteError::InvalidRequest("token is missing"))?;
    let token = issuer.read_token(token).filter(|token| !issuer.is_revoked(Some(&token.jti), Some(&token.client_id)));
    record(Event::TokenIntrospected { client: &client.id, active: token.is_some() });
    let Some(token) = token else {
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
        token_type: Some(token_type(token.cnf.is_some()).to_owned()),
        cnf: token.cnf,
    })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use crate::{
        issuer::testing::{Fixture, claims_of},
        jose::SigningKey,
    };

    #[tokio::test]
    async fn a_good_token_is_described_to_every_client() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered("client_secret_basic").await;
        let token = issuer.local_token().await;
        let answer = issuer.with_basic("/introspect", &id, &secret, &[("token", &token)]).await;
        let mut expected = claims_of(&token);
        expected["active"] = json!(true);
        expected["token_type"] = json!("Bearer");
        assert_eq!((answer.status, answer.json), (StatusCode::OK, expected));
    }

    #[tokio::test]
    async fn every_other_token_is_inactive_and_nothing_else() {
        let issuer = Fixture::new();
        let (good, revoked) = (issuer.local_token().await, issuer.local_token().await);
        issuer.local("/revoke", &[("token", &revoked)]).await;
        let forged = SigningKey::generate().sign("at+jwt", &claims_of(&good));
        let (head, _) = good.rsplit_once('.').unwrap();
        let assertion = issuer.assertion(|_| ());
        for bad in [revoked.as_str(), forged.expose(), &format!("{head}.AAAA"), &assertion, "garbage"] {
            let answer = issuer.local("/introspect", &[("token", bad)]).await;
            assert_eq!((answer.status, answer.json), (StatusCode::OK, json!({"active": false})), "{bad}");
        }
        issuer.local("/introspect", &[]).await.is_refused(400, "invalid_request");
        issuer.advance(899);
        assert_eq!(issuer.local("/introspect", &[("token", &good)]).await.json["active"], true);
        issuer.advance(1);
        assert_eq!(issuer.local("/introspect", &[("token", &good)]).await.json, json!({"active": false}));
    }

    #[tokio::test]
    async fn a_token_of_the_same_key_under_another_name_is_inactive() {
        let issuer = Fixture::new();
        let token = issuer.local_token().await;
        let issuer = issuer.restarted_as("http://127.0.0.1:9000");
        assert_eq!(issuer.local("/introspect", &[("token", &token)]).await.json, json!({"active": false}));
    }
}
