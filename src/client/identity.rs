//! As whom a token is asked for, and how that is proved: RFC 6749 section 2.3, RFC 7523.

use std::{sync::Arc, time::Duration};

use reqwest::RequestBuilder;

use super::{
    Client, ClientError, Grant, grant::CLIENT_CREDENTIALS, login::is_document, register::SavedClient, tokens::TokenKey,
};
use crate::{
    jose::{PrivateKey, SigningKey, algorithm_name},
    net::with_basic_auth,
    oauth::{
        AuthMethod, Issuer, Scopes, ServerMetadata,
        client_auth::{AssertionClaims, Audience, JWT_BEARER},
    },
    secret::Secret,
    store::{LocalClient, PrivateDir, StoreError},
};

/// How long an assertion is good. It is used at once.
const ASSERTION_LIFETIME: Duration = Duration::from_mins(1);

/// What an assertion says it is, so that it can be taken for nothing else (RFC 8725 section 3.11).
const ASSERTION_TYP: &str = "client-authentication+jwt";

/// A client at one issuer.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) client_id: String,
    /// The method that it was registered with, if we did that.
    pub(super) registered_method: Option<AuthMethod>,
    /// The scopes that it was registered for, if we did that and named some.
    pub(super) registered_scopes: Option<Scopes>,
    pub(super) proof: Proof,
}

/// What a client proves itself with.
#[derive(Debug)]
pub(super) enum Proof {
    Nothing,
    Secret(Secret),
    /// A key of our own making.
    Key(Box<SigningKey>),
    /// A key that was brought along.
    Brought(Arc<PrivateKey>),
}

/// Whom a token is to speak for.
#[derive(Debug)]
pub(super) enum Whose {
    /// This client itself.
    Client(Identity),
    /// A person, who has logged in or is to log in.
    Person,
}

/// Who a run is that names nobody, as far as the disk tells.
enum Kept {
    Local(LocalClient),
    Registered(Box<SavedClient>),
}

impl Kept {
    fn is_machine(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Registered(saved) => saved.does(CLIENT_CREDENTIALS),
        }
    }

    fn client_id(&self) -> &str {
        match self {
            Self::Local(local) => &local.client_id,
            Self::Registered(saved) => &saved.client.client_id,
        }
    }

    fn identity(self) -> Identity {
        match self {
            Self::Local(local) => Identity {
                proof: Proof::key(&local.private_key),
                client_id: local.client_id,
                registered_method: None,
                registered_scopes: None,
            },
            Self::Registered(saved) => saved.identity(),
        }
    }
}

impl Client {
    /// Whom a token of this issuer is to speak for: what the settings say, else the client itself where it has something
    /// to prove itself with, else a person.
    pub(super) async fn whose(&self, issuer: &Issuer) -> Result<Whose, ClientError> {
        match self.settings.grant {
            Some(Grant::ClientCredentials) => return self.identity(issuer).await.map(Whose::Client),
            Some(Grant::AuthorizationCode | Grant::DeviceCode) => return Ok(Whose::Person),
            None if self.settings.voucher.is_some() => {
                return self.vouched_identity(issuer).await.map(Whose::Client);
            }
            None if self.settings.has_proof() => return self.identity(issuer).await.map(Whose::Client),
            None => {}
        }
        let (client, here) = (self.clone(), issuer.clone());
        let kept = self.on_disk(move |state| client.kept(state, &here, client.settings.client_id.as_deref())).await?;
        match kept {
            Some(kept) if kept.is_machine() => Ok(Whose::Client(kept.identity())),
            None if self.settings.client_id.is_none() => {
                // One that is damaged was meant to be used.
                self.on_disk(LocalClient::require_whole).await?;
                Ok(Whose::Person)
            }
            _ => Ok(Whose::Person),
        }
    }

    /// Who we are at this issuer: the configured client, else this account's own, else one that was registered there.
    ///
    /// A client that was registered for something else does not take the account's own place, which has every scope; name
    /// it to be it.
    ///
    /// What belongs to one issuer is never shown to another: names are compared byte by byte.
    pub(super) async fn identity(&self, issuer: &Issuer) -> Result<Identity, ClientError> {
        self.identity_as(issuer, self.settings.client_id.clone()).await
    }

