//! What the guarded server may say to us without being asked.
#![expect(deprecated, reason = "MCP deprecates sampling and roots (SEP-2577); servers still ask for them")]

use std::sync::Arc;

use rmcp::{
    ClientHandler,
    model::{
        ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams,
        ElicitResult, ErrorCode, ErrorData, Implementation, ListRootsResult, ProtocolVersion, SamplingCapability,
    },
    service::{NotificationContext, RequestContext, RoleClient},
};
use tokio::sync::Notify;

/// Our side of the connection. It answers no question: the guarded server serves many callers over it, and has no way to say
/// which of them a question of its own is for. What it may ask, it asks in its answer to a call (2026-07-28).
#[derive(Clone, Debug, Default)]
pub(super) struct Handler {
    /// Told when the tools have changed.
    pub(super) changed: Arc<Notify>,
    /// Whether calls may be answered with such a question.
    pub(super) may_sample: bool,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let client = Implementation::new("securemcp", env!("CARGO_PKG_VERSION"));
        let mut capabilities = ClientCapabilities::default();
        capabilities.sampling = self.may_sample.then(SamplingCapability::default);
        ClientConfig::new(capabilities, client).with_protocol_version(ProtocolVersion::V_2025_11_25)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
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
