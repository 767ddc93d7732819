//! What people see: plain pages without scripts, in light and dark.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::json;
use url::Url;

use super::users::DEV;
use crate::{
    oauth::{RedirectUri, Scopes},
    secret::sha256_base64url,
};

const STYLE: &str = include_str!("page.css");

/// The only style that a browser applies.
static STYLE_SOURCE: LazyLock<String> = LazyLock::new(|| {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
    format!("'sha256-{}'", STANDARD.encode(digest))
});

/// Fields that nobody sees: which form this is.
pub(super) struct Hidden<'a> {
    /// What the form is about: where to go on.
    pub(super) about: &'a str,
    /// What [`super::browser::Browsers::form`] wrote.
    pub(super) form: &'a str,
}

impl Hidden<'_> {
    fn fields(&self) -> Markup {
        html! {
            input type="hidden" name="about" value=(self.about);
            input type="hidden" name="form" value=(self.form);
        }
    }
}

/// Where it goes on when the person has said yes.
pub(super) enum GoesOn<'a> {
    /// There, with the answer.
    To(&'a RedirectUri),
    /// At the device that shows this code.
    AtDevice { user_code: &'a str },
}

/// Who asks for what.
pub(super) struct Asking<'a> {
    pub(super) client_id: &'a str,
    pub(super) client_name: Option<&'a str>,
    /// The host that vouches for the name: that of a metadata document, or this server's for its own page.
    pub(super) vouched_by: Option<String>,
    pub(super) goes_on: GoesOn<'a>,
    pub(super) scopes: &'a Scopes,
    pub(super) resource: &'a str,
    pub(super) user: &'a str,
}

impl Asking<'_> {
    /// The hash of all of it: what a person says yes to.
    pub(super) fn digest(&self) -> String {
        let Self { client_id, client_name, vouched_by, goes_on, scopes, resource, user } = self;
        let goes_on = match goes_on {
            GoesOn::To(redirect_uri) => ("to", redirect_uri.as_str()),
            GoesOn::AtDevice { user_code } => ("at", *user_code),
        };
        let all = json!([client_id, client_name, vouched_by, goes_on, scopes, resource, user]);
        sha256_base64url(all.to_string().as_bytes())
    }
}

/// What a login page says.
pub(super) struct Login<'a> {
    /// What the person goes on to.
    pub(super) going_on_to: &'a str,
    /// As it was typed before.
    pub(super) user: &'a str,
    /// Why it is there again.
    pub(super) problem: Option<&'a str>,
    /// Whether there is one user, whom nobody configured.
    pub(super) is_for_development: bool,
}

/// Asks for user name and password.
pub(super) fn login(hidden: &Hidden<'_>, login: &Login<'_>) -> Page {
    let user = if login.is_for_development && login.user.is_empty() { DEV } else { login.user };
    let content = html! {
        h1 { "Log in" }
        p { "to go on to " b { (login.going_on_to) } }
        @if let Some(problem) = login.problem { p.bad role="alert" { (problem) } }
        @if login.is_for_development {
            p.note {
                "No users are configured, so there is one: " b { (DEV) } ". Its password was shown where "
                code { "securemcp serve" } " was started, and is in the file " code { "dev-password" } " of its state directory."
            }
        }
        form method="post" action="/login" {
            (hidden.fields())
            label { "User name" input name="user" value=(user) autocomplete="username" autocapitalize="none" spellcheck="false"
                required autofocus[user.is_empty()]; }
            label { "Password" input type="password" name="password" autocomplete="current-password" required
                autofocus[!user.is_empty()]; }
            button { "Log in" }
        }
    };
    Page::new("Log in", &content)
}

