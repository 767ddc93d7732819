//! A real Keycloak with the realm that ships, on loopback ports of its own, with a database that goes when it goes.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command, time::Duration};

use securemcp::{
    client::{Client, KeycloakAdmin, Settings, StaleClient},
    clock::SharedClock,
    oauth::{Issuer, Resource},
    secret::Secret,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{Service, free_port};

/// What the realm's placeholders become.
pub(crate) const SERVER_SECRET: &str = "secret-of-mcp-server-0123456789";
pub(crate) const RESOURCE_SECRET: &str = "secret-of-mcp-resource-0123456789";
/// The password of `admin`.
pub(crate) const ADMIN_PASSWORD: &str = "admin-of-the-tests";

/// A running Keycloak.
#[derive(Debug)]
pub(crate) struct Keycloak {
    // Before its home: fields are dropped in this order.
    service: Service,
    _home: TempDir,
    port: u16,
    /// Where the server has to listen for which the realm issues tokens.
    pub(crate) resource_port: u16,
}

impl Keycloak {
    /// Starts one, and waits until it has imported the realm.
    pub(crate) fn start() -> Self {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools/keycloak");
        let (port, management, resource_port) = (free_port(), free_port(), free_port());
        let home = tempfile::tempdir().expect("a temporary directory");
        for entry in fs::read_dir(tools.join("home")).expect("`./tests/run` unpacks it") {
            let entry = entry.expect("an entry");
            if entry.file_name() != "data" {
                symlink(entry.path(), home.path().join(entry.file_name())).expect("the directory is new");
            }
        }
        let import = home.path().join("data/import");
        fs::create_dir_all(&import).expect("the directory is new");
        let realm = Path::new(env!("CARGO_MANIFEST_DIR")).join("keycloak/mcp-realm-realm.json");
        fs::copy(realm, import.join("mcp-realm-realm.json")).expect("it ships");
        let mut command = Command::new(fs::read_to_string(tools.join("java")).expect("`./tests/run` finds it").trim());
        command.current_dir(home.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command
            .args(["-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args(["-Djava.security.egd=file:/dev/urandom", "--enable-native-access=ALL-UNNAMED"])
            .args(["java.util", "java.util.concurrent", "java.security"].map(|package| {
                format!("--add-opens=java.base/{package}=ALL-UNNAMED")
            }))
            .arg("-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory")
            .arg("-Djava.util.logging.manager=org.jboss.logmanager.LogManager")
            .arg(format!("-Dkc.home.dir={}", home.path().display()))
            .arg(format!("-Djboss.server.config.dir={}", home.path().join("conf").display()))
            .arg("-cp")
            .arg(home.path().join("lib/quarkus-run.jar"))
            .args(["io.quarkus.bootstrap.runner.QuarkusEntryPoint", "start", "--optimized", "--import-realm"])
            .args(["--http-enabled=true", "--http-host=127.0.0.1", "--hostname-strict=false"])
            .arg(format!("--http-port={port}"))
            .arg(format!("--http-management-port={management}"))
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin")
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", ADMIN_PASSWORD)
            .env("MCP_RESOURCE_IDENTIFIER", format!("http://127.0.0.1:{resource_port}/mcp"))
            .env("KEYCLOAK_CLIENT_SECRET", SERVER_SECRET)
            .env("MCP_RESOURCE_CLIENT_SECRET", RESOURCE_SECRET)
            .env("MCP_TEST_USER_PASSWORD", "password-of-the-test-user");
        let service = Service::start(command, home.path(), port).ready(management, "/health/ready", 200);
        Self { service, _home: home, port, resource_port }
    }

    /// The issuer of the realm that ships.
    pub(crate) fn issuer(&self) -> String {
        self.issuer_of("mcp-realm")
    }

    /// The issuer of a realm.
    pub(crate) fn issuer_of(&self, realm: &str) -> String {
        format!("http://127.0.0.1:{}/realms/{realm}", self.port)
    }

    /// What it has printed so far.
    pub(crate) fn log(&self) -> String {
        self.service.log()
    }

    /// Asks its admin API; `None` for an answer without a body.
    #[track_caller]
    pub(crate) fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Value> {
        // Admins' tokens live for a minute.
        let form = format!("grant_type=password&client_id=admin-cli&username=admin&password={ADMIN_PASSWORD}");
        let token_url = format!("http://127.0.0.1:{}/realms/master/protocol/openid-connect/token", self.port);
        let token = Self::curl(&[&token_url, "-d", &form]).expect("an answer");
        let bearer = format!("Authorization: Bearer {}", token["access_token"].as_str().expect("a token"));
        let url = format!("http://127.0.0.1:{}/admin{path}", self.port);
        let body = body.map(Value::to_string);
        let mut arguments = vec!["-X", method, &url, "-H", &bearer];
        if let Some(body) = &body {
            arguments.extend(["-H", "Content-Type: application/json", "-d", body]);
        }
        Self::curl(&arguments)
    }

    #[track_caller]
    fn curl(arguments: &[&str]) -> Option<Value> {
        let output = Command::new("curl").args(["-sS", "--fail-with-body"]).args(arguments).output().expect("curl");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        (!said.trim().is_empty()).then(|| serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}")))
    }

    /// An initial access token of the realm, for so many registrations.
    pub(crate) fn initial_access_token(&self, count: u32) -> String {
        let wanted = serde_json::json!({"count": count, "expiration": 3600});
        let made = self.admin("POST", "/realms/mcp-realm/clients-initial-access", Some(&wanted)).expect("an answer");
        made["token"].as_str().expect("a token").to_owned()
    }

    /// Gives the service account of a client a role of the realm.
    pub(crate) fn grant(&self, client_id: &str, role: &str) {
        let user = format!("/realms/mcp-realm/clients/{client_id}/service-account-user");
        let user = self.admin("GET", &user, None).expect("an answer")["id"].as_str().expect("an id").to_owned();
        let role = self.admin("GET", &format!("/realms/mcp-realm/roles/{role}"), None).expect("a role");
        let mapping = format!("/realms/mcp-realm/users/{user}/role-mappings/realm");
        self.admin("POST", &mapping, Some(&Value::Array(vec![role])));
    }

    /// The internal id of a client of the realm.
    pub(crate) fn id_of(&self, client_id: &str) -> String {
        let found = self.admin("GET", &format!("/realms/mcp-realm/clients?clientId={client_id}"), None);
        found.expect("a list")[0]["id"].as_str().expect("an id").to_owned()
    }

    /// What `securemcp dcr prune` does when this clock is right.
    pub(crate) fn prune(&self, clock: SharedClock, unused_for: Duration, delete: bool) -> Vec<StaleClient> {
        let state = tempfile::tempdir().expect("a temporary directory");
        let settings = Settings {
            server: Resource::parse(&format!("http://127.0.0.1:{}/mcp", self.resource_port)).expect("a resource"),
            issuer: Some(Issuer::parse(&self.issuer()).expect("an issuer")),
            issuer_backchannel_url: None,
            client_id: None,
            client_secret: None,
            token: None,
            scopes: None,
            resource: None,
            state_dir: state.path().join("state"),
            persist: true,
            force_new: false,
            timeout: Duration::from_secs(30),
            extra_roots: Vec::new(),
            clock,
        };
        let admin = KeycloakAdmin { user: "admin".to_owned(), password: Secret::new(ADMIN_PASSWORD) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = Client::new(settings).expect("good settings");
        runtime.block_on(client.prune(&admin, unused_for, delete)).expect("Keycloak can tell")
    }
}
