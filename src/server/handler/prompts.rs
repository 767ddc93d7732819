//! `prompts/get`, and what arguments may be: `completion/complete`.

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CompleteRequestParams, CompleteResult, CompletionInfo, GetPromptRequestParams, GetPromptResponse, Reference,
    },
    service::RequestContext,
};

use super::{Handler, round::Asked};
use crate::call::{Begun, Kind};

impl Handler {
    pub(super) async fn give(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let prompts = &self.shared.features.prompts;
        let arguments = request.arguments.unwrap_or_default();
        let asked = Asked {
            kind: Kind::Prompt,
            name: &request.name,
            asks: prompts.find(&request.name).is_some_and(|definition| definition.asks),
            arguments: Some(&arguments),
            state: request.request_state.as_deref(),
            responses: request.input_responses,
        };
        let round = self.begin(context, asked).await?;
        let result = prompts.get(&request.name, arguments, &round.call).await;
        if let Some(questions) = round.questions(&result) {
            return Ok(questions.into());
        }
        result.map(Into::into).map_err(|error| round.failed(&error))
    }

    pub(super) async fn completed(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let (kind, name) = match request.r#ref {
            Reference::Prompt(prompt) => (Kind::Prompt, prompt.name),
            Reference::Resource(resource) => (Kind::Resource, resource.uri),
            _ => return Err(ErrorData::invalid_params("`ref` is neither a prompt nor a resource", None)),
        };
        let asked = Asked { kind, name: &name, asks: false, arguments: None, state: None, responses: None };
        let round = self.begin(context, asked).await?;
        let others = request.context.and_then(|context| context.arguments).unwrap_or_default();
        let begun = Begun { name: request.argument.name, value: request.argument.value, others };
        let features = &self.shared.features;
        let values = match kind {
            Kind::Prompt => features.prompts.complete(&name, &begun, &round.call).await,
            _ => features.resources.complete(&name, &begun, &round.call).await,
        };
        let values = values.map_err(|error| round.failed(&error))?;
        Ok(CompleteResult::new(told(values)))
    }
}

/// As many of them as MCP allows in one answer.
fn told(mut values: Vec<String>) -> CompletionInfo {
    let total = u32::try_from(values.len()).ok();
    let has_more = values.len() > CompletionInfo::MAX_VALUES;
    values.truncate(CompletionInfo::MAX_VALUES);
    let mut told = CompletionInfo::new(values).expect("no more than it allows");
    (told.total, told.has_more) = (total, Some(has_more));
    told
}
