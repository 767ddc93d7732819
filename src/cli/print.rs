//! The only place that prints: what was asked for goes to stdout, words for people to stderr.
//!
//! On a terminal, characters that could move the cursor, hide text or change its direction are shown as `\u001b`: most of
//! what is printed was written by a stranger. What is not a terminal gets the bytes as they are.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write},
};

use clap::{
    ValueEnum,
    builder::{
        StyledStr,
        styling::{AnsiColor, Style},
    },
};
use serde::Serialize;

use crate::{config::Environment, hint::Hint};

/// What stdout carries: words for people, or one JSON document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    // No doc comments here: they would stretch the help of every flag over several lines.
    #[default]
    Text,
    Json,
}

/// When to use colour; by itself on a terminal, unless `NO_COLOR` is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    #[default]
    Auto,
    Always,
    Never,
}

/// What a label says about its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// It is as it should be.
    Good,
    /// It works, but look at it.
    Doubtful,
    /// It does not work.
    Bad,
    /// What to do next.
    Advice,
    /// A heading.
    Heading,
}

/// Why nothing more is printed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrintError {
    /// The reader went away: it has all that it wanted.
    #[error("stdout was closed")]
    Closed,
    /// A full disk, for example.
    #[error("cannot write the result to stdout")]
    Failed(#[source] io::Error),
}

impl Hint for PrintError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Failed(error) if error.kind() == io::ErrorKind::StorageFull => {
                Some("free some space where stdout is written to".to_owned())
            }
            _ => None,
        }
    }
}

/// Prints for one process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    format: Format,
    is_quiet: bool,
    /// Whether the terminal is more than a typewriter.
    can_draw: bool,
    out: Stream,
    err: Stream,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    is_terminal: bool,
    has_colour: bool,
}

impl Printer {
    /// A printer for this process's streams.
    pub(super) fn new(format: Format, colour: Colour, is_quiet: bool, environment: &Environment) -> Self {
        let stream = |is_terminal: bool| Stream {
            is_terminal,
            has_colour: match colour {
                Colour::Always => true,
                Colour::Never => false,
                Colour::Auto => is_terminal && !environment.no_color() && environment.get("TERM") != Some("dumb"),
            },
        };
        let can_draw = environment.get("TERM").is_some_and(|term| term != "dumb");
        let (out, err) = (stream(io::stdout().is_terminal()), stream(io::stderr().is_terminal()));
        Self { format, is_quiet, can_draw, out, err }
    }

    /// Whether stdout is to carry one JSON document.
    pub(super) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether words for people have colours.
    pub(super) fn colours_words(self) -> bool {
        self.err.has_colour
    }

    /// Whether a person can be asked something on stderr.
    pub(super) fn asks(self) -> bool {
        self.err.is_terminal && !self.is_quiet && !self.is_json()
    }

    /// Whether words for people are seen by one.
    pub(super) fn faces_somebody(self) -> bool {
        self.err.is_terminal
    }

    /// Whether what moves on stderr is seen by a person, and wanted.
    pub(super) fn draws(self) -> bool {
        !self.is_quiet && self.err.is_terminal && self.can_draw
    }

    /// Prints a result and ends its line.
    pub(super) fn text(self, text: &str) -> Result<(), PrintError> {
        let text = self.out.safe(text);
        let end = if text.ends_with('\n') { "" } else { "\n" };
        write_out(format!("{text}{end}"))
    }

    /// Prints a result as it is: not even its last line is ended.
    pub(super) fn exactly(self, text: &str) -> Result<(), PrintError> {
        write_out(self.out.safe(text).as_bytes())
    }

    /// Writes a result that is no text, unless a terminal would show it: whether it was written.
    pub(super) fn bytes(self, bytes: &[u8]) -> Result<bool, PrintError> {
        if self.out.is_terminal {
            return Ok(false);
        }
        write_out(bytes).map(|()| true)
    }

    /// Prints a result as JSON.
    pub(super) fn document(self, value: &impl Serialize) -> Result<(), PrintError> {
        let text = serde_json::to_string_pretty(value).map_err(|error| PrintError::Failed(error.into()))?;
        self.text(&text)
    }

    /// Prints a line of a result behind a coloured label.
    pub(super) fn labelled(self, tone: Tone, label: &str, text: &str) -> Result<(), PrintError> {
        write_out(self.out.line(tone, label, text))
    }

    /// Prints what clap made: help, or the version.
    pub(super) fn help(self, text: &StyledStr) -> Result<(), PrintError> {
        write_out(if self.out.has_colour { text.ansi().to_string() } else { text.to_string() })
    }

