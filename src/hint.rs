//! Errors in words: all causes in one line, and the line that follows, which says what to do next.

/// An error that knows what a person can do about it.
pub trait Hint: std::error::Error {
    /// One sentence, imperative, naming the setting, command or file; never advice to weaken a check.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// An error and its causes, which alone say what happened, in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
