//! Rows of the matrix of faults that need an issuer of our own, or a guarded server that lies (R14, R23, R30). Each prints
//! its figure; with `SOAK` set they run with their full load.

use std::{
    fs,
    io::Write as _,
    time::{Duration, Instant},
};

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::{
    gateway::guard_with,
    harness::{
        browser::Browser,
        cli::Account,
        process::{Serve, free_port},
        redis::FakeRedis,
        server::{TestServer, stateless, with_mirrors},
        until::until,
        upstream::{Lie, Upstream},
    },
    people::{CALLBACK, CHALLENGE, VERIFIER},
};

/// Prints a figure for whoever reads the run, whether the test fails or not.
pub(crate) fn figure(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// The short form, or the load of the matrix.
#[expect(clippy::disallowed_methods, reason = "it is said to the tests, not to the product")]
pub(crate) fn many(short: usize, full: usize) -> usize {
    if std::env::var_os("SOAK").is_some() { full } else { short }
}

/// A server that people log in at, over the lives of its process.
struct Home {
    account: Account,
    listen: String,
}

/// A registered program of a person, and what it holds.
struct Program {
    id: String,
    refresh_token: String,
    session: String,
}

impl Home {
    fn new(account: Account) -> Self {
        Self { account, listen: format!("127.0.0.1:{}", free_port()) }
    }

    fn serve(&self) -> Serve {
        Serve::start(self.account.command(&["serve", "--listen", &self.listen]))
    }

    /// Registers a program, and has the person at this browser log in there.
    async fn program(&self, serve: &Serve, browser: &mut Browser) -> Program {
        let metadata =
            json!({"client_name": "Editor", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"});
        let answer = serve.register(&self.account.initial_access_token(), &metadata).send().await;
        let id = text(&json_of(answer.expect("an answer"), 201).await, "client_id");
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("response_type", "code"),
                ("client_id", &id),
                ("redirect_uri", CALLBACK),
                ("state", "state"),
                ("code_challenge", CHALLENGE),
                ("code_challenge_method", "S256"),
                ("scope", "mcp:read mcp:write"),
            ])
            .finish();
        let password = fs::read_to_string(self.account.state().join("dev-password")).expect("it was made");
        let back = browser.allow(&format!("/authorize?{query}"), "dev", &password).await;
        let (_, code) = back.query_pairs().find(|(name, _)| name == "code").expect("a code");
        let fields =
            [("grant_type", "authorization_code"), ("client_id", &id), ("code", &code), ("code_verifier", VERIFIER)];
        let answer = serve.post("/token").form(&fields).send().await.expect("an answer");
        let tokens = json_of(answer, 200).await;
        let session = begin(serve, &text(&tokens, "access_token")).await;
        Program { id, refresh_token: text(&tokens, "refresh_token"), session }
    }
}

impl Program {
    async fn refresh(&self, serve: &Serve) -> Response {
        let fields = [("grant_type", "refresh_token"), ("client_id", &self.id), ("refresh_token", &self.refresh_token)];
        serve.post("/token").form(&fields).send().await.expect("an answer")
    }

    /// Calls in its session with a new token.
    async fn goes_on(&mut self, serve: &Serve) {
        let tokens = json_of(self.refresh(serve).await, 200).await;
        self.refresh_token = text(&tokens, "refresh_token");
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        let answer = in_session(serve, &text(&tokens, "access_token"), Some(&self.session), &list).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.text().await.expect("a body").contains("\"calculator\""));
    }
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn json_of(answer: Response, status: u16) -> Value {
    let told = answer.status();
    let body = answer.text().await.expect("a body");
    assert_eq!(told, status, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

async fn in_session(serve: &Serve, token: &str, session: Option<&str>, message: &Value) -> Response {
    let mut request = serve.post("/mcp").bearer_auth(token).header("content-type", "application/json");
    request = request.header("accept", "application/json, text/event-stream");
    if let Some(session) = session {
        request = request.header("mcp-session-id", session).header("mcp-protocol-version", "2025-11-25");
    }
    request.body(message.to_string()).send().await.expect("an answer")
}

async fn begin(serve: &Serve, token: &str) -> String {
    let parameters = json!({"protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}});
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": parameters});
    let answer = in_session(serve, token, None, &initialize).await;
    assert_eq!(answer.status(), 200);
    let session = answer.headers()["mcp-session-id"].to_str().expect("ASCII").to_owned();
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(in_session(serve, token, Some(&session), &initialized).await.status(), 202);
    session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r14_what_was_killed_knows_everybody_when_it_is_back() {
    let redis = FakeRedis::start();
    let account = Account::new();
    let url = account.home().join("redis-url");
    fs::write(&url, redis.url()).expect("the home is writable");
    let home = Home::new(account.with("SECUREMCP_REDIS_URL_FILE", url.to_str().expect("UTF-8")));
    let (lives, count) = (many(2, 20), many(5, 40));
    let serve = home.serve();
    let mut browser = Browser::at(&serve.origin);
    let mut programs = Vec::new();
    for _ in 0..count {
        programs.push(home.program(&serve, &mut browser).await);
    }
    let (mut serve, mut ready) = (Some(serve), Vec::new());
    for _ in 0..lives {
        serve.take().expect("it runs").process.kill();
        let began = Instant::now();
        let again = home.serve();
        until("it is ready", async || again.get("/health/ready").await.status() == 200).await;
        ready.push(began.elapsed().as_millis());
        for program in &mut programs {
            program.goes_on(&again).await;
        }
        serve = Some(again);
    }
    figure(&format!(
        "R14, killed and started again {lives} times: {count} of {count} clients, their refresh tokens and their sessions \
         were there each time; ready after {ready:?} ms"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r30_one_refresh_token_used_by_two_at_once_locks_nobody_out() {
    let home = Home::new(Account::new());
    let serve = home.serve();
    let mut program = home.program(&serve, &mut Browser::at(&serve.origin)).await;
    let rounds = many(10, 200);
    for _ in 0..rounds {
        let (one, other) = tokio::join!(program.refresh(&serve), program.refresh(&serve));
        let (one, other) = (json_of(one, 200).await, json_of(other, 200).await);
        let successor = text(&one, "refresh_token");
        assert_eq!(text(&other, "refresh_token"), successor, "one successor for both");
        assert_ne!(successor, program.refresh_token);
        program.refresh_token = successor;
    }
    program.goes_on(&serve).await;
    figure(&format!(
        "R30, one refresh token used by two at once, {rounds} times: one successor each time, 0 grants revoked"
    ));
}

/// A call of the tool that the guarded server fails at.
fn writing(server: &TestServer, token: &str) -> RequestBuilder {
    let call = stateless("tools/call", json!({"name": "write", "arguments": {}}));
    with_mirrors(server.post(token, call), "tools/call", Some("write"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r23_a_guarded_server_that_fails_costs_its_own_callers_only() {
    let upstream = Upstream::start(true).await;
    // Long enough for every call that does not hang, however busy this machine is.
    let guarded = guard_with(&upstream, &[("upstream.timeout", "5s")]).await;
    let token = guarded.token(&json!({}));
    let calls = many(5, 100);
    let half = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":{id},\"res";
    let text_of = |status: u16, kind: &'static str, body: &str| Lie::Text(status, kind, body.to_owned());
    let mut told = Vec::new();
    for (fault, lie, expected) in [
        ("500", text_of(500, "text/plain", "down"), "answered with HTTP 500"),
        ("hangs", Lie::Hang, "did not finish within 5 seconds"),
        ("ends in mid-stream", text_of(200, "text/event-stream", half), "the connection to it broke off"),
    ] {
        upstream.lie("write", lie);
        let began = Instant::now();
        let mut failing = tokio::task::JoinSet::new();
        for _ in 0..calls {
            let request = writing(&guarded.server, &token);
            failing.spawn(async move { request.send().await.expect("an answer").text().await.expect("a body") });
        }
        // What does not need it, and its other tool.
        for _ in 0..calls {
            assert_eq!(guarded.server.get("/health/live").await.status(), 200);
            assert_eq!(guarded.called("read", json!({"text": "x"})).await["content"][0]["text"], "{\"text\":\"x\"}");
        }
        for body in failing.join_all().await {
            assert!(body.contains(expected) && body.contains("\"isError\":true"), "{fault}: {body}");
        }
        let took = began.elapsed();
        // An order of magnitude beyond the timeout.
        assert!(took < Duration::from_secs(50), "{fault}: {took:?}");
        told.push(format!("{fault}: {} ms", took.as_millis()));
        upstream.rules().lies.clear();
    }
    drop(upstream);
    // Whoever calls now is told at once, and this server is not ready for what it guards.
    let began = Instant::now();
    for _ in 0..calls {
        let body = writing(&guarded.server, &token).send().await.expect("an answer");
        let body = body.text().await.expect("a body");
        assert!(body.contains("\"isError\":true"), "{body}");
        assert_eq!(guarded.server.get("/health/live").await.status(), 200);
    }
    figure(&format!(
        "R23, {calls} calls of a guarded server at once that fails: {}; gone: {} ms for {calls} one after the other; 0 of \
         {} calls of its other tool failed",
        told.join(", "),
        began.elapsed().as_millis(),
        3 * calls
    ));
}
