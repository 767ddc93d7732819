//! Sessions of the 2025 revisions, each with one owner.
//!
//! rmcp keeps sessions but does not ask whose they are: any good token with a stolen id would be let in. So the owner is
//! recorded here when a session begins and asked before rmcp sees a request. The owner is who the token speaks for
//! (issuer, subject, client), not the token: a refreshed token keeps its session.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream};
use rmcp::{
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::streamable_http_server::session::{
        RestoreOutcome, ServerSseMessage, SessionId, SessionManager,
        local::{LocalSessionManager, LocalSessionManagerError},
        store::EventStream,
    },
};
use serde::{Deserialize, Serialize};

use super::{
    events::{Events, Keeper},
    recent::Recent,
};
use crate::{auth::Principal, config::Limits, secret::Secret, store::Redis, telemetry::metrics::Metrics};

/// How long a client may take before it goes on with a stream that broke.
const RETRY: Duration = Duration::from_secs(3);

/// Whoever a session belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Owner {
    issuer: String,
    subject: String,
    client: Option<String>,
}

impl Owner {
    pub(super) fn of(principal: &Principal) -> Self {
        Self {
            issuer: principal.issuer.as_str().to_owned(),
            subject: principal.subject.clone(),
            client: principal.client_id.clone(),
        }
    }

    pub(super) fn is(&self, caller: &Principal) -> bool {
        self.subject == caller.subject && self.client == caller.client_id && self.issuer == caller.issuer.as_str()
    }
}

/// The sessions of this process and their owners.
#[derive(Debug)]
pub(super) struct Sessions {
    /// One manager for each, since a store of events does not learn from rmcp which session they are of.
    inner: Mutex<HashMap<SessionId, Arc<One>>>,
    idle: Duration,
    events: Keeper,
    owners: Arc<Mutex<Owners>>,
}

/// A session as rmcp has it.
#[derive(Debug)]
struct One {
    manager: LocalSessionManager,
    events: Events,
}

#[derive(Debug)]
struct Owners {
    limits: Limits,
    metrics: Metrics,
    by_session: HashMap<String, Owner>,
    /// Sessions and reservations of each owner.
    counts: HashMap<Owner, usize>,
    total: usize,
    /// Session and JSON-RPC id of every request under way.
    asking: HashSet<Arc<(String, String)>>,
}

/// A request under way in a session; its id is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Asking {
    request: Arc<(String, String)>,
    owners: Arc<Mutex<Owners>>,
}

/// A place among the sessions, given back when dropped unless it was claimed.
#[derive(Debug)]
pub(super) struct Reservation {
    owner: Option<Owner>,
    owners: Arc<Mutex<Owners>>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// This owner has `limits.sessions_per_principal`.
    Principal,
    /// The process has `limits.sessions`.
    Server,
}

impl Sessions {
    /// With `redis` another replica can go on with their streams.
    pub(super) fn new(limits: Limits, metrics: Metrics, redis: Option<Arc<Redis>>) -> Self {
        let idle = limits.session_idle;
        let owners = Owners {
            limits,
            metrics,
            by_session: HashMap::new(),
            counts: HashMap::new(),
            total: 0,
            asking: HashSet::new(),
        };
        let events = redis.map_or_else(|| Keeper::Memory(Arc::new(Recent::default())), Keeper::Redis);
        Self { inner: Mutex::default(), idle, events, owners: Arc::new(Mutex::new(owners)) }
    }

    /// Bounds the sessions that begin from now on. How long an idle one lives was decided when the first began.
    pub(super) fn set_limits(&self, limits: &Limits) {
        lock(&self.owners).limits.clone_from(limits);
    }

    /// Takes a place for a session that is about to begin.
    pub(super) fn reserve(&self, owner: Owner) -> Result<Reservation, Full> {
        let mut owners = lock(&self.owners);
        if owners.total >= owners.limits.sessions {
            return Err(Full::Server);
        }
        if owners.counts.get(&owner).copied().unwrap_or_default() >= owners.limits.sessions_per_principal {
            return Err(Full::Principal);
        }
        owners.total += 1;
        *owners.counts.entry(owner.clone()).or_default() += 1;
        Ok(Reservation { owner: Some(owner), owners: Arc::clone(&self.owners) })
    }

