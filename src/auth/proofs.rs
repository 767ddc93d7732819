//! Proofs of possession in requests (RFC 9449): good for the request, with a nonce if there must be one, and used once.
//!
//! What was used is remembered in this process, or in Redis for all replicas. Without that nobody can tell a proof from its
//! replay, so then none is taken.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::Denied;
use crate::{
    clock::SharedClock,
    jose::{
        Nonces,
        dpop::{self, BadProof, LEEWAY, MAX_AGE, Proof},
    },
    secret::Secret,
    store::{Expiring, NotUsable, Redis, RedisError},
};

/// How many used proofs are remembered without Redis, some 30 MiB: those of twenty callers who all come a hundred times a
/// second.
const MAX_REMEMBERED: usize = 200_000;
/// How long Redis remembers one: for as long as it could be taken, and as much again, for replicas whose clocks differ.
const REMEMBERED: Duration = MAX_AGE.saturating_add(LEEWAY).saturating_mul(2);
/// Where replicas keep the secret of their nonces.
const NONCE_SECRET: &str = "dpop-nonces";
/// How long it is kept after the last look at it, and how often each replica looks.
const SECRET_KEPT: Duration = Duration::from_hours(1);
const BETWEEN_LOOKS: Duration = Duration::from_mins(1);

/// Judges proofs and remembers them.
pub struct Proofs {
    clock: SharedClock,
    /// When this process began, since the epoch.
    started: Duration,
    memory: Memory,
}

enum Memory {
    Own { used: Mutex<Expiring>, nonces: Arc<Nonces> },
    Shared { redis: Arc<Redis>, nonces: Mutex<Option<Looked>> },
}

/// What replicas have agreed on, and when this one last asked, on the stopwatch.
struct Looked {
    at: Duration,
    nonces: Arc<Nonces>,
}

impl std::fmt::Debug for Proofs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Proofs").finish_non_exhaustive()
    }
}

impl Proofs {
    /// Remembers in Redis what replicas must know of each other's, else here.
    pub fn new(redis: Option<Arc<Redis>>, clock: SharedClock) -> Self {
        let memory = match redis {
            Some(redis) => Memory::Shared { redis, nonces: Mutex::default() },
            None => Memory::Own { used: Mutex::default(), nonces: Arc::new(Nonces::new(&Secret::random())) },
        };
        Self { started: clock.since_epoch(), clock, memory }
    }

    /// Judges the one proof of a request, which is not used up by that.
    ///
    /// # Errors
    /// [`Denied::BadProof`], [`Denied::NonceNeeded`], and [`Denied::ProofsUnavailable`] if nobody knows the nonces.
    pub async fn judge(
        &self,
        proofs: &[&[u8]],
        request: dpop::Request<'_>,
        needs_nonce: bool,
    ) -> Result<Proof, Denied> {
        let now = self.clock.since_epoch();
        let proof = dpop::verify_one(proofs, request, now)?;
        // What an earlier process took is refused by this one, which does not know of it. Times in proofs are whole seconds.
        if matches!(self.memory, Memory::Own { .. }) && proof.issued_at.as_secs() < self.started.as_secs() {
            return Err(BadProof::Stale(now.saturating_sub(proof.issued_at).as_secs()).into());
        }
        if needs_nonce {
            let nonces = self.nonces().await.map_err(|_| Denied::ProofsUnavailable)?;
            let is_good = |nonce: &String| nonces.is_good(nonce, now);
            proof.nonce.as_ref().filter(|nonce| is_good(nonce)).ok_or(Denied::NonceNeeded)?;
        }
        Ok(proof)
    }

    /// Uses a proof up.
    ///
    /// # Errors
    /// [`Denied::ProofReplayed`], and [`Denied::ProofsUnavailable`] if nobody can tell, or no more can be remembered.
    pub async fn use_up(&self, proof: &Proof) -> Result<(), Denied> {
        match &self.memory {
            Memory::Own { used, .. } => {
                let until = (proof.issued_at + MAX_AGE).as_secs() + 1;
                let now = self.clock.since_epoch().as_secs();
                let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
                used.use_up(&proof.id, until, now, MAX_REMEMBERED).map_err(|not| match not {
                    NotUsable::Used => Denied::ProofReplayed,
                    NotUsable::Full => Denied::ProofsUnavailable,
                })
            }
            Memory::Shared { redis, .. } => {
                match redis.put_new(&format!("dpop:{}", proof.id), b"1", REMEMBERED).await {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(Denied::ProofReplayed),
                    Err(_) => Err(Denied::ProofsUnavailable),
                }
            }
        }
    }

    /// The nonce to put into the next proof, if it is known.
    pub async fn nonce(&self) -> Option<String> {
        let nonces = self.nonces().await.ok()?;
        Some(nonces.current(self.clock.since_epoch()))
    }

