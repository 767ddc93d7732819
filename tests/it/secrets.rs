//! No secret in any log, message or argument (facts P03, C13), and no panic (P05): a whole story at the most talkative levels.

use std::fs;

use reqwest::RequestBuilder;
use rustix::process::Signal;
use securemcp::{clock::SystemClock, jose::SigningKey, secret::Secret};
use serde_json::{Value, json};

use crate::harness::{
    cli::{Account, Ended},
    process::{Running, Serve},
    server::{stateless, with_mirrors},
};

/// What no log may say, with what it is.
type Known = Vec<(&'static str, String)>;

/// Everything that was said and seen so far.
struct Story {
    account: Account,
    known: Known,
    /// A command, and what it let others see: its arguments, standard error, and standard output where that may not have
    /// secrets in it.
    seen: Vec<(String, String)>,
}

impl Story {
    fn new() -> Self {
        Self { account: Account::new(), known: Vec::new(), seen: Vec::new() }
    }

    fn knows(&mut self, what: &'static str, secret: impl Into<String>) -> String {
        let secret = secret.into();
        assert!(secret.len() > 15, "{what}: too short to be looked for");
        self.known.push((what, secret.clone()));
        secret
    }

    fn knows_token(&mut self, token: &str) -> String {
        self.knows("the signature of a token", token.rsplit('.').next().expect("a JWT"));
        self.knows("an access token", token.trim_end())
    }

    /// Keys in PEM, line by line: a log might wrap or escape them.
    fn knows_key(&mut self, pem: &str) {
        for line in pem.lines().filter(|line| !line.starts_with('-') && line.len() > 15) {
            self.knows("a private key", line);
        }
    }

    fn keep(&mut self, what: &str, command_line: &str, ended: &Ended, stdout_is_quiet: bool) {
        let stdout = if stdout_is_quiet { &ended.stdout } else { "" };
        self.seen.push((what.to_owned(), format!("{command_line}\n{stdout}\n{}", ended.stderr)));
    }

    /// Runs a command whose standard output must not have secrets in it.
    fn run(&mut self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, &[], true)
    }

    fn run_with(&mut self, arguments: &[&str], variables: &[(&str, &str)], stdout_is_quiet: bool) -> Ended {
        let mut command = self.account.command(&[arguments, &["-vvv"]].concat());
        command.envs(variables.iter().copied());
        let running = Running::start(command);
        let command_line = running.command_line();
        let ended = running.ended();
        self.keep(&arguments.join(" "), &command_line, &ended, stdout_is_quiet);
        ended
    }

    fn check(&self) {
        assert!(self.known.len() > 15, "{}", self.known.len());
        for (command, said) in &self.seen {
            for (what, secret) in &self.known {
                let shown = said.find(secret.as_str()).map(|at| &said[said[..at].rfind('\n').unwrap_or(0)..]);
                let shown = shown.and_then(|shown| shown.trim_start().lines().next());
                assert_eq!(shown, None, "`{command}` shows {what}");
            }
            // Assertions are made where no test sees them; every JWT begins like this.
            assert_eq!(jwt(said), None, "`{command}` shows a JWT");
            assert!(!said.contains("panicked"), "`{command}`: {said}");
        }
    }
}

/// The first word that could be a JWT, cut off or not: three letters alone are in many a random name.
fn jwt(said: &str) -> Option<&str> {
    let mut words = said.split(|character: char| !character.is_ascii_alphanumeric() && !"-_.".contains(character));
    words.find(|word| word.starts_with("eyJ") && word.len() > 60)
}

