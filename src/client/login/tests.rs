//! Logins against an issuer that can lie: who is sent where, what is asked, and what of the answer counts.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use crate::{
    client::{
        Client, ClientError, Grant, Kind, LoginError, RegistrationRequest, Settings, TokenSourceKind,
        testing::{Visitor, World, echo, field},
    },
    hint::Hint as _,
    oauth::{AuthMethod, Resource, Scopes},
    secret::Secret,
};

fn by_device(settings: &mut Settings) {
    settings.grant = Some(Grant::DeviceCode);
}

async fn token(client: &Client) -> Result<String, ClientError> {
    Ok(client.access_token(None).await?.secret.expose().to_owned())
}

fn count(whats: &[String], what: &str) -> usize {
    whats.iter().filter(|seen| *seen == what).count()
}

fn files_text(world: &World, folder: &str) -> Vec<Value> {
    let read = |path| serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    world.files(folder).into_iter().map(read).collect()
}

#[tokio::test]
async fn somebody_who_has_nothing_logs_in_and_calls() {
    let (world, person) = (World::new().await, Visitor::new());
    assert_eq!(echo(&world.visited_by(&person, |_| {})).await.unwrap(), "hi");
    let (status, page) = person.last_end().await;
    assert!(status == 200 && page.contains("Your login has arrived"), "{page}");
    let seen = world.seen();
    let registered: Value =
        serde_json::from_str(&seen.iter().find(|seen| seen.what == "POST /register").unwrap().body).unwrap();
    let uris = registered["redirect_uris"].as_array().unwrap();
    assert_eq!(uris[0], "http://127.0.0.1/callback");
    assert_eq!(registered["application_type"], "native");
    assert_eq!(registered["token_endpoint_auth_method"], "none");
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    assert_eq!(registered["grant_types"], json!(["authorization_code", "refresh_token", device]));
    assert_eq!(registered["scope"], "mcp:read mcp:write", "all that the server has");
    assert!(seen.iter().all(|seen| seen.what != "POST /register" || seen.authorization.is_none()));
    let asked = |name: &str| person.asked(name);
    assert_eq!(asked("redirect_uri").as_deref(), uris[1].as_str(), "the port that was registered");
    assert_eq!(asked("resource").unwrap(), format!("{}/mcp", world.origin));
    assert_eq!(asked("scope").unwrap(), "mcp:read", "what the challenge says");
    let form = &seen.iter().find(|seen| seen.what == "POST /token").unwrap().body;
    assert_eq!(field(form, "resource").unwrap(), format!("{}/mcp", world.origin));
    // The next one needs nobody.
    assert_eq!(
        echo(&world.client_with(|settings| (settings.client_id, settings.client_secret) = (None, None))).await.unwrap(),
        "hi"
    );
    assert_eq!(world.whats(), ["POST /mcp tools/call"]);
    assert_eq!(person.visits(), 1);
}

#[tokio::test]
async fn c05_an_answer_of_somebody_else_ends_it_before_any_token_request() {
    let (world, person) = (World::new().await, Visitor::new());
    let mine = async || token(&world.visited_by(&person, |settings| settings.force_new = true)).await;
    mine().await.unwrap();
    for (tampered, quoted) in [
        (vec![("state", Some("another".to_owned()))], "state"),
        (vec![("state", None)], "state"),
        (vec![("iss", Some("https://evil.example".to_owned()))], "iss"),
        (vec![("iss", Some(format!("{}/", world.origin)))], "iss"),
        (vec![("iss", None)], "iss"),
        (vec![("code", None), ("iss", None), ("error", Some("hush".to_owned()))], "iss"),
    ] {
        world.change(|rules| rules.tampered = tampered);
        world.seen();
        let error = mine().await.unwrap_err();
        assert!(matches!(error, ClientError::Login(LoginError::NotOurs { .. })), "{error}");
        assert!(error.to_string().contains(quoted) && !error.to_string().contains("hush"), "{error}");
        assert_eq!(count(&world.whats(), "POST /token"), 0, "{error}");
        let (status, page) = person.last_end().await;
        assert!(status == 400 && !page.contains("hush"), "{page}");
    }
    world.change(|rules| rules.tampered.clear());
    mine().await.unwrap();
    // An issuer that does not promise to name itself need not.
    world.lie_as_issuer("authorization_response_iss_parameter_supported", false);
    world.change(|rules| rules.tampered = vec![("iss", None)]);
    mine().await.unwrap();
}

