//! `securemcp config`: what the settings are in the end, and where each comes from.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    exit::{Exit, Failure},
    surroundings::Surroundings,
};
use crate::config::{self, Effective, Purpose, Shown};

const EXAMPLES: &str =
    "The text is a configuration file: every setting, with where it was written. Secrets are never shown.

Examples:
  securemcp config show
  securemcp config show --client
  securemcp config show --config /etc/securemcp.toml --output json";

/// Look at the settings
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Show(Show),
}

/// Show every setting and where it comes from
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Show {
    /// What client commands read, instead of `serve`
    #[arg(long)]
    client: bool,
}

/// Prints the settings.
pub(super) fn run(command: &Command, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let Command::Show(options) = command;
    let purpose = if options.client { Purpose::Client } else { Purpose::Serve };
    let config = config::load(purpose, &surroundings.inputs())?;
    let printer = surroundings.printer;
    config.warnings.iter().for_each(|warning| printer.warning(warning));
    if printer.is_json() {
        let all: Map<_, _> = config.effective.iter().map(|one| (one.key.path.to_owned(), document(one))).collect();
        printer.document(&all)?;
    } else {
        let lines: Vec<_> = config.effective.iter().map(line).collect();
        printer.text(&lines.join("\n"))?;
    }
    Ok(Exit::Done)
}

fn document(one: &Effective) -> Value {
    json!({"value": value(&one.value), "origin": one.origin})
}

fn value(shown: &Shown) -> Value {
    match shown {
        Shown::Unset(_) => Value::Null,
        Shown::Text(text) => json!(text),
        Shown::List(items) => json!(items),
        Shown::Section(entries) => entries.iter().map(|(name, shown)| (name.clone(), value(shown))).collect(),
        Shown::Secret(_) => json!("[redacted]"),
    }
}

/// A line of TOML; what is not set, or not shown, is a comment.
fn line(one: &Effective) -> String {
    let (path, origin) = (one.key.path, &one.origin);
    match &one.value {
        Shown::Unset(words) => format!("# {path}: {words}"),
        Shown::Secret(_) => format!("# {path} = [redacted]  # {origin}"),
        Shown::Section(entries) => {
            let entries = entries.iter().map(|(name, shown)| format!("{} = {}", json!(name), value(shown)));
            format!("{path} = {{ {} }}  # {origin}", entries.collect::<Vec<_>>().join(", "))
        }
        // Strings and lists of strings are the same in JSON and TOML.
        shown => format!("{path} = {}  # {origin}", value(shown)),
    }
}
