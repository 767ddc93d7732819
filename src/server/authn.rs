//! Who a request speaks for and what it may do, the same for `/mcp` and for REST.
//!
//! The token is that of RFC 6750 section 2.1, the header and nothing else, or with a proof that of RFC 9449 section 7.1.

use std::{borrow::Cow, sync::Arc};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts};

use super::{
    App,
    address::Address,
    error::{Refusal, Wanted},
    layers::ResourceIndex,
};
use crate::{
    auth::{Authenticator, Denied, Principal},
    call::{Kind, rules},
    jose::dpop::{self, Proof},
    oauth::{Scheme, Scopes},
    telemetry::audit::{self, Event},
};

/// Carries the proof of possession of whoever sends a bound token (RFC 9449 section 4.1).
pub(super) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Whom the request's token speaks for.
///
/// # Errors
/// 401 with a challenge if there is none that is good, or its proof is not, 400 if there is more than one, 403 for a client
/// that is not allowed, 429 for a caller that comes too often, 503 while tokens or proofs cannot be judged.
pub(super) async fn authenticate(app: &App, parts: &Parts) -> Result<Arc<Principal>, Refusal> {
    let address = Address::of_request(parts);
    let wanted = |sent_by| Wanted {
        scope: &app.scopes,
        resource_metadata: app.documents.metadata_url(ResourceIndex::of(parts)),
        sent_by,
        needs_proof: app.dpop.is_always_needed,
    };
    let (reason, refusal) = match Presented::of(&parts.headers, &parts.uri) {
        Presented::Token(scheme, token) => {
            return admit(app, parts, scheme, token, address).await.map_err(|denied| match denied {
                NotAdmitted::TooOften(refusal) => refusal,
                NotAdmitted::Denied(denied) => {
                    // Whoever sends a proof the first time cannot have the nonce yet, and what is no token guesses none.
                    if denied.is_of_credentials() && !matches!(denied, Denied::NonceNeeded | Denied::Malformed) {
                        app.rates.charge_refused_token(address);
                    }
                    record_denied(&denied, address);
                    Refusal::denied(&denied, wanted(Some(scheme)))
                }
            });
        }
        Presented::Absent => ("no token", Refusal::unauthorized(wanted(None))),
        Presented::Ambiguous => ("more than one token", Refusal::ambiguous_token(wanted(None).resource_metadata)),
    };
    audit::record(Event::AuthenticationFailed { address: &address.to_string(), reason });
    Err(refusal)
}

/// Why a token opens nothing now.
enum NotAdmitted {
    Denied(Denied),
    TooOften(Refusal),
}

impl From<Denied> for NotAdmitted {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

/// A proof is used up last: only whoever is known, and does not come too often, takes room in the memory of used ones.
async fn admit(
    app: &App,
    parts: &Parts,
    scheme: Scheme,
    token: &[u8],
    address: Address,
) -> Result<Arc<Principal>, NotAdmitted> {
    let began = app.metrics.is_on().then(|| app.clock.monotonic());
    let judged = judge(app, parts, scheme, token).await;
    if let Some(began) = began {
        let outcome = match &judged {
            Ok(_) => "accepted",
            Err(Denied::ClientNotAllowed(_)) => "not_allowed",
            Err(denied) if denied.is_of_credentials() => "refused",
            Err(_) => "unavailable",
        };
        app.metrics.token(outcome, app.clock.monotonic().saturating_sub(began));
    }
    let (principal, proof) = judged?;
    app.rates.admit_principal(&principal, address).map_err(NotAdmitted::TooOften)?;
    if let Some(proof) = proof {
        app.proofs.use_up(&proof).await?;
    }
    Ok(principal)
}

async fn judge(
    app: &App,
    parts: &Parts,
    scheme: Scheme,
    token: &[u8],
) -> Result<(Arc<Principal>, Option<Proof>), Denied> {
    if scheme == Scheme::Bearer {
        if app.dpop.is_always_needed {
            return Err(Denied::ProofNeeded);
        }
        return Ok((app.authenticator.authenticate(token, None).await?, None));
    }
    // Before the proof, which is for this token.
    let text = Authenticator::checked(token)?;
    // By the names that are configured and never by `Host`, which a proxy, or an attacker, may have written.
    let url = app.names.url_of(ResourceIndex::of(parts), parts.uri.path());
    let request = dpop::Request { method: parts.method.as_str(), url: &url, access_token: Some(text) };
    let proofs: Vec<_> = parts.headers.get_all(DPOP).iter().map(HeaderValue::as_bytes).collect();
    let proof = app.proofs.judge(&proofs, request, app.dpop.needs_nonce).await?;
    let principal = app.authenticator.authenticate(token, Some(&proof.thumbprint)).await?;
    Ok((principal, Some(proof)))
}

/// Only of a bad token or proof it is said that authentication failed: of a good one whose client is not listed somebody is
/// known, and of one that cannot be judged nothing is.
fn record_denied(denied: &Denied, address: Address) {
    let (address, reason) = (&*address.to_string(), &*denied.to_string());
    audit::record(match denied {
        Denied::ClientNotAllowed(principal) => {
            Event::AccessDenied { actor: principal.actor(), operation: "any", reason }
        }
        denied if denied.is_of_credentials() => Event::AuthenticationFailed { address, reason },
        _ => Event::AuthenticationUnavailable { address, reason },
    });
}

/// What a request wants to use, and what that needs.
#[derive(Debug)]
pub(super) struct Needed<'a> {
    pub(super) kind: Kind,
    /// The tool's or prompt's name, the resource's URI.
    pub(super) name: Cow<'a, str>,
    pub(super) scopes: Scopes,
}

