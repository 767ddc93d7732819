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

use super::{ACCESS_TOKEN_LIFETIME, RouteError, seal::Seal};
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
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
enum Stage {
    /// The client has a code, and no token yet.
    Code { redirect_uri: String, challenge: CodeChallenge },
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
}

/// What a client shows with a code, which nothing else can take its place for.
pub(super) struct Shown<'a> {
    pub(super) client_id: &'a str,
    /// May be absent: the verifier says more (OAuth 2.1 section 4.1.3).
    pub(super) redirect_uri: Option<&'a str>,
    /// The challenge of its verifier.
    pub(super) challenge: &'a CodeChallenge,
}

/// A grant in use, and the refresh token that comes with it.
pub(super) struct InUse {
    pub(super) grant: Arc<Grant>,
    pub(super) refresh_token: Option<Secret>,
}

impl Grant {
    fn new(granted: Granted, stage: Stage, now: Duration) -> Self {
        let Granted { client_id, user, resource, scope, lasts } = granted;
        let id = Secret::random().expose().to_owned();
        Self { id, client_id, user, resource, scope, granted_at: now.as_secs(), lasts, stage }
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
    /// Reads every grant, and removes those that have ended. `now` since the epoch.
    pub(super) fn open(dir: PrivateDir, seal: Seal, now: Duration) -> Result<Self, StoreError> {
        let mut known = HashMap::new();
        for name in dir.names()? {
            let bytes = dir.read(&name)?.unwrap_or_default();
            match serde_json::from_slice::<Grant>(&bytes) {
                Ok(grant) if grant.id == name && grant.kept_until() > now.as_secs() => {
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

    /// A new grant, and the code for it. Blocks on the disk.
    pub(super) fn begin(
        &self,
        granted: Granted,
        redirect_uri: String,
        challenge: CodeChallenge,
        now: Duration,
    ) -> Result<Secret, RouteError> {
        let _turn = self.turn();
        let grant = Grant::new(granted, Stage::Code { redirect_uri, challenge }, now);
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
        let Stage::Code { redirect_uri, challenge } = &grant.stage else {
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
        check(&grant)?;
        self.go_on(&grant, 0, now)
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

    /// Its tokens are dead at once, even if the file stays.
    fn remove(&self, id: &str) -> Result<(), StoreError> {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.dir.remove(id).map(drop)
    }
}

fn tokens(generation: u64, now: Duration) -> Stage {
    Stage::Tokens { generation, renewed_at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX) }
}
