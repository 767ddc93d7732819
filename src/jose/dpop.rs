//! Proofs that whoever sends a token holds the key that it is bound to: DPoP, RFC 9449.
//!
//! A pure function of proof, request and time. Whether a proof was used before, has the nonce that it needs, and is made
//! with the key of the token beside it, is for whoever has that knowledge.

use std::{fmt::Write as _, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::{
    ALGORITHMS, Jws, Refused, SigningKey, algorithm_name,
    jwk::{NotAPublicKey, VerifyingKey},
    verify::printable,
};
use crate::{
    json::present,
    secret::{Secret, sha256_base64url},
};

/// How old a proof may be.
pub const MAX_AGE: Duration = Duration::from_mins(1);
/// How far ahead the clock of its maker may be.
pub const LEEWAY: Duration = Duration::from_secs(30);
/// Longest proof that is looked at, in bytes. With a key of RSA and 4096 bits one has about 2 KiB.
const MAX_PROOF_BYTES: usize = 8 * 1024;
/// Longest `jti`, in bytes.
const MAX_ID_BYTES: usize = 512;
const TYP: &str = "dpop+jwt";

/// The request that a proof is for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `htm`.
    pub method: &'a str,
    /// `htu`, once query and fragment are left out.
    pub url: &'a Url,
    /// The token in the same request, for `ath`; none at an authorization server.
    pub access_token: Option<&'a str>,
}

/// A proof that is good for its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// RFC 7638, SHA-256: the key that made it, as `jkt` names keys (RFC 9449 section 6.1).
    pub thumbprint: String,
    /// Names this proof among those of all keys.
    pub id: String,
    /// What a server gave to be put into it.
    pub nonce: Option<String>,
    /// When it was made, since the epoch, by the clock of its maker.
    pub issued_at: Duration,
}

/// Why a proof is not good for its request. The words are for logs; a caller over HTTP hears `invalid_dpop_proof`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadProof {
    /// None, or several of which another party may have judged another one.
    #[error("request has {0} DPoP proofs, expected one")]
    NotOne(usize),
    /// Not a JWT in the compact serialisation with the claims of section 4.2.
    #[error("DPoP proof is malformed: {0}")]
    Malformed(String),
    /// A JWT for something else.
    #[error("DPoP proof has the `typ` `{0}`, expected `{TYP}`")]
    Kind(String),
    /// `none`, a symmetric algorithm, or one that is unknown here.
    #[error("DPoP proof is signed with `{0}`, which is not allowed")]
    Algorithm(String),
    /// See [`NotAPublicKey`].
    #[error("the `jwk` of a DPoP proof {0}")]
    Key(#[from] NotAPublicKey),
    /// The key in it did not make it.
    #[error("the signature of a DPoP proof does not fit its `jwk`")]
    Signature,
    /// `htm`.
    #[error("DPoP proof is for `{found}`, expected `{expected}`")]
    Method {
        /// What the proof says.
        found: String,
        /// How the request was sent.
        expected: String,
    },
    /// `htu`.
    #[error("DPoP proof is for `{found}`, expected `{expected}`")]
    Target {
        /// What the proof says.
        found: String,
        /// Where the request was sent.
        expected: String,
    },
    /// `iat` is too long ago.
    #[error("DPoP proof was made {} s ago, more than {} s", .0, MAX_AGE.as_secs())]
    Stale(u64),
    /// `iat` is too far ahead.
    #[error("DPoP proof was made {0} s in the future")]
    InFuture(u64),
    /// `ath` is not the hash of the token beside it.
    #[error("DPoP proof is not for the access token beside it")]
    OtherToken,
}

/// The claims of RFC 9449 section 4.2.
#[derive(Debug, Deserialize, Serialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: f64,
    #[serde(default, deserialize_with = "present")]
    ath: Option<String>,
    #[serde(default, deserialize_with = "present")]
    nonce: Option<String>,
}

/// The names of the algorithms that proofs may be signed with, for metadata and challenges.
pub fn algorithm_names() -> impl Iterator<Item = &'static str> {
    ALGORITHMS.into_iter().map(algorithm_name)
}

