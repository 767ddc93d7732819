//! SIGHUP: settings and certificates change while the server runs, all or none, and nobody is dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use rustls::version::TLS13;
use serde_json::{Value, json};

use crate::{
    gateway_stdio::Notes,
    harness::{
        cli::Account,
        process::Serve,
        server::{stateless, with_mirrors},
        tls::{Authority, Files, Issued},
        until::until,
    },
};

/// A server with a configuration file, and how often it was told to read it anew.
struct Reloaded {
    account: Account,
    serve: Serve,
    times: usize,
}

const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];

fn write(account: &Account, toml: &str) {
    std::fs::write(account.home().join("securemcp.toml"), toml).expect("the home is writable");
}

impl Reloaded {
    fn start(toml: &str) -> Self {
        let account = Account::limited();
        write(&account, toml);
        let serve = Serve::start(account.command(&["serve", "--listen", "127.0.0.1:0"]));
        Self { account, serve, times: 0 }
    }

    /// Writes the file, sends the signal, and waits until the log says what became of it; the new lines of the log.
    fn with(&mut self, toml: &str) -> Vec<Value> {
        write(&self.account, toml);
        self.again()
    }

    fn again(&mut self) -> Vec<Value> {
        self.times += 1;
        let before = self.serve.process.stderr_so_far().len();
        self.serve.process.signal(Signal::HUP);
        // Whatever comes of it, the last line of a reload has this word.
        self.serve.process.said_times("reloaded", self.times);
        let said = self.serve.process.stderr_so_far();
        let events = said[before..].lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        // Others may call meanwhile.
        events.filter(|event| event["target"] != "audit").collect()
    }

    fn token(&self) -> String {
        let token = self.account.run(&["token", "get", "--server", &self.serve.url, "--scope", "mcp:read"]);
        token.done().trim_end().to_owned()
    }

    async fn echo(&self, token: &str, host: &str, origin: Option<&str>, size: usize) -> u16 {
        let body = stateless("tools/call", json!({"name": "echo", "arguments": {"message": "x".repeat(size)}}));
        let request = self.serve.post("/mcp").bearer_auth(token).header("host", host);
        let request = request.header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream").body(body);
        let mut request = with_mirrors(request, "tools/call", Some("echo"));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.send().await.expect("an answer").status().as_u16()
    }
}

fn messages(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["message"].as_str()).collect()
}

#[tokio::test]
async fn what_is_live_changes_and_what_is_not_is_named() {
    let mut server = Reloaded::start("[server]\nallowed_hosts = ['one.example']\n");
    let token = server.token();
    let host = server.serve.origin.trim_start_matches("http://").to_owned();
    assert_eq!(server.echo(&token, "one.example", None, 1).await, 200);
    assert_eq!(server.echo(&token, "two.example", None, 1).await, 421);
    assert_eq!(server.echo(&token, &host, Some("https://app.example"), 1).await, 403);
    assert_eq!(server.echo(&token, &host, None, 5000).await, 200);

    let events = server.with(
        "[server]\nallowed_hosts = ['two.example']\nallowed_origins = ['https://app.example']\nmax_body_bytes = 4096\n",
    );
    assert_eq!(messages(&events), ["reloaded"]);
    assert_eq!(server.echo(&token, "one.example", None, 1).await, 421);
    assert_eq!(server.echo(&token, "two.example", None, 1).await, 200);
    assert_eq!(server.echo(&token, &host, Some("https://app.example"), 1).await, 200);
    assert_eq!(server.echo(&token, &host, None, 5000).await, 413);

    let events = server.with("[issuer]\nallowed_clients = ['nobody']\n[log]\nlevel = 'debug'\n");
    assert_eq!(messages(&events), ["reloaded"]);
    assert_eq!(server.echo(&token, &host, None, 5000).await, 403, "a token that was good before is judged anew");
    server.serve.process.said("\"level\":\"DEBUG\"");

    let events = server.with("server.drain_timeout = '1s'\nscopes.supported = 'mcp:read'\nlog.level = 'info'\n");
    assert_eq!(messages(&events), ["these settings have changed and wait for a restart", "reloaded"]);
    assert_eq!(events[0]["keys"], "server.drain_timeout, scopes.supported");
    assert_eq!(server.echo(&token, &host, None, 5000).await, 200);
    let events = server.again();
    assert_eq!(messages(&events).len(), 2, "it is said until it is no longer true");
    assert_eq!(messages(&server.with("")), ["reloaded"]);
}

#[tokio::test]
async fn what_a_guarded_server_has_is_told_to_nobody_without_a_token_after_a_reload_either() {
    let notes = Notes::new();
    let mut server = Reloaded::start(&format!("upstream.command = {}\n", json!(notes.command("none"))));
    until("the guarded server", async || server.serve.get("/health/ready").await.status() == 200).await;
    let document = async |server: &Reloaded| server.serve.get("/openapi.json").await.text().await.expect("text");
    let before = document(&server).await;
    assert!(before.contains("/api/v1/tools") && !before.contains("/api/v1/tools/"), "{before}");
    assert_eq!(messages(&server.again()), ["reloaded"]);
    assert_eq!(document(&server).await, before);
}