/// Asks whether a client may act for the person; `problem` is why it is there again.
pub(super) fn consent(hidden: &Hidden<'_>, asking: &Asking<'_>, problem: Option<&str>) -> Page {
    let name = asking.client_name.unwrap_or("An application without a name");
    let content = html! {
        h1 { "Allow “" (name) "” to use this server as " (asking.user) "?" }
        @if let Some(problem) = problem { p.bad role="alert" { (problem) } }
        @if asking.vouched_by.is_none() {
            p.note { "Anybody can give an application this name: nobody has checked it." }
        }
        dl {
            @if let Some(host) = &asking.vouched_by { div { dt { "Application of" } dd { (host) } } }
            div { dt { "It may" } @for scope in asking.scopes.iter() { dd { (told(scope)) " " small { (scope) } } } }
            div { dt { "At" } dd { (asking.resource) } }
            @match &asking.goes_on {
                GoesOn::To(redirect_uri) => div { dt { "Then goes on to" } dd { (redirect_uri.place())
                    @if redirect_uri.is_local() { small.more { "A program on the computer that you sit at. Allow it only if you have just started this there." } }
                } }
                GoesOn::AtDevice { user_code } => {
                    div { dt { "Then goes on at" } dd { "another device"
                        small.more { "Allow it only if you have just started this there yourself. Nobody else may send you such a code." }
                    } }
                    div { dt { "Code" } dd { b { (user_code) }
                        small.more { "Compare it with the one that the device shows: it has to be the same." }
                    } }
                }
            }
        }
        form.choice method="post" action="/consent" {
            (hidden.fields())
            button.second name="decision" value="deny" { "Deny" }
            button name="decision" value="allow" { "Allow" }
        }
        form.who method="post" action="/logout" {
            (hidden.fields())
            span { "Logged in as " (asking.user) }
            button { "Log out" }
        }
    };
    let page = Page::new("Allow access", &content);
    match asking.goes_on {
        // A browser counts the way back as part of what the form does.
        GoesOn::To(redirect_uri) => page.leading_to(redirect_uri),
        GoesOn::AtDevice { .. } => page,
    }
}

/// Asks for the code that a device shows.
pub(super) fn device(hidden: &Hidden<'_>, code: &str, problem: Option<&str>) -> Page {
    let content = html! {
        h1 { "Connect a device" }
        p { "Type the code that it shows." }
        @if let Some(problem) = problem { p.bad role="alert" { (problem) } }
        form method="post" action="/device" {
            (hidden.fields())
            label { "Code" input.code name="user_code" value=(code) autocomplete="off" autocapitalize="characters"
                spellcheck="false" maxlength="20" required autofocus; }
            button { "Continue" }
        }
    };
    Page::new("Connect a device", &content)
}

/// Says that it is over, or what went wrong and what to do.
pub(super) fn word(status: StatusCode, title: &str, what: &str, hint: &str) -> Page {
    let content = html! {
        h1 { (title) }
        p.bad[!status.is_success()] { (prose(what)) }
        p { (prose(hint)) }
    };
    Page::new(title, &content).with_status(status)
}

/// Says that a client's request is of no use, and leaves it to the person whether to tell the client.
pub(super) fn way_back(what: &str, place: &str, to: &Url) -> Page {
    let content = html! {
        h1 { "The application's request cannot be used" }
        p.bad { (prose(what)) }
        p { a href=(to) { "Tell the application at " (place) } ", or close this page." }
    };
    Page::new("Request refused", &content).with_status(StatusCode::BAD_REQUEST)
}

/// Words in which backticks mark what is not ours.
fn prose(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// What a scope lets a client do, in the words of a person.
fn told(scope: &str) -> &str {
    match scope {
        "mcp:read" => "call tools that only look",
        "mcp:write" => "call tools that change something",
        "mcp:infer" => "call tools that ask your model",
        _ => "do what needs",
    }
}

/// A page, not sent yet.
pub(super) struct Page {
    status: StatusCode,
    html: Markup,
    form_action: String,
}

impl Page {
    fn new(title: &str, content: &Markup) -> Self {
        let html = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) " - securemcp" }
                    style { (PreEscaped(STYLE)) }
                }
                body { main { (content) } }
            }
        };
        Self { status: StatusCode::OK, html, form_action: "'self'".to_owned() }
    }

    /// The same page as another answer.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Lets its forms end there.
    fn leading_to(self, redirect_uri: &RedirectUri) -> Self {
        let source = redirect_uri.csp_source();
        Self { form_action: format!("'self' {source}"), ..self }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let policy = format!(
            "default-src 'none'; style-src {}; form-action {}; frame-ancestors 'none'; base-uri 'none'",
            *STYLE_SOURCE, self.form_action
        );
        let policy = HeaderValue::try_from(policy).expect("a redirect URI is visible ASCII");
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, policy),
        ];
        (self.status, headers, self.html.into_string()).into_response()
    }
}
