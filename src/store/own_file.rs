//! A file of the person's own, in a directory that need not be private: an env file, a configuration.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{PrivateDir, StoreError, private_dir::no_follow};

/// Largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Written whole or not at all, with mode 0600, and never through a symbolic link or over somebody else's file.
#[derive(Clone, Debug)]
pub struct OwnFile {
    directory: PrivateDir,
    name: String,
}

impl OwnFile {
    /// The file at this path, whether it is there or not. Touches nothing.
    ///
    /// # Errors
    /// [`StoreError::NotOwn`] if the path names no file.
    pub fn at(path: &Path) -> Result<Self, StoreError> {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name else {
            return Err(StoreError::NotOwn { path: path.to_owned(), problem: "names no file".to_owned() });
        };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Self { directory: PrivateDir::unchecked(directory.to_owned()), name: name.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join(&self.name)
    }

    /// The text, or `None` if there is no file. Its mode may be any: writing makes it private.
    ///
    /// # Errors
    /// [`StoreError::NotOwn`] if it is a link, no regular file, another account's, or not text.
    pub fn read(&self) -> Result<Option<String>, StoreError> {
        let path = self.path();
        let io_error = |source| StoreError::Io { action: "read", path: path.clone(), source };
        let not_own = |problem: &str| StoreError::NotOwn { path: path.clone(), problem: problem.to_owned() };
        // A pipe without a writer is not waited for.
        let flags = no_follow() | i32::try_from(OFlags::NONBLOCK.bits()).expect("open flags fit an int");
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err(not_own("is a symbolic link"));
            }
            Err(error) => return Err(io_error(error)),
        };
        let metadata = file.metadata().map_err(io_error)?;
        let ours = rustix::process::geteuid().as_raw();
        if !metadata.is_file() {
            return Err(not_own("is not a regular file"));
        }
        if metadata.uid() != ours {
            return Err(not_own(&format!("belongs to user {}, expected {ours}", metadata.uid())));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io_error)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(not_own("is larger than 1 MiB"));
        }
        String::from_utf8(bytes).map(Some).map_err(|_| not_own("is not UTF-8 text"))
    }

    /// Replaces the file, or makes it. What is in its way and not the person's own stays.
    pub fn write(&self, text: &str) -> Result<(), StoreError> {
        self.read()?;
        self.directory.write(&self.name, text.as_bytes())
    }

    /// A file beside it, to be looked at before this one is written.
    pub fn draft(&self) -> Result<Self, StoreError> {
        let draft = Self { name: format!(".{}.draft", self.name.trim_start_matches('.')), ..self.clone() };
        // Of a run that was killed; a stranger's is refused.
        draft.read()?;
        Ok(draft)
    }

    /// Removes the file, if there is one.
    pub fn remove(&self) -> Result<(), StoreError> {
        self.directory.remove(&self.name).map(drop)
    }

    /// Makes the file, unless there is something already: then `false`, and nothing is changed.
    pub fn create(&self, text: &str) -> Result<bool, StoreError> {
        self.directory.create(&self.name, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    fn at(root: &tempfile::TempDir) -> OwnFile {
        OwnFile::at(&root.path().join(".env")).unwrap()
    }

    #[test]
    fn it_is_made_replaced_and_private() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(at(&root).read().unwrap(), None);
        assert!(at(&root).create("A=1\n").unwrap());
        assert!(!at(&root).create("A=2\n").unwrap());
        fs::set_permissions(at(&root).path(), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(at(&root).read().unwrap().unwrap(), "A=1\n");
        at(&root).write("A=3\n").unwrap();
        assert_eq!(at(&root).read().unwrap().unwrap(), "A=3\n");
        assert_eq!(fs::metadata(at(&root).path()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_an_own_file_is_refused_and_stays() {
        let root = tempfile::tempdir().unwrap();
        let victim = root.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, at(&root).path()).unwrap();
        for refused in [at(&root).read().unwrap_err(), at(&root).write("A=1").unwrap_err()] {
            assert!(refused.to_string().ends_with("is a symbolic link"), "{refused}");
        }
        assert!(!at(&root).create("A=1").unwrap());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        fs::remove_file(at(&root).path()).unwrap();
        fs::create_dir(at(&root).path()).unwrap();
        assert!(at(&root).write("A=1").unwrap_err().to_string().ends_with("is not a regular file"));
        fs::remove_dir(at(&root).path()).unwrap();
        fs::write(at(&root).path(), [0xff]).unwrap();
        assert!(at(&root).write("A=1").unwrap_err().to_string().ends_with("is not UTF-8 text"));
        assert!(OwnFile::at(Path::new("/")).is_err() && OwnFile::at(Path::new("a/..")).is_err());
        assert_eq!(OwnFile::at(Path::new("x")).unwrap().path(), Path::new("./x"));
    }
}
