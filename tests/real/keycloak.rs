//! The realm that ships, in a real Keycloak: static and registered clients, scopes behind roles, introspection, every
//! signature algorithm, and what goes wrong.

use std::{fs, os::unix::fs::symlink, time::Duration};

use securemcp::{
    client::StaleClient,
    clock::{SystemClock, TestClock},
    jose::{SigningKey, dpop},
};
use serde_json::{Value, json};

use crate::harness::{
    ADMIN_PASSWORD, Account, Keycloak, REDIS_PASSWORD, RESOURCE_SECRET, Redis, SERVER_SECRET, Server, free_port,
    libfaketime, program,
};

/// The client that the realm has.
const STATIC: [(&str, &str); 2] = [("SECUREMCP_CLIENT_ID", "mcp-server"), ("SECUREMCP_CLIENT_SECRET", SERVER_SECRET)];

/// A server in front of a Keycloak, and an account that calls it.
struct Desk<'a> {
    account: Account,
    server: Server,
    keycloak: &'a Keycloak,
}

impl<'a> Desk<'a> {
    fn new(keycloak: &'a Keycloak, variables: &[(&str, &str)]) -> Self {
        let account = Account::new();
        let issuer = keycloak.issuer();
        let server = account.serve_at(keycloak.resource_port, variables, &["--issuer", &issuer]);
        Self { account, server, keycloak }
    }

    /// Runs a command against the server, as the client of these variables.
    fn run(&self, variables: &[(&str, &str)], arguments: &[&str]) -> crate::harness::Ended {
        let issuer = self.keycloak.issuer();
        let variables = [&[("SECUREMCP_ISSUER", issuer.as_str())], variables].concat();
        self.account.with(&variables, &[arguments, &["--server", &self.server.url()]].concat())
    }

    fn registered(&self, arguments: &[&str]) -> Value {
        let token = self.keycloak.initial_access_token(1);
        let variables = [("SECUREMCP_INITIAL_ACCESS_TOKEN", token.as_str())];
        self.run(&variables, &[&["dcr", "register", "--output", "json"], arguments].concat()).json()
    }
}

/// One Keycloak for all: it takes twenty seconds to start.
#[test]
fn the_realm_that_ships() {
    let keycloak = Keycloak::start();
    it_is_imported_without_a_warning(&keycloak);
    an_auditor_finds_nothing_but_what_has_a_reason(&keycloak);
    {
        let desk = Desk::new(&keycloak, &[]);
        the_static_client_calls_tools(&desk);
        bound_tokens_are_taken_with_their_key_only(&desk);
        refusals_name_their_cause(&desk);
        a_registered_client_lives(&desk);
        an_administrator_registers_a_machine(&desk);
        initial_access_tokens_are_told_apart(&desk);
        stale_clients_are_found_and_deleted(&desk);
        tokens_of_others_are_refused(&desk);
        the_pages_commands_run(&desk);
    }
    a_deployment_registers_itself_once(&keycloak);
    replicas_with_state_directories_of_their_own_are_one_client(&keycloak);
    clocks_that_differ_are_told(&keycloak);
    every_algorithm_is_verified(&keycloak);
    introspection_ends_a_revoked_token(&keycloak);
    known_keys_outlive_keycloak(keycloak);
}

fn it_is_imported_without_a_warning(keycloak: &Keycloak) {
    let log = keycloak.log();
    assert!(log.contains("Realm 'mcp-realm' imported"), "{log}");
    let bad: Vec<_> = log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).collect();
    // Both are about Keycloak's own defaults, with any realm.
    let about_itself = ["Deprecated features", "hostname"];
    assert!(bad.iter().all(|line| about_itself.iter().any(|words| line.contains(words))), "{bad:#?}");
}

fn an_auditor_finds_nothing_but_what_has_a_reason(keycloak: &Keycloak) {
    let account = Account::new();
    let export = "/realms/mcp-realm/partial-export?exportClients=true&exportGroupsAndRoles=true";
    let realm = keycloak.admin("POST", export, Some(&json!({}))).expect("a realm");
    fs::write(account.home().join("realm.json"), realm.to_string()).expect("the home is writable");
    let root = env!("CARGO_MANIFEST_DIR");
    let audit = |reasons: &str| {
        let program = format!("{root}/target/test-tools/kcwarden/bin/kcwarden");
        account.shell(&format!("'{program}' audit {reasons} -s MEDIUM --fail-on-findings -f json realm.json"), &[])
    };
    let audited = audit(&format!("-c '{root}/keycloak/kcwarden.yaml'"));
    assert_eq!(audited.json(), json!([]));
    let without_reasons = audit("");
    let found: Value = serde_json::from_str(&without_reasons.stdout).expect("JSON");
    assert_eq!((without_reasons.code, found.as_array().map(Vec::len)), (Some(42), Some(4)), "{found:#}");
}

