//! Revoked tokens: one file each until the token would have expired anyway, and a view in memory.

use std::sync::{Mutex, PoisonError, RwLock};

use super::{ACCESS_TOKEN_LIFETIME, RouteError};
use crate::{
    secret::sha256_base64url,
    store::{Expiring, PrivateDir, StoreError},
};

/// How many revocations are kept. When there are as many, new ones are refused rather than old ones forgotten.
const MAX_REVOKED: usize = 10_000;

/// The revoked tokens, by the SHA-256 of their `jti`.
pub(super) struct Revoked {
    dir: PrivateDir,
    names: RwLock<Expiring>,
    /// Held through a write: writers of one file take turns.
    writing: Mutex<()>,
}

impl Revoked {
    /// Reads what is revoked, and removes what has expired. `now` in seconds since the epoch.
    pub(super) fn open(dir: PrivateDir, now: u64) -> Result<Self, StoreError> {
        let mut names = Expiring::default();
        for name in dir.names()? {
            let bytes = dir.read(&name)?.unwrap_or_default();
            // A file that does not say until when counts for as long as any token made before now can live.
            let until = String::from_utf8_lossy(&bytes).trim().parse().unwrap_or(now + ACCESS_TOKEN_LIFETIME.as_secs());
            names.insert(&name, until);
        }
        let revoked = Self { dir, names: RwLock::new(names), writing: Mutex::new(()) };
        revoked.forget_expired(now);
        Ok(revoked)
    }

    /// Whether the token of this `jti` is revoked.
    pub(super) fn contains(&self, token_id: &str) -> bool {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        !names.is_empty() && names.contains(&sha256_base64url(token_id.as_bytes()))
    }

    /// Revokes until `until`. Blocks on the disk; when it returns, the revocation is there and in force.
    pub(super) fn add(&self, token_id: &str, until: u64, now: u64) -> Result<(), RouteError> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget_expired(now);
        if self.names.read().unwrap_or_else(PoisonError::into_inner).count() >= MAX_REVOKED {
            return Err(RouteError::Full("too many revoked tokens are kept; try again in some minutes"));
        }
        let name = sha256_base64url(token_id.as_bytes());
        self.dir.write(&name, until.to_string().as_bytes())?;
        self.names.write().unwrap_or_else(PoisonError::into_inner).insert(&name, until);
        Ok(())
    }

    fn forget_expired(&self, now: u64) {
        let forgotten = self.names.write().unwrap_or_else(PoisonError::into_inner).prune(now);
        for name in forgotten {
            if let Err(error) = self.dir.remove(&name) {
                // Harmless: the token has expired, and the next start tries again.
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot remove an expired revocation");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: u64) -> (tempfile::TempDir, Revoked) {
        let root = tempfile::tempdir().unwrap();
        let dir = PrivateDir::open(&root.path().join("revoked")).unwrap();
        (root, Revoked::open(dir, now).unwrap())
    }

    #[test]
    fn a_full_memory_refuses_and_forgets_nothing() {
        let (_root, revoked) = opened(0);
        revoked.add("first", 100, 0).unwrap();
        assert!((1..MAX_REVOKED).all(|index| revoked.names.write().unwrap().insert(&index.to_string(), 100)));
        assert!(matches!(revoked.add("more", 100, 99), Err(RouteError::Full(_))));
        assert!(revoked.contains("first") && !revoked.contains("more"));
        revoked.add("more", 200, 100).unwrap();
    }

    #[test]
    fn a_revocation_without_a_readable_time_still_counts() {
        let (_root, revoked) = opened(0);
        revoked.add("a", 100, 0).unwrap();
        revoked.dir.write(&revoked.dir.names().unwrap()[0], b"").unwrap();
        assert!(Revoked::open(revoked.dir, 50).unwrap().contains("a"));
    }
}
