//! Verdicts on tokens, so that a signature is checked once, and an issuer asked now and then, and not on every request.
//!
//! Keyed by the token's SHA-256, so no token is kept in memory. Bounded: two generations, of which the older is dropped
//! when the younger is full; what is in use moves to the younger one.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};

/// Entries in one generation of one shard: 16 x 2 x 1024 tokens in all, some 16 MiB at most.
const GENERATION_ENTRIES: usize = 1024;
const SHARDS: usize = 16;

type Key = [u8; 32];

#[derive(Debug)]
pub(super) struct TokenCache<V> {
    shards: [Mutex<Shard<V>>; SHARDS],
}

#[derive(Debug)]
struct Shard<V> {
    young: HashMap<Key, Entry<V>>,
    old: HashMap<Key, Entry<V>>,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    verdict: V,
    holds: Holds,
}

/// For how long a verdict is taken for true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// As long as the keys are those of this generation.
    WithKeys(u64),
    /// Until then, on the stopwatch.
    Until(Duration),
}

/// The name of a token in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TokenHash(Key);

impl TokenHash {
    pub(super) fn of(token: &[u8]) -> Self {
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, token).as_ref());
        Self(key)
    }
}

impl<V> Default for TokenCache<V> {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::new(Shard { young: HashMap::new(), old: HashMap::new() })) }
    }
}

impl<V: Clone> TokenCache<V> {
    /// The verdict on this token, if it still holds.
    pub(super) fn get(&self, hash: TokenHash, still_holds: impl FnOnce(Holds) -> bool) -> Option<V> {
        let mut shard = self.shard(hash);
        let entry = if let Some(entry) = shard.young.get(&hash.0) {
            entry.clone()
        } else {
            let entry = shard.old.remove(&hash.0)?;
            shard.insert(hash.0, entry.clone());
            entry
        };
        still_holds(entry.holds).then_some(entry.verdict)
    }

    pub(super) fn insert(&self, hash: TokenHash, verdict: V, holds: Holds) {
        self.shard(hash).insert(hash.0, Entry { verdict, holds });
    }

    pub(super) fn remove(&self, hash: TokenHash) {
        let mut shard = self.shard(hash);
        shard.young.remove(&hash.0);
        shard.old.remove(&hash.0);
    }

    fn shard(&self, hash: TokenHash) -> std::sync::MutexGuard<'_, Shard<V>> {
        self.shards[usize::from(hash.0[0]) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Shard<V> {
    fn insert(&mut self, key: Key, entry: Entry<V>) {
        if self.young.len() >= GENERATION_ENTRIES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH_FIRST: Holds = Holds::WithKeys(1);

    #[test]
    fn a_verdict_lasts_as_long_as_the_keys_it_was_reached_with() {
        let cache = TokenCache::default();
        let hash = TokenHash::of(b"token");
        let get = |generation| cache.get(hash, |holds| holds == Holds::WithKeys(generation));
        assert_eq!(get(1), None);
        cache.insert(hash, "alice", WITH_FIRST);
        assert_eq!(get(1), Some("alice"));
        assert_eq!(get(2), None);
        cache.remove(hash);
        assert_eq!(get(1), None);
    }

    #[test]
    fn a_flood_of_tokens_stays_bounded_and_spares_the_one_in_use() {
        let cache = TokenCache::default();
        let hot = TokenHash::of(b"hot");
        cache.insert(hot, "alice", WITH_FIRST);
        for number in 0..100_000 {
            cache.insert(TokenHash::of(number.to_string().as_bytes()), "mallory", WITH_FIRST);
            if number % 100 == 0 {
                assert_eq!(cache.get(hot, |_| true), Some("alice"), "after {number}");
            }
        }
        let entries: usize =
            cache.shards.iter().map(|shard| shard.lock().unwrap()).map(|s| s.young.len() + s.old.len()).sum();
        assert!(entries <= SHARDS * 2 * GENERATION_ENTRIES, "{entries}");
    }
}
