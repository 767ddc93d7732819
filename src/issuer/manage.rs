//! `GET`, `PUT` and `DELETE /register/{client_id}`: the later life of a registration, RFC 7592.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Embedded, RouteError,
    call::Call,
    client::Client,
    client_auth::NO_HASH,
    register::{Rights, Secrets, Wishes, check_whole, describe, read_metadata},
};
use crate::{
    oauth::{ClientMetadata, RegisteredClient},
    secret::Secret,
    telemetry::audit::{Event, record},
};

/// Members that an update may not have (RFC 7592 section 2.2), and those that name the client.
#[derive(Deserialize)]
struct Named {
    client_id: Option<String>,
    client_secret: Option<Secret>,
    registration_access_token: Option<Value>,
    registration_client_uri: Option<Value>,
    client_secret_expires_at: Option<Value>,
    client_id_issued_at: Option<Value>,
}

/// The registration as it is kept. The secret is not in it: only its hash is kept.
pub(super) async fn get(
    State(issuer): State<Arc<Embedded>>,
    Path(client_id): Path<String>,
    call: Call,
) -> Result<Json<RegisteredClient>, RouteError> {
    read(&issuer, client_id, &call).await.map(Json).map_err(|error| call.refused("manage", error))
}

/// Replaces what a client says of itself, and its registration access token.
pub(super) async fn put(
    State(issuer): State<Arc<Embedded>>,
    Path(client_id): Path<String>,
    call: Call,
) -> Result<Json<RegisteredClient>, RouteError> {
    update(&issuer, client_id, &call).await.map(Json).map_err(|error| call.refused("manage", error))
}

/// Ends a registration, and with it every token of the client.
pub(super) async fn delete(
    State(issuer): State<Arc<Embedded>>,
    Path(client_id): Path<String>,
    call: Call,
) -> Result<StatusCode, RouteError> {
    let deleted = remove(&issuer, client_id, &call).await;
    deleted.map(|()| StatusCode::NO_CONTENT).map_err(|error| call.refused("manage", error))
}

async fn read(issuer: &Arc<Embedded>, client_id: String, call: &Call) -> Result<RegisteredClient, RouteError> {
    let token = bearer(issuer, &client_id, call)?;
    let client = issuer
        .on_disk(move |issuer| {
            let answer = issuer.clients.change(&client_id, |client| {
                use_token(client, &token)?;
                let secrets = Secrets { client_secret: None, registration_access_token: token };
                Ok(describe(client, secrets, &issuer.settings.issuer))
            })?;
            answer.ok_or_else(not_yours)
        })
        .await?;
    record(Event::ClientRead { client: &client.client_id });
    Ok(client)
}

async fn update(issuer: &Arc<Embedded>, client_id: String, call: &Call) -> Result<RegisteredClient, RouteError> {
    let token = bearer(issuer, &client_id, call)?;
    let body = call.json()?;
    let (named, metadata): (Named, ClientMetadata) = (read_metadata(body)?, read_metadata(body)?);
    let changed = issuer.on_disk(move |issuer| {
        let answer = issuer.clients.change(&client_id, |client| {
            use_token(client, &token)?;
            named.check(client)?;
            let (client_secret, registration_access_token) = (replace(client, metadata)?, Secret::random());
            client.previous_registration_token_sha256 = Some(token.sha256());
            client.registration_token_sha256 = Some(registration_access_token.sha256());
            let secrets = Secrets { client_secret, registration_access_token };
            Ok(describe(client, secrets, &issuer.settings.issuer))
        })?;
        answer.ok_or_else(not_yours)
    });
    let answer = changed.await?;
    record(Event::ClientUpdated { client: &answer.client_id });
    Ok(answer)
}

async fn remove(issuer: &Arc<Embedded>, client_id: String, call: &Call) -> Result<(), RouteError> {
    let token = bearer(issuer, &client_id, call)?;
    let id = client_id.clone();
    let deleted = issuer.on_disk(move |issuer| {
        let deleted = issuer.clients.delete(&id, |client| check_token(client, &token))?;
        if deleted {
            issuer.grants.end_of(&id)?;
        }
        Ok(deleted)
    });
    if !deleted.await? {
        return Err(not_yours());
    }
    record(Event::ClientRemoved { client: &client_id, reason: "deleted" });
    Ok(())
}

