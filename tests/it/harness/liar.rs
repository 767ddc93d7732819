//! An MCP server that is its own issuer, keeps a record of who asked for what, and lies on command.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::TcpListener,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    thread::JoinHandle,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Response, header},
};
use securemcp::{
    oauth::{Scopes, device::DEVICE_CODE, pkce::Verifier},
    secret::Secret,
};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

use super::issuer::gzip_of_zeros;

pub(crate) const RESOURCE: &str = "/.well-known/oauth-protected-resource/mcp";
pub(crate) const ISSUER: &str = "/.well-known/oauth-authorization-server";

/// Honest until told otherwise. It has a thread of its own, and stops when dropped.
pub(crate) struct Liar {
    pub(crate) origin: String,
    /// Its MCP endpoint.
    pub(crate) url: String,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    /// `POST /mcp tools/call`, `POST /token`, `GET /clients?first=0`, ..
    pub(crate) what: String,
    pub(crate) authorization: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// What is answered instead of the truth.
#[derive(Clone, Debug)]
pub(crate) enum Lie {
    Answer(u16, Value),
    /// 429 with this `Retry-After`.
    Busy(&'static str, Value),
    /// A page for people.
    Page(u16, &'static str),
    Redirect(u16, String),
    /// Of this type: this first, then these bytes for ever.
    Endless(&'static str, &'static [u8], &'static [u8]),
    GzipBomb,
}

struct Shared {
    origin: String,
    rules: Mutex<Rules>,
    hits: Mutex<Vec<Hit>>,
    /// Scopes by token.
    tokens: Mutex<HashMap<String, String>>,
    logins: Mutex<Logins>,
}

/// What an issuer remembers of logins.
#[derive(Default)]
struct Logins {
    /// What was asked of the authorization endpoint, by code.
    codes: HashMap<String, HashMap<String, String>>,
    /// The scopes of refresh tokens.
    scopes: HashMap<String, String>,
    /// What a refresh token was changed for, whoever asks again: a client may not have got it.
    successors: HashMap<String, String>,
}

struct Rules {
    documents: HashMap<&'static str, Value>,
    /// By the first words of [`Hit::what`].
    lies: Vec<(&'static str, Lie)>,
    /// Requests that begin like this wait until it is true.
    held: Option<(&'static str, watch::Receiver<bool>)>,
    /// Of a 401; `None` leaves the header out.
    challenge: Option<String>,
    /// What `tools/call`, `resources/read` and `prompts/get` need; the answer to less says so.
    call_scope: String,
    refuses_all: bool,
    tools: Value,
    /// The result of every call, instead of its message.
    call_result: Option<Value>,
    /// What polls for a device are answered, one after the other, before the token.
    polls: Vec<&'static str>,
    /// How long tokens of logins live, and those that they are refreshed to.
    lives_seconds: (u64, u64),
    /// What other methods are answered, each with the members that its parameters must have; a number is the code of an
    /// error. A server with any says that it has resources and prompts; one with `skills/list` also skills.
    results: Vec<(&'static str, Value, Value)>,
}

impl Liar {
    pub(crate) fn start() -> Self {
        Self::start_at(0)
    }

    /// At a port that was chosen before.
    pub(crate) fn start_at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let origin = format!("http://{}", listener.local_addr().expect("bound"));
        let issuer = json!({
            "issuer": origin,
            "token_endpoint": format!("{origin}/token"),
            "registration_endpoint": format!("{origin}/register"),
            "revocation_endpoint": format!("{origin}/revoke"),
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
        });
        let resource = json!({"resource": format!("{origin}/mcp"), "authorization_servers": [origin]});
        let rules = Rules {
            documents: HashMap::from([(RESOURCE, resource), (ISSUER, issuer)]),
            lies: Vec::new(),
            held: None,
            challenge: Some(format!("Bearer resource_metadata=\"{origin}{RESOURCE}\", scope=\"mcp:read\"")),
            call_scope: "mcp:read".to_owned(),
            refuses_all: false,
            tools: json!([{"name": "echo", "inputSchema": {"type": "object",
                "properties": {"message": {"type": "string"}}, "required": ["message"]}}]),
            call_result: None,
            results: Vec::new(),
            polls: Vec::new(),
            lives_seconds: (300, 300),
        };
        let shared = Arc::new(Shared {
            origin: origin.clone(),
            rules: Mutex::new(rules),
            hits: Mutex::default(),
            tokens: Mutex::default(),
            logins: Mutex::default(),
        });
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                tokio::select! {
                    served = axum::serve(listener, routes) => served.expect("serves"),
                    _ = stopped => {}
                }
            });
        });
        Self { url: format!("{origin}/mcp"), origin, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Lets people log in.
    pub(crate) fn takes_logins(&self) {
        for (member, value) in [
            ("authorization_endpoint", json!(format!("{}/authorize", self.origin))),
            ("device_authorization_endpoint", json!(format!("{}/device_authorization", self.origin))),
            (
                "grant_types_supported",
                json!(["client_credentials", "authorization_code", "refresh_token", DEVICE_CODE]),
            ),
            ("code_challenge_methods_supported", json!(["S256"])),
            ("authorization_response_iss_parameter_supported", json!(true)),
        ] {
            self.claim(ISSUER, member, value);
        }
    }

    /// How long tokens of logins live, and those that they are refreshed to.
    pub(crate) fn live_for(&self, first_seconds: u64, next_seconds: u64) {
        self.rules().lives_seconds = (first_seconds, next_seconds);
    }

    /// Answers polls for a device like this first.
    pub(crate) fn answer_polls(&self, polls: &[&'static str]) {
        self.rules().polls = polls.to_vec();
    }

    /// Every refresh token that was ever given out.
    pub(crate) fn refresh_tokens(&self) -> Vec<String> {
        self.shared.logins.lock().expect("no panic").scopes.keys().cloned().collect()
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.shared.rules.lock().expect("no panic")
    }

    /// Changes a member of the metadata of the resource or of the issuer.
    pub(crate) fn claim(&self, document: &'static str, member: &str, value: impl Into<Value>) {
        self.rules().documents.get_mut(document).expect("it is published")[member] = value.into();
    }

    /// Answers requests that begin like this otherwise.
    pub(crate) fn lie(&self, what: &'static str, lie: Lie) {
        self.rules().lies.push((what, lie));
    }

    /// Lets requests that begin like this wait for an answer until what is returned says `true`.
    pub(crate) fn hold(&self, what: &'static str) -> watch::Sender<bool> {
        let (gate, opened) = watch::channel(false);
        self.rules().held = Some((what, opened));
        gate
    }

    /// Takes back all lies about requests.
    pub(crate) fn repent(&self) {
        self.rules().lies.clear();
    }

    pub(crate) fn challenge(&self, challenge: Option<&str>) {
        self.rules().challenge = challenge.map(str::to_owned);
    }

    pub(crate) fn needs(&self, scope: &str) {
        scope.clone_into(&mut self.rules().call_scope);
    }

    /// Lists these tools.
    pub(crate) fn offer(&self, tools: Value) {
        self.rules().tools = tools;
    }

    /// Answers every call with this result.
    pub(crate) fn answer_calls(&self, result: Value) {
        self.rules().call_result = Some(result);
    }

    /// Answers a method with these members among its parameters, and says that there are resources and prompts.
    pub(crate) fn answer_method(&self, method: &'static str, parameters: Value, result: Value) {
        self.rules().results.push((method, parameters, result));
    }

    pub(crate) fn refuse_all(&self) {
        self.rules().refuses_all = true;
    }

    /// Forgets every token that it has issued.
    pub(crate) fn revoke_all(&self) {
        self.shared.tokens.lock().expect("no panic").clear();
    }

    /// Every request since the last time.
    pub(crate) fn hits(&self) -> Vec<Hit> {
        std::mem::take(&mut *self.shared.hits.lock().expect("no panic"))
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().expect("once").join();
    }
}

/// The requests among them that begin like this.
pub(crate) fn only<'a>(hits: &'a [Hit], what: &str) -> Vec<&'a Hit> {
    hits.iter().filter(|hit| hit.what.starts_with(what)).collect()
}

/// The value of a form field.
pub(crate) fn field(body: &str, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(body.as_bytes());
    pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a small body");
    let body = String::from_utf8(body.to_vec()).expect("UTF-8");
    let message: Value = serde_json::from_str(&body).unwrap_or_default();
    let path = parts.uri.path();
    let method = message["method"].as_str().map(|method| format!(" {method}")).unwrap_or_default();
    let target = parts.uri.path_and_query().map_or(path, |target| target.as_str());
    let what = format!("{} {target}{method}", parts.method);
    let authorization = parts.headers.get(header::AUTHORIZATION);
    let authorization = authorization.map(|value| value.to_str().expect("ASCII").to_owned());
    let hit = Hit {
        what: what.clone(),
        authorization: authorization.clone(),
        headers: parts.headers.clone(),
        body: body.clone(),
    };
    shared.hits.lock().expect("no panic").push(hit);
    let held = shared.rules.lock().expect("no panic").held.clone();
    if let Some((_, mut opened)) = held.filter(|(start, _)| what.starts_with(start)) {
        opened.wait_for(|is_open| *is_open).await.expect("the gate outlives who waits");
    }
    let mut rules = shared.rules.lock().expect("no panic");
    if let Some((_, lie)) = rules.lies.iter().find(|(start, _)| what.starts_with(start)) {
        return lie.tell();
    }
    if let Some(document) = rules.documents.get(path) {
        return reply(200, document);
    }
    match path {
        "/mcp" | "/other/mcp" if parts.method == "POST" => shared.mcp(&rules, authorization.as_deref(), &message),
        "/token" => shared.token(&mut rules, &body),
        "/authorize" => shared.authorize(parts.uri.query().unwrap_or_default()),
        "/device_authorization" => {
            let page = format!("{}/device", shared.origin);
            let complete = format!("{page}?user_code=WDJB-MJHT");
            reply(
                200,
                &json!({"device_code": "the-device-code", "user_code": "WDJB-MJHT", "interval": 1,
                "verification_uri": page, "verification_uri_complete": complete, "expires_in": 600}),
            )
        }
        "/register" => reply(201, &shared.registration(message)),
        "/revoke" => reply(200, &json!({})),
        _ => reply(404, &Value::Null),
    }
}

impl Shared {
    fn token(&self, rules: &mut Rules, body: &str) -> Response<Body> {
        let refused = |error: &str| reply(400, &json!({ "error": error }));
        let text = |name: &str| field(body, name).unwrap_or_default();
        let mut logins = self.logins.lock().expect("no panic");
        let random = || Secret::random().expose().to_owned();
        let (scope, refresh_token, life_seconds) = match text("grant_type").as_str() {
            "authorization_code" => {
                let Some(asked) = logins.codes.remove(&text("code")) else { return refused("invalid_grant") };
                let verifier = Verifier::parse(&text("code_verifier")).expect("a verifier");
                let is_same = ["client_id", "redirect_uri", "resource"].iter().all(|name| text(name) == asked[*name]);
                if !is_same || verifier.challenge().as_str() != asked["code_challenge"] {
                    return refused("invalid_grant");
                }
                (
                    asked.get("scope").map_or("mcp:read", String::as_str).to_owned(),
                    Some(random()),
                    rules.lives_seconds.0,
                )
            }
            "refresh_token" => {
                let old = text("refresh_token");
                let Some(scope) = logins.scopes.get(&old).cloned() else { return refused("invalid_grant") };
                let next = logins.successors.entry(old).or_insert_with(random).clone();
                (scope, Some(next), rules.lives_seconds.1)
            }
            DEVICE_CODE if !rules.polls.is_empty() => return refused(rules.polls.remove(0)),
            DEVICE_CODE => ("mcp:read".to_owned(), Some(random()), rules.lives_seconds.0),
            _ => (text("scope"), None, 300),
        };
        let token = random();
        self.tokens.lock().expect("no panic").insert(token.clone(), scope.clone());
        let mut answer =
            json!({"access_token": token, "token_type": "Bearer", "scope": scope, "expires_in": life_seconds});
        if let Some(refresh_token) = refresh_token {
            answer["refresh_token"] = refresh_token.clone().into();
            logins.scopes.insert(refresh_token, scope);
        }
        reply(200, &answer)
    }

    /// Somebody has logged in at the page: the way back.
    fn authorize(&self, query: &str) -> Response<Body> {
        let asked: HashMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let code = Secret::random().expose().to_owned();
        let mut back = url::Url::parse(&asked["redirect_uri"]).expect("a redirect URI");
        back.query_pairs_mut().extend_pairs([("code", &code), ("state", &asked["state"]), ("iss", &self.origin)]);
        self.logins.lock().expect("no panic").codes.insert(code, asked);
        Lie::Redirect(303, back.into()).tell()
    }

    fn registration(&self, mut metadata: Value) -> Value {
        metadata["client_id"] = "registered".into();
        if metadata["token_endpoint_auth_method"] != "none" {
            metadata["client_secret"] = "secret-of-the-registered".into();
        }
        metadata["registration_access_token"] = "registration-access-token".into();
        metadata["registration_client_uri"] = format!("{}/register/registered", self.origin).into();
        metadata
    }

    fn mcp(&self, rules: &Rules, authorization: Option<&str>, message: &Value) -> Response<Body> {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        let scope = token.and_then(|token| self.tokens.lock().expect("no panic").get(token).cloned());
        let Some(scope) = scope.filter(|_| !rules.refuses_all) else {
            return challenging(401, rules.challenge.as_deref());
        };
        let parse = |scope: &str| Scopes::parse(scope).expect("scopes");
        let is_use = ["tools/call", "resources/read", "prompts/get"].map(Value::from).contains(&message["method"]);
        if is_use && !parse(&scope).covers(&parse(&rules.call_scope)) {
            let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", rules.call_scope);
            return challenging(403, Some(&challenge));
        }
        let mut result = match message["method"].as_str().unwrap_or_default() {
            "server/discover" => json!({"supportedVersions": ["2026-07-28"], "capabilities": rules.capabilities(),
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "liar", "version": "1"}}}),
            "tools/list" => json!({"tools": rules.tools}),
            "tools/call" => {
                let echo = || json!({"content": [{"type": "text", "text": message["params"]["arguments"]["message"]}]});
                rules.call_result.clone().unwrap_or_else(echo)
            }
            _ => match rules.result_for(message) {
                Some(code @ Value::Number(_)) => {
                    let error = json!({"code": code, "message": "there is no such thing"});
                    return reply(200, &json!({"jsonrpc": "2.0", "id": message["id"], "error": error}));
                }
                Some(result) => result.clone(),
                None => return reply(202, &Value::Null),
            },
        };
        (result["resultType"], result["ttlMs"]) = ("complete".into(), 0.into());
        result["cacheScope"] = "private".into();
        reply(200, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
    }
}

impl Rules {
    fn capabilities(&self) -> Value {
        if self.results.is_empty() {
            return json!({"tools": {}});
        }
        let mut capabilities = json!({"tools": {}, "resources": {}, "prompts": {}});
        if self.results.iter().any(|(method, ..)| *method == "skills/list") {
            capabilities["extensions"] = json!({"io.modelcontextprotocol/skills": {}});
        }
        capabilities
    }

