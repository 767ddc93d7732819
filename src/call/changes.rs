//! Word that something on offer has changed.

use std::sync::Arc;

use tokio::sync::broadcast;

/// How many changes are kept for a listener that is behind; one that misses some is told that everything has changed.
const KEPT: usize = 256;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Tools,
    Resources,
    Prompts,
    /// The resource of this URI has other contents.
    Resource(Arc<str>),
}

/// Where changes are heard of.
pub(crate) type Receiver = broadcast::Receiver<Change>;

/// Says to every client that listens that something has changed. Cheap to clone: whatever changes things keeps one.
#[derive(Clone, Debug)]
pub struct Changes(broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::channel(KEPT).0)
    }
}

impl Changes {
    /// The list of tools is another one.
    pub fn tools(&self) {
        self.say(Change::Tools);
    }

    /// The list of resources or of templates is another one.
    pub fn resources(&self) {
        self.say(Change::Resources);
    }

    /// The list of prompts is another one.
    pub fn prompts(&self) {
        self.say(Change::Prompts);
    }

    /// The resource of this URI has other contents: told to those who subscribed to it.
    pub fn resource(&self, uri: &str) {
        self.say(Change::Resource(uri.into()));
    }

    pub(crate) fn listen(&self) -> Receiver {
        self.0.subscribe()
    }

    fn say(&self, change: Change) {
        // It fails when nobody listens.
        let _ = self.0.send(change);
    }
}
