//! The HTTP below an MCP session: rmcp's own client, with our token, our bounds and our words.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderName, HeaderValue, Method};
use rmcp::{
    model::{ClientJsonRpcMessage, ClientRequest, DiscoverResult, JsonRpcMessage, ServerJsonRpcMessage, ServerResult},
    transport::{
        common::client_side_sse::BoxedSseResponse,
        streamable_http_client::{
            StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse, StreamableHttpResponseLimits,
        },
    },
};

use super::{
    ClientError, Settings,
    bearer::{Bearer, Refusal, Tried},
    error::{RetryAfter, said},
};
use crate::net::{NetError, Streamable, status_in};

/// What an operation of rmcp's transport ends in.
type Outcome<T> = Result<T, StreamableHttpError<ClientError>>;

/// Sends MCP messages to the one server of the settings.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    http: Streamable,
    /// What the server once answered to `server/discover`: said again without asking.
    remembered: Option<DiscoverResult>,
    bearer: Arc<Bearer>,
}

impl Wire {
    pub(super) fn new(http: reqwest::Client, bearer: Arc<Bearer>, remembered: Option<DiscoverResult>) -> Self {
        Self { http: Streamable::new(http), remembered, bearer }
    }

    /// What to send as the token, and how, to the one URL of the server.
    async fn token(&self, method: &Method, headers: &mut HashMap<HeaderName, HeaderValue>) -> Option<String> {
        self.bearer.client().presented(&self.bearer.held().await?, method, headers)
    }

    fn failed(&self, error: StreamableHttpError<reqwest::Error>) -> StreamableHttpError<ClientError> {
        failed(self.bearer.settings(), error)
    }
}

impl StreamableHttpClient for Wire {
    type Error = ClientError;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<StreamableHttpPostResponse> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session_id, None, custom_headers, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
        limits: StreamableHttpResponseLimits,
    ) -> Outcome<StreamableHttpPostResponse> {
        if let Some(answer) = self.remembered_answer(&message) {
            return Ok(StreamableHttpPostResponse::Json(answer, None));
        }
        let mut tried = Tried::default();
        loop {
            let held = self.bearer.held().await;
            let (uri, message, session, mut headers) =
                (uri.clone(), message.clone(), session_id.clone(), custom_headers.clone());
            let token =
                held.as_ref().and_then(|held| self.bearer.client().presented(held, &Method::POST, &mut headers));
            let sent = self.http.post_message_with_response_limits(uri, message, session, token, headers, limits).await;
            let error = match sent {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let Some(refusal) = Refusal::of(&error) else { return Err(self.failed(error)) };
            self.bearer.overcome(refusal, held, &mut tried).await.map_err(StreamableHttpError::Client)?;
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        mut custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<()> {
        let token = self.token(&Method::DELETE, &mut custom_headers).await;
        self.http.delete_session(uri, session_id, token, custom_headers).await.map_err(|error| self.failed(error))
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<BoxedSseResponse> {
        let max = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(uri, session_id, last_event_id, None, custom_headers, max).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        mut custom_headers: HashMap<HeaderName, HeaderValue>,
        max_sse_event_size: usize,
    ) -> Outcome<BoxedSseResponse> {
        let (token, max) = (self.token(&Method::GET, &mut custom_headers).await, max_sse_event_size);
        let opened =
            self.http.get_stream_with_max_sse_event_size(uri, session_id, last_event_id, token, custom_headers, max);
        opened.await.map_err(|error| self.failed(error))
    }
}

impl Wire {
    /// A client may leave `server/discover` out (MCP 2026-07-28, `server/discover`); rmcp cannot, so it is answered here.
    fn remembered_answer(&self, message: &ClientJsonRpcMessage) -> Option<ServerJsonRpcMessage> {
        let JsonRpcMessage::Request(request) = message else { return None };
        let ClientRequest::DiscoverRequest(_) = &request.request else { return None };
        let result = ServerResult::DiscoverResult(self.remembered.clone()?);
        Some(ServerJsonRpcMessage::response(result, request.id.clone()))
    }
}

/// Our words for rmcp's transport errors. Variants that rmcp itself acts upon stay what they are.
fn failed(settings: &Settings, error: StreamableHttpError<reqwest::Error>) -> StreamableHttpError<ClientError> {
    let server = || settings.server.to_string();
    let ours = match error {
        StreamableHttpError::SessionExpired => return StreamableHttpError::SessionExpired,
        StreamableHttpError::ServerDoesNotSupportSse => return StreamableHttpError::ServerDoesNotSupportSse,
        StreamableHttpError::AuthRequired(error) => return StreamableHttpError::AuthRequired(error),
        StreamableHttpError::InsufficientScope(error) => return StreamableHttpError::InsufficientScope(error),
        StreamableHttpError::Client(error) => NetError::of(error, settings.timeout).into(),
        StreamableHttpError::HttpStatus(error) => {
            let retry_after = error.retry_after.as_deref().map(RetryAfter::of);
            ClientError::Status { server: server(), status: error.status, body: None, retry_after }
        }
        StreamableHttpError::UnexpectedServerResponse(text) => match status_in(&text) {
            Some((status, body)) => {
                let body = (!body.is_empty()).then(|| said(body));
                ClientError::Status { server: server(), status, body, retry_after: None }
            }
            None => ClientError::NotMcp { server: server(), problem: said(&text) },
        },
        other => ClientError::NotMcp { server: server(), problem: said(&other.to_string()) },
    };
    StreamableHttpError::Client(ours)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::client::testing::{World, echo};

    #[tokio::test]
    async fn a_stream_that_wants_to_be_taken_up_at_once_does_not_make_us_run_in_circles() {
        let world = World::new().await;
        world.change(|rules| rules.circles = true);
        let client = world.client_with(|settings| settings.timeout = Duration::from_millis(500));
        assert!(matches!(echo(&client).await, Err(ClientError::TimedOut { .. })));
        let taken_up = world.whats().iter().filter(|what| *what == "GET /mcp").count();
        assert!((1..=5).contains(&taken_up), "{taken_up}");
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (world, other) = (World::new().await, World::new().await);
        let moved = (307, json!({"location": other.origin}));
        world.change(|rules| drop(rules.answers.insert("/mcp".to_owned(), moved)));
        let error = echo(&world.client()).await.unwrap_err();
        assert!(matches!(error, ClientError::Status { status: 307, .. }), "{error}");
        assert!(other.seen().is_empty());
    }

    #[tokio::test]
    async fn an_answer_without_end_is_cut_off() {
        let world = World::new().await;
        world.change(|rules| drop(rules.answers.insert("/mcp".to_owned(), (200, "x".repeat(17 << 20).into()))));
        let error = echo(&world.client()).await.unwrap_err();
        assert!(error.to_string().contains("maximum size"), "{error}");
        world.change(|rules| drop(rules.answers.insert("/mcp".to_owned(), (500, "x".repeat(100_000).into()))));
        assert!(echo(&world.client()).await.unwrap_err().to_string().len() < 2_200);
    }
}
