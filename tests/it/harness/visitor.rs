//! A browser whose person agrees to everything: it is sent to a page by the command that `BROWSER` names, or by hand.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::cli::Account;

const LIMIT: Duration = Duration::from_mins(1);

/// Where a command of this account leaves the pages that it opens.
pub(crate) struct Opener {
    pages: PathBuf,
}

/// What a browser ends at.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) html: String,
}

impl Opener {
    /// Makes the command of this account's browser, and the variable for it.
    pub(crate) fn of(account: &Account) -> (Self, String) {
        let (script, pages) = (account.home().join("browser"), account.home().join("pages"));
        // How many arguments there were, then the last of them; whole or not at all.
        let text = format!(
            "#!/bin/sh\nprintf '%s\\n%s\\n' \"$#\" \"$1\" > '{0}.new' && mv '{0}.new' '{0}'\n",
            pages.display()
        );
        fs::write(&script, text).expect("it can be written");
        fs::set_permissions(&script, Permissions::from_mode(0o700)).expect("it is there");
        (Self { pages }, script.display().to_string())
    }

    /// Whether it was never opened.
    pub(crate) fn is_closed(&self) -> bool {
        !self.pages.exists()
    }

    /// The page that it was opened at, as its only argument.
    #[track_caller]
    pub(crate) fn page(&self) -> String {
        let started = Instant::now();
        loop {
            if let Ok(text) = fs::read_to_string(&self.pages) {
                let (count, page) = text.split_once('\n').expect("two lines");
                assert_eq!(count, "1", "{text}");
                fs::remove_file(&self.pages).expect("it is there");
                return page.trim_end_matches('\n').to_owned();
            }
            assert!(started.elapsed() < LIMIT, "no browser was opened");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Where the issuer's page leads when somebody has logged in there.
pub(crate) fn back_from(page: &str) -> String {
    let answer = blocking(|http| http.get(page));
    answer.headers["location"].to_str().expect("ASCII").to_owned()
}

/// Logs in at this page, and goes where it leads.
pub(crate) fn log_in(page: &str) -> End {
    let back = back_from(page);
    blocking(|http| http.get(back))
}

/// One request, without following where it leads.
pub(crate) fn blocking(request: impl FnOnce(&reqwest::Client) -> reqwest::RequestBuilder) -> End {
    let options = securemcp::net::Options::with_timeout(Duration::from_secs(30));
    let http = securemcp::net::plain_client(&options).expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let answer = request(&http).send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        End { status, headers, html: answer.text().await.expect("a text") }
    })
}
