//! The deployment of compose/: PostgreSQL, Keycloak, Redis, two replicas and nginx with TLS, from the files that ship,
//! at addresses of the tests.

use std::{fs, path::PathBuf, time::Duration};

use reqwest::Certificate;
use securemcp::net;

use super::{Account, Deployed, Edge, Ended, Keycloak, Link, Nginx, Postgres, Redis, Server, Spread, free_port};

/// A network in which nobody is.
pub(crate) const NOBODY: &str = "192.0.2.0/24";

/// All of it.
#[derive(Debug)]
pub(crate) struct Stack {
    // The order in which they end.
    nginx: Option<Nginx>,
    /// Each with its own account, as each has its own volume.
    pub(crate) replicas: [Option<(Server, Account)>; 2],
    /// The replicas' ways to Redis and Keycloak.
    pub(crate) redis_link: Link,
    pub(crate) keycloak_link: Link,
    pub(crate) redis: Redis,
    pub(crate) keycloak: Keycloak,
    pub(crate) postgres: Postgres,
    pub(crate) replica_ports: [u16; 2],
    pub(crate) http_port: u16,
    https_port: u16,
    /// Where `securemcp init --compose` was run.
    operator: Account,
    /// Who calls.
    pub(crate) caller: Account,
}

impl Stack {
    /// Starts everything, each part when those that it needs are healthy.
    pub(crate) fn start() -> Self {
        let (plain_port, https_port) = (free_port(), free_port());
        let (mcp, auth) =
            (format!("https://mcp.localhost:{https_port}"), format!("https://auth.localhost:{https_port}"));
        let operator = Account::new();
        let (resource, issuer) = (format!("{mcp}/mcp"), format!("{auth}/realms/mcp-realm"));
        operator.securemcp(&["init", "--compose", "--resource", &resource, "--issuer", &issuer]).done();
        let secrets = operator.home().join("secrets");
        let postgres = Postgres::start(&secrets.join("postgres_password"));
        let database_port = postgres.port;
        let keycloak =
            Keycloak::deploy(&Deployed { origin: &auth, resource: &resource, secrets: &secrets, database_port });
        let redis = Redis::start(fs::read_to_string(secrets.join("redis_password")).expect("it was made").trim_end());
        let mut stack = Self {
            nginx: None,
            replicas: [None, None],
            redis_link: Link::to(redis.port),
            keycloak_link: Link::to(keycloak.port),
            redis,
            keycloak,
            postgres,
            replica_ports: [free_port(), free_port()],
            http_port: plain_port,
            https_port,
            operator,
            caller: Account::new(),
        };
        (0..2).for_each(|replica| stack.begin_replica(replica));
        // Not this machine: nobody here may administrate.
        stack.begin_nginx(NOBODY);
        stack
    }

    /// What clients call.
    pub(crate) fn resource(&self) -> String {
        format!("https://mcp.localhost:{}/mcp", self.https_port)
    }

    /// The origin of Keycloak, as clients know it.
    pub(crate) fn auth(&self) -> String {
        format!("https://auth.localhost:{}", self.https_port)
    }

    /// The issuer of the realm that ships.
    pub(crate) fn issuer(&self) -> String {
        format!("{}/realms/mcp-realm", self.auth())
    }

    /// A file that `securemcp init --compose` made.
    pub(crate) fn secret(&self, name: &str) -> PathBuf {
        self.operator.home().join("secrets").join(name)
    }

    /// Starts Keycloak again.
    pub(crate) fn begin_keycloak(&mut self) {
        let (auth, resource) = (self.auth(), self.resource());
        let deployed = Deployed {
            origin: &auth,
            resource: &resource,
            secrets: &self.operator.home().join("secrets"),
            database_port: self.postgres.port,
        };
        self.keycloak.begin(&deployed);
    }

    /// Starts a replica in place of the one that was there, with an account of its own, and waits until it is ready.
    pub(crate) fn begin_replica(&mut self, replica: usize) {
        self.start_replica(replica, &[], 200);
    }

