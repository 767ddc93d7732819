//! The tokens that are issued: JWTs of RFC 9068.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Embedded, clients::Client};
use crate::{
    oauth::{Resource, Scopes},
    secret::Secret,
};

/// How long an access token is good. There are no refresh tokens for machines: they ask again.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_mins(15);

const TYP: &str = "at+jwt";

/// The claims: RFC 9068 section 2.2.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AccessToken {
    pub(super) iss: String,
    /// The client itself: no person is involved.
    pub(super) sub: String,
    /// One resource, so that no resource can pass the token on to another.
    pub(super) aud: String,
    /// Seconds since the epoch.
    pub(super) exp: u64,
    /// Seconds since the epoch.
    pub(super) iat: u64,
    pub(super) jti: String,
    pub(super) client_id: String,
    #[serde(default, skip_serializing_if = "Scopes::is_empty")]
    pub(super) scope: Scopes,
}

impl Embedded {
    /// A new token for the client itself.
    pub(super) fn mint(&self, client: &Client, resource: &Resource, scope: &Scopes) -> Secret {
        let now = self.settings.clock.since_epoch();
        let claims = AccessToken {
            iss: self.settings.issuer.to_string(),
            sub: client.id.clone(),
            aud: resource.to_string(),
            exp: (now + ACCESS_TOKEN_LIFETIME).as_secs(),
            iat: now.as_secs(),
            jti: Secret::random().expose().to_owned(),
            client_id: client.id.clone(),
            scope: scope.clone(),
        };
        self.keys.sign(TYP, &claims)
    }

    /// The claims of a token that is ours and good now; revoked ones are good here.
    pub(super) fn read_token(&self, token: &str) -> Option<AccessToken> {
        let claims: AccessToken = self.keys.read(TYP, token)?;
        let is_good =
            claims.iss == self.settings.issuer.as_str() && claims.exp > self.settings.clock.since_epoch().as_secs();
        is_good.then_some(claims)
    }
}
