//! The list of tools, and the only way to run one.

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use jsonschema::Validator;
use serde::Deserialize;
use serde_json::Value;

use super::{AskError, BoxFuture, CallContext, CallError, JsonObject, Tool, ToolError, schema};
use crate::{
    auth::Principal,
    oauth::Scopes,
    telemetry::audit::{self, Actor, Event},
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
    /// JSON Schema (2020-12) of its arguments: an object that allows no others.
    pub input_schema: Arc<JsonObject>,
    /// JSON Schema (2020-12) of its result: an object.
    pub output_schema: Arc<JsonObject>,
    /// What a token must allow: all of them.
    pub scopes: Scopes,
    /// What it does to the world.
    pub annotations: Annotations,
    /// Whether it asks its caller.
    pub asks: bool,
    /// The member of the result that a person reads; `None`: all of it.
    pub shows: Option<&'static str>,
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

/// The tools of a server, in the order they were added; none by default.
#[derive(Default)]
pub struct Tools {
    definitions: Vec<Definition>,
    runners: Vec<Runner>,
    by_name: HashMap<Cow<'static, str>, usize>,
    scopes: Scopes,
}

struct Runner {
    arguments: Validator,
    timeout: Duration,
    tool: Box<dyn DynTool>,
}

impl Tools {
    /// Adds a tool.
    ///
    /// # Panics
    /// If the name is not one or is taken, if a scope is not one, or if a schema is not that of an object: mistakes in a
    /// program, found when it starts.
    #[must_use]
    pub fn with<T: Tool>(mut self, tool: T) -> Self {
        let name = T::NAME;
        assert!(is_tool_name(name), "`{name}` is not a tool name: 1 to 128 of A-Z a-z 0-9 _ - .");
        assert!(!self.by_name.contains_key(name), "there are two tools named `{name}`");
        let scopes = Scopes::parse(&T::SCOPES.join(" ")).unwrap_or_else(|error| panic!("tool `{name}`: {error}"));
        let input_schema = schema::of_input::<T::Input>();
        self.scopes = self.scopes.union(&scopes);
        self.by_name.insert(name.into(), self.definitions.len());
        self.runners.push(Runner {
            arguments: schema::compile(&input_schema),
            timeout: if T::ASKS { TIMEOUT_ASKING } else { TIMEOUT },
            tool: Box::new(tool),
        });
        self.definitions.push(Definition {
            name: name.into(),
            title: T::TITLE.map(Into::into),
            description: T::DESCRIPTION.into(),
            input_schema: Arc::new(input_schema),
            output_schema: Arc::new(schema::of_output::<T::Output>()),
            scopes,
            annotations: Annotations {
                read_only: T::READ_ONLY,
                destructive: T::DESTRUCTIVE,
                open_world: T::OPEN_WORLD,
            },
            asks: T::ASKS,
            shows: T::SHOWS,
        });
        self
    }

    /// All tools, in the order they were added.
    pub fn list(&self) -> &[Definition] {
        &self.definitions
    }

    /// The tool of this name.
    pub fn find(&self, name: &str) -> Option<&Definition> {
        self.by_name.get(name).map(|&index| &self.definitions[index])
    }

    /// Every scope that some tool needs.
    pub fn scopes_supported(&self) -> &Scopes {
        &self.scopes
    }

    /// Runs a tool for the caller of the context: the only way to do it, whatever the protocol.
    ///
    /// Every call leaves an audit event, also one that is dropped before its end. A tool's panic goes through: the
    /// server catches it.
    ///
    /// # Errors
    /// [`CallError`], in the order of the checks: name, scopes, arguments, then what the tool says.
    pub async fn call(&self, name: &str, arguments: JsonObject, context: &CallContext) -> Result<Value, CallError> {
        let actor = actor(&context.principal);
        let Some(&index) = self.by_name.get(name) else {
            let name: String = name.chars().take(MAX_NAME).collect();
            audit::record(Event::ToolCalled { actor, tool: &name, outcome: "unknown_tool" });
            return Err(CallError::UnknownTool(name));
        };
        let (definition, runner) = (&self.definitions[index], &self.runners[index]);
        if !context.principal.scopes.covers(&definition.scopes) {
            let needed = definition.scopes.clone();
            let (operation, reason) = (format!("tools/call {name}"), format!("needs `{needed}`"));
            audit::record(Event::AccessDenied { actor, operation: &operation, reason: &reason });
            return Err(CallError::MissingScope { needed });
        }
        let mut ending = Ending { actor, tool: name, outcome: CANCELLED };
        let result = runner.run(Value::Object(arguments), context).await;
        ending.outcome = outcome(&result);
        result
    }
}

impl Runner {
    async fn run(&self, arguments: Value, context: &CallContext) -> Result<Value, CallError> {
        schema::check(&self.arguments, &arguments).map_err(CallError::InvalidArguments)?;
        let bounded = tokio::time::timeout(self.timeout, self.tool.call(arguments, context));
        match context.cancel.run_until_cancelled(bounded).await {
            Some(Ok(result)) => Ok(result?),
            Some(Err(_)) => Err(CallError::TimedOut(self.timeout)),
            None => Err(CallError::Cancelled),
        }
    }
}

/// A [`Tool`] behind JSON.
trait DynTool: Send + Sync {
    fn call<'a>(&'a self, arguments: Value, context: &'a CallContext) -> BoxFuture<'a, Result<Value, ToolError>>;
}

impl<T: Tool> DynTool for T {
    fn call<'a>(&'a self, arguments: Value, context: &'a CallContext) -> BoxFuture<'a, Result<Value, ToolError>> {
        Box::pin(async move {
            // A type may be narrower than its schema: 2.0 is an integer to JSON Schema and none to serde.
            let input = T::Input::deserialize(arguments)
                .map_err(|error| ToolError::argument("", schema::shorten(&error.to_string())))?;
            let output = Tool::call(self, input, context).await?;
            serde_json::to_value(output).map_err(|error| ToolError::Failed(format!("the result is not JSON: {error}")))
        })
    }
}

fn is_tool_name(name: &str) -> bool {
    let charset = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(charset)
}

fn actor(principal: &Principal) -> Actor<'_> {
    Actor {
        issuer: principal.issuer.as_str(),
        subject: &principal.subject,
        client: principal.client_id.as_deref().unwrap_or_default(),
    }
}

const CANCELLED: &str = "cancelled";

fn outcome(result: &Result<Value, CallError>) -> &'static str {
    match result {
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
    tool: &'a str,
    outcome: &'static str,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let outcome = if std::thread::panicking() { "error" } else { self.outcome };
        audit::record(Event::ToolCalled { actor: self.actor, tool: self.tool, outcome });
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
