//! As whom a token is asked for, and how that is proved: RFC 6749 section 2.3, RFC 7523.

use std::time::Duration;

use reqwest::RequestBuilder;
use url::form_urlencoded::byte_serialize;

use super::{Client, ClientError, register::SavedClient};
use crate::{
    jose::SigningKey,
    oauth::{
        AuthMethod, Issuer, ServerMetadata,
        client_auth::{AssertionClaims, Audience, JWT_BEARER},
    },
    secret::Secret,
    store::LocalClient,
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
    pub(super) proof: Proof,
}

/// What a client proves itself with.
#[derive(Debug)]
pub(super) enum Proof {
    Nothing,
    Secret(Secret),
    Key(Box<SigningKey>),
}

impl Client {
    /// Who we are at this issuer: the configured client, else one that was registered there, else this account's own.
    ///
    /// What belongs to one issuer is never shown to another: names are compared byte by byte.
    pub(super) async fn identity(&self, issuer: &Issuer) -> Result<Identity, ClientError> {
        let configured = self.settings.client_id.clone();
        if let (Some(client_id), Some(secret)) = (&configured, &self.settings.client_secret) {
            let proof = Proof::Secret(secret.clone());
            return Ok(Identity { client_id: client_id.clone(), registered_method: None, proof });
        }
        let (here, reached_at, wanted) = (issuer.clone(), self.reached_at(issuer), configured.clone());
        let (saved, local) = self
            .on_disk(move |state| {
                let saved = SavedClient::newest(state, &here, &reached_at, wanted.as_deref())?;
                let local = LocalClient::load(state)?.filter(|client| client.issuer == here && wanted.is_none());
                Ok((saved, local))
            })
            .await?;
        match (saved, configured, local) {
            (Some(saved), ..) => Ok(saved.identity()),
            (None, Some(client_id), _) => Ok(Identity { client_id, registered_method: None, proof: Proof::Nothing }),
            (None, None, Some(local)) => Ok(Identity {
                proof: Proof::key(&local.private_key),
                client_id: local.client_id,
                registered_method: None,
            }),
            (None, None, None) => Err(ClientError::NoIdentity { issuer: issuer.to_string() }),
        }
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
        let request = match (&self.proof, self.method(issuer)?) {
            (Proof::Secret(secret), AuthMethod::ClientSecretBasic) => {
                // RFC 6749 section 2.3.1: both are form-encoded before they are joined.
                let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                request.basic_auth(encode(&self.client_id), Some(encode(secret.expose())))
            }
            (Proof::Secret(secret), _) => {
                form.push(("client_id", self.client_id.clone()));
                form.push(("client_secret", secret.expose().to_owned()));
                request
            }
            (Proof::Key(key), _) => {
                form.push(("client_id", self.client_id.clone()));
                form.push(("client_assertion_type", JWT_BEARER.to_owned()));
                form.push(("client_assertion", self.assertion(key, &issuer.issuer, now).expose().to_owned()));
                request
            }
            (Proof::Nothing, _) => {
                form.push(("client_id", self.client_id.clone()));
                request
            }
        };
        Ok(request.form(&form))
    }

    fn method(&self, issuer: &ServerMetadata) -> Result<AuthMethod, ClientError> {
        let not_offered = |what: &str| ClientError::NotOffered {
            issuer: issuer.issuer.to_string(),
            what: format!("{what}, the only way for client `{}` to prove itself", self.client_id),
        };
        match &self.proof {
            Proof::Nothing => Err(ClientError::NoProof { client_id: self.client_id.clone() }),
            Proof::Key(_) => {
                let algorithms = &issuer.token_endpoint_auth_signing_alg_values_supported;
                let signs = algorithms.is_empty() || algorithms.iter().any(|name| name == "ES256");
                let offered = signs && issuer.supports_auth_method(AuthMethod::PrivateKeyJwt);
                offered.then_some(AuthMethod::PrivateKeyJwt).ok_or_else(|| not_offered("`private_key_jwt` with ES256"))
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
    fn assertion(&self, key: &SigningKey, issuer: &Issuer, now: Duration) -> Secret {
        let claims = AssertionClaims {
            iss: self.client_id.clone(),
            sub: self.client_id.clone(),
            aud: Audience::One(issuer.to_string()),
            exp: (now + ASSERTION_LIFETIME).as_secs(),
            iat: Some(now.as_secs()),
            jti: Secret::random().expose().to_owned(),
        };
        key.sign(ASSERTION_TYP, &claims)
    }
}
