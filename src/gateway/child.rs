//! A guarded server as a child process: its environment, its process group, what it writes to stderr.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
};

use super::down::Down;
use crate::said::said;

/// How long a process may take to end after its pipe was closed, and again after SIGTERM.
const ENDING: Duration = Duration::from_secs(2);
/// The longest line of stderr that is logged, in bytes; the rest of it is dropped.
const MAX_LINE: usize = 4 * 1024;
/// How many lines of stderr are logged in a [`WINDOW`]; the rest are counted.
const MAX_LINES: usize = 200;
const WINDOW: Duration = Duration::from_secs(10);

/// A running process with a group of its own, which is killed whole: when it is dropped at the latest.
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    stderr: JoinHandle<()>,
}

impl Process {
    /// Starts the program: these arguments, this environment and nothing of ours.
    pub(super) fn start(
        argv: &[String],
        environment: &[(String, String)],
    ) -> Result<(Self, ChildStdout, ChildStdin), Down> {
        let program = argv.first().map(String::as_str).unwrap_or_default();
        let started = Command::new(program)
            .args(argv.iter().skip(1))
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut child = started.map_err(|error| Down::NotStarted(format!("`{}`: {error}", said(program))))?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(Down::NotStarted("its pipes are missing".to_owned()));
        };
        let stderr = tokio::spawn(log_lines(stderr));
        Ok((Self { child, group, stderr }, stdout, stdin))
    }

    /// Waits until the process has ended, and says how. What it left behind in its group is killed.
    pub(super) async fn exited(&mut self) -> String {
        let status = self.child.wait().await;
        self.signal(Signal::KILL);
        self.group = None;
        status.map_or_else(|error| format!("it cannot be waited for: {error}"), |status| status.to_string())
    }

    /// Has the process end whose pipe has been closed; says how it ended if that was by itself.
    pub(super) async fn end(mut self) -> Option<String> {
        if let Ok(status) = tokio::time::timeout(ENDING, self.exited()).await {
            return Some(status);
        }
        self.signal(Signal::TERM);
        if tokio::time::timeout(ENDING, self.exited()).await.is_err() {
            self.signal(Signal::KILL);
            // Nothing outlives that signal for long.
            let _ = tokio::time::timeout(ENDING, self.exited()).await;
        }
        None
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may be empty by now.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.stderr.abort();
    }
}

/// Logs what a process writes to stderr: line by line, escaped, and never more than the log can bear.
async fn log_lines(stderr: impl AsyncRead + Unpin) {
    let mut reader = BufReader::new(stderr);
    let mut window = tokio::time::interval(WINDOW);
    window.tick().await;
    let (mut line, mut logged, mut dropped) = (Vec::new(), 0_usize, 0_usize);
    loop {
        let read = tokio::select! {
            read = next_piece(&mut reader, &mut line) => read,
            _ = window.tick() => {
                if dropped > 0 {
                    tracing::warn!(lines = dropped, "the guarded server wrote more to stderr than is logged");
                }
                (logged, dropped) = (0, 0);
                continue;
            }
        };
        let Some(is_whole) = read else { break };
        if !is_whole {
            continue;
        }
        if logged < MAX_LINES {
            logged += 1;
            tracing::info!(line = said(&String::from_utf8_lossy(&line)), "the guarded server says");
        } else {
            dropped += 1;
        }
        line.clear();
    }
}

/// Reads on in a line, of which no more than [`MAX_LINE`] is kept; whether it is whole now, `None` at the end.
///
/// Nothing is lost when this is dropped while it waits.
async fn next_piece(reader: &mut BufReader<impl AsyncRead + Unpin>, line: &mut Vec<u8>) -> Option<bool> {
    let piece = reader.fill_buf().await.ok().filter(|piece| !piece.is_empty())?;
    let end = piece.iter().position(|byte| *byte == b'\n');
    let taken = end.unwrap_or(piece.len());
    line.extend_from_slice(&piece[..taken.min(MAX_LINE.saturating_sub(line.len()))]);
    reader.consume(taken + usize::from(end.is_some()));
    Some(end.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_without_end_is_cut_and_the_next_one_is_whole() {
        let text = format!("{}\nshort\n", "x".repeat(3 * MAX_LINE));
        let mut reader = BufReader::new(text.as_bytes());
        let mut lines = Vec::new();
        let mut line = Vec::new();
        while let Some(is_whole) = next_piece(&mut reader, &mut line).await {
            if is_whole {
                lines.push(std::mem::take(&mut line));
            }
        }
        assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [MAX_LINE, 5]);
    }
}
