//! A directory of mode 0700 with files of mode 0600, written whole or not at all.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use crate::hint::Hint;

/// Largest file that is read, in bytes: everything kept here is far smaller.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// A directory that belongs to this account alone.
///
/// Methods block on the disk: call them outside async code or in `spawn_blocking`. When a write returns, its bytes survive
/// `kill -9` and a power cut. Writers of the same name take turns by [`lock`](Self::lock); two that do not may fail, but
/// never leave a torn file.
#[derive(Clone, Debug)]
pub struct PrivateDir {
    path: PathBuf,
}

/// Holds the directory's lock until it is dropped, also against other processes.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What went wrong with our own files.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} `{path}`", path = .path.display())]
    Io {
        /// A verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Somebody else could read or replace it.
    #[error("`{path}` {problem}", path = .path.display())]
    Unsafe {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong, as the rest of a sentence.
        problem: String,
    },
    /// It is ours, and not whole.
    #[error("`{path}` is damaged: {problem}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// What was to be written is not the person's to write.
    #[error("`{path}` {problem}", path = .path.display())]
    NotOwn {
        /// The file.
        path: PathBuf,
        /// What is wrong, as the rest of a sentence.
        problem: String,
    },
}

impl Hint for StoreError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unsafe { path, problem } if problem.contains("mode") => Some(format!(
                "run `chmod go-rwx {}`, and replace the secrets in it if others may have read them",
                path.display()
            )),
            Self::Damaged { path, .. } => {
                Some(format!("restore `{}` from a backup, or remove it: a new one is made", path.display()))
            }
            Self::NotOwn { .. } => Some("name a regular file of this account, not a link to one".to_owned()),
            Self::Unsafe { .. } => Some("point `state_dir` to a directory of your own".to_owned()),
            Self::Io { source, path, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    Some("free some space; what was there before is unharmed".to_owned())
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    let path = path.display();
                    Some(format!(
                        "make `{path}` writable for this account, or name another place: `state_dir` for what is kept, its \
                         own flag for any other file"
                    ))
                }
                io::ErrorKind::NotFound => Some("make its directory first, or name another".to_owned()),
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                    Some("it, or one above it, is a file: name a directory of your own, with `state_dir` or here with `--directory`".to_owned())
                }
                _ => None,
            },
        }
    }
}

