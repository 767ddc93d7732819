//! `POST /register`: RFC 7591, and what a registration may say.

use std::{
    borrow::Cow,
    sync::{Arc, PoisonError},
};

use axum::{Json, extract::State};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Embedded, RouteError,
    attempts::{BySender, Closed},
    call::Call,
    client::{Client, GrantType, Proof},
    clients::new_client_id,
    metadata::endpoint,
};
use crate::{
    jose::{KeySet, jwk::PRIVATE_MEMBERS},
    oauth::{AuthMethod, ClientMetadata, Issuer, RedirectUri, RegisteredClient, Scopes},
    said::is_deceptive,
    secret::{Secret, constant_time_eq},
    telemetry::audit::{Event, record},
};

/// Registrations of one address within a minute.
const MAX_OF_EACH: u32 = 20;
/// And of all addresses together: many of them may be one party's, that of the initial access token.
const MAX_OF_ALL: u32 = 60;
/// Largest registration, in bytes.
const MAX_METADATA_BYTES: usize = 16 * 1024;
/// Most redirect URIs of one client: editors register three.
const MAX_REDIRECT_URIS: usize = 10;
/// Longest `client_name`, in characters.
const MAX_NAME_CHARACTERS: usize = 100;

pub(super) async fn post(
    State(issuer): State<Arc<Embedded>>,
    call: Call,
) -> Result<(StatusCode, Json<RegisteredClient>), RouteError> {
    let registered = register(&issuer, &call).await;
    registered.map(|answer| (StatusCode::CREATED, Json(answer))).map_err(|error| call.refused("register", error))
}

async fn register(issuer: &Arc<Embedded>, call: &Call) -> Result<RegisteredClient, RouteError> {
    let supported = &issuer.settings.scopes;
    let rights = rights(issuer, call)?;
    issuer.count_registration(call)?;
    let wishes = Wishes::check(read_metadata(call.json()?)?, &rights)?;
    let now = issuer.settings.clock.since_epoch().as_secs();
    let is_strangers = rights.leaves_out;
    let (mut client, secrets) = wishes.into_client(supported, now)?;
    client.is_strangers = is_strangers;
    let answer = describe(&client, secrets, &issuer.settings.issuer);
    issuer.on_disk(move |issuer| issuer.clients.add(client, now, |id| issuer.grants.has_any_of(id))).await?;
    record(Event::ClientRegistered { client: &answer.client_id });
    Ok(answer)
}

/// What a registration may give to a client.
pub(super) struct Rights<'a> {
    pub(super) scope: &'a Scopes,
    pub(super) grants: &'a [GrantType],
    /// Whether grants beyond these are left out instead of refused (RFC 7591 section 2 allows both): clients in the field
    /// list all that they know.
    pub(super) leaves_out: bool,
}

/// Whoever has no initial access token registers a client that can do nothing without a person's consent.
fn rights<'a>(issuer: &'a Embedded, call: &Call) -> Result<Rights<'a>, RouteError> {
    const OF_STRANGERS: [GrantType; 2] = [GrantType::AuthorizationCode, GrantType::RefreshToken];
    let scope = &issuer.settings.scopes;
    if call.authorization()?.is_none() {
        return Ok(Rights { scope, grants: &OF_STRANGERS, leaves_out: true });
    }
    let expected = issuer.initial_access_token.expose().as_bytes();
    if call.bearer()?.is_some_and(|sent| constant_time_eq(sent.expose().as_bytes(), expected)) {
        return Ok(Rights { scope, grants: &GrantType::ALL, leaves_out: false });
    }
    Err(RouteError::InvalidToken(
        "this is not the initial access token: it is in the file initial-access-token in the server's state directory. \
         Without any token, clients register that log people in",
    ))
}

impl Embedded {
    fn count_registration(&self, call: &Call) -> Result<(), RouteError> {
        let mut registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        registrations.count(call.sender(), self.settings.clock.monotonic()).map_err(|closed| match closed {
            Closed::ForSender(retry_after) => {
                RouteError::TooMany { what: "registrations of this address", retry_after }
            }
            Closed::ForAll(retry_after) => RouteError::TooMany { what: "registrations", retry_after },
        })
    }
}

/// None yet.
pub(super) fn registrations() -> BySender {
    BySender::new(MAX_OF_EACH, MAX_OF_ALL)
}

