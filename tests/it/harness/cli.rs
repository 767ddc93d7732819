//! The real binary, run by an account that has nothing set up.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::program;

/// A home of its own, and nothing of the environment of the tests.
pub(crate) struct Account {
    home: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A running `securemcp serve`, killed when it is dropped.
pub(crate) struct Serving {
    child: Child,
    /// Its MCP endpoint.
    pub(crate) url: String,
}

/// A fast machine must not meet the limits of callers where a test is about something else.
const UNLIMITED: [(&str, &str); 2] =
    [("SECUREMCP_LIMITS_PER_CLIENT", "1000000/s"), ("SECUREMCP_LIMITS_PER_ADDRESS", "1000000/s")];

impl Account {
    pub(crate) fn new() -> Self {
        let variables = UNLIMITED.map(|(name, value)| (name, value.to_owned())).into();
        Self { home: tempfile::tempdir().expect("a temporary directory"), variables }
    }

    /// An account whose server counts its callers as its settings say.
    pub(crate) fn limited() -> Self {
        Self { variables: Vec::new(), ..Self::new() }
    }

    /// Sets an environment variable for all later commands.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// A command that was not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command_of(program::path());
        command.args(arguments);
        command
    }

    /// Another program in the same surroundings.
    pub(crate) fn command_of(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.home()).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.home());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).spawn().expect("starts"))
    }

    /// Runs a command that reads this from its standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        Ended::of(child)
    }

    /// Runs the server on a free port, and waits until it listens.
    pub(crate) fn serve(&self) -> Serving {
        self.serve_with(&[])
    }

    /// The same with more flags.
    pub(crate) fn serve_with(&self, flags: &[&str]) -> Serving {
        let arguments = [&["serve", "--listen", "127.0.0.1:0"], flags].concat();
        let mut child = self.command(&arguments).spawn().expect("starts");
        let mut said = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let url = said.by_ref().map_while(Result::ok).find_map(|line| {
            let event: Value = serde_json::from_str(&line).ok()?;
            Some(event["resource"].as_str()?.to_owned())
        });
        // A server whose standard error nobody reads would stop when the pipe is full.
        std::thread::spawn(move || said.for_each(drop));
        Serving { child, url: url.expect("it says where it listens") }
    }
}

impl Ended {
    fn of(child: Child) -> Self {
        let output = child.wait_with_output().expect("ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The standard output of a command that must have succeeded.
    #[track_caller]
    pub(crate) fn done(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:#?}");
        &self.stdout
    }

    /// The one document that a command printed.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The error object of a command that failed with `--output json`.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let last = self.stderr.lines().last().unwrap_or_default();
        let mut object: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:#?}"));
        object["error"].take()
    }

    /// Asserts the exit code and what standard error contains.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for words in words {
            assert!(self.stderr.contains(words), "expected `{words}` in {self:#?}");
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
