//! Every way a call can fail.

use std::{fmt, time::Duration};

use super::AskError;
use crate::oauth::Scopes;

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

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no tool of this name (which is cut off after 128 characters).
    #[error("there is no tool `{0}`")]
    UnknownTool(String),
    /// The caller's token does not allow the tool.
    #[error("the token does not allow this tool, which needs `{needed}`")]
    MissingScope {
        /// All the scopes that the tool needs, also those that the token has.
        needed: Scopes,
    },
    /// The arguments do not fit: everything that is wrong with them, at most ten.
    #[error("invalid arguments: {}", list(.0))]
    InvalidArguments(Vec<Violation>),
    /// A question to the caller has no answer, or not yet: [`AskError::Pending`] is no failure.
    #[error(transparent)]
    Ask(AskError),
    /// The tool could not do its work.
    #[error("{0}")]
    Failed(String),
    /// The tool took too long.
    #[error("the tool did not finish within {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// The caller gave up.
    #[error("the call was cancelled")]
    Cancelled,
}

/// One thing that is wrong with the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where: a JSON pointer (RFC 6901), such as `/operands/2`; empty for the arguments as a whole.
    pub path: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(formatter, "`{}`: ", self.path)?;
        }
        formatter.write_str(&self.message)
    }
}

fn list(violations: &[Violation]) -> String {
    violations.iter().map(Violation::to_string).collect::<Vec<_>>().join("; ")
}

impl From<ToolError> for CallError {
    fn from(error: ToolError) -> Self {
        match error {
            ToolError::InvalidArgument { argument, message } => {
                let path = if argument.is_empty() { String::new() } else { format!("/{argument}") };
                Self::InvalidArguments(vec![Violation { path, message }])
            }
            ToolError::Failed(message) => Self::Failed(message),
            ToolError::Ask(error) => Self::Ask(error),
        }
    }
}