/// Reads what a client says of itself.
pub(super) fn read_metadata<T: DeserializeOwned>(body: &[u8]) -> Result<T, RouteError> {
    if body.len() > MAX_METADATA_BYTES {
        return Err(RouteError::InvalidClientMetadata("the metadata is larger than 16 KiB".into()));
    }
    // serde would read an array as the members in order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(RouteError::InvalidClientMetadata("the metadata is not a JSON object".into()));
    }
    serde_json::from_slice(body).map_err(|error| {
        // Without serde's words, which quote the value.
        let problem = if error.is_data() { "has a member of the wrong type or form" } else { "is not JSON" };
        let place = format!("line {} column {}", error.line(), error.column());
        RouteError::InvalidClientMetadata(format!("the metadata {problem}, {place}").into())
    })
}

/// What a registration hands out, once.
pub(super) struct Secrets {
    pub(super) client_secret: Option<Secret>,
    pub(super) registration_access_token: Secret,
}

/// What a client may be, of what it said that it is.
pub(super) struct Wishes {
    pub(super) name: Option<String>,
    /// `None` if it said nothing.
    pub(super) scope: Option<Scopes>,
    /// Empty if it said nothing.
    pub(super) grants: Vec<GrantType>,
    /// Empty if it said nothing.
    pub(super) redirect_uris: Vec<RedirectUri>,
    method: Option<AuthMethod>,
    jwks: Option<Value>,
}

impl Wishes {
    /// Members that mean nothing here are ignored (RFC 7591 section 2); no address in them is ever fetched. No scope and
    /// no grant passes that these rights do not have.
    pub(super) fn check(metadata: ClientMetadata, rights: &Rights<'_>) -> Result<Self, RouteError> {
        let grants = check_grants(&metadata.grant_types, rights)?;
        if metadata.response_types.iter().any(|response_type| response_type != "code") {
            return refuse("response_types must be exactly code");
        }
        if metadata.jwks_uri.is_some() {
            return refuse("jwks_uri is not fetched; send the keys by value in jwks");
        }
        if metadata.scope.as_ref().is_some_and(|scope| scope.is_empty() || !rights.scope.covers(scope)) {
            return refuse(format!("scope must be a selection of: {}", rights.scope));
        }
        if metadata.token_endpoint_auth_method == Some(AuthMethod::Unsupported) {
            return refuse(
                "token_endpoint_auth_method must be none, client_secret_basic, client_secret_post or private_key_jwt",
            );
        }
        Ok(Self {
            name: metadata.client_name.as_deref().and_then(clean_name),
            scope: metadata.scope,
            grants,
            redirect_uris: check_redirect_uris(&metadata.redirect_uris)?,
            method: metadata.token_endpoint_auth_method,
            jwks: metadata.jwks,
        })
    }

    /// How the client is to prove itself, and its new secret if it gets one. What is not said stays as it was `before`.
    pub(super) fn proof(&self, before: Option<&Proof>) -> Result<(Proof, Option<Secret>), RouteError> {
        let method = self.method.or_else(|| before.map(Proof::method)).unwrap_or(AuthMethod::ClientSecretBasic);
        match method {
            AuthMethod::None => return Ok((Proof::None, None)),
            AuthMethod::PrivateKeyJwt => {
                let jwks = match (&self.jwks, before) {
                    (None, Some(Proof::PrivateKeyJwt { jwks })) => jwks.clone(),
                    (jwks, _) => check_keys(jwks.clone())?,
                };
                return Ok((Proof::PrivateKeyJwt { jwks }, None));
            }
            _ => {}
        }
        let kept = before.and_then(Proof::secret_sha256).map(str::to_owned);
        let new = kept.is_none().then(Secret::random);
        let secret_sha256 = kept.or_else(|| new.as_ref().map(Secret::sha256)).unwrap_or_default();
        let proof = match method {
            AuthMethod::ClientSecretPost => Proof::ClientSecretPost { secret_sha256 },
            _ => Proof::ClientSecretBasic { secret_sha256 },
        };
        Ok((proof, new))
    }

