//! The id by which a request is found again in logs and answers.

use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::secret::Secret;

/// On every response; kept from the request if it is sane.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// On the response if it is on the request and sane.
pub(super) const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");
const MAX_BYTES: usize = 64;

/// Distinguishes processes; a counter distinguishes requests.
static PREFIX: LazyLock<String> = LazyLock::new(|| Secret::random().expose().replace('_', "0")[..12].to_owned());
static COUNTER: AtomicU64 = AtomicU64::new(1);

/// The request's own id, else its correlation id, else a new one.
pub(super) fn of(headers: &HeaderMap, correlation: Option<&HeaderValue>) -> HeaderValue {
    valid(headers.get(&HEADER)).or(correlation).cloned().unwrap_or_else(|| {
        let id = new(COUNTER.fetch_add(1, Ordering::Relaxed));
        HeaderValue::try_from(id).expect("base64url and hexadecimal digits")
    })
}

/// `PREFIX-NUMBER`, as `format!` would write it in three times as many steps.
fn new(number: u64) -> String {
    let mut id = String::with_capacity(PREFIX.len() + 1 + 16);
    id.push_str(&PREFIX);
    id.push('-');
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    let digit = |place| u32::try_from(number >> (4 * place) & 0xf).ok().and_then(|digit| char::from_digit(digit, 16));
    id.extend((0..digits).rev().filter_map(digit));
    id
}

/// What the request says that it belongs to.
pub(super) fn correlation(headers: &HeaderMap) -> Option<&HeaderValue> {
    valid(headers.get(&CORRELATION))
}

/// The value if it may stand in a log and a header as it is: `[A-Za-z0-9._-]{1,64}`.
fn valid(value: Option<&HeaderValue>) -> Option<&HeaderValue> {
    let is_sane = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    value.filter(|value| (1..=MAX_BYTES).contains(&value.len()) && value.as_bytes().iter().all(is_sane))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_header(name: &'static str, value: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        of(&headers, correlation(&headers)).to_str().unwrap().to_owned()
    }

    #[test]
    fn sane_ids_are_kept_and_odd_ones_replaced() {
        assert_eq!(of_header("x-request-id", "Run_7.a-b"), "Run_7.a-b");
        assert_eq!(of_header("x-correlation-id", "abc"), "abc");
        let long = "x".repeat(65);
        for odd in ["", "a b", "a%0d%0ab", "a\tb", "<script>", long.as_str()] {
            assert_ne!(of_header("x-request-id", odd), odd);
        }
    }

    #[test]
    fn a_new_id_is_a_prefix_and_a_number() {
        for number in [0, 1, 0xf, 0x10, 0xa_bcde, u64::MAX] {
            assert_eq!(new(number), format!("{}-{number:x}", *PREFIX));
        }
    }

    #[test]
    fn new_ids_differ() {
        let headers = HeaderMap::new();
        assert_ne!(of(&headers, None), of(&headers, None));
    }
}
