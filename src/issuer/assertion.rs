//! Client assertions: RFC 7523 section 3, with the audience rule of its revision (draft-ietf-oauth-rfc7523bis).

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{Embedded, RouteError, clients::Client};
use crate::{
    jose::{ALGORITHMS, Jws},
    oauth::{Issuer, client_auth::AssertionClaims},
    secret::{Secret, sha256_base64url},
};

/// How far ahead `exp` may be, and so how long a used assertion is remembered.
const MAX_LIFETIME: Duration = Duration::from_secs(300);
/// How far ahead a client's clock may be.
const LEEWAY: Duration = Duration::from_secs(30);
/// How many used assertions are remembered. When there are as many, new ones are refused rather than old ones forgotten.
const MAX_REMEMBERED: usize = 100_000;

/// The client that an assertion speaks for, if it and the form agree. Nothing of it is verified yet.
pub(super) fn claimed_client(jwt: &str, form_client_id: Option<&str>) -> Result<String, RouteError> {
    let claims = parse(jwt)?.1;
    if claims.iss != claims.sub || form_client_id.is_some_and(|client_id| client_id != claims.iss) {
        return Err(RouteError::invalid_client("iss and sub of the assertion must both be the client_id"));
    }
    Ok(claims.iss)
}

fn parse(jwt: &str) -> Result<(Jws<'_>, AssertionClaims), RouteError> {
    let jws = Jws::parse(jwt);
    let parsed = jws.and_then(|jws| jws.claims().map(|claims| (jws, claims)));
    parsed.map_err(|_| {
        RouteError::invalid_client(
            "client_assertion is not a signed JWT with the claims iss, sub, aud, exp, iat (whole seconds) and jti",
        )
    })
}

impl Embedded {
    /// The client, if the assertion is signed with its key, meant for this issuer, fresh, and not used before.
    pub(super) fn check_assertion(&self, client_id: &str, assertion: &Secret) -> Result<Arc<Client>, RouteError> {
        let (jws, claims) = parse(assertion.expose())?;
        let client = self.clients.get(client_id);
        let keys = client.as_ref().map(|client| client.proof.keys()).unwrap_or_default();
        let signed = jws.check_signature(&keys, &ALGORITHMS).is_ok();
        let client = client.filter(|_| signed).ok_or_else(|| {
            RouteError::invalid_client("unknown client, or the assertion is not signed with a key that it registered")
        })?;
        let now = self.settings.clock.since_epoch();
        check_claims(&claims, &self.settings.issuer, self.started, now).map_err(RouteError::invalid_client)?;
        self.use_up(&claims, now)?;
        Ok(client)
    }

    /// Each assertion is good once.
    fn use_up(&self, claims: &AssertionClaims, now: Duration) -> Result<(), RouteError> {
        let name = sha256_base64url(format!("{}\n{}", claims.iss, claims.jti).as_bytes());
        let mut used = self.used_assertions.lock().unwrap_or_else(PoisonError::into_inner);
        used.prune(now.as_secs());
        if used.contains(&name) {
            return Err(RouteError::invalid_client("the assertion was used before; make a new one with a new jti"));
        }
        if used.len() >= MAX_REMEMBERED {
            return Err(RouteError::Full("too many assertions are in use; try again in some minutes"));
        }
        used.insert(&name, claims.exp);
        Ok(())
    }
}

/// The rules for what a verified assertion says; the error is what it breaks.
///
/// `iat` may not be before `started`: what an earlier process of this server accepted is refused by this one, so used
/// assertions need not be kept on the disk. JWT times have whole seconds, so `started` does too: an assertion of the very
/// second of the start is good.
fn check_claims(claims: &AssertionClaims, issuer: &Issuer, started: Duration, now: Duration) -> Result<(), String> {
    // The token endpoint's URL is refused: with it, another server that names this endpoint as its own could pass an
    // assertion on (audience injection).
    if !claims.aud.iter().eq([issuer.as_str()]) {
        return Err(format!("aud of the assertion must be exactly the issuer, {issuer}, and nothing else"));
    }
    let (exp, now_seconds) = (claims.exp, now.as_secs());
    if exp <= now_seconds {
        return Err("the assertion has expired; make a new one, and check the clock if it is new".to_owned());
    }
    if exp > (now + MAX_LIFETIME).as_secs() {
        return Err(format!("exp of the assertion is more than {} s ahead; make it 60 s", MAX_LIFETIME.as_secs()));
    }
    let Some(iat) = claims.iat else {
        return Err("the assertion has no iat; say when it was made".to_owned());
    };
    if iat > (now + LEEWAY).as_secs() {
        return Err("iat of the assertion is in the future; check the clock".to_owned());
    }
    if iat < started.as_secs() {
        return Err("the assertion was made before this server started; make a new one".to_owned());
    }
    if claims.jti.is_empty() {
        return Err("jti of the assertion is empty; make it random".to_owned());
    }
    Ok(())
}
