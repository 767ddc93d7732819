//! Other people's programs, as `./tests/run` installed them under target/test-tools.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{Ended, Issued, Service, free_port};

/// Starts each of MCP Inspector's programs.
const INSPECTOR: &str = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js";

/// A directory in which foreign programs run, with the scripts of tests/real.
#[derive(Debug)]
pub(crate) struct Foreign {
    home: TempDir,
}

impl Foreign {
    /// Copies the scripts: Node looks for packages beside them, and the source tree shall have none.
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        for folder in ["python", "node"] {
            let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real").join(folder));
            for file in files.expect("the scripts are part of the sources") {
                let file = file.expect("the folder is readable");
                fs::copy(file.path(), home.path().join(file.file_name())).expect("a script can be copied");
            }
        }
        symlink(installed("node/node_modules"), home.path().join("node_modules")).expect("the home is new");
        Self { home }
    }

    /// Runs a script to its end; `token` is what it sends as a bearer token.
    pub(crate) fn run(&self, script: &str, arguments: &[&str], token: &str) -> Ended {
        self.run_with(script, arguments, &[("TEST_TOKEN", token)])
    }

    /// The same with these variables.
    pub(crate) fn run_with(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = self.command(script, arguments);
        command.envs(variables.iter().copied());
        Ended::of(command, self.home.path())
    }

    /// Starts a script that serves on `port`, and waits until `GET path` is answered with `status`.
    pub(crate) fn serve(&self, script: &str, port: u16, more: &[&str], path: &str, status: u16) -> Service {
        let port_argument = port.to_string();
        let arguments = [&[&*port_argument], more].concat();
        Service::start(self.command(script, &arguments), self.home.path(), port).ready(port, path, status)
    }

    /// Serves the document of a client by https on `port`, at `https://localhost:PORT/client.json`.
    pub(crate) fn document(&self, port: u16, issued: &Issued) -> Service {
        let command = self.command("document.mjs", &[&port.to_string(), &issued.certificate, &issued.key]);
        Service::start(command, self.home.path(), port).said("listening")
    }

    /// Starts the token-adding proxy on `port` before the server at `url`, whose certificate is trusted by `ca`.
    pub(crate) fn proxy(&self, port: u16, url: &str, token: &str, ca: Option<&Path>) -> Service {
        let mut command = self.command("proxy.mjs", &[&port.to_string(), url]);
        command.env("TEST_TOKEN", token);
        if let Some(ca) = ca {
            command.env("NODE_EXTRA_CA_CERTS", ca);
        }
        Service::start(command, self.home.path(), port).ready(port, "/health/ready", 200)
    }

    /// Starts the official server with everything in it on `port`.
    pub(crate) fn everything(&self, port: u16) -> Service {
        let script = "node_modules/@modelcontextprotocol/server-everything/dist/index.js";
        let mut command = self.command(script, &["streamableHttp"]);
        command.env("PORT", port.to_string());
        // Without a session it refuses a GET: that it answers is enough.
        Service::start(command, self.home.path(), port).ready(port, "/mcp", 400)
    }

    /// Starts MCP Inspector's web page on `port`, for the server at `url`.
    pub(crate) fn inspector(&self, port: u16, url: &str) -> Service {
        let mut command = self.command(INSPECTOR, &["--web", "--transport", "http", "--server-url", url]);
        command.env("CLIENT_PORT", port.to_string()).env("MCP_AUTO_OPEN_ENABLED", "false");
        command.env("MCP_SANDBOX_PORT", free_port().to_string()).env("MCP_APP_ORIGIN_PORT", free_port().to_string());
        Service::start(command, self.home.path(), port).ready(port, "/", 200)
    }

    /// Runs MCP Inspector's command line to its end.
    pub(crate) fn inspector_cli(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let arguments = [&["--cli", "--transport", "http", "--format", "json"], arguments].concat();
        let mut command = self.command(INSPECTOR, &arguments);
        // It is not at a terminal, where it would open the browser by itself.
        command.env("MCP_AUTO_OPEN_ENABLED", "true").envs(variables.iter().copied());
        Ended::of(command, self.home.path())
    }

    /// The command that starts an official server on stdio, as `--upstream-command` takes it.
    pub(crate) fn on_stdio(&self, package: &str, arguments: &[&str]) -> String {
        let script = self.home.path().join("node_modules/@modelcontextprotocol").join(package).join("dist/index.js");
        let words = [installed("nodejs/node"), script].map(|path| format!("'{}'", path.display())).into_iter();
        words.chain(arguments.iter().map(|argument| format!("'{argument}'"))).collect::<Vec<_>>().join(" ")
    }

    /// A script that does what `npx -y PACKAGE ARGUMENTS..` does, without a registry.
    pub(crate) fn npx(&self) -> String {
        let packages = self.home.path().join("node_modules");
        let node = installed("nodejs/node");
        format!(
            "#!/bin/sh\npackage=$2\nshift 2\nexec '{}' '{}'/\"$package\"/dist/index.js \"$@\"\n",
            node.display(),
            packages.display()
        )
    }

    /// Runs the TLS scanner to its end.
    pub(crate) fn sslyze(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(installed("sslyze/bin/sslyze"));
        command.args(arguments).env("HOME", self.home.path());
        Ended::of(command, self.home.path())
    }

    /// Where its files are.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    fn command(&self, script: &str, arguments: &[&str]) -> Command {
        let interpreter = if Path::new(script).extension().is_some_and(|extension| extension == "py") {
            installed("python/bin/python")
        } else {
            installed("nodejs/node")
        };
        let mut command = Command::new(interpreter);
        command
            .arg(script)
            .args(arguments)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("FASTMCP_CHECK_FOR_UPDATES", "off")
            .env("MCP_INSPECTOR_SECRET_STORE", "file");
        for variable in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "NODE_OPTIONS"] {
            command.env_remove(variable);
        }
        command
    }
}

pub(super) fn installed(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools").join(path);
    assert!(path.exists(), "{} is missing: run `./tests/run --only real`, which installs it", path.display());
    path
}
