//! What a guarded server lists: cleaned of what deceives, and made ready to be used.

use std::{borrow::Cow, sync::Arc, time::Duration};

use rmcp::model::{Prompt, ServerPeerInfo, Tool};
use serde_json::{Map, Value};

use super::{Offer, calls::Guarded, status::Status};
use crate::{
    call::{TaskSupport, registry::Item},
    config::{MayAsk, Upstream},
    oauth::Scopes,
    prompts,
    resources::{self, Described},
    said::without_deception,
    telemetry::{audit::Event, metrics::Metrics},
    tools,
};

/// The longest URI of a resource, in bytes.
const MAX_URI: usize = 2_048;

/// What a guarded server can do, as it says when it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is what a server says of itself")]
pub(super) struct Able {
    pub(super) resources: bool,
    pub(super) prompts: bool,
    pub(super) skills: bool,
    tasks: bool,
    logs: bool,
    completes: bool,
}

impl Able {
    pub(super) fn of(info: Option<&ServerPeerInfo>) -> Self {
        let Some(ServerPeerInfo { capabilities, .. }) = info else { return Self::default() };
        Self {
            resources: capabilities.resources.is_some(),
            prompts: capabilities.prompts.is_some(),
            skills: capabilities.supports_skills(),
            tasks: capabilities.supports_tasks(),
            logs: capabilities.logging.is_some(),
            completes: capabilities.completions.is_some(),
        }
    }
}

/// What a thing is served with.
pub(super) struct With<'a> {
    pub(super) settings: &'a Upstream,
    pub(super) able: Able,
    /// The guarded server's name.
    pub(super) upstream: &'a Arc<str>,
    pub(super) status: &'a Arc<Status>,
}

impl With<'_> {
    fn may_ask(&self) -> MayAsk {
        self.settings.may_ask
    }

    fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    fn guarded(&self, name: &str) -> Guarded {
        Guarded { name: name.to_owned(), status: Arc::clone(self.status), may_ask: self.may_ask() }
    }
}

/// One thing that is listed.
pub(super) trait Thing: Sized {
    type Entry: Item;

    /// What kind of thing it is, for the log.
    const KIND: &'static str;

    /// What it is used by.
    fn key(&self) -> &str;

    /// Whether its use changes nothing, as its server says.
    fn reads(&self) -> bool;

    /// As JSON, to be hashed.
    fn written(&self) -> Vec<u8>;

    /// Without what could draw on a terminal, or hide words from a person that a model would read.
    fn cleaned(self) -> Self;

    /// What the settings say that its use needs.
    fn set_scopes(&self, settings: &Upstream) -> Option<Scopes> {
        settings.scopes.get(self.key()).cloned()
    }

    /// Ready to be used by callers whose token allows these scopes, or why it cannot be.
    fn entry(self, scopes: Scopes, with: &With<'_>) -> Result<Self::Entry, String>;

    /// That it is another one, for the audit.
    fn changed<'a>(upstream: &'a str, name: &'a str, before: &'a str, after: &'a str) -> Event<'a>;

    /// And for the metrics, which know of tools.
    fn count_change(_: &Metrics) {}

    /// Serves these and no others; those come back whose name or URI is taken.
    fn serve(offer: &Offer, entries: Vec<Arc<Self::Entry>>) -> Vec<Arc<Self::Entry>>;
}

/// # Errors
/// A URI that is none, or could deceive.
pub(super) fn is_plain(uri: &str) -> Result<(), String> {
    if uri.len() <= MAX_URI && without_deception(uri) == uri && uri.contains(':') {
        return Ok(());
    }
    Err(format!("its URI is none, has control characters, or more than {MAX_URI} bytes"))
}

fn clean(text: &mut Option<String>) {
    *text = text.take().map(|text| without_deception(&text));
}

pub(super) fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("it came as JSON")
}

impl Thing for Tool {
    type Entry = tools::Entry;

    const KIND: &'static str = "tool";

    fn key(&self) -> &str {
        &self.name
    }

    fn reads(&self) -> bool {
        self.annotations.as_ref().and_then(|hints| hints.read_only_hint) == Some(true)
    }

    fn written(&self) -> Vec<u8> {
        json(self)
    }

    fn cleaned(mut self) -> Self {
        clean(&mut self.title);
        self.description = self.description.map(|text| without_deception(&text).into());
        if let Some(annotations) = &mut self.annotations {
            clean(&mut annotations.title);
        }
        for schema in [Some(&mut self.input_schema), self.output_schema.as_mut()].into_iter().flatten() {
            clean_schema(Arc::make_mut(schema));
        }
        self
    }

    fn entry(self, scopes: Scopes, with: &With<'_>) -> Result<tools::Entry, String> {
        let guarded = Box::new(with.guarded(&self.name));
        let mut definition = tools::Definition::of_upstream(self, scopes, with.may_ask().anything(), with.able.logs);
        if with.able.tasks {
            // Which of its calls become tasks, the guarded server says when it is called.
            definition.task = TaskSupport::Optional;
        }
        let entry = tools::Entry::of_upstream(definition, Arc::clone(with.upstream), with.timeout(), guarded);
        entry.map_err(|reason| reason.to_string())
    }

    fn changed<'a>(upstream: &'a str, tool: &'a str, before: &'a str, after: &'a str) -> Event<'a> {
        Event::UpstreamToolChanged { upstream, tool, before, after }
    }

    fn count_change(metrics: &Metrics) {
        metrics.tool_changed();
    }

    fn serve(offer: &Offer, entries: Vec<Arc<tools::Entry>>) -> Vec<Arc<tools::Entry>> {
        offer.tools.replace_upstream(entries)
    }
}