#[tokio::test]
async fn c06_without_s256_nobody_is_sent_to_log_in() {
    for methods in [json!([]), json!(["plain"]), json!(["s256"])] {
        let (world, person) = (World::new().await, Visitor::new());
        world.lie_as_issuer("code_challenge_methods_supported", methods);
        let error = token(&world.visited_by(&person, |_| {})).await.unwrap_err();
        assert!(matches!(error, ClientError::NotOffered { .. }) && error.to_string().contains("PKCE"), "{error}");
        assert_eq!((error.kind(), person.visits()), (Kind::NotAuthenticated, 0));
        world.lie_as_issuer("code_challenge_methods_supported", json!(["plain", "S256"]));
        token(&world.visited_by(&person, |_| {})).await.unwrap();
    }
}

#[tokio::test]
async fn c01_people_are_sent_to_web_pages_only() {
    let (world, person) = (World::new().await, Visitor::who_leaves());
    let good = world.origin.clone() + "/authorize";
    for bad in [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "vscode://x/y",
        "ms-msdt:/id",
        "http://auth.example/authorize",
        "http://10.0.0.1/authorize",
        "http://h/$(touch p)",
        "https://user:password@auth.example/authorize",
        "https://auth.example/authorize#fragment",
        "-flag:x",
        "calc.exe",
        "\"; calc.exe",
    ] {
        world.lie_as_issuer("authorization_endpoint", bad);
        let error = token(&world.visited_by(&person, |_| {})).await.unwrap_err();
        assert!(matches!(error, ClientError::Discover(_)), "{bad}: {error}");
        assert_eq!(person.visits(), 0, "{bad}");
    }
    world.lie_as_issuer("authorization_endpoint", good);
    let impatient = |settings: &mut Settings| settings.login_timeout = Duration::from_millis(1);
    let error = token(&world.visited_by(&person, impatient)).await.unwrap_err();
    assert!(matches!(error, ClientError::Login(LoginError::Abandoned(_))), "{error}");
    assert_eq!(person.visits(), 1, "the twin");
}

#[tokio::test]
async fn c01_a_page_to_type_a_code_at_is_a_web_page() {
    let (world, person) = (World::new().await, Visitor::new());
    let answer = |member: &str, value: &str| {
        let mut answer = json!({
            "device_code": "d", "user_code": "WDJB-MJHT", "verification_uri": "https://auth.example/device",
            "expires_in": 600, "interval": 1,
        });
        answer[member] = value.into();
        world.change(|rules| drop(rules.answers.insert("/device_authorization".to_owned(), (200, answer))));
    };
    for (member, value) in [
        ("verification_uri", "javascript:alert(1)"),
        ("verification_uri", "http://auth.example/device"),
        ("verification_uri_complete", "file:///etc/passwd"),
        ("user_code", ""),
        ("user_code", &"x".repeat(41)),
    ] {
        answer(member, value);
        assert!(token(&world.visited_by(&person, by_device)).await.is_err(), "{member}: {value}");
        assert!(person.codes.lock().unwrap().is_empty());
        assert_eq!(count(&world.whats(), "POST /token"), 0);
    }
    answer("user_code", "a\u{1b}[31mb");
    token(&world.visited_by(&person, by_device)).await.unwrap();
    assert_eq!(person.codes.lock().unwrap()[0].user_code, "a\\u{1b}[31mb");
}

#[tokio::test]
async fn a_code_is_typed_elsewhere() {
    let (world, person) = (World::new().await, Visitor::new());
    world.change(|rules| rules.polls = vec!["authorization_pending"]);
    token(&world.visited_by(&person, by_device)).await.unwrap();
    let code = person.codes.lock().unwrap()[0].clone();
    assert_eq!((code.user_code.as_str(), code.lifetime.as_secs()), ("WDJB-MJHT", 600));
    assert_eq!(code.page.path(), "/device");
    let seen = world.seen();
    let asked = &seen.iter().find(|seen| seen.what == "POST /device_authorization").unwrap().body;
    assert_eq!(field(asked, "resource").unwrap(), format!("{}/mcp", world.origin));
    assert_eq!(field(asked, "scope").unwrap(), "mcp:read mcp:write");
    assert_eq!(field(asked, "code_challenge_method").unwrap(), "S256");
    let polls: Vec<_> = seen.iter().filter(|seen| seen.what == "POST /token").collect();
    assert_eq!(polls.len(), 2);
    assert!(polls.iter().all(|poll| field(&poll.body, "device_code").as_deref() == Some("d3vice")));
    assert_eq!(person.visits(), 0, "no browser here");
}

