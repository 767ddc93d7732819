//! Seals what is kept where others can read and write: AES-256-GCM, by a key that is made of a secret (HKDF-SHA-256,
//! RFC 5869).

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, Salt},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::secret::Secret;

/// A key for one purpose.
pub struct Sealer(RandomizedNonceKey);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Sealer")
    }
}

impl Sealer {
    /// The key that this secret makes for this purpose, and for no other.
    ///
    /// The secret must be one that nobody can guess: whoever reads what was sealed can try guesses at leisure.
    pub fn new(secret: &Secret, purpose: &'static str) -> Self {
        let purpose = [purpose.as_bytes()];
        let extracted = Salt::new(HKDF_SHA256, b"securemcp").extract(secret.expose().as_bytes());
        let mut key = [0_u8; 32];
        let expanded = extracted.expand(&purpose, &AES_256_GCM).and_then(|key_material| key_material.fill(&mut key));
        expanded.expect("a key of 256 bits can be made of SHA-256");
        Self(RandomizedNonceKey::new(&AES_256_GCM, &key).expect("256 bits"))
    }

    /// These bytes for nobody else, as text. They open only with the same `place`.
    pub fn seal(&self, place: &str, bytes: &[u8]) -> String {
        let mut sealed = bytes.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(place), &mut sealed).expect("it is short");
        sealed.splice(..0, nonce.as_ref().iter().copied());
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// What was sealed for this place with this key; `None` if it was not, or was changed.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, bytes) = sealed.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        self.0.open_in_place(nonce, Aad::from(place), bytes).ok().map(|opened| opened.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_its_purpose_and_its_place_only() {
        let secret = Secret::new("correct");
        let sealer = Sealer::new(&secret, "a");
        let opaque = sealer.seal("here", b"the secret text");
        assert!(!opaque.contains("the") && sealer.seal("here", b"the secret text") != opaque);
        assert_eq!(Sealer::new(&secret, "a").open("here", opaque.as_bytes()).unwrap(), b"the secret text");
        assert_eq!(Sealer::new(&Secret::new("incorrect"), "a").open("here", opaque.as_bytes()), None);
        assert_eq!(Sealer::new(&secret, "b").open("here", opaque.as_bytes()), None);
        assert_eq!(sealer.open("there", opaque.as_bytes()), None);
    }

    #[test]
    fn what_was_changed_does_not_open() {
        let sealer = Sealer::new(&Secret::new("correct"), "a");
        let opaque = sealer.seal("here", b"text").into_bytes();
        for at in 0..opaque.len() {
            let mut changed = opaque.clone();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(sealer.open("here", &changed), None, "{at}");
            assert_eq!(sealer.open("here", &opaque[..at]), None, "{at}");
        }
        for odd in [&b""[..], b"=", b"\xff\xfe", b"plain text"] {
            assert_eq!(sealer.open("here", odd), None);
        }
    }
}
