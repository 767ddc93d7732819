//! What a guarded server asks during a call, passed on to the client of whoever made that call, if the settings allow it.
#![expect(deprecated, reason = "MCP deprecates sampling (SEP-2577); servers still ask for it")]

use rmcp::model::{CreateMessageRequestParams, InputRequest, InputRequests, InputResponses};

use crate::tools::{Ask, ToolError};

/// How often a guarded server may ask during one call: questions, and answers that want nothing but the call again.
const MAX_QUESTIONS: usize = 8;

/// The questions of one call. How long the answers may take is bounded by the time that the call has.
pub(super) struct Questions<'a> {
    caller: &'a dyn Ask,
    may_sample: bool,
    left: usize,
}

impl<'a> Questions<'a> {
    pub(super) fn to(caller: &'a dyn Ask, may_sample: bool) -> Self {
        Self { caller, may_sample, left: MAX_QUESTIONS }
    }

    /// Has the caller's client answer all of them, or none that is not allowed.
    pub(super) async fn pass_on(
        &mut self,
        requests: Option<InputRequests>,
        upstream: &str,
    ) -> Result<InputResponses, ToolError> {
        let requests = requests.unwrap_or_default();
        if let Some(kind) = requests.values().find_map(|request| self.refused(request)) {
            tracing::warn!(upstream, kind, "the guarded server asks its caller something that is not allowed");
            let message = "asks its caller something, which is not passed on here";
            return Err(ToolError::Failed(format!("the guarded server `{upstream}` {message} ({kind})")));
        }
        let asked = requests.len().max(1);
        self.left = self.left.checked_sub(asked).ok_or_else(|| {
            let message = format!("asks its caller more than {MAX_QUESTIONS} questions in one call");
            ToolError::Failed(format!("the guarded server `{upstream}` {message}"))
        })?;
        let mut responses = InputResponses::new();
        for (key, request) in requests {
            if let InputRequest::CreateMessage(mut request) = request {
                request.params = passed_on(request.params);
                let answer = self.caller.put(&key, InputRequest::CreateMessage(request)).await?;
                responses.insert(key, answer);
            }
        }
        Ok(responses)
    }

    /// What kind of question it is, if it is not one to pass on.
    fn refused(&self, request: &InputRequest) -> Option<&'static str> {
        match request {
            InputRequest::CreateMessage(request) if request.params.tools.is_some() => Some("sampling with tools"),
            InputRequest::CreateMessage(_) if self.may_sample => None,
            InputRequest::CreateMessage(_) => Some("sampling"),
            InputRequest::Elicitation(_) => Some("elicitation"),
            InputRequest::ListRoots(_) => Some("roots"),
            _ => Some("of an unknown kind"),
        }
    }
}

/// Without what is about the connection behind us, and without the wish to see what other servers have told the client.
fn passed_on(mut params: CreateMessageRequestParams) -> CreateMessageRequestParams {
    (params.meta, params.include_context) = (None, None);
    params
}
