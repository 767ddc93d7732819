//! The lists of what is on offer, as MCP writes them, and what of them a caller sees.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rmcp::model::{
    CacheScope, GetSkillResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListSkillsResult,
    ListToolsResult, MetaObject, Prompt, PromptArgument, ReadResourceDirectoryResult, Resource, ResourceTemplate,
    Skill, Tool, ToolAnnotations,
};
use serde_json::json;

use super::features::Features;
use crate::{
    auth::Principal,
    gateway::Status,
    oauth::Scopes,
    prompts,
    resources::{self, Described, SkillDefinition},
    tools::{self, Tools},
};

/// In the `_meta` of whatever is listed: the scopes that its use needs.
const SCOPES_META_KEY: &str = "io.securemcp/scopes";
/// How long a client may keep a list before it asks again.
const KEPT: Duration = Duration::from_mins(1);

/// The lists in MCP's words, made anew only when they have changed.
pub(super) struct Listing {
    features: Features,
    /// Whether callers are shown what their token does not allow.
    show_locked: bool,
    tools: Made<tools::Definition, Tool>,
    resources: Made<resources::Definition, Listed>,
    prompts: Made<prompts::Definition, Prompt>,
    skills: Made<SkillDefinition, Skill>,
}

/// What is listed of a resource or a template.
#[derive(Clone)]
enum Listed {
    Resource(Resource),
    Template(ResourceTemplate),
    /// It is in another list.
    Nowhere,
}

impl Listing {
    pub(super) fn new(features: Features, show_locked: bool) -> Self {
        let (tools, resources, prompts) = (Made::of(listed_tool), Made::of(listed_resource), Made::of(listed_prompt));
        Self { features, show_locked, tools, resources, prompts, skills: Made::of(listed_skill) }
    }

    /// What this caller is shown, in the order of the list; so for the others.
    pub(super) fn tools(&self, principal: &Principal) -> ListToolsResult {
        let made = self.tools.now(self.features.tools.list());
        let shown = made.shown(principal, self.show_locked, |tool| (tool.upstream.is_some(), &tool.scopes));
        let (ttl_ms, scope) = (ttl_ms(), shown.scope());
        ListToolsResult::with_all_items(shown.items).with_ttl_ms(ttl_ms).with_cache_scope(scope)
    }

    pub(super) fn resources(&self, principal: &Principal) -> ListResourcesResult {
        let shown = self.readable(principal);
        let (ttl_ms, scope) = (ttl_ms(), shown.scope());
        let resources = shown.items.into_iter().filter_map(|listed| match listed {
            Listed::Resource(resource) => Some(resource),
            _ => None,
        });
        ListResourcesResult::with_all_items(resources.collect()).with_ttl_ms(ttl_ms).with_cache_scope(scope)
    }

    pub(super) fn templates(&self, principal: &Principal) -> ListResourceTemplatesResult {
        let shown = self.readable(principal);
        let (ttl_ms, scope) = (ttl_ms(), shown.scope());
        let templates = shown.items.into_iter().filter_map(|listed| match listed {
            Listed::Template(template) => Some(template),
            _ => None,
        });
        ListResourceTemplatesResult::with_all_items(templates.collect()).with_ttl_ms(ttl_ms).with_cache_scope(scope)
    }

    pub(super) fn skills(&self, principal: &Principal) -> ListSkillsResult {
        let made = self.skills.now(self.features.resources.skills());
        let shown = made.shown(principal, self.show_locked, |skill| (skill.is_of_upstream, &skill.scopes));
        let (ttl_ms, scope) = (ttl_ms(), shown.scope());
        ListSkillsResult::with_all_items(shown.items).with_ttl_ms(ttl_ms).with_cache_scope(scope)
    }

    pub(super) fn skill(&self, uri: &str) -> Option<GetSkillResult> {
        let definition = self.features.resources.skill(uri)?;
        let found = GetSkillResult::new(listed_skill(&definition));
        Some(found.with_ttl_ms(ttl_ms()).with_cache_scope(scope_of_locked(&definition.scopes)))
    }