fn the_static_client_calls_tools(desk: &Desk<'_>) {
    let health = desk.run(&STATIC, &["health", "--output", "json"]).json();
    assert!(health.as_array().expect("a list").iter().all(|check| check["state"] == "ok"), "{health:#}");
    assert_eq!(desk.run(&STATIC, &["call", "echo", "hi"]).done(), "hi\n");
    assert_eq!(desk.run(&STATIC, &["call", "calculator", "add", "10", "20", "30"]).done(), "60\n");
    let inspected = desk.run(&STATIC, &["token", "inspect"]);
    assert!(inspected.done().contains(&format!("good for `{}`", desk.server.url())), "{inspected:#?}");
    let read_only = desk.run(&STATIC, &["call", "calculator", "add", "1", "2", "--scope", "mcp:read"]);
    read_only.failed(6, &["mcp:write", "--scope \"mcp:read mcp:write\""]);
    let token = desk.run(&STATIC, &["token", "get", "--scope", "mcp:read"]).done().trim_end().to_owned();
    desk.account
        .with(&[("SECUREMCP_TOKEN", &token)], &["call", "calculator", "add", "1", "2", "--server", &desk.server.url()])
        .failed(6, &["mcp:write"]);
    let echoed = desk.account.shell(
        &format!(
            "curl -sS -H 'Authorization: Bearer {token}' --json '{{\"message\":\"Hello!\"}}' {}/api/v1/tools/echo",
            desk.server.origin()
        ),
        &[],
    );
    let echoed = echoed.json();
    assert_eq!((&echoed["tool"], &echoed["result"]["echo"]), (&json!("echo"), &json!("Hello!")));
    assert_eq!((&echoed["user"], &echoed["client"]), (&json!("service-account-mcp-server"), &json!("mcp-server")));
}

/// Keycloak binds tokens to keys (DPoP) by itself; its payload then says that its `typ` is `DPoP`.
fn bound_tokens_are_taken_with_their_key_only(desk: &Desk<'_>) {
    assert_eq!(desk.run(&STATIC, &["call", "--dpop", "echo", "hi"]).done(), "hi\n");
    let got = desk.run(&STATIC, &["token", "get", "--dpop", "--output", "json"]).json();
    assert_eq!(got["token_type"], "DPoP");
    let token = got["access_token"].as_str().expect("a token").to_owned();
    let inspected = desk.run(&STATIC, &["token", "inspect", "--dpop", "--output", "json"]).json();
    assert_eq!((&inspected["claims"]["typ"], &inspected["accepted"]), (&json!("DPoP"), &json!(true)), "{inspected:#}");
    let folder = desk.account.home().join("state/securemcp/dpop-keys");
    let files = fs::read_dir(folder).expect("the keys").map(|entry| entry.expect("an entry").path());
    let names = files.filter(|path| !path.file_name().expect("a name").to_string_lossy().starts_with('.'));
    let keys: Vec<_> = names.map(|path| fs::read_to_string(path).expect("text")).collect();
    assert_eq!(keys.len(), 1, "one client at one issuer");
    let key = SigningKey::from_pem(&keys[0]).expect("a key");
    assert_eq!(inspected["bound_to"], key.kid());
    let me = format!("{}/api/v1/me", desk.server.origin());
    let proof = |key: &SigningKey, method: &str, url: &str, token: &str| {
        let request = dpop::Request { method, url: &url.parse().expect("a URL"), access_token: Some(token) };
        dpop::prove(key, request, None, SystemClock::shared().since_epoch()).expose().to_owned()
    };
    let status = |scheme: &str, proofs: &[&str]| {
        let proofs = proofs.iter().fold(String::new(), |all, proof| all + " -H 'DPoP: " + proof + "'");
        let line =
            format!("curl -sS -o /dev/null -w '%{{http_code}}' -H 'Authorization: {scheme} {token}'{proofs} {me}");
        desk.account.shell(&line, &[]).done().to_owned()
    };
    let good = proof(&key, "GET", &me, &token);
    assert_eq!(status("DPoP", &[&good]), "200");
    let (one, two) = (proof(&key, "GET", &me, &token), proof(&key, "GET", &me, &token));
    for (scheme, proofs, what) in [
        ("DPoP", vec![good.as_str()], "a replayed proof"),
        ("DPoP", vec![&*proof(&SigningKey::generate(), "GET", &me, &token)], "another key"),
        ("DPoP", vec![&*proof(&key, "POST", &me, &token)], "another method"),
        ("DPoP", vec![&*proof(&key, "GET", &desk.server.url(), &token)], "another URL"),
        ("DPoP", vec![&*proof(&key, "GET", &me, "another token")], "another token"),
        ("DPoP", vec![&one, &two], "two proofs"),
        ("DPoP", vec![], "no proof"),
        ("Bearer", vec![], "by itself"),
        ("Bearer", vec![&*proof(&key, "GET", &me, &token)], "as a bearer token with a proof"),
    ] {
        assert_eq!(status(scheme, &proofs), "401", "{what}");
    }
    assert_eq!(status("DPoP", &[&one]), "200", "the twin, which was not used up beside another");
}

