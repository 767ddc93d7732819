//! What a person answers: `POST /login`, `POST /consent`, `POST /logout`.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};

use super::{
    Embedded,
    authorize::{self, Again, see_other, with_cookie},
    browser::{BadForm, Browser},
    call::{Call, Form},
    device,
    pages::{self, Asking, Page},
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
    pub(super) form: Arc<Form>,
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

    /// What was shown with it, if it is one of ours, for the first time.
    pub(super) fn check(&self, issuer: &Embedded, purpose: &str) -> Result<&str, BadForm> {
        issuer.browsers.check(&self.browser, purpose, &self.about, self.form.get("form").unwrap_or_default())
    }

    /// Whether what is asked for is what was `shown`, else the page as it has to be now: who registered a client, or serves
    /// its document, changes it when he likes, and a person decides on what they saw.
    pub(super) fn check_shown(&self, issuer: &Embedded, shown: &str, asking: &Asking<'_>) -> Result<(), Page> {
        if asking.digest() == shown {
            return Ok(());
        }
        record(Event::IssuerRefused {
            endpoint: "consent",
            client: asking.client_id,
            reason: "what is asked for is not what the person saw",
        });
        let problem = "The application has changed since you saw this page: this is what it asks for now.";
        let page = issuer.consent_page(&self.browser, &self.about, asking, Some(problem));
        Err(page.with_status(StatusCode::CONFLICT))
    }

    /// Whether the person said yes.
    pub(super) fn allows(&self) -> bool {
        self.form.get("decision") == Some("allow")
    }
}

const START_AGAIN: &str = "Go back to the application and start again from there.";

/// Whether a text is one of the two pages that lead on: never another host, never another path.
fn is_own(about: &str) -> bool {
    let is_plain = about.bytes().all(|byte| byte.is_ascii_graphic());
    let path = about.split('?').next().unwrap_or_default();
    is_plain && matches!(path, authorize::PATH | device::PATH)
}