#[tokio::test]
async fn a_login_that_came_to_nothing_says_so() {
    let world = World::new().await;
    for (poll, words) in [("access_denied", "the issuer says `access_denied`"), ("expired_token", "not typed in time")]
    {
        world.change(|rules| rules.polls = vec![poll]);
        let error = token(&world.visited_by(&Visitor::new(), by_device)).await.unwrap_err();
        assert!(
            matches!(error, ClientError::Login(LoginError::Abandoned(_))) && error.to_string().contains(words),
            "{error}"
        );
        assert_eq!(error.kind(), Kind::NotAuthenticated);
    }
    world.change(|rules| rules.polls = vec!["invalid_scope"]);
    let error = token(&world.visited_by(&Visitor::new(), by_device)).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused { .. }), "the twin: {error}");
    world.change(|rules| {
        rules.tampered = vec![("code", None), ("error", Some("access_denied".to_owned()))];
    });
    let person = Visitor::new();
    let error = token(&world.visited_by(&person, |_| {})).await.unwrap_err();
    assert!(matches!(error, ClientError::Login(LoginError::Abandoned(_))), "{error}");
    let (status, page) = person.last_end().await;
    assert!(status == 400 && page.contains("`access_denied`"), "{page}");
}

#[tokio::test]
async fn an_address_is_pasted_back_from_another_machine() {
    let world = World::new().await;
    let pasted = |lines: fn(String) -> Vec<String>| (Visitor::elsewhere(lines), world.origin.clone());
    let (person, _) = pasted(|back| {
        let code = field(back.split_once('?').unwrap().1, "code").unwrap();
        vec![String::new(), code, back.replace("127.0.0.1", "localhost"), format!("  {back}#x \n")]
    });
    token(&world.visited_by(&person, |_| {})).await.unwrap();
    let told = person.told.lock().unwrap().clone();
    assert_eq!(told.len(), 2, "the code alone and another address are not enough: {told:?}");
    assert!(told[0].contains("http://127.0.0.1:"), "{told:?}");
    // C05: what is pasted is judged like what comes by itself.
    world.seen();
    let (person, _) = pasted(|back| vec![back.replace("state=", "state=x")]);
    let again = |settings: &mut Settings| settings.force_new = true;
    let error = token(&world.visited_by(&person, again)).await.unwrap_err();
    assert!(matches!(error, ClientError::Login(LoginError::NotOurs { .. })), "{error}");
    assert_eq!(count(&world.whats(), "POST /token"), 0);
}

#[tokio::test]
async fn nobody_is_asked_who_is_not_there() {
    let world = World::new().await;
    let nobody = |grant: Option<Grant>| {
        world.client_with(|settings| {
            (settings.client_id, settings.client_secret, settings.grant) = (None, None, grant);
        })
    };
    for (grant, words) in [
        (None, ["securemcp token get", "SECUREMCP_CLIENT_ID", "SECUREMCP_TOKEN"]),
        (Some(Grant::AuthorizationCode), ["--no-browser", "--grant device_code", "SECUREMCP_TOKEN"]),
    ] {
        // Named, it is known who is missing; else it may as well be a machine.
        let error = match grant {
            None => token(&nobody(None)).await.unwrap_err(),
            grant => {
                world.visited_by(&Visitor::new(), |_| {}).access_token(None).await.unwrap();
                world.client().forget().await.unwrap();
                token(&nobody(grant)).await.unwrap_err()
            }
        };
        assert_eq!(error.kind(), Kind::NotAuthenticated, "{error}");
        let hint = error.hint().unwrap();
        assert!(words.iter().all(|word| hint.contains(word)), "{hint}");
    }
    assert_eq!(count(&world.whats(), "POST /token"), 1, "of the one who was there");
}