fn refusals_name_their_cause(desk: &Desk<'_>) {
    let get = |id: &str, secret: &str, more: &[&str]| {
        let variables = [("SECUREMCP_CLIENT_ID", id), ("SECUREMCP_CLIENT_SECRET", secret)];
        desk.run(&variables, &[&["token", "get", "--new"], more].concat())
    };
    get("mcp-server", "wrong", &[]).failed(4, &["unauthorized_client", "hint: check the client's secret"]);
    get("nobody", "wrong", &[]).failed(4, &["invalid_client", "hint: check `SECUREMCP_CLIENT_ID`"]);
    get("mcp-server", SERVER_SECRET, &["--scope", "mcp:read bogus"])
        .failed(6, &["invalid_scope", "hint: ask for scopes"]);
    // It may introspect, and not get tokens.
    get("mcp-resource", RESOURCE_SECRET, &[]).failed(4, &["unauthorized_client", "Service accounts roles"]);
    let issuer = desk.keycloak.issuer();
    let elsewhere = desk.keycloak.issuer_of("nowhere");
    for named in [elsewhere.clone(), format!("{issuer}/"), issuer.replace("127.0.0.1", "localhost")] {
        let variables = [STATIC[0], STATIC[1], ("SECUREMCP_ISSUER", named.as_str())];
        let refused = desk.run(&variables, &["token", "get", "--new"]);
        refused.failed(4, &[&format!("does not accept tokens of `{named}`"), "hint: set `--issuer` to one of these"]);
    }
    let realm = desk.run(&[("SECUREMCP_ISSUER", &elsewhere)], &["dcr", "register"]);
    realm.failed(4, &["publishes no metadata", "for Keycloak it ends in `/realms/<name>`"]);
    let slashes = issuer.replace("/realms/", "//realms/");
    let refused = desk.run(&[("SECUREMCP_ISSUER", &slashes)], &["dcr", "register"]);
    refused.failed(4, &["publishes no metadata", "hint: take the `//` out"]);
}

fn a_registered_client_lives(desk: &Desk<'_>) {
    let made = desk.registered(&["--name", "ci", "--scope", "mcp:read mcp:write"]);
    let id = made["client_id"].as_str().expect("an id").to_owned();
    // Without the roles behind its scopes Keycloak grants neither, and says nothing.
    let got = desk.run(&[], &["token", "get", "--new"]);
    assert!(got.stderr.contains("the issuer left `mcp:read mcp:write` out of the token"), "{got:#?}");
    let calls = |tool: &[&str]| desk.run(&[], &[&["call"], tool].concat());
    calls(&["echo", "hi"]).failed(4, &["hint: the issuer left `mcp:read mcp:write` out", "Keycloak: the roles"]);
    desk.keycloak.grant(&id, "mcp-reader");
    desk.run(&[], &["token", "forget"]).done();
    assert_eq!(calls(&["echo", "hi"]).done(), "hi\n");
    calls(&["calculator", "add", "1", "2"]).failed(6, &["mcp:write"]);
    desk.keycloak.grant(&id, "mcp-writer");
    desk.run(&[], &["token", "forget"]).done();
    assert_eq!(calls(&["calculator", "add", "1", "2"]).done(), "3\n");

    let shown = desk.run(&[], &["dcr", "show", "--output", "json"]).json();
    assert_eq!((&shown["client_id"], &shown["client_name"]), (&json!(id), &json!("ci")));
    let changed = desk.run(&[], &["dcr", "update", "--name", "nightly", "--output", "json"]).json();
    assert_eq!(changed["client_name"], "nightly");
    assert_eq!(changed["grant_types"], json!(["client_credentials"]), "an update takes nothing back");
    // The registration access token was rotated, and the new one kept.
    assert_eq!(desk.run(&[], &["dcr", "show", "--output", "json"]).json()["client_name"], "nightly");
    desk.run(&[], &["dcr", "delete"]).done();
    desk.run(&[], &["dcr", "show"]).failed(4, &["hint: register with `securemcp dcr register`"]);
}

