//! A login in a browser of this machine: the authorization code grant, RFC 6749 section 4.1 and RFC 8252.

use url::Url;

use super::{Abandoned, LoginError, Wanted, authorization::Authorization, callback::Callback, who::LoginClient};
use crate::{
    client::{Client, ClientError, discover::DiscoverError},
    oauth::{ServerMetadata, TokenResponse, is_loopback, pkce::S256},
    secret::Secret,
};

impl Client {
    /// Sends the person to the issuer's page, waits for the code, and changes it for a token.
    pub(super) async fn log_in_by_code(
        &self,
        wanted: &Wanted<'_>,
        client: &LoginClient,
    ) -> Result<TokenResponse, ClientError> {
        let issuer = wanted.issuer;
        let endpoint = self.authorization_endpoint(issuer)?;
        let callback = client.place()?.listen().await?;
        let login = Authorization::new(issuer, endpoint, callback.redirect_uri());
        let key = self.key_at(&issuer.issuer, &client.identity.client_id).await?;
        let mut page = login.page(&client.identity.client_id, wanted.resource, wanted.scopes.as_ref());
        if let Some(key) = key {
            // RFC 9449 section 10: then nobody else can change the code for a token.
            page.query_pairs_mut().append_pair("dpop_jkt", key.kid());
        }
        let limit = self.settings.login_timeout;
        let answer = tokio::time::timeout(limit, self.code(wanted, &page, callback, &login)).await;
        wanted.person.done();
        let code = answer.map_err(|_| LoginError::Abandoned(Abandoned::TimedOut(limit)))??;
        let form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.expose().to_owned()),
            ("redirect_uri", login.redirect_uri.clone()),
            ("code_verifier", login.verifier.secret().expose().to_owned()),
            ("resource", wanted.resource.to_string()),
        ];
        self.request_token(issuer, &client.identity, form).await
    }

    /// What comes first: the browser itself, or the person with the address that it ended at.
    async fn code(
        &self,
        wanted: &Wanted<'_>,
        page: &Url,
        callback: Callback,
        login: &Authorization,
    ) -> Result<Secret, ClientError> {
        let expected = &login.redirect_uri;
        let pasted = async {
            loop {
                let line = wanted.person.pasted().await;
                match query_of(expected, &line) {
                    Some(query) => return login.code(query),
                    None if line.trim().is_empty() => {}
                    None => wanted.person.tell(&format!(
                        "that is not it: what is needed is the whole address that begins with {expected}"
                    )),
                }
            }
        };
        // Whoever answers at once must find somebody listening: the socket is open already.
        let visited = async {
            wanted.person.visit(page).await;
            pasted.await
        };
        tokio::select! {
            code = callback.answer(|query| login.code(query)) => code,
            code = visited => code,
        }
    }

    /// Where people log in, if they may be sent there: PKCE is understood, and the page is https or on this machine.
    fn authorization_endpoint(&self, issuer: &ServerMetadata) -> Result<Url, ClientError> {
        let not_offered =
            |what: &str| ClientError::NotOffered { issuer: issuer.issuer.to_string(), what: what.to_owned() };
        let endpoint = issuer.authorization_endpoint.as_ref();
        let endpoint = endpoint.ok_or_else(|| not_offered("an authorization endpoint: nobody can log in there"))?;
        if !issuer.code_challenge_methods_supported.iter().any(|method| method == S256) {
            return Err(not_offered(
                "PKCE with `S256` (`code_challenge_methods_supported`), without which a login can be stolen",
            ));
        }
        self.page_for_people(issuer, "authorization endpoint", endpoint)?;
        Ok(endpoint.clone())
    }

    /// Whether people may be sent to this page. It goes to a program of the system that opens whatever it is given.
    pub(super) fn page_for_people(
        &self,
        issuer: &ServerMetadata,
        name: &'static str,
        page: &Url,
    ) -> Result<(), DiscoverError> {
        let is_good = match page.scheme() {
            "https" => true,
            "http" => is_loopback(page),
            _ => false,
        };
        let is_plain = page.username().is_empty() && page.password().is_none() && page.fragment().is_none();
        if !is_good || !is_plain {
            return Err(DiscoverError::Page { issuer: issuer.issuer.clone(), name, url: page.to_string() });
        }
        if page.origin() == issuer.issuer.url().origin() {
            return Ok(());
        }
        self.check_reach("a login page", page)
    }
}

/// The query of an address that a person pasted, if the address is the one that the login comes back to.
fn query_of<'p>(redirect_uri: &str, pasted: &'p str) -> Option<&'p str> {
    let rest = pasted.trim().strip_prefix(redirect_uri)?;
    let query = rest.strip_prefix(if redirect_uri.contains('?') { '&' } else { '?' })?;
    query.split('#').next()
}
