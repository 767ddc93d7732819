//! Asking the token endpoint, and by the client credentials grant: RFC 6749 section 4.4 with RFC 8707.

use reqwest::{Method, RequestBuilder, header};
use serde_json::Value;
use url::Url;

use super::{
    Client, ClientError,
    error::{RetryAfter, said},
    identity::{Identity, Proof},
    possession::PROOF,
    quirks::{is_for, may_be_about_the_resource},
};
use crate::{
    jose::dpop,
    net::{Document, Http},
    oauth::{ErrorCode, ErrorResponse, Resource, Scopes, ServerMetadata, TokenResponse, token::token_type},
};

/// The grant of machines.
pub(super) const CLIENT_CREDENTIALS: &str = "client_credentials";

impl Client {
    /// Gets a token for the client itself.
    pub(super) async fn client_credentials(
        &self,
        issuer: &ServerMetadata,
        identity: &Identity,
        resource: &Resource,
        scopes: Option<&Scopes>,
    ) -> Result<TokenResponse, ClientError> {
        if matches!(identity.proof, Proof::Nothing) {
            return Err(ClientError::NoProof { client_id: identity.client_id.clone() });
        }
        if !issuer.supports_grant(CLIENT_CREDENTIALS) {
            let what = "the `client_credentials` grant".to_owned();
            return Err(ClientError::NotOffered { issuer: issuer.issuer.to_string(), what });
        }
        let mut form = vec![("grant_type", CLIENT_CREDENTIALS.to_owned())];
        form.extend(scopes.map(|scopes| ("scope", scopes.to_string())));
        let named = [form.as_slice(), &[("resource", resource.to_string())]].concat();
        match self.request_token(issuer, identity, named).await {
            Err(error) if may_be_about_the_resource(&error) => {
                let without = self.request_token(issuer, identity, form).await;
                without.ok().filter(|token| is_for(&token.access_token, resource)).ok_or(error)
            }
            answered => answered,
        }
    }

    /// Asks the token endpoint with this form, proved as this client, whatever the grant is.
    pub(super) async fn request_token(
        &self,
        issuer: &ServerMetadata,
        identity: &Identity,
        form: Vec<(&'static str, String)>,
    ) -> Result<TokenResponse, ClientError> {
        const ACTION: &str = "the token request";
        let url = &self.endpoint(&issuer.issuer, "token", issuer.token_endpoint.as_ref())?;
        self.check_binds(issuer)?;
        let key = self.key_at(&issuer.issuer, &identity.client_id).await?;
        let mut is_second = false;
        let document = loop {
            let (http, now) = (self.web.at(url)?, self.settings.clock.since_epoch());
            let mut request = http.request(Method::POST, url).header("accept", "application/json");
            if let Some(key) = &key {
                let proved = dpop::Request { method: "POST", url, access_token: None };
                request = request.header(PROOF, self.proofs.proof(key, proved, now));
            }
            // Anew each time: an assertion is good once.
            let document = http.send(identity.prove(request, form.clone(), issuer, now)?).await?;
            let has_news = key.is_some() && self.proofs.learn(url, &document.headers);
            match good(ACTION, url, document) {
                Err(ClientError::Refused { code: ErrorCode::UseDpopNonce, .. }) if has_news && !is_second => {
                    is_second = true;
                }
                answered => break answered?,
            }
        };
        // The parser's words would quote the answer, and with it perhaps the token.
        let bad = |problem: &str| ClientError::BadAnswer {
            action: ACTION,
            url: url.to_string(),
            problem: problem.to_owned(),
        };
        let response: TokenResponse = document.json().map_err(|_| bad(misfit(&document)))?;
        let expected = token_type(key.is_some());
        if !response.token_type.eq_ignore_ascii_case(expected) {
            let problem = format!("`token_type` is `{}`, expected `{expected}`", said(&response.token_type));
            return Err(match key {
                Some(_) => ClientError::NotBound { issuer: issuer.issuer.to_string(), problem },
                None => bad(&problem),
            });
        }
        let token = response.access_token.expose();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad("`access_token` has characters that no header can carry"));
        }
        Ok(response)
    }
}

/// Sends a request to an OAuth endpoint; an answer without success is an error, with its OAuth code if it has one.
pub(super) async fn ask(
    http: &Http,
    action: &'static str,
    url: &Url,
    request: RequestBuilder,
) -> Result<Document, ClientError> {
    good(action, url, http.send(request).await?)
}

