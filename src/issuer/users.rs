//! Who may log in: the users of the configuration, else one named `dev`.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use argon2::{
    Argon2,
    password_hash::{PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use super::{Sender, attempts::Attempts};
use crate::{
    secret::{Secret, constant_time_eq},
    store::{PrivateDir, StoreError, dev_password},
};

/// The user that there is when the configuration names none.
pub(super) const DEV: &str = "dev";
/// Attempts of one address within a minute.
const MAX_OF_EACH: u32 = 10;
/// Attempts in the name of one user within a minute, from all addresses.
const MAX_OF_USER: u32 = 100;
/// Passwords that are checked at once: each takes tens of megabytes for as long.
const AT_ONCE: usize = 2;
/// How long somebody waits who was wrong.
const SLOWED_DOWN: Duration = Duration::from_millis(500);
/// Longest password, in bytes: hashing takes longer the longer it is.
const MAX_PASSWORD_BYTES: usize = 1024;
/// Names and argon2id hashes of passwords, in PHC format.
pub type PasswordHashes = BTreeMap<String, String>;

/// Who may log in.
pub(super) struct Users {
    known: Known,
    checks: Semaphore,
    attempts: Mutex<Tries>,
}

enum Known {
    Configured(PasswordHashes),
    Dev(Secret),
}

struct Tries {
    of_each: Attempts,
    of_user: Attempts,
}

/// Why somebody is not let in.
pub(super) enum NotThem {
    /// No such user, or another password: nobody learns which.
    Wrong,
    /// Too many attempts.
    TooMany {
        /// When to try again.
        retry_after: Duration,
    },
}

impl Users {
    /// Reads, or makes, the password of `dev` if nobody is configured.
    pub(super) fn open(state: &PrivateDir, configured: &PasswordHashes) -> Result<Self, StoreError> {
        let known = if configured.is_empty() {
            Known::Dev(dev_password(state)?)
        } else {
            Known::Configured(configured.clone())
        };
        let attempts = Tries { of_each: Attempts::new(MAX_OF_EACH), of_user: Attempts::new(MAX_OF_USER) };
        Ok(Self { known, checks: Semaphore::new(AT_ONCE), attempts: Mutex::new(attempts) })
    }

    /// Whether there is still such a user: whoever is taken out of the configuration is out.
    pub(super) fn has(&self, user: &str) -> bool {
        match &self.known {
            Known::Configured(hashes) => hashes.contains_key(user),
            Known::Dev(_) => user == DEV,
        }
    }

    /// Whether this is that user's password. Attempts are counted before it is looked at, so that many at once are no
    /// way round.
    pub(super) async fn check(
        &self,
        user: &str,
        password: Secret,
        sender: Option<Sender>,
        now: Duration,
    ) -> Result<(), NotThem> {
        self.count(user, sender.map(|Sender(address)| address), now)?;
        let is_right = match &self.known {
            Known::Dev(expected) => {
                let is_them = user == DEV;
                constant_time_eq(password.expose().trim().as_bytes(), expected.expose().as_bytes()) & is_them
            }
            Known::Configured(hashes) => {
                // Where there is no such user, the dearest of the hashes is tried in vain, so that it takes as long.
                let (hash, is_them) = match hashes.get(user) {
                    Some(hash) => (hash, true),
                    None => (dearest(hashes), false),
                };
                self.verify(password, hash.clone()).await & is_them
            }
        };
        if is_right {
            return Ok(());
        }
        tokio::time::sleep(SLOWED_DOWN).await;
        Err(NotThem::Wrong)
    }

    fn count(&self, user: &str, address: Option<IpAddr>, now: Duration) -> Result<(), NotThem> {
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        let user: String = user.chars().take(64).collect();
        let mut tries = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = tries.of_each.closed_for(&address, now).or_else(|| tries.of_user.closed_for(&user, now));
        if let Some(retry_after) = closed {
            return Err(NotThem::TooMany { retry_after });
        }
        tries.of_each.count(address, now);
        tries.of_user.count(user, now);
        Ok(())
    }

    async fn verify(&self, password: Secret, hash: String) -> bool {
        let _place = self.checks.acquire().await.expect("it is never closed");
        let work = move || is_hash_of(&password, &hash);
        tokio::task::spawn_blocking(work).await.unwrap_or(false)
    }
}

/// Of the hashes, one that takes as long as any.
fn dearest(hashes: &PasswordHashes) -> &String {
    let cost = |hash: &&String| {
        let hash = PasswordHash::new(hash).ok();
        let parameter = |name| hash.as_ref().and_then(|hash| hash.params.get_decimal(name)).unwrap_or_default();
        u64::from(parameter("m")) * u64::from(parameter("t"))
    };
    hashes.values().max_by_key(cost).expect("there are users")
}

fn is_hash_of(password: &Secret, hash: &str) -> bool {
    let bytes = password.expose().as_bytes();
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    bytes.len() <= MAX_PASSWORD_BYTES && Argon2::default().verify_password(bytes, &hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_as_long_as_the_dearest_user() {
        let hash = |parameters: &str| format!("$argon2id$v=19${parameters}$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA");
        let users =
            ["m=4096,t=3,p=1", "m=65536,t=3,p=4", "m=65536,t=1,p=1"].map(|parameters| (parameters, hash(parameters)));
        let hashes = users.iter().map(|(name, hash)| ((*name).to_owned(), hash.clone())).collect();
        assert_eq!(*dearest(&hashes), hash("m=65536,t=3,p=4"));
    }
}