    /// What is directly in a folder of a skill.
    pub(super) fn folder(&self, uri: &str) -> Option<ReadResourceDirectoryResult> {
        let (mut children, scopes) = self.features.resources.folder(uri)?;
        for child in &mut children {
            say_scopes(&mut child.meta, &scopes);
        }
        let found = ReadResourceDirectoryResult::with_all_items(children);
        Some(found.with_ttl_ms(ttl_ms()).with_cache_scope(scope_of_locked(&scopes)))
    }

    pub(super) fn prompts(&self, principal: &Principal) -> ListPromptsResult {
        let made = self.prompts.now(self.features.prompts.list());
        let shown = made.shown(principal, self.show_locked, |prompt| (prompt.upstream.is_some(), &prompt.scopes));
        let (ttl_ms, scope) = (ttl_ms(), shown.scope());
        ListPromptsResult::with_all_items(shown.items).with_ttl_ms(ttl_ms).with_cache_scope(scope)
    }

    pub(super) fn find(&self, name: &str) -> Option<Tool> {
        let made = self.tools.now(self.features.tools.list());
        made.items.iter().find(|tool| tool.name == name).cloned()
    }

    fn readable(&self, principal: &Principal) -> Shown<Listed> {
        let made = self.resources.now(self.features.resources.list());
        made.shown(principal, self.show_locked, |resource| (resource.upstream.is_some(), &resource.scopes))
    }
}

fn ttl_ms() -> u64 {
    u64::try_from(KEPT.as_millis()).expect("a minute")
}

/// Why nothing can be said of the tools: all of them are a guarded server's, which has never told what it has and cannot
/// be asked now.
pub(super) fn excuse(tools: &Tools, upstream: Option<&Status>) -> Option<String> {
    upstream.filter(|_| tools.list().is_empty())?.excuse()
}

/// Whether a caller is shown a tool: of a guarded server only what its token allows, unless told otherwise.
pub(super) fn is_shown(definition: &tools::Definition, principal: &Principal, show_locked: bool) -> bool {
    shows(definition.upstream.is_some(), &definition.scopes, principal, show_locked)
}

fn shows(is_of_upstream: bool, scopes: &Scopes, principal: &Principal, show_locked: bool) -> bool {
    show_locked || !is_of_upstream || principal.scopes.covers(scopes)
}

/// A list, and what it was made of.
struct Made<D, L> {
    list: fn(&D) -> L,
    last: RwLock<Arc<Lists<D, L>>>,
}

struct Lists<D, L> {
    of: Arc<[Arc<D>]>,
    items: Vec<L>,
}

/// A list as one caller sees it.
struct Shown<L> {
    items: Vec<L>,
    /// Whether every caller sees the same, whatever becomes of the list: nothing in it is a guarded server's.
    is_public: bool,
}

impl<D, L: Clone> Made<D, L> {
    fn of(list: fn(&D) -> L) -> Self {
        Self { list, last: RwLock::new(Arc::new(Lists { of: Arc::new([]), items: Vec::new() })) }
    }

    fn now(&self, definitions: Arc<[Arc<D>]>) -> Arc<Lists<D, L>> {
        let last = Arc::clone(&self.last.read().unwrap_or_else(PoisonError::into_inner));
        if Arc::ptr_eq(&last.of, &definitions) {
            return last;
        }
        let items = definitions.iter().map(|definition| (self.list)(definition)).collect();
        let lists = Arc::new(Lists { of: definitions, items });
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&lists);
        lists
    }
}

impl<D, L: Clone> Lists<D, L> {
    /// What this caller is shown. `locks` says of each whether an upstream server has it, and the scopes that it needs.
    fn shown(&self, principal: &Principal, show_locked: bool, locks: impl Fn(&D) -> (bool, &Scopes)) -> Shown<L> {
        let is_shown = |definition: &D| {
            let (is_of_upstream, scopes) = locks(definition);
            shows(is_of_upstream, scopes, principal, show_locked)
        };
        let seen = self.of.iter().zip(&self.items).filter(|(definition, _)| is_shown(definition));
        let is_public = !self.of.iter().any(|definition| locks(definition).0);
        Shown { items: seen.map(|(_, item)| item.clone()).collect(), is_public }
    }
}

