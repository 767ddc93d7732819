//! Clap's errors in this program's words.

use std::ffi::OsString;

use clap::{
    ValueEnum as _,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{
    exit::{Exit, Failure},
    print::{Colour, Format, Printer},
};
use crate::config::Environment;

/// Names that people try for secrets.
const SECRET_FLAGS: [&str; 5] = ["--token", "--client-secret", "--secret", "--password", "--initial-access-token"];

/// The printer for errors of words that clap could not read: it takes `--output` and `--color` as they stand.
pub(super) fn early_printer(words: &[OsString], environment: &Environment) -> Printer {
    let value = |flag: &str| {
        let words: Vec<_> = words.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--").collect();
        words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(flag)? {
            "" => words.get(index + 1).copied(),
            rest => rest.strip_prefix('='),
        })
        .map(str::to_owned)
    };
    let format = value("--output").and_then(|text| Format::from_str(&text, false).ok()).unwrap_or_default();
    let colour = value("--color").and_then(|text| Colour::from_str(&text, false).ok()).unwrap_or_default();
    Printer::new(format, colour, false, environment)
}

/// Prints help where it was asked for; everything else is a failure.
pub(super) fn end(error: &clap::Error, printer: Printer) -> Result<Exit, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            printer.help(&error.render())?;
            Ok(Exit::Done)
        }
        _ => Err(failure(error)),
    }
}

fn failure(error: &clap::Error) -> Failure {
    let get = |kind| error.get(kind).map(text);
    let argument = get(ContextKind::InvalidArg).unwrap_or_default();
    let value = get(ContextKind::InvalidValue).unwrap_or_default();
    let usage = get(ContextKind::Usage).map(|usage| usage.replacen("Usage:", "usage:", 1)).unwrap_or_default();
    let usage = if usage.is_empty() { "`securemcp --help` lists the commands".to_owned() } else { usage };
    let similar = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let similar = similar.into_iter().find_map(get).map(|similar| format!("did you mean `{similar}`?"));
    let (message, advice) = match error.kind() {
        ErrorKind::UnknownArgument if SECRET_FLAGS.contains(&argument.as_str()) => (
            format!("no secret is taken from the command line, so there is no `{argument}`"),
            Some(format!("use `{argument}-file`, or the environment variable that `--help` shows with it")),
        ),
        ErrorKind::UnknownArgument if argument.starts_with('-') => (format!("unknown flag `{argument}`"), similar),
        ErrorKind::UnknownArgument => (format!("unexpected argument `{argument}`"), similar),
        ErrorKind::InvalidSubcommand => {
            (format!("unknown command `{}`", get(ContextKind::InvalidSubcommand).unwrap_or_default()), similar)
        }
        ErrorKind::InvalidValue if value.is_empty() => (format!("`{argument}` needs a value"), None),
        ErrorKind::InvalidValue => {
            let valid = get(ContextKind::ValidValue).unwrap_or_default();
            (format!("`{argument}` is `{value}`, expected one of {valid}"), similar)
        }
        ErrorKind::ValueValidation => {
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            (format!("`{argument}` is `{value}`: {cause}"), None)
        }
        ErrorKind::MissingRequiredArgument => (format!("`{argument}` is missing"), None),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            ("a command is missing".to_owned(), None)
        }
        ErrorKind::ArgumentConflict => {
            let other = get(ContextKind::PriorArg).filter(|other| *other != argument);
            let with = other.map_or("given twice".to_owned(), |other| format!("not to be combined with `{other}`"));
            (format!("`{argument}` is {with}"), None)
        }
        _ => {
            let rendered = error.to_string();
            let line = rendered.lines().next().unwrap_or_default();
            (line.strip_prefix("error: ").unwrap_or(line).to_owned(), None)
        }
    };
    let hint = advice.map_or(usage.clone(), |advice| format!("{advice}; {usage}"));
    Failure::message(Exit::Usage, message).hint(hint)
}

fn text(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(strings) => strings.join("`, `"),
        ContextValue::StyledStr(styled) => styled.to_string().trim().to_owned(),
        other => other.to_string(),
    }
}
