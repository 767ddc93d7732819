//! What turns on a terminal while a person waits. Where nobody watches, nothing is drawn.

use std::{future::Future, pin::pin, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::surroundings::Surroundings;

/// What takes less is not worth a word.
const DELAY: Duration = Duration::from_millis(300);
const TURN: Duration = Duration::from_millis(100);

/// Takes the line away when it is dropped, however the work ended.
struct Spinner(ProgressBar);

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Surroundings {
    /// Does the work, and says what is waited for if that takes long.
    pub(super) async fn waiting<T>(&self, words: &'static str, work: impl Future<Output = T>) -> T {
        // Log lines would be torn by it.
        if !self.printer.draws() || self.globals.verbose > 0 || self.environment.is_ci() {
            return work.await;
        }
        let mut work = pin!(work);
        if let Ok(done) = tokio::time::timeout(DELAY, &mut work).await {
            return done;
        }
        let _spinner = spinner(words);
        work.await
    }
}

fn spinner(words: &'static str) -> Spinner {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::default_spinner().tick_chars("|/-\\ "));
    bar.set_message(words);
    bar.enable_steady_tick(TURN);
    Spinner(bar)
}