    /// Whether this session exists and is this caller's. To anybody else it does not exist.
    pub(super) fn belongs_to(&self, session: &str, caller: &Principal) -> bool {
        lock(&self.owners).by_session.get(session).is_some_and(|owner| owner.is(caller))
    }

    /// Every session that began or was restored here.
    pub(super) fn ids(&self) -> Vec<String> {
        lock(&self.owners).by_session.keys().cloned().collect()
    }

    /// Whether the session has its place here.
    pub(super) fn has_place(&self, session: &str) -> bool {
        lock(&self.owners).by_session.contains_key(session)
    }

    /// Whether this process has the session.
    pub(super) fn has(&self, session: &str) -> bool {
        lock(&self.inner).contains_key(session)
    }

    fn one(&self, id: &SessionId) -> Result<Arc<One>, LocalSessionManagerError> {
        let one = lock(&self.inner).get(id).cloned();
        one.ok_or_else(|| LocalSessionManagerError::SessionNotFound(id.clone()))
    }

    /// Ends the session in this process, if it is here.
    pub(super) async fn close(&self, session: &str) {
        // It fails only for a session whose worker is gone already.
        let _ = self.close_session(&session.into()).await;
    }

    /// Marks a request of a session as under way; `None` if one of this id is already, since rmcp would answer only one of
    /// them.
    pub(super) fn ask(&self, session: &str, id: &str) -> Option<Asking> {
        let request = Arc::new((session.to_owned(), id.to_owned()));
        let is_new = lock(&self.owners).asking.insert(Arc::clone(&request));
        is_new.then(|| Asking { request, owners: Arc::clone(&self.owners) })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        lock(&self.owners).asking.remove(&self.request);
    }
}

impl Reservation {
    /// The session has begun: the place is its owner's until rmcp closes it.
    pub(super) fn claim(mut self, session: &str) {
        let mut owners = lock(&self.owners);
        // Another request may have restored it meanwhile; then this place is free again.
        if !owners.by_session.contains_key(session)
            && let Some(owner) = self.owner.take()
        {
            owners.metrics.session_opened();
            owners.by_session.insert(session.to_owned(), owner);
        }
        drop(owners);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.take() {
            lock(&self.owners).give_back(&owner);
        }
    }
}

impl Owners {
    fn close(&mut self, session: &str) {
        if let Some(owner) = self.by_session.remove(session) {
            self.metrics.session_closed();
            self.give_back(&owner);
        }
    }

    fn give_back(&mut self, owner: &Owner) {
        self.total = self.total.saturating_sub(1);
        if let Some(count) = self.counts.get_mut(owner) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(owner);
            }
        }
    }
}

