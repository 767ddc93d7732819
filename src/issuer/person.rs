//! What a person answers: `POST /login`, `POST /consent`, `POST /logout`.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};

use super::{
    Embedded,
    authorize::{self, see_other, with_cookie},
    browser::{BadForm, Browser},
    call::{Call, Form},
    device,
    pages::{self, Page},
    users::NotThem,
};
use crate::{
    oauth::Scopes,
    secret::Secret,
    telemetry::audit::{Event, record},
};

/// A form as a person sent it.
pub(super) struct Sent {
    pub(super) browser: Browser,
    pub(super) form: Form,
    /// The path of ours, with its query, that the form is about.
    pub(super) about: String,
}

impl Sent {
    /// Reads a form of one of our pages. It is not known yet whether it is ours.
    pub(super) fn read(issuer: &Embedded, call: &Call) -> Result<Self, Page> {
        let not_ours = |status| {
            pages::word(status, "This form cannot be used", "It did not come from a page of this server.", START_AGAIN)
        };
        // Browsers say so of every request to https and to this machine.
        let site = call.headers().get("sec-fetch-site");
        if site.is_some_and(|site| site != "same-origin") {
            return Err(not_ours(StatusCode::FORBIDDEN));
        }
        let form = call.form().map_err(|_| not_ours(StatusCode::BAD_REQUEST))?;
        let about = form.get("about").unwrap_or_default().to_owned();
        if !is_own(&about) {
            return Err(not_ours(StatusCode::BAD_REQUEST));
        }
        Ok(Self { browser: issuer.browsers.of(call.headers()), form, about })
    }

    /// Whether it is one of ours, for the first time.
    pub(super) fn check(&self, issuer: &Embedded, purpose: &str) -> Result<(), BadForm> {
        issuer.browsers.check(&self.browser, purpose, &self.about, self.form.get("form").unwrap_or_default())
    }
}

const START_AGAIN: &str = "Go back to the application and start again from there.";

/// Whether a text is one of the two pages that lead on: never another host, never another path.
fn is_own(about: &str) -> bool {
    let is_plain = about.bytes().all(|byte| byte.is_ascii_graphic());
    let path = about.split('?').next().unwrap_or_default();
    is_plain && matches!(path, authorize::PATH | device::PATH)
}

/// Why a form is not taken, in the words of a person.
pub(super) fn refused(bad: BadForm) -> Page {
    let (status, what) = match bad {
        BadForm::Foreign => {
            (StatusCode::FORBIDDEN, "It is not from this browser, or you have logged in or out meanwhile.")
        }
        BadForm::Expired => (StatusCode::BAD_REQUEST, "It lay there for too long."),
        BadForm::Sent => (StatusCode::BAD_REQUEST, "It was sent before."),
    };
    pages::word(status, "This form cannot be used any more", what, START_AGAIN)
}

pub(super) async fn log_in(State(issuer): State<Arc<Embedded>>, call: Call) -> Response {
    let sent = match Sent::read(&issuer, &call) {
        Ok(sent) => sent,
        Err(page) => return page.into_response(),
    };
    let user = sent.form.get("user").unwrap_or_default();
    let again = |status, problem: &str| {
        let page = issuer.login_page(&sent.browser, &sent.about, None, user, Some(problem));
        page.with_status(status).into_response()
    };
    if let Err(bad) = sent.check(&issuer, "login") {
        // In another tab of theirs: nothing is left to ask.
        if issuer.user_of(&sent.browser).is_some() {
            return see_other(&sent.about);
        }
        let problem = match bad {
            BadForm::Foreign => "This page was not opened in this browser, or it does not keep cookies. Try once more.",
            BadForm::Expired | BadForm::Sent => "This page was too old. Try once more.",
        };
        let status = if bad == BadForm::Foreign { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
        return with_cookie(again(status, problem), sent.browser);
    }
    let password = Secret::new(sent.form.get("password").unwrap_or_default());
    let now = issuer.settings.clock.monotonic();
    match issuer.users.check(user, password, call.sender(), now).await {
        Ok(()) => {
            record(Event::PersonLoggedIn { user });
            let browser = issuer.browsers.log_in(&sent.browser, user.to_owned());
            with_cookie(see_other(&sent.about), browser)
        }
        Err(NotThem::Wrong) => {
            record(Event::LoginFailed { user: &claimed(user), reason: "unknown user or wrong password" });
            again(StatusCode::UNAUTHORIZED, "User name or password is wrong.")
        }
        Err(NotThem::TooMany { retry_after }) => {
            record(Event::LoginFailed { user: &claimed(user), reason: "too many attempts" });
            let seconds = retry_after.as_secs() + 1;
            let problem = format!("Too many attempts. Wait for {seconds} seconds.");
            let mut response = again(StatusCode::TOO_MANY_REQUESTS, &problem);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response
        }
    }
}

pub(super) async fn log_out(State(issuer): State<Arc<Embedded>>, call: Call) -> Response {
    let sent = match Sent::read(&issuer, &call) {
        Ok(sent) => sent,
        Err(page) => return page.into_response(),
    };
    // It is a button of the form that asks for consent, and so is not taken from any other page either.
    if let Err(bad) = sent.check(&issuer, "consent") {
        return refused(bad).into_response();
    }
    issuer.browsers.log_out(&sent.browser);
    see_other(&sent.about)
}

pub(super) async fn decide(State(issuer): State<Arc<Embedded>>, call: Call) -> Response {
    let sent = match Sent::read(&issuer, &call) {
        Ok(sent) => sent,
        Err(page) => return page.into_response(),
    };
    if let Err(bad) = sent.check(&issuer, "consent") {
        return refused(bad).into_response();
    }
    // Logged out meanwhile: log in, and be asked again.
    let Some(user) = issuer.user_of(&sent.browser) else { return see_other(&sent.about) };
    let allows = sent.form.get("decision") == Some("allow");
    let Some(query) = sent.about.strip_prefix(authorize::PATH) else {
        return device::decide(&issuer, &sent.about, user, allows).into_response();
    };
    let asked = match issuer.read_authorization(query.trim_start_matches('?')).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal.into_response(),
    };
    record_decision(&asked.client.id, &user, &asked.scope, allows);
    if allows { issuer.allow(asked, user).await } else { issuer.deny(&asked) }
}

/// What somebody called themselves, for a log.
fn claimed(user: &str) -> String {
    user.chars().take(64).collect()
}

/// Leaves in the audit log what a person decided.
pub(super) fn record_decision(client: &str, user: &str, scope: &Scopes, allows: bool) {
    let scope = &scope.to_string();
    record(if allows {
        Event::ConsentGiven { client, user, scope }
    } else {
        Event::ConsentDenied { client, user, scope }
    });
}
