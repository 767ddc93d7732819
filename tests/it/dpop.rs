//! Proofs of possession (RFC 9449) at the resource server: each attack beside the good request that differs in nothing else.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use reqwest::{Method, RequestBuilder, Response, header};
use securemcp::{
    clock::{Clock as _, TestClock},
    jose::{SigningKey, dpop},
    oauth::{Challenge, Scheme},
    secret::sha256_base64url,
};
use serde_json::{Value, json};
use url::Url;

use crate::harness::{
    issuer::{Behaviour, LyingIssuer},
    keys::{Key, b64},
    log::Log,
    redis::FakeRedis,
    replicas::{HOST, Replicas},
    server::{Guarded, NOW, TestServer, merged, stateless, with_mirrors},
};

/// A server, a token that is bound to a key, and that key.
struct Bound {
    guarded: Guarded,
    key: SigningKey,
    token: String,
}

/// A proof as it is put together, so that it can be wrong in any way.
struct Parts {
    header: Value,
    claims: Value,
}

impl Bound {
    async fn start(flags: &[(&'static str, &str)]) -> Self {
        let guarded = Guarded::start_with(Key::ec(), flags).await;
        let key = SigningKey::generate();
        let token = guarded.token(&json!({"cnf": {"jkt": key.kid()}}));
        // So that a stale proof is not one from before the start as well.
        guarded.server.clock.advance(Duration::from_mins(2));
        Self { guarded, key, token }
    }

    fn server(&self) -> &TestServer {
        &self.guarded.server
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server().url)
    }

    fn now(&self) -> u64 {
        self.server().clock.since_epoch().as_secs()
    }

    /// A good proof for a call.
    fn proof(&self) -> String {
        proof(&self.key, "POST", &self.url("/mcp"), &self.token, None, &self.server().clock)
    }

    /// The parts of a good proof by this key.
    fn parts(&self, key: &Key) -> Parts {
        let mut jwk = key.jwk("");
        jwk.as_object_mut().expect("an object").remove("kid");
        Parts {
            header: json!({"typ": "dpop+jwt", "alg": key.alg(), "jwk": jwk}),
            claims: json!({"jti": b64(format!("{:?}", std::time::Instant::now())), "htm": "POST",
                "htu": self.url("/mcp"), "iat": self.now(), "ath": sha256_base64url(self.token.as_bytes())}),
        }
    }

    async fn call(&self, proofs: &[&str]) -> Response {
        call(self.server(), &self.token, proofs, "echo", json!({"message": "hi"})).await
    }

    async fn accepts(&self, proof: &str, what: &str) {
        let answer = self.call(&[proof]).await;
        assert_eq!(answer.status(), 200, "{what}");
        assert!(answer.text().await.expect("a body").contains("hi"), "{what}");
    }

    async fn refuses(&self, proofs: &[&str], error: &str, what: &str) {
        let answer = self.call(proofs).await;
        assert_eq!(answer.status(), 401, "{what}");
        let challenge = only_dpop(&answer, what);
        assert_eq!(challenge.error.as_deref(), Some(error), "{what}");
        assert!(challenge.resource_metadata.is_some() && challenge.scope.is_some(), "{what}: {challenge}");
        let body = answer.text().await.expect("a body");
        assert!(!body.contains("htu") && !body.contains("nonce") || error == "use_dpop_nonce", "{what}: {body}");
    }
}

/// A call of a tool with a bound token.
async fn call(server: &TestServer, token: &str, proofs: &[&str], tool: &str, arguments: Value) -> Response {
    let request = server.post("", stateless("tools/call", json!({"name": tool, "arguments": arguments})));
    let request = by_proof(with_mirrors(request, "tools/call", Some(tool)), token, proofs);
    request.send().await.expect("an answer")
}

fn by_proof(request: RequestBuilder, token: &str, proofs: &[&str]) -> RequestBuilder {
    let mut headers = header::HeaderMap::new();
    headers.insert(header::AUTHORIZATION, format!("DPoP {token}").parse().expect("ASCII"));
    let request = request.headers(headers);
    proofs.iter().fold(request, |request, proof| request.header("dpop", *proof))
}

fn proof(key: &SigningKey, method: &str, url: &str, token: &str, nonce: Option<&str>, clock: &TestClock) -> String {
    let url: Url = url.parse().expect("a URL");
    let request = dpop::Request { method, url: &url, access_token: Some(token) };
    dpop::prove(key, request, nonce, clock.since_epoch()).expose().to_owned()
}

fn challenges(answer: &Response) -> Vec<String> {
    let values = answer.headers().get_all(header::WWW_AUTHENTICATE);
    values.iter().map(|value| value.to_str().expect("ASCII").to_owned()).collect()
}

/// The challenge of an answer that has no other.
#[track_caller]
fn only_dpop(answer: &Response, what: &str) -> Challenge {
    let challenges = challenges(answer);
    assert_eq!(challenges.len(), 1, "{what}: {challenges:?}");
    let challenge =
        Challenge::parse_of(Scheme::Dpop, &challenges[0]).unwrap_or_else(|| panic!("{what}: {challenges:?}"));
    assert_eq!(challenge.algs.as_deref(), Some("RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA"), "{what}");
    challenge
}

#[tokio::test]
async fn a_bound_token_and_its_proof_open_every_door() {
    let bound = Bound::start(&[]).await;
    bound.accepts(&bound.proof(), "over MCP").await;
    let (server, clock) = (bound.server(), &bound.server().clock);
    for (method, path, status) in [
        (Method::GET, "/api/v1/me", 200),
        (Method::GET, "/api/v1/tools", 200),
        (Method::POST, "/api/v1/tools/echo", 200),
    ] {
        let proof = proof(&bound.key, method.as_str(), &bound.url(path), &bound.token, None, clock);
        let request = by_proof(server.request(method, path).json(&json!({"message": "hi"})), &bound.token, &[&proof]);
        assert_eq!(request.send().await.expect("an answer").status(), status, "{path}");
    }
    for key in [Key::rsa(), Key::ed()] {
        let Parts { header, claims } = bound.parts(&key);
        let jkt = thumbprint(&header["jwk"]);
        let token = bound.guarded.token(&json!({"cnf": {"jkt": jkt}}));
        let claims = merged(claims, &json!({"ath": sha256_base64url(token.as_bytes())}));
        let answer = call(server, &token, &[&key.token(&header, &claims)], "echo", json!({"message": "hi"})).await;
        assert_eq!(answer.status(), 200, "{}", key.alg());
    }
}

/// RFC 7638, by hand.
fn thumbprint(jwk: &Value) -> String {
    let members: &[&str] = match jwk["kty"].as_str().expect("text") {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        _ => &["crv", "kty", "x"],
    };
    let members: Vec<_> = members.iter().map(|name| format!("\"{name}\":{}", jwk[name])).collect();
    sha256_base64url(format!("{{{}}}", members.join(",")).as_bytes())
}

#[tokio::test]
async fn a_proof_is_good_once() {
    let bound = Bound::start(&[]).await;
    let proof = bound.proof();
    bound.accepts(&proof, "the twin").await;
    bound.refuses(&[&proof], "invalid_dpop_proof", "at once").await;
    bound.server().clock.advance(Duration::from_mins(1));
    bound.refuses(&[&proof], "invalid_dpop_proof", "at the end of its life").await;
    bound.accepts(&bound.proof(), "another").await;
}

#[tokio::test]
async fn a_proof_is_for_one_request_and_one_token() {
    let bound = Bound::start(&[]).await;
    let clock = &bound.server().clock;
    let (mcp, key, token) = (bound.url("/mcp"), &bound.key, bound.token.as_str());
    let other_token = bound.guarded.token(&json!({"cnf": {"jkt": key.kid()}, "jti": "another"}));
    bound.accepts(&bound.proof(), "the twin").await;
    for (proof, what) in [
        (proof(key, "GET", &mcp, token, None, clock), "htm"),
        (proof(key, "POST", &bound.url("/api/v1/me"), token, None, clock), "another path"),
        (proof(key, "POST", &mcp.replace("http:", "https:"), token, None, clock), "another scheme"),
        (proof(key, "POST", "http://evil.example/mcp", token, None, clock), "another host"),
        (proof(key, "POST", &mcp, &other_token, None, clock), "ath"),
    ] {
        bound.refuses(&[&proof], "invalid_dpop_proof", what).await;
    }
    let without_ath = dpop::Request { method: "POST", url: &mcp.parse().expect("a URL"), access_token: None };
    let without_ath = dpop::prove(key, without_ath, None, clock.since_epoch());
    bound.refuses(&[without_ath.expose()], "invalid_dpop_proof", "no ath").await;
    // The closed set of names on loopback, and the one that the request is for.
    let localhost = mcp.replace("127.0.0.1", "localhost");
    let to_localhost = proof(key, "POST", &localhost, token, None, clock);
    bound.refuses(&[&to_localhost], "invalid_dpop_proof", "another name of ours").await;
    let body = stateless("tools/call", json!({"name": "echo", "arguments": {"message": "hi"}}));
    let request = with_mirrors(bound.server().post("", body), "tools/call", Some("echo"));
    let request = request.header(header::HOST, localhost.trim_start_matches("http://").trim_end_matches("/mcp"));
    let answer = by_proof(request, token, &[&to_localhost]).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "the twin, under that name");
}