fn an_administrator_registers_a_machine(desk: &Desk<'_>) {
    let register = |password: &str, more: &[&str]| {
        let arguments = [&["dcr", "register", "--name", "nightly", "--keycloak-admin", "admin"], more].concat();
        let issuer = desk.keycloak.issuer();
        desk.run(&[("KEYCLOAK_ADMIN_PASSWORD", password), ("SECUREMCP_ISSUER", &issuer)], &arguments)
    };
    let scopes = ["--scope", "mcp:read mcp:write"];
    register("wrong", &scopes).failed(4, &["the login as Keycloak's admin", "hint: check `--keycloak-admin`"]);
    let made = register(ADMIN_PASSWORD, &scopes);
    assert!(made.stderr.contains("saved in") && !made.stderr.contains(ADMIN_PASSWORD), "{made:#?}");
    assert_eq!(made.code, Some(0), "{made:#?}");
    // Nobody else gave it the roles.
    assert_eq!(desk.run(&[], &["call", "calculator", "add", "1", "2"]).done(), "3\n");
    let again = register(ADMIN_PASSWORD, &scopes);
    assert!(again.stderr.contains("kept from before"), "{again:#?}");
    desk.run(&[], &["dcr", "delete"]).done();
}

fn initial_access_tokens_are_told_apart(desk: &Desk<'_>) {
    let register = |token: &str, more: &[&str]| {
        let arguments = [&["dcr", "register", "--new"], more].concat();
        desk.run(&[("SECUREMCP_INITIAL_ACCESS_TOKEN", token)], &arguments)
    };
    register("garbage", &[]).failed(4, &["invalid_token", "does not look like a token of Keycloak"]);
    let used_up = desk.keycloak.initial_access_token(1);
    register(&used_up, &[]).done();
    register(&used_up, &[]).failed(4, &["invalid_token", "hint: the initial access token has no uses left"]);
    let tokens = "/realms/mcp-realm/clients-initial-access";
    let revoked = desk.keycloak.initial_access_token(7);
    for made in desk.keycloak.admin("GET", tokens, None).expect("a list").as_array().expect("a list") {
        desk.keycloak.admin("DELETE", &format!("{tokens}/{}", made["id"].as_str().expect("an id")), None);
    }
    register(&revoked, &[]).failed(4, &["invalid_token", "hint: the initial access token was taken back"]);
    let access_token = desk.run(&STATIC, &["token", "get"]).done().trim_end().to_owned();
    register(&access_token, &[]).failed(6, &["insufficient_scope", "hint: that is an access token"]);
    let elsewhere = ["dcr", "register", "--new", "--redirect-uri", "https://evil.example/cb", "--auth-method", "none"];
    desk.run(&[], &elsewhere).failed(6, &["match any trusted host", "hint: name addresses with `--redirect-uri`"]);
    let (unsigned, _) = used_up.rsplit_once('.').expect("three parts");
    register(&format!("{unsigned}.AAAA"), &[]).failed(4, &["invalid_token", "hint: "]);
    let token = desk.keycloak.initial_access_token(1);
    register(&token, &["--scope", "nonsense"]).failed(6, &["Allowed Client Scopes", "registration policy"]);
    // Whom nobody vouches for cannot get a scope by itself, whatever it registers for.
    let anonymous = desk.run(&[], &["dcr", "register", "--new", "--scope", "mcp:write", "--output", "json"]).json();
    assert!(anonymous["client_id"].is_string(), "{anonymous}");
    let got = desk.run(&[], &["token", "get", "--new", "--output", "json"]);
    assert!(!got.json()["scope"].as_str().expect("scopes").contains("mcp:"), "{got:#?}");
    desk.run(&[], &["call", "echo", "hi"]).failed(4, &["left `mcp:write` out"]);
    desk.run(&[], &["dcr", "delete"]).done();
}

