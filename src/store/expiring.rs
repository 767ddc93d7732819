//! Names that matter until a time: used assertions and proofs, revoked tokens.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

/// A set whose members are forgotten when their time is past, and not before.
#[derive(Debug, Default)]
pub struct Expiring {
    names: HashSet<Arc<str>>,
    by_time: BTreeSet<(u64, Arc<str>)>,
}

/// Why a name cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotUsable {
    /// It was used before.
    Used,
    /// As many are remembered as may be, and none is forgotten for another.
    Full,
}

impl Expiring {
    /// Uses up a name that is good once and until `until`, of `most` at a time; both times in seconds since the epoch.
    ///
    /// # Errors
    /// See [`NotUsable`].
    pub fn use_up(&mut self, name: &str, until: u64, now: u64, most: usize) -> Result<(), NotUsable> {
        self.prune(now);
        if self.contains(name) {
            return Err(NotUsable::Used);
        }
        if self.count() >= most {
            return Err(NotUsable::Full);
        }
        self.insert(name, until);
        Ok(())
    }

    /// Adds a name until `until`, in seconds since the epoch; `false` if it is there already.
    pub fn insert(&mut self, name: &str, until: u64) -> bool {
        let name: Arc<str> = name.into();
        let is_new = self.names.insert(Arc::clone(&name));
        if is_new {
            self.by_time.insert((until, name));
        }
        is_new
    }

    /// Whether the name is there.
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Forgets, and returns, what mattered only until `now`.
    pub fn prune(&mut self, now: u64) -> Vec<Arc<str>> {
        let mut forgotten = Vec::new();
        while self.by_time.first().is_some_and(|(until, _)| *until <= now) {
            let (_, name) = self.by_time.pop_first().expect("there is a first one");
            self.names.remove(&name);
            forgotten.push(name);
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_used_once_and_a_full_set_forgets_nothing() {
        let mut names = Expiring::default();
        assert_eq!(names.use_up("a", 20, 10, 2), Ok(()));
        assert_eq!(names.use_up("a", 20, 10, 2), Err(NotUsable::Used));
        assert_eq!(names.use_up("b", 30, 10, 2), Ok(()));
        assert_eq!(names.use_up("c", 30, 10, 2), Err(NotUsable::Full));
        assert_eq!(names.use_up("a", 20, 19, 2), Err(NotUsable::Used));
        assert_eq!(names.use_up("c", 30, 20, 2), Ok(()));
    }

    #[test]
    fn names_are_forgotten_at_their_time() {
        let mut names = Expiring::default();
        assert!(names.insert("late", 20) && names.insert("early", 10));
        assert!(!names.insert("late", 5), "a known name keeps its time");
        assert!(names.prune(9).is_empty());
        assert_eq!(names.prune(10), [Arc::<str>::from("early")]);
        assert!(!names.contains("early") && names.contains("late"));
        assert_eq!(names.prune(u64::MAX).len(), 1);
        assert_eq!(names.count(), 0);
    }
}
