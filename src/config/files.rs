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
            return Err(report.problem_with_hint(message, "name a file that this account may read"));
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
/// mounted secrets often are.
pub(super) fn read_secret(
    path: &str,
    origin: &str,
    environment: &Environment,
    report: &mut Report,
) -> Result<String, Reported> {
    let content = read(&format!("{origin}: secret file"), &PathBuf::from(path), environment, report)?;
    if content.is_readable_by_others {
        report.warn(format!("secret file {} may be read by every account of this machine", quoted(path)));
    }
    Ok(content.text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Permissions are those of the opened file, so that a swapped name changes nothing.
fn open(path: &Path) -> io::Result<(String, u32)> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    // `/dev/null` is everybody's.
    let mode = if metadata.file_type().is_char_device() { 0 } else { metadata.permissions().mode() & 0o7777 };
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((text, mode))
}
