//! Rates that count for all replicas together.
//!
//! Ten times a second each replica says what it let through, and hears what all did. A caller who spreads over replicas
//! gets that much more for that long, and no request waits for Redis. While Redis is down each replica counts for
//! itself.

use std::{sync::Arc, time::Duration};

use super::limiter::Limiter;
use crate::{clock::SharedClock, store::Redis};

const BETWEEN: Duration = Duration::from_millis(100);
/// Buckets in one question, so that Redis is not kept busy for long.
const MAX_TOLD: usize = 500;

/// Adds to each bucket what was taken, and says how many microseconds it takes until it is full. Redis has the only
/// clock that all replicas share; if it is set back, nobody is kept out for longer than
/// [`MAX_DEBT`](super::limiter::MAX_DEBT).
const SCRIPT: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full_in = {}
for index, key in ipairs(KEYS) do
  local full_at = math.max(now, tonumber(redis.call('GET', key)) or 0) + ARGV[index]
  full_at = math.min(now + 60000000, full_at)
  redis.call('SET', key, string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000) + 1)
  full_in[index] = full_at - now
end
return full_in";

/// Tells and listens, until the future is dropped.
pub(super) async fn run(redis: Arc<Redis>, limiter: Arc<Limiter>, clock: SharedClock) {
    loop {
        tokio::time::sleep(BETWEEN).await;
        for part in limiter.untold().chunks(MAX_TOLD) {
            let (names, prices): (Vec<_>, Vec<_>) =
                part.iter().map(|(_, untold)| (untold.name.as_str(), untold.price / 1000)).unzip();
            // What is not told is lost: the buckets here know it anyway.
            let Ok(full_in) = redis.eval::<Vec<u64>>(SCRIPT, &names, prices).await else { break };
            let now = clock.monotonic();
            for ((bucket, _), full_in) in part.iter().zip(full_in) {
                limiter.learn(*bucket, Duration::from_micros(full_in), now);
            }
        }
    }
}
