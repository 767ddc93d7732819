//! `resources/read`, and what there is not at a URI.

use rmcp::{
    ErrorData, RoleServer,
    model::{ReadResourceRequestParams, ReadResourceResponse},
    service::RequestContext,
};
use serde_json::json;

use super::{Handler, round::Asked};
use crate::call::Kind;

impl Handler {
    pub(super) async fn read(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let resources = &self.shared.features.resources;
        let asked = Asked {
            kind: Kind::Resource,
            name: &request.uri,
            asks: resources.find(&request.uri).is_some_and(|definition| definition.asks),
            arguments: None,
            state: request.request_state.as_deref(),
            responses: request.input_responses,
        };
        let round = self.begin(context, asked).await?;
        let result = resources.read(&request.uri, &round.call).await;
        if let Some(questions) = round.questions(&result) {
            return Ok(questions.into());
        }
        result.map(Into::into).map_err(|error| round.failed(&error))
    }

    /// # Errors
    /// -32602: there is no such resource.
    pub(super) fn known_resource(&self, uri: &str) -> Result<(), ErrorData> {
        self.shared.features.resources.find(uri).map(drop).ok_or_else(|| none_at("resource", uri))
    }
}

/// -32602: there is no such thing at this URI.
pub(super) fn none_at(what: &str, uri: &str) -> ErrorData {
    let uri = Kind::Resource.shortened(uri);
    ErrorData::invalid_params(format!("there is no {what} `{uri}`"), Some(json!({ "uri": uri })))
}