/// Nobody waits for a month: the clock of who looks is set to one after the first of two registrations, and before the
/// second.
fn stale_clients_are_found_and_deleted(desk: &Desk<'_>) {
    let keycloak = desk.keycloak;
    let register = |name: &str| {
        let made = desk.registered(&["--new", "--name", name, "--scope", "mcp:read"]);
        made["client_id"].as_str().expect("an id").to_owned()
    };
    let (first, second) = (register("first"), register("second"));
    let issuer = keycloak.issuer();
    let cli = [("KEYCLOAK_ADMIN_PASSWORD", ADMIN_PASSWORD), ("SECUREMCP_ISSUER", issuer.as_str())];
    let young = desk.run(&cli, &["dcr", "prune", "--keycloak-admin", "admin", "--delete"]);
    young.failed(1, &["cannot tell which clients are used: the oldest event of the realm is of 20", "--unused-days"]);

    let newest = |client_id: &str| {
        let events = format!("/realms/mcp-realm/events?client={client_id}&max=1");
        keycloak.admin("GET", &events, None).expect("a list")[0]["time"].as_u64().expect("a time")
    };
    let unused_for = Duration::from_hours(30 * 24);
    let pruning = |at: u64, delete: bool| {
        let clock = TestClock::at(0);
        clock.advance(unused_for + Duration::from_millis(at));
        keycloak.prune(clock, unused_for, delete)
    };
    assert!(newest(&first) < newest(&second));
    let ids = |stale: &[StaleClient]| stale.iter().map(|client| client.client_id.clone()).collect::<Vec<_>>();
    let found = ids(&pruning(newest(&second), false));
    assert!(found.contains(&first) && !found.contains(&second), "{found:?}");
    // A token shows that somebody wants it.
    keycloak.grant(&first, "mcp-reader");
    desk.run(&[("SECUREMCP_CLIENT_ID", &first)], &["token", "get", "--new"]).done();
    let found = ids(&pruning(newest(&first), false));
    assert!(found.contains(&second) && !found.contains(&first), "{found:?}");
    let deleted = pruning(newest(&first), true);
    assert_eq!(ids(&deleted), found);
    let left = keycloak.admin("GET", "/realms/mcp-realm/clients", None).expect("a list");
    let left: Vec<_> = left.as_array().expect("a list").iter().map(|client| &client["clientId"]).collect();
    assert!(left.contains(&&json!(first)) && !left.contains(&&json!(second)), "{left:?}");
    for by_hand in ["mcp-server", "mcp-resource", "securemcp-cli", "account", "admin-cli"] {
        assert!(left.contains(&&json!(by_hand)), "{left:?}");
    }
    desk.run(&[("SECUREMCP_CLIENT_ID", &first)], &["dcr", "delete"]).done();
    desk.run(&[("SECUREMCP_CLIENT_ID", &second)], &["dcr", "delete", "--forget"]).done();
}

/// The clients that servers have registered.
fn of_servers(keycloak: &Keycloak) -> Vec<Value> {
    let clients = keycloak.admin("GET", "/realms/mcp-realm/clients?max=1000", None).expect("a list");
    let clients = clients.as_array().expect("a list").clone();
    let ours = clients.into_iter().filter(|client| client["name"] == "securemcp server");
    ours.map(|client| client["id"].clone()).collect()
}

