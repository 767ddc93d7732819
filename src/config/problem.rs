//! What is wrong with the settings, all of it.

use std::fmt;

use crate::{hint::Hint, said::said};

/// What reading the settings found.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

/// The problem is in the [`Report`] already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

impl Report {
    pub(super) fn problem(&mut self, message: impl Into<String>) -> Reported {
        self.problems.push(Problem { message: message.into(), hint: None });
        Reported
    }

    pub(super) fn problem_with_hint(&mut self, message: impl Into<String>, hint: impl Into<String>) -> Reported {
        self.problems.push(Problem { message: message.into(), hint: Some(hint.into()) });
        Reported
    }

    pub(super) fn warn(&mut self, message: impl Into<String>) {
        self.warnings.push(message.into());
    }
}

/// One thing that is wrong: where it was written, what it is, what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    message: String,
    hint: Option<String>,
}

impl Hint for Problem {
    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// Settings that cannot be used. `Display` lists every problem; with more than one, each has its hint below it.
#[derive(Debug, Clone)]
pub struct Invalid {
    problems: Vec<Problem>,
}

impl Invalid {
    pub(super) const fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// Every problem, in the order of the table of keys within each kind; never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.problems.as_slice() {
            return write!(formatter, "{only}");
        }
        write!(formatter, "the configuration has {} problems", self.problems.len())?;
        for problem in &self.problems {
            write!(formatter, "\n  - {problem}")?;
            if let Some(hint) = &problem.hint {
                write!(formatter, "\n    hint: {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// The hint of the only problem; several hints stand below their problems in `Display`.
impl Hint for Invalid {
    fn hint(&self) -> Option<String> {
        match self.problems.as_slice() {
            [only] => only.hint(),
            _ => None,
        }
    }
}

/// A value in a message: in backticks, and safe to show, since a file may come from anywhere.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", said(text))
}
