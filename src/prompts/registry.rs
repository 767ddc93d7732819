//! The list of prompts, and the only way to get one.

use std::{borrow::Cow, sync::Arc, time::Duration};

use jsonschema::Validator;
use rmcp::model::{GetPromptResult, PromptMessage};
use serde::Deserialize;
use serde_json::Value;

use super::{Prompt, PromptError};
use crate::{
    call::{
        Begun, BoxFuture, CallContext, CallError, JsonObject, Kind,
        registry::{Item, Registry},
        rules::{self, Call, is_name},
        schema,
    },
    oauth::Scopes,
};

/// What a caller may know of a prompt.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Definition {
    /// What it is called by.
    pub name: Cow<'static, str>,
    /// A name for people.
    pub title: Option<Cow<'static, str>>,
    /// What it is for.
    pub description: Cow<'static, str>,
    /// What it takes: strings.
    pub arguments: Vec<Argument>,
    /// What a token must allow: all of them.
    pub scopes: Scopes,
    /// Whether it asks its caller.
    pub asks: bool,
    /// Whether it sends its caller log messages.
    pub logs: bool,
    /// Whether it says what an argument may be.
    pub completes: bool,
    /// A prompt of an upstream server, as that server describes it.
    pub upstream: Option<Arc<rmcp::model::Prompt>>,
}

/// Something that a prompt takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it may not be left out.
    pub is_required: bool,
}

/// The prompts of a server: those that it was built with, in the order they were added, then those of its upstream server,
/// which change while it runs. None by default.
#[derive(Default)]
pub struct Prompts(Registry<Entry>);

/// A prompt that is ready to be used.
pub(crate) struct Entry {
    definition: Arc<Definition>,
    /// Of our own; the upstream server judges the arguments of its prompts.
    arguments: Option<Validator>,
    timeout: Duration,
    prompt: Box<dyn Gives>,
    /// The upstream server's name for the audit; empty for prompts of our own.
    upstream: Arc<str>,
}