fn good(action: &'static str, url: &Url, document: Document) -> Result<Document, ClientError> {
    if document.status.is_success() {
        return Ok(document);
    }
    let url = url.to_string();
    let retry_after = document.headers.get(header::RETRY_AFTER).and_then(|text| text.to_str().ok()).map(RetryAfter::of);
    Err(match document.json::<ErrorResponse>() {
        Ok(refused) => {
            let answer = said(&refused.to_string());
            ClientError::Refused { action, url, answer, code: refused.error, retry_after }
        }
        Err(_) => ClientError::Status { server: url, status: document.status.as_u16(), body: None, retry_after },
    })
}

/// Why an answer is no token response, without quoting it.
fn misfit(document: &Document) -> &'static str {
    let Ok(Value::Object(members)) = document.json::<Value>() else { return "it is no JSON object" };
    let is_text = |name: &str| members.get(name).is_some_and(Value::is_string);
    if !is_text("access_token") || !is_text("token_type") {
        return "it is no JSON object with `access_token` and `token_type`";
    }
    if members.get("expires_in").is_some_and(|life| !life.is_null() && !life.is_u64()) {
        return "`expires_in` is no whole number of seconds (RFC 6749 section 5.1)";
    }
    "a member beside `access_token` and `token_type` is not what RFC 6749 section 5.1 says: see `scope`"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        client::{
            Kind,
            testing::{Seen, World, field},
        },
        hint::Hint as _,
        oauth::Challenge,
    };

    async fn token_request(world: &World) -> Seen {
        world.client().access_token(None).await.unwrap();
        world.seen().into_iter().find(|seen| seen.what == "POST /token").unwrap()
    }

    async fn refused(world: &World, status: u16, answer: serde_json::Value) -> ClientError {
        world.change(|rules| drop(rules.answers.insert("/token".to_owned(), (status, answer))));
        world.client().access_token(None).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_token_is_asked_for_this_resource_and_these_scopes() {
        let world = World::new().await;
        let seen = token_request(&world).await;
        assert_eq!(field(&seen.body, "grant_type").unwrap(), "client_credentials");
        assert_eq!(field(&seen.body, "resource").unwrap(), format!("{}/mcp", world.origin));
        assert_eq!(field(&seen.body, "scope").unwrap(), "mcp:read mcp:write");
    }

    #[tokio::test]
    async fn scopes_come_from_the_settings_the_challenge_or_the_resource() {
        let world = World::new().await;
        let challenge = Challenge { scope: Some(Scopes::parse("from:challenge").unwrap()), ..Challenge::default() };
        let asked = |world: &World| {
            let seen = world.seen();
            seen.iter().find_map(|seen| field(&seen.body, "scope"))
        };
        world.client().access_token(Some(&challenge)).await.unwrap();
        assert_eq!(asked(&world).unwrap(), "from:challenge");
        let own = |settings: &mut crate::client::Settings| settings.scopes = Some(Scopes::parse("my:own").unwrap());
        world.client_with(own).access_token(Some(&challenge)).await.unwrap();
        assert_eq!(asked(&world).unwrap(), "my:own");
        world.lie_as_resource("scopes_supported", json!([]));
        world.client_with(|settings| settings.force_new = true).access_token(None).await.unwrap();
        assert_eq!(asked(&world), None);
    }

    #[tokio::test]
    async fn the_issuers_errors_are_told_apart_each_with_its_hint() {
        let world = World::new().await;
        for (code, kind, hint) in [
            ("invalid_client", Kind::NotAuthenticated, "SECUREMCP_CLIENT_ID"),
            ("invalid_scope", Kind::NotPermitted, "--scope"),
            ("unauthorized_client", Kind::NotAuthenticated, "client_credentials"),
            ("invalid_target", Kind::NotAuthenticated, "--resource"),
        ] {
            let answer = json!({"error": code, "error_description": "no\u{1b}[31m\nway"});
            let error = refused(&world, 400, answer).await;
            assert_eq!(error.kind(), kind, "{code}");
            assert!(error.hint().unwrap().contains(hint), "{code}");
            let words = error.to_string();
            assert!(words.contains(code) && words.contains("no\\u{1b}[31m\\nway"), "{words}");
        }
        let long = json!({"error": "invalid_client", "error_description": "x".repeat(100_000)});
        assert!(refused(&world, 401, long).await.to_string().len() < 2_200);
        assert_eq!(refused(&world, 503, json!("down")).await.kind(), Kind::Unreachable);
    }

    #[tokio::test]
    async fn answers_that_are_no_bearer_tokens_are_refused_without_quoting_them() {
        let world = World::new().await;
        for (answer, problem) in [
            (json!({"access_token": "hush", "token_type": "DPoP", "expires_in": 60}), "`token_type` is `DPoP`"),
            (json!({"access_token": "hush", "expires_in": 60}), "no JSON object with `access_token` and `token_type`"),
            (json!({"access_token": "hush", "token_type": "Bearer", "expires_in": "hush"}), "`expires_in` is no whole"),
            (json!({"access_token": "hush", "token_type": "Bearer", "expires_in": "60"}), "`expires_in` is no whole"),
            (json!({"access_token": "hush", "token_type": "Bearer", "scope": ["hush"]}), "see `scope`"),
            (json!({"access_token": "hush\r\nX-Evil: 1", "token_type": "Bearer"}), "no header can carry"),
            (json!({"access_token": "", "token_type": "Bearer"}), "no header can carry"),
            (json!(["hush"]), "it is no JSON object"),
        ] {
            let error = refused(&world, 200, answer).await;
            assert!(matches!(error, ClientError::BadAnswer { .. }), "{error}");
            assert!(error.to_string().contains(problem), "{error}");
            assert!(!format!("{error}{error:?}").contains("hush"), "{error}");
        }
        assert!(world.files("tokens").is_empty());
        world.change(|rules| {
            let good = json!({"access_token": "good", "token_type": "bearer", "expires_in": 60});
            rules.answers.insert("/token".to_owned(), (200, good));
        });
        assert_eq!(world.client().access_token(None).await.unwrap().secret.expose(), "good");
    }

    #[tokio::test]
    async fn what_the_issuer_does_not_list_is_not_tried() {
        let world = World::new().await;
        world.lie_as_issuer("grant_types_supported", json!(["authorization_code"]));
        let error = world.client().access_token(None).await.unwrap_err();
        assert!(error.to_string().contains("client_credentials"), "{error}");
        assert!(!world.whats().contains(&"POST /token".to_owned()));
    }

    #[tokio::test]
    async fn an_issuer_that_binds_nothing_is_told_as_such() {
        let world = World::new().await;
        let bound = || world.client_with(|settings| settings.dpop = true);
        let error = bound().access_token(None).await.unwrap_err();
        assert!(matches!(error, ClientError::NotBound { .. }), "{error}");
        assert_eq!(error.kind(), Kind::NotAuthenticated);
        assert!(error.to_string().contains("`token_type` is `Bearer`, expected `DPoP`"), "{error}");
        assert!(world.files("tokens").is_empty());
        world.lie_as_issuer("dpop_signing_alg_values_supported", json!(["RS256"]));
        let error = bound().access_token(None).await.unwrap_err();
        assert!(error.to_string().contains("bound to a key of ES256"), "{error}");
        world.lie_as_issuer("dpop_signing_alg_values_supported", json!(["RS256", "ES256"]));
        world.change(|rules| {
            let good = json!({"access_token": "good", "token_type": "dpop", "expires_in": 60});
            rules.answers.insert("/token".to_owned(), (200, good));
        });
        let token = bound().access_token(None).await.unwrap();
        assert_eq!((token.secret.expose(), token.bound_to.map(|key| key.len())), ("good", Some(43)));
    }

    #[tokio::test]
    async fn a_nonce_that_does_not_help_is_tried_once() {
        let world = World::new().await;
        world.change(|rules| {
            let refusal = json!({"error": "use_dpop_nonce"});
            rules.answers.insert("/token".to_owned(), (400, refusal));
        });
        let error = world.client_with(|settings| settings.dpop = true).access_token(None).await.unwrap_err();
        assert!(matches!(error, ClientError::Refused { code: ErrorCode::UseDpopNonce, .. }), "{error}");
        assert_eq!(world.whats().iter().filter(|what| *what == "POST /token").count(), 1, "no nonce came with it");
    }
}
