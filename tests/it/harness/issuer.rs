//! An issuer on a port of its own that counts who asks and lies on command.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, StatusCode, header},
    response::IntoResponse as _,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// How the key set is answered.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// These keys.
    Keys(Vec<Value>),
    /// This status and text.
    Text(u16, &'static str),
    /// A redirect to this place, where the keys would be.
    Redirect(String),
    /// One byte now and then, for ever.
    Drip,
    /// Zeros without end.
    Endless,
    /// A gzip bomb of 64 MiB.
    GzipBomb,
    /// Nothing until the gate opens, then these keys.
    Gated(Arc<tokio::sync::Semaphore>, Vec<Value>),
}

/// A running issuer. It stops when dropped.
pub(crate) struct LyingIssuer {
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    url: String,
    jwks: Mutex<Behaviour>,
    metadata: Mutex<Value>,
    jwks_hits: AtomicUsize,
    /// What is said of tokens that are known; of others, that they are inactive.
    known: Mutex<HashMap<String, Value>>,
    /// What is answered about tokens instead.
    introspection: Mutex<Option<Behaviour>>,
    questions: Mutex<Vec<Question>>,
}

/// A request to introspect a token, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) authorization: Option<String>,
    pub(crate) form: Vec<(String, String)>,
}

impl LyingIssuer {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.expect("a free port"), behaviour)
    }

    /// On a listener made before, so that its address can be known while nothing answers there.
    pub(crate) fn start_on(listener: TcpListener, behaviour: Behaviour) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let metadata = json!({"issuer": url, "jwks_uri": format!("{url}/jwks"),
            "introspection_endpoint": format!("{url}/introspect")});
        let shared = Arc::new(Shared {
            url: url.clone(),
            jwks: Mutex::new(behaviour),
            metadata: Mutex::new(metadata),
            jwks_hits: AtomicUsize::new(0),
            known: Mutex::default(),
            introspection: Mutex::default(),
            questions: Mutex::default(),
        });
        let routes = Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata_document))
            .route("/jwks", get(key_set))
            .route("/introspect", post(introspect))
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.expect("serves") });
        Self { url, shared, task }
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.shared.jwks.lock().expect("no panic") = behaviour;
    }

    /// Puts a member into the metadata.
    pub(crate) fn say(&self, member: &str, value: Value) {
        self.shared.metadata.lock().expect("no panic")[member] = value;
    }

    /// Says this of a token from now on.
    pub(crate) fn say_of(&self, token: &str, answer: Value) {
        self.shared.known.lock().expect("no panic").insert(token.to_owned(), answer);
    }

    /// Answers questions about tokens like this, or truly again.
    pub(crate) fn answer_questions(&self, behaviour: Option<Behaviour>) {
        *self.shared.introspection.lock().expect("no panic") = behaviour;
    }

    /// Every question about a token since the last time.
    pub(crate) fn questions(&self) -> Vec<Question> {
        std::mem::take(&mut *self.shared.questions.lock().expect("no panic"))
    }

    /// How often the key set was asked for.
    pub(crate) fn jwks_hits(&self) -> usize {
        self.shared.jwks_hits.load(Ordering::SeqCst)
    }
}

impl Drop for LyingIssuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn metadata_document(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let metadata = shared.metadata.lock().expect("no panic").to_string();
    ([(header::CONTENT_TYPE, "application/json")], metadata).into_response()
}

async fn key_set(State(shared): State<Arc<Shared>>) -> Response<Body> {
    shared.jwks_hits.fetch_add(1, Ordering::SeqCst);
    let behaviour = shared.jwks.lock().expect("no panic").clone();
    behaviour.show(&shared.url).await
}

async fn introspect(State(shared): State<Arc<Shared>>, headers: HeaderMap, form: String) -> Response<Body> {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.to_str().expect("ASCII").to_owned());
    let token = form.iter().find(|(name, _)| name == "token").map(|(_, value)| value.clone()).expect("a token");
    shared.questions.lock().expect("no panic").push(Question { authorization, form });
    let behaviour = shared.introspection.lock().expect("no panic").clone();
    if let Some(behaviour) = behaviour {
        return behaviour.show(&shared.url).await;
    }
    let known = shared.known.lock().expect("no panic").get(&token).cloned();
    known.unwrap_or_else(|| json!({"active": false})).to_string().into_response()
}

impl Behaviour {
    async fn show(self, url: &str) -> Response<Body> {
        match self {
            Behaviour::Keys(keys) => json!({ "keys": keys }).to_string().into_response(),
            Behaviour::Text(status, text) => (StatusCode::from_u16(status).expect("a status"), text).into_response(),
            Behaviour::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
            Behaviour::Drip => Body::from_stream(pieces(b"{", Duration::from_millis(500))).into_response(),
            Behaviour::Endless => Body::from_stream(pieces(&[b'0'; 16384], Duration::ZERO)).into_response(),
            Behaviour::GzipBomb => ([(header::CONTENT_ENCODING, "gzip")], gzip_of_zeros()).into_response(),
            Behaviour::Gated(gate, keys) => {
                gate.acquire().await.expect("open").forget();
                json!({ "keys": keys, "from": url }).to_string().into_response()
            }
        }
    }
}

fn pieces(
    piece: &'static [u8],
    pause: Duration,
) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    Pieces { piece, pause, sleep: Box::pin(tokio::time::sleep(pause)) }
}

struct Pieces {
    piece: &'static [u8],
    pause: Duration,
    sleep: std::pin::Pin<Box<tokio::time::Sleep>>,
}

impl futures_util::Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::ready!(self.sleep.as_mut().poll(context));
        let next = tokio::time::Instant::now() + self.pause;
        self.sleep.as_mut().reset(next);
        std::task::Poll::Ready(Some(Ok(Bytes::from_static(self.piece))))
    }
}

/// 64 MiB of zeros as gzip: one stored header and deflate blocks made by the system's own tool would need a dependency;
/// a run of maximal-length matches is simple enough to write by hand, but `gzip` is on every machine that has a shell.
pub(crate) fn gzip_of_zeros() -> Vec<u8> {
    let output = std::process::Command::new("sh")
        .args(["-c", "head -c 67108864 /dev/zero | gzip -c"])
        .output()
        .expect("a shell with gzip");
    assert!(output.stdout.len() > 1000, "gzip made the bomb");
    output.stdout
}
