//! Whose word goes where, and what is not sent at all.

use std::sync::Arc;

use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::{
    client::{
        Kind, Settings,
        testing::{NOW, World, echo, field},
    },
    hint::Hint as _,
    jose::{PrivateKey, SigningKey},
    oauth::assertion::{ID_JAG, ID_JAG_TYP, ID_TOKEN, TOKEN_EXCHANGE},
};

/// A signed JWT with these claims, and others where they are left out.
fn jwt(typ: &str, claims: &Value) -> Secret {
    let mut all = json!({"iss": "https://cluster.example", "sub": "job", "exp": NOW + 300});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    SigningKey::generate().sign(typ, &all)
}

/// Settings of a run that has nothing of its own but somebody's word.
fn vouched(settings: &mut Settings, voucher: Voucher) {
    (settings.client_id, settings.client_secret) = (None, None);
    settings.voucher = Some(voucher);
}

async fn refused(client: &Client) -> ClientError {
    let error = client.access_token(None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotAuthenticated, "{error}");
    assert!(error.hint().is_some(), "{error}");
    error
}

fn token_requests(world: &World) -> usize {
    world.token_requests().len()
}

#[tokio::test]
async fn an_assertion_is_changed_for_a_token() {
    let world = World::new().await;
    let assertion = jwt("JWT", &json!({"aud": world.origin}));
    let client = |change: fn(&mut Settings)| {
        world.client_with(|settings| {
            vouched(settings, Voucher::Assertion(assertion.clone()));
            change(settings);
        })
    };
    assert_eq!(echo(&client(|_| {})).await.unwrap(), "hi");
    let request = world.token_requests().remove(0);
    assert_eq!(field(&request, "grant_type").unwrap(), JWT_BEARER_GRANT);
    assert_eq!(field(&request, "assertion").unwrap(), assertion.expose());
    assert_eq!(field(&request, "resource").unwrap(), format!("{}/mcp", world.origin));
    assert_eq!(field(&request, "scope").unwrap(), "mcp:read");
    assert_eq!(field(&request, "client_id"), None, "nobody was named");
    // A second run has the token; one as a client has its own.
    echo(&client(|_| {})).await.unwrap();
    assert_eq!(token_requests(&world), 0);
    echo(&client(|settings| settings.client_id = Some("named".to_owned()))).await.unwrap();
    assert_eq!(field(&world.token_requests()[0], "client_id").unwrap(), "named");
}

#[tokio::test]
async fn a_token_that_was_got_on_one_word_is_not_used_on_another() {
    let world = World::new().await;
    for (index, assertion) in [json!({"sub": "alice"}), json!({"sub": "bob"})].iter().enumerate() {
        let mut claims = assertion.clone();
        claims["aud"] = world.origin.clone().into();
        let assertion = jwt("JWT", &claims);
        for _ in 0..2 {
            let client = world.client_with(|settings| vouched(settings, Voucher::Assertion(assertion.clone())));
            echo(&client).await.unwrap();
        }
        assert_eq!((index, token_requests(&world)), (index, 1));
    }
    // And on no word at all a client is itself.
    echo(&world.client()).await.unwrap();
    assert_eq!(field(&world.token_requests()[0], "grant_type").unwrap(), "client_credentials");
}

#[tokio::test]
async fn an_assertion_for_another_issuer_is_not_sent() {
    let world = World::new().await;
    let with = |claims: &Value| {
        let assertion = jwt("JWT", claims);
        world.client_with(|settings| vouched(settings, Voucher::Assertion(assertion)))
    };
    for aud in [
        json!("https://other.example"),
        json!(format!("{}/", world.origin)),
        json!(world.origin.to_uppercase()),
        json!(["https://other.example", "sts.amazonaws.com"]),
    ] {
        let error = refused(&with(&json!({"aud": aud}))).await;
        assert!(matches!(error, ClientError::Voucher(VoucherError::OtherAudience { .. })), "{error}");
        assert!(error.hint().unwrap().contains(&world.origin), "{error}");
    }
    let error = refused(&with(&json!({"aud": world.origin, "exp": NOW - 60}))).await;
    assert!(matches!(error, ClientError::Voucher(VoucherError::Expired)), "{error}");
    assert_eq!(token_requests(&world), 0);
    // The twins.
    for claims in [
        json!({"aud": ["https://other.example", world.origin]}),
        json!({"aud": format!("{}/token", world.origin)}),
        json!({"aud": world.origin, "exp": NOW - 59}),
    ] {
        with(&claims).access_token(None).await.unwrap();
    }
    assert_eq!(token_requests(&world), 3);
}

