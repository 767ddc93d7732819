//! What the guarded server has: compared with what was served until now, and served.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Offer,
    fetch::{MAX_ITEMS, left_out},
    thing::{Able, Thing, With},
};
use crate::{
    call::registry::Item as _,
    oauth::Scopes,
    said::said,
    secret::sha256_base64url,
    telemetry::{audit, metrics::Metrics},
};

/// What a caller needs for what changes nothing, and for a tool that does not say so.
const READS: &str = "mcp:read";
const WRITES: &str = "mcp:write";

/// The scopes of what the settings do not name.
pub(super) fn default_scopes() -> Scopes {
    scopes_of(READS).union(&scopes_of(WRITES))
}

fn scopes_of(text: &str) -> Scopes {
    Scopes::parse(text).expect("a literal of good scopes")
}

/// What is served of one kind at the moment.
pub(super) struct Listed<T: Thing> {
    metrics: Metrics,
    served: Vec<Served<T>>,
    /// Hashes by name of every thing that there ever was, so that one that goes away for a moment cannot come back changed
    /// without a word.
    known: HashMap<String, Known>,
    /// What the list was when it was last asked for, and of which server.
    last: Option<(Source, String)>,
}

type Source = (Arc<str>, Able);

struct Served<T: Thing> {
    hash: String,
    entry: Arc<T::Entry>,
}

struct Known {
    hash: String,
    /// Whether callers needed more than to read.
    writes: bool,
}

impl<T: Thing> Listed<T> {
    /// Nothing yet.
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, served: Vec::new(), known: HashMap::new(), last: None }
    }

    pub(super) fn len(&self) -> usize {
        self.served.len()
    }

    /// What is served, by name.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.served.iter().map(|served| served.entry.key().as_ref())
    }

    /// Serves these from now on; whether that changes anything.
    pub(super) fn update(&mut self, mut found: Vec<T>, with: &With<'_>, offer: &Offer) -> bool {
        found.truncate(MAX_ITEMS);
        let found = found.into_iter().map(T::cleaned).map(|thing| (sha256_base64url(&thing.written()), thing));
        let found: Vec<_> = found.collect();
        let all = sha256_base64url(found.iter().map(|(hash, _)| hash.as_str()).collect::<String>().as_bytes());
        let now = Some(((Arc::clone(with.upstream), with.able), all));
        if self.last == now {
            return false;
        }
        let is_same_server =
            self.last.as_ref().is_some_and(|(before, _)| *before == (with.upstream.clone(), with.able));
        let mut before: HashMap<_, _> = std::mem::take(&mut self.served)
            .into_iter()
            .filter(|_| is_same_server)
            .map(|served| (served.hash, served.entry))
            .collect();
        for (hash, thing) in found {
            // Compiled once: most lists come again as they were.
            if let Some(entry) = before.remove(&hash) {
                self.served.push(Served { hash, entry });
                continue;
            }
            let key = thing.key().to_owned();
            let writes = self.note(&thing, &hash, with.upstream);
            let default = || scopes_of(if writes { WRITES } else { READS });
            let scopes = thing.set_scopes(with.settings).unwrap_or_else(default);
            match thing.entry(scopes, with) {
                Ok(entry) => self.served.push(Served { hash, entry: Arc::new(entry) }),
                Err(reason) => left_out(T::KIND, &key, &reason),
            }
        }
        for taken in T::serve(offer, self.served.iter().map(|served| Arc::clone(&served.entry)).collect()) {
            left_out(T::KIND, taken.key(), "there is another of this name");
        }
        if self.last.is_some() {
            tracing::info!(upstream = %with.upstream, kind = T::KIND, served = self.served.len(), "a list of the guarded server has changed");
        }
        self.last = now;
        true
    }

    /// Remembers a definition, warns if another was known by the same name, and says whether callers need to write.
    fn note(&mut self, thing: &T, hash: &str, upstream: &str) -> bool {
        let key = thing.key();
        let before = self.known.get(key);
        // A server that changes its mind while it runs does not open to readers what was not.
        let writes = !thing.reads() || before.is_some_and(|known| known.writes);
        if let Some(before) = before.filter(|known| known.hash != hash) {
            let name = &*said(key);
            tracing::warn!(upstream, name, "the guarded server changed the definition of a {}", T::KIND);
            T::count_change(&self.metrics);
            audit::record(T::changed(upstream, name, &before.hash, hash));
        }
        if self.known.len() < 10 * MAX_ITEMS || before.is_some() {
            self.known.insert(key.to_owned(), Known { hash: hash.to_owned(), writes });
        }
        writes
    }
}

/// Says which of the names in the settings are those of nothing.
pub(super) fn check_settings<'a>(with: &With<'_>, keys: impl Iterator<Item = &'a str>) {
    let keys: HashSet<_> = keys.collect();
    for name in with.settings.scopes.keys().filter(|name| !keys.contains(name.as_str())) {
        tracing::warn!(name = said(name), "`upstream.scopes` names something that the guarded server does not have");
    }
}
