//! The HTTP below an MCP session: rmcp's own client, with the bearer token, and what to do about 401 and 403.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use http::{HeaderName, HeaderValue};
use rmcp::{
    model::{
        ClientJsonRpcMessage, ClientRequest, DiscoverResult, JsonRpcMessage, ServerJsonRpcMessage, ServerResult,
    },
    transport::{
        common::client_side_sse::BoxedSseResponse,
        streamable_http_client::{
            StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse, StreamableHttpResponseLimits,
        },
    },
};
use tokio::sync::{Mutex, watch};

use super::{
    Client, ClientError, Settings,
    error::said,
    tokens::{Held, Need, TokenSourceKind},
};
use crate::{
    net::NetError,
    oauth::{Challenge, Scopes},
};

/// What an operation of rmcp's transport ends in.
type Outcome<T> = Result<T, StreamableHttpError<ClientError>>;

/// Sends MCP messages to the one server of the settings.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    http: reqwest::Client,
    /// What the server once answered to `server/discover`: said again without asking.
    remembered: Option<DiscoverResult>,
    bearer: Arc<Bearer>,
}

/// The token of a session, renewed by one message at a time.
#[derive(Debug)]
pub(super) struct Bearer {
    client: Client,
    held: Mutex<Option<Held>>,
    /// How many are at work for the server, so that its own time stands still: the sampler, or we at the issuer.
    busy: watch::Sender<usize>,
}

/// While it lives, the server is not the one that keeps us waiting.
pub(super) struct Busy<'a>(&'a watch::Sender<usize>);

/// A refused message.
struct Refusal {
    forbidden: bool,
    challenge: Option<Challenge>,
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

/// What has been tried for one message already.
#[derive(Default)]
struct Tried {
    renewal: bool,
    step_up: bool,
}

impl Wire {
    pub(super) fn new(http: reqwest::Client, bearer: Arc<Bearer>, remembered: Option<DiscoverResult>) -> Self {
        Self { http, remembered, bearer }
    }

    async fn token(&self) -> Option<String> {
        self.bearer.held.lock().await.as_ref().map(|held| held.token.secret.expose().to_owned())
    }

    fn failed(&self, error: StreamableHttpError<reqwest::Error>) -> StreamableHttpError<ClientError> {
        failed(self.bearer.client.settings(), error)
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
            let held = self.bearer.held.lock().await.clone();
            let token = held.as_ref().map(|held| held.token.secret.expose().to_owned());
            let (uri, message, session, headers) =
                (uri.clone(), message.clone(), session_id.clone(), custom_headers.clone());
            let sent =
                self.http.post_message_with_response_limits(uri, message, session, token, headers, limits).await;
            let error = match sent {
                Ok(StreamableHttpPostResponse::Sse(events, session)) => {
                    return Ok(StreamableHttpPostResponse::Sse(Box::pin(Tamed(events)), session));
                }
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
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Outcome<()> {
        let token = self.token().await;
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
        custom_headers: HashMap<HeaderName, HeaderValue>,
        max_sse_event_size: usize,
    ) -> Outcome<BoxedSseResponse> {
        let (token, max) = (self.token().await, max_sse_event_size);
        let opened = self.http.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            token,
            custom_headers,
            max,
        );
        let events = opened.await.map_err(|error| self.failed(error))?;
        Ok(Box::pin(Tamed(events)))
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

impl Bearer {
    pub(super) fn new(client: Client, held: Option<Held>) -> Self {
        Self { client, held: Mutex::new(held), busy: watch::Sender::new(0) }
    }

    /// Marks that the server waits for us, not we for it.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.busy.send_modify(|count| *count += 1);
        Busy(&self.busy)
    }

    /// Waits for `work`, but no longer than the settings allow to wait for the server.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, ClientError> {
        self.within(self.client.settings().timeout, work).await
    }

    /// Waits for `work`, but no longer than `timeout` for the server.
    pub(super) async fn within<T>(&self, timeout: Duration, work: impl Future<Output = T>) -> Result<T, ClientError> {
        let mut busy = self.busy.subscribe();
        let mut work = std::pin::pin!(work);
        loop {
            let waiting = *busy.borrow_and_update() == 0;
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                _ = busy.changed() => {}
                () = tokio::time::sleep(timeout), if waiting => {
                    let server = self.client.settings().server.to_string();
                    return Err(ClientError::TimedOut { server, timeout });
                }
            }
        }
    }

