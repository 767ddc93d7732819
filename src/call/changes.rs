//! Word that something on offer has changed.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, watch};

/// How many changes are kept for a listener that is behind; one that misses some is told that everything has changed.
const KEPT: usize = 256;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Change {
    Tools,
    Resources,
    Prompts,
    /// The resource of this URI has other contents.
    Resource(Arc<str>),
    /// Nobody knows what: all of it may have.
    Everything,
}

/// Where changes are heard of.
pub(crate) type Receiver = broadcast::Receiver<Change>;

/// Says to every client that listens that something has changed. Cheap to clone: whatever changes things keeps one.
#[derive(Clone, Debug)]
pub struct Changes {
    said: broadcast::Sender<Change>,
    /// What this process says by itself, which other replicas have to be told.
    said_here: broadcast::Sender<Change>,
    /// How many clients want to hear of each resource.
    watched: watch::Sender<BTreeMap<Arc<str>, usize>>,
}

/// A client wants to hear of a resource for as long as this lives.
#[derive(Debug)]
pub(crate) struct Watch {
    uri: Arc<str>,
    watched: watch::Sender<BTreeMap<Arc<str>, usize>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watched.send_if_modified(|watched| {
            let Some(clients) = watched.get_mut(&self.uri) else { return false };
            *clients -= 1;
            let was_last = *clients == 0;
            if was_last {
                watched.remove(&self.uri);
            }
            was_last
        });
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            said: broadcast::Sender::new(KEPT),
            said_here: broadcast::Sender::new(KEPT),
            watched: watch::Sender::default(),
        }
    }
}

impl Changes {
    /// The list of tools is another one.
    pub fn tools(&self) {
        self.say_to_all(Change::Tools);
    }

    /// The list of resources or of templates is another one.
    pub fn resources(&self) {
        self.say_to_all(Change::Resources);
    }

    /// The list of prompts is another one.
    pub fn prompts(&self) {
        self.say_to_all(Change::Prompts);
    }

    /// The resource of this URI has other contents: told to those who subscribed to it.
    pub fn resource(&self, uri: &str) {
        self.say_to_all(Change::Resource(uri.into()));
    }

    pub(crate) fn listen(&self) -> Receiver {
        self.said.subscribe()
    }

    /// A client wants to hear of a resource: whoever has to be asked for its changes is told so.
    pub(crate) fn watch(&self, uri: &str) -> Watch {
        let uri: Arc<str> = uri.into();
        self.watched.send_if_modified(|watched| {
            let clients = watched.entry(Arc::clone(&uri)).or_default();
            *clients += 1;
            *clients == 1
        });
        Watch { uri, watched: self.watched.clone() }
    }

    /// The resources that some client wants to hear of, whenever they are others.
    pub(crate) fn watched(&self) -> watch::Receiver<BTreeMap<Arc<str>, usize>> {
        self.watched.subscribe()
    }

    /// What this process says by itself.
    pub(crate) fn said_here(&self) -> Receiver {
        self.said_here.subscribe()
    }

    fn say_to_all(&self, change: Change) {
        let _ = self.said_here.send(change.clone());
        self.say(change);
    }

    /// Says what is known elsewhere too, or nowhere else: only this process's clients hear of it.
    pub(crate) fn say(&self, change: Change) {
        // It fails when nobody listens.
        let _ = self.said.send(change);
    }
}
