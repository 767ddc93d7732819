//! A list of things on offer, which changes while it is read.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

/// Something on offer.
pub(crate) trait Item {
    /// What callers may know of it.
    type Definition;

    fn definition(&self) -> &Arc<Self::Definition>;

    /// What it is found by.
    fn key(&self) -> &Cow<'static, str>;

    /// Whether an upstream server has it.
    fn is_of_upstream(&self) -> bool;
}

/// The items that the server was built with, in the order they were added, then those of its upstream server. Readers take
/// the whole list of the moment and keep it as long as they like.
pub(crate) struct Registry<E: Item>(RwLock<Arc<Catalogue<E>>>);

/// All items at one moment.
pub(crate) struct Catalogue<E: Item> {
    definitions: Arc<[Arc<E::Definition>]>,
    entries: Vec<Arc<E>>,
    by_key: HashMap<Cow<'static, str>, usize>,
}

impl<E: Item> Default for Registry<E> {
    fn default() -> Self {
        Self(RwLock::new(Arc::new(Catalogue::of(Vec::new()))))
    }
}

impl<E: Item> Registry<E> {
    /// Adds an item of our own.
    pub(crate) fn add(&self, entry: E) {
        self.add_all([entry]);
    }

    /// Adds items of our own.
    pub(crate) fn add_all(&self, entries: impl IntoIterator<Item = E>) {
        self.publish(self.now().entries.iter().cloned().chain(entries.into_iter().map(Arc::new)).collect());
    }

    /// Replaces the upstream server's items by these. A key that is taken stays with whoever had it first; the items that
    /// were therefore left out come back.
    pub(crate) fn replace_upstream(&self, items: Vec<Arc<E>>) -> Vec<Arc<E>> {
        let mut entries: Vec<_> = self.now().entries.iter().filter(|entry| !entry.is_of_upstream()).cloned().collect();
        let mut keys: HashSet<_> = entries.iter().map(|entry| entry.key().clone()).collect();
        let (new, taken): (Vec<_>, Vec<_>) = items.into_iter().partition(|entry| keys.insert(entry.key().clone()));
        entries.extend(new);
        self.publish(entries);
        taken
    }

    pub(crate) fn now(&self) -> Arc<Catalogue<E>> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn list(&self) -> Arc<[Arc<E::Definition>]> {
        Arc::clone(&self.now().definitions)
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<E>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn publish(&self, entries: Vec<Arc<E>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Catalogue::of(entries));
    }
}

impl<E: Item> Catalogue<E> {
    fn of(entries: Vec<Arc<E>>) -> Self {
        let definitions = entries.iter().map(|entry| Arc::clone(entry.definition())).collect();
        let by_key = entries.iter().enumerate().map(|(index, entry)| (entry.key().clone(), index)).collect();
        Self { definitions, entries, by_key }
    }

    pub(crate) fn entries(&self) -> &[Arc<E>] {
        &self.entries
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Arc<E>> {
        self.by_key.get(key).map(|&index| &self.entries[index])
    }
}
