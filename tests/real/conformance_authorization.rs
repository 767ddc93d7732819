//! The official conformance suite on authorization servers: on the embedded issuer, and on Keycloak with the realm that
//! ships. A person logs in where the suite says (node/authorization.mjs).

use serde_json::{Value, json};

use crate::{
    conformance::SUITE,
    conformance_client::scenarios_in,
    harness::{Account, Keycloak, Person, figure, free_port},
};

/// Every check that the suite has, by its scenario.
const CHECKS: [(&str, &str); 3] = [
    ("authorization-server-metadata-endpoint", "authorization-server-metadata"),
    ("authorization-server-metadata-endpoint", "authorization-server-metadata-cimd"),
    ("authorization-code-grant", "authorization-code-grant"),
];

/// What Keycloak 26.7 is warned of, each with its reason: its doing, and no part of what securemcp has to be.
const OF_KEYCLOAK: [(&str, &str); 1] =
    [("authorization-server-metadata-cimd", "documents of clients are an experimental feature there, which is off")];

/// Who the suite is at an issuer.
struct Suite<'a> {
    person: &'a Person,
    client_id: &'a str,
    resource: &'a str,
    /// Where the login comes back to.
    port: u16,
}

#[test]
fn the_embedded_issuer() {
    let account = Account::new();
    let server = account.serve();
    let port = free_port();
    let client = json!({
        "client_name": "The conformance suite",
        "redirect_uris": [format!("http://127.0.0.1:{port}/callback")],
        "token_endpoint_auth_method": "none",
    });
    let registered = account.shell(&format!("curl -sS --json '{client}' {}/register", server.origin()), &[]).json();
    let person = Person::at_securemcp(&account, "conformance");
    let suite = Suite {
        person: &person,
        client_id: registered["client_id"].as_str().unwrap_or_else(|| panic!("{registered:#}")),
        resource: &server.url(),
        port,
    };
    suite.passes_at(&server.origin(), &[]);
}

#[test]
fn keycloak() {
    let keycloak = Keycloak::start();
    // The realm vouches for its own client: nobody is asked.
    let person = Person::at_keycloak(&keycloak, "conformance").deciding(None);
    let resource = format!("http://127.0.0.1:{}/mcp", keycloak.resource_port);
    let suite = Suite { person: &person, client_id: "securemcp-cli", resource: &resource, port: free_port() };
    suite.passes_at(&keycloak.issuer(), &OF_KEYCLOAK);
}

impl Suite<'_> {
    /// Runs all scenarios: every check is a success but these, which are warnings.
    #[track_caller]
    fn passes_at(&self, issuer: &str, warned: &[(&str, &str)]) {
        let port = self.port.to_string();
        let arguments = [
            &[SUITE, "authorization", "--url", issuer, "--client-id", self.client_id][..],
            &["--resource", self.resource, "--port", &port, "-o", "results"],
        ];
        let ended = self.person.run("authorization.mjs", &arguments.concat());
        let found = scenarios_in(&self.person.desk().home().join("results"), "authorization-server-");
        for (scenario, checks) in &found {
            for check in checks {
                let id = check["id"].as_str().expect("an id");
                let expected = if warned.iter().any(|(of, _)| *of == id) { "WARNING" } else { "SUCCESS" };
                assert_eq!(check["status"], expected, "{scenario}: {check:#}");
            }
        }
        let ran = found.iter().flat_map(|(scenario, checks)| checks.iter().map(move |check| (scenario, &check["id"])));
        let mut ran: Vec<_> = ran.map(|(scenario, id)| (scenario.as_str(), id.as_str().expect("an id"))).collect();
        let mut all = CHECKS.to_vec();
        ran.sort_unstable();
        all.sort_unstable();
        assert_eq!(ran, all);
        ended.done();
        let visit = &self.person.visits(1)[0];
        assert_eq!((&visit["lost"], &visit["issuer"]), (&Value::Null, &json!(issuer)), "{visit:#}");
        figure(&format!(
            "conformance authorization at {issuer}: {} scenarios, {} checks passed, {} warnings",
            found.len(),
            ran.len() - warned.len(),
            warned.len()
        ));
    }
}
