//! Tokens without a secret: a key that was brought along, and the word of a cluster, a CI provider or an enterprise's
//! identity provider.

use std::fs;

use securemcp::jose::Jws;
use serde_json::{Value, json};

use crate::harness::{
    cli::{Account, Ended},
    keys::Key,
    liar::{Hit, ISSUER, Liar, Lie, field, only},
};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// RFC 7515 appendix A.3.
const KEY: &str = include_str!("../../src/jose/keys/rfc7515-a3.pem");

/// A JWT of somebody whom the liar's issuer trusts.
fn jwt(typ: &str, claims: &Value) -> String {
    let mut all = json!({"iss": "https://cluster.example", "sub": "job", "exp": 4_000_000_000_u64});
    all.as_object_mut().expect("an object").extend(claims.as_object().expect("claims").clone());
    Key::ec().token(&json!({"alg": "ES256", "typ": typ}), &all)
}

/// An issuer that takes the words of others.
fn issuer() -> Liar {
    let liar = Liar::start();
    liar.claim(ISSUER, "grant_types_supported", json!(["client_credentials", JWT_BEARER, TOKEN_EXCHANGE]));
    liar
}

/// A file in the account's home that holds a secret.
fn keep(account: &Account, name: &str, text: &str) {
    fs::write(account.home().join(name), text).expect("the home is writable");
}

fn call(account: &Account, liar: &Liar, flags: &[&str]) -> Ended {
    account.run(&[&["call", "echo", "hi", "--server", &liar.url], flags].concat())
}