/// The requests that a server sees in its life, with good credentials and with bad ones.
async fn requests(story: &mut Story, serve: &Serve, token: &str, client: (&str, &str)) {
    let send = async |request: RequestBuilder, expected: u16| {
        let request = request.build().expect("a request");
        let what = format!("{} {}", request.method(), request.url().path());
        let answer = serve.http.execute(request).await.expect("an answer");
        assert_eq!(answer.status(), expected, "{what}");
        answer.text().await.expect("a body")
    };
    let call = |token: &str| {
        let body = stateless("tools/call", json!({"name": "echo", "arguments": {"message": "hi"}}));
        let request = serve.post("/mcp").bearer_auth(token).header("content-type", "application/json");
        with_mirrors(request.body(body), "tools/call", Some("echo"))
    };
    send(call(token), 200).await;
    let tampered = story.knows("a token that was tampered with", format!("{}AAAA", &token[..token.len() - 4]));
    send(call(&tampered), 401).await;
    let garbage = story.knows("what is no token", "garbage-that-somebody-took-for-a-token");
    send(call(&garbage), 401).await;
    send(call(token).bearer_auth(&garbage), 400).await;
    let in_url = format!("/mcp?access_token={token}");
    send(serve.post(&in_url), 401).await;
    send(serve.post(&in_url).bearer_auth(token), 400).await;
    let rest = |token: &str, arguments: &Value| serve.post("/api/v1/tools/echo").bearer_auth(token).json(arguments);
    let argument = story.knows("an argument", "what-somebody-told-a-tool");
    send(rest(token, &json!({"message": argument})), 200).await;
    send(rest(token, &json!({"message": 1, "loud": argument})), 422).await;
    send(rest(&tampered, &json!({})), 401).await;
    send(serve.post(&format!("/api/v1/tools/echo?access_token={token}")), 401).await;

    let (id, secret) = client;
    let form = |path: &str, fields: &[(&str, &str)]| serve.post(path).form(fields);
    let grant = ("grant_type", "client_credentials");
    let wrong = story.knows("a wrong secret", "wrong-secret-of-somebody");
    let issued: Value = serde_json::from_str(&send(serve.token(id, secret), 200).await).expect("JSON");
    let issued = story.knows_token(issued["access_token"].as_str().expect("a token"));
    send(serve.token(id, &wrong), 401).await;
    send(form("/token", &[grant, ("client_id", id), ("client_secret", &wrong)]), 401).await;
    send(serve.post(&format!("/token?client_secret={secret}")).form(&[grant]), 400).await;
    send(form("/token", &[grant, ("client_id", id), ("client_secret", secret), ("client_secret", &wrong)]), 400).await;
    send(form("/introspect", &[("token", &issued)]).basic_auth(id, Some(secret)), 200).await;
    send(form("/introspect", &[("token", &issued)]).basic_auth(id, Some(&wrong)), 401).await;
    send(form("/revoke", &[("token", &issued)]).basic_auth(id, Some(secret)), 200).await;
    send(call(&issued), 401).await;

    let opener = story.knows("a wrong initial access token", "wrong-initial-access-token");
    send(serve.register(&opener, &json!({})), 401).await;
    let good = story.account.initial_access_token();
    send(serve.register(&good, &json!({"grant_types": "wrong-secret-of-somebody"})), 400).await;
    let registered: Value = serde_json::from_str(&send(serve.register(&good, &json!({})), 201).await).expect("JSON");
    let reader =
        story.knows("a registration access token", registered["registration_access_token"].as_str().expect("one"));
    story.knows("a client secret", registered["client_secret"].as_str().expect("one"));
    let own = format!("/register/{}", registered["client_id"].as_str().expect("one"));
    send(serve.http.get(format!("{}{own}", serve.origin)).bearer_auth(&reader), 200).await;
    send(serve.http.get(format!("{}{own}", serve.origin)).bearer_auth(&opener), 401).await;

    let record = fs::read_to_string(story.account.state().join("local-client.json")).expect("it was made");
    let record: Value = serde_json::from_str(&record).expect("JSON");
    let text = |name: &str| record[name].as_str().expect("a text");
    let key = SigningKey::from_pem(text("private_key")).expect("a key");
    let now = SystemClock::shared().since_epoch().as_secs();
    let mut claims = json!({"iss": text("client_id"), "sub": text("client_id"), "aud": serve.origin, "exp": now + 60,
        "iat": now, "jti": Secret::random().expose()});
    let kind = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let assertion = story.knows_token(key.sign("client-authentication+jwt", &claims).expose());
    send(form("/token", &[grant, kind, ("client_assertion", &assertion)]), 200).await;
    send(form("/token", &[grant, kind, ("client_assertion", &assertion)]), 401).await;
    claims["aud"] = "https://elsewhere.example".into();
    let misled = story.knows_token(key.sign("client-authentication+jwt", &claims).expose());
    send(form("/token", &[grant, kind, ("client_assertion", &misled)]), 401).await;
}

