//! The list of tools, and the only way to run one.

use std::{borrow::Cow, sync::Arc, time::Duration};

use jsonschema::Validator;
use rmcp::model::ContentBlock;
use serde::Deserialize;
use serde_json::Value;

use super::{Tool, ToolError, ToolOutput as _};
use crate::{
    call::{
        BoxFuture, CallContext, CallError, JsonObject, Kind, TaskSupport,
        registry::{Item, Registry},
        rules::{self, Call, is_name},
        schema,
    },
    oauth::Scopes,
};

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
    /// JSON Schema (2020-12) of its result: an object. Tools that give content blocks have none.
    pub output_schema: Option<Arc<JsonObject>>,
    /// What a token must allow: all of them.
    pub scopes: Scopes,
    /// What it does to the world.
    pub annotations: Annotations,
    /// Whether it asks its caller.
    pub asks: bool,
    /// Whether a call of it may become a task.
    pub task: TaskSupport,
    /// Whether it sends its caller log messages.
    pub logs: bool,
    /// The member of the result that a person reads; `None`: all of it.
    pub shows: Option<&'static str>,
    /// A tool of an upstream server, as that server describes it: with all that is not said above.
    pub upstream: Option<Arc<rmcp::model::Tool>>,
}

impl Definition {
    /// A tool of an upstream server, for callers whose token allows these scopes; whether it may ask them something, and
    /// sends them log messages.
    pub(crate) fn of_upstream(tool: rmcp::model::Tool, scopes: Scopes, asks: bool, logs: bool) -> Self {
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
            task: TaskSupport::Never,
            logs,
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
    /// The result of a [`Tool`] that gives content blocks.
    Content(Vec<ContentBlock>),
    /// The result of an upstream server's tool, as that server gave it; it may report an error of the tool.
    Upstream(Box<rmcp::model::CallToolResult>),
}

impl Output {
    /// The result as one JSON value: structured if it is, else the object with the content blocks.
    pub fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Content(content) => serde_json::json!({ "content": content }),
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
pub struct Tools(Registry<Entry>);

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
        if !is_name(&definition.name) {
            return Err(Unusable::Name);
        }
        let arguments = schema::compile_foreign(&definition.input_schema).map_err(Unusable::Schema)?;
        Ok(Self { definition: Arc::new(definition), arguments, timeout, tool, upstream })
    }
}

impl Item for Entry {
    type Definition = Definition;

    fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    fn key(&self) -> &Cow<'static, str> {
        &self.definition.name
    }

    fn is_of_upstream(&self) -> bool {
        self.definition.upstream.is_some()
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
        assert!(is_name(name), "`{name}` is not a tool name: 1 to 128 of A-Z a-z 0-9 _ - .");
        assert!(self.find(name).is_none(), "there are two tools named `{name}`");
        let scopes = rules::scopes_of(Kind::Tool, name, T::SCOPES);
        let input_schema = T::input_schema();
        let arguments = schema::compile(&input_schema);
        let definition = Definition {
            name: name.into(),
            title: T::TITLE.map(Into::into),
            description: T::DESCRIPTION.into(),
            input_schema: Arc::new(input_schema),
            output_schema: T::Output::schema().map(Arc::new),
            scopes,
            annotations: Annotations {
                read_only: T::READ_ONLY,
                destructive: T::DESTRUCTIVE,
                open_world: T::OPEN_WORLD,
            },
            asks: T::ASKS,
            task: T::TASK,
            logs: T::LOGS,
            shows: T::SHOWS,
            upstream: None,
        };
        let timeout = T::TIMEOUT;
        let (definition, tool, upstream) = (Arc::new(definition), Box::new(tool), Arc::from(""));
        self.0.add(Entry { definition, arguments, timeout, tool, upstream });
        self
    }

    /// Replaces the upstream server's tools by these. A name that is taken stays with whoever had it first; the names that
    /// were therefore left out come back.
    pub(crate) fn replace_upstream(&self, tools: Vec<Arc<Entry>>) -> Vec<Arc<Entry>> {
        self.0.replace_upstream(tools)
    }

    /// All tools.
    pub fn list(&self) -> Arc<[Arc<Definition>]> {
        self.0.list()
    }

    /// The tool of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Definition>> {
        self.0.get(name).map(|entry| Arc::clone(&entry.definition))
    }

    /// How long a call of this tool may take.
    pub(crate) fn timeout(&self, name: &str) -> Option<Duration> {
        self.0.get(name).map(|entry| entry.timeout)
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
        let Some(entry) = self.0.get(name) else { return Err(rules::none_of(Kind::Tool, name, context)) };
        let Definition { name, scopes, .. } = &*entry.definition;
        let (timeout, upstream) = (entry.timeout, &*entry.upstream);
        let call = Call { kind: Kind::Tool, name, label: name, scopes, timeout, upstream, context };
        call.run(entry.run(Value::Object(arguments), context), Output::is_error).await
    }
}

impl Entry {
    async fn run(&self, arguments: Value, context: &CallContext) -> Result<Output, CallError> {
        if self.definition.task == TaskSupport::Required && context.task.is_none() {
            return Err(CallError::TaskRequired);
        }
        schema::check(&self.arguments, &arguments).map_err(CallError::InvalidArguments)?;
        Ok(self.tool.call(arguments, context).await?)
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
            Tool::call(self, input, context).await?.into_output()
        })
    }
}
