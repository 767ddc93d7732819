//! What a resource itself says went wrong.

use crate::call::{AskError, CallError, Kind};

/// What a resource itself says went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// The template fits the URI, and there is no such resource.
    #[error("there is no such resource")]
    NotFound,
    /// It could not be read. The caller sees the text: no secrets.
    #[error("{0}")]
    Failed(String),
    /// A question to the caller has no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl ResourceError {
    /// The error of a read of this URI.
    pub(super) fn of(self, uri: &str) -> CallError {
        match self {
            Self::NotFound => {
                CallError::Unknown { kind: Kind::Resource, name: Kind::Resource.shortened(uri).to_owned() }
            }
            Self::Failed(message) => CallError::Failed(message),
            Self::Ask(error) => CallError::Ask(error),
        }
    }
}
