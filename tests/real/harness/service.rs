//! A program that serves on a loopback port until its test is over.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::process::POLL;

/// Interpreters with a cold disk cache, or a Java server that sets up its database, on two busy cores.
const START_LIMIT: Duration = Duration::from_mins(3);

/// A running program. It is killed, by its own process id, when this is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts the program; what it prints is kept in `home` for the message of a failure.
    pub(crate) fn start(mut command: Command, home: &Path, port: u16) -> Self {
        let log = home.join(format!("{port}.log"));
        let output = fs::File::create(&log).expect("the home is writable");
        let errors = output.try_clone().expect("a file can be opened twice");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self { child, log }
    }

    /// Waits until `GET path` is answered with `status`.
    pub(crate) fn ready(mut self, port: u16, path: &str, status: u16) -> Self {
        let started = Instant::now();
        let mut last = None;
        while last != Some(status) {
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(
                ended.is_none() && started.elapsed() < START_LIMIT,
                "`GET {path}` on port {port}: expected {status}, got {last:?}; the program: {ended:?}\n{}",
                self.log()
            );
            thread::sleep(POLL);
            last = status_of(port, path);
        }
        self
    }

    /// Waits until it has printed these words.
    pub(super) fn said(mut self, words: &str) -> Self {
        let started = Instant::now();
        while !self.log().contains(words) {
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none() && started.elapsed() < START_LIMIT, "no `{words}`, {ended:?}: {}", self.log());
            thread::sleep(POLL);
        }
        self
    }

    /// Ends it by a signal, and waits until it has ended.
    pub(crate) fn end(mut self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid().to_string()]).status().expect("kill runs").success());
        let started = Instant::now();
        while self.child.try_wait().expect("a child can be waited for").is_none() {
            assert!(started.elapsed() < START_LIMIT, "it does not end: {}", self.log());
            thread::sleep(POLL);
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the program has printed so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback port on which nothing listens.
///
/// Below the range from which systems take the ports of outgoing connections, so that none is taken between this answer and
/// its use; each process of tests begins elsewhere, and each test gets another.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(process::id() % 200).expect("it is below 200") * 50;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 10_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// The status that an anonymous `GET` is answered with; `None` if nothing answers.
pub(crate) fn status_of(port: u16, path: &str) -> Option<u16> {
    let limit = Duration::from_secs(5);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let mut line = [0; 12];
    stream.read_exact(&mut line).ok()?;
    std::str::from_utf8(&line).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}
