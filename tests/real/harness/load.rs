//! Callers who do not stop calling while something else happens.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::task::JoinHandle;

/// How many call at once.
const CALLERS: usize = 4;
/// What each does between two calls.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a call may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Calls of `echo` in 2026-07-28, one after the other from each caller, with the tokens of the day.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    callers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    url: String,
    http: reqwest::Client,
    tokens: Mutex<Vec<String>>,
    ended: AtomicBool,
    /// How often each answer came: a status, or why there was none.
    answers: Mutex<BTreeMap<String, usize>>,
    times: Mutex<Vec<Duration>>,
}

/// What came of all calls.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) answers: BTreeMap<String, usize>,
    times: Vec<Duration>,
}

impl Load {
    /// Begins; the runtime of the test runs them.
    pub(crate) fn begin(http: reqwest::Client, url: &str, token: &str) -> Self {
        let shared = Arc::new(Shared {
            url: url.to_owned(),
            http,
            tokens: Mutex::new(vec![token.to_owned()]),
            ended: AtomicBool::new(false),
            answers: Mutex::default(),
            times: Mutex::default(),
        });
        let callers = (0..CALLERS).map(|_| tokio::spawn(Arc::clone(&shared).call_on())).collect();
        Self { shared, callers }
    }

    /// From now on every other call has this token.
    pub(crate) fn also_with(&self, token: &str) {
        self.shared.tokens.lock().expect("no panic").push(token.to_owned());
    }

    /// From now on with this token instead.
    pub(crate) fn now_with(&self, token: &str) {
        *self.shared.tokens.lock().expect("no panic") = vec![token.to_owned()];
    }

    /// Waits until so many more calls were answered, however.
    pub(crate) async fn more(&self, count: usize) {
        let so_far = || self.shared.times.lock().expect("no panic").len();
        let (before, began) = (so_far(), Instant::now());
        while so_far() < before + count {
            assert!(began.elapsed() < 10 * PATIENCE, "only {} calls more", so_far() - before);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits for the calls under way, and says what came of all.
    pub(crate) async fn end(self) -> Calls {
        self.shared.ended.store(true, Ordering::SeqCst);
        for caller in self.callers {
            caller.await.expect("no panic");
        }
        let mut times = std::mem::take(&mut *self.shared.times.lock().expect("no panic"));
        times.sort_unstable();
        Calls { answers: std::mem::take(&mut *self.shared.answers.lock().expect("no panic")), times }
    }
}

impl Shared {
    async fn call_on(self: Arc<Self>) {
        let mut number = 0;
        while !self.ended.load(Ordering::SeqCst) {
            number += 1;
            let token = {
                let tokens = self.tokens.lock().expect("no panic");
                tokens[number % tokens.len()].clone()
            };
            let began = Instant::now();
            let answer = self.call(&token).await;
            *self.answers.lock().expect("no panic").entry(answer).or_default() += 1;
            self.times.lock().expect("no panic").push(began.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn call(&self, token: &str) -> String {
        let body = echo("hi");
        let request = stateless(self.http.post(&self.url), token).timeout(PATIENCE).body(body);
        match request.send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let text = answer.text().await.unwrap_or_default();
                if status == 200 && !text.contains("\"hi\"") { format!("200 {text}") } else { status.to_string() }
            }
            Err(error) => format!("{error:?}"),
        }
    }
}

impl Calls {
    /// How many there were, all of which were answered well.
    #[track_caller]
    pub(crate) fn all_good(&self) -> usize {
        assert_eq!(self.answers.keys().collect::<Vec<_>>(), ["200"], "{:?}", self.answers);
        self.times.len()
    }

    /// Within how many milliseconds 99 of 100 were answered.
    pub(crate) fn p99(&self) -> u128 {
        self.times[self.times.len() * 99 / 100].as_millis()
    }
}

/// The headers of a call of `echo` in 2026-07-28.
pub(crate) fn stateless(request: reqwest::RequestBuilder, token: &str) -> reqwest::RequestBuilder {
    let request = request.bearer_auth(token).header("content-type", "application/json");
    let request = request.header("accept", "application/json, text/event-stream");
    request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", "tools/call").header("mcp-name", "echo")
}

/// Its body.
pub(crate) fn echo(message: &str) -> String {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"}});
    let params = json!({"name": "echo", "arguments": {"message": message}, "_meta": meta});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}
