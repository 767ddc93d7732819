//! A world for tests: one loopback server that is MCP server, resource metadata and issuer at once, and can lie.

use std::{
    collections::HashMap,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::{BoxFuture, Client, ClientError, DeviceCode, Host, Person, Settings};
use crate::{
    clock::TestClock,
    jose::SigningKey,
    oauth::{
        Resource, Scopes,
        assertion::{ID_JAG, ID_JAG_TYP, JWT_BEARER_GRANT, TOKEN_EXCHANGE},
        device::DEVICE_CODE,
        pkce::Verifier,
    },
    secret::Secret,
};

pub(super) const NOW: u64 = 1_700_000_000;

/// One HTTP request as the server saw it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// `POST /mcp tools/call`, `GET /metadata`, ..
    pub(super) what: String,
    pub(super) authorization: Option<String>,
    pub(super) query: String,
    pub(super) body: String,
}

/// How the server behaves.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of a test")]
pub(super) struct Rules {
    pub(super) protected: bool,
    pub(super) modern: bool,
    /// What `tools/call` needs.
    pub(super) call_scope: String,
    /// The header of a 401; `None` leaves it out.
    pub(super) challenge: Option<String>,
    /// By path. A missing document is a 404.
    pub(super) documents: HashMap<String, Value>,
    /// What an endpoint answers instead.
    pub(super) answers: HashMap<String, (u16, Value)>,
    pub(super) expires_in: Option<u64>,
    /// Whether every token is refused.
    pub(super) refuses_all: bool,
    /// What a token request with `resource` is answered.
    pub(super) refuses_resource: Option<(u16, Value)>,
    /// Tokens are JWTs with this `aud`.
    pub(super) audience: Option<Value>,
    /// `tools/call` asks for the model first: over an event stream, or by `input_required`.
    pub(super) samples: bool,
    /// `tools/call` asks these questions first: in 2026 one object of them in each round. The result tells the answers.
    pub(super) asks: Vec<Value>,
    /// What `tools/call` tells before its result.
    pub(super) tells: Vec<Value>,
    /// This method is never answered.
    pub(super) hangs_on: &'static str,
    /// What is changed in the answer to a login; `None` leaves the parameter out.
    pub(super) tampered: Vec<(&'static str, Option<String>)>,
    /// What polls for a device are answered, one after the other, before the token.
    pub(super) polls: Vec<&'static str>,
    /// What is granted, whatever is asked for.
    pub(super) grants: Option<String>,
    /// Clients that are not known (any more) at the token endpoint.
    pub(super) forgotten: Vec<String>,
    /// Whether a refresh brings a new refresh token.
    pub(super) rotates: bool,
    /// What a token exchange is answered instead of an identity assertion.
    pub(super) exchanged: Option<Value>,
    /// What `skills/list` answers; `None`: the server has none.
    pub(super) skills: Option<Value>,
    /// What `resources/read` has, by URI.
    pub(super) resources: HashMap<String, Value>,
    /// `tools/call` gets an event stream that ends at once and wants to be taken up again at once.
    pub(super) circles: bool,
}

pub(super) struct World {
    pub(super) origin: String,
    pub(super) clock: Arc<TestClock>,
    pub(super) root: tempfile::TempDir,
    inner: Arc<Inner>,
}

struct Inner {
    origin: String,
    rules: Mutex<Rules>,
    seen: Mutex<Vec<Seen>>,
    /// Scopes by token.
    tokens: Mutex<HashMap<String, String>>,
    /// What was asked of the authorization endpoint, by the code that it led to.
    codes: Mutex<HashMap<String, HashMap<String, String>>>,
    /// Scopes by token.
    refresh_tokens: Mutex<HashMap<String, String>>,
    /// Where the answers of the client go, each with the id of its question.
    answers: Mutex<Option<mpsc::Sender<(String, Value)>>>,
}

impl World {
    pub(super) async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let server = json!({
            "issuer": origin,
            "token_endpoint": format!("{origin}/token"),
            "registration_endpoint": format!("{origin}/register"),
            "revocation_endpoint": format!("{origin}/revoke"),
            "authorization_endpoint": format!("{origin}/authorize"),
            "device_authorization_endpoint": format!("{origin}/device_authorization"),
            "grant_types_supported": [
                "client_credentials", "authorization_code", "refresh_token", DEVICE_CODE, JWT_BEARER_GRANT, TOKEN_EXCHANGE,
            ],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        });
        let resource = json!({
            "resource": format!("{origin}/mcp"),
            "authorization_servers": [origin],
            "scopes_supported": ["mcp:read", "mcp:write"],
        });
        let rules = Rules {
            protected: true,
            modern: true,
            call_scope: "mcp:read".to_owned(),
            challenge: Some(format!(
                "Bearer resource_metadata=\"{origin}/.well-known/oauth-protected-resource/mcp\", scope=\"mcp:read\""
            )),
            documents: HashMap::from([
                ("/.well-known/oauth-protected-resource/mcp".to_owned(), resource),
                ("/.well-known/oauth-authorization-server".to_owned(), server),
            ]),
            answers: HashMap::new(),
            expires_in: Some(300),
            refuses_all: false,
            refuses_resource: None,
            audience: None,
            samples: false,
            asks: Vec::new(),
            tells: Vec::new(),
            hangs_on: "",
            circles: false,
            exchanged: None,
            skills: None,
            resources: HashMap::new(),
            tampered: Vec::new(),
            polls: Vec::new(),
            grants: None,
            forgotten: Vec::new(),
            rotates: true,
        };
        let inner = Arc::new(Inner {
            origin: origin.clone(),
            rules: Mutex::new(rules),
            seen: Mutex::default(),
            tokens: Mutex::default(),
            codes: Mutex::default(),
            refresh_tokens: Mutex::default(),
            answers: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(inner.clone());
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| stream.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { origin, clock: TestClock::at(NOW), root: tempfile::tempdir().unwrap(), inner }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.inner.rules.lock().unwrap());
    }

