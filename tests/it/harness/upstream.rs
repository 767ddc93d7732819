//! An MCP server to be guarded: it speaks either generation over HTTP, keeps a record of every request, and lies on command.

use std::{
    collections::HashMap,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Response, header},
};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};

use super::{server::merged, until::seen};

/// A running server. It stops when dropped.
pub(crate) struct Upstream {
    /// Its MCP endpoint.
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    /// `POST initialize`, `GET`, `DELETE`, ..
    pub(crate) what: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// What is answered instead of the truth; `{id}` in a text becomes the id of the request.
#[derive(Clone, Debug)]
pub(crate) enum Lie {
    /// Status, content type and text.
    Text(u16, &'static str, String),
    Redirect(String),
    /// 401 with a challenge of its own.
    Unauthorized,
    /// A text, and then this for ever.
    Endless(&'static str, &'static [u8]),
    /// Nothing, ever; the connection stays open.
    Hang,
}

/// What it is and does.
pub(crate) struct Rules {
    /// Whether it speaks 2026-07-28; else 2025-11-25, with sessions.
    pub(crate) modern: bool,
    pub(crate) tools: Vec<Value>,
    /// By their URIs: whoever subscribes is told of their changes. Without any it has no resources to speak of.
    pub(crate) resources: Vec<&'static str>,
    /// How many tools one page of the list has.
    pub(crate) page: usize,
    /// Whether the last page leads to itself.
    pub(crate) circles: bool,
    /// By the name of the method, or of the tool that is called.
    pub(crate) lies: HashMap<&'static str, Lie>,
    /// By the name of the tool; the others give their arguments back as a text.
    pub(crate) results: HashMap<&'static str, Value>,
    /// By the name of the tool: what it asks of its caller first, as `inputRequests`. It then gives the answers back.
    pub(crate) asks: HashMap<&'static str, Value>,
    /// What has become of the one task that calls by clients who know tasks become, if it has tasks: members of
    /// `tasks/get`.
    pub(crate) task: Option<Value>,
    /// The only bearer token that is good, if one is wanted.
    pub(crate) token: Option<&'static str>,
}

struct Shared {
    rules: Mutex<Rules>,
    hits: Mutex<Vec<Hit>>,
    /// Open event streams for notifications.
    streams: Mutex<Vec<mpsc::UnboundedSender<Bytes>>>,
}

const TASKS: &str = "io.modelcontextprotocol/tasks";

/// A tool as `tools/list` has it; `reads` is `readOnlyHint`.
pub(crate) fn tool(name: &str, reads: bool) -> Value {
    json!({"name": name, "description": format!("Does {name}."), "inputSchema": {"type": "object",
        "properties": {"text": {"type": "string"}}}, "annotations": {"readOnlyHint": reads}})
}

impl Upstream {
    pub(crate) async fn start(modern: bool) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.expect("a free port"), modern)
    }

