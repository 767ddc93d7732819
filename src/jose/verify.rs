//! The judgement on an access token: RFC 9068 section 4, RFC 8725, and the issuer's and resource's names.
//!
//! A pure function of token, keys, expectation and time. The order is chosen so that nothing of a token is believed before
//! its signature, and no key is looked for (which may cost a fetch) for a token that names another issuer.

use std::time::Duration;

use jsonwebtoken::Algorithm;

use super::{
    KeySet,
    claims::{Claims, MAX_LIFETIME, RawClaims},
    jws::Jws,
};
use crate::{hint::Hint, oauth::Issuer, said::said};

/// What a token must be to be good here.
#[derive(Clone, Debug)]
pub struct Expect {
    /// `iss`, byte for byte.
    pub issuer: Issuer,
    /// `aud` must contain one of these, byte for byte.
    pub audiences: Vec<String>,
    /// The algorithms that may be used at all; the key narrows them further.
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may differ.
    pub leeway: Duration,
}

/// Why a token is not good here. The words are for logs and for `token inspect`; a caller over HTTP hears `invalid_token`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refused {
    /// Not a JWT in the compact serialisation with sane JSON in it.
    #[error("token is not a signed JWT: {0}")]
    Malformed(String),
    /// `alg` is not allowed at all, or not for this key.
    #[error("token is signed with `{0}`, which is not allowed for this issuer's key")]
    Algorithm(String),
    /// The header demands something this verifier must understand and does not (RFC 7515 section 4.1.11).
    #[error("token header has `{0}`, which is not supported")]
    UnsupportedHeader(&'static str),
    /// The key is not in the issuer's set.
    #[error("no key `{0}` in the key set of the issuer")]
    UnknownKey(String),
    /// There is no `kid` and not exactly one fitting key.
    #[error("token names no key (`kid`) and the issuer has not exactly one that fits")]
    AmbiguousKey,
    /// The signature is not that key's.
    #[error("token signature does not fit the issuer's key")]
    Signature,
    /// Another issuer's token.
    #[error("`iss` is `{found}`, expected `{expected}`")]
    Issuer {
        /// What the token says.
        found: String,
        /// Who is trusted here.
        expected: String,
    },
    /// A token for another resource.
    #[error("`aud` is {found}, expected `{expected}`")]
    Audience {
        /// What the token says, as JSON.
        found: String,
        /// This resource.
        expected: String,
    },
    /// `exp` is past.
    #[error("token expired {0} s ago")]
    Expired(u64),
    /// `nbf` is in the future.
    #[error("token is not valid for another {0} s")]
    NotYetValid(u64),
    /// `iat` is in the future.
    #[error("token was issued {0} s in the future")]
    IssuedInFuture(u64),
    /// From `iat`, or from now on without one, to `exp` is more than a day.
    #[error("token lives {} h, more than {} h", .0 / 3600, MAX_LIFETIME.as_secs() / 3600)]
    LivesTooLong(u64),
    /// What its issuer says of it when asked (RFC 7662 section 2.2).
    #[error("the issuer says that the token is not active")]
    Inactive,
    /// An ID token, a refresh token, a logout token, a client assertion.
    #[error("not an access token: {0}")]
    NotAnAccessToken(String),
    /// `cnf.jkt`: the token works only with a proof of possession (RFC 9449) and came without one.
    #[error("token is bound to a key (`cnf`) and was presented as a plain bearer token")]
    SenderConstrained,
    /// The proof beside the token is by somebody else.
    #[error("token is bound to key `{bound_to}`, and its DPoP proof is by key `{shown}`")]
    OtherKey {
        /// The thumbprint in the token.
        bound_to: String,
        /// That of the proof's key.
        shown: String,
    },
    /// A proof makes no bound token of another one.
    #[error("token is bound to no key and was presented with a DPoP proof")]
    NotBound,
    /// `cnf` without `jkt`, or with more than that: a certificate (RFC 8705), or a method of another RFC.
    #[error("token is bound to something (`cnf`) that cannot be proved here")]
    UnknownConfirmation,
}

