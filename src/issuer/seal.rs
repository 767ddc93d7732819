//! Texts that nobody else can have written: codes, refresh tokens, forms.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    secret::Secret,
    store::{PrivateDir, StoreError},
};

const KEY_FILE: &str = "grant-key";
/// 256 bits, base64url.
const KEY_CHARACTERS: usize = 43;

/// A key that seals texts (HMAC-SHA-256).
pub(super) struct Seal(hmac::Key);

impl Seal {
    /// One that dies with the process.
    pub(super) fn fresh() -> Self {
        Self::with(&Secret::random())
    }

    /// The one of this state directory, made at the first ask.
    pub(super) fn kept(dir: &PrivateDir) -> Result<Self, StoreError> {
        let kept = dir.read(KEY_FILE)?.map(|bytes| Secret::new(String::from_utf8_lossy(&bytes)));
        // A torn one seals nothing: what it sealed is void, and people log in again.
        if let Some(key) = kept.filter(|key| key.expose().len() == KEY_CHARACTERS) {
            return Ok(Self::with(&key));
        }
        let key = Secret::random();
        dir.write(KEY_FILE, key.expose().as_bytes())?;
        Ok(Self::with(&key))
    }

    fn with(key: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes()))
    }

    /// The seal of these parts, base64url.
    pub(super) fn of(&self, parts: &[&str]) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &joined(parts)))
    }

    /// Whether `seal` is the seal of these parts, in a time that tells nothing.
    pub(super) fn is_of(&self, parts: &[&str], seal: &str) -> bool {
        let seal = URL_SAFE_NO_PAD.decode(seal).unwrap_or_default();
        hmac::verify(&self.0, &joined(parts), &seal).is_ok()
    }
}

/// No two lists of parts are the same bytes.
fn joined(parts: &[&str]) -> Vec<u8> {
    parts.iter().flat_map(|part| [&part.len().to_be_bytes()[..], part.as_bytes()].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_of_its_parts_and_its_key_only() {
        let root = tempfile::tempdir().unwrap();
        let dir = PrivateDir::open(&root.path().join("issuer")).unwrap();
        let (seal, other) = (Seal::kept(&dir).unwrap(), Seal::fresh());
        let text = seal.of(&["code", "id"]);
        assert!(seal.is_of(&["code", "id"], &text) && Seal::kept(&dir).unwrap().is_of(&["code", "id"], &text));
        assert!(!other.is_of(&["code", "id"], &text));
        for parts in [&["code", "i", "d"][..], &["codei", "d"], &["codeid"], &["code", "id", ""], &["id", "code"]] {
            assert!(!seal.is_of(parts, &text), "{parts:?}");
        }
        for text in ["", "AAAA", &text[1..], &format!("{text}="), "\u{e9}"] {
            assert!(!seal.is_of(&["code", "id"], text), "{text}");
        }
        dir.write(KEY_FILE, b"torn").unwrap();
        assert!(!Seal::kept(&dir).unwrap().is_of(&["code", "id"], &text));
    }
}
