//! What a token's claims must say, whoever vouches for them: a signature, or the issuer when it is asked (RFC 7662).

use std::time::Duration;

use serde::Deserialize;

use super::verify::{Expect, Refused, printable};
use crate::{
    json::present,
    oauth::{Scopes, client_auth::Audience},
};

/// The longest life of an access token: one that was stolen must not work for days.
pub(super) const MAX_LIFETIME: Duration = Duration::from_hours(24);
/// The longest `sub`, in characters (OpenID Connect Core section 2).
const MAX_SUBJECT: usize = 255;

/// What a good token says.
#[derive(Clone, Debug)]
pub struct Claims {
    /// `sub`.
    pub subject: String,
    /// `client_id`, else `azp`.
    pub client_id: Option<String>,
    /// `preferred_username`.
    pub username: Option<String>,
    /// `scope` and `scp`, whichever there is, string or array.
    pub scopes: Scopes,
    /// `exp`, since the epoch. Only an introspected token may have none.
    pub expires_at: Option<Duration>,
    /// `jti`.
    pub token_id: Option<String>,
    /// `cnf.jkt`: the thumbprint of the key that the token works with (RFC 9449 section 6.1).
    pub bound_to: Option<String>,
}

/// Claims as they were read, not yet believed.
#[derive(Debug, Deserialize)]
pub(super) struct RawClaims {
    #[serde(default, deserialize_with = "present")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "present")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Audience>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    jti: Option<String>,
    #[serde(default, deserialize_with = "present")]
    client_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    azp: Option<String>,
    preferred_username: Option<String>,
    scope: Option<ScopeClaim>,
    scp: Option<ScopeClaim>,
    typ: Option<String>,
    nonce: Option<serde::de::IgnoredAny>,
    at_hash: Option<serde::de::IgnoredAny>,
    events: Option<serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    cnf: Option<Confirmation>,
}

