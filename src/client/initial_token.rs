//! Why an initial access token may have been refused: what the token says of itself, since issuers hardly say it.
//!
//! Keycloak answers `Failed decode token` to an expired one, to garbage, and to one of another issuer.

use std::time::Duration;

use serde::Deserialize;

use super::error::said;
use crate::{jose::Jws, oauth::Issuer, secret::Secret};

/// What is wrong with an initial access token, as far as it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitialTokenProblem {
    /// `exp` is past by so many seconds.
    Expired(u64),
    /// `iss` names another issuer.
    OtherIssuer(String),
    /// It is no JWT; that is only a problem at an issuer whose tokens are.
    Opaque,
    /// Nothing: it is used up, revoked, or of another kind.
    NotSeen,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    exp: Option<u64>,
}

impl InitialTokenProblem {
    /// Looks at a token that this issuer has refused.
    pub(super) fn of(token: &Secret, issuer: &Issuer, now: Duration) -> Self {
        let claims = Jws::parse(token.expose()).and_then(|token| token.claims::<Claims>());
        match claims {
            Ok(Claims { iss: Some(found), .. }) if found != issuer.as_str() => Self::OtherIssuer(said(&found)),
            Ok(Claims { exp: Some(exp), .. }) if exp != 0 && exp <= now.as_secs() => Self::Expired(now.as_secs() - exp),
            Ok(_) => Self::NotSeen,
            Err(_) => Self::Opaque,
        }
    }

    /// What to do.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Expired(seconds) => {
                format!("the initial access token expired {seconds} s ago: have the issuer make another")
            }
            Self::OtherIssuer(found) => format!(
                "the initial access token is of issuer `{found}`: have it made at this issuer, under the same host name"
            ),
            Self::Opaque => {
                "check the initial access token (`--initial-access-token-file`): it was not taken, and does not \
                             look like a token of Keycloak"
                    .to_owned()
            }
            Self::NotSeen => "have the issuer make another initial access token, with uses left \
                              (`--initial-access-token-file`)"
                .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::jose::SigningKey;

    #[test]
    fn a_token_tells_what_an_issuer_does_not() {
        let issuer = Issuer::parse("https://kc.example/realms/mcp").unwrap();
        let look = |token: &Secret| InitialTokenProblem::of(token, &issuer, Duration::from_secs(1000));
        let signed = |claims: Value| SigningKey::generate().sign("JWT", &claims);
        let of = |exp: u64| look(&signed(json!({"iss": "https://kc.example/realms/mcp", "exp": exp})));
        assert_eq!(of(993), InitialTokenProblem::Expired(7));
        assert_eq!(of(1001), InitialTokenProblem::NotSeen);
        assert_eq!(of(0), InitialTokenProblem::NotSeen, "Keycloak's word for never");
        let other = signed(json!({"iss": "https://kc.example/realms/mcp/", "exp": 1}));
        assert_eq!(look(&other), InitialTokenProblem::OtherIssuer("https://kc.example/realms/mcp/".to_owned()));
        assert_eq!(look(&Secret::new("garbage")), InitialTokenProblem::Opaque);
    }
}
