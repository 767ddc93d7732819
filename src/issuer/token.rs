//! `POST /token`: RFC 6749 sections 4.1.3, 4.4 and 6, RFC 7636, RFC 8628 section 3.4, RFC 8707, RFC 9449 section 5.

use std::{slice, sync::Arc};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use tracing::info;

use super::{
    ACCESS_TOKEN_LIFETIME, Embedded, RouteError,
    call::{Call, Form},
    client::{Client, GrantType, Proof},
    client_auth::Credentials,
    grants::{Grant, InUse, Shown, ShownAgain},
    possession::check_key,
};
use crate::{
    oauth::{Resource, Scopes, TokenResponse, pkce::Verifier, token::token_type},
    secret::Secret,
    telemetry::audit::{Event, record},
};

const PATH: &str = "/token";

pub(super) async fn post(State(issuer): State<Arc<Embedded>>, call: Call) -> Response {
    let answer = issue(&issuer, &call).await.map(Json).map_err(|error| call.refused("token", error));
    issuer.tell_nonce(&call, answer.into_response())
}

async fn issue(issuer: &Arc<Embedded>, call: &Call) -> Result<TokenResponse, RouteError> {
    let form = call.form()?;
    let grant = asked_grant(&form)?;
    let credentials = Credentials::read(call, &form)?;
    if let (GrantType::ClientCredentials, Credentials::Public { .. }) = (grant, &credentials) {
        return Err(RouteError::UnauthorizedClient(
            "client_credentials is not for public clients; prove the client by a secret or an assertion",
        ));
    }
    let client = issuer.authenticate(&credentials, call.sender())?;
    if !client.may(grant) {
        return Err(RouteError::UnauthorizedClient("the client did not register for this grant_type"));
    }
    let key = issuer.proved_key(call, PATH)?;
    let response = match grant {
        GrantType::ClientCredentials => {
            let resource = resource_named(&mut form.all("resource"), &issuer.settings.resources)?;
            let scope = asked_scope(&form, &client.scope)?;
            let access_token = issuer.mint(&client, resource, &scope, key.clone());
            record(Event::TokenIssued { client: &client.id, scope: &scope.to_string(), resource: resource.as_str() });
            answer(access_token, key.is_some(), scope, None)
        }
        GrantType::DeviceCode => {
            let in_use = issuer.redeem_device_code(&form, &client, key.as_deref()).await?;
            let scope = in_use.grant.scope.clone();
            issuer.speak_for(in_use, scope, key)
        }
        GrantType::AuthorizationCode | GrantType::RefreshToken => {
            let (for_client, with_key) = (Arc::clone(&client), key.clone());
            let done = issuer.on_disk(move |issuer| match grant {
                GrantType::AuthorizationCode => issuer.redeem_code(&form, &for_client, with_key.as_deref()),
                _ => issuer.renew(&form, &for_client, with_key.as_deref()),
            });
            let (in_use, scope) = done.await?;
            issuer.speak_for(in_use, scope, key)
        }
    };
    issuer.note_use(&client).await;
    Ok(response)
}

fn answer(access_token: Secret, is_bound: bool, scope: Scopes, refresh_token: Option<Secret>) -> TokenResponse {
    TokenResponse {
        access_token,
        token_type: token_type(is_bound).to_owned(),
        expires_in: Some(ACCESS_TOKEN_LIFETIME.as_secs()),
        scope: Some(scope),
        refresh_token,
    }
}

impl Embedded {
    fn speak_for(&self, in_use: InUse, scope: Scopes, key: Option<String>) -> TokenResponse {
        let InUse { grant, refresh_token } = in_use;
        let is_bound = key.is_some();
        let access_token = self.mint_for(&grant, &scope, key);
        let (client, resource) = (grant.client_id.as_str(), grant.resource.as_str());
        record(Event::TokenIssued { client, scope: &scope.to_string(), resource });
        answer(access_token, is_bound, scope, refresh_token)
    }

