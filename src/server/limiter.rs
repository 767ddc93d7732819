//! How often each caller may come: a token bucket for each key, in memory.
//!
//! Replicas tell each other afterwards what they let through (`shared_rates`), so that no request waits for that.
//!
//! A bucket is one number, the time at which it is full again (the generic cell rate algorithm): a full bucket is the
//! same as none, so it can be forgotten.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::secret::sha256_base64url;

/// Buckets behind one lock that other replicas are told of at once. A flood of addresses is each replica's own.
const MAX_UNTOLD: usize = 64;
/// Locks, so that cores seldom wait for each other.
const SHARDS: usize = 32;
/// Buckets behind one lock: about 4 MiB in all, if every one is in use.
const MAX_BUCKETS: usize = 2048;
/// What others are believed to have taken at most: more than a flood of refused tokens costs at several replicas.
pub(super) const MAX_DEBT: Duration = Duration::from_mins(1);
/// What a bucket holds is what flows into it in this time.
const PERIOD: u64 = 1_000_000_000;

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    /// A network address. One of IPv6 stands for its /64, which a single host has all to itself.
    Address(IpAddr),
    /// A client, by the issuer and `client_id`.
    Client(&'a str, &'a str),
    /// A user, by the issuer and `sub`.
    User(&'a str, &'a str),
}

impl Key<'_> {
    /// Where replicas count it together. Who it is, is not to be read there.
    fn name(&self) -> String {
        match self {
            Self::Address(address) => format!("rate:a:{address}"),
            Self::Client(issuer, client) => {
                format!("rate:c:{}", sha256_base64url(format!("{issuer}\n{client}").as_bytes()))
            }
            Self::User(issuer, user) => format!("rate:u:{}", sha256_base64url(format!("{issuer}\n{user}").as_bytes())),
        }
    }

    /// What is counted by it, as audit events say it.
    pub(super) const fn scope(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Client(..) => "client",
            Self::User(..) => "user",
        }
    }
}

/// The buckets. Keys are kept as hashes that nobody outside can foresee, so that long names take no room.
#[derive(Debug)]
pub(super) struct Limiter {
    /// Whether what is let through is remembered until other replicas are told.
    is_shared: bool,
    hasher: RandomState,
    /// One for each kind of key: a flood of addresses takes no room from callers who are known.
    tables: [[Mutex<Shard>; SHARDS]; 3],
}

#[derive(Debug, Default)]
struct Shard {
    /// When each bucket is full again, in nanoseconds.
    full_at: HashMap<u64, u64, BuildHasherDefault<AsItIs>>,
    /// Shared by all for whom there is no room.
    overflow: u64,
    /// When looking for full buckets may find one.
    sweep_at: u64,
    /// What the other replicas have not been told.
    untold: HashMap<u64, Untold, BuildHasherDefault<AsItIs>>,
}

/// What was taken from a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Untold {
    /// Its name among replicas.
    pub(super) name: String,
    /// In nanoseconds of its inflow.
    pub(super) price: u64,
}

/// Which bucket it was, in this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    table: usize,
    hash: u64,
}

