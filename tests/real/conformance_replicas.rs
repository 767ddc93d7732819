//! The official conformance suite on two replicas of the example that share a real Redis, behind the nginx that ships.
//!
//! Sessions stay with one replica, as the configuration that ships has it: the suite's own requests begin them at one and
//! go on with them at the other. What belongs to no session (2026-07-28) goes to the replicas in turn, so that whatever
//! one of them gave to a client comes back to the other, and whoever listens for changes listens where they are not made.

use std::path::Path;

use tempfile::TempDir;

use crate::{
    conformance::Subject,
    harness::{Account, Edge, Issued, Nginx, REDIS_PASSWORD, Redis, Server, Spread, figure, free_port},
};

#[test]
fn everything_of_2025_11_25() {
    on_replicas(Spread::BySession, |subject| subject.passes_2025_11_25(84));
}

#[test]
fn everything_of_2026_07_28() {
    on_replicas(Spread::InTurn, |subject| {
        let ids = subject.passes_2026_07_28(49, 196);
        for id in [
            "sep-2575-server-sends-tools-list-changed-on-subscription",
            "sep-2575-server-sends-prompts-list-changed-on-subscription",
            "sep-2322-multi-round-r3",
            "tasks-mrtr-tasks-update-resumes",
        ] {
            assert!(ids.contains(id), "{id}: {ids:?}");
        }
    });
}

/// Two replicas, all that they need, and nginx in front.
struct Deployment {
    // The order in which they end.
    nginx: Nginx,
    replicas: [(Server, Account); 2],
    _redis: Redis,
    _issuer: (Server, Account),
    certificate: Issued,
    _home: TempDir,
    resource: String,
    token: String,
}

impl Deployment {
    fn start(spread: Spread) -> Self {
        let https_port = free_port();
        let resource = format!("https://localhost:{https_port}/mcp");
        let redis = Redis::start(REDIS_PASSWORD);
        let account = Account::new();
        let issuer = account.serve_at(free_port(), &[("SECUREMCP_EMBEDDED_RESOURCES", &resource)], &[]);
        let arguments = ["token", "get", "--resource", &resource, "--issuer", &issuer.origin()];
        let scopes = ["--scope", "mcp:read mcp:write"];
        let token = account.securemcp(&[&arguments[..], &scopes].concat()).done().trim_end().to_owned();
        let (url, issuer_url) = (redis.url_file(None).display().to_string(), issuer.origin());
        let replica = || {
            let account = Account::new();
            let variables = [
                ("SECUREMCP_RESOURCE", resource.as_str()),
                ("SECUREMCP_ISSUER", &issuer_url),
                ("SECUREMCP_REDIS_URL_FILE", &url),
                ("SECUREMCP_TRUSTED_PROXIES", "127.0.0.1"),
            ];
            (account.serve_example_at(free_port(), &variables), account)
        };
        let replicas = [replica(), replica()];
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let certificate = Issued::write_to(home.path());
        let edge = Edge {
            http_port: free_port(),
            https_port,
            mcp_host: "localhost",
            auth_host: "auth.localhost",
            replicas: replicas.each_ref().map(|(server, _)| server.port),
            // There is none.
            keycloak: free_port(),
            administrators: crate::harness::NOBODY,
            certificate: Path::new(&certificate.certificate),
            key: Path::new(&certificate.key),
            spread,
        };
        let nginx = Nginx::start(home.path(), &edge);
        Self { nginx, replicas, _redis: redis, _issuer: (issuer, account), certificate, _home: home, resource, token }
    }
}

fn on_replicas(spread: Spread, run: impl FnOnce(&Subject<'_>)) {
    let deployment = Deployment::start(spread);
    let Deployment { nginx, replicas, certificate, resource, token, .. } = &deployment;
    let ask = format!("curl -sS -o /dev/null -w '%{{http_code}}' --cacert {} {resource}", certificate.root);
    assert_eq!(replicas[0].1.shell(&ask, &[]).done(), "401", "authentication is on");
    run(&Subject { url: resource, token, ca: Some(Path::new(&certificate.root)) });
    let answered = nginx.answered("/mcp");
    figure(&format!("requests that each replica has answered: {answered:?}"));
    let counts: Vec<_> = replicas
        .iter()
        .map(|(server, _)| answered.get(&format!("127.0.0.1:{}", server.port)).copied().unwrap_or_default())
        .collect();
    let all: usize = answered.values().sum();
    assert_eq!(counts.iter().sum::<usize>(), all, "nobody else answers: {answered:?}");
    let least = match spread {
        Spread::BySession => all / 10,
        // One at a time has each go to the other one; some are sent at once.
        Spread::InTurn => all * 2 / 5,
    };
    assert!(all > 100 && counts.iter().all(|count| *count > least), "both replicas answer: {answered:?}");
}
