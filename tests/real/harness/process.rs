//! Runs one command to its end, within a time limit.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// A command that hangs must fail its test, not the whole run.
const TIME_LIMIT: Duration = Duration::from_secs(90);

/// How often a condition is looked at while it is waited for.
pub(super) const POLL: Duration = Duration::from_millis(20);

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it said to a person.
    pub(crate) stderr: String,
}

impl Ended {
    /// Runs the command without standard input. Its output goes through files in `home`, so that no pipe can fill up.
    pub(crate) fn of(mut command: Command, home: &Path) -> Self {
        let output = tempfile::tempdir_in(home).expect("the home is writable");
        let (stdout, stderr) = (output.path().join("stdout"), output.path().join("stderr"));
        let file = |path| fs::File::create(path).expect("the home is writable");
        command.stdin(Stdio::null()).stdout(file(&stdout)).stderr(file(&stderr));
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                break Some(status);
            }
            if started.elapsed() > TIME_LIMIT {
                child.kill().expect("a child can be killed");
                child.wait().expect("a killed child ends");
                break None;
            }
            thread::sleep(POLL);
        };
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("it was written")).into_owned();
        let ended =
            Self { code: status.and_then(|status| status.code()), stdout: read(&stdout), stderr: read(&stderr) };
        assert!(status.is_some(), "{command:?} did not end within {TIME_LIMIT:?}: {ended:#?}");
        ended
    }

    /// The output of a command that must have succeeded.
    #[track_caller]
    pub(crate) fn done(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:#?}");
        &self.stdout
    }

    /// Asserts the exit code, and these words for a person.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for words in words {
            assert!(self.stderr.contains(words), "expected `{words}` in {self:#?}");
        }
    }

    /// The one JSON document that a successful command printed.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.done()).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Looks again and again until there is something to be seen.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(started.elapsed() < TIME_LIMIT, "{what}: not within {TIME_LIMIT:?}");
        thread::sleep(POLL);
    }
}
