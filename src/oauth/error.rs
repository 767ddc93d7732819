//! OAuth's error answer: RFC 6749 section 5.2 and the registry that later RFCs extend.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The JSON body of a refused token, registration, revocation or introspection request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorResponse {
    /// The registered code.
    pub error: ErrorCode,
    /// The reason in words, for developers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error_description {
            Some(description) => write!(formatter, "`{}`: {description}", self.error),
            None => write!(formatter, "`{}`", self.error),
        }
    }
}

/// A code from the OAuth extensions error registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A parameter is missing, doubled or malformed.
    InvalidRequest,
    /// The client is unknown or could not prove itself.
    InvalidClient,
    /// The code, refresh token or assertion is not good, or not this client's.
    InvalidGrant,
    /// This client may not use this grant.
    UnauthorizedClient,
    /// No such grant here.
    UnsupportedGrantType,
    /// A scope is unknown, malformed, or more than the client may have.
    InvalidScope,
    /// The `resource` is unknown, or not one the client may use (RFC 8707 section 2).
    InvalidTarget,
    /// A redirect URI is not acceptable (RFC 7591 section 3.2.2).
    InvalidRedirectUri,
    /// A metadata field is not acceptable (RFC 7591 section 3.2.2).
    InvalidClientMetadata,
    /// The bearer token of a protected endpoint is not good (RFC 6750 section 3.1).
    InvalidToken,
    /// The person or the policy said no.
    AccessDenied,
    /// There is no such flow at the authorization endpoint (RFC 6749 section 4.1.2.1).
    UnsupportedResponseType,
    /// The person has not decided yet (RFC 8628 section 3.5).
    AuthorizationPending,
    /// The same, and the device asks too often (RFC 8628 section 3.5).
    SlowDown,
    /// The person did not decide in time (RFC 8628 section 3.5).
    ExpiredToken,
    /// The DPoP proof is not good for the request (RFC 9449 section 5).
    InvalidDpopProof,
    /// It needs the nonce in the answer (RFC 9449 section 8).
    UseDpopNonce,
    /// The server broke.
    ServerError,
    /// The server is busy, or something it needs is away.
    TemporarilyUnavailable,
    /// A code of another RFC or another server.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_registered_words() {
        assert_eq!(ErrorCode::InvalidClientMetadata.to_string(), "invalid_client_metadata");
        assert_eq!(serde_json::from_str::<ErrorCode>("\"invalid_target\"").unwrap(), ErrorCode::InvalidTarget);
    }

    #[test]
    fn unknown_codes_are_kept() {
        let code: ErrorCode = serde_json::from_str("\"duplicated_parameter\"").unwrap();
        assert_eq!(code, ErrorCode::Other("duplicated_parameter".into()));
        assert_eq!(code.to_string(), "duplicated_parameter");
    }
}
