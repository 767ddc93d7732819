//! Counts requests under way, so that a drain knows when the last is answered.

use std::sync::Arc;

use tokio::sync::watch;

/// The number of requests under way.
#[derive(Clone, Debug)]
pub(super) struct InFlight(Arc<watch::Sender<usize>>);

/// One request; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Guard(Arc<watch::Sender<usize>>);

impl InFlight {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    pub(super) fn enter(&self) -> Guard {
        self.0.send_modify(|count| *count += 1);
        Guard(Arc::clone(&self.0))
    }

    /// Waits until there is none.
    pub(super) async fn none(&self) {
        // An error would mean that the sender is gone, and it is `self`.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