    /// Changes one member of one document.
    pub(super) fn lie(&self, path: &str, member: &str, value: impl Into<Value>) {
        self.change(|rules| rules.documents.get_mut(path).unwrap()[member] = value.into());
    }

    pub(super) fn lie_as_issuer(&self, member: &str, value: impl Into<Value>) {
        self.lie("/.well-known/oauth-authorization-server", member, value);
    }

    pub(super) fn lie_as_resource(&self, member: &str, value: impl Into<Value>) {
        self.lie("/.well-known/oauth-protected-resource/mcp", member, value);
    }

    pub(super) fn state_dir(&self) -> PathBuf {
        self.root.path().join("state")
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            server: Resource::parse(&format!("{}/mcp", self.origin)).unwrap(),
            issuer: None,
            issuer_backchannel_url: None,
            client_id: Some("cli".to_owned()),
            client_secret: Some(Secret::new("s3cret")),
            private_key: None,
            voucher: None,
            client_metadata_url: None,
            dpop: false,
            grant: None,
            person: None,
            login_timeout: Duration::from_mins(1),
            token: None,
            scopes: None,
            resource: None,
            state_dir: self.state_dir(),
            persist: true,
            force_new: false,
            timeout: Duration::from_secs(5),
            extra_roots: Vec::new(),
            clock: self.clock.clone(),
        }
    }

    pub(super) fn client(&self) -> Client {
        self.client_with(|_| {})
    }

    pub(super) fn client_with(&self, change: impl FnOnce(&mut Settings)) -> Client {
        let mut settings = self.settings();
        change(&mut settings);
        Client::new(settings).unwrap()
    }

