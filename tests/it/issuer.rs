//! Attacks on the embedded issuer (facts A15 to A17, A29, A30, J27), over HTTP.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{RequestBuilder, Response, header};
use securemcp::{jose::SigningKey, secret::Secret};
use serde_json::{Value, json};

use crate::harness::{cli::Account, process::Running, server::TestServer};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// A client as its registration was answered.
struct Registered {
    id: String,
    secret: String,
}

impl TestServer {
    fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url)).form(fields)
    }

    async fn registration(&self, metadata: &Value) -> Response {
        let opener = fs::read_to_string(self.state.path().join("state/initial-access-token")).expect("it was made");
        let request = self.http.post(format!("{}/register", self.url)).bearer_auth(opener).json(metadata);
        request.send().await.expect("an answer")
    }

    async fn registered(&self, method: &str) -> Registered {
        let answer = self.registration(&json!({"token_endpoint_auth_method": method})).await;
        assert_eq!(answer.status(), 201);
        let answer: Value = answer.json().await.expect("JSON");
        let text = |name: &str| answer[name].as_str().expect("a text").to_owned();
        Registered { id: text("client_id"), secret: text("client_secret") }
    }

    /// A token for the client, and for this resource if one is named.
    async fn issued(&self, client: &Registered, resource: Option<&str>) -> String {
        let mut fields = vec![GRANT];
        fields.extend(resource.map(|resource| ("resource", resource)));
        let answer = self.form("/token", &fields).basic_auth(&client.id, Some(&client.secret)).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

/// Status and `error` of an answer.
async fn refusal(request: RequestBuilder) -> (u16, String) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let answer: Value = answer.json().await.expect("JSON");
    (status, answer["error"].as_str().unwrap_or_default().to_owned())
}

fn refused(status: u16, error: &str) -> (u16, String) {
    (status, error.to_owned())
}

fn claims(token: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("a JWT")).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[tokio::test]
async fn a15_a_client_speaks_for_itself_and_has_nothing_to_refresh() {
    let server = TestServer::start(&[]).await;
    let client = server.registered("client_secret_post").await;
    let proof = [GRANT, ("client_id", &client.id), ("client_secret", &client.secret)];
    let answer = server.form("/token", &proof).send().await.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()[header::CACHE_CONTROL]),
        (200, &"no-store".parse().expect("ASCII"))
    );
    let answer: Value = answer.json().await.expect("JSON");
    let members: BTreeSet<_> = answer.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["access_token", "token_type", "expires_in", "scope"]));
    let token = answer["access_token"].as_str().expect("a text");
    assert_eq!((&claims(token)["sub"], &claims(token)["client_id"]), (&json!(client.id), &json!(client.id)));
    assert_eq!(server.status_with(token).await, 200, "the twin");

    let alone = server.form("/token", &[GRANT, ("client_id", &client.id)]);
    assert_eq!(refusal(alone).await, refused(400, "unauthorized_client"));
    let public = server.registration(&json!({"token_endpoint_auth_method": "none"})).await;
    assert_eq!(public.status(), 400);
    for (grant, error) in [
        ("refresh_token", "unauthorized_client"),
        ("authorization_code", "unauthorized_client"),
        ("password", "unsupported_grant_type"),
    ] {
        let other = [("grant_type", grant), ("client_id", &client.id), ("client_secret", &client.secret)];
        assert_eq!(refusal(server.form("/token", &other)).await, refused(400, error), "{grant}");
    }
}

#[tokio::test]
async fn h19_the_issuer_decompresses_nothing() {
    let server = TestServer::start(&[]).await;
    let client = server.registered("client_secret_post").await;
    let proof = [GRANT, ("client_id", &client.id), ("client_secret", &client.secret)];
    let compressed = server.form("/token", &proof).header(header::CONTENT_ENCODING, "gzip");
    assert_eq!(refusal(compressed).await, refused(400, "invalid_request"));
    assert_eq!(server.form("/token", &proof).send().await.expect("an answer").status(), 200, "the twin");
}

