//! The secret by which replicas know each other's words again: a `requestState` that one of them gave to a client
//! (SEP-2322), and what they announce to each other.
//!
//! In Redis the first replica's counts: the others take it when they need it, and look again once a minute. It is sealed
//! there if they have a key for that. Without Redis, or until it answers, a replica goes by a secret of its own. What it
//! sealed by the last one it still opens: clients come back with it.

use std::{
    iter,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rmcp::model::RequestStateCodec;
use tracing::{debug, warn};

use crate::{
    clock::SharedClock,
    secret::{Secret, constant_time_eq, is_sha256_base64url},
    store::{Redis, RedisError, Sealer},
};

/// Where it is in Redis.
const KEY: &str = "secret";
/// How long it is kept after the last look at it, and how often a replica looks.
const KEPT_FOR: Duration = Duration::from_hours(1);
const BETWEEN_LOOKS: Duration = Duration::from_mins(1);

const HINT: &str = "give all replicas the same `client.registration_key`; when they have it, remove `securemcp:*:secret` \
    in Redis, or wait an hour";

/// What replicas verify each other's words by.
pub(super) struct SharedSecret {
    shared: Option<Shared>,
    clock: SharedClock,
    known: Mutex<Known>,
}

struct Shared {
    redis: Arc<Redis>,
    sealer: Option<Sealer>,
    /// Of which server it is the secret: elsewhere it does not open.
    resource: String,
}

struct Known {
    keys: Keys,
    /// When Redis was last asked, on the stopwatch.
    looked: Option<Duration>,
    /// Whether what is there is none of ours.
    is_foreign: bool,
}

/// What is made of one secret.
pub(super) struct Key {
    secret: Secret,
    /// For what goes to a client and back.
    pub(super) states: RequestStateCodec,
    /// For what replicas announce.
    pub(super) announcements: Sealer,
}

/// What is sealed by now, and what opens.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) current: Arc<Key>,
    last: Option<Arc<Key>>,
}

impl Key {
    fn of(secret: Secret) -> Arc<Self> {
        let states = RequestStateCodec::try_new(secret.expose().as_bytes());
        Arc::new(Self {
            states: states.expect("43 bytes are more than the 32 that it wants"),
            announcements: Sealer::new(&secret, "announcements of replicas"),
            secret,
        })
    }
}

impl Keys {
    /// Those that open what replicas have sealed, the likeliest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Key> {
        iter::once(&self.current).chain(&self.last).map(AsRef::as_ref)
    }
}

impl Known {
    fn learn(&mut self, secret: Secret) {
        if !constant_time_eq(secret.expose().as_bytes(), self.keys.current.secret.expose().as_bytes()) {
            let last = std::mem::replace(&mut self.keys.current, Key::of(secret));
            self.keys.last = Some(last);
        }
    }
}

impl SharedSecret {
    /// That of the server that is this `resource`, sealed in Redis by `key` if there is one.
    pub(super) fn new(redis: Option<Arc<Redis>>, key: Option<&Secret>, resource: &str, clock: SharedClock) -> Self {
        let shared = redis.map(|redis| Shared {
            redis,
            sealer: key.map(|key| Sealer::new(key, "the secret of a deployment")),
            resource: resource.to_owned(),
        });
        let keys = Keys { current: Key::of(Secret::random()), last: None };
        Self { shared, clock, known: Mutex::new(Known { keys, looked: None, is_foreign: false }) }
    }

    /// One of this process alone.
    pub(super) fn alone(clock: SharedClock) -> Self {
        Self::new(None, None, "", clock)
    }

    /// What replicas go by, as far as this one can tell.
    pub(super) async fn keys(&self) -> Keys {
        let Some(shared) = &self.shared else { return self.known().keys.clone() };
        let now = self.clock.monotonic();
        let (keys, looked) = {
            let known = self.known();
            (known.keys.clone(), known.looked)
        };
        if looked.is_some_and(|looked| now < looked + BETWEEN_LOOKS) {
            return keys;
        }
        let found = shared.agree(&keys.current.secret).await;
        let mut known = self.known();
        match found {
            Ok(found) => {
                known.looked = Some(now);
                let was_foreign = std::mem::replace(&mut known.is_foreign, found.is_none());
                if let Some(secret) = found {
                    known.learn(secret);
                } else if !was_foreign {
                    warn!(hint = HINT, "the secret of the replicas in Redis is not sealed by our key, and not taken");
                }
            }
            Err(error) => debug!(%error, "the secret of the replicas is not known"),
        }
        known.keys.clone()
    }

