//! Reading a body that is JSON.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
};

use super::error::{INVALID_REQUEST, PARSE_ERROR, REFUSED, Refusal};
use crate::net::{BodyError, read_body};

/// Reads a body that says it is JSON, up to `max_bytes`.
///
/// # Errors
/// 415 for another type or a compressed body, 413 for a body that is too large (by its declared length before it is read), 408 for one that does
/// not come, 400 for one that breaks off.
pub(super) async fn read_json(headers: &HeaderMap, body: Body, max_bytes: usize) -> Result<Bytes, Refusal> {
    if !is_json(headers) {
        let message = "Content-Type must be application/json";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, message));
    }
    if !is_plain(headers) {
        let message = "the body is not decompressed here; send it without Content-Encoding";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, message));
    }
    read_body(headers, body, max_bytes).await.map_err(|error| match error {
        BodyError::TooLarge => {
            let message = format!(
                "the body is larger than {max_bytes} bytes: send less at once, or have `server.max_body_bytes` raised"
            );
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, REFUSED, message)
        }
        BodyError::TooSlow => Refusal::new(StatusCode::REQUEST_TIMEOUT, REFUSED, error.to_string()),
        BodyError::BrokenOff => Refusal::new(StatusCode::BAD_REQUEST, PARSE_ERROR, error.to_string()),
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// Whether no coding was applied, or none that says so: `identity` is the word for it (RFC 9110 section 12.5.3).
fn is_plain(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}
