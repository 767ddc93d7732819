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
    let client = issuer.authenticate(&Credentials::read(call, &form)?, call.sender())?;
    let token = form.get("token").ok_or(RouteError::InvalidRequest("token is missing"))?;
    if let Some((grant, _)) = issuer.grants.of_refresh_token(token).filter(|(grant, _)| grant.client_id == client.id) {
        // Whoever gives a refresh token back wants no part of it to live on (RFC 7009 section 2.1).
        let id = grant.id.clone();
        issuer.on_disk(move |issuer| Ok(issuer.grants.end(&id)?)).await?;
        record(Event::GrantEnded { client: &client.id, user: &grant.user, reason: "revoked" });
        return Ok(());
    }
    let Some(token) = issuer.read_token(token).filter(|token| token.client_id == client.id) else {
        let reason = "the token is unknown, expired or another client's";
        record(Event::IssuerRefused { endpoint: "revoke", client: &client.id, reason });
        return Ok(());
    };
    let now = issuer.settings.clock.since_epoch().as_secs();
    let token_id = token.jti.clone();
    issuer.on_disk(move |issuer| issuer.revoked.add(&token.jti, token.exp, now)).await?;
    record(Event::TokenRevoked { client: &client.id, token_id: &token_id });
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::Value;

    use crate::issuer::testing::{Fixture, claims_of};

    fn id_of(token: &str) -> String {
        claims_of(token)["jti"].as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_revoked_token_is_revoked_at_once_and_after_a_restart() {
        let issuer = Fixture::new();
        let (token, other) = (issuer.local_token().await, issuer.local_token().await);
        assert!(!issuer.is_revoked(&id_of(&token)));
        for _ in 0..2 {
            let answer = issuer.local("/revoke", &[("token", &token), ("token_type_hint", "anything")]).await;
            assert_eq!((answer.status, answer.json), (StatusCode::OK, Value::Null));
            assert!(issuer.is_revoked(&id_of(&token)));
        }
        let issuer = issuer.restarted();
        assert!(issuer.is_revoked(&id_of(&token)));
        assert!(!issuer.is_revoked(&id_of(&other)));
        assert!(!issuer.files("revoked").concat().contains(&token));
    }

    #[tokio::test]
    async fn only_the_tokens_own_client_revokes_it() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered("client_secret_post").await;
        let token = issuer.local_token().await;
        assert_eq!(issuer.with_secret("/revoke", &id, &secret, &[("token", &token)]).await.status, StatusCode::OK);
        assert!(!issuer.is_revoked(&id_of(&token)));
        assert!(issuer.files("revoked").is_empty());
    }

    #[tokio::test]
    async fn unknown_and_expired_tokens_are_no_error_and_nothing_happens() {
        let issuer = Fixture::new();
        let token = issuer.local_token().await;
        issuer.advance(900);
        for unknown in [token.as_str(), "x", "a.b.c", &issuer.assertion(|_| ())] {
            assert_eq!(issuer.local("/revoke", &[("token", unknown)]).await.status, StatusCode::OK, "{unknown}");
        }
        assert!(issuer.files("revoked").is_empty());
        issuer.local("/revoke", &[]).await.is_refused(400, "invalid_request");
    }

    #[tokio::test]
    async fn a_revocation_that_the_disk_does_not_have_is_not_promised() {
        let issuer = Fixture::new();
        let token = issuer.local_token().await;
        std::fs::remove_dir(issuer.state.path().join("issuer/revoked")).unwrap();
        issuer.local("/revoke", &[("token", &token)]).await.is_refused(500, "server_error");
        assert!(!issuer.is_revoked(&id_of(&token)));
    }

    #[tokio::test]
    async fn revocations_are_forgotten_when_their_tokens_have_expired() {
        let issuer = Fixture::new();
        let revoke = async |issuer: &Fixture| {
            let token = issuer.local_token().await;
            assert_eq!(issuer.local("/revoke", &[("token", &token)]).await.status, StatusCode::OK);
            id_of(&token)
        };
        let early = revoke(&issuer).await;
        issuer.advance(899);
        let late = revoke(&issuer).await;
        assert_eq!(issuer.files("revoked").len(), 2);
        issuer.advance(1);
        let last = revoke(&issuer).await;
        assert_eq!(issuer.files("revoked").len(), 2, "while it runs");
        assert!(!issuer.is_revoked(&early) && issuer.is_revoked(&late));
        issuer.advance(899);
        let issuer = issuer.restarted();
        assert_eq!(issuer.files("revoked").len(), 1, "and at start");
        assert!(!issuer.is_revoked(&late) && issuer.is_revoked(&last));
    }
}
