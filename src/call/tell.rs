//! What a call may tell its caller while it runs.
#![expect(deprecated, reason = "logging is deprecated by SEP-2577, and it is what the supported revisions have")]

use std::sync::{Arc, LazyLock};

use rmcp::model::LoggingLevel;
use serde_json::Value;

use super::BoxFuture;

/// How far a call has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// How much is done. It grows from word to word.
    pub done: f64,
    /// How much there is to do, if that is known.
    pub total: Option<f64>,
    /// What is done now, for a person.
    pub message: Option<String>,
}

/// How much a log message matters (RFC 5424 section 6.2.1, without its numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of syslog")]
pub enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl From<LoggingLevel> for Level {
    fn from(level: LoggingLevel) -> Self {
        match level {
            LoggingLevel::Debug => Self::Debug,
            LoggingLevel::Info => Self::Info,
            LoggingLevel::Notice => Self::Notice,
            LoggingLevel::Warning => Self::Warning,
            LoggingLevel::Error => Self::Error,
            LoggingLevel::Critical => Self::Critical,
            LoggingLevel::Alert => Self::Alert,
            LoggingLevel::Emergency => Self::Emergency,
        }
    }
}

impl From<Level> for LoggingLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Notice => Self::Notice,
            Level::Warning => Self::Warning,
            Level::Error => Self::Error,
            Level::Critical => Self::Critical,
            Level::Alert => Self::Alert,
            Level::Emergency => Self::Emergency,
        }
    }
}

/// Tells the caller how a call goes, as far as the caller wants to know. What cannot be told is lost: the call goes on.
pub trait Tell: Send + Sync {
    /// How far the call has come: to a caller that gave it a progress token.
    fn progress(&self, progress: Progress) -> BoxFuture<'_, ()>;

    /// From which level on the caller reads log messages; `None`: it reads none.
    fn log_level(&self) -> Option<Level>;

    /// A message for whoever looks after the caller: from the level on that the caller has asked for. The caller reads
    /// it: no secrets.
    fn log(&self, level: Level, data: Value) -> BoxFuture<'_, ()>;

    /// Ends the event stream that the caller waits on, and the caller comes back for the result (SEP-1699). Only sessions
    /// have streams that can be taken up again; elsewhere this does nothing.
    fn let_go(&self);
}

/// Nobody to tell: for REST, and for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTell;

impl NoTell {
    /// As a context has it.
    pub fn shared() -> Arc<dyn Tell> {
        static NOBODY: LazyLock<Arc<NoTell>> = LazyLock::new(Arc::default);
        Arc::clone(&*NOBODY) as _
    }
}

impl Tell for NoTell {
    fn progress(&self, _: Progress) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn log_level(&self) -> Option<Level> {
        None
    }

    fn log(&self, _: Level, _: Value) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn let_go(&self) {}
}
