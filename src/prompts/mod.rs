//! What people pick by name to start with: one type for each prompt, and one way to get it.
//!
//! A prompt is a type that implements [`Prompt`]; [`Prompts`] is the list that the server shows. `docs/TOOLS.md` shows how
//! to add one.

mod error;
mod registry;

use rmcp::model::PromptMessage;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub(crate) use self::registry::{Entry, Gives};
pub use self::{
    error::PromptError,
    registry::{Argument, Definition, Prompts},
};
use crate::call::{Begun, CallContext};

/// A prompt with typed arguments.
pub trait Prompt: Send + Sync + 'static {
    /// The arguments: a struct of strings, of which an `Option` may be left out. The doc comments of its fields become their
    /// descriptions.
    type Arguments: DeserializeOwned + JsonSchema + Send;

    /// What it is called by: 1 to 128 of `A-Z a-z 0-9 _ - .`
    const NAME: &'static str;
    /// A name for people.
    const TITLE: Option<&'static str> = None;
    /// What it is for.
    const DESCRIPTION: &'static str;
    /// What a caller's token must allow: all of them. With none, every authenticated caller may use it.
    const SCOPES: &'static [&'static str];
    /// Whether it uses [`CallContext::ask`]: only then there is somebody to ask, and 5 minutes instead of 30 seconds.
    const ASKS: bool = false;
    /// Whether it uses [`CallContext::log`]: a server that has such prompts says that it logs.
    const LOGS: bool = false;
    /// Whether it uses [`complete`](Self::complete).
    const COMPLETES: bool = false;

    /// The messages.
    ///
    /// # Errors
    /// [`PromptError`] says whether an argument, the question to the caller or the prompt itself was at fault.
    fn get(
        &self,
        arguments: Self::Arguments,
        context: &CallContext,
    ) -> impl Future<Output = Result<Vec<PromptMessage>, PromptError>> + Send;

    /// What an argument may be that begins like this: at most 100 values are told.
    fn complete(&self, _begun: &Begun, _context: &CallContext) -> impl Future<Output = Vec<String>> + Send {
        std::future::ready(Vec::new())
    }
}
