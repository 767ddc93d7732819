//! What a tool may ask of its caller while it runs.
#![expect(deprecated, reason = "sampling is deprecated by SEP-2577, and it is what the supported revisions have")]

use rmcp::model::{
    CreateMessageRequestParams, CreateMessageResult, SamplingMessage, SamplingMessageContentBlock as Block,
};

use super::BoxFuture;

/// A question to the caller's model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleRequest {
    /// What the model is to answer.
    pub prompt: String,
    /// How it is to behave.
    pub system: Option<String>,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
}

/// Asks the caller, by whichever way the revision of MCP has.
///
/// In the 2025 revisions the question goes out while the tool waits. In 2026-07-28 it goes out as the result of the call:
/// the tool gets [`AskError::Pending`], ends, and **is run again from the start** once the answer has come. So a tool asks
/// before it does anything with side effects, asks the same questions in the same order in every run, and hands `Pending`
/// on with `?`.
pub trait Ask: Send + Sync {
    /// Has the caller's model answer a conversation, as MCP's `sampling/createMessage` says it.
    ///
    /// # Errors
    /// [`AskError`] says why there is no answer.
    fn create_message(
        &self,
        request: CreateMessageRequestParams,
    ) -> BoxFuture<'_, Result<CreateMessageResult, AskError>>;

    /// Has the caller's model complete a prompt, and gives its text.
    ///
    /// # Errors
    /// [`AskError`] says why there is no text.
    fn sample(&self, request: SampleRequest) -> BoxFuture<'_, Result<String, AskError>> {
        let answer = self.create_message(request.into());
        Box::pin(async move { text_of(answer.await?) })
    }
}

impl From<SampleRequest> for CreateMessageRequestParams {
    fn from(request: SampleRequest) -> Self {
        let mut parameters = Self::new(vec![SamplingMessage::user_text(request.prompt)], request.max_tokens);
        parameters.system_prompt = request.system;
        parameters
    }
}

fn text_of(answer: CreateMessageResult) -> Result<String, AskError> {
    let texts: Vec<_> = answer
        .message
        .content
        .into_vec()
        .into_iter()
        .filter_map(|block| match block {
            Block::Text(text) => Some(text.text),
            _ => None,
        })
        .collect();
    if texts.is_empty() {
        return Err(AskError::Refused("the answer has no text".to_owned()));
    }
    Ok(texts.join("\n"))
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Over REST, or to a client without the capability.
    #[error("this tool asks the caller's model, and the caller offers none (MCP `sampling`)")]
    Unsupported,
    /// The question is on its way; the tool will be run again with the answer.
    #[error("the caller has to answer a question first")]
    Pending,
    /// The person or the client said no.
    #[error("the caller refused to answer: {0}")]
    Refused(String),
    /// The question or the answer was lost, or is not what was asked for.
    #[error("the caller could not be asked: {0}")]
    Failed(String),
}

/// Nobody to ask: for REST, and for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAsk;

impl Ask for NoAsk {
    fn create_message(&self, _: CreateMessageRequestParams) -> BoxFuture<'_, Result<CreateMessageResult, AskError>> {
        Box::pin(std::future::ready(Err(AskError::Unsupported)))
    }
}
