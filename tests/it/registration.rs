//! Attacks on the embedded issuer's registration and client assertions (facts A18, A19, A21 to A23), over HTTP.

use std::{fs, net::TcpListener};

use reqwest::{Method, RequestBuilder, header};
use securemcp::{jose::SigningKey, secret::Secret};
use serde_json::{Value, json};

use crate::harness::server::{NOW, TestServer};

async fn answered(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

async fn register(server: &TestServer, metadata: &Value) -> (u16, Value) {
    let opener = fs::read_to_string(server.state.path().join("state/initial-access-token")).expect("it was made");
    answered(server.request(Method::POST, "/register").bearer_auth(opener).json(metadata)).await
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {value}"))
}

/// A change of an assertion's claims.
type Change = fn(&mut Value);

#[tokio::test]
async fn a18_an_assertion_is_the_clients_own_for_this_issuer_and_once() {
    let server = TestServer::start(&[]).await;
    let key = SigningKey::generate();
    let wishes = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.public_jwk()]}});
    let (status, client) = register(&server, &wishes).await;
    assert_eq!(status, 201, "{client}");
    let id = text(&client, "client_id");
    let now = NOW;
    let claims = |change: Change| {
        let mut claims =
            json!({"iss": id, "sub": id, "aud": server.url, "iat": now, "exp": now + 60, "jti": Secret::random()});
        change(&mut claims);
        claims
    };
    let ask = async |assertion: &str| {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let form =
            [("grant_type", "client_credentials"), ("client_assertion_type", kind), ("client_assertion", assertion)];
        answered(server.request(Method::POST, "/token").form(&form)).await
    };
    let sign = |claims: &Value| key.sign("client-authentication+jwt", claims).expose().to_owned();
    let good = sign(&claims(|_| ()));
    assert_eq!(ask(&good).await.0, 200, "the twin");
    let (status, answer) = ask(&good).await;
    assert_eq!((status, text(&answer, "error")), (401, "invalid_client"), "a second use");
    let changes: [(&str, Change); 6] = [
        ("another audience", |claims| claims["aud"] = "http://127.0.0.1:1".into()),
        ("the token endpoint as audience", |claims| claims["aud"] = format!("{}/token", text(claims, "aud")).into()),
        ("six minutes", |claims| claims["exp"] = (claims["iat"].as_u64().expect("a number") + 360).into()),
        ("expired", |claims| claims["exp"] = claims["iat"].clone()),
        ("another subject", |claims| claims["sub"] = "client-other".into()),
        ("no jti", |claims| drop(claims.as_object_mut().expect("an object").remove("jti"))),
    ];
    for (name, change) in changes {
        let (status, answer) = ask(&sign(&claims(change))).await;
        assert_eq!((status, text(&answer, "error")), (401, "invalid_client"), "{name}");
    }
    let whole = sign(&claims(|_| ()));
    let (_, rest) = whole.split_once('.').expect("a JWT");
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", rest.split('.').next().expect("claims"));
    assert_eq!(ask(&unsigned).await.0, 401);
    assert_eq!(ask(&whole).await.0, 200, "the twin: the same claims, signed");
    let stranger = SigningKey::generate().sign("client-authentication+jwt", &claims(|_| ()));
    assert_eq!(ask(stranger.expose()).await.0, 401);
}

#[tokio::test]
async fn a19_the_token_endpoint_hears_posted_forms_only() {
    let server = TestServer::start(&[]).await;
    let (_, client) = register(&server, &json!({"token_endpoint_auth_method": "client_secret_post"})).await;
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", text(&client, "client_id")),
        ("client_secret", text(&client, "client_secret")),
    ];
    let twin = server.request(Method::POST, "/token").header(header::ORIGIN, &server.url).form(&fields);
    let twin = twin.send().await.expect("an answer");
    assert_eq!(
        (twin.status().as_u16(), &twin.headers()[header::CACHE_CONTROL]),
        (200, &"no-store".parse().expect("ASCII"))
    );
    assert_ne!(twin.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN), Some(&"*".parse().expect("ASCII")));
    let get = server.request(Method::GET, "/token").send().await.expect("an answer");
    assert_eq!((get.status().as_u16(), &get.headers()[header::ALLOW]), (405, &"POST".parse().expect("ASCII")));
    let object: Value = fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let (status, answer) = answered(server.request(Method::POST, "/token").json(&object)).await;
    assert_eq!((status, text(&answer, "error")), (400, "invalid_request"));
}

#[tokio::test]
async fn a21_addresses_in_metadata_are_never_asked() {
    let server = TestServer::start(&[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}/x", listener.local_addr().expect("bound"));
    for member in ["logo_uri", "client_uri", "policy_uri", "tos_uri", "sector_identifier_uri"] {
        let (status, client) = register(&server, &json!({ member: url })).await;
        assert_eq!((status, client.get(member)), (201, None), "{member}: ignored, and not claimed to be kept");
    }
    let (status, refused) = register(&server, &json!({ "jwks_uri": url })).await;
    assert_eq!((status, text(&refused, "error")), (400, "invalid_client_metadata"));
    server.stop().await;
    assert_eq!(listener.accept().expect_err("nobody came").kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a22_a_name_cannot_draw_turn_or_flood() {
    let server = TestServer::start(&[]).await;
    let sent = format!("\u{202e}se\u{1b}[31mcure\n{}", "x".repeat(10_000));
    let (status, client) = register(&server, &json!({ "client_name": sent })).await;
    let name = text(&client, "client_name");
    assert_eq!((status, name.chars().count()), (201, 100));
    assert!(name.starts_with("se[31mcurexxx"), "{name:?}");
    let (_, twin) = register(&server, &json!({"client_name": "na\u{ef}ve job 7"})).await;
    assert_eq!(text(&twin, "client_name"), "na\u{ef}ve job 7");
}

#[tokio::test]
async fn a23_another_clients_token_opens_no_registration() {
    let server = TestServer::start(&[]).await;
    let (_, mine) = register(&server, &json!({"scope": "mcp:read"})).await;
    let (_, other) = register(&server, &json!({})).await;
    let path = format!("/register/{}", text(&mine, "client_id"));
    let with = |method: Method, client: &Value, body: &Value| {
        server.request(method, &path).bearer_auth(text(client, "registration_access_token")).json(body)
    };
    let wider = json!({"client_id": mine["client_id"], "scope": "mcp:read mcp:write"});
    let same = json!({"client_id": mine["client_id"], "scope": "mcp:read"});
    assert_eq!(answered(with(Method::PUT, &other, &same)).await.0, 401);
    assert_eq!(answered(with(Method::DELETE, &other, &json!({}))).await.0, 401);
    let (status, refused) = answered(with(Method::PUT, &mine, &wider)).await;
    assert_eq!((status, text(&refused, "error")), (400, "invalid_client_metadata"));
    let (status, changed) = answered(with(Method::PUT, &mine, &same)).await;
    assert_eq!(status, 200, "the twin: {changed}");
    let form = [("grant_type", "client_credentials")];
    let token = |client: &Value| {
        let request = server.request(Method::POST, "/token").form(&form);
        request.basic_auth(text(client, "client_id"), Some(text(client, "client_secret")))
    };
    let (_, issued) = answered(token(&mine)).await;
    let access = text(&issued, "access_token");
    assert_eq!(server.status_with(access).await, 200);
    assert_eq!(answered(with(Method::DELETE, &changed, &json!({}))).await.0, 204);
    assert_eq!(server.status_with(access).await, 401, "its tokens ended with it");
    assert_eq!(answered(token(&mine)).await.0, 401);
}
