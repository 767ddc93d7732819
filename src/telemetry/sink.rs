//! Where lines go, and when.
//!
//! A write for each line takes a busy server a twentieth of its time. So a thread that serves requests leaves its lines for
//! the moment before it sleeps, when it has nothing else to do: microseconds later when there is little to do, and
//! together with those of other requests when there is much.

use std::{
    cell::Cell,
    io::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::file::LogFile;

/// So much is written without waiting for more.
const FULL_BYTES: usize = 16 * 1024;

thread_local! {
    /// Whether this thread says when it is about to sleep: it has done so once.
    static TELLS: Cell<bool> = const { Cell::new(false) };
}

/// Cheap to clone: every clone writes to the same place, line by line in one order.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    /// `None`: stderr.
    file: Option<LogFile>,
    waiting: Arc<Mutex<Vec<u8>>>,
}

impl Sink {
    /// Lines go to the file, or to stderr.
    pub(super) fn to(file: Option<LogFile>) -> Self {
        Self { file, waiting: Arc::default() }
    }

    /// Writes a line, now or before this thread sleeps.
    pub(super) fn line(&self, line: &[u8], is_urgent: bool) {
        let mut waiting = self.waiting();
        waiting.extend_from_slice(line);
        if is_urgent || !TELLS.get() || waiting.len() >= FULL_BYTES {
            self.write(&mut waiting);
        }
    }

    /// Writes what waits. `this_thread_tells` that it will do so again before it sleeps.
    pub(super) fn flush(&self, this_thread_tells: bool) {
        if this_thread_tells {
            TELLS.set(true);
        }
        let mut waiting = self.waiting();
        if !waiting.is_empty() {
            self.write(&mut waiting);
        }
    }

    /// Whole lines in one piece, so that lines of several processes do not mix. Nobody is left to be told of a failure.
    fn write(&self, waiting: &mut Vec<u8>) {
        match &self.file {
            Some(file) => file.line(waiting),
            None => drop(std::io::stderr().lock().write_all(waiting)),
        }
        waiting.clear();
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<u8>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_wait_only_on_threads_that_tell_when_they_sleep() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let sink = Sink::to(Some(LogFile::open(&path).unwrap()));
        let written = || fs::read_to_string(&path).unwrap();
        sink.line(b"one\n", false);
        assert_eq!(written(), "one\n");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sink.flush(true);
                sink.line(b"two\n", false);
                assert_eq!(written(), "one\n");
                sink.flush(true);
                assert_eq!(written(), "one\ntwo\n");
                sink.line(b"three\n", false);
                sink.line(b"urgent\n", true);
                assert_eq!(written(), "one\ntwo\nthree\nurgent\n");
                sink.line(b"four\n", false);
            });
        });
        sink.line(b"five\n", false);
        assert_eq!(written(), "one\ntwo\nthree\nurgent\nfour\nfive\n", "in one order, whichever thread");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sink.flush(true);
                let long = vec![b'x'; FULL_BYTES];
                sink.line(&long, false);
                assert_eq!(written().len(), 31 + FULL_BYTES);
            });
        });
    }
}