/// Makes a proof for one request.
pub fn prove(key: &SigningKey, request: Request<'_>, nonce: Option<&str>, now: Duration) -> Secret {
    let mut claims = json!({
        "jti": Secret::random(),
        "htm": request.method,
        "htu": target(request.url),
        "iat": now.as_secs(),
    });
    if let Some(token) = request.access_token {
        claims["ath"] = sha256_base64url(token.as_bytes()).into();
    }
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    key.sign_under(&json!({"typ": TYP, "alg": "ES256", "jwk": key.embedded_jwk()}), &claims)
}

/// Judges the one proof of a request, given the values of its `DPoP` headers (RFC 9449 section 4.3, first rule).
///
/// # Errors
/// See [`BadProof`].
pub fn verify_one(proofs: &[&[u8]], request: Request<'_>, now: Duration) -> Result<Proof, BadProof> {
    let [proof] = proofs else { return Err(BadProof::NotOne(proofs.len())) };
    let proof = std::str::from_utf8(proof).map_err(|_| BadProof::Malformed("not ASCII".to_owned()))?;
    verify(proof, request, now)
}

/// Judges a proof by the rules of RFC 9449 section 4.3.
///
/// # Errors
/// The first rule of [`BadProof`] that it breaks.
pub fn verify(proof: &str, request: Request<'_>, now: Duration) -> Result<Proof, BadProof> {
    if proof.len() > MAX_PROOF_BYTES {
        return Err(BadProof::Malformed(format!("longer than {MAX_PROOF_BYTES} bytes")));
    }
    let jws = Jws::parse(proof).map_err(malformed)?;
    match jws.typ() {
        Some(typ) if typ.eq_ignore_ascii_case(TYP) => {}
        other => return Err(BadProof::Kind(printable(other.unwrap_or_default()))),
    }
    let algorithm = jws.algorithm(&ALGORITHMS).map_err(|refused| match refused {
        Refused::Algorithm(name) => BadProof::Algorithm(name),
        other => malformed(other),
    })?;
    let jwk = jws.jwk().ok_or_else(|| BadProof::Malformed("its header has no `jwk`".to_owned()))?;
    let (key, thumbprint) = VerifyingKey::embedded(jwk)?;
    if !jws.is_signed_by(&key, algorithm) {
        return Err(BadProof::Signature);
    }
    let claims: Claims = jws.claims().map_err(malformed)?;
    if !(1..=MAX_ID_BYTES).contains(&claims.jti.len()) {
        return Err(BadProof::Malformed(format!("its `jti` has not 1 to {MAX_ID_BYTES} bytes")));
    }
    check_request(&claims, request)?;
    let issued_at = check_time(claims.iat, now)?;
    let id = sha256_base64url(format!("{thumbprint}\n{}", claims.jti).as_bytes());
    Ok(Proof { thumbprint, id, nonce: claims.nonce, issued_at })
}

fn malformed(refused: Refused) -> BadProof {
    BadProof::Malformed(match refused {
        Refused::Malformed(reason) => reason,
        Refused::UnsupportedHeader(name) => format!("its header has `{name}`"),
        other => other.to_string(),
    })
}

fn check_request(claims: &Claims, request: Request<'_>) -> Result<(), BadProof> {
    if claims.htm != request.method {
        return Err(BadProof::Method { found: printable(&claims.htm), expected: request.method.to_owned() });
    }
    let expected = target(request.url);
    if Url::parse(&claims.htu).map(|url| target(&url)).ok().as_ref() != Some(&expected) {
        return Err(BadProof::Target { found: printable(&claims.htu), expected });
    }
    match (request.access_token, &claims.ath) {
        (None, _) => Ok(()),
        (Some(token), Some(hash)) if sha256_base64url(token.as_bytes()) == *hash => Ok(()),
        (Some(_), _) => Err(BadProof::OtherToken),
    }
}

fn check_time(iat: f64, now: Duration) -> Result<Duration, BadProof> {
    // Not a number, negative, or beyond every calendar.
    let issued_at = Duration::try_from_secs_f64(iat).map_err(|_| BadProof::Malformed("its `iat` is no time".into()))?;
    let (age, ahead) = (now.saturating_sub(issued_at), issued_at.saturating_sub(now));
    if age > MAX_AGE {
        Err(BadProof::Stale(age.as_secs()))
    } else if ahead > LEEWAY {
        Err(BadProof::InFuture(ahead.as_secs()))
    } else {
        Ok(issued_at)
    }
}