/// The forms that were sent to the token endpoint.
fn forms(hits: &[Hit]) -> Vec<&str> {
    only(hits, "POST /token").into_iter().map(|hit| hit.body.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_issuer_knows_a_client_by_a_key_of_its_own() {
    let account = Account::new();
    let serve = account.start(&[]);
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let metadata = json!({
        "client_name": "ci", "grant_types": ["client_credentials"], "scope": "mcp:read",
        "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [jwk]},
    });
    let registered = serve.register(&account.initial_access_token(), &metadata).send().await.expect("an answer");
    assert_eq!(registered.status(), 201);
    let registered: Value = registered.json().await.expect("JSON");
    // On another machine there is nothing but the key.
    let elsewhere = Account::new().with("SECUREMCP_CLIENT_ID", registered["client_id"].as_str().expect("an id"));
    keep(&elsewhere, "ci.pem", KEY);
    let call = |flags: &[&str]| elsewhere.run(&[&["call", "echo", "hi", "--server", &serve.url], flags].concat());
    assert_eq!(call(&["--private-key", "ci.pem"]).done(), "hi\n");
    // The twins: under another name, and another key.
    call(&["--private-key", "ci.pem", "--private-key-id", "other", "--scope", "mcp:read"])
        .failed(4, &["invalid_client"]);
    keep(&elsewhere, "other.pem", include_str!("../../src/jose/keys/rfc8037-a1.pem"));
    call(&["--private-key", "other.pem", "--scope", "mcp:read"]).failed(4, &["invalid_client"]);
}

#[test]
fn an_assertion_from_a_file_or_a_variable_is_changed_for_a_token() {
    let (account, liar) = (Account::new(), issuer());
    let assertion = jwt("JWT", &json!({"aud": liar.origin}));
    keep(&account, "assertion", &format!("{assertion}\n"));
    assert_eq!(call(&account, &liar, &["--assertion-file", "assertion"]).done(), "hi\n");
    let hits = liar.hits();
    let [form] = forms(&hits)[..] else { panic!("one token request: {hits:?}") };
    assert_eq!(field(form, "grant_type").as_deref(), Some(JWT_BEARER));
    assert_eq!(field(form, "assertion").as_deref(), Some(&*assertion));
    assert_eq!(field(form, "client_id"), None);
    // The token is kept for whoever has the same word, and for nobody else.
    call(&account, &liar, &["--assertion-file", "assertion"]).done();
    assert!(forms(&liar.hits()).is_empty());
    let variable = Account::new().with("SECUREMCP_ASSERTION", &assertion).with("SECUREMCP_CLIENT_ID", "named");
    assert_eq!(call(&variable, &liar, &[]).done(), "hi\n");
    let hits = liar.hits();
    assert_eq!(field(forms(&hits)[0], "client_id").as_deref(), Some("named"));
}

#[test]
fn an_assertion_for_somebody_else_stays_here() {
    let (account, liar, other) = (Account::new(), issuer(), issuer());
    keep(&account, "assertion", &jwt("JWT", &json!({"aud": other.origin})));
    let refused = call(&account, &liar, &["--assertion-file", "assertion"]);
    refused.failed(4, &["its `aud` is", &other.origin, &format!("have it made for the audience `{}`", liar.origin)]);
    // A server that sends its callers to another issuer does not make them show it there.
    liar.claim(crate::harness::liar::RESOURCE, "authorization_servers", json!([other.origin]));
    let refused = call(&account, &liar, &["--assertion-file", "assertion"]);
    refused.failed(2, &["goes only to an issuer that you name", &format!("--issuer {}", other.origin)]);
    assert!(forms(&liar.hits()).is_empty() && forms(&other.hits()).is_empty());
    call(&account, &liar, &["--assertion-file", "assertion", "--issuer", &other.origin]).failed(4, &["refused"]);
    assert_eq!(forms(&other.hits()).len(), 1, "the twin: its token is no good here, but it was asked for");
}

#[test]
fn a_job_of_github_actions_needs_no_secret() {
    let (liar, provider) = (issuer(), Liar::start());
    let assertion = jwt("JWT", &json!({"aud": liar.origin}));
    provider.lie("GET /idtoken", Lie::Answer(200, json!({"value": assertion})));
    let url = format!("{}/idtoken?api-version=2.0", provider.origin);
    let job = || Account::new().with("SECUREMCP_WORKLOAD_IDENTITY", "github-actions").with("CI", "true");
    job().run(&["token", "get"]).failed(3, &["`ACTIONS_ID_TOKEN_REQUEST_URL`", "id-token: write"]);
    let job = job().with("ACTIONS_ID_TOKEN_REQUEST_URL", &url).with("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job-token");
    let called = call(&job, &liar, &["-vv"]);
    assert_eq!(called.done(), "hi\n");
    assert!(!called.stderr.contains("job-token") && !called.stderr.contains(&assertion), "{called:?}");
    let hits = provider.hits();
    let [asked] = &only(&hits, "GET /idtoken")[..] else { panic!("{hits:?}") };
    assert_eq!(asked.authorization.as_deref(), Some("Bearer job-token"));
    let audience: String = url::form_urlencoded::byte_serialize(liar.origin.as_bytes()).collect();
    assert_eq!(asked.what, format!("GET /idtoken?api-version=2.0&audience={audience}"));
    let hits = liar.hits();
    assert_eq!(field(forms(&hits)[0], "assertion").as_deref(), Some(&*assertion));
    assert!(hits.iter().all(|hit| hit.authorization.as_deref() != Some("Bearer job-token")));
}

#[test]
fn an_employee_is_known_by_the_word_of_the_enterprise() {
    let (liar, provider) = (issuer(), issuer());
    let id_token = jwt("JWT", &json!({"iss": provider.origin, "aud": "at-provider"}));
    let assertion = jwt("oauth-id-jag+jwt", &json!({"iss": provider.origin, "aud": liar.origin}));
    let exchanged = json!({"access_token": assertion, "issued_token_type": ID_JAG, "token_type": "N_A"});
    provider.lie("POST /token", Lie::Answer(200, exchanged));
    let account = Account::new()
        .with("SECUREMCP_CLIENT_ID", "at-issuer")
        .with("SECUREMCP_CLIENT_SECRET", "s")
        .with("SECUREMCP_IDENTITY_PROVIDER", &provider.origin)
        .with("SECUREMCP_IDENTITY_PROVIDER_CLIENT_ID", "at-provider");
    keep(&account, "id-token", &id_token);
    assert_eq!(call(&account, &liar, &["--id-token-file", "id-token"]).done(), "hi\n");
    let (at_provider, at_issuer) = (provider.hits(), liar.hits());
    let exchange = forms(&at_provider)[0];
    for (name, value) in [
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", &id_token),
        ("audience", &liar.origin),
        ("resource", &liar.url),
        ("client_id", "at-provider"),
    ] {
        assert_eq!(field(exchange, name).as_deref(), Some(value), "{name}");
    }
    let grant = only(&at_issuer, "POST /token");
    assert_eq!(field(&grant[0].body, "assertion").as_deref(), Some(&*assertion));
    assert_eq!(Jws::parse(&assertion).expect("a JWT").typ(), Some("oauth-id-jag+jwt"));
    assert!(grant[0].authorization.as_deref().is_some_and(|proof| proof.starts_with("Basic ")));
    assert!(at_issuer.iter().all(|hit| !hit.body.contains(&id_token)), "it is the provider's alone");
    // The twin: another provider's token goes to neither.
    keep(&account, "id-token", &jwt("JWT", &json!({"iss": "https://other.example", "aud": "at-provider"})));
    let refused = call(&account, &liar, &["--id-token-file", "id-token"]);
    refused.failed(4, &["of another identity provider", "https://other.example"]);
    assert!(forms(&provider.hits()).is_empty() && forms(&liar.hits()).is_empty());
}

#[test]
fn settings_that_contradict_each_other_are_named_at_once() {
    let account = Account::new();
    keep(&account, "key.pem", KEY);
    keep(&account, "word", &jwt("JWT", &json!({"aud": "x"})));
    keep(&account, "hush", "hush");
    let failed = |flags: &[&str], words: &[&str]| {
        let ended = account.run(&[&["token", "get"], flags].concat());
        ended.failed(3, words);
        assert!(!ended.stderr.contains("hush:") && !ended.stderr.contains("PRIVATE"), "{ended:?}");
    };
    failed(&["--private-key", "key.pem"], &["`client.private_key` is set without `client.id`"]);
    failed(&["--client-id", "c", "--private-key-id", "k"], &["`client.private_key_id` is set without"]);
    failed(&["--client-id", "c", "--private-key", "hush"], &["not an unencrypted private key in PEM"]);
    let both = ["--client-id", "c", "--private-key", "key.pem", "--client-secret-file", "hush"];
    failed(&both, &["`client.private_key` and `client.secret` are both set"]);
    let both = ["--assertion-file", "word", "--id-token-file", "word", "--identity-provider", "https://idp.example"];
    failed(&both, &["`client.id_token` and `client.assertion` are both set"]);
    failed(&["--id-token-file", "word"], &["`client.id_token` is set without `client.identity_provider`"]);
    failed(&["--identity-provider", "https://idp.example"], &["is set without `client.id_token`"]);
    failed(&["--workload-identity", "somewhere"], &["expected `github-actions`"]);
}