#[tokio::test]
async fn a_proof_is_fresh() {
    let bound = Bound::start(&[]).await;
    let key = Key::ec();
    let token = bound.guarded.token(&json!({"cnf": {"jkt": thumbprint(&bound.parts(&key).header["jwk"])}}));
    let bound = Bound { token, ..bound };
    let at = |iat: i64| {
        let Parts { header, claims } = bound.parts(&key);
        key.token(&header, &merged(claims, &json!({ "iat": bound.now().checked_add_signed(iat).expect("a time") })))
    };
    for (age, is_good) in [(-60, true), (-61, false), (30, true), (31, false), (0, true)] {
        if is_good {
            bound.accepts(&at(age), &age.to_string()).await;
        } else {
            bound.refuses(&[&at(age)], "invalid_dpop_proof", &age.to_string()).await;
        }
    }
}

#[tokio::test]
async fn a_proof_is_one_signed_with_its_own_public_key() {
    let bound = Bound::start(&[]).await;
    let (key, other) = (Key::ec(), Key::ec());
    let token = bound.guarded.token(&json!({"cnf": {"jkt": thumbprint(&bound.parts(&key).header["jwk"])}}));
    let bound = Bound { token, ..bound };
    let made = |signer: &Key, change: Value, claims_change: Value| {
        let Parts { header, claims } = bound.parts(&key);
        signer.token(&merged(header, &change), &merged(claims, &claims_change))
    };
    let good = || made(&key, json!({}), json!({}));
    bound.accepts(&good(), "the twin").await;
    let mut with_secret = bound.parts(&key).header["jwk"].clone();
    with_secret["d"] = "c2VjcmV0".into();
    let Parts { header, claims } = bound.parts(&key);
    let unsigned = |alg: &str| {
        format!("{}.{}", b64(merged(header.clone(), &json!({"alg": alg})).to_string()), b64(claims.to_string()))
    };
    let input = unsigned("HS256");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, header["jwk"].to_string().as_bytes()), input.as_bytes());
    let (one, two) = (good(), good());
    for (proofs, what) in [
        (vec![], "none"),
        (vec![one.as_str(), two.as_str()], "two headers"),
        (vec![""], "an empty one"),
        (vec!["a.b.c"], "garbage"),
        (vec![&*made(&other, json!({}), json!({}))], "another key's signature"),
        (vec![&*made(&key, json!({"jwk": with_secret}), json!({}))], "a private key in jwk"),
        (vec![&*made(&key, json!({"jwk": null}), json!({}))], "no jwk"),
        (vec![&*made(&key, json!({"typ": "JWT"}), json!({}))], "another typ"),
        (vec![&*made(&key, json!({}), json!({"jti": null}))], "no jti"),
        (vec![&*made(&key, json!({}), json!({"jti": ""}))], "an empty jti"),
        (vec![&*made(&key, json!({}), json!({"iat": null}))], "no iat"),
        (vec![&*made(&key, json!({}), json!({"padding": "x".repeat(8192)}))], "oversized"),
        (vec![&*format!("{}.", unsigned("none"))], "alg none"),
        (vec![&*format!("{input}.{}", b64(tag))], "HS256 with the public key"),
    ] {
        bound.refuses(&proofs, "invalid_dpop_proof", what).await;
    }
    // Good for everything but the token: whoever holds another key.
    let Parts { header, claims } = bound.parts(&other);
    bound.refuses(&[&other.token(&header, &claims)], "invalid_token", "another key").await;
    bound.accepts(&one, "what was refused beside another has not been used up").await;
}