#[tokio::test]
async fn a16_a_wrong_secret_tells_nothing() {
    let server = TestServer::start(&[]).await;
    let client = server.registered("client_secret_basic").await;
    let local = local_client(&server);
    let mut answers = Vec::new();
    for (id, secret) in [
        (client.id.as_str(), "wrong"),
        (&client.id, &client.secret[..42]),
        ("client-AAAAAAAAAAAAAAAAAAAAAA", "wrong"),
        ("../../signing-key", "wrong"),
        (&local.0, "wrong"),
    ] {
        let answer = server.form("/token", &[GRANT]).basic_auth(id, Some(secret)).send().await.expect("an answer");
        let mut headers = answer.headers().clone();
        headers.remove("x-request-id");
        headers.remove(header::DATE);
        answers.push((answer.status(), format!("{headers:?}"), answer.text().await.expect("a body")));
    }
    assert_eq!(answers[0].0, 401);
    assert!(answers[0].1.contains("www-authenticate") && answers[0].2.contains("invalid_client"), "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    server.issued(&client, None).await;
}

#[tokio::test]
async fn a16_only_hashes_of_secrets_are_kept() {
    let server = TestServer::start(&[]).await;
    let answer: Value = server.registration(&json!({})).await.json().await.expect("JSON");
    let kept = files_below(server.state.path());
    for name in ["client_secret", "registration_access_token"] {
        let secret = answer[name].as_str().expect("a text");
        assert!(!kept.contains(secret), "{name}");
        assert!(kept.contains(&Secret::new(secret).sha256()), "{name}, the twin");
    }
}

#[tokio::test]
async fn a16_twenty_wrong_secrets_close_a_client_for_a_while() {
    let server = TestServer::start(&[]).await;
    let (client, other) =
        (server.registered("client_secret_basic").await, server.registered("client_secret_basic").await);
    let attempt = |id: &str, secret: &str| server.form("/token", &[GRANT]).basic_auth(id, Some(secret));
    for id in [client.id.as_str(), "client-that-nobody-registered"] {
        for _ in 0..20 {
            assert_eq!(refusal(attempt(id, "wrong")).await, refused(401, "invalid_client"));
        }
        let closed = attempt(id, "wrong").send().await.expect("an answer");
        assert_eq!(closed.status(), 429, "{id}");
        let wait: u64 = closed.headers()[header::RETRY_AFTER].to_str().expect("ASCII").parse().expect("a number");
        assert!((1..=61).contains(&wait), "{wait}");
    }
    let right = attempt(&client.id, &client.secret);
    assert_eq!(refusal(right).await.0, 429, "nobody learns that a guess was right");
    server.issued(&other, None).await;
    server.clock.advance(Duration::from_secs(59));
    assert_eq!(refusal(attempt(&client.id, &client.secret)).await.0, 429);
    server.clock.advance(Duration::from_secs(2));
    server.issued(&client, None).await;
}

#[tokio::test]
async fn a16_wrong_secrets_from_another_address_close_nothing() {
    let server = TestServer::start(&[("server.trusted_proxies", "127.0.0.1")]).await;
    let client = server.registered("client_secret_basic").await;
    let attempt = |secret: &str, from: &str| {
        let request = server.form("/token", &[GRANT]).basic_auth(&client.id, Some(secret));
        request.header("x-forwarded-for", from)
    };
    for _ in 0..20 {
        assert_eq!(refusal(attempt("wrong", "198.51.100.1")).await, refused(401, "invalid_client"));
    }
    assert_eq!(refusal(attempt(&client.secret, "198.51.100.1")).await.0, 429, "the twin");
    for own in ["198.51.100.2", "2001:db8::1"] {
        assert_eq!(attempt(&client.secret, own).send().await.expect("an answer").status(), 200, "{own}");
    }
}

#[tokio::test]
async fn a17_credentials_come_once_and_not_in_the_url() {
    let server = TestServer::start(&[]).await;
    let client = server.registered("client_secret_post").await;
    let (id, secret) = (client.id.as_str(), client.secret.as_str());
    let good = [GRANT, ("client_id", id), ("client_secret", secret)];
    let invalid = refused(400, "invalid_request");
    let in_url = format!("/token?grant_type=client_credentials&client_id={id}&client_secret={secret}");
    assert_eq!(refusal(server.form(&in_url, &[])).await, invalid);
    assert_eq!(refusal(server.form(&format!("/token?client_secret={secret}"), &good)).await, invalid);
    assert_eq!(refusal(server.form("/token", &good).basic_auth(id, Some(secret))).await, invalid);
    let assertion = [good[0], good[1], good[2], ("client_assertion", "a.b.c")];
    assert_eq!(refusal(server.form("/token", &assertion)).await, invalid);
    let twice = [good[0], good[1], good[2], good[2]];
    assert_eq!(refusal(server.form("/token", &twice)).await, invalid);
    // The method is the registered one and no other.
    assert_eq!(
        refusal(server.form("/token", &[GRANT]).basic_auth(id, Some(secret))).await,
        refused(401, "invalid_client")
    );
    assert_eq!(server.form("/token", &good).send().await.expect("an answer").status(), 200, "the twin");

    let keys = json!({"keys": [SigningKey::generate().public_jwk()]});
    let metadata = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": keys});
    let keyed: Value = server.registration(&metadata).await.json().await.expect("JSON");
    let keyed = keyed["client_id"].as_str().expect("a text");
    let with_secret = [GRANT, ("client_id", keyed), ("client_secret", secret)];
    assert_eq!(refusal(server.form("/token", &with_secret)).await, refused(401, "invalid_client"));
}

#[tokio::test]
async fn a29_published_keys_are_public() {
    let server = TestServer::start(&[]).await;
    let metadata: Value = server.get("/.well-known/oauth-authorization-server").await.json().await.expect("JSON");
    assert_eq!(metadata["jwks_uri"], format!("{}/jwks", server.url));
    let set: Value = server.get("/jwks").await.json().await.expect("JSON");
    let keys = set["keys"].as_array().expect("a list");
    assert_eq!(keys.len(), 1);
    let members: BTreeSet<_> = keys[0].as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["kty", "crv", "x", "y", "kid", "alg", "use"]));
    assert_eq!((&keys[0]["kty"], &keys[0]["crv"], &keys[0]["alg"]), (&json!("EC"), &json!("P-256"), &json!("ES256")));
    let client = server.registered("client_secret_basic").await;
    let token = server.issued(&client, None).await;
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a JWT")).expect("base64url");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    assert_eq!((&header["kid"], &header["alg"], &header["typ"]), (&keys[0]["kid"], &json!("ES256"), &json!("at+jwt")));
    let private = fs::read_to_string(server.state.path().join("state/issuer/signing-key.pem")).expect("it is there");
    for line in private.lines().filter(|line| !line.starts_with('-')) {
        assert!(!set.to_string().contains(line));
    }
}

