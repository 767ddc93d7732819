//! Two replicas on a real Redis: sessions fail over, and Redis may be gone, empty, frozen or read-only.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use reqwest::{Client, Method, Response};
use securemcp::secret::sha256_base64url;
use serde_json::{Value, json};

use crate::harness::{
    Account, REDIS_PASSWORD, Redis, Server, Toxiproxy, echo, figure, free_port, root, stateless, status_of,
};

/// What both replicas are called.
const HOST: &str = "127.0.0.1:9";
/// How long anything may take to be noticed.
const LIMIT: Duration = Duration::from_secs(20);

/// The id of an event, and its message.
type Event = (String, String);

/// Those of a stream.
fn events(text: &str) -> Vec<Event> {
    let fields = |event: &str, name: &str| {
        event.lines().filter_map(|line| Some(line.strip_prefix(name)?.trim())).collect::<String>()
    };
    let events = text.split("\n\n").filter(|event| event.contains("data:"));
    events.map(|event| (fields(event, "id:"), fields(event, "data:"))).collect()
}

struct Deployment {
    redis: Redis,
    replicas: Vec<(Server, Account)>,
    token: String,
    http: Client,
    _issuer: (Server, Account),
}

impl Deployment {
    fn start() -> Self {
        let redis = Redis::start(REDIS_PASSWORD);
        let url = redis.url_file(None);
        Self::on(redis, &url)
    }

    /// Both with the URL that is in this file.
    fn on(redis: Redis, url: &Path) -> Self {
        let resource = format!("http://{HOST}/mcp");
        let account = Account::new();
        let issuer = account.serve_at(free_port(), &[("SECUREMCP_EMBEDDED_RESOURCES", &resource)], &[]);
        let arguments = ["token", "get", "--resource", &resource, "--issuer", &issuer.origin(), "--scope"];
        let token = account.securemcp(&[&arguments[..], &["mcp:read mcp:write"]].concat()).done().trim_end().to_owned();
        let url = url.display().to_string();
        let replica = || {
            let account = Account::new();
            let flags = ["--issuer", &issuer.origin(), "--resource", &resource];
            (account.serve_at(free_port(), &[("SECUREMCP_REDIS_URL_FILE", &url)], &flags), account)
        };
        let replicas = vec![replica(), replica()];
        let http = securemcp::net::client(&securemcp::net::Options::with_timeout(LIMIT)).expect("a client");
        Self { redis, replicas, token, http, _issuer: (issuer, account) }
    }

    async fn send(&self, replica: usize, method: Method, session: Option<&str>, message: Option<Value>) -> Response {
        let mut request = self.http.request(method, self.replicas[replica].0.url()).header("host", HOST);
        request = request.bearer_auth(&self.token).header("accept", "application/json, text/event-stream");
        if let Some(session) = session {
            request = request.header("mcp-session-id", session);
        }
        if let Some(message) = message {
            request = request.header("content-type", "application/json").body(message.to_string());
        }
        request.send().await.expect("an answer")
    }

    async fn initialize(&self, replica: usize) -> Response {
        let parameters = json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}});
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": parameters});
        self.send(replica, Method::POST, None, Some(message)).await
    }

    async fn begin(&self, replica: usize) -> String {
        let answer = self.initialize(replica).await;
        assert_eq!(answer.status(), 200);
        let session = answer.headers()["mcp-session-id"].to_str().expect("ASCII").to_owned();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(self.send(replica, Method::POST, Some(&session), Some(initialized)).await.status(), 202);
        session
    }

    async fn call(&self, replica: usize, session: &str) -> u16 {
        let parameters = json!({"name": "echo", "arguments": {"message": "still here"}});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters});
        let answer = self.send(replica, Method::POST, Some(session), Some(message)).await;
        let status = answer.status().as_u16();
        assert_eq!(answer.text().await.expect("a body").contains("still here"), status == 200);
        status
    }

    /// The events of a call with an answer of 10 KiB: where its stream begins, and the answer.
    async fn tells(&self, replica: usize, session: &str, number: usize) -> [Event; 2] {
        let parameters = json!({"name": "echo", "arguments": {"message": "x".repeat(5 * 1024)}});
        let message = json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": parameters});
        let answer = self.send(replica, Method::POST, Some(session), Some(message)).await;
        events(&answer.text().await.expect("a body")).try_into().expect("two events")
    }

    /// The events after this one.
    async fn resumed(&self, replica: usize, session: &str, last: &str) -> Vec<Event> {
        let request = self.http.get(self.replicas[replica].0.url()).header("host", HOST).bearer_auth(&self.token);
        let request = request.header("accept", "text/event-stream").header("mcp-session-id", session);
        let answer = request.header("last-event-id", last).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        events(&answer.text().await.expect("a body"))
    }

    async fn calls(&self, session: &str) -> [u16; 2] {
        [self.call(0, session).await, self.call(1, session).await]
    }

    /// A call of 2026-07-28, at both.
    async fn stateless(&self) {
        for (server, _) in &self.replicas {
            assert_eq!(status_of(server.port, "/health/ready"), Some(200));
            let request = stateless(self.http.post(server.url()), &self.token).header("host", HOST).body(echo("hi"));
            assert_eq!(request.send().await.expect("an answer").status(), 200);
        }
    }

    /// Waits until a session is answered so by both, and says how long that took.
    async fn until(&self, what: &str, session: &str, expected: [u16; 2]) {
        let began = Instant::now();
        loop {
            let answered = self.calls(session).await;
            if answered == expected {
                break;
            }
            assert!(began.elapsed() < LIMIT, "{what}: {answered:?}");
            thread::sleep(Duration::from_millis(20));
        }
        figure(&format!("{what}: noticed after {} ms", began.elapsed().as_millis()));
    }
}

