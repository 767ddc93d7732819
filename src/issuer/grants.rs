//! What people granted to clients: one file each, from the code to the last refresh token.
//!
//! Neither codes nor refresh tokens are kept: a [`Seal`] recognises them, and the file says which of them is next. What a
//! reader sees in memory is on the disk already. The tokens of a grant end with it: their `jti` names it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{ACCESS_TOKEN_LIFETIME, RouteError, possession::check_key, seal::Seal, users::Users};
use crate::{
    oauth::{Resource, Scopes, pkce::CodeChallenge},
    secret::Secret,
    store::{PrivateDir, StoreError},
    telemetry::audit::{Event, record},
};

/// How long a code is good: RFC 6749 section 4.1.2 says at most ten minutes.
const CODE_LIFETIME: Duration = Duration::from_mins(1);
/// How long a client may stay away before a person has to log in again.
const IDLE_LIFETIME: Duration = Duration::from_hours(14 * 24);
/// How long a login lasts, however busy the client is.
const LONGEST_LIFE: Duration = Duration::from_hours(90 * 24);
/// How long the refresh token before gets the same answer again: an answer that was lost on its way, or two processes of
/// one client, lock nobody out.
const GRACE: Duration = Duration::from_secs(10);
/// How many grants are kept. When there are as many, the one that would end first ends.
const MAX_GRANTS: usize = 10_000;

/// What a person granted to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Grant {
    /// Random, of 256 bits, so that no request ever chooses the name of a file. No secret: tokens carry it.
    pub(super) id: String,
    pub(super) client_id: String,
    pub(super) user: String,
    pub(super) resource: Resource,
    pub(super) scope: Scopes,
    /// Seconds since the epoch.
    granted_at: u64,
    /// Whether the client gets refresh tokens.
    lasts: bool,
    /// The thumbprint of the key that refresh tokens work with. Only public clients' are bound: others prove themselves each
    /// time (RFC 9449 section 5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bound_to: Option<String>,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
enum Stage {
    /// The client has a code, and no token yet.
    Code {
        redirect_uri: String,
        challenge: CodeChallenge,
        /// The thumbprint of the key that the code works with (`dpop_jkt`, RFC 9449 section 10).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dpop_jkt: Option<String>,
    },
    /// The client has tokens. Which refresh token is the next, and since when, in milliseconds since the epoch.
    Tokens { generation: u64, renewed_at_ms: u64 },
}

/// What is granted.
pub(super) struct Granted {
    pub(super) client_id: String,
    pub(super) user: String,
    pub(super) resource: Resource,
    pub(super) scope: Scopes,
    /// Whether the client gets refresh tokens.
    pub(super) lasts: bool,
    /// The thumbprint of the key that they work with.
    pub(super) bound_to: Option<String>,
}

/// Where a code goes, and who may trade it.
pub(super) struct CodeFor {
    pub(super) redirect_uri: String,
    pub(super) challenge: CodeChallenge,
    /// The thumbprint of the key that it works with.
    pub(super) dpop_jkt: Option<String>,
}

/// What a client shows with a code, which nothing else can take its place for.
pub(super) struct Shown<'a> {
    pub(super) client_id: &'a str,
    /// May be absent: the verifier says more (OAuth 2.1 section 4.1.3).
    pub(super) redirect_uri: Option<&'a str>,
    /// The challenge of its verifier.
    pub(super) challenge: &'a CodeChallenge,
    /// The thumbprint of the key that it holds.
    pub(super) key: Option<&'a str>,
    /// Whether refresh tokens are to work with that key only.
    pub(super) binds: bool,
}

/// A grant in use, and the refresh token that comes with it.
pub(super) struct InUse {
    pub(super) grant: Arc<Grant>,
    pub(super) refresh_token: Option<Secret>,
}

impl Grant {
    fn new(granted: Granted, stage: Stage, now: Duration) -> Self {
        let Granted { client_id, user, resource, scope, lasts, bound_to } = granted;
        let id = Secret::random().expose().to_owned();
        Self { id, client_id, user, resource, scope, granted_at: now.as_secs(), lasts, bound_to, stage }
    }

