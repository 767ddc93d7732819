//! Settings as a person writes them: files, variables and flags in, a configuration or all problems out.

mod embedded;
mod originals;
mod precedence;
mod problems;
mod tls;
mod upstream;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use tempfile::TempDir;

use super::*;
use crate::hint::Hint as _;

/// A working directory, a home and an environment of their own.
#[must_use]
struct Desk {
    purpose: Purpose,
    inputs: Inputs,
    folder: TempDir,
}

impl Desk {
    fn of(purpose: Purpose) -> Self {
        let folder = TempDir::new().unwrap();
        let home = folder.path().join("home");
        fs::create_dir_all(home.join(".config/securemcp")).unwrap();
        let environment = Environment::new(folder.path(), Some(home));
        Self { purpose, inputs: Inputs { environment, ..Inputs::default() }, folder }
    }

    fn serve() -> Self {
        Self::of(Purpose::Serve)
    }

    fn client() -> Self {
        Self::of(Purpose::Client)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file in the working directory, readable by its owner only.
    fn file(self, name: &str, text: &str) -> Self {
        self.file_with_mode(name, text, 0o600)
    }

    fn file_with_mode(self, name: &str, text: &str, mode: u32) -> Self {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// `./securemcp.toml`.
    fn toml(self, text: &str) -> Self {
        self.file("securemcp.toml", text)
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.inputs.environment = self.inputs.environment.with(name, value);
        self
    }

    fn variables(self, variables: &[(&str, &str)]) -> Self {
        variables.iter().fold(self, |desk, (name, value)| desk.variable(name, value))
    }

    fn flag(mut self, key: &'static str, name: &'static str, value: &str) -> Self {
        self.inputs.flags.push(Flag { key, value: value.to_owned(), name });
        self
    }

    fn config_file(mut self, name: &str) -> Self {
        self.inputs.config_file = Some(name.into());
        self
    }

    fn env_file(mut self, name: &str) -> Self {
        self.inputs.env_file = Some(name.into());
        self
    }

    fn config(&self) -> Config {
        load(self.purpose, &self.inputs).unwrap()
    }

    fn warnings(&self) -> Vec<String> {
        self.config().warnings
    }

    fn problems(&self) -> Vec<String> {
        let invalid = load(self.purpose, &self.inputs).unwrap_err();
        invalid.problems().iter().map(ToString::to_string).collect()
    }

    /// The only problem and its hint.
    fn problem(&self) -> (String, String) {
        let invalid = load(self.purpose, &self.inputs).unwrap_err();
        assert_eq!(invalid.problems().len(), 1, "{invalid}");
        (invalid.to_string(), invalid.hint().unwrap_or_default())
    }
}

/// Another machine's issuer, so that nothing embedded faces the network.
const ISSUER: (&str, &str) = ("SECUREMCP_ISSUER", "https://kc.example/realms/a");