#[tokio::test]
async fn replicas_share_sessions_in_redis() {
    let mut deployment = Deployment::start();
    let session = deployment.begin(0).await;
    assert_eq!(deployment.calls(&session).await, [200, 200]);

    // R7: gone and back, with what it had.
    deployment.redis.end();
    deployment.until("R7, Redis gone", &session, [503, 503]).await;
    assert_eq!(deployment.initialize(1).await.status(), 503);
    deployment.stateless().await;
    deployment.redis.begin();
    deployment.until("R7, Redis back", &session, [200, 200]).await;

    // R11: half open.
    deployment.redis.freeze(true);
    deployment.until("R11, Redis frozen", &session, [503, 503]).await;
    deployment.stateless().await;
    deployment.redis.freeze(false);
    deployment.until("R11, Redis goes on", &session, [200, 200]).await;

    // R10: read-only.
    deployment.redis.cli("REPLICAOF 127.0.0.1 1");
    deployment.until("R10, read-only", &session, [503, 503]).await;
    deployment.stateless().await;
    deployment.redis.cli("REPLICAOF NO ONE");
    deployment.until("R10, writable", &session, [200, 200]).await;

    // Ended at one, ended at both.
    let other = deployment.begin(1).await;
    assert_eq!(deployment.calls(&other).await, [200, 200]);
    assert_eq!(deployment.send(0, Method::DELETE, Some(&other), None).await.status(), 204);
    assert_eq!(deployment.calls(&other).await, [404, 404]);

    // What ends while nobody can say so ends when there is a connection again, and only that.
    let missed = deployment.begin(1).await;
    let of_missed = deployment.send(1, Method::GET, Some(&missed), None).await;
    let mut of_kept = Box::pin(deployment.send(1, Method::GET, Some(&session), None).await.bytes());
    let key = format!("securemcp:*:session:{}", sha256_base64url(missed.as_bytes()));
    let key = deployment.redis.cli(&format!("KEYS {key}"));
    assert_eq!(deployment.redis.cli(&format!("DEL {}", key.trim())).trim(), "1");
    assert_eq!(deployment.redis.cli("CLIENT KILL TYPE pubsub").trim(), "2");
    tokio::time::timeout(LIMIT, of_missed.bytes()).await.expect("it ends in time").expect("the end of the stream");
    deployment.until("missed, Redis back", &session, [200, 200]).await;
    assert!((&mut of_kept).now_or_never().is_none());

    // Nothing is kept for ever.
    let keys = deployment.redis.cli("KEYS *");
    assert!(["keys", "session"].iter().all(|kind| keys.contains(&format!(":{kind}:"))), "{keys}");
    for key in keys.lines() {
        // A rate may have ended meanwhile: -2.
        assert_ne!(deployment.redis.cli(&format!("PTTL {key}")).trim(), "-1", "{key}");
    }

    // Events are kept up to a bound, and the newest of them can be had again.
    let mut told = Vec::new();
    for number in 0..40 {
        told.push(deployment.tells(0, &session, number).await);
    }
    let key = deployment.redis.cli("KEYS securemcp:*:events:*");
    let length: usize = deployment.redis.cli(&format!("STRLEN {}", key.trim())).trim().parse().expect("a number");
    assert!((200 * 1024..=256 * 1024).contains(&length), "{length}");

    // R13 and R25: the replica where it began is killed. Another one has the session, and what a client may have missed.
    drop(deployment.replicas.remove(0));
    assert_eq!(deployment.call(0, &session).await, 200);
    let began = Instant::now();
    for [beginning, answer] in &told[30..] {
        assert_eq!(deployment.resumed(0, &session, &beginning.0).await, std::slice::from_ref(answer));
        assert_eq!(deployment.resumed(0, &session, &answer.0).await, []);
    }
    figure(&format!(
        "R25, 10 streams cut and their replica killed: 0 events lost, 0 twice, {} ms; {length} bytes of 40 in Redis",
        began.elapsed().as_millis()
    ));

    // R9: empty.
    assert_eq!(deployment.redis.cli("FLUSHALL").trim(), "OK");
    assert_eq!(deployment.call(0, &session).await, 404);
    let began = Instant::now();
    let next = deployment.begin(0).await;
    assert_eq!(deployment.call(0, &next).await, 200);
    figure(&format!("R9, Redis empty: 404 at once, another session after {} ms", began.elapsed().as_millis()));
}

