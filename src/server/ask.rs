//! How a tool's question reaches the caller's model: the two implementations of [`Ask`].
//!
//! The 2025 revisions let a server send a request of its own and wait. 2026-07-28 does not: the call ends with the
//! question (`input_required`), the client calls again with the answer, and the tool runs anew from its start, this time
//! finding its answer (SEP-2322).
#![expect(deprecated, reason = "sampling is deprecated by SEP-2577, and it is what the supported revisions have")]

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rmcp::{
    RoleServer,
    model::{
        CreateMessageRequest, CreateMessageRequestParams, CreateMessageResult, InputRequest, InputRequiredResult,
        InputResponses, RequestStateCodec, SealOptions,
    },
    service::Peer,
};
use serde_json::Value;

use crate::{
    secret::sha256_base64url,
    tools::{Ask, AskError, BoxFuture},
};

/// How long a client may take between the question and its answer.
const STATE_LIFETIME: Duration = Duration::from_mins(10);

/// Asks within a session: sends `sampling/createMessage` and waits.
pub(super) struct SessionAsk {
    peer: Peer<RoleServer>,
    can_sample: bool,
}

impl SessionAsk {
    pub(super) fn new(peer: Peer<RoleServer>) -> Self {
        let can_sample = peer.peer_info().is_some_and(|client| client.capabilities.sampling.is_some());
        Self { peer, can_sample }
    }
}

impl Ask for SessionAsk {
    fn create_message(
        &self,
        request: CreateMessageRequestParams,
    ) -> BoxFuture<'_, Result<CreateMessageResult, AskError>> {
        Box::pin(async move {
            if !self.can_sample {
                return Err(AskError::Unsupported);
            }
            self.peer.create_message(request).await.map_err(|error| AskError::Refused(error.to_string()))
        })
    }
}

/// Answers out of what the client sent along, and notes the first question that has no answer yet.
pub(super) struct RoundTripAsk {
    can_sample: bool,
    answers: BTreeMap<String, Value>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    asked: usize,
    open_question: Option<(String, CreateMessageRequestParams)>,
}

/// The client echoed a state that is not ours, not for this call, or too old.
#[derive(Debug)]
pub(super) struct BadState;

impl RoundTripAsk {
    /// `binding` ties the state to caller and call: another caller, tool or argument cannot use it.
    pub(super) fn new(
        codec: &RequestStateCodec,
        binding: &[u8],
        can_sample: bool,
        state: Option<&str>,
        responses: Option<InputResponses>,
    ) -> Result<Self, BadState> {
        let mut answers = match state {
            None => BTreeMap::new(),
            Some(state) => {
                let bytes = codec.open_with(state, binding).map_err(|_| BadState)?;
                serde_json::from_slice(&bytes).map_err(|_| BadState)?
            }
        };
        answers.extend(responses.into_iter().flatten());
        Ok(Self { can_sample, answers, progress: Mutex::default() })
    }

    /// The answer to a run that ended with a question, if it did.
    pub(super) fn input_required(&self, codec: &RequestStateCodec, binding: &[u8]) -> Option<InputRequiredResult> {
        let (key, parameters) = self.progress.lock().unwrap_or_else(PoisonError::into_inner).open_question.take()?;
        let answered = serde_json::to_vec(&self.answers).expect("a map of JSON values");
        let state = codec.seal_with(&answered, &SealOptions::new().associated_data(binding).ttl(STATE_LIFETIME));
        let request = InputRequest::CreateMessage(CreateMessageRequest::new(parameters));
        Some(InputRequiredResult::new(Some(BTreeMap::from([(key, request)])), Some(state)))
    }
}

impl Ask for RoundTripAsk {
    fn create_message(
        &self,
        request: CreateMessageRequestParams,
    ) -> BoxFuture<'_, Result<CreateMessageResult, AskError>> {
        Box::pin(async move {
            if !self.can_sample {
                return Err(AskError::Unsupported);
            }
            let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            // A tool that asks something else when it runs anew must not take the answer to what it asked before.
            let question = sha256_base64url(&serde_json::to_vec(&request).expect("JSON values"));
            let key = format!("sample-{}-{question}", progress.asked);
            progress.asked += 1;
            let Some(answer) = self.answers.get(&key) else {
                progress.open_question.get_or_insert((key, request));
                return Err(AskError::Pending);
            };
            serde_json::from_value(answer.clone())
                .map_err(|error| AskError::Refused(format!("the answer is not a sampling result: {error}")))
        })
    }
}
