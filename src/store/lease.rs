//! Whose turn it is among replicas: a lock in Redis that ends by itself when its holder is gone.

use std::{convert::Infallible, sync::Arc, time::Duration};

use super::{Redis, RedisError};
use crate::secret::Secret;

/// How long a turn outlives a holder that is gone. It has that long to say that it is still there.
const LEASE: Duration = Duration::from_secs(10);
const BETWEEN_SIGNS: Duration = Duration::from_secs(2);

/// Only while the first key is still the holder's: a holder that was away for too long changes nothing.
const PUT_WHILE_HELD: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
    redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) return 1";

/// A turn that was taken.
#[derive(Debug)]
pub struct Lease {
    redis: Arc<Redis>,
    key: String,
    /// Who holds it: nobody else knows this.
    holder: Secret,
}

impl Lease {
    /// Takes the turn of this name; `None` if another has it.
    ///
    /// # Errors
    /// Nobody can tell whose turn it is.
    pub async fn take(redis: &Arc<Redis>, key: &str) -> Result<Option<Self>, RedisError> {
        let holder = Secret::random();
        let taken = redis.put_new(key, holder.expose().as_bytes(), LEASE).await?;
        Ok(taken.then(|| Self { redis: Arc::clone(redis), key: key.to_owned(), holder }))
    }

    /// Does this while it is our turn, which lasts for as long as we are alive and Redis answers.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let staying = async {
            loop {
                tokio::time::sleep(BETWEEN_SIGNS).await;
                // Whether it is still ours is asked where it matters.
                let _ = self.put(&self.key, self.holder.expose(), LEASE).await;
            }
        };
        tokio::select! {
            done = work => done,
            never = staying => { let never: Infallible = never; match never {} }
        }
    }

    /// Sets a key for a time if it is still our turn; whether it was.
    ///
    /// # Errors
    /// It may be set or not.
    pub async fn put(&self, key: &str, value: &str, for_this_long: Duration) -> Result<bool, RedisError> {
        let milliseconds = for_this_long.as_millis().to_string();
        let arguments = [self.holder.expose(), value, &milliseconds];
        self.redis.eval::<u64>(PUT_WHILE_HELD, &[&self.key, key], &arguments[..]).await.map(|done| done == 1)
    }

    /// Lets the next one have its turn.
    pub async fn end(self) {
        // If it cannot be said, it ends by itself.
        let _ = self.put(&self.key, self.holder.expose(), Duration::from_millis(1)).await;
    }
}
