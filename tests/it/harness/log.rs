//! What this process logs.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use securemcp::telemetry::request;
use serde_json::Value;

/// Everything that is logged on this thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    /// Takes a whole line, and adds the ids of the request that this task is about, as the server's own log does.
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let mut event: Value = serde_json::from_slice(line).expect("one line of JSON");
        request::each(|name, id| event[name] = id.into());
        writeln!(self.0.lock().expect("no writer panics"), "{event}")?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn start() -> (Self, (tracing::Dispatch, tracing::subscriber::DefaultGuard)) {
        let log = Self::default();
        // With a single subscriber in the process, tracing lets whichever thread comes first decide whether an event is of
        // interest: another test's thread, which has none, would switch it off for this one.
        let second = tracing::Dispatch::new(tracing_subscriber::registry());
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        (log, (second, tracing::subscriber::set_default(subscriber)))
    }

    /// All of it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no writer panics").clone()).expect("UTF-8")
    }

    /// The audit events that a request of this id has left: their fields and the correlation id.
    pub(crate) fn audited(&self, request_id: &str) -> Vec<Value> {
        let mut events = Vec::new();
        for line in self.text().lines() {
            let mut event: Value = serde_json::from_str(line).expect("JSON");
            if event["target"] == "audit" && event["request_id"] == request_id {
                event["fields"]["correlation_id"] = event["correlation_id"].take();
                events.push(event["fields"].take());
            }
        }
        events
    }

    /// The fields of the one event since the last look.
    pub(crate) fn take(&self) -> Value {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no writer panics"));
        let event: Value = serde_json::from_slice(&bytes).expect("exactly one line");
        assert_eq!(event["target"], "audit");
        event["fields"].clone()
    }
}