    /// Gets the token that the server wants, or says why there is none.
    ///
    /// For one message a token is renewed at most once and scopes are added at most once: a server that refuses everything
    /// must not keep us at the issuer's door.
    async fn overcome(&self, refusal: Refusal, used: Option<Held>, tried: &mut Tried) -> Result<(), ClientError> {
        let _busy = self.busy();
        let mut held = self.held.lock().await;
        let secret = |held: &Option<Held>| held.as_ref().map(|held| held.token.secret.expose().to_owned());
        if secret(&held) != secret(&used) {
            // Another message renewed it meanwhile.
            return Ok(());
        }
        let challenge = refusal.challenge.as_ref();
        let need = if refusal.forbidden {
            Need { challenge, scopes: Some(self.step_up(challenge, used.as_ref(), tried)?), refused: None }
        } else {
            self.renewal(challenge, used.as_ref(), tried)?;
            Need { challenge, scopes: None, refused: used.as_ref().map(|held| &held.token.secret) }
        };
        *held = Some(self.client.obtain(need).await?);
        Ok(())
    }

    fn renewal(
        &self,
        challenge: Option<&Challenge>,
        used: Option<&Held>,
        tried: &mut Tried,
    ) -> Result<(), ClientError> {
        let given = used.is_some_and(|held| held.token.source == TokenSourceKind::Given);
        match used {
            Some(held) if tried.renewal || given => Err(ClientError::TokenRefused {
                server: self.client.settings().server.to_string(),
                source_kind: held.token.source,
                reason: reason(challenge),
            }),
            _ => {
                tried.renewal = true;
                Ok(())
            }
        }
    }

