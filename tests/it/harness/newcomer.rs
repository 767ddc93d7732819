//! Runs what a page of the documentation shows: each command as it stands there, with the output that it shows.
//!
//! `tests/real` uses this file too, for pages whose commands need more than the product.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::harness::program;

/// A newcomer's machine: an empty home, the command on the path, and a server at a port of its own.
pub(crate) struct Newcomer {
    home: TempDir,
    address: SocketAddr,
    /// What `NAME=$(command)` has set.
    variables: Vec<(String, String)>,
}

/// The client and the time in what docs/API.md shows.
const SHOWN_CLIENT: &str = "client-Qy0f7DkZpWc2m5hTnXb1Rs";
const SHOWN_EXPIRY: &str = "1795428900";

pub(crate) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One `$ command` and the lines below it.
pub(crate) struct Shown {
    pub(crate) command: String,
    pub(crate) output: String,
}

/// All commands of a page.
pub(crate) fn shown(text: &str) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().expect("split has a first part");
        let mut lines = block.lines();
        while let Some(line) = lines.next() {
            if let Some(command) = line.strip_prefix("$ ") {
                let mut command = command.to_owned();
                while command.ends_with('\\') {
                    command.push('\n');
                    command.push_str(lines.next().expect("a command goes on after a backslash"));
                }
                all.push(Shown { command, output: String::new() });
            } else {
                let shown = all.last_mut().expect("a block begins with a command");
                shown.output.push_str(line);
                shown.output.push('\n');
            }
        }
    }
    all
}

impl Newcomer {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let bin = home.path().join("bin");
        fs::create_dir(&bin).expect("an empty home");
        symlink(program::path(), bin.join("securemcp")).expect("an empty directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("bound");
        Self { home, address, variables: Vec::new() }
    }

    /// Runs the server until the test is over, and gives what it said.
    pub(crate) fn serve(&self, command: &str) -> (Server, String) {
        let log = self.home.path().join("serve.log");
        let mut serve = self.shell(command);
        serve.stdout(fs::File::create(&log).expect("an empty home")).stdin(Stdio::null());
        let server = Server(serve.spawn().expect("starts"));
        let said = self.as_shown(&until_said(&log, "  try  "));
        (server, said)
    }

    /// Runs a command, which must succeed and print what is shown.
    pub(crate) fn does(&mut self, Shown { command, output }: &Shown) {
        let assignment =
            command.split_once("=$(").filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase()));
        let assigned = assignment.and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?)));
        let run = assigned.map_or(command.as_str(), |(_, inner)| inner);
        let ran = self.shell(run).stdin(Stdio::null()).output().expect("runs");
        let got = self.as_shown(&ran.stdout);
        assert!(ran.status.success(), "{command}: {}\n{got}", ran.status);
        if let Some((name, _)) = assigned {
            self.variables.push((name.to_owned(), String::from_utf8_lossy(&ran.stdout).trim_end().to_owned()));
            return;
        }
        if !output.is_empty() {
            // curl ends no line.
            assert_eq!(got.trim_end(), output.trim_end(), "{command}");
        }
    }

    fn shell(&self, command: &str) -> Command {
        // What cargo would run is what is tested here already.
        let command = command.replace("cargo run --release -- ", "securemcp ");
        let command = command.replace("://127.0.0.1:8000/", &format!("://{}/", self.address));
        let mut shell = Command::new("sh");
        let path = format!("{}/bin:{}", self.home.path().display(), "/usr/local/bin:/usr/bin:/bin");
        shell
            .args([
                "-c",
                &format!(
                    "exec 2>&1; {}{command}",
                    if command.contains(['|', '&', ';', '=', '>']) { "" } else { "exec " }
                ),
            ])
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home.path())
            .env("SECUREMCP_LISTEN", self.address.to_string())
            .env("SECUREMCP_SERVER", format!("http://{}/mcp", self.address))
            // A terminal shows text.
            .env("SECUREMCP_LOG_FORMAT", "text")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        shell
    }

    /// The output as the README shows it: at the default port, in the reader's home.
    fn as_shown(&self, output: &[u8]) -> String {
        let port = format!(":{}", self.address.port());
        let text = String::from_utf8_lossy(output)
            .replace(&port, ":8000")
            // As a terminal shows it.
            .replace("\r\n", "\n")
            .replace(&self.home.path().display().to_string(), "/home/you")
            .replace(" --server http://127.0.0.1:8000/mcp", "");
        let text =
            replaced(&text, "client-", SHOWN_CLIENT, |byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        replaced(&text, "\"exp\":", &format!("\"exp\":{SHOWN_EXPIRY}"), |byte| byte.is_ascii_digit())
    }
}

/// The text with `start` and what follows it replaced wherever what follows is long enough to be random.
fn replaced(text: &str, start: &str, by: &str, goes_on: impl Fn(u8) -> bool) -> String {
    let mut parts = text.split(start);
    let mut whole = parts.next().expect("split has a first part").to_owned();
    for part in parts {
        let length = part.bytes().take_while(|byte| goes_on(*byte)).count();
        let (what, after) = if length < 10 { (start, part) } else { (by, &part[length..]) };
        whole.push_str(what);
        whole.push_str(after);
    }
    whole
}

/// What the server says until it has said where to go on.
fn until_said(log: &Path, last: &str) -> Vec<u8> {
    for _ in 0..1000 {
        let said = fs::read(log).expect("the server's output");
        if String::from_utf8_lossy(&said).contains(last) {
            return said;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the server did not say `{last}`: {}", fs::read_to_string(log).expect("its output"));
}