#[test]
fn a30_the_embedded_issuer_faces_the_network_only_when_told_to() {
    let account = Account::new();
    let check = |arguments: &[&str]| {
        let arguments = [&["serve", "--check"], arguments].concat();
        Running::start(account.command(&arguments)).ended()
    };
    let remote = ["--resource", "https://mcp.example.com/mcp"];
    let (proxy, flag) = (["--trusted-proxy", "10.0.0.0/8"], ["--embedded-issuer-on-network"]);
    let issuer = ["--issuer", "https://issuer.example.com"];
    for listen in ["0.0.0.0:8000", "[::]:8000", "10.1.2.3:8000", "[::ffff:10.1.2.3]:8000", "127.0.0.1:8000"] {
        let listen = ["--listen", listen];
        let refused = check(&[&listen[..], &remote, &proxy].concat());
        refused.failed(3, &["the embedded issuer is for loopback", "`--embedded-issuer-on-network`", "hint: "]);
        check(&[&listen[..], &remote, &proxy, &flag].concat()).done();
        check(&[&listen[..], &remote, &proxy, &issuer].concat()).done();
    }
    // The switch alone is not enough: it says nothing about TLS.
    let refused = check(&["--listen", "0.0.0.0:8000", "--embedded-issuer-on-network"]);
    refused.failed(3, &["expected TLS, here or in front of it", "expected `server.resource`"]);
    check(&["--listen", "0.0.0.0:8000"]).failed(3, &["has 3 problems", "the embedded issuer is for loopback"]);
    // Without `--check` neither.
    let serve =
        ["serve", "--listen", "0.0.0.0:0", "--resource", "https://mcp.example.com/mcp", "--trusted-proxy", "10.0.0.1"];
    Running::start(account.command(&serve)).ended().failed(3, &["the embedded issuer is for loopback"]);
    assert!(!account.state().exists(), "nothing was made");
    // Not by a variable, which a container might inherit.
    let account = account.with("SECUREMCP_EMBEDDED_FACE_NETWORK", "true");
    account.run(&["serve", "--check"]).failed(3, &["`SECUREMCP_EMBEDDED_FACE_NETWORK`"]);
    Account::new().run(&["serve", "--check"]).done();
}