    /// What was asked so far, in order; the next call starts from here.
    pub(super) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.inner.seen.lock().unwrap())
    }

    pub(super) fn whats(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.what).collect()
    }

    /// Takes back every token that was issued.
    pub(super) fn forget_tokens(&self) {
        self.inner.tokens.lock().unwrap().clear();
    }

    /// A client for whom this person is there, and that is nobody else.
    pub(super) fn visited_by(&self, person: &Arc<Visitor>, change: impl FnOnce(&mut Settings)) -> Client {
        let person: Arc<dyn Person> = person.clone();
        self.client_with(|settings| {
            (settings.client_id, settings.client_secret) = (None, None);
            settings.person = Some(person);
            change(settings);
        })
    }

    /// The bodies of all token requests so far.
    pub(super) fn token_requests(&self) -> Vec<String> {
        let requests = self.seen().into_iter().filter(|seen| seen.what == "POST /token");
        requests.map(|seen| seen.body).collect()
    }

    pub(super) fn forget_refresh_tokens(&self) {
        self.inner.refresh_tokens.lock().unwrap().clear();
    }

    pub(super) fn allow(&self, token: &str, scope: &str) {
        self.inner.tokens.lock().unwrap().insert(token.to_owned(), scope.to_owned());
    }

    pub(super) fn files(&self, folder: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.state_dir().join(folder)).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.')).collect()
    }
}

/// Calls `echo` in a session of its own.
pub(super) async fn echo(client: &Client) -> Result<String, ClientError> {
    let session = client.connect(Host::default()).await?;
    let arguments = Map::from_iter([("message".to_owned(), json!("hi"))]);
    let result = session.call_tool("echo", arguments).await;
    session.close().await;
    Ok(result?.content[0].as_text().unwrap().text.clone())
}