/// The commands of an account, with what they get and what they are given; the last token, and the registered client.
fn commands(story: &mut Story, serve: &Serve) -> (String, String, String) {
    let token = story.run_with(&["token", "get"], &[], false).done().to_owned();
    let token = story.knows_token(token.trim_end());
    for arguments in [&["call", "echo", "hi"][..], &["tools"], &["token", "inspect"], &["health", "--wait", "20s"]] {
        story.run(arguments).done();
    }
    let register = ["dcr", "register", "--name", "ci"];
    assert!(story.run(&register).done().contains("[redacted]"));
    let shown = [&register[..], &["--show-secrets", "--output", "json"]].concat();
    let shown = story.run_with(&shown, &[], false).json();
    let id = shown["client_id"].as_str().expect("a text").to_owned();
    let secret = story.knows("a client secret", shown["client_secret"].as_str().expect("a text"));
    story.knows("a registration access token", shown["registration_access_token"].as_str().expect("a text"));
    story.run(&["dcr", "show"]).done();
    story.run(&["dcr", "register", "--name", "keyed", "--auth-method", "private_key_jwt", "--new"]).done();
    for entry in fs::read_dir(story.account.state().join("clients")).expect("they are kept") {
        let path = entry.expect("an entry").path();
        let kept: Value = serde_json::from_slice(&fs::read(path).expect("it can be read")).unwrap_or_default();
        story.knows_key(kept["private_key"].as_str().unwrap_or_default());
    }

    fs::write(story.account.home().join("secret"), &secret).expect("a home");
    fs::write(story.account.home().join("token"), &token).expect("a home");
    let with_secret = ["token", "get", "--client-id", &id, "--client-secret-file", "secret"];
    let other = story.run_with(&with_secret, &[], false).done().to_owned();
    let last = story.knows_token(other.trim_end());
    let wrong = story.knows("a wrong secret", "wrong-secret-in-a-variable");
    let variables = [("SECUREMCP_CLIENT_ID", id.as_str()), ("SECUREMCP_CLIENT_SECRET", &wrong)];
    story.run_with(&["token", "get", "--new"], &variables, true).failed(4, &["invalid_client"]);
    story.run_with(&["call", "echo", "hi"], &[("SECUREMCP_TOKEN", &token)], true).done();
    story.run(&["call", "echo", "hi", "--token-file", "token"]).done();
    let garbage = story.knows("what is no token", "garbage-in-a-variable");
    let refused = story.run_with(&["call", "echo", "hi", "--output", "json"], &[("SECUREMCP_TOKEN", &garbage)], true);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    story.run_with(&["token", "inspect"], &[("SECUREMCP_TOKEN", &garbage)], true);
    let opener = story.knows("a wrong initial access token", "wrong-initial-token-in-a-variable");
    let refused = ["dcr", "register", "--new", "--issuer", &serve.origin];
    story.run_with(&refused, &[("SECUREMCP_INITIAL_ACCESS_TOKEN", &opener)], true).failed(4, &["invalid_token"]);
    (last, id, secret)
}

async fn tell(format: &str) {
    let mut story = Story::new();
    let serve = story.account.start(&["--log-level", "trace", "--log-format", format]);
    story.account = story.account.with("SECUREMCP_SERVER", &serve.url);
    let state = story.account.state();
    story.knows_key(&fs::read_to_string(state.join("issuer/signing-key.pem")).expect("it was made"));
    let record: Value =
        serde_json::from_slice(&fs::read(state.join("local-client.json")).expect("it was made")).expect("JSON");
    story.knows_key(record["private_key"].as_str().expect("a text"));
    let opener = story.account.initial_access_token();
    story.knows("the initial access token", opener);

    let (token, id, secret) = commands(&mut story, &serve);
    requests(&mut story, &serve, &token, (&id, &secret)).await;
    // Over HTTP/2 another library reads, and logs, the headers.
    let answer = http2().post(&serve.url).bearer_auth(&token).send().await.expect("an answer");
    assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 415));
    story.run(&["token", "revoke"]).done();
    story.run_with(&["call", "echo", "hi"], &[("SECUREMCP_TOKEN", &token)], true).failed(4, &["refused the token"]);
    story.run(&["token", "forget"]).done();

    let command_line = serve.process.command_line();
    serve.process.signal(Signal::TERM);
    let ended = serve.process.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for words in ["TRACE", "token_issued", "issuer_refused", "client_registered", "token_revoked", "tool_called"] {
        assert!(ended.stderr.contains(words), "the log is as talkative as it can be: `{words}`");
    }
    story.keep("serve", &command_line, &ended, true);
    story.check();
}

/// A client that speaks HTTP/2 without TLS.
fn http2() -> reqwest::Client {
    #[expect(clippy::disallowed_methods, reason = "the product never does this")]
    let builder = reqwest::Client::builder();
    builder.http2_prior_knowledge().build().expect("a client")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p03_no_secret_in_logs_of_json() {
    tell("json").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p03_no_secret_in_logs_for_people() {
    tell("text").await;
}