    /// Says something to the person, unless told to be quiet.
    pub(super) fn note(self, text: &str) {
        if !self.is_quiet {
            write_err(&format!("{}\n", self.err.safe(text)));
        }
    }

    /// Says what a person has to do before the command can go on, even if told to be quiet.
    pub(super) fn instruct(self, text: &str) {
        write_err(&format!("{}\n", self.err.safe(text)));
    }

    /// The same for a line with something in the middle that must not be overlooked.
    pub(super) fn loudly(self, before: &str, text: &str, after: &str) {
        let style = if self.err.has_colour { Style::new().bold() } else { Style::new() };
        write_err(&format!("{before}{style}{}{style:#}{after}\n", self.err.safe(text)));
    }

    /// Says what works but should be looked at.
    pub(super) fn warning(self, text: &str) {
        if !self.is_quiet {
            write_err(&self.err.line(Tone::Doubtful, "warning:", text));
        }
    }

    /// Says what must be said, even if told to be quiet, behind a coloured label.
    pub(super) fn complaint(self, tone: Tone, label: &str, text: &str) {
        write_err(&self.err.line(tone, label, text));
    }
}

impl Stream {
    fn safe(self, text: &str) -> Cow<'_, str> {
        if self.is_terminal { escaped(text) } else { Cow::Borrowed(text) }
    }

    fn line(self, tone: Tone, label: &str, text: &str) -> String {
        let text = self.safe(text);
        if label.is_empty() {
            return format!("{text}\n");
        }
        let style = if self.has_colour { tone.style() } else { Style::new() };
        let gap = if text.is_empty() { "" } else { " " };
        format!("{style}{label}{style:#}{gap}{text}\n")
    }
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default().bold(),
            Self::Doubtful => AnsiColor::Yellow.on_default().bold(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Advice => AnsiColor::Cyan.on_default().bold(),
            Self::Heading => Style::new().bold(),
        }
    }
}

/// The text with every character that a terminal would obey, or that turns the reading direction, made visible.
///
/// The form is JSON's, so that a document stays one.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    let is_end_of_line = |index: usize| text[index..].starts_with("\r\n");
    if !text.char_indices().any(|(index, character)| is_dangerous(character) && !is_end_of_line(index)) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    for (index, character) in text.char_indices() {
        if is_dangerous(character) && !is_end_of_line(index) {
            let _ = write!(safe, "\\u{:04x}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

fn is_dangerous(character: char) -> bool {
    let turns_direction =
        matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns_direction || (character.is_control() && !matches!(character, '\n' | '\t'))
}

fn write_out(text: impl AsRef<[u8]>) -> Result<(), PrintError> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_ref()).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => PrintError::Closed,
        _ => PrintError::Failed(error),
    })
}

fn write_err(text: &str) {
    // There is nobody left to tell.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Stream = Stream { is_terminal: true, has_colour: true };
    const PIPE: Stream = Stream { is_terminal: false, has_colour: false };

    #[test]
    fn what_a_terminal_would_obey_is_made_visible() {
        for (text, safe) in [
            ("\u{1b}[31mred\u{1b}]8;;x\u{7}", "\\u001b[31mred\\u001b]8;;x\\u0007"),
            ("over\rwritten", "over\\u000dwritten"),
            ("\u{9b}1m and \u{7f}", "\\u009b1m and \\u007f"),
            ("abc\u{202e}def\u{2066}", "abc\\u202edef\\u2066"),
        ] {
            assert_eq!(escaped(text), safe);
        }
    }

    #[test]
    fn text_stays_as_it_is() {
        for text in ["plain", "two\nlines\tand a tab", "windows\r\nlines\r\n", "h\u{e9}llo \u{1F600} \u{5d0}\u{5d1}"] {
            assert!(matches!(escaped(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn an_escaped_document_is_the_same_document() {
        let value = serde_json::json!({"a": "x\u{202e}y\u{9b}"});
        let safe = escaped(&value.to_string()).into_owned();
        assert_ne!(safe, value.to_string());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
    }

    #[test]
    fn only_terminals_get_colours_and_escapes() {
        assert_eq!(PIPE.line(Tone::Bad, "error:", "\u{1b}x"), "error: \u{1b}x\n");
        let line = TERMINAL.line(Tone::Bad, "error:", "\u{1b}x");
        assert!(line.ends_with(" \\u001bx\n") && line.starts_with('\u{1b}'), "{line:?}");
    }
}
