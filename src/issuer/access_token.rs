//! The tokens that are issued: JWTs of RFC 9068.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Embedded, client::Client, grants::Grant};
use crate::{
    oauth::{Resource, Scopes, token::Confirmation},
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
    /// The key that it works with (RFC 9449 section 6.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cnf: Option<Confirmation>,
}

/// Whom a token speaks for, and its own name.
struct Who<'a> {
    subject: &'a str,
    client_id: &'a str,
    token_id: String,
}

impl Embedded {
    /// A new token for the client itself, bound to the key of this thumbprint.
    pub(super) fn mint(&self, client: &Client, resource: &Resource, scope: &Scopes, key: Option<String>) -> Secret {
        let who = Who { subject: &client.id, client_id: &client.id, token_id: Secret::random().expose().to_owned() };
        self.sign(who, resource, scope, key)
    }

    /// A new token for the person of a grant. It dies with the grant.
    pub(super) fn mint_for(&self, grant: &Grant, scope: &Scopes, key: Option<String>) -> Secret {
        let token_id = format!("{}.{}", grant.id, Secret::random().expose());
        let who = Who { subject: &grant.user, client_id: &grant.client_id, token_id };
        self.sign(who, &grant.resource, scope, key)
    }

    fn sign(&self, who: Who<'_>, resource: &Resource, scope: &Scopes, key: Option<String>) -> Secret {
        let now = self.settings.clock.since_epoch();
        let claims = AccessToken {
            iss: self.settings.issuer.to_string(),
            sub: who.subject.to_owned(),
            aud: resource.to_string(),
            exp: (now + ACCESS_TOKEN_LIFETIME).as_secs(),
            iat: now.as_secs(),
            jti: who.token_id,
            client_id: who.client_id.to_owned(),
            scope: scope.clone(),
            cnf: key.map(|jkt| Confirmation { jkt }),
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
