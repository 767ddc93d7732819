//! `GET /authorize`: a client sends a person here (RFC 6749 section 4.1.1, OAuth 2.1, RFC 7636, RFC 8707, RFC 9207).
//!
//! Nothing is kept of a request before a person has said yes: each form carries the query, which is checked anew each time,
//! and the hash of what the person was shown, which has to be so still.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use url::Url;

use super::{
    Embedded, Sender,
    browser::Browser,
    call::Form,
    cimd::{CimdError, is_document_id},
    client::{Client, GrantType},
    grants::{CodeFor, Granted},
    pages::{self, Asking, GoesOn, Hidden, Login, Page},
    person::record_decision,
    token::resource_named,
    users::DEV,
};
use crate::{
    hint::{Hint as _, chain},
    oauth::{
        ErrorCode, RedirectUri, Resource, Scopes,
        pkce::{CodeChallenge, S256},
    },
    said::said,
    secret::{Secret, is_sha256_base64url},
    telemetry::audit::{Event, record},
};

pub(super) const PATH: &str = "/authorize";
/// Longest `state`, in bytes: it is sent back in a header.
const MAX_STATE: usize = 4096;
/// Asked for by clients that want a refresh token (OpenID Connect Core section 11). Here a client that registered for
/// refresh tokens gets them; it is no right of its own.
const OFFLINE_ACCESS: &str = "offline_access";

/// What is different when somebody has to log in again.
#[derive(Default)]
pub(super) struct Again<'a> {
    pub(super) user: &'a str,
    pub(super) problem: Option<&'a str>,
}

/// A request that can be put to a person.
pub(super) struct Asked {
    pub(super) client: Arc<Client>,
    pub(super) redirect_uri: RedirectUri,
    state: Option<String>,
    challenge: CodeChallenge,
    dpop_jkt: Option<String>,
    pub(super) resource: Resource,
    pub(super) scope: Scopes,
}

impl Asked {
    /// What the person is shown of it.
    pub(super) fn asking<'a>(&'a self, user: &'a str) -> Asking<'a> {
        Asking {
            client_id: &self.client.id,
            client_name: self.client.name.as_deref(),
            vouched_by: self.client.vouched_by(),
            goes_on: GoesOn::To(&self.redirect_uri),
            scopes: &self.scope,
            resource: self.resource.as_str(),
            user,
        }
    }
}

/// A request that cannot.
pub(super) enum Refusal {
    /// Nobody can be told but the person: the client is unknown, or where to send people is not its own (RFC 6749 section
    /// 4.1.2.1).
    Page(Box<Page>),
    /// The client is told.
    Redirect(Box<Response>),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Page(page) => page.into_response(),
            Self::Redirect(response) => *response,
        }
    }
}

pub(super) async fn get(
    State(issuer): State<Arc<Embedded>>,
    RawQuery(query): RawQuery,
    sender: Option<Extension<Sender>>,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let asked = match issuer.read_authorization(&query, sender.map(|Extension(sender)| sender)).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal.into_response(),
    };
    if let Some(scope) = issuer.unasked(&asked) {
        let asked = Asked { scope, ..asked };
        record_decision(&asked.client.id, DEV, &asked.scope, true);
        return issuer.allow(asked, DEV.to_owned()).await;
    }
    let (browser, about) = (issuer.browsers.of(&headers), format!("{PATH}?{query}"));
    let page = match issuer.user_of(&browser) {
        None => issuer.login_page(&browser, &about, asked.client.name.as_deref(), &Again::default()),
        Some(user) => issuer.consent_page(&browser, &about, &asked.asking(&user), None),
    };
    with_cookie(page.into_response(), browser)
}

