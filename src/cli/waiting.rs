//! What turns on a terminal while a person waits. Where nobody watches, nothing is drawn.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::surroundings::Surroundings;

/// What takes less is not worth a word.
const DELAY: Duration = Duration::from_millis(300);
const TURN: Duration = Duration::from_millis(100);

/// Takes the line away when it is dropped, however the work ended.
struct Spinner<'s>(&'s Turning);

impl Drop for Spinner<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.0.state().bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// The line that turns, for whoever has something to say meanwhile.
#[derive(Clone, Debug, Default)]
pub(super) struct Turning(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bar: Option<ProgressBar>,
    /// Instead of those that the work began with.
    words: Option<&'static str>,
    /// While somebody types.
    is_still: bool,
}

impl Turning {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints something without tearing the line.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        match &self.state().bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Changes what is said to be waited for; `None` is what the work began with.
    pub(super) fn says(&self, words: Option<&'static str>) {
        let mut state = self.state();
        state.words = words;
        if let (Some(bar), Some(words)) = (&state.bar, words) {
            bar.set_message(words);
        }
    }

    /// Takes the line away, and lets none begin: it would be drawn over what somebody types.
    pub(super) fn keeps_still(&self, is_still: bool) {
        let mut state = self.state();
        state.is_still = is_still;
        if let Some(bar) = state.bar.take_if(|_| is_still) {
            bar.finish_and_clear();
        }
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
        let _spinner = spinner(&self.turning, words);
        work.await
    }
}

fn spinner<'t>(turning: &'t Turning, words: &'static str) -> Spinner<'t> {
    let mut state = turning.state();
    let target = if state.is_still { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    bar.set_style(ProgressStyle::default_spinner().tick_chars("|/-\\ "));
    bar.set_message(state.words.unwrap_or(words));
    bar.enable_steady_tick(TURN);
    state.bar = Some(bar);
    Spinner(turning)
}
