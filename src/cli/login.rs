//! How commands that need a token get one, and the person who logs in for it.

use std::{
    io::{self, BufRead as _, Read as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use clap::ValueEnum;
use url::Url;

use super::{asking::Asker, browser::Browser, print::Printer, surroundings::Surroundings, waiting::Turning};
use crate::client::{self, BoxFuture, DeviceCode, Person};

/// The longest line that is taken for an address, in bytes.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// How a token is got, where one is needed.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct Login {
    /// How to get a token [default: as a machine that has a key or a secret, else by a login]
    #[arg(long, value_enum)]
    grant: Option<Grant>,
    /// Log in without a browser here: print the address to go to, and take the one that the login ends at
    #[arg(long)]
    no_browser: bool,
}

/// Ways to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Grant {
    // No doc comments here: they would stretch the help of every flag over several lines.
    ClientCredentials,
    AuthorizationCode,
    DeviceCode,
}

impl Login {
    /// Tells the client room who is there, and what was asked for.
    ///
    /// Nobody is there without a terminal, or with `CI` set; but whoever asks for an address or a code on stderr has
    /// somebody who reads it.
    pub(super) fn apply(self, settings: &mut client::Settings, surroundings: &Surroundings) {
        let printer = surroundings.printer;
        let at_terminal = surroundings.has_somebody();
        let is_read_elsewhere = self.no_browser || self.grant == Some(Grant::DeviceCode);
        settings.grant = self.grant.map(|grant| match grant {
            Grant::ClientCredentials => client::Grant::ClientCredentials,
            Grant::AuthorizationCode => client::Grant::AuthorizationCode,
            Grant::DeviceCode => client::Grant::DeviceCode,
        });
        settings.person = (at_terminal || is_read_elsewhere).then(|| {
            let browser = at_terminal.then(|| self.browser(surroundings)).flatten();
            let turning = surroundings.turning.clone();
            Arc::new(Reader { printer, browser, turning, pastes: AtomicBool::new(false) }) as Arc<dyn Person>
        });
    }

    /// Who can be asked what the server wants to know, if somebody is there.
    pub(super) fn asker(self, surroundings: &Surroundings) -> Option<Asker> {
        let asker = || Asker::new(surroundings.printer, surroundings.turning.clone(), self.browser(surroundings));
        surroundings.has_somebody().then(asker)
    }

    fn browser(self, surroundings: &Surroundings) -> Option<Browser> {
        (!self.no_browser).then(|| Browser::of(&surroundings.environment))
    }
}

/// Who reads stderr, and may type.
#[derive(Debug)]
struct Reader {
    printer: Printer,
    browser: Option<Browser>,
    turning: Turning,
    /// Whether no browser was opened here, so that the address may have to be brought by hand.
    pastes: AtomicBool,
}

impl Reader {
    fn say(&self, words: &str) {
        self.turning.aside(|| self.printer.instruct(words));
    }
}

impl Person for Reader {
    fn visit<'a>(&'a self, page: &'a Url) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Some(browser) = &self.browser {
                self.turning.aside(|| self.printer.note("opening a browser to log in .."));
                if browser.open(page).await {
                    self.turning.says(Some("waiting for the login in the browser"));
                    self.turning.aside(|| self.printer.note(&format!("if none has opened, go to\n  {page}")));
                    return;
                }
            }
            self.pastes.store(true, Ordering::Relaxed);
            self.turning.keeps_still(true);
            self.say(&format!(
                "to log in, go to\n\n  {page}\n\nin a browser. If that is not on this machine, it ends at a page that \
                 it cannot show: then paste\nthe whole address of that page here and press Enter."
            ));
        })
    }

    fn pasted(&self) -> BoxFuture<'_, String> {
        if !self.pastes.load(Ordering::Relaxed) {
            return Box::pin(std::future::pending());
        }
        Box::pin(async {
            let line = tokio::task::spawn_blocking(|| {
                let mut line = String::new();
                let read = io::stdin().lock().take(MAX_LINE_BYTES).read_line(&mut line);
                read.ok().filter(|count| *count > 0).map(|_| line)
            });
            match line.await {
                Ok(Some(line)) => line,
                // Nobody types; the browser may still come by itself.
                _ => std::future::pending().await,
            }
        })
    }

    fn show_code(&self, code: &DeviceCode) {
        let rule = "-".repeat(code.user_code.chars().count() + 4);
        let complete = code.complete.as_ref().map(|page| format!("\n\nThe same with the code in it:\n\n  {page}"));
        self.say(&format!("to log in, go to\n\n  {}\n\nin any browser, and type the code", code.page));
        self.turning.aside(|| {
            self.printer.instruct(&format!("\n  +{rule}+"));
            self.printer.loudly("  |  ", &code.user_code, "  |");
            self.printer.instruct(&format!("  +{rule}+{}\n", complete.unwrap_or_default()));
            self.printer.note(&format!("It is good for {}.", in_words(code.lifetime.as_secs())));
        });
        self.turning.says(Some("waiting for the login"));
    }

    fn tell(&self, words: &str) {
        self.say(words);
    }

    fn done(&self) {
        self.turning.says(None);
        self.turning.keeps_still(false);
    }
}

fn in_words(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_told_in_words() {
        assert_eq!([in_words(90), in_words(600), in_words(1799)], ["90 seconds", "10 minutes", "29 minutes"]);
    }
}