    fn step_up(
        &self,
        challenge: Option<&Challenge>,
        used: Option<&Held>,
        tried: &mut Tried,
    ) -> Result<Scopes, ClientError> {
        let insufficient = challenge.filter(|challenge| challenge.error.as_deref() == Some("insufficient_scope"));
        let needed = insufficient.and_then(|challenge| challenge.scope.clone());
        let asked = used.and_then(|held| held.asked.clone()).unwrap_or_default();
        match (used, &needed) {
            (Some(held), Some(needed))
                if !tried.step_up && held.token.source != TokenSourceKind::Given && !asked.covers(needed) =>
            {
                tried.step_up = true;
                Ok(asked.union(needed))
            }
            _ => Err(ClientError::NotPermitted {
                server: self.client.settings().server.to_string(),
                needed,
                reason: reason(challenge),
            }),
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Refusal {
    /// Whether it was a 401 or a 403, with or without a challenge.
    fn of(error: &StreamableHttpError<reqwest::Error>) -> Option<Self> {
        match error {
            StreamableHttpError::AuthRequired(error) => {
                Some(Self { forbidden: false, challenge: Challenge::parse(&error.www_authenticate_header) })
            }
            StreamableHttpError::InsufficientScope(error) => {
                Some(Self { forbidden: true, challenge: Challenge::parse(&error.www_authenticate_header) })
            }
            StreamableHttpError::UnexpectedServerResponse(text) => match status_in(text)? {
                (401, _) => Some(Self { forbidden: false, challenge: None }),
                (403, _) => Some(Self { forbidden: true, challenge: None }),
                _ => None,
            },
            _ => None,
        }
    }
}

/// rmcp 3.11 reports other statuses as `HTTP 404 Not Found: <body>`.
fn status_in(text: &str) -> Option<(u16, &str)> {
    let rest = text.strip_prefix("HTTP ")?;
    let (status, body) = rest.split_once(':').unwrap_or((rest, ""));
    Some((status.get(..3)?.parse().ok()?, body.trim()))
}

fn reason(challenge: Option<&Challenge>) -> Option<String> {
    let challenge = challenge?;
    challenge.error_description.as_deref().or(challenge.error.as_deref()).map(said)
}

/// Our words for rmcp's transport errors. Variants that rmcp itself acts upon stay what they are.
fn failed(
    settings: &Settings,
    error: StreamableHttpError<reqwest::Error>,
) -> StreamableHttpError<ClientError> {
    let server = || settings.server.to_string();
    let ours = match error {
        StreamableHttpError::SessionExpired => return StreamableHttpError::SessionExpired,
        StreamableHttpError::ServerDoesNotSupportSse => return StreamableHttpError::ServerDoesNotSupportSse,
        StreamableHttpError::AuthRequired(error) => return StreamableHttpError::AuthRequired(error),
        StreamableHttpError::InsufficientScope(error) => return StreamableHttpError::InsufficientScope(error),
        StreamableHttpError::Client(error) => NetError::of(error, settings.timeout).into(),
        StreamableHttpError::HttpStatus(error) => {
            ClientError::Status { server: server(), status: error.status, body: None }
        }
        StreamableHttpError::UnexpectedServerResponse(text) => match status_in(&text) {
            Some((status, body)) => {
                let body = (!body.is_empty()).then(|| said(body));
                ClientError::Status { server: server(), status, body }
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
    use crate::{
        client::{
            Kind,
            testing::{World, echo, field},
        },
        secret::Secret,
    };

    #[tokio::test]
    async fn a_401_without_a_challenge_is_enough() {
        let world = World::new().await;
        for challenge in [None, Some("Basic realm=\"x\"".to_owned())] {
            world.change(|rules| rules.challenge = challenge);
            assert_eq!(echo(&world.client_with(|settings| settings.force_new = true)).await.unwrap(), "hi");
        }
    }

    #[tokio::test]
    async fn a_kept_token_that_is_refused_is_replaced_once() {
        let world = World::new().await;
        echo(&world.client()).await.unwrap();
        world.forget_tokens();
        world.seen();
        assert_eq!(echo(&world.client()).await.unwrap(), "hi");
        assert_eq!(world.whats().iter().filter(|what| *what == "POST /token").count(), 1);
        world.seen();
        echo(&world.client()).await.unwrap();
        assert_eq!(world.whats(), ["POST /mcp tools/call"]);
    }

    #[tokio::test]
    async fn a_server_that_refuses_everything_gets_one_new_token() {
        let world = World::new().await;
        echo(&world.client()).await.unwrap();
        world.change(|rules| {
            rules.refuses_all = true;
            rules.challenge = Some("Bearer error=\"invalid_token\", error_description=\"aud\u{9}is wrong\"".to_owned());
        });
        world.seen();
        let error = echo(&world.client()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotAuthenticated);
        assert!(error.to_string().contains("aud\\tis wrong"), "{error}");
        let whats = world.whats();
        assert_eq!(whats.iter().filter(|what| *what == "POST /token").count(), 1);
        assert_eq!(whats.iter().filter(|what| *what == "POST /mcp tools/call").count(), 2);
    }

    #[tokio::test]
    async fn a_given_token_is_sent_as_it_is_and_never_replaced() {
        let world = World::new().await;
        let given = || world.client_with(|settings| settings.token = Some(Secret::new("given")));
        let error = echo(&given()).await.unwrap_err();
        assert!(matches!(error, ClientError::TokenRefused { .. }), "{error}");
        assert_eq!(world.whats(), ["POST /mcp server/discover"]);
        world.allow("given", "mcp:read");
        assert_eq!(echo(&given()).await.unwrap(), "hi");
        world.change(|rules| rules.call_scope = "mcp:write".to_owned());
        let error = echo(&given()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotPermitted);
        assert!(error.to_string().contains("mcp:write"), "{error}");
        assert!(!world.whats().contains(&"POST /token".to_owned()));
    }

    #[tokio::test]
    async fn a_missing_scope_is_asked_for_together_with_the_old_ones() {
        let world = World::new().await;
        world.change(|rules| rules.call_scope = "mcp:write".to_owned());
        assert_eq!(echo(&world.client()).await.unwrap(), "hi");
        let asked: Vec<_> =
            world.seen().iter().filter_map(|seen| field(&seen.body, "scope")).collect();
        assert_eq!(asked, ["mcp:read", "mcp:read mcp:write"]);
        assert_eq!(echo(&world.client()).await.unwrap(), "hi");
        assert_eq!(world.whats(), ["POST /mcp tools/call"]);
    }

    #[tokio::test]
    async fn a_scope_that_is_not_granted_is_asked_for_once() {
        let world = World::new().await;
        world.change(|rules| rules.call_scope = "mcp:write".to_owned());
        world.change(|rules| {
            let answer = json!({"access_token": "weak", "token_type": "Bearer", "expires_in": 60, "scope": "mcp:read"});
            rules.answers.insert("/token".to_owned(), (200, answer));
        });
        world.allow("weak", "mcp:read");
        let error = echo(&world.client()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotPermitted);
        assert_eq!(world.whats().iter().filter(|what| *what == "POST /token").count(), 2);
    }

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
