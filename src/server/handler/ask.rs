//! How a question reaches the caller: the two implementations of [`Ask`].
//!
//! The 2025 revisions let a server send a request of its own and wait. 2026-07-28 does not: the call ends with the
//! questions (`input_required`), the client calls again with the answers, and the call runs anew from its start, this time
//! finding its answers (SEP-2322).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rmcp::{
    RoleServer,
    model::{
        ClientCapabilities, ClientResult, InputRequests, InputRequiredResult, InputResponses, SealOptions,
        ServerRequest,
    },
    service::Peer,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    call::{Ask, AskError, BoxFuture, Capability, Question, Repeats, is_answer},
    secret::sha256_base64url,
    server::shared_secret::{Key, Keys},
};

/// How long a client may take between the question and its answer.
const STATE_LIFETIME: Duration = Duration::from_mins(10);

/// Whether a client with these capabilities can be asked that. A client that names no way of elicitation shows forms.
fn can(capabilities: &ClientCapabilities, capability: Capability) -> bool {
    let elicitation = capabilities.elicitation.as_ref();
    match capability {
        Capability::Sampling => capabilities.sampling.is_some(),
        Capability::Form => elicitation.is_some_and(|ways| ways.form.is_some() || ways.url.is_none()),
        Capability::Url => elicitation.is_some_and(|ways| ways.url.is_some()),
        Capability::Roots => capabilities.roots.is_some(),
    }
}

/// Asks within a session: sends a request and waits.
pub(super) struct SessionAsk {
    peer: Peer<RoleServer>,
    capabilities: ClientCapabilities,
}

impl SessionAsk {
    pub(super) fn new(peer: Peer<RoleServer>) -> Self {
        let capabilities = peer.peer_info().map(|client| client.capabilities.clone()).unwrap_or_default();
        Self { peer, capabilities }
    }
}

impl Ask for SessionAsk {
    fn can(&self, capability: Capability) -> bool {
        can(&self.capabilities, capability)
    }

    fn put<'a>(&'a self, _key: &'a str, question: Question) -> BoxFuture<'a, Result<Value, AskError>> {
        Box::pin(async move {
            let capability = Capability::of(&question);
            if !self.can(capability) {
                return Err(AskError::Unsupported(capability));
            }
            let request = match question {
                Question::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
                Question::Elicitation(request) => ServerRequest::ElicitRequest(request),
                Question::ListRoots(request) => ServerRequest::ListRootsRequest(request),
                _ => return Err(AskError::Unsupported(capability)),
            };
            let answer = self.peer.send_request(request).await;
            let answer = match answer.map_err(|error| AskError::Refused(error.to_string()))? {
                ClientResult::CreateMessageResult(answer) => serde_json::to_value(answer),
                ClientResult::ElicitResult(answer) => serde_json::to_value(answer),
                ClientResult::ListRootsResult(answer) => serde_json::to_value(answer),
                ClientResult::CustomResult(answer) => Ok(answer.0),
                _ => return Err(AskError::Refused("the answer is none to this question".to_owned())),
            };
            answer.map_err(|error| AskError::Refused(format!("the answer is not JSON: {error}")))
        })
    }
}

/// Answers out of what the client sent along, and notes the questions that have no answer yet.
pub(super) struct RoundTripAsk {
    capabilities: ClientCapabilities,
    /// The questions that were asked in earlier rounds, and what has been answered.
    known: Known,
    progress: Mutex<Progress>,
    /// What a state is sealed by, and for.
    key: Arc<Key>,
    binding: Vec<u8>,
}

/// What goes to the client and back, sealed.
#[derive(Default, Serialize, Deserialize)]
struct Known {
    /// By key: the hash of the question that was asked.
    asked: BTreeMap<String, String>,
    answers: InputResponses,
}

/// What this run has asked until now.
#[derive(Default)]
struct Progress {
    repeats: Repeats,
    open: InputRequests,
    asked: BTreeMap<String, String>,
}

/// The client echoed a state that is not ours, not for this call, or too old.
#[derive(Debug)]
pub(super) struct BadState;

impl RoundTripAsk {
    /// `binding` ties the state to caller and call: another caller, another call or other arguments cannot use it.
    pub(super) fn new(
        keys: &Keys,
        binding: Vec<u8>,
        capabilities: ClientCapabilities,
        state: Option<&str>,
        responses: Option<InputResponses>,
    ) -> Result<Self, BadState> {
        let mut known: Known = match state {
            None => Known::default(),
            Some(state) => {
                let bytes = keys.all().find_map(|key| key.states.open_with(state, &binding).ok()).ok_or(BadState)?;
                serde_json::from_slice(&bytes).map_err(|_| BadState)?
            }
        };
        known.answers.extend(responses.into_iter().flatten());
        Ok(Self { capabilities, known, progress: Mutex::default(), key: Arc::clone(&keys.current), binding })
    }

    /// The answer to a run that ended with questions, if it did.
    pub(super) fn input_required(&self) -> Option<InputRequiredResult> {
        let mut progress = self.progress();
        let open = std::mem::take(&mut progress.open);
        if open.is_empty() {
            return None;
        }
        // Only what this run has asked: what a client sends besides is not carried on.
        let asked = std::mem::take(&mut progress.asked);
        let is_answered = |key: &&String| asked.contains_key(*key) && !open.contains_key(*key);
        let answers = self.known.answers.iter().filter(|(key, _)| is_answered(key));
        let answers = answers.map(|(key, answer)| (key.clone(), answer.clone())).collect();
        let known = serde_json::to_vec(&Known { asked, answers }).expect("maps of JSON values");
        let options = SealOptions::new().associated_data(&self.binding).ttl(STATE_LIFETIME);
        let state = self.key.states.seal_with(&known, &options);
        Some(InputRequiredResult::new(Some(open), Some(state)))
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a question, or a note that it has none.
    fn find(&self, key: &str, question: Question) -> Option<Value> {
        let hash = sha256_base64url(&serde_json::to_vec(&question).expect("JSON values"));
        let mut progress = self.progress();
        let key = progress.repeats.next(key);
        progress.asked.insert(key.clone(), hash.clone());
        // An answer to something else that was once asked by this key is none to this.
        let is_same = self.known.asked.get(&key).is_none_or(|asked| *asked == hash);
        let answer = self.known.answers.get(&key).filter(|answer| is_same && is_answer(&question, answer));
        if answer.is_none() {
            progress.open.insert(key, question);
        }
        answer.cloned()
    }
}

impl Ask for RoundTripAsk {
    fn can(&self, capability: Capability) -> bool {
        can(&self.capabilities, capability)
    }

    fn put<'a>(&'a self, key: &'a str, question: Question) -> BoxFuture<'a, Result<Value, AskError>> {
        Box::pin(async move {
            let capability = Capability::of(&question);
            if !self.can(capability) {
                return Err(AskError::Unsupported(capability));
            }
            if let Some(answer) = self.find(key, question) {
                return Ok(answer);
            }
            // Questions that are asked at the same time are all noted before the first of them ends the run.
            tokio::task::yield_now().await;
            Err(AskError::Pending)
        })
    }
}
