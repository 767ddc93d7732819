//! An account that is nobody's, whoever runs the tests: root would be refused nothing.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, chown},
    path::PathBuf,
    process::Command,
};

use super::{
    cli::{Account, Ended},
    process::{Running, Serve},
    program,
};

/// `nobody`, on every system that has one.
const NOBODY: u32 = 65534;

/// An account without privileges. Tests that run as root become another user for each command.
pub(crate) struct Person {
    account: Account,
    /// A copy in a place that this account can reach, if it is not the account of the tests.
    binary: Option<PathBuf>,
}

impl Person {
    pub(crate) fn new() -> Self {
        let account = Account::new();
        let binary = rustix::process::geteuid().is_root().then(|| {
            let (original, copy) = (program::path(), account.home().join("securemcp"));
            // Another file system takes a copy.
            fs::hard_link(original, &copy)
                .or_else(|_| fs::copy(original, &copy).map(drop))
                .expect("the binary is there");
            chown(account.home(), Some(NOBODY), Some(NOBODY)).expect("root may");
            copy
        });
        Self { account, binary }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.account.home().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.account.state()
    }

    /// Writes a file of this account.
    pub(crate) fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        fs::write(&path, text).expect("it can be written");
        if self.binary.is_some() {
            chown(&path, Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        self.change_mode(name, mode);
    }

    pub(crate) fn change_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).expect("it is there");
    }

    /// Makes a directory of this account.
    pub(crate) fn make_directory(&self, name: &str, mode: u32) {
        fs::create_dir(self.path(name)).expect("nothing is there");
        if self.binary.is_some() {
            chown(self.path(name), Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        self.change_mode(name, mode);
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        match &self.binary {
            None => self.account.command(arguments),
            Some(binary) => self.command_of_other(binary.to_str().expect("UTF-8"), arguments),
        }
    }

    /// Another program of this account.
    pub(crate) fn command_of_other(&self, program: &str, arguments: &[&str]) -> Command {
        if self.binary.is_none() {
            let mut command = self.account.command_of(program);
            command.args(arguments);
            return command;
        }
        let mut other = self.account.command_of("setpriv");
        other.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]).args(["--clear-groups", "--", program]);
        other.args(arguments);
        other
    }

    pub(crate) fn run_other(&self, program: &str, arguments: &[&str]) -> Ended {
        Running::start(self.command_of_other(program, arguments)).ended()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Running::start(self.command(arguments)).ended()
    }

    #[track_caller]
    pub(crate) fn start(&self) -> Serve {
        Serve::start(self.command(&["serve", "--listen", "127.0.0.1:0"]))
    }
}
