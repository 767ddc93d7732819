//! An MCP session over Streamable HTTP, of whichever revision the server speaks.

use std::{pin::Pin, sync::Arc};

use rmcp::model::{CallToolResult, Tool};
use serde_json::{Map, Value};

use super::{Client, ClientError, discover::DiscoverError};

/// A future without a name.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Answers a server that asks for its caller's model.
pub trait Sampler: Send + Sync {
    /// Answers one `sampling/createMessage`, whose params these are, with a text, or with the reason why not.
    fn sample(&self, request: Value) -> BoxFuture<'_, Result<String, String>>;
}

/// An open session.
#[derive(Debug)]
pub struct Session {
    protocol_version: String,
    server_name: String,
}

impl Client {
    /// Opens a session; gets a token on the way if the server asks for one.
    ///
    /// Without a sampler the server is not offered sampling.
    #[expect(clippy::unused_async, reason = "the body comes next")]
    pub async fn connect(&self, _sampler: Option<Arc<dyn Sampler>>) -> Result<Session, ClientError> {
        Err(DiscoverError::Unbuilt.into())
    }
}

impl Session {
    /// Every tool of the server, page by page.
    #[expect(clippy::unused_async, reason = "the body comes next")]
    pub async fn list_tools(&self) -> Result<Vec<Tool>, ClientError> {
        Err(DiscoverError::Unbuilt.into())
    }

    /// Calls a tool. An error that the tool itself reports is a result with `is_error`.
    #[expect(clippy::unused_async, reason = "the body comes next")]
    pub async fn call_tool(&self, _name: &str, _arguments: Map<String, Value>) -> Result<CallToolResult, ClientError> {
        Err(DiscoverError::Unbuilt.into())
    }

    /// The revision that is spoken.
    pub fn protocol_version(&self) -> String {
        self.protocol_version.clone()
    }

    /// How the server calls itself, unescaped; empty if it does not say.
    pub fn server_name(&self) -> String {
        self.server_name.clone()
    }

    /// Ends the session at the server too.
    #[expect(clippy::unused_async, reason = "the body comes next")]
    pub async fn close(self) {}
}
