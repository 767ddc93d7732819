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

/// The printer for errors of words that clap could not read: it takes `--output` and `--color` as they stand.
pub(super) fn early_printer(words: &[OsString], environment: &Environment) -> Printer {
    let words: Vec<_> = words.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--").collect();
    let value = |flag: &str| {
        words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(flag)? {
            "" => words.get(index + 1).copied(),
            rest => rest.strip_prefix('='),
        })
    };
    let format = value("--output").and_then(|text| Format::from_str(text, false).ok()).unwrap_or_default();
    let colour = value("--color").and_then(|text| Colour::from_str(text, false).ok()).unwrap_or_default();
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

/// Where a secret goes, for those who try to pass it as a flag (without its dashes).
pub(super) fn secret_advice(flag: &str) -> Option<&'static str> {
    Some(match flag {
        "token" | "access-token" => "no secret is taken from the command line: use `--token-file` or `SECUREMCP_TOKEN`",
        "client-secret" | "secret" | "password" => {
            "no secret is taken from the command line: use `--client-secret-file` or `SECUREMCP_CLIENT_SECRET`"
        }
        "initial-access-token" => {
            "no secret is taken from the command line: use `--initial-access-token-file` or \
             `SECUREMCP_INITIAL_ACCESS_TOKEN`"
        }
        _ => return None,
    })
}

/// A hint: what to do, then how the command is used.
pub(super) fn with_usage(advice: Option<String>, usage: String) -> String {
    match advice {
        None => usage,
        Some(question) if question.ends_with('?') => format!("{question} {usage}"),
        Some(advice) => format!("{advice}; {usage}"),
    }
}

/// One argument, or one of a group, which clap names `<--name <NAME>|--scope <SCOPES>>`.
fn missing(named: &str, argument: &str) -> String {
    let flags: Vec<_> = named.split(['<', '>', '|', ' ']).filter(|word| word.starts_with("--")).collect();
    match flags.as_slice() {
        [_, _, ..] => format!("one of `{}` is missing", flags.join("`, `")),
        _ => format!("`{argument}` is missing"),
    }
}

fn failure(error: &clap::Error) -> Failure {
    let get = |kind| error.get(kind).map(text);
    let quoted = |kind| error.get(kind).map(|value| format!("`{}`", text(value).replace(", ", "`, `")));
    let written = get(ContextKind::InvalidArg).unwrap_or_default();
    // `--output <FORMAT>` is how the help says it.
    let argument = written.split_once(" <").map_or(written.as_str(), |(flag, _)| flag);
    let value = get(ContextKind::InvalidValue).unwrap_or_default();
    let similar = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let similar = similar.into_iter().find_map(quoted).map(|similar| format!("did you mean {similar}?"));
    let (message, advice) = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let secret = secret_advice(argument.trim_start_matches('-')).map(str::to_owned);
            (format!("unknown flag `{argument}`"), secret.or(similar))
        }
        ErrorKind::UnknownArgument => (format!("unexpected argument `{argument}`"), similar),
        ErrorKind::InvalidSubcommand => {
            (format!("unknown command {}", quoted(ContextKind::InvalidSubcommand).unwrap_or_default()), similar)
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            let advice = format!("write `{written}`; a value that begins with a dash as `{argument}=VALUE`");
            (format!("`{argument}` needs a value"), Some(advice))
        }
        ErrorKind::InvalidValue => {
            let valid = quoted(ContextKind::ValidValue).unwrap_or_default();
            (format!("`{argument}` is `{value}`, expected one of {valid}"), similar)
        }
        ErrorKind::ValueValidation => {
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            (format!("`{argument}` is `{value}`: {cause}"), None)
        }
        ErrorKind::MissingRequiredArgument => (missing(&written, argument), None),
        ErrorKind::MissingSubcommand => {
            let valid = quoted(ContextKind::ValidSubcommand).unwrap_or_default();
            ("a command is missing".to_owned(), Some(format!("one of {valid}")))
        }
        ErrorKind::ArgumentConflict => {
            let other = quoted(ContextKind::PriorArg).unwrap_or_default();
            let is_same = other.trim_matches('`').starts_with(argument);
            let problem = if is_same { "given twice".to_owned() } else { format!("not to be combined with {other}") };
            (format!("`{argument}` is {problem}"), None)
        }
        _ => {
            let rendered = error.to_string();
            let line = rendered.lines().next().unwrap_or_default();
            (line.strip_prefix("error: ").unwrap_or(line).to_owned(), None)
        }
    };
    let usage = get(ContextKind::Usage).map(|usage| usage.replacen("Usage:", "usage:", 1));
    let hint = match usage {
        Some(usage) => Some(with_usage(advice, usage)),
        None => advice,
    };
    Failure::message(Exit::Usage, message).hint(hint)
}

fn text(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(strings) => strings.join(", "),
        ContextValue::StyledStr(styled) => styled.to_string().trim().to_owned(),
        other => other.to_string(),
    }
}
