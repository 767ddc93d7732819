//! Asking the token endpoint: the client credentials grant, RFC 6749 section 4.4 with RFC 8707.

use reqwest::{Method, RequestBuilder};
use url::Url;

use super::{Client, ClientError, error::said, identity::Identity};
use crate::{
    net::{Document, Http},
    oauth::{ErrorResponse, Resource, Scopes, ServerMetadata, TokenResponse},
};

const CLIENT_CREDENTIALS: &str = "client_credentials";

impl Client {
    /// Gets a token for the client itself.
    pub(super) async fn client_credentials(
        &self,
        issuer: &ServerMetadata,
        identity: &Identity,
        resource: &Resource,
        scopes: Option<&Scopes>,
    ) -> Result<TokenResponse, ClientError> {
        const ACTION: &str = "the token request";
        let url = self.endpoint(&issuer.issuer, "token", issuer.token_endpoint.as_ref())?;
        if !issuer.supports_grant(CLIENT_CREDENTIALS) {
            let what = "the `client_credentials` grant".to_owned();
            return Err(ClientError::NotOffered { issuer: issuer.issuer.to_string(), what });
        }
        let mut form = vec![("grant_type", CLIENT_CREDENTIALS.to_owned()), ("resource", resource.to_string())];
        form.extend(scopes.map(|scopes| ("scope", scopes.to_string())));
        let http = self.web.at(&url)?;
        let request = http.request(Method::POST, &url).header("accept", "application/json");
        let request = identity.prove(request, form, issuer, self.settings.clock.since_epoch())?;
        let document = ask(http, ACTION, &url, request).await?;
        // The parser's words would quote the answer, and with it perhaps the token.
        let bad = |problem: &str| ClientError::BadAnswer {
            action: ACTION,
            url: url.to_string(),
            problem: problem.to_owned(),
        };
        let response: TokenResponse =
            document.json().map_err(|_| bad("it is no JSON object with `access_token` and `token_type`"))?;
        if !response.token_type.eq_ignore_ascii_case("bearer") {
            return Err(bad(&format!("`token_type` is `{}`, expected `Bearer`", said(&response.token_type))));
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
    let document = http.send(request).await?;
    if document.status.is_success() {
        return Ok(document);
    }
    match document.json::<ErrorResponse>() {
        Ok(refused) => Err(ClientError::Refused {
            action,
            url: url.to_string(),
            answer: said(&refused.to_string()),
            code: refused.error,
        }),
        Err(_) => Err(ClientError::Status { server: url.to_string(), status: document.status.as_u16(), body: None }),
    }
}
