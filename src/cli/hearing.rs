//! What a server tells while somebody waits: how far it is, and with `-v` its log.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{print::Printer, surroundings::Surroundings, waiting::Turning};
use crate::client::{Level, Listener, LogLine, Progress};

/// How many lines of a server are shown in one run.
const MAX_LINES: usize = 1000;

/// Shows it to whoever looks.
#[derive(Debug)]
pub(super) struct Hearing {
    printer: Printer,
    turning: Turning,
    verbose: u8,
    lines: AtomicUsize,
}

impl Hearing {
    pub(super) fn new(surroundings: &Surroundings) -> Self {
        Self {
            printer: surroundings.printer,
            turning: surroundings.turning.clone(),
            verbose: surroundings.globals.verbose,
            lines: AtomicUsize::new(0),
        }
    }

    fn line(&self, line: &str) {
        let count = self.lines.fetch_add(1, Ordering::Relaxed);
        if count < MAX_LINES {
            self.turning.aside(|| self.printer.note(line));
        } else if count == MAX_LINES {
            self.turning.aside(|| self.printer.note("the server says more than is shown"));
        }
    }
}

impl Listener for Hearing {
    fn progress(&self, progress: Progress) {
        if self.verbose > 0 {
            self.line(&format!("progress {}", in_words(&progress)));
        } else {
            self.turning.progresses(progress);
        }
    }

    fn log(&self, line: LogLine) {
        let logger = line.logger.map(|logger| format!(" ({logger})")).unwrap_or_default();
        self.line(&format!("server {}{logger}: {}", line.level, line.text));
    }

    fn wants(&self) -> Option<Level> {
        match self.verbose {
            0 => None,
            1 => Some(Level::Info),
            _ => Some(Level::Debug),
        }
    }
}

/// `3/10: what is done`.
pub(super) fn in_words(progress: &Progress) -> String {
    let total = progress.total.map(|total| format!("/{total}")).unwrap_or_default();
    let message = progress.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    format!("{}{total}{message}", progress.done)
}
