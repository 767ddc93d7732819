//! `tools/list` and `tools/call`.

use std::sync::Arc;

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject},
    service::RequestContext,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    Handler,
    round::{Asked, Round},
};
use crate::{
    auth::Principal,
    call::{CallError, Kind, TaskSupport},
    tools::Output,
};

impl Handler {
    pub(super) async fn call(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let definition = self.shared.features.tools.find(&request.name);
        let asked = Asked {
            kind: Kind::Tool,
            name: &request.name,
            asks: definition.as_ref().is_some_and(|definition| definition.asks),
            arguments: Some(&arguments),
            state: request.request_state.as_deref(),
            responses: request.input_responses,
        };
        let knows_tasks = context.client_capabilities().is_some_and(|capabilities| capabilities.supports_tasks());
        let round = self.begin(context, asked).await?;
        match definition {
            Some(definition) if knows_tasks && definition.task != TaskSupport::Never => {
                self.call_as_task(definition, arguments, round).await
            }
            definition => {
                let shows = definition.and_then(|definition| definition.shows);
                self.called(&request.name, shows, arguments, &round).await
            }
        }
    }

    pub(super) async fn called(
        &self,
        name: &str,
        shows: Option<&str>,
        arguments: JsonObject,
        round: &Round,
    ) -> Result<CallToolResponse, ErrorData> {
        let result = self.shared.features.tools.call(name, arguments, &round.call).await;
        match round.questions(&result) {
            Some(questions) => Ok(questions.into()),
            None => self.ended(round, shows, result),
        }
    }

    /// Runs a tool for a stateless request that has nobody to ask and nobody to tell.
    pub(in crate::server) async fn call_alone(
        &self,
        principal: Arc<Principal>,
        cancel: CancellationToken,
        name: &str,
        shows: Option<&str>,
        arguments: JsonObject,
    ) -> Result<CallToolResponse, ErrorData> {
        let round = self.alone(principal, cancel);
        let result = self.shared.features.tools.call(name, arguments, &round.call).await;
        self.ended(&round, shows, result)
    }

    fn ended(
        &self,
        round: &Round,
        shows: Option<&str>,
        result: Result<Output, CallError>,
    ) -> Result<CallToolResponse, ErrorData> {
        match result {
            Ok(output) => Ok(answer(output, shows).into()),
            // It may well be a tool of the guarded server, which has not said yet what it has.
            Err(CallError::Unknown { .. }) if let Some(excuse) = self.shared.excuse() => {
                Ok(CallToolResult::error(vec![ContentBlock::text(excuse)]).into())
            }
            Err(error @ CallError::Unknown { .. }) => Err(round.failed(&error)),
            Err(CallError::Rpc(error)) => Err(error),
            // Told as a result, so that a model reads it and can do better.
            Err(error) => match round.missing_capability(&error) {
                Some(missing) => Err(missing),
                None => Ok(CallToolResult::error(vec![ContentBlock::text(error.to_string())]).into()),
            },
        }
    }
}

fn answer(output: Output, shows: Option<&str>) -> CallToolResult {
    match output {
        Output::Upstream(result) => *result,
        Output::Content(content) => CallToolResult::success(content),
        Output::Value(value) => {
            let text = for_people(&value, shows);
            // `CallToolResult::structured` would write the whole value as a text that is not wanted.
            let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
            result.structured_content = Some(value);
            result
        }
    }
}

/// A result as a person reads it: the one member that the tool shows, else all of it.
fn for_people(result: &Value, shows: Option<&str>) -> String {
    match shows.and_then(|member| result.get(member)) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => result.to_string(),
    }
}