#[tokio::test]
async fn a_token_is_sent_as_what_it_is() {
    let bound = Bound::start(&[]).await;
    let (server, plain) = (bound.server(), bound.guarded.token(&json!({})));
    assert_eq!(server.status_with(&plain).await, 200, "the twin of the next");
    let with_proof = proof(&bound.key, "POST", &bound.url("/mcp"), &plain, None, &server.clock);
    let answer = call(server, &plain, &[&with_proof], "echo", json!({"message": "hi"})).await;
    assert_eq!(answer.status(), 401, "an unbound token with a proof");
    assert_eq!(only_dpop(&answer, "unbound").error.as_deref(), Some("invalid_token"));
    bound.accepts(&bound.proof(), "the twin of the next").await;
    // Bearer, with the proof and without: RFC 9449 section 7.2.
    for proofs in [vec![], vec![bound.proof()]] {
        let body = stateless("tools/call", json!({"name": "echo", "arguments": {"message": "hi"}}));
        let mut request = with_mirrors(server.post(&bound.token, body), "tools/call", Some("echo"));
        for proof in &proofs {
            request = request.header("dpop", proof);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 401);
        let challenges = challenges(&answer);
        assert!(challenges[0].starts_with("Bearer error=\"invalid_token\""), "{challenges:?}");
        assert!(challenges[1].starts_with("DPoP algs=\"") && challenges.len() == 2, "{challenges:?}");
    }
}

