//! Logs: one line an event, on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, Layer as _, Registry, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`, `trace`). A second call changes nothing.
///
/// What libraries say is capped one step lower than our own words; the MCP library's info lines come once a request.
pub fn start(level: &str, format: Format) {
    let libraries = if matches!(level, "error" | "warn") { level } else { "warn" };
    let filter = match level {
        "trace" => EnvFilter::new("trace"),
        level => EnvFilter::new(format!("{libraries},securemcp={level},audit={level}")),
    };
    let json = match format {
        Format::Auto => !std::io::stderr().is_terminal(),
        Format::Text => false,
        Format::Json => true,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = if json {
        layer.json().flatten_event(true).with_current_span(true).with_span_list(false).with_filter(filter).boxed()
    } else {
        layer.with_ansi(std::io::stderr().is_terminal()).with_target(true).with_filter(filter).boxed()
    };
    // Only fails when something, for instance a test, has started logging already.
    let _ = Registry::default().with(layer).try_init();
}
