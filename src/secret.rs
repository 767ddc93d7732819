//! Values that must never be seen: tokens, client secrets, codes.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest, rand::fill};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

/// A string that prints as `[redacted]` and is wiped from memory when it is dropped. Reading it takes a visible
/// [`expose`](Self::expose).
///
/// Serialisation writes the value: it is how a token reaches a 0600 file or a token response. Do not serialise one for a
/// log.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// A fresh random value of 256 bits, base64url.
    pub fn random() -> Self {
        let mut bytes = [0_u8; 32];
        fill(&mut bytes).expect("the operating system's random source works");
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// A fresh random value that a person can type: `length` of these characters, in groups of four. The alphabet's
    /// length divides 256, so that every character is as likely.
    pub fn typable<const N: usize>(alphabet: &[u8; N], length: usize) -> Self {
        const { assert!(256 % N == 0) };
        let mut bytes = vec![0_u8; length];
        fill(&mut bytes).expect("the operating system's random source works");
        let characters: Vec<_> = bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % N])).collect();
        let groups: Vec<String> = characters.chunks(4).map(|group| group.iter().collect()).collect();
        Self(groups.join("-"))
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the value, base64url: what is kept of a secret that only has to be recognised.
    pub fn sha256(&self) -> String {
        sha256_base64url(self.0.as_bytes())
    }

    /// Whether `hash` is the [`sha256`](Self::sha256) of this value, in a time that tells nothing.
    pub fn matches_sha256(&self, hash: &str) -> bool {
        constant_time_eq(self.sha256().as_bytes(), hash.as_bytes())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// Compares without telling by its time where the difference is. Lengths are not hidden.
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    verify_slices_are_equal(left, right).is_ok()
}

/// SHA-256, base64url without padding.
pub fn sha256_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, bytes))
}

/// Whether a text can be one: 32 bytes have 43 characters.
pub fn is_sha256_base64url(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }

    #[test]
    fn random_secrets_differ_and_have_256_bits() {
        let (one, two) = (Secret::random(), Secret::random());
        assert_ne!(one.expose(), two.expose());
        assert_eq!(one.expose().len(), 43);
    }

    #[test]
    fn hash_recognises_only_its_own_secret() {
        let secret = Secret::new("correct");
        assert!(secret.matches_sha256(&secret.sha256()));
        assert!(!Secret::new("incorrect").matches_sha256(&secret.sha256()));
    }
}
