//! Who a request speaks for and what it may do, the same for `/mcp` and for REST.
//!
//! The token is that of RFC 6750 section 2.1: the header and nothing else.

use std::sync::Arc;

use axum::http::{HeaderMap, Uri, header, request::Parts};

use super::{App, address::Address, error::Refusal, layers::ResourceIndex};
use crate::{
    auth::{Denied, Principal},
    call::{Kind, rules},
    oauth::Scopes,
    telemetry::audit::{self, Event},
};

/// Whom the request's token speaks for.
///
/// # Errors
/// 401 with a challenge if there is none that is good, 400 if there is more than one, 403 for a client that is not allowed,
/// 429 for a caller that comes too often, 503 while tokens cannot be judged.
pub(super) async fn authenticate(app: &App, parts: &Parts) -> Result<Arc<Principal>, Refusal> {
    let metadata = app.documents.metadata_url(ResourceIndex::of(parts));
    let scopes = &app.scopes;
    let address = Address::of_request(parts);
    let (reason, refusal) = match Bearer::of(&parts.headers, &parts.uri) {
        Bearer::Token(token) => match judge(app, token).await {
            Ok(principal) => {
                app.rates.admit_principal(&principal, address)?;
                return Ok(principal);
            }
            Err(denied) => {
                if matches!(denied, Denied::Refused(_) | Denied::Revoked) {
                    app.rates.charge_refused_token(address);
                }
                record_denied(&denied, address);
                return Err(Refusal::denied(&denied, scopes, metadata));
            }
        },
        Bearer::Absent => ("no token", Refusal::unauthorized(false, scopes, metadata)),
        Bearer::Malformed => ("malformed Authorization header", Refusal::unauthorized(true, scopes, metadata)),
        Bearer::Ambiguous => ("more than one token", Refusal::ambiguous_token(metadata)),
    };
    audit::record(Event::AuthenticationFailed { address: &address.to_string(), reason });
    Err(refusal)
}

/// Only of a bad token it is said that authentication failed: of a good one whose client is not listed somebody is known,
/// and of one that cannot be judged nothing is.
fn record_denied(denied: &Denied, address: Address) {
    let (address, reason) = (&*address.to_string(), &*denied.to_string());
    audit::record(match denied {
        Denied::Refused(_) | Denied::Revoked => Event::AuthenticationFailed { address, reason },
        Denied::ClientNotAllowed(principal) => {
            Event::AccessDenied { actor: principal.actor(), operation: "any", reason }
        }
        Denied::KeysUnavailable | Denied::IntrospectionUnavailable => {
            Event::AuthenticationUnavailable { address, reason }
        }
    });
}

async fn judge(app: &App, token: &str) -> Result<Arc<Principal>, Denied> {
    if !app.metrics.is_on() {
        return app.authenticator.authenticate(token).await;
    }
    let began = app.clock.monotonic();
    let judged = app.authenticator.authenticate(token).await;
    let outcome = match &judged {
        Ok(_) => "accepted",
        Err(Denied::Refused(_) | Denied::Revoked) => "refused",
        Err(Denied::ClientNotAllowed(_)) => "not_allowed",
        Err(Denied::KeysUnavailable | Denied::IntrospectionUnavailable) => "unavailable",
    };
    app.metrics.token(outcome, app.clock.monotonic().saturating_sub(began));
    judged
}

/// What a request wants to use, and what that needs.
#[derive(Debug)]
pub(super) struct Needed<'a> {
    pub(super) kind: Kind,
    /// The tool's or prompt's name, the resource's URI.
    pub(super) name: &'a str,
    pub(super) scopes: Scopes,
}