#[tokio::test]
async fn j27_a_revoked_token_is_refused_at_once() {
    let server = TestServer::start(&[]).await;
    let (client, other) =
        (server.registered("client_secret_basic").await, server.registered("client_secret_basic").await);
    let (cached, fresh, kept) =
        (server.issued(&client, None).await, server.issued(&client, None).await, server.issued(&client, None).await);
    let ask = |path: &str, client: &Registered, token: &str| {
        server.form(path, &[("token", token)]).basic_auth(&client.id, Some(&client.secret)).send()
    };
    assert_eq!((server.status_with(&cached).await, server.status_with(&cached).await), (200, 200));
    for token in [&cached, &fresh] {
        let revoked = ask("/revoke", &other, token).await.expect("an answer");
        assert_eq!(revoked.status(), 200, "another client's token is no error, and nothing happens to it");
    }
    assert_eq!(server.status_with(&cached).await, 200);
    for token in [&cached, &fresh] {
        assert_eq!(ask("/revoke", &client, token).await.expect("an answer").status(), 200);
        let answer = server.call(token, "echo", json!({"message": "hi"})).await;
        assert_eq!(answer.status(), 401);
        let challenge = answer.headers()[header::WWW_AUTHENTICATE].to_str().expect("ASCII").to_owned();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        let told: Value = ask("/introspect", &client, token).await.expect("an answer").json().await.expect("JSON");
        assert_eq!(told, json!({"active": false}));
    }
    assert_eq!(server.status_with(&kept).await, 200, "the twin");
    let told: Value = ask("/introspect", &client, &kept).await.expect("an answer").json().await.expect("JSON");
    assert_eq!((&told["active"], &told["client_id"]), (&json!(true), &json!(client.id)));
}

#[tokio::test]
async fn on_loopback_each_of_three_names_is_a_resource_and_no_other_is() {
    let server = TestServer::start(&[]).await;
    let client = server.registered("client_secret_basic").await;
    let port = server.address.port();
    for name in ["127.0.0.1", "localhost", "[::1]"] {
        let (host, resource) = (format!("{name}:{port}"), format!("http://{name}:{port}/mcp"));
        let path = "/.well-known/oauth-protected-resource/mcp";
        let metadata = server.http.get(format!("{}{path}", server.url)).header(header::HOST, &host);
        let metadata: Value = metadata.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(metadata["resource"], resource);
        assert_eq!(metadata["authorization_servers"], json!([server.url]), "the issuer stays one");
        let token = server.issued(&client, Some(&resource)).await;
        assert_eq!(claims(&token)["aud"], resource);
        assert_eq!(server.status_with(&token).await, 200, "{name}");
    }
    for name in ["localhost.", "127.0.0.2", "0.0.0.0", "attacker.example", "localhost.attacker.example"] {
        let (host, resource) = (format!("{name}:{port}"), format!("http://{name}:{port}/mcp"));
        let rebound = server.http.get(&server.url).header(header::HOST, &host).send().await.expect("an answer");
        assert_eq!(rebound.status(), 421, "{name}");
        let asked =
            server.form("/token", &[GRANT, ("resource", &resource)]).basic_auth(&client.id, Some(&client.secret));
        assert_eq!(refusal(asked).await, refused(400, "invalid_target"), "{name}");
    }
    for resource in
        [format!("http://localhost:{}/mcp", port ^ 1), format!("http://localhost:{port}"), server.url.clone()]
    {
        let asked =
            server.form("/token", &[GRANT, ("resource", &resource)]).basic_auth(&client.id, Some(&client.secret));
        assert_eq!(refusal(asked).await, refused(400, "invalid_target"), "{resource}");
    }
}

/// This account's own client: its id, and its private key.
fn local_client(server: &TestServer) -> (String, String) {
    let text = fs::read_to_string(server.state.path().join("state/local-client.json")).expect("it was made");
    let record: Value = serde_json::from_str(&text).expect("JSON");
    let text = |name: &str| record[name].as_str().expect("a text").to_owned();
    (text("client_id"), text("private_key"))
}

/// Everything that is written below a directory.
fn files_below(directory: &Path) -> String {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries
        .map(|path| if path.is_dir() { files_below(&path) } else { fs::read_to_string(path).expect("UTF-8") })
        .collect()
}