/// Whether the token, as it was sent, allows all of it.
///
/// # Errors
/// 401 if a scope that it needs is only for tokens that are bound to a key; 403 with a challenge that names all scopes that
/// it needs.
pub(super) fn authorize(app: &App, parts: &Parts, needed: &[Needed<'_>], principal: &Principal) -> Result<(), Refusal> {
    let is_bound = principal.bound_to.is_some();
    let lacks_proof = |needed: &Needed<'_>| !is_bound && app.dpop.is_needed_for(&needed.scopes);
    let is_refused = |needed: &&Needed<'_>| lacks_proof(needed) || !principal.scopes.covers(&needed.scopes);
    let Some(refused) = needed.iter().find(is_refused) else { return Ok(()) };
    let (Needed { kind, name, scopes }, lacks_proof) = (refused, lacks_proof(refused));
    let reason = if lacks_proof {
        format!("needs a token bound to a key for scope `{scopes}`")
    } else {
        format!("needs scope `{scopes}`, has `{}`", principal.scopes)
    };
    rules::deny(principal, *kind, name, &reason);
    let all = needed.iter().fold(Scopes::none(), |all, needed| all.union(&needed.scopes));
    let wanted = Wanted {
        scope: &all,
        resource_metadata: app.documents.metadata_url(ResourceIndex::of(parts)),
        sent_by: Some(if is_bound { Scheme::Dpop } else { Scheme::Bearer }),
        needs_proof: false,
    };
    let name = kind.shortened(name);
    Err(if lacks_proof {
        Refusal::proof_needed(&format!("`{name}`"), wanted)
    } else {
        Refusal::insufficient_scope(name, wanted)
    })
}

/// What the request says about its token.
#[derive(Debug, PartialEq, Eq)]
enum Presented<'a> {
    /// Nothing that looks like an access token.
    Absent,
    /// More than one way at once, or a query parameter besides a header: RFC 6750 section 2 forbids it.
    Ambiguous,
    /// Exactly one. Not yet believed; it may be none at all.
    Token(Scheme, &'a [u8]),
}

impl<'a> Presented<'a> {
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
        // What a token is made of is looked at when it is first seen.
        let mut parts = value.as_bytes().splitn(2, |byte| *byte == b' ');
        let (name, token) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let schemes = [Scheme::Bearer, Scheme::Dpop];
        match schemes.into_iter().find(|scheme| name.eq_ignore_ascii_case(scheme.as_str().as_bytes())) {
            None => Self::Absent,
            Some(scheme) => Self::Token(scheme, token),
        }
    }
}

fn has_token_in_query(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| {
        url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name.eq_ignore_ascii_case("access_token"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(values: &[&'static str], uri: &str) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        match Presented::of(&headers, &uri.parse().unwrap()) {
            Presented::Token(scheme, token) => format!("{scheme:?} {}", std::str::from_utf8(token).unwrap()),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_scheme_is_case_insensitive_and_the_rest_is_exact() {
        for good in ["Bearer a.b-c_d~e+f/g==", "bearer a.b-c_d~e+f/g==", "BEARER a.b-c_d~e+f/g=="] {
            assert_eq!(presented(&[good], "/mcp"), "Bearer a.b-c_d~e+f/g==");
        }
        for bad in ["Bearer", "Bearer "] {
            assert_eq!(presented(&[bad], "/mcp"), "Bearer ", "{bad}");
        }
        assert_eq!(presented(&["dpop a.b"], "/mcp"), "Dpop a.b");
        for bad in ["DPoP", "DPoP "] {
            assert_eq!(presented(&[bad], "/mcp"), "Dpop ", "{bad}");
        }
        for other in ["", "Token x", "Basic eDp5", "x.y.z", "none"] {
            assert_eq!(presented(&[other], "/mcp"), "Absent", "{other}");
        }
        assert_eq!(presented(&[], "/mcp"), "Absent");
    }

    #[test]
    fn one_token_in_one_place() {
        assert_eq!(presented(&["Bearer x", "Bearer x"], "/mcp"), "Ambiguous");
        assert_eq!(presented(&["Bearer x", "DPoP x"], "/mcp"), "Ambiguous");
        assert_eq!(presented(&["Bearer x"], "/mcp?a=1&access_token=x"), "Ambiguous");
        assert_eq!(presented(&["Bearer x"], "/mcp?a%63cess_token=x"), "Ambiguous");
        assert_eq!(presented(&[], "/mcp?access_token=x"), "Absent");
        assert_eq!(presented(&["Bearer x"], "/mcp?a=1"), "Bearer x");
    }
}