#[tokio::test]
async fn a_machine_does_not_log_in_unless_told_to() {
    let (world, person) = (World::new().await, Visitor::new());
    let secret = |settings: &mut Settings| {
        (settings.client_id, settings.client_secret) = (Some("cli".to_owned()), Some(Secret::new("s3cret")));
    };
    let machine = token(&world.visited_by(&person, secret)).await.unwrap();
    assert_eq!(person.visits(), 0);
    let named = |settings: &mut Settings| {
        secret(settings);
        settings.grant = Some(Grant::AuthorizationCode);
    };
    let login = token(&world.visited_by(&person, named)).await.unwrap();
    assert_eq!(person.visits(), 1);
    let seen = world.seen();
    let exchange = seen.iter().rfind(|seen| seen.what == "POST /token").unwrap();
    assert!(exchange.authorization.as_ref().unwrap().starts_with("Basic "), "it proves itself there too");
    // Each keeps its own.
    assert_ne!(machine, login);
    assert_eq!(token(&world.visited_by(&person, secret)).await.unwrap(), machine);
    assert_eq!(token(&world.visited_by(&person, named)).await.unwrap(), login);
    assert_eq!((person.visits(), count(&world.whats(), "POST /token")), (1, 0));
}

#[tokio::test]
async fn a_public_client_that_was_named_logs_in_without_a_secret() {
    let (world, person) = (World::new().await, Visitor::new());
    let named = |settings: &mut Settings| settings.client_id = Some("public".to_owned());
    token(&world.visited_by(&person, named)).await.unwrap();
    let seen = world.seen();
    assert!(seen.iter().all(|seen| seen.what != "POST /register"));
    let exchange = seen.iter().find(|seen| seen.what == "POST /token").unwrap();
    assert_eq!(exchange.authorization, None);
    assert_eq!(field(&exchange.body, "client_id").unwrap(), "public");
    assert!(person.asked("redirect_uri").unwrap().ends_with("/callback"));
}

#[tokio::test]
async fn a_document_is_a_client_id_where_the_issuer_reads_documents() {
    let document = "https://app.example/client.json";
    for (reads, url, expected) in [
        (true, document, Some(document)),
        (false, document, None),
        (true, "http://127.0.0.1:8000/c", Some("http://127.0.0.1:8000/c")),
        (true, "http://app.example/client.json", None),
    ] {
        let (world, person) = (World::new().await, Visitor::new());
        world.lie_as_issuer("client_id_metadata_document_supported", reads);
        let with = |settings: &mut Settings| settings.client_metadata_url = Some(Url::parse(url).unwrap());
        token(&world.visited_by(&person, with)).await.unwrap();
        assert_eq!(count(&world.whats(), "POST /register"), usize::from(expected.is_none()), "{reads} {url}");
        let asked = person.asked("client_id").unwrap();
        assert!(expected.map_or(asked.starts_with("client-"), |expected| asked == expected), "{asked}");
        // The next run takes the kept token, whoever names the document.
        assert_eq!(echo(&world.visited_by(&person, with)).await.unwrap(), "hi");
        assert_eq!(person.visits(), 1);
    }
}

fn registration(grant: &str, redirect_uri: &str) -> RegistrationRequest {
    RegistrationRequest {
        name: "mine".to_owned(),
        grants: vec![grant.to_owned(), "refresh_token".to_owned()],
        redirect_uris: vec![redirect_uri.to_owned()],
        scopes: None,
        auth_method: AuthMethod::ClientSecretBasic,
        initial_access_token: None,
        keycloak_admin: None,
        takes_over: true,
    }
}

#[tokio::test]
async fn a_client_that_somebody_registered_for_logins_is_used_for_them() {
    let (world, person) = (World::new().await, Visitor::new());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let uri = format!("http://localhost:{free}/back?from=login");
    let client = world.visited_by(&person, |_| {});
    let registered = client.register(registration("authorization_code", &uri)).await.unwrap();
    token(&client).await.unwrap();
    assert_eq!(person.asked("client_id").unwrap(), registered.client.client_id);
    assert_eq!(person.asked("redirect_uri").unwrap(), uri);
    assert_eq!(count(&world.whats(), "POST /register"), 1);
    // One that comes back elsewhere cannot be used here.
    let elsewhere = registration("authorization_code", "https://app.example/callback");
    client.register(elsewhere).await.unwrap();
    let error = token(&world.visited_by(&person, |settings| settings.force_new = true)).await.unwrap_err();
    assert!(matches!(error, ClientError::Login(LoginError::NoPlace { .. })), "{error}");
    assert!(error.hint().unwrap().contains("dcr register"), "{error}");
}