impl<L> Shown<L> {
    fn scope(&self) -> CacheScope {
        if self.is_public { CacheScope::Public } else { CacheScope::Private }
    }
}

/// For whom an answer may be kept that not every caller gets.
fn scope_of_locked(scopes: &Scopes) -> CacheScope {
    if scopes.is_empty() { CacheScope::Public } else { CacheScope::Private }
}

fn say_scopes(meta: &mut Option<MetaObject>, scopes: &Scopes) {
    let scopes: Vec<_> = scopes.iter().collect();
    meta.get_or_insert_default().insert(SCOPES_META_KEY.to_owned(), json!(scopes));
}

fn listed_tool(definition: &tools::Definition) -> Tool {
    let mut tool = match &definition.upstream {
        Some(tool) => Tool::clone(tool),
        None => of_our_own(definition),
    };
    say_scopes(&mut tool.meta, &definition.scopes);
    tool
}

fn of_our_own(definition: &tools::Definition) -> Tool {
    let hints = definition.annotations;
    let mut annotations = ToolAnnotations::new();
    annotations.read_only_hint = Some(hints.read_only);
    annotations.destructive_hint = Some(hints.destructive);
    annotations.open_world_hint = Some(hints.open_world);
    let (name, description) = (definition.name.clone(), definition.description.clone());
    let mut tool = Tool::new(name, description, Arc::clone(&definition.input_schema));
    tool.title = definition.title.as_ref().map(ToString::to_string);
    tool.output_schema.clone_from(&definition.output_schema);
    tool.annotations = Some(annotations);
    tool
}

fn listed_resource(definition: &resources::Definition) -> Listed {
    if !definition.is_listed {
        return Listed::Nowhere;
    }
    let resources::Definition { uri, name, description, mime_type, .. } = definition;
    let title = definition.title.as_ref().map(ToString::to_string);
    let mime_type = mime_type.as_ref().map(ToString::to_string);
    let mut listed = match definition.upstream.as_deref() {
        Some(Described::Resource(resource) | Described::File { resource, .. }) => Listed::Resource(resource.clone()),
        Some(Described::Template(template)) => Listed::Template(template.clone()),
        None if definition.is_template => {
            let mut template =
                ResourceTemplate::new(uri.as_ref(), name.as_ref()).with_description(description.as_ref());
            (template.title, template.mime_type) = (title, mime_type);
            Listed::Template(template)
        }
        None => {
            let mut resource = Resource::new(uri.as_ref(), name.as_ref()).with_description(description.as_ref());
            (resource.title, resource.mime_type) = (title, mime_type);
            Listed::Resource(resource)
        }
    };
    match &mut listed {
        Listed::Resource(resource) => say_scopes(&mut resource.meta, &definition.scopes),
        Listed::Template(template) => say_scopes(&mut template.meta, &definition.scopes),
        Listed::Nowhere => {}
    }
    listed
}

fn listed_skill(definition: &SkillDefinition) -> Skill {
    let mut skill = definition.skill.clone();
    say_scopes(&mut skill.meta, &definition.scopes);
    skill
}

fn listed_prompt(definition: &prompts::Definition) -> Prompt {
    let mut prompt = match &definition.upstream {
        Some(prompt) => Prompt::clone(prompt),
        None => prompt_of_our_own(definition),
    };
    say_scopes(&mut prompt.meta, &definition.scopes);
    prompt
}

fn prompt_of_our_own(definition: &prompts::Definition) -> Prompt {
    let arguments = definition.arguments.iter().map(|argument| {
        let mut listed = PromptArgument::new(&argument.name).with_required(argument.is_required);
        listed.description.clone_from(&argument.description);
        listed
    });
    let arguments: Vec<_> = arguments.collect();
    let arguments = (!arguments.is_empty()).then_some(arguments);
    let mut prompt = Prompt::new(definition.name.as_ref(), Some(definition.description.as_ref()), arguments);
    prompt.title = definition.title.as_ref().map(ToString::to_string);
    prompt
}