#[tokio::test]
async fn r8_r11_a_network_that_swallows_or_is_slow_is_noticed_and_left_behind() {
    let redis = Redis::start(REDIS_PASSWORD);
    let way = Toxiproxy::to(redis.port).await;
    let url = redis.url_file_by(way.port);
    let deployment = Deployment::on(redis, &url);
    let session = deployment.begin(0).await;
    deployment.until("Redis behind Toxiproxy", &session, [200, 200]).await;
    for fault in ["R11, nothing comes through", "R8, 500 ms more", "cut"] {
        match fault {
            "cut" => way.cut(true).await,
            "R8, 500 ms more" => way.delay(500).await,
            _ => way.swallow().await,
        }
        deployment.until(fault, &session, [503, 503]).await;
        deployment.stateless().await;
        match fault {
            "cut" => way.cut(false).await,
            _ => way.heal().await,
        }
        deployment.until("healed", &session, [200, 200]).await;
    }
}

#[test]
fn a_wrong_password_is_said_with_what_to_do() {
    let redis = Redis::start(REDIS_PASSWORD);
    for (password, word) in [(Some("wrong"), "failing"), (None, "ready")] {
        let account = Account::new();
        let url = redis.url_file(password).display().to_string();
        let server = account.serve_at(free_port(), &[("SECUREMCP_REDIS_URL_FILE", &url)], &[]);
        let ready = format!("curl -sS {}/health/ready", server.origin());
        let began = Instant::now();
        // What readiness says is so before the first answer of Redis, too; the log has its words.
        while !account.shell(&ready, &[]).done().contains(&format!("\"redis\":\"{word}\""))
            || !server.log().contains("Redis at") && password.is_some()
        {
            assert!(began.elapsed() < LIMIT, "Redis is not `{word}`: {}", server.log());
        }
        let log = server.log();
        assert_eq!(log.contains("correct user and password in `redis.url`"), password.is_some(), "{log}");
        assert!(!log.contains(REDIS_PASSWORD) && !log.contains(":wrong@"), "{log}");
    }
}

#[tokio::test]
async fn the_user_that_the_page_names_may_do_all_that_is_done() {
    let page = fs::read_to_string(root().join("docs/REDIS.md")).expect("the page");
    let line = page.lines().find(|line| line.starts_with("ACL SETUSER securemcp ")).expect("the line");
    for (line, is_refused) in [(line.replace(" +exists", ""), true), (line.to_owned(), false)] {
        let redis = Redis::start(REDIS_PASSWORD);
        assert_eq!(redis.cli(&line.replace("PASSWORD", "of-the-user")).trim(), "OK");
        let url = redis.url_file(None);
        let of_the_user = format!("redis://securemcp:of-the-user@127.0.0.1:{}/0", redis.port);
        fs::write(&url, of_the_user).expect("written");
        let deployment = Deployment::on(redis, &url);
        let session = deployment.begin(0).await;
        deployment.until("a user of its own", &session, [200, 200]).await;
        assert_eq!(deployment.send(1, Method::DELETE, Some(&session), None).await.status(), 204);
        assert_eq!(deployment.calls(&session).await, [404, 404]);
        let logs: String = deployment.replicas.iter().map(|(server, _)| server.log()).collect();
        assert_eq!(logs.contains("no permissions to run the 'exists' command"), is_refused, "{logs}");
        assert_eq!(logs.contains("Redis at"), is_refused, "{logs}");
    }
}