fn replicas_with_state_directories_of_their_own_are_one_client(keycloak: &Keycloak) {
    let before = of_servers(keycloak);
    let redis = Redis::start(REDIS_PASSWORD);
    let (issuer, url) = (keycloak.issuer(), redis.url_file(None).display().to_string());
    // Good for one client: a second one could not be registered at all.
    let token = keycloak.initial_access_token(1);
    let resource = format!("http://127.0.0.1:{}/mcp", keycloak.resource_port);
    let variables = [
        ("USE_DCR", "true"),
        ("DCR_INITIAL_ACCESS_TOKEN", token.as_str()),
        ("SECUREMCP_REDIS_URL_FILE", &url),
        ("SECUREMCP_REGISTRATION_KEY", "of this test only, 32 characters"),
        ("SECUREMCP_RESOURCE", &resource),
    ];
    let start = |account: &Account, words: &str| {
        account.serve_at(free_port(), &variables, &["--issuer", &issuer]).saying(words)
    };
    let [one, two, three] = [(); 3].map(|()| Account::new());
    let both = std::thread::scope(|scope| {
        let started = [&one, &two].map(|account| scope.spawn(|| start(account, "the client of this deployment")));
        started.map(|replica| replica.join().expect("it starts"))
    });
    let made = of_servers(keycloak);
    assert_eq!(made.len(), before.len() + 1, "{made:#?}");
    let ids = [&one, &two].map(|account| {
        let shown = account.with(&[("SECUREMCP_ISSUER", &issuer)], &["dcr", "show", "--output", "json"]).json();
        shown["client_id"].clone()
    });
    assert!(ids[0].is_string() && ids[0] == ids[1], "{ids:?}");
    let kept = "is the one that was kept";
    let third = start(&three, kept);
    drop((both, third));
    // Nor does an empty Redis, with what one of them has on its disk.
    assert_eq!(redis.cli("FLUSHALL").trim(), "OK");
    drop(start(&one, kept));
    drop(start(&Account::new(), kept));
    assert_eq!(of_servers(keycloak), made);
    let sealed = redis.cli("EVAL return(redis.call('GET',redis.call('KEYS','*:client')[1])) 0");
    assert!(sealed.trim().len() > 100 && !sealed.contains("client_secret"), "{sealed}");
    one.with(&[("SECUREMCP_ISSUER", &issuer)], &["dcr", "delete"]).done();
    assert_eq!(of_servers(keycloak), before);
}

fn a_deployment_registers_itself_once(keycloak: &Keycloak) {
    let account = Account::new();
    let issuer = keycloak.issuer();
    let ours = || of_servers(keycloak);
    let admin =
        [("USE_DCR", "true"), ("SECUREMCP_KEYCLOAK_ADMIN", "admin"), ("KEYCLOAK_ADMIN_PASSWORD", ADMIN_PASSWORD)];
    let registered = "the client of this deployment";
    let ports = [keycloak.resource_port, free_port()];
    let replicas = std::thread::scope(|scope| {
        let start = |port| account.serve_at(port, &admin, &["--issuer", &issuer]);
        let started = ports.map(|port| scope.spawn(move || start(port)));
        started.map(|replica| replica.join().expect("it starts").saying(registered))
    });
    let made = ours();
    assert_eq!(made.len(), 1, "{made:#?}");
    // The roles of its scopes came with it.
    let [first, second] = replicas;
    let echoed = account.securemcp(&["call", "calculator", "add", "1", "2", "--server", &first.url()]);
    assert_eq!(echoed.done(), "3\n");
    for replica in [&first, &second] {
        assert!(!replica.log().contains(ADMIN_PASSWORD), "{}", replica.log());
    }
    drop((first, second));
    // The next start needs nobody to open the door.
    let again = account.serve_at(ports[0], &admin[..1], &["--issuer", &issuer]).saying("is the one that was kept");
    assert_eq!(ours(), made);
    drop(again);
    // One that has only an initial access token gets a client without roles.
    let other = Account::new();
    let token = keycloak.initial_access_token(1);
    let by_token = [("USE_DCR", "true"), ("DCR_INITIAL_ACCESS_TOKEN", token.as_str())];
    let server = other.serve_at(ports[0], &by_token, &["--issuer", &issuer]).saying("registered the client of this");
    assert_eq!(ours().len(), 2);
    other
        .securemcp(&["call", "echo", "hi", "--server", &server.url()])
        .failed(4, &["the issuer left `mcp:read mcp:write mcp:infer` out", "Keycloak: the roles"]);
}

