//! Registered clients: one file each, and a view of all of them in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use super::{
    OpenError, RouteError,
    client::{Client, GrantType, PAGE_CLIENT, Proof},
};
use crate::{
    jose::SigningKey,
    oauth::{Issuer, RedirectUri, Scopes},
    secret::Secret,
    store::{LocalClient, PrivateDir, StoreError},
    telemetry::audit::{Event, record},
};

/// How many clients may be registered, so that a leaked initial access token cannot fill the disk.
const MAX_CLIENTS: usize = 1000;
/// How many of them may be unused, beside those of strangers.
const MAX_UNUSED: usize = 500;
/// How many of strangers may be unused: at the highest rate of registrations each of them has five minutes to log somebody
/// in.
const MAX_UNUSED_STRANGERS: usize = 300;
/// A client that was not used for this long after its registration makes room for a new one when there is none.
const UNUSED_LIFETIME: Duration = Duration::from_hours(24);

const ID_PREFIX: &str = "client-";

/// A name for a new client: random, so that no request ever chooses the name of a file.
pub(super) fn new_client_id() -> String {
    format!("{ID_PREFIX}{}", &Secret::random().expose()[..22])
}

fn is_client_id(text: &str) -> bool {
    let rest = text.strip_prefix(ID_PREFIX);
    rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')))
}

fn file_name(client_id: &str) -> String {
    format!("{client_id}.json")
}

/// All clients. What a reader sees here is on the disk already, but for the server's own page, which is made anew.
pub(super) struct Clients {
    dir: PrivateDir,
    known: RwLock<HashMap<String, Arc<Client>>>,
    /// Held through a write: the cap is checked against what is written.
    writing: Mutex<()>,
}

impl Clients {
    /// Reads every registration.
    pub(super) fn open(dir: PrivateDir) -> Result<Self, OpenError> {
        let mut known = HashMap::new();
        for name in dir.names()? {
            let bytes = dir.read(&name)?.unwrap_or_default();
            let client: Option<Client> = serde_json::from_slice(&bytes).ok();
            match client.filter(|client| file_name(&client.id) == name) {
                Some(client) => known.insert(client.id.clone(), Arc::new(client)),
                None => return Err(OpenError::BadRegistration { path: dir.path().join(name) }),
            };
        }
        Ok(Self { dir, known: RwLock::new(known), writing: Mutex::new(()) })
    }

