//! `kill -9` after a write has reached the disk and before its answer has left: what was written is there, once.
//!
//! A server that audits a change does so between the two. Its audit file is a FIFO here, and one that is full holds it
//! there for as long as the test likes.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use reqwest::RequestBuilder;
use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use serde_json::{Value, json};

use crate::{
    crash::{files, text},
    faults::figure,
    harness::{
        cli::Account,
        process::{Serve, free_port},
    },
};

const ROUNDS: usize = 200;

/// A FIFO that takes no byte while it is closed.
struct Gate {
    path: PathBuf,
    pipe: File,
}

impl Gate {
    fn at(path: PathBuf) -> Self {
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("nothing is there");
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag");
        let pipe = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path).expect("it is there");
        Self { path, pipe }
    }

    /// Takes out what is in it.
    fn open(&self) {
        let mut piece = [0; 4096];
        until_it_would_block(|| (&self.pipe).read(&mut piece));
    }

    /// Fills it to the last byte.
    fn close(&self) {
        until_it_would_block(|| (&self.pipe).write(&[b'\n'; 4096]));
        until_it_would_block(|| (&self.pipe).write(b"\n"));
    }
}

fn until_it_would_block(mut step: impl FnMut() -> io::Result<usize>) {
    let error = loop {
        if let Err(error) = step() {
            break error;
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

/// One issuer over many lives of its process.
struct Story {
    account: Account,
    listen: String,
    gate: Gate,
    /// Id and secret of the one client whose registration was answered.
    client: (String, String),
    /// Tokens whose revocation was not answered.
    revoked: Vec<String>,
}

impl Story {
    async fn begin() -> Self {
        let account = Account::new();
        let gate = Gate::at(account.home().join("audit"));
        let listen = format!("127.0.0.1:{}", free_port());
        let mut story = Self { account, listen, gate, client: Default::default(), revoked: Vec::new() };
        let serve = story.serve();
        let answer =
            story.register(&serve, "answered").send().await.expect("the twin: an open gate holds nothing back");
        assert_eq!(answer.status(), 201);
        let client: Value = answer.json().await.expect("JSON");
        story.client = (text(&client["client_id"]), text(&client["client_secret"]));
        // That it is in use is written down once.
        story.new_token(&serve).await;
        serve.process.kill();
        story
    }

    fn serve(&self) -> Serve {
        self.gate.open();
        let audit = self.gate.path.to_str().expect("UTF-8");
        Serve::start(self.account.command(&["serve", "--listen", &self.listen, "--audit-file", audit]))
    }

    fn register(&self, serve: &Serve, name: &str) -> RequestBuilder {
        serve.register(&self.account.initial_access_token(), &json!({ "client_name": name }))
    }

    fn as_client(&self, serve: &Serve, path: &str, token: &str) -> RequestBuilder {
        let (id, secret) = &self.client;
        serve.post(path).basic_auth(id, Some(secret)).form(&[("token", token)])
    }

    async fn new_token(&self, serve: &Serve) -> String {
        let (id, secret) = &self.client;
        let answer = serve.token(id, secret).send().await.expect("an answer");
        text(&answer.json::<Value>().await.expect("JSON")["access_token"])
    }

    async fn is_active(&self, serve: &Serve, token: &str) -> bool {
        let answer = self.as_client(serve, "/introspect", token).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.expect("JSON")["active"] == true
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.account.state().join("issuer").join(name)
    }

    /// Everything that the issuer keeps of what it was asked.
    fn kept(&self) -> Vec<(String, String)> {
        let mut kept = [files(&self.folder("clients")), files(&self.folder("revoked"))].concat();
        kept.sort();
        kept
    }

    /// Has the server write, kills it as soon as the disk has it, and gives how many of the requests were answered.
    async fn killed_before_it_answers(&self, serve: Serve, request: RequestBuilder, folder: &Path) -> usize {
        let before = files(folder).len();
        self.gate.open();
        self.gate.close();
        let answer = tokio::spawn(request.send());
        let started = Instant::now();
        while files(folder).len() == before {
            assert!(started.elapsed() < Duration::from_mins(1), "it writes");
            tokio::task::yield_now().await;
        }
        assert_eq!(files(folder).len(), before + 1);
        serve.process.kill();
        usize::from(answer.await.expect("no panic").is_ok())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r15_a_server_killed_between_write_and_answer_loses_and_doubles_nothing() {
    let mut story = Story::begin().await;
    let mut answered = 0;
    for round in 0..ROUNDS {
        let before = story.kept();
        let serve = story.serve();
        if let Some(token) = story.revoked.last() {
            assert!(!story.is_active(&serve, token).await, "round {round}: a revocation on the disk is gone");
            // Whoever had no answer asks again.
            let again = story.as_client(&serve, "/revoke", token).send().await.expect("an answer");
            assert_eq!(again.status(), 200);
        }
        assert_eq!(story.kept(), before, "round {round}: a start, or asking again, has changed what was on the disk");
        answered += if round % 2 == 0 {
            let request = story.register(&serve, &round.to_string());
            story.killed_before_it_answers(serve, request, &story.folder("clients")).await
        } else {
            let token = story.new_token(&serve).await;
            assert!(story.is_active(&serve, &token).await, "the twin");
            let request = story.as_client(&serve, "/revoke", &token);
            story.revoked.push(token);
            story.killed_before_it_answers(serve, request, &story.folder("revoked")).await
        };
        let after = story.kept();
        assert_eq!(after.len(), before.len() + 1, "round {round}: it is there once");
        assert!(before.iter().all(|file| after.contains(file)), "round {round}: another file was touched");
    }
    assert_eq!(answered, 0, "all {ROUNDS} kills were between write and answer");
    let clients = files(&story.folder("clients"));
    let clients: Vec<Value> = clients.iter().map(|(_, text)| serde_json::from_str(text).expect("whole")).collect();
    for round in (0..ROUNDS).step_by(2) {
        let name = json!(round.to_string());
        assert_eq!(
            clients.iter().filter(|client| client["name"] == name).count(),
            1,
            "the registration of round {round}"
        );
    }
    let serve = story.serve();
    for token in &story.revoked {
        assert!(!story.is_active(&serve, token).await);
        story.gate.open();
    }
    assert_eq!(story.revoked.len(), ROUNDS / 2);
    figure(&format!("R15, killed {ROUNDS} times between write and answer: 0 lost, 0 twice, 0 torn files"));
}