    /// A new client. One that names no scope gets all there are, and one that names no grant those that its redirect URIs
    /// are for: RFC 7591's default is `authorization_code`, which is of no use without any.
    fn into_client(self, supported: &Scopes, now: u64) -> Result<(Client, Secrets), RouteError> {
        let (proof, client_secret) = self.proof(None)?;
        let registration_access_token = Secret::random();
        let grants = match (self.grants.as_slice(), self.redirect_uris.as_slice()) {
            ([], []) => vec![GrantType::ClientCredentials],
            ([], _) => vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            _ => self.grants,
        };
        let client = Client {
            id: new_client_id(),
            issued_at: now,
            name: self.name,
            scope: self.scope.unwrap_or_else(|| supported.clone()),
            grants,
            redirect_uris: self.redirect_uris,
            registration_token_sha256: Some(registration_access_token.sha256()),
            previous_registration_token_sha256: None,
            is_strangers: false,
            is_unused: true,
            proof,
        };
        check_whole(&client)?;
        Ok((client, Secrets { client_secret, registration_access_token }))
    }
}

fn check_grants(names: &[String], rights: &Rights<'_>) -> Result<Vec<GrantType>, RouteError> {
    let mut grants: Vec<_> = Vec::new();
    for name in names {
        match GrantType::named(name).filter(|grant| rights.grants.contains(grant)) {
            Some(grant) if grants.contains(&grant) => {}
            Some(grant) => grants.push(grant),
            None if rights.leaves_out => {}
            None => {
                let words: Vec<_> = rights.grants.iter().map(|grant| grant.name()).collect();
                return refuse(format!("grant_types must be a selection of: {}", words.join(" ")));
            }
        }
    }
    if !rights.leaves_out {
        return Ok(grants);
    }
    if names.is_empty() {
        return Ok(rights.grants.to_vec());
    }
    if !grants.contains(&GrantType::AuthorizationCode) {
        return refuse(
            "without the initial access token a client can only log people in: grant_types must have \
             authorization_code. The token is in the file initial-access-token in the server's state directory",
        );
    }
    Ok(grants)
}

fn check_redirect_uris(texts: &[String]) -> Result<Vec<RedirectUri>, RouteError> {
    if texts.len() > MAX_REDIRECT_URIS {
        return Err(RouteError::InvalidRedirectUri(format!("there are more than {MAX_REDIRECT_URIS} redirect URIs")));
    }
    let parse = |(index, text): (usize, &String)| {
        let refused = |why| RouteError::InvalidRedirectUri(format!("redirect URI {} cannot be used: {why}", index + 1));
        RedirectUri::parse(text).map_err(refused)
    };
    texts.iter().enumerate().map(parse).collect()
}

/// Whether the parts of a client fit each other.
pub(super) fn check_whole(client: &Client) -> Result<(), RouteError> {
    let logs_in = client.may(GrantType::AuthorizationCode);
    if logs_in && client.redirect_uris.is_empty() {
        return Err(RouteError::InvalidRedirectUri(
            "authorization_code needs at least one of redirect_uris".to_owned(),
        ));
    }
    if !logs_in && !client.redirect_uris.is_empty() {
        return refuse("redirect_uris are for authorization_code: add it to grant_types, or leave them out");
    }
    if client.may(GrantType::RefreshToken) && !logs_in && !client.may(GrantType::DeviceCode) {
        return refuse("refresh_token goes with authorization_code or device_code: others ask again");
    }
    if client.may(GrantType::ClientCredentials) && client.proof == Proof::None {
        return refuse(
            "token_endpoint_auth_method must be client_secret_basic, client_secret_post or private_key_jwt: \
             client_credentials is not for public clients",
        );
    }
    Ok(())
}

fn refuse<T>(words: impl Into<Cow<'static, str>>) -> Result<T, RouteError> {
    Err(RouteError::InvalidClientMetadata(words.into()))
}

fn check_keys(jwks: Option<Value>) -> Result<Value, RouteError> {
    let Some(jwks) = jwks else {
        return refuse("private_key_jwt needs the public keys in jwks");
    };
    let keys = jwks["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    if keys.iter().any(|key| PRIVATE_MEMBERS.iter().any(|member| key.get(member).is_some())) {
        return refuse("jwks has a private or symmetric key; send public keys only, and replace the key that was sent");
    }
    if KeySet::parse(jwks.to_string().as_bytes()).is_ok_and(|keys| !keys.is_empty()) {
        return Ok(jwks);
    }
    refuse("jwks has no usable key; send RSA (2048 bits or more), P-256, P-384 or Ed25519 public keys for signatures")
}

