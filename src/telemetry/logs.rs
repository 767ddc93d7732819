//! Logs: one line an event, on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, Layer as _, Registry, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::LogFormat;

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`, `trace`); whether the lines are JSON. A second call changes
/// nothing.
///
/// What libraries say is capped one step lower than our own words; the MCP library's info lines come once a request.
pub fn start(level: &str, format: LogFormat) -> bool {
    let libraries = if matches!(level, "error" | "warn") { level } else { "warn" };
    let filter = match level {
        "trace" => EnvFilter::new("trace"),
        level => EnvFilter::new(format!("{libraries},securemcp={level},audit={level}")),
    };
    let json = match format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = if json {
        layer.json().flatten_event(true).with_current_span(true).with_span_list(false).with_filter(filter).boxed()
    } else {
        layer.with_ansi(std::io::stderr().is_terminal()).with_target(true).with_filter(filter).boxed()
    };
    // Only fails when something, for instance a test, has started logging already.
    let _ = Registry::default().with(layer).try_init();
    json
}