impl PrivateDir {
    /// Opens the directory, making it and its parents when they are not there.
    ///
    /// # Errors
    /// [`StoreError::Unsafe`] if it is a symbolic link, another account's, or open to others.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Err(source) = DirBuilder::new().recursive(true).mode(0o700).create(path) {
            return Err(StoreError::Io { action: "make the directory", path: path.to_owned(), source });
        }
        let metadata = fs::symlink_metadata(path).map_err(io_error("look at", path))?;
        check_ours(path, &metadata, metadata.is_dir(), "is not a directory")?;
        Ok(Self { path: path.to_owned() })
    }

    /// A directory that is taken as it is.
    pub(super) fn unchecked(path: PathBuf) -> Self {
        Self { path }
    }

    /// A directory inside this one.
    pub fn child(&self, name: &str) -> Result<Self, StoreError> {
        Self::open(&self.file_path(name))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file, or `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError::Unsafe`] if it is a symbolic link, another account's, or readable by others.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.file_path(name);
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(no_follow());
        let file = match options.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err(StoreError::Unsafe { path, problem: "is a symbolic link".to_owned() });
            }
            Err(source) => return Err(StoreError::Io { action: "read", path, source }),
        };
        let metadata = file.metadata().map_err(io_error("look at", &path))?;
        check_ours(&path, &metadata, metadata.is_file(), "is not a regular file")?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        Ok(Some(bytes))
    }

    /// Replaces the file, or makes it. The old content stays whole until the new one is on the disk.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let (path, temporary) = (self.file_path(name), self.write_temporary(name, bytes)?);
        fs::rename(&temporary, &path).map_err(io_error("replace", &path))?;
        self.sync()
    }

    /// Takes this much room for the file, so that the next [`write`](Self::write) of as much cannot meet a full disk.
    pub fn take_room(&self, name: &str, bytes: usize) -> Result<(), StoreError> {
        self.write_temporary(name, &vec![b' '; bytes]).map(drop)
    }

    /// Gives the room back.
    pub fn leave_room(&self, name: &str) -> Result<(), StoreError> {
        self.remove(&format!(".{name}.new")).map(drop)
    }

    /// Makes the file, unless there is one already: then `false`, and nothing is changed.
    pub fn create(&self, name: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        let (path, temporary) = (self.file_path(name), self.write_temporary(name, bytes)?);
        let linked = fs::hard_link(&temporary, &path);
        fs::remove_file(&temporary).map_err(io_error("remove", &temporary))?;
        match linked {
            Ok(()) => self.sync().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(source) => Err(StoreError::Io { action: "make", path, source }),
        }
    }

    /// Removes the file; `false` if there was none.
    pub fn remove(&self, name: &str) -> Result<bool, StoreError> {
        let path = self.file_path(name);
        match fs::remove_file(&path) {
            Ok(()) => self.sync().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(StoreError::Io { action: "remove", path, source }),
        }
    }

    /// The names of all files, sorted, without locks and unfinished writes. What is neither file nor directory is among
    /// them, for [`read`](Self::read) to refuse: a symbolic link must not make a file look absent.
    pub fn names(&self) -> Result<Vec<String>, StoreError> {
        let entries = fs::read_dir(&self.path).map_err(io_error("list", &self.path))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(io_error("list", &self.path))?;
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            match entry.file_name().into_string() {
                Ok(name) if !is_directory && !name.starts_with('.') => names.push(name),
                _ => {}
            }
        }
        names.sort();
        Ok(names)
    }

    /// Waits for the lock of this name.
    pub fn lock(&self, name: &str) -> Result<Lock, StoreError> {
        let (path, file) = self.lock_file(name)?;
        file.lock().map_err(io_error("lock", &path))?;
        Ok(Lock { _file: file })
    }

    /// Takes the lock of this name if nobody has it.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>, StoreError> {
        let (path, file) = self.lock_file(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(source)) => Err(StoreError::Io { action: "lock", path, source }),
        }
    }

    fn lock_file(&self, name: &str) -> Result<(PathBuf, File), StoreError> {
        let path = self.file_path(&format!(".{name}.lock"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(no_follow());
        let file = options.open(&path).map_err(io_error("open", &path))?;
        Ok((path, file))
    }

    fn write_temporary(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        let path = self.file_path(&format!(".{name}.new"));
        // What a killed process left behind.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", &path)(error)),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).custom_flags(no_follow());
        let written = options.open(&path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        match written {
            Ok(()) => Ok(path),
            Err(source) => {
                // Nothing half-written stays; if even this fails, the next write removes it.
                let _ = fs::remove_file(&path);
                Err(StoreError::Io { action: "write", path: self.file_path(name), source })
            }
        }
    }

    fn sync(&self) -> Result<(), StoreError> {
        File::open(&self.path).and_then(|directory| directory.sync_all()).map_err(io_error("sync", &self.path))
    }

    fn file_path(&self, name: &str) -> PathBuf {
        debug_assert!(!name.contains('/') && name != ".." && !name.is_empty(), "names are ours: {name}");
        self.path.join(name)
    }
}

fn check_ours(path: &Path, metadata: &fs::Metadata, right_kind: bool, wrong_kind: &str) -> Result<(), StoreError> {
    let ours = rustix::process::geteuid().as_raw();
    let mode = metadata.mode() & 0o777;
    let problem = if metadata.is_symlink() {
        "is a symbolic link".to_owned()
    } else if !right_kind {
        wrong_kind.to_owned()
    } else if metadata.uid() != ours {
        format!("belongs to user {}, expected {ours}", metadata.uid())
    } else if mode & 0o077 != 0 {
        format!("is open to others: its mode is {mode:03o}")
    } else {
        return Ok(());
    };
    Err(StoreError::Unsafe { path: path.to_owned(), problem })
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

/// Flags of an open that follows no link and is not inherited.
pub(super) fn no_follow() -> i32 {
    i32::try_from((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits()).expect("open flags fit an int")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn fresh() -> (tempfile::TempDir, PrivateDir) {
        let root = tempfile::tempdir().unwrap();
        let dir = PrivateDir::open(&root.path().join("state")).unwrap();
        (root, dir)
    }

    #[test]
    fn what_is_written_is_read() {
        let (_root, dir) = fresh();
        assert_eq!(dir.read("a").unwrap(), None);
        dir.write("a", b"one").unwrap();
        dir.write("a", b"two").unwrap();
        assert_eq!(dir.read("a").unwrap().unwrap(), b"two");
        assert_eq!(dir.names().unwrap(), ["a"]);
        assert!(dir.remove("a").unwrap());
        assert!(!dir.remove("a").unwrap());
    }

    #[test]
    fn room_is_taken_and_given_back() {
        let (_root, dir) = fresh();
        dir.write("a", b"before").unwrap();
        dir.take_room("a", 5000).unwrap();
        assert_eq!(fs::metadata(dir.path().join(".a.new")).unwrap().len(), 5000);
        assert_eq!(dir.read("a").unwrap().unwrap(), b"before");
        dir.write("a", b"after").unwrap();
        assert_eq!(dir.read("a").unwrap().unwrap(), b"after");
        dir.take_room("b", 5000).unwrap();
        dir.leave_room("b").unwrap();
        dir.leave_room("b").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn create_does_not_replace() {
        let (_root, dir) = fresh();
        assert!(dir.create("a", b"first").unwrap());
        assert!(!dir.create("a", b"second").unwrap());
        assert_eq!(dir.read("a").unwrap().unwrap(), b"first");
    }

    #[test]
    fn modes_are_private() {
        let (_root, dir) = fresh();
        dir.write("a", b"x").unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(dir.path().join("a")).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_others_can_read_or_redirect_is_refused() {
        let (root, dir) = fresh();
        dir.write("a", b"x").unwrap();
        fs::set_permissions(dir.path().join("a"), fs::Permissions::from_mode(0o640)).unwrap();
        let refused = dir.read("a").unwrap_err();
        assert!(refused.to_string().contains("its mode is 640"), "{refused}");
        assert!(refused.hint().unwrap().starts_with("run `chmod go-rwx"));
        symlink(dir.path().join("a"), dir.path().join("link")).unwrap();
        assert_eq!(dir.names().unwrap(), ["a", "link"], "whoever reads all files meets it");
        assert!(dir.read("link").unwrap_err().to_string().contains("symbolic link"));
        symlink(dir.path(), root.path().join("linked")).unwrap();
        assert!(PrivateDir::open(&root.path().join("linked")).is_err());
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(PrivateDir::open(dir.path()).is_err());
    }

    #[test]
    fn a_write_replaces_a_symbolic_link_instead_of_following_it() {
        let (root, dir) = fresh();
        let victim = root.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, dir.path().join("a")).unwrap();
        dir.write("a", b"x").unwrap();
        assert_eq!(fs::read_to_string(victim).unwrap(), "untouched");
    }

    #[test]
    fn every_way_in_which_the_system_refuses_has_a_hint() {
        for (kind, words) in [
            (io::ErrorKind::StorageFull, "free some space"),
            (io::ErrorKind::QuotaExceeded, "free some space"),
            (io::ErrorKind::FileTooLarge, "free some space"),
            (io::ErrorKind::PermissionDenied, "writable for this account"),
            (io::ErrorKind::ReadOnlyFilesystem, "writable for this account"),
            (io::ErrorKind::AlreadyExists, "`state_dir`"),
            (io::ErrorKind::NotADirectory, "`state_dir`"),
        ] {
            let hint = io_error("write", Path::new("/state/a"))(kind.into()).hint().unwrap();
            assert!(hint.contains(words), "{kind}: {hint}");
        }
    }

    #[test]
    fn a_killed_write_leaves_nothing_that_matters() {
        let (_root, dir) = fresh();
        dir.write("a", b"whole").unwrap();
        fs::write(dir.path().join(".a.new"), "torn").unwrap();
        assert_eq!(dir.read("a").unwrap().unwrap(), b"whole");
        dir.write("a", b"next").unwrap();
        assert_eq!(dir.names().unwrap(), ["a"]);
    }

    #[test]
    fn a_lock_has_one_holder() {
        let (_root, dir) = fresh();
        let held = dir.lock("a").unwrap();
        assert!(dir.try_lock("a").unwrap().is_none());
        drop(held);
        assert!(dir.try_lock("a").unwrap().is_some());
    }
}