#[tokio::test]
async fn what_is_no_assertion_is_not_sent_and_not_shown() {
    let world = World::new().await;
    let aud = json!({"aud": world.origin});
    let good = jwt("JWT", &aud);
    let (head, _) = good.expose().rsplit_once('.').unwrap();
    let no_exp = SigningKey::generate().sign("JWT", &json!({"iss": "a", "aud": world.origin}));
    for bad in ["hush", "", &format!("{head}.a.b"), no_exp.expose()] {
        let client = world.client_with(|settings| vouched(settings, Voucher::Assertion(Secret::new(bad))));
        let error = refused(&client).await;
        assert!(matches!(error, ClientError::Voucher(VoucherError::NotAnAssertion)), "{error}");
        assert!(!format!("{error:?}").contains("hush"));
    }
    assert_eq!(token_requests(&world), 0);
}

#[tokio::test]
async fn an_issuer_that_only_the_server_names_gets_nobodys_word() {
    let (world, elsewhere) = (World::new().await, World::new().await);
    world.lie_as_resource("authorization_servers", json!([elsewhere.origin]));
    let assertion = jwt("JWT", &json!({"aud": elsewhere.origin}));
    let client = |issuer: Option<&str>| {
        let issuer = issuer.map(|issuer| Issuer::parse(issuer).unwrap());
        world.client_with(|settings| {
            vouched(settings, Voucher::Assertion(assertion.clone()));
            settings.issuer = issuer;
        })
    };
    let error = client(None).access_token(None).await.unwrap_err();
    assert!(matches!(error, ClientError::IssuerNotNamed { .. }), "{error}");
    assert_eq!(token_requests(&elsewhere), 0);
    client(Some(&elsewhere.origin)).access_token(None).await.unwrap();
    assert_eq!(token_requests(&elsewhere), 1);
}

#[tokio::test]
async fn the_issuers_no_is_the_answer() {
    let world = World::new().await;
    let assertion = jwt("JWT", &json!({"aud": world.origin}));
    let client = || world.client_with(|settings| vouched(settings, Voucher::Assertion(assertion.clone())));
    for code in ["invalid_grant", "invalid_scope", "unauthorized_client", "invalid_target"] {
        world.change(|rules| drop(rules.answers.insert("/token".to_owned(), (400, json!({"error": code})))));
        assert!(matches!(client().access_token(None).await, Err(ClientError::Refused { .. })), "{code}");
        assert_eq!(token_requests(&world), 1, "{code}");
    }
    world.change(|rules| drop(rules.answers.remove("/token")));
    world.lie_as_issuer("grant_types_supported", json!(["client_credentials"]));
    assert!(matches!(client().access_token(None).await, Err(ClientError::NotOffered { .. })));
    assert_eq!(token_requests(&world), 0);
}

#[tokio::test]
async fn an_assertion_follows_no_redirect() {
    let (world, other) = (World::new().await, World::new().await);
    let assertion = jwt("JWT", &json!({"aud": world.origin}));
    let moved = (307, json!({"location": format!("{}/token", other.origin)}));
    world.change(|rules| drop(rules.answers.insert("/token".to_owned(), moved)));
    let client = world.client_with(|settings| vouched(settings, Voucher::Assertion(assertion)));
    assert!(matches!(client.access_token(None).await, Err(ClientError::Status { status: 307, .. })));
    assert!(other.seen().is_empty());
}

/// The provider of a CI job, on the world's own machine.
fn job(world: &World, url: &str) -> Client {
    let provider = WorkloadIdentity { url: Url::parse(url).unwrap(), token: Secret::new("job-token") };
    world.client_with(|settings| vouched(settings, Voucher::Workload(provider)))
}

#[tokio::test]
async fn a_ci_provider_is_asked_for_a_word_to_this_issuer() {
    let (world, provider) = (World::new().await, World::new().await);
    let assertion = jwt("JWT", &json!({"aud": world.origin}));
    let answer = (200, json!({"value": assertion}));
    provider.change(|rules| drop(rules.answers.insert("/idtoken".to_owned(), answer)));
    let url = format!("{}/idtoken?api-version=2.0", provider.origin);
    job(&world, &url).access_token(None).await.unwrap();
    let asked = provider.seen().remove(0);
    assert_eq!((asked.what.as_str(), asked.authorization.as_deref()), ("GET /idtoken", Some("Bearer job-token")));
    assert_eq!(field(&asked.query, "audience").unwrap(), world.origin);
    assert_eq!(field(&asked.query, "api-version").unwrap(), "2.0");
    assert_eq!(field(&world.token_requests()[0], "assertion").unwrap(), assertion.expose());
}

