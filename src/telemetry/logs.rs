//! Logs: one line an event, on stderr.

use std::io::{IsTerminal as _, Write as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _, Registry, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use super::lines::JsonLines;
use crate::{clock::SharedClock, config::LogFormat};

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`, `trace`); whether the lines are JSON. A second call changes
/// nothing.
///
/// What libraries say is capped one step lower than our own words; the MCP library's info lines come once a request.
pub fn start(level: &str, format: LogFormat, clock: SharedClock) -> bool {
    let json = match format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let layer = if json {
        JsonLines { clock, write: to_stderr }.boxed()
    } else {
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        lines.with_ansi(std::io::stderr().is_terminal()).with_target(true).boxed()
    };
    // Only fails when something, for instance a test, has started logging already.
    let _ = Registry::default().with(layer).with(filter(level)).try_init();
    json
}

/// A filter for all there is, and not for one layer: what it refuses costs nothing then, not even a look.
fn filter(level: &str) -> Targets {
    let ours = level.parse().unwrap_or(LevelFilter::INFO);
    let libraries = if ours == LevelFilter::TRACE { ours } else { ours.min(LevelFilter::WARN) };
    Targets::new().with_default(libraries).with_target("securemcp", ours).with_target("audit", ours)
}

fn to_stderr(line: &[u8]) {
    // One write for one line, so that lines of several threads do not mix. Nobody is left to be told of a failure.
    let _ = std::io::stderr().lock().write_all(line);
}
