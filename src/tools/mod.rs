//! What can be called: one file for each tool, and one way to run it.
//!
//! A tool is a type that implements [`Tool`]; [`Tools`] is the list that the server shows and calls. `docs/TOOLS.md` shows
//! how to add one, here or from another crate.

mod error;
mod output;
mod registry;
#[cfg(test)]
mod trial;

use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub(crate) use self::registry::{Callable, Entry};
pub use self::{
    error::ToolError,
    output::{Content, ToolOutput},
    registry::{Annotations, Definition, Output, Tools},
};
pub use crate::call::{
    Ask, AskError, BoxFuture, CallContext, CallError, JsonObject, NoAsk, SampleRequest, TaskSupport, Violation,
};
use crate::call::{rules, schema};

/// The tools that every server has: a line names the file and the type in it.
macro_rules! builtin {
    ($($file:ident::$tool:ident),* $(,)?) => {
        $(mod $file;)*

        impl Tools {
            /// The tools that every server has.
            pub fn builtin() -> Self {
                Self::default()$(.with($file::$tool))*
            }
        }
    };
}

builtin! {
    echo::Echo,
    timestamp::Timestamp,
    calculator::Calculator,
    summarize::Summarize,
}

/// A tool with typed input and output.
///
/// The doc comments of the fields of `Input` and `Output` become their descriptions in the schemas that callers see.
/// `Input` and `Output` must be structs (or other types whose schema is an object); [`Content`] as the `Output` gives blocks
/// of text, images, audio and resources instead.
pub trait Tool: Send + Sync + 'static {
    /// The arguments. They reach [`call`](Self::call) only if they fit the schema of this type; an argument that it does
    /// not name is refused.
    type Input: DeserializeOwned + JsonSchema + Send;
    /// The result.
    type Output: ToolOutput;

    /// What it is called by: 1 to 128 of `A-Z a-z 0-9 _ - .`
    const NAME: &'static str;
    /// A name for people.
    const TITLE: Option<&'static str> = None;
    /// What it does, for the person or the model that chooses among tools.
    const DESCRIPTION: &'static str;
    /// What a caller's token must allow: all of them. With none, every authenticated caller may call.
    const SCOPES: &'static [&'static str];
    /// Whether it changes nothing (`readOnlyHint`).
    const READ_ONLY: bool = false;
    /// Whether it may destroy, and not only add (`destructiveHint`).
    const DESTRUCTIVE: bool = !Self::READ_ONLY;
    /// Whether it deals with the world outside this server (`openWorldHint`).
    const OPEN_WORLD: bool = true;
    /// Whether it uses [`CallContext::ask`]: only then there is somebody to ask, and 5 minutes instead of 30 seconds.
    const ASKS: bool = false;
    /// Whether it uses [`CallContext::begin_task`]: only then a call can become a task.
    const TASK: TaskSupport = TaskSupport::Never;
    /// How long a call may take, as a task or not.
    const TIMEOUT: Duration = rules::timeout(Self::ASKS);
    /// Whether it uses [`CallContext::log`]: a server that has such tools says that it logs.
    const LOGS: bool = false;
    /// The member of `Output` that a person wants to read: it becomes the text beside the structured result. `None`: the
    /// whole result, as JSON.
    const SHOWS: Option<&'static str> = None;

    /// JSON Schema (2020-12) of the arguments, an object: that of `Input`, closed. A tool that writes its own has it shown
    /// exactly as it is written.
    fn input_schema() -> JsonObject {
        schema::of_input::<Self::Input>()
    }

    /// Runs the tool.
    ///
    /// The future is dropped at its next `await` when the time is up or the caller cancels. A panic is not caught here:
    /// the server answers it with an internal error.
    ///
    /// # Errors
    /// [`ToolError`] says whether the arguments, the question to the caller or the tool itself was at fault.
    fn call(
        &self,
        input: Self::Input,
        context: &CallContext,
    ) -> impl Future<Output = Result<Self::Output, ToolError>> + Send;
}
