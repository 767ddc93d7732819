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
    /// The issuer says that it was used as often as it may be.
    UsedUp,
    /// The issuer says that it was taken back.
    Revoked,
    /// `typ` names a token of another kind.
    OtherKind(String),
    /// It is no JWT; that is only a problem at an issuer whose tokens are.
    Opaque,
    /// Nothing.
    NotSeen,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    exp: Option<u64>,
    typ: Option<String>,
}

/// The words of Keycloak 26.7.3 for what it does tell.
const USED_UP: &str = "No remaining count";
const REVOKED: &str = "Initial Access Token not found";

impl InitialTokenProblem {
    /// Looks at a token that this issuer has refused with these words.
    pub(super) fn of(token: &Secret, issuer: &Issuer, answer: &str, now: Duration) -> Self {
        if answer.contains(USED_UP) {
            return Self::UsedUp;
        }
        if answer.contains(REVOKED) {
            return Self::Revoked;
        }
        let claims = Jws::parse(token.expose()).and_then(|token| token.claims::<Claims>());
        match claims {
            Ok(Claims { iss: Some(found), .. }) if found != issuer.as_str() => Self::OtherIssuer(said(&found)),
            Ok(Claims { typ: Some(found), .. }) if found != "InitialAccessToken" => Self::OtherKind(said(&found)),
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
            Self::UsedUp => {
                "the initial access token has no uses left: have the issuer make another, with a count of more \
                             than 1 for several clients"
                    .to_owned()
            }
            Self::Revoked => "the initial access token was taken back at the issuer: have it make another".to_owned(),
            Self::OtherKind(found) => format!(
                "that is a token of type `{found}`, not an initial access token: have the issuer make one, or name an \
                 administrator of a Keycloak with `--keycloak-admin`"
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
        let told =
            |token: &Secret, answer: &str| InitialTokenProblem::of(token, &issuer, answer, Duration::from_secs(1000));
        let look = |token: &Secret| told(token, "`invalid_token`: Failed decode token");
        let signed = |claims: Value| SigningKey::generate().sign("JWT", &claims);
        let of = |exp: u64| look(&signed(json!({"iss": "https://kc.example/realms/mcp", "exp": exp})));
        assert_eq!(of(993), InitialTokenProblem::Expired(7));
        assert_eq!(of(1001), InitialTokenProblem::NotSeen);
        assert_eq!(of(0), InitialTokenProblem::NotSeen, "Keycloak's word for never");
        let other = signed(json!({"iss": "https://kc.example/realms/mcp/", "exp": 1}));
        assert_eq!(look(&other), InitialTokenProblem::OtherIssuer("https://kc.example/realms/mcp/".to_owned()));
        assert_eq!(look(&Secret::new("garbage")), InitialTokenProblem::Opaque);
        let bearer = signed(json!({"iss": "https://kc.example/realms/mcp", "exp": 1001, "typ": "Bearer"}));
        assert_eq!(look(&bearer), InitialTokenProblem::OtherKind("Bearer".to_owned()));
        let good = signed(json!({"iss": "https://kc.example/realms/mcp", "exp": 1001, "typ": "InitialAccessToken"}));
        assert_eq!(look(&good), InitialTokenProblem::NotSeen);
        let used_up = told(&good, "`invalid_token`: No remaining count on initial access token");
        assert_eq!(used_up, InitialTokenProblem::UsedUp);
        assert_eq!(told(&good, "`invalid_token`: Initial Access Token not found"), InitialTokenProblem::Revoked);
    }
}