#[tokio::test]
async fn a_token_of_one_job_is_not_used_for_another() {
    let (world, provider) = (World::new().await, World::new().await);
    let answer = (200, json!({"value": jwt("JWT", &json!({"aud": world.origin}))}));
    for path in ["/one", "/another"] {
        provider.change(|rules| drop(rules.answers.insert(path.to_owned(), answer.clone())));
        for _ in 0..2 {
            echo(&job(&world, &format!("{}{path}", provider.origin))).await.unwrap();
        }
        assert_eq!(token_requests(&world), 1, "{path}");
    }
}

#[tokio::test]
async fn a_ci_provider_that_answers_something_else_is_not_believed() {
    let (world, provider) = (World::new().await, World::new().await);
    let url = format!("{}/idtoken", provider.origin);
    let other = jwt("JWT", &json!({"aud": "https://other.example"}));
    for (status, answer) in [
        (200, json!({"value": other})),
        (200, json!({"value": 1})),
        (200, json!(["hush"])),
        (307, json!({"location": world.origin})),
        (403, json!("hush")),
    ] {
        provider.change(|rules| drop(rules.answers.insert("/idtoken".to_owned(), (status, answer))));
        let error = job(&world, &url).access_token(None).await.unwrap_err();
        assert!(!format!("{error}{error:?}").contains("hush") && !format!("{error:?}").contains("job-token"));
        assert_eq!(token_requests(&world), 0, "{error}");
    }
    let error = refused(&job(&world, "http://ci.example/idtoken?secret=hush")).await;
    assert!(matches!(error, ClientError::Voucher(VoucherError::PlainProvider { .. })), "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
}

/// A person of an enterprise: logged in at `provider`, at home nowhere else.
fn employee(world: &World, provider: &str, id_token: Secret) -> Client {
    let provider = IdentityProvider {
        issuer: Issuer::parse(provider).unwrap(),
        client_id: "at-provider".to_owned(),
        client_secret: Some(Secret::new("provider-secret")),
        id_token,
    };
    world.client_with(|settings| settings.voucher = Some(Voucher::IdentityProvider(provider)))
}

#[tokio::test]
async fn an_id_token_becomes_a_word_to_this_issuer_and_that_a_token() {
    let (world, provider) = (World::new().await, World::new().await);
    let id_token = jwt("JWT", &json!({"iss": provider.origin, "aud": "at-provider"}));
    assert_eq!(echo(&employee(&world, &provider.origin, id_token.clone())).await.unwrap(), "hi");
    let seen = provider.seen().into_iter().find(|seen| seen.what == "POST /token").unwrap();
    assert!(seen.authorization.unwrap().starts_with("Basic "));
    for (name, value) in [
        ("grant_type", TOKEN_EXCHANGE),
        ("requested_token_type", ID_JAG),
        ("audience", &world.origin),
        ("resource", &format!("{}/mcp", world.origin)),
        ("scope", "mcp:read"),
        ("subject_token", id_token.expose()),
        ("subject_token_type", ID_TOKEN),
    ] {
        assert_eq!(field(&seen.body, name).as_deref(), Some(value), "{name}");
    }
    let seen = world.seen().into_iter().find(|seen| seen.what == "POST /token").unwrap();
    assert!(seen.authorization.unwrap().starts_with("Basic "), "as the client `cli`");
    assert_eq!(field(&seen.body, "grant_type").unwrap(), JWT_BEARER_GRANT);
    let assertion = field(&seen.body, "assertion").unwrap();
    assert_eq!(Jws::parse(&assertion).unwrap().typ(), Some(ID_JAG_TYP));
    assert!(!seen.body.contains(id_token.expose()));
}

#[tokio::test]
async fn an_id_token_goes_to_nobody_but_its_issuer() {
    let (world, provider) = (World::new().await, World::new().await);
    for iss in ["https://other.example".to_owned(), format!("{}/", provider.origin), world.origin.clone()] {
        let id_token = jwt("JWT", &json!({"iss": iss, "aud": "at-provider"}));
        let error = refused(&employee(&world, &provider.origin, id_token)).await;
        assert!(matches!(error, ClientError::Voucher(VoucherError::OtherProvider { .. })), "{error}");
    }
    let old = jwt("JWT", &json!({"iss": provider.origin, "aud": "at-provider", "exp": NOW - 60}));
    let error = refused(&employee(&world, &provider.origin, old)).await;
    assert!(matches!(error, ClientError::Voucher(VoucherError::Expired)), "{error}");
    provider.lie_as_issuer("issuer", "https://other.example");
    let good = || jwt("JWT", &json!({"iss": provider.origin, "aud": "at-provider"}));
    assert!(matches!(refused(&employee(&world, &provider.origin, good())).await, ClientError::Discover(_)));
    assert!(provider.seen().iter().all(|seen| seen.what.starts_with("GET ")));
    provider.lie_as_issuer("issuer", provider.origin.clone());
    employee(&world, &provider.origin, good()).access_token(None).await.unwrap();
    assert_eq!(token_requests(&provider), 1, "the twin");
}

#[tokio::test]
async fn only_an_identity_assertion_is_handed_on() {
    let (world, provider) = (World::new().await, World::new().await);
    let good = json!({"iss": provider.origin, "aud": world.origin});
    let answer =
        |token: Secret, kind: &str| json!({"access_token": token, "issued_token_type": kind, "token_type": "N_A"});
    let mut other_audience = good.clone();
    other_audience["aud"] = "https://other.example".into();
    let mut other_issuer = good.clone();
    other_issuer["iss"] = "https://other.example".into();
    for exchanged in [
        answer(jwt(ID_JAG_TYP, &good), "urn:ietf:params:oauth:token-type:access_token"),
        answer(jwt("at+jwt", &good), ID_JAG),
        answer(Secret::new("hush"), ID_JAG),
        answer(jwt(ID_JAG_TYP, &other_audience), ID_JAG),
        answer(jwt(ID_JAG_TYP, &other_issuer), ID_JAG),
    ] {
        provider.change(|rules| rules.exchanged = Some(exchanged));
        let id_token = jwt("JWT", &json!({"iss": provider.origin, "aud": "at-provider"}));
        let error = refused(&employee(&world, &provider.origin, id_token)).await;
        assert!(matches!(error, ClientError::Voucher(_)), "{error}");
        assert!(!format!("{error:?}").contains("hush"));
        assert_eq!(token_requests(&world), 0);
    }
    provider.change(|rules| rules.exchanged = Some(answer(jwt(ID_JAG_TYP, &good), ID_JAG)));
    let id_token = jwt("JWT", &json!({"iss": provider.origin, "aud": "at-provider"}));
    employee(&world, &provider.origin, id_token).access_token(None).await.unwrap();
    assert_eq!(token_requests(&world), 1, "the twin");
}

#[tokio::test]
async fn a_key_of_the_callers_signs_for_this_issuer_with_what_it_takes() {
    const RSA: &str = include_str!("../../jose/keys/rfc7515-a2.pem");
    let world = World::new().await;
    let client = || {
        world.client_with(|settings| {
            settings.client_secret = None;
            settings.private_key = Some(Arc::new(PrivateKey::from_pem(RSA, Some("mine")).unwrap()));
            settings.force_new = true;
        })
    };
    for (listed, algorithm) in [(json!([]), "RS256"), (json!(["ES256", "PS256"]), "PS256")] {
        world.lie_as_issuer("token_endpoint_auth_signing_alg_values_supported", listed);
        client().access_token(None).await.unwrap();
        let request = world.token_requests().remove(0);
        assert_eq!(field(&request, "grant_type").unwrap(), "client_credentials");
        assert_eq!(field(&request, "client_id").unwrap(), "cli");
        let assertion = field(&request, "client_assertion").unwrap();
        let jws = Jws::parse(&assertion).unwrap();
        assert_eq!((jws.kid(), jws.typ()), (Some("mine"), Some("client-authentication+jwt")));
        let claims: Value = jws.claims().unwrap();
        assert_eq!((&claims["aud"], &claims["sub"]), (&json!(world.origin), &json!("cli")));
        assert!(jws.algorithm(&[crate::jose::algorithm_named(algorithm).unwrap()]).is_ok(), "{algorithm}");
    }
    world.lie_as_issuer("token_endpoint_auth_signing_alg_values_supported", json!(["ES256"]));
    let error = client().access_token(None).await.unwrap_err();
    assert!(error.to_string().contains("`private_key_jwt` with RS256 or PS256"), "{error}");
    assert_eq!(token_requests(&world), 0);
}
