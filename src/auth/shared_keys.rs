//! An issuer's key set as replicas share it: one of them fetches, the others read what it found.
//!
//! Redis that does not answer is no reason to be without keys: then each replica fetches for itself. Whoever can write
//! to that Redis can add keys (docs/SECURITY.md).

use std::{sync::Arc, time::Duration};

use tracing::debug;

use super::jwks::LastGoodCopy;
use crate::{
    oauth::Issuer,
    secret::sha256_base64url,
    store::{Redis, RedisError},
};

/// How long a fetch by another replica is waited for: longer than one may take, metadata included.
const LONGEST_FETCH: Duration = Duration::from_secs(12);
/// How often the waiting ones look.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Where replicas keep one issuer's key set.
#[derive(Debug)]
pub struct SharedKeys {
    redis: Arc<Redis>,
    /// How long a copy is kept.
    ttl: Duration,
    /// Of the issuer.
    hash: String,
}

impl SharedKeys {
    /// For this issuer's keys; a copy is kept for `ttl`.
    pub fn new(redis: Arc<Redis>, ttl: Duration, issuer: &Issuer) -> Self {
        Self { redis, ttl, hash: sha256_base64url(issuer.as_str().as_bytes()) }
    }

    /// What a replica fetched last, if it can be had.
    pub(super) async fn copy(&self) -> Option<LastGoodCopy> {
        let bytes = self.redis.get(&self.copy_key()).await.unwrap_or_else(|error| without(&error))?;
        serde_json::from_slice(&bytes).inspect_err(|error| debug!(%error, "keys in Redis are damaged")).ok()
    }

    /// Whether it is for this replica to fetch; if not, another did so meanwhile, or tried.
    pub(super) async fn begin(&self) -> bool {
        match self.redis.put_new(&self.flight_key(), b"1", LONGEST_FETCH).await {
            Ok(true) => return true,
            Err(error) => return without(&error).unwrap_or(true),
            Ok(false) => {}
        }
        let landed = async {
            while let Ok(Some(_)) = self.redis.get(&self.flight_key()).await {
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        };
        // Its key does not outlive the longest fetch; if it does, somebody else wrote it.
        let _ = tokio::time::timeout(LONGEST_FETCH, landed).await;
        false
    }

    /// Ends the flight that [`begin`](Self::begin) began, with what it brought.
    pub(super) async fn land(&self, copy: Option<&LastGoodCopy>) {
        if let Some(copy) = copy {
            let bytes = serde_json::to_vec(copy).expect("strings and a number");
            let _ = self.redis.put(&self.copy_key(), &bytes, self.ttl).await.inspect_err(said);
        }
        let _ = self.redis.remove(&self.flight_key()).await.inspect_err(said);
    }

    fn copy_key(&self) -> String {
        format!("keys:{}", self.hash)
    }

    fn flight_key(&self) -> String {
        format!("keys-flight:{}", self.hash)
    }
}

/// What there is without Redis, which has said in the log why it does not answer.
fn without<T>(error: &RedisError) -> Option<T> {
    said(error);
    None
}

fn said(error: &RedisError) {
    debug!(%error, "keys are not shared");
}