#[tokio::test]
async fn sessions_outlive_a_reload_and_new_limits_hold_for_new_ones() {
    let mut server = Reloaded::start("");
    let token = server.token();
    let post = |session: Option<&str>, body: Value| {
        let request = server.serve.post("/mcp").bearer_auth(&token).json(&body);
        let request = request.header("accept", "application/json, text/event-stream");
        session.map(|session| request.try_clone().expect("a body").header("mcp-session-id", session)).unwrap_or(request)
    };
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let begin = async || post(None, initialize.clone()).send().await.expect("an answer");
    let first = begin().await;
    let session = first.headers()["mcp-session-id"].to_str().expect("ASCII").to_owned();
    let again = post(Some(&session), json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    assert_eq!(again.send().await.expect("an answer").status(), 202);
    let ping = post(Some(&session), json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
    let another = post(None, initialize.clone());
    assert_eq!(messages(&server.with("limits.sessions_per_principal = 1")), ["reloaded"]);
    assert_eq!(ping.send().await.expect("an answer").status(), 200);
    assert_ne!(another.send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn counts_outlive_a_reload_and_where_they_are_read_waits_for_a_restart() {
    let mut server = Reloaded::start("server.metrics_listen = '127.0.0.1:0'\n");
    let said: Value = serde_json::from_str(&server.serve.announced).expect("JSON");
    let page = format!("http://{}/metrics", said["metrics"].as_str().expect("it says where"));
    let token = server.token();
    let host = server.serve.origin.trim_start_matches("http://").to_owned();
    let echoed = async |count: u32| {
        let page = reqwest::get(&page).await.expect("an answer").text().await.expect("text");
        for (name, labels) in [
            ("tool_calls_total", r#"tool="echo",outcome="ok""#),
            ("http_request_duration_seconds_count", r#"route="/mcp",status="200""#),
        ] {
            let line = format!("securemcp_{name}{{{labels}}} {count}\n");
            assert!(page.contains(&line), "{line} in {page}");
        }
    };
    assert_eq!(server.echo(&token, &host, None, 1).await, 200);
    echoed(1).await;
    let events = server.with("server.metrics_listen = '127.0.0.1:9'\nserver.allowed_hosts = ['one.example']\n");
    assert_eq!(messages(&events), ["these settings have changed and wait for a restart", "reloaded"]);
    assert_eq!(events[0]["keys"], "server.metrics_listen");
    assert_eq!(server.echo(&token, "one.example", None, 1).await, 200, "the rest was taken over");
    echoed(2).await;
}

#[tokio::test]
async fn h26_new_rates_hold_from_a_reload_on() {
    let mut server = Reloaded::start("limits.per_client = '1000000/s'");
    let token = server.token();
    let host = server.serve.origin.trim_start_matches("http://").to_owned();
    for (toml, may_refuse) in [(None, false), (Some("limits.per_client = '1/s'"), true)] {
        if let Some(toml) = toml {
            assert_eq!(messages(&server.with(toml)), ["reloaded"]);
        }
        let mut refused = 0;
        for _ in 0..50 {
            refused += usize::from(server.echo(&token, &host, None, 1).await == 429);
        }
        assert_eq!(refused > 0, may_refuse, "{refused} with {toml:?}");
    }
}

#[test]
fn bad_settings_change_nothing_and_every_problem_is_logged() {
    let mut server = Reloaded::start("log.level = 'info'");
    let events = server.with("[server]\nlisen = 'x'\ndrain_timeout = 'soon'\n");
    let problems: Vec<_> = events.iter().filter_map(|event| event["problem"].as_str()).collect();
    assert_eq!(
        problems,
        [
            "`securemcp.toml` line 2: there is no key `server.lisen`",
            "`securemcp.toml` line 3: `server.drain_timeout` is `soon`, expected a duration such as `25s`, `5m`, `1h` or seconds",
        ]
    );
    assert_eq!(events[0]["hint"], "write `server.listen` if that was meant");
    assert!(events.iter().all(|event| event["level"] == "ERROR"), "{events:?}");
    server.account.run(&["call", "echo", "hi", "--server", &server.serve.url]).done();
    assert_eq!(messages(&server.with("")), ["reloaded"]);
}

/// The certificate that a new connection is shown.
async fn shown(authority: &Authority, serve: &Serve) -> Vec<u8> {
    let address = serve.origin.trim_start_matches("https://").parse().expect("an address");
    let stream = authority.connect(address, &[&TLS13], &["http/1.1"]).await.expect("a handshake");
    let chain = stream.get_ref().1.peer_certificates().expect("there is one");
    chain[0].as_ref().to_vec()
}

fn toml(files: &Files) -> String {
    // Who looks whether a request fails asks as fast as it can.
    let limits = "limits.per_client = '1000000/s'\nlimits.per_address = '1000000/s'\n";
    format!("{limits}server.tls_cert = '{}'\nserver.tls_key = '{}'\n", files.certificate(), files.key())
}

#[tokio::test]
async fn p01_a_new_certificate_is_shown_and_a_bad_one_is_not() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(&HOSTS));
    let mut server = Reloaded::start(&toml(&files));
    let first = shown(&authority, &server.serve).await;
    assert_eq!(shown(&authority, &server.serve).await, first);
    let (second, third) = (authority.issue(&HOSTS), authority.issue(&HOSTS));
    files.replace(&second);
    assert_eq!(shown(&authority, &server.serve).await, first, "nobody has asked for it yet");
    assert_eq!(messages(&server.again()), ["reloaded"]);
    let now = shown(&authority, &server.serve).await;
    assert_ne!(now, first);
    // Half of a renewal: the key is another's.
    files.replace(&Issued { certificate: third.certificate.clone(), key: second.key.clone() });
    let events = server.again();
    assert!(events[0]["problem"].as_str().is_some_and(|problem| problem.contains("does not belong")), "{events:?}");
    assert_eq!(shown(&authority, &server.serve).await, now);
    files.replace(&third);
    assert_eq!(messages(&server.again()), ["reloaded"]);
    assert_ne!(shown(&authority, &server.serve).await, now);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p01_no_request_fails_while_certificates_and_settings_change() {
    let authority = Authority::new();
    let files = Files::new(&authority.issue(&HOSTS));
    let ca = files.write("ca.pem", &authority.root());
    let mut server = Reloaded::start(&toml(&files));
    let token =
        server.account.run(&["token", "get", "--server", &server.serve.url, "--ca", &ca]).done().trim_end().to_owned();
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..6)
        .map(|caller| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let (url, token, kept) = (server.serve.url.clone(), token.clone(), authority.client());
            let root = authority.root();
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    // Half of them open a connection for each request.
                    let fresh = (caller % 2 == 0).then(|| crate::harness::tls::client_trusting(&root));
                    let body = stateless("tools/call", json!({"name": "echo", "arguments": {"message": "hi"}}));
                    let request = fresh.as_ref().unwrap_or(&kept).post(&url).bearer_auth(&token).body(body);
                    let request = request.header("content-type", "application/json");
                    let request = request.header("accept", "application/json, text/event-stream");
                    let answer = with_mirrors(request, "tools/call", Some("echo")).send().await.expect("an answer");
                    assert_eq!(answer.status(), 200);
                    answer.bytes().await.expect("a whole answer");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..10 {
        let before = answered.load(Ordering::Relaxed);
        files.replace(&authority.issue(&HOSTS));
        let events = server.with(&format!("{}server.max_body_bytes = {}\n", toml(&files), 100_000 + round));
        assert_eq!(messages(&events), ["reloaded"]);
        // Every round has requests after it.
        while answered.load(Ordering::Relaxed) < before + 20 {
            assert!(callers.iter().all(|caller| !caller.is_finished()), "a caller has failed");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no request has failed");
    }
    assert!(answered.load(Ordering::Relaxed) >= 200);
}

#[tokio::test]
async fn p01_an_own_certificate_is_made_anew_for_new_names() {
    let mut server = Reloaded::start("server.tls_self_signed = true");
    let path = server.account.state().join("tls/self-signed.pem");
    let first = std::fs::read(&path).expect("it is there");
    assert_eq!(messages(&server.again()), ["reloaded"]);
    assert_eq!(std::fs::read(&path).expect("it is there"), first);
    let events = server.with("server.tls_self_signed = true\nserver.allowed_hosts = 'mcp.example'");
    assert_eq!(messages(&events), ["reloaded"]);
    assert_ne!(std::fs::read(&path).expect("it is there"), first);
    let ca = path.to_str().expect("UTF-8");
    server.account.run(&["call", "echo", "hi", "--server", &server.serve.url, "--ca", ca]).done();
}

#[tokio::test]
async fn log_and_audit_files_are_opened_anew() {
    let account = Account::new();
    let serve = account.start(&["--audit-file", "audit.log"]);
    let token = account.run(&["token", "get", "--server", &serve.url]);
    token.done();
    let (log, moved) = (account.home().join("audit.log"), account.home().join("audit.log.1"));
    std::fs::rename(&log, &moved).expect("it is there");
    serve.process.signal(Signal::HUP);
    let mut serve = serve;
    serve.process.said("reloaded");
    assert_eq!(serve.post("/mcp").send().await.expect("an answer").status(), 401);
    let read = |path| std::fs::read_to_string(path).expect("text");
    let events =
        |text: String| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect() };
    assert_eq!(messages(&events(read(&moved))), ["token_issued"]);
    assert_eq!(messages(&events(read(&log))), ["authentication_failed"]);
    let ended = serve.process.kill();
    assert!(!ended.stderr.contains("\"audit\""), "they are in their own file: {ended:?}");
}
