//! What a call may ask of its caller while it runs.
#![expect(deprecated, reason = "sampling and roots are deprecated by SEP-2577, and the supported revisions have them")]

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, LazyLock},
};

use rmcp::model::{
    CreateMessageRequest, CreateMessageRequestParams, CreateMessageResult, ElicitRequest, ElicitRequestParams,
    ElicitResult, ElicitationAction, ElicitationSchema, InputRequest, ListRootsRequest, ListRootsResult,
    SamplingMessage, SamplingMessageContentBlock as Block,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{BoxFuture, schema};

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

/// A question in MCP's words: `sampling/createMessage`, `elicitation/create` or `roots/list`.
pub type Question = InputRequest;

/// The keys by which a call's questions go out: whoever asks by the same key again means another question.
#[derive(Debug, Default)]
pub(crate) struct Repeats(BTreeMap<String, usize>);

impl Repeats {
    /// The next one of this key: `key`, `key-2`, `key-3`.
    pub(crate) fn next(&mut self, key: &str) -> String {
        let times = self.0.entry(key.to_owned()).or_default();
        *times += 1;
        if *times == 1 { key.to_owned() } else { format!("{key}-{times}") }
    }
}

/// Asks the caller, by whichever way the revision of MCP has.
///
/// In the 2025 revisions a question goes out while the call waits. In 2026-07-28 it goes out as the result of the call:
/// whoever asked gets [`AskError::Pending`], ends, and **is run again from the start** once the answer has come. So ask
/// before anything with side effects, ask the same questions in the same order in every run, and hand `Pending` on with
/// `?`. Answers of earlier rounds come back with the caller, sealed: for the same caller and the same call only.
///
/// Each question has a key of its own within the call, which names it on the wire. An answer counts only for the question
/// that it was given to: if a run asks something else by the same key, that is asked anew. Questions that are asked
/// together (`tokio::try_join!`) go out in one round.
pub trait Ask: Send + Sync {
    /// Whether the caller can be asked that.
    fn can(&self, capability: Capability) -> bool;

    /// Has the caller's client answer a question. The answer has the form that MCP gives it.
    ///
    /// # Errors
    /// [`AskError`] says why there is no answer.
    fn put<'a>(&'a self, key: &'a str, question: Question) -> BoxFuture<'a, Result<Value, AskError>>;
}

impl dyn Ask + '_ {
    /// Has the caller's model complete a prompt, and gives its text.
    ///
    /// # Errors
    /// [`AskError`] says why there is no text.
    pub async fn sample(&self, key: &str, request: SampleRequest) -> Result<String, AskError> {
        let question = Question::CreateMessage(CreateMessageRequest::new(request.into()));
        text_of(self.answer(key, question).await?)
    }

    /// Has the person behind the caller fill in a form, and gives what was filled in.
    ///
    /// `T` is a struct of strings, numbers, booleans and enums; the doc comments of its fields are what the person reads
    /// beside them.
    ///
    /// # Errors
    /// [`AskError`] says why there is no form; [`AskError::Refused`] if the person declined.
    pub async fn elicit<T: DeserializeOwned + JsonSchema>(&self, key: &str, message: &str) -> Result<T, AskError> {
        let schema = Value::Object(schema::of_output::<T>());
        let requested_schema: ElicitationSchema = serde_json::from_value(schema)
            .map_err(|error| AskError::Failed(format!("the form is not one of plain fields: {error}")))?;
        let message = message.to_owned();
        let form = ElicitRequestParams::FormElicitationParams { meta: None, message, requested_schema };
        let answer = self.elicit_with(key, form).await?;
        if answer.action != ElicitationAction::Accept {
            return Err(AskError::Refused("the person declined".to_owned()));
        }
        serde_json::from_value(answer.content.unwrap_or_default())
            .map_err(|error| AskError::Refused(format!("the form is not filled in as asked: {error}")))
    }

    /// Has the person behind the caller fill in a form whose schema is written out, or visit a page; also says how they
    /// answered.
    ///
    /// # Errors
    /// [`AskError`] says why there is no answer.
    pub async fn elicit_with(&self, key: &str, request: ElicitRequestParams) -> Result<ElicitResult, AskError> {
        self.answer(key, Question::Elicitation(ElicitRequest::new(request))).await
    }

    /// The URIs of the folders that the caller works in.
    ///
    /// # Errors
    /// [`AskError`] says why there are none to know of.
    pub async fn roots(&self, key: &str) -> Result<Vec<String>, AskError> {
        let answer: ListRootsResult = self.answer(key, Question::ListRoots(ListRootsRequest::default())).await?;
        Ok(answer.roots.into_iter().map(|root| root.uri).collect())
    }

    async fn answer<T: DeserializeOwned>(&self, key: &str, question: Question) -> Result<T, AskError> {
        let capability = Capability::of(&question);
        let answer = self.put(key, question).await?;
        serde_json::from_value(answer)
            .map_err(|error| AskError::Refused(format!("the answer is none to {capability}: {error}")))
    }
}

