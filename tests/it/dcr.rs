//! `securemcp dcr` with the real binary: the whole life of a registration, against the embedded issuer and one that
//! lies.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::{
    cli::{Account, Ended},
    liar::{Liar, Lie, RESOURCE, field, only},
    process::{Running, Seeded},
    program,
};

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {value}"))
}

fn json_of(account: &Account, arguments: &[&str]) -> Value {
    let ended = account.run(&[arguments, &["--output", "json"]].concat());
    ended.done();
    ended.json()
}

/// What is kept of the only registration.
fn kept(account: &Account) -> Value {
    let mut files = registrations(account);
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

fn registrations(account: &Account) -> Vec<Value> {
    let entries = fs::read_dir(account.state().join("clients"))
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an entry").path());
    let visible = entries.filter(|path| !path.file_name().expect("a name").to_string_lossy().starts_with('.'));
    visible.map(|path| serde_json::from_slice(&fs::read(path).expect("it is there")).expect("whole")).collect()
}

#[test]
fn why_an_issuer_does_not_register_is_told() {
    let liar = Liar::start();
    let account = Account::new().with("SECUREMCP_SERVER", &liar.url);
    let policy = "Policy 'Allowed Client Scopes' rejected request to client-registration service. Details: ..";
    let forbidden = json!({"error": "insufficient_scope", "error_description": policy});
    liar.lie("POST /register", Lie::Answer(403, forbidden));
    account
        .run(&["dcr", "register"])
        .failed(6, &["Allowed Client Scopes", "hint: ", "registration policy", "`--scope`"]);
    liar.repent();
    // Keycloak says no more to any of them.
    let undecoded = json!({"error": "invalid_token", "error_description": "Failed decode token"});
    liar.lie("POST /register", Lie::Answer(401, undecoded));
    let token = |issuer: &str, exp: u64| {
        let claims = json!({"iss": issuer, "exp": exp, "typ": "InitialAccessToken"}).to_string();
        format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS512"}"#), URL_SAFE_NO_PAD.encode(claims))
    };
    for (token, words) in [
        (token(&liar.origin, 1_700_000_000), "hint: the initial access token expired"),
        (
            token("https://other.example", 4_000_000_000),
            "hint: the initial access token is of issuer `https://other.example`",
        ),
        ("garbage".to_owned(), "does not look like a token of Keycloak"),
        (token(&liar.origin, 4_000_000_000), "hint: have the issuer make another initial access token"),
    ] {
        let mut command = account.command(&["dcr", "register"]);
        command.env("SECUREMCP_INITIAL_ACCESS_TOKEN", &token);
        let ended = Running::start(command).ended();
        ended.failed(4, &["Failed decode token", words]);
        assert!(!ended.stderr.contains(&token), "{ended:#?}");
    }
    assert!(registrations(&account).is_empty());
}

/// Status, code and description of Keycloak 26.7.3, word for word, and what a person is told to do.
#[test]
fn what_keycloak_refuses_is_told_with_its_cause() {
    let liar = Liar::start();
    let account = Account::new().with("SECUREMCP_SERVER", &liar.url);
    let policy = |name: &str, details: &str| {
        format!("Policy '{name}' rejected request to client-registration service. Details: {details}")
    };
    for (status, error, description, code, hint) in [
        (
            403,
            "insufficient_scope",
            policy("Trusted Hosts", "Host not trusted."),
            6,
            "hint: this realm registers nobody without",
        ),
        (
            403,
            "insufficient_scope",
            policy("Trusted Hosts", "URI doesn't match any trusted host or trusted domain"),
            6,
            "hint: name addresses with `--redirect-uri`",
        ),
        (
            403,
            "insufficient_scope",
            policy("Trusted Hosts", "URL doesn't match any trusted host or trusted domain"),
            6,
            "hint: name addresses with `--redirect-uri`",
        ),
        (
            403,
            "insufficient_scope",
            policy("Allowed Client Scopes", "Not permitted to use specified clientScope"),
            6,
            "`openid` too must be listed",
        ),
        (
            403,
            "insufficient_scope",
            policy("Max Clients Limit", "It's allowed to have max 3 clients per realm"),
            6,
            "hint: the realm is full: see who is unused with `securemcp dcr prune",
        ),
        (
            403,
            "insufficient_scope",
            policy("Of our own", "no"),
            6,
            "hint: the issuer's registration policy does not permit",
        ),
        (403, "insufficient_scope", "Forbidden".to_owned(), 6, "hint: that is an access token"),
        (401, "invalid_token", "No remaining count on initial access token".to_owned(), 4, "has no uses left"),
        (401, "invalid_token", "Initial Access Token not found".to_owned(), 4, "was taken back at the issuer"),
    ] {
        liar.repent();
        let answer = json!({"error": error, "error_description": description});
        liar.lie("POST /register", Lie::Answer(status, answer));
        let mut command = account.command(&["dcr", "register"]);
        command.env("SECUREMCP_INITIAL_ACCESS_TOKEN", "an-initial-access-token");
        Running::start(command).ended().failed(code, &[&description, hint]);
    }
    // Without a description: the code says it all.
    liar.repent();
    let unknown =
        "Invalid json representation for OIDCClientRepresentation. Unrecognized field \"x_foo\" at line 1 column 66.";
    liar.lie("POST /register", Lie::Answer(400, json!({ "error": unknown })));
    account.run(&["dcr", "register"]).failed(4, &["Unrecognized field", "hint: this Keycloak does not know a member"]);
    assert!(registrations(&account).is_empty());
}

#[test]
fn what_keycloak_says_of_tokens_and_names_is_told_with_its_cause() {
    let liar = Liar::start();
    let variables = [("SECUREMCP_CLIENT_ID", "c"), ("SECUREMCP_CLIENT_SECRET", "s")];
    let [id, secret] = variables;
    let account = Account::new().with("SECUREMCP_SERVER", &liar.url).with(id.0, id.1).with(secret.0, secret.1);
    let offline =
        json!({"error": "not_allowed", "error_description": "Offline tokens not allowed for the user or client"});
    liar.lie("POST /token", Lie::Answer(400, offline));
    account.run(&["token", "get"]).failed(4, &["Offline tokens not allowed", "hint: take `offline_access` out"]);
    liar.repent();
    let slashes = format!("{}//realms/mcp", liar.origin);
    let refused = json!({"error": "missingNormalization", "error_description": "Request path not normalized"});
    liar.lie("GET //realms", Lie::Answer(400, refused.clone()));
    liar.lie("GET /.well-known/", Lie::Answer(400, refused));
    account
        .run(&["dcr", "register", "--issuer", &slashes])
        .failed(4, &["publishes no metadata", "hint: take the `//` out of the path of the issuer's URL"]);
}

#[test]
fn an_empty_list_of_scopes_is_not_registered_for_good() {
    let liar = Liar::start();
    let account = Account::new().with("SECUREMCP_SERVER", &liar.url);
    for scope in ["", "mcp:read"] {
        account.run(&["dcr", "register", "--new", "--scope", scope]).done();
        let sent: Value = serde_json::from_str(&only(&liar.hits(), "POST /register")[0].body).expect("JSON");
        assert_eq!(sent.get("scope"), (!scope.is_empty()).then(|| json!(scope)).as_ref());
    }
}

#[test]
fn an_administrator_of_keycloak_needs_a_password_and_a_realm() {
    let liar = Liar::start();
    let account = Account::new().with("SECUREMCP_SERVER", &liar.url);
    let arguments = ["dcr", "register", "--keycloak-admin", "admin"];
    account
        .run(&arguments)
        .failed(2, &["password of Keycloak's administrator `admin` is missing", "KEYCLOAK_ADMIN_PASSWORD"]);
    let account = account.with("KEYCLOAK_ADMIN_PASSWORD", "admin-password");
    // A server may send its clients to a realm of its own, which would like to know the password.
    let realm = format!("{}/realms/mcp", liar.origin);
    liar.claim(RESOURCE, "authorization_servers", json!([realm]));
    let metadata = json!({"issuer": realm, "registration_endpoint": format!("{}/register", liar.origin)});
    liar.lie("GET /.well-known/oauth-authorization-server/realms/mcp", Lie::Answer(200, metadata));
    liar.lie("POST /realms/master/", Lie::Answer(401, json!({"error": "invalid_grant"})));
    let name_it = format!("hint: if that is whom it belongs to, add `--issuer {realm}`");
    for command in [&arguments[..], &["dcr", "prune", "--keycloak-admin", "admin"]] {
        account.run(command).failed(2, &["an administrator's password goes only to an issuer that you name", &name_it]);
    }
    let hits = liar.hits();
    assert!(only(&hits, "POST").is_empty(), "nobody was told the password: {hits:?}");
    account.run(&[&arguments[..], &["--issuer", &realm]].concat()).failed(4, &["the login as Keycloak's admin"]);
    let hits = liar.hits();
    assert!(only(&hits, "POST")[0].body.contains("password=admin-password"), "the twin: {hits:?}");
    liar.claim(RESOURCE, "authorization_servers", json!([liar.origin]));
    let named = ["--issuer", liar.origin.as_str()];
    account
        .run(&[&arguments[..], &named].concat())
        .failed(4, &["is not a realm of a Keycloak", "hint: leave `--keycloak-admin` out"]);
    let hits = liar.hits();
    assert!(only(&hits, "POST").is_empty(), "nobody was told the password: {hits:?}");
}

#[test]
fn a_registration_is_made_shown_changed_used_and_deleted() {
    let account = Account::new();
    let serve = account.start(&[]);
    let account = account.with("SECUREMCP_SERVER", &serve.url);
    let made =
        json_of(&account, &["dcr", "register", "--name", "ci", "--scope", "mcp:read mcp:write", "--show-secrets"]);
    let (id, secret) = (text(&made, "client_id"), text(&made, "client_secret"));
    let again = json_of(&account, &["dcr", "register", "--name", "ci", "--scope", "mcp:read mcp:write"]);
    assert_eq!((&again["client_id"], &again["client_secret"]), (&made["client_id"], &json!("[redacted]")));

    let changed = json_of(&account, &["dcr", "update", "--scope", "mcp:read", "--name", "nightly"]);
    assert_eq!((&changed["scope"], &changed["client_name"]), (&json!("mcp:read"), &json!("nightly")));
    let old = text(&made, "registration_access_token");
    let new = kept(&account)["client"]["registration_access_token"].clone();
    assert_ne!(new, old);
    let shown = account.run(&["dcr", "show"]);
    assert!(shown.done().contains(id) && !shown.stdout.contains(secret), "{shown:#?}");
    account
        .run(&["dcr", "update", "--scope", "mcp:read mcp:infer"])
        .failed(1, &["scope must be a selection of: mcp:read", "hint: "]);
    let nothing = "one of `--name`, `--scope`, `--grant`, `--redirect-uri` is missing";
    account.run(&["dcr", "update"]).failed(2, &[nothing]);

    // Without `--scope`: it asks for what it is registered for.
    let token = account.run(&["token", "get", "--client-id", id]).done().trim().to_owned();
    let call = |token: &str| {
        let mut command = account.command(&["call", "echo", "hi"]);
        command.env("SECUREMCP_TOKEN", token);
        Running::start(command).ended()
    };
    assert_eq!(call(&token).done(), "hi\n");
    assert_eq!(account.run(&["call", "echo", "hi", "--client-id", id]).done(), "hi\n");
    account.run(&["call", "calculator", "add", "1", "2", "--client-id", id]).failed(6, &["hint: "]);

    let deleted = json_of(&account, &["dcr", "delete", "--client-id", id]);
    assert_eq!(deleted, json!({"client_id": id, "deleted": true}));
    call(&token).failed(4, &["invalid_token"]);
    assert!(registrations(&account).is_empty());
    account.run(&["dcr", "show"]).failed(4, &["no registration is kept", "securemcp dcr register"]);
    account.run(&["dcr", "delete"]).failed(4, &["no registration is kept"]);
    assert_eq!(account.run(&["call", "echo", "hi"]).done(), "hi\n", "this account's own client is still there");
}

#[test]
fn a_registration_that_the_issuer_forgot_is_made_again_or_dropped() {
    let account = Account::new();
    let liar = Liar::start();
    let account = account.with("SECUREMCP_SERVER", &liar.url);
    account.run(&["dcr", "register"]).done();
    liar.lie("GET /register/", Lie::Answer(401, json!({"error": "invalid_token"})));
    liar.lie("DELETE /register/", Lie::Answer(401, json!({"error": "invalid_token"})));
    account.run(&["dcr", "show"]).failed(4, &["invalid_token", "dcr delete --forget"]);
    account.run(&["dcr", "delete"]).failed(4, &["invalid_token", "dcr delete --forget"]);
    assert_eq!(registrations(&account).len(), 1);
    liar.hits();
    account.run(&["dcr", "register"]).done();
    assert_eq!(only(&liar.hits(), "POST /register").len(), 1);
    account.run(&["dcr", "delete", "--forget"]).done();
    assert!(registrations(&account).is_empty());
    assert_eq!(only(&liar.hits(), "DELETE").len(), 0);
}

#[test]
fn refusals_of_the_rfcs_are_told_with_what_to_do() {
    let account = Account::new();
    let liar = Liar::start();
    let account = account.with("SECUREMCP_SERVER", &liar.url);
    for (status, error, code) in [
        (401, "invalid_token", 4),
        (400, "invalid_client_metadata", 1),
        (400, "invalid_redirect_uri", 1),
        (503, "temporarily_unavailable", 5),
        (403, "access_denied", 6),
    ] {
        liar.repent();
        let said = "no\u{1b}[31m because";
        liar.lie("POST /register", Lie::Answer(status, json!({"error": error, "error_description": said})));
        let ended = account.run(&["dcr", "register"]);
        ended.failed(code, &[error, "because"]);
        assert!(!ended.stderr.contains('\u{1b}') && registrations(&account).is_empty(), "{ended:#?}");
        assert!(error == "access_denied" || ended.stderr.contains("hint: "), "{ended:#?}");
    }
    liar.repent();
    account.run(&["dcr", "register"]).done();
}

#[test]
fn c07_another_issuer_means_another_registration() {
    let account = Account::new();
    let (liar, other) = (Liar::start(), Liar::start());
    let account = account.with("SECUREMCP_SERVER", &liar.url);
    account.run(&["dcr", "register"]).done();
    account.run(&["call", "echo", "hi"]).done();
    let hits = liar.hits();
    assert!(only(&hits, "POST /token")[0].authorization.as_deref().is_some_and(|value| value.starts_with("Basic ")));
    account.run(&["token", "forget"]).done();
    liar.claim(RESOURCE, "authorization_servers", json!([other.origin]));
    other.hits();
    account.run(&["call", "echo", "hi"]).failed(4, &["no client for the issuer", "securemcp dcr register"]);
    let hits = other.hits();
    assert!(!hits.is_empty() && hits.iter().all(|hit| hit.authorization.is_none()), "{hits:?}");
    assert!(only(&hits, "POST").is_empty(), "{hits:?}");
    account.run(&["dcr", "register"]).done();
    let hits = other.hits();
    assert_eq!(only(&hits, "POST /register").len(), 1);
    assert!(hits.iter().all(|hit| !hit.body.contains("secret-of-the-registered") && hit.authorization.is_none()));
    assert_eq!(registrations(&account).len(), 2);
}

/// An env file as a person wrote it.
const ENV: &str = "# ours\r\n\r\nLOG_LEVEL=info # low\r\nexport KEYCLOAK_CLIENT_ID='old one'\r\nOTHER=\"a b\"";

#[test]
fn an_env_file_gets_the_client_and_keeps_its_other_lines() {
    let account = Account::new();
    let liar = Liar::start();
    let account = account.with("SECUREMCP_SERVER", &liar.url);
    let path = account.home().join(".env");
    let register =
        |more: &[&str]| account.run(&[&["dcr", "register", "--env-file", ".env", "--auto-update"], more].concat());
    register(&[]).done();
    let created = "SECUREMCP_CLIENT_ID=registered\nSECUREMCP_CLIENT_SECRET=secret-of-the-registered\n";
    assert_eq!(fs::read_to_string(&path).expect("it was made"), created);
    assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o777, 0o600);
    fs::write(&path, ENV).expect("it is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let ended = register(&[]);
    assert!(!ended.done().contains("secret-of") && !ended.stderr.contains("secret-of"), "{ended:#?}");
    let expected = ENV.replace("'old one'", "registered") + "\r\nSECUREMCP_CLIENT_SECRET=secret-of-the-registered\r\n";
    assert_eq!(fs::read_to_string(&path).expect("it is there"), expected);
    assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o777, 0o600);
    assert_eq!(account.run(&["call", "echo", "hi", "--env-file", ".env"]).done(), "hi\n");
    let names = fs::read_dir(account.home()).expect("a home").map(|entry| entry.expect("an entry").file_name());
    assert!(names.into_iter().all(|name| name == ".env" || name == ".local"), "nothing is left beside it");
    account.run(&["dcr", "register", "--auto-update"]).failed(2, &["--env-file"]);
}

