//! What a prompt itself says went wrong.

use crate::call::{AskError, CallError, Violation};

/// What a prompt itself says went wrong.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// An argument is not usable.
    #[error("`{argument}`: {message}")]
    InvalidArgument {
        /// Its name.
        argument: &'static str,
        /// What is wrong with it, and what was expected.
        message: String,
    },
    /// It could not be made. The caller sees the text: no secrets.
    #[error("{0}")]
    Failed(String),
    /// A question to the caller has no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl PromptError {
    /// An argument that is not usable.
    pub fn argument(argument: &'static str, message: impl Into<String>) -> Self {
        Self::InvalidArgument { argument, message: message.into() }
    }
}

impl From<PromptError> for CallError {
    fn from(error: PromptError) -> Self {
        match error {
            PromptError::InvalidArgument { argument, message } => {
                let path = if argument.is_empty() { String::new() } else { format!("/{argument}") };
                Self::InvalidArguments(vec![Violation { path, message }])
            }
            PromptError::Failed(message) => Self::Failed(message),
            PromptError::Ask(error) => Self::Ask(error),
        }
    }
}
