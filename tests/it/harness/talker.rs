//! An MCP server of either generation, without authentication, whose one tool tells and asks before it answers.

use std::{
    convert::Infallible,
    net::TcpListener,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Response, header},
};
use hyper::body::Frame;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

/// It has a thread of its own, and stops when dropped.
pub(crate) struct Talker {
    /// Its MCP endpoint.
    pub(crate) url: String,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What its tool does, one after the other.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends a notification; a progress without a token is that of the call.
    Tell(Value),
    /// Asks by this name. Since 2026, what is asked one after the other is one round.
    Ask(&'static str, Value),
    /// Does not end.
    Hang,
}

/// What it is and does.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Whether it speaks 2026-07-28; else 2025-11-25, with sessions.
    pub(crate) modern: bool,
    pub(crate) steps: Vec<Step>,
}

struct Shared {
    rules: Mutex<Rules>,
    /// Every message that came; `{"method": "gone"}` is the end of a stream that was not at its end.
    heard: Mutex<Vec<Value>>,
    answers: Mutex<Option<mpsc::UnboundedSender<Value>>>,
}

impl Talker {
    pub(crate) fn start(modern: bool, steps: &[Step]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let url = format!("http://{}/mcp", listener.local_addr().expect("bound"));
        let rules = Mutex::new(Rules { modern, steps: steps.to_vec() });
        let shared = Arc::new(Shared { rules, heard: Mutex::default(), answers: Mutex::default() });
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                tokio::select! {
                    served = axum::serve(listener, routes) => served.expect("serves"),
                    _ = stopped => {}
                }
            });
        });
        Self { url, shared, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn rules(&self) -> MutexGuard<'_, Rules> {
        self.shared.rules.lock().expect("no panic")
    }

    /// Every message of this method so far.
    pub(crate) fn heard(&self, method: &str) -> Vec<Value> {
        let heard = self.shared.heard.lock().expect("no panic");
        heard.iter().filter(|message| message["method"] == method).cloned().collect()
    }

    /// Waits for a message of this method.
    #[track_caller]
    pub(crate) fn hears(&self, method: &str) -> Value {
        let started = Instant::now();
        loop {
            if let Some(message) = self.heard(method).pop() {
                return message;
            }
            assert!(started.elapsed() < Duration::from_mins(1), "no {method}: {:?}", self.shared.heard);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().expect("once").join();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 8 << 20).await.expect("a body");
    if parts.method != "POST" {
        return reply(if parts.method == "DELETE" { 200 } else { 405 }, &Value::Null);
    }
    let message: Value = serde_json::from_slice(&body).expect("JSON");
    shared.heard.lock().expect("no panic").push(message.clone());
    let rules = shared.rules.lock().expect("no panic").clone();
    let result = |mut result: Value| {
        if rules.modern {
            (result["resultType"], result["ttlMs"]) = ("complete".into(), 0.into());
            result["cacheScope"] = "private".into();
        }
        reply(200, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
    };
    let (capabilities, server) = (json!({"tools": {}, "logging": {}}), json!({"name": "talker", "version": "1"}));
    match message["method"].as_str() {
        Some("server/discover") if rules.modern => result(json!({"supportedVersions": ["2026-07-28"],
            "capabilities": capabilities, "_meta": {"io.modelcontextprotocol/serverInfo": server}})),
        Some("initialize") if !rules.modern => result(json!({"protocolVersion": "2025-11-25",
            "capabilities": capabilities, "serverInfo": server})),
        Some("tools/list") => result(json!({"tools": [{"name": "work", "inputSchema": {"type": "object"}}]})),
        Some("logging/setLevel") if !rules.modern => result(json!({})),
        Some("tools/call") => work(&shared, rules, message),
        Some(method) if method.starts_with("notifications/") => reply(202, &Value::Null),
        Some(method) => {
            let error = json!({"code": -32601, "message": format!("there is no {method}")});
            reply(200, &json!({"jsonrpc": "2.0", "id": message["id"], "error": error}))
        }
        None => {
            let answer = message.get("result").or(message.get("error")).expect("it is an answer").clone();
            let answers = shared.answers.lock().expect("no panic").clone();
            answers.expect("something was asked").send(answer).expect("somebody waits");
            reply(202, &Value::Null)
        }
    }
}

/// The stream in which the tool works.
fn work(shared: &Arc<Shared>, rules: Rules, message: Value) -> Response<Body> {
    let (sender, events) = mpsc::unbounded_channel();
    let (answers, mut answered) = mpsc::unbounded_channel();
    *shared.answers.lock().expect("no panic") = Some(answers);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let send = |value: &Value| drop(sender.send(Bytes::from(format!("data: {value}\n\n"))));
        let params = &message["params"];
        let mut known: Map<String, Value> = match params["requestState"].as_str() {
            Some(state) => serde_json::from_str(state).expect("a state of mine"),
            None => Map::new(),
        };
        known.extend(params["inputResponses"].as_object().cloned().unwrap_or_default());
        let is_first = known.is_empty();
        let mut round = Map::new();
        for step in rules.steps {
            match step {
                _ if !round.is_empty() && !matches!(step, Step::Ask(..)) => break,
                Step::Tell(mut told) if is_first => {
                    told["jsonrpc"] = "2.0".into();
                    if told["method"] == "notifications/progress" && told["params"]["progressToken"].is_null() {
                        told["params"]["progressToken"] = params["_meta"]["progressToken"].clone();
                    }
                    send(&told);
                }
                Step::Tell(_) => {}
                Step::Ask(key, _) if known.contains_key(key) => {}
                Step::Ask(key, question) if rules.modern => drop(round.insert(key.to_owned(), question)),
                Step::Ask(key, mut question) => {
                    (question["jsonrpc"], question["id"]) = ("2.0".into(), key.into());
                    send(&question);
                    let Some(answer) = answered.recv().await else { return };
                    known.insert(key.to_owned(), answer);
                }
                Step::Hang => {
                    sender.closed().await;
                    shared.heard.lock().expect("no panic").push(json!({"method": "gone"}));
                    return;
                }
            }
        }
        let state = Value::Object(known).to_string();
        let result = if round.is_empty() {
            json!({"resultType": "complete", "content": [{"type": "text", "text": state}]})
        } else {
            json!({"resultType": "input_required", "inputRequests": round, "requestState": state})
        };
        send(&json!({"jsonrpc": "2.0", "id": message["id"], "result": result}));
    });
    let response = Response::builder().header(header::CONTENT_TYPE, "text/event-stream");
    response.body(Body::new(Events(events))).expect("a response")
}

fn reply(status: u16, value: &Value) -> Response<Body> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    let body = if value.is_null() { Body::empty() } else { Body::from(value.to_string()) };
    let mut response = response.body(body).expect("a response");
    if value["result"]["protocolVersion"].is_string() {
        response.headers_mut().insert("mcp-session-id", "one".parse().expect("ASCII"));
    }
    response
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