#[test]
fn an_env_file_loses_a_client_that_is_deleted_and_nothing_else() {
    let liar = Liar::start();
    liar.lie("DELETE /register/", Lie::Answer(200, json!({})));
    let account = Account::new().with("SECUREMCP_SERVER", &liar.url);
    let path = account.home().join(".env");
    let register = || account.run(&["dcr", "register"]).done().to_owned();
    // Before and after, by each name that a client goes by.
    for (before, after) in [
        ("A=1\nSECUREMCP_CLIENT_ID=registered\nSECUREMCP_CLIENT_SECRET=x\n# end\n", "A=1\n# end\n"),
        ("KEYCLOAK_CLIENT_ID='registered'\r\nexport KEYCLOAK_CLIENT_SECRET=x\r\nB=2\r\n", "B=2\r\n"),
        (
            "SECUREMCP_CLIENT_ID=registered\nKEYCLOAK_CLIENT_ID=mcp-server\nKEYCLOAK_CLIENT_SECRET=y\n",
            "KEYCLOAK_CLIENT_ID=mcp-server\nKEYCLOAK_CLIENT_SECRET=y\n",
        ),
    ] {
        register();
        fs::write(&path, before).expect("the home is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let ended = account.run(&["dcr", "delete", "--env-file", ".env"]);
        ended.done();
        assert!(ended.stderr.contains("took its id and secret out of `.env`"), "{ended:#?}");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), after);
    }
    // Another client's lines are not ours to take, and neither is anything when the issuer refuses.
    let other = "SECUREMCP_CLIENT_ID=other\nSECUREMCP_CLIENT_SECRET=x\n";
    register();
    fs::write(&path, other).expect("the home is ours");
    let arguments = ["dcr", "delete", "--env-file", ".env", "--client-id", "registered"];
    assert!(!account.run(&arguments).done().contains("took"));
    assert_eq!(fs::read_to_string(&path).expect("it is there"), other);
    register();
    let ours = other.replace("other", "registered");
    fs::write(&path, &ours).expect("the home is ours");
    liar.repent();
    liar.lie("DELETE /register/", Lie::Answer(401, json!({"error": "invalid_token"})));
    account.run(&arguments).failed(4, &["invalid_token"]);
    assert_eq!(fs::read_to_string(&path).expect("it is there"), ours);
    // Without the issuer it is forgotten here and there.
    account.run(&[&arguments[..], &["--forget"]].concat()).done();
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "");
    // A file that is not the person's own stays as it is, and the client is gone all the same.
    register();
    let victim = account.home().join("victim");
    fs::write(&victim, &ours).expect("the home is ours");
    fs::remove_file(&path).expect("it is there");
    symlink(&victim, &path).expect("nothing is there");
    let ended = account.run(&[&arguments[..], &["--forget"]].concat());
    ended.done();
    assert!(ended.stderr.contains("warning: the env file still names it: `./.env` is a symbolic link"), "{ended:#?}");
    assert_eq!(fs::read_to_string(&victim).expect("it is there"), ours);
    assert!(registrations(&account).is_empty());
}

