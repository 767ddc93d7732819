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
use serde_json::{Value, json};

/// What an operation of rmcp's transport ends in.
type Outcome<T> = Result<T, StreamableHttpError<reqwest::Error>>;

/// In the `_meta` of a log message: which request's answer it came with. Written by us alone.
pub(crate) const ORIGIN: &str = "io.securemcp/origin";

/// A client whose event streams do not choose freely when they are taken up again.
#[derive(Clone, Debug)]
pub struct Streamable {
    http: reqwest::Client,
    /// Whether log messages say which request's answer they came with.
    names_origin: bool,
}

impl Streamable {
    /// Over a client that [`super::client`] has built.
    pub fn new(http: reqwest::Client) -> Self {
        Self { http, names_origin: false }
    }

    /// For a connection of many callers: MCP itself has no word for whose log message it is.
    #[must_use]
    pub(crate) fn naming_origins(self) -> Self {
        Self { names_origin: true, ..self }
    }

    fn tamed(&self, events: BoxedSseResponse, origin: Option<RequestId>) -> BoxedSseResponse {
        Box::pin(Tamed { events, origin, names_origin: self.names_origin })
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
            self.http.post_message_with_response_limits(uri, message, session_id, auth_header, custom_headers, limits);
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
                StreamableHttpPostResponse::Sse(self.tamed(events, asked), session)
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
        self.http.delete_session(uri, session_id, auth_header, custom_headers).await
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
        let opened = self.http.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            custom_headers,
            max,
        );
        Ok(self.tamed(opened.await?, None))
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
struct Tamed {
    events: BoxedSseResponse,
    /// The request that is answered, if one is.
    origin: Option<RequestId>,
    /// Whether log messages are to say it.
    names_origin: bool,
}

const MIN_RETRY_MILLISECONDS: u64 = 100;
const MAX_RETRY_MILLISECONDS: u64 = 10_000;

impl Stream for Tamed {
    type Item = <BoxedSseResponse as Stream>::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut polled = self.events.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(event))) = &mut polled {
            event.retry = event.retry.map(|asked| asked.clamp(MIN_RETRY_MILLISECONDS, MAX_RETRY_MILLISECONDS));
            if self.names_origin
                && let Some(data) = event.data.as_mut().filter(|data| data.contains("notifications/message"))
            {
                name_origin(data, self.origin.as_ref());
            }
        }
        polled
    }
}

/// Writes into a log message which request's answer it came with. What is no JSON is for rmcp to refuse.
fn name_origin(data: &mut String, origin: Option<&RequestId>) {
    let Ok(mut message) = serde_json::from_str::<Value>(data) else { return };
    let Some(params) = message.get_mut("params").and_then(Value::as_object_mut) else { return };
    let meta = params.entry("_meta").or_insert_with(|| json!({}));
    if let Some(meta) = meta.as_object_mut() {
        meta.insert(ORIGIN.to_owned(), json!(origin));
        *data = message.to_string();
    }
}

/// rmcp 3.11 reports other statuses as `HTTP 404 Not Found: <body>`.
pub fn status_in(text: &str) -> Option<(u16, &str)> {
    let rest = text.strip_prefix("HTTP ")?;
    let (status, body) = rest.split_once(':').unwrap_or((rest, ""));
    Some((status.get(..3)?.parse().ok()?, body.trim()))
}
