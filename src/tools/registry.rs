//! The list of tools, and the only way to run one.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonschema::Validator;
use serde::Deserialize;
use serde_json::Value;

use super::{AskError, BoxFuture, CallContext, CallError, JsonObject, Tool, ToolError, schema};
use crate::{
    oauth::Scopes,
    telemetry::{
        audit::{self, Actor, Event},
        metrics::Metrics,
    },
};

/// How long a tool may run.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a tool may run that asks its caller: a person may have to think.
const TIMEOUT_ASKING: Duration = Duration::from_mins(5);
/// The longest name that MCP allows, in characters.
const MAX_NAME: usize = 128;

/// What a caller may know of a tool.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Definition {
    /// What it is called by.
    pub name: Cow<'static, str>,
    /// A name for people.
    pub title: Option<Cow<'static, str>>,
    /// What it does.
    pub description: Cow<'static, str>,
    /// JSON Schema (2020-12) of its arguments: an object that allows no others, unless an upstream server's is different.
    pub input_schema: Arc<JsonObject>,
    /// JSON Schema (2020-12) of its result: an object. Tools of an upstream server may have none.
    pub output_schema: Option<Arc<JsonObject>>,
    /// What a token must allow: all of them.
    pub scopes: Scopes,
    /// What it does to the world.
    pub annotations: Annotations,
    /// Whether it asks its caller.
    pub asks: bool,
    /// The member of the result that a person reads; `None`: all of it.
    pub shows: Option<&'static str>,
    /// A tool of an upstream server, as that server describes it: with all that is not said above.
    pub upstream: Option<Arc<rmcp::model::Tool>>,
}

impl Definition {
    /// A tool of an upstream server, for callers whose token allows these scopes, and whom it may ask something.
    pub(crate) fn of_upstream(tool: rmcp::model::Tool, scopes: Scopes, asks: bool) -> Self {
        let hints = tool.annotations.as_ref();
        // What is not said has the value that MCP gives it: the worst.
        let annotations = Annotations {
            read_only: hints.and_then(|hints| hints.read_only_hint).unwrap_or(false),
            destructive: hints.and_then(|hints| hints.destructive_hint).unwrap_or(true),
            open_world: hints.and_then(|hints| hints.open_world_hint).unwrap_or(true),
        };
        Self {
            name: tool.name.clone(),
            title: tool.title.clone().map(Into::into),
            description: tool.description.clone().unwrap_or_default(),
            input_schema: Arc::clone(&tool.input_schema),
            output_schema: tool.output_schema.clone(),
            scopes,
            annotations,
            asks,
            shows: None,
            upstream: Some(Arc::new(tool)),
        }
    }
}

/// What a tool does to the world, as MCP's tool annotations say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Annotations {
    /// `readOnlyHint`: it changes nothing.
    pub read_only: bool,
    /// `destructiveHint`: it may destroy, and not only add.
    pub destructive: bool,
    /// `openWorldHint`: it deals with the world outside this server.
    pub open_world: bool,
}

/// What a call gives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// The result of a [`Tool`]: its `Output` as JSON.
    Value(Value),
    /// The result of an upstream server's tool, as that server gave it; it may report an error of the tool.
    Upstream(Box<rmcp::model::CallToolResult>),
}

impl Output {
    /// The result as one JSON value: structured if it is, else the object with the content blocks.
    pub fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Upstream(result) => match result.structured_content {
                Some(value) => value,
                None => serde_json::json!({ "content": result.content }),
            },
        }
    }

    /// Whether an upstream server's tool reports that it failed; the value then says why.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Upstream(result) if result.is_error == Some(true))
    }
}

/// The tools of a server: those that it was built with, in the order they were added, then those of its upstream server,
/// which change while it runs. None by default.
///
/// Readers take the whole list of the moment and keep it as long as they like.
#[derive(Default)]
pub struct Tools {
    catalogue: RwLock<Arc<Catalogue>>,
}

/// All tools at one moment.
struct Catalogue {
    definitions: Arc<[Arc<Definition>]>,
    entries: Vec<Arc<Entry>>,
    by_name: HashMap<Cow<'static, str>, usize>,
}

/// A tool that is ready to be called.
pub(crate) struct Entry {
    definition: Arc<Definition>,
    arguments: Validator,
    timeout: Duration,
    tool: Box<dyn Callable>,
    /// The upstream server's name for the audit; empty for tools of our own.
    upstream: Arc<str>,
}

