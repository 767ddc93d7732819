//! Logging in on another device: RFC 8628.
//!
//! Requests are kept in memory only: a device that asks after a restart hears that its code has expired, and begins anew.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};

use super::{
    Embedded, RouteError,
    attempts::Attempts,
    authorize::{Again, see_other, with_cookie},
    browser::Browser,
    call::{Call, Form},
    client::{Client, GrantType, Proof},
    client_auth::Credentials,
    grants::{Granted, InUse},
    metadata::endpoint,
    pages::{self, Asking, GoesOn, Hidden, Page},
    person::{Sent, record_decision, refused},
    token::{asked_scope, resource_named},
};
use crate::{
    oauth::{ErrorCode, Resource, Scopes, device::DeviceAuthorization},
    secret::{Secret, sha256_base64url},
};

pub(super) const PATH: &str = "/device";
/// What somebody goes on to who logs in here.
pub(super) const GOING_ON: &str = "a device that waits for you";
/// How long a person has.
const LIFETIME: Duration = Duration::from_mins(10);
/// Least time between two polls.
const INTERVAL: Duration = Duration::from_secs(5);
/// Devices that wait at once.
const MAX_WAITING: usize = 1000;
/// Codes that one person may get wrong within a minute: there are 2^32.
const MAX_WRONG: u32 = 10;
/// Consonants that nobody takes for another one, and no words (RFC 8628 section 6.1).
const LETTERS: &[u8; 16] = b"BCDFGHJKLMNPQRST";
const CODE_LENGTH: usize = 8;

/// The devices that wait.
pub(super) struct Devices {
    /// By the SHA-256 of the device code.
    waiting: Mutex<HashMap<String, Waiting>>,
    wrong: Mutex<Attempts>,
}

#[derive(Clone)]
struct Waiting {
    client: Arc<Client>,
    user_code: String,
    resource: Resource,
    scope: Scopes,
    /// Of the monotonic clock, as all times here.
    until: Duration,
    interval: Duration,
    polled: Option<Duration>,
    decision: Option<Decision>,
}

impl Waiting {
    /// What the person is shown of it.
    fn asking<'a>(&'a self, user: &'a str) -> Asking<'a> {
        Asking {
            client_id: &self.client.id,
            client_name: self.client.name.as_deref(),
            vouched_by: None,
            goes_on: GoesOn::AtDevice { user_code: &self.user_code },
            scopes: &self.scope,
            resource: self.resource.as_str(),
            user,
        }
    }
}

#[derive(Clone)]
enum Decision {
    AllowedBy(String),
    Denied,
}

impl Default for Devices {
    fn default() -> Self {
        Self { waiting: Mutex::default(), wrong: Mutex::new(Attempts::new(MAX_WRONG)) }
    }
}

impl Devices {
    fn add(&self, device_code: &Secret, device: Waiting, now: Duration) -> Result<(), RouteError> {
        let mut waiting = self.waiting();
        waiting.retain(|_, device| device.until > now);
        if waiting.len() >= MAX_WAITING {
            return Err(RouteError::Full("too many devices wait for a person; try again in some minutes"));
        }
        waiting.insert(device_code.sha256(), device);
        Ok(())
    }

    /// The device of this code, if nobody has decided yet.
    fn undecided(&self, user_code: &str, now: Duration) -> Option<Waiting> {
        let waiting = self.waiting();
        let is_it =
            |device: &&Waiting| device.user_code == user_code && device.until > now && device.decision.is_none();
        waiting.values().find(is_it).cloned()
    }

    fn decide(&self, user_code: &str, decision: Decision, now: Duration) -> bool {
        let mut waiting = self.waiting();
        let found = waiting
            .values_mut()
            .find(|device| device.user_code == user_code && device.until > now && device.decision.is_none());
        found.map(|device| device.decision = Some(decision)).is_some()
    }