    /// Until when it can be used, in seconds since the epoch.
    fn until(&self) -> u64 {
        match &self.stage {
            Stage::Code { .. } => self.granted_at + CODE_LIFETIME.as_secs(),
            Stage::Tokens { .. } if !self.lasts => self.granted_at,
            Stage::Tokens { renewed_at_ms, .. } => {
                let longest = self.granted_at + LONGEST_LIFE.as_secs();
                longest.min(renewed_at_ms / 1000 + IDLE_LIFETIME.as_secs())
            }
        }
    }

    /// Until when it has to be kept: until the last token that came of it is dead.
    fn kept_until(&self) -> u64 {
        self.until() + CODE_LIFETIME.as_secs() + ACCESS_TOKEN_LIFETIME.as_secs()
    }
}

/// Every grant. What a reader sees here is on the disk already.
pub(super) struct Grants {
    dir: PrivateDir,
    seal: Seal,
    known: RwLock<HashMap<String, Arc<Grant>>>,
    /// Held through a write: of many who redeem one code, one does.
    writing: Mutex<()>,
}

impl Grants {
    /// Reads every grant, and removes those that have ended, and those of people who are no `users` any more. `now` since
    /// the epoch.
    pub(super) fn open(dir: PrivateDir, seal: Seal, users: &Users, now: Duration) -> Result<Self, StoreError> {
        let mut known = HashMap::new();
        for name in dir.names()? {
            let bytes = dir.read(&name)?.unwrap_or_default();
            match serde_json::from_slice::<Grant>(&bytes) {
                Ok(grant) if grant.id == name && grant.kept_until() > now.as_secs() && users.has(&grant.user) => {
                    known.insert(name, Arc::new(grant));
                }
                // A person logs in again.
                _ => drop(dir.remove(&name)?),
            }
        }
        Ok(Self { dir, seal, known: RwLock::new(known), writing: Mutex::new(()) })
    }

