//! A call that goes on when its request is answered: the tasks of MCP (`io.modelcontextprotocol/tasks`, SEP-2663).

use super::BoxFuture;

/// Whether a call of a tool may become a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskSupport {
    /// It is answered when it has been done.
    #[default]
    Never,
    /// It becomes one for a caller that knows tasks. For all others it is answered when it has been done.
    Optional,
    /// As `Optional`, and whoever does not know tasks is refused.
    Required,
}

/// Makes a task of a call.
pub(crate) trait BeginTask: Send + Sync {
    /// Answers the request of the call with a task, once; later calls change nothing.
    fn begin(&self) -> BoxFuture<'_, Result<(), TaskError>>;
}

/// A call that could have become a task did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call cannot go on as a task: {0}")]
pub struct TaskError(pub(crate) &'static str);