/// Tells the browser its name, if that is new.
pub(super) fn with_cookie(mut response: Response, browser: Browser) -> Response {
    if let Some(cookie) = browser.set_cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// RFC 9700 section 4.12: 303, so that no browser sends the form on.
pub(super) fn see_other(location: &str) -> Response {
    let location = HeaderValue::try_from(location).expect("a URL is visible ASCII");
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

impl Embedded {
    /// What a program on this machine gets without asking anybody, of what it asked for (RFC 6749 section 3.3).
    fn unasked(&self, asked: &Asked) -> Option<Scopes> {
        let unasked = self.settings.auto_approve.as_ref().filter(|_| asked.redirect_uri.is_on_loopback())?;
        let scope = Scopes::from_claims(asked.scope.iter().filter(|scope| unasked.contains(scope)));
        (!scope.is_empty()).then_some(scope)
    }

    /// Who has logged in at this browser, and may still.
    pub(super) fn user_of(&self, browser: &Browser) -> Option<String> {
        self.browsers.user(browser).filter(|user| self.users.has(user))
    }

    /// The login page; `about` is where to go on.
    pub(super) fn login_page(
        &self,
        browser: &Browser,
        about: &str,
        going_on_to: Option<&str>,
        again: &Again<'_>,
    ) -> Page {
        let form = self.browsers.form(browser, "login", about, "");
        let login = Login {
            going_on_to: going_on_to.unwrap_or("an application without a name"),
            user: again.user,
            problem: again.problem,
            is_for_development: self.settings.users.is_empty(),
        };
        pages::login(&Hidden { about, form: &form }, &login)
    }

    /// The page that asks for consent; `problem` is why it is there again.
    pub(super) fn consent_page(
        &self,
        browser: &Browser,
        about: &str,
        asking: &Asking<'_>,
        problem: Option<&str>,
    ) -> Page {
        let form = self.browsers.form(browser, "consent", about, &asking.digest());
        pages::consent(&Hidden { about, form: &form }, asking, problem)
    }

    /// Reads a request from a query.
    pub(super) async fn read_authorization(&self, query: &str, sender: Option<Sender>) -> Result<Asked, Refusal> {
        let parameters = Form::parse(query.as_bytes()).map_err(|_| {
            // Which of two redirect URIs was meant is nothing to guess.
            page(
                "The application's request is damaged",
                "A parameter is there twice.",
                "Tell the application's makers.",
            )
        })?;
        let client_id = parameters.get("client_id").ok_or_else(|| {
            page("The application did not say who it is", "client_id is missing.", "Tell the application's makers.")
        })?;
        let client = self.client(client_id, sender).await?;
        let redirect_uri = redirect_uri(&client, parameters.get("redirect_uri"))?;
        let state = parameters.get("state").map(str::to_owned);
        let refuse = |code: ErrorCode, words: &str| {
            record(Event::IssuerRefused {
                endpoint: "authorize",
                client: &client.id,
                reason: &format!("{code}: {words}"),
            });
            let to = self.error_url(&redirect_uri, state.as_deref(), &code, words);
            // RFC 9700 section 4.11.2: whoever registered by himself makes no redirector of us.
            if client.is_strangers && !redirect_uri.is_on_loopback() {
                return Refusal::Page(pages::way_back(words, &redirect_uri.place(), &to).into());
            }
            Refusal::Redirect(see_other(to.as_str()).into())
        };
        if state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
            return Err(refuse(ErrorCode::InvalidRequest, "state is longer than 4096 bytes"));
        }
        match parameters.get("response_type") {
            Some("code") => {}
            Some(_) => return Err(refuse(ErrorCode::UnsupportedResponseType, "response_type must be code")),
            None => return Err(refuse(ErrorCode::InvalidRequest, "response_type is missing; send response_type=code")),
        }
        if parameters.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(refuse(ErrorCode::InvalidRequest, "response_mode must be query, or absent"));
        }
        if parameters.get("request").is_some() || parameters.get("request_uri").is_some() {
            let words = "request and request_uri are not read here; send plain parameters";
            return Err(refuse(ErrorCode::Other("request_not_supported".to_owned()), words));
        }
        if parameters.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|word| word == "none")) {
            let code = ErrorCode::Other("interaction_required".to_owned());
            return Err(refuse(code, "a person is asked each time: prompt=none cannot be"));
        }
        if !client.may(GrantType::AuthorizationCode) {
            return Err(refuse(ErrorCode::UnauthorizedClient, "the client did not register for authorization_code"));
        }
        if parameters.get("code_challenge_method") != Some(S256) {
            return Err(refuse(ErrorCode::InvalidRequest, "code_challenge_method must be S256 (PKCE)"));
        }
        let challenge = parameters.get("code_challenge").and_then(CodeChallenge::parse).ok_or_else(|| {
            refuse(ErrorCode::InvalidRequest, "code_challenge must be a SHA-256 in base64url, 43 characters (PKCE)")
        })?;
        let dpop_jkt = parameters.get("dpop_jkt").map(str::to_owned);
        if dpop_jkt.as_ref().is_some_and(|jkt| !is_sha256_base64url(jkt)) {
            let words = "dpop_jkt must be the SHA-256 thumbprint of a key in base64url, 43 characters";
            return Err(refuse(ErrorCode::InvalidRequest, words));
        }
        let resource = resource_named(&mut parameters.all("resource"), &self.settings.resources);
        let resource = resource.map_err(|error| refuse(error.code(), &error.to_string()))?.clone();
        let scope = asked_scope(parameters.get("scope"), &client.scope, &self.settings.scopes)
            .map_err(|words| refuse(ErrorCode::InvalidScope, &words))?;
        Ok(Asked { client, redirect_uri, state, challenge, dpop_jkt, resource, scope })
    }

    /// The way back with a refusal.
    fn error_url(&self, redirect_uri: &RedirectUri, state: Option<&str>, code: &ErrorCode, words: &str) -> Url {
        let code = code.to_string();
        self.url_back(redirect_uri, state, &[("error", &code), ("error_description", words)])
    }

    /// Every answer names its issuer (RFC 9207 section 2) and brings the client's `state` back.
    fn url_back(&self, redirect_uri: &RedirectUri, state: Option<&str>, answer: &[(&str, &str)]) -> Url {
        let state = state.filter(|state| state.len() <= MAX_STATE).map(|state| ("state", state));
        let issuer = ("iss", self.settings.issuer.as_str());
        redirect_uri.with(answer.iter().copied().chain(state).chain([issuer]))
    }

    /// Sends the person back without anything.
    pub(super) fn deny(&self, asked: &Asked) -> Response {
        let (state, words) = (asked.state.as_deref(), "the person said no");
        see_other(self.error_url(&asked.redirect_uri, state, &ErrorCode::AccessDenied, words).as_str())
    }

    /// Sends the person back with a code.
    pub(super) async fn allow(self: &Arc<Self>, asked: Asked, user: String) -> Response {
        let Asked { client, redirect_uri, state, challenge, dpop_jkt, resource, scope } = asked;
        let lasts = client.may(GrantType::RefreshToken);
        let granted = Granted { client_id: client.id.clone(), user, resource, scope, lasts, bound_to: None };
        let code_for = CodeFor { redirect_uri: redirect_uri.as_str().to_owned(), challenge, dpop_jkt };
        let now = self.settings.clock.since_epoch();
        let code = self.on_disk(move |issuer| issuer.grants.begin(granted, code_for, now)).await;
        let to = match code.as_ref().map(Secret::expose) {
            Ok(code) => self.url_back(&redirect_uri, state.as_deref(), &[("code", code)]),
            Err(error) => self.error_url(&redirect_uri, state.as_deref(), &error.code(), &error.to_string()),
        };
        see_other(to.as_str())
    }

    /// The client of this name: registered here, or described where its name leads.
    async fn client(&self, client_id: &str, sender: Option<Sender>) -> Result<Arc<Client>, Refusal> {
        if is_document_id(client_id) {
            let described = self.documents.client(client_id, sender).await;
            let client = described.map(|document| Client::described(&document, &self.settings.scopes));
            return client.map(Arc::new).map_err(|error| unrecognised(&error));
        }
        self.clients.get(client_id).ok_or_else(|| {
            record(Event::IssuerRefused { endpoint: "authorize", client: "", reason: "unknown client" });
            page(
                "This application is not known here",
                &format!("No client is registered as `{}`.", said(&client_id.chars().take(64).collect::<String>())),
                "Let the application connect anew: remove what it has saved of this server, then it registers again.",
            )
        })
    }
}

