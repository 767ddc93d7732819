//! Every command that README.md shows, run as it stands there, with the output that it shows.

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

/// A newcomer's machine: an empty home, the command on the path, and a server at a port of its own.
struct Newcomer {
    home: TempDir,
    address: SocketAddr,
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One `$ command` and the lines below it.
struct Shown {
    command: String,
    output: String,
}

fn shown(text: &str) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().expect("split has a first part");
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                all.push(Shown { command: command.to_owned(), output: String::new() });
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
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let bin = home.path().join("bin");
        fs::create_dir(&bin).expect("an empty home");
        symlink(env!("CARGO_BIN_EXE_securemcp"), bin.join("securemcp")).expect("an empty directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("bound");
        Self { home, address }
    }

    fn shell(&self, command: &str) -> Command {
        // What cargo would run is what is tested here already.
        let command = command.replace("cargo run --release -- ", "securemcp ");
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
            .env("SECUREMCP_LOG_FORMAT", "text");
        shell
    }

    /// The output as the README shows it: at the default port, in the reader's home.
    fn as_shown(&self, output: &[u8]) -> String {
        let port = format!(":{}", self.address.port());
        String::from_utf8_lossy(output)
            .replace(&port, ":8000")
            .replace(&self.home.path().display().to_string(), "/home/you")
            .replace(" --server http://127.0.0.1:8000/mcp", "")
    }
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

#[test]
fn the_readme_does_what_it_shows() {
    let newcomer = Newcomer::new();
    let all = shown(include_str!("../../README.md"));
    let (first, rest) = all.split_first().expect("the README shows commands");
    assert_eq!(first.command, "cargo run --release -- serve");
    let log = newcomer.home.path().join("serve.log");
    let mut serve = newcomer.shell(&first.command);
    serve.stdout(fs::File::create(&log).expect("an empty home")).stdin(Stdio::null());
    let _server = Server(serve.spawn().expect("starts"));
    let said = newcomer.as_shown(&until_said(&log, "  try  "));
    assert!(said.starts_with(&first.output), "{said}\nexpected:\n{}", first.output);

    assert!(rest.len() >= 10, "the commands were found: {}", rest.len());
    for Shown { command, output } in rest {
        let ran = newcomer.shell(command).stdin(Stdio::null()).output().expect("runs");
        let got = newcomer.as_shown(&ran.stdout);
        assert!(ran.status.success(), "{command}: {}\n{got}", ran.status);
        if !output.is_empty() {
            assert_eq!(got, *output, "{command}");
        }
    }
}