impl Hint for Refused {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Malformed(_) | Self::UnsupportedHeader(_) => {
                "send the access token itself, as the token endpoint returned it".to_owned()
            }
            Self::Algorithm(_) => "have the issuer sign with an algorithm of `issuer.algorithms`".to_owned(),
            Self::UnknownKey(_) | Self::AmbiguousKey | Self::Signature => {
                "get a new token; if it persists, compare the issuer's `jwks_uri` with the server's".to_owned()
            }
            Self::Issuer { expected, .. } => {
                format!("get the token from the issuer that the server trusts: `{expected}`")
            }
            Self::Audience { expected, .. } => {
                format!(
                    "ask for the token with `resource={expected}`, or map this audience in the issuer (Keycloak: an audience mapper on the `mcp:*` client scopes)"
                )
            }
            Self::Inactive => "get a new token: this one expired or was revoked".to_owned(),
            Self::Expired(_) => {
                "get a new token; if it was just issued, check the clocks of issuer and server".to_owned()
            }
            Self::NotYetValid(_) | Self::IssuedInFuture(_) => "check the clocks of issuer and server".to_owned(),
            Self::LivesTooLong(_) => "have the issuer issue access tokens for minutes, 24 hours at most".to_owned(),
            Self::NotAnAccessToken(_) => {
                "send the `access_token` of the token response, not the ID or refresh token".to_owned()
            }
            Self::SenderConstrained => {
                "send it as `Authorization: DPoP` with a proof by its key, as `securemcp call --dpop` does".to_owned()
            }
            Self::OtherKey { .. } => "make the proof with the key that the token was asked for with".to_owned(),
            Self::NotBound => {
                "ask for the token with a DPoP proof, or send this one as `Authorization: Bearer`".to_owned()
            }
            Self::UnknownConfirmation => "have the issuer bind tokens by DPoP (`cnf.jkt`) and nothing else".to_owned(),
        })
    }
}

/// A parsed token of which nothing is believed yet.
#[derive(Debug)]
pub struct Unverified<'a> {
    jws: Jws<'a>,
    claims: RawClaims,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart. A member that occurs twice is an error: two parsers could read two tokens.
    pub fn parse(token: &'a str) -> Result<Self, Refused> {
        let jws = Jws::parse(token)?;
        let claims: RawClaims = jws.claims()?;
        claims.require_those_of_a_jwt()?;
        Ok(Self { jws, claims })
    }

    /// The key's name, if the header has one.
    pub fn kid(&self) -> Option<&str> {
        self.jws.kid()
    }

    /// Whether the token at least claims to come from the expected issuer, by an algorithm that counts: asked before a key
    /// is looked for.
    pub fn check_claimed_origin(&self, expect: &Expect) -> Result<(), Refused> {
        self.claims.check_issuer(expect)?;
        self.jws.algorithm(&expect.algorithms).map(drop)
    }

    /// Whether the token at least claims to be for this audience.
    pub fn is_for(&self, audience: &str) -> bool {
        self.claims.is_for(audience)
    }

    /// Verifies everything.
    ///
    /// # Errors
    /// The first rule of [`Refused`] that the token breaks. [`Refused::UnknownKey`] is worth one look at a newer key set.
    pub fn verify(self, keys: &KeySet, expect: &Expect, now: Duration) -> Result<Claims, Refused> {
        self.claims.check_issuer(expect)?;
        self.jws.check_signature(keys, &expect.algorithms)?;
        self.claims.check_kind(self.jws.typ())?;
        self.claims.check_audience(expect)?;
        self.claims.check_times(expect.leeway, now)?;
        self.claims.check_lifetime(now)?;
        self.claims.into_claims()
    }
}

