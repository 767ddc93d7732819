//! A key that somebody brings along: RSA, P-256, P-384 or Ed25519, in PEM.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeyPair as RsaKeyPair,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
        RsaEncoding,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde::Serialize;
use serde_json::json;

use super::{algorithm_name, algorithm_named};
use crate::secret::{Secret, sha256_base64url};

/// What RSA keys can sign with, best known first.
const RSA: [(Algorithm, &dyn RsaEncoding); 6] = [
    (Algorithm::RS256, &RSA_PKCS1_SHA256),
    (Algorithm::PS256, &RSA_PSS_SHA256),
    (Algorithm::RS384, &RSA_PKCS1_SHA384),
    (Algorithm::PS384, &RSA_PSS_SHA384),
    (Algorithm::RS512, &RSA_PKCS1_SHA512),
    (Algorithm::PS512, &RSA_PSS_SHA512),
];

/// A private key, and the name that an issuer knows it by.
pub struct PrivateKey {
    pair: Pair,
    kid: String,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// The text is no private key that can be used here. It is not quoted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an unencrypted private key in PEM, of RSA with at least 2048 bits, P-256, P-384 or Ed25519")]
pub struct NotAPrivateKey;

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PrivateKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Reads a key, in PKCS#8, PKCS#1 or SEC 1. It is called `kid`, or by the RFC 7638 thumbprint of its public half.
    pub fn from_pem(pem: &str, kid: Option<&str>) -> Result<Self, NotAPrivateKey> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| NotAPrivateKey)?;
        let pair = Pair::from_der(key.secret_der()).ok_or(NotAPrivateKey)?;
        let kid = kid.map_or_else(|| pair.thumbprint(), |kid| Some(kid.to_owned())).ok_or(NotAPrivateKey)?;
        Ok(Self { pair, kid })
    }

    /// What it can sign with, best known first; never empty.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        match &self.pair {
            Pair::Rsa(_) => RSA.map(|(algorithm, _)| algorithm).to_vec(),
            Pair::P256(_) => vec![Algorithm::ES256],
            Pair::P384(_) => vec![Algorithm::ES384],
            Pair::Ed25519(_) => vec![Algorithm::EdDSA],
        }
    }

    /// The first of its algorithms that is among these names; an empty list names all.
    pub fn algorithm_among(&self, names: &[String]) -> Option<Algorithm> {
        let is_named = |algorithm: &Algorithm| names.iter().any(|name| algorithm_named(name) == Some(*algorithm));
        self.algorithms().into_iter().find(|algorithm| names.is_empty() || is_named(algorithm))
    }

    /// Signs `claims` as a compact JWS whose header has this `typ` (RFC 8725 section 3.11: always an explicit one).
    ///
    /// `None`: the key does not sign with this algorithm.
    pub fn sign(&self, algorithm: Algorithm, typ: &str, claims: &impl Serialize) -> Option<Secret> {
        let header = json!({"typ": typ, "alg": algorithm_name(algorithm), "kid": self.kid});
        let claims = serde_json::to_vec(claims).expect("claims have string keys and no failing serialisers");
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(algorithm, input.as_bytes())?;
        Some(Secret::new(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

impl Pair {
    fn from_der(der: &[u8]) -> Option<Self> {
        let rsa = || RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)).ok();
        let on = |curve| EcdsaKeyPair::from_private_key_der(curve, der).ok();
        let edwards = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok();
        (on(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::P256))
            .or_else(|| on(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Self::P384))
            .or_else(|| edwards().map(Self::Ed25519))
            .or_else(|| rsa().map(Box::new).map(Self::Rsa))
    }

    fn sign(&self, algorithm: Algorithm, input: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match (self, algorithm) {
            (Self::Rsa(pair), _) => {
                let (_, encoding) = RSA.into_iter().find(|(known, _)| *known == algorithm)?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, input, &mut signature).ok()?;
                Some(signature)
            }
            (Self::P256(pair), Algorithm::ES256) | (Self::P384(pair), Algorithm::ES384) => {
                Some(pair.sign(&random, input).ok()?.as_ref().to_vec())
            }
            (Self::Ed25519(pair), Algorithm::EdDSA) => Some(pair.sign(input).as_ref().to_vec()),
            _ => None,
        }
    }

    /// RFC 7638 section 3.2: required members only, in alphabetical order, without spaces.
    fn thumbprint(&self) -> Option<String> {
        let point = |pair: &EcdsaKeyPair, curve: &str| {
            // Uncompressed: 0x04, then x and y (SEC 1 section 2.3.3).
            let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
            let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
            format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
        };
        let canonical = match self {
            Self::P256(pair) => point(pair, "P-256"),
            Self::P384(pair) => point(pair, "P-384"),
            Self::Ed25519(pair) => {
                let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
            }
            Self::Rsa(pair) => {
                let (n, e) = modulus_and_exponent(pair.public_key().as_ref())?;
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, URL_SAFE_NO_PAD.encode(e), URL_SAFE_NO_PAD.encode(n))
            }
        };
        Some(sha256_base64url(canonical.as_bytes()))
    }
}