fn tokens_of_others_are_refused(desk: &Desk<'_>) {
    let other = json!({"realm": "other", "enabled": true, "clients": [{"clientId": "mcp-server", "secret": SERVER_SECRET,
        "serviceAccountsEnabled": true, "publicClient": false, "protocolMappers": [{"name": "audience",
        "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": desk.server.url(), "access.token.claim": "true"}}]}]});
    desk.keycloak.admin("POST", "/realms", Some(&other));
    let foreign = |issuer: &str| {
        let form = format!("grant_type=client_credentials&client_id=mcp-server&client_secret={SERVER_SECRET}");
        let answer = desk.account.shell(&format!("curl -sS -d '{form}' {issuer}/protocol/openid-connect/token"), &[]);
        answer.json()["access_token"].as_str().expect("a token").to_owned()
    };
    // Of another realm, of the right one without an audience; and with a broken signature.
    let right = desk.run(&STATIC, &["token", "get"]).done().trim_end().to_owned();
    let broken = format!("{}AAAA", &right[..right.len() - 4]);
    for token in [foreign(&desk.keycloak.issuer_of("other")), foreign(&desk.keycloak.issuer()), broken] {
        let given = [("SECUREMCP_TOKEN", token.as_str())];
        desk.run(&given, &["call", "echo", "hi"]).failed(4, &["invalid_token"]);
    }
    assert_eq!(desk.run(&[("SECUREMCP_TOKEN", &right)], &["call", "echo", "hi"]).done(), "hi\n");
}

/// Those of docs/KEYCLOAK.md and keycloak/README.md, in their order, at addresses of the tests. A server is only checked.
fn the_pages_commands_run(desk: &Desk<'_>) {
    let pages = [include_str!("../../docs/KEYCLOAK.md"), include_str!("../../keycloak/README.md")];
    let blocks =
        pages.iter().flat_map(|page| page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()));
    // Keycloak's own start needs what the fixture does.
    let blocks: Vec<_> = blocks.filter(|block| !block.contains("kc.sh")).collect();
    let issuer = desk.keycloak.issuer();
    let script = blocks.concat().replace("https://auth.example.com/realms/mcp-realm", &issuer);
    let script = script.replace("http://keycloak:8080/realms/mcp-realm", &issuer);
    let script = script.replace("https://mcp.example.com/mcp", &desk.server.url()).replace(" ...\n", " --check\n");
    let script = script.replace("/run/secrets/", "");
    // A realm of today has no events that are old enough to tell.
    let later = format!("LD_PRELOAD={} FAKETIME=+61d securemcp dcr prune", libfaketime());
    let script = script.replace("securemcp dcr prune", &later);
    assert_eq!(script.matches("securemcp ").count(), 10, "{script}");
    let account = Account::new();
    symlink(program::path(), account.home().join("securemcp")).expect("the home is empty");
    fs::write(account.home().join("initial_access_token"), desk.keycloak.initial_access_token(1)).expect("writable");
    let url = desk.server.url();
    let surroundings = [("SECUREMCP_SERVER", url.as_str()), ("KEYCLOAK_ADMIN_PASSWORD", ADMIN_PASSWORD)];
    let ended = account.shell(&format!("PATH=\"$PWD:$PATH\"\nset -x\n{script}"), &surroundings);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(
        ended.stderr.lines().filter(|line| line.starts_with("+ ") && line.contains("securemcp ")).count(),
        10,
        "{ended:#?}"
    );
}

fn clocks_that_differ_are_told(keycloak: &Keycloak) {
    let library = libfaketime();
    for off in ["-20s", "+20s"] {
        let desk = Desk::new(keycloak, &[("LD_PRELOAD", &library), ("FAKETIME", off)]);
        assert_eq!(desk.run(&STATIC, &["call", "echo", "hi"]).done(), "hi\n", "{off}");
    }
    // The realm's tokens are good for five minutes.
    for (off, reason) in [("-10m", "token was issued "), ("+10m", "token expired ")] {
        let desk = Desk::new(keycloak, &[("LD_PRELOAD", &library), ("FAKETIME", off)]);
        let refused = desk.run(&STATIC, &["call", "echo", "hi"]);
        refused.failed(
            4,
            &[
                "had just made: invalid_token",
                "agree on audience, keys and the time, which `securemcp health` compares",
            ],
        );
        let health = desk.run(&STATIC, &["health", "--output", "json"]);
        let checks: Value = serde_json::from_str(&health.stdout).expect("JSON");
        let is_clock = |check: &&Value| check["subject"] == "clock" && check["state"] != "ok";
        assert_eq!(checks.as_array().expect("a list").iter().filter(is_clock).count(), 1, "{off}: {checks:#}");
        let log = desk.server.log();
        assert!(log.contains(&format!("\"reason\":\"{reason}")), "{off}: {log}");
    }
}