    /// Has the next one who asks look in Redis, which may have lost it.
    pub(super) fn doubt(&self) {
        self.known().looked = None;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// What counts for all, which is `own` if there is none yet; `None` if it is none of ours.
    async fn agree(&self, own: &Secret) -> Result<Option<Secret>, RedisError> {
        let mut kept = self.redis.get(KEY).await?;
        if kept.is_none() {
            // A replica that knows one puts it back into a Redis that has lost it.
            if self.redis.put_new(KEY, &self.written(own), KEPT_FOR).await? {
                return Ok(Some(own.clone()));
            }
            kept = self.redis.get(KEY).await?;
        }
        let Some(kept) = kept else { return Ok(Some(own.clone())) };
        let read = self.read(&kept);
        if read.is_some() {
            // What is none of ours ends by itself. A Redis that takes no writes tells it all the same.
            let _ = self.redis.get_and_keep(KEY, KEPT_FOR).await;
        }
        Ok(read)
    }

    fn written(&self, secret: &Secret) -> Vec<u8> {
        match &self.sealer {
            Some(sealer) => sealer.seal(&self.resource, secret.expose().as_bytes()).into_bytes(),
            None => secret.expose().as_bytes().to_vec(),
        }
    }

    fn read(&self, kept: &[u8]) -> Option<Secret> {
        let opened = match &self.sealer {
            Some(sealer) => sealer.open(&self.resource, kept)?,
            None => kept.to_vec(),
        };
        // One that is shorter than ours could be guessed.
        String::from_utf8(opened).ok().filter(|text| is_sha256_base64url(text)).map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;

    fn shared(key: Option<&str>, resource: &str) -> Shared {
        let redis = Redis::open(&Secret::new("redis://a"), resource).unwrap();
        let sealer = key.map(|key| Sealer::new(&Secret::new(key), "the secret of a deployment"));
        Shared { redis: Arc::new(redis), sealer, resource: resource.to_owned() }
    }

    #[test]
    fn a_secret_is_read_by_whoever_has_the_same_key_for_the_same_server() {
        let secret = Secret::random();
        let [with, without] = [shared(Some("k"), "here"), shared(None, "here")];
        let (sealed, clear) = (with.written(&secret), without.written(&secret));
        assert!(!String::from_utf8_lossy(&sealed).contains(secret.expose()));
        let is_read = |by: &Shared, kept: &[u8]| by.read(kept).is_some_and(|read| read.expose() == secret.expose());
        assert!(is_read(&with, &sealed) && is_read(&without, &clear), "the twins");
        for (other, kept) in [
            (&shared(Some("other"), "here"), &sealed),
            (&shared(Some("k"), "there"), &sealed),
            (&without, &sealed),
            (&with, &clear),
        ] {
            assert!(other.read(kept).is_none());
        }
        for odd in [&b""[..], b"short", b"\xff\xfe", &clear[1..], &[&clear[..], b"A"].concat()] {
            assert!(without.read(odd).is_none(), "{odd:?}");
        }
    }

    #[tokio::test]
    async fn what_was_sealed_by_the_last_secret_still_opens_and_older_does_not() {
        let alone = SharedSecret::alone(TestClock::at(0));
        let sealed = alone.keys().await.current.states.seal(b"state");
        let opens = |keys: &Keys| keys.all().filter(|key| key.states.open(&sealed).is_ok()).count();
        for expected in [1, 0] {
            let same = alone.keys().await.current.secret.clone();
            alone.known().learn(same);
            alone.known().learn(Secret::random());
            assert_eq!(opens(&alone.keys().await), expected);
        }
    }
}
