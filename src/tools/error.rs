//! What a tool itself says went wrong.

use rmcp::ErrorData;

use crate::call::{AskError, CallError, TaskError, Violation};

/// What a tool itself says went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// An argument fits the schema and is still not usable.
    #[error("`{argument}`: {message}")]
    InvalidArgument {
        /// Its name.
        argument: &'static str,
        /// What is wrong with it, and what was expected.
        message: String,
    },
    /// The tool could not do its work. The caller sees the text: no secrets.
    #[error("{0}")]
    Failed(String),
    /// The tool could not do its work, and says so as an error of JSON-RPC, which no model reads, and not as a result.
    #[error("{}", .0.message)]
    Rpc(ErrorData),
    /// The tool does this as a task only, and the caller does not know tasks.
    #[error("this is only done as a task")]
    TaskRequired,
    /// A question to the caller has no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl ToolError {
    /// An argument that fits the schema and is still not usable.
    pub fn argument(argument: &'static str, message: impl Into<String>) -> Self {
        Self::InvalidArgument { argument, message: message.into() }
    }
}

impl From<TaskError> for ToolError {
    fn from(error: TaskError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<ToolError> for CallError {
    fn from(error: ToolError) -> Self {
        match error {
            ToolError::InvalidArgument { argument, message } => {
                let path = if argument.is_empty() { String::new() } else { format!("/{argument}") };
                Self::InvalidArguments(vec![Violation { path, message }])
            }
            ToolError::Failed(message) => Self::Failed(message),
            ToolError::Rpc(error) => Self::Rpc(error),
            ToolError::TaskRequired => Self::TaskRequired,
            ToolError::Ask(error) => Self::Ask(error),
        }
    }
}
