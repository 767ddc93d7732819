//! What a server offers: tools, resources, prompts, and word of their changes.

use std::sync::Arc;

use rmcp::model::{
    PromptsCapability, ResourcesCapability, SKILLS_EXTENSION_ID, ServerCapabilities, TASKS_EXTENSION_ID,
    ToolsCapability,
};
use serde_json::json;

use crate::{
    call::{Changes, JsonObject, Kind, TaskSupport},
    gateway::Offer,
    oauth::Scopes,
    prompts::Prompts,
    resources::Resources,
    tools::Tools,
};

/// What a server offers. Tools alone are features too: `Server::bind` takes them as they are.
#[derive(Clone, Default)]
pub struct Features {
    pub(super) tools: Arc<Tools>,
    pub(super) resources: Arc<Resources>,
    pub(super) prompts: Arc<Prompts>,
    pub(super) changes: Option<Changes>,
}

impl From<Tools> for Features {
    fn from(tools: Tools) -> Self {
        Self { tools: Arc::new(tools), ..Self::default() }
    }
}

impl Features {
    /// With these resources.
    #[must_use]
    pub fn with_resources(self, resources: Resources) -> Self {
        Self { resources: Arc::new(resources), ..self }
    }

    /// With these prompts.
    #[must_use]
    pub fn with_prompts(self, prompts: Prompts) -> Self {
        Self { prompts: Arc::new(prompts), ..self }
    }

    /// Clients can ask to be told of changes: whatever changes something keeps a copy of this and says so.
    #[must_use]
    pub fn with_changes(self, changes: Changes) -> Self {
        Self { changes: Some(changes), ..self }
    }

    /// Every scope that something on offer needs at the moment.
    pub(super) fn scopes_supported(&self) -> Scopes {
        let scopes = self.tools.scopes_supported().union(&self.resources.scopes_supported());
        scopes.union(&self.prompts.scopes_supported())
    }

    /// Where a guarded server's are put.
    pub(super) fn offer(&self) -> Offer {
        Offer {
            tools: Arc::clone(&self.tools),
            resources: Arc::clone(&self.resources),
            prompts: Arc::clone(&self.prompts),
            changes: self.changes.clone().unwrap_or_default(),
        }
    }

    /// What a caller needs to use something; `None` if there is no such thing.
    pub(super) fn scopes_of(&self, kind: Kind, name: &str) -> Option<Scopes> {
        match kind {
            Kind::Tool => self.tools.find(name).map(|tool| tool.scopes.clone()),
            Kind::Resource => self.resources.find(name).map(|resource| resource.scopes.clone()),
            Kind::Prompt => self.prompts.find(name).map(|prompt| prompt.scopes.clone()),
        }
    }

    /// What a client is told that there is.
    pub(super) fn capabilities(&self) -> ServerCapabilities {
        let changes = self.changes.is_some().then_some(true);
        let mut capabilities = ServerCapabilities::default();
        let mut tools = ToolsCapability::default();
        tools.list_changed = changes;
        capabilities.tools = Some(tools);
        if self.has_resources() {
            let mut resources = ResourcesCapability::default();
            (resources.list_changed, resources.subscribe) = (changes, changes);
            capabilities.resources = Some(resources);
        }
        if self.has_prompts() {
            let mut prompts = PromptsCapability::default();
            prompts.list_changed = changes;
            capabilities.prompts = Some(prompts);
        }
        capabilities.completions = self.completes().then(JsonObject::new);
        if self.has_tasks() {
            capabilities.extensions.get_or_insert_default().insert(TASKS_EXTENSION_ID.to_owned(), JsonObject::new());
        }
        if self.resources.has_skills() {
            let settings = JsonObject::from_iter([("directoryRead".to_owned(), json!(true))]);
            capabilities.extensions.get_or_insert_default().insert(SKILLS_EXTENSION_ID.to_owned(), settings);
        }
        capabilities.logging = self.logs().then(JsonObject::new);
        capabilities
    }

    /// Whether a method is answered.
    pub(super) fn answers(&self, method: &str, is_stateless: bool) -> bool {
        match method {
            "server/discover" | "tools/list" | "tools/call" => true,
            "initialize" | "ping" => !is_stateless,
            "resources/list" | "resources/templates/list" | "resources/read" => self.has_resources(),
            "resources/subscribe" | "resources/unsubscribe" => {
                !is_stateless && self.changes.is_some() && self.has_resources()
            }
            "skills/list" | "skills/get" | "resources/directory/read" => self.resources.has_skills(),
            "prompts/list" | "prompts/get" => self.has_prompts(),
            "completion/complete" => self.completes(),
            "logging/setLevel" => !is_stateless && self.logs(),
            "tasks/get" | "tasks/update" | "tasks/cancel" => self.has_tasks(),
            "subscriptions/listen" => is_stateless && self.changes.is_some(),
            _ => false,
        }
    }

    fn has_tasks(&self) -> bool {
        self.tools.list().iter().any(|tool| tool.task != TaskSupport::Never)
    }

    fn has_resources(&self) -> bool {
        // Skills are read by the methods of resources, and a folder of them may be empty.
        self.resources.has_skills() || !self.resources.list().is_empty()
    }

    fn has_prompts(&self) -> bool {
        !self.prompts.list().is_empty()
    }

    fn completes(&self) -> bool {
        self.prompts.list().iter().any(|prompt| prompt.completes)
            || self.resources.list().iter().any(|resource| resource.completes)
    }

    fn logs(&self) -> bool {
        self.tools.list().iter().any(|tool| tool.logs)
            || self.prompts.list().iter().any(|prompt| prompt.logs)
            || self.resources.list().iter().any(|resource| resource.logs)
    }
}
