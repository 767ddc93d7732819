//! A real Redis, started by the script that ships.

use std::{fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::{Service, free_port, root};

/// Of a Redis that nothing else was set up for.
pub(crate) const REDIS_PASSWORD: &str = "of-this-test-only";

/// A running Redis with a password, whose data outlives it.
#[derive(Debug)]
pub(crate) struct Redis {
    pub(crate) port: u16,
    password: String,
    home: TempDir,
    service: Option<Service>,
}

impl Redis {
    pub(crate) fn start(password: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let mut redis = Self { port: free_port(), password: password.to_owned(), home, service: None };
        redis.begin();
        redis
    }

    /// Starts it again on what it had.
    pub(crate) fn begin(&mut self) {
        let password = self.home.path().join("password");
        fs::write(&password, &self.password).expect("the home is writable");
        let mut command = Command::new("sh");
        command.arg(root().join("compose/redis/start.sh")).args(["--port", &self.port.to_string(), "--dir"]);
        command.arg(self.home.path()).args(["--bind", "127.0.0.1"]).env("REDIS_PASSWORD_FILE", &password);
        command.current_dir(self.home.path());
        self.service = Some(Service::start(command, self.home.path(), self.port).said("Ready to accept connections"));
    }

    /// Ends it in order, as its container would be.
    pub(crate) fn end(&mut self) {
        self.cli("SHUTDOWN");
        self.service = None;
    }

    /// Stops it without closing anything, or lets it go on.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        let signal = if is_frozen { "-STOP" } else { "-CONT" };
        let pid = self.service.as_ref().expect("it runs").pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill runs").success());
    }

    /// Runs a command in it.
    pub(crate) fn cli(&self, command: &str) -> String {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &self.port.to_string()]).args(command.split(' ')).env("REDISCLI_AUTH", &self.password);
        String::from_utf8(cli.output().expect("redis-cli runs").stdout).expect("text")
    }

    /// A file with its URL, whose password may be another.
    pub(crate) fn url_file(&self, password: Option<&str>) -> PathBuf {
        self.write_url(self.port, password.unwrap_or(&self.password))
    }

    /// A file with its URL by way of another port.
    pub(crate) fn url_file_by(&self, port: u16) -> PathBuf {
        self.write_url(port, &self.password)
    }

    fn write_url(&self, port: u16, password: &str) -> PathBuf {
        let path = self.home.path().join("url");
        let url = format!("redis://:{password}@127.0.0.1:{port}/0");
        fs::write(&path, url).expect("the home is writable");
        path
    }
}
