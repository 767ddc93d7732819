//! Every way in which an endpoint says no: RFC 6749 section 5.2, RFC 7591 section 3.2.2, RFC 6750 section 3.

use std::{borrow::Cow, error::Error, iter::successors, time::Duration};

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};

use crate::{
    net::BodyError,
    oauth::{Challenge, ErrorCode, ErrorResponse},
    store::StoreError,
};

/// Longest `error_description`, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 400;

/// A refusal. The words go to the caller: they say what was wrong and what to do, and never quote a credential.
#[derive(Debug, thiserror::Error)]
pub(super) enum RouteError {
    /// A parameter is missing, doubled or malformed.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The body is too large, too slow, or broke off.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The caller did not prove to be the client it names.
    #[error("{reason}")]
    InvalidClient {
        /// The words.
        reason: Cow<'static, str>,
        /// Whether it tried by the `Authorization` header: then the answer must challenge it (RFC 6749 section 5.2).
        by_header: bool,
    },
    /// A code or refresh token that is not good, or not this client's.
    #[error("{0}")]
    InvalidGrant(&'static str),
    /// The proof of possession is not good for this request.
    #[error("{0}")]
    InvalidDpopProof(Cow<'static, str>),
    /// It needs the nonce in the answer's header.
    #[error("put the nonce of the DPoP-Nonce header into the DPoP proof, and ask again")]
    UseDpopNonce,
    /// The client may not use this grant.
    #[error("{0}")]
    UnauthorizedClient(&'static str),
    /// No such grant here.
    #[error("{0}")]
    UnsupportedGrantType(&'static str),
    /// More scope than the client is registered for, or no scope at all.
    #[error("{0}")]
    InvalidScope(String),
    /// A resource that no token is issued for (RFC 8707 section 2).
    #[error("{0}")]
    InvalidTarget(String),
    /// A redirect URI that is not acceptable (RFC 7591 section 3.2.2).
    #[error("{0}")]
    InvalidRedirectUri(String),
    /// A registration that is not acceptable.
    #[error("{0}")]
    InvalidClientMetadata(Cow<'static, str>),
    /// What a device hears until a person has decided (RFC 8628 section 3.5).
    #[error("{words}")]
    Device {
        /// `authorization_pending`, `slow_down`, `access_denied` or `expired_token`.
        code: ErrorCode,
        /// The words.
        words: &'static str,
    },
    /// The bearer token of the registration endpoint is absent or wrong.
    #[error("{0}")]
    InvalidToken(&'static str),
    /// Too many attempts within a minute.
    #[error("too many {what}; wait for the time in Retry-After")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// A bounded table is full.
    #[error("{0}")]
    Full(&'static str),
    /// The issuer itself failed. The cause goes to the log only.
    #[error("the server could not complete the request; its log says why")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

impl RouteError {
    /// A refused client that sent its credentials in the form.
    pub(super) fn invalid_client(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidClient { reason: reason.into(), by_header: false }
    }

    /// What the refusal is called on the wire.
    pub(super) fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidRequest(_) | Self::Body(_) => ErrorCode::InvalidRequest,
            Self::InvalidClient { .. } => ErrorCode::InvalidClient,
            Self::InvalidGrant(_) => ErrorCode::InvalidGrant,
            Self::InvalidDpopProof(_) => ErrorCode::InvalidDpopProof,
            Self::UseDpopNonce => ErrorCode::UseDpopNonce,
            Self::UnauthorizedClient(_) => ErrorCode::UnauthorizedClient,
            Self::UnsupportedGrantType(_) => ErrorCode::UnsupportedGrantType,
            Self::InvalidScope(_) => ErrorCode::InvalidScope,
            Self::InvalidTarget(_) => ErrorCode::InvalidTarget,
            Self::InvalidRedirectUri(_) => ErrorCode::InvalidRedirectUri,
            Self::Device { code, .. } => code.clone(),
            Self::InvalidClientMetadata(_) => ErrorCode::InvalidClientMetadata,
            Self::InvalidToken(_) => ErrorCode::InvalidToken,
            Self::TooMany { .. } | Self::Full(_) => ErrorCode::TemporarilyUnavailable,
            Self::Broken(_) => ErrorCode::ServerError,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::InvalidClient { .. } | Self::InvalidToken(_) => StatusCode::UNAUTHORIZED,
            Self::Body(BodyError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<StoreError> for RouteError {
    fn from(error: StoreError) -> Self {
        Self::Broken(Box::new(error))
    }
}

impl IntoResponse for RouteError {
    fn into_response(self) -> Response {
        if let Self::Broken(cause) = &self {
            let causes = successors(Some(&**cause as &dyn Error), |&cause| cause.source());
            let error = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
            tracing::error!(error, "the embedded issuer could not complete a request");
        }
        let body = ErrorResponse { error: self.code(), error_description: Some(printable(&self.to_string())) };
        let mut response = (self.status(), Json(body)).into_response();
        let extra = match &self {
            Self::InvalidClient { by_header: true, .. } => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"securemcp\"")))
            }
            Self::InvalidToken(_) => {
                let challenge = Challenge { error: Some("invalid_token".to_owned()), ..Challenge::default() };
                let value = HeaderValue::try_from(challenge.to_string()).expect("a literal in ASCII");
                Some((header::WWW_AUTHENTICATE, value))
            }
            Self::TooMany { retry_after, .. } => {
                Some((header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs() + 1)))
            }
            _ => None,
        };
        response.headers_mut().extend(extra);
        response
    }
}

/// RFC 6749 section 5.2 allows printable ASCII without quotes and backslashes.
fn printable(text: &str) -> String {
    let characters = text.chars().map(|character| match character {
        '"' => '\'',
        ' '..='[' | ']'..='~' => character,
        _ => '?',
    });
    characters.take(MAX_DESCRIPTION_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_keep_to_the_grammar() {
        assert_eq!(printable("a \"b\" \\ \u{1b}[31m\u{e9}\n`c`"), "a 'b' ? ?[31m??`c`");
        assert_eq!(printable(&"x".repeat(5000)).len(), MAX_DESCRIPTION_BYTES);
    }

    #[test]
    fn an_inner_failure_shows_nothing_of_itself() {
        let cause = std::io::Error::other("secret path");
        let error = RouteError::Broken(Box::new(cause));
        assert!(!error.to_string().contains("secret"));
        assert_eq!(error.into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