fn lock<T>(kept: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// rmcp's own manager, with ids of 256 random bits instead of its 122, and told when a session ends.
impl SessionManager for Sessions {
    type Error = LocalSessionManagerError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        loop {
            let id: SessionId = Secret::random().expose().into();
            // Restoring is beginning under a chosen id.
            if let RestoreOutcome::Restored(transport) = self.restore_session(id.clone()).await? {
                return Ok((id, transport));
            }
        }
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        self.one(id)?.manager.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        Ok(self.has(id))
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        lock(&self.owners).close(id);
        let one = lock(&self.inner).remove(id);
        // What is in Redis is for other replicas, too.
        if let Keeper::Memory(recent) = &self.events {
            recent.end(id);
        }
        match one {
            Some(one) => one.manager.close_session(id).await,
            None => Ok(()),
        }
    }

    async fn restore_session(&self, id: SessionId) -> Result<RestoreOutcome<Self::Transport>, Self::Error> {
        let events = Events::of(&id, self.events.clone());
        let mut manager = LocalSessionManager::default().with_event_store(Arc::new(events.clone()));
        manager.session_config.keep_alive = Some(self.idle);
        let one = Arc::new(One { manager, events });
        if lock(&self.inner).contains_key(&id) {
            return Ok(RestoreOutcome::AlreadyPresent);
        }
        // rmcp restores a session in one task at a time.
        let restored = one.manager.restore_session(id.clone()).await?;
        lock(&self.inner).insert(id, one);
        Ok(restored)
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let one = self.one(id)?;
        Ok(Box::pin(one.manager.create_stream(id, message).await?) as EventStream)
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Self::Error> {
        self.one(id)?.manager.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let one = self.one(id)?;
        let live = one.manager.create_standalone_stream(id).await?;
        // Where it begins: rmcp's own word for that means nothing elsewhere. Asked after it began, so that nothing is
        // between the two.
        let beginning = ServerSseMessage::priming(one.events.end().await, RETRY);
        Ok(Box::pin(stream::iter([beginning]).chain(live)) as EventStream)
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let one = self.one(id)?;
        Ok(Box::pin(one.manager.resume(id, last_event_id).await?) as EventStream)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;

    fn sessions(per_principal: usize, total: usize) -> Sessions {
        let limits = Limits {
            per_client: 100,
            per_address: 200,
            sessions_per_principal: per_principal,
            sessions: total,
            session_idle: Duration::from_mins(30),
            unread_bytes: 1,
        };
        Sessions::new(limits, Metrics::default(), None)
    }

    fn caller(subject: &str, client: &str) -> Principal {
        Principal::for_tests(subject, client, "")
    }

    fn owner(subject: &str, client: &str) -> Owner {
        Owner::of(&caller(subject, client))
    }

    #[test]
    fn a_session_has_one_owner() {
        let sessions = sessions(5, 5);
        sessions.reserve(owner("alice", "cli")).unwrap().claim("s");
        assert!(sessions.belongs_to("s", &caller("alice", "cli")));
        assert!(!sessions.belongs_to("s", &caller("bob", "cli")));
        assert!(!sessions.belongs_to("s", &caller("alice", "other")));
        assert!(!sessions.belongs_to("t", &caller("alice", "cli")));
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let sessions = sessions(2, 3);
        let dropped = sessions.reserve(owner("alice", "cli")).unwrap();
        sessions.reserve(owner("alice", "cli")).unwrap().claim("a");
        assert_eq!(sessions.reserve(owner("alice", "cli")).unwrap_err(), Full::Principal);
        sessions.reserve(owner("bob", "cli")).unwrap().claim("b");
        assert_eq!(sessions.reserve(owner("carol", "cli")).unwrap_err(), Full::Server);
        drop(dropped);
        sessions.reserve(owner("carol", "cli")).unwrap().claim("c");
    }

    #[test]
    fn an_id_is_asked_with_once_at_a_time_in_each_session() {
        let sessions = sessions(1, 1);
        let first = sessions.ask("s", "1").unwrap();
        assert!(sessions.ask("s", "1").is_none());
        let others = [sessions.ask("s", "\"1\""), sessions.ask("t", "1")];
        assert!(others.iter().all(Option::is_some));
        drop(first);
        assert!(sessions.ask("s", "1").is_some());
    }

    #[tokio::test]
    async fn closing_a_session_gives_its_place_back() {
        let sessions = sessions(1, 1);
        let (id, _transport) = sessions.create_session().await.unwrap();
        sessions.reserve(owner("alice", "cli")).unwrap().claim(&id);
        assert!(sessions.reserve(owner("alice", "cli")).is_err());
        sessions.close_session(&id).await.unwrap();
        assert!(!sessions.belongs_to(&id, &caller("alice", "cli")));
        assert!(sessions.reserve(owner("alice", "cli")).is_ok());
    }

    #[tokio::test]
    async fn ids_have_256_bits_and_do_not_repeat() {
        let sessions = sessions(1, 1);
        let mut ids = BTreeSet::new();
        for _ in 0..1_000 {
            let (id, _transport) = sessions.create_session().await.unwrap();
            assert_eq!(id.len(), 43);
            assert!(ids.insert(id.clone()));
            sessions.close_session(&id).await.unwrap();
        }
    }
}
