//! What a test has logged, in one thread.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tracing::{Dispatch, Level, subscriber::DefaultGuard};

/// The lines of everything that is logged while its guard lives.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn start() -> (Self, (Dispatch, DefaultGuard)) {
        let log = Self::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().json().with_max_level(Level::TRACE);
        let subscriber = lines.with_writer(move || writer.clone()).finish();
        // With a single subscriber in the process, tracing lets whichever thread comes first decide whether an event
        // is of interest: another test's thread, which has none, would switch it off for this one.
        let second = Dispatch::new(tracing_subscriber::registry());
        (log, (second, tracing::subscriber::set_default(subscriber)))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The fields of the events since this was asked last.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = String::from_utf8(mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["fields"].take()).collect()
    }
}