impl Entry {
    /// A prompt of an upstream server; `None` if its name is none.
    pub(crate) fn of_upstream(
        definition: Definition,
        upstream: Arc<str>,
        timeout: Duration,
        prompt: Box<dyn Gives>,
    ) -> Option<Self> {
        let entry = Self { definition: Arc::new(definition), arguments: None, timeout, prompt, upstream };
        is_name(entry.key()).then_some(entry)
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

impl Prompts {
    /// Adds a prompt.
    ///
    /// # Panics
    /// If the name is not one or is taken, if a scope is none, or if the arguments are not a struct of strings: mistakes in
    /// a program, found when it starts.
    #[must_use]
    pub fn with<P: Prompt>(self, prompt: P) -> Self {
        let name = P::NAME;
        assert!(is_name(name), "`{name}` is not a prompt name: 1 to 128 of A-Z a-z 0-9 _ - .");
        assert!(self.0.get(name).is_none(), "there are two prompts named `{name}`");
        let schema = schema::of_input::<P::Arguments>();
        let definition = Definition {
            name: name.into(),
            title: P::TITLE.map(Into::into),
            description: P::DESCRIPTION.into(),
            arguments: arguments_of(name, &schema),
            scopes: rules::scopes_of(Kind::Prompt, name, P::SCOPES),
            asks: P::ASKS,
            logs: P::LOGS,
            completes: P::COMPLETES,
            upstream: None,
        };
        self.0.add(Entry {
            definition: Arc::new(definition),
            arguments: Some(schema::compile(&schema)),
            timeout: rules::timeout(P::ASKS),
            prompt: Box::new(prompt),
            upstream: "".into(),
        });
        self
    }

    /// Replaces the upstream server's prompts by these. A name that is taken stays with whoever had it first; the prompts
    /// that were therefore left out come back.
    pub(crate) fn replace_upstream(&self, prompts: Vec<Arc<Entry>>) -> Vec<Arc<Entry>> {
        self.0.replace_upstream(prompts)
    }

    /// All prompts.
    pub fn list(&self) -> Arc<[Arc<Definition>]> {
        self.0.list()
    }

    /// The prompt of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Definition>> {
        self.0.get(name).map(|entry| Arc::clone(&entry.definition))
    }

    /// Every scope that some prompt needs at the moment.
    pub fn scopes_supported(&self) -> Scopes {
        self.list().iter().fold(Scopes::none(), |all, prompt| all.union(&prompt.scopes))
    }

    /// Gets a prompt for the caller of the context: the only way to do it.
    ///
    /// Every use leaves an audit event, also one that is dropped before its end. A prompt's panic goes through: the server
    /// catches it.
    ///
    /// # Errors
    /// [`CallError`], in the order of the checks: name, scopes, arguments, then what the prompt says.
    pub async fn get(
        &self,
        name: &str,
        arguments: JsonObject,
        context: &CallContext,
    ) -> Result<GetPromptResult, CallError> {
        let Some(entry) = self.0.get(name) else { return Err(rules::none_of(Kind::Prompt, name, context)) };
        let work = async {
            let arguments = Value::Object(arguments);
            if let Some(validator) = &entry.arguments {
                schema::check(validator, &arguments).map_err(CallError::InvalidArguments)?;
            }
            Ok(entry.prompt.get(arguments, context).await?)
        };
        entry.call(context).run(work, |_| false).await
    }

    /// What an argument of a prompt may be that begins like this.
    ///
    /// # Errors
    /// [`CallError`], as for a use; an argument that the prompt does not have has no values.
    pub async fn complete(&self, name: &str, begun: &Begun, context: &CallContext) -> Result<Vec<String>, CallError> {
        let Some(entry) = self.0.get(name) else { return Err(rules::none_of(Kind::Prompt, name, context)) };
        let definition = &entry.definition;
        if !definition.completes || !definition.arguments.iter().any(|known| known.name == begun.name) {
            return Ok(Vec::new());
        }
        let work = async { Ok(entry.prompt.complete(begun, context).await) };
        entry.call(context).prepare(work).await
    }
}

impl Entry {
    fn call<'a>(&'a self, context: &'a CallContext) -> Call<'a> {
        let Definition { name, scopes, .. } = &*self.definition;
        let (timeout, upstream) = (self.timeout, &*self.upstream);
        Call { kind: Kind::Prompt, name, label: name, scopes, timeout, upstream, context }
    }
}

/// What a schema of strings says, as MCP lists it.
fn arguments_of(prompt: &str, schema: &JsonObject) -> Vec<Argument> {
    let required: Vec<_> = schema.get("required").and_then(Value::as_array).into_iter().flatten().collect();
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let argument = |(name, property): (&String, &Value)| {
        let kind = &property["type"];
        let is_string = kind == "string" || kind.as_array().is_some_and(|kinds| kinds.contains(&"string".into()));
        assert!(is_string, "prompt `{prompt}`: `{name}` is not a string");
        Argument {
            name: name.clone(),
            description: property["description"].as_str().map(str::to_owned),
            is_required: required.iter().any(|required| *required == name),
        }
    };
    properties.map(argument).collect()
}

/// A prompt as an object: a [`Prompt`], or one of an upstream server. The arguments have been checked.
pub(crate) trait Gives: Send + Sync {
    fn get<'a>(
        &'a self,
        arguments: Value,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<GetPromptResult, PromptError>>;

    fn complete<'a>(&'a self, begun: &'a Begun, context: &'a CallContext) -> BoxFuture<'a, Vec<String>>;
}

impl<P: Prompt> Gives for P {
    fn get<'a>(
        &'a self,
        arguments: Value,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<GetPromptResult, PromptError>> {
        Box::pin(async move {
            let arguments = P::Arguments::deserialize(arguments)
                .map_err(|error| PromptError::argument("", schema::shorten(&error.to_string())))?;
            let messages: Vec<PromptMessage> = Prompt::get(self, arguments, context).await?;
            Ok(GetPromptResult::new(messages).with_description(P::DESCRIPTION))
        })
    }

    fn complete<'a>(&'a self, begun: &'a Begun, context: &'a CallContext) -> BoxFuture<'a, Vec<String>> {
        Box::pin(Prompt::complete(self, begun, context))
    }
}