    /// One of 2026-07-28 or of 2025 that has these resources.
    pub(crate) async fn with_resources(modern: bool, uris: &[&'static str]) -> Self {
        let upstream = Self::start(modern).await;
        upstream.rules().resources = uris.to_vec();
        upstream
    }

    /// On a listener made before, so that its address can be known while nothing answers there.
    pub(crate) fn start_on(listener: TcpListener, modern: bool) -> Self {
        let origin = format!("http://{}", listener.local_addr().expect("bound"));
        let rules = Rules {
            modern,
            tools: vec![tool("read", true), tool("write", false)],
            resources: Vec::new(),
            page: 100,
            circles: false,
            lies: HashMap::new(),
            results: HashMap::new(),
            asks: HashMap::new(),
            task: None,
            token: None,
        };
        let shared = Arc::new(Shared { rules: Mutex::new(rules), hits: Mutex::default(), streams: Mutex::default() });
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.expect("serves") });
        Self { url: format!("{origin}/mcp"), shared, task }
    }

    pub(crate) fn rules(&self) -> MutexGuard<'_, Rules> {
        self.shared.rules.lock().expect("no panic")
    }

    pub(crate) fn lie(&self, about: &'static str, lie: Lie) {
        self.rules().lies.insert(about, lie);
    }

    /// Every request since the last time.
    pub(crate) fn hits(&self) -> Vec<Hit> {
        std::mem::take(&mut *self.shared.hits.lock().expect("no panic"))
    }

    /// How many requests of this kind there were since the last time they were taken.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.shared.hits.lock().expect("no panic").iter().filter(|hit| hit.what == what).count()
    }

    /// Waits until it has been asked to tell of all these resources; the id of the request that asked for the last of them.
    pub(crate) async fn asked_to_tell_of(&self, uris: &[&str]) -> Value {
        let mut left: Vec<_> = uris.iter().map(|uri| Value::from(*uri)).collect();
        seen("who wants to be told", async || {
            for hit in self.hits() {
                let params = &hit.body["params"];
                let named = &params["notifications"]["resourceSubscriptions"];
                let named = named.as_array().map_or(std::slice::from_ref(&params["uri"]), Vec::as_slice);
                let asks = ["POST resources/subscribe", "POST subscriptions/listen"].contains(&hit.what.as_str());
                left.retain(|uri| !(asks && named.contains(uri)));
                if asks && left.is_empty() {
                    return Some(hit.body["id"].clone());
                }
            }
            None
        })
        .await
    }

    /// Tells that a resource has changed, to whoever asked by the request of this id.
    pub(crate) fn tell_of(&self, uri: &str, id: &Value) {
        let params = json!({"uri": uri, "_meta": {"io.modelcontextprotocol/subscriptionId": id}});
        let updated = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params});
        assert!(self.notify(&updated) > 0);
    }

    /// Sends a message on every open event stream; how many those were.
    pub(crate) fn notify(&self, message: &Value) -> usize {
        let event = Bytes::from(format!("data: {message}\n\n"));
        let mut streams = self.shared.streams.lock().expect("no panic");
        streams.retain(|stream| stream.send(event.clone()).is_ok());
        streams.len()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 8 << 20).await.expect("a body");
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let method = message["method"].as_str().unwrap_or_default();
    let what = format!("{} {method}", parts.method).trim_end().to_owned();
    let hit = Hit { what, headers: parts.headers.clone(), body: message.clone() };
    shared.hits.lock().expect("no panic").push(hit);
    let lie = {
        let rules = shared.rules.lock().expect("no panic");
        let tool = message["params"]["name"].as_str().unwrap_or_default();
        let wanted = rules.token.map(|token| format!("Bearer {token}"));
        let sent = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if wanted.is_some() && wanted.as_deref() != sent {
            Some(Lie::Unauthorized)
        } else {
            rules.lies.get(method).or_else(|| rules.lies.get(tool)).cloned()
        }
    };
    if let Some(lie) = lie {
        return lie.tell(&message["id"]).await;
    }
    let modern = shared.rules.lock().expect("no panic").modern;
    match (parts.method.as_str(), method) {
        ("GET", _) if !modern => shared.stream(None),
        ("POST", "subscriptions/listen") if modern => {
            let meta = json!({"io.modelcontextprotocol/subscriptionId": message["id"]});
            let first = json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                "params": {"notifications": message["params"]["notifications"], "_meta": meta}});
            shared.stream(Some(first))
        }
        ("POST", method) => shared.rules.lock().expect("no panic").reply_to(method, &message),
        ("DELETE", _) if !modern => reply(200, &json!({})),
        _ => reply(405, &Value::Null),
    }
}

impl Shared {
    /// An event stream for notifications.
    fn stream(&self, first: Option<Value>) -> Response<Body> {
        let (sender, receiver) = mpsc::unbounded_channel();
        if let Some(first) = first {
            sender.send(Bytes::from(format!("data: {first}\n\n"))).expect("it is open");
        }
        self.streams.lock().expect("no panic").push(sender);
        let response = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
        response.body(Body::new(Events(receiver))).expect("a response")
    }
}

