//! An issuer's public keys, and a single one beside what it signed: RFC 7517.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::algorithm_named;
use crate::secret::sha256_base64url;

/// What only the holder of a key may know: RFC 7518 sections 6.2.2, 6.3.2 and 6.4, RFC 8037 section 2.
pub(crate) const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

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

/// Why a key that came with a signature is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPublicKey {
    /// Not an object with the members of a key that can verify signatures here.
    #[error("is not a public key of RSA (2048 bits or more), P-256, P-384 or Ed25519")]
    Unusable,
    /// Whoever sends it has told its secret to everybody on the way.
    #[error("has a private member")]
    Private,
}

impl RawKey {
    fn thumbprint(&self) -> Option<String> {
        let crv = || Some(("crv", self.crv.as_deref()?));
        let kty = ("kty", self.kty.as_str());
        Some(match self.kty.as_str() {
            "RSA" => thumbprint(&[("e", self.e.as_deref()?), kty, ("n", self.n.as_deref()?)]),
            "OKP" => thumbprint(&[crv()?, kty, ("x", self.x.as_deref()?)]),
            _ => thumbprint(&[crv()?, kty, ("x", self.x.as_deref()?), ("y", self.y.as_deref()?)]),
        })
    }
}

/// RFC 7638 section 3: SHA-256 over the required members only, in the order of their names, without spaces.
///
/// The values are base64url and names of types and curves, which need no escapes.
pub(super) fn thumbprint(members: &[(&str, &str)]) -> String {
    let members: Vec<_> = members.iter().map(|(name, value)| format!(r#""{name}":"{value}""#)).collect();
    sha256_base64url(format!("{{{}}}", members.join(",")).as_bytes())
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
    /// Reads the single key of a `jwk` header (RFC 7515 section 4.1.3), and finds its SHA-256 thumbprint (RFC 7638).
    ///
    /// # Errors
    /// See [`NotAPublicKey`]. A member that occurs twice makes a key unusable: two parsers could read two keys.
    pub(super) fn embedded(jwk: &str) -> Result<(Self, String), NotAPublicKey> {
        let unusable = |_| NotAPublicKey::Unusable;
        let members: Map<String, Value> = serde_json::from_str(jwk).map_err(unusable)?;
        if PRIVATE_MEMBERS.iter().any(|member| members.contains_key(*member)) {
            return Err(NotAPublicKey::Private);
        }
        let raw: RawKey = serde_json::from_str(jwk).map_err(unusable)?;
        let thumbprint = raw.thumbprint();
        Self::from_raw(raw).zip(thumbprint).ok_or(NotAPublicKey::Unusable)
    }

    /// Whether a signature of this algorithm can be this key's.
    pub(super) fn allows(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

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
    fn thumbprints_are_those_of_the_rfcs() {
        // RFC 7638 section 3.1.
        let rsa = json!({"kty": "RSA", "alg": "RS256", "kid": "2011-04-29", "e": "AQAB", "n":
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3ok\
             njhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu\
             6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8a\
             wapJzKnqDKgw"});
        // RFC 8037 appendix A.3.
        let ed25519 = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        // RFC 9449 figures 4 and 9.
        let p256 = json!({"kty": "EC", "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
            "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA", "crv": "P-256"});
        for (jwk, expected) in [
            (rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
            (ed25519, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
            (p256, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
        ] {
            assert_eq!(VerifyingKey::embedded(&jwk.to_string()).unwrap().1, expected);
        }
        let own = SigningKey::generate();
        assert_eq!(VerifyingKey::embedded(&own.public_jwk().to_string()).unwrap().1, own.kid());
    }

    #[test]
    fn a_key_beside_what_it_signed_is_public_and_one() {
        let jwk = good("a");
        assert!(VerifyingKey::embedded(&jwk.to_string()).is_ok());
        for member in PRIVATE_MEMBERS {
            let mut told = jwk.clone();
            told[member] = json!(null);
            assert_eq!(VerifyingKey::embedded(&told.to_string()).unwrap_err(), NotAPublicKey::Private, "{member}");
        }
        let doubled = jwk.to_string().replacen('{', r#"{"kty":"EC","#, 1);
        let symmetric = json!({"kty": "oct"}).to_string();
        for odd in [doubled.as_str(), symmetric.as_str(), "null", "[]", "\"\"", "{}", "7"] {
            assert_eq!(VerifyingKey::embedded(odd).unwrap_err(), NotAPublicKey::Unusable, "{odd}");
        }
    }

    #[test]
    fn documents_without_keys_are_no_sets() {
        for document in ["<html>", "[]", "{}", "{\"keys\":{}}", ""] {
            assert!(KeySet::parse(document.as_bytes()).is_err(), "{document}");
        }
        assert!(KeySet::parse(b"{\"keys\":[]}").unwrap().is_empty());
    }
}
