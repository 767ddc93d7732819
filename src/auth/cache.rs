//! Verdicts on tokens that were good, so that a signature is checked once and not on every request.
//!
//! Keyed by the token's SHA-256, so no token is kept in memory. Bounded: two generations, of which the older is dropped
//! when the younger is full; what is in use moves to the younger one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};

use super::Principal;

/// Entries in one generation of one shard: 16 x 2 x 1024 tokens in all, some 16 MiB at most.
const GENERATION_ENTRIES: usize = 1024;
const SHARDS: usize = 16;

type Key = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct TokenCache {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    young: HashMap<Key, Entry>,
    old: HashMap<Key, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    principal: Arc<Principal>,
    key_generation: u64,
}

/// The name of a token in the cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenHash(Key);

impl TokenHash {
    pub(super) fn of(token: &str) -> Self {
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(key)
    }
}

impl TokenCache {
    /// The verdict on this token, if it was reached with this generation of the key set.
    pub(super) fn get(&self, hash: TokenHash, key_generation: u64) -> Option<Arc<Principal>> {
        let mut shard = self.shard(hash);
        let entry = if let Some(entry) = shard.young.get(&hash.0) {
            entry.clone()
        } else {
            let entry = shard.old.remove(&hash.0)?;
            shard.insert(hash.0, entry.clone());
            entry
        };
        (entry.key_generation == key_generation).then_some(entry.principal)
    }

    pub(super) fn insert(&self, hash: TokenHash, principal: Arc<Principal>, key_generation: u64) {
        self.shard(hash).insert(hash.0, Entry { principal, key_generation });
    }

    pub(super) fn remove(&self, hash: TokenHash) {
        let mut shard = self.shard(hash);
        shard.young.remove(&hash.0);
        shard.old.remove(&hash.0);
    }

    fn shard(&self, hash: TokenHash) -> std::sync::MutexGuard<'_, Shard> {
        self.shards[usize::from(hash.0[0]) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn insert(&mut self, key: Key, entry: Entry) {
        if self.young.len() >= GENERATION_ENTRIES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal() -> Arc<Principal> {
        Arc::new(Principal::for_tests("alice", "cli", "mcp:read"))
    }

    #[test]
    fn a_verdict_lasts_as_long_as_the_keys_it_was_reached_with() {
        let cache = TokenCache::default();
        let hash = TokenHash::of("token");
        assert!(cache.get(hash, 1).is_none());
        cache.insert(hash, principal(), 1);
        assert!(cache.get(hash, 1).is_some());
        assert!(cache.get(hash, 2).is_none());
        cache.remove(hash);
        assert!(cache.get(hash, 1).is_none());
    }

    #[test]
    fn a_flood_of_tokens_stays_bounded_and_spares_the_one_in_use() {
        let cache = TokenCache::default();
        let hot = TokenHash::of("hot");
        cache.insert(hot, principal(), 1);
        for number in 0..100_000 {
            cache.insert(TokenHash::of(&number.to_string()), principal(), 1);
            if number % 100 == 0 {
                assert!(cache.get(hot, 1).is_some(), "after {number}");
            }
        }
        let entries: usize =
            cache.shards.iter().map(|shard| shard.lock().unwrap()).map(|s| s.young.len() + s.old.len()).sum();
        assert!(entries <= SHARDS * 2 * GENERATION_ENTRIES, "{entries}");
    }
}
