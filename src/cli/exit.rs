//! How a command ends: the exit code, and the words for it.

use std::process::ExitCode;

use serde_json::json;

use super::print::{PrintError, Printer, Tone};
use crate::{
    client::{ClientError, Kind},
    config::Invalid,
    hint::Hint,
    net::NetError,
    server::StartError,
    store::StoreError,
    telemetry::file::LogFileError,
};

/// Every way for the process to end. The numbers are a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    /// Done.
    Done = 0,
    /// The tool or the server answered with an error, or something local failed.
    Failed = 1,
    /// Flags, or arguments that do not fit the tool.
    Usage = 2,
    /// The configuration.
    Configuration = 3,
    /// No usable way to get a token, or the token was refused.
    NotAuthenticated = 4,
    /// Unreachable, timed out, or unhealthy.
    Unreachable = 5,
    /// The scope is missing.
    NotPermitted = 6,
    /// Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// All of them, for help and man pages.
    pub(super) const ALL: [Self; 8] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Configuration,
        Self::NotAuthenticated,
        Self::Unreachable,
        Self::NotPermitted,
        Self::Interrupted,
    ];

    /// When it is that, for people.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "the tool or the server answered with an error, or something local failed",
            Self::Usage => "flags, or arguments that do not fit the tool",
            Self::Configuration => "the configuration",
            Self::NotAuthenticated => "no usable way to get a token, or the token was refused",
            Self::Unreachable => "unreachable, timed out, or unhealthy",
            Self::NotPermitted => "not permitted: the scope is missing",
            Self::Interrupted => "interrupted",
        }
    }

    /// The word for programs.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Configuration => "configuration",
            Self::NotAuthenticated => "not_authenticated",
            Self::Unreachable => "unreachable",
            Self::NotPermitted => "not_permitted",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) struct Failure {
    /// How the process ends.
    pub(super) exit: Exit,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    /// Ends with `exit`; the error's chain of sources is shown below it.
    pub(super) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into(), hint: None }
    }

    /// The same, for words.
    pub(super) fn message(exit: Exit, message: impl Into<String>) -> Self {
        Self::new(exit, anyhow::Error::msg(message.into()))
    }

    /// Adds what to do next.
    #[must_use]
    pub(super) fn hint(self, hint: impl Into<Option<String>>) -> Self {
        Self { hint: hint.into().or(self.hint), ..self }
    }

    fn hinted(exit: Exit, error: impl Hint + Send + Sync + 'static) -> Self {
        let hint = error.hint();
        Self::new(exit, error).hint(hint)
    }

    /// Error, causes and hint, each as label and text.
    fn lines(&self) -> Vec<(Tone, &'static str, String)> {
        let texts = self.texts();
        let labels = std::iter::once("error:").chain(std::iter::repeat("  caused by:"));
        let mut lines: Vec<_> = labels.zip(texts).map(|(label, text)| (Tone::Bad, label, text)).collect();
        lines.extend(self.hint.clone().map(|hint| (Tone::Advice, "hint:", hint)));
        lines
    }

    /// The chain, without a cause that only repeats what stands above it.
    fn texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        for error in self.error.chain() {
            let text = error.to_string();
            if !texts.last().is_some_and(|above| above.contains(&text)) {
                texts.push(text);
            }
        }
        texts
    }

    fn document(&self) -> serde_json::Value {
        json!({"error": {"code": self.exit.code(), "message": self.texts().join(": "), "hint": self.hint}})
    }
}

/// Says why, and gives the code to end with.
pub(super) fn report(failure: &Failure, printer: Printer) -> ExitCode {
    if failure.exit == Exit::Done {
        // The reader of stdout went away, which is its right.
    } else if printer.is_json() {
        printer.complaint(Tone::Bad, "", &failure.document().to_string());
    } else {
        for (tone, label, text) in failure.lines() {
            printer.complaint(tone, label, &text);
        }
    }
    failure.exit.into()
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match error.kind() {
            Kind::Server | Kind::Local => Exit::Failed,
            Kind::Usage => Exit::Usage,
            Kind::NotAuthenticated => Exit::NotAuthenticated,
            Kind::Unreachable => Exit::Unreachable,
            Kind::NotPermitted => Exit::NotPermitted,
        };
        Self::hinted(exit, error)
    }
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        let exit = match error {
            NetError::Setup(_) => Exit::Configuration,
            NetError::TooLarge { .. } => Exit::Failed,
            _ => Exit::Unreachable,
        };
        Self::hinted(exit, error)
    }
}

impl From<Invalid> for Failure {
    fn from(error: Invalid) -> Self {
        Self::hinted(Exit::Configuration, error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::hinted(Exit::Failed, error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let exit = match error {
            StartError::UnknownScope { .. } => Exit::Configuration,
            _ => Exit::Failed,
        };
        Self::hinted(exit, error)
    }
}

impl From<LogFileError> for Failure {
    fn from(error: LogFileError) -> Self {
        Self::hinted(Exit::Failed, error)
    }
}

impl From<PrintError> for Failure {
    fn from(error: PrintError) -> Self {
        Self::hinted(if matches!(error, PrintError::Closed) { Exit::Done } else { Exit::Failed }, error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Failed, error)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn failure() -> Failure {
        let chain = Err::<(), _>(anyhow::anyhow!("refused")).context("cannot connect: refused").context("no answer");
        Failure::new(Exit::Unreachable, chain.unwrap_err()).hint("start it".to_owned())
    }

    #[test]
    fn numbers_are_those_of_the_contract() {
        assert_eq!(Exit::ALL.map(|exit| exit as u8), [0, 1, 2, 3, 4, 5, 6, 130]);
    }

    #[test]
    fn the_chain_is_shown_once_with_its_hint_last() {
        let lines: Vec<_> = failure().lines().into_iter().map(|(_, label, text)| format!("{label} {text}")).collect();
        assert_eq!(lines, ["error: no answer", "  caused by: cannot connect: refused", "hint: start it"]);
    }

    #[test]
    fn programs_get_one_object() {
        let expected = json!({"error":
            {"code": "unreachable", "message": "no answer: cannot connect: refused", "hint": "start it"}});
        assert_eq!(failure().document(), expected);
        assert!(!failure().document().to_string().contains('\n'));
    }

    #[test]
    fn a_closed_stdout_is_no_failure() {
        assert_eq!(Failure::from(PrintError::Closed).exit, Exit::Done);
    }
}
