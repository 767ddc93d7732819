//! `tools/list`: the tools of the moment as MCP writes them, and which of them a caller sees.

use std::sync::{Arc, PoisonError, RwLock};

use rmcp::model::{MetaObject, Tool, ToolAnnotations};
use serde_json::json;

use crate::{
    auth::Principal,
    gateway::Status,
    tools::{Definition, Tools},
};

/// In a tool's `_meta`: the scopes that calling it needs.
const SCOPES_META_KEY: &str = "io.securemcp/scopes";

/// The tools in MCP's words, made anew only when the list has changed.
pub(super) struct Listing {
    tools: Arc<Tools>,
    /// Whether callers are shown tools that their token does not allow.
    show_locked: bool,
    made: RwLock<Arc<Made>>,
}

struct Made {
    of: Arc<[Arc<Definition>]>,
    tools: Vec<Tool>,
}

impl Listing {
    pub(super) fn new(tools: Arc<Tools>, show_locked: bool) -> Self {
        let made = RwLock::new(Arc::new(Made::of(tools.list())));
        Self { tools, show_locked, made }
    }

    /// What this caller is shown, in the order of the list.
    pub(super) fn for_caller(&self, principal: &Principal) -> Vec<Tool> {
        let made = self.made();
        let seen = made.of.iter().zip(&made.tools);
        let seen = seen.filter(|(definition, _)| is_shown(definition, principal, self.show_locked));
        seen.map(|(_, tool)| tool.clone()).collect()
    }

    pub(super) fn find(&self, name: &str) -> Option<Tool> {
        self.made().tools.iter().find(|tool| tool.name == name).cloned()
    }

    fn made(&self) -> Arc<Made> {
        let now = self.tools.list();
        let made = Arc::clone(&self.made.read().unwrap_or_else(PoisonError::into_inner));
        if Arc::ptr_eq(&made.of, &now) {
            return made;
        }
        let made = Arc::new(Made::of(now));
        *self.made.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&made);
        made
    }
}

/// Why nothing can be said of the tools: all of them are a guarded server's, which has never told what it has and cannot
/// be asked now.
pub(super) fn excuse(tools: &Tools, upstream: Option<&Status>) -> Option<String> {
    upstream.filter(|_| tools.list().is_empty())?.excuse()
}

/// Whether a caller is shown a tool: of a guarded server only what its token allows, unless told otherwise.
pub(super) fn is_shown(definition: &Definition, principal: &Principal, show_locked: bool) -> bool {
    show_locked || definition.upstream.is_none() || principal.scopes.covers(&definition.scopes)
}

impl Made {
    fn of(definitions: Arc<[Arc<Definition>]>) -> Self {
        let tools = definitions.iter().map(|definition| listed(definition)).collect();
        Self { of: definitions, tools }
    }
}

fn listed(definition: &Definition) -> Tool {
    let mut tool = match &definition.upstream {
        Some(tool) => Tool::clone(tool),
        None => of_our_own(definition),
    };
    let scopes: Vec<_> = definition.scopes.iter().collect();
    tool.meta.get_or_insert_with(MetaObject::new).insert(SCOPES_META_KEY.to_owned(), json!(scopes));
    tool
}

fn of_our_own(definition: &Definition) -> Tool {
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