/// No client is known by such a URL.
fn unrecognised(error: &CimdError) -> Refusal {
    let (reason, hint) = (chain(error), error.hint());
    record(Event::IssuerRefused { endpoint: "authorize", client: "", reason: &reason });
    let status = match error {
        CimdError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    };
    let hint = hint.unwrap_or_else(|| "Try again, or tell the application's makers.".to_owned());
    Refusal::Page(pages::word(status, "This application cannot be recognised", &reason, &hint).into())
}

fn page(title: &str, what: &str, hint: &str) -> Refusal {
    Refusal::Page(pages::word(StatusCode::BAD_REQUEST, title, what, hint).into())
}

/// Where to send the person: exactly what was registered.
fn redirect_uri(client: &Client, asked: Option<&str>) -> Result<RedirectUri, Refusal> {
    let found = match (asked, client.redirect_uris.as_slice()) {
        (Some(asked), _) => RedirectUri::parse(asked).ok().filter(|_| client.comes_back_to(asked)),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    };
    found.ok_or_else(|| {
        record(Event::IssuerRefused { endpoint: "authorize", client: &client.id, reason: "another redirect_uri" });
        page(
            "This application cannot be trusted with an answer",
            "It wants you to be sent to an address that it did not register: redirect_uri is not one of its own.",
            "If you followed a link, close this page. If you are the application's developer: register the address, \
             byte for byte; on 127.0.0.1, [::1] and localhost the port is free.",
        )
    })
}