#[tokio::test]
async fn keycloaks_bound_tokens_are_taken_with_a_proof_only() {
    let bound = Bound::start(&[]).await;
    let jwt = json!({"alg": "ES256", "kid": "k1", "typ": "JWT"});
    let token = |changes: &Value| bound.guarded.key.token(&jwt, &merged(bound.guarded.claims(), changes));
    let cnf = json!({"jkt": bound.key.kid(), "kc-jkt-type": "DPOP"});
    let of_keycloak = token(&json!({"typ": "DPoP", "cnf": cnf}));
    let unbound = token(&json!({"typ": "DPoP"}));
    let server = bound.server();
    for (token, expected) in [(&of_keycloak, 200), (&unbound, 401)] {
        let proof = proof(&bound.key, "POST", &bound.url("/mcp"), token, None, &server.clock);
        let answer = call(server, token, &[&proof], "echo", json!({"message": "hi"})).await;
        assert_eq!(answer.status(), expected);
        assert_eq!(server.status_with(token).await, 401, "by itself");
    }
}

#[tokio::test]
async fn whoever_sends_nothing_hears_of_both_ways() {
    let bound = Bound::start(&[]).await;
    let server = bound.server();
    let answer = server.request(Method::POST, "/mcp").send().await.expect("an answer");
    let challenges = challenges(&answer);
    assert!(
        challenges[0].starts_with("Bearer scope=") && challenges[0].contains("resource_metadata="),
        "{challenges:?}"
    );
    let algs = "DPoP algs=\"RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA\"";
    assert_eq!((challenges[1].as_str(), challenges.len()), (algs, 2));
    let metadata: Value = server.get("/.well-known/oauth-protected-resource/mcp").await.json().await.expect("JSON");
    assert_eq!(metadata["dpop_signing_alg_values_supported"].as_array().map(Vec::len), Some(9));
    assert_eq!(metadata["dpop_bound_access_tokens_required"], Value::Null);
    let answer = call(server, "a b", &[], "echo", json!({})).await;
    assert_eq!(only_dpop(&answer, "malformed").error.as_deref(), Some("invalid_token"));
}

