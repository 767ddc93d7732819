//! Keycloak's admin API, as far as registering a machine needs it: an initial access token before, and afterwards the roles
//! without which Keycloak leaves the client's scopes out of its tokens and says nothing; and what `prune` looks at.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use url::Url;

use super::{
    Client, ClientError,
    error::{ADMIN_LOGIN, ADMIN_REQUEST},
    grant::ask,
};
use crate::{
    oauth::{Issuer, Scopes, TokenResponse},
    secret::Secret,
};

/// How long the initial access token can be used, in seconds: it is used at once.
const INITIAL_TOKEN_LIFE: u32 = 300;

/// How long an administrator's token lives if Keycloak does not say.
const ADMIN_TOKEN_LIFE: Duration = Duration::from_mins(1);

/// An administrator of a Keycloak.
#[derive(Clone, Debug)]
pub struct KeycloakAdmin {
    /// The name, in the realm `master`.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// A realm, and the right to change it for a minute.
pub(super) struct Realm<'a> {
    client: &'a Client,
    /// `../admin/realms/<name>`.
    admin: Url,
    token: Secret,
    /// By the stopwatch: from then on the token may end between two questions.
    fresh_until: Duration,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct InitialAccess {
    token: Secret,
}

impl<'a> Realm<'a> {
    /// Logs in at the Keycloak of this issuer.
    ///
    /// # Errors
    /// The issuer was named by a server only, its URL is not that of a realm, or the login fails.
    pub(super) async fn open(client: &'a Client, issuer: &Issuer, admin: &KeycloakAdmin) -> Result<Self, ClientError> {
        // A server must not choose who gets an administrator's password.
        if client.settings.issuer.is_none() {
            let secret = "an administrator's password";
            return Err(ClientError::IssuerNotNamed { secret, issuer: issuer.to_string() });
        }
        let reached_at = client.reached_at(issuer);
        let not_a_realm = || ClientError::NotKeycloak { issuer: issuer.to_string() };
        let (before, name) = reached_at.path().rsplit_once("/realms/").ok_or_else(not_a_realm)?;
        let at = |path: &str| {
            let mut url = reached_at.clone();
            url.set_path(path);
            url
        };
        let url = at(&format!("{before}/realms/master/protocol/openid-connect/token"));
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", admin.user.as_str()),
            ("password", admin.password.expose()),
        ];
        let http = client.web.at(&url)?;
        let request = http.request(Method::POST, &url).header("accept", "application/json").form(&form);
        let answer = ask(http, ADMIN_LOGIN, &url, request).await?;
        let answer: TokenResponse = answer.json().map_err(|_| bad(&url))?;
        let admin = at(&format!("{before}/admin/realms/{}", name.trim_end_matches('/')));
        let life = answer.expires_in.map_or(ADMIN_TOKEN_LIFE, Duration::from_secs);
        let fresh_until = client.settings.clock.monotonic() + life / 2;
        Ok(Self { client, admin, token: answer.access_token, fresh_until })
    }

    /// Whether the login is good for another few questions.
    pub(super) fn is_fresh(&self) -> bool {
        self.client.settings.clock.monotonic() < self.fresh_until
    }

    /// What opens the registration endpoint, once.
    pub(super) async fn initial_access_token(&self) -> Result<Secret, ClientError> {
        let wanted = json!({"count": 1, "expiration": INITIAL_TOKEN_LIFE});
        let made: InitialAccess = self.send(Method::POST, &["clients-initial-access"], Some(&wanted)).await?;
        Ok(made.token)
    }

    /// Gives a client's service account the roles that these scopes are mapped to, so that it really gets them.
    pub(super) async fn grant(&self, client_id: &str, scopes: &Scopes) -> Result<(), ClientError> {
        let known: Vec<Named> = self.send(Method::GET, &["client-scopes"], None).await?;
        let mut roles = Vec::new();
        for scope in known.iter().filter(|known| scopes.contains(&known.name)) {
            let mapped: Vec<Value> =
                self.send(Method::GET, &["client-scopes", &scope.id, "scope-mappings", "realm"], None).await?;
            roles.extend(mapped);
        }
        if roles.is_empty() {
            return Ok(());
        }
        // Of a client that registered itself, both ids are the same.
        let user: Named = self.send(Method::GET, &["clients", client_id, "service-account-user"], None).await?;
        let url = self.url(&["users", &user.id, "role-mappings", "realm"]);
        self.ask(&url, self.request(Method::POST, &url)?.json(&roles)).await.map(drop)
    }

    /// What is found there by this query.
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        let mut url = self.url(path);
        url.query_pairs_mut().extend_pairs(query);
        self.ask(&url, self.request(Method::GET, &url)?).await?.json().map_err(|_| bad(&url))
    }

    /// Deletes what is there.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<(), ClientError> {
        let url = self.url(path);
        self.ask(&url, self.request(Method::DELETE, &url)?).await.map(drop)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<T, ClientError> {
        let url = self.url(path);
        let mut request = self.request(method, &url)?;
        if let Some(body) = body {
            request = request.json(body);
        }
        self.ask(&url, request).await?.json().map_err(|_| bad(&url))
    }

    async fn ask(&self, url: &Url, request: RequestBuilder) -> Result<crate::net::Document, ClientError> {
        ask(self.client.web.at(url)?, ADMIN_REQUEST, url, request).await
    }

    fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, ClientError> {
        let request = self.client.web.at(url)?.request(method, url);
        Ok(request.header("accept", "application/json").bearer_auth(self.token.expose()))
    }

    /// The segments are escaped: some are a stranger's words.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.admin.clone();
        url.path_segments_mut().expect("http has paths").extend(path);
        url
    }
}

fn bad(url: &Url) -> ClientError {
    let problem = "it is not what Keycloak's admin API says".to_owned();
    ClientError::BadAnswer { action: ADMIN_REQUEST, url: url.to_string(), problem }
}
