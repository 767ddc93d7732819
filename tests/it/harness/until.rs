//! Waiting for what comes by itself: looks again and again, within a bound.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Nothing here takes as long.
const LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(5);

/// Waits until it holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    seen(what, async || holds().await.then_some(())).await;
}

/// Waits until there is something, and gives it.
pub(crate) async fn seen<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(LIMIT, looking).await.unwrap_or_else(|_| panic!("{what}: not within {LIMIT:?}"))
}

/// Waits until it holds, where nothing is awaited.
#[track_caller]
pub(crate) fn block_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        thread::sleep(POLL);
    }
}