impl Rules {
    fn reply_to(&self, method: &str, message: &Value) -> Response<Body> {
        let params = &message["params"];
        let server = json!({"name": "fake", "version": "1"});
        let mut capabilities = json!({"tools": {"listChanged": true}});
        if !self.resources.is_empty() {
            capabilities["resources"] = json!({"subscribe": true});
        }
        if self.task.is_some() {
            capabilities["extensions"] = json!({ TASKS: {} });
        }
        let knows_tasks =
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"]["extensions"][TASKS].is_object();
        let mut result = match method {
            "server/discover" if self.modern => json!({"supportedVersions": ["2026-07-28"],
                "capabilities": capabilities, "_meta": {"io.modelcontextprotocol/serverInfo": server}}),
            "initialize" if !self.modern => json!({"protocolVersion": "2025-11-25",
                "capabilities": capabilities, "serverInfo": server}),
            "tools/list" => self.list(params),
            "resources/list" => {
                let resources = self.resources.iter().map(|uri| json!({"uri": uri, "name": uri}));
                json!({"resources": resources.collect::<Vec<_>>()})
            }
            "resources/templates/list" => json!({"resourceTemplates": []}),
            "resources/subscribe" | "resources/unsubscribe" if !self.modern => json!({}),
            "tools/call" if self.task.is_some() && knows_tasks => {
                let result = merged(a_task(), &json!({"resultType": "task", "status": "working"}));
                return reply(200, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}));
            }
            "tasks/get" if knows_tasks => merged(a_task(), self.task.as_ref().expect("it has tasks")),
            "tasks/update" | "tasks/cancel" if knows_tasks => {
                let result = json!({"resultType": "complete"});
                return reply(200, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}));
            }
            "tools/call" => {
                let name = params["name"].as_str().expect("a name");
                if let Some(questions) = self.asks.get(name) {
                    return ask(questions, message);
                }
                let echo = || json!({"content": [{"type": "text", "text": params["arguments"].to_string()}]});
                self.results.get(name).cloned().unwrap_or_else(echo)
            }
            _ if message.get("id").is_none() => return reply(202, &Value::Null),
            _ => {
                let error = json!({"code": -32601, "message": format!("there is no {method}")});
                let status = if self.modern { 404 } else { 200 };
                return reply(status, &json!({"jsonrpc": "2.0", "id": message["id"], "error": error}));
            }
        };
        if self.modern {
            (result["resultType"], result["ttlMs"]) = ("complete".into(), 60_000.into());
            result["cacheScope"] = "private".into();
        }
        let mut response = reply(200, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}));
        if method == "initialize" {
            response.headers_mut().insert("mcp-session-id", "of-the-upstream".parse().expect("ASCII"));
        }
        response
    }

    fn list(&self, params: &Value) -> Value {
        let start: usize = params["cursor"].as_str().map_or(0, |cursor| cursor.parse().expect("a cursor of mine"));
        let end = (start + self.page).min(self.tools.len());
        let mut result = json!({"tools": self.tools[start..end]});
        if end < self.tools.len() {
            result["nextCursor"] = end.to_string().into();
        } else if self.circles {
            result["nextCursor"] = start.to_string().into();
        }
        result
    }
}

/// The task, but for what has become of it.
fn a_task() -> Value {
    json!({"taskId": "behind", "createdAt": "2026-07-28T00:00:00Z", "lastUpdatedAt": "2026-07-28T00:00:00Z",
        "ttlMs": null, "pollIntervalMs": 1})
}

/// Asks, or gives back what was answered.
fn ask(questions: &Value, message: &Value) -> Response<Body> {
    let params = &message["params"];
    let result = if params["inputResponses"].is_object() {
        assert_eq!(params["requestState"], "of-the-upstream");
        let text = params["inputResponses"].to_string();
        json!({"content": [{"type": "text", "text": text}], "resultType": "complete"})
    } else {
        json!({"resultType": "input_required", "inputRequests": questions, "requestState": "of-the-upstream"})
    };
    reply(200, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
}

impl Lie {
    async fn tell(&self, id: &Value) -> Response<Body> {
        match self {
            Self::Text(status, kind, text) => {
                let response = Response::builder().status(*status).header(header::CONTENT_TYPE, *kind);
                response.body(Body::from(text.replace("{id}", &id.to_string()))).expect("a response")
            }
            Self::Redirect(to) => {
                let response = Response::builder().status(307).header(header::LOCATION, to);
                response.body(Body::empty()).expect("a response")
            }
            Self::Unauthorized => {
                let mut response = reply(401, &Value::Null);
                let challenge = "Bearer resource_metadata=\"https://evil.example/metadata\"";
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge.parse().expect("ASCII"));
                response
            }
            Self::Endless(kind, piece) => {
                let response = Response::builder().header(header::CONTENT_TYPE, *kind);
                response.body(Body::new(Endless(piece))).expect("a response")
            }
            Self::Hang => std::future::pending().await,
        }
    }
}

fn reply(status: u16, value: &Value) -> Response<Body> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    let body = if value.is_null() { Body::empty() } else { Body::from(value.to_string()) };
    response.body(body).expect("a response")
}

/// Events as they are sent.
struct Events(mpsc::UnboundedReceiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

/// A body without end, as fast as it is read.
struct Endless(&'static [u8]);

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.0)))))
    }
}