/// A URL without query and fragment, normalised as RFC 3986 sections 6.2.2 and 6.2.3 say (RFC 9449 section 4.3): parsing
/// has seen to case, default ports and dot segments, and left escapes as they were written.
fn target(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let path = with_plain_escapes(url.path());
    url.set_path(&path);
    url.into()
}

/// Escapes of what needs none are undone, the others are in upper case.
fn with_plain_escapes(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        rest = after;
        let digits = after.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let Some(code) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
            plain.push('%');
            continue;
        };
        match char::from(code) {
            character if character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_' | '~') => {
                plain.push(character);
            }
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(plain, "%{code:02X}");
            }
        }
        rest = &after[2..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use jsonwebtoken::{Algorithm, EncodingKey};
    use serde_json::Value;

    use super::*;

    /// RFC 9449 figure 2.
    const RFC_TOKEN_PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgt\
        MzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE\
        QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1\
        wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FN\
        yJK70nfbV37xRZT3Lg";
    /// RFC 9449 figure 13.
    const RFC_RESOURCE_PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZya\
        HgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R\
        1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5l\
        eGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk\
        1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    const RFC_ACCESS_TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    const RFC_THUMBPRINT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

    const NOW: u64 = 1_700_000_000;
    const URL: &str = "https://mcp.example/mcp";
    const TOKEN: &str = "a.good.token";

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    /// A good proof, and what a change of its header and claims makes of it.
    fn with(change: impl FnOnce(&mut Value, &mut Value)) -> Result<Proof, BadProof> {
        let key = SigningKey::generate();
        let mut header = json!({"typ": TYP, "alg": "ES256", "jwk": key.embedded_jwk()});
        let ath = sha256_base64url(TOKEN.as_bytes());
        let mut claims = json!({"jti": "1", "htm": "POST", "htu": URL, "iat": NOW, "ath": ath});
        change(&mut header, &mut claims);
        judge(key.sign_under(&header, &claims).expose())
    }

    fn judge(proof: &str) -> Result<Proof, BadProof> {
        let url = url(URL);
        let request = Request { method: "POST", url: &url, access_token: Some(TOKEN) };
        verify(proof, request, Duration::from_secs(NOW))
    }

    fn claim(name: &str, value: Value) -> Result<Proof, BadProof> {
        with(|_, claims| match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        })
    }

    #[test]
    fn the_proofs_of_the_rfc_are_good_for_their_requests() {
        let token_endpoint = url("https://server.example.com/token");
        let request = Request { method: "POST", url: &token_endpoint, access_token: None };
        let proof = verify(RFC_TOKEN_PROOF, request, Duration::from_secs(1_562_262_616)).unwrap();
        assert_eq!((proof.thumbprint.as_str(), proof.nonce), (RFC_THUMBPRINT, None));
        let resource = url("https://resource.example.org/protectedresource");
        let request = Request { method: "GET", url: &resource, access_token: Some(RFC_ACCESS_TOKEN) };
        let now = Duration::from_secs(1_562_262_618);
        let proof = verify(RFC_RESOURCE_PROOF, request, now).unwrap();
        assert_eq!((proof.thumbprint.as_str(), proof.issued_at), (RFC_THUMBPRINT, now));
        let other = Request { access_token: Some("another token"), ..request };
        assert_eq!(verify(RFC_RESOURCE_PROOF, other, now), Err(BadProof::OtherToken));
    }

    #[test]
    fn what_is_made_here_is_good_here_and_says_no_more_than_it_must() {
        let (key, now) = (SigningKey::generate(), Duration::from_secs(NOW));
        let called = url("https://mcp.example/mcp?session=1#top");
        let request = Request { method: "POST", url: &called, access_token: Some(TOKEN) };
        let proof = prove(&key, request, Some("n"), now);
        let proved = verify(proof.expose(), request, now).unwrap();
        assert_eq!((proved.thumbprint.as_str(), proved.nonce.as_deref()), (key.kid(), Some("n")));
        let decoded = |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        let parts: Vec<_> = proof.expose().split('.').collect();
        let mut members: Vec<_> = decoded(parts[0])["jwk"].as_object().unwrap().keys().cloned().collect();
        members.sort_unstable();
        assert_eq!(members, ["crv", "kty", "x", "y"]);
        assert_eq!(decoded(parts[1])["htu"], "https://mcp.example/mcp");
        let again = verify(prove(&key, request, None, now).expose(), request, now).unwrap();
        assert_ne!(again.id, proved.id, "each is another");
    }

    #[test]
    fn nobody_uses_up_the_proofs_of_another_key() {
        let [one, other] = [(); 2].map(|()| with(|_, _| ()).unwrap());
        assert_ne!(one.id, other.id, "both have the `jti` 1");
        let again = Proof { nonce: Some("n".to_owned()), ..one.clone() };
        assert_eq!(again.id, one.id);
    }

    #[test]
    fn it_is_for_one_method_and_one_url() {
        assert!(with(|_, _| ()).is_ok());
        for htm in ["GET", "post", "POST ", ""] {
            assert!(matches!(claim("htm", json!(htm)), Err(BadProof::Method { .. })), "{htm}");
        }
        for good in [
            "https://mcp.example/mcp?a=1#b",
            "HTTPS://MCP.example:443/mcp",
            "https://mcp.example/x/../%6dcp",
            "https://mcp.example/./mcp",
        ] {
            assert!(claim("htu", json!(good)).is_ok(), "{good}");
        }
        for bad in [
            "https://mcp.example/mcp/",
            "https://mcp.example/MCP",
            "https://mcp.example/mc%50",
            "https://mcp.example/mcp%2F",
            "https://mcp.example:8443/mcp",
            "http://mcp.example/mcp",
            "https://other.example/mcp",
            "https://alice@mcp.example/mcp",
            "https://mcp.example/mcp/x",
            "https://mcp.example",
            "/mcp",
            "",
        ] {
            assert!(matches!(claim("htu", json!(bad)), Err(BadProof::Target { .. })), "{bad}");
        }
    }

    #[test]
    fn escapes_are_one_however_they_are_written() {
        for (written, plain) in [
            ("/a%2fb%c3%a9", "/a%2Fb%C3%A9"),
            ("/%7Euser/%41%2e", "/~user/A."),
            ("/100%/%zz/%4", "/100%/%zz/%4"),
            ("/é%", "/é%"),
            ("/%é1", "/%é1"),
            ("/%+1", "/%+1"),
        ] {
            assert_eq!(with_plain_escapes(written), plain);
        }
    }

    #[test]
    fn it_is_for_the_token_beside_it() {
        assert_eq!(claim("ath", json!(sha256_base64url(b"another"))), Err(BadProof::OtherToken));
        assert_eq!(claim("ath", Value::Null), Err(BadProof::OtherToken));
        assert_eq!(claim("ath", json!("")), Err(BadProof::OtherToken));
    }

    #[test]
    fn it_is_fresh() {
        for good in [json!(NOW - 60), json!(NOW + 30), json!(1_699_999_999.5)] {
            assert!(claim("iat", good.clone()).is_ok(), "{good}");
        }
        assert_eq!(claim("iat", json!(NOW - 61)), Err(BadProof::Stale(61)));
        assert_eq!(claim("iat", json!(NOW + 31)), Err(BadProof::InFuture(31)));
        for odd in [json!("now"), json!(-1), json!(1e300), json!([]), Value::Null] {
            assert!(matches!(claim("iat", odd.clone()), Err(BadProof::Malformed(_))), "{odd}");
        }
    }

    #[test]
    fn what_must_be_there_is_there_once() {
        for name in ["jti", "htm", "htu"] {
            for odd in [Value::Null, json!(1), json!(["1"])] {
                assert!(matches!(claim(name, odd.clone()), Err(BadProof::Malformed(_))), "{name} {odd}");
            }
        }
        for jti in [String::new(), "x".repeat(MAX_ID_BYTES + 1)] {
            assert!(matches!(claim("jti", json!(jti)), Err(BadProof::Malformed(_))), "{}", jti.len());
        }
        assert!(claim("jti", json!("x".repeat(MAX_ID_BYTES))).is_ok());
        for (name, odd) in [("ath", json!(1)), ("nonce", json!(1))] {
            assert!(matches!(claim(name, odd), Err(BadProof::Malformed(_))), "{name}");
        }
    }

    #[test]
    fn it_is_a_proof_and_nothing_else() {
        assert!(with(|header, _| header["typ"] = json!("DPoP+JWT")).is_ok(), "media types have no case");
        for typ in [json!("JWT"), json!("at+jwt"), json!("application/dpop+jwt"), json!("")] {
            assert!(matches!(with(|header, _| header["typ"] = typ.clone()), Err(BadProof::Kind(_))), "{typ}");
        }
        let untyped = with(|header, _| drop(header.as_object_mut().unwrap().remove("typ")));
        assert!(matches!(untyped, Err(BadProof::Kind(_))));
        for odd in ["", "x", "a.b.c", "a.b", "....", &"x".repeat(MAX_PROOF_BYTES + 1)] {
            assert!(matches!(judge(odd), Err(BadProof::Malformed(_))), "{}", odd.len());
        }
        assert!(matches!(with(|header, _| header["crit"] = json!(["b64"])), Err(BadProof::Malformed(_))));
    }

    #[test]
    fn an_oversized_proof_is_not_looked_at() {
        let padded = |length: usize| claim("nonce", json!("n".repeat(length)));
        assert!(padded(5_000).is_ok());
        assert_eq!(padded(8_000).unwrap_err().to_string(), "DPoP proof is malformed: longer than 8192 bytes");
    }

    #[test]
    fn only_the_key_in_it_signs_it_with_its_own_algorithm() {
        let (key, other) = (SigningKey::generate(), SigningKey::generate());
        let claims =
            json!({"jti": "1", "htm": "POST", "htu": URL, "iat": NOW, "ath": sha256_base64url(TOKEN.as_bytes())});
        let header = |alg: &str| json!({"typ": TYP, "alg": alg, "jwk": key.embedded_jwk()});
        assert!(judge(key.sign_under(&header("ES256"), &claims).expose()).is_ok());
        let by_another = other.sign_under(&header("ES256"), &claims);
        assert_eq!(judge(by_another.expose()), Err(BadProof::Signature));
        for alg in ["ES384", "RS256", "EdDSA"] {
            assert_eq!(judge(key.sign_under(&header(alg), &claims).expose()), Err(BadProof::Signature), "{alg}");
        }
        for alg in ["none", "None", "HS256", "HS512", "es256", "ES256K", ""] {
            let signed = key.sign_under(&header(alg), &claims);
            let (input, _) = signed.expose().rsplit_once('.').unwrap();
            // By the public key, which everybody has.
            let secret = EncodingKey::from_secret(key.embedded_jwk().to_string().as_bytes());
            let hmac = jsonwebtoken::crypto::sign(input.as_bytes(), &secret, Algorithm::HS256).unwrap();
            for signature in ["", hmac.as_str()] {
                let refused = judge(&format!("{input}.{signature}"));
                assert!(matches!(refused, Err(BadProof::Algorithm(_))), "{alg}: {refused:?}");
            }
        }
    }

    #[test]
    fn the_key_is_there_and_public() {
        let keyless = with(|header, _| drop(header.as_object_mut().unwrap().remove("jwk")));
        assert!(matches!(keyless, Err(BadProof::Malformed(_))));
        let told = with(|header, _| header["jwk"]["d"] = json!("c2VjcmV0"));
        assert_eq!(told, Err(BadProof::Key(NotAPublicKey::Private)));
        for jwk in [json!({}), json!("kid"), json!({"kty": "oct"}), json!({"kty": "EC", "crv": "P-256", "x": "AA"})] {
            let refused = with(|header, _| header["jwk"] = jwk.clone());
            assert_eq!(refused, Err(BadProof::Key(NotAPublicKey::Unusable)), "{jwk}");
        }
        // What another header names is no key of ours.
        let elsewhere = with(|header, _| {
            header.as_object_mut().unwrap().remove("jwk");
            header["jku"] = json!("https://keys.example");
        });
        assert!(matches!(elsewhere, Err(BadProof::Malformed(_))));
    }
}