    /// What a device hears that asks again; an allowed one is taken, and so allowed once.
    fn poll(&self, device_code: &str, client_id: &str, now: Duration) -> Result<(Waiting, String), RouteError> {
        const EXPIRED: RouteError = RouteError::Device {
            code: ErrorCode::ExpiredToken,
            words: "the device code is unknown or expired; ask for a new one",
        };
        let mut waiting = self.waiting();
        let name = sha256_base64url(device_code.as_bytes());
        let device = waiting.get_mut(&name).filter(|device| device.until > now).ok_or(EXPIRED)?;
        if device.client.id != client_id {
            return Err(RouteError::InvalidGrant("the device code was given to another client"));
        }
        let too_soon = device.polled.replace(now).is_some_and(|polled| now < polled + device.interval);
        match device.decision.clone() {
            None if too_soon => {
                device.interval += INTERVAL;
                let words = "poll five seconds less often than before";
                Err(RouteError::Device { code: ErrorCode::SlowDown, words })
            }
            None => {
                let words = "nobody has decided yet; poll again";
                Err(RouteError::Device { code: ErrorCode::AuthorizationPending, words })
            }
            Some(Decision::Denied) => {
                waiting.remove(&name);
                Err(RouteError::Device { code: ErrorCode::AccessDenied, words: "the person said no" })
            }
            Some(Decision::AllowedBy(user)) => Ok((waiting.remove(&name).expect("it was there"), user)),
        }
    }