#[test]
fn an_env_file_that_is_not_the_persons_own_is_refused_before_anything_is_asked() {
    let account = Account::new();
    let liar = Liar::start();
    let account = account.with("SECUREMCP_SERVER", &liar.url);
    let (path, victim) = (account.home().join(".env"), account.home().join("victim"));
    fs::write(&victim, "A=1\n").expect("an empty home");
    symlink(&victim, &path).expect("an empty home");
    let register = || account.run(&["dcr", "register", "--env-file", ".env", "--auto-update"]);
    register().failed(1, &["is a symbolic link", "hint: "]);
    fs::remove_file(&path).expect("it is there");
    fs::create_dir(&path).expect("nothing is there");
    register().failed(1, &["is not a regular file", "hint: "]);
    fs::remove_dir(&path).expect("it is there");
    if rustix::process::geteuid().is_root() {
        fs::write(&path, "A=1\n").expect("nothing is there");
        std::os::unix::fs::chown(&path, Some(65534), None).expect("root may");
        register().failed(1, &["belongs to user 65534", "hint: "]);
        fs::remove_file(&path).expect("it is there");
    }
    assert!(liar.hits().is_empty() && registrations(&account).is_empty());
    assert_eq!(fs::read_to_string(&victim).expect("it is there"), "A=1\n");
    fs::write(&path, "A=1\n").expect("nothing is there");
    register().done();
    assert!(fs::read_to_string(&path).expect("it is there").starts_with("A=1\nSECUREMCP_CLIENT_ID=registered\n"));
}

