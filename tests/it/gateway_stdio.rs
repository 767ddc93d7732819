//! A guarded server as a child process: what it may know, what happens when it ends, and what is left of it.

use std::{collections::BTreeSet, env, fs, path::PathBuf, process::Command};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    faults::figure,
    harness::{
        cli::Account,
        keys::Key,
        process::Running,
        server::{Guarded, TestServer},
        until::{seen, until},
    },
};

/// The folder in which a child notes what it is and reads.
pub(crate) struct Notes(TempDir);

impl Notes {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// The command that starts a child which lies like this.
    pub(crate) fn command(&self, lie: &str) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/harness/child.sh");
        format!("sh '{script}' '{}' {lie}", self.0.path().display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The processes that were started, in order.
    fn pids(&self) -> Vec<Pid> {
        self.lines("pids").iter().map(|pid| parse_pid(pid)).collect()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        until(what, async || holds(self)).await;
    }
}

fn parse_pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().expect("a number")).expect("not zero")
}

/// Whether a process is there, be it as a zombie.
fn exists(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

async fn guard(notes: &Notes, lie: &str) -> Guarded {
    Guarded::guarding(Key::ec(), &[("upstream.command", &notes.command(lie))]).await
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().expect("a text")
}

#[tokio::test]
async fn a_child_of_either_generation_is_served() {
    for (lie, begins) in [("none", r#""method":"initialize""#), ("modern", r#""method":"server/discover""#)] {
        let notes = Notes::new();
        let guarded = guard(&notes, lie).await;
        assert_eq!(guarded.names_shown("mcp:write").await, ["echo", "crash", "pid", "slow", "long", "noise"]);
        assert_eq!(text(&guarded.called("echo", json!({"text": "hi"})).await), "hi");
        assert!(notes.lines("read").iter().any(|line| line.contains(begins)), "{lie}");
        assert!(guarded.names_shown("mcp:read").await.is_empty(), "none of them says that it only reads");
        assert_eq!(notes.pids().len(), 1, "one process for all callers");
    }
}

#[tokio::test]
async fn a_child_that_writes_garbage_beside_its_answers_is_served() {
    let notes = Notes::new();
    let guarded = guard(&notes, "garbage").await;
    assert_eq!(text(&guarded.called("echo", json!({"text": "hi"})).await), "hi");
}

#[tokio::test]
async fn a_child_that_is_silent_about_what_it_does_not_know_is_initialized() {
    let notes = Notes::new();
    let guarded = Guarded::guarding_unready(Key::ec(), &[("upstream.command", &notes.command("silent"))]).await;
    // The question is given up after ten seconds.
    notes.until("a list that is asked for", |notes| count(notes, "tools/list") == 1).await;
    guarded.server.until_ready().await;
    assert_eq!(text(&guarded.called("echo", json!({"text": "hi"})).await), "hi");
}

#[tokio::test]
async fn g09_a_child_has_nothing_of_ours_in_its_environment_and_its_descriptors() {
    let notes = Notes::new();
    let account = Account::new()
        .with("SECUREMCP_UPSTREAM_COMMAND", &notes.command("none"))
        .with("SECUREMCP_CLIENT_SECRET", "a-secret-of-the-client")
        .with("AWS_SECRET_ACCESS_KEY", "a-secret-of-somebody")
        .with("LD_PRELOAD", "")
        .with("LANG", "C.UTF-8")
        .with("TMPDIR", "/tmp");
    let mut serve = Running::start(account.command(&["serve", "--listen", "127.0.0.1:0"]));
    serve.said("takes calls");
    let environment = notes.lines("environment");
    let names: BTreeSet<_> = environment.iter().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // `sh` itself sets the last ones.
    let allowed = ["PATH", "HOME", "LANG", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"];
    assert!(names.iter().all(|name| allowed.contains(name)), "{names:?}");
    assert!(["PATH", "HOME", "LANG", "TMPDIR"].iter().all(|name| names.contains(name)), "{names:?}");
    assert!(!environment.iter().any(|line| line.contains("a-secret")), "{environment:?}");
    // A socket of ours would let it accept our callers, a file of ours read our keys.
    let descriptors = notes.lines("descriptors");
    assert!(descriptors.len() > 3, "{descriptors:?}");
    let state = account.home().display().to_string();
    assert!(!descriptors.iter().any(|line| line.contains("socket:") || line.contains(&state)), "{descriptors:?}");
    assert!(descriptors.iter().any(|line| line.contains("pipe:")), "the twin, its own: {descriptors:?}");
}

#[tokio::test]
async fn g09_the_whole_group_of_a_child_ends_with_the_server() {
    for lie in ["grandchild", "stubborn"] {
        let notes = Notes::new();
        let guarded = guard(&notes, lie).await;
        let child = notes.pids()[0];
        let grandchild = parse_pid(&notes.lines("grandchild")[0]);
        assert!(exists(child) && exists(grandchild), "{lie}");
        guarded.server.stop().await;
        assert!(!exists(child), "{lie}: the child was waited for, and is no zombie");
        until_gone(grandchild).await;
    }
}

/// A grandchild is waited for by init, in its own time.
async fn until_gone(pid: Pid) {
    let is_gone = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        !exists(pid) || stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
    };
    until("its end", async || is_gone()).await;
}

#[tokio::test]
async fn a_crash_is_told_to_the_caller_and_to_those_who_wait_and_the_child_is_started_again() {
    let notes = Notes::new();
    let guarded = guard(&notes, "grandchild").await;
    let first = text(&guarded.called("pid", json!({})).await).to_owned();
    let grandchild = parse_pid(&notes.lines("grandchild")[0]);
    // One waits for an answer that never comes, one makes it crash.
    let (waits, crashes) = tokio::join!(guarded.told("slow"), async {
        notes.until("the slow call", |notes| notes.lines("read").iter().any(|line| line.contains("slow"))).await;
        guarded.told("crash").await
    });
    for told in [&waits, &crashes] {
        let words = "the guarded server `child` did not answer this call: it has ended (exit status: 9); the call may have \
                     had effects, check before you repeat it";
        assert_eq!(told, words);
    }
    until_gone(grandchild).await;
    // Later callers are told until it is back.
    let result = seen("another process", async || {
        let result = guarded.called("pid", json!({})).await;
        let is_back = result["isError"] != true;
        assert!(is_back || text(&result).contains("the guarded server `child`"), "{result}");
        is_back.then_some(result)
    });
    assert_ne!(text(&result.await), first);
    assert_eq!(notes.pids().len(), 2);
    assert!(!exists(notes.pids()[0]), "no zombie is left");
}

#[tokio::test]
async fn g07_a_child_that_answers_without_end_is_told_of_at_once_and_started_again() {
    for tool in ["long", "noise"] {
        let notes = Notes::new();
        let command = notes.command("none");
        let flags = [("upstream.command", command.as_str()), ("upstream.timeout", "1h")];
        let guarded = Guarded::guarding(Key::ec(), &flags).await;
        let first = notes.pids()[0];
        let words = "the guarded server `child` did not answer this call: its answer is larger than 16 MiB; the call may \
                     have had effects, check before you repeat it";
        assert_eq!(guarded.told(tool).await, words);
        notes.until("another child", |notes| notes.pids().len() == 2).await;
        guarded.server.until_ready().await;
        assert_eq!(text(&guarded.called("echo", json!({"text": "hi"})).await), "hi");
        assert!(!exists(first), "no zombie is left");
    }
}

/// Nobody but root may look at the descriptors of the program, so that the server has to be in the process that counts
/// them, and nothing else may be.
#[test]
#[expect(clippy::disallowed_methods, reason = "a process that was started for this test alone is told so")]
fn r24_crashes_one_after_the_other_leave_no_zombie_and_no_descriptor() {
    if env::var_os(ALONE).is_some() {
        tokio::runtime::Runtime::new().expect("a runtime").block_on(crashes_leave_nothing());
        return;
    }
    let mut alone = Command::new(env::current_exe().expect("this program"));
    alone.args(["--exact", "gateway_stdio::r24_crashes_one_after_the_other_leave_no_zombie_and_no_descriptor"]);
    let ended = alone.arg("--nocapture").env(ALONE, "1").output().expect("starts");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(String::from_utf8_lossy(&ended.stdout).contains("1 passed"), "{ended:?}");
}

/// Set where a test has a process to itself.
const ALONE: &str = "SECUREMCP_TEST_ALONE";

async fn crashes_leave_nothing() {
    let notes = Notes::new();
    let _guarded = guard(&notes, "none").await;
    let descriptors = || fs::read_dir("/proc/self/fd").expect("ours").count();
    let mut counts = Vec::new();
    for round in 1..=4 {
        let child = *notes.pids().last().expect("one was started");
        counts.push(descriptors());
        kill_process(child, Signal::KILL).expect("it runs");
        notes.until("the next child", |notes| notes.pids().len() == round + 1).await;
        notes.until("its list", |notes| count(notes, "tools/list") == round + 1).await;
        assert!(!exists(child), "no zombie");
    }
    assert!(counts.iter().all(|count| *count <= counts[0] + 1), "{counts:?}");
    figure(&format!("R24, a child killed 4 times: 4 times started again, 0 zombies, {counts:?} descriptors"));
}

fn count(notes: &Notes, method: &str) -> usize {
    notes.lines("read").iter().filter(|line| line.contains(method)).count()
}

#[tokio::test]
async fn a_child_that_cannot_be_started_is_told_and_the_server_lives() {
    let notes = Notes::new();
    for command in ["/nowhere/at/all --flag".to_owned(), notes.command("dies")] {
        let guarded = Guarded::guarding_unready(Key::ec(), &[("upstream.command", &command)]).await;
        assert_eq!(guarded.server.get("/health/live").await.status(), 200);
        guarded.server.until_failing("upstream").await;
    }
    // It is tried again, ever more slowly.
    notes.until("a second try", |notes| notes.pids().len() >= 2).await;
    assert!(notes.pids().len() < 10);
}

#[tokio::test]
async fn what_a_child_writes_to_stderr_is_logged_escaped_and_bounded() {
    let notes = Notes::new();
    let account = Account::new();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--upstream-command", &notes.command("noisy")];
    let mut serve = Running::start(account.command(&arguments));
    serve.said("takes calls");
    let noisy = serve.said("line");
    assert!(noisy.contains("red \\\\u{1b}[31m line"), "{noisy}");
    serve.said("second");
    assert!(!serve.kill().stderr.contains('\u{1b}'));

    let notes = Notes::new();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--upstream-command", &notes.command("floods")];
    let mut serve = Running::start(account.command(&arguments));
    serve.said("takes calls");
    let said = serve.kill().stderr;
    assert!(said.len() < 200_000, "{}", said.len());
}

#[tokio::test]
async fn s09_equal_ids_of_two_callers_do_not_cross_in_one_pipe() {
    let notes = Notes::new();
    let guarded = guard(&notes, "none").await;
    let tokens = ["alice", "bob"].map(|name| (name, guarded.token(&json!({ "sub": name }))));
    let server: &TestServer = &guarded.server;
    for round in 0..20 {
        let [one, two] = tokens.each_ref().map(|(name, token)| async move {
            let text = format!("{name}-{round}");
            let answer = server.call(token, "echo", json!({ "text": text })).await;
            let body: Value = answer.json().await.expect("JSON");
            assert_eq!((&body["id"], &body["result"]["content"][0]["text"]), (&json!(1), &json!(text)));
        });
        tokio::join!(one, two);
    }
    assert_eq!(count(&notes, "tools/call"), 40);
    let read = notes.lines("read").join("\n");
    for (name, token) in &tokens {
        assert!(!read.contains(token.as_str()) && !read.contains(&format!("\"{name}\"")), "nothing of the caller");
    }
}
