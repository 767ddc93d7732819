//! An issuer's public keys: RFC 7517.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use super::algorithm_named;

/// The keys of one issuer that can verify a signature, in its order.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<VerifyingKey>);

/// One public key and the algorithms it may be used with.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// The document is not a key set at all.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON Web Key Set")]
pub struct NotAKeySet(#[source] serde_json::Error);

/// Why no key was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// No key has this `kid`: the issuer may have a newer set.
    UnknownKid,
    /// The key of this `kid` is not for this algorithm.
    WrongAlgorithm,
    /// There is no `kid`, and none or several of the keys would fit.
    Ambiguous,
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a key set, leaving out every key that cannot verify signatures here.
    ///
    /// Unknown types, malformed members, keys for encryption, symmetric keys and RSA keys under 2048 bits are skipped, not
    /// errors: one exotic key must not make all tokens of an issuer invalid (RFC 7517 section 5).
    ///
    /// # Errors
    /// [`NotAKeySet`] if the document has no `keys` array.
    pub fn parse(document: &[u8]) -> Result<Self, NotAKeySet> {
        let raw: RawSet = serde_json::from_slice(document).map_err(NotAKeySet)?;
        let keys = raw.keys.into_iter().filter_map(|value| serde_json::from_value(value).ok());
        Ok(Self(keys.filter_map(VerifyingKey::from_raw).collect()))
    }

    /// How many usable keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no key is usable.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether some key has this `kid`.
    pub fn has_kid(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The key to verify with. The algorithm must be one that the key itself allows (RFC 8725 section 3.1).
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&VerifyingKey, NoKey> {
        let fits = |key: &&VerifyingKey| key.algorithms.contains(&algorithm);
        let Some(kid) = kid else {
            let mut fitting = self.0.iter().filter(fits);
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Ok(key),
                _ => Err(NoKey::Ambiguous),
            };
        };
        let mut named = self.0.iter().filter(|key| key.kid.as_deref() == Some(kid)).peekable();
        if named.peek().is_none() {
            return Err(NoKey::UnknownKid);
        }
        named.find(fits).ok_or(NoKey::WrongAlgorithm)
    }
}

impl VerifyingKey {
    fn from_raw(raw: RawKey) -> Option<Self> {
        let signs = raw.usage.as_deref().is_none_or(|usage| usage == "sig")
            && raw.key_ops.as_deref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        if !signs {
            return None;
        }
        let (key, possible) = match (raw.kty.as_str(), raw.crv.as_deref()) {
            ("RSA", _) => rsa(raw.n.as_deref()?, raw.e.as_deref()?)?,
            ("EC", Some("P-256")) => (elliptic(raw.x.as_deref()?, raw.y.as_deref()?, 32)?, &[Algorithm::ES256][..]),
            ("EC", Some("P-384")) => (elliptic(raw.x.as_deref()?, raw.y.as_deref()?, 48)?, &[Algorithm::ES384][..]),
            ("OKP", Some("Ed25519")) => {
                let x = raw.x.as_deref()?;
                (decode(x)?.len() == 32).then_some(())?;
                (DecodingKey::from_ed_components(x).ok()?, &[Algorithm::EdDSA][..])
            }
            _ => return None,
        };
        let algorithms = match raw.alg {
            None => possible.to_vec(),
            Some(named) => {
                let algorithm = algorithm_named(&named)?;
                possible.contains(&algorithm).then(|| vec![algorithm])?
            }
        };
        Some(Self { kid: raw.kid, algorithms, key })
    }
}

const RSA_ALGORITHMS: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

fn rsa(modulus: &str, exponent: &str) -> Option<(DecodingKey, &'static [Algorithm])> {
    let (n, e) = (decode(modulus)?, decode(exponent)?);
    let (n, e) = (without_leading_zeros(&n), without_leading_zeros(&e));
    // 2048 bits at least (NIST SP 800-131A). With an exponent of 1 everybody can sign, and an even one is no key's.
    let is_odd = e.last().is_some_and(|byte| byte % 2 == 1);
    (n.len() >= 256 && is_odd && e != [1]).then_some(())?;
    Some((DecodingKey::from_rsa_raw_components(n, e), &RSA_ALGORITHMS))
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    &number[first..]
}

fn elliptic(x: &str, y: &str, coordinate_bytes: usize) -> Option<DecodingKey> {
    (decode(x)?.len() == coordinate_bytes && decode(y)?.len() == coordinate_bytes).then_some(())?;
    DecodingKey::from_ec_components(x, y).ok()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jose::SigningKey;

    fn set(keys: &[serde_json::Value]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn good(kid: &str) -> serde_json::Value {
        let mut jwk = SigningKey::generate().public_jwk();
        jwk["kid"] = kid.into();
        jwk
    }

    #[test]
    fn bad_keys_are_skipped_and_good_ones_kept() {
        let mut wrong_curve_size = good("short");
        wrong_curve_size["x"] = "AQAB".into();
        let mut encryption = good("enc");
        encryption["use"] = "enc".into();
        let mut operations = good("ops");
        operations["key_ops"] = json!(["encrypt"]);
        let mut oaep = good("oaep");
        oaep["alg"] = "RSA-OAEP".into();
        let mut other_family = good("family");
        other_family["alg"] = "RS256".into();
        let rsa_1024 = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB"});
        let with_exponent = |e: &str| json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 256]), "e": e});
        let [exponent_one, padded_one, even, zero] = ["AQ", "AAAB", "AQAA", "AA"].map(with_exponent);
        let symmetric = json!({"kty": "oct", "k": "AAAA", "alg": "HS256"});
        let exotic = json!({"kty": "AKP", "alg": "ML-DSA-65"});
        let keys = set(&[
            json!("not an object"),
            json!({"kty": 5}),
            wrong_curve_size,
            encryption,
            operations,
            oaep,
            other_family,
            rsa_1024,
            exponent_one,
            padded_one,
            even,
            zero,
            symmetric,
            exotic,
            good("good"),
        ]);
        assert_eq!(keys.len(), 1);
        assert!(keys.find(Some("good"), Algorithm::ES256).is_ok());
    }

    #[test]
    fn the_key_decides_the_algorithm() {
        let rsa =
            json!({"kty": "RSA", "kid": "r", "alg": "RS256", "n": URL_SAFE_NO_PAD.encode([0xff; 256]), "e": "AQAB"});
        let keys = set(&[rsa]);
        assert!(keys.find(Some("r"), Algorithm::RS256).is_ok());
        assert_eq!(keys.find(Some("r"), Algorithm::PS256).unwrap_err(), NoKey::WrongAlgorithm);
        assert_eq!(keys.find(Some("r"), Algorithm::RS512).unwrap_err(), NoKey::WrongAlgorithm);
    }

    #[test]
    fn without_kid_only_a_unique_key_fits() {
        assert!(set(&[good("a")]).find(None, Algorithm::ES256).is_ok());
        assert_eq!(set(&[good("a"), good("b")]).find(None, Algorithm::ES256).unwrap_err(), NoKey::Ambiguous);
        assert_eq!(set(&[]).find(None, Algorithm::ES256).unwrap_err(), NoKey::Ambiguous);
    }

    #[test]
    fn documents_without_keys_are_no_sets() {
        for document in ["<html>", "[]", "{}", "{\"keys\":{}}", ""] {
            assert!(KeySet::parse(document.as_bytes()).is_err(), "{document}");
        }
        assert!(KeySet::parse(b"{\"keys\":[]}").unwrap().is_empty());
    }
}
