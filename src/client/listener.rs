//! What a server tells while it works: how far it is, and lines of its log.
#![expect(deprecated, reason = "MCP deprecates logging (SEP-2577); servers of every revision still log")]

use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam};
use serde_json::Value;

use super::error::said;

/// Hears what a server tells while it works.
pub trait Listener: Send + Sync {
    /// How far it is.
    fn progress(&self, progress: Progress);

    /// A line of its log.
    fn log(&self, line: LogLine);

    /// The least important lines that are wanted; `None` wants none, and the server is not asked for any.
    fn wants(&self) -> Option<Level>;
}

/// How far the server is. Its words are escaped, in one line.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Of `total`; it only grows.
    pub done: f64,
    /// Where it ends, if that is known.
    pub total: Option<f64>,
    /// What is being done.
    pub message: Option<String>,
}

/// A line of the server's log, escaped, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How important it is: `debug`, `info`, `notice`, ..
    pub level: String,
    /// Which part of the server wrote it.
    pub logger: Option<String>,
    /// What it says.
    pub text: String,
}

/// How important a line must be to be wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// All but what is for the server's own developers.
    Info,
    /// All.
    Debug,
}

impl From<Level> for LoggingLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
        }
    }
}

impl From<ProgressNotificationParam> for Progress {
    fn from(told: ProgressNotificationParam) -> Self {
        Self { done: told.progress, total: told.total, message: told.message.as_deref().map(said) }
    }
}

impl From<LoggingMessageNotificationParam> for LogLine {
    fn from(told: LoggingMessageNotificationParam) -> Self {
        let level = serde_json::to_value(told.level).expect("a name");
        let text = match &told.data {
            Value::String(text) => said(text),
            data => said(&data.to_string()),
        };
        Self { level: level.as_str().unwrap_or_default().to_owned(), logger: told.logger.as_deref().map(said), text }
    }
}
