//! Two replicas of one server on one Redis.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use reqwest::{Method, RequestBuilder, Response};
use securemcp::{server::Features, tools::Tools};
use serde_json::{Value, json};

use super::{
    issuer::{Behaviour, LyingIssuer},
    keys::Key,
    redis::FakeRedis,
    server::{NOW, TestServer, merged, stateless, with_mirrors},
    until::until,
};

/// What both are called.
pub(crate) const HOST: &str = "127.0.0.1:9";
/// What no flag takes.
pub(crate) const REGISTRATION_KEY: &str = "client.registration_key";

/// Waits for the end of a stream.
pub(crate) async fn ended<T>(stream: impl Future<Output = reqwest::Result<T>>) {
    let ended = tokio::time::timeout(Duration::from_secs(20), stream).await;
    ended.expect("the stream ends").expect("in order");
}

/// A server whose file names this Redis: a flag takes no password.
pub(crate) async fn start(redis: &str, flags: &[(&'static str, &str)]) -> TestServer {
    start_with(redis, flags, Tools::builtin()).await
}

async fn start_with(redis: &str, flags: &[(&'static str, &str)], features: impl Into<Features>) -> TestServer {
    let state = tempfile::tempdir().expect("a temporary directory");
    let (keys, flags): (Vec<_>, Vec<_>) = flags.iter().partition(|(name, _)| *name == REGISTRATION_KEY);
    let keys = keys.iter().map(|(name, key)| format!("{name} = \"{key}\"\n")).collect::<Vec<_>>().concat();
    let file = format!("{keys}[redis]\nurl = \"{redis}\"\n");
    std::fs::write(state.path().join("securemcp.toml"), file).expect("written");
    TestServer::start_in(state, &flags, features).await
}

/// Both, and the issuer that they trust.
pub(crate) struct Replicas {
    pub(crate) servers: [TestServer; 2],
    pub(crate) issuer: LyingIssuer,
    pub(crate) key: Key,
}

impl Replicas {
    pub(crate) async fn on(redis: &FakeRedis) -> Self {
        Self::with(&redis.url(), &[]).await
    }

    pub(crate) async fn with(redis: &str, more: &[(&'static str, &str)]) -> Self {
        Self::serving(redis, more, Tools::builtin).await
    }

    /// Both with these features.
    pub(crate) async fn serving<F: Into<Features>>(
        redis: &str,
        more: &[(&'static str, &str)],
        mut features: impl FnMut() -> F,
    ) -> Self {
        let key = Key::ec();
        let issuer = LyingIssuer::start(Behaviour::Keys(vec![key.jwk("k1")])).await;
        let resource = format!("http://{HOST}/mcp");
        let mut flags = vec![("issuer.url", issuer.url.as_str()), ("server.resource", resource.as_str())];
        flags.extend(more);
        let servers = [start_with(redis, &flags, features()).await, start_with(redis, &flags, features()).await];
        for server in &servers {
            server.until_ready().await;
        }
        Self { servers, issuer, key }
    }

    pub(crate) fn token_of(&self, subject: &str) -> String {
        self.token_with(&self.key, "k1", &json!({"sub": subject}))
    }

    pub(crate) fn token_with(&self, key: &Key, kid: &str, changes: &Value) -> String {
        let claims = json!({"iss": self.issuer.url, "aud": format!("http://{HOST}/mcp"), "sub": "alice",
            "client_id": "cli", "exp": NOW + 300, "iat": NOW, "scope": "mcp:read mcp:write"});
        key.token(&json!({"alg": key.alg(), "kid": kid, "typ": "at+jwt"}), &merged(claims, changes))
    }

    pub(crate) fn post(&self, replica: usize, token: &str, message: &Value) -> RequestBuilder {
        self.servers[replica].post(token, message.to_string()).header("host", HOST)
    }

    pub(crate) async fn initialize(&self, replica: usize, token: &str) -> Response {
        let parameters = json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}});
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": parameters});
        self.post(replica, token, &message).send().await.expect("an answer")
    }

    pub(crate) async fn begin(&self, replica: usize, token: &str) -> String {
        let answer = self.initialize(replica, token).await;
        assert_eq!(answer.status(), 200);
        let id = answer.headers()["mcp-session-id"].to_str().expect("ASCII").to_owned();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let answer = self.post(replica, token, &initialized).header("mcp-session-id", &id).send().await;
        assert_eq!(answer.expect("an answer").status(), 202);
        id
    }

    /// The status of a list within a session; a good one has tools.
    pub(crate) async fn list(&self, replica: usize, token: &str, id: &str) -> u16 {
        // In one session each has its own.
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let id_of_request = NEXT.fetch_add(1, Ordering::Relaxed);
        let message = json!({"jsonrpc": "2.0", "id": id_of_request, "method": "tools/list"});
        let request = self.post(replica, token, &message).header("mcp-session-id", id);
        let answer = request.header("mcp-protocol-version", "2025-11-25").send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.text().await.expect("a body");
        assert_eq!(body.contains("\"calculator\""), status == 200, "{status} {body}");
        status
    }

    /// The status of a call that needs no session.
    pub(crate) async fn call(&self, replica: usize, token: &str) -> u16 {
        let message = stateless("tools/call", json!({"name": "echo", "arguments": {"message": "hi"}}));
        let request = self.servers[replica].post(token, message).header("host", HOST);
        with_mirrors(request, "tools/call", Some("echo")).send().await.expect("an answer").status().as_u16()
    }

    /// What is answered to a request of 2026-07-28, by a client of these capabilities.
    pub(crate) async fn asked_by(&self, replica: usize, token: &str, can: Value, method: &str, params: Value) -> Value {
        let name = params["name"].as_str().map(str::to_owned);
        let mut message: Value = serde_json::from_str(&stateless(method, params)).expect("JSON");
        message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = can;
        let request = with_mirrors(self.post(replica, token, &message), method, name.as_deref());
        request.send().await.expect("an answer").json().await.expect("JSON")
    }

    pub(crate) fn without_body(&self, replica: usize, method: Method, token: &str, id: &str) -> RequestBuilder {
        let request = self.servers[replica].request(method, "/mcp").header("host", HOST).bearer_auth(token);
        request.header("accept", "text/event-stream").header("mcp-session-id", id)
    }

    /// A stream of the server's own messages.
    pub(crate) async fn listen(&self, replica: usize, token: &str, id: &str) -> Response {
        let answer = self.without_body(replica, Method::GET, token, id).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer
    }

    pub(crate) async fn says_of_redis(&self, replica: usize) -> (u16, String) {
        let answer = self.servers[replica].get("/health/ready").await;
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.expect("JSON")["redis"].as_str().expect("a word").to_owned())
    }

    /// Waits until a session is answered so by both.
    pub(crate) async fn until_session_is(&self, token: &str, id: &str, status: u16) {
        let both = async || [self.list(0, token, id).await, self.list(1, token, id).await];
        until(&format!("the session is {status}"), async || both().await == [status; 2]).await;
    }

    pub(crate) async fn until_redis_is(&self, word: &str) {
        for replica in [0, 1] {
            until(&format!("Redis is `{word}`"), async || self.says_of_redis(replica).await.1 == word).await;
        }
    }
}