    fn result_for(&self, message: &Value) -> Option<&Value> {
        let fits = |parameters: &Value| {
            let mut members = parameters.as_object().into_iter().flatten();
            members.all(|(name, value)| message["params"].get(name).unwrap_or(&Value::Null) == value)
        };
        let found =
            self.results.iter().find(|(method, parameters, _)| message["method"] == *method && fits(parameters));
        found.map(|(_, _, result)| result)
    }
}

impl Lie {
    fn tell(&self) -> Response<Body> {
        match self {
            Self::Answer(status, value) => reply(*status, value),
            Self::Busy(wait, value) => {
                let mut response = reply(429, value);
                response.headers_mut().insert(header::RETRY_AFTER, wait.parse().expect("ASCII"));
                response
            }
            Self::Page(status, text) => {
                let response = Response::builder().status(*status).header(header::CONTENT_TYPE, "text/html");
                response.body(Body::from(*text)).expect("a response")
            }
            Self::Redirect(status, to) => {
                let mut response = reply(*status, &Value::Null);
                response.headers_mut().insert(header::LOCATION, to.parse().expect("ASCII"));
                response
            }
            Self::Endless(kind, first, piece) => {
                let response = Response::builder().header(header::CONTENT_TYPE, *kind);
                response.body(Body::new(Endless { first: Some(first), piece })).expect("a response")
            }
            Self::GzipBomb => {
                let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
                let response = response.header(header::CONTENT_ENCODING, "gzip");
                response.body(Body::from(gzip_of_zeros())).expect("a response")
            }
        }
    }
}

fn reply(status: u16, value: &Value) -> Response<Body> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    response.body(Body::from(value.to_string())).expect("a response")
}

fn challenging(status: u16, challenge: Option<&str>) -> Response<Body> {
    let mut response = reply(status, &Value::Null);
    if let Some(challenge) = challenge {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge.parse().expect("ASCII"));
    }
    response
}

/// A body without end, as fast as it is read.
struct Endless {
    first: Option<&'static [u8]>,
    piece: &'static [u8],
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
        let piece = self.first.take().unwrap_or(self.piece);
        Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(piece)))))
    }
}
