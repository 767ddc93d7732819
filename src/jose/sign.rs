//! Our own keys: ES256, made here, kept as PKCS#8 PEM.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::jwk::thumbprint;
use crate::secret::Secret;

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// An ES256 key pair with its `kid`: the RFC 7638 thumbprint of the public key.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    pkcs8: Vec<u8>,
    kid: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The text is not an ES256 private key in PKCS#8 PEM.
#[derive(Debug, thiserror::Error)]
#[error("not a P-256 private key in PKCS#8 PEM")]
pub struct NotAKey;

impl SigningKey {
    /// Makes a new key.
    pub fn generate() -> Self {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .expect("the operating system's random source works");
        Self::from_pkcs8(document.as_ref().to_vec()).expect("made by the same library")
    }

    /// Reads a key written by [`to_pem`](Self::to_pem).
    pub fn from_pem(text: &str) -> Result<Self, NotAKey> {
        let body = text.trim().strip_prefix(PEM_BEGIN).and_then(|rest| rest.strip_suffix(PEM_END)).ok_or(NotAKey)?;
        let body: String = body.split_ascii_whitespace().collect();
        Self::from_pkcs8(STANDARD.decode(body).map_err(|_| NotAKey)?)
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Result<Self, NotAKey> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8).map_err(|_| NotAKey)?;
        let (x, y) = coordinates(&pair);
        let kid = thumbprint(&[("crv", "P-256"), ("kty", "EC"), ("x", &x), ("y", &y)]);
        Ok(Self { pair, pkcs8, kid })
    }

    /// The private key, for a file of mode 0600.
    pub fn to_pem(&self) -> Secret {
        let encoded = STANDARD.encode(&self.pkcs8);
        let mut text = format!("{PEM_BEGIN}\n");
        for line in encoded.as_bytes().chunks(64) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        text.push_str(PEM_END);
        text.push('\n');
        Secret::new(text)
    }

    /// The key's name.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, for a key set: no private member.
    pub fn public_jwk(&self) -> Value {
        let (x, y) = coordinates(&self.pair);
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.kid, "alg": "ES256", "use": "sig"})
    }

    /// The public half, beside what the key signed: what it takes to verify that, and no more.
    pub(super) fn embedded_jwk(&self) -> Value {
        let (x, y) = coordinates(&self.pair);
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
    }

    /// Signs `claims` as a compact JWS whose header has this `typ` (RFC 8725 section 3.11: always an explicit one).
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Secret {
        self.sign_under(&json!({"typ": typ, "alg": "ES256", "kid": self.kid}), claims)
    }

    /// The same, under this header.
    pub(super) fn sign_under(&self, header: &Value, claims: &impl Serialize) -> Secret {
        let claims = serde_json::to_vec(claims).expect("claims have string keys and no failing serialisers");
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), input.as_bytes())
            .expect("signing fails only if the random source does");
        Secret::new(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn coordinates(pair: &EcdsaKeyPair) -> (String, String) {
    // An uncompressed point: 0x04, then x and y of 32 bytes each (SEC 1 section 2.3.3).
    let point = pair.public_key().as_ref();
    (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..65]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file() {
        let key = SigningKey::generate();
        let read = SigningKey::from_pem(key.to_pem().expose()).unwrap();
        assert_eq!(read.kid(), key.kid());
        assert_eq!(read.public_jwk(), key.public_jwk());
    }

    #[test]
    fn other_texts_are_no_keys() {
        for text in ["", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----"] {
            assert!(SigningKey::from_pem(text).is_err());
        }
    }

    #[test]
    fn the_public_half_has_no_private_member() {
        let jwk = SigningKey::generate().public_jwk();
        let members: Vec<_> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["kty", "crv", "x", "y", "kid", "alg", "use"]);
    }

    #[test]
    fn debug_shows_no_key() {
        let key = SigningKey::generate();
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ kid: {:?}, .. }}", key.kid()));
    }
}