/// A name that cannot break a log line, a terminal or a page, nor look like another.
pub(super) fn clean_name(text: &str) -> Option<String> {
    // Nor do those belong there that join or part the letters of some scripts.
    let is_harmless = |character: char| !is_deceptive(character) && !matches!(character, '\u{200c}' | '\u{200d}');
    let harmless: String = text.chars().filter(|character| is_harmless(*character)).collect();
    let name: String = harmless.trim().chars().take(MAX_NAME_CHARACTERS).collect();
    (!name.is_empty()).then_some(name)
}

/// A registration as it is answered. Of secrets only those that are handed out with it.
pub(super) fn describe(client: &Client, secrets: Secrets, issuer: &Issuer) -> RegisteredClient {
    let jwks = match &client.proof {
        Proof::PrivateKeyJwt { jwks } => Some(jwks.clone()),
        _ => None,
    };
    let logs_in = client.may(GrantType::AuthorizationCode);
    RegisteredClient {
        client_id: client.id.clone(),
        // 0 is never (RFC 7591 section 3.2.1).
        client_secret_expires_at: secrets.client_secret.as_ref().map(|_| 0),
        client_secret: secrets.client_secret,
        client_id_issued_at: Some(client.issued_at),
        registration_access_token: Some(secrets.registration_access_token),
        registration_client_uri: Some(endpoint(issuer, &format!("/register/{}", client.id))),
        metadata: ClientMetadata {
            client_name: client.name.clone(),
            grant_types: client.grants.iter().map(|grant| grant.name().to_owned()).collect(),
            response_types: logs_in.then(|| "code".to_owned()).into_iter().collect(),
            redirect_uris: client.redirect_uris.iter().map(|uri| uri.as_str().to_owned()).collect(),
            token_endpoint_auth_method: Some(client.proof.method()),
            scope: Some(client.scope.clone()),
            jwks,
            ..ClientMetadata::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::{
        issuer::testing::{Fixture, ISSUER, JSON, NOW},
        jose::SigningKey,
    };

    fn keys() -> Value {
        json!({ "keys": [SigningKey::generate().public_jwk()] })
    }

    #[tokio::test]
    async fn a_registration_without_wishes_gets_the_defaults() {
        let issuer = Fixture::new();
        let answer = issuer.register(&json!({})).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let id = answer.json["client_id"].as_str().unwrap();
        assert_eq!(answer.json["client_secret"].as_str().unwrap().len(), 43);
        assert_eq!(answer.json["client_secret_expires_at"], 0);
        assert_eq!(answer.json["client_id_issued_at"], NOW);
        assert_eq!(answer.json["registration_client_uri"], format!("{ISSUER}/register/{id}"));
        assert_eq!(answer.json["grant_types"], json!(["client_credentials"]));
        assert_eq!(answer.json["token_endpoint_auth_method"], "client_secret_basic");
        assert_eq!(answer.json["scope"], "mcp:read mcp:write mcp:infer");
    }

    #[tokio::test]
    async fn a_client_with_keys_gets_no_secret() {
        let issuer = Fixture::new();
        let wishes = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": keys()});
        let answer = issuer.register(&wishes).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        assert_eq!(answer.json["jwks"], wishes["jwks"]);
        assert!(answer.json.get("client_secret").is_none());
        assert!(answer.json.get("client_secret_expires_at").is_none());
    }

    #[tokio::test]
    async fn only_the_initial_access_token_registers_machines() {
        let issuer = Fixture::new();
        let token = issuer.initial_access_token();
        let (right, wrong) = (format!("bearer {token}"), format!("Bearer {token}x"));
        let basic = format!("Basic {token}");
        assert_eq!(
            issuer.send(Method::POST, "/register", &[JSON, ("authorization", &right)], "{}").await.status,
            StatusCode::CREATED
        );
        for header in [wrong.as_str(), "Bearer ", "Bearer", &basic, &token] {
            let answer = issuer.send(Method::POST, "/register", &[JSON, ("authorization", header)], "{}").await;
            answer.is_refused(401, "invalid_token");
            assert!(answer.header("www-authenticate").starts_with("Bearer "));
            assert!(answer.json["error_description"].as_str().unwrap().contains("state directory"));
        }
        assert_eq!(issuer.registrations().len(), 2);
    }

    #[tokio::test]
    async fn strangers_register_clients_that_log_people_in_and_nothing_else() {
        let issuer = Fixture::new();
        let register = async |metadata: Value| {
            issuer.advance(10);
            issuer.send(Method::POST, "/register", &[JSON], &metadata.to_string()).await
        };
        let uris = json!(["http://127.0.0.1/callback"]);
        for (grants, kept) in [
            (json!([]), json!(["authorization_code", "refresh_token"])),
            (json!(["authorization_code"]), json!(["authorization_code"])),
            (json!(["refresh_token", "authorization_code"]), json!(["refresh_token", "authorization_code"])),
            (
                json!([
                    "authorization_code",
                    "client_credentials",
                    "urn:ietf:params:oauth:grant-type:device_code",
                    "x"
                ]),
                json!(["authorization_code"]),
            ),
        ] {
            let metadata = json!({"redirect_uris": uris, "grant_types": grants, "token_endpoint_auth_method": "none"});
            let answer = register(metadata).await;
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
            assert_eq!(answer.json["grant_types"], kept);
            assert_eq!(answer.json["redirect_uris"], uris);
            assert_eq!(answer.json["response_types"], json!(["code"]));
            assert_eq!(answer.json["token_endpoint_auth_method"], "none");
            assert!(answer.json.get("client_secret").is_none());
        }
        // One with a secret gets nothing for itself by it.
        let answer = register(json!({ "redirect_uris": uris })).await;
        let member = |name: &str| answer.json[name].as_str().unwrap().to_owned();
        let (id, secret) = (member("client_id"), member("client_secret"));
        issuer.with_basic("/token", &id, &secret, &[]).await.is_refused(400, "unauthorized_client");
        for bad in [
            json!({"grant_types": ["client_credentials"]}),
            json!({"grant_types": ["urn:ietf:params:oauth:grant-type:device_code"]}),
            json!({"grant_types": ["refresh_token"], "redirect_uris": uris}),
            json!({"response_types": ["token"], "redirect_uris": uris}),
            json!({"scope": "admin", "redirect_uris": uris}),
        ] {
            register(bad).await.is_refused(400, "invalid_client_metadata");
        }
        for bad in [json!({}), json!({"redirect_uris": []})] {
            register(bad).await.is_refused(400, "invalid_redirect_uri");
        }
        assert_eq!(issuer.registrations().len(), 6);
    }

    #[tokio::test]
    async fn a06_redirect_uris_that_no_program_waits_behind_are_refused() {
        let issuer = Fixture::new();
        let register = async |uri: &str| {
            issuer.advance(10);
            issuer.send(Method::POST, "/register", &[JSON], &json!({ "redirect_uris": [uri] }).to_string()).await
        };
        for good in ["https://app.example/cb", "http://localhost:3118/callback", "cursor://anysphere.cursor-mcp/cb"] {
            assert_eq!(register(good).await.status, StatusCode::CREATED, "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "http://app.example/cb",
            "https://*.example/cb",
            "https://app.example/cb#x",
            "",
        ] {
            register(bad).await.is_refused(400, "invalid_redirect_uri");
        }
        let many = json!({"redirect_uris": vec!["https://app.example/cb"; MAX_REDIRECT_URIS + 1]});
        issuer.advance(60);
        issuer.register(&many).await.is_refused(400, "invalid_redirect_uri");
    }

    #[tokio::test]
    async fn metadata_that_cannot_work_is_refused() {
        let issuer = Fixture::new();
        let mut private = keys();
        private["keys"][0]["d"] = "AAAA".into();
        let with_keys = |jwks: Value| json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks});
        for bad in [
            json!({"grant_types": ["client_credentials", "refresh_token"]}),
            json!({"grant_types": ["password"]}),
            json!({"grant_types": ["client_credentials"], "redirect_uris": ["http://127.0.0.1/callback"]}),
            json!({"response_types": ["token"]}),
            json!({"token_endpoint_auth_method": "none"}),
            json!({"token_endpoint_auth_method": "client_secret_jwt"}),
            json!({"token_endpoint_auth_method": "private_key_jwt"}),
            json!({"jwks_uri": "http://169.254.169.254/"}),
            json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://h/jwks"}),
            with_keys(private),
            with_keys(json!({"keys": []})),
            with_keys(json!({"keys": [{"kty": "oct", "k": "AAAA"}]})),
            with_keys(json!([])),
            json!({"scope": "admin"}),
            json!({"scope": "mcp:read admin"}),
            json!({"scope": ""}),
            json!({"scope": "a\"b"}),
            json!({"client_name": 5}),
            json!([]),
        ] {
            issuer.register(&bad).await.is_refused(400, "invalid_client_metadata");
        }
        // Refused ones count too.
        issuer.advance(60);
        for text in ["", "{", "{\"client_name\":\"a\",\"client_name\":\"b\"}"] {
            issuer.register_text(text).await.is_refused(400, "invalid_client_metadata");
        }
        assert_eq!(issuer.registrations().len(), 1, "only this account's own client");
    }

    #[tokio::test]
    async fn members_that_mean_nothing_here_are_ignored() {
        let issuer = Fixture::new();
        let answer = issuer
            .register(
                &json!({"logo_uri": "http://169.254.169.254/", "client_id": "../../chosen", "client_secret": "mine",
                "grant_types": ["client_credentials"], "redirect_uris": []}),
            )
            .await;
        assert_eq!(answer.status, StatusCode::CREATED);
        assert!(answer.json["client_id"].as_str().unwrap().starts_with("client-"));
        assert_ne!(answer.json["client_secret"], "mine");
        assert!(answer.json.get("logo_uri").is_none());
    }

    #[tokio::test]
    async fn metadata_of_16_kib_is_read_and_more_is_refused() {
        let issuer = Fixture::new();
        let sized = |bytes: usize| format!("{:<bytes$}", "{}");
        assert_eq!(issuer.register_text(&sized(16 * 1024)).await.status, StatusCode::CREATED);
        issuer.register_text(&sized(16 * 1024 + 1)).await.is_refused(400, "invalid_client_metadata");
    }

    #[tokio::test]
    async fn names_are_made_harmless() {
        let issuer = Fixture::new();
        for (sent, kept) in [
            ("  CI job  ", json!("CI job")),
            ("a\u{202e}b\u{2066}c\n\u{1b}[31m\u{85}", json!("abc[31m")),
            ("<script>", json!("<script>")),
            (" \u{200f}\n ", Value::Null),
            ("\u{200b}\u{2060}\u{feff}", Value::Null),
        ] {
            let answer = issuer.register(&json!({ "client_name": sent })).await;
            assert_eq!(answer.json.get("client_name").cloned().unwrap_or_default(), kept);
        }
        let answer = issuer.register(&json!({"client_name": "\u{e9}".repeat(5000)})).await;
        assert_eq!(answer.json["client_name"].as_str().unwrap().chars().count(), MAX_NAME_CHARACTERS);
    }

    #[tokio::test]
    async fn a20_more_than_twenty_registrations_in_a_minute_have_to_wait() {
        let issuer = Fixture::new();
        for _ in 0..MAX_OF_EACH {
            assert_eq!(issuer.register(&json!({})).await.status, StatusCode::CREATED);
        }
        issuer.advance(20);
        let wrong = [JSON, ("authorization", "Bearer wrong")];
        issuer.send(Method::POST, "/register", &wrong, "{}").await.is_refused(401, "invalid_token");
        let answer = issuer.register(&json!({})).await;
        answer.is_refused(429, "temporarily_unavailable");
        assert_eq!(answer.header("retry-after"), "41");
        issuer.advance(40);
        assert_eq!(issuer.register(&json!({})).await.status, StatusCode::CREATED);
    }

    #[tokio::test]
    async fn secrets_are_kept_as_hashes() {
        let issuer = Fixture::new();
        let client = issuer.register(&json!({})).await.json;
        let kept = issuer.registrations().concat();
        for name in ["client_secret", "registration_access_token"] {
            let secret = client[name].as_str().unwrap();
            assert!(!kept.contains(secret), "{name}");
            assert!(kept.contains(&Secret::new(secret).sha256()), "{name}");
        }
    }

    #[tokio::test]
    async fn a_client_that_the_disk_does_not_have_is_not_registered() {
        let issuer = Fixture::new();
        std::fs::remove_dir_all(issuer.state.path().join("issuer/clients")).unwrap();
        issuer.register(&json!({})).await.is_refused(500, "server_error");
        issuer.local_token().await;
    }
}
