//! The tokens that are issued: JWTs of RFC 9068.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Embedded, client::Client, grants::Grant};
use crate::{
    oauth::{Resource, Scopes},
    secret::Secret,
};

/// How long an access token is good. Machines ask again; who speaks for a person may have a refresh token.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_mins(15);

const TYP: &str = "at+jwt";

/// The claims: RFC 9068 section 2.2.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AccessToken {
    pub(super) iss: String,
    /// The person, or the client itself if no person is involved.
    pub(super) sub: String,
    /// One resource, so that no resource can pass the token on to another.
    pub(super) aud: String,
    /// Seconds since the epoch.
    pub(super) exp: u64,
    /// Seconds since the epoch.
    pub(super) iat: u64,
    /// Of a token that speaks for a person it begins with the grant that it came of, and a dot.
    pub(super) jti: String,
    pub(super) client_id: String,
    #[serde(default, skip_serializing_if = "Scopes::is_empty")]
    pub(super) scope: Scopes,
}

impl Embedded {
    /// A new token for the client itself.
    pub(super) fn mint(&self, client: &Client, resource: &Resource, scope: &Scopes) -> Secret {
        self.sign(&client.id, &client.id, Secret::random().expose().to_owned(), resource, scope)
    }

    /// A new token for the person of a grant. It dies with the grant.
    pub(super) fn mint_for(&self, grant: &Grant, scope: &Scopes) -> Secret {
        let token_id = format!("{}.{}", grant.id, Secret::random().expose());
        self.sign(&grant.user, &grant.client_id, token_id, &grant.resource, scope)
    }

    fn sign(&self, subject: &str, client_id: &str, token_id: String, resource: &Resource, scope: &Scopes) -> Secret {
        let now = self.settings.clock.since_epoch();
        let claims = AccessToken {
            iss: self.settings.issuer.to_string(),
            sub: subject.to_owned(),
            aud: resource.to_string(),
            exp: (now + ACCESS_TOKEN_LIFETIME).as_secs(),
            iat: now.as_secs(),
            jti: token_id,
            client_id: client_id.to_owned(),
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
