//! Which request a log line belongs to.
//!
//! A span would say it too, and take a fiftieth of a tool call: it is made, entered and left some twenty times on the way
//! through the tasks of one request.

use http::HeaderValue;

tokio::task_local! {
    static IDS: Ids;
}

/// The ids by which a request is found again: in log lines, audit events and answers. Of `[A-Za-z0-9._-]`.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    /// The request's own.
    pub(crate) request: HeaderValue,
    /// What it belongs to, if its sender says so.
    pub(crate) correlation: Option<HeaderValue>,
}

impl Ids {
    /// Those of the request that this task is about.
    pub(crate) fn current() -> Option<Self> {
        IDS.try_with(Self::clone).ok()
    }

    /// Whatever the future logs belongs to this request. A task that it spawns is another matter.
    pub(crate) fn around<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        IDS.scope(self, future)
    }

    /// The same for work that blocks a thread.
    pub(crate) fn around_blocking<T>(self, work: impl FnOnce() -> T) -> T {
        IDS.sync_scope(self, work)
    }
}

/// Shows each id of the current request, by name, to whoever writes a line.
pub fn each(mut show: impl FnMut(&str, &str)) {
    let _ = IDS.try_with(|ids| {
        for (name, id) in [("request_id", Some(&ids.request)), ("correlation_id", ids.correlation.as_ref())] {
            if let Some(id) = id.and_then(|id| id.to_str().ok()) {
                show(name, id);
            }
        }
    });
}
