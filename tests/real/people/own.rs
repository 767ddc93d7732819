//! The command line itself, whose person logs in at the pages of an issuer.

use std::{fs, path::PathBuf, thread};

use serde_json::{Value, json};

use crate::harness::{Account, Ended, Keycloak, Person, Server, eventually, program};

/// The client that the realm has for people in a terminal.
const CLIENT: &str = "securemcp-cli";

/// Somebody at a terminal, in front of a server.
struct Desk {
    account: Account,
    person: Person,
    variables: Vec<(&'static str, String)>,
}

impl Desk {
    fn new(person: Person, url: &str) -> Self {
        let variables = vec![("SECUREMCP_SERVER", url.to_owned()), ("BROWSER", person.browser())];
        Self { account: Account::new(), person, variables }
    }

    /// With the client that the realm has.
    fn at_keycloak(keycloak: &Keycloak, url: &str, name: &str) -> Self {
        let mut desk = Self::new(Person::at_keycloak(keycloak, name), url);
        desk.variables.push(("SECUREMCP_ISSUER", keycloak.issuer()));
        desk.variables.push(("SECUREMCP_CLIENT_ID", CLIENT.to_owned()));
        desk
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// Runs a command away from any terminal.
    fn run(&self, arguments: &[&str]) -> Ended {
        self.account.with(&self.variables(), arguments)
    }

    /// Runs a line of shell in which `$SECUREMCP` is the command.
    fn shell(&self, line: &str) -> Ended {
        let program = ("SECUREMCP", program::path());
        self.account.shell(line, &[&self.variables()[..], &[program]].concat())
    }

    /// Calls a tool at a terminal, where a browser may be opened.
    fn calls_at_a_terminal(&self) {
        let called = self.shell("script -qefc '\"$SECUREMCP\" call echo Hello!' /dev/null");
        assert!(called.done().contains("Hello!"), "{called:#?}");
    }

    /// Gets a token by a code that the command shows and the person types at this page.
    fn gets_a_token_by_code(&self, page: &str) {
        let shown = self.account.home().join("shown");
        thread::scope(|scope| {
            let getting = scope.spawn(|| self.shell("\"$SECUREMCP\" token get --grant device_code 2>shown"));
            let code = eventually("a code", || {
                let shown = fs::read_to_string(&shown).ok()?;
                let (_, code) = shown.split_once("?user_code=")?;
                code.split_once('\n').map(|(code, _)| code.to_owned())
            });
            self.person.play("device.mjs", &[page, &code]).done();
            let token = getting.join().expect("it ran");
            assert!(token.done().starts_with("ey"), "{token:#?}");
        });
    }

    /// Calls a tool twenty times at once.
    fn calls_twenty_times(&self) {
        thread::scope(|scope| {
            let calls: Vec<_> = (0..20).map(|_| scope.spawn(|| self.run(&["call", "echo", "hi"]))).collect();
            for call in calls {
                assert_eq!(call.join().expect("it ran").done(), "hi\n");
            }
        });
    }

    /// The one token that is kept.
    fn kept(&self) -> (PathBuf, Value) {
        let folder = self.account.home().join("state/securemcp/tokens");
        let files = fs::read_dir(folder).expect("there is one").map(|file| file.expect("a file").path());
        // Locks are beside them.
        let files: Vec<_> = files.filter(|path| !path.to_string_lossy().ends_with(".lock")).collect();
        let [path] = &files[..] else { panic!("one token: {files:?}") };
        let kept = serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON");
        (path.clone(), kept)
    }

    /// Lets the kept access token's time be over.
    fn expire(&self) -> Value {
        let (path, mut kept) = self.kept();
        let refresh_token = kept["refresh_token"].clone();
        kept["expires_at_seconds"] = 1.into();
        fs::write(path, kept.to_string()).expect("the home is writable");
        refresh_token
    }
}

/// How often Keycloak says that the client did this.
fn events(keycloak: &Keycloak, kind: &str) -> usize {
    let path = format!("/realms/mcp-realm/events?type={kind}&client={CLIENT}");
    let events = keycloak.admin("GET", &path, None).expect("a list");
    events.as_array().expect("a list").len()
}

/// In a browser that the command opens; then twenty calls at once, when the token's time is over.
pub(super) fn by_browser(keycloak: &Keycloak, url: &str) {
    let mut desk = Desk::at_keycloak(keycloak, url, "securemcp");
    // The realm vouches for its own client: nobody is asked.
    desk.person = desk.person.deciding(None);
    desk.calls_at_a_terminal();
    let visit = &desk.person.visits(1)[0];
    let asked = &visit["asked"];
    assert_eq!((&asked["client_id"], &asked["resource"]), (&json!(CLIENT), &json!(url)), "{visit:#}");
    assert_eq!((&visit["lost"], &visit["issuer"]), (&Value::Null, &json!(keycloak.issuer())), "{visit:#}");

    let before = events(keycloak, "REFRESH_TOKEN");
    let first = desk.expire();
    desk.calls_twenty_times();
    assert_eq!(events(keycloak, "REFRESH_TOKEN") - before, 1, "one for all of them");
    // Keycloak ends a login when a refresh token comes twice: here the next one is used.
    let second = desk.expire();
    assert!(first.is_string() && second.is_string() && first != second, "it rotates");
    assert_eq!(desk.run(&["call", "calculator", "add", "1", "2"]).done(), "3\n");
    let refused = events(keycloak, "REFRESH_TOKEN_ERROR");
    assert_eq!((events(keycloak, "REFRESH_TOKEN") - before, refused), (2, 0));
    desk.person.visits(1);
}

/// On another device: by a code that the command shows.
pub(super) fn by_code(keycloak: &Keycloak, url: &str) {
    let desk = Desk::at_keycloak(keycloak, url, "securemcp-device");
    desk.gets_a_token_by_code(&format!("{}/device", keycloak.issuer()));
    assert_eq!(desk.run(&["call", "echo", "hi"]).done(), "hi\n");
    assert!(!desk.person.desk().home().join("visits").exists(), "no browser was opened");
}

/// The same two ways at the embedded issuer, where the command registers itself for the first.
pub(super) fn at_securemcp(account: &Account, server: &Server) {
    let desk = Desk::new(Person::at_securemcp(account, "securemcp"), &server.url());
    desk.calls_at_a_terminal();
    let given = || server.log().matches("\"token_issued\"").count();
    assert_eq!(given(), 1, "{}", server.log());
    let first = desk.expire();
    desk.calls_twenty_times();
    assert_eq!(given(), 2, "one for all of them");
    let second = desk.expire();
    assert!(first.is_string() && second.is_string() && first != second, "it rotates");
    assert_eq!(desk.run(&["call", "calculator", "add", "1", "2"]).done(), "3\n");
    desk.person.visits(1);

    let desk = Desk::new(Person::at_securemcp(account, "securemcp-device"), &server.url());
    // Strangers get no code to type: anybody could be sent one.
    let token = account.home().join("state/securemcp/initial-access-token");
    let register = ["dcr", "register", "--grant", "device_code", "--grant", "refresh_token", "--auth-method", "none"];
    let (issuer, token) = (server.origin(), token.to_str().expect("UTF-8"));
    let vouched = ["--scope", "mcp:read", "--issuer", &issuer, "--initial-access-token-file", token];
    desk.run(&[&register[..], &vouched].concat()).done();
    desk.gets_a_token_by_code(&format!("{}/device", server.origin()));
    assert_eq!(desk.run(&["call", "echo", "hi"]).done(), "hi\n");
}