/// The value of a form field.
pub(super) fn field(body: &str, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(body.as_bytes());
    pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

async fn answer(State(world): State<Arc<Inner>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let path = parts.uri.path().to_owned();
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let message: Value = serde_json::from_str(&body).unwrap_or_default();
    let mut what = format!("{} {path}", parts.method);
    if let Some(method) = message["method"].as_str() {
        what = format!("{what} {method}");
    }
    let authorization = header("authorization");
    world.seen.lock().unwrap().push(Seen {
        what,
        authorization: authorization.clone(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body: body.clone(),
    });
    let rules = world.rules.lock().unwrap().clone();
    if let Some((status, value)) = rules.answers.get(&path) {
        return reply(*status, value);
    }
    if let Some(document) = rules.documents.get(&path) {
        return reply(200, document);
    }
    match path.as_str() {
        "/mcp" if parts.method == "POST" => mcp(&world, &rules, authorization.as_deref(), &message).await,
        "/mcp" if rules.circles => circle(),
        "/mcp" => reply(405, &Value::Null),
        "/token" => token(&world, &rules, &body),
        "/authorize" => authorize(&world, &rules, parts.uri.query().unwrap_or_default()),
        "/device_authorization" => reply(
            200,
            &json!({
                "device_code": "d3vice", "user_code": "WDJB-MJHT", "verification_uri": format!("{}/device", world.origin),
                "verification_uri_complete": format!("{}/device?user_code=WDJB-MJHT", world.origin),
                "expires_in": 600, "interval": 1,
            }),
        ),
        "/register" => register(&world, &message),
        "/revoke" => reply(200, &json!({})),
        _ => reply(404, &Value::Null),
    }
}

fn reply(status: u16, value: &Value) -> Response {
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    if let Some(location) = value["location"].as_str() {
        response = response.header("location", location);
    }
    response.body(Body::from(value.to_string())).unwrap()
}

fn token(world: &Inner, rules: &Rules, body: &str) -> Response {
    let mut scope = field(body, "scope").unwrap_or_default();
    let refused = |error: &str| reply(400, &json!({ "error": error }));
    let client_id = field(body, "client_id").unwrap_or_default();
    if rules.forgotten.contains(&client_id) {
        return reply(401, &json!({"error": "invalid_client"}));
    }
    let grant = field(body, "grant_type").unwrap_or_default();
    if grant == TOKEN_EXCHANGE {
        return reply(200, rules.exchanged.as_ref().unwrap_or(&exchanged(world, body)));
    }
    let is_login = grant != "client_credentials" && grant != JWT_BEARER_GRANT;
    match grant.as_str() {
        "authorization_code" => {
            let asked = world.codes.lock().unwrap().remove(&field(body, "code").unwrap_or_default());
            let Some(asked) = asked else { return refused("invalid_grant") };
            let same = ["client_id", "redirect_uri", "resource"];
            let verifier = Verifier::parse(&field(body, "code_verifier").unwrap_or_default());
            let challenge = verifier.map(|verifier| verifier.challenge().as_str().to_owned());
            // A client that proves itself names itself in the header.
            let differs = |name: &&str| field(body, name).is_none_or(|value| Some(&value) != asked.get(*name));
            let same = if client_id.is_empty() { &same[1..] } else { &same[..] };
            if same.iter().any(differs) || challenge.as_ref() != asked.get("code_challenge") {
                return refused("invalid_grant");
            }
            scope = asked.get("scope").cloned().unwrap_or_default();
        }
        "refresh_token" => {
            let mut known = world.refresh_tokens.lock().unwrap();
            let token = field(body, "refresh_token").unwrap_or_default();
            let Some(granted) = known.get(&token).cloned() else { return refused("invalid_grant") };
            scope = granted;
            if rules.rotates {
                known.remove(&token);
            }
        }
        DEVICE_CODE => {
            let mut rules = world.rules.lock().unwrap();
            if !rules.polls.is_empty() {
                let answer = rules.polls.remove(0);
                return refused(answer);
            }
            "mcp:read".clone_into(&mut scope);
        }
        _ => {}
    }
    if let Some(granted) = &rules.grants {
        scope.clone_from(granted);
    }
    if let Some((status, answer)) = rules.refuses_resource.as_ref().filter(|_| field(body, "resource").is_some()) {
        return reply(*status, answer);
    }
    let mut tokens = world.tokens.lock().unwrap();
    let token = match &rules.audience {
        Some(audience) => {
            let claims = json!({"iss": world.origin, "aud": audience, "sub": "cli", "exp": NOW + 300, "iat": NOW});
            SigningKey::generate().sign("JWT", &claims)
        }
        None => Secret::random(),
    };
    let token = token.expose().to_owned();
    tokens.insert(token.clone(), scope.clone());
    let mut answer = json!({"access_token": token, "token_type": "Bearer", "scope": scope});
    if is_login && (rules.rotates || grant != "refresh_token") {
        let refresh_token = Secret::random().expose().to_owned();
        answer["refresh_token"] = refresh_token.clone().into();
        world.refresh_tokens.lock().unwrap().insert(refresh_token, scope);
    }
    if let Some(seconds) = rules.expires_in {
        answer["expires_in"] = seconds.into();
    }
    reply(200, &answer)
}

/// An identity provider's word to the audience that was named.
fn exchanged(world: &Inner, body: &str) -> Value {
    let audience = field(body, "audience");
    let claims = json!({"iss": world.origin, "aud": audience, "sub": "alice", "exp": NOW + 300, "iat": NOW});
    let assertion = SigningKey::generate().sign(ID_JAG_TYP, &claims);
    json!({"access_token": assertion, "issued_token_type": ID_JAG, "token_type": "N_A"})
}

/// What the page of an issuer does when somebody has logged in there: the way back, with the answer in it.
fn authorize(world: &Inner, rules: &Rules, query: &str) -> Response {
    let asked: HashMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let code = Secret::random().expose().to_owned();
    let mut back = url::Url::parse(&asked["redirect_uri"]).unwrap();
    let mut answer = vec![("code", code.clone()), ("state", asked["state"].clone()), ("iss", world.origin.clone())];
    for (name, value) in &rules.tampered {
        answer.retain(|(known, _)| known != name);
        answer.extend(value.clone().map(|value| (*name, value)));
    }
    back.query_pairs_mut().extend_pairs(answer);
    world.codes.lock().unwrap().insert(code, asked);
    Response::builder().status(303).header("location", back.as_str()).body(Body::empty()).unwrap()
}

/// A person with a browser, who agrees to everything.
#[derive(Debug)]
pub(super) struct Visitor {
    /// Whether the browser is on another machine: then the last address is carried over, changed by this.
    carries: Option<fn(String) -> Vec<String>>,
    /// Whether the person walks away from the page.
    leaves: bool,
    http: reqwest::Client,
    pub(super) pages: Mutex<Vec<url::Url>>,
    pub(super) codes: Mutex<Vec<DeviceCode>>,
    pub(super) told: Mutex<Vec<String>>,
    /// What the browser showed in the end.
    pub(super) ends: Mutex<Vec<(u16, String)>>,
    lines: (mpsc::UnboundedSender<String>, tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>),
    browser: Mutex<Option<tokio::task::JoinHandle<()>>>,
    this: std::sync::Weak<Self>,
}

impl Visitor {
    pub(super) fn new() -> Arc<Self> {
        Self::with(None, false)
    }

    pub(super) fn elsewhere(carries: fn(String) -> Vec<String>) -> Arc<Self> {
        Self::with(Some(carries), false)
    }

    pub(super) fn who_leaves() -> Arc<Self> {
        Self::with(None, true)
    }

    fn with(carries: Option<fn(String) -> Vec<String>>, leaves: bool) -> Arc<Self> {
        let http = crate::net::plain_client(&crate::net::Options::with_timeout(Duration::from_secs(5))).unwrap();
        let (send, lines) = mpsc::unbounded_channel();
        Arc::new_cyclic(|this| Self {
            carries,
            leaves,
            http,
            pages: Mutex::default(),
            codes: Mutex::default(),
            told: Mutex::default(),
            ends: Mutex::default(),
            lines: (send, tokio::sync::Mutex::new(lines)),
            browser: Mutex::default(),
            this: this.clone(),
        })
    }

    /// How often the person was sent to log in.
    pub(super) fn visits(&self) -> usize {
        self.pages.lock().unwrap().len()
    }

    /// A parameter of the last page.
    pub(super) fn asked(&self, name: &str) -> Option<String> {
        field(self.pages.lock().unwrap().last().unwrap().query().unwrap(), name)
    }

    /// What the browser showed last, when it has arrived.
    pub(super) async fn last_end(&self) -> (u16, String) {
        let browser = self.browser.lock().unwrap().take();
        browser.unwrap().await.unwrap();
        self.ends.lock().unwrap().last().unwrap().clone()
    }
}

impl Person for Visitor {
    fn visit<'a>(&'a self, page: &'a url::Url) -> BoxFuture<'a, ()> {
        self.pages.lock().unwrap().push(page.clone());
        let (this, page) = (self.this.upgrade().unwrap(), page.clone());
        if self.leaves {
            return Box::pin(std::future::ready(()));
        }
        let browser = tokio::spawn(async move {
            let answer = this.http.get(page).send().await.unwrap();
            let back = answer.headers()["location"].to_str().unwrap().to_owned();
            if let Some(carries) = this.carries {
                for line in carries(back) {
                    this.lines.0.send(line).unwrap();
                }
                return;
            }
            let answer = this.http.get(back).send().await.unwrap();
            let end = (answer.status().as_u16(), answer.text().await.unwrap());
            this.ends.lock().unwrap().push(end);
        });
        *self.browser.lock().unwrap() = Some(browser);
        Box::pin(std::future::ready(()))
    }

    fn pasted(&self) -> BoxFuture<'_, String> {
        Box::pin(async { self.lines.1.lock().await.recv().await.unwrap() })
    }

    fn show_code(&self, code: &DeviceCode) {
        self.codes.lock().unwrap().push(code.clone());
    }

    fn tell(&self, words: &str) {
        self.told.lock().unwrap().push(words.to_owned());
    }

    fn done(&self) {}
}

fn register(world: &Inner, request: &Value) -> Response {
    let mut answer = request.clone();
    let count = world.seen.lock().unwrap().len();
    answer["client_id"] = format!("client-{count}").into();
    if request["token_endpoint_auth_method"] != "none" {
        answer["client_secret"] = "registered-secret".into();
        answer["client_secret_expires_at"] = 0.into();
    }
    answer["registration_access_token"] = "rat-1".into();
    answer["registration_client_uri"] = format!("{}/register/it", world.origin).into();
    let mut now = answer.clone();
    now["registration_access_token"] = "rat-2".into();
    world.rules.lock().unwrap().documents.insert("/register/it".to_owned(), now);
    reply(201, &answer)
}

async fn mcp(world: &Inner, rules: &Rules, authorization: Option<&str>, message: &Value) -> Response {
    if rules.protected {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        let scope = token.and_then(|token| world.tokens.lock().unwrap().get(token).cloned());
        let Some(scope) = scope.filter(|_| !rules.refuses_all) else {
            let mut response = reply(401, &Value::Null);
            if let Some(challenge) = &rules.challenge {
                response.headers_mut().insert("www-authenticate", challenge.parse().unwrap());
            }
            return response;
        };
        let (held, needed) = (Scopes::parse(&scope).unwrap(), Scopes::parse(&rules.call_scope).unwrap());
        if message["method"] == "tools/call" && !held.covers(&needed) {
            let mut response = reply(403, &Value::Null);
            let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{needed}\"");
            response.headers_mut().insert("www-authenticate", challenge.parse().unwrap());
            return response;
        }
    }
    let result = |result: Value| reply(200, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}));
    let unknown = json!({"code": -32601, "message": "no such method"});
    let error = |error: Value| reply(200, &json!({"jsonrpc": "2.0", "id": message["id"], "error": error}));
    let mut capabilities = json!({"tools": {}});
    if rules.skills.is_some() {
        capabilities["resources"] = json!({});
        capabilities["extensions"] = json!({"io.modelcontextprotocol/skills": {}});
    }
    match message["method"].as_str() {
        Some(method) if method == rules.hangs_on => std::future::pending().await,
        Some("server/discover") if rules.modern => result(json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": capabilities,
            "ttlMs": 0, "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "world", "version": "1"}},
        })),
        Some("initialize") if !rules.modern => result(json!({
            "protocolVersion": "2025-11-25", "capabilities": capabilities,
            "serverInfo": {"name": "world", "version": "1"},
        })),
        Some("tools/list" | "tools/call")
            if rules.modern != message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"].is_string() =>
        {
            error(json!({"code": -32600, "message": "of another generation"}))
        }
        Some("tools/list") => result(json!({
            "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
            "tools": [{"name": "echo", "inputSchema": {"type": "object"}}],
        })),
        Some("skills/list") if rules.skills.is_some() => result(json!({
            "resultType": "complete", "ttlMs": 0, "cacheScope": "private", "skills": rules.skills,
        })),
        Some("resources/read") => match rules.resources.get(message["params"]["uri"].as_str().unwrap()) {
            Some(content) => result(json!({
                "resultType": "complete", "ttlMs": 0, "cacheScope": "private", "contents": [content],
            })),
            None => error(json!({"code": -32602, "message": "no such resource"})),
        },
        Some("tools/call") if rules.circles => circle(),
        Some("tools/call") if rules.samples && rules.modern => match &message["params"]["inputResponses"]["q"] {
            Value::Null => result(json!({"resultType": "input_required", "inputRequests": {"q": sampling()}})),
            sampled => result(told(&sampled["content"]["text"])),
        },
        Some("tools/call") if rules.samples => {
            let rounds = vec![vec![("q".to_owned(), sampling())]];
            over_stream(world, rules, message, rounds, |answers| told(&answers["q"]["content"]["text"]))
        }
        Some("tools/call") if !rules.asks.is_empty() && rules.modern => result(next_round(rules, &message["params"])),
        Some("tools/call") if !rules.asks.is_empty() || !rules.tells.is_empty() => {
            let rounds = rules.asks.iter().map(|round| round.as_object().unwrap().clone().into_iter().collect());
            over_stream(world, rules, message, rounds.collect(), |answers| told(&answers.to_string().into()))
        }
        Some("tools/call") if message["params"]["name"] == "fail" => {
            error(json!({"code": -32602, "message": "no \u{1b}[31mtool\nhere"}))
        }
        Some("tools/call") => result(told(&message["params"]["arguments"]["message"])),
        Some(notification) if notification.starts_with("notifications/") => reply(202, &Value::Null),
        Some(_) => error(unknown),
        None => {
            let answers = world.answers.lock().unwrap().clone();
            if let Some(answers) = answers {
                let answer = message.get("result").or(message.get("error")).cloned();
                let key = message["id"].as_str().unwrap().to_owned();
                answers.send((key, answer.unwrap())).await.unwrap();
            }
            reply(202, &Value::Null)
        }
    }
}

