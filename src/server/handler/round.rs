//! One run of a call: what it is given, and what becomes of its end.

use std::sync::Arc;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        ClientCapabilities, ElicitationCapability, InputRequiredResult, InputResponses, JsonObject,
        UrlElicitationCapability,
    },
    service::RequestContext,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    Handler,
    ask::{RoundTripAsk, SessionAsk},
    tell::Telling,
};
use crate::{
    auth::Principal,
    call::{Ask, AskError, CallContext, CallError, Capability, Kind, NoAsk, rules},
    secret::sha256_base64url,
};

/// What is asked for, and what came with it.
pub(super) struct Asked<'a> {
    pub(super) kind: Kind,
    pub(super) name: &'a str,
    /// Whether it asks its caller.
    pub(super) asks: bool,
    pub(super) arguments: Option<&'a JsonObject>,
    pub(super) state: Option<&'a str>,
    pub(super) responses: Option<InputResponses>,
}

/// One run of a call.
pub(super) struct Round {
    pub(super) call: CallContext,
    /// Of 2026-07-28, if it asks its caller.
    asking: Option<Arc<RoundTripAsk>>,
    is_stateless: bool,
}

impl Handler {
    /// What a call is run with.
    ///
    /// # Errors
    /// The state that the client echoed is none of ours for this call.
    pub(super) async fn begin(
        &self,
        context: RequestContext<RoleServer>,
        asked: Asked<'_>,
    ) -> Result<Round, ErrorData> {
        let principal = self.principal(&context)?;
        let tell = Arc::new(Telling::of(&context, &self.connection));
        // Sessions have an initialize handshake behind them; a stateless request brings its capabilities along.
        let capabilities = context.meta.client_capabilities();
        let is_stateless = capabilities.is_some();
        let mut asking = None;
        let ask: Arc<dyn Ask> = match capabilities {
            _ if !asked.asks && asked.state.is_none() => NoAsk::shared(),
            None => Arc::new(SessionAsk::new(context.peer)),
            Some(capabilities) => {
                let binding = binding(&principal, &asked);
                let keys = self.shared.secret.keys().await;
                let ask = RoundTripAsk::new(&keys, binding, capabilities, asked.state, asked.responses);
                let ask = Arc::new(ask.map_err(|_| foreign_state(&principal, asked.kind, asked.name))?);
                asking = Some(Arc::clone(&ask));
                ask
            }
        };
        let mut call = CallContext::new(principal, Arc::clone(&self.shared.clock));
        (call.cancel, call.ask, call.tell, call.metrics) = (context.ct, ask, tell, self.shared.metrics.clone());
        Ok(Round { call, asking, is_stateless })
    }

    /// What a call of a stateless request is run with that has nobody to ask and nobody to tell.
    pub(super) fn alone(&self, principal: Arc<Principal>, cancel: CancellationToken) -> Round {
        let mut call = CallContext::new(principal, Arc::clone(&self.shared.clock));
        (call.cancel, call.metrics) = (cancel, self.shared.metrics.clone());
        Round { call, asking: None, is_stateless: true }
    }
}

impl Round {
    /// The questions that this run ended with, if it did.
    pub(super) fn questions<T>(&self, result: &Result<T, CallError>) -> Option<InputRequiredResult> {
        let (Err(CallError::Ask(AskError::Pending)), Some(ask)) = (result, &self.asking) else { return None };
        ask.input_required()
    }

    /// -32021 if a request of 2026-07-28 needs what its client does not say that it can do.
    pub(super) fn missing_capability(&self, error: &CallError) -> Option<ErrorData> {
        let needed = match error {
            CallError::Ask(AskError::Unsupported(capability)) => with(*capability),
            CallError::TaskRequired => ClientCapabilities::builder().enable_tasks().build(),
            _ => return None,
        };
        self.is_stateless.then(|| {
            let mut missing = ErrorData::missing_required_client_capability(needed);
            missing.message = error.to_string().into();
            missing
        })
    }

    /// How something fails whose result cannot say so: an error of JSON-RPC.
    pub(super) fn failed(&self, error: &CallError) -> ErrorData {
        if let Some(missing) = self.missing_capability(error) {
            return missing;
        }
        let message = error.to_string();
        match error {
            CallError::Unknown { kind: Kind::Resource, name } => {
                ErrorData::invalid_params(message, Some(json!({ "uri": name })))
            }
            CallError::Unknown { .. } | CallError::InvalidArguments(_) => ErrorData::invalid_params(message, None),
            _ => ErrorData::internal_error(message, None),
        }
    }
}

fn with(capability: Capability) -> ClientCapabilities {
    let mut capabilities = ClientCapabilities::default();
    let elicitation = ElicitationCapability::new();
    match capability {
        Capability::Sampling => capabilities.sampling = Some(rmcp::model::SamplingCapability::default()),
        Capability::Roots => capabilities.roots = Some(rmcp::model::RootsCapabilities::default()),
        Capability::Form => capabilities.elicitation = Some(elicitation),
        Capability::Url => capabilities.elicitation = Some(elicitation.with_url(UrlElicitationCapability::default())),
    }
    capabilities
}

fn foreign_state(principal: &Principal, kind: Kind, name: &str) -> ErrorData {
    let message = "`requestState` is not one of this server for this call";
    rules::deny(principal, kind, name, message);
    ErrorData::invalid_params(message, None)
}

/// What a `requestState` is good for: this caller, this method, this name, these arguments.
fn binding(principal: &Principal, asked: &Asked<'_>) -> Vec<u8> {
    let arguments = serde_json::to_vec(&asked.arguments).expect("JSON values");
    let Principal { issuer, subject, client_id, .. } = principal;
    let parts = json!([issuer, subject, client_id, asked.kind.method(), asked.name, sha256_base64url(&arguments)]);
    parts.to_string().into_bytes()
}