/// The bearer token, if it is this client's now. What changes something looks again when it is its turn.
fn bearer(issuer: &Embedded, client_id: &str, call: &Call) -> Result<Secret, RouteError> {
    let (client, token) = (issuer.clients.get(client_id), call.bearer()?.ok_or_else(not_yours)?);
    // An unknown client takes the same path as a wrong token.
    let hashes = client.as_ref().map(|client| hashes(client)).unwrap_or_default();
    if is_one_of(&token, hashes) { Ok(token) } else { Err(not_yours()) }
}

fn hashes(client: &Client) -> [Option<&str>; 2] {
    [client.registration_token_sha256.as_deref(), client.previous_registration_token_sha256.as_deref()]
}

fn is_one_of(token: &Secret, hashes: [Option<&str>; 2]) -> bool {
    let [current, previous] = hashes.map(|hash| token.matches_sha256(hash.unwrap_or(NO_HASH)));
    current | previous
}

fn check_token(client: &Client, token: &Secret) -> Result<(), RouteError> {
    if is_one_of(token, hashes(client)) { Ok(()) } else { Err(not_yours()) }
}

/// Checks the token. Who shows the new one has it: then the one before is dead.
fn use_token(client: &mut Client, token: &Secret) -> Result<(), RouteError> {
    check_token(client, token)?;
    if client.registration_token_sha256.as_deref().is_some_and(|current| token.matches_sha256(current)) {
        client.previous_registration_token_sha256 = None;
    }
    Ok(())
}

fn not_yours() -> RouteError {
    RouteError::InvalidToken("managing a registration needs its own registration_access_token as bearer token")
}

impl Named {
    fn check(&self, client: &Client) -> Result<(), RouteError> {
        let refuse = |words: &'static str| Err(RouteError::InvalidClientMetadata(words.into()));
        if self.client_id.as_deref() != Some(&client.id) {
            return refuse("client_id must be there and be the client's own");
        }
        let hash = client.proof.secret_sha256();
        if self.client_secret.as_ref().is_some_and(|secret| !secret.matches_sha256(hash.unwrap_or(NO_HASH))) {
            return refuse("client_secret is not the client's own, and a client cannot choose one");
        }
        let kept_out = [
            &self.registration_access_token,
            &self.registration_client_uri,
            &self.client_secret_expires_at,
            &self.client_id_issued_at,
        ];
        if kept_out.into_iter().any(Option::is_some) {
            return refuse(
                "an update must leave out registration_access_token, registration_client_uri, \
                 client_secret_expires_at and client_id_issued_at",
            );
        }
        Ok(())
    }
}