#[tokio::test]
async fn a_scope_can_need_a_proof() {
    let bound = Bound::start(&[("scopes.require_dpop", "mcp:write")]).await;
    let (server, plain) = (bound.server(), bound.guarded.token(&json!({})));
    let sum = json!({"operation": "add", "numbers": [1, 2]});
    assert_eq!(server.status_with(&plain).await, 200, "a tool of another scope");
    for answer in [
        server.call(&plain, "calculator", sum.clone()).await,
        server
            .request(Method::POST, "/api/v1/tools/calculator")
            .bearer_auth(&plain)
            .json(&sum)
            .send()
            .await
            .expect("an answer"),
    ] {
        assert_eq!(answer.status(), 401);
        let challenge = only_dpop(&answer, "by itself");
        assert_eq!(challenge.error.as_deref(), Some("invalid_token"));
        assert_eq!(challenge.scope.expect("a scope").to_string(), "mcp:write");
        assert!(challenge.error_description.expect("words").contains("bound to a key"));
    }
    let answer = call(server, &bound.token, &[&bound.proof()], "calculator", sum.clone()).await;
    assert_eq!(answer.status(), 200, "the twin");
    let metadata: Value = server.get("/.well-known/oauth-protected-resource").await.json().await.expect("JSON");
    assert_eq!(metadata["dpop_bound_access_tokens_required"], Value::Null, "not always");
    // A bound token without the scope is refused for that, and by its own scheme.
    let weak = bound.guarded.token(&json!({"cnf": {"jkt": bound.key.kid()}, "scope": "mcp:read"}));
    let with_proof = proof(&bound.key, "POST", &bound.url("/mcp"), &weak, None, &server.clock);
    let answer = call(server, &weak, &[&with_proof], "calculator", sum).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(only_dpop(&answer, "weak").error.as_deref(), Some("insufficient_scope"));
}

#[tokio::test]
async fn every_scope_can_need_a_proof() {
    let bound = Bound::start(&[("scopes.require_dpop", "mcp:read mcp:write mcp:infer")]).await;
    let (server, plain) = (bound.server(), bound.guarded.token(&json!({})));
    let metadata: Value = server.get("/.well-known/oauth-protected-resource").await.json().await.expect("JSON");
    assert_eq!(metadata["dpop_bound_access_tokens_required"], true);
    let me = || server.request(Method::GET, "/api/v1/me");
    for request in [me().bearer_auth(&plain), me()] {
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 401);
        only_dpop(&answer, "nothing else is offered");
    }
    let proof = proof(&bound.key, "GET", &bound.url("/api/v1/me"), &bound.token, None, &server.clock);
    let answer = by_proof(me(), &bound.token, &[&proof]).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "the twin");
}

#[tokio::test]
async fn a_nonce_can_be_needed() {
    let bound = Bound::start(&[("server.dpop_nonce", "true")]).await;
    let clock = &bound.server().clock;
    let with = |nonce: Option<&str>| proof(&bound.key, "POST", &bound.url("/mcp"), &bound.token, nonce, clock);
    let refused = bound.call(&[&with(None)]).await;
    assert_eq!(refused.status(), 401);
    assert_eq!(only_dpop(&refused, "no nonce").error.as_deref(), Some("use_dpop_nonce"));
    let nonce = refused.headers()["dpop-nonce"].to_str().expect("ASCII").to_owned();
    bound.refuses(&[&with(Some("made-up"))], "use_dpop_nonce", "another nonce").await;
    let answer = bound.call(&[&with(Some(&nonce))]).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["dpop-nonce"].as_bytes()), (200, nonce.as_bytes()));
    clock.advance(Duration::from_mins(4));
    bound.refuses(&[&with(Some(&nonce))], "use_dpop_nonce", "an old nonce").await;
    let plain = bound.guarded.token(&json!({"exp": NOW + 900}));
    let plain = bound.server().call(&plain, "echo", json!({"message": "hi"})).await;
    assert_eq!((plain.status().as_u16(), plain.headers().contains_key("dpop-nonce")), (200, false));
}

#[tokio::test]
async fn a_nonce_that_is_missing_costs_no_more_than_a_request_and_a_bad_proof_does() {
    let bound = Bound::start(&[("server.dpop_nonce", "true"), ("limits.per_address", "13/s")]).await;
    // As many as there may be, whatever went before.
    bound.server().clock.advance(Duration::from_secs(1));
    let with =
        |nonce: Option<&str>| proof(&bound.key, "POST", &bound.url("/mcp"), &bound.token, nonce, &bound.server().clock);
    let refused = bound.call(&[&with(None)]).await;
    let nonce = refused.headers()["dpop-nonce"].to_str().expect("ASCII").to_owned();
    for _ in 0..3 {
        bound.refuses(&[&with(None)], "use_dpop_nonce", "no nonce").await;
    }
    bound.accepts(&with(Some(&nonce)), "the next one").await;
    bound.server().clock.advance(Duration::from_secs(1));
    for status in [401, 401, 429] {
        assert_eq!(bound.call(&["x"]).await.status(), status);
    }
}

