//! How often somebody tried a wrong secret.

use std::{collections::HashMap, time::Duration};

/// Wrong secrets within one [`WINDOW`] after which a client's method is closed until the window ends.
pub(super) const MAX_FAILURES: u32 = 20;
/// How long failures count together.
pub(super) const WINDOW: Duration = Duration::from_mins(1);
/// Names of clients are anybody's text: no more of them than this are remembered, the oldest make room.
///
/// Forgetting helps no one guess: secrets have 256 bits. The limit is there to slow noise down and to make it visible.
const MAX_TRACKED: usize = 4096;

/// Failures per key, where a key names a client and the method it was tried with. Times are of the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<String, Window>);

#[derive(Debug)]
struct Window {
    started: Duration,
    count: u32,
}

impl Failures {
    /// How long the key is still closed, if it is.
    pub(super) fn closed_for(&self, key: &str, now: Duration) -> Option<Duration> {
        let window = self.0.get(key).filter(|window| window.count >= MAX_FAILURES)?;
        (window.started + WINDOW).checked_sub(now).filter(|left| !left.is_zero())
    }

    /// Counts a failure.
    pub(super) fn count(&mut self, key: String, now: Duration) {
        if !self.0.contains_key(&key) && self.0.len() >= MAX_TRACKED {
            self.make_room();
        }
        let window = self.0.entry(key).or_insert(Window { started: now, count: 0 });
        if now >= window.started + WINDOW {
            *window = Window { started: now, count: 0 };
        }
        window.count += 1;
    }

    fn make_room(&mut self) {
        let oldest = self.0.iter().min_by_key(|(_, window)| window.started).map(|(key, _)| key.clone());
        oldest.and_then(|key| self.0.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_closed_until_its_window_ends() {
        let mut failures = Failures::default();
        let start = Duration::from_secs(5);
        for _ in 0..MAX_FAILURES {
            assert_eq!(failures.closed_for("a", start), None);
            failures.count("a".to_owned(), start);
        }
        assert_eq!(failures.closed_for("a", start + Duration::from_secs(10)), Some(Duration::from_secs(50)));
        assert_eq!(failures.closed_for("b", start), None);
        assert_eq!(failures.closed_for("a", start + WINDOW), None);
        failures.count("a".to_owned(), start + WINDOW);
        assert_eq!(failures.closed_for("a", start + WINDOW), None, "a new window starts from nothing");
    }

    #[test]
    fn made_up_names_take_bounded_memory() {
        let mut failures = Failures::default();
        for index in 0..MAX_TRACKED + 100 {
            failures.count(index.to_string(), Duration::from_secs(index as u64));
        }
        assert_eq!(failures.0.len(), MAX_TRACKED);
        assert!(!failures.0.contains_key("0"));
    }
}
