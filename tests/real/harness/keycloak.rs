//! A real Keycloak with the realm that ships, on loopback ports of its own, with a database that goes when it goes.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use securemcp::{
    client::{Client, KeycloakAdmin, Settings, StaleClient},
    clock::SharedClock,
    oauth::{Issuer, Resource},
    secret::Secret,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{Service, free_port, root};

/// What the realm's placeholders become.
pub(crate) const SERVER_SECRET: &str = "secret-of-mcp-server-0123456789";
pub(crate) const RESOURCE_SECRET: &str = "secret-of-mcp-resource-0123456789";
/// The password of `testuser`.
pub(crate) const USER_PASSWORD: &str = "password-of-the-test-user";
/// The password of `admin`.
pub(crate) const ADMIN_PASSWORD: &str = "admin-of-the-tests";

/// A home for one, with the realm that ships: that of `./tests/run`, by links, but for its data.
fn home(built: &str) -> TempDir {
    let home = tempfile::tempdir().expect("a temporary directory");
    for entry in fs::read_dir(tools().join(built)).expect("`./tests/run` unpacks it") {
        let entry = entry.expect("an entry");
        if entry.file_name() != "data" {
            symlink(entry.path(), home.path().join(entry.file_name())).expect("the directory is new");
        }
    }
    let import = home.path().join("data/import");
    fs::create_dir_all(&import).expect("the directory is new");
    fs::copy(root().join("keycloak/mcp-realm-realm.json"), import.join("mcp-realm-realm.json")).expect("it ships");
    home
}

fn tools() -> PathBuf {
    root().join("target/test-tools/keycloak")
}

fn java() -> String {
    fs::read_to_string(tools().join("java")).expect("`./tests/run` finds it").trim().to_owned()
}

/// Behind which name a Keycloak is, and with what.
#[derive(Debug)]
pub(crate) struct Deployed<'a> {
    /// The origin that clients know.
    pub(crate) origin: &'a str,
    /// The resource that tokens are for.
    pub(crate) resource: &'a str,
    /// What `securemcp init --compose` wrote.
    pub(crate) secrets: &'a Path,
    /// Where its database is.
    pub(crate) database_port: u16,
}

/// A running Keycloak.
#[derive(Debug)]
pub(crate) struct Keycloak {
    // Before its home: fields are dropped in this order.
    service: Option<Service>,
    home: TempDir,
    pub(crate) port: u16,
    management: u16,
    origin: String,
    admin_password: String,
    /// Where the server has to listen for which the realm issues tokens.
    pub(crate) resource_port: u16,
}

impl Keycloak {
    /// Starts one, and waits until it has imported the realm.
    pub(crate) fn start() -> Self {
        let (port, management, resource_port) = (free_port(), free_port(), free_port());
        let home = home("home");
        let mut command = Command::new(java());
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
            .env("MCP_TEST_USER_PASSWORD", USER_PASSWORD);
        let service = Service::start(command, home.path(), port).ready(management, "/health/ready", 200);
        let (origin, admin_password) = (format!("http://127.0.0.1:{port}"), ADMIN_PASSWORD.to_owned());
        Self { service: Some(service), home, port, management, origin, admin_password, resource_port }
    }

    /// Starts one behind a proxy and with a database, as compose/compose.yaml does.
    pub(crate) fn deploy(deployed: &Deployed<'_>) -> Self {
        let password = fs::read_to_string(deployed.secrets.join("keycloak_admin_password")).expect("it was made");
        let mut keycloak = Self {
            service: None,
            home: home("postgres"),
            port: free_port(),
            management: free_port(),
            origin: deployed.origin.to_owned(),
            admin_password: password.trim_end().to_owned(),
            resource_port: 0,
        };
        // Its own start script looks for its home beside itself, behind every link.
        let bin = keycloak.home.path().join("bin");
        let original = fs::read_link(&bin).expect("a link");
        fs::remove_file(&bin).expect("it is ours");
        fs::create_dir(&bin).expect("the directory is new");
        fs::copy(original.join("kc.sh"), bin.join("kc.sh")).expect("it is in there");
        keycloak.begin(deployed);
        keycloak
    }

