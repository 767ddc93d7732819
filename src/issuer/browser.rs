//! The browser of a person: who has logged in there, and which forms are ours.
//!
//! One cookie names the browser. Every form carries a text that only this issuer can have written, for this browser, for
//! this very form, and for once: a page of somebody else's can neither make one nor use one twice.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, header};

use super::seal::Seal;
use crate::{clock::SharedClock, oauth::Issuer, secret::Secret, store::Expiring};

/// How long a person is remembered, from the login on.
const LOGIN_LIFETIME: Duration = Duration::from_hours(12);
/// How long a form may lie before it is sent.
const FORM_LIFETIME: Duration = Duration::from_mins(15);
/// Logins that are remembered. When there are as many, the one that would end first ends.
const MAX_LOGINS: usize = 1000;

/// What is known of browsers. It dies with the process: people log in again.
pub(super) struct Browsers {
    clock: SharedClock,
    cookie: String,
    is_secure: bool,
    seal: Seal,
    logins: Mutex<HashMap<String, Login>>,
    sent_forms: Mutex<Expiring>,
}

struct Login {
    user: String,
    /// Seconds since the epoch.
    until: u64,
}

/// One browser, known or new.
pub(super) struct Browser {
    id: Secret,
    /// What to tell it, if it does not know it yet.
    pub(super) set_cookie: Option<HeaderValue>,
}

/// Why a form is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadForm {
    /// Of another page, or another browser.
    Foreign,
    /// It lay for too long.
    Expired,
    /// It was sent before.
    Sent,
}

impl Browsers {
    pub(super) fn new(issuer: &Issuer, clock: SharedClock) -> Self {
        let url = issuer.url();
        let is_secure = url.scheme() == "https";
        // Cookies do not know ports: two servers on one machine must not overwrite each other's.
        let port = url.port_or_known_default().unwrap_or_default();
        let cookie = if is_secure { "__Host-securemcp".to_owned() } else { format!("securemcp-{port}") };
        let (logins, sent_forms) = (Mutex::default(), Mutex::default());
        Self { clock, cookie, is_secure, seal: Seal::fresh(), logins, sent_forms }
    }

    /// The browser that a request comes from.
    pub(super) fn of(&self, headers: &HeaderMap) -> Browser {
        match self.id_in(headers) {
            Some(id) => Browser { id, set_cookie: None },
            None => self.new_browser(),
        }
    }

    /// Who has logged in there.
    pub(super) fn user(&self, browser: &Browser) -> Option<String> {
        let now = self.now();
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.get(&browser.id.sha256()).filter(|login| login.until > now).map(|login| login.user.clone())
    }

    /// Remembers a login, under a new name of the browser: whoever knew the old one knows nothing.
    pub(super) fn log_in(&self, browser: &Browser, user: String) -> Browser {
        self.log_out(browser);
        let browser = self.new_browser();
        let now = self.now();
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.retain(|_, login| login.until > now);
        let is_full = logins.len() >= MAX_LOGINS;
        if let Some(first) = logins.iter().filter(|_| is_full).min_by_key(|(_, login)| login.until) {
            let first = first.0.clone();
            logins.remove(&first);
        }
        logins.insert(browser.id.sha256(), Login { user, until: now + LOGIN_LIFETIME.as_secs() });
        browser
    }

    /// Forgets the login.
    pub(super) fn log_out(&self, browser: &Browser) {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).remove(&browser.id.sha256());
    }

    /// What a form has to carry: `purpose` is which one, `subject` what it is about, and `shown` the hash of what else
    /// the person reads there, if that may change meanwhile.
    pub(super) fn form(&self, browser: &Browser, purpose: &str, subject: &str, shown: &str) -> String {
        let (until, once) = ((self.now() + FORM_LIFETIME.as_secs()).to_string(), Secret::random());
        let once = &once.expose()[..22];
        let seal = self.seal.of(&[browser.id.expose(), purpose, subject, shown, &until, once]);
        format!("{until}.{once}.{shown}.{seal}")
    }

    /// What was shown with a form, if it is one of these, for the first time.
    pub(super) fn check<'a>(
        &self,
        browser: &Browser,
        purpose: &str,
        subject: &str,
        form: &'a str,
    ) -> Result<&'a str, BadForm> {
        let parts: Result<[&str; 4], _> = form.split('.').collect::<Vec<_>>().try_into();
        let [until, once, shown, seal] = parts.map_err(|_| BadForm::Foreign)?;
        if !self.seal.is_of(&[browser.id.expose(), purpose, subject, shown, until, once], seal) {
            return Err(BadForm::Foreign);
        }
        let (until, now) = (until.parse().unwrap_or(0), self.now());
        if until <= now {
            return Err(BadForm::Expired);
        }
        let mut sent = self.sent_forms.lock().unwrap_or_else(PoisonError::into_inner);
        sent.prune(now);
        if sent.insert(once, until) { Ok(shown) } else { Err(BadForm::Sent) }
    }

    fn id_in(&self, headers: &HeaderMap) -> Option<Secret> {
        let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, id) = pairs.find(|(name, _)| *name == self.cookie)?;
        (id.len() == 43).then(|| Secret::new(id))
    }

    fn new_browser(&self) -> Browser {
        let id = Secret::random();
        let secure = if self.is_secure { "; Secure" } else { "" };
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Lax{secure}", self.cookie, id.expose());
        let mut cookie = HeaderValue::try_from(cookie).expect("base64url and literals");
        cookie.set_sensitive(true);
        Browser { id, set_cookie: Some(cookie) }
    }

    fn now(&self) -> u64 {
        self.clock.since_epoch().as_secs()
    }
}
