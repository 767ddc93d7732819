//! One call, of whatever kind: who calls, whom it may ask, whom it may tell, and the rules around it.
//!
//! Tools, resources and prompts are three kinds of things that a caller may use. What is the same for all of them is
//! here: the context of a call, the questions to the caller, the ways in which a call fails, and [`rules`], the one
//! place where scopes are compared, time is bounded and the audit is written.

mod ask;
mod begun;
mod changes;
mod context;
mod error;
pub(crate) mod registry;
pub(crate) mod rules;
pub(crate) mod schema;
mod task;
mod tell;

use std::pin::Pin;

pub use self::{
    ask::{Ask, AskError, Capability, NoAsk, Question, SampleRequest},
    begun::Begun,
    changes::Changes,
    context::CallContext,
    error::{CallError, Violation},
    rules::Kind,
    task::{TaskError, TaskSupport},
    tell::{Level, NoTell, Progress, Tell},
};
pub(crate) use self::{
    ask::{Repeats, is_answer},
    changes::{Change, Receiver, Watch},
    task::BeginTask,
};

/// A JSON object: arguments, and schemas.
pub type JsonObject = serde_json::Map<String, serde_json::Value>;

/// A future behind a pointer, for traits that are used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
