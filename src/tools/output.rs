//! What a tool may give.

use rmcp::model::ContentBlock;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Output, ToolError};
use crate::call::{JsonObject, schema};

/// What a tool may give: anything with a schema, or [`Content`].
pub trait ToolOutput {
    /// Its JSON Schema (2020-12), if it has one.
    fn schema() -> Option<JsonObject>;

    /// The result of a call.
    ///
    /// # Errors
    /// It is no JSON.
    fn into_output(self) -> Result<Output, ToolError>;
}

impl<T: Serialize + JsonSchema> ToolOutput for T {
    fn schema() -> Option<JsonObject> {
        Some(schema::of_output::<T>())
    }

    fn into_output(self) -> Result<Output, ToolError> {
        let value = serde_json::to_value(self);
        value.map(Output::Value).map_err(|error| ToolError::Failed(format!("the result is not JSON: {error}")))
    }
}

/// A result of content blocks, for people and models: text, images, audio, resources.
#[derive(Clone, Debug, PartialEq)]
pub struct Content(pub Vec<ContentBlock>);

impl Content {
    /// One text.
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![ContentBlock::text(text)])
    }
}

impl ToolOutput for Content {
    fn schema() -> Option<JsonObject> {
        None
    }

    fn into_output(self) -> Result<Output, ToolError> {
        Ok(Output::Content(self.0))
    }
}
