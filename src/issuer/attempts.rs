//! How often something was tried within a minute.

use std::{collections::HashMap, time::Duration};

use super::Sender;

/// How long attempts count together.
pub(super) const WINDOW: Duration = Duration::from_mins(1);
/// Keys may be anybody's text: no more of them than this are remembered, the oldest make room.
///
/// Forgetting helps no one guess: secrets have 256 bits. The limit is there to slow noise down and to make it visible.
const MAX_TRACKED: usize = 4096;

/// Attempts of each sender, and of all together: many senders may be one party's.
#[derive(Debug)]
pub(super) struct BySender {
    of_each: Attempts,
    of_all: Attempts,
}

/// For whom it is closed, and for how long.
#[derive(Debug)]
pub(super) enum Closed {
    ForSender(Duration),
    ForAll(Duration),
}

impl BySender {
    /// None yet; so many of each sender and of all within a minute.
    pub(super) fn new(of_each: u32, of_all: u32) -> Self {
        Self { of_each: Attempts::new(of_each), of_all: Attempts::new(of_all) }
    }

    /// Counts one more. What is refused to one sender takes nothing from the others; who is unknown is one sender.
    pub(super) fn count(&mut self, sender: Option<Sender>, now: Duration) -> Result<(), Closed> {
        let sender = sender.map(|Sender(address)| address.to_string()).unwrap_or_default();
        if let Some(left) = self.of_each.closed_for(&sender, now) {
            return Err(Closed::ForSender(left));
        }
        if let Some(left) = self.of_all.closed_for("", now) {
            return Err(Closed::ForAll(left));
        }
        self.of_each.count(sender, now);
        self.of_all.count(String::new(), now);
        Ok(())
    }
}

/// Attempts per key: after `max` within one [`WINDOW`] the key is closed until the window ends. Times are of the
/// monotonic clock.
#[derive(Debug)]
pub(super) struct Attempts {
    max: u32,
    windows: HashMap<String, Window>,
}

#[derive(Debug)]
struct Window {
    started: Duration,
    count: u32,
}

impl Attempts {
    /// None yet.
    pub(super) fn new(max: u32) -> Self {
        Self { max, windows: HashMap::new() }
    }

    /// How long the key is still closed, if it is.
    pub(super) fn closed_for(&self, key: &str, now: Duration) -> Option<Duration> {
        let window = self.windows.get(key).filter(|window| window.count >= self.max)?;
        (window.started + WINDOW).checked_sub(now).filter(|left| !left.is_zero())
    }

    /// Counts an attempt.
    pub(super) fn count(&mut self, key: String, now: Duration) {
        if !self.windows.contains_key(&key) && self.windows.len() >= MAX_TRACKED {
            self.make_room();
        }
        let window = self.windows.entry(key).or_insert(Window { started: now, count: 0 });
        if now >= window.started + WINDOW {
            *window = Window { started: now, count: 0 };
        }
        window.count += 1;
    }

    fn make_room(&mut self) {
        let oldest = self.windows.iter().min_by_key(|(_, window)| window.started).map(|(key, _)| key.clone());
        oldest.and_then(|key| self.windows.remove(&key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_closed_until_its_window_ends() {
        let mut attempts = Attempts::new(3);
        let start = Duration::from_secs(5);
        for _ in 0..3 {
            assert_eq!(attempts.closed_for("a", start), None);
            attempts.count("a".to_owned(), start);
        }
        assert_eq!(attempts.closed_for("a", start + Duration::from_secs(10)), Some(Duration::from_secs(50)));
        assert_eq!(attempts.closed_for("b", start), None);
        assert_eq!(attempts.closed_for("a", start + WINDOW), None);
        attempts.count("a".to_owned(), start + WINDOW);
        assert_eq!(attempts.closed_for("a", start + WINDOW), None, "a new window starts from nothing");
    }

    #[test]
    fn made_up_names_take_bounded_memory() {
        let mut attempts = Attempts::new(3);
        for index in 0..MAX_TRACKED + 100 {
            attempts.count(index.to_string(), Duration::from_secs(index as u64));
        }
        assert_eq!(attempts.windows.len(), MAX_TRACKED);
        assert!(!attempts.windows.contains_key("0"));
    }
}
