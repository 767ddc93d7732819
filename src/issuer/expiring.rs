//! Names that matter until a time: used assertions, revoked tokens.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

/// A set whose members are forgotten when their time is past, and not before.
#[derive(Debug, Default)]
pub(super) struct Expiring {
    names: HashSet<Arc<str>>,
    by_time: BTreeSet<(u64, Arc<str>)>,
}

impl Expiring {
    /// Adds a name until `until`, in seconds since the epoch; `false` if it is there already.
    pub(super) fn insert(&mut self, name: &str, until: u64) -> bool {
        let name: Arc<str> = name.into();
        let is_new = self.names.insert(Arc::clone(&name));
        if is_new {
            self.by_time.insert((until, name));
        }
        is_new
    }

    /// Whether the name is there.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Forgets, and returns, what mattered only until `now`.
    pub(super) fn prune(&mut self, now: u64) -> Vec<Arc<str>> {
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
    fn names_are_forgotten_at_their_time() {
        let mut names = Expiring::default();
        assert!(names.insert("late", 20) && names.insert("early", 10));
        assert!(!names.insert("late", 5), "a known name keeps its time");
        assert!(names.prune(9).is_empty());
        assert_eq!(names.prune(10), [Arc::<str>::from("early")]);
        assert!(!names.contains("early") && names.contains("late"));
        assert_eq!(names.prune(u64::MAX).len(), 1);
        assert_eq!(names.len(), 0);
    }
}