    /// Starts it again on what is in its database.
    pub(crate) fn begin(&mut self, deployed: &Deployed<'_>) {
        let mut command = Command::new("bash");
        command.arg(root().join("compose/keycloak/start.sh")).args(["start", "--optimized", "--import-realm"]);
        command.current_dir(self.home.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("KEYCLOAK_HOME", self.home.path()).env("JAVA", java());
        command.env("JAVA_OPTS_APPEND", "-XX:-UseG1GC -XX:+UseSerialGC -XX:TieredStopAtLevel=1");
        let shipped = fs::read_to_string(root().join("compose/compose.yaml")).expect("it ships");
        for (variable, value) in [
            ("KC_DB_URL_DATABASE", "keycloak"),
            ("KC_DB_URL_HOST", "127.0.0.1"),
            ("KC_DB_USERNAME", "keycloak"),
            ("KC_HOSTNAME", deployed.origin),
            ("KC_HOSTNAME_BACKCHANNEL_DYNAMIC", "true"),
            ("KC_HTTP_ENABLED", "true"),
            ("KC_PROXY_HEADERS", "xforwarded"),
            ("KC_PROXY_TRUSTED_ADDRESSES", "127.0.0.1"),
            ("KC_LOG_CONSOLE_OUTPUT", "json"),
            ("KC_BOOTSTRAP_ADMIN_USERNAME", "admin"),
            ("MCP_RESOURCE_IDENTIFIER", deployed.resource),
        ] {
            assert!(shipped.contains(&format!("      {variable}: ")), "{variable} is not in compose.yaml");
            command.env(variable, value);
        }
        for (variable, secret) in [
            ("KC_DB_PASSWORD_FILE", "postgres_password"),
            ("KC_BOOTSTRAP_ADMIN_PASSWORD_FILE", "keycloak_admin_password"),
            ("KEYCLOAK_CLIENT_SECRET_FILE", "keycloak_client_secret"),
            ("MCP_RESOURCE_CLIENT_SECRET_FILE", "mcp_resource_client_secret"),
            ("MCP_TEST_USER_PASSWORD_FILE", "mcp_test_user_password"),
        ] {
            assert!(shipped.contains(&format!("      {variable}: /run/secrets/{secret}\n")), "{variable}");
            command.env(variable, deployed.secrets.join(secret));
        }
        // What containers have to themselves.
        command.env("KC_HTTP_HOST", "127.0.0.1").env("KC_HTTP_PORT", self.port.to_string());
        command.env("KC_HTTP_MANAGEMENT_PORT", self.management.to_string());
        command.env("KC_DB_URL_PORT", deployed.database_port.to_string());
        let service = Service::start(command, self.home.path(), self.port);
        self.service = Some(service.ready(self.management, "/health/ready", 200));
    }

    /// Ends it as its container would be.
    pub(crate) fn end(&mut self) {
        if let Some(service) = self.service.take() {
            service.end("-TERM");
        }
    }

    /// The issuer of the realm that ships.
    pub(crate) fn issuer(&self) -> String {
        self.issuer_of("mcp-realm")
    }

    /// The issuer of a realm.
    pub(crate) fn issuer_of(&self, realm: &str) -> String {
        format!("{}/realms/{realm}", self.origin)
    }

    /// What it has printed so far.
    pub(crate) fn log(&self) -> String {
        self.service.as_ref().expect("it runs").log()
    }

    /// Asks its admin API; `None` for an answer without a body.
    #[track_caller]
    pub(crate) fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Value> {
        // Admins' tokens live for a minute.
        let password = &self.admin_password;
        let form = format!("grant_type=password&client_id=admin-cli&username=admin&password={password}");
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

    /// Adds a person with all roles behind the scopes, and the password of `testuser`.
    ///
    /// Keycloak refuses a right password while another login of the same person is under way.
    pub(crate) fn add_person(&self, name: &str) {
        let users = "/realms/mcp-realm/users";
        let person = serde_json::json!({
            "username": name,
            "enabled": true,
            "email": format!("{name}@example.com"),
            "emailVerified": true,
            "firstName": "A",
            "lastName": "Person",
            "credentials": [{"type": "password", "value": USER_PASSWORD, "temporary": false}],
        });
        self.admin("POST", users, Some(&person));
        let found = self.admin("GET", &format!("{users}?exact=true&username={name}"), None).expect("a list");
        let id = found[0]["id"].as_str().expect("an id");
        let roles = ["mcp-reader", "mcp-writer", "mcp-inferrer"]
            .map(|role| self.admin("GET", &format!("/realms/mcp-realm/roles/{role}"), None).expect("a role"));
        self.admin("POST", &format!("{users}/{id}/role-mappings/realm"), Some(&Value::Array(roles.to_vec())));
    }

    /// The internal id of a client of the realm.
    pub(crate) fn id_of(&self, client_id: &str) -> String {
        let found = self.admin("GET", &format!("/realms/mcp-realm/clients?clientId={client_id}"), None);
        found.expect("a list")[0]["id"].as_str().expect("an id").to_owned()
    }

    /// Changes attributes of a client of the realm.
    pub(crate) fn set_attributes(&self, client_id: &str, attributes: &[(&str, &str)]) {
        let path = format!("/realms/mcp-realm/clients/{}", self.id_of(client_id));
        let mut client = self.admin("GET", &path, None).expect("a client");
        for (name, value) in attributes {
            client["attributes"][name] = (*value).into();
        }
        self.admin("PUT", &path, Some(&client));
    }

    /// What `securemcp dcr prune` does when this clock is right.
    pub(crate) fn prune(&self, clock: SharedClock, unused_for: Duration, delete: bool) -> Vec<StaleClient> {
        let state = tempfile::tempdir().expect("a temporary directory");
        let server = Resource::parse(&format!("http://127.0.0.1:{}/mcp", self.resource_port)).expect("a resource");
        let issuer = Some(Issuer::parse(&self.issuer()).expect("an issuer"));
        let settings = Settings { issuer, clock, ..Settings::new(server, state.path().join("state")) };
        let admin = KeycloakAdmin { user: "admin".to_owned(), password: Secret::new(&self.admin_password) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = Client::new(settings).expect("good settings");
        runtime.block_on(client.prune(&admin, unused_for, delete)).expect("Keycloak can tell")
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        // Its start script waits for the program that it has started, which must not outlive it.
        self.end();
    }
}
