//! The server in this process, on a free port, with a clock that moves when told to.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use reqwest::{Method, RequestBuilder, Response, header};
use securemcp::{
    clock::TestClock,
    config::{Config, Environment, Flag, Inputs, Purpose},
    server::{Features, Server},
    tools::Tools,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    issuer::{Behaviour, LyingIssuer},
    keys::Key,
    until::{seen, until},
};

/// What the clock of every test server shows at first.
pub(crate) const NOW: u64 = 1_800_000_000;

/// A running server. [`stop`](Self::stop) ends it in order; dropping it aborts it.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) url: String,
    /// Where metrics are read, if they are.
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) http: reqwest::Client,
    pub(crate) state: TempDir,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// A server that trusts a [`LyingIssuer`], and the key to make tokens with.
pub(crate) struct Guarded {
    pub(crate) server: TestServer,
    pub(crate) issuer: LyingIssuer,
    pub(crate) key: Key,
}

/// A configuration as the command line would make it from these flags.
pub(crate) fn config(state: &TempDir, flags: &[(&'static str, &str)]) -> Config {
    let state_dir = state.path().join("state");
    let mut all = vec![flag("state_dir", state_dir.to_str().expect("UTF-8")), flag("server.listen", "127.0.0.1:0")];
    // Its clock stands still, so that a bucket never fills again.
    for key in ["limits.per_client", "limits.per_address"] {
        if flags.iter().all(|(set, _)| *set != key) {
            all.push(flag(key, "1000000/s"));
        }
    }
    all.extend(flags.iter().map(|(key, value)| flag(key, value)));
    let environment = Environment::new(state.path(), Some(state.path().to_owned())).at(Duration::from_secs(NOW));
    let inputs = Inputs { config_file: None, env_file: None, flags: all, environment };
    securemcp::config::load(Purpose::Serve, &inputs).expect("a good configuration")
}

fn flag(key: &'static str, value: &str) -> Flag {
    Flag { key, value: value.to_owned(), name: "--test" }
}

impl TestServer {
    pub(crate) async fn start(flags: &[(&'static str, &str)]) -> Self {
        Self::start_with(flags, Tools::builtin()).await
    }

    pub(crate) async fn start_with(flags: &[(&'static str, &str)], features: impl Into<Features>) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary directory"), flags, features).await
    }

    pub(crate) async fn start_in(
        state: TempDir,
        flags: &[(&'static str, &str)],
        features: impl Into<Features>,
    ) -> Self {
        let clock = TestClock::at(NOW);
        let config = config(&state, flags);
        let server = Server::bind(&config, features, clock.clone()).await.expect("starts");
        let (address, metrics) = (server.address(), server.metrics_address());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        let options = securemcp::net::Options::with_timeout(Duration::from_secs(20));
        let http = securemcp::net::client(&options).expect("a client");
        let scheme = if config.server.tls.is_some() { "https" } else { "http" };
        Self { address, url: format!("{scheme}://{address}"), metrics, clock, http, state, stop: Some(stop), task }
    }

    /// Ends the server as SIGTERM would, and waits for it.
    pub(crate) async fn stop(mut self) -> TempDir {
        let _ = self.stop.take().expect("not stopped yet").send(());
        (&mut self.task).await.expect("ends without panic");
        std::mem::replace(&mut self.state, tempfile::tempdir().expect("a temporary directory"))
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Asks the listener for metrics.
    pub(crate) async fn get_metrics(&self, path: &str) -> Response {
        let address = self.metrics.expect("there are metrics");
        self.http.get(format!("http://{address}{path}")).send().await.expect("an answer")
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.expect("an answer")
    }

    /// A POST to `/mcp` as an MCP client sends it.
    pub(crate) fn post(&self, token: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::POST, "/mcp")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .body(body)
    }

    /// A stateless call of a tool.
    pub(crate) async fn call(&self, token: &str, tool: &str, arguments: Value) -> Response {
        let request = self.post(token, stateless("tools/call", json!({"name": tool, "arguments": arguments})));
        with_mirrors(request, "tools/call", Some(tool)).send().await.expect("an answer")
    }

    /// The status of a harmless call with this token.
    pub(crate) async fn status_with(&self, token: &str) -> u16 {
        self.call(token, "echo", json!({"message": "hi"})).await.status().as_u16()
    }
}

impl Drop for TestServer {
    /// Leaves nothing behind, although a thread may be about to keep a copy of the issuer's keys.
    fn drop(&mut self) {
        self.task.abort();
        for _ in 0..100 {
            let _ = std::fs::remove_dir_all(self.state.path());
            if !self.state.path().exists() {
                return;
            }
        }
    }
}

impl Guarded {
    pub(crate) async fn start() -> Self {
        Self::start_with(Key::ec(), &[]).await
    }

    /// With these tools instead of the built-in ones.
    pub(crate) async fn with_tools(tools: Tools) -> Self {
        Self::start_whole(Key::ec(), &[], tools).await
    }

    pub(crate) async fn start_with(key: Key, flags: &[(&'static str, &str)]) -> Self {
        Self::start_whole(key, flags, Tools::builtin()).await
    }

    /// In front of the upstream server that the flags name, as soon as that takes calls.
    pub(crate) async fn guarding(key: Key, flags: &[(&'static str, &str)]) -> Self {
        Self::start_whole(key, flags, Tools::default()).await
    }

    /// The same with a configuration file.
    pub(crate) async fn guarding_with_file(key: Key, flags: &[(&'static str, &str)], file: &str) -> Self {
        let state = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(state.path().join("securemcp.toml"), file).expect("written");
        let guarded = Self::start_somewhere(state, key, flags, Tools::default()).await;
        guarded.server.until_ready().await;
        guarded
    }

    /// The same without waiting for anything.
    pub(crate) async fn guarding_unready(key: Key, flags: &[(&'static str, &str)]) -> Self {
        let state = tempfile::tempdir().expect("a temporary directory");
        Self::start_somewhere(state, key, flags, Tools::default()).await
    }

    pub(crate) async fn start_whole(key: Key, flags: &[(&'static str, &str)], features: impl Into<Features>) -> Self {
        let state = tempfile::tempdir().expect("a temporary directory");
        let guarded = Self::start_somewhere(state, key, flags, features).await;
        guarded.server.until_ready().await;
        guarded
    }

    async fn start_somewhere(
        state: TempDir,
        key: Key,
        flags: &[(&'static str, &str)],
        features: impl Into<Features>,
    ) -> Self {
        let issuer = LyingIssuer::start(Behaviour::Keys(vec![key.jwk("k1")])).await;
        let mut all = vec![("issuer.url", issuer.url.as_str())];
        all.extend(flags);
        let server = TestServer::start_in(state, &all, features).await;
        Self { server, issuer, key }
    }

    /// What is answered to a request of 2026-07-28 by this caller: status and body.
    pub(crate) async fn asked(&self, token: &str, method: &str, params: Value) -> (u16, Value) {
        self.asked_by(token, json!({}), method, params).await
    }

    /// The same by a client of these capabilities.
    pub(crate) async fn asked_by(&self, token: &str, can: Value, method: &str, params: Value) -> (u16, Value) {
        let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
        let mut body: Value = serde_json::from_str(&stateless(method, params)).expect("JSON");
        body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = can;
        let request = with_mirrors(self.server.post(token, body.to_string()), method, name.as_deref());
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.key.alg(), "kid": "k1", "typ": "at+jwt"})
    }

    /// Claims of a good token with every scope.
    pub(crate) fn claims(&self) -> Value {
        json!({"iss": self.issuer.url, "aud": format!("{}/mcp", self.server.url), "sub": "alice", "client_id": "cli",
               "exp": NOW + 300, "iat": NOW, "scope": "mcp:read mcp:write mcp:infer"})
    }

    /// A good token, but for these members of its claims (null takes one away).
    pub(crate) fn token(&self, changes: &Value) -> String {
        self.key.token(&self.header(), &merged(self.claims(), changes))
    }
}

impl TestServer {
    /// Polls readiness; the server fetches keys by itself.
    pub(crate) async fn until_ready(&self) {
        until("it is ready", async || self.get("/health/ready").await.status() == 200).await;
    }

    /// Polls readiness until this alone is failing; what was said of it.
    pub(crate) async fn until_failing(&self, name: &str) -> Value {
        let look = async || self.get("/health/ready").await.json::<Value>().await.ok();
        seen(name, async || look().await.filter(|ready| ready["failing"] == json!([name]))).await
    }
}

/// `base` with the members of `changes`; null removes.
pub(crate) fn merged(mut base: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().expect("an object") {
        let members = base.as_object_mut().expect("an object");
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    base
}

/// A request body of 2026-07-28.
pub(crate) fn stateless(method: &str, params: Value) -> String {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                      "io.modelcontextprotocol/clientCapabilities": {}});
    let params = merged(params, &json!({ "_meta": meta }));
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

/// The headers that mirror a body of 2026-07-28.
pub(crate) fn with_mirrors(request: RequestBuilder, method: &str, name: Option<&str>) -> RequestBuilder {
    let request = request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", method);
    match name {
        Some(name) => request.header("mcp-name", name),
        None => request,
    }
}