/// Replaces the metadata; a new secret if the client gets one.
///
/// No scope comes in that the client does not have: whoever finds its registration access token would otherwise have
/// found all the rights that the initial access token gives.
fn replace(client: &mut Client, metadata: ClientMetadata) -> Result<Option<Secret>, RouteError> {
    let rights = Rights { scope: &client.scope, grants: &client.grants, leaves_out: false };
    let wishes = Wishes::check(metadata, &rights)?;
    let (proof, client_secret) = wishes.proof(Some(&client.proof))?;
    client.proof = proof;
    client.name = wishes.name;
    if let Some(scope) = wishes.scope {
        client.scope = scope;
    }
    if !wishes.grants.is_empty() {
        client.grants = wishes.grants;
    }
    if !wishes.redirect_uris.is_empty() {
        client.redirect_uris = wishes.redirect_uris;
    }
    check_whole(client)?;
    Ok(client_secret)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        issuer::testing::{Answer, Fixture, ISSUER, claims_of},
        jose::SigningKey,
    };

    fn text(client: &Value, member: &str) -> String {
        client[member].as_str().unwrap().to_owned()
    }

    fn path(client: &Value) -> String {
        format!("/register/{}", text(client, "client_id"))
    }

    fn token(client: &Value) -> String {
        text(client, "registration_access_token")
    }

    /// Asks for an update with the client's own token and name.
    async fn update(issuer: &Fixture, client: &Value, mut metadata: Value) -> Answer {
        metadata["client_id"] = client["client_id"].clone();
        issuer.update_registration(&path(client), &token(client), &metadata).await
    }

    #[tokio::test]
    async fn a23_a_registration_is_read_with_its_own_token_only() {
        let issuer = Fixture::new();
        let mine = issuer.register(&json!({"client_name": "mine"})).await.json;
        let other = issuer.register(&json!({})).await.json;
        let local = format!("/register/{}", issuer.local_client().client_id);

        let answer = issuer.read_registration(&path(&mine), &token(&mine)).await;
        assert_eq!(answer.status, StatusCode::OK);
        let mut expected = mine.clone();
        for gone in ["client_secret", "client_secret_expires_at"] {
            expected.as_object_mut().unwrap().remove(gone);
        }
        assert_eq!(answer.json, expected);

        let mut refusals = Vec::new();
        for (path, token) in [
            (path(&mine), token(&other)),
            (path(&mine), issuer.initial_access_token()),
            (path(&mine), mine["client_secret"].as_str().unwrap().to_owned()),
            (path(&mine), String::new()),
            ("/register/client-unknown".to_owned(), token(&mine)),
            (local, token(&mine)),
        ] {
            let answer = issuer.read_registration(&path, &token).await;
            answer.is_refused(401, "invalid_token");
            refusals.push(answer.json);
        }
        assert!(refusals.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[tokio::test]
    async fn a23_only_its_own_token_changes_or_ends_a_registration() {
        let issuer = Fixture::new();
        let mine = issuer.register(&json!({})).await.json;
        let other = issuer.register(&json!({})).await.json;
        let wishes = json!({"client_id": mine["client_id"], "client_name": "changed"});
        for wrong in [token(&other), issuer.initial_access_token(), text(&mine, "client_secret"), String::new()] {
            issuer.update_registration(&path(&mine), &wrong, &wishes).await.is_refused(401, "invalid_token");
            issuer.delete_registration(&path(&mine), &wrong).await.is_refused(401, "invalid_token");
        }
        issuer.delete_registration("/register/client-unknown", &token(&mine)).await.is_refused(401, "invalid_token");
        let local = format!("/register/{}", issuer.local_client().client_id);
        issuer.delete_registration(&local, &token(&mine)).await.is_refused(401, "invalid_token");
        assert!(!issuer.registrations().concat().contains("changed"));
        assert_eq!(issuer.registrations().len(), 3);
        let answer = issuer.update_registration(&path(&mine), &token(&mine), &wishes).await;
        assert_eq!((answer.status, &answer.json["client_name"]), (StatusCode::OK, &json!("changed")));
        let answer = issuer.delete_registration(&path(&mine), &token(&answer.json)).await;
        assert_eq!((answer.status, answer.json), (StatusCode::NO_CONTENT, Value::Null));
        assert_eq!(issuer.registrations().len(), 2);
    }

    #[tokio::test]
    async fn a23_an_update_replaces_the_token_and_nothing_else_that_was_not_said() {
        let issuer = Fixture::new();
        let before = issuer.register(&json!({"client_name": "before", "scope": "mcp:read mcp:write"})).await.json;
        let answer = update(&issuer, &before, json!({"client_name": "after"})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
        let mut expected = before.clone();
        expected["client_name"] = "after".into();
        expected["registration_access_token"] = answer.json["registration_access_token"].clone();
        for gone in ["client_secret", "client_secret_expires_at"] {
            expected.as_object_mut().unwrap().remove(gone);
        }
        assert_eq!(answer.json, expected);
        assert_ne!(token(&answer.json), token(&before));
        assert_eq!(answer.json["registration_client_uri"], format!("{ISSUER}{}", path(&before)));
        let secret = text(&before, "client_secret");
        let issuer = issuer.restarted();
        let got = issuer.with_basic("/token", &text(&before, "client_id"), &secret, &[]).await;
        assert_eq!((got.status, &got.json["scope"]), (StatusCode::OK, &json!("mcp:read mcp:write")));
        assert!(!issuer.registrations().concat().contains(&token(&answer.json)));
    }

    #[tokio::test]
    async fn a23_a_replaced_token_is_dead_when_the_new_one_is_used() {
        let issuer = Fixture::new();
        let first = issuer.register(&json!({})).await.json;
        let lost = update(&issuer, &first, json!({})).await.json;
        // That answer never arrived: the client asks again with what it has.
        let second = update(&issuer, &first, json!({})).await;
        assert_eq!(second.status, StatusCode::OK);
        issuer.read_registration(&path(&first), &token(&lost)).await.is_refused(401, "invalid_token");
        let issuer = issuer.restarted();
        assert_eq!(issuer.read_registration(&path(&first), &token(&first)).await.status, StatusCode::OK);
        assert_eq!(issuer.read_registration(&path(&first), &token(&second.json)).await.status, StatusCode::OK);
        for _ in 0..2 {
            issuer.read_registration(&path(&first), &token(&first)).await.is_refused(401, "invalid_token");
        }
        update(&issuer, &first, json!({})).await.is_refused(401, "invalid_token");
        let third = update(&issuer, &second.json, json!({})).await;
        assert_eq!(third.status, StatusCode::OK);
        assert_eq!(update(&issuer, &third.json, json!({})).await.status, StatusCode::OK);
        update(&issuer, &second.json, json!({})).await.is_refused(401, "invalid_token");
    }

    #[tokio::test]
    async fn a23_an_update_never_widens() {
        let issuer = Fixture::new();
        let client = issuer.register(&json!({"scope": "mcp:read mcp:write"})).await.json;
        for wider in [
            json!({"scope": "mcp:read mcp:write mcp:infer"}),
            json!({"scope": "mcp:infer"}),
            json!({"scope": ""}),
            json!({"grant_types": ["authorization_code"]}),
            json!({"grant_types": ["client_credentials", "refresh_token"]}),
            json!({"redirect_uris": ["http://127.0.0.1/callback"]}),
            json!({"token_endpoint_auth_method": "none"}),
            json!({"jwks_uri": "http://169.254.169.254/"}),
        ] {
            update(&issuer, &client, wider).await.is_refused(400, "invalid_client_metadata");
        }
        let narrower = update(&issuer, &client, json!({"scope": "mcp:read"})).await;
        assert_eq!((narrower.status, &narrower.json["scope"]), (StatusCode::OK, &json!("mcp:read")));
        update(&issuer, &narrower.json, json!({"scope": "mcp:read mcp:write"}))
            .await
            .is_refused(400, "invalid_client_metadata");
        let (id, secret) = (text(&client, "client_id"), text(&client, "client_secret"));
        let answer = issuer.with_basic("/token", &id, &secret, &[("scope", "mcp:write")]).await;
        answer.is_refused(400, "invalid_scope");
    }

    #[tokio::test]
    async fn an_update_names_the_client_and_chooses_no_secret() {
        let issuer = Fixture::new();
        let client = issuer.register(&json!({})).await.json;
        let other = issuer.register(&json!({})).await.json;
        let secret = text(&client, "client_secret");
        let put = async |metadata: Value| {
            let answer = issuer.update_registration(&path(&client), &token(&client), &metadata).await;
            answer.is_refused(400, "invalid_client_metadata");
            assert!(!answer.json.to_string().contains(&secret));
        };
        put(json!({})).await;
        put(json!({"client_id": other["client_id"]})).await;
        let id = &client["client_id"];
        put(json!({"client_id": id, "client_secret": "chosen"})).await;
        put(json!({"client_id": id, "client_secret": NO_HASH})).await;
        for member in ["registration_access_token", "registration_client_uri", "client_secret_expires_at"] {
            put(json!({"client_id": id, member: client[member]})).await;
        }
        put(json!({"client_id": id, "client_id_issued_at": 0})).await;
        let twin = json!({"client_id": id, "client_secret": secret});
        let answer = issuer.update_registration(&path(&client), &token(&client), &twin).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
        let bearer = format!("Bearer {}", token(&answer.json));
        for text in ["", "{", "[]", &format!("{{\"client_id\":{id},\"client_id\":{id}}}")] {
            let headers = [crate::issuer::testing::JSON, ("authorization", bearer.as_str())];
            let answer = issuer.send(http::Method::PUT, &path(&client), &headers, text).await;
            answer.is_refused(400, "invalid_client_metadata");
        }
    }

    #[tokio::test]
    async fn a_client_replaces_its_keys_and_its_method() {
        let issuer = Fixture::new();
        let keys = |key: &SigningKey| json!({"keys": [key.public_jwk()]});
        let (old, new) = (SigningKey::generate(), SigningKey::generate());
        let wishes = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": keys(&old)});
        let client = issuer.register(&wishes).await.json;
        let id = text(&client, "client_id");
        let proves = async |key: &SigningKey| {
            let assertion = key.sign("client-authentication+jwt", &issuer.assertion_claims(&id));
            issuer.with_assertion("/token", assertion.expose(), &[]).await.status == StatusCode::OK
        };
        assert!(proves(&old).await && !proves(&new).await);
        let client = update(&issuer, &client, json!({"jwks": keys(&new)})).await.json;
        assert!(!proves(&old).await && proves(&new).await);
        let client = update(&issuer, &client, json!({"client_name": "x"})).await.json;
        assert!(proves(&new).await, "keys that are not sent stay");
        let client = update(&issuer, &client, json!({"token_endpoint_auth_method": "client_secret_post"})).await.json;
        assert!(!proves(&new).await);
        let secret = text(&client, "client_secret");
        assert_eq!(client["client_secret_expires_at"], 0);
        assert_eq!(issuer.with_secret("/token", &id, &secret, &[]).await.status, StatusCode::OK);
        let client = update(&issuer, &client, json!({"token_endpoint_auth_method": "client_secret_basic"})).await.json;
        assert!(client.get("client_secret").is_none(), "the secret stays");
        assert_eq!(issuer.with_basic("/token", &id, &secret, &[]).await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_deleted_client_is_gone_with_its_tokens_at_once_and_after_a_restart() {
        let issuer = Fixture::new();
        let client = issuer.register(&json!({})).await.json;
        let other = issuer.register(&json!({})).await.json;
        let get = async |issuer: &Fixture, client: &Value| {
            issuer.with_basic("/token", &text(client, "client_id"), &text(client, "client_secret"), &[]).await
        };
        let (dead, alive) = (get(&issuer, &client).await.json, get(&issuer, &other).await.json);
        let (dead, alive) = (text(&dead, "access_token"), text(&alive, "access_token"));
        let is_active = async |issuer: &Fixture, token: &str| {
            let claims = claims_of(token);
            let (id, client) = (claims["jti"].as_str(), claims["client_id"].as_str());
            let introspected = issuer.local("/introspect", &[("token", token)]).await.json["active"] == true;
            assert_eq!(introspected, !issuer.embedded.is_revoked(id, client));
            introspected
        };
        assert!(is_active(&issuer, &dead).await);
        assert_eq!(issuer.delete_registration(&path(&client), &token(&client)).await.status, StatusCode::NO_CONTENT);
        let mut issuer = issuer;
        for _ in 0..2 {
            assert!(!is_active(&issuer, &dead).await && is_active(&issuer, &alive).await);
            get(&issuer, &client).await.is_refused(401, "invalid_client");
            issuer.read_registration(&path(&client), &token(&client)).await.is_refused(401, "invalid_token");
            issuer.delete_registration(&path(&client), &token(&client)).await.is_refused(401, "invalid_token");
            issuer = issuer.restarted();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_many_updates_at_once_one_is_the_last() {
        let issuer = Arc::new(Fixture::new());
        let client = issuer.register(&json!({})).await.json;
        let mut all = tokio::task::JoinSet::new();
        for index in 0..8 {
            let (issuer, client) = (Arc::clone(&issuer), client.clone());
            all.spawn(async move { update(&issuer, &client, json!({"client_name": index.to_string()})).await });
        }
        let answers = all.join_all().await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK), "the first token is the one before");
        let mut alive = 0;
        for answer in &answers {
            let read = issuer.read_registration(&path(&client), &token(&answer.json)).await;
            alive += usize::from(read.status == StatusCode::OK);
            assert!(read.status != StatusCode::OK || read.json["client_name"] == answer.json["client_name"]);
        }
        assert_eq!(alive, 1);
    }

    #[tokio::test]
    async fn what_the_disk_does_not_take_is_not_changed() {
        let issuer = Fixture::new();
        let client = issuer.register(&json!({"client_name": "before"})).await.json;
        std::fs::remove_dir_all(issuer.state.path().join("issuer/clients")).unwrap();
        update(&issuer, &client, json!({"client_name": "after"})).await.is_refused(500, "server_error");
        let answer = issuer.read_registration(&path(&client), &token(&client)).await;
        assert_eq!(answer.json["client_name"], "before");
    }
}
