//! Compact signed messages (RFC 7515) with JSON claims, whatever they claim: access tokens, client assertions, DPoP proofs.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{
    KeySet, Refused, algorithm_named,
    jwk::{NoKey, VerifyingKey},
    verify::printable,
};
use crate::json::{is_deeper_than, present};

/// Longest token that is looked at, in bytes. Real ones have 1 to 4 KiB.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Longest `kid` that is looked at, in bytes.
const MAX_KID_BYTES: usize = 512;
/// Deepest nesting of header and claims.
const MAX_DEPTH: usize = 32;

/// A compact JWS taken apart. Its claims can be read before its signature is checked; nothing in them may be believed then.
#[derive(Debug)]
pub struct Jws<'a> {
    signing_input: &'a str,
    signature: &'a str,
    header: RawHeader,
    payload: &'a str,
}

#[derive(Debug, Deserialize)]
struct RawHeader {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    jwk: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "present")]
    cty: Option<serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    b64: Option<serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    zip: Option<serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    enc: Option<serde::de::IgnoredAny>,
}

impl<'a> Jws<'a> {
    /// Takes a compact JWS apart. A member that occurs twice is an error: two parsers could read two tokens.
    pub fn parse(token: &'a str) -> Result<Self, Refused> {
        let malformed = |reason: &str| Refused::Malformed(reason.to_owned());
        if token.len() > MAX_TOKEN_BYTES {
            return Err(malformed("longer than 16 KiB"));
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or_else(|| malformed("no dots"))?;
        let (header, payload) = signing_input.split_once('.').ok_or_else(|| malformed("one dot, expected two"))?;
        if payload.contains('.') {
            return Err(malformed("more than three parts; encrypted tokens are not supported"));
        }
        let header: RawHeader = read("header", header)?;
        let unsupported = [
            ("crit", header.crit.is_some()),
            ("b64", header.b64.is_some()),
            ("zip", header.zip.is_some()),
            ("enc", header.enc.is_some()),
            ("cty", header.cty.is_some()),
        ];
        if let Some((name, _)) = unsupported.into_iter().find(|(_, is_there)| *is_there) {
            return Err(Refused::UnsupportedHeader(name));
        }
        if header.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return Err(malformed("`kid` is longer than 512 bytes"));
        }
        Ok(Self { signing_input, signature, header, payload })
    }

    /// The key's name, if the header has one.
    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// What kind of token the header says it is.
    pub fn typ(&self) -> Option<&str> {
        self.header.typ.as_deref()
    }

    /// The key that the header says it is signed with, as JSON. Nobody vouches for it.
    pub(super) fn jwk(&self) -> Option<&str> {
        self.header.jwk.as_deref().map(RawValue::get)
    }

    /// The claims, believed or not.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        read("claims", self.payload)
    }

    /// The algorithm, if it is one of these.
    pub fn algorithm(&self, allowed: &[Algorithm]) -> Result<Algorithm, Refused> {
        let named = algorithm_named(&self.header.alg).filter(|named| allowed.contains(named));
        named.ok_or_else(|| Refused::Algorithm(printable(&self.header.alg)))
    }

    /// Whether one of `keys` made the signature, with an algorithm that is `allowed` and that key's own.
    pub fn check_signature(&self, keys: &KeySet, allowed: &[Algorithm]) -> Result<(), Refused> {
        let algorithm = self.algorithm(allowed)?;
        let key = keys.find(self.kid(), algorithm).map_err(|problem| match problem {
            NoKey::UnknownKid => Refused::UnknownKey(printable(self.kid().unwrap_or_default())),
            NoKey::WrongAlgorithm => Refused::Algorithm(printable(&self.header.alg)),
            NoKey::Ambiguous => Refused::AmbiguousKey,
        })?;
        if self.is_signed_by(key, algorithm) { Ok(()) } else { Err(Refused::Signature) }
    }

    /// Whether this key made the signature, with this algorithm.
    pub(super) fn is_signed_by(&self, key: &VerifyingKey, algorithm: Algorithm) -> bool {
        let fits = jsonwebtoken::crypto::verify(self.signature, self.signing_input.as_bytes(), &key.key, algorithm);
        key.allows(algorithm) && fits.unwrap_or(false)
    }
}

fn read<T: DeserializeOwned>(part: &str, encoded: &str) -> Result<T, Refused> {
    let bytes = URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| Refused::Malformed(format!("its {part} is not base64url without padding")))?;
    if is_deeper_than(MAX_DEPTH, &bytes) {
        return Err(Refused::Malformed(format!("its {part} is nested deeper than {MAX_DEPTH}")));
    }
    // In a member that nobody reads, a reader of bytes would take what is no UTF-8 (RFC 7515 section 3).
    let text = str::from_utf8(&bytes).map_err(|_| Refused::Malformed(format!("its {part} is not UTF-8")))?;
    serde_json::from_str(text).map_err(|error| Refused::Malformed(format!("its {part}: {error}")))
}
