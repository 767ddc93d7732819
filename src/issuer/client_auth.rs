//! How a caller proves to be a client: RFC 6749 section 2.3, RFC 7523 section 2.2.

use std::sync::{Arc, PoisonError};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use url::form_urlencoded;

use super::{
    Embedded, RouteError, Sender, assertion,
    call::{Call, Form, credentials_of},
    cimd::is_document_id,
    client::{Client, Proof},
};
use crate::{
    oauth::{AuthMethod, client_auth::JWT_BEARER},
    secret::{Secret, sha256_base64url},
};

/// Wrong secrets of one address within a minute after which a client's method is closed for it until the minute ends.
pub(super) const MAX_FAILURES: u32 = 20;
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
    /// The client, if it proves to be it. A public one has nothing to prove with: its codes and tokens do.
    pub(super) fn authenticate(
        &self,
        credentials: &Credentials,
        sender: Option<Sender>,
    ) -> Result<Arc<Client>, RouteError> {
        match credentials {
            Credentials::Secret { method, client_id, secret } => self.check_secret(*method, client_id, secret, sender),
            Credentials::Assertion { client_id, assertion } => self.check_assertion(client_id, assertion),
            Credentials::Public { client_id } if is_document_id(client_id) => {
                Ok(Arc::new(Client::named_by_url(client_id)))
            }
            Credentials::Public { client_id } => {
                let client = self.clients.get(client_id).filter(|client| client.proof == Proof::None);
                client.ok_or(RouteError::invalid_client(
                    "unknown client, or client_id alone proves nothing; register a public client, or send client_secret or \
                     client_assertion with it",
                ))
            }
        }
    }

    /// Notes that a client is in use: it makes no room for others any more.
    pub(super) async fn note_use(self: &Arc<Self>, client: &Client) {
        if !client.is_unused {
            return;
        }
        let id = client.id.clone();
        let noted = self.on_disk(move |issuer| {
            issuer.clients.change(&id, |client| {
                client.is_unused = false;
                Ok(())
            })
        });
        if let Err(error) = noted.await {
            // The next token tries again; this one is good all the same.
            tracing::warn!(
                client = client.id,
                error = &error as &dyn std::error::Error,
                "cannot note the use of a client"
            );
        }
    }

    /// An unknown client, a wrong secret and a method that the client did not register take the same path, the same time
    /// and the same answer.
    ///
    /// Failures are counted per client, method and sender: a client's id is in each of its tokens, and nobody elsewhere
    /// keeps it out with wrong secrets in its name. Who is unknown is one sender. Assertions are not counted at all: a
    /// signature cannot be guessed, and anybody can make a bad one in somebody else's name.
    fn check_secret(
        &self,
        method: AuthMethod,
        client_id: &str,
        secret: &Secret,
        sender: Option<Sender>,
    ) -> Result<Arc<Client>, RouteError> {
        let now = self.settings.clock.monotonic();
        let address = sender.map(|Sender(address)| address.to_string()).unwrap_or_default();
        let key = sha256_base64url(format!("{method} {address} {client_id}").as_bytes());
        let closed_for = self.failures.lock().unwrap_or_else(PoisonError::into_inner).closed_for(&key, now);
        if let Some(retry_after) = closed_for {
            return Err(RouteError::TooMany { what: "failed attempts of this address for this client", retry_after });
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

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use serde_json::json;

    use super::*;
    use crate::issuer::testing::{FORM, Fixture, basic};

    #[tokio::test]
    async fn each_method_works_for_the_client_that_registered_it_and_no_other() {
        let issuer = Fixture::new();
        let (basic_id, basic_secret) = issuer.registered("client_secret_basic").await;
        let (post_id, post_secret) = issuer.registered("client_secret_post").await;
        assert_eq!(issuer.with_basic("/token", &basic_id, &basic_secret, &[]).await.status, StatusCode::OK);
        assert_eq!(issuer.with_secret("/token", &post_id, &post_secret, &[]).await.status, StatusCode::OK);
        issuer.with_secret("/token", &basic_id, &basic_secret, &[]).await.is_refused(401, "invalid_client");
        issuer.with_basic("/token", &post_id, &post_secret, &[]).await.is_refused(401, "invalid_client");
        issuer.with_basic("/token", &basic_id, &post_secret, &[]).await.is_refused(401, "invalid_client");
        let local = issuer.local_client();
        let key = local.private_key.expose();
        issuer.with_secret("/token", &local.client_id, key, &[]).await.is_refused(401, "invalid_client");
        issuer.with_basic("/token", &local.client_id, key, &[]).await.is_refused(401, "invalid_client");
    }

    #[tokio::test]
    async fn an_unknown_client_and_a_wrong_secret_get_the_same_answer() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered("client_secret_basic").await;
        let hash = Secret::new(&secret).sha256();
        let mut refusals = Vec::new();
        for (id, secret) in
            [(id.as_str(), "guessed"), (&id, &hash), ("nobody", &secret), ("nobody", NO_HASH), ("../x", "guessed")]
        {
            let answer = issuer.with_basic("/token", id, secret, &[]).await;
            answer.is_refused(401, "invalid_client");
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"securemcp\"");
            assert!(!answer.json.to_string().contains(secret), "{}", answer.json);
            refusals.push(answer.json);
        }
        assert!(refusals.windows(2).all(|pair| pair[0] == pair[1]));
        let answer = issuer.with_secret("/token", &id, "wrong", &[]).await;
        assert_eq!(answer.header("www-authenticate"), "", "only who tried by the header is challenged");
    }

    #[tokio::test]
    async fn a_client_authenticates_in_one_way() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered("client_secret_basic").await;
        let both = [("client_id", id.as_str()), ("client_secret", secret.as_str())];
        issuer.with_basic("/token", &id, &secret, &both).await.is_refused(400, "invalid_request");
        let assertion = issuer.assertion(|_| ());
        let proof = [("client_assertion", assertion.as_str())];
        issuer.with_basic("/token", &id, &secret, &proof).await.is_refused(400, "invalid_request");
        issuer.with_assertion("/token", &assertion, &both).await.is_refused(400, "invalid_request");
        let header = basic(&id, &secret);
        let twice = [FORM, ("authorization", &header), ("authorization", &header)];
        let grant = "grant_type=client_credentials";
        issuer.send(Method::POST, "/token", &twice, grant).await.is_refused(400, "invalid_request");
        let name = [("client_id", id.as_str())];
        assert_eq!(issuer.with_basic("/token", &id, &secret, &name).await.status, StatusCode::OK);
        let other = [("client_id", "other")];
        issuer.with_basic("/token", &id, &secret, &other).await.is_refused(400, "invalid_request");
    }

    #[tokio::test]
    async fn without_a_proof_nobody_is_a_client() {
        let issuer = Fixture::new();
        let (id, _) = issuer.registered("client_secret_basic").await;
        for path in ["/revoke", "/introspect"] {
            let token = issuer.local_token().await;
            issuer.form(path, &[("token", &token)]).await.is_refused(401, "invalid_client");
            issuer.form(path, &[("token", &token), ("client_id", &id)]).await.is_refused(401, "invalid_client");
        }
        issuer.form("/token", &[("grant_type", "client_credentials")]).await.is_refused(401, "invalid_client");
    }

    #[tokio::test]
    async fn odd_headers_are_refused_and_encoded_ones_read() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered("client_secret_basic").await;
        let encoded = (id.replace('-', "%2D"), secret.replace('-', "%2d").replace('_', "%5F"));
        assert_eq!(issuer.with_basic("/token", &encoded.0, &encoded.1, &[]).await.status, StatusCode::OK);
        let raw = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for header in
            ["Basic", "Basic !", "Bearer x", "Digest x", &raw(&id), &raw(&format!("{id}&x:{secret}")), &raw("")]
        {
            let headers = [FORM, ("authorization", header)];
            let answer = issuer.send(Method::POST, "/token", &headers, "grant_type=client_credentials").await;
            answer.is_refused(401, "invalid_client");
        }
    }

    #[tokio::test]
    async fn twenty_wrong_secrets_close_that_method_of_that_client_for_the_rest_of_the_minute() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered("client_secret_basic").await;
        let (other, other_secret) = issuer.registered("client_secret_basic").await;
        for id in [id.as_str(), "nobody"] {
            for _ in 0..MAX_FAILURES {
                issuer.with_basic("/token", id, "wrong", &[]).await.is_refused(401, "invalid_client");
            }
        }
        issuer.advance(20);
        for (id, secret) in [(id.as_str(), secret.as_str()), (&id, "wrong"), ("nobody", "wrong")] {
            let answer = issuer.with_basic("/token", id, secret, &[]).await;
            answer.is_refused(429, "temporarily_unavailable");
            assert_eq!(answer.header("retry-after"), "41");
        }
        issuer.with_secret("/token", &id, "wrong", &[]).await.is_refused(401, "invalid_client");
        assert_eq!(issuer.with_basic("/token", &other, &other_secret, &[]).await.status, StatusCode::OK);
        issuer.advance(41);
        assert_eq!(issuer.with_basic("/token", &id, &secret, &[]).await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn a16_wrong_secrets_close_a_client_for_the_address_that_they_come_from_and_no_other() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered("client_secret_basic").await;
        let [attacker, own] = [1, 2].map(|last| Some(Sender([198, 51, 100, last].into())));
        let attempt = |secret: &str, sender| {
            let (method, client_id) = (AuthMethod::ClientSecretBasic, id.clone());
            issuer
                .embedded
                .authenticate(&Credentials::Secret { method, client_id, secret: Secret::new(secret) }, sender)
        };
        for _ in 0..MAX_FAILURES {
            assert!(matches!(attempt("wrong", attacker), Err(RouteError::InvalidClient { .. })));
        }
        assert!(matches!(attempt(&secret, attacker), Err(RouteError::TooMany { .. })), "the twin: even the right one");
        assert!(attempt(&secret, own).is_ok() && attempt(&secret, None).is_ok());
    }

    #[tokio::test]
    async fn nobody_can_lock_out_a_client_that_signs() {
        let issuer = Fixture::new();
        let id = issuer.local_client().client_id;
        for _ in 0..=MAX_FAILURES {
            issuer.with_basic("/token", &id, "wrong", &[]).await;
            issuer.with_secret("/token", &id, "wrong", &[]).await;
            let forged = crate::jose::SigningKey::generate().sign("JWT", &issuer.assertion_claims(&id));
            issuer.with_assertion("/token", forged.expose(), &[]).await.is_refused(401, "invalid_client");
        }
        issuer.local_token().await;
    }

    #[tokio::test]
    async fn a_registered_client_survives_a_restart() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered_with(&json!({})).await;
        let issuer = issuer.restarted();
        assert_eq!(issuer.with_basic("/token", &id, &secret, &[]).await.status, StatusCode::OK);
    }
}