/// Whether a value has the form of an answer to the question.
pub(crate) fn is_answer(question: &Question, answer: &Value) -> bool {
    fn is<T: DeserializeOwned>(answer: &Value) -> bool {
        T::deserialize(answer).is_ok()
    }
    match question {
        Question::CreateMessage(_) => is::<CreateMessageResult>(answer),
        Question::Elicitation(_) => is::<ElicitResult>(answer),
        Question::ListRoots(_) => is::<ListRootsResult>(answer),
        _ => false,
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

/// What a caller must be able to do to be asked something: an MCP client says so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capability {
    /// It has a model.
    Sampling,
    /// It can show a person a form.
    Form,
    /// It can lead a person to a page.
    Url,
    /// It works in folders that it can name.
    Roots,
}

impl Capability {
    /// What a question needs.
    pub(crate) fn of(question: &Question) -> Self {
        match question {
            Question::Elicitation(request) => match request.params {
                ElicitRequestParams::UrlElicitationParams { .. } => Self::Url,
                _ => Self::Form,
            },
            Question::ListRoots(_) => Self::Roots,
            _ => Self::Sampling,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sampling => "`sampling`",
            Self::Form => "`elicitation`",
            Self::Url => "`elicitation` by URL",
            Self::Roots => "`roots`",
        })
    }
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Over REST, or to a client without the capability.
    #[error("{}", missing(*.0))]
    Unsupported(Capability),
    /// The question is on its way; the call will be run again with the answer.
    #[error("the caller has to answer a question first")]
    Pending,
    /// The person or the client said no, or something that is no answer.
    #[error("the caller refused to answer: {0}")]
    Refused(String),
    /// The question or the answer was lost, or is not what was asked for.
    #[error("the caller could not be asked: {0}")]
    Failed(String),
}

const fn missing(capability: Capability) -> &'static str {
    match capability {
        Capability::Sampling => "this asks the caller's model, and the caller offers none (MCP `sampling`)",
        Capability::Form => "this asks the person behind the caller, who is shown no forms (MCP `elicitation`)",
        Capability::Url => {
            "this leads the person behind the caller to a page, which the caller cannot (MCP `elicitation.url`)"
        }
        Capability::Roots => "this asks for the caller's folders, and the caller names none (MCP `roots`)",
    }
}

/// Nobody to ask: for REST, and for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAsk;

impl NoAsk {
    /// As a context has it.
    pub fn shared() -> Arc<dyn Ask> {
        static NOBODY: LazyLock<Arc<NoAsk>> = LazyLock::new(Arc::default);
        Arc::clone(&*NOBODY) as _
    }
}

impl Ask for NoAsk {
    fn can(&self, _: Capability) -> bool {
        false
    }

    fn put<'a>(&'a self, _: &'a str, question: Question) -> BoxFuture<'a, Result<Value, AskError>> {
        Box::pin(std::future::ready(Err(AskError::Unsupported(Capability::of(&question)))))
    }
}
