//! Reading the body of a request: its type, its size, and how long it may take.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::error::{INVALID_REQUEST, PARSE_ERROR, REFUSED, Refusal};

/// How long a client may take to send its body.
const TIMEOUT: Duration = Duration::from_secs(30);

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
    let too_large = || {
        let message = format!(
            "the body is larger than {max_bytes} bytes: send less at once, or have `server.max_body_bytes` raised"
        );
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, REFUSED, message)
    };
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > max_bytes) {
        return Err(too_large());
    }
    let reading = Limited::new(body, max_bytes).collect();
    match tokio::time::timeout(TIMEOUT, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, PARSE_ERROR, "the body broke off")),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, REFUSED, "the body took longer than 30 s")),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// Whether no coding was applied, or none that says so: `identity` is the word for it (RFC 9110 section 12.5.3).
fn is_plain(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}
