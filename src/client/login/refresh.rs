//! A next token without the person: RFC 6749 section 6.

use crate::{
    client::{Client, ClientError, identity::Identity},
    oauth::{ErrorCode, Resource, ServerMetadata, TokenResponse},
    secret::Secret,
};

impl Client {
    /// Changes a refresh token for a new token. It goes to the token endpoint of the issuer that it came from only: the
    /// caller has both from one place.
    ///
    /// No scope is named: the new token has those of the old one, and an issuer that granted less than was asked for
    /// refuses the rest.
    pub(super) async fn refresh(
        &self,
        issuer: &ServerMetadata,
        identity: &Identity,
        resource: &Resource,
        token: &Secret,
    ) -> Result<TokenResponse, ClientError> {
        let form = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", token.expose().to_owned()),
            ("resource", resource.to_string()),
        ];
        self.request_token(issuer, identity, form).await
    }
}

/// Whether the issuer will never take this refresh token again: it was used, revoked, or is too old.
pub(super) fn is_spent(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Refused {
            code: ErrorCode::InvalidGrant
                | ErrorCode::InvalidTarget
                | ErrorCode::InvalidScope
                | ErrorCode::UnsupportedGrantType,
            ..
        }
    )
}

/// Whether the issuer does not know the client (any more).
pub(super) fn is_unknown_client(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { code: ErrorCode::InvalidClient | ErrorCode::UnauthorizedClient, .. })
}