/// Out of an `RSAPublicKey` (RFC 8017 appendix A.1.1), without leading zeros.
fn modulus_and_exponent(der: &[u8]) -> Option<(&[u8], &[u8])> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
        let (&found, rest) = der.split_first()?;
        let (&first, rest) = rest.split_first()?;
        // A length above 127 has as many bytes as the lower bits say.
        let more = if first < 0x80 { 0 } else { usize::from(first & 0x7f) };
        let (bytes, rest) = rest.split_at_checked(more)?;
        let long = bytes.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
        let (value, rest) = rest.split_at_checked(if first < 0x80 { usize::from(first) } else { long })?;
        (found == tag).then_some((value, rest))
    }
    let leading_zeros = |integer: &[u8]| integer.iter().take_while(|byte| **byte == 0).count();
    let (numbers, _) = take(der, SEQUENCE)?;
    let (n, rest) = take(numbers, INTEGER)?;
    let (e, _) = take(rest, INTEGER)?;
    Some((&n[leading_zeros(n)..], &e[leading_zeros(e)..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::{Jws, KeySet};

    const RSA_PEM: &str = include_str!("keys/rfc7515-a2.pem");
    const P256_PEM: &str = include_str!("keys/rfc7515-a3.pem");
    const P384_PEM: &str = include_str!("keys/p384.pem");
    const ED25519_PEM: &str = include_str!("keys/rfc8037-a1.pem");

    fn key(pem: &str) -> PrivateKey {
        PrivateKey::from_pem(pem, None).unwrap()
    }

    fn signed(pem: &str, algorithm: Algorithm, input: &str) -> String {
        URL_SAFE_NO_PAD.encode(key(pem).pair.sign(algorithm, input.as_bytes()).unwrap())
    }

    #[test]
    fn signatures_are_those_of_the_rfcs() {
        let input = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p\
                     c19yb290Ijp0cnVlfQ";
        let rfc_7515_a2 = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5j\
                           ujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1\
                           L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOY\
                           EUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        assert_eq!(signed(RSA_PEM, Algorithm::RS256, input), rfc_7515_a2);
        let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let rfc_8037_a4 = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(signed(ED25519_PEM, Algorithm::EdDSA, input), rfc_8037_a4);
    }

    #[test]
    fn every_kind_of_key_signs_what_its_public_half_verifies() {
        let modulus = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT\
                       -SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB\
                       dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9i\
                       aGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
        let p384 = json!({
            "kty": "EC", "crv": "P-384",
            "x": "Ed4kosJRx3dXPKxeoCXkZ_II5R2_-Y_FT2Zhy-Vlg7A3iC9KHKKX5gq828ODbYS8",
            "y": "j6aWx3RA-S0PWDfpCgDnxShLRHdU1d7ojJhlM7aQGusxd2htCuj7MxhEFKvmwXE6",
        });
        for (pem, kid, count, public) in [
            (
                RSA_PEM,
                "IsUn6_e04MaShXFIISMp4kG62LWzMIPy_MvSA5pJgX8",
                6,
                json!({"kty": "RSA", "e": "AQAB", "n": modulus}),
            ),
            (
                P256_PEM,
                "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",
                1,
                json!({
                    "kty": "EC", "crv": "P-256",
                    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
                }),
            ),
            (P384_PEM, "mZSUWNx81rPhyTz-y0FPyG_zLal-Q7BZbFYxyVmkXzc", 1, p384),
            // RFC 8037 appendix A.3.
            (
                ED25519_PEM,
                "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
                1,
                json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            ),
        ] {
            let (key, mut public) = (key(pem), public);
            assert_eq!((key.kid.as_str(), key.algorithms().len()), (kid, count));
            public["kid"] = kid.into();
            let keys = KeySet::parse(json!({"keys": [public]}).to_string().as_bytes()).unwrap();
            for algorithm in key.algorithms() {
                let signed = key.sign(algorithm, "some+jwt", &json!({"iss": "a"})).unwrap();
                let jws = Jws::parse(signed.expose()).unwrap();
                assert_eq!((jws.typ(), jws.kid()), (Some("some+jwt"), Some(kid)));
                jws.check_signature(&keys, &[algorithm]).unwrap();
            }
        }
    }

    #[test]
    fn older_forms_of_the_same_keys_are_read() {
        for (old, new) in
            [(include_str!("keys/rfc7515-a2-pkcs1.pem"), RSA_PEM), (include_str!("keys/rfc7515-a3-sec1.pem"), P256_PEM)]
        {
            assert_eq!(key(old).kid, key(new).kid);
        }
        assert_eq!(PrivateKey::from_pem(P256_PEM, Some("mine")).unwrap().kid, "mine");
    }

    #[test]
    fn the_issuer_has_a_say_in_the_algorithm() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(key(RSA_PEM).algorithm_among(&[]), Some(Algorithm::RS256));
        assert_eq!(key(RSA_PEM).algorithm_among(&names(&["ES256", "PS384"])), Some(Algorithm::PS384));
        assert_eq!(key(P256_PEM).algorithm_among(&names(&["RS256", "none", "HS256"])), None);
        assert!(key(P256_PEM).sign(Algorithm::RS256, "some+jwt", &json!({})).is_none());
    }

    #[test]
    fn other_texts_and_small_keys_are_refused_and_nothing_is_shown() {
        for text in [
            "",
            "hush",
            include_str!("keys/rsa-1024.pem"),
            "-----BEGIN PRIVATE KEY-----\naHVzaA==\n-----END PRIVATE KEY-----\n",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\naHVzaA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ] {
            let refused = PrivateKey::from_pem(text, None).unwrap_err();
            assert!(!refused.to_string().contains("hush"));
        }
        assert_eq!(
            format!("{:?}", PrivateKey::from_pem(P256_PEM, Some("k")).unwrap()),
            "PrivateKey { kid: \"k\", .. }"
        );
    }
}