impl Thing for Described {
    type Entry = resources::Entry;

    const KIND: &'static str = "resource";

    fn key(&self) -> &str {
        match self {
            Self::Resource(resource) | Self::File { resource, .. } => &resource.uri,
            Self::Template(template) => &template.uri_template,
        }
    }

    fn reads(&self) -> bool {
        true
    }

    fn written(&self) -> Vec<u8> {
        match self {
            Self::Resource(resource) => json(resource),
            Self::Template(template) => json(template),
            Self::File { resource, skills, is_listed } => json(&(resource, skills, is_listed)),
        }
    }

    fn cleaned(mut self) -> Self {
        let (name, title, description) = match &mut self {
            Self::Resource(resource) | Self::File { resource, .. } => {
                (&mut resource.name, &mut resource.title, &mut resource.description)
            }
            Self::Template(template) => (&mut template.name, &mut template.title, &mut template.description),
        };
        *name = without_deception(name);
        clean(title);
        clean(description);
        self
    }

    /// What a skill needs, its files need too, unless there is something of their own.
    fn set_scopes(&self, settings: &Upstream) -> Option<Scopes> {
        let own = settings.scopes.get(self.key()).cloned();
        let Self::File { skills, .. } = self else { return own };
        let of_skills = || skills.iter().filter_map(|skill| settings.scopes.get(skill));
        own.or_else(|| of_skills().cloned().reduce(|all, more| all.union(&more)))
    }

    fn entry(self, scopes: Scopes, with: &With<'_>) -> Result<resources::Entry, String> {
        let uri = self.key().to_owned();
        is_plain(&uri)?;
        let is_listed = !matches!(self, Self::File { is_listed: false, .. });
        let (is_template, name, title, description, mime_type) = match &self {
            Self::Resource(it) | Self::File { resource: it, .. } => {
                (false, &it.name, &it.title, &it.description, &it.mime_type)
            }
            Self::Template(it) => (true, &it.name, &it.title, &it.description, &it.mime_type),
        };
        let definition = resources::Definition {
            is_template,
            is_listed,
            name: name.clone().into(),
            title: title.clone().map(Into::into),
            description: description.clone().map_or(Cow::Borrowed(""), Into::into),
            mime_type: mime_type.clone().map(Into::into),
            scopes,
            asks: with.may_ask().anything(),
            logs: with.able.logs,
            completes: is_template && with.able.completes,
            ttl: Duration::ZERO,
            is_public: false,
            uri: uri.clone().into(),
            upstream: Some(Arc::new(self)),
        };
        let guarded = Box::new(with.guarded(&uri));
        resources::Entry::of_upstream(definition, Arc::clone(with.upstream), with.timeout(), guarded)
    }

    fn changed<'a>(upstream: &'a str, uri: &'a str, before: &'a str, after: &'a str) -> Event<'a> {
        Event::UpstreamResourceChanged { upstream, uri, before, after }
    }

    fn serve(offer: &Offer, entries: Vec<Arc<resources::Entry>>) -> Vec<Arc<resources::Entry>> {
        offer.resources.replace_upstream(entries)
    }
}

impl Thing for Prompt {
    type Entry = prompts::Entry;

    const KIND: &'static str = "prompt";

    fn key(&self) -> &str {
        &self.name
    }

    fn reads(&self) -> bool {
        true
    }

    fn written(&self) -> Vec<u8> {
        json(self)
    }

    fn cleaned(mut self) -> Self {
        clean(&mut self.title);
        clean(&mut self.description);
        for argument in self.arguments.iter_mut().flatten() {
            clean(&mut argument.title);
            clean(&mut argument.description);
        }
        self
    }

    fn entry(self, scopes: Scopes, with: &With<'_>) -> Result<prompts::Entry, String> {
        let guarded = Box::new(with.guarded(&self.name));
        let arguments = self.arguments.iter().flatten().map(|argument| prompts::Argument {
            name: argument.name.clone(),
            description: argument.description.clone(),
            is_required: argument.required == Some(true),
        });
        let definition = prompts::Definition {
            name: self.name.clone().into(),
            title: self.title.clone().map(Into::into),
            description: self.description.clone().map_or(Cow::Borrowed(""), Into::into),
            arguments: arguments.collect(),
            scopes,
            asks: with.may_ask().anything(),
            logs: with.able.logs,
            completes: with.able.completes,
            upstream: Some(Arc::new(self)),
        };
        let entry = prompts::Entry::of_upstream(definition, Arc::clone(with.upstream), with.timeout(), guarded);
        entry.ok_or_else(|| "its name is not 1 to 128 of A-Z a-z 0-9 _ - .".to_owned())
    }

    fn changed<'a>(upstream: &'a str, prompt: &'a str, before: &'a str, after: &'a str) -> Event<'a> {
        Event::UpstreamPromptChanged { upstream, prompt, before, after }
    }

    fn serve(offer: &Offer, entries: Vec<Arc<prompts::Entry>>) -> Vec<Arc<prompts::Entry>> {
        offer.prompts.replace_upstream(entries)
    }
}

/// Only what describes: values and patterns mean what they are.
fn clean_schema(schema: &mut Map<String, Value>) {
    for (name, value) in schema {
        match value {
            Value::String(text) if matches!(name.as_str(), "description" | "title" | "$comment") => {
                *text = without_deception(text);
            }
            _ => clean_inside(value),
        }
    }
}

fn clean_inside(value: &mut Value) {
    match value {
        Value::Object(inner) => clean_schema(inner),
        Value::Array(items) => items.iter_mut().for_each(clean_inside),
        _ => {}
    }
}
