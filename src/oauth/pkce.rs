//! Proof Key for Code Exchange: RFC 7636, method `S256` only.

use crate::secret::{Secret, constant_time_eq, is_sha256_base64url, sha256_base64url};

/// The one method: `plain` proves nothing to whoever reads the request.
pub const S256: &str = "S256";

/// What a client keeps to itself between its request for a code and its request for a token.
#[derive(Clone, Debug)]
pub struct Verifier(Secret);

/// What is told of a [`Verifier`] beforehand: its SHA-256, base64url.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CodeChallenge(String);

impl Verifier {
    /// 256 random bits, as RFC 7636 section 4.1 recommends: 43 characters.
    pub fn random() -> Self {
        Self(Secret::random())
    }

    /// Reads what a client sent: 43 to 128 unreserved characters (RFC 7636 section 4.1).
    pub fn parse(text: &str) -> Option<Self> {
        let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let is_one = (43..=128).contains(&text.len()) && text.bytes().all(is_unreserved);
        is_one.then(|| Self(Secret::new(text)))
    }

    /// The verifier itself, for the token request.
    pub const fn secret(&self) -> &Secret {
        &self.0
    }

    /// Its challenge (RFC 7636 section 4.2).
    pub fn challenge(&self) -> CodeChallenge {
        CodeChallenge(sha256_base64url(self.0.expose().as_bytes()))
    }
}

impl CodeChallenge {
    /// Reads what a client sent: a SHA-256 in base64url has 43 characters, whatever RFC 7636 allows for other methods.
    pub fn parse(text: &str) -> Option<Self> {
        is_sha256_base64url(text).then(|| Self(text.to_owned()))
    }

    /// As it goes over the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the challenge of `verifier` (RFC 7636 section 4.6).
    pub fn is_of(&self, verifier: &Verifier) -> bool {
        constant_time_eq(verifier.challenge().0.as_bytes(), self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = Verifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert_eq!(verifier.challenge().as_str(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(verifier.challenge().is_of(&verifier));
        assert!(!verifier.challenge().is_of(&Verifier::random()));
    }

    #[test]
    fn verifiers_have_43_to_128_unreserved_characters() {
        for (text, is_one) in [
            ("a".repeat(43), true),
            ("~._-".repeat(32), true),
            ("a".repeat(42), false),
            ("a".repeat(129), false),
            (format!("{} ", "a".repeat(43)), false),
            (format!("{}+", "a".repeat(43)), false),
            (format!("{}\u{e9}", "a".repeat(43)), false),
        ] {
            assert_eq!(Verifier::parse(&text).is_some(), is_one, "{text}");
        }
        assert!(Verifier::parse(Verifier::random().secret().expose()).is_some());
    }

    #[test]
    fn a01_challenges_have_43_characters_of_base64url() {
        for (text, is_one) in
            [("a".repeat(43), true), ("a".repeat(42), false), ("a".repeat(129), false), ("=".repeat(43), false)]
        {
            assert_eq!(CodeChallenge::parse(&text).is_some(), is_one, "{text}");
        }
    }
}