    /// The same for the client of this name, if one is wanted.
    pub(super) async fn identity_as(&self, issuer: &Issuer, wanted: Option<String>) -> Result<Identity, ClientError> {
        if let (Some(client_id), Some(secret)) = (&wanted, &self.settings.client_secret)
            && wanted == self.settings.client_id
        {
            self.may_show("a client secret", issuer)?;
            let proof = Proof::Secret(secret.clone());
            return Ok(Identity {
                client_id: client_id.clone(),
                registered_method: None,
                registered_scopes: None,
                proof,
            });
        }
        if let (Some(client_id), Some(key)) = (&wanted, &self.settings.private_key)
            && wanted == self.settings.client_id
        {
            // It signs for this issuer only, and stays here.
            let proof = Proof::Brought(Arc::clone(key));
            return Ok(Identity {
                client_id: client_id.clone(),
                registered_method: None,
                registered_scopes: None,
                proof,
            });
        }
        let (client, here, name) = (self.clone(), issuer.clone(), wanted.clone());
        match (self.on_disk(move |state| client.kept(state, &here, name.as_deref())).await?, wanted) {
            (Some(kept), _) => Ok(kept.identity()),
            (None, Some(client_id)) => {
                Ok(Identity { client_id, registered_method: None, registered_scopes: None, proof: Proof::Nothing })
            }
            (None, None) => {
                self.on_disk(LocalClient::require_whole).await?;
                Err(ClientError::NoIdentity { issuer: issuer.to_string() })
            }
        }
    }

    /// Whom the state directory makes us at this issuer, or whether it has the client of this name.
    ///
    /// A client that was registered by itself for a login takes nobody's place.
    fn kept(&self, state: &PrivateDir, issuer: &Issuer, name: Option<&str>) -> Result<Option<Kept>, StoreError> {
        let grant = self.settings.grant.map(Grant::registered);
        let fits = |saved: &SavedClient| match name {
            Some(name) => saved.is(name),
            None => grant.is_none_or(|grant| saved.does(grant)),
        };
        if name.is_some() || grant.is_none_or(|grant| grant == CLIENT_CREDENTIALS) {
            let local = LocalClient::load(state)?.filter(|client| client.issuer == *issuer);
            if let Some(local) = local.filter(|client| name.is_none_or(|name| name == client.client_id)) {
                return Ok(Some(Kept::Local(local)));
            }
        }
        let newest = |wanted: &dyn Fn(&SavedClient) -> bool| {
            SavedClient::newest(state, issuer, &self.reached_at(issuer), |saved| fits(saved) && wanted(saved))
        };
        let deliberate = newest(&|saved| !saved.is_automatic())?;
        let saved = match deliberate {
            None => newest(&|_| true)?,
            deliberate => deliberate,
        };
        Ok(saved.map(|saved| Kept::Registered(Box::new(saved))))
    }

    /// Whether this run would be another one now than it was when it got this token: a client that was named once, or
    /// registered earlier, does not go on speaking for who names none, nor does a person for a machine.
    pub(super) fn is_another_by_now(&self, state: &PrivateDir, then: &TokenKey) -> Result<bool, StoreError> {
        let settings = &self.settings;
        if settings.voucher().is_some() {
            // The key names whose word it was.
            return Ok(false);
        }
        if let Some(name) = settings.client_id.as_deref() {
            let is_machine = settings.has_proof()
                || self.kept(state, &then.issuer, Some(name))?.is_some_and(|kept| kept.is_machine());
            return Ok(settings.grant.is_none() && then.login && is_machine);
        }
        let now = self.kept(state, &then.issuer, None)?;
        if then.login && is_document(&then.client_id, settings.client_metadata_url.as_ref()) {
            return Ok(now.is_some_and(|now| now.is_machine()));
        }
        Ok(now.is_some_and(|now| now.client_id() != then.client_id || now.is_machine() == then.login))
    }
}

impl Proof {
    /// A kept private key. One that is damaged proves nothing.
    pub(super) fn key(pem: &Secret) -> Self {
        SigningKey::from_pem(pem.expose()).map_or(Self::Nothing, |key| Self::Key(Box::new(key)))
    }
}