/// Whether the token's scopes allow all of it.
///
/// # Errors
/// 403 with a challenge that names all scopes that it needs.
pub(super) fn authorize(app: &App, parts: &Parts, needed: &[Needed<'_>], principal: &Principal) -> Result<(), Refusal> {
    let Some(missing) = needed.iter().find(|needed| !principal.scopes.covers(&needed.scopes)) else { return Ok(()) };
    let Needed { kind, name, scopes } = missing;
    let reason = format!("needs scope `{scopes}`, has `{}`", principal.scopes);
    rules::deny(principal, *kind, name, &reason);
    let all = needed.iter().fold(Scopes::none(), |all, needed| all.union(&needed.scopes));
    let metadata = app.documents.metadata_url(ResourceIndex::of(parts));
    Err(Refusal::insufficient_scope(&kind.shortened(name), &all, metadata))
}

/// What the request says about its token.
#[derive(Debug, PartialEq, Eq)]
enum Bearer<'a> {
    /// Nothing that looks like a bearer token.
    Absent,
    /// A header that starts like one and is none.
    Malformed,
    /// More than one way at once, or a query parameter besides a header: RFC 6750 section 2 forbids it.
    Ambiguous,
    /// Exactly one, of the right characters. Not yet believed.
    Token(&'a str),
}

impl<'a> Bearer<'a> {
    /// Reads the `Authorization` header. A token in the query is never used (it ends up in logs); one there beside a
    /// header is refused.
    fn of(headers: &'a HeaderMap, uri: &Uri) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), second) = (values.next(), values.next()) else {
            return Self::Absent;
        };
        if second.is_some() || has_token_in_query(uri) {
            return Self::Ambiguous;
        }
        let Ok(value) = value.to_str() else {
            return Self::Malformed;
        };
        let Some((scheme, token)) = value.split_once(' ') else {
            return if value.eq_ignore_ascii_case("bearer") { Self::Malformed } else { Self::Absent };
        };
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Self::Absent;
        }
        if is_b64token(token) { Self::Token(token) } else { Self::Malformed }
    }
}

/// RFC 6750 section 2.1: `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    // Without an early end it is checked sixteen bytes at a time.
    !body.is_empty() && body.bytes().fold(true, |so_far, byte| so_far & is_allowed(byte))
}

fn has_token_in_query(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| {
        url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name.eq_ignore_ascii_case("access_token"))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn bearer(values: &[&'static str], uri: &str) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        format!("{:?}", Bearer::of(&headers, &uri.parse().unwrap()))
    }

    #[test]
    fn the_scheme_is_case_insensitive_and_the_rest_is_exact() {
        for good in ["Bearer a.b-c_d~e+f/g==", "bearer a.b-c_d~e+f/g==", "BEARER a.b-c_d~e+f/g=="] {
            assert_eq!(bearer(&[good], "/mcp"), r#"Token("a.b-c_d~e+f/g==")"#);
        }
        for bad in [
            "Bearer  x y",
            "Bearer  x",
            "Bearer",
            "Bearer ",
            "Bearer x,y",
            "Bearer x, Bearer y",
            "Bearer x\ty",
            "Bearer =",
            "Bearer <script>",
        ] {
            assert_eq!(bearer(&[bad], "/mcp"), "Malformed", "{bad}");
        }
        for other in ["", "Token x", "Basic eDp5", "x.y.z", "none"] {
            assert_eq!(bearer(&[other], "/mcp"), "Absent", "{other}");
        }
        assert_eq!(bearer(&[], "/mcp"), "Absent");
    }

    #[test]
    fn one_token_in_one_place() {
        assert_eq!(bearer(&["Bearer x", "Bearer x"], "/mcp"), "Ambiguous");
        assert_eq!(bearer(&["Bearer x"], "/mcp?a=1&access_token=x"), "Ambiguous");
        assert_eq!(bearer(&["Bearer x"], "/mcp?a%63cess_token=x"), "Ambiguous");
        assert_eq!(bearer(&[], "/mcp?access_token=x"), "Absent");
        assert_eq!(bearer(&["Bearer x"], "/mcp?a=1"), r#"Token("x")"#);
    }
}
