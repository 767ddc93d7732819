//! Tokens on the word of somebody else: the JWT bearer grant (RFC 7523 section 2.1), and the exchange that leads to it in an
//! enterprise (RFC 8693 section 2; SEP-990, identity assertion JWT authorization grant).

use serde::Deserialize;

use super::client_auth::Audience;
use crate::secret::Secret;

/// The grant's name at the token endpoint.
pub const JWT_BEARER_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The grant that changes one token for another.
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What an identity provider gave when a person logged in.
pub const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// An identity provider's word to one authorization server about one person and one client.
pub const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// The `typ` of such a word.
pub const ID_JAG_TYP: &str = "oauth-id-jag+jwt";

/// The answer to an exchange: RFC 8693 section 2.2.1.
#[derive(Debug, Deserialize)]
pub struct Exchanged {
    /// The new token, whatever kind it is.
    pub access_token: Secret,
    /// Its kind.
    pub issued_token_type: String,
}

/// What an assertion says of whom it is by and for; nobody has checked its signature.
#[derive(Debug, Deserialize)]
pub struct AssertionSays {
    /// Who vouches.
    pub iss: String,
    /// To whom. RFC 7523 section 3 wants it to name the authorization server.
    pub aud: Audience,
    /// Seconds since the epoch.
    pub exp: f64,
}