fn every_algorithm_is_verified(keycloak: &Keycloak) {
    let account = Account::new();
    let get = |algorithm: &str| {
        keycloak.set_attributes("mcp-server", &[("access.token.signed.response.alg", algorithm)]);
        let issuer = keycloak.issuer();
        let server = format!("http://127.0.0.1:{}/mcp", keycloak.resource_port);
        let form =
            format!("grant_type=client_credentials&client_id=mcp-server&client_secret={SERVER_SECRET}&scope=mcp:read");
        let answer = account.shell(&format!("curl -sS -d '{form}' {issuer}/protocol/openid-connect/token"), &[]);
        (answer.json()["access_token"].as_str().expect("a token").to_owned(), server)
    };
    let good =
        ["ES256", "ES384", "PS256", "PS512", "RS512", "EdDSA", "RS256"].map(|algorithm| (algorithm, get(algorithm).0));
    let (symmetric, url) = get("HS256");
    get("RS256");
    // Keycloak makes a key with its first use; a server that starts now knows them all.
    let desk = Desk::new(keycloak, &[]);
    for (algorithm, token) in &good {
        let called = desk.account.with(&[("SECUREMCP_TOKEN", token)], &["call", "echo", algorithm, "--server", &url]);
        assert_eq!(called.done(), format!("{algorithm}\n"));
    }
    let given = [("SECUREMCP_TOKEN", symmetric.as_str())];
    desk.account.with(&given, &["call", "echo", "hi", "--server", &url]).failed(4, &["invalid_token"]);

    // A new key signs from now on, and the server learns of it by the first token.
    let realm = keycloak.admin("GET", "/realms/mcp-realm", None).expect("a realm")["id"].clone();
    let key = json!({"name": "next", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
        "parentId": realm, "config": {"priority": ["200"], "enabled": ["true"], "active": ["true"],
        "algorithm": ["RS256"], "keySize": ["2048"]}});
    keycloak.admin("POST", "/realms/mcp-realm/components", Some(&key));
    let rotated = get("RS256").0;
    let kid = |token: &str| token.split('.').next().expect("a header").to_owned();
    let (_, old) = &good[6];
    assert_ne!(kid(old), kid(&rotated));
    for token in [&rotated, old] {
        let called = desk.account.with(&[("SECUREMCP_TOKEN", token)], &["call", "echo", "hi", "--server", &url]);
        assert_eq!(called.done(), "hi\n");
    }
}

fn introspection_ends_a_revoked_token(keycloak: &Keycloak) {
    let desk = Desk::new(
        keycloak,
        &[
            ("SECUREMCP_INTROSPECTION_CLIENT_ID", "mcp-resource"),
            ("SECUREMCP_INTROSPECTION_CLIENT_SECRET", RESOURCE_SECRET),
        ],
    );
    assert_eq!(desk.run(&STATIC, &["call", "echo", "hi"]).done(), "hi\n");
    let revoked = desk.run(&STATIC, &["token", "get", "--scope", "mcp:read"]).done().trim_end().to_owned();
    desk.run(&STATIC, &["token", "revoke", "--scope", "mcp:read"]).done();
    desk.run(&[("SECUREMCP_TOKEN", &revoked)], &["call", "echo", "hi"]).failed(4, &["invalid_token"]);
    assert!(desk.server.log().contains("the issuer says that the token is not active"), "{}", desk.server.log());
}

fn known_keys_outlive_keycloak(keycloak: Keycloak) {
    let desk = Desk::new(&keycloak, &[]);
    let token = desk.run(&STATIC, &["token", "get"]).done().trim_end().to_owned();
    let Desk { account, server, .. } = desk;
    let (issuer, port) = (keycloak.issuer(), keycloak.resource_port);
    drop(keycloak);
    let call = |url: &str| account.with(&[("SECUREMCP_TOKEN", &token)], &["call", "echo", "hi", "--server", url]);
    assert_eq!(call(&server.url()).done(), "hi\n");
    let health = account.with(&STATIC, &["health", "--server", &server.url()]);
    assert_eq!(health.code, Some(5));
    assert!(health.stdout.contains("fail  issuer metadata") && health.stdout.contains("hint: check that it runs"));
    drop(server);
    // Started while Keycloak is away: the last good copy of its keys serves, whoever asks.
    let again = account.serve_at(port, &[], &["--issuer", &issuer]);
    assert_eq!(call(&again.url()).done(), "hi\n");
}