    /// The same with these variables too, and waits until its readiness is told by this status.
    pub(crate) fn start_replica(&mut self, replica: usize, more: &[(&str, &str)], ready: u16) {
        self.replicas[replica] = None;
        let account = Account::new();
        let url = self.redis.url_file_by(self.redis_link.port).display().to_string();
        let backchannel = format!("http://127.0.0.1:{}/realms/mcp-realm", self.keycloak_link.port);
        let (resource, issuer) = (self.resource(), self.issuer());
        let variables = [
            ("SECUREMCP_RESOURCE", resource.as_str()),
            ("SECUREMCP_ISSUER", &issuer),
            ("SECUREMCP_ISSUER_BACKCHANNEL_URL", &backchannel),
            ("SECUREMCP_REDIS_URL_FILE", &url),
            ("SECUREMCP_TRUSTED_PROXIES", "127.0.0.1"),
            ("SECUREMCP_LOG_FORMAT", "json"),
        ];
        let shipped = include_str!("../../../compose/compose.yaml");
        for (variable, _) in variables {
            assert!(shipped.contains(&format!("    {variable}: ")), "{variable} is not in compose.yaml");
        }
        let variables = [&variables, more].concat();
        let server = account.serve_until(self.replica_ports[replica], &variables, &[], ready);
        self.replicas[replica] = Some((server, account));
    }

    /// Starts the proxy in place of the one that was there; callers of this network may administrate Keycloak.
    pub(crate) fn begin_nginx(&mut self, administrators: &str) {
        // Two would not find a port.
        self.nginx = None;
        let (certificate, key) = (self.secret("tls_certificate"), self.secret("tls_key"));
        let edge = Edge {
            http_port: self.http_port,
            https_port: self.https_port,
            mcp_host: "mcp.localhost",
            auth_host: "auth.localhost",
            replicas: self.replica_ports,
            keycloak: self.keycloak.port,
            administrators,
            certificate: &certificate,
            key: &key,
            spread: Spread::BySession,
        };
        self.nginx = Some(Nginx::start(self.operator.home(), &edge));
    }

    /// What nginx has printed so far: a line for each request among it.
    pub(crate) fn edge_log(&self) -> String {
        self.nginx.as_ref().expect("it runs").log()
    }

    /// A client that trusts the certificate.
    pub(crate) fn http(&self) -> reqwest::Client {
        let pem = fs::read(self.secret("tls_certificate")).expect("it was made");
        let extra_roots = vec![Certificate::from_pem(&pem).expect("a certificate")];
        net::client(&net::Options { timeout: Duration::from_secs(20), extra_roots }).expect("a client")
    }

    /// Runs a command of the caller, with these variables, against the server and the issuer.
    pub(crate) fn run(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
        let (resource, issuer) = (self.resource(), self.issuer());
        let surroundings = [("SECUREMCP_SERVER", resource.as_str()), ("SECUREMCP_ISSUER", &issuer)];
        let ca = self.secret("tls_certificate").display().to_string();
        self.caller.with(&[&surroundings, variables].concat(), &[arguments, &["--ca", &ca]].concat())
    }

    /// Runs a line of shell in which `$CURL` trusts the certificate and finds the hosts, and `$MCP` and `$AUTH` are
    /// their origins.
    pub(crate) fn shell(&self, line: &str, variables: &[(&str, &str)]) -> Ended {
        let resolve =
            ["mcp", "auth"].map(|host| format!("--resolve {host}.localhost:{}:127.0.0.1", self.https_port)).join(" ");
        let curl = format!("curl -sS --cacert {} {resolve}", self.secret("tls_certificate").display());
        let (mcp, auth) = (format!("https://mcp.localhost:{}", self.https_port), self.auth());
        let own = [("CURL", curl.as_str()), ("MCP", &mcp), ("AUTH", &auth)];
        self.caller.shell(line, &[&own, variables].concat())
    }
}
