//! The product as one person's account sees it: a home, a state directory, a command line, and a server.

use std::{fs, process::Command};

use securemcp::tools::Tools;
use tempfile::TempDir;

use super::{Ended, InProcess, Service, free_port};

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

    /// Writes the configuration that `serve` reads from the directory that it starts in.
    pub(crate) fn configure(&self, toml: &str) {
        fs::write(self.home.path().join("securemcp.toml"), toml).expect("the home is writable");
    }

    /// Runs `securemcp serve` on a free port, and waits until it is ready.
    pub(crate) fn serve(&self) -> Server {
        let port = free_port();
        let mut command = self.command();
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]);
        let service = Service::start(command, self.home.path(), port).ready(port, "/health/ready", 200);
        Server { port, _service: service }
    }

    /// Serves these tools within this process.
    pub(crate) fn serve_tools(&self, tools: Tools) -> InProcess {
        InProcess::start(self.home.path(), tools)
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

    /// Runs a line of shell, with these variables.
    pub(crate) fn shell(&self, line: &str, variables: &[(&str, &str)]) -> Ended {
        let mut command = self.command_of("bash");
        command.args(["-euo", "pipefail", "-c", line]).envs(variables.iter().copied());
        Ended::of(command, self.home.path())
    }

    fn command(&self) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_securemcp"))
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

/// A running `securemcp serve`.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) port: u16,
    _service: Service,
}

impl Server {
    /// Its origin, which is also its issuer.
    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its MCP endpoint.
    pub(crate) fn url(&self) -> String {
        format!("{}/mcp", self.origin())
    }
}