#[tokio::test]
async fn c07_clients_and_refresh_tokens_stay_with_their_issuer() {
    let (world, other, person) = (World::new().await, World::new().await, Visitor::new());
    token(&world.visited_by(&person, |_| {})).await.unwrap();
    let kept = files_text(&world, "tokens")[0]["refresh_token"].as_str().unwrap().to_owned();
    let client_id = person.asked("client_id").unwrap();
    world.clock.advance(Duration::from_hours(1));
    // The server has moved to another issuer.
    world.lie_as_resource("authorization_servers", vec![other.origin.clone()]);
    token(&world.visited_by(&person, |_| {})).await.unwrap();
    let seen = other.seen();
    assert_eq!(count(&seen.iter().map(|seen| seen.what.clone()).collect::<Vec<_>>(), "POST /register"), 1);
    let origins: Vec<_> = person.pages.lock().unwrap().iter().map(Url::origin).collect();
    assert_ne!(origins[0], origins[1]);
    for seen in seen {
        assert!(!seen.body.contains(&kept), "{seen:?}");
        assert!(seen.authorization.is_none() && !seen.body.contains(&format!("client_id={client_id}&")), "{seen:?}");
    }
    // Back again, everything is still there.
    world.lie_as_resource("authorization_servers", vec![world.origin.clone()]);
    world.clock.advance(Duration::from_hours(1));
    world.seen();
    token(&world.visited_by(&person, |_| {})).await.unwrap();
    let [form] = &world.token_requests()[..] else { panic!() };
    assert_eq!(field(form, "refresh_token").unwrap(), kept);
    assert_eq!(person.visits(), 2);
}

#[tokio::test]
async fn a_next_token_needs_nobody() {
    let (world, person) = (World::new().await, Visitor::new());
    let first = token(&world.visited_by(&person, |_| {})).await.unwrap();
    for rotates in [true, true, false, false, true] {
        world.change(|rules| rules.rotates = rotates);
        world.clock.advance(Duration::from_secs(280));
        world.seen();
        let kept = files_text(&world, "tokens")[0]["refresh_token"].clone();
        let alone = world.client_with(|settings| (settings.client_id, settings.client_secret) = (None, None));
        assert_ne!(token(&alone).await.unwrap(), first);
        let [form] = &world.token_requests()[..] else { panic!() };
        assert_eq!(field(form, "refresh_token").map(Value::from), Some(kept.clone()));
        assert_eq!(field(form, "resource").unwrap(), format!("{}/mcp", world.origin));
        let now = files_text(&world, "tokens")[0]["refresh_token"].clone();
        assert_eq!(now == kept, !rotates, "a new one takes the place of the old one");
    }
    assert_eq!(person.visits(), 1);
}

#[tokio::test]
async fn twenty_at_once_refresh_once() {
    let (world, person) = (World::new().await, Visitor::new());
    token(&world.visited_by(&person, |_| {})).await.unwrap();
    world.clock.advance(Duration::from_secs(280));
    world.seen();
    let alone = || world.client_with(|settings| (settings.client_id, settings.client_secret) = (None, None));
    let asking: Vec<_> =
        (0..20).map(|_| alone()).map(|client| tokio::spawn(async move { token(&client).await })).collect();
    let mut tokens = Vec::new();
    for asked in asking {
        tokens.push(asked.await.unwrap().unwrap());
    }
    tokens.dedup();
    assert_eq!((tokens.len(), world.token_requests().len()), (1, 1));
}

#[tokio::test]
async fn twenty_at_once_log_in_once() {
    let (world, person) = (World::new().await, Visitor::new());
    let asking: Vec<_> = (0..20)
        .map(|_| world.visited_by(&person, |_| {}))
        .map(|client| tokio::spawn(async move { token(&client).await }))
        .collect();
    for asked in asking {
        asked.await.unwrap().unwrap();
    }
    assert_eq!((person.visits(), count(&world.whats(), "POST /register")), (1, 1));
}

