//! `subscriptions/listen` (2026-07-28): a stream of changes, which waits for hours for one.
//!
//! rmcp serves it as it serves a call, with three tasks and channels that have room for 32 messages each: 80 KiB that wait
//! with it. Here a stream is one value without a task of its own.

use std::{collections::VecDeque, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Response, header},
};
use futures_util::stream;
use rmcp::model::{
    GetMeta as _, PromptListChangedNotification, RequestId, ResourceListChangedNotification,
    ResourceUpdatedNotification, ResourceUpdatedNotificationParam, ServerJsonRpcMessage, ServerNotification,
    SubscriptionFilter, SubscriptionsAcknowledgedNotification, SubscriptionsAcknowledgedNotificationParams,
    ToolListChangedNotification,
};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::{Message, Meta, read};
use crate::{
    call::Change,
    server::handler::{Handler, Hearing, everything},
};

pub(super) const METHOD: &str = "subscriptions/listen";
/// As rmcp has it: after so long without an event, a comment says that the connection is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A wish to be told.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    notifications: SubscriptionFilter,
    #[serde(rename = "_meta")]
    _meta: Meta,
}

/// The stream that answers, until `stopping`; `None` if rmcp has to.
pub(super) fn answer(
    handler: &Handler,
    stopping: &CancellationToken,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<Response<Body>> {
    let Message::<Params> { id, params, .. } = read(headers, METHOD, None, body)?;
    // From now on, because the client is told that it is heard before it is.
    let hearing = handler.hear(&params.notifications)?;
    let acknowledged = SubscriptionsAcknowledgedNotificationParams::new(hearing.accepted.clone());
    let mut told = Told { id, hearing, ready: VecDeque::new(), stopping: stopping.clone() };
    told.say(ServerNotification::SubscriptionsAcknowledgedNotification(SubscriptionsAcknowledgedNotification::new(
        acknowledged,
    )));
    let events =
        stream::unfold(told, |mut told| async { Some((Ok::<_, std::convert::Infallible>(told.next().await?), told)) });
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Some(response)
}

/// What one client is told.
struct Told {
    /// Of the request, which every message names.
    id: RequestId,
    hearing: Hearing,
    /// Events that go out next.
    ready: VecDeque<Bytes>,
    stopping: CancellationToken,
}

impl Told {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let change = tokio::select! {
                () = self.stopping.cancelled() => return None,
                change = self.hearing.changes.recv() => change,
                () = tokio::time::sleep(KEEP_ALIVE) => return Some(Bytes::from_static(b":\n\n")),
            };
            match change {
                Ok(Change::Everything) | Err(RecvError::Lagged(_)) => self.tell_all(),
                Ok(change) => self.tell(&change),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Says it, if it was asked for.
    fn tell(&mut self, change: &Change) {
        let accepted = &self.hearing.accepted;
        let notification = match change {
            Change::Tools if accepted.tools_list_changed == Some(true) => {
                ServerNotification::ToolListChangedNotification(ToolListChangedNotification::default())
            }
            Change::Resources if accepted.resources_list_changed == Some(true) => {
                ServerNotification::ResourceListChangedNotification(ResourceListChangedNotification::default())
            }
            Change::Prompts if accepted.prompts_list_changed == Some(true) => {
                ServerNotification::PromptListChangedNotification(PromptListChangedNotification::default())
            }
            Change::Resource(uri)
                if accepted.resource_subscriptions.iter().flatten().any(|accepted| **accepted == **uri) =>
            {
                let param = ResourceUpdatedNotificationParam::new(&**uri);
                ServerNotification::ResourceUpdatedNotification(ResourceUpdatedNotification::new(param))
            }
            _ => return,
        };
        self.say(notification);
    }

    /// Nobody knows what was missed, so all of it may have changed.
    fn tell_all(&mut self) {
        for change in everything(&self.hearing.accepted) {
            self.tell(&change);
        }
    }

    fn say(&mut self, mut notification: ServerNotification) {
        notification.get_meta_mut().set_subscription_id(self.id.clone());
        let message = serde_json::to_string(&ServerJsonRpcMessage::notification(notification)).expect("texts");
        self.ready.push_back(format!("data: {message}\n\n").into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::{
        body::HttpBody as _,
        http::{Request, StatusCode},
    };
    use futures_util::FutureExt as _;
    use http_body_util::{BodyExt as _, Full};
    use rmcp::transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    };

    use super::*;
    use crate::{
        auth::Principal,
        call::{CallContext, Changes},
        clock::TestClock,
        resources::{Read, Requested, Resource, ResourceError, Resources},
        server::{features::Features, in_flight::InFlight, shared_secret::SharedSecret, tasks::Tasks},
        telemetry::metrics::Metrics,
        tools::Tools,
    };

    struct Note;

    impl Resource for Note {
        const URI: &'static str = "notes://one";
        const NAME: &'static str = "one";
        const DESCRIPTION: &'static str = "A note.";
        const MIME_TYPE: &'static str = "text/plain";
        const SCOPES: &'static [&'static str] = &[];

        async fn read(&self, _: &Requested<'_>, _: &CallContext) -> Result<Read, ResourceError> {
            Ok(Read::Text("a note".to_owned()))
        }
    }

    const META: &str =
        r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#;
    const HEADERS: [(&str, &str); 5] = [
        ("host", "localhost"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "subscriptions/listen"),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
    ];
    const ALL: &str = r#"{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,
        "resourceSubscriptions":["notes://one","notes://none"]}"#;

    fn body(notifications: &str, meta: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":"a","method":"subscriptions/listen","params":{{"notifications":{notifications},"_meta":{{{meta}}}}}}}"#
        )
    }

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    struct World {
        handler: Handler,
        changes: Changes,
        stopping: CancellationToken,
    }

    impl World {
        fn new() -> Self {
            let changes = Changes::default();
            let features = Features::from(Tools::builtin()).with_resources(Resources::default().with(Note));
            let features = features.with_changes(changes.clone());
            let clock = TestClock::at(1_800_000_000);
            let tasks = Tasks::new(clock.clone(), InFlight::default(), CancellationToken::new(), None);
            let secret = Arc::new(SharedSecret::alone(clock.clone()));
            let handler = Handler::new(features, None, true, tasks, secret, clock, Metrics::default());
            Self { handler, changes, stopping: CancellationToken::new() }
        }

        fn lane(&self, of: &[(&'static str, &'static str)], body: &str) -> Option<Response<Body>> {
            answer(&self.handler, &self.stopping, &headers(of), body.as_bytes())
        }

        async fn rmcp(&self, body: &str) -> Response<Body> {
            let handler = self.handler.for_another();
            let settings = StreamableHttpServerConfig::default().disable_allowed_hosts().with_json_response(true);
            let rmcp: StreamableHttpService<_, LocalSessionManager> =
                StreamableHttpService::new(move || Ok(handler.clone()), Arc::default(), settings);
            let mut request = Request::post("/mcp").body(Full::new(Bytes::from(body.to_owned()))).unwrap();
            *request.headers_mut() = headers(&HEADERS);
            request.extensions_mut().insert(Arc::new(Principal::for_tests("ada", "cli", "mcp:read")));
            rmcp.handle(request).await.map(Body::new)
        }

        /// Each kind of change; the last is one of tools.
        fn change(&self) {
            self.changes.resources();
            self.changes.prompts();
            self.changes.resource("notes://one");
            self.changes.resource("notes://none");
            self.changes.tools();
        }
    }

    async fn frame(body: &mut Body) -> String {
        let frame = body.frame().await.expect("one more").expect("no break").into_data().expect("no trailers");
        String::from_utf8(frame.to_vec()).unwrap()
    }

    /// Up to the change of tools.
    async fn frames(body: &mut Body) -> Vec<String> {
        let mut all = vec![frame(body).await];
        while !all.last().unwrap().contains("tools/list_changed") {
            all.push(frame(body).await);
        }
        all
    }

    #[tokio::test]
    async fn what_it_takes_it_tells_as_rmcp_does() {
        for (filter, events) in [
            (ALL, 3),
            (r#"{"toolsListChanged":true}"#, 1),
            (r#"{"toolsListChanged":true,"resourcesListChanged":false,"resourceSubscriptions":[]}"#, 1),
            (r#"{"toolsListChanged":true,"resourceSubscriptions":["notes://one"]}"#, 2),
        ] {
            let (world, body) = (World::new(), body(filter, META));
            let (mut rmcp, mut lane) = (world.rmcp(&body).await, world.lane(&HEADERS, &body).expect("it is taken"));
            assert_eq!((lane.status(), lane.headers()), (StatusCode::OK, rmcp.headers()));
            assert_eq!(frame(lane.body_mut()).await, frame(rmcp.body_mut()).await);
            world.change();
            let told = frames(lane.body_mut()).await;
            assert_eq!(told, frames(rmcp.body_mut()).await);
            assert_eq!(told.len(), events, "{told:?}");
        }
    }

    #[tokio::test]
    async fn what_is_unusual_or_wrong_is_for_rmcp() {
        let world = World::new();
        let good = body(ALL, META);
        let more = format!("{META},\"traceparent\":\"00\"");
        let older = META.replace("2026-07-28", "2025-11-25");
        for bad in [body(ALL, &more), body(ALL, &older), body("7", META), good.replace("\"params\"", "\"parameters\"")]
        {
            assert!(world.lane(&HEADERS, &bad).is_none(), "{bad}");
        }
        for (name, value) in [("mcp-name", "a"), ("mcp-method", "tools/call"), ("accept", "*/*")] {
            let mut other = HEADERS.to_vec();
            other.retain(|(kept, _)| *kept != name);
            other.push((name, value));
            assert!(world.lane(&other, &good).is_none(), "{name}");
        }
        assert!(world.lane(&HEADERS, &good).is_some(), "the twin");
    }

    #[tokio::test]
    async fn who_is_behind_is_told_that_all_has_changed() {
        let world = World::new();
        let mut lane = world.lane(&HEADERS, &body(ALL, META)).unwrap();
        frame(lane.body_mut()).await;
        for _ in 0..1000 {
            world.changes.resource("notes://other");
        }
        let mut told = Vec::new();
        for _ in 0..3 {
            told.push(frame(lane.body_mut()).await);
        }
        let names = ["tools/list_changed", "resources/list_changed", "resources/updated"];
        assert!(told.iter().zip(names).all(|(event, name)| event.contains(name)), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_says_that_it_is_alive_until_the_server_stops() {
        let world = World::new();
        let mut lane = world.lane(&HEADERS, &body(ALL, META)).unwrap();
        frame(lane.body_mut()).await;
        assert_eq!(frame(lane.body_mut()).await, ":\n\n");
        assert!(lane.body_mut().frame().now_or_never().is_none(), "nothing has changed");
        world.stopping.cancel();
        assert!(lane.body_mut().frame().await.is_none());
        assert!(lane.body().size_hint().exact().is_none());
    }

    #[tokio::test]
    async fn a_resource_is_watched_for_as_long_as_there_is_a_stream() {
        let world = World::new();
        let lane = world.lane(&HEADERS, &body(ALL, META)).unwrap();
        let watched = || world.changes.watched().borrow().keys().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(watched(), ["notes://one"]);
        drop(lane);
        assert_eq!(watched(), Vec::<String>::new());
    }
}
