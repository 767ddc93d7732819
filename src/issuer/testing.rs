//! What the tests of this room share: an issuer in a fresh state directory, and requests to its real router.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use url::form_urlencoded;

use super::{Embedded, OpenError, Settings};
use crate::{
    clock::TestClock,
    jose::SigningKey,
    oauth::{Issuer, RedirectUri, Resource, Scopes, client_auth::JWT_BEARER},
    secret::Secret,
    store::{LocalClient, PrivateDir, initial_access_token},
};

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const ISSUER: &str = "http://127.0.0.1:8000";
/// Where people come back to the server's own page.
pub(super) const PAGE: &str = "http://127.0.0.1:8000/docs";
pub(super) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub(super) const JSON: (&str, &str) = ("content-type", "application/json");
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

pub(super) struct Fixture {
    pub(super) embedded: Arc<Embedded>,
    pub(super) clock: Arc<TestClock>,
    pub(super) state: PrivateDir,
    root: tempfile::TempDir,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Null if the body is empty, or a page.
    pub(super) json: Value,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    #[track_caller]
    pub(super) fn is_refused(&self, status: u16, error: &str) {
        assert_eq!((self.status.as_u16(), &self.json["error"]), (status, &json!(error)), "{}", self.json);
    }
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let state = PrivateDir::open(&root.path().join("state")).unwrap();
        let clock = TestClock::at(NOW);
        let mut settings = settings(&clock);
        change(&mut settings);
        let embedded = Embedded::open(&state, settings).unwrap();
        Self { embedded, clock, state, root }
    }

    /// Ends the process, and starts another on the same state.
    pub(super) fn restarted(self) -> Self {
        self.restarted_with(|_| ())
    }

    pub(super) fn restarted_as(self, issuer: &str) -> Self {
        self.restarted_with(|settings| settings.issuer = Issuer::parse(issuer).unwrap())
    }

    pub(super) fn restarted_with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let Self { embedded, clock, state, root } = self;
        drop(embedded);
        let mut settings = settings(&clock);
        change(&mut settings);
        let embedded = Embedded::open(&state, settings).unwrap();
        Self { embedded, clock, state, root }
    }

    pub(super) fn open_again(&self) -> Result<Arc<Embedded>, OpenError> {
        Embedded::open(&self.state, settings(&self.clock))
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Asks the router, and checks what holds for every answer.
    pub(super) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.embedded.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let json = match text.as_str() {
            "" => Value::Null,
            page if page.starts_with("<!DOCTYPE html>") => Value::Null,
            text => serde_json::from_str(text).unwrap(),
        };
        let answer = Answer { status: parts.status, headers: parts.headers, json, text };
        let kept_by_nobody =
            ["/token", "/register", "/revoke", "/introspect", "/authorize", "/login", "/consent", "/logout", "/device"];
        if kept_by_nobody.iter().any(|secret| path.starts_with(secret)) {
            assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"), "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        }
        if let Some(description) = answer.json.get("error_description") {
            let is_allowed = |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
            assert!(description.as_str().unwrap().bytes().all(is_allowed), "{description}");
        }
        answer
    }

    pub(super) async fn form(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        self.form_with(path, &[FORM], parameters).await
    }

    async fn form_with(&self, path: &str, headers: &[(&str, &str)], parameters: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        self.send(Method::POST, path, headers, &body).await
    }

    /// A request with the secret in the form; at `/token` with the grant.
    pub(super) async fn with_secret(&self, path: &str, id: &str, secret: &str, more: &[(&str, &str)]) -> Answer {
        let proof = [GRANT, ("client_id", id), ("client_secret", secret)];
        self.form(path, &[&proof, more].concat()).await
    }

    /// The same with the secret in the header.
    pub(super) async fn with_basic(&self, path: &str, id: &str, secret: &str, more: &[(&str, &str)]) -> Answer {
        let header = basic(id, secret);
        self.form_with(path, &[FORM, ("authorization", &header)], &[&[GRANT], more].concat()).await
    }

    /// The same with an assertion.
    pub(super) async fn with_assertion(&self, path: &str, assertion: &str, more: &[(&str, &str)]) -> Answer {
        let proof = [GRANT, ("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)];
        self.form(path, &[&proof, more].concat()).await
    }

    /// The same as this account's own client.
    pub(super) async fn local(&self, path: &str, more: &[(&str, &str)]) -> Answer {
        self.with_assertion(path, &self.assertion(|_| ()), more).await
    }

    pub(super) async fn local_token(&self) -> String {
        let answer = self.local("/token", &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
        answer.json["access_token"].as_str().unwrap().to_owned()
    }

    /// Whether a token of this `jti` was revoked; its client is there.
    pub(super) fn is_revoked(&self, token_id: &str) -> bool {
        self.embedded.is_revoked(Some(token_id), Some(&self.local_client().client_id))
    }

    pub(super) fn local_client(&self) -> LocalClient {
        LocalClient::load(&self.state).unwrap().unwrap()
    }

    /// A good assertion of this account's own client, changed.
    pub(super) fn assertion(&self, change: impl FnOnce(&mut Value)) -> String {
        let client = self.local_client();
        let key = SigningKey::from_pem(client.private_key.expose()).unwrap();
        let mut claims = self.assertion_claims(&client.client_id);
        change(&mut claims);
        key.sign("client-authentication+jwt", &claims).expose().to_owned()
    }

    pub(super) fn assertion_claims(&self, client_id: &str) -> Value {
        use crate::clock::Clock as _;
        let now = self.clock.since_epoch().as_secs();
        json!({"iss": client_id, "sub": client_id, "aud": self.embedded.settings.issuer, "exp": now + 60, "iat": now,
            "jti": Secret::random()})
    }

    pub(super) fn initial_access_token(&self) -> String {
        initial_access_token(&self.state).unwrap().expose().to_owned()
    }

    pub(super) async fn register(&self, metadata: &Value) -> Answer {
        self.register_text(&metadata.to_string()).await
    }

    pub(super) async fn register_text(&self, body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.initial_access_token());
        self.send(Method::POST, "/register", &[JSON, ("authorization", &bearer)], body).await
    }

    pub(super) async fn read_registration(&self, path: &str, token: &str) -> Answer {
        self.send(Method::GET, path, &[("authorization", &format!("Bearer {token}"))], "").await
    }

    pub(super) async fn delete_registration(&self, path: &str, token: &str) -> Answer {
        self.send(Method::DELETE, path, &[("authorization", &format!("Bearer {token}"))], "").await
    }

    pub(super) async fn update_registration(&self, path: &str, token: &str, metadata: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        self.send(Method::PUT, path, &[JSON, ("authorization", &bearer)], &metadata.to_string()).await
    }

    /// A client with a secret, for this method.
    pub(super) async fn registered(&self, method: &str) -> (String, String) {
        self.registered_with(&json!({ "token_endpoint_auth_method": method })).await
    }

    pub(super) async fn registered_with(&self, metadata: &Value) -> (String, String) {
        let answer = self.register(metadata).await;
        let member = |name: &str| answer.json[name].as_str().unwrap().to_owned();
        (member("client_id"), member("client_secret"))
    }

    /// The files of all registrations.
    pub(super) fn registrations(&self) -> Vec<String> {
        self.files("clients")
    }

    /// The contents of all files of one kind.
    pub(super) fn files(&self, kind: &str) -> Vec<String> {
        let dir = self.state.child("issuer").unwrap().child(kind).unwrap();
        let read = |name: String| String::from_utf8(dir.read(&name).unwrap().unwrap()).unwrap();
        dir.names().unwrap().into_iter().map(read).collect()
    }
}

fn settings(clock: &Arc<TestClock>) -> Settings {
    let resource = |text| Resource::parse(text).unwrap();
    Settings {
        issuer: Issuer::parse(ISSUER).unwrap(),
        resources: vec![resource("http://127.0.0.1:8000/mcp"), resource("http://localhost:8000/mcp")],
        own_page: vec![RedirectUri::parse(PAGE).unwrap()],
        scopes: Scopes::parse("mcp:read mcp:write mcp:infer").unwrap(),
        cimd_allow_loopback: false,
        users: super::PasswordHashes::new(),
        auto_approve: None,
        dpop_nonce: false,
        clock: Arc::clone(clock) as _,
    }
}

/// Where the test's client has people sent.
pub(super) const CALLBACK: &str = "http://127.0.0.1:49152/callback";
/// And its verifier.
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// Somebody at a browser.
pub(super) struct Person<'a> {
    pub(super) issuer: &'a Fixture,
    pub(super) cookie: Option<String>,
}

