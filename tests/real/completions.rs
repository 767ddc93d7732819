//! The completion scripts in real bash, zsh and fish, as a person presses Tab.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::harness::{Account, program};

/// A line, and what it becomes.
const LINES: [(&str, &str); 3] = [
    ("securemcp dcr upd", "update"),
    ("securemcp heal", "health"),
    ("securemcp dcr register --auth-method pri", "private_key_jwt"),
];

/// The same, of the tools that the server listed. It does not run any more.
const TOOL_LINES: [(&str, &str); 5] = [
    ("securemcp call ec", "echo"),
    ("securemcp --quiet call --timeout 5s calc", "calculator"),
    ("securemcp call echo --mess", "--message"),
    ("securemcp call echo hi --upper", "--uppercase"),
    ("securemcp call timestamp --timez", "--timezone"),
];

/// Names that a shell would do something with, and which therefore are not completed. `MARK` is a file that must not
/// appear.
const HOSTILE: [&str; 16] = [
    "$(touch MARK)",
    "`touch MARK`",
    "x;touch MARK",
    "x\ntouch MARK",
    "x\ttouch MARK",
    "' touch MARK '",
    "\" touch MARK \"",
    "x'$(touch MARK)'",
    "x|touch MARK",
    "x&touch MARK",
    ">MARK",
    "--server=http://evil.example/mcp",
    "-rf",
    "x\u{1b}[2Jx",
    "x\u{7}x",
    "(touch MARK)",
];

fn source(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

/// Somebody at a shell, to whom a server listed its tools once.
struct Desk {
    account: Account,
    server: String,
}

impl Desk {
    fn new() -> Self {
        let account = Account::new();
        let serving = account.serve();
        let server = serving.url();
        account.securemcp(&["tools", "--server", &server]).done();
        drop(serving);
        Self { account, server }
    }

    /// The file with the tools.
    fn list(&self) -> PathBuf {
        let folder = self.account.home().join("state/securemcp/tools");
        let files = fs::read_dir(folder).expect("tools were listed").map(|entry| entry.expect("readable").path());
        let is_list = |path: &PathBuf| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let lists: Vec<_> = files.filter(is_list).collect();
        assert_eq!(lists.len(), 1, "{lists:?}");
        lists[0].clone()
    }

    /// Has the server have listed these names, each also as a property, beside `good_tool` with `--good-flag`.
    fn lists(&self, names: &[&str]) {
        let mut list: Value = serde_json::from_slice(&fs::read(self.list()).expect("it is there")).expect("JSON");
        let names: Vec<_> = names.iter().map(|name| name.replace("MARK", &self.mark().display().to_string())).collect();
        let property = |name: &String| (name.clone(), json!({"type": "string", "description": name}));
        let properties: serde_json::Map<_, _> =
            names.iter().map(property).chain([("good_flag".to_owned(), json!({"type": "string"}))]).collect();
        let schema = json!({"type": "object", "properties": properties});
        let tools = names.iter().map(String::as_str).chain(["good_tool"]);
        list["tools"] = tools.map(|name| json!({"name": name, "input_schema": schema})).collect();
        fs::write(self.list(), list.to_string()).expect("it is ours");
    }

    fn mark(&self) -> PathBuf {
        self.account.home().join("mark")
    }

    /// What a shell says.
    fn said(&self, command: &mut Command) -> String {
        let binary = Path::new(program::path()).parent().expect("it is in a directory");
        let command = command.current_dir(self.account.home()).env("HOME", self.account.home());
        let command = command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", binary.display()));
        let command = command.env("XDG_STATE_HOME", self.account.home().join("state"));
        let output = command.env("SECUREMCP_SERVER", &self.server).output().expect("./tests/run installs the shells");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    /// Whether a shell completes what it should and nothing that it should not; `press` gives what one Tab offers.
    #[track_caller]
    fn completes(&self, press: impl Fn(&str) -> Vec<String>) {
        for (line, word) in LINES.into_iter().chain(TOOL_LINES) {
            assert_eq!(press(line), [word], "{line}");
        }
        self.lists(&HOSTILE);
        assert_eq!(press("securemcp call "), ["good_tool"]);
        assert_eq!(press("securemcp call good_tool --good"), ["--good-flag"]);
        let flags = press("securemcp call good_tool ");
        assert_eq!(flags, ["--good-flag"]);
        assert!(!self.mark().exists(), "nothing was run");
    }
}

/// The checked-in script is what the binary prints.
#[track_caller]
fn is_printed(desk: &Desk, shell: &str, file: &str) {
    let printed = desk.said(Command::new(program::path()).args(["completions", shell]));
    assert_eq!(printed, fs::read_to_string(source(file)).expect("it is there").trim());
}

#[test]
fn bash_completes() {
    let desk = Desk::new();
    is_printed(&desk, "bash", "completions/securemcp.bash");
    desk.completes(|line| {
        let mut bash = Command::new("bash");
        bash.args(["--norc", &source("tests/real/shells/complete.bash"), &source("completions/securemcp.bash")]);
        desk.said(bash.args(line.split(' '))).lines().map(str::to_owned).collect()
    });
}

#[test]
fn zsh_completes() {
    let desk = Desk::new();
    is_printed(&desk, "zsh", "completions/_securemcp");
    desk.completes(|line| {
        let mut zsh = Command::new("zsh");
        zsh.args(["-f", &source("tests/real/shells/complete.zsh"), &source("completions"), line]);
        let before = line.rsplit_once(' ').expect("two words").0;
        let completed = desk.said(&mut zsh);
        completed.strip_prefix(before).into_iter().map(|word| word.trim().to_owned()).collect()
    });
}

#[test]
fn fish_completes() {
    let desk = Desk::new();
    is_printed(&desk, "fish", "completions/securemcp.fish");
    let script = source("completions/securemcp.fish");
    desk.completes(|line| {
        let ask = format!("source '{script}'; complete -C '{line}'");
        let all = desk.said(Command::new("fish").args(["--no-config", "-c", &ask]));
        all.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
    });
}