/// The query of an authorization request, if the form is about one.
fn authorization_in(about: &str) -> Option<&str> {
    about.strip_prefix(authorize::PATH).map(|query| query.trim_start_matches('?'))
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
    let going_on_to = match authorization_in(&sent.about) {
        Some(query) => match issuer.read_authorization(query, call.sender()).await {
            Ok(asked) => asked.client.name.clone(),
            Err(refusal) => return refusal.into_response(),
        },
        None => Some(device::GOING_ON.to_owned()),
    };
    let again = |status, problem: &str| {
        let again = Again { user, problem: Some(problem) };
        let page = issuer.login_page(&sent.browser, &sent.about, going_on_to.as_deref(), &again);
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
    let shown = match sent.check(&issuer, "consent") {
        Ok(shown) => shown,
        Err(bad) => return refused(bad).into_response(),
    };
    // Logged out meanwhile: log in, and be asked again.
    let Some(user) = issuer.user_of(&sent.browser) else { return see_other(&sent.about) };
    let Some(query) = authorization_in(&sent.about) else {
        return device::decide(&issuer, &sent, shown, user).into_response();
    };
    let asked = match issuer.read_authorization(query, call.sender()).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal.into_response(),
    };
    if let Err(page) = sent.check_shown(&issuer, shown, &asked.asking(&user)) {
        return page.into_response();
    }
    let allows = sent.allows();
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

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        issuer::testing::{FORM, Fixture, JSON, Person, authorization},
        net::testing::{Answer, Site},
    };

    #[tokio::test]
    async fn a25_a_form_without_the_text_of_this_browser_decides_nothing() {
        let issuer = Fixture::new();
        let id = issuer.public_client().await;
        let path = authorization(&id, &[]);
        let mut person = Person::logged_in(&issuer).await;
        let mut other = Person::logged_in(&issuer).await;
        let page = person.get(&path).await;
        let (about, form) = page.hidden();
        let others = other.get(&path).await.hidden().1;
        let about_more = person.get(&authorization(&id, &[("scope", "mcp:read mcp:write")])).await.hidden().0;
        let login = Person::new(&issuer).get(&path).await.hidden().1;
        for (about, form) in [
            (&about, ""),
            (&about, "x"),
            (&about, "9999999999.x.y"),
            (&about, "9999999999.x.y.z"),
            (&about, &*others),
            (&about, &*login),
            (&about_more, &*form),
        ] {
            let fields = [("about", about.as_str()), ("form", form), ("decision", "allow")];
            let answer = person.post("/consent", &fields).await;
            assert_eq!((answer.status, answer.header("location")), (StatusCode::FORBIDDEN, ""), "{form}");
        }
        assert!(issuer.files("grants").is_empty());
        // The same form without the cookie, and from another site.
        let fields = [("about", about.as_str()), ("form", &form), ("decision", "allow")];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let cookie = person.cookie.clone().unwrap();
        for headers in [
            &[FORM][..],
            &[FORM, ("cookie", &cookie), ("sec-fetch-site", "cross-site")],
            &[FORM, ("cookie", &cookie), ("sec-fetch-site", "same-site")],
            &[FORM, ("cookie", &cookie), ("sec-fetch-site", "none")],
        ] {
            let answer = issuer.send(Method::POST, "/consent", headers, &body).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?}");
        }
        assert!(issuer.files("grants").is_empty());
        let answer = issuer.send(Method::POST, "/consent", &[FORM, ("cookie", &cookie)], &body).await;
        assert!(answer.sent_back()["code"].is_string(), "the twin: an old browser that says nothing of sites");
        // To look never grants.
        assert_eq!(issuer.send(Method::GET, "/consent", &[("cookie", &cookie)], "").await.status.as_u16(), 405);
        assert_eq!(issuer.files("grants").len(), 1);
    }

    #[tokio::test]
    async fn a25_a_yes_is_to_what_the_page_showed_also_when_the_client_changes_meanwhile() {
        let issuer = Fixture::new();
        let mut person = Person::logged_in(&issuer).await;
        let there = "https://app.example/callback";
        for (change, now_shown, now_at) in [
            (json!({"redirect_uris": ["https://evil.example/steal"]}), "evil.example", "https://evil.example/steal"),
            // The same host: the page looks the same, and the code would go elsewhere.
            (json!({"redirect_uris": ["https://app.example/other"]}), "app.example", "https://app.example/other"),
            (json!({"client_name": "Bank"}), "Allow “Bank”", there),
            (json!({"scope": "mcp:write"}), "<small>mcp:write</small>", there),
        ] {
            let mut metadata = json!({"client_name": "Editor", "token_endpoint_auth_method": "none",
                "redirect_uris": [there], "scope": "mcp:read mcp:write"});
            let client = issuer.send(Method::POST, "/register", &[JSON], &metadata.to_string()).await.json;
            let id = client["client_id"].as_str().unwrap();
            let token = client["registration_access_token"].as_str().unwrap();
            let path = authorization(id, &[("redirect_uri", ""), ("scope", "")]);
            let (first, second) = (person.get(&path).await, person.get(&path).await);
            metadata["client_id"] = json!(id);
            let same = issuer.update_registration(&format!("/register/{id}"), token, &metadata).await;
            assert_eq!(same.status, StatusCode::OK, "{}", same.json);
            let unchanged = person.get(&path).await;
            let back = person.decide(&unchanged, "allow").await;
            assert!(back.header("location").starts_with(&format!("{there}?code=")), "the twin: {}", back.text);

            let grants = issuer.files("grants").len();
            let token = same.json["registration_access_token"].as_str().unwrap();
            metadata.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let changed = issuer.update_registration(&format!("/register/{id}"), token, &metadata).await;
            assert_eq!(changed.status, StatusCode::OK, "{}", changed.json);
            let mut again = Vec::new();
            for (page, decision) in [(&first, "allow"), (&second, "deny")] {
                let answer = person.decide(page, decision).await;
                assert_eq!((answer.status, answer.header("location")), (StatusCode::CONFLICT, ""), "{change}");
                assert!(
                    answer.text.contains("has changed since") && answer.text.contains(now_shown),
                    "{}",
                    answer.text
                );
                again.push(answer);
            }
            assert_eq!(issuer.files("grants").len(), grants, "{change}");
            let back = person.decide(&again[0], "allow").await;
            assert!(back.header("location").starts_with(&format!("{now_at}?code=")), "now they have seen it");
        }
    }

    #[tokio::test]
    async fn a25_a_yes_is_to_what_the_page_showed_also_when_a_document_changes_meanwhile() {
        let issuer = Fixture::with(|settings| settings.cimd_allow_loopback = true);
        let site = Site::http(Answer::json("{}")).await;
        let id = format!("http://{}/client.json", site.address);
        let serve = |change: Value| {
            let mut document = json!({"client_id": id, "client_name": "Notes", "scope": "mcp:read",
                "redirect_uris": ["https://notes.example/callback"]});
            document.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            site.answer(Answer::json(document.to_string()));
        };
        let path = authorization(&id, &[("redirect_uri", ""), ("scope", "")]);
        let mut person = Person::logged_in(&issuer).await;
        for (change, now_shown) in [
            (json!({}), None),
            (json!({"scope": "mcp:read mcp:write"}), Some("<small>mcp:write</small>")),
            (json!({"redirect_uris": ["https://evil.example/steal"]}), Some("evil.example")),
            (json!({"client_name": "Bank"}), Some("Allow “Bank”")),
        ] {
            serve(json!({}));
            issuer.advance(600);
            let page = person.get(&path).await;
            let grants = issuer.files("grants").len();
            serve(change);
            issuer.advance(600);
            let answer = person.decide(&page, "allow").await;
            let Some(now_shown) = now_shown else {
                assert!(answer.sent_back()["code"].is_string(), "the twin");
                continue;
            };
            assert_eq!((answer.status, answer.header("location")), (StatusCode::CONFLICT, ""), "{now_shown}");
            assert!(answer.text.contains("has changed since") && answer.text.contains(now_shown), "{}", answer.text);
            assert_eq!(issuer.files("grants").len(), grants, "{now_shown}");
        }
    }

    #[tokio::test]
    async fn a26_two_tabs_and_a_page_opened_twice_work_and_a_form_works_once() {
        let issuer = Fixture::new();
        let id = issuer.public_client().await;
        let path = authorization(&id, &[]);
        let mut person = Person::logged_in(&issuer).await;
        let (first, second) = (person.get(&path).await, person.get(&path).await);
        assert!(person.decide(&first, "allow").await.sent_back()["code"].is_string());
        assert!(person.decide(&second, "allow").await.sent_back()["code"].is_string());
        // The back button, and the form again.
        let again = person.decide(&first, "allow").await;
        assert_eq!((again.status, again.header("location")), (StatusCode::BAD_REQUEST, ""));
        assert!(again.text.contains("was sent before") && again.text.contains("start again"), "{}", again.text);
        assert_eq!(issuer.files("grants").len(), 2);
    }

    #[tokio::test]
    async fn a_form_that_lay_too_long_is_refused() {
        let issuer = Fixture::new();
        let id = issuer.public_client().await;
        let path = authorization(&id, &[]);
        let mut person = Person::logged_in(&issuer).await;
        let page = person.get(&path).await;
        issuer.advance(899);
        assert!(person.decide(&page, "allow").await.sent_back()["code"].is_string(), "the twin");
        let page = person.get(&path).await;
        issuer.advance(900);
        let answer = person.decide(&page, "allow").await;
        assert!(answer.status == StatusCode::BAD_REQUEST && answer.text.contains("too long"), "{}", answer.text);

        let mut person = Person::new(&issuer);
        let page = person.get(&path).await;
        issuer.advance(900);
        let again = person.log_in(&page, "dev", &issuer.password()).await;
        assert!(again.status == StatusCode::BAD_REQUEST && again.text.contains("Try once more"), "{}", again.text);
        assert_eq!(person.log_in(&again, "dev", &issuer.password()).await.header("location"), path);
    }

    #[tokio::test]
    async fn a_login_in_another_tab_is_a_login_in_this_one() {
        let issuer = Fixture::new();
        let id = issuer.public_client().await;
        let path = authorization(&id, &[]);
        let mut person = Person::new(&issuer);
        let (first, second) = (person.get(&path).await, person.get(&path).await);
        assert_eq!(person.log_in(&first, "dev", &issuer.password()).await.header("location"), path);
        let answer = person.log_in(&second, "dev", "not even right").await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, path.as_str()));
    }

    #[tokio::test]
    async fn a27_a_login_leads_to_our_own_pages_only() {
        let issuer = Fixture::new();
        let mut person = Person::new(&issuer);
        let page = person.get("/device").await;
        let (_, form) = page.hidden();
        let password = issuer.password();
        for about in [
            "//evil.example",
            "https://evil.example/",
            "/device.evil",
            "/devices",
            "/\\evil.example",
            "",
            "/token",
            "/device\r\nlocation: x",
            "/device?\u{e9}",
            "device",
        ] {
            let fields = [("about", about), ("form", &form), ("user", "dev"), ("password", &password)];
            let answer = person.post("/login", &fields).await;
            assert_eq!((answer.status, answer.header("location")), (StatusCode::BAD_REQUEST, ""), "{about}");
        }
        let answer = person.log_in(&page, "dev", &password).await;
        assert_eq!(answer.header("location"), "/device", "the twin");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_password_is_refused_limited_and_says_nothing_of_who_exists() {
        let issuer = Fixture::new();
        let id = issuer.public_client().await;
        let mut person = Person::new(&issuer);
        let mut page = person.get(&authorization(&id, &[])).await;
        let mut texts = Vec::new();
        for (user, password) in [("dev", "wrong"), ("nobody", &*issuer.password()), ("dev", ""), ("", ""), ("Dev", "x")]
        {
            page = person.log_in(&page, user, password).await;
            assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{user}");
            assert!(page.text.contains("<b>Editor</b>") && page.text.contains("is wrong"), "{}", page.text);
            texts.push(page.text.matches("is wrong").count());
            assert!(!person.get("/device").await.text.contains("Connect a device"));
        }
        assert!(texts.iter().all(|count| *count == 1));
        for _ in 0..5 {
            page = person.log_in(&page, "dev", "wrong").await;
        }
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "the tenth");
        let closed = person.log_in(&page, "dev", &issuer.password()).await;
        assert_eq!(closed.status, StatusCode::TOO_MANY_REQUESTS, "even the right one");
        assert_eq!(closed.header("retry-after"), "61");
        issuer.advance(60);
        assert_eq!(person.log_in(&closed, "dev", &issuer.password()).await.status, StatusCode::SEE_OTHER);
    }

    #[tokio::test]
    async fn a_login_renames_the_browser_and_ends_by_itself_or_at_the_button() {
        let issuer = Fixture::new();
        let id = issuer.public_client().await;
        let path = authorization(&id, &[]);
        let mut person = Person::new(&issuer);
        let page = person.get(&path).await;
        let before = person.cookie.clone();
        person.log_in(&page, "dev", &issuer.password()).await;
        assert_ne!(person.cookie, before, "who knew the old name knows nothing");
        let mut old = Person { issuer: &issuer, cookie: before };
        assert!(old.get(&path).await.text.contains("<h1>Log in</h1>"));
        let page = person.get(&path).await;
        assert!(page.text.contains("Logged in as dev"));
        let (about, form) = page.hidden();
        assert_eq!(person.post("/logout", &[("about", &about), ("form", "x")]).await.status, StatusCode::FORBIDDEN);
        assert!(person.get(&path).await.text.contains("Logged in as dev"));
        assert_eq!(person.post("/logout", &[("about", &about), ("form", &form)]).await.header("location"), path);
        assert!(person.get(&path).await.text.contains("<h1>Log in</h1>"));

        let mut person = Person::logged_in(&issuer).await;
        issuer.advance(12 * 3600 - 1);
        assert!(person.get(&path).await.text.contains("Logged in as dev"));
        issuer.advance(1);
        assert!(person.get(&path).await.text.contains("<h1>Log in</h1>"));
    }

    #[tokio::test]
    async fn the_cookie_is_for_this_server_and_no_script() {
        for (issuer, cookie) in [
            ("http://127.0.0.1:8000", "securemcp-8000=; Path=/; HttpOnly; SameSite=Lax"),
            ("https://mcp.example", "__Host-securemcp=; Path=/; HttpOnly; SameSite=Lax; Secure"),
        ] {
            let issuer = Fixture::new().restarted_as(issuer);
            let set = issuer.send(Method::GET, "/device", &[], "").await.header("set-cookie").to_owned();
            let (name, rest) = set.split_once('=').unwrap();
            assert_eq!(format!("{name}={}", &rest[43..]), cookie);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn users_of_the_configuration_log_in_with_their_passwords() {
        use argon2::{Argon2, PasswordHasher as _, password_hash::phc::PasswordHash};
        // As docs/PEOPLE.md has it made.
        let alice = "$argon2id$v=19$m=65536,t=3,p=1$\
            ZTAxNDZmNjVmMmVmMWQ4ZjE5NDEzODE5NTkyOTY4YWE$DgFmttlOZfxODhwTDxMEyjvKXWjV94V8Fc5ajmDuY1w"
            .to_owned();
        let bob: PasswordHash =
            Argon2::default().hash_password_with_salt(b"battery staple", b"salt of 16 bytes").unwrap();
        let bob = bob.to_string();
        let issuer = Fixture::with(|settings| {
            settings.users.extend([("alice".to_owned(), alice), ("bob".to_owned(), bob)]);
        });
        let id = issuer.public_client().await;
        for (user, password, is_good) in [
            ("alice", "correct horse", true),
            ("bob", "battery staple", true),
            ("alice", "battery staple", false),
            ("bob", "", false),
            ("dev", "correct horse", false),
        ] {
            let mut person = Person::new(&issuer);
            let page = person.get(&authorization(&id, &[])).await;
            assert!(!page.text.contains("dev-password"));
            let answer = person.log_in(&page, user, password).await;
            let expected = if is_good { StatusCode::SEE_OTHER } else { StatusCode::UNAUTHORIZED };
            assert_eq!(answer.status, expected, "{user}");
        }
        assert!(!issuer.state.names().unwrap().contains(&"dev-password".to_owned()));
    }
}
