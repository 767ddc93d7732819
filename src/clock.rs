//! Time, as an argument: the one place that reads the system's clocks.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Tells the time, of the wall and of a stopwatch.
pub trait Clock: std::fmt::Debug + Send + Sync {
    /// Time since 1970-01-01T00:00:00Z: what `exp`, `nbf` and `iat` are compared with.
    fn since_epoch(&self) -> Duration;

    /// A time that only moves forward, from an arbitrary start: what cool-downs and cache ages are measured with, so that a
    /// corrected wall clock neither floods an issuer with fetches nor keeps a removed key alive.
    fn monotonic(&self) -> Duration;
}

/// A clock that many owners read.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// The clock that `main` hands to everything else.
    pub fn shared() -> SharedClock {
        Arc::new(Self { started: Instant::now() })
    }
}

impl Clock for SystemClock {
    fn since_epoch(&self) -> Duration {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
        let now = SystemTime::now();
        // A clock set before 1970 makes every token look not yet valid, which fails closed.
        now.duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct TestClock(Mutex<(Duration, Duration)>);

impl TestClock {
    /// Starts at `seconds` after the epoch.
    pub fn at(seconds: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new((Duration::from_secs(seconds), Duration::ZERO))))
    }

    /// Moves both the wall and the stopwatch.
    pub fn advance(&self, by: Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.0 += by;
        times.1 += by;
    }
}

impl Clock for TestClock {
    fn since_epoch(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}