/// What a server of 2026 answers to a call that has these answers with it: its state counts the rounds, and keeps them.
fn next_round(rules: &Rules, params: &Value) -> Value {
    let mut answers: Map<String, Value> = match params["requestState"].as_str() {
        Some(state) => serde_json::from_str(state).unwrap(),
        None => Map::new(),
    };
    answers.extend(params["inputResponses"].as_object().cloned().unwrap_or_default());
    let is_open = |round: &&Value| round.as_object().unwrap().keys().any(|key| !answers.contains_key(key));
    let state = Value::Object(answers.clone()).to_string();
    match rules.asks.iter().find(is_open) {
        Some(round) => json!({"resultType": "input_required", "inputRequests": round, "requestState": state}),
        None => told(&state.into()),
    }
}

fn circle() -> Response {
    let response = Response::builder().header("content-type", "text/event-stream");
    response.body(Body::from("id: 1\nretry: 0\ndata:\n\n")).unwrap()
}

fn told(text: &Value) -> Value {
    json!({"resultType": "complete", "content": [{"type": "text", "text": text}]})
}

fn sampling() -> Value {
    let question = json!({"role": "user", "content": {"type": "text", "text": "what?"}});
    json!({"method": "sampling/createMessage", "params": {"messages": [question], "maxTokens": 10}})
}

