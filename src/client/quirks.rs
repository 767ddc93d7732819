//! What Keycloak means by its answers, each as 26.7.3 was seen to give it. docs/KEYCLOAK.md has the whole list.

use super::{ClientError, error::REGISTRATION};
use crate::{
    jose::Unverified,
    oauth::{ErrorCode, Resource},
    secret::Secret,
};

/// Words of an answer to a registration, and what to do about them. The names of its policies may be anybody's; these
/// are the policies' own words.
const AT_REGISTRATION: [(&str, &str); 7] = [
    (
        "Host not trusted",
        "this realm registers nobody without a token from here: bring an initial access token with \
         `--initial-access-token-file`, or name its administrator with `--keycloak-admin`",
    ),
    (
        "match any trusted host",
        "name addresses with `--redirect-uri` that the realm's registration policy \"Trusted Hosts\" has, have these \
         added there, or bring an initial access token with `--initial-access-token-file`",
    ),
    (
        "Not permitted to use specified clientScope",
        "ask with `--scope` for scopes of this realm only; `openid` too must be listed in its registration policy \
         \"Allowed Client Scopes\"",
    ),
    (
        "clients per realm",
        "the realm is full: see who is unused with `securemcp dcr prune --keycloak-admin USER`, have \"Max Clients \
         Limit\" raised, or bring an initial access token with `--initial-access-token-file`",
    ),
    (
        "insufficient_scope`: Forbidden",
        "that is an access token: the registration endpoint takes an initial access token \
         (`--initial-access-token-file`), or none",
    ),
    ("Unrecognized field", "this Keycloak does not know a member of the registration: take what is optional out of it"),
    (
        "Client Identifier modified",
        "the registration is of another client: drop it with `securemcp dcr delete --forget`",
    ),
];

/// Words of an answer to a token request, and what to do about them.
const AT_TOKEN: [(&str, &str); 1] = [(
    "Offline tokens not allowed",
    "take `offline_access` out of `--scope`, or have the role `offline_access` given to this client's service account",
)];

/// Whether the issuer keeps this person, or this client, from tokens for when nobody is there.
pub(super) fn forbids_offline(answer: &str) -> bool {
    answer.contains(AT_TOKEN[0].0)
}

/// What to do about this answer, where Keycloak's own words tell more than the code of the RFC.
pub(super) fn hint(action: &str, answer: &str) -> Option<&'static str> {
    let known: &[_] = if action == REGISTRATION { &AT_REGISTRATION } else { &AT_TOKEN };
    known.iter().find(|(words, _)| answer.contains(words)).map(|(_, hint)| *hint)
}

/// Keycloak's code for a failure of its own, with status 500: its database is away, for example.
pub(super) const OWN_FAILURE: &str = "unknown_error";

/// Whether a token request may have failed because it names a resource (RFC 8707): Keycloak with the feature
/// `resource-indicators` answers `unknown_error` with status 500 to every one with `client_credentials`.
pub(super) fn may_be_about_the_resource(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { code: ErrorCode::InvalidTarget, .. } => true,
        ClientError::Refused { code: ErrorCode::Other(code), .. } => code == OWN_FAILURE,
        _ => false,
    }
}

/// Whether a token that was asked for without naming its resource says by itself that it is for it. Any other one could
/// be of use to somebody elsewhere, and must not be shown to a server that the issuer does not know.
pub(super) fn is_for(token: &Secret, resource: &Resource) -> bool {
    Unverified::parse(token.expose()).is_ok_and(|token| token.is_for(resource.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        client::{
            error::{ADMIN_LOGIN, Kind},
            testing::{World, field},
        },
        hint::Hint as _,
    };

    /// Whether each token request named a resource.
    fn named(world: &World) -> Vec<bool> {
        let requests = world.seen().into_iter().filter(|seen| seen.what == "POST /token");
        requests.map(|seen| field(&seen.body, "resource").is_some()).collect()
    }

    #[tokio::test]
    async fn a_realm_that_breaks_over_the_resource_is_asked_without_it() {
        for (status, error) in [(500, "unknown_error"), (400, "invalid_target")] {
            let world = World::new().await;
            let audience = format!("{}/mcp", world.origin);
            world.change(|rules| {
                rules.refuses_resource = Some((status, json!({ "error": error })));
                rules.audience = Some(json!(["mcp-resource", audience]));
            });
            world.client().access_token(None).await.unwrap();
            assert_eq!(named(&world), [true, false], "{error}");
        }
    }

    #[tokio::test]
    async fn a_token_without_the_resource_is_not_shown_to_a_server_that_it_does_not_name() {
        for audience in [json!("https://bank.example/mcp"), json!(["account"]), json!(null)] {
            let world = World::new().await;
            world.change(|rules| {
                rules.refuses_resource = Some((400, json!({"error": "invalid_target"})));
                rules.audience = Some(audience);
            });
            let error = world.client().access_token(None).await.unwrap_err();
            assert!(matches!(&error, ClientError::Refused { code: ErrorCode::InvalidTarget, .. }), "{error}");
            assert_eq!(named(&world), [true, false]);
            assert!(world.files("tokens").is_empty());
        }
    }

    #[tokio::test]
    async fn any_other_refusal_is_taken_at_its_word() {
        for (status, error) in [(400, "unauthorized_client"), (401, "invalid_client"), (503, "temporarily_unavailable")]
        {
            let world = World::new().await;
            world.change(|rules| rules.refuses_resource = Some((status, json!({ "error": error }))));
            world.client().access_token(None).await.unwrap_err();
            assert_eq!(named(&world), [true], "{error}");
        }
    }

    #[test]
    fn its_own_failure_is_no_refusal() {
        let answered = |code: &str| ClientError::Refused {
            action: ADMIN_LOGIN,
            url: "https://auth.example/token".to_owned(),
            answer: code.to_owned(),
            code: serde_json::from_value(json!(code)).unwrap(),
            retry_after: None,
        };
        let (failure, refusal) = (answered("unknown_error"), answered("unauthorized_client"));
        assert_eq!((failure.kind(), failure.is_final()), (Kind::Unreachable, false));
        assert_eq!((refusal.kind(), refusal.is_final()), (Kind::NotAuthenticated, true));
        assert!(failure.hint().unwrap().starts_with("try again later"), "and not at the password");
    }
}
