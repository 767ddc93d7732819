//! An issuer's word on a token: the judgement on an introspection answer (RFC 7662 section 2.2).

use std::time::Duration;

use serde::Deserialize;

use super::{
    claims::{Claims, RawClaims},
    verify::{Expect, Refused, printable},
};
use crate::json::is_deeper_than;

/// Deepest nesting of an answer.
const MAX_DEPTH: usize = 32;

/// What an issuer answered about a token.
#[derive(Debug)]
pub enum Told {
    /// It is good for whoever asked, and this is what it says.
    Active(Box<Active>),
    /// It is not: unknown, expired, revoked, or none of the business of whoever asked.
    Inactive,
}

/// The claims of an active token, not yet judged.
#[derive(Debug)]
pub struct Active {
    claims: RawClaims,
    token_type: Option<String>,
}

/// The members that are not claims.
#[derive(Deserialize)]
struct Head {
    active: bool,
    token_type: Option<String>,
}

impl Told {
    /// Reads an answer.
    ///
    /// # Errors
    /// It does not say with `true` or `false` whether the token is active, or a claim has the wrong type.
    pub fn parse(answer: &[u8]) -> Result<Self, serde_json::Error> {
        if is_deeper_than(MAX_DEPTH, answer) {
            return Err(serde::de::Error::custom(format!("nested deeper than {MAX_DEPTH}")));
        }
        let Head { active, token_type } = serde_json::from_slice(answer)?;
        if !active {
            return Ok(Self::Inactive);
        }
        Ok(Self::Active(Box::new(Active { claims: serde_json::from_slice(answer)?, token_type })))
    }

    /// Whether the token is good here: the rules of a JWT but for its signature and its length of life, since the issuer
    /// vouches for this very moment.
    ///
    /// # Errors
    /// The first rule of [`Refused`] that it breaks. An answer that does not say whom the token is for is refused.
    pub fn judge(self, expect: &Expect, now: Duration) -> Result<Claims, Refused> {
        let Self::Active(active) = self else { return Err(Refused::Inactive) };
        let Active { claims, token_type } = *active;
        claims.check_issuer(expect)?;
        claims.check_kind(None)?;
        claims.check_audience(expect)?;
        claims.check_times(expect.leeway, now)?;
        let claims = claims.into_claims()?;
        match token_type {
            Some(kind) if kind.eq_ignore_ascii_case("dpop") && claims.bound_to.is_none() => {
                Err(Refused::UnknownConfirmation)
            }
            Some(kind) if !["bearer", "dpop"].iter().any(|known| kind.eq_ignore_ascii_case(known)) => {
                Err(Refused::NotAnAccessToken(format!("its `token_type` is `{}`", printable(&kind))))
            }
            _ => Ok(claims),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::oauth::Issuer;

    const NOW: u64 = 1_700_000_000;

    fn judge(changes: &[(&str, Value)]) -> Result<Claims, Refused> {
        let mut answer = json!({"active": true, "aud": ["account", "https://mcp.example/mcp"], "sub": "alice",
            "iss": "https://issuer.example", "exp": NOW + 300, "client_id": "cli", "scope": "mcp:read",
            "token_type": "Bearer", "typ": "Bearer"});
        for (name, value) in changes {
            match value {
                Value::Null => drop(answer.as_object_mut().unwrap().remove(*name)),
                value => answer[name] = value.clone(),
            }
        }
        let expect = Expect {
            issuer: Issuer::parse("https://issuer.example").unwrap(),
            audiences: vec!["https://mcp.example/mcp".to_owned()],
            algorithms: Vec::new(),
            leeway: Duration::from_secs(30),
        };
        Told::parse(answer.to_string().as_bytes()).unwrap().judge(&expect, Duration::from_secs(NOW))
    }

    #[test]
    fn an_active_token_says_who_and_what() {
        let claims = judge(&[]).unwrap();
        assert_eq!((claims.subject.as_str(), claims.client_id.as_deref()), ("alice", Some("cli")));
        assert_eq!(claims.scopes.to_string(), "mcp:read");
        assert_eq!(claims.expires_at, Some(Duration::from_secs(NOW + 300)));
    }

    #[test]
    fn what_rfc_7662_leaves_out_may_be_left_out() {
        for name in ["iss", "client_id", "scope", "token_type", "typ"] {
            assert!(judge(&[(name, Value::Null)]).is_ok(), "{name}");
        }
        assert_eq!(judge(&[("exp", Value::Null)]).unwrap().expires_at, None);
        assert!(judge(&[("exp", json!(NOW + 10 * 86_400))]).is_ok(), "it is asked about again and again");
    }

    #[test]
    fn an_active_token_may_still_be_no_good_here() {
        let refused = |name: &str, value: Value| judge(&[(name, value)]).unwrap_err().to_string();
        assert_eq!(refused("active", json!(false)), "the issuer says that the token is not active");
        assert!(refused("aud", Value::Null).starts_with("`aud` is absent"));
        assert!(refused("aud", json!("https://other.example")).starts_with("`aud` is"));
        assert!(refused("iss", json!("https://other.example")).starts_with("`iss` is"));
        assert!(refused("exp", json!(NOW - 30)).starts_with("token expired"));
        assert!(refused("nbf", json!(NOW + 31)).starts_with("token is not valid for another"));
        assert!(refused("sub", Value::Null).starts_with("not an access token"));
        assert!(refused("typ", json!("Refresh")).starts_with("not an access token"), "Keycloak introspects these too");
        assert!(refused("cnf", json!({"x5t#S256": "x"})).starts_with("token is bound to something"));
        assert!(refused("token_type", json!("DPoP")).starts_with("token is bound to something"), "to what?");
        assert!(refused("token_type", json!("N_A")).starts_with("not an access token"));
    }

    #[test]
    fn a_bound_token_says_to_which_key() {
        for kind in [json!("DPoP"), json!("dpop"), json!("Bearer"), Value::Null] {
            let claims = judge(&[("cnf", json!({"jkt": "x"})), ("token_type", kind.clone())]).unwrap();
            assert_eq!(claims.bound_to.as_deref(), Some("x"), "{kind}");
        }
        assert_eq!(judge(&[]).unwrap().bound_to, None);
    }

    #[test]
    fn an_answer_says_true_or_false() {
        let deep = format!("{{\"active\":true,\"a\":{}1{}}}", "[".repeat(40), "]".repeat(40));
        for odd in [
            "{}",
            "{\"active\":\"true\"}",
            "{\"active\":1}",
            "{\"active\":null}",
            "true",
            "",
            "<html>",
            "{\"active\":false,\"active\":true}",
            "{\"active\":true,\"exp\":\"never\"}",
            deep.as_str(),
        ] {
            assert!(Told::parse(odd.as_bytes()).is_err(), "{odd}");
        }
        assert!(matches!(Told::parse(br#"{"active":false,"exp":"?"}"#), Ok(Told::Inactive)));
    }
}
