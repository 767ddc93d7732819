//! Who comes too often, as the audit log is told: of each bucket once a second, with the count. A line for each refusal would
//! let anybody fill the disk.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::runtime::Handle;

use super::{address::Address, limiter::Key};
use crate::{
    clock::SharedClock,
    telemetry::audit::{self, Actor, Event},
};

/// Between two events of one bucket.
const BETWEEN: Duration = Duration::from_secs(1);
/// Buckets that have events of their own; those of more share one for each kind.
const MAX_BUCKETS: usize = 1024;

/// The refusals that are still to be told, and when each bucket was told of last.
pub(super) struct Refusals {
    clock: SharedClock,
    hasher: RandomState,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// By the kind of the bucket and its hash; 0 is everybody for whom there was no room.
    told: HashMap<(&'static str, u64), Told>,
    /// Whether somebody comes to tell what is left out.
    is_awaited: bool,
}

/// What the log knows of one bucket.
struct Told {
    /// When its last event was written.
    at: Duration,
    /// Refusals since then.
    left_out: u64,
    /// Where the latest of them came from, and whose the first was.
    address: Address,
    actor: Option<OwnedActor>,
}

struct OwnedActor {
    issuer: String,
    subject: String,
    client: String,
}

impl Refusals {
    pub(super) fn new(clock: SharedClock) -> Arc<Self> {
        Arc::new(Self { clock, hasher: RandomState::new(), table: Mutex::default() })
    }

    /// Writes an event, unless there was one of this bucket within the last second: then it is counted by the next one, which
    /// comes even if this caller never does again.
    pub(super) fn note(
        self: &Arc<Self>,
        scope: &'static str,
        key: &Key<'_>,
        address: Address,
        actor: Option<Actor<'_>>,
    ) {
        let now = self.clock.monotonic();
        let mut table = self.table();
        let told = table.of((scope, self.hasher.hash_one(key)), address, now);
        let count = match told {
            Some(told) if now < told.at + BETWEEN => {
                if told.left_out == 0 {
                    told.actor = actor.map(OwnedActor::of);
                }
                told.left_out += 1;
                told.address = address;
                self.await_end(&mut table);
                return;
            }
            Some(told) => {
                told.at = now;
                mem::take(&mut told.left_out) + 1
            }
            None => 1,
        };
        drop(table);
        audit::record(Event::RateLimited { scope, address: &address.to_string(), actor, count });
    }

    /// Writes what is left out, whenever the last event was: nobody will be here to do so later.
    pub(super) fn tell_all(&self) {
        self.tell(|_, _| true);
    }

    /// Writes what was left out and has waited for long enough. Whether anything is left.
    fn tell_due(&self) -> bool {
        self.tell(|told, now| now >= told.at + BETWEEN)
    }

    fn tell(&self, is_due: impl Fn(&Told, Duration) -> bool) -> bool {
        let now = self.clock.monotonic();
        let mut table = self.table();
        let due = table.told.iter_mut().filter(|(_, told)| told.left_out > 0 && is_due(told, now));
        let due: Vec<_> = due
            .map(|((scope, _), told)| {
                told.at = now;
                (*scope, mem::take(&mut told.left_out), told.address, told.actor.take())
            })
            .collect();
        let is_left = table.told.values().any(|told| told.left_out > 0);
        table.is_awaited = is_left;
        drop(table);
        for (scope, count, address, actor) in due {
            let actor = actor.as_ref().map(OwnedActor::lent);
            audit::record(Event::RateLimited { scope, address: &address.to_string(), actor, count });
        }
        is_left
    }

    /// Sees to it that what is left out is told.
    fn await_end(self: &Arc<Self>, table: &mut Table) {
        if table.is_awaited {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            table.is_awaited = true;
            let refusals = Arc::clone(self);
            runtime.spawn(async move {
                loop {
                    tokio::time::sleep(BETWEEN).await;
                    if !refusals.tell_due() {
                        return;
                    }
                }
            });
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// What the log knows of this bucket; `None` if it knew nothing, and is told now.
    fn of(&mut self, mut id: (&'static str, u64), address: Address, now: Duration) -> Option<&mut Told> {
        if self.told.len() >= MAX_BUCKETS && !self.told.contains_key(&id) {
            self.told.retain(|_, told| told.left_out > 0 || now < told.at + BETWEEN);
            if self.told.len() >= MAX_BUCKETS {
                id.1 = 0;
            }
        }
        match self.told.entry(id) {
            Entry::Occupied(told) => Some(told.into_mut()),
            Entry::Vacant(place) => {
                place.insert(Told { at: now, left_out: 0, address, actor: None });
                None
            }
        }
    }
}

impl OwnedActor {
    fn of(actor: Actor<'_>) -> Self {
        let Actor { issuer, subject, client } = actor;
        Self { issuer: issuer.to_owned(), subject: subject.to_owned(), client: client.to_owned() }
    }

    fn lent(&self) -> Actor<'_> {
        Actor { issuer: &self.issuer, subject: &self.subject, client: &self.client }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};

    use axum::http::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::{clock::TestClock, telemetry::testing::Log};

    impl Log {
        fn counts(&self) -> Vec<u64> {
            self.events().iter().map(|event| event["count"].as_u64().unwrap()).collect()
        }
    }

    fn ip(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number))
    }

