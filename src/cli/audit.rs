//! `securemcp audit`: whether an audit log is what was written.

use std::{fs::File, io::BufReader, path::PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    exit::{Exit, Failure},
    surroundings::Surroundings,
};
use crate::telemetry::chain::{self, Broken};

const EXAMPLES: &str =
    "The key is that of the server, in SECUREMCP_AUDIT_KEY or a file that SECUREMCP_AUDIT_KEY_FILE names.

Examples:
  SECUREMCP_AUDIT_KEY_FILE=/run/secrets/audit_key securemcp audit verify /var/log/securemcp/audit.log
  securemcp audit verify audit.log --output json";

/// Look at audit logs
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Verify(Verify),
}

/// Check that no line was changed, taken out, put in or moved
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Verify {
    /// The log, as `audit.file` named it
    file: PathBuf,
}

/// Checks the log.
pub(super) fn run(command: &Command, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let Command::Verify(options) = command;
    let config = surroundings.config()?;
    let path = options.file.display();
    let Some(key) = &config.log.audit_key else {
        let missing = format!("`{path}` cannot be checked without the key that it was written with");
        return Err(Failure::message(Exit::Configuration, missing)
            .hint("set `SECUREMCP_AUDIT_KEY` or `SECUREMCP_AUDIT_KEY_FILE`".to_owned()));
    };
    let intact =
        File::open(&options.file).map_err(Broken::from).and_then(|file| chain::verify(BufReader::new(file), key));
    let intact = intact.map_err(|broken| {
        let hint = match &broken {
            Broken::Io(_) => "name the file that `audit.file` names",
            Broken::Line { .. } => {
                "if the key is right, somebody else wrote here; lines from before `audit.key` was set belong into \
                 another file"
            }
        };
        let context = format!("`{path}` is not intact");
        Failure::new(Exit::Failed, anyhow::Error::new(broken).context(context)).hint(hint.to_owned())
    })?;
    let printer = surroundings.printer;
    if printer.is_json() {
        printer.document(&json!({"lines": intact.lines, "chains": intact.chains, "torn": intact.torn}))?;
    } else {
        printer.text(&format!("intact; lines: {}, chains: {}", intact.lines, intact.chains))?;
    }
    if intact.torn > 0 {
        printer.warning(&format!(
            "lines that were written in part: {}; after a power cut, or on a full disk",
            intact.torn
        ));
    }
    Ok(Exit::Done)
}
