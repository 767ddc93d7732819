//! `kill -9` at any moment: what was answered is there, nothing is there twice, and no file is torn.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::harness::{
    cli::Account,
    process::{Running, Seeded, Serve, free_port},
};

const ROUNDS: u64 = 200;

/// Registrations of one round: at once, and one after the other. The issuer keeps 1000 clients in all.
const WRITERS: u64 = 2;
const EACH: u64 = 2;

/// One issuer over many lives of its process.
struct Story {
    account: Account,
    listen: String,
    /// Answered registrations: id and secret.
    registered: Vec<(String, String)>,
    /// Tokens whose revocation was answered.
    revoked: Vec<String>,
    /// Tokens that nobody tried to revoke.
    good: Vec<String>,
    /// How many of `registered`, `revoked` and `good` have been looked at after a restart.
    checked: (usize, usize, usize),
}

/// What one life of the process is given to do.
struct Work {
    requests: Vec<RequestBuilder>,
    answers: Vec<(StatusCode, Value)>,
}

impl Work {
    fn of(requests: impl IntoIterator<Item = RequestBuilder>) -> Self {
        Self { requests: requests.into_iter().collect(), answers: Vec::new() }
    }

    /// One request after the other, until the server is gone.
    async fn run(mut self, sent: Arc<AtomicU64>) -> Self {
        for request in self.requests.drain(..) {
            sent.fetch_add(1, Ordering::SeqCst);
            let Ok(answer) = request.send().await else { break };
            let status = answer.status();
            let Ok(body) = answer.bytes().await else { break };
            self.answers.push((status, serde_json::from_slice(&body).unwrap_or_default()));
        }
        self
    }
}

impl Story {
    fn begin() -> Self {
        Self {
            account: Account::new(),
            listen: format!("127.0.0.1:{}", free_port()),
            registered: Vec::new(),
            revoked: Vec::new(),
            good: Vec::new(),
            checked: (0, 0, 0),
        }
    }

    fn serve(&self) -> Serve {
        Serve::start(self.account.command(&["serve", "--listen", &self.listen]))
    }

    /// What was answered since the last look holds. New registrations get a token each; those are returned.
    async fn check(&mut self, serve: &Serve) -> Vec<(usize, String)> {
        let (registered, revoked, good) = self.checked;
        let mut tokens = Vec::new();
        for (index, (id, secret)) in self.registered.iter().enumerate().skip(registered) {
            let answer = serve.token(id, secret).send().await.expect("an answer");
            assert_eq!(answer.status(), 200, "registration {index} was answered and is gone");
            let answer: Value = answer.json().await.expect("JSON");
            tokens.push((index, text(&answer["access_token"])));
        }
        for token in &self.revoked[revoked..] {
            assert!(!self.is_active(serve, token).await, "an answered revocation is gone");
        }
        for token in &self.good[good..] {
            assert!(self.is_active(serve, token).await, "a good token is good no more");
        }
        self.checked = (self.registered.len(), self.revoked.len(), self.good.len());
        tokens
    }

    async fn is_active(&self, serve: &Serve, token: &str) -> bool {
        let (id, secret) = &self.registered[0];
        let request = serve.post("/introspect").basic_auth(id, Some(secret)).form(&[("token", token)]);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.expect("JSON")["active"] == true
    }