impl Identity {
    /// Completes a request to one of the issuer's endpoints with the form and the client's proof.
    pub(super) fn prove(
        &self,
        request: RequestBuilder,
        mut form: Vec<(&'static str, String)>,
        issuer: &ServerMetadata,
        now: Duration,
    ) -> Result<RequestBuilder, ClientError> {
        let method = self.method(issuer)?;
        if let (Proof::Secret(secret), AuthMethod::ClientSecretBasic) = (&self.proof, method) {
            return Ok(with_basic_auth(request, &self.client_id, secret).form(&form));
        }
        // Some issuers give a secret to a public client too: it is not asked for.
        let proof = if method == AuthMethod::None { &Proof::Nothing } else { &self.proof };
        // Whoever is vouched for need not be a client of his own (RFC 7523 section 3.1).
        form.extend((!self.client_id.is_empty()).then(|| ("client_id", self.client_id.clone())));
        let assertion = match proof {
            Proof::Nothing => None,
            Proof::Secret(secret) => {
                form.push(("client_secret", secret.expose().to_owned()));
                None
            }
            Proof::Key(key) => Some(key.sign(ASSERTION_TYP, &self.assertion(&issuer.issuer, now))),
            Proof::Brought(key) => {
                let algorithm = key.algorithm_among(&issuer.token_endpoint_auth_signing_alg_values_supported);
                let assertion = self.assertion(&issuer.issuer, now);
                algorithm.and_then(|algorithm| key.sign(algorithm, ASSERTION_TYP, &assertion))
            }
        };
        if let Some(assertion) = assertion {
            form.push(("client_assertion_type", JWT_BEARER.to_owned()));
            form.push(("client_assertion", assertion.expose().to_owned()));
        }
        Ok(request.form(&form))
    }

    fn method(&self, issuer: &ServerMetadata) -> Result<AuthMethod, ClientError> {
        let not_offered = |what: &str| ClientError::NotOffered {
            issuer: issuer.issuer.to_string(),
            what: format!("{what}, the only way for client `{}` to prove itself", self.client_id),
        };
        let algorithms = &issuer.token_endpoint_auth_signing_alg_values_supported;
        let by_key = |signs: bool, names: &str| {
            let offered = signs && issuer.supports_auth_method(AuthMethod::PrivateKeyJwt);
            let what = || not_offered(&format!("`private_key_jwt` with {names}"));
            offered.then_some(AuthMethod::PrivateKeyJwt).ok_or_else(what)
        };
        match &self.proof {
            // Issuers that take public clients do not all list `none`: Keycloak 26.7 does not.
            Proof::Nothing => Ok(AuthMethod::None),
            Proof::Key(_) => by_key(algorithms.is_empty() || algorithms.iter().any(|name| name == "ES256"), "ES256"),
            Proof::Brought(key) => {
                let names = key.algorithms().into_iter().map(algorithm_name).collect::<Vec<_>>();
                by_key(key.algorithm_among(algorithms).is_some(), &names.join(" or "))
            }
            Proof::Secret(_) => [
                self.registered_method.unwrap_or(AuthMethod::ClientSecretBasic),
                AuthMethod::ClientSecretBasic,
                AuthMethod::ClientSecretPost,
            ]
            .into_iter()
            .find(|method| issuer.supports_auth_method(*method))
            .ok_or_else(|| not_offered("`client_secret_basic` or `client_secret_post`")),
        }
    }

    /// RFC 7523 section 3, for this issuer only: the audience is its name, exactly.
    fn assertion(&self, issuer: &Issuer, now: Duration) -> AssertionClaims {
        AssertionClaims {
            iss: self.client_id.clone(),
            sub: self.client_id.clone(),
            aud: Audience::One(issuer.to_string()),
            exp: (now + ASSERTION_LIFETIME).as_secs(),
            iat: Some(now.as_secs()),
            jti: Secret::random().expose().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        client::testing::{NOW, Seen, World, field},
        hint::Hint as _,
        oauth::Resource,
    };

    fn token_request(world: &World) -> Seen {
        world.seen().into_iter().find(|seen| seen.what == "POST /token").unwrap()
    }

    fn save_local_client(world: &World, issuer: &str) {
        let state = PrivateDir::open(&world.state_dir()).unwrap();
        let private_key = SigningKey::generate().to_pem();
        let issuer = Issuer::parse(issuer).unwrap();
        LocalClient { issuer, client_id: "local".to_owned(), private_key }.save(&state).unwrap();
    }

    #[tokio::test]
    async fn a_damaged_client_of_the_account_is_told_as_such() {
        let world = World::new().await;
        save_local_client(&world, &world.origin);
        nobody(&world).access_token(None).await.unwrap();
        let path = world.state_dir().join("local-client.json");
        std::fs::write(&path, "{\"issuer\": ").unwrap();
        let forced = world.client_with(|settings| {
            (settings.client_id, settings.client_secret, settings.force_new) = (None, None, true);
        });
        let error = forced.access_token(None).await.unwrap_err();
        assert!(error.to_string().contains("local-client.json` is damaged: it holds no client"), "{error}");
        std::fs::remove_file(path).unwrap();
        assert!(matches!(forced.access_token(None).await, Err(ClientError::NoIdentity { .. })));
    }

    fn nobody(world: &World) -> Client {
        world.client_with(|settings| (settings.client_id, settings.client_secret) = (None, None))
    }

    #[tokio::test]
    async fn a_secret_goes_into_the_header_encoded() {
        let world = World::new().await;
        let client = world.client_with(|settings| {
            (settings.client_id, settings.client_secret) = (Some("a:b".into()), Some(Secret::new("p%w d")));
        });
        client.access_token(None).await.unwrap();
        let seen = token_request(&world);
        assert_eq!(seen.authorization.unwrap(), format!("Basic {}", STANDARD.encode("a%3Ab:p%25w+d")));
        assert_eq!(field(&seen.body, "client_secret"), None);
    }

    #[tokio::test]
    async fn a_secret_goes_into_the_form_only_where_the_header_is_not_taken() {
        let world = World::new().await;
        world.lie_as_issuer("token_endpoint_auth_methods_supported", json!(["client_secret_post", "tls_client_auth"]));
        world.client().access_token(None).await.unwrap();
        let seen = token_request(&world);
        assert_eq!(seen.authorization, None);
        assert_eq!(field(&seen.body, "client_secret").unwrap(), "s3cret");
        world.lie_as_issuer("token_endpoint_auth_methods_supported", json!(["private_key_jwt"]));
        let error = world.client_with(|settings| settings.force_new = true).access_token(None).await.unwrap_err();
        assert!(matches!(error, ClientError::NotOffered { .. }), "{error}");
        assert!(world.seen().iter().all(|seen| !seen.body.contains("s3cret")));
    }

    #[tokio::test]
    async fn a_secret_that_nobody_asked_for_is_not_shown_to_an_issuer_of_public_clients() {
        let issuer = |methods: Value| -> ServerMetadata {
            let issuer = "https://auth.example";
            serde_json::from_value(json!({"issuer": issuer, "token_endpoint_auth_methods_supported": methods})).unwrap()
        };
        let registered = Identity {
            client_id: "c".to_owned(),
            registered_method: Some(AuthMethod::None),
            registered_scopes: None,
            proof: Proof::Secret(Secret::new("hush")),
        };
        let url = "https://auth.example/token";
        for (methods, shows) in [
            (json!(["none"]), false),
            (json!(["none", "client_secret_post"]), false),
            (json!(["client_secret_post"]), true),
        ] {
            let world = World::new().await;
            let http = world.client().web.at(&url.parse().unwrap()).unwrap().clone();
            let request = http.request(reqwest::Method::POST, &url.parse().unwrap());
            let request = registered.prove(request, Vec::new(), &issuer(methods), Duration::ZERO).unwrap();
            let request = request.build().unwrap();
            let body = std::str::from_utf8(request.body().unwrap().as_bytes().unwrap()).unwrap();
            assert_eq!(field(body, "client_secret").is_some(), shows, "{body}");
            assert_eq!(field(body, "client_id").unwrap(), "c");
            assert!(request.headers().get("authorization").is_none());
        }
    }

    #[tokio::test]
    async fn this_accounts_client_signs_for_its_own_issuer() {
        let world = World::new().await;
        save_local_client(&world, &world.origin);
        nobody(&world).access_token(None).await.unwrap();
        let seen = token_request(&world);
        assert_eq!(field(&seen.body, "client_assertion_type").unwrap(), JWT_BEARER);
        let assertion = field(&seen.body, "client_assertion").unwrap();
        let part = |index: usize| -> Value {
            let part = assertion.split('.').nth(index).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(part(0)["typ"], "client-authentication+jwt");
        assert_eq!(part(1)["aud"], world.origin);
        assert_eq!((part(1)["iss"].as_str(), part(1)["sub"].as_str()), (Some("local"), Some("local")));
        assert_eq!((part(1)["iat"].as_u64(), part(1)["exp"].as_u64()), (Some(NOW), Some(NOW + 60)));
        assert_eq!(part(1)["jti"].as_str().unwrap().len(), 43);
    }

    #[tokio::test]
    async fn this_accounts_client_is_not_shown_to_another_issuer() {
        let world = World::new().await;
        save_local_client(&world, &format!("{}/", world.origin));
        let error = nobody(&world).access_token(None).await.unwrap_err();
        assert!(matches!(error, ClientError::NoIdentity { .. }), "{error}");
        let hint = error.hint().unwrap();
        for way in ["securemcp dcr register", "SECUREMCP_CLIENT_ID", "SECUREMCP_TOKEN"] {
            assert!(hint.contains(way), "{hint}");
        }
        assert!(!world.whats().contains(&"POST /token".to_owned()));
    }

    #[tokio::test]
    async fn a_client_without_secret_is_told_what_it_lacks() {
        let world = World::new().await;
        let error = world.client_with(|settings| settings.client_secret = None).access_token(None).await.unwrap_err();
        assert!(matches!(error, ClientError::NoProof { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_name_of_loopback_is_not_another_ones() {
        // `localhost` and `127.0.0.1` are two resources and two issuers, although they are one machine.
        let world = World::new().await;
        let other = world.origin.replace("127.0.0.1", "localhost");
        let client = world.client_with(|settings| settings.server = Resource::parse(&format!("{other}/mcp")).unwrap());
        assert!(client.discover(None).await.is_err());
    }
}