impl<'a> Person<'a> {
    pub(super) fn new(issuer: &'a Fixture) -> Self {
        Self { issuer, cookie: None }
    }

    /// One who has logged in as `dev`.
    pub(super) async fn logged_in(issuer: &'a Fixture) -> Self {
        let mut person = Self::new(issuer);
        let page = person.get("/device").await;
        assert_eq!(person.log_in(&page, "dev", &issuer.password()).await.status, StatusCode::SEE_OTHER);
        person
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(Method::POST, path, &body).await
    }

    pub(super) async fn log_in(&mut self, page: &Answer, user: &str, password: &str) -> Answer {
        let (about, form) = page.hidden();
        self.post("/login", &[("about", &about), ("form", &form), ("user", user), ("password", password)]).await
    }

    pub(super) async fn decide(&mut self, page: &Answer, decision: &str) -> Answer {
        let (about, form) = page.hidden();
        self.post("/consent", &[("about", &about), ("form", &form), ("decision", decision)]).await
    }

    /// Goes all the way, and comes back with a code.
    pub(super) async fn code_for(&mut self, path: &str) -> String {
        let page = self.get(path).await;
        let answer = self.decide(&page, "allow").await;
        answer.sent_back()["code"].as_str().unwrap().to_owned()
    }

    async fn send(&mut self, method: Method, path: &str, body: &str) -> Answer {
        let cookie = self.cookie.clone().unwrap_or_default();
        let headers = [FORM, ("cookie", &cookie), ("sec-fetch-site", "same-origin"), ("origin", "null")];
        let answer = self.issuer.send(method, path, &headers, body).await;
        if let Some(cookie) = answer.header("set-cookie").split(';').next().filter(|cookie| !cookie.is_empty()) {
            self.cookie = Some(cookie.to_owned());
        }
        answer
    }
}

