//! What to do next: the line that follows an error.

/// An error that knows what a person can do about it.
pub trait Hint: std::error::Error {
    /// One sentence, imperative, naming the setting, command or file; never advice to weaken a check.
    fn hint(&self) -> Option<String> {
        None
    }
}
