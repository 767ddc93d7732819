//! HTTP below an MCP session, for every party of ours that is an MCP client: rmcp's own transport over our HTTP client.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::Stream;
use http::{HeaderName, HeaderValue};
use rmcp::{
    model::{ClientJsonRpcMessage, JsonRpcMessage, RequestId, ServerJsonRpcMessage},
    transport::{
        common::client_side_sse::BoxedSseResponse,
        streamable_http_client::{
            StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse, StreamableHttpResponseLimits,
        },
    },
};

/// What an operation of rmcp's transport ends in.
type Outcome<T> = Result<T, StreamableHttpError<reqwest::Error>>;

/// A client whose event streams do not choose freely when they are taken up again.
#[derive(Clone, Debug)]
pub struct Streamable(reqwest::Client);

impl Streamable {
    /// Over a client that [`super::client`] has built.
    pub fn new(http: reqwest::Client) -> Self {
        Self(http)
    }
}

impl StreamableHttpClient for Streamable {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<StreamableHttpPostResponse> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session_id, auth_header, custom_headers, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
        limits: StreamableHttpResponseLimits,
    ) -> Outcome<StreamableHttpPostResponse> {
        let asked = match &message {
            JsonRpcMessage::Request(request) => Some(request.id.clone()),
            _ => None,
        };
        let sent =
            self.0.post_message_with_response_limits(uri, message, session_id, auth_header, custom_headers, limits);
        Ok(match sent.await? {
            // A server that did not read so far as the id leaves it out; rmcp would wait for another answer.
            StreamableHttpPostResponse::Json(JsonRpcMessage::Error(mut error), session) if error.id.is_none() => {
                error.id = asked;
                StreamableHttpPostResponse::Json(JsonRpcMessage::Error(error), session)
            }
            // And for ever for the answer to a request that got another one.
            StreamableHttpPostResponse::Json(message, _) if asked.is_some() && answered(&message) != asked.as_ref() => {
                let problem = "what came back is no answer to the request that was sent: its `id` is another";
                return Err(StreamableHttpError::UnexpectedServerResponse(problem.into()));
            }
            StreamableHttpPostResponse::Sse(events, session) => {
                StreamableHttpPostResponse::Sse(Box::pin(Tamed(events)), session)
            }
            response => response,
        })
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<()> {
        self.0.delete_session(uri, session_id, auth_header, custom_headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<BoxedSseResponse> {
        let max = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(uri, session_id, last_event_id, auth_header, custom_headers, max).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
        max_sse_event_size: usize,
    ) -> Outcome<BoxedSseResponse> {
        let max = max_sse_event_size;
        let opened =
            self.0.get_stream_with_max_sse_event_size(uri, session_id, last_event_id, auth_header, custom_headers, max);
        Ok(Box::pin(Tamed(opened.await?)))
    }
}

/// Which request this is the answer to.
fn answered(message: &ServerJsonRpcMessage) -> Option<&RequestId> {
    match message {
        JsonRpcMessage::Response(response) => Some(&response.id),
        JsonRpcMessage::Error(error) => error.id.as_ref(),
        JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
    }
}

/// An event stream that does not choose freely when it is taken up again: `retry: 0` would have us run in circles, and a
/// year would have us wait for it.
struct Tamed(BoxedSseResponse);

const MIN_RETRY_MILLISECONDS: u64 = 100;
const MAX_RETRY_MILLISECONDS: u64 = 10_000;

impl Stream for Tamed {
    type Item = <BoxedSseResponse as Stream>::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut polled = self.0.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(event))) = &mut polled {
            event.retry = event.retry.map(|asked| asked.clamp(MIN_RETRY_MILLISECONDS, MAX_RETRY_MILLISECONDS));
        }
        polled
    }
}

/// rmcp 3.11 reports other statuses as `HTTP 404 Not Found: <body>`.
pub fn status_in(text: &str) -> Option<(u16, &str)> {
    let rest = text.strip_prefix("HTTP ")?;
    let (status, body) = rest.split_once(':').unwrap_or((rest, ""));
    Some((status.get(..3)?.parse().ok()?, body.trim()))
}
