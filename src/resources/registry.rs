//! The list of resources, and the only way to read one.

use std::{borrow::Cow, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rmcp::model::{CacheScope, ReadResourceResult, ResourceContents};

use super::{Offered, Requested, Resource, ResourceError, SkillDefinition, Skills, offered, template::Template};
use crate::{
    call::{
        Begun, BoxFuture, CallContext, CallError, Kind,
        registry::{Item, Registry},
        rules::{self, Call},
    },
    oauth::Scopes,
};

/// What a caller may know of a resource or a template.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is what a resource says of itself")]
pub struct Definition {
    /// Its URI, or the template.
    pub uri: Cow<'static, str>,
    /// Whether [`uri`](Self::uri) is a template.
    pub is_template: bool,
    /// Whether it is in the list of resources; the files of a skill are in the skill's own.
    pub is_listed: bool,
    /// What a program calls it.
    pub name: Cow<'static, str>,
    /// A name for people.
    pub title: Option<Cow<'static, str>>,
    /// What is in it.
    pub description: Cow<'static, str>,
    /// The media type of its contents, if it is known.
    pub mime_type: Option<Cow<'static, str>>,
    /// What a token must allow: all of them.
    pub scopes: Scopes,
    /// Whether it asks its caller.
    pub asks: bool,
    /// Whether it sends its caller log messages.
    pub logs: bool,
    /// Whether it says what a variable may be.
    pub completes: bool,
    /// How long a client may keep what it has read.
    pub ttl: Duration,
    /// Whether every caller reads the same.
    pub is_public: bool,
    /// A resource or template of an upstream server, as that server describes it.
    pub upstream: Option<Arc<Described>>,
}

impl Definition {
    /// What was read, with word of how long and for whom it may be kept.
    pub(super) fn result(&self, contents: Vec<ResourceContents>) -> ReadResourceResult {
        // What a scope is needed for is not for whoever shares a cache with somebody who has it.
        let is_public = self.is_public && self.scopes.is_empty();
        let scope = if is_public { CacheScope::Public } else { CacheScope::Private };
        let ttl_ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        ReadResourceResult::new(contents).with_ttl_ms(ttl_ms).with_cache_scope(scope)
    }
}

/// How an upstream server describes what can be read there.
#[derive(Clone, Debug, PartialEq)]
pub enum Described {
    /// A resource.
    Resource(rmcp::model::Resource),
    /// A template.
    Template(rmcp::model::ResourceTemplate),
    /// A file of skills.
    File {
        /// As it is listed, or made of its URI and size.
        resource: rmcp::model::Resource,
        /// The skills that it is of, by the URIs of their `SKILL.md`.
        skills: Vec<String>,
        /// Whether it is in the list of resources.
        is_listed: bool,
    },
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Read {
    /// A text, of the URI that was asked for and the resource's media type.
    Text(String),
    /// Bytes, so too.
    Bytes(Vec<u8>),
    /// Contents in MCP's words: of several URIs, or of other media types.
    Contents(Vec<ResourceContents>),
}

impl Read {
    /// In MCP's words.
    fn into_contents(self, uri: &str, definition: &Definition) -> Vec<ResourceContents> {
        let typed = |contents: ResourceContents| match &definition.mime_type {
            Some(mime_type) => contents.with_mime_type(mime_type.clone()),
            None => contents,
        };
        match self {
            Self::Text(text) => vec![typed(ResourceContents::text(text, uri))],
            Self::Bytes(bytes) => vec![typed(ResourceContents::blob(STANDARD.encode(bytes), uri))],
            Self::Contents(contents) => contents,
        }
    }
}

/// The resources of a server: those that it was built with, in the order they were added, then those of its upstream
/// server, which change while it runs. None by default.
///
/// Readers take the whole list of the moment and keep it as long as they like.
#[derive(Default)]
pub struct Resources {
    registry: Registry<Entry>,
    skills: Registry<Offered>,
    /// Whether skills are read from a folder.
    has_folder: bool,
}

/// A resource that is ready to be read.
pub(crate) struct Entry {
    definition: Arc<Definition>,
    template: Template,
    timeout: Duration,
    resource: Box<dyn Readable>,
    /// The upstream server's name for the audit; empty for resources of our own.
    upstream: Arc<str>,
}

impl Entry {
    /// A resource or template of an upstream server.
    ///
    /// # Errors
    /// The template cannot be read backwards.
    pub(crate) fn of_upstream(
        definition: Definition,
        upstream: Arc<str>,
        timeout: Duration,
        resource: Box<dyn Readable>,
    ) -> Result<Self, String> {
        let template = Template::of(&definition)?;
        Ok(Self { definition: Arc::new(definition), template, timeout, resource, upstream })
    }
}

impl Item for Entry {
    type Definition = Definition;

    fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    fn key(&self) -> &Cow<'static, str> {
        &self.definition.uri
    }

    fn is_of_upstream(&self) -> bool {
        self.definition.upstream.is_some()
    }
}

impl Template {
    fn of(definition: &Definition) -> Result<Self, String> {
        if definition.is_template { Self::parse(&definition.uri) } else { Ok(Self::literal(&definition.uri)) }
    }
}

impl Resources {
    /// Adds a resource or a template.
    ///
    /// # Panics
    /// If the URI is none or is taken, if the template cannot be read backwards, or if a scope is none: mistakes in a
    /// program, found when it starts.
    #[must_use]
    pub fn with<R: Resource>(self, resource: R) -> Self {
        let uri = R::URI;
        assert!(uri.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty()), "`{uri}` is not a URI");
        assert!(self.registry.get(uri).is_none(), "there are two resources at `{uri}`");
        let is_template = uri.contains('{');
        let definition = Definition {
            uri: uri.into(),
            is_template,
            is_listed: true,
            name: R::NAME.into(),
            title: R::TITLE.map(Into::into),
            description: R::DESCRIPTION.into(),
            mime_type: Some(R::MIME_TYPE.into()),
            scopes: rules::scopes_of(Kind::Resource, uri, R::SCOPES),
            asks: R::ASKS,
            logs: R::LOGS,
            completes: R::COMPLETES,
            ttl: R::TTL,
            is_public: R::IS_PUBLIC,
            upstream: None,
        };
        let template = Template::of(&definition).unwrap_or_else(|error| panic!("`{uri}`: {error}"));
        self.registry.add(Entry {
            definition: Arc::new(definition),
            template,
            timeout: rules::timeout(R::ASKS),
            resource: Box::new(resource),
            upstream: "".into(),
        });
        self
    }

    /// Adds the skills of a folder (SEP-2640), and their files as resources.
    ///
    /// # Panics
    /// If the URI of a file is taken: two folders have a skill of the same path.
    #[must_use]
    pub fn with_skills(mut self, skills: Skills) -> Self {
        self.skills.add_all(skills.offered());
        self.has_folder = true;
        let entries = skills.into_files().map(|(definition, file)| {
            assert!(self.registry.get(&definition.uri).is_none(), "there are two resources at `{}`", definition.uri);
            Entry {
                template: Template::literal(&definition.uri),
                definition: Arc::new(definition),
                timeout: rules::timeout(false),
                resource: Box::new(file),
                upstream: "".into(),
            }
        });
        self.registry.add_all(entries.collect::<Vec<_>>());
        self
    }

    /// Replaces the upstream server's resources by these. A URI that is taken stays with whoever had it first; those that
    /// were therefore left out come back.
    pub(crate) fn replace_upstream(&self, resources: Vec<Arc<Entry>>) -> Vec<Arc<Entry>> {
        self.registry.replace_upstream(resources)
    }

    /// All resources and templates.
    pub fn list(&self) -> Arc<[Arc<Definition>]> {
        self.registry.list()
    }

    /// The resource at this URI: itself before a template that fits.
    pub fn find(&self, uri: &str) -> Option<Arc<Definition>> {
        self.entry(uri).map(|entry| Arc::clone(&entry.definition))
    }

    /// The template of exactly this text, or the resource of this URI.
    pub fn find_template(&self, uri: &str) -> Option<Arc<Definition>> {
        self.registry.get(uri).map(|entry| Arc::clone(&entry.definition))
    }

    /// Whether skills are offered, if only those of an empty folder.
    pub(crate) fn has_skills(&self) -> bool {
        self.has_folder || !self.skills.list().is_empty()
    }

    /// All skills.
    pub(crate) fn skills(&self) -> Arc<[Arc<SkillDefinition>]> {
        self.skills.list()
    }

    /// The skill whose `SKILL.md` is at this URI.
    pub(crate) fn skill(&self, uri: &str) -> Option<Arc<SkillDefinition>> {
        self.skills.get(uri).map(|skill| Arc::clone(skill.definition()))
    }

    /// What is directly in this folder of a skill, and the scopes that this needs.
    pub(crate) fn folder(&self, uri: &str) -> Option<(Vec<rmcp::model::Resource>, Scopes)> {
        let (mut children, scopes) = offered::folder(&self.skills.list(), uri)?;
        for file in children.iter_mut().filter(|child| !child.is_directory()) {
            let known = self.registry.get(&file.uri);
            file.mime_type = known.and_then(|file| file.definition.mime_type.as_ref().map(ToString::to_string));
        }
        Some((children, scopes))
    }

    /// As [`replace_upstream`](Self::replace_upstream), of skills.
    pub(crate) fn replace_upstream_skills(&self, skills: Vec<Arc<Offered>>) -> Vec<Arc<Offered>> {
        self.skills.replace_upstream(skills)
    }

    /// Every scope that some resource needs at the moment.
    pub fn scopes_supported(&self) -> Scopes {
        self.list().iter().fold(Scopes::none(), |all, resource| all.union(&resource.scopes))
    }

    /// Reads a resource for the caller of the context: the only way to do it.
    ///
    /// Every read leaves an audit event, also one that is dropped before its end. A resource's panic goes through: the
    /// server catches it.
    ///
    /// # Errors
    /// [`CallError`], in the order of the checks: URI, scopes, then what the resource says.
    pub async fn read(&self, uri: &str, context: &CallContext) -> Result<ReadResourceResult, CallError> {
        let Some(entry) = self.entry(uri) else { return Err(rules::none_of(Kind::Resource, uri, context)) };
        let call = entry.call(uri, context);
        let work = async {
            let variables = entry.template.variables_of(uri).unwrap_or_default();
            let requested = Requested::of(uri, variables);
            let read = entry.resource.read(&requested, &entry.definition, context).await;
            read.map_err(|error| error.of(uri))
        };
        call.run(work, |_| false).await
    }

    /// What a variable of a template may be that begins like this.
    ///
    /// # Errors
    /// [`CallError`], as for a read; a variable that the template does not have has no values.
    pub async fn complete(
        &self,
        template: &str,
        begun: &Begun,
        context: &CallContext,
    ) -> Result<Vec<String>, CallError> {
        let Some(entry) = self.registry.get(template) else {
            return Err(rules::none_of(Kind::Resource, template, context));
        };
        if !entry.definition.completes || !(entry.template.has(&begun.name) || entry.is_of_upstream()) {
            return Ok(Vec::new());
        }
        let work = async { Ok(entry.resource.complete(begun, context).await) };
        entry.call(template, context).prepare(work).await
    }

    fn entry(&self, uri: &str) -> Option<Arc<Entry>> {
        let now = self.registry.now();
        // A template's own text is no URI of a resource.
        let exact = now.get(uri).filter(|entry| !entry.definition.is_template);
        let fits = |entry: &&Arc<Entry>| entry.definition.is_template && entry.template.variables_of(uri).is_some();
        exact.or_else(|| now.entries().iter().find(fits)).cloned()
    }
}