    /// Blocks on the disk.
    fn redeem_code(&self, form: &Form, client: &Client, key: Option<&str>) -> Result<(InUse, Scopes), RouteError> {
        let code = form.get("code").ok_or(RouteError::InvalidRequest("code is missing"))?;
        let verifier =
            form.get("code_verifier").ok_or(RouteError::InvalidRequest("code_verifier is missing (PKCE)"))?;
        let verifier = Verifier::parse(verifier)
            .ok_or(RouteError::InvalidGrant("code_verifier must have 43 to 128 unreserved characters"))?;
        let shown = Shown {
            client_id: &client.id,
            redirect_uri: form.get("redirect_uri"),
            challenge: &verifier.challenge(),
            key,
            binds: client.proof == Proof::None,
        };
        let now = self.settings.clock.since_epoch();
        let in_use = self.grants.redeem(code, &shown, |grant| self.check_use(grant, form), now)?;
        let scope = in_use.grant.scope.clone();
        Ok((in_use, scope))
    }

    /// Blocks on the disk. Scopes can be left out, and are there again the next time (RFC 6749 section 6).
    fn renew(&self, form: &Form, client: &Client, key: Option<&str>) -> Result<(InUse, Scopes), RouteError> {
        let token = form.get("refresh_token").ok_or(RouteError::InvalidRequest("refresh_token is missing"))?;
        let mut scope = Scopes::none();
        let check = |grant: &Grant| {
            check_key(grant.bound_to.as_deref(), key)?;
            scope = asked_scope(form, &grant.scope)?;
            self.check_use(grant, form)
        };
        let shown = ShownAgain { client_id: &client.id, key, binds: client.proof == Proof::None };
        let in_use = self.grants.renew(token, &shown, check, self.settings.clock.since_epoch())?;
        Ok((in_use, scope))
    }

    /// Whether the person is still one of ours, and the token is to be for what was granted.
    fn check_use(&self, grant: &Grant, form: &Form) -> Result<(), RouteError> {
        if !self.users.has(&grant.user) {
            return Err(RouteError::InvalidGrant("the person who granted this is no user of this server any more"));
        }
        let named = resource_named(&mut form.all("resource"), slice::from_ref(&grant.resource));
        named.map(drop).map_err(|_| RouteError::InvalidTarget(format!("this was granted for {}", grant.resource)))
    }
}

fn asked_grant(form: &Form) -> Result<GrantType, RouteError> {
    let name = form.get("grant_type").ok_or(RouteError::InvalidRequest("grant_type is missing"))?;
    GrantType::named(name).ok_or(RouteError::UnsupportedGrantType(
        "the grants here are authorization_code, refresh_token, device_code and client_credentials",
    ))
}

/// Policy beside RFC 8707: one resource for one token, and the first of ours when none is named. A slash too much at the
/// end is taken for none, since clients in the field send it.
pub(super) fn resource_named<'a, 'b>(
    asked: &mut impl Iterator<Item = &'b str>,
    accepted: &'a [Resource],
) -> Result<&'a Resource, RouteError> {
    let found = match (asked.next(), asked.next()) {
        (None, _) => accepted.first(),
        (Some(text), None) => {
            let named = |text| Resource::parse(text).ok().and_then(|named| accepted.iter().find(|one| **one == named));
            named(text).or_else(|| {
                let found = text.strip_suffix('/').and_then(named)?;
                info!(resource = found.as_str(), "a client named the resource with a slash too much");
                Some(found)
            })
        }
        (Some(_), Some(_)) => {
            return Err(RouteError::InvalidTarget("ask for one resource at a time".to_owned()));
        }
    };
    found.ok_or_else(|| {
        let accepted: Vec<_> = accepted.iter().map(Resource::as_str).collect();
        RouteError::InvalidTarget(format!(
            "no tokens for this resource here; resource must be {}",
            accepted.join(" or ")
        ))
    })
}