#[tokio::test]
async fn a_refresh_token_that_is_spent_leads_to_one_login() {
    let (world, person) = (World::new().await, Visitor::new());
    token(&world.visited_by(&person, |_| {})).await.unwrap();
    let alone = || world.client_with(|settings| (settings.client_id, settings.client_secret) = (None, None));
    world.clock.advance(Duration::from_secs(280));
    world.forget_refresh_tokens();
    world.seen();
    let error = token(&alone()).await.unwrap_err();
    assert!(matches!(error, ClientError::Login(LoginError::NobodyThere { .. })), "{error}");
    assert!(error.hint().unwrap().contains("`securemcp token get`"), "{error}");
    assert_eq!(world.token_requests().len(), 1);
    token(&alone()).await.unwrap_err();
    assert!(world.token_requests().is_empty(), "it is not tried again");
    token(&world.visited_by(&person, |_| {})).await.unwrap();
    assert_eq!((person.visits(), world.token_requests().len()), (2, 1));
}

#[tokio::test]
async fn an_issuer_that_is_away_takes_no_refresh_token_with_it() {
    let (world, person) = (World::new().await, Visitor::new());
    token(&world.visited_by(&person, |_| {})).await.unwrap();
    let kept = files_text(&world, "tokens");
    world.clock.advance(Duration::from_secs(280));
    for answer in [(503, Value::Null), (400, json!({"error": "temporarily_unavailable"})), (200, json!("nonsense"))] {
        world.change(|rules| drop(rules.answers.insert("/token".to_owned(), answer)));
        token(&world.visited_by(&person, |_| {})).await.unwrap_err();
        assert_eq!(files_text(&world, "tokens"), kept);
    }
    world.change(|rules| drop(rules.answers.remove("/token")));
    token(&world.visited_by(&person, |_| {})).await.unwrap();
    assert_eq!(person.visits(), 1);
}

#[tokio::test]
async fn a_refused_token_is_refreshed_before_anybody_is_asked() {
    let (world, person) = (World::new().await, Visitor::new());
    echo(&world.visited_by(&person, |_| {})).await.unwrap();
    world.forget_tokens();
    world.seen();
    assert_eq!(echo(&world.visited_by(&person, |_| {})).await.unwrap(), "hi");
    let [form] = &world.token_requests()[..] else { panic!() };
    assert_eq!(field(form, "grant_type").unwrap(), "refresh_token");
    // C10: a server that refuses everything gets one new token.
    world.change(|rules| rules.refuses_all = true);
    let error = echo(&world.visited_by(&person, |_| {})).await.unwrap_err();
    assert!(matches!(error, ClientError::TokenRefused { .. }), "{error}");
    assert_eq!((person.visits(), world.token_requests().len()), (1, 1));
}

#[tokio::test]
async fn a_missing_scope_is_one_more_login_for_all_of_them() {
    let (world, person) = (World::new().await, Visitor::new());
    world.change(|rules| rules.call_scope = "mcp:write".to_owned());
    assert_eq!(echo(&world.visited_by(&person, |_| {})).await.unwrap(), "hi");
    let asked: Vec<_> =
        person.pages.lock().unwrap().iter().map(|page| field(page.query().unwrap(), "scope").unwrap()).collect();
    assert_eq!(asked, ["mcp:read", "mcp:read mcp:write"]);
    assert!(world.token_requests().iter().all(|form| field(form, "grant_type").unwrap() == "authorization_code"));
    // What is kept is enough for less, too.
    assert_eq!(echo(&world.visited_by(&person, |_| {})).await.unwrap(), "hi");
    assert_eq!(world.whats(), ["POST /mcp tools/call"]);
    world.clock.advance(Duration::from_secs(280));
    assert_eq!(echo(&world.visited_by(&person, |_| {})).await.unwrap(), "hi");
    assert_eq!((person.visits(), world.token_requests().len()), (2, 1));
}

