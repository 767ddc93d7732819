//! Other people's clients that have a person log in: from the first 401 to a tool's answer, and on when the access
//! token is no longer taken.

use std::{fs, thread};

use crate::harness::{Account, Ended, Foreign, Issued, Keycloak, Person, free_port};

mod clients;
mod look;
mod own;

/// A server, and who has accounts at its issuer.
struct Place<'a> {
    url: String,
    issuer: String,
    /// The URL of the document that clients are known by; else they register.
    document: Option<String>,
    person: Box<dyn Fn(&str) -> Person + Sync + 'a>,
}

impl Place<'_> {
    /// Has each client do what it does; as many at a time as there are lanes, since each has a browser.
    fn all(&self, lanes: &[&[fn(&Place<'_>)]]) {
        thread::scope(|scope| {
            for lane in lanes {
                scope.spawn(|| lane.iter().for_each(|client| client(self)));
            }
        });
    }

    /// A person who uses this program.
    fn person(&self, program: &str) -> Person {
        (self.person)(program)
    }

    /// Runs a script of a client at this place, which may open the person's browser.
    fn run(&self, person: &Person, script: &str, arguments: &[&str]) -> Ended {
        let document = self.document.as_deref().map(|url| ("TEST_CLIENT_DOCUMENT", url));
        person.run_with(script, &[&[&*self.url], arguments].concat(), document.as_slice())
    }

    /// Asserts that the person was asked once, for this server, and sent back with a code of its issuer.
    #[track_caller]
    fn logged_in_once(&self, person: &Person) {
        let visits = person.visits(1);
        let visit = &visits[0];
        assert!(visit["lost"].is_null(), "{visit:#}");
        assert_eq!(
            (&visit["issuer"], &visit["error"]),
            (&self.issuer.as_str().into(), &None::<&str>.into()),
            "{visit:#}"
        );
        let asked = &visit["asked"];
        assert_eq!(asked["resource"], self.url, "{visit:#}");
        assert_eq!(asked["code_challenge_method"], "S256", "{visit:#}");
        assert_eq!(asked["redirect_uri"], visit["ended"], "{visit:#}");
        assert!(self.document.as_ref().is_none_or(|document| asked["client_id"] == **document), "{visit:#}");
        let scope = asked["scope"].as_str().expect("it asks for scopes");
        assert!(scope.starts_with("mcp:read mcp:write mcp:infer"), "{visit:#}");
    }
}

/// One Keycloak for all: it takes twenty seconds to start.
#[test]
fn at_keycloak() {
    let keycloak = Keycloak::start();
    let account = Account::new();
    let issuer = keycloak.issuer();
    let server = account.serve_at(keycloak.resource_port, &[], &["--issuer", &issuer]);
    let place = Place {
        url: server.url(),
        issuer,
        document: None,
        person: Box::new(|program| Person::at_keycloak(&keycloak, program)),
    };
    place.all(&[
        &[clients::inspector, clients::inspector_command_line, clients::typescript_sdk_1, clients::in_a_browser],
        &[clients::mcp_remote, clients::python_sdk, clients::fastmcp, clients::typescript_sdk_2],
    ]);
    own::by_browser(&keycloak, &place.url);
    own::by_code(&keycloak, &place.url);
}

/// The command line with another account than that of the server.
#[test]
fn the_command_line_at_securemcp() {
    let account = Account::new();
    let server = account.serve();
    own::at_securemcp(&account, &server);
}

/// What a client does at a plain `securemcp serve`.
fn at_securemcp(client: fn(&Place<'_>)) {
    at_securemcp_called("127.0.0.1", client);
}

/// The same by another of the names that it has.
fn at_securemcp_called(host: &str, client: fn(&Place<'_>)) {
    let account = Account::new();
    let server = account.serve();
    client(&Place {
        url: server.url().replace("127.0.0.1", host),
        issuer: server.origin(),
        document: None,
        person: Box::new(|program| Person::at_securemcp(&account, program)),
    });
}

#[test]
fn python_sdk() {
    at_securemcp(clients::python_sdk);
}

#[test]
fn typescript_sdk_1() {
    at_securemcp(clients::typescript_sdk_1);
}

#[test]
fn typescript_sdk_2() {
    at_securemcp(clients::typescript_sdk_2);
}

#[test]
fn fastmcp() {
    at_securemcp(clients::fastmcp);
}

#[test]
fn mcp_remote() {
    at_securemcp(clients::mcp_remote);
}

#[test]
fn inspector() {
    at_securemcp(clients::inspector);
}

#[test]
fn inspector_command_line() {
    at_securemcp(clients::inspector_command_line);
}

#[test]
fn in_a_browser() {
    at_securemcp(clients::in_a_browser);
}

#[test]
fn a_person_says_no() {
    at_securemcp(clients::nobody);
}

#[test]
fn inspector_by_the_name_localhost() {
    at_securemcp_called("localhost", clients::inspector);
}

#[test]
fn mcp_remote_by_the_name_localhost() {
    at_securemcp_called("localhost", clients::mcp_remote);
}

/// Clients whose id is the URL of a document, which the server fetches as it would from anywhere, but for where it may be
/// and who vouches for it.
#[test]
fn clients_by_their_document() {
    let (account, foreign, port) = (Account::new(), Foreign::new(), free_port());
    let issued = Issued::write_to(foreign.home());
    let document = foreign.document(port, &issued);
    let server = account.serve_at(free_port(), &[("SSL_CERT_FILE", &issued.root)], &["--cimd-allow-loopback"]);
    let place = Place {
        url: server.url(),
        issuer: server.origin(),
        document: Some(format!("https://localhost:{port}/client.json")),
        person: Box::new(|program| Person::at_securemcp(&account, &format!("{program}-document"))),
    };
    place.all(&[
        &[clients::python_sdk, clients::fastmcp, clients::inspector_command_line],
        &[clients::typescript_sdk_1, clients::typescript_sdk_2, clients::mcp_remote],
    ]);
    assert_eq!(document.log().matches("asked for the document").count(), 1, "{}", document.log());
}

/// A client comes back with what it has kept: to a server that knows it, and to one that has lost everything.
#[test]
fn mcp_remote_after_a_restart() {
    let account = Account::new();
    let server = account.serve();
    let (port, url) = (server.port, server.url());
    let person = Person::at_securemcp(&account, "mcp-remote-restart");
    clients::bridged(&person, &url, &[]);
    person.visits(1);
    server.end();

    let server = account.serve_at(port, &[], &[]);
    clients::spoil_what_mcp_remote_kept(&person);
    clients::bridged(&person, &url, &[]);
    person.visits(1);
    server.end();

    let state = account.home().join("state/securemcp");
    for entry in fs::read_dir(state).expect("`serve` makes it") {
        let path = entry.expect("an entry").path();
        if path.file_name() != Some("dev-password".as_ref()) {
            fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).expect("it is ours");
        }
    }
    let _server = account.serve_at(port, &[], &[]);
    clients::bridged(&person, &url, &[]);
    person.visits(2);
}
