//! How a caller proves to be a client: RFC 6749 section 2.3, RFC 7523 section 2.2.

use std::sync::{Arc, PoisonError};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use url::form_urlencoded;

use super::{
    Embedded, RouteError, assertion,
    call::{Call, Form, credentials_of},
    clients::Client,
};
use crate::{
    oauth::{AuthMethod, client_auth::JWT_BEARER},
    secret::{Secret, sha256_base64url},
};

/// Compared with where there is no client, so that it takes the same time. The hash of nothing anybody knows.
pub(super) const NO_HASH: &str = "0000000000000000000000000000000000000000000";

/// What a request presents, before it is checked.
pub(super) enum Credentials {
    /// A secret, by `client_secret_basic` or `client_secret_post`.
    Secret { method: AuthMethod, client_id: String, secret: Secret },
    /// A signed assertion, and the `client_id` that it claims.
    Assertion { client_id: String, assertion: Secret },
    /// A name without a proof: a public client.
    Public { client_id: String },
}

impl Credentials {
    /// Finds the one way in which the request authenticates (RFC 6749 section 2.3: never more than one).
    pub(super) fn read(call: &Call, form: &Form) -> Result<Self, RouteError> {
        let header = call.authorization()?;
        let (secret, assertion) = (form.get("client_secret"), form.get("client_assertion"));
        let client_id = form.get("client_id");
        match (header, secret, assertion) {
            (Some(header), None, None) => Self::from_header(header, client_id),
            (None, Some(secret), None) => {
                let client_id =
                    client_id.ok_or(RouteError::InvalidRequest("client_secret needs client_id beside it"))?;
                let method = AuthMethod::ClientSecretPost;
                Ok(Self::Secret { method, client_id: client_id.to_owned(), secret: Secret::new(secret) })
            }
            (None, None, Some(jwt)) => {
                if form.get("client_assertion_type") != Some(JWT_BEARER) {
                    let reason = format!("client_assertion needs client_assertion_type {JWT_BEARER}");
                    return Err(RouteError::invalid_client(reason));
                }
                let client_id = assertion::claimed_client(jwt, client_id)?;
                Ok(Self::Assertion { client_id, assertion: Secret::new(jwt) })
            }
            (None, None, None) => match client_id {
                Some(client_id) => Ok(Self::Public { client_id: client_id.to_owned() }),
                None => Err(RouteError::invalid_client(
                    "there is no client authentication; use private_key_jwt, client_secret_basic or client_secret_post",
                )),
            },
            _ => Err(RouteError::InvalidRequest(
                "the client authenticates in more than one way; use one: Authorization header, client_secret or \
                 client_assertion",
            )),
        }
    }

    fn from_header(header: &str, form_client_id: Option<&str>) -> Result<Self, RouteError> {
        let pair = credentials_of("basic", header).and_then(decode_basic);
        let (client_id, secret) = pair.ok_or(RouteError::InvalidClient {
            reason: "the Authorization header is not Basic with base64 of client_id:client_secret".into(),
            by_header: true,
        })?;
        if form_client_id.is_some_and(|other| other != client_id) {
            return Err(RouteError::InvalidRequest("client_id in the form is not the one in the Authorization header"));
        }
        Ok(Self::Secret { method: AuthMethod::ClientSecretBasic, client_id, secret })
    }

    /// The client as it names itself; it may be anybody.
    pub(super) fn client_id(&self) -> &str {
        match self {
            Self::Secret { client_id, .. } | Self::Assertion { client_id, .. } | Self::Public { client_id } => {
                client_id
            }
        }
    }
}

/// RFC 6749 section 2.3.1: both parts are form-encoded before base64.
fn decode_basic(encoded: &str) -> Option<(String, Secret)> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (client_id, secret) = text.split_once(':')?;
    Some((form_decoded(client_id)?, Secret::new(form_decoded(secret)?)))
}

/// Undoes the encoding of one value; `None` if it is empty or two values.
fn form_decoded(text: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    let (value, _) = pairs.next().filter(|_| !text.contains(['=', '&']))?;
    Some(value.into_owned())
}

impl Embedded {
    /// The client, if it proves to be it.
    pub(super) fn authenticate(&self, credentials: &Credentials) -> Result<Arc<Client>, RouteError> {
        match credentials {
            Credentials::Secret { method, client_id, secret } => self.check_secret(*method, client_id, secret),
            Credentials::Assertion { client_id, assertion } => self.check_assertion(client_id, assertion),
            Credentials::Public { .. } => Err(RouteError::invalid_client(
                "client_id alone proves nothing; send client_secret or client_assertion with it",
            )),
        }
    }

    /// An unknown client, a wrong secret and a method that the client did not register take the same path, the same time
    /// and the same answer.
    ///
    /// Failures are counted per client and method, so that wrong secrets in the name of a `private_key_jwt` client do not
    /// keep it out. Assertions are not counted at all: a signature cannot be guessed, and anybody can make a bad one in
    /// somebody else's name.
    fn check_secret(&self, method: AuthMethod, client_id: &str, secret: &Secret) -> Result<Arc<Client>, RouteError> {
        let now = self.settings.clock.monotonic();
        let key = sha256_base64url(format!("{method} {client_id}").as_bytes());
        let closed_for = self.failures.lock().unwrap_or_else(PoisonError::into_inner).closed_for(&key, now);
        if let Some(retry_after) = closed_for {
            return Err(RouteError::TooManyFailures { retry_after });
        }
        let client = self.clients.get(client_id).filter(|client| client.proof.method() == method);
        let hash = client.as_ref().and_then(|client| client.proof.secret_sha256());
        let fits = secret.matches_sha256(hash.unwrap_or(NO_HASH));
        client.filter(|_| fits).ok_or_else(|| {
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).count(key, now);
            RouteError::InvalidClient {
                reason: "unknown client, wrong secret, or not the authentication method that the client registered"
                    .into(),
                by_header: method == AuthMethod::ClientSecretBasic,
            }
        })
    }
}