    /// What was taken in vain.
    fn put_back(&self, device_code: &str, device: Waiting) {
        self.waiting().insert(sha256_base64url(device_code.as_bytes()), device);
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `POST /device_authorization`: a device asks for a code (RFC 8628 section 3.1).
pub(super) async fn authorize(
    State(issuer): State<Arc<Embedded>>,
    call: Call,
) -> Result<Json<DeviceAuthorization>, RouteError> {
    issuer.begin_device(&call).map(Json).map_err(|error| call.refused("device_authorization", error))
}

/// `GET /device`: the page that a person types the code into, or comes to with it.
pub(super) async fn get(
    State(issuer): State<Arc<Embedded>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let browser = issuer.browsers.of(&headers);
    let code = user_code_in(&query.unwrap_or_default());
    let page = issuer.device_page(&browser, &code);
    with_cookie(page.into_response(), browser)
}

/// `POST /device`: a person has typed a code.
pub(super) async fn post(State(issuer): State<Arc<Embedded>>, call: Call) -> Response {
    let sent = match Sent::read(&issuer, &call) {
        Ok(sent) => sent,
        Err(page) => return page.into_response(),
    };
    if let Err(bad) = sent.check(&issuer, "device") {
        return refused(bad).into_response();
    }
    see_other(&about(&normal(sent.form.get("user_code").unwrap_or_default())))
}

/// The person has decided, on what was `shown`.
pub(super) fn decide(issuer: &Embedded, sent: &Sent, shown: &str, user: String) -> Page {
    let code = user_code_in(sent.about.split_once('?').map_or("", |(_, query)| query));
    let now = issuer.settings.clock.monotonic();
    let Some(device) = issuer.devices.undecided(&code, now) else { return unknown_code() };
    if let Err(page) = sent.check_shown(issuer, shown, &device.asking(&user)) {
        return page;
    }
    let allows = sent.allows();
    record_decision(&device.client.id, &user, &device.scope, allows);
    let decision = if allows { Decision::AllowedBy(user) } else { Decision::Denied };
    match (issuer.devices.decide(&code, decision, now), allows) {
        (true, true) => pages::word(StatusCode::OK, "Done", "The device is connected.", "You can close this page."),
        (true, false) => pages::word(StatusCode::OK, "Denied", "The device gets nothing.", "You can close this page."),
        (false, _) => unknown_code(),
    }
}

fn unknown_code() -> Page {
    let hint = "Let the device show a new one.";
    pages::word(StatusCode::BAD_REQUEST, "No device waits with this code", "It has expired, or was used.", hint)
}

impl Embedded {
    fn begin_device(&self, call: &Call) -> Result<DeviceAuthorization, RouteError> {
        let form = call.form()?;
        let client = self.authenticate(&Credentials::read(call, &form)?, call.sender())?;
        if !client.may(GrantType::DeviceCode) {
            return Err(RouteError::UnauthorizedClient(
                "the client did not register for the device grant, which takes the initial access token",
            ));
        }
        let resource = resource_named(&mut form.all("resource"), &self.settings.resources)?.clone();
        let scope = asked_scope(&form, &client.scope)?;
        let now = self.settings.clock.monotonic();
        let (device_code, user_code) = (Secret::random(), Secret::typable(LETTERS, CODE_LENGTH));
        let user_code = user_code.expose().to_owned();
        let device = Waiting {
            client,
            user_code: user_code.clone(),
            resource,
            scope,
            until: now + LIFETIME,
            interval: INTERVAL,
            polled: None,
            decision: None,
        };
        self.devices.add(&device_code, device, now)?;
        let at = |path: &str| endpoint(&self.settings.issuer, path);
        Ok(DeviceAuthorization {
            device_code,
            verification_uri: at(PATH),
            verification_uri_complete: Some(at(&about(&user_code))),
            user_code,
            expires_in: LIFETIME.as_secs(),
            interval: Some(INTERVAL.as_secs()),
        })
    }

    /// The first tokens of a device that a person allowed.
    pub(super) async fn redeem_device_code(
        self: &Arc<Self>,
        form: &Form,
        client: &Client,
        key: Option<&str>,
    ) -> Result<InUse, RouteError> {
        let code = form.get("device_code").ok_or(RouteError::InvalidRequest("device_code is missing"))?;
        let (device, user) = self.devices.poll(code, &client.id, self.settings.clock.monotonic())?;
        let lasts = client.may(GrantType::RefreshToken);
        let Waiting { resource, scope, .. } = device.clone();
        let bound_to = key.filter(|_| client.proof == Proof::None).map(str::to_owned);
        let granted = Granted { client_id: client.id.clone(), user, resource, scope, lasts, bound_to };
        let now = self.settings.clock.since_epoch();
        let begun = self.on_disk(move |issuer| issuer.grants.begin_in_use(granted, now)).await;
        // A person has allowed it, and need not do so again because the disk was full.
        begun.inspect_err(|_| self.devices.put_back(code, device))
    }

    fn device_page(&self, browser: &Browser, code: &str) -> Page {
        let about = about(code);
        let Some(user) = self.user_of(browser) else {
            return self.login_page(browser, &about, Some(GOING_ON), &Again::default());
        };
        let ask = |problem| {
            let form = self.browsers.form(browser, "device", PATH, "");
            pages::device(&Hidden { about: PATH, form: &form }, code, problem)
        };
        if code.is_empty() {
            return ask(None);
        }
        let now = self.settings.clock.monotonic();
        let mut wrong = self.devices.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = wrong.closed_for(&user, now) {
            let problem = format!("Too many wrong codes. Wait for {} seconds.", left.as_secs() + 1);
            return ask(Some(&problem)).with_status(StatusCode::TOO_MANY_REQUESTS);
        }
        let Some(device) = self.devices.undecided(code, now) else {
            wrong.count(user, now);
            let problem = "No device waits with this code: it is mistyped, has expired, or was used.";
            return ask(Some(problem)).with_status(StatusCode::NOT_FOUND);
        };
        self.consent_page(browser, &about, &device.asking(&user), None)
    }
}

/// The page's own path for a code that is [`normal`].
fn about(code: &str) -> String {
    if code.is_empty() { PATH.to_owned() } else { format!("{PATH}?user_code={code}") }
}

fn user_code_in(query: &str) -> String {
    Form::parse(query.as_bytes()).ok().and_then(|form| form.get("user_code").map(normal)).unwrap_or_default()
}

/// A code as it was made, however it was typed: case and dashes are the person's (RFC 8628 section 6.1).
fn normal(typed: &str) -> String {
    let letters = typed.chars().filter(char::is_ascii_alphanumeric).take(CODE_LENGTH + 1);
    let letters: Vec<_> = letters.map(|letter| letter.to_ascii_uppercase()).collect();
    letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        issuer::testing::{Answer, Fixture, ISSUER, Person, claims_of},
        oauth::device::DEVICE_CODE,
    };

    /// A public client that may use the grant.
    async fn client(issuer: &Fixture) -> String {
        let metadata = json!({"client_name": "Television", "token_endpoint_auth_method": "none",
            "grant_types": [DEVICE_CODE, "refresh_token"]});
        let answer = issuer.register(&metadata).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
        answer.json["client_id"].as_str().unwrap().to_owned()
    }

    async fn begun(issuer: &Fixture, client: &str) -> Value {
        let answer = issuer.trade_at("/device_authorization", client, &[("scope", "mcp:read")]).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
        answer.json
    }

    async fn poll(issuer: &Fixture, client: &str, device: &Value) -> Answer {
        let code = device["device_code"].as_str().unwrap();
        issuer.trade(client, &[("grant_type", DEVICE_CODE), ("device_code", code)]).await
    }

    #[tokio::test]
    async fn a_person_types_the_code_and_the_device_gets_tokens() {
        let issuer = Fixture::new();
        let id = client(&issuer).await;
        let device = begun(&issuer, &id).await;
        let code = device["user_code"].as_str().unwrap();
        assert_eq!((code.len(), code.as_bytes()[4]), (9, b'-'));
        assert_eq!((&device["expires_in"], &device["interval"]), (&json!(600), &json!(5)));
        assert_eq!(device["verification_uri"], format!("{ISSUER}/device"));
        assert_eq!(device["verification_uri_complete"], format!("{ISSUER}/device?user_code={code}"));
        poll(&issuer, &id, &device).await.is_refused(400, "authorization_pending");

        let mut person = Person::new(&issuer);
        let page = person.get("/device").await;
        person.log_in(&page, "dev", &issuer.password()).await;
        let page = person.get("/device").await;
        let (about, form) = page.hidden();
        let typed = code.to_ascii_lowercase().replace('-', " ");
        let answer = person.post("/device", &[("about", &about), ("form", &form), ("user_code", &typed)]).await;
        let path = answer.header("location").to_owned();
        assert_eq!(path, format!("/device?user_code={code}"));
        let page = person.get(&path).await;
        assert!(page.text.contains("Allow “Television”") && page.text.contains("another device"), "{}", page.text);
        let done = person.decide(&page, "allow").await;
        assert!(done.status == StatusCode::OK && done.text.contains("The device is connected"), "{}", done.text);

        let tokens = poll(&issuer, &id, &device).await;
        assert_eq!((tokens.status, &tokens.json["scope"]), (StatusCode::OK, &json!("mcp:read")), "{}", tokens.json);
        assert_eq!(claims_of(tokens.json["access_token"].as_str().unwrap())["sub"], "dev");
        let refresh_token = tokens.json["refresh_token"].as_str().unwrap();
        assert_eq!(issuer.refresh(&id, refresh_token).await.status, StatusCode::OK);
        poll(&issuer, &id, &device).await.is_refused(400, "expired_token");
        assert!(person.get(&path).await.text.contains("was used"));
    }

    #[tokio::test]
    async fn who_comes_with_the_code_sees_it_beside_a_word_to_compare_it() {
        let issuer = Fixture::new();
        let id = client(&issuer).await;
        let (device, other) = (begun(&issuer, &id).await, begun(&issuer, &id).await);
        let [code, others] = [&device, &other].map(|device| device["user_code"].as_str().unwrap());
        let mut person = Person::logged_in(&issuer).await;
        let path = device["verification_uri_complete"].as_str().unwrap().replace(ISSUER, "");
        // As the device shows it, however the link has it.
        for path in [path, format!("/device?user_code={}", code.replace('-', "").to_lowercase())] {
            let page = person.get(&path).await;
            let shown = format!("<dt>Code</dt><dd><b>{code}</b>");
            assert!(page.text.contains(&shown) && page.text.contains("Compare it"), "{}", page.text);
            assert!(!page.text.contains(others), "{}", page.text);
        }
        // Where no device waits there is none to compare.
        let editor = issuer.public_client().await;
        let page = person.get(&crate::issuer::testing::authorization(&editor, &[])).await;
        assert!(page.text.contains("Then goes on to") && !page.text.contains("Compare it"), "the twin: {}", page.text);
    }

    #[tokio::test]
    async fn an_allowed_device_waits_for_a_disk_with_space_on_it() {
        let issuer = Fixture::new();
        let id = client(&issuer).await;
        let device = begun(&issuer, &id).await;
        let path = device["verification_uri_complete"].as_str().unwrap().replace(ISSUER, "");
        let mut person = Person::logged_in(&issuer).await;
        let page = person.get(&path).await;
        person.decide(&page, "allow").await;
        let grants = issuer.state.path().join("issuer/grants");
        std::fs::rename(&grants, grants.with_extension("away")).unwrap();
        poll(&issuer, &id, &device).await.is_refused(500, "server_error");
        std::fs::rename(grants.with_extension("away"), &grants).unwrap();
        assert_eq!(poll(&issuer, &id, &device).await.status, StatusCode::OK);
        poll(&issuer, &id, &device).await.is_refused(400, "expired_token");
    }

    #[tokio::test]
    async fn who_says_no_or_nothing_connects_nothing() {
        let issuer = Fixture::new();
        let id = client(&issuer).await;
        let mut person = Person::logged_in(&issuer).await;
        let device = begun(&issuer, &id).await;
        let path = device["verification_uri_complete"].as_str().unwrap().replace(ISSUER, "");
        let page = person.get(&path).await;
        assert!(person.decide(&page, "deny").await.text.contains("Denied"));
        poll(&issuer, &id, &device).await.is_refused(400, "access_denied");
        poll(&issuer, &id, &device).await.is_refused(400, "expired_token");
        let device = begun(&issuer, &id).await;
        issuer.advance(600);
        poll(&issuer, &id, &device).await.is_refused(400, "expired_token");
        assert!(issuer.files("grants").is_empty());
    }

    #[tokio::test]
    async fn a25_a_yes_to_one_device_is_none_to_what_another_asks_for_by_the_same_code() {
        let issuer = Fixture::new();
        let id = client(&issuer).await;
        let device = begun(&issuer, &id).await;
        let path = device["verification_uri_complete"].as_str().unwrap().replace(ISSUER, "");
        let mut person = Person::logged_in(&issuer).await;
        let page = person.get(&path).await;
        let wider = Scopes::parse("mcp:read mcp:write").unwrap();
        issuer.embedded.devices.waiting().values_mut().for_each(|device| device.scope = wider.clone());
        let again = person.decide(&page, "allow").await;
        assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
        assert!(again.text.contains("has changed since") && again.text.contains("mcp:write"), "{}", again.text);
        poll(&issuer, &id, &device).await.is_refused(400, "authorization_pending");
        assert!(person.decide(&again, "allow").await.text.contains("is connected"), "the twin");
    }

    #[tokio::test]
    async fn a_device_that_polls_too_often_is_slowed_down() {
        let issuer = Fixture::new();
        let id = client(&issuer).await;
        let device = begun(&issuer, &id).await;
        poll(&issuer, &id, &device).await.is_refused(400, "authorization_pending");
        issuer.advance(4);
        poll(&issuer, &id, &device).await.is_refused(400, "slow_down");
        issuer.advance(9);
        poll(&issuer, &id, &device).await.is_refused(400, "slow_down");
        issuer.advance(15);
        poll(&issuer, &id, &device).await.is_refused(400, "authorization_pending");
    }

    #[tokio::test]
    async fn a_device_code_is_its_clients_own() {
        let issuer = Fixture::new();
        let (id, other) = (client(&issuer).await, client(&issuer).await);
        let device = begun(&issuer, &id).await;
        poll(&issuer, &other, &device).await.is_refused(400, "invalid_grant");
        poll(&issuer, &id, &json!({"device_code": "guessed"})).await.is_refused(400, "expired_token");
        let without = issuer.trade(&id, &[("grant_type", DEVICE_CODE)]).await;
        without.is_refused(400, "invalid_request");
        // Whoever registered without the initial access token has no such grant.
        let stranger = issuer.public_client().await;
        let refused = issuer.trade_at("/device_authorization", &stranger, &[]).await;
        refused.is_refused(400, "unauthorized_client");
        issuer.trade_at("/device_authorization", "nobody", &[]).await.is_refused(401, "invalid_client");
        poll(&issuer, &stranger, &device).await.is_refused(400, "unauthorized_client");
        for (field, error) in [(("scope", "admin"), "invalid_scope"), (("resource", "https://h/mcp"), "invalid_target")]
        {
            issuer.trade_at("/device_authorization", &id, &[field]).await.is_refused(400, error);
        }
        poll(&issuer, &id, &device).await.is_refused(400, "authorization_pending");
    }

    #[tokio::test]
    async fn codes_are_not_guessed() {
        let issuer = Fixture::new();
        let id = client(&issuer).await;
        let mut person = Person::logged_in(&issuer).await;
        for _ in 0..10 {
            let page = person.get("/device?user_code=BBBB-BBBB").await;
            assert_eq!(page.status, StatusCode::NOT_FOUND);
        }
        let device = begun(&issuer, &id).await;
        let path = device["verification_uri_complete"].as_str().unwrap().replace(ISSUER, "");
        assert_eq!(person.get(&path).await.status, StatusCode::TOO_MANY_REQUESTS);
        issuer.advance(60);
        assert!(person.get(&path).await.text.contains("Allow “Television”"), "the twin");
        // Nobody learns of a code without logging in.
        let page = issuer.send(Method::GET, &path, &[], "").await;
        assert!(page.text.contains("Log in") && !page.text.contains("Television"));
    }

    #[tokio::test]
    async fn the_number_of_devices_that_wait_has_an_end() {
        let issuer = Fixture::new();
        let id = client(&issuer).await;
        for _ in 0..MAX_WAITING {
            begun(&issuer, &id).await;
        }
        let full = issuer.trade_at("/device_authorization", &id, &[]).await;
        full.is_refused(503, "temporarily_unavailable");
        issuer.advance(600);
        begun(&issuer, &id).await;
    }
}