    /// Whether tokens of this grant are good.
    pub(super) fn has(&self, id: &str) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).contains_key(id)
    }

    /// Whether anybody is logged in with this client.
    pub(super) fn has_any_of(&self, client_id: &str) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values().any(|grant| grant.client_id == client_id)
    }

    /// A new grant, and the code for it. Blocks on the disk.
    pub(super) fn begin(&self, granted: Granted, code_for: CodeFor, now: Duration) -> Result<Secret, RouteError> {
        let _turn = self.turn();
        let CodeFor { redirect_uri, challenge, dpop_jkt } = code_for;
        let grant = Grant::new(granted, Stage::Code { redirect_uri, challenge, dpop_jkt }, now);
        let code = Secret::new(format!("{}.{}", grant.id, self.seal.of(&["code", &grant.id])));
        self.add(grant, now)?;
        Ok(code)
    }

    /// A new grant that is in use at once. Blocks on the disk.
    pub(super) fn begin_in_use(&self, granted: Granted, now: Duration) -> Result<InUse, RouteError> {
        let _turn = self.turn();
        let grant = Grant::new(granted, tokens(0, now), now);
        self.add(grant.clone(), now)?;
        Ok(self.in_use(Arc::new(grant)))
    }

    /// Takes a code for the first tokens. One that comes again was stolen, now or then: what came of it ends (RFC 6749
    /// section 4.1.2). Blocks on the disk.
    pub(super) fn redeem(
        &self,
        code: &str,
        shown: &Shown<'_>,
        check: impl FnOnce(&Grant) -> Result<(), RouteError>,
        now: Duration,
    ) -> Result<InUse, RouteError> {
        const GONE: &str = "the code is unknown, expired or was used; ask for a new one at the authorization endpoint";
        let _turn = self.turn();
        let (id, seal) = code.split_once('.').unwrap_or_default();
        let grant = self.get(id).filter(|_| self.seal.is_of(&["code", id], seal));
        let grant = grant.ok_or(RouteError::InvalidGrant(GONE))?;
        if grant.client_id != shown.client_id {
            return Err(RouteError::InvalidGrant("the code was given to another client"));
        }
        let Stage::Code { redirect_uri, challenge, dpop_jkt } = &grant.stage else {
            self.remove(id)?;
            record(Event::GrantEnded { client: &grant.client_id, user: &grant.user, reason: "a code came twice" });
            return Err(RouteError::InvalidGrant(GONE));
        };
        if grant.until() <= now.as_secs() {
            self.remove(id)?;
            return Err(RouteError::InvalidGrant(GONE));
        }
        if shown.redirect_uri.is_some_and(|shown| shown != redirect_uri) {
            return Err(RouteError::InvalidGrant("redirect_uri is not the one that the code was sent to"));
        }
        if shown.challenge != challenge {
            return Err(RouteError::InvalidGrant("code_verifier is not the one of the code's code_challenge"));
        }
        check_key(dpop_jkt.as_deref(), shown.key)?;
        check(&grant)?;
        let bound_to = shown.key.filter(|_| shown.binds).map(str::to_owned);
        self.go_on(&Grant { bound_to, ..(*grant).clone() }, 0, now)
    }

    /// Takes a refresh token for the next tokens. One that was replaced was stolen, now or then: the whole login ends
    /// (OAuth 2.1 section 4.3.1), unless it was replaced just now. Blocks on the disk.
    pub(super) fn renew(
        &self,
        token: &str,
        client_id: &str,
        check: impl FnOnce(&Grant) -> Result<(), RouteError>,
        now: Duration,
    ) -> Result<InUse, RouteError> {
        const GONE: &str = "the refresh token is unknown, expired or revoked; a person has to log in again";
        let _turn = self.turn();
        let (grant, shown) = self.of_refresh_token(token).ok_or(RouteError::InvalidGrant(GONE))?;
        if grant.client_id != client_id {
            return Err(RouteError::InvalidGrant("the refresh token was given to another client"));
        }
        let Stage::Tokens { generation, renewed_at_ms } = grant.stage else {
            return Err(RouteError::InvalidGrant(GONE));
        };
        if grant.until() <= now.as_secs() {
            self.remove(&grant.id)?;
            return Err(RouteError::InvalidGrant(GONE));
        }
        check(&grant)?;
        if shown == generation {
            return self.go_on(&grant, generation + 1, now);
        }
        let since = now.saturating_sub(Duration::from_millis(renewed_at_ms));
        if shown + 1 == generation && since <= GRACE {
            return Ok(self.in_use(grant));
        }
        self.remove(&grant.id)?;
        let reason = "a refresh token came again that had been replaced";
        record(Event::GrantEnded { client: &grant.client_id, user: &grant.user, reason });
        Err(RouteError::InvalidGrant("the refresh token had been replaced; for safety the login has ended"))
    }

    /// The grant of a refresh token, whichever of its tokens this is.
    pub(super) fn of_refresh_token(&self, token: &str) -> Option<(Arc<Grant>, u64)> {
        let [id, generation, seal] = token.split('.').collect::<Vec<_>>().try_into().ok()?;
        let grant = self.get(id).filter(|_| self.seal.is_of(&["refresh", id, generation], seal))?;
        Some((grant, generation.parse().ok()?))
    }

    /// Ends a grant with all its tokens; whether there was one. Blocks on the disk.
    pub(super) fn end(&self, id: &str) -> Result<bool, StoreError> {
        let _turn = self.turn();
        let is_there = self.has(id);
        if is_there {
            self.remove(id)?;
        }
        Ok(is_there)
    }

    /// The same with every grant of a client. Blocks on the disk.
    pub(super) fn end_of(&self, client_id: &str) -> Result<(), StoreError> {
        let _turn = self.turn();
        self.end_where(|grant| grant.client_id == client_id)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: &str) -> Option<Arc<Grant>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn add(&self, grant: Grant, now: Duration) -> Result<(), StoreError> {
        self.end_where(|grant| grant.kept_until() <= now.as_secs())?;
        let first_to_end = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let is_full = known.len() >= MAX_GRANTS;
            known.values().filter(|_| is_full).min_by_key(|grant| grant.until()).cloned()
        };
        if let Some(grant) = first_to_end {
            self.remove(&grant.id)?;
            record(Event::GrantEnded { client: &grant.client_id, user: &grant.user, reason: "too many" });
        }
        self.write(grant).map(drop)
    }

    fn go_on(&self, grant: &Grant, generation: u64, now: Duration) -> Result<InUse, RouteError> {
        let written = self.write(Grant { stage: tokens(generation, now), ..grant.clone() })?;
        Ok(self.in_use(written))
    }

    fn in_use(&self, grant: Arc<Grant>) -> InUse {
        let refresh_token = match &grant.stage {
            Stage::Tokens { generation, .. } if grant.lasts => {
                let generation = generation.to_string();
                let seal = self.seal.of(&["refresh", &grant.id, &generation]);
                Some(Secret::new(format!("{}.{generation}.{seal}", grant.id)))
            }
            _ => None,
        };
        InUse { grant, refresh_token }
    }

    fn write(&self, grant: Grant) -> Result<Arc<Grant>, StoreError> {
        let text = serde_json::to_vec_pretty(&grant).expect("strings and numbers only");
        self.dir.write(&grant.id, &text)?;
        let grant = Arc::new(grant);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(grant.id.clone(), Arc::clone(&grant));
        Ok(grant)
    }

    fn end_where(&self, ends: impl Fn(&Grant) -> bool) -> Result<(), StoreError> {
        let ended: Vec<_> = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.values().filter(|grant| ends(grant)).cloned().collect()
        };
        ended.iter().try_for_each(|grant| self.remove(&grant.id))
    }

    /// What the disk does not let go has not ended: whoever asked hears so, and asks again.
    fn remove(&self, id: &str) -> Result<(), StoreError> {
        self.dir.remove(id)?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(())
    }
}