#[tokio::test]
async fn what_was_got_without_naming_scopes_is_tried_before_anybody_is_asked() {
    let (world, person) = (World::new().await, Visitor::new());
    world.lie_as_resource("scopes_supported", json!([]));
    world.change(|rules| rules.grants = Some("mcp:read".to_owned()));
    token(&world.visited_by(&person, |_| {})).await.unwrap();
    assert_eq!(person.asked("scope"), None);
    world.clock.advance(Duration::from_secs(280));
    assert_eq!(echo(&world.visited_by(&person, |_| {})).await.unwrap(), "hi");
    assert_eq!(person.visits(), 1);
    // It is not enough for everything.
    world.change(|rules| (rules.call_scope, rules.grants) = ("mcp:write".to_owned(), None));
    assert_eq!(echo(&world.visited_by(&person, |_| {})).await.unwrap(), "hi");
    assert_eq!((person.visits(), person.asked("scope").as_deref()), (2, Some("mcp:write")));
}

#[tokio::test]
async fn c10_a_scope_that_is_not_granted_is_asked_for_once_each_run() {
    let (world, person) = (World::new().await, Visitor::new());
    world.change(|rules| {
        rules.call_scope = "mcp:write".to_owned();
        rules.grants = Some("mcp:read".to_owned());
    });
    for visits in [2, 3] {
        let error = echo(&world.visited_by(&person, |_| {})).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotPermitted, "{error}");
        assert_eq!(person.visits(), visits);
    }
}

#[tokio::test]
async fn tokens_for_later_are_asked_for_only_where_they_are_offered() {
    let (world, person) = (World::new().await, Visitor::new());
    let asked = async |scopes: Option<&str>| {
        let scopes = scopes.map(|scopes| Scopes::parse(scopes).unwrap());
        let client = world.visited_by(&person, |settings| (settings.scopes, settings.force_new) = (scopes, true));
        token(&client).await.unwrap();
        person.asked("scope").unwrap()
    };
    assert_eq!(asked(None).await, "mcp:read mcp:write");
    world.lie_as_issuer("scopes_supported", json!(["mcp:read", "mcp:write", "offline_access"]));
    assert_eq!(asked(None).await, "mcp:read mcp:write offline_access");
    assert_eq!(asked(Some("mcp:read")).await, "mcp:read", "what somebody names is taken at its word");
    world.seen();
    world.client().access_token(None).await.unwrap();
    assert_eq!(
        field(&world.token_requests()[0], "scope").unwrap(),
        "mcp:read mcp:write",
        "a machine has no use for it"
    );
}

#[tokio::test]
async fn who_may_not_have_tokens_for_later_logs_in_without() {
    let (world, person) = (World::new().await, Visitor::new());
    world.lie_as_issuer("scopes_supported", json!(["offline_access"]));
    world.change(|rules| {
        rules.tampered = vec![("code", None), ("error", Some("invalid_scope".to_owned()))];
    });
    let error = token(&world.visited_by(&person, |_| {})).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotPermitted, "{error}");
    let asked: Vec<_> =
        person.pages.lock().unwrap().iter().map(|page| field(page.query().unwrap(), "scope").unwrap()).collect();
    assert_eq!(asked, ["mcp:read mcp:write offline_access", "mcp:read mcp:write"]);
}

#[tokio::test]
async fn a_client_that_the_issuer_forgot_is_registered_once_anew() {
    let gone = (401, json!({"error": "invalid_token"}));
    // Seen before anybody is sent to a page that does not know it; at a refresh; when the code is changed for a token.
    for manages in [true, false] {
        let (world, person) = (World::new().await, Visitor::new());
        token(&world.visited_by(&person, |_| {})).await.unwrap();
        let first = person.asked("client_id").unwrap();
        world.change(|rules| {
            rules.forgotten = vec![first.clone()];
            if manages {
                rules.answers.insert("/register/it".to_owned(), gone.clone());
            }
        });
        if !manages {
            let file = &world.files("clients")[0];
            let mut saved: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
            saved["client"].as_object_mut().unwrap().remove("registration_client_uri");
            std::fs::write(file, saved.to_string()).unwrap();
        }
        world.clock.advance(Duration::from_secs(280));
        world.seen();
        let alone = world.client_with(|settings| (settings.client_id, settings.client_secret) = (None, None));
        let error = token(&alone).await.unwrap_err();
        assert!(error.to_string().contains("invalid_client"), "{error}");
        token(&world.visited_by(&person, |_| {})).await.unwrap();
        assert_ne!(person.asked("client_id").unwrap(), first);
        assert_eq!((person.visits(), count(&world.whats(), "POST /register")), (2, 1));
    }
}

