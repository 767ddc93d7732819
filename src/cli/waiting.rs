//! What turns on a terminal while a person waits. Where nobody watches, nothing is drawn.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{hearing::in_words, surroundings::Surroundings};
use crate::client::Progress;

/// What takes less is not worth a word.
const DELAY: Duration = Duration::from_millis(300);
const TURN: Duration = Duration::from_millis(100);

/// How finely a bar is divided.
const STEPS: u32 = 1000;

/// Takes the line away when it is dropped, however the work ended.
struct Spinner<'s>(&'s Turning);

impl Drop for Spinner<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        (state.work, state.progress) = (None, None);
        state.draw();
    }
}

/// The line that turns, for whoever has something to say meanwhile.
#[derive(Clone, Debug, Default)]
pub(super) struct Turning(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bar: Option<ProgressBar>,
    /// What is waited for, if somebody is to see that.
    work: Option<&'static str>,
    /// Instead of those that the work began with.
    words: Option<&'static str>,
    progress: Option<Progress>,
    /// While somebody types.
    is_still: bool,
}

impl State {
    /// Shows what is to be seen now, if anything.
    fn draw(&mut self) {
        let Some(work) = self.work.filter(|_| !self.is_still) else {
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
            return;
        };
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(STEPS.into()), ProgressDrawTarget::stderr());
            bar.set_style(style(false));
            bar.enable_steady_tick(TURN);
            bar
        });
        let words = self.words.unwrap_or(work);
        let Some(progress) = &self.progress else {
            bar.set_message(words);
            return;
        };
        let part = progress.total.map(|total| progress.done / total).filter(|part| part.is_finite());
        bar.set_style(style(part.is_some()));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
        bar.set_position((part.unwrap_or_default().clamp(0.0, 1.0) * f64::from(STEPS)) as u64);
        bar.set_message(in_words(progress));
    }
}

/// A message that is longer than the line is cut off: it could not be taken away again.
fn style(has_bar: bool) -> ProgressStyle {
    let template = if has_bar { "{spinner} [{bar:24}] {wide_msg}" } else { "{spinner} {wide_msg}" };
    let style = ProgressStyle::with_template(template).expect("a good template");
    style.tick_chars("|/-\\ ").progress_chars("=> ")
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
        state.draw();
    }

    /// Shows how far the work is.
    pub(super) fn progresses(&self, progress: Progress) {
        let mut state = self.state();
        state.progress = Some(progress);
        state.draw();
    }

    /// Takes the line away, and lets none begin: it would be drawn over what somebody types.
    pub(super) fn keeps_still(&self, is_still: bool) {
        let mut state = self.state();
        state.is_still = is_still;
        state.draw();
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
        let _spinner = Spinner(&self.turning);
        {
            let mut state = self.turning.state();
            state.work = Some(words);
            state.draw();
        }
        work.await
    }
}
