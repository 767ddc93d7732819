//! Processes that run beside a test: their output is kept, signals reach them by their own pid, and none outlives the test.

use std::{
    io::Read,
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use reqwest::{RequestBuilder, Response};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::cli::{Account, Ended};

/// How long anything is waited for.
const LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(2);

/// A process and what it has said so far. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    stdout: Said,
    stderr: Said,
    readers: Vec<JoinHandle<()>>,
}

/// A running `securemcp serve`.
pub(crate) struct Serve {
    pub(crate) process: Running,
    /// `http://127.0.0.1:<port>`, or the same with `https`.
    pub(crate) origin: String,
    /// Its MCP endpoint.
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    /// What it said first.
    pub(crate) announced: String,
}

/// What comes out of a pipe, as it comes.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn read(&self, mut pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let said = self.clone();
        thread::spawn(move || {
            let mut piece = [0; 16 * 1024];
            while let Ok(count) = pipe.read(&mut piece)
                && count > 0
            {
                said.0.lock().expect("no panic").extend_from_slice(&piece[..count]);
            }
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

impl Running {
    /// Starts a command whose streams are piped.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("starts");
        let (stdout, stderr) = (Said::default(), Said::default());
        let readers = vec![
            stdout.read(child.stdout.take().expect("it is piped")),
            stderr.read(child.stderr.take().expect("it is piped")),
        ];
        Self { child, stdout, stderr, readers }
    }

    /// Waits for a line on standard error that has these words in it.
    #[track_caller]
    pub(crate) fn said(&mut self, words: &str) -> String {
        let started = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("a child can be waited for");
            let text = self.stderr.text();
            if let Some(line) = text.split_inclusive('\n').find(|line| line.ends_with('\n') && line.contains(words)) {
                return line.to_owned();
            }
            assert!(ended.is_none() && started.elapsed() < LIMIT, "no `{words}`, {ended:?}: {text}");
            thread::sleep(POLL);
        }
    }

    /// Waits until these words were on standard error this often.
    #[track_caller]
    pub(crate) fn said_times(&mut self, words: &str, times: usize) {
        let started = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("a child can be waited for");
            let text = self.stderr.text();
            let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n') && line.contains(words));
            if lines.count() >= times {
                return;
            }
            assert!(ended.is_none() && started.elapsed() < LIMIT, "no {times} `{words}`, {ended:?}: {text}");
            thread::sleep(POLL);
        }
    }

    /// What it has said on standard error, in whole lines.
    pub(crate) fn stderr_so_far(&self) -> String {
        let mut text = self.stderr.text();
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        text
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it was not waited for yet");
    }

    /// The words it was started with, as everybody on the machine can read them.
    pub(crate) fn command_line(&self) -> String {
        let path = format!("/proc/{}/cmdline", self.child.id());
        String::from_utf8_lossy(&std::fs::read(path).expect("it was not waited for yet")).into_owned()
    }

    /// The most memory that it had so far; `None` when it has ended.
    pub(crate) fn peak_memory_mib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))?;
        Some(kib.trim().parse::<u64>().expect("a number") / 1024)
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(mut self) -> Ended {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(started.elapsed() < LIMIT, "it does not end: {}", self.stderr.text());
            thread::sleep(POLL);
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("no panic");
        }
        let ended = Ended { code: status.code(), stdout: self.stdout.text(), stderr: self.stderr.text() };
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
        ended
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.ended()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serve {
    /// Starts the server that this command runs, and waits until it listens.
    #[track_caller]
    pub(crate) fn start(command: Command) -> Self {
        let mut process = Running::start(command);
        // An event in JSON, or a line for people: its first URL is the server's.
        let line = process.said("/mcp");
        Self::saying(process, line)
    }

    /// The same for a server that says everything in a file.
    #[track_caller]
    pub(crate) fn start_saying(command: Command, log: &std::path::Path) -> Self {
        let mut process = Running::start(command);
        let started = Instant::now();
        loop {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            if let Some(line) = text.split_inclusive('\n').find(|line| line.ends_with('\n') && line.contains("/mcp")) {
                return Self::saying(process, line.to_owned());
            }
            let ended = process.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none() && started.elapsed() < LIMIT, "{ended:?}: {text}{}", process.stderr.text());
            thread::sleep(POLL);
        }
    }

    fn saying(process: Running, line: String) -> Self {
        let origin = line.find("http").and_then(|start| Some(line[start..].split_once("/mcp")?.0));
        let origin = origin.expect("it says where it listens").to_owned();
        let options = securemcp::net::Options::with_timeout(Duration::from_secs(30));
        let http = securemcp::net::plain_client(&options).expect("a client");
        Self { process, url: format!("{origin}/mcp"), origin, http, announced: line }
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.origin))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.http.get(format!("{}{path}", self.origin)).send().await.expect("an answer")
    }

    /// Registers a client with this metadata.
    pub(crate) fn register(&self, initial_access_token: &str, metadata: &Value) -> RequestBuilder {
        self.post("/register").bearer_auth(initial_access_token).json(metadata)
    }

    /// Asks for a token as a client with a secret.
    pub(crate) fn token(&self, client_id: &str, secret: &str) -> RequestBuilder {
        self.post("/token").basic_auth(client_id, Some(secret)).form(&[("grant_type", "client_credentials")])
    }
}

impl Account {
    /// Runs the server on a port of its choice.
    #[track_caller]
    pub(crate) fn start(&self, flags: &[&str]) -> Serve {
        Serve::start(self.command(&[&["serve", "--listen", "127.0.0.1:0"], flags].concat()))
    }

    /// What opens the registration endpoint of this account's issuer.
    pub(crate) fn initial_access_token(&self) -> String {
        std::fs::read_to_string(self.state().join("initial-access-token")).expect("the server has made one")
    }

    /// The default state directory.
    pub(crate) fn state(&self) -> std::path::PathBuf {
        self.home().join(".local/state/securemcp")
    }
}

/// A loopback port for a server that is started more than once.
///
/// It is below those that systems give to outgoing connections, so that none takes it between two starts.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() % 200).expect("below 200") * 50;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 10_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// Random numbers that are the same in every run (`SplitMix64`).
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
