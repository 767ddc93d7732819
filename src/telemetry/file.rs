//! A file that grows by lines, and can be opened anew after somebody has moved it away.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::fs::OFlags;

use crate::hint::Hint;

/// Cheap to clone: every clone writes to the same file.
#[derive(Clone, Debug)]
pub struct LogFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: Mutex<File>,
}

/// Why nothing can be written there.
#[derive(Debug, thiserror::Error)]
pub enum LogFileError {
    /// The operating system refused.
    #[error("cannot append to `{path}`", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The head of an audit log cannot be kept beside it.
    #[error("cannot keep the head of an audit log in `{path}`", path = .path.display())]
    Head {
        /// The head.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Somebody else could change what it says, or say where it goes.
    #[error("`{path}` {problem}", path = .path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// What is wrong, as the rest of a sentence.
        problem: String,
    },
}

impl Hint for LogFileError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "make its directory, or set `log.file` or `audit.file` to another".to_owned()
            }
            Self::Io { .. } => "set `log.file` or `audit.file` to a file that this account may write".to_owned(),
            Self::Head { .. } => "make its directory writable for this account, or unset `audit.key`".to_owned(),
            Self::Unsafe { path, problem } if problem.contains("mode") => format!("chmod go-w {}", path.display()),
            Self::Unsafe { .. } => "name the file itself".to_owned(),
        })
    }
}

impl LogFile {
    /// Opens it for appending; a new one is for this account alone.
    ///
    /// # Errors
    /// It is a symbolic link, group or others may write it, or the system refuses.
    pub fn open(path: &Path) -> Result<Self, LogFileError> {
        let file = Mutex::new(open(path)?);
        Ok(Self(Arc::new(Inner { path: path.to_owned(), file })))
    }

    /// Goes on in a new file if this one was moved away, as programs that rotate logs do. On an error it goes on in the old
    /// one.
    pub fn reopen(&self) -> Result<(), LogFileError> {
        let file = open(&self.0.path)?;
        *self.lock() = file;
        Ok(())
    }

    /// Writes a line in one piece, so that lines of several threads do not mix. Nobody is left to be told of a failure.
    pub fn line(&self, line: &[u8]) {
        let _ = self.lock().write_all(line);
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.0.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
}

/// Opens a file that lines are appended to.
pub(super) fn open(path: &Path) -> Result<File, LogFileError> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits()).expect("open flags fit an int");
    let unsafe_because = |problem: String| LogFileError::Unsafe { path: path.to_owned(), problem };
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path);
    let file = opened.map_err(|source| match source.raw_os_error() {
        Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => unsafe_because("is a symbolic link".to_owned()),
        _ => LogFileError::Io { path: path.to_owned(), source },
    })?;
    let metadata = file.metadata().map_err(|source| LogFileError::Io { path: path.to_owned(), source })?;
    let mode = metadata.mode() & 0o777;
    if metadata.is_file() && mode & 0o022 != 0 {
        return Err(unsafe_because(format!("may be written by group or others: its mode is {mode:03o}")));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    #[test]
    fn lines_are_appended_and_go_on_in_a_new_file_when_the_old_one_was_moved() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
        LogFile::open(&path).unwrap().line(b"one\n");
        let log = LogFile::open(&path).unwrap();
        log.line(b"two\n");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::rename(&path, &moved).unwrap();
        log.line(b"three\n");
        log.reopen().unwrap();
        log.line(b"four\n");
        assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\nthree\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "four\n");
        fs::remove_dir_all(folder.path()).unwrap();
        assert!(log.reopen().unwrap_err().hint().unwrap().starts_with("make its directory"));
        log.line(b"five\n");
    }

    #[test]
    fn what_others_can_write_or_redirect_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for (mode, good) in [(0o600, true), (0o640, true), (0o620, false), (0o602, false)] {
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(LogFile::open(&path).is_ok(), good, "{mode:o}");
        }
        let refused = LogFile::open(&path).unwrap_err();
        assert!(refused.to_string().ends_with("may be written by group or others: its mode is 602"), "{refused}");
        assert_eq!(refused.hint().unwrap(), format!("chmod go-w {}", path.display()));
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(LogFile::open(&link).unwrap_err().to_string().ends_with("is a symbolic link"));
        assert!(matches!(LogFile::open(folder.path()), Err(LogFileError::Io { .. })));
    }
}