/// All that there is when nothing is asked for; never more than is asked for or there.
pub(super) fn asked_scope(form: &Form, there_is: &Scopes) -> Result<Scopes, RouteError> {
    let Some(text) = form.get("scope") else {
        return Ok(there_is.clone());
    };
    let asked = Scopes::parse(text).ok().filter(|asked| !asked.is_empty() && there_is.covers(asked));
    asked.ok_or_else(|| RouteError::InvalidScope(format!("this client may ask for no other scope than: {there_is}")))
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use serde_json::json;

    use crate::issuer::testing::{FORM, Fixture, ISSUER, NOW, claims_of, header_of};

    #[tokio::test]
    async fn a_token_has_the_claims_of_rfc_9068_and_nothing_to_refresh() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered("client_secret_post").await;
        let answer = issuer.with_secret("/token", &id, &secret, &[]).await;
        assert_eq!(answer.status, StatusCode::OK);
        let members: Vec<_> = answer.json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["access_token", "token_type", "expires_in", "scope"]);
        assert_eq!((&answer.json["token_type"], &answer.json["expires_in"]), (&json!("Bearer"), &json!(900)));
        let token = answer.json["access_token"].as_str().unwrap();
        assert_eq!((&header_of(token)["typ"], &header_of(token)["alg"]), (&json!("at+jwt"), &json!("ES256")));
        let mut claims = claims_of(token);
        assert_eq!(claims["jti"].as_str().unwrap().len(), 43);
        claims.as_object_mut().unwrap().remove("jti");
        let expected = json!({"iss": ISSUER, "sub": id, "aud": "http://127.0.0.1:8000/mcp", "exp": NOW + 900, "iat": NOW,
            "client_id": id, "scope": "mcp:read mcp:write mcp:infer"});
        assert_eq!(claims, expected);
    }

    #[tokio::test]
    async fn no_two_tokens_are_the_same() {
        let issuer = Fixture::new();
        assert_ne!(issuer.local_token().await, issuer.local_token().await);
    }

    #[tokio::test]
    async fn only_a_post_of_a_form_is_heard() {
        let issuer = Fixture::new();
        let answer = issuer.send(Method::GET, "/token", &[], "").await;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
        let (id, secret) = issuer.registered("client_secret_post").await;
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        assert_eq!(issuer.send(Method::POST, "/token", &[FORM], &form).await.status, StatusCode::OK);
        let charset = ("content-type", "Application/X-WWW-Form-URLEncoded; charset=utf-8");
        assert_eq!(issuer.send(Method::POST, "/token", &[charset], &form).await.status, StatusCode::OK);
        for headers in [&[("content-type", "application/json")][..], &[("content-type", "text/plain")], &[]] {
            issuer.send(Method::POST, "/token", headers, &form).await.is_refused(400, "invalid_request");
        }
    }

    #[tokio::test]
    async fn parameters_in_the_url_are_refused() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered("client_secret_post").await;
        let whole = format!("/token?grant_type=client_credentials&client_id={id}&client_secret={secret}");
        issuer.send(Method::POST, &whole, &[FORM], "").await.is_refused(400, "invalid_request");
        let secret_only = format!("/token?client_secret={secret}");
        let rest = format!("grant_type=client_credentials&client_id={id}");
        issuer.send(Method::POST, &secret_only, &[FORM], &rest).await.is_refused(400, "invalid_request");
    }

    #[tokio::test]
    async fn a_parameter_that_is_there_twice_is_refused() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered("client_secret_post").await;
        let good = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        for twice in [format!("client_id={id}"), "scope=&scope=".to_owned(), "grant_type=password".to_owned()] {
            let form = format!("{good}&{twice}");
            issuer.send(Method::POST, "/token", &[FORM], &form).await.is_refused(400, "invalid_request");
        }
    }

    #[tokio::test]
    async fn a_form_of_many_parameters_is_refused_by_every_endpoint() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered("client_secret_post").await;
        let form = |more: usize| {
            let more = (0..more).map(|number| format!("&p{number}")).collect::<Vec<_>>().concat();
            format!("grant_type=client_credentials&client_id={id}&client_secret={secret}{more}")
        };
        for path in ["/token", "/introspect", "/revoke", "/device_authorization"] {
            let refused = issuer.send(Method::POST, path, &[FORM], &form(98)).await;
            refused.is_refused(400, "invalid_request");
            assert_eq!(refused.json["error_description"], "there are too many parameters", "{path}");
        }
        assert_eq!(issuer.send(Method::POST, "/token", &[FORM], &form(97)).await.status, StatusCode::OK, "the twin");
    }

    #[tokio::test]
    async fn a08_other_grants_are_unsupported_before_anybody_is_asked_who_he_is() {
        let issuer = Fixture::new();
        for grant in ["password", "implicit", "Client_Credentials", "x"] {
            issuer.form("/token", &[("grant_type", grant)]).await.is_refused(400, "unsupported_grant_type");
        }
        issuer.form("/token", &[]).await.is_refused(400, "invalid_request");
    }

    #[tokio::test]
    async fn a_client_uses_the_grants_that_it_registered_for() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered("client_secret_post").await;
        for grant in ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"] {
            let form = [("grant_type", grant), ("client_id", &id), ("client_secret", &secret)];
            issuer.form("/token", &form).await.is_refused(400, "unauthorized_client");
            issuer.form("/token", &[("grant_type", grant)]).await.is_refused(401, "invalid_client");
        }
    }

    #[tokio::test]
    async fn public_clients_get_no_token_for_themselves() {
        let issuer = Fixture::new();
        let (id, _) = issuer.registered("client_secret_post").await;
        for id in [id.as_str(), "nobody"] {
            let answer = issuer.form("/token", &[("grant_type", "client_credentials"), ("client_id", id)]).await;
            answer.is_refused(400, "unauthorized_client");
        }
    }

    #[tokio::test]
    async fn the_audience_is_the_one_resource_that_was_asked_for() {
        let issuer = Fixture::new();
        for (asked, audience) in [
            ("http://localhost:8000/mcp", "http://localhost:8000/mcp"),
            ("HTTP://LOCALHOST:8000/mcp", "http://localhost:8000/mcp"),
            ("", "http://127.0.0.1:8000/mcp"),
            ("http://localhost:8000/mcp/", "http://localhost:8000/mcp"),
        ] {
            let answer = issuer.local("/token", &[("resource", asked)]).await;
            assert_eq!(claims_of(answer.json["access_token"].as_str().unwrap())["aud"], audience, "{asked}");
        }
        for bad in [
            "http://127.0.0.1:8000/mcp//",
            "http://127.0.0.1:8000/MCP",
            "http://127.0.0.1:8000/mcp?x",
            "http://127.0.0.1:8000/mcp#fragment",
            "http://127.0.0.1:8000",
            "https://mcp.example/mcp",
            "/mcp",
            "mcp",
            "*",
        ] {
            issuer.local("/token", &[("resource", bad)]).await.is_refused(400, "invalid_target");
        }
        let two = [("resource", "http://127.0.0.1:8000/mcp"), ("resource", "http://localhost:8000/mcp")];
        issuer.local("/token", &two).await.is_refused(400, "invalid_target");
    }

    #[tokio::test]
    async fn scope_is_what_was_asked_for_and_never_more_than_registered() {
        let issuer = Fixture::new();
        let metadata = json!({"scope": "mcp:read mcp:write", "token_endpoint_auth_method": "client_secret_post"});
        let (id, secret) = issuer.registered_with(&metadata).await;
        for (asked, granted) in [
            ("", "mcp:read mcp:write"),
            ("mcp:write", "mcp:write"),
            ("mcp:write  mcp:read mcp:write", "mcp:write mcp:read"),
        ] {
            let answer = issuer.with_secret("/token", &id, &secret, &[("scope", asked)]).await;
            assert_eq!(answer.json["scope"], granted, "{asked}");
            assert_eq!(claims_of(answer.json["access_token"].as_str().unwrap())["scope"], granted, "{asked}");
        }
        let long = "x".repeat(65536);
        for asked in ["mcp:infer", "mcp:read mcp:infer", "admin", "mcp:READ", "mcp:read\tmcp:write", " ", "\"", &long] {
            let answer = issuer.with_secret("/token", &id, &secret, &[("scope", asked)]).await;
            answer.is_refused(400, "invalid_scope");
        }
    }
}