fn tokens(generation: u64, now: Duration) -> Stage {
    Stage::Tokens { generation, renewed_at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::StatusCode;
    use serde_json::{Value, json};
    use tokio::task::JoinSet;

    use crate::issuer::testing::{CALLBACK, Fixture, Person, VERIFIER, authorization, claims_of};

    /// A client, and a code for it.
    async fn with_code(issuer: &Fixture) -> (String, String) {
        let id = issuer.public_client().await;
        let mut person = Person::logged_in(issuer).await;
        let code = person.code_for(&authorization(&id, &[])).await;
        (id, code)
    }

    /// A client, and its tokens.
    async fn with_tokens(issuer: &Fixture) -> (String, Value) {
        let (id, code) = with_code(issuer).await;
        let answer = issuer.trade_code(&id, &code).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
        (id, answer.json)
    }

    fn refresh_token(tokens: &Value) -> &str {
        tokens["refresh_token"].as_str().unwrap()
    }

    fn is_good(issuer: &Fixture, tokens: &Value) -> bool {
        let claims = claims_of(tokens["access_token"].as_str().unwrap());
        !issuer.embedded.is_revoked(claims["jti"].as_str(), claims["client_id"].as_str())
    }

    #[tokio::test]
    async fn a02_a_code_needs_the_verifier_of_its_challenge() {
        let issuer = Fixture::new();
        let (id, code) = with_code(&issuer).await;
        let trade = async |verifier: &str| {
            let fields = [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", verifier)];
            issuer.trade(&id, &fields).await
        };
        trade("").await.is_refused(400, "invalid_request");
        for wrong in ["short", &"a".repeat(43), &"a".repeat(129), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"] {
            trade(wrong).await.is_refused(400, "invalid_grant");
        }
        assert_eq!(trade(VERIFIER).await.status, StatusCode::OK, "the twin, after all of them");
    }

    #[tokio::test]
    async fn a03_a_code_is_good_once_and_a_second_time_ends_what_came_of_it() {
        let issuer = Fixture::new();
        let (id, code) = with_code(&issuer).await;
        let tokens = issuer.trade_code(&id, &code).await.json;
        assert!(is_good(&issuer, &tokens));
        issuer.trade_code(&id, &code).await.is_refused(400, "invalid_grant");
        assert!(!is_good(&issuer, &tokens));
        issuer.refresh(&id, refresh_token(&tokens)).await.is_refused(400, "invalid_grant");
        assert!(issuer.files("grants").is_empty());
        let issuer = issuer.restarted();
        assert!(!is_good(&issuer, &tokens));
        issuer.trade_code(&id, &code).await.is_refused(400, "invalid_grant");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a03_of_fifty_who_redeem_a_code_at_once_one_does() {
        let issuer = Arc::new(Fixture::new());
        let (id, code) = with_code(&issuer).await;
        let mut all = JoinSet::new();
        for _ in 0..50 {
            let (issuer, id, code) = (Arc::clone(&issuer), id.clone(), code.clone());
            all.spawn(async move { issuer.trade_code(&id, &code).await });
        }
        let answers = all.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::OK).count(), 1);
        let refused = answers.iter().filter(|answer| answer.json["error"] == "invalid_grant");
        assert_eq!(refused.count(), 49);
    }

    #[tokio::test]
    async fn a04_a_code_is_for_its_client_its_redirect_uri_its_resource_and_a_minute() {
        let issuer = Fixture::new();
        let (id, code) = with_code(&issuer).await;
        let other = issuer.public_client().await;
        let trade = async |client: &str, field: (&str, &str)| {
            let fields = [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", VERIFIER), field];
            issuer.trade(client, &fields).await
        };
        trade(&other, ("redirect_uri", CALLBACK)).await.is_refused(400, "invalid_grant");
        for uri in ["http://127.0.0.1/callback", "http://127.0.0.1:49153/callback", "https://app.example/callback"] {
            trade(&id, ("redirect_uri", uri)).await.is_refused(400, "invalid_grant");
        }
        for resource in ["http://localhost:8000/mcp", "https://other.example/mcp"] {
            trade(&id, ("resource", resource)).await.is_refused(400, "invalid_target");
        }
        issuer.advance(59);
        assert_eq!(trade(&id, ("resource", "http://127.0.0.1:8000/mcp")).await.status, StatusCode::OK);

        let issuer = Fixture::new();
        let (id, code) = with_code(&issuer).await;
        issuer.advance(60);
        issuer.trade_code(&id, &code).await.is_refused(400, "invalid_grant");
    }

    #[tokio::test]
    async fn what_is_no_code_of_ours_is_refused_and_ends_nothing() {
        let issuer = Fixture::new();
        let (id, tokens) = with_tokens(&issuer).await;
        let (grant, _) = refresh_token(&tokens).split_once('.').unwrap();
        let forged = format!("{grant}.{}", "A".repeat(43));
        for bad in ["x", "", ".", "../../x.y", &forged, refresh_token(&tokens)] {
            let answer = issuer.trade_code(&id, bad).await;
            assert!(matches!(answer.json["error"].as_str(), Some("invalid_grant" | "invalid_request")), "{bad}");
        }
        for bad in ["x", "..", &format!("{grant}.0.{}", "A".repeat(43)), &format!("{grant}.1.x"), &forged] {
            issuer.refresh(&id, bad).await.is_refused(400, "invalid_grant");
        }
        assert!(is_good(&issuer, &tokens));
        assert_eq!(issuer.refresh(&id, refresh_token(&tokens)).await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn a13_a_replaced_refresh_token_ends_the_login() {
        let issuer = Fixture::new();
        let (id, first) = with_tokens(&issuer).await;
        let second = issuer.refresh(&id, refresh_token(&first)).await.json;
        let third = issuer.refresh(&id, refresh_token(&second)).await.json;
        assert!(is_good(&issuer, &first) && is_good(&issuer, &third));
        // The one before the last, at once: no grace for it.
        issuer.refresh(&id, refresh_token(&first)).await.is_refused(400, "invalid_grant");
        assert!(!is_good(&issuer, &first) && !is_good(&issuer, &third));
        issuer.refresh(&id, refresh_token(&third)).await.is_refused(400, "invalid_grant");

        let (id, first) = with_tokens(&issuer).await;
        let second = issuer.refresh(&id, refresh_token(&first)).await.json;
        issuer.advance(11);
        issuer.refresh(&id, refresh_token(&first)).await.is_refused(400, "invalid_grant");
        assert!(!is_good(&issuer, &second), "after the grace");
    }

    #[tokio::test]
    async fn a13_for_ten_seconds_the_token_before_gets_the_same_successor() {
        let issuer = Fixture::new();
        let (id, first) = with_tokens(&issuer).await;
        let second = issuer.refresh(&id, refresh_token(&first)).await.json;
        issuer.advance(10);
        let issuer = issuer.restarted();
        for _ in 0..2 {
            let again = issuer.refresh(&id, refresh_token(&first)).await.json;
            assert_eq!(again["refresh_token"], second["refresh_token"]);
            assert_ne!(again["access_token"], second["access_token"]);
        }
        assert_eq!(issuer.refresh(&id, refresh_token(&second)).await.status, StatusCode::OK);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a13_twenty_refreshes_at_once_leave_a_login_that_works() {
        let issuer = Arc::new(Fixture::new());
        let (id, first) = with_tokens(&issuer).await;
        let mut all = JoinSet::new();
        for _ in 0..20 {
            let (issuer, id, token) = (Arc::clone(&issuer), id.clone(), refresh_token(&first).to_owned());
            all.spawn(async move { issuer.refresh(&id, &token).await });
        }
        let answers = all.join_all().await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
        assert!(answers.iter().all(|answer| answer.json["refresh_token"] == answers[0].json["refresh_token"]));
        assert_eq!(issuer.refresh(&id, refresh_token(&answers[0].json)).await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn a14_a_refresh_token_is_for_its_client_its_resource_and_its_scopes() {
        let issuer = Fixture::new();
        let (id, tokens) = with_tokens(&issuer).await;
        let token = refresh_token(&tokens);
        let other = issuer.public_client().await;
        issuer.refresh(&other, token).await.is_refused(400, "invalid_grant");
        let with = async |field: (&str, &str)| {
            issuer.trade(&id, &[("grant_type", "refresh_token"), ("refresh_token", token), field]).await
        };
        with(("scope", "mcp:read mcp:write")).await.is_refused(400, "invalid_scope");
        with(("scope", "mcp:write")).await.is_refused(400, "invalid_scope");
        with(("resource", "http://localhost:8000/mcp")).await.is_refused(400, "invalid_target");
        // Refused ones have used nothing up.
        let answer = with(("resource", "http://127.0.0.1:8000/mcp")).await;
        assert_eq!((answer.status, &answer.json["scope"]), (StatusCode::OK, &json!("mcp:read")));
    }

    #[tokio::test]
    async fn scopes_that_are_left_out_are_there_again_the_next_time() {
        let issuer = Fixture::new();
        let id = issuer.public_client().await;
        let mut person = Person::logged_in(&issuer).await;
        let code = person.code_for(&authorization(&id, &[("scope", "mcp:read mcp:write")])).await;
        let tokens = issuer.trade_code(&id, &code).await.json;
        let fields =
            [("grant_type", "refresh_token"), ("refresh_token", refresh_token(&tokens)), ("scope", "mcp:read")];
        let narrow = issuer.trade(&id, &fields).await.json;
        assert_eq!(narrow["scope"], "mcp:read");
        assert_eq!(claims_of(narrow["access_token"].as_str().unwrap())["scope"], "mcp:read");
        assert_eq!(issuer.refresh(&id, refresh_token(&narrow)).await.json["scope"], "mcp:read mcp:write");
    }

    #[tokio::test]
    async fn a_client_without_the_grant_gets_no_refresh_token_and_its_tokens_live_their_life() {
        let issuer = Fixture::new();
        let id = issuer.public_client_with(&json!({"grant_types": ["authorization_code"]})).await;
        let mut person = Person::logged_in(&issuer).await;
        let code = person.code_for(&authorization(&id, &[])).await;
        issuer.advance(59);
        let tokens = issuer.trade_code(&id, &code).await.json;
        assert!(tokens.get("refresh_token").is_none());
        issuer.advance(899);
        let issuer = issuer.restarted();
        assert!(is_good(&issuer, &tokens));
    }

    #[tokio::test]
    async fn a_login_ends_when_nobody_uses_it_and_in_any_case_after_ninety_days() {
        let issuer = Fixture::new();
        let (id, mut tokens) = with_tokens(&issuer).await;
        let days = |days: u64| days * 24 * 3600;
        for _ in 0..6 {
            issuer.advance(days(13));
            tokens = issuer.refresh(&id, refresh_token(&tokens)).await.json;
            assert!(tokens["access_token"].is_string(), "{tokens}");
        }
        issuer.advance(days(12));
        issuer.refresh(&id, refresh_token(&tokens)).await.is_refused(400, "invalid_grant");

        let issuer = Fixture::new();
        let (id, tokens) = with_tokens(&issuer).await;
        issuer.advance(days(14));
        issuer.refresh(&id, refresh_token(&tokens)).await.is_refused(400, "invalid_grant");
    }

    #[tokio::test]
    async fn a_refresh_token_that_is_given_back_ends_the_login() {
        let issuer = Fixture::new();
        let (id, tokens) = with_tokens(&issuer).await;
        let other = issuer.public_client().await;
        let revoke = async |client: &str, token: &str| issuer.trade_at("/revoke", client, &[("token", token)]).await;
        assert_eq!(revoke(&other, refresh_token(&tokens)).await.status, StatusCode::OK);
        assert!(is_good(&issuer, &tokens), "another's");
        assert_eq!(revoke(&id, refresh_token(&tokens)).await.status, StatusCode::OK);
        assert!(!is_good(&issuer, &tokens));
        issuer.refresh(&id, refresh_token(&tokens)).await.is_refused(400, "invalid_grant");
    }

    #[tokio::test]
    async fn what_the_disk_does_not_let_go_has_not_ended_and_is_not_said_to() {
        let issuer = Fixture::new();
        let (id, tokens) = with_tokens(&issuer).await;
        let folder = issuer.state.path().join("issuer/grants");
        let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let kept = std::fs::read(&file).unwrap();
        // A directory in its place cannot be unlinked, by root either.
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        let revoke = async || issuer.trade_at("/revoke", &id, &[("token", refresh_token(&tokens))]).await;
        revoke().await.is_refused(500, "server_error");
        revoke().await.is_refused(500, "server_error");
        assert!(is_good(&issuer, &tokens));
        std::fs::remove_dir(&file).unwrap();
        std::fs::write(&file, kept).unwrap();
        assert_eq!(revoke().await.status, StatusCode::OK);
        assert!(!is_good(&issuer, &tokens));
        assert!(!is_good(&issuer.restarted(), &tokens));
    }

    #[tokio::test]
    async fn who_is_no_user_any_more_has_granted_nothing() {
        let issuer = Fixture::new();
        let (id, tokens) = with_tokens(&issuer).await;
        let issuer = issuer.restarted_with(|settings| {
            let hash =
                "$argon2id$v=19$m=19456,t=2,p=1$c2VjdXJlbWNwc2VjdXJlbWNw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
            settings.users.insert("alice".to_owned(), hash.to_owned());
        });
        issuer.refresh(&id, refresh_token(&tokens)).await.is_refused(400, "invalid_grant");
        assert!(!is_good(&issuer, &tokens));
    }

    #[tokio::test]
    async fn a_client_that_is_deleted_leaves_nothing() {
        let issuer = Fixture::new();
        let registered =
            issuer.register(&json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"})).await;
        let id = registered.json["client_id"].as_str().unwrap();
        let mut person = Person::logged_in(&issuer).await;
        let code = person.code_for(&authorization(id, &[])).await;
        let tokens = issuer.trade_code(id, &code).await.json;
        let token = registered.json["registration_access_token"].as_str().unwrap();
        issuer.delete_registration(&format!("/register/{id}"), token).await;
        assert!(!is_good(&issuer, &tokens));
        assert!(issuer.files("grants").is_empty());
    }

    #[tokio::test]
    async fn what_the_disk_does_not_take_is_not_promised() {
        let issuer = Fixture::new();
        let (id, tokens) = with_tokens(&issuer).await;
        std::fs::remove_dir_all(issuer.state.path().join("issuer/grants")).unwrap();
        issuer.refresh(&id, refresh_token(&tokens)).await.is_refused(500, "server_error");
        let mut person = Person::logged_in(&issuer).await;
        let page = person.get(&authorization(&id, &[])).await;
        assert_eq!(person.decide(&page, "allow").await.sent_back()["error"], "server_error");
    }
}