#[tokio::test]
async fn who_comes_too_often_uses_no_proof_up() {
    let bound = Bound::start(&[("limits.per_client", "1/s")]).await;
    bound.accepts(&bound.proof(), "the first").await;
    let proof = bound.proof();
    assert_eq!(bound.call(&[&proof]).await.status(), 429);
    bound.server().clock.advance(Duration::from_secs(1));
    bound.accepts(&proof, "it takes no room in the memory of used ones").await;
}

#[tokio::test]
async fn behind_a_proxy_the_public_url_counts() {
    let (key, proxied) = (SigningKey::generate(), "https://mcp.example/team/mcp");
    let flags = [("server.resource", proxied), ("server.trusted_proxies", "127.0.0.1")];
    let guarded = Guarded::start_with(Key::ec(), &flags).await;
    let server = &guarded.server;
    let token = guarded.token(&json!({"cnf": {"jkt": key.kid()}, "aud": proxied}));
    let answered = async |path: &str, url: &str| {
        let proof = proof(&key, "GET", url, &token, None, &server.clock);
        let request = server.request(Method::GET, path).header(header::HOST, "mcp.example");
        let request = request.header("x-forwarded-host", "evil.example").header("x-forwarded-proto", "http");
        by_proof(request, &token, &[&proof]).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(answered("/api/v1/me", "https://mcp.example/team/api/v1/me").await, 200);
    for other in
        [&*format!("{}/api/v1/me", server.url), "https://evil.example/team/api/v1/me", "https://mcp.example/api/v1/me"]
    {
        assert_eq!(answered("/api/v1/me", other).await, 401, "{other}");
    }
}

#[tokio::test]
async fn an_introspected_token_can_be_bound() {
    let issuer = LyingIssuer::start(Behaviour::Keys(Vec::new())).await;
    let server = crate::introspection::asking(&issuer.url, &[]).await;
    server.until_ready().await;
    let (key, token) = (SigningKey::generate(), "opaque-token");
    issuer.say_of(
        token,
        json!({"active": true, "aud": format!("{}/mcp", server.url), "sub": "alice", "client_id": "cli",
            "scope": "mcp:read", "token_type": "DPoP", "cnf": {"jkt": key.kid()}, "exp": NOW + 300}),
    );
    let by = async |key: &SigningKey| {
        let proof = proof(key, "POST", &format!("{}/mcp", server.url), token, None, &server.clock);
        call(&server, token, &[&proof], "echo", json!({"message": "hi"})).await.status().as_u16()
    };
    for _ in 0..2 {
        assert_eq!(by(&key).await, 200);
        assert_eq!(by(&SigningKey::generate()).await, 401, "another key");
        assert_eq!(server.status_with(token).await, 401, "by itself");
    }
    assert_eq!(issuer.questions().len(), 1, "the verdict is remembered, and the proof looked at each time");
}

/// A bound token at two replicas, and how one of them answers to it.
struct Shared {
    replicas: Replicas,
    key: SigningKey,
    token: String,
}

impl Shared {
    async fn on(redis: &FakeRedis, flags: &[(&'static str, &str)]) -> Self {
        let replicas = Replicas::with(&redis.url(), flags).await;
        let key = SigningKey::generate();
        let token = replicas.token_with(&replicas.key, "k1", &json!({"cnf": {"jkt": key.kid()}}));
        Self { replicas, key, token }
    }

    fn proof(&self, nonce: Option<&str>) -> String {
        let clock: &Arc<TestClock> = &self.replicas.servers[0].clock;
        proof(&self.key, "POST", &format!("http://{HOST}/mcp"), &self.token, nonce, clock)
    }

    async fn call(&self, replica: usize, proof: &str) -> Response {
        let body = stateless("tools/call", json!({"name": "echo", "arguments": {"message": "hi"}}));
        let request = self.replicas.servers[replica].post("", body).header(header::HOST, HOST);
        let request = by_proof(with_mirrors(request, "tools/call", Some("echo")), &self.token, &[proof]);
        request.send().await.expect("an answer")
    }

    async fn status(&self, replica: usize, proof: &str) -> u16 {
        self.call(replica, proof).await.status().as_u16()
    }
}

#[tokio::test]
async fn a_proof_is_good_once_at_all_replicas_together() {
    let redis = FakeRedis::start();
    let shared = Shared::on(&redis, &[]).await;
    for (first, second) in [(0, 1), (1, 0)] {
        let proof = shared.proof(None);
        assert_eq!(shared.status(first, &proof).await, 200);
        assert_eq!([shared.status(second, &proof).await, shared.status(first, &proof).await], [401, 401]);
    }
    // Twice as long as one is good, from half a minute before its time to a minute after.
    let kept_for = redis.kept_for(":dpop:");
    assert!(kept_for.len() == 6 && kept_for.iter().all(|time| time == "180000"), "{kept_for:?}");
}

#[tokio::test]
async fn a_nonce_of_one_replica_is_good_at_the_other() {
    let redis = FakeRedis::start();
    let shared = Shared::on(&redis, &[("server.dpop_nonce", "true")]).await;
    let refused = shared.call(0, &shared.proof(None)).await;
    assert_eq!(refused.status(), 401);
    let nonce = refused.headers()["dpop-nonce"].to_str().expect("ASCII");
    for replica in [1, 0] {
        assert_eq!(shared.status(replica, &shared.proof(Some(nonce))).await, 200, "{replica}");
    }
}

#[tokio::test]
async fn without_redis_no_proof_is_taken_and_nothing_else_is_lost() {
    let redis = FakeRedis::start();
    let shared = Shared::on(&redis, &[]).await;
    let (plain, used) = (shared.replicas.token_of("alice"), shared.proof(None));
    assert_eq!(shared.status(0, &used).await, 200);
    let gone = redis.gone().await;
    shared.replicas.until_redis_is("failing").await;
    for replica in [0, 1] {
        let answer = shared.call(replica, &shared.proof(None)).await;
        assert_eq!(answer.status(), 503, "never open, and never 401, which would make a client throw its token away");
        assert!(answer.headers().contains_key("retry-after"));
        assert!(challenges(&answer).is_empty());
        assert_eq!(shared.replicas.call(replica, &plain).await, 200, "a bearer token needs no Redis");
    }
    let _redis = gone.back();
    shared.replicas.until_redis_is("ready").await;
    assert_eq!(shared.status(1, &used).await, 401);
    assert_eq!(shared.status(1, &shared.proof(None)).await, 200);
}

#[tokio::test]
async fn what_is_wrong_with_a_proof_is_in_the_audit_log() {
    let (log, _guard) = Log::start();
    let bound = Bound::start(&[("scopes.require_dpop", "mcp:write")]).await;
    let server = bound.server();
    let replayed = bound.proof();
    bound.accepts(&replayed, "first").await;
    let sent = async |id: &str, token: &str, proofs: &[&str], tool: &str| {
        let body = stateless("tools/call", json!({"name": tool, "arguments": {"message": "hi"}}));
        let request = with_mirrors(server.post("", body), "tools/call", Some(tool)).header("x-request-id", id);
        by_proof(request, token, proofs).send().await.expect("an answer");
    };
    sent("replayed", &bound.token, &[&replayed], "echo").await;
    sent("missing", &bound.token, &[], "echo").await;
    let elsewhere = proof(&bound.key, "POST", "https://other.example/mcp", &bound.token, None, &server.clock);
    sent("elsewhere", &bound.token, &[&elsewhere], "echo").await;
    for (id, reason) in [
        ("replayed", "DPoP proof was used before".to_owned()),
        ("missing", "request has 0 DPoP proofs, expected one".to_owned()),
        ("elsewhere", format!("DPoP proof is for `https://other.example/mcp`, expected `{}`", bound.url("/mcp"))),
    ] {
        let events = log.audited(id);
        assert_eq!(events.len(), 1, "{id}: {events:?}");
        assert_eq!((&events[0]["message"], &events[0]["reason"]), (&json!("authentication_failed"), &json!(reason)));
    }
    let plain = bound.guarded.token(&json!({}));
    let body = stateless("tools/call", json!({"name": "calculator", "arguments": {}}));
    let request = with_mirrors(server.post(&plain, body), "tools/call", Some("calculator"));
    assert_eq!(request.header("x-request-id", "plain").send().await.expect("an answer").status(), 401);
    let events = log.audited("plain");
    assert_eq!((&events[0]["message"], events.len()), (&json!("access_denied"), 1));
    assert_eq!(events[0]["reason"], "needs a token bound to a key for scope `mcp:write`");
    assert!(!log.text().contains("eyJ"), "a token or a proof is in {}", log.text());
}
