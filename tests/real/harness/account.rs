//! The product as one person's account sees it: a home, a state directory, a command line, and a server.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use securemcp::tools::Tools;
use tempfile::TempDir;

use super::{Ended, Foreign, InProcess, Service, Usage, free_port, program};

/// All scopes that the product's tools need.
const ALL_SCOPES: &str = "mcp:read mcp:write mcp:infer";

/// A home in which nothing has been set up. Commands and server share its state directory.
#[derive(Debug)]
pub(crate) struct Account {
    home: TempDir,
}

impl Account {
    /// An account on which the product never ran.
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().expect("a temporary directory can be made") }
    }

    /// Runs `securemcp` with these arguments.
    pub(crate) fn securemcp(&self, arguments: &[&str]) -> Ended {
        self.with_token(None, arguments)
    }

    /// Runs `securemcp` with a token from elsewhere.
    pub(crate) fn with_token(&self, token: Option<&str>, arguments: &[&str]) -> Ended {
        let mut command = self.command();
        command.args(arguments);
        if let Some(token) = token {
            command.env("SECUREMCP_TOKEN", token);
        }
        Ended::of(command, self.home.path())
    }

    /// Runs `securemcp` with these variables.
    pub(crate) fn with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
        let mut command = self.command();
        command.args(arguments).envs(variables.iter().copied());
        Ended::of(command, self.home.path())
    }

    /// Where it lives.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes the configuration that `serve` reads from the directory that it starts in.
    pub(crate) fn configure(&self, toml: &str) {
        fs::write(self.home.path().join("securemcp.toml"), toml).expect("the home is writable");
    }

    /// Runs `securemcp serve` on a free port, and waits until it is ready.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// The same with more arguments.
    pub(crate) fn serve_with(&self, more: &[&str]) -> Server {
        self.serve_at(free_port(), &[], more)
    }

    /// The same at this port, with these variables.
    pub(crate) fn serve_at(&self, port: u16, variables: &[(&str, &str)], more: &[&str]) -> Server {
        self.serve_until(port, variables, more, 200)
    }

    /// The same, but waits until its readiness is told by this status.
    pub(crate) fn serve_until(&self, port: u16, variables: &[(&str, &str)], more: &[&str], ready: u16) -> Server {
        let mut command = self.command();
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]).args(more).envs(variables.iter().copied());
        let service = Service::start(command, self.home.path(), port).ready(port, "/health/ready", ready);
        Server { port, service }
    }

    /// Runs `examples/conformance`, somebody else's server, as `securemcp serve` is run.
    pub(crate) fn serve_example(&self) -> Server {
        self.serve_example_at(free_port(), &[])
    }

    /// The same at this port, with these variables.
    pub(crate) fn serve_example_at(&self, port: u16, variables: &[(&str, &str)]) -> Server {
        let mut command = self.command_of(&Self::example());
        command.env("SECUREMCP_LISTEN", format!("127.0.0.1:{port}")).envs(variables.iter().copied());
        let service = Service::start(command, self.home.path(), port).ready(port, "/health/ready", 200);
        Server { port, service }
    }

    /// Runs it without authentication, for another server to guard; its URL.
    pub(crate) fn open_example(&self) -> (String, Service) {
        let port = free_port();
        let mut command = self.command_of(&Self::example());
        command.args(["open", &format!("127.0.0.1:{port}")]);
        // It has no such path, and says so.
        let service = Service::start(command, self.home.path(), port).ready(port, "/", 404);
        (format!("http://127.0.0.1:{port}/mcp"), service)
    }

    /// Where its program is.
    pub(crate) fn example() -> String {
        let example = Path::new(env!("CARGO_BIN_EXE_securemcp")).with_file_name("examples").join("conformance");
        assert!(example.exists(), "{} is missing: `cargo build --example conformance` makes it", example.display());
        example.to_str().expect("UTF-8").to_owned()
    }

    /// Serves these tools within this process.
    pub(crate) fn serve_tools(&self, tools: Tools) -> InProcess {
        InProcess::start(self.home.path(), tools)
    }

    /// The same over TLS, where nobody can ask for readiness in plain text: waits until it listens.
    pub(crate) fn serve_tls(&self, flags: &[&str]) -> Server {
        let port = free_port();
        let mut command = self.command();
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]).args(flags);
        let service = Service::start(command, self.home.path(), port).said("listening");
        Server { port, service }
    }

    /// A token for `url` with every scope.
    pub(crate) fn token(&self, url: &str) -> String {
        self.token_for(url, ALL_SCOPES)
    }

    /// A token for `url` with these scopes.
    pub(crate) fn token_for(&self, url: &str, scopes: &str) -> String {
        let ended = self.securemcp(&["token", "get", "--server", url, "--scope", scopes]);
        ended.done().trim_end().to_owned()
    }

    /// The same, made now.
    pub(crate) fn new_token(&self, url: &str) -> String {
        let ended = self.securemcp(&["token", "get", "--new", "--server", url, "--scope", ALL_SCOPES]);
        ended.done().trim_end().to_owned()
    }

    /// A command of a documentation page, at a port of its own, where `npx` finds the packages that are installed already.
    pub(crate) fn documented(&self, foreign: &Foreign, port: u16, line: &str) -> Shell<'_> {
        let bin = self.home.path().join("bin");
        if !bin.exists() {
            fs::create_dir(&bin).expect("the home is writable");
            symlink(program::path(), bin.join("securemcp")).expect("the directory is new");
            let npx = bin.join("npx");
            fs::write(&npx, foreign.npx()).expect("the directory is new");
            fs::set_permissions(&npx, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        let mut command = Command::new("sh");
        let exec = if line.contains(['|', '>']) { "" } else { "exec " };
        command
            .args(["-c", &format!("{exec}{line}")])
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()))
            .env("HOME", self.home.path())
            .env("SECUREMCP_LISTEN", format!("127.0.0.1:{port}"))
            .env("SECUREMCP_SERVER", format!("http://127.0.0.1:{port}/mcp"))
            // A terminal shows text, and what is logged is not part of the page.
            .env("SECUREMCP_LOG_FORMAT", "text");
        Shell { command, home: self.home.path() }
    }

    /// What a reader sees at the default port, in the reader's home; without the log.
    pub(crate) fn as_shown(&self, port: u16, said: &str) -> String {
        let lines = said.lines().filter(|line| !line.contains("Z  INFO") && !line.contains("Z  WARN"));
        lines
            .map(|line| {
                let line = line.replace(&format!(":{port}"), ":8000");
                line.replace(&self.home.path().display().to_string(), "/home/you")
                    .replace(" --server http://127.0.0.1:8000/mcp", "")
                    + "\n"
            })
            .collect()
    }

    /// Runs a line of shell, with these variables.
    pub(crate) fn shell(&self, line: &str, variables: &[(&str, &str)]) -> Ended {
        let mut command = self.command_of("bash");
        command.args(["-euo", "pipefail", "-c", line]).envs(variables.iter().copied());
        Ended::of(command, self.home.path())
    }

    fn command(&self) -> Command {
        let mut command = self.command_of(program::path());
        // A fast scanner must not meet the limits of callers where a test is about something else.
        command.env("SECUREMCP_LIMITS_PER_CLIENT", "1000000/s").env("SECUREMCP_LIMITS_PER_ADDRESS", "1000000/s");
        command
    }

    /// Nothing of the environment of the tests reaches the product, or what is run beside it.
    fn command_of(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("XDG_STATE_HOME", self.home.path().join("state"));
        command
    }
}