impl Entry {
    fn call<'a>(&'a self, uri: &'a str, context: &'a CallContext) -> Call<'a> {
        let Definition { uri: label, scopes, .. } = &*self.definition;
        let (timeout, upstream) = (self.timeout, &*self.upstream);
        Call { kind: Kind::Resource, name: uri, label, scopes, timeout, upstream, context }
    }
}

/// A resource as an object: a [`Resource`], or one of an upstream server.
pub(crate) trait Readable: Send + Sync {
    fn read<'a>(
        &'a self,
        requested: &'a Requested<'a>,
        definition: &'a Definition,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<ReadResourceResult, ResourceError>>;

    fn complete<'a>(&'a self, begun: &'a Begun, context: &'a CallContext) -> BoxFuture<'a, Vec<String>>;
}

impl<R: Resource> Readable for R {
    fn read<'a>(
        &'a self,
        requested: &'a Requested<'a>,
        definition: &'a Definition,
        context: &'a CallContext,
    ) -> BoxFuture<'a, Result<ReadResourceResult, ResourceError>> {
        Box::pin(async move {
            let read = Resource::read(self, requested, context).await?;
            Ok(definition.result(read.into_contents(requested.uri, definition)))
        })
    }

    fn complete<'a>(&'a self, begun: &'a Begun, context: &'a CallContext) -> BoxFuture<'a, Vec<String>> {
        Box::pin(Resource::complete(self, begun, context))
    }
}
