//! `securemcp audit`: whether an audit log is what was written.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    exit::{Exit, Failure},
    surroundings::Surroundings,
};
use crate::{
    hint::Hint as _,
    telemetry::{
        head,
        verify::{Broken, Intact, Verification},
    },
};

const EXAMPLES: &str =
    "The key is that of the server, in SECUREMCP_AUDIT_KEY or a file that SECUREMCP_AUDIT_KEY_FILE names.
How far the log went is in its head, `audit.log.head` beside `audit.log`. Whoever can replace both by older ones is found by
`--expect` only: keep copies of the head where they cannot write.

Examples:
  SECUREMCP_AUDIT_KEY_FILE=/run/secrets/audit_key securemcp audit verify /var/log/securemcp/audit.log
  securemcp audit verify audit.log.2 audit.log.1 audit.log --continued --expect kept.head
  securemcp audit verify audit.log.1 --closed --output json";

/// Look at audit logs
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Verify(Verify),
}

/// Check that no line was changed, taken out, put in, moved or cut off
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Verify {
    /// The files of the log, the oldest first; the last as `audit.file` named it
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The log began in files before these, which are gone for good
    #[arg(long)]
    continued: bool,
    /// The log goes on in files after these: look for no head, but for the end of every chain
    #[arg(long)]
    closed: bool,
    /// A copy of the head from before, whose lines must be there
    #[arg(long, value_name = "HEAD")]
    expect: Option<PathBuf>,
}

/// Checks the log.
pub(super) fn run(command: &Command, surroundings: &Surroundings) -> Result<Exit, Failure> {
    let Command::Verify(options) = command;
    let config = surroundings.config()?;
    let Some(key) = &config.log.audit_key else {
        let paths: Vec<_> = options.files.iter().map(|path| format!("`{}`", path.display())).collect();
        let missing = format!("{} cannot be checked without the key that it was written with", paths.join(", "));
        return Err(Failure::message(Exit::Configuration, missing)
            .hint("set `SECUREMCP_AUDIT_KEY` or `SECUREMCP_AUDIT_KEY_FILE`".to_owned()));
    };
    let intact = verify(options, Verification::new(key, options.continued)).map_err(|(path, broken)| {
        let (hint, context) = (broken.hint(), format!("`{}` is not intact", path.display()));
        let failure = Failure::new(Exit::Failed, anyhow::Error::new(broken).context(context));
        hint.into_iter().fold(failure, Failure::hint)
    })?;
    let printer = surroundings.printer;
    let Intact { lines, chains, open, torn, lost, earlier } = &intact;
    for position in earlier {
        printer.note(&format!("note: it begins after line {} of chain `{}`", position.seq, position.chain));
    }
    if *open > 0 {
        printer.note(
            "note: a chain without an end is of a server that runs, or that was killed; what it wrote in its last second \
             could be cut off",
        );
    }
    if torn + lost > 0 {
        printer.warning(&format!(
            "lines that were written in part: {torn}, events that were not: {lost}; after a power cut, or on a full disk"
        ));
    }
    if printer.is_json() {
        printer.document(&json!({
            "lines": lines, "chains": chains, "open": open, "torn": torn, "lost": lost, "earlier": earlier,
        }))?;
    } else {
        let said = format!("intact; lines: {lines}, chains: {chains}, open: {open}, torn: {torn}, lost: {lost}");
        printer.text(&said)?;
    }
    Ok(Exit::Done)
}

/// Checks the files, and where they end; an error with the file that it is in.
fn verify(options: &Verify, mut log: Verification) -> Result<Intact, (&Path, Broken)> {
    let last = options.files.last().map_or(Path::new(""), PathBuf::as_path);
    let in_last = |broken| (last, broken);
    // A log may grow while it is read, and is then ahead of a head that was read before.
    let expected = options.expect.as_deref().map(|path| log.head(path)).transpose().map_err(in_last)?;
    let head = (!options.closed).then(|| log.head(&head::path_of(last)));
    for path in &options.files {
        let read = File::open(path).map_err(Broken::from).and_then(|file| log.read(BufReader::new(file)));
        read.map_err(|broken| (path.as_path(), broken))?;
    }
    if let Some(expected) = expected {
        log.holds(&expected).map_err(in_last)?;
    }
    match head {
        Some(head) => head.and_then(|head| log.ends_at(&head)),
        None => log.ends_by_itself(),
    }
    .map_err(in_last)
}