    fn address(number: u32) -> Address {
        Address::of(Some(SocketAddr::new(ip(number), 1)), &HeaderMap::new(), &[])
    }

    fn refused(refusals: &Arc<Refusals>, number: u32) {
        refusals.note("address", &address(number).key(), address(number), None);
    }

    #[test]
    fn h26_a_flood_of_refusals_is_one_event_a_second_and_none_is_lost() {
        let (log, _guard) = Log::start();
        let clock = TestClock::at(0);
        let refusals = Refusals::new(clock.clone());
        for _ in 0..1000 {
            refused(&refusals, 1);
        }
        assert_eq!(log.counts(), [1]);
        clock.advance(Duration::from_millis(999));
        refused(&refusals, 1);
        assert!(refusals.tell_due(), "it is not time");
        clock.advance(Duration::from_millis(1));
        refused(&refusals, 1);
        assert_eq!(log.counts(), [1001], "the one that is told, and all since the last");
        // The twin: who is refused now and then has an event for each.
        for _ in 0..3 {
            clock.advance(BETWEEN);
            refused(&refusals, 1);
        }
        assert_eq!(log.counts(), [1, 1, 1]);
    }

    #[test]
    fn h26_what_was_left_out_is_told_though_nothing_comes_any_more() {
        let (log, _guard) = Log::start();
        let clock = TestClock::at(0);
        let refusals = Refusals::new(clock.clone());
        let actor = Actor { issuer: "https://issuer.example", subject: "alice", client: "cli" };
        let key = Key::Client(actor.issuer, actor.client);
        for _ in 0..8 {
            refusals.note("client", &key, address(2), Some(actor));
        }
        refused(&refusals, 1);
        assert_eq!(log.counts(), [1, 1]);
        clock.advance(BETWEEN);
        assert!(!refusals.tell_due(), "nothing is left");
        let told = json!({"message": "rate_limited", "scope": "client", "address": "10.0.0.2", "count": 7,
            "issuer": "https://issuer.example", "subject": "alice", "client": "cli"});
        assert_eq!(log.events(), [told]);
        // It was an event like any other: a second passes until the next.
        refusals.note("client", &key, address(2), Some(actor));
        assert_eq!(log.counts(), [0_u64; 0]);
        refusals.tell_all();
        assert_eq!(log.counts(), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn h26_somebody_comes_to_tell_what_was_left_out() {
        let (log, _guard) = Log::start();
        let clock = TestClock::at(0);
        let refusals = Refusals::new(clock.clone());
        for _ in 0..5 {
            refused(&refusals, 1);
        }
        tokio::time::sleep(BETWEEN * 3).await;
        assert_eq!(log.counts(), [1], "the server's own clock stands still");
        clock.advance(BETWEEN);
        tokio::time::sleep(BETWEEN * 2).await;
        assert_eq!(log.counts(), [4]);
        assert!(!refusals.table().is_awaited, "and goes");
    }

    #[test]
    fn h26_a_flood_of_addresses_takes_bounded_memory_and_few_events() {
        let (log, _guard) = Log::start();
        let clock = TestClock::at(0);
        let refusals = Refusals::new(clock.clone());
        for number in 0..5000 {
            refused(&refusals, number);
        }
        assert_eq!(refusals.table().told.len(), MAX_BUCKETS + 1);
        assert_eq!(log.counts(), [1; MAX_BUCKETS + 1]);
        refusals.tell_all();
        assert_eq!(log.counts(), [5000 - MAX_BUCKETS as u64 - 1]);
        clock.advance(BETWEEN * 2);
        refused(&refusals, 9999);
        assert!(refusals.table().told.len() <= MAX_BUCKETS, "there is room again");
    }
}
