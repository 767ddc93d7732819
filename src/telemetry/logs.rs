//! Logs: one line an event, on stderr or in a file; audit events also in a file of their own.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::Arc,
};

use tracing::{Level, Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer as _, Registry,
    filter::{Targets, filter_fn},
    layer::SubscriberExt as _,
    reload,
    util::SubscriberInitExt as _,
};

use super::{
    file::{LogFile, LogFileError},
    lines::JsonLines,
    request,
    sealed::SealedFile,
    sink::Sink,
};
use crate::{
    clock::SharedClock,
    config::{Log, LogFormat},
};

const AUDIT: &str = "audit";

/// A log that was started, to be changed while it runs.
#[derive(Debug)]
pub struct Logs {
    is_json: bool,
    has_audit_file: bool,
    file: Option<LogFile>,
    audit: Option<Audit>,
    /// What may wait for a quiet moment.
    sink: Sink,
    filter: reload::Handle<Targets, Registry>,
}

/// Where audit events go that have a file of their own.
#[derive(Clone, Debug)]
enum Audit {
    Plain(LogFile),
    Sealed(SealedFile),
}

/// Starts logging. A second start in one process changes nothing.
///
/// What libraries say is capped one step lower than our own words; the MCP library's info lines come once a request.
pub fn start(settings: &Log, clock: SharedClock) -> Result<Logs, LogFileError> {
    let file = settings.file.as_deref().map(LogFile::open).transpose()?;
    let audit = settings.audit_file.as_deref().map(|path| match &settings.audit_key {
        Some(key) => SealedFile::open(path, key, Arc::clone(&clock)).map(Audit::Sealed),
        None => LogFile::open(path).map(Audit::Plain),
    });
    let audit = audit.transpose()?;
    let is_json = match settings.format {
        LogFormat::Auto => file.is_some() || !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let has_audit_file = audit.is_some();
    let (filter, handle) = reload::Layer::new(filter(&settings.level, has_audit_file));
    let (log_file, audit_file) = (file.clone(), audit.clone());
    let is_audit = |target: &str| target == AUDIT;
    let sink = Sink::to(file.clone());
    // What comes in JSON: everything, or the events that have a file of their own, where none waits.
    let lines = {
        let sink = sink.clone();
        let write = move |metadata: &Metadata<'_>, line: &[u8]| match &audit {
            Some(Audit::Plain(file)) if is_audit(metadata.target()) => file.line(line),
            Some(Audit::Sealed(file)) if is_audit(metadata.target()) => file.line(line),
            _ => sink.line(line, *metadata.level() <= Level::WARN),
        };
        let takes: fn(&str) -> bool = if is_json { |_| true } else { is_audit };
        (is_json || has_audit_file).then_some(JsonLines { clock, takes, write })
    };
    let text = (!is_json).then(|| {
        let others = filter_fn(move |metadata| !(has_audit_file && is_audit(metadata.target())));
        let text = tracing_subscriber::fmt::layer().with_target(true);
        if let Some(file) = file {
            text.with_ansi(false).with_writer(move || WithIds(file.clone())).with_filter(others).boxed()
        } else {
            let is_terminal = std::io::stderr().is_terminal();
            text.with_ansi(is_terminal).with_writer(|| WithIds(std::io::stderr())).with_filter(others).boxed()
        }
    });
    // Only fails when something, for instance a test, has started logging already.
    let _ = Registry::default().with(filter).with(lines).with(text).try_init();
    Ok(Logs { is_json, has_audit_file, file: log_file, audit: audit_file, sink, filter: handle })
}

impl Logs {
    /// Whether lines are JSON.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// Logs at another level from now on.
    pub fn set_level(&self, level: &str) {
        // It fails when another log was started first, which then goes on as it is.
        let _ = self.filter.reload(filter(level, self.has_audit_file));
    }

    /// Writes what this thread has left for later, and lets it leave more: it must come here each time before it sleeps.
    pub fn before_sleep(&self) {
        self.sink.flush(true);
    }

    /// Writes what was left for later.
    pub fn flush(&self) {
        self.sink.flush(false);
    }

    /// Opens the files anew, for programs that rotate logs.
    pub fn reopen(&self) -> Result<(), LogFileError> {
        self.flush();
        self.file.as_ref().map_or(Ok(()), LogFile::reopen)?;
        match &self.audit {
            Some(Audit::Plain(file)) => file.reopen(),
            Some(Audit::Sealed(file)) => file.reopen(),
            None => Ok(()),
        }
    }

    /// Writes what was left for later, and that nothing follows.
    pub fn end(&self) {
        self.flush();
        if let Some(Audit::Sealed(file)) = &self.audit {
            file.end();
        }
    }
}

/// Adds the ids of the request to a line of text, which comes whole.
struct WithIds<W>(W);

impl<W: Write> Write for WithIds<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut text = line.strip_suffix(b"\n").unwrap_or(line).to_vec();
        request::each(|name, id| text.extend_from_slice(format!(" {name}={id}").as_bytes()));
        text.push(b'\n');
        self.0.write_all(&text)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A filter for all there is, and not for one layer: what it refuses costs nothing then, not even a look.
///
/// Audit events that have a file of their own are written at any level.
fn filter(level: &str, has_audit_file: bool) -> Targets {
    let ours = level.parse().unwrap_or(LevelFilter::INFO);
    let libraries = if ours == LevelFilter::TRACE { ours } else { ours.min(LevelFilter::WARN) };
    let audit = if has_audit_file { ours.max(LevelFilter::INFO) } else { ours };
    Targets::new().with_default(libraries).with_target("securemcp", ours).with_target(AUDIT, audit)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::telemetry::request::Ids;

    #[test]
    fn a_line_of_text_ends_with_the_ids_of_its_request() {
        let ids = Ids { request: http::HeaderValue::from_static("r-1"), correlation: None };
        let line = async || {
            let mut written = Vec::new();
            WithIds(&mut written).write_all(b"INFO done\n").unwrap();
            String::from_utf8(written).unwrap()
        };
        assert_eq!(ids.around(line()).now_or_never().unwrap(), "INFO done request_id=r-1\n");
        assert_eq!(line().now_or_never().unwrap(), "INFO done\n");
    }

    #[test]
    fn audit_events_with_a_file_of_their_own_do_not_depend_on_the_level() {
        for (level, has_audit_file, is_written) in
            [("error", true, true), ("error", false, false), ("info", false, true), ("trace", true, true)]
        {
            assert_eq!(filter(level, has_audit_file).would_enable(AUDIT, &Level::INFO), is_written, "{level}");
        }
        assert!(!filter("info", true).would_enable("securemcp", &Level::DEBUG));
        assert!(!filter("debug", true).would_enable("hyper", &Level::INFO));
    }
}