/// A stranger's text, safe to put into a log line: short, and without what could draw or hide.
pub(crate) fn printable(text: &str) -> String {
    said(&text.chars().take(200).collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::jose::SigningKey;

    const NOW: u64 = 1_700_000_000;

    fn expect() -> Expect {
        Expect {
            issuer: Issuer::parse("https://issuer.example").unwrap(),
            audiences: vec!["https://mcp.example/mcp".to_owned()],
            algorithms: crate::jose::ALGORITHMS.to_vec(),
            leeway: Duration::from_secs(30),
        }
    }

    fn good_claims() -> Value {
        json!({"iss": "https://issuer.example", "aud": "https://mcp.example/mcp", "sub": "alice", "exp": NOW + 300,
               "iat": NOW, "client_id": "cli", "scope": "mcp:read mcp:write", "jti": "1"})
    }

    fn judge(typ: &str, claims: &Value) -> Result<Claims, Refused> {
        let key = SigningKey::generate();
        let keys = KeySet::parse(json!({"keys": [key.public_jwk()]}).to_string().as_bytes()).unwrap();
        let token = key.sign(typ, claims);
        Unverified::parse(token.expose())?.verify(&keys, &expect(), Duration::from_secs(NOW))
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good_claims();
        claims[name] = value;
        claims
    }

    fn without(name: &str) -> Value {
        let mut claims = good_claims();
        claims.as_object_mut().unwrap().remove(name);
        claims
    }

    #[test]
    fn a_good_token_says_who_and_what() {
        let claims = judge("at+jwt", &good_claims()).unwrap();
        assert_eq!(claims.subject, "alice");
        assert_eq!(claims.client_id.as_deref(), Some("cli"));
        assert_eq!(claims.scopes.to_string(), "mcp:read mcp:write");
        assert_eq!(claims.expires_at, Some(Duration::from_secs(NOW + 300)));
    }

    #[test]
    fn audience_is_one_of_ours_exactly() {
        for good in [json!("https://mcp.example/mcp"), json!(["account", "https://mcp.example/mcp"])] {
            assert!(judge("at+jwt", &with("aud", good.clone())).is_ok(), "{good}");
        }
        let bad = [
            json!(""),
            json!("https://mcp.example/mc"),
            json!("https://mcp.example/mcp2"),
            json!("https://mcp.example/mcp/evil"),
            json!("https://MCP.example/mcp"),
            json!("https://mcp.example:8443/mcp"),
            json!("https%3A%2F%2Fmcp.example%2Fmcp"),
            json!(["account"]),
            json!([]),
        ];
        for bad in bad {
            assert!(matches!(judge("at+jwt", &with("aud", bad.clone())), Err(Refused::Audience { .. })), "{bad}");
        }
        assert!(matches!(judge("at+jwt", &without("aud")), Err(Refused::Audience { .. })));
        for odd in [json!({"a": 1}), json!(null), json!(1), json!([1])] {
            assert!(matches!(judge("at+jwt", &with("aud", odd.clone())), Err(Refused::Malformed(_))), "{odd}");
        }
    }

    #[test]
    fn expiry_is_a_number_and_has_leeway() {
        for good in [json!(NOW + 1), json!(NOW - 29), json!(1_700_000_000.5)] {
            assert!(judge("at+jwt", &with("exp", good.clone())).is_ok(), "{good}");
        }
        for late in [json!(NOW - 30), json!(-1), json!(0)] {
            assert!(matches!(judge("at+jwt", &with("exp", late.clone())), Err(Refused::Expired(_))), "{late}");
        }
        for odd in [json!("never"), json!("99999999999"), json!(null), json!([]), json!(true)] {
            assert!(matches!(judge("at+jwt", &with("exp", odd.clone())), Err(Refused::Malformed(_))), "{odd}");
        }
        assert!(matches!(judge("at+jwt", &without("exp")), Err(Refused::Malformed(_))));
    }

    #[test]
    fn times_in_the_future_have_leeway_and_an_end() {
        assert!(judge("at+jwt", &with("nbf", json!(NOW + 30))).is_ok());
        assert!(matches!(judge("at+jwt", &with("nbf", json!(NOW + 31))), Err(Refused::NotYetValid(_))));
        assert!(matches!(judge("at+jwt", &with("nbf", json!("soon"))), Err(Refused::Malformed(_))));
        assert!(judge("at+jwt", &with("iat", json!(NOW + 30))).is_ok());
        assert!(matches!(judge("at+jwt", &with("iat", json!(NOW + 31))), Err(Refused::IssuedInFuture(_))));
    }

    #[test]
    fn only_access_tokens_pass() {
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "JWT"] {
            assert!(judge(typ, &good_claims()).is_ok(), "{typ}");
        }
        for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "oauth-id-jag+jwt", ""] {
            assert!(matches!(judge(typ, &good_claims()), Err(Refused::NotAnAccessToken(_))), "{typ}");
        }
        assert!(judge("JWT", &with("typ", json!("Bearer"))).is_ok(), "Keycloak's access token");
        for typ in ["Refresh", "ID", "Offline", "Logout"] {
            assert!(matches!(judge("JWT", &with("typ", json!(typ))), Err(Refused::NotAnAccessToken(_))), "{typ}");
        }
        assert!(matches!(judge("JWT", &with("nonce", json!("n"))), Err(Refused::NotAnAccessToken(_))));
        assert!(matches!(judge("at+jwt", &without("sub")), Err(Refused::NotAnAccessToken(_))));
    }

    #[test]
    fn a_token_lives_a_day_at_most() {
        let lived = |iat: Value, exp: u64| {
            let mut claims = with("exp", json!(exp));
            claims["iat"] = iat;
            judge("at+jwt", &claims)
        };
        assert!(lived(json!(NOW - 9), NOW - 9 + 86_400).is_ok());
        assert_eq!(lived(json!(NOW - 9), NOW - 8 + 86_400).unwrap_err(), Refused::LivesTooLong(86_401));
        let mut undated = with("exp", json!(NOW + 86_400));
        undated.as_object_mut().unwrap().remove("iat");
        assert!(judge("at+jwt", &undated).is_ok());
        undated["exp"] = json!(NOW + 360_001);
        let refused = judge("at+jwt", &undated).unwrap_err();
        assert_eq!(refused.to_string(), "token lives 100 h, more than 24 h");
    }

    #[test]
    fn a_bound_token_says_to_which_key_and_to_nothing_else() {
        let bound = |cnf: Value| judge("at+jwt", &with("cnf", cnf)).map(|claims| claims.bound_to);
        assert_eq!(bound(json!({"jkt": "x"})), Ok(Some("x".to_owned())));
        assert_eq!(bound(json!({"jkt": "x", "kc-jkt-type": "DPOP"})), Ok(Some("x".to_owned())), "Keycloak's");
        for cnf in [json!({}), json!({"x5t#S256": "x"}), json!({"jkt": "x", "x5t#S256": "x"}), json!({"kid": "x"})] {
            assert_eq!(bound(cnf.clone()), Err(Refused::UnknownConfirmation), "{cnf}");
        }
        for cnf in [json!(null), json!("x"), json!([]), json!({"jkt": 1}), json!({"jkt": null})] {
            assert!(matches!(bound(cnf.clone()), Err(Refused::Malformed(_))), "{cnf}");
        }
        assert_eq!(judge("at+jwt", &good_claims()).unwrap().bound_to, None);
    }

    #[test]
    fn what_keycloak_calls_a_bound_token_is_bound() {
        let mut claims = with("typ", json!("DPoP"));
        assert!(matches!(judge("JWT", &claims), Err(Refused::NotAnAccessToken(_))));
        claims["cnf"] = json!({"jkt": "x"});
        assert_eq!(judge("JWT", &claims).unwrap().bound_to.as_deref(), Some("x"));
    }

    #[test]
    fn scopes_come_as_string_or_array() {
        for (name, value) in [
            ("scope", json!(["a", "b"])),
            ("scp", json!("a b")),
            ("scope", json!("a  b")),
            ("scp", json!(["a", "b", "a b"])),
        ] {
            let mut claims = without("scope");
            claims[name] = value;
            assert_eq!(judge("at+jwt", &claims).unwrap().scopes.to_string(), "a b", "{claims}");
        }
        assert!(judge("at+jwt", &with("scope", json!(7))).unwrap().scopes.is_empty());
    }

    #[test]
    fn strangers_texts_are_escaped_in_messages() {
        let refused = judge("at+jwt", &with("iss", json!("evil\n\u{1b}[31m"))).unwrap_err();
        assert_eq!(refused.to_string(), r"`iss` is `evil\n\u{1b}[31m`, expected `https://issuer.example`");
    }
}