impl Answer {
    /// The hidden fields of the page's form.
    pub(super) fn hidden(&self) -> (String, String) {
        let field = |name: &str| {
            let begin = format!("name=\"{name}\" value=\"");
            let (_, rest) = self.text.split_once(&begin).unwrap_or_else(|| panic!("no form: {}", self.text));
            rest.split('"').next().unwrap().replace("&amp;", "&")
        };
        (field("about"), field("form"))
    }

    /// The parameters that the client is told.
    pub(super) fn sent_back(&self) -> Value {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        let location = url::Url::parse(self.header("location")).unwrap();
        Value::Object(location.query_pairs().map(|(name, value)| (name.into_owned(), value.into())).collect())
    }
}

impl Fixture {
    pub(super) fn password(&self) -> String {
        crate::store::dev_password(&self.state).unwrap().expose().to_owned()
    }

    /// A public client that a stranger registered.
    pub(super) async fn public_client(&self) -> String {
        self.public_client_with(&json!({})).await
    }

    pub(super) async fn public_client_with(&self, more: &Value) -> String {
        let mut metadata = json!({"client_name": "Editor", "token_endpoint_auth_method": "none",
            "redirect_uris": ["http://127.0.0.1/callback", "https://app.example/callback"]});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.send(Method::POST, "/register", &[JSON], &metadata.to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json);
        answer.json["client_id"].as_str().unwrap().to_owned()
    }

    /// Trades a code, or a refresh token, as a public client does.
    pub(super) async fn trade(&self, client_id: &str, fields: &[(&str, &str)]) -> Answer {
        self.trade_at("/token", client_id, fields).await
    }

    pub(super) async fn trade_at(&self, path: &str, client_id: &str, fields: &[(&str, &str)]) -> Answer {
        self.form(path, &[&[("client_id", client_id)], fields].concat()).await
    }

    pub(super) async fn trade_code(&self, client_id: &str, code: &str) -> Answer {
        let fields = [("grant_type", "authorization_code"), ("code", code), ("code_verifier", VERIFIER)];
        self.trade(client_id, &[&fields[..], &[("redirect_uri", CALLBACK)]].concat()).await
    }

    pub(super) async fn refresh(&self, client_id: &str, token: &str) -> Answer {
        self.trade(client_id, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }
}

/// A good request of this client, changed: an empty value takes a parameter away.
pub(super) fn authorization(client_id: &str, change: &[(&str, &str)]) -> String {
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", CALLBACK),
        ("state", "s t&te"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
        ("scope", "mcp:read"),
        ("resource", "http://127.0.0.1:8000/mcp"),
    ];
    parameters.retain(|(name, _)| change.iter().all(|(other, _)| other != name));
    parameters.extend(change.iter().filter(|(_, value)| !value.is_empty()));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("/authorize?{query}")
}

pub(super) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

pub(super) fn header_of(token: &str) -> Value {
    part(token, 0)
}

pub(super) fn claims_of(token: &str) -> Value {
    part(token, 1)
}

fn part(token: &str, index: usize) -> Value {
    let encoded = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
}