    async fn nonces(&self) -> Result<Arc<Nonces>, RedisError> {
        let (redis, looked) = match &self.memory {
            Memory::Own { nonces, .. } => return Ok(Arc::clone(nonces)),
            Memory::Shared { redis, nonces } => (redis, nonces),
        };
        let now = self.clock.monotonic();
        if let Some(Looked { at, nonces }) = &*looked.lock().unwrap_or_else(PoisonError::into_inner)
            && now < *at + BETWEEN_LOOKS
        {
            return Ok(Arc::clone(nonces));
        }
        let own = Secret::random();
        // The first replica's counts; one that comes to an emptied Redis is the first again.
        redis.put_new(NONCE_SECRET, own.expose().as_bytes(), SECRET_KEPT).await?;
        let kept = redis.get_and_keep(NONCE_SECRET, SECRET_KEPT).await?;
        let secret = kept.and_then(|kept| String::from_utf8(kept).ok()).map_or(own, Secret::new);
        let nonces = Arc::new(Nonces::new(&secret));
        *looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Looked { at: now, nonces: Arc::clone(&nonces) });
        Ok(nonces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::TestClock, jose::SigningKey};

    const NOW: u64 = 1_700_000_000;

    struct World {
        proofs: Proofs,
        clock: Arc<TestClock>,
        key: SigningKey,
        url: url::Url,
    }

    impl World {
        fn new() -> Self {
            let clock = TestClock::at(NOW);
            let url = "https://mcp.example/mcp".parse().unwrap();
            Self { proofs: Proofs::new(None, clock.clone()), clock, key: SigningKey::generate(), url }
        }

        fn request(&self) -> dpop::Request<'_> {
            dpop::Request { method: "POST", url: &self.url, access_token: Some("token") }
        }

        fn proof_of(&self, nonce: Option<&str>, seconds: u64) -> Secret {
            dpop::prove(&self.key, self.request(), nonce, Duration::from_secs(seconds))
        }

        async fn judge(&self, proof: &Secret, needs_nonce: bool) -> Result<Proof, Denied> {
            self.proofs.judge(&[proof.expose().as_bytes()], self.request(), needs_nonce).await
        }
    }

    #[tokio::test]
    async fn a_proof_is_used_once_for_as_long_as_it_is_good() {
        let world = World::new();
        let proof = world.proof_of(None, NOW);
        let judged = world.judge(&proof, false).await.unwrap();
        assert!(world.proofs.use_up(&judged).await.is_ok());
        for wait in [0, 59, 1] {
            world.clock.advance(Duration::from_secs(wait));
            let again = world.judge(&proof, false).await.unwrap();
            assert!(matches!(world.proofs.use_up(&again).await, Err(Denied::ProofReplayed)), "{wait}");
        }
        world.clock.advance(Duration::from_secs(1));
        assert!(matches!(world.judge(&proof, false).await, Err(Denied::BadProof(BadProof::Stale(61)))));
        let another = world.judge(&world.proof_of(None, NOW + 61), false).await.unwrap();
        assert!(world.proofs.use_up(&another).await.is_ok());
    }

    #[tokio::test]
    async fn what_an_earlier_process_took_is_refused() {
        let world = World::new();
        let before = world.judge(&world.proof_of(None, NOW - 1), false).await;
        assert!(matches!(before, Err(Denied::BadProof(BadProof::Stale(1)))));
        assert!(world.judge(&world.proof_of(None, NOW), false).await.is_ok());
    }

    #[tokio::test]
    async fn a_full_memory_takes_no_more_and_forgets_nothing() {
        let world = World::new();
        let Memory::Own { used, .. } = &world.proofs.memory else { unreachable!("there is no Redis") };
        let proof = world.judge(&world.proof_of(None, NOW), false).await.unwrap();
        world.proofs.use_up(&proof).await.unwrap();
        for index in 1..MAX_REMEMBERED {
            used.lock().unwrap().insert(&index.to_string(), NOW + 61);
        }
        assert!(matches!(world.proofs.use_up(&proof).await, Err(Denied::ProofReplayed)));
        let other = world.judge(&world.proof_of(None, NOW), false).await.unwrap();
        assert!(matches!(world.proofs.use_up(&other).await, Err(Denied::ProofsUnavailable)));
        world.clock.advance(Duration::from_secs(61));
        assert!(world.proofs.use_up(&other).await.is_ok());
    }

    #[tokio::test]
    async fn where_a_nonce_is_needed_it_is_one_of_ours() {
        let world = World::new();
        let nonce = world.proofs.nonce().await.unwrap();
        assert!(world.judge(&world.proof_of(Some(&nonce), NOW), true).await.is_ok());
        for missing in [None, Some("made-up"), Some("")] {
            let judged = world.judge(&world.proof_of(missing, NOW), true).await;
            assert!(matches!(judged, Err(Denied::NonceNeeded)), "{missing:?}");
            assert!(world.judge(&world.proof_of(missing, NOW), false).await.is_ok(), "{missing:?}");
        }
    }
}