/// Why a definition of an upstream server cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("its name is not 1 to 128 of A-Z a-z 0-9 _ - .")]
    Name,
    #[error("its input schema is not usable: {0}")]
    Schema(String),
}

impl Entry {
    /// A tool of an upstream server.
    pub(crate) fn of_upstream(
        definition: Definition,
        upstream: Arc<str>,
        timeout: Duration,
        tool: Box<dyn Callable>,
    ) -> Result<Self, Unusable> {
        if !is_tool_name(&definition.name) {
            return Err(Unusable::Name);
        }
        let arguments = schema::compile_foreign(&definition.input_schema).map_err(Unusable::Schema)?;
        Ok(Self { definition: Arc::new(definition), arguments, timeout, tool, upstream })
    }

    pub(crate) fn definition(&self) -> &Definition {
        &self.definition
    }
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

impl Catalogue {
    fn of(entries: Vec<Arc<Entry>>) -> Self {
        let definitions = entries.iter().map(|entry| Arc::clone(&entry.definition)).collect();
        let by_name = entries.iter().enumerate().map(|(index, entry)| (entry.definition.name.clone(), index)).collect();
        Self { definitions, entries, by_name }
    }
}

impl Tools {
    /// Adds a tool.
    ///
    /// # Panics
    /// If the name is not one or is taken, if a scope is not one, or if a schema is not that of an object: mistakes in a
    /// program, found when it starts.
    #[must_use]
    pub fn with<T: Tool>(self, tool: T) -> Self {
        let name = T::NAME;
        assert!(is_tool_name(name), "`{name}` is not a tool name: 1 to 128 of A-Z a-z 0-9 _ - .");
        assert!(self.find(name).is_none(), "there are two tools named `{name}`");
        let scopes = Scopes::parse(&T::SCOPES.join(" ")).unwrap_or_else(|error| panic!("tool `{name}`: {error}"));
        let input_schema = schema::of_input::<T::Input>();
        let arguments = schema::compile(&input_schema);
        let definition = Definition {
            name: name.into(),
            title: T::TITLE.map(Into::into),
            description: T::DESCRIPTION.into(),
            input_schema: Arc::new(input_schema),
            output_schema: Some(Arc::new(schema::of_output::<T::Output>())),
            scopes,
            annotations: Annotations {
                read_only: T::READ_ONLY,
                destructive: T::DESTRUCTIVE,
                open_world: T::OPEN_WORLD,
            },
            asks: T::ASKS,
            shows: T::SHOWS,
            upstream: None,
        };
        let timeout = if T::ASKS { TIMEOUT_ASKING } else { TIMEOUT };
        let (definition, tool, upstream) = (Arc::new(definition), Box::new(tool), Arc::from(""));
        let entry = Arc::new(Entry { definition, arguments, timeout, tool, upstream });
        let entries = self.catalogue().entries.iter().cloned().chain([entry]).collect();
        self.publish(entries);
        self
    }

    /// Replaces the upstream server's tools by these. A name that is taken stays with whoever had it first; the names that
    /// were therefore left out come back.
    pub(crate) fn replace_upstream(&self, tools: Vec<Arc<Entry>>) -> Vec<Arc<Entry>> {
        let is_own = |entry: &&Arc<Entry>| entry.definition.upstream.is_none();
        let mut entries: Vec<_> = self.catalogue().entries.iter().filter(is_own).cloned().collect();
        let mut names: HashSet<_> = entries.iter().map(|entry| entry.definition.name.clone()).collect();
        let (new, taken): (Vec<_>, Vec<_>) =
            tools.into_iter().partition(|entry| names.insert(entry.definition.name.clone()));
        entries.extend(new);
        self.publish(entries);
        taken
    }

    /// All tools.
    pub fn list(&self) -> Arc<[Arc<Definition>]> {
        Arc::clone(&self.catalogue().definitions)
    }

    /// The tool of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Definition>> {
        self.entry(name).map(|entry| Arc::clone(&entry.definition))
    }

    /// Every scope that some tool needs at the moment.
    pub fn scopes_supported(&self) -> Scopes {
        self.list().iter().fold(Scopes::none(), |all, tool| all.union(&tool.scopes))
    }