/// The command with a disk that takes nothing more.
fn on_a_full_disk(account: &Account, arguments: &[&str]) -> Ended {
    let mut shell = account.command_of("sh");
    let script = "ulimit -f 0 && trap '' XFSZ && exec \"$0\" \"$@\"";
    shell.args(["-c", script, program::path()]).args(arguments);
    Running::start(shell).ended()
}

#[test]
fn a_full_disk_is_noticed_before_the_issuer_is_asked() {
    let account = Account::new();
    let serve = account.start(&[]);
    let account = account.with("SECUREMCP_SERVER", &serve.url);
    account.run(&["dcr", "register"]).done();
    let before = kept(&account);
    for command in [&["dcr", "update", "--name", "x"][..], &["dcr", "register", "--name", "y"], &["dcr", "show"]] {
        on_a_full_disk(&account, command).failed(1, &["cannot write", "hint: free some space"]);
    }
    assert_eq!(kept(&account), before);
    let changed = json_of(&account, &["dcr", "update", "--name", "x"]);
    assert_eq!(changed["client_name"], "x", "its token still works");
    let clients = fs::read_dir(account.state().join("issuer/clients")).expect("a directory").count();
    assert_eq!(clients, 2, "this account's and the registered one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_update_never_loses_the_registration() {
    let account = Account::new();
    let serve = account.start(&[]);
    let account = account.with("SECUREMCP_SERVER", &serve.url);
    account.run(&["dcr", "register"]).done();
    let mut seeded = Seeded(3);
    let (mut killed, mut rounds, mut whole) = (0, 0, 60_000);
    while killed < 60 {
        rounds += 1;
        assert!(rounds < 240, "only {killed} were killed before they had ended");
        let name = rounds.to_string();
        let command = Running::start(account.command(&["dcr", "update", "--name", &name]));
        tokio::time::sleep(std::time::Duration::from_micros(seeded.below(whole))).await;
        if command.kill().code.is_none() {
            killed += 1;
            whole += whole / 50;
        } else {
            whole -= whole / 10;
        }
        // Whatever was lost on the way, what is on the disk opens the registration.
        let shown = Running::start(account.command(&["dcr", "show", "--output", "json"])).ended();
        shown.done();
        assert_eq!(kept(&account)["client"]["client_name"], shown.json()["client_name"]);
    }
}

#[test]
fn the_initial_access_token_is_never_on_the_command_line() {
    let account = Account::new();
    let liar = Liar::start();
    let account = account.with("SECUREMCP_SERVER", &liar.url);
    account.run(&["dcr", "register", "--initial-access-token", "x"]).failed(2, &["--initial-access-token-file"]);
    fs::write(account.home().join("iat"), "opener\n").expect("a home");
    account.run(&["dcr", "register", "--initial-access-token-file", "iat"]).done();
    let hits = liar.hits();
    let asked = only(&hits, "POST /register");
    assert_eq!(asked[0].authorization.as_deref(), Some("Bearer opener"));
    assert_eq!(field(&asked[0].body, "x"), None);
}
