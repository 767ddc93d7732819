//! What a guarded server asks during a call, passed on to the client of whoever made that call, if the settings allow it.
#![expect(deprecated, reason = "MCP deprecates sampling and roots (SEP-2577); servers still ask for them")]

use futures_util::future::join_all;
use rmcp::model::{
    ClientCapabilities, ElicitRequestParams, ElicitationCapability, FormElicitationCapability, InputRequest,
    InputRequests, InputResponses, JsonObject, RootsCapabilities, SamplingCapability, TASKS_EXTENSION_ID,
    UrlElicitationCapability,
};
use url::Url;

use super::calls::Failure;
use crate::{
    call::{Ask, AskError, CallContext, Capability},
    config::MayAsk,
    oauth::is_https_or_loopback,
    said::{without_deception, without_deception_in},
};

/// How often a guarded server may ask during one call: questions, and answers that want nothing but the call again.
const MAX_QUESTIONS: usize = 8;

/// The questions of one call. How long the answers may take is bounded by the time that the call has.
pub(super) struct Questions<'a> {
    caller: &'a dyn Ask,
    may_ask: MayAsk,
    knows_tasks: bool,
    left: usize,
}

impl<'a> Questions<'a> {
    pub(super) fn of(context: &'a CallContext, may_ask: MayAsk) -> Self {
        Self { caller: context.ask.as_ref(), may_ask, knows_tasks: context.knows_tasks(), left: MAX_QUESTIONS }
    }

    /// Whether the caller knows tasks.
    pub(super) const fn know_tasks(&self) -> bool {
        self.knows_tasks
    }

    /// What the guarded server is told that it may ask: what is allowed, and the caller's client can answer.
    pub(super) fn capabilities(&self) -> ClientCapabilities {
        let can = |capability| self.allows(capability) && self.caller.can(capability);
        let (form, url) = (can(Capability::Form), can(Capability::Url));
        let mut capabilities = ClientCapabilities::default();
        capabilities.sampling = can(Capability::Sampling).then(SamplingCapability::default);
        capabilities.roots = can(Capability::Roots).then(RootsCapabilities::default);
        capabilities.elicitation = (form || url).then(|| {
            let mut ways = ElicitationCapability::new();
            ways.form = form.then(FormElicitationCapability::default);
            ways.url = url.then(UrlElicitationCapability::default);
            ways
        });
        if self.knows_tasks {
            let extensions = capabilities.extensions.get_or_insert_default();
            extensions.insert(TASKS_EXTENSION_ID.to_owned(), JsonObject::new());
        }
        capabilities
    }

    /// What of it the guarded server cannot do without, and the caller's client cannot do.
    pub(super) fn missing(&self, needed: &ClientCapabilities) -> Option<Capability> {
        let url = needed.elicitation.as_ref().map(|ways| ways.url.is_some());
        let needed = [
            needed.sampling.is_some().then_some(Capability::Sampling),
            needed.roots.is_some().then_some(Capability::Roots),
            url.map(|url| if url { Capability::Url } else { Capability::Form }),
        ];
        needed.into_iter().flatten().find(|capability| self.allows(*capability) && !self.caller.can(*capability))
    }

    fn allows(&self, capability: Capability) -> bool {
        match capability {
            Capability::Sampling => self.may_ask.sampling,
            Capability::Form | Capability::Url => self.may_ask.elicitation,
            Capability::Roots => self.may_ask.roots,
        }
    }

    /// Has the caller's client answer all of them, or none if one is not allowed.
    pub(super) async fn pass_on(
        &mut self,
        requests: Option<InputRequests>,
        upstream: &str,
    ) -> Result<InputResponses, Failure> {
        let requests = requests.unwrap_or_default();
        if let Some(kind) = requests.values().find_map(|request| self.refused(request)) {
            tracing::warn!(upstream, kind, "the guarded server asks its caller something that is not allowed");
            let message = "asks its caller something, which is not passed on here";
            return Err(Failure::Failed(format!("the guarded server `{upstream}` {message} ({kind})")));
        }
        let asked = requests.len().max(1);
        self.left = self.left.checked_sub(asked).ok_or_else(|| {
            let message = format!("asks its caller more than {MAX_QUESTIONS} questions in one call");
            Failure::Failed(format!("the guarded server `{upstream}` {message}"))
        })?;
        // Together, so that a client of 2026-07-28 gets them in one round.
        let caller = self.caller;
        let answers = requests.into_iter().map(async |(key, request)| {
            let answer = match passed_on(request) {
                Ok(request) => caller.put(&key, request).await,
                Err(error) => Err(error),
            };
            answer.map(|answer| (key, answer))
        });
        Ok(join_all(answers).await.into_iter().collect::<Result<_, _>>()?)
    }

    /// What kind of question it is, if it is not one to pass on.
    fn refused(&self, request: &InputRequest) -> Option<&'static str> {
        match request {
            InputRequest::CreateMessage(request) if request.params.tools.is_some() => Some("sampling with tools"),
            InputRequest::CreateMessage(_) => (!self.may_ask.sampling).then_some("sampling"),
            InputRequest::Elicitation(_) if !self.may_ask.elicitation => Some("elicitation"),
            InputRequest::Elicitation(request) => match &request.params {
                ElicitRequestParams::UrlElicitationParams { url, .. } => {
                    let is_good = Url::parse(url).is_ok_and(|url| is_https_or_loopback(&url));
                    (!is_good).then_some("elicitation by a URL that is not https")
                }
                _ => None,
            },
            InputRequest::ListRoots(_) => (!self.may_ask.roots).then_some("roots"),
            _ => Some("of an unknown kind"),
        }
    }
}

/// Without what is about the connection behind us, without the wish to see what other servers have told the client, and
/// without what could draw on a person's terminal.
fn passed_on(mut request: InputRequest) -> Result<InputRequest, AskError> {
    match &mut request {
        InputRequest::CreateMessage(request) => {
            (request.params.meta, request.params.include_context) = (None, None);
        }
        InputRequest::Elicitation(request) => match &mut request.params {
            ElicitRequestParams::FormElicitationParams { meta, message, requested_schema } => {
                (*meta, *message) = (None, without_deception(message));
                let form = serde_json::to_value(&*requested_schema).and_then(|mut form| {
                    without_deception_in(&mut form);
                    serde_json::from_value(form)
                });
                *requested_schema = form.map_err(|error| AskError::Failed(format!("the form is none: {error}")))?;
            }
            ElicitRequestParams::UrlElicitationParams { meta, message, .. } => {
                (*meta, *message) = (None, without_deception(message));
            }
            _ => {}
        },
        InputRequest::ListRoots(list) => *list = rmcp::model::ListRootsRequest::default(),
        _ => {}
    }
    Ok(request)
}