/// Never more than was registered; what nobody knows is refused rather than left out.
fn asked_scope(asked: Option<&str>, registered: &Scopes, supported: &Scopes) -> Result<Scopes, String> {
    let Some(text) = asked else { return Ok(registered.clone()) };
    let asked = Scopes::parse(text).map_err(|_| "scope is malformed".to_owned())?;
    let asked = Scopes::from_claims(asked.iter().filter(|scope| *scope != OFFLINE_ACCESS));
    if asked.is_empty() {
        return Ok(registered.clone());
    }
    if !supported.covers(&asked) {
        return Err(format!("scope must be a selection of: {supported}"));
    }
    if !registered.covers(&asked) {
        return Err(format!("this client registered for no other scope than: {registered}"));
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        issuer::testing::{self, CALLBACK, Fixture, ISSUER, Person, VERIFIER, authorization, claims_of},
        net::testing::{Answer, Site},
    };

    async fn asked(issuer: &Fixture, path: &str) -> testing::Answer {
        issuer.send(Method::GET, path, &[], "").await
    }

    #[tokio::test]
    async fn a_person_logs_in_says_yes_and_the_client_gets_tokens() {
        let issuer = Fixture::new();
        let id = issuer.public_client().await;
        let mut person = Person::new(&issuer);
        let path = authorization(&id, &[]);
        let page = person.get(&path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text.contains("<h1>Log in</h1>") && page.text.contains("<b>Editor</b>"), "{}", page.text);
        let answer = person.log_in(&page, "dev", &issuer.password()).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, path.as_str()));
        let page = person.get(&path).await;
        assert!(page.text.contains("Allow “Editor” to use this server as dev?"), "{}", page.text);
        let back = person.decide(&page, "allow").await;
        assert!(back.header("location").starts_with(&format!("{CALLBACK}?code=")), "{}", back.header("location"));
        let back = back.sent_back();
        assert_eq!((&back["state"], &back["iss"]), (&json!("s t&te"), &json!(ISSUER)));
        let answer = issuer.trade_code(&id, back["code"].as_str().unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
        assert_eq!((&answer.json["scope"], &answer.json["expires_in"]), (&json!("mcp:read"), &json!(900)));
        let claims = claims_of(answer.json["access_token"].as_str().unwrap());
        assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("dev"), &json!(id)));
        assert_eq!((&claims["aud"], &claims["scope"]), (&json!("http://127.0.0.1:8000/mcp"), &json!("mcp:read")));
        let refreshed = issuer.refresh(&id, answer.json["refresh_token"].as_str().unwrap()).await;
        assert_eq!(refreshed.status, StatusCode::OK, "{}", refreshed.json);
        assert_ne!(refreshed.json["refresh_token"], answer.json["refresh_token"]);
    }

    #[tokio::test]
    async fn a_person_who_says_no_sends_the_client_away() {
        let issuer = Fixture::new();
        let id = issuer.public_client().await;
        let mut person = Person::logged_in(&issuer).await;
        for decision in ["deny", "", "Allow"] {
            let page = person.get(&authorization(&id, &[])).await;
            let back = person.decide(&page, decision).await.sent_back();
            assert_eq!((&back["error"], &back["state"]), (&json!("access_denied"), &json!("s t&te")));
            assert_eq!(back["iss"], ISSUER);
        }
        assert!(issuer.files("grants").is_empty());
    }

    #[tokio::test]
    async fn a01_a08_a09_a10_a11_a12_a_request_that_cannot_be_is_refused_by_redirect_with_iss_and_state() {
        let issuer = Fixture::new();
        let id = issuer.public_client_with(&json!({"scope": "mcp:read mcp:write"})).await;
        let (short, long, huge) = ("a".repeat(42), "a".repeat(129), "x".repeat(60_000));
        for (change, error) in [
            ([("code_challenge", "")], "invalid_request"),
            ([("code_challenge", &*short)], "invalid_request"),
            ([("code_challenge", &*long)], "invalid_request"),
            ([("code_challenge_method", "")], "invalid_request"),
            ([("code_challenge_method", "plain")], "invalid_request"),
            ([("code_challenge_method", "s256")], "invalid_request"),
            ([("response_type", "")], "invalid_request"),
            ([("response_type", "token")], "unsupported_response_type"),
            ([("response_type", "code id_token")], "unsupported_response_type"),
            ([("response_mode", "fragment")], "invalid_request"),
            ([("response_mode", "form_post")], "invalid_request"),
            ([("request", "a.b.c")], "request_not_supported"),
            ([("request_uri", "https://app.example/r")], "request_not_supported"),
            ([("prompt", "none")], "interaction_required"),
            ([("scope", "admin")], "invalid_scope"),
            ([("scope", "mcp:read admin")], "invalid_scope"),
            ([("scope", "mcp:read mcp:infer")], "invalid_scope"),
            ([("scope", "a\"b")], "invalid_scope"),
            ([("scope", &*huge)], "invalid_scope"),
            ([("resource", "https://other.example/mcp")], "invalid_target"),
            ([("resource", "/mcp")], "invalid_target"),
            ([("resource", "http://127.0.0.1:8000/mcp#x")], "invalid_target"),
        ] {
            let back = asked(&issuer, &authorization(&id, &change)).await.sent_back();
            assert_eq!(back["error"], error, "{change:?}");
            assert_eq!((&back["iss"], &back["state"]), (&json!(ISSUER), &json!("s t&te")), "{change:?}");
            assert!(back.get("code").is_none());
        }
        let two = format!("{}&resource=http%3A%2F%2Flocalhost%3A8000%2Fmcp", authorization(&id, &[]));
        assert_eq!(asked(&issuer, &two).await.sent_back()["error"], "invalid_target");
        let endless = authorization(&id, &[("state", &huge)]);
        assert_eq!(
            asked(&issuer, &endless).await.sent_back(),
            json!({"error": "invalid_request", "iss": ISSUER,
            "error_description": "state is longer than 4096 bytes"})
        );
        for good in [
            &[][..],
            &[("state", "")],
            &[("resource", "")],
            &[("resource", "http://127.0.0.1:8000/mcp/")],
            &[("scope", "")],
            &[("scope", "mcp:read mcp:write offline_access")],
            &[("scope", "offline_access")],
            &[("response_mode", "query")],
            &[("prompt", "consent login")],
            &[("nonce", "n"), ("anything", "else")],
        ] {
            assert_eq!(asked(&issuer, &authorization(&id, good)).await.status, StatusCode::OK, "{good:?}");
        }
    }

    #[tokio::test]
    async fn a05_a07_a10_what_cannot_be_trusted_with_an_answer_gets_a_page_and_no_redirect() {
        let issuer = Fixture::new();
        let id = issuer.public_client().await;
        let good = authorization(&id, &[("redirect_uri", "https://app.example/callback")]);
        assert_eq!(asked(&issuer, &good).await.status, StatusCode::OK);
        let mut paths: Vec<_> = [
            "https://app.example/callback/",
            "https://app.example/callback?x=1",
            "https://app.example/callback#x",
            "https://app.example/x/../callback",
            "https://app.example/callback%2e%2e",
            "https://app.example/callback..;/",
            "https://app.example/Callback",
            "https://evil@app.example/callback",
            "https://app.example@@evil.example/callback",
            "https://app.example.evil.example/callback",
            "https://app.exampl\u{435}/callback",
            "http://127.0.0.1/callback/",
            "http://127.0.0.1.evil.example/callback",
            "http://localhost/callback",
            "javascript:alert(1)",
            "",
        ]
        .map(|uri| authorization(&id, &[("redirect_uri", uri)]))
        .into();
        paths.push(authorization("client-unknown", &[]));
        paths.push(authorization("", &[]));
        paths.push(authorization("<script>alert(1)</script>", &[]));
        paths.push(format!("{good}&client_id={id}"));
        paths.push(format!("{good}&state=other"));
        for path in paths {
            let answer = asked(&issuer, &path).await;
            assert_eq!((answer.status, answer.header("location")), (StatusCode::BAD_REQUEST, ""), "{path}");
            assert!(answer.text.contains("<h1>") && !answer.text.contains("<script>"), "{path}");
        }
    }

    #[tokio::test]
    async fn a30_only_programs_on_this_machine_are_let_in_unasked_and_only_to_what_was_named() {
        let issuer = Fixture::with(|settings| settings.auto_approve = Some(Scopes::parse("mcp:read").unwrap()));
        let id = issuer.public_client().await;
        let back = asked(&issuer, &authorization(&id, &[])).await.sent_back();
        let answer = issuer.trade_code(&id, back["code"].as_str().unwrap()).await;
        let claims = claims_of(answer.json["access_token"].as_str().unwrap());
        assert_eq!((&claims["sub"], &claims["scope"]), (&json!("dev"), &json!("mcp:read")));
        for more in ["mcp:read mcp:write", ""] {
            let back = asked(&issuer, &authorization(&id, &[("scope", more)])).await.sent_back();
            let answer = issuer.trade_code(&id, back["code"].as_str().unwrap()).await;
            assert_eq!(answer.json["scope"], "mcp:read", "{more}");
        }
        for change in [[("redirect_uri", "https://app.example/callback")], [("scope", "mcp:write")]] {
            let page = asked(&issuer, &authorization(&id, &change)).await;
            assert!(page.status == StatusCode::OK && page.text.contains("Log in"), "{change:?}");
        }
        let plain = Fixture::new();
        let id = plain.public_client().await;
        assert_eq!(asked(&plain, &authorization(&id, &[])).await.status, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_stranger_makes_no_redirector_of_us() {
        let issuer = Fixture::new();
        let id = issuer.public_client().await;
        let uri = "https://app.example/callback";
        let wrong = [("redirect_uri", uri), ("prompt", "none")];
        let page = asked(&issuer, &authorization(&id, &wrong)).await;
        assert_eq!((page.status, page.header("location")), (StatusCode::BAD_REQUEST, ""));
        assert!(page.text.contains("href=\"https://app.example/callback?error=interaction_required"), "{}", page.text);
        // On this machine, and where somebody with the initial access token has vouched for it, the client is told.
        let here = asked(&issuer, &authorization(&id, &[("prompt", "none")])).await.sent_back();
        assert_eq!(here["error"], "interaction_required");
        let vouched = issuer.register(&json!({"redirect_uris": [uri], "token_endpoint_auth_method": "none"})).await;
        let vouched = vouched.json["client_id"].as_str().unwrap().to_owned();
        let there = asked(&issuer, &authorization(&vouched, &wrong)).await.sent_back();
        assert_eq!(there["error"], "interaction_required");
    }

    #[tokio::test]
    async fn a_client_with_one_redirect_uri_need_not_name_it() {
        let issuer = Fixture::new();
        let id = issuer.public_client_with(&json!({"redirect_uris": ["https://app.example/callback"]})).await;
        let mut person = Person::logged_in(&issuer).await;
        let page = person.get(&authorization(&id, &[("redirect_uri", "")])).await;
        let back = person.decide(&page, "allow").await;
        assert!(back.header("location").starts_with("https://app.example/callback?code="));
    }

    #[tokio::test]
    async fn machines_send_nobody_here() {
        let issuer = Fixture::new();
        let (id, _) = issuer.registered_with(&json!({"grant_types": ["client_credentials"]})).await;
        assert_eq!(asked(&issuer, &authorization(&id, &[])).await.status, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a22_what_a_client_calls_itself_is_shown_as_unchecked_and_harmless() {
        let issuer = Fixture::new();
        let name = "<script>alert(1)</script>\u{202e}securemcp admin";
        let id = issuer.public_client_with(&json!({ "client_name": name })).await;
        let mut person = Person::logged_in(&issuer).await;
        let page = person.get(&authorization(&id, &[("redirect_uri", "https://app.example/callback")])).await;
        assert!(page.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;securemcp admin"), "{}", page.text);
        assert!(page.text.contains("nobody has checked it"));
        assert!(page.text.contains("<dd>app.example</dd>") || page.text.contains("<dd>app.example "), "{}", page.text);
        assert!(!page.text.contains("computer that you sit at"));
        let page = person.get(&authorization(&id, &[])).await;
        assert!(page.text.contains("computer that you sit at"), "{}", page.text);
    }

    #[tokio::test]
    async fn a25_pages_are_framed_by_nobody_and_run_nothing() {
        let issuer = Fixture::new();
        let id = issuer.public_client().await;
        let mut person = Person::logged_in(&issuer).await;
        let login = Person::new(&issuer).get(&authorization(&id, &[])).await;
        let consent = person.get(&authorization(&id, &[])).await;
        let app = person.get(&authorization(&id, &[("redirect_uri", "https://app.example/callback")])).await;
        for (page, leads_to) in
            [(login, "'self'"), (consent, "'self' http://127.0.0.1:49152"), (app, "'self' https://app.example")]
        {
            let policy = page.header("content-security-policy");
            let directives: Vec<_> = policy.split("; ").collect();
            let form_action = format!("form-action {leads_to}");
            for directive in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", &form_action] {
                assert!(directives.contains(&directive), "{directive}: {policy}");
            }
            assert!(!policy.contains("unsafe") && !policy.contains("script-src") && !page.text.contains("<script"));
        }
    }

    #[tokio::test]
    async fn a24_a_client_that_nobody_registered_is_what_its_document_says() {
        let issuer = Fixture::with(|settings| settings.cimd_allow_loopback = true);
        let site = Site::http(Answer::json("{}")).await;
        let id = format!("http://{}/client.json", site.address);
        let document = |change: Value| {
            let mut document = json!({"client_id": id, "client_name": "Editor", "redirect_uris": [CALLBACK],
                "grant_types": ["authorization_code", "refresh_token"], "scope": "mcp:read mcp:write unheard:of"});
            document.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            site.answer(Answer::json(document.to_string()));
        };
        let mut person = Person::logged_in(&issuer).await;
        for bad in [
            json!({"client_id": "http://127.0.0.1/client.json"}),
            json!({"token_endpoint_auth_method": "client_secret_basic"}),
            json!({"redirect_uris": ["javascript:alert(1)"]}),
        ] {
            document(bad);
            let page = person.get(&authorization(&id, &[])).await;
            assert_eq!((page.status, page.header("location")), (StatusCode::BAD_REQUEST, ""), "{}", page.text);
            assert!(page.text.contains("cannot be recognised"), "{}", page.text);
        }
        document(json!({}));
        let page = person.get(&authorization(&id, &[])).await;
        assert!(page.text.contains("Application of</dt><dd>127.0.0.1</dd>"), "{}", page.text);
        assert!(!page.text.contains("nobody has checked"));
        let elsewhere = authorization(&id, &[("redirect_uri", "https://app.example/callback")]);
        assert_eq!(person.get(&elsewhere).await.status, StatusCode::BAD_REQUEST);
        let more = authorization(&id, &[("scope", "mcp:infer")]);
        assert_eq!(person.get(&more).await.sent_back()["error"], "invalid_scope");
        let code = person.decide(&page, "allow").await.sent_back()["code"].as_str().unwrap().to_owned();
        let tokens = issuer.trade_code(&id, &code).await;
        assert_eq!(tokens.status, StatusCode::OK, "{}", tokens.json);
        let claims = claims_of(tokens.json["access_token"].as_str().unwrap());
        assert!(!issuer.embedded.is_revoked(claims["jti"].as_str(), claims["client_id"].as_str()));
        let refresh_token = tokens.json["refresh_token"].as_str().unwrap();
        assert_eq!(issuer.refresh(&id, refresh_token).await.status, StatusCode::OK);
        let revoked = issuer.trade_at("/revoke", &id, &[("token", refresh_token)]).await;
        assert_eq!(revoked.status, StatusCode::OK);
        assert!(issuer.embedded.is_revoked(claims["jti"].as_str(), claims["client_id"].as_str()));
        // By its name alone nobody gets anything.
        issuer.trade(&id, &[("grant_type", "client_credentials")]).await.is_refused(400, "unauthorized_client");
        issuer.trade_at("/device_authorization", &id, &[]).await.is_refused(400, "unauthorized_client");
        issuer.trade_at("/introspect", &id, &[("token", "x")]).await.is_refused(401, "invalid_client");
    }

    #[tokio::test]
    async fn a24_documents_on_this_machine_are_read_when_the_configuration_says_so() {
        let issuer = Fixture::new();
        let site = Site::http(Answer::json("{}")).await;
        let page = asked(&issuer, &authorization(&format!("http://{}/client.json", site.address), &[])).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.text.contains("is not https"), "{}", page.text);
        assert_eq!(site.connections().await, 0);
    }

    #[tokio::test]
    async fn a28_codes_are_in_no_file() {
        let issuer = Fixture::new();
        let id = issuer.public_client().await;
        let mut person = Person::logged_in(&issuer).await;
        let code = person.code_for(&authorization(&id, &[])).await;
        let (grant, seal) = code.split_once('.').unwrap();
        let files = issuer.files("grants");
        assert_eq!(files.len(), 1);
        assert!(files[0].contains(grant) && !files[0].contains(seal) && !files[0].contains(VERIFIER));
        let kept: Value = serde_json::from_str(&files[0]).unwrap();
        assert_eq!((&kept["user"], &kept["scope"]), (&json!("dev"), &json!("mcp:read")));
    }
}