#[tokio::test]
async fn a_client_that_the_issuer_still_knows_is_not_thrown_away() {
    let (world, person) = (World::new().await, Visitor::new());
    token(&world.visited_by(&person, |_| {})).await.unwrap();
    let first = person.asked("client_id").unwrap();
    world.lie("/register/it", "client_id", first.as_str());
    world.change(|rules| rules.forgotten = vec![first]);
    world.clock.advance(Duration::from_secs(280));
    world.seen();
    let error = token(&world.visited_by(&person, |_| {})).await.unwrap_err();
    assert!(error.to_string().contains("invalid_client"), "{error}");
    assert_eq!((person.visits(), count(&world.whats(), "POST /register")), (1, 0));
}

#[tokio::test]
async fn an_issuer_that_registers_no_strangers_says_so_in_its_own_words() {
    let (world, person) = (World::new().await, Visitor::new());
    let answer = json!({"error": "insufficient_scope", "error_description": "Host not trusted."});
    world.change(|rules| drop(rules.answers.insert("/register".to_owned(), (403, answer))));
    let error = token(&world.visited_by(&person, |_| {})).await.unwrap_err();
    assert!(matches!(error, ClientError::Login(LoginError::NotRegistered { .. })), "{error}");
    assert_eq!(error.kind(), Kind::NotAuthenticated);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("Host not trusted."), "{source}");
    assert!(error.hint().unwrap().contains("--client-id"), "{error}");
    assert_eq!((person.visits(), count(&world.whats(), "POST /register")), (0, 2), "with and without scopes");
}

#[tokio::test]
async fn what_a_login_led_to_is_revoked_as_a_whole() {
    let (world, person) = (World::new().await, Visitor::new());
    world.change(|rules| rules.call_scope = "mcp:write".to_owned());
    echo(&world.visited_by(&person, |_| {})).await.unwrap();
    let kept = files_text(&world, "tokens");
    assert_eq!(kept.len(), 2);
    world.seen();
    assert!(world.visited_by(&person, |_| {}).revoke().await.unwrap());
    let revoked: Vec<_> = world
        .seen()
        .into_iter()
        .filter(|seen| seen.what == "POST /revoke")
        .map(|seen| (field(&seen.body, "token_type_hint").unwrap(), field(&seen.body, "token").unwrap()))
        .collect();
    assert_eq!(revoked.len(), 4);
    for kept in kept {
        for kind in ["refresh_token", "access_token"] {
            assert!(revoked.contains(&(kind.to_owned(), kept[kind].as_str().unwrap().to_owned())), "{kind}");
        }
    }
    assert!(world.files("tokens").is_empty());
}

#[tokio::test]
async fn a_token_whose_end_is_untold_is_kept_until_it_is_refused() {
    let (world, person) = (World::new().await, Visitor::new());
    world.change(|rules| rules.expires_in = None);
    let first = world.visited_by(&person, |_| {}).access_token(None).await.unwrap();
    let second = world.visited_by(&person, |_| {}).access_token(None).await.unwrap();
    assert_eq!(second.source, TokenSourceKind::Cached);
    assert_eq!(first.secret.expose(), second.secret.expose());
}

#[tokio::test]
async fn nothing_of_a_login_is_kept_without_leave() {
    let (world, person) = (World::new().await, Visitor::new());
    let shy = |settings: &mut Settings| settings.persist = false;
    token(&world.visited_by(&person, shy)).await.unwrap();
    assert!(world.files("tokens").is_empty() && world.files("servers").is_empty());
    assert_eq!(world.files("clients").len(), 1, "registrations always are");
}

#[tokio::test]
async fn a_token_for_one_server_is_never_shown_to_another() {
    // C18: the same issuer, the same client; still each server has its own.
    let (world, other, person) = (World::new().await, World::new().await, Visitor::new());
    token(&world.visited_by(&person, |_| {})).await.unwrap();
    other.lie_as_resource("authorization_servers", vec![world.origin.clone()]);
    let server = Resource::parse(&format!("{}/mcp", other.origin)).unwrap();
    token(&world.visited_by(&person, |settings| settings.server = server)).await.unwrap();
    assert_eq!(person.visits(), 2);
    assert_eq!(person.asked("resource").unwrap(), format!("{}/mcp", other.origin));
    assert!(other.seen().iter().all(|seen| seen.authorization.is_none()));
}