/// What whoever sends the token has to prove (RFC 7800 section 3.1).
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct Confirmation {
    #[serde(default, deserialize_with = "present")]
    jkt: Option<String>,
    /// A certificate, which nobody shows here (RFC 8705 section 3.1): one of two conditions is not enough.
    #[serde(rename = "x5t#S256")]
    certificate: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ScopeClaim {
    Text(String),
    List(Vec<String>),
    Other(serde::de::IgnoredAny),
}

impl RawClaims {
    /// RFC 9068 section 2.2 requires them of a JWT; an introspection answer may lack them.
    pub(super) fn require_those_of_a_jwt(&self) -> Result<(), Refused> {
        for (name, is_there) in [("iss", self.iss.is_some()), ("exp", self.exp.is_some())] {
            if !is_there {
                return Err(Refused::Malformed(format!("its claims: missing field `{name}`")));
            }
        }
        Ok(())
    }

    /// Whether they name the expected issuer, if they name one.
    pub(super) fn check_issuer(&self, expect: &Expect) -> Result<(), Refused> {
        match &self.iss {
            Some(found) if found != expect.issuer.as_str() => {
                Err(Refused::Issuer { found: printable(found), expected: expect.issuer.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// RFC 9068 section 4 wants the header's `typ` to be `at+jwt`; issuers that write plain `JWT` (Keycloak), or answer
    /// without a header, are read by what else the token says.
    pub(super) fn check_kind(&self, header_typ: Option<&str>) -> Result<(), Refused> {
        let typ = header_typ.map(str::to_ascii_lowercase);
        match typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ)) {
            Some("at+jwt") => Ok(()),
            None | Some("jwt") => match self.typ.as_deref() {
                Some("Bearer") => Ok(()),
                // What Keycloak 26 calls a bound one.
                Some("DPoP") if self.cnf.is_some() => Ok(()),
                Some(other) => Err(Refused::NotAnAccessToken(format!("its `typ` is `{}`", printable(other)))),
                None if self.nonce.is_some() || self.at_hash.is_some() => {
                    Err(Refused::NotAnAccessToken("it looks like an ID token".to_owned()))
                }
                None if self.events.is_some() => {
                    Err(Refused::NotAnAccessToken("it looks like a security event token".to_owned()))
                }
                None => Ok(()),
            },
            Some(other) => Err(Refused::NotAnAccessToken(format!("its header's `typ` is `{}`", printable(other)))),
        }
    }

    /// Whether `aud` is this, or has it.
    pub(super) fn is_for(&self, audience: &str) -> bool {
        self.aud.as_ref().is_some_and(|named| named.iter().any(|named| named == audience))
    }

    /// Whether one of our names is among those that the token is for.
    pub(super) fn check_audience(&self, expect: &Expect) -> Result<(), Refused> {
        if expect.audiences.iter().any(|ours| self.is_for(ours)) {
            return Ok(());
        }
        let found = match &self.aud {
            None => "absent".to_owned(),
            Some(audience) => printable(&serde_json::to_string(audience).unwrap_or_default()),
        };
        Err(Refused::Audience { found, expected: expect.audiences.join("` or `") })
    }

    /// Whether it is good by now, and still.
    pub(super) fn check_times(&self, leeway: Duration, now: Duration) -> Result<(), Refused> {
        let (now, leeway) = (now.as_secs_f64(), leeway.as_secs_f64());
        match *self {
            Self { exp: Some(exp), .. } if now >= exp + leeway => Err(Refused::Expired(whole_seconds(now - exp))),
            Self { nbf: Some(nbf), .. } if nbf > now + leeway => Err(Refused::NotYetValid(whole_seconds(nbf - now))),
            Self { iat: Some(iat), .. } if iat > now + leeway => Err(Refused::IssuedInFuture(whole_seconds(iat - now))),
            _ => Ok(()),
        }
    }

    /// Whether it ends soon enough for a token that nobody is asked about again.
    pub(super) fn check_lifetime(&self, now: Duration) -> Result<(), Refused> {
        let lives = self.exp.unwrap_or(f64::INFINITY) - self.iat.unwrap_or(now.as_secs_f64());
        if lives > MAX_LIFETIME.as_secs_f64() { Err(Refused::LivesTooLong(whole_seconds(lives))) } else { Ok(()) }
    }

    /// What the token says, after every check that needs to know who asks.
    ///
    /// # Errors
    /// It is bound to something that cannot be proved here, or speaks for nobody.
    pub(super) fn into_claims(self) -> Result<Claims, Refused> {
        let bound_to = match self.cnf {
            None => None,
            Some(Confirmation { jkt: Some(jkt), certificate: None }) => Some(jkt),
            Some(_) => return Err(Refused::UnknownConfirmation),
        };
        Ok(Claims {
            subject: subject(self.sub)?,
            client_id: self.client_id.or(self.azp),
            username: self.preferred_username,
            scopes: scopes([self.scope.as_ref(), self.scp.as_ref()]),
            expires_at: self.exp.map(|exp| Duration::try_from_secs_f64(exp).unwrap_or(Duration::MAX)),
            token_id: self.jti,
            bound_to,
        })
    }
}

fn subject(claim: Option<String>) -> Result<String, Refused> {
    let subject = claim.unwrap_or_default();
    match subject.chars().count() {
        0 => Err(Refused::NotAnAccessToken("it has no `sub`".to_owned())),
        1..=MAX_SUBJECT => Ok(subject),
        _ => Err(Refused::NotAnAccessToken(format!("its `sub` is longer than {MAX_SUBJECT} characters"))),
    }
}

fn scopes(claims: [Option<&ScopeClaim>; 2]) -> Scopes {
    Scopes::from_claims(claims.into_iter().flatten().flat_map(|claim| match claim {
        ScopeClaim::Text(text) => text.split(' ').collect::<Vec<_>>(),
        ScopeClaim::List(list) => list.iter().map(String::as_str).collect(),
        ScopeClaim::Other(_) => Vec::new(),
    }))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is only shown to people")]
fn whole_seconds(seconds: f64) -> u64 {
    seconds.ceil() as u64
}
