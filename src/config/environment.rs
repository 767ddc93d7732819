//! The process environment, captured once: nothing else in the program reads it.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::clock::SystemClock;

/// Variables, working directory and home of one moment, and when that was.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    not_unicode: Vec<String>,
    directory: PathBuf,
    home: Option<PathBuf>,
    now: Duration,
}

impl Environment {
    /// No variables, in `directory`, with this home.
    pub fn new(directory: impl Into<PathBuf>, home: Option<PathBuf>) -> Self {
        Self { directory: directory.into(), home, ..Self::default() }
    }

    /// The same place without any variable.
    #[must_use]
    pub fn bare(&self) -> Self {
        Self::new(self.directory.clone(), self.home.clone())
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same at this time since the epoch, which certificates are judged by.
    #[must_use]
    pub fn at(self, now: Duration) -> Self {
        Self { now, ..self }
    }

    /// The same with a variable whose value is not Unicode.
    #[cfg(test)]
    pub(super) fn with_not_unicode(mut self, name: &str) -> Self {
        self.not_unicode.push(name.to_owned());
        self
    }

    /// Captures this process's.
    pub fn of_process() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
        let variables = std::env::vars_os();
        // A directory that is gone leaves relative paths to fail where they are opened, with their own message.
        let mut environment = Self::new(std::env::current_dir().unwrap_or_default(), None);
        environment.now = SystemClock::shared().since_epoch();
        for (name, value) in variables {
            if name == "HOME" {
                environment.home = Some(PathBuf::from(&value));
            }
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => drop(environment.variables.insert(name, value)),
                (Ok(name), Err(_)) => environment.not_unicode.push(name),
                (Err(name), _) => environment.not_unicode.push(name.to_string_lossy().into_owned()),
            }
        }
        environment
    }

    /// Whether a machine runs this: `CI` is set and not `false` or `0`.
    pub fn is_ci(&self) -> bool {
        self.get("CI").is_some_and(|value| !matches!(value, "false" | "0"))
    }

    /// Whether colours are unwanted: `NO_COLOR` is set (no-color.org).
    pub fn no_color(&self) -> bool {
        self.get("NO_COLOR").is_some()
    }

    /// The account's home directory.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref().filter(|home| home.is_absolute())
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) const fn now(&self) -> Duration {
        self.now
    }

    pub(super) const fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Names of variables whose name or value is not Unicode.
    pub(super) fn not_unicode(&self) -> &[String] {
        &self.not_unicode
    }

    /// A path as seen from the working directory.
    pub(super) fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        self.directory.join(path)
    }

    /// A directory of the XDG base directory specification, which has relative values ignored.
    pub(super) fn xdg(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        self.get(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| Some(self.home()?.join(below_home)))
            .map(|base| base.join("securemcp"))
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Environment")
            .field("variables", &self.variables.keys())
            .field("directory", &self.directory)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_and_no_values() {
        let shown = format!("{:?}", Environment::new("/w", None).with("SECUREMCP_TOKEN", "hunter2"));
        assert!(shown.contains("SECUREMCP_TOKEN") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn ci_and_no_color_count_when_set_to_something() {
        let with = |name, value| Environment::default().with(name, value);
        assert!(with("CI", "true").is_ci() && with("CI", "1").is_ci());
        assert!(!with("CI", "").is_ci() && !with("CI", "false").is_ci() && !Environment::default().is_ci());
        assert!(with("NO_COLOR", "1").no_color() && !with("NO_COLOR", "").no_color());
    }

    #[test]
    fn relative_base_directories_are_ignored() {
        let environment = Environment::new("/w", Some("/home/a".into())).with("XDG_STATE_HOME", "state");
        assert_eq!(
            environment.xdg("XDG_STATE_HOME", ".local/state").unwrap(),
            Path::new("/home/a/.local/state/securemcp")
        );
        let environment = environment.with("XDG_STATE_HOME", "/state");
        assert_eq!(environment.xdg("XDG_STATE_HOME", ".local/state").unwrap(), Path::new("/state/securemcp"));
        assert_eq!(Environment::new("/w", Some("relative".into())).xdg("XDG_STATE_HOME", ".local/state"), None);
    }

    #[test]
    fn the_process_has_a_working_directory_and_a_path() {
        let environment = Environment::of_process();
        assert!(environment.directory.is_absolute());
        assert!(environment.get("PATH").is_some());
    }
}
