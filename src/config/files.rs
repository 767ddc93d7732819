//! Reading a file that decides something, unless somebody else could have written it.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::{
    Environment,
    problem::{Report, Reported, quoted},
};
use crate::secret::Secret;

/// The largest file that is read: a device such as `/dev/zero` has no end.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A file's text.
pub(super) struct Content {
    pub(super) text: String,
    /// Whether every account of the machine may read it.
    pub(super) is_readable_by_others: bool,
}

/// Reads `path` as seen from the working directory; `what` names its role in messages.
///
/// `Ok(None)`: there is no such file.
pub(super) fn read_if_present(
    what: &str,
    path: &Path,
    environment: &Environment,
    report: &mut Report,
) -> Result<Option<Content>, Reported> {
    let shown = path.display().to_string();
    let (text, mode) = match open(&environment.absolute(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let message = format!("{what} {} cannot be read: {error}", quoted(&shown));
            let hint = match error.kind() {
                io::ErrorKind::InvalidData => "name a text file, in UTF-8",
                io::ErrorKind::FileTooLarge => "name the right file: what belongs here is far smaller than 1 MiB",
                io::ErrorKind::IsADirectory => "name a file in it",
                _ => "name a file that this account may read",
            };
            return Err(report.problem_with_hint(message, hint));
        }
        Ok(read) => read,
    };
    if mode & 0o022 != 0 {
        // Its text is judged all the same, so that all problems show at once.
        report.problem_with_hint(
            format!(
                "{what} {} may be written by group or others (mode {mode:04o}), expected only its owner",
                quoted(&shown)
            ),
            format!("chmod go-w {shown}"),
        );
    }
    Ok(Some(Content { text, is_readable_by_others: mode & 0o004 != 0 }))
}

/// The same for a file that was named: its absence is a problem too.
pub(super) fn read(
    what: &str,
    path: &Path,
    environment: &Environment,
    report: &mut Report,
) -> Result<Content, Reported> {
    let content = read_if_present(what, path, environment, report)?;
    content.ok_or_else(|| {
        let message = format!("{what} {} does not exist", quoted(&path.display().to_string()));
        report.problem_with_hint(message, "check the path: it is read as seen from the working directory")
    })
}

/// A secret from a file, without the line break that editors put at its end. A file that others may read only warns:
/// mounted secrets often are. `what` names its role in messages.
pub(super) fn read_secret(
    what: &str,
    path: &str,
    origin: &str,
    environment: &Environment,
    report: &mut Report,
) -> Result<Secret, Reported> {
    let content = read(&format!("{origin}: {what}"), &PathBuf::from(path), environment, report)?;
    if content.is_readable_by_others {
        report.warn(format!("{what} {} may be read by every account of this machine", quoted(path)));
    }
    let text = Secret::new(content.text);
    Ok(Secret::new(text.expose().trim_end_matches(['\r', '\n'])))
}

/// Permissions are those of the opened file, so that a swapped name changes nothing.
fn open(path: &Path) -> io::Result<(String, u32)> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    // `/dev/null` is everybody's.
    let mode = if metadata.file_type().is_char_device() { 0 } else { metadata.permissions().mode() & 0o7777 };
    let mut text = String::new();
    let bytes = file.by_ref().take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if bytes as u64 > MAX_FILE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok((text, mode))
}