/// A command of a documentation page that was not started yet.
#[derive(Debug)]
pub(crate) struct Shell<'a> {
    command: Command,
    home: &'a Path,
}

impl Shell<'_> {
    /// Runs it to its end.
    pub(crate) fn ended(self) -> Ended {
        Ended::of(self.command, self.home)
    }

    /// Starts a server, and waits until it is ready.
    pub(crate) fn serving(self, port: u16) -> Service {
        Service::start(self.command, self.home, port).ready(port, "/health/ready", 200)
    }
}

/// A running `securemcp serve`.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) port: u16,
    service: Service,
}

impl Server {
    /// Its origin, which is also its issuer.
    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.service.log()
    }

    /// What its process has.
    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.service.pid())
    }

    /// Runs a command of the system that is about its process: `kill -HUP`, for example.
    pub(crate) fn tell(&self, program: &str, arguments: &[&str]) {
        let pid = self.service.pid().to_string();
        let done = Command::new(program).args(arguments).arg(pid).output().expect("it runs");
        assert!(done.status.success(), "{program}: {done:?}");
    }

    /// Waits until it has logged these words.
    pub(crate) fn saying(self, words: &str) -> Self {
        Self { service: self.service.said(words), ..self }
    }

    /// Ends it as its container would be.
    pub(crate) fn end(self) {
        self.service.end("-TERM");
    }

    /// Its MCP endpoint.
    pub(crate) fn url(&self) -> String {
        format!("{}/mcp", self.origin())
    }
}