    /// Runs a tool for the caller of the context: the only way to do it, whatever the protocol.
    ///
    /// Every call leaves an audit event, also one that is dropped before its end. A tool's panic goes through: the
    /// server catches it.
    ///
    /// # Errors
    /// [`CallError`], in the order of the checks: name, scopes, arguments, then what the tool says.
    pub async fn call(&self, name: &str, arguments: JsonObject, context: &CallContext) -> Result<Output, CallError> {
        let actor = context.principal.actor();
        let Some(entry) = self.entry(name) else {
            let name: String = name.chars().take(MAX_NAME).collect();
            audit::record(Event::ToolCalled { actor, tool: &name, upstream: "", outcome: "unknown_tool" });
            context.metrics.tool_call(None, "unknown_tool");
            return Err(CallError::UnknownTool(name));
        };
        let definition = &entry.definition;
        if !context.principal.scopes.covers(&definition.scopes) {
            let needed = definition.scopes.clone();
            let (operation, reason) = (format!("tools/call {name}"), format!("needs `{needed}`"));
            audit::record(Event::AccessDenied { actor, operation: &operation, reason: &reason });
            return Err(CallError::MissingScope { needed });
        }
        let mut ending = Ending { actor, entry: &entry, metrics: &context.metrics, outcome: CANCELLED };
        let result = entry.run(Value::Object(arguments), context).await;
        ending.outcome = outcome(&result);
        result
    }

    fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn entry(&self, name: &str) -> Option<Arc<Entry>> {
        let catalogue = self.catalogue.read().unwrap_or_else(PoisonError::into_inner);
        catalogue.by_name.get(name).map(|&index| Arc::clone(&catalogue.entries[index]))
    }

    fn publish(&self, entries: Vec<Arc<Entry>>) {
        let catalogue = Arc::new(Catalogue::of(entries));
        *self.catalogue.write().unwrap_or_else(PoisonError::into_inner) = catalogue;
    }
}

impl Entry {
    async fn run(&self, arguments: Value, context: &CallContext) -> Result<Output, CallError> {
        schema::check(&self.arguments, &arguments).map_err(CallError::InvalidArguments)?;
        let bounded = tokio::time::timeout(self.timeout, self.tool.call(arguments, context));
        match context.cancel.run_until_cancelled(bounded).await {
            Some(Ok(result)) => Ok(result?),
            Some(Err(_)) => Err(CallError::TimedOut(self.timeout)),
            None => Err(CallError::Cancelled),
        }
    }
}

/// A tool behind JSON: a [`Tool`], or one of an upstream server. The arguments have been checked.
pub(crate) trait Callable: Send + Sync {
    fn call<'a>(&'a self, arguments: Value, context: &'a CallContext) -> BoxFuture<'a, Result<Output, ToolError>>;
}

impl<T: Tool> Callable for T {
    fn call<'a>(&'a self, arguments: Value, context: &'a CallContext) -> BoxFuture<'a, Result<Output, ToolError>> {
        Box::pin(async move {
            // A type may be narrower than its schema: 2.0 is an integer to JSON Schema and none to serde.
            let input = T::Input::deserialize(arguments)
                .map_err(|error| ToolError::argument("", schema::shorten(&error.to_string())))?;
            let output = Tool::call(self, input, context).await?;
            let value = serde_json::to_value(output);
            value.map(Output::Value).map_err(|error| ToolError::Failed(format!("the result is not JSON: {error}")))
        })
    }
}

fn is_tool_name(name: &str) -> bool {
    let charset = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(charset)
}

const CANCELLED: &str = "cancelled";

fn outcome(result: &Result<Output, CallError>) -> &'static str {
    match result {
        Ok(output) if output.is_error() => "error",
        Ok(_) => "ok",
        Err(CallError::InvalidArguments(_)) => "invalid_arguments",
        Err(CallError::Ask(AskError::Pending)) => "input_required",
        Err(CallError::TimedOut(_)) => "timeout",
        Err(CallError::Cancelled) => CANCELLED,
        Err(_) => "error",
    }
}

/// Audits a call when it ends, in whatever way: a client that goes away drops it half-done.
struct Ending<'a> {
    actor: Actor<'a>,
    entry: &'a Entry,
    metrics: &'a Metrics,
    outcome: &'static str,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() { "error" } else { self.outcome };
        let (actor, tool, upstream) = (self.actor, &self.entry.definition.name, &self.entry.upstream);
        audit::record(Event::ToolCalled { actor, tool, upstream, outcome });
        self.metrics.tool_call(Some(tool), outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::is_tool_name;

    #[test]
    fn names_are_those_that_mcp_allows() {
        for name in ["a", "get_user.v2-beta", &"x".repeat(128)] {
            assert!(is_tool_name(name), "{name}");
        }
        for name in ["", "two words", "a/b", "naïve", "a\n", &"x".repeat(129)] {
            assert!(!is_tool_name(name), "{name}");
        }
    }
}
