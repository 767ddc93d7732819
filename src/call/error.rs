//! Every way a call can fail.

use std::{fmt, time::Duration};

use rmcp::ErrorData;

use super::{AskError, rules::Kind};
use crate::oauth::Scopes;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is nothing of this name.
    #[error("there is no {kind} `{name}`")]
    Unknown {
        /// What was looked for.
        kind: Kind,
        /// The tool's or prompt's name (cut off after 128 characters), the resource's URI (after 512).
        name: String,
    },
    /// The caller's token does not allow it.
    #[error("the token does not allow this {kind}, which needs `{needed}`")]
    MissingScope {
        /// What it is for.
        kind: Kind,
        /// All the scopes that it needs, also those that the token has.
        needed: Scopes,
    },
    /// The arguments do not fit: everything that is wrong with them, at most ten.
    #[error("invalid arguments: {}", list(.0))]
    InvalidArguments(Vec<Violation>),
    /// A question to the caller has no answer, or not yet: [`AskError::Pending`] is no failure.
    #[error(transparent)]
    Ask(AskError),
    /// The caller does not know tasks, and this is only done as one.
    #[error("this is only done as a task, and the caller does not know tasks (MCP `io.modelcontextprotocol/tasks`)")]
    TaskRequired,
    /// The work could not be done.
    #[error("{0}")]
    Failed(String),
    /// So too, in JSON-RPC's own words.
    #[error("{}", .0.message)]
    Rpc(ErrorData),
    /// It took too long.
    #[error("the {kind} did not finish within {} seconds", .bound.as_secs())]
    TimedOut {
        /// What was used.
        kind: Kind,
        /// How long it may take.
        bound: Duration,
    },
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