/// For keys that are hashes already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("a key is one `u64`");
    }

    fn write_u64(&mut self, hash: u64) {
        // The table looks at the lowest and the highest bits; the lowest have chosen the shard.
        self.0 = hash.rotate_right(SHARDS.ilog2());
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Limiter {
    pub(super) fn new(is_shared: bool) -> Self {
        let table = || std::array::from_fn(|_| Mutex::default());
        Self { is_shared, hasher: RandomState::new(), tables: [table(), table(), table()] }
    }

    /// Takes one from the bucket of a key with this [`hash`](Self::hash), which holds `per_second` and gets as many in a
    /// second.
    ///
    /// # Errors
    /// It is empty; for how long.
    pub(super) fn take(&self, hash: u64, key: &Key<'_>, per_second: u32, now: Duration) -> Result<(), Duration> {
        let (price, now) = (price(1, per_second), nanoseconds(now));
        let mut shard = self.shard(table(key), hash);
        let bucket = shard.bucket(hash, now);
        let next = *bucket + price;
        match next.checked_sub(now + PERIOD) {
            None | Some(0) => *bucket = next,
            Some(missing) => return Err(Duration::from_nanos(missing)),
        }
        self.remember(&mut shard, hash, key, price);
        Ok(())
    }

    /// Takes so many more, also what is not there: the next [`take`](Self::take) waits for it.
    pub(super) fn charge(&self, key: &Key<'_>, tokens: u32, per_second: u32, now: Duration) {
        let (hash, price) = (self.hash(key), price(tokens, per_second));
        let mut shard = self.shard(table(key), hash);
        *shard.bucket(hash, nanoseconds(now)) += price;
        self.remember(&mut shard, hash, key, price);
    }

    /// What was taken since this was asked last.
    pub(super) fn untold(&self) -> Vec<(Bucket, Untold)> {
        let mut all = Vec::new();
        for (table, shards) in self.tables.iter().enumerate() {
            for shard in shards {
                let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                all.extend(shard.untold.drain().map(|(hash, untold)| (Bucket { table, hash }, untold)));
            }
        }
        all
    }

    /// Takes over what all replicas together took: the bucket is full again after this time.
    pub(super) fn learn(&self, bucket: Bucket, full_in: Duration, now: Duration) {
        let mut shard = self.shard(bucket.table, bucket.hash);
        let full_at = nanoseconds(now + full_in.min(MAX_DEBT));
        let kept = shard.bucket(bucket.hash, nanoseconds(now));
        *kept = full_at.max(*kept);
    }

    fn remember(&self, shard: &mut Shard, hash: u64, key: &Key<'_>, price: u64) {
        if self.is_shared && (shard.untold.len() < MAX_UNTOLD || shard.untold.contains_key(&hash)) {
            shard.untold.entry(hash).or_insert_with(|| Untold { name: key.name(), price: 0 }).price += price;
        }
    }

    /// By what a key is kept for as long as this process lives.
    pub(super) fn hash(&self, key: &Key<'_>) -> u64 {
        self.hasher.hash_one(key)
    }

    fn shard(&self, table: usize, hash: u64) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        self.tables[table][index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where buckets of its kind are.
const fn table(key: &Key<'_>) -> usize {
    match key {
        Key::Address(_) => 0,
        Key::Client(..) => 1,
        Key::User(..) => 2,
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

impl Shard {
    /// When the bucket is full, not before now.
    fn bucket(&mut self, hash: u64, now: u64) -> &mut u64 {
        let bucket = self.find(hash, now);
        *bucket = now.max(*bucket);
        bucket
    }

    fn find(&mut self, hash: u64, now: u64) -> &mut u64 {
        let is_full = self.full_at.len() >= MAX_BUCKETS;
        if is_full && !self.full_at.contains_key(&hash) {
            if now >= self.sweep_at {
                self.full_at.retain(|_, full_at| *full_at > now);
                self.sweep_at = self.full_at.values().min().copied().unwrap_or_default();
            }
            if self.full_at.len() >= MAX_BUCKETS {
                return &mut self.overflow;
            }
        }
        self.full_at.entry(hash).or_default()
    }
}

/// How long it takes until so many tokens have come.
fn price(tokens: u32, per_second: u32) -> u64 {
    u64::from(tokens) * PERIOD / u64::from(per_second.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(7);

    impl Limiter {
        fn take_one(&self, key: &Key<'_>, per_second: u32, now: Duration) -> Result<(), Duration> {
            self.take(self.hash(key), key, per_second, now)
        }
    }

    fn address(number: u32) -> Key<'static> {
        Key::Address(IpAddr::V4(number.into()))
    }

    /// How many are let through at once.
    fn passed(limiter: &Limiter, key: &Key<'_>, per_second: u32, now: Duration) -> usize {
        std::iter::from_fn(|| limiter.take_one(key, per_second, now).ok()).take(10_000).count()
    }

    fn kept(limiter: &Limiter) -> usize {
        limiter.tables.iter().flatten().map(|shard| shard.lock().unwrap().full_at.len()).sum()
    }

    #[test]
    fn h26_a_bucket_holds_a_second_and_fills_as_time_passes() {
        for per_second in [1, 3, 7, 100] {
            let limiter = Limiter::new(false);
            assert_eq!(passed(&limiter, &address(1), per_second, START), per_second as usize);
            let later = START + Duration::from_secs(1) / per_second + Duration::from_nanos(1);
            assert_eq!(passed(&limiter, &address(1), per_second, later), 1);
            assert_eq!(passed(&limiter, &address(1), per_second, START + Duration::from_mins(9)), per_second as usize);
        }
    }

    #[test]
    fn h26_the_wait_that_is_named_is_enough_and_not_too_long() {
        let limiter = Limiter::new(false);
        assert_eq!(passed(&limiter, &address(1), 4, START), 4);
        let wait = limiter.take_one(&address(1), 4, START).unwrap_err();
        assert_eq!(wait, Duration::from_millis(250));
        assert!(limiter.take_one(&address(1), 4, START + Duration::from_nanos(249_999_999)).is_err());
        assert!(limiter.take_one(&address(1), 4, START + wait).is_ok());
    }

    #[test]
    fn h26_keys_are_apart() {
        let limiter = Limiter::new(false);
        let keys = [address(1), address(2), Key::Client("i", "a"), Key::User("i", "a"), Key::User("j", "a")];
        for key in keys {
            assert_eq!(passed(&limiter, &key, 2, START), 2, "{key:?}");
        }
        for key in keys {
            assert_eq!(passed(&limiter, &key, 2, START), 0, "{key:?}");
        }
    }

    #[test]
    fn h26_a_debt_is_paid_before_the_next_is_let_through() {
        let limiter = Limiter::new(false);
        limiter.take_one(&address(1), 10, START).unwrap();
        limiter.charge(&address(1), 20, 10, START);
        assert_eq!(limiter.take_one(&address(1), 10, START), Err(Duration::from_millis(1200)));
        assert!(limiter.take_one(&address(1), 10, START + Duration::from_millis(1200)).is_ok());
    }

    #[test]
    fn h26_what_is_taken_is_told_once_and_what_others_took_counts() {
        let (limiter, other) = (Limiter::new(true), Limiter::new(true));
        assert_eq!(passed(&limiter, &address(1), 4, START), 4);
        let told = limiter.untold();
        assert_eq!(told.iter().map(|(_, untold)| untold.price).collect::<Vec<_>>(), [PERIOD]);
        assert_eq!(limiter.untold().len(), 0);
        // Who shares nothing remembers nothing.
        let alone = Limiter::new(false);
        assert_eq!((passed(&alone, &address(1), 4, START), alone.untold().len()), (4, 0));
        // The other replica let one through; together they are a second ahead, and a quarter.
        other.take_one(&address(1), 4, START).unwrap();
        let (bucket, own) = other.untold().pop().unwrap();
        assert_eq!(own, Untold { name: told[0].1.name.clone(), price: PERIOD / 4 });
        other.learn(bucket, Duration::from_millis(1250), START);
        assert_eq!(other.take_one(&address(1), 4, START), Err(Duration::from_millis(500)));
        // What one knows already is not forgotten for what others know.
        other.learn(bucket, Duration::from_millis(250), START);
        assert_eq!(other.take_one(&address(1), 4, START), Err(Duration::from_millis(500)));
        // Nor is nonsense believed.
        other.learn(bucket, Duration::MAX, START);
        assert!(other.take_one(&address(1), 4, START).is_err());
        assert!(other.take_one(&address(1), 4, START + MAX_DEBT).is_ok());
    }

    #[test]
    fn h26_of_a_flood_of_addresses_others_are_told_a_bounded_part() {
        let limiter = Limiter::new(true);
        let known = Key::User("issuer", "alice");
        for number in 0..50_000 {
            limiter.take_one(&address(number), 2, START).unwrap();
        }
        limiter.take_one(&known, 2, START).unwrap();
        let told = limiter.untold();
        assert_eq!(told.len(), SHARDS * MAX_UNTOLD + 1);
        assert_eq!(told.iter().filter(|(_, untold)| untold.name == known.name()).count(), 1);
    }

    #[test]
    fn h26_a_flood_of_keys_takes_bounded_memory_and_nothing_from_others() {
        let limiter = Limiter::new(false);
        let cap = SHARDS * MAX_BUCKETS;
        let known = Key::User("issuer", "alice");
        assert_eq!(passed(&limiter, &known, 2, START), 2);
        let flood = u32::try_from(cap).unwrap() * 2;
        let admitted = (0..flood).filter(|number| limiter.take_one(&address(*number), 2, START).is_ok()).count();
        assert_eq!(kept(&limiter), cap + 1);
        // Whoever finds no room shares a bucket with the others in the shard.
        assert_eq!(admitted, cap + SHARDS * 2);
        assert_eq!(passed(&limiter, &known, 2, START), 0, "a flood does not make the limiter forget");
        let later = START + Duration::from_secs(2);
        assert_eq!(passed(&limiter, &address(flood + 1), 2, later), 2);
        assert!(kept(&limiter) < cap, "full buckets are dropped");
    }
}