    /// The client of this name.
    pub(super) fn get(&self, client_id: &str) -> Option<Arc<Client>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(client_id).cloned()
    }

    /// Adds a client that registered at `now`, in seconds since the epoch. `is_needed` says whether somebody is still
    /// logged in with one. Blocks on the disk.
    pub(super) fn add(&self, client: Client, now: u64, is_needed: impl Fn(&str) -> bool) -> Result<(), RouteError> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for stale in self.outlived(now) {
            self.remove(&stale.id)?;
            record(Event::ClientRemoved { client: &stale.id, reason: "unused" });
        }
        if let Some(stale) = self.in_the_way(&client, now, is_needed)? {
            self.remove(&stale.id)?;
            record(Event::ClientRemoved { client: &stale.id, reason: "unused" });
        }
        Ok(self.write(client)?)
    }

    /// Clients of strangers that have logged nobody in for a day.
    fn outlived(&self, now: u64) -> Vec<Arc<Client>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let has_outlived = |client: &&Arc<Client>| {
            client.is_strangers && client.is_unused && client.issued_at + UNUSED_LIFETIME.as_secs() <= now
        };
        known.values().filter(has_outlived).cloned().collect()
    }

    /// What has to go before there is room for one more: nothing, or the oldest client that nobody will miss. Strangers
    /// only ever push out strangers: those that never logged anybody in, then those that nobody is logged in with.
    fn in_the_way(
        &self,
        newcomer: &Client,
        now: u64,
        is_needed: impl Fn(&str) -> bool,
    ) -> Result<Option<Arc<Client>>, RouteError> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let registered = || known.values().filter(|client| client.registration_token_sha256.is_some());
        let unused = || registered().filter(|client| client.is_unused);
        let unused_strangers = || unused().filter(|client| client.is_strangers);
        let oldest_stranger = || {
            let unneeded = registered().filter(|client| client.is_strangers && !is_needed(&client.id));
            let oldest = unused_strangers().min_by_key(|client| client.issued_at);
            oldest.or_else(|| unneeded.min_by_key(|client| client.issued_at)).cloned()
        };
        if newcomer.is_strangers && unused_strangers().count() >= MAX_UNUSED_STRANGERS {
            return Ok(oldest_stranger());
        }
        let others_unused = unused().count() - unused_strangers().count();
        if registered().count() < MAX_CLIENTS && others_unused < MAX_UNUSED {
            return Ok(None);
        }
        if others_unused < MAX_UNUSED
            && let Some(stranger) = oldest_stranger()
        {
            return Ok(Some(stranger));
        }
        let stale = unused().filter(|client| client.issued_at + UNUSED_LIFETIME.as_secs() <= now);
        let oldest = stale.min_by_key(|client| client.issued_at).cloned();
        oldest.map(Some).ok_or(RouteError::Full(
            "this issuer has as many clients as it keeps (1000, of which 500 unused); delete unused ones with \
             `securemcp dcr delete`, or wait: a client that nobody uses for a day makes room",
        ))
    }

    /// Changes a client, or refuses to; nobody else changes any meanwhile. Blocks on the disk.
    pub(super) fn change<T>(
        &self,
        client_id: &str,
        change: impl FnOnce(&mut Client) -> Result<T, RouteError>,
    ) -> Result<Option<T>, RouteError> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = self.get(client_id) else { return Ok(None) };
        let mut client = Client::clone(&before);
        let changed = change(&mut client)?;
        if client != *before {
            self.write(client)?;
        }
        Ok(Some(changed))
    }

    /// Removes a client if `may` says so of what it is now; whether there was one. Blocks on the disk.
    pub(super) fn delete(
        &self,
        client_id: &str,
        may: impl FnOnce(&Client) -> Result<(), RouteError>,
    ) -> Result<bool, RouteError> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(client) = self.get(client_id) else { return Ok(false) };
        may(&client)?;
        self.remove(client_id)?;
        Ok(true)
    }

    fn remove(&self, client_id: &str) -> Result<(), StoreError> {
        self.dir.remove(&file_name(client_id))?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(client_id);
        Ok(())
    }

    /// Makes sure that this account's client and its registration exist, fit each other and name this issuer.
    ///
    /// The record with the key is written first: a process killed in between leaves a record without a registration, which
    /// the next start completes. A registration without a record is of no use to anybody and is removed.
    pub(super) fn provision_local(
        &self,
        state: &PrivateDir,
        issuer: &Issuer,
        scope: &Scopes,
        now: u64,
    ) -> Result<(), StoreError> {
        let kept = LocalClient::load(state)?.filter(|record| is_client_id(&record.client_id));
        let kept = kept.and_then(|record| Some((SigningKey::from_pem(record.private_key.expose()).ok()?, record)));
        let is_up_to_date = kept.as_ref().is_some_and(|(_, record)| record.issuer == *issuer);
        let (key, mut record) = kept.unwrap_or_else(|| {
            let key = SigningKey::generate();
            let private_key = key.to_pem();
            (key, LocalClient { issuer: issuer.clone(), client_id: new_client_id(), private_key })
        });
        if !is_up_to_date {
            record.issuer = issuer.clone();
            record.save(state)?;
        }
        self.remove_orphans(&record.client_id)?;
        let existing = self.get(&record.client_id);
        let client = Client {
            issued_at: existing.as_ref().map_or(now, |client| client.issued_at),
            id: record.client_id,
            name: Some("command line of this account".to_owned()),
            scope: scope.clone(),
            grants: vec![GrantType::ClientCredentials],
            redirect_uris: Vec::new(),
            proof: Proof::PrivateKeyJwt { jwks: serde_json::json!({ "keys": [key.public_jwk()] }) },
            registration_token_sha256: None,
            previous_registration_token_sha256: None,
            is_strangers: false,
            is_unused: false,
        };
        if existing.is_some_and(|existing| *existing == client) { Ok(()) } else { self.write(client) }
    }

    /// Makes the server's own page a client, which asks people and is good for one access token at a time.
    pub(super) fn provision_page(&self, redirect_uris: Vec<RedirectUri>, scope: &Scopes, now: u64) {
        let client = Client {
            id: PAGE_CLIENT.to_owned(),
            issued_at: now,
            name: Some("Tools page of this server".to_owned()),
            scope: scope.clone(),
            grants: vec![GrantType::AuthorizationCode],
            redirect_uris,
            proof: Proof::None,
            registration_token_sha256: None,
            previous_registration_token_sha256: None,
            is_strangers: false,
            is_unused: false,
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(client.id.clone(), Arc::new(client));
    }

    fn remove_orphans(&self, local_id: &str) -> Result<(), StoreError> {
        let is_orphan = |client: &&Arc<Client>| client.registration_token_sha256.is_none() && client.id != local_id;
        let orphans: Vec<_> = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.values().filter(is_orphan).cloned().collect()
        };
        orphans.iter().try_for_each(|orphan| self.remove(&orphan.id))
    }

    fn write(&self, client: Client) -> Result<(), StoreError> {
        let text = serde_json::to_vec_pretty(&client).expect("strings, numbers and JSON values only");
        self.dir.write(&file_name(&client.id), &text)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(client.id.clone(), Arc::new(client));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        issuer::testing::{Fixture, NOW, PAGE, Person, VERIFIER, authorization, claims_of},
        oauth::device::DEVICE_CODE,
    };

    #[tokio::test]
    async fn this_accounts_client_is_made_once() {
        let issuer = Fixture::new();
        let first = issuer.local_client();
        issuer.advance(100);
        let issuer = issuer.restarted();
        assert_eq!(issuer.local_client().client_id, first.client_id);
        assert_eq!(issuer.local_client().private_key.expose(), first.private_key.expose());
        assert_eq!(issuer.registrations().len(), 1);
        issuer.local_token().await;
    }

    #[tokio::test]
    async fn its_record_follows_the_servers_origin() {
        let issuer = Fixture::new();
        let id = issuer.local_client().client_id;
        let issuer = issuer.restarted_as("http://127.0.0.1:9000");
        assert_eq!(issuer.local_client().issuer.as_str(), "http://127.0.0.1:9000");
        assert_eq!(issuer.local_client().client_id, id);
        issuer.local_token().await;
    }

    #[tokio::test]
    async fn a_half_that_is_lost_or_damaged_is_made_again() {
        for damage in [None, Some("{}"), Some("not json")] {
            let issuer = Fixture::new();
            let record = issuer.state.path().join("local-client.json");
            match damage {
                None => std::fs::remove_file(record).unwrap(),
                Some(text) => std::fs::write(record, text).unwrap(),
            }
            let issuer = issuer.restarted();
            assert_eq!(issuer.registrations().len(), 1, "the old registration is gone");
            issuer.local_token().await;
        }
        let issuer = Fixture::new();
        let id = issuer.local_client().client_id;
        issuer.state.child("issuer").unwrap().child("clients").unwrap().remove(&format!("{id}.json")).unwrap();
        let issuer = issuer.restarted();
        assert_eq!(issuer.local_client().client_id, id);
        issuer.local_token().await;
    }

    #[tokio::test]
    async fn a_record_never_names_a_file_elsewhere() {
        let issuer = Fixture::new();
        let mut record = issuer.local_client();
        record.client_id = "../outside".to_owned();
        record.save(&issuer.state).unwrap();
        let issuer = issuer.restarted();
        assert!(issuer.local_client().client_id.starts_with("client-"));
        issuer.local_token().await;
    }

    #[tokio::test]
    async fn registered_clients_stay_when_this_accounts_is_replaced() {
        let issuer = Fixture::new();
        let (id, secret) = issuer.registered_with(&json!({})).await;
        issuer.state.remove("local-client.json").unwrap();
        let issuer = issuer.restarted();
        assert_eq!(issuer.with_basic("/token", &id, &secret, &[]).await.status, http::StatusCode::OK);
        assert_eq!(issuer.registrations().len(), 2);
    }

    #[tokio::test]
    async fn the_servers_own_page_asks_people_and_nothing_else() {
        let issuer = Fixture::new();
        assert_eq!(issuer.registrations().len(), 1, "it has no file");
        let path = authorization(PAGE_CLIENT, &[("redirect_uri", PAGE)]);
        let code = Person::logged_in(&issuer).await.code_for(&path).await;
        let proof = [("code", code.as_str()), ("code_verifier", VERIFIER), ("redirect_uri", PAGE)];
        let answer = issuer.trade(PAGE_CLIENT, &[&[("grant_type", "authorization_code")], &proof[..]].concat()).await;
        assert_eq!((answer.status, answer.json.get("refresh_token")), (http::StatusCode::OK, None), "{}", answer.json);
        let id = claims_of(answer.json["access_token"].as_str().unwrap())["jti"].as_str().unwrap().to_owned();

        for (grant, more) in [("refresh_token", [("refresh_token", "x")]), (DEVICE_CODE, [("device_code", "x")])] {
            let answer = issuer.trade(PAGE_CLIENT, &[&[("grant_type", grant)], &more[..]].concat()).await;
            answer.is_refused(400, "unauthorized_client");
        }
        issuer.trade_at("/device_authorization", PAGE_CLIENT, &[]).await.is_refused(400, "unauthorized_client");
        issuer.trade(PAGE_CLIENT, &[("grant_type", "client_credentials")]).await.is_refused(400, "unauthorized_client");
        for token in [issuer.initial_access_token(), "0".repeat(43), String::new()] {
            for path in ["/register/docs", "/register/client-x"] {
                issuer.read_registration(path, &token).await.is_refused(401, "invalid_token");
                issuer.delete_registration(path, &token).await.is_refused(401, "invalid_token");
                issuer.update_registration(path, &token, &json!({})).await.is_refused(401, "invalid_token");
            }
        }
        let issuer = issuer.restarted();
        assert!(!issuer.embedded.is_revoked(Some(&id), Some(PAGE_CLIENT)), "its tokens stay good");
        assert_eq!(issuer.registrations().len(), 1);
    }

    #[tokio::test]
    async fn a_damaged_registration_stops_the_start_and_is_named() {
        let issuer = Fixture::new();
        let (id, _) = issuer.registered_with(&json!({})).await;
        let file = issuer.state.path().join(format!("issuer/clients/{id}.json"));
        let good = std::fs::read_to_string(&file).unwrap();
        for bad in ["", "{", &good.replace(&id, "client-other")] {
            std::fs::write(&file, bad).unwrap();
            let refused = Clients::open(issuer.state.child("issuer").unwrap().child("clients").unwrap()).err().unwrap();
            assert!(matches!(refused, OpenError::BadRegistration { path } if path == file));
        }
    }

    /// Fills the memory with copies of the registered client, each changed.
    fn fill(issuer: &Fixture, count: usize, change: impl Fn(&mut Client)) {
        let mut known = issuer.embedded.clients.known.write().unwrap();
        let one = known.values().find(|client| client.registration_token_sha256.is_some()).cloned().unwrap();
        known.extend((0..count).map(|index| {
            let mut client = Client { id: index.to_string(), ..Client::clone(&one) };
            change(&mut client);
            (client.id.clone(), Arc::new(client))
        }));
    }

    #[tokio::test]
    async fn a20_the_number_of_clients_has_an_end() {
        for (already, is_unused) in [(MAX_CLIENTS - 2, false), (MAX_UNUSED - 2, true)] {
            let issuer = Fixture::new();
            issuer.registered_with(&json!({})).await;
            fill(&issuer, already, |client| client.is_unused = is_unused);
            assert_eq!(issuer.register(&json!({})).await.status, http::StatusCode::CREATED);
            issuer.register(&json!({})).await.is_refused(503, "temporarily_unavailable");
            issuer.local_token().await;
        }
    }

    #[tokio::test]
    async fn a20_strangers_push_out_strangers_only_the_oldest_that_nobody_needs() {
        let issuer = Fixture::new();
        let (trusted, _) = issuer.registered_with(&json!({})).await;
        let first = issuer.public_client().await;
        issuer.advance(1);
        let logged_in = issuer.public_client().await;
        let mut person = Person::logged_in(&issuer).await;
        let code = person.code_for(&authorization(&logged_in, &[])).await;
        assert_eq!(issuer.trade_code(&logged_in, &code).await.status, http::StatusCode::OK);
        let stranger = issuer.embedded.clients.get(&first).unwrap();
        let add = |index: usize, change: fn(&mut Client)| {
            let mut client = Client { id: format!("filler-{index}"), issued_at: NOW + 2, ..Client::clone(&stranger) };
            change(&mut client);
            issuer.embedded.clients.known.write().unwrap().insert(client.id.clone(), Arc::new(client));
        };
        (1..MAX_UNUSED_STRANGERS).for_each(|index| add(index, |_| ()));
        let is_there = |id: &str| issuer.embedded.clients.get(id).is_some();
        let next = issuer.public_client().await;
        assert!(!is_there(&first) && is_there(&next) && is_there(&logged_in) && is_there(&trusted));
        // All are used, and nobody is logged in with most of them.
        issuer.embedded.clients.known.write().unwrap().retain(|id, _| !id.starts_with("filler-1"));
        (1000..MAX_CLIENTS + 1000).for_each(|index| add(index, |client| client.is_unused = false));
        issuer.advance(10);
        let last = issuer.public_client().await;
        assert!(is_there(&last) && is_there(&logged_in) && is_there(&trusted));
    }

    #[tokio::test]
    async fn a20_a_strangers_client_that_nobody_uses_lives_for_a_day() {
        let issuer = Fixture::new();
        let (trusted, _) = issuer.registered_with(&json!({})).await;
        let (unused, used) = (issuer.public_client().await, issuer.public_client().await);
        let mut person = Person::logged_in(&issuer).await;
        let code = person.code_for(&authorization(&used, &[])).await;
        assert_eq!(issuer.trade_code(&used, &code).await.status, http::StatusCode::OK);
        let are_there = || [&trusted, &unused, &used].map(|id| issuer.embedded.clients.get(id).is_some());
        issuer.advance(UNUSED_LIFETIME.as_secs() - 1);
        issuer.public_client().await;
        assert_eq!(are_there(), [true, true, true]);
        issuer.advance(1);
        issuer.public_client().await;
        assert_eq!(are_there(), [true, false, true]);
    }

    #[tokio::test]
    async fn a20_who_is_not_used_for_a_day_makes_room_and_nobody_else_does() {
        let issuer = Fixture::new();
        let (stale, _) = issuer.registered_with(&json!({})).await;
        let (used, secret) = issuer.registered_with(&json!({})).await;
        assert_eq!(issuer.with_basic("/token", &used, &secret, &[]).await.status, http::StatusCode::OK);
        fill(&issuer, MAX_CLIENTS - 2, |client| client.is_unused = false);
        issuer.advance(UNUSED_LIFETIME.as_secs() - 1);
        issuer.register(&json!({})).await.is_refused(503, "temporarily_unavailable");
        issuer.advance(1);
        assert_eq!(issuer.register(&json!({})).await.status, http::StatusCode::CREATED);
        issuer.register(&json!({})).await.is_refused(503, "temporarily_unavailable");
        let issuer = issuer.restarted();
        assert!(issuer.embedded.clients.get(&stale).is_none());
        assert_eq!(issuer.with_basic("/token", &used, &secret, &[]).await.status, http::StatusCode::OK);
    }
}
