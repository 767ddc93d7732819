//! Programs that look at files: each runs in a directory of its own, to which the files may be copied and broken.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{Ended, foreign::installed};

/// A program, by its path below target/test-tools or by its name, and the directory that it runs in.
#[derive(Debug)]
pub(crate) struct Tool {
    program: PathBuf,
    first: Vec<PathBuf>,
    home: TempDir,
}

impl Tool {
    /// One that `./tests/run` installs.
    pub(crate) fn installed(path: &str) -> Self {
        Self::of(installed(path), Vec::new())
    }

    /// One of Node's packages.
    pub(crate) fn node(script: &str) -> Self {
        Self::of(installed("nodejs/node"), vec![installed(script)])
    }

    /// One of the system's.
    pub(crate) fn system(name: &str) -> Self {
        Self::of(PathBuf::from(name), Vec::new())
    }

    fn of(program: PathBuf, first: Vec<PathBuf>) -> Self {
        Self { program, first, home: tempfile::tempdir().expect("a temporary directory") }
    }

    /// Where it runs.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Copies a file or a directory of the sources, at the same place.
    pub(crate) fn copy(&self, path: &str) {
        copy(&root().join(path), &self.home().join(path));
    }

    /// Replaces words in a copied file; they must be there.
    #[track_caller]
    pub(crate) fn replace(&self, path: &str, old: &str, new: &str) {
        let path = self.home().join(path);
        let text = fs::read_to_string(&path).expect("it was copied");
        assert!(text.contains(old), "no `{old}` in {}", path.display());
        fs::write(&path, text.replacen(old, new, 1)).expect("the home is writable");
    }

    /// Runs it with these arguments, in this directory below its own, with these variables and no other environment.
    pub(crate) fn run(&self, directory: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = Command::new(&self.program);
        command
            .args(&self.first)
            .args(arguments)
            .current_dir(self.home().join(directory))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin")
            .env("HOME", self.home())
            .envs(variables.iter().copied());
        Ended::of(command, self.home())
    }
}

/// The sources.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        for entry in fs::read_dir(from).expect("a directory") {
            let name = entry.expect("an entry").file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::create_dir_all(to.parent().expect("it is below")).expect("the home is writable");
        fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
}

/// What gives a program a clock of its own: where Debian has it, whatever the processor.
pub(crate) fn libfaketime() -> String {
    let folders = fs::read_dir("/usr/lib").expect("a system");
    let paths = folders.map(|folder| folder.expect("an entry").path().join("faketime/libfaketime.so.1"));
    let found = paths.into_iter().find(|path| path.exists());
    found.expect("`./tests/run --only real` installs it").display().to_string()
}
