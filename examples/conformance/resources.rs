//! What can be read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use securemcp::{
    call::{Begun, CallContext},
    resources::{Read, Requested, Resource, ResourceError},
};
use serde_json::json;

use crate::content::IMAGE;

/// A text that never changes.
pub(crate) struct StaticText;

impl Resource for StaticText {
    const URI: &'static str = "test://static-text";
    const NAME: &'static str = "Static text";
    const DESCRIPTION: &'static str = "A text that never changes.";
    const MIME_TYPE: &'static str = "text/plain";
    const SCOPES: &'static [&'static str] = &["mcp:read"];

    async fn read(&self, _: &Requested<'_>, _: &CallContext) -> Result<Read, ResourceError> {
        Ok(Read::Text("This is the content of the static text resource.".to_owned()))
    }
}

/// An image that never changes.
pub(crate) struct StaticBinary;

impl Resource for StaticBinary {
    const URI: &'static str = "test://static-binary";
    const NAME: &'static str = "Static binary";
    const DESCRIPTION: &'static str = "An image that never changes.";
    const MIME_TYPE: &'static str = "image/png";
    const SCOPES: &'static [&'static str] = &["mcp:read"];

    async fn read(&self, _: &Requested<'_>, _: &CallContext) -> Result<Read, ResourceError> {
        Ok(Read::Bytes(STANDARD.decode(IMAGE).expect("a literal")))
    }
}

/// A text that callers subscribe to.
pub(crate) struct Watched;

impl Resource for Watched {
    const URI: &'static str = "test://watched-resource";
    const NAME: &'static str = "Watched";
    const DESCRIPTION: &'static str = "A text that callers subscribe to.";
    const MIME_TYPE: &'static str = "text/plain";
    const SCOPES: &'static [&'static str] = &["mcp:read"];

    async fn read(&self, _: &Requested<'_>, _: &CallContext) -> Result<Read, ResourceError> {
        Ok(Read::Text("Watched resource content".to_owned()))
    }
}

/// As many resources as there are ids.
pub(crate) struct Template;

impl Resource for Template {
    const URI: &'static str = "test://template/{id}/data";
    const NAME: &'static str = "Template";
    const DESCRIPTION: &'static str = "Data by id.";
    const MIME_TYPE: &'static str = "application/json";
    const SCOPES: &'static [&'static str] = &["mcp:read"];
    const COMPLETES: bool = true;

    async fn read(&self, requested: &Requested<'_>, _: &CallContext) -> Result<Read, ResourceError> {
        let id = requested.variable("id");
        let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
        Ok(Read::Text(data.to_string()))
    }

    async fn complete(&self, begun: &Begun, _: &CallContext) -> Vec<String> {
        let ids = ["1", "2", "3"].into_iter().filter(|id| id.starts_with(&begun.value));
        ids.map(str::to_owned).collect()
    }
}
