//! What the guarded server may say to us without being asked.
#![expect(deprecated, reason = "MCP deprecates sampling and roots (SEP-2577); servers still ask for them")]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use rmcp::{
    ClientHandler,
    model::{
        ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams,
        ElicitResult, ErrorCode, ErrorData, Implementation, ListRootsResult, ProtocolVersion,
        ResourceUpdatedNotificationParam,
    },
    service::{NotificationContext, RequestContext, RoleClient},
};
use tokio::sync::Notify;

use crate::call::Change;

/// How many changes are kept that nobody has looked at.
const MAX_CHANGES: usize = 1_024;

/// What the guarded server says to have changed, each thing once.
#[derive(Debug, Default)]
pub(super) struct Changed {
    changes: Mutex<BTreeSet<Change>>,
    more: Notify,
}

impl Changed {
    pub(super) fn note(&self, change: Change) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if changes.len() < MAX_CHANGES {
            changes.insert(change);
        }
        drop(changes);
        self.more.notify_one();
    }

    /// Waits until there is something to take.
    pub(super) async fn more(&self) {
        self.more.notified().await;
    }

    pub(super) fn take(&self) -> BTreeSet<Change> {
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Our side of the connection. It answers no question: the guarded server serves many callers over it, and has no way to say
/// which of them a question of its own is for. What it may ask, it asks in its answer to a call (2026-07-28).
#[derive(Clone, Debug, Default)]
pub(super) struct Handler(Arc<Changed>);

impl Handler {
    pub(super) fn changed(&self) -> Arc<Changed> {
        Arc::clone(&self.0)
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let client = Implementation::new("securemcp", env!("CARGO_PKG_VERSION"));
        // What the client of a caller can answer is said with each call.
        ClientConfig::new(ClientCapabilities::default(), client).with_protocol_version(ProtocolVersion::V_2025_11_25)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.note(Change::Tools);
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.note(Change::Resources);
    }

    async fn on_prompt_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.note(Change::Prompts);
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.0.note(Change::Resource(params.uri.into()));
    }

    async fn create_message(
        &self,
        _params: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        Err(refusal("sampling"))
    }

    async fn create_elicitation(
        &self,
        _request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Err(refusal("elicitation"))
    }

    async fn list_roots(&self, _context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Err(refusal("roots"))
    }
}

fn refusal(what: &str) -> ErrorData {
    let message = format!("{what} is not passed on: this server is guarded by securemcp, and many callers share it");
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, None)
}
