//! Opens a page in the person's browser: a program with arguments, never a shell.

use std::{process::Stdio, time::Duration};

use tokio::process::Command;
use url::Url;

use crate::config::Environment;

/// A program that fails does so at once; one that still runs after this long is the browser itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// What opens pages, in the order to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Browser(Vec<Vec<String>>);

impl Browser {
    /// What `BROWSER` names, else what the system has. Without a screen the system has none: it would take over the
    /// terminal.
    pub(super) fn of(environment: &Environment) -> Self {
        if let Some(named) = environment.get("BROWSER") {
            let commands = named.split(':').filter_map(shlex::split);
            return Self(commands.filter(|command| !command.is_empty()).collect());
        }
        let one = |program: &str| Self(vec![vec![program.to_owned()]]);
        let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| environment.get(name).is_some());
        match std::env::consts::OS {
            "macos" => one("open"),
            _ if has_screen => one("xdg-open"),
            _ => Self(Vec::new()),
        }
    }

    /// Opens the page; whether a program took it. The page was checked: it is http or https.
    pub(super) async fn open(&self, page: &Url) -> bool {
        for command in &self.0 {
            if run(&arguments(command, page)).await {
                return true;
            }
        }
        false
    }
}

/// The page takes the place of `%s`, else it comes last.
fn arguments(command: &[String], page: &Url) -> Vec<String> {
    let mut words: Vec<_> = command.iter().map(|word| word.replace("%s", page.as_str())).collect();
    if words == command {
        words.push(page.to_string());
    }
    words
}

async fn run(words: &[String]) -> bool {
    let Some((program, arguments)) = words.split_first() else { return false };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Ctrl-C is for us.
    command.process_group(0);
    let Ok(mut child) = command.spawn() else { return false };
    match tokio::time::timeout(PATIENCE, child.wait()).await {
        Ok(ended) => ended.is_ok_and(|status| status.success()),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Url {
        Url::parse("https://auth.example/authorize?x=$(touch%20p)&y=`id`;reboot").unwrap()
    }

    fn commands(browser: &str) -> Vec<Vec<String>> {
        Browser::of(&Environment::default().with("BROWSER", browser)).0
    }

    #[test]
    fn c01_the_page_is_one_argument_and_no_shell_reads_it() {
        let words = arguments(&["firefox".to_owned(), "--new-window".to_owned()], &page());
        assert_eq!(words, ["firefox", "--new-window", page().as_str()]);
        let words = arguments(&["x".to_owned(), "--url=%s".to_owned(), "-q".to_owned()], &page());
        assert_eq!(words, ["x".to_owned(), format!("--url={}", page()), "-q".to_owned()]);
    }

    #[test]
    fn what_is_named_goes_before_what_the_system_has() {
        assert_eq!(commands("a:b 'c d' %s"), [vec!["a"], vec!["b", "c d", "%s"]]);
        assert_eq!(commands("::"), Vec::<Vec<String>>::new());
        let bare = Environment::default();
        let screen = Browser::of(&bare.clone().with("DISPLAY", ":0")).0;
        assert_eq!(screen.len(), 1);
        if std::env::consts::OS == "linux" {
            assert_eq!(Browser::of(&bare), Browser(Vec::new()));
        }
    }

    #[tokio::test]
    async fn the_next_one_is_tried_when_one_fails() {
        let folder = tempfile::tempdir().unwrap();
        let seen = folder.path().join("seen");
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let touch = words(&format!("touch {}", seen.display()));
        // `touch` takes the page for a second file, in a directory that is not there.
        let browser = Browser(vec![words("/nowhere/browser"), words("false"), touch]);
        assert!(!browser.open(&page()).await);
        assert!(seen.exists(), "it was tried last");
        assert!(Browser(vec![words("false"), words("true")]).open(&page()).await);
        assert!(!Browser(Vec::new()).open(&page()).await);
    }
}
