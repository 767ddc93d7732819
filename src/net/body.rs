//! Reading the body of a request: its size, and how long it may take.

use std::{error::Error, pin::pin, task::Poll, time::Duration};

use bytes::Bytes;
use futures_util::poll;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

/// How long a client may take to send its body.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a body is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BodyError {
    /// It is larger than what is taken, or says that it will be.
    #[error("the body is too large")]
    TooLarge,
    /// It did not come in time.
    #[error("the body took longer than {} s", TIMEOUT.as_secs())]
    TooSlow,
    /// It ended before its end.
    #[error("the body broke off")]
    BrokenOff,
}

/// Reads a body of up to `max_bytes`: the one way to read what strangers send, so that nobody holds a connection for longer
/// than this takes.
///
/// # Errors
/// It is too large (by its declared length before it is read), too slow, or breaks off.
pub async fn read_body<B>(headers: &HeaderMap, body: B, max_bytes: usize) -> Result<Bytes, BodyError>
where
    B: hyper::body::Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > max_bytes) {
        return Err(BodyError::TooLarge);
    }
    let mut reading = pin!(Limited::new(body, max_bytes).collect());
    // As a rule it is there, and nobody has to watch the clock.
    let read = match poll!(&mut reading) {
        Poll::Ready(read) => Ok(read),
        Poll::Pending => tokio::time::timeout(TIMEOUT, reading).await,
    };
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::BrokenOff),
        Err(_) => Err(BodyError::TooSlow),
    }
}
