//! How a client proves itself at the token endpoint: RFC 6749 section 2.3, RFC 7523 section 2.2.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The `client_assertion_type` of a signed assertion (RFC 7523 section 2.2).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A value of the token endpoint authentication methods registry (RFC 7591 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A public client: it proves nothing.
    None,
    /// The secret in an `Authorization: Basic` header.
    ClientSecretBasic,
    /// The secret in the form.
    ClientSecretPost,
    /// An assertion signed with the client's own key; nothing reusable crosses the wire.
    PrivateKeyJwt,
    /// A method that securemcp does not speak.
    #[serde(other)]
    Unsupported,
}

impl AuthMethod {
    /// The registered word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The claims of a client assertion (RFC 7523 section 3).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AssertionClaims {
    /// The client.
    pub iss: String,
    /// The client again.
    pub sub: String,
    /// The issuer (or, of older clients, its token endpoint) that the assertion is meant for.
    pub aud: Audience,
    /// Seconds since the epoch.
    pub exp: u64,
    /// Seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// Makes the assertion single use.
    pub jti: String,
}

/// `aud`: one string, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// A string.
    One(String),
    /// An array of strings.
    Many(Vec<String>),
}

impl Audience {
    /// The audiences, one or many.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }
}