    /// Starts the server, looks at what is left of its last life, and kills it while it writes.
    async fn live(&mut self, round: u64, seeded: &mut Seeded) {
        let serve = self.serve();
        let tokens = self.check(&serve).await;
        let opener = self.account.initial_access_token();
        let registrations = |writer| {
            let names = (0..EACH).map(move |index| json!({"client_name": format!("{round}-{writer}-{index}")}));
            Work::of(names.map(|metadata| serve.register(&opener, &metadata)))
        };
        // Of two tokens one is revoked and the other left alone.
        let (revoked, kept): (Vec<_>, Vec<_>) = tokens.into_iter().partition(|(index, _)| index % 2 == 0);
        self.good.extend(kept.into_iter().map(|(_, token)| token));
        let revocations = revoked.iter().map(|(index, token)| {
            let (id, secret) = &self.registered[*index];
            serve.post("/revoke").basic_auth(id, Some(secret)).form(&[("token", token)])
        });
        let sent = Arc::new(AtomicU64::new(0));
        let revoking = tokio::spawn(Work::of(revocations).run(Arc::clone(&sent)));
        let registering: Vec<_> =
            (0..WRITERS).map(|writer| tokio::spawn(registrations(writer).run(Arc::clone(&sent)))).collect();

        let enough = 1 + seeded.below(WRITERS * EACH);
        let pause = Duration::from_micros(seeded.below(6_000));
        let started = Instant::now();
        while sent.load(Ordering::SeqCst) < enough {
            assert!(started.elapsed() < Duration::from_secs(30), "the server answers");
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(pause).await;
        serve.process.kill();

        for writer in registering {
            for (status, client) in writer.await.expect("no panic").answers {
                assert_eq!(status, 201, "{client}");
                self.registered.push((text(&client["client_id"]), text(&client["client_secret"])));
            }
        }
        for ((status, _), (_, token)) in revoking.await.expect("no panic").answers.into_iter().zip(revoked) {
            assert_eq!(status, 200);
            self.revoked.push(token);
        }
    }

    /// Reads the files of a server that is not running: whole ones, each client once. How many clients there are.
    fn read_files(&self) -> usize {
        let issuer = self.account.state().join("issuer");
        let mut names = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for (path, content) in files(&issuer.join("clients")) {
            let client: Value =
                serde_json::from_str(&content).unwrap_or_else(|error| panic!("{path}: {error}: `{content}`"));
            assert!(names.insert(text(&client["name"])), "{} is there twice", client["name"]);
            ids.insert(text(&client["id"]));
        }
        for (id, _) in &self.registered {
            assert!(ids.contains(id), "the registration of `{id}` was answered and is not on the disk");
        }
        for (path, content) in files(&issuer.join("revoked")) {
            assert!(content.parse::<u64>().is_ok(), "{path}: `{content}`");
        }
        ids.len()
    }

    /// What must never change: the signing key and this account's own client.
    fn constants(&self) -> [String; 2] {
        let read = |name: &str| fs::read_to_string(self.account.state().join(name)).expect("it is there");
        [read("issuer/signing-key.pem"), read("local-client.json")]
    }
}

/// Whole files of a directory that a server or a command writes to.
pub(crate) fn files(directory: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let visible = entries.filter(|path| path.is_file() && !path.file_name().is_some_and(is_hidden));
    visible.map(|path| (path.display().to_string(), fs::read_to_string(&path).expect("UTF-8"))).collect()
}

fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with('.')
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_and_doubles_nothing() {
    let mut story = Story::begin();
    let mut seeded = Seeded(1);
    story.live(0, &mut seeded).await;
    let constants = story.constants();
    for round in 1..ROUNDS {
        story.live(round, &mut seeded).await;
        story.read_files();
    }
    let on_disk = story.read_files();
    let serve = story.serve();
    story.check(&serve).await;
    // Once more from the beginning: what survived one restart survived all of them.
    story.checked = (0, 0, 0);
    story.check(&serve).await;
    assert_eq!(story.constants(), constants);
    let own = 1;
    let (registered, revoked) = (story.registered.len(), story.revoked.len());
    // How many of each came through depends on the machine's load; that all of them are there does not.
    assert!(on_disk >= registered + own, "{on_disk} of {registered} are on the disk");
    assert!(registered > 0 && revoked > 0, "{registered} registrations, {revoked} revocations");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_command_leaves_a_good_token_cache() {
    let account = Account::new();
    let serve = account.start(&[]);
    let account = account.with("SECUREMCP_SERVER", &serve.url);
    let get = |flags: &[&str]| account.command(&[&["token", "get"], flags].concat());
    // The folders are there, however early the first command is killed.
    Running::start(get(&[])).ended().done();
    // How long a whole run takes, in microseconds: a guess that every round improves.
    let mut whole = 50_000;
    let mut seeded = Seeded(2);
    let mut tokens = BTreeSet::new();
    let mut killed = 0;
    let mut rounds = 0;
    while killed < ROUNDS {
        rounds += 1;
        assert!(rounds < 3 * ROUNDS, "only {killed} were killed before they had ended");
        let command = Running::start(get(&["--new"]));
        tokio::time::sleep(Duration::from_micros(seeded.below(whole))).await;
        if command.kill().code.is_none() {
            killed += 1;
            whole += whole / 50;
        } else {
            whole -= whole / 10;
        }
        for folder in ["tokens", "servers"] {
            for (path, text) in files(&account.state().join(folder)) {
                let whole = serde_json::from_str::<Value>(&text);
                assert!(whole.is_ok(), "round {rounds}: {path}: `{text}`");
            }
        }
        let token = Running::start(get(&[])).ended().done().trim_end().to_owned();
        let call = serve.http.get(&serve.url).bearer_auth(&token).send().await.expect("an answer");
        // The token was taken: without one it would be 401.
        assert_ne!(call.status(), 401, "round {rounds}");
        tokens.insert(token);
    }
    assert!(tokens.len() > 1, "none was killed after its token was on the disk");
    assert!((tokens.len() as u64) < rounds, "none was killed before its token was on the disk");
}