/// What is told and asked comes over the stream that will carry the result; the questions of a round come at once.
fn over_stream(
    world: &Inner,
    rules: &Rules,
    message: &Value,
    rounds: Vec<Vec<(String, Value)>>,
    result: impl FnOnce(Value) -> Value + Send + 'static,
) -> Response {
    let (events, receiver) = mpsc::channel(4);
    let (sender, mut answered) = mpsc::channel(1);
    *world.answers.lock().unwrap() = Some(sender);
    let event = |value: &Value| Bytes::from(format!("data: {value}\n\n"));
    let (id, token) = (message["id"].clone(), message["params"]["_meta"]["progressToken"].clone());
    let mut tells = rules.tells.clone();
    for told in &mut tells {
        told["jsonrpc"] = "2.0".into();
        if told["method"] == "notifications/progress" {
            told["params"]["progressToken"] = token.clone();
        }
    }
    tokio::spawn(async move {
        for told in tells {
            events.send(event(&told)).await.unwrap();
        }
        let mut answers = Map::new();
        for round in rounds {
            let open = round.len();
            for (key, mut question) in round {
                (question["jsonrpc"], question["id"]) = ("2.0".into(), key.into());
                events.send(event(&question)).await.unwrap();
            }
            for _ in 0..open {
                let Some((key, answer)) = answered.recv().await else { return };
                answers.insert(key, answer);
            }
        }
        let result = result(Value::Object(answers));
        let _ = events.send(event(&json!({"jsonrpc": "2.0", "id": id, "result": result}))).await;
    });
    let response = Response::builder().header("content-type", "text/event-stream");
    response.body(Body::new(Events(receiver))).unwrap()
}

struct Events(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|event| event.map(|bytes| Ok(hyper::body::Frame::data(bytes))))
    }
}
