//! A real PostgreSQL, which will not run as root.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{Ended, Service, free_port};

/// Debian's account for it.
const ACCOUNT: &str = "postgres";

/// A running PostgreSQL with one user and one database, both named `keycloak`, whose data outlives it.
#[derive(Debug)]
pub(crate) struct Postgres {
    pub(crate) port: u16,
    home: TempDir,
    service: Option<Service>,
}

impl Postgres {
    /// A new one, whose user has the password in this file.
    pub(crate) fn start(password: &Path) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        // Its account has to get there.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
        let mut postgres = Self { port: free_port(), home, service: None };
        let own = postgres.home.path().join("password");
        fs::copy(password, &own).expect("`securemcp init --compose` wrote it");
        fs::set_permissions(&own, fs::Permissions::from_mode(0o644)).expect("it is ours");
        let mut init = postgres.command("initdb");
        init.args(["--username=keycloak", "--auth=scram-sha-256", "--no-sync", "--pwfile"]).arg(&own);
        init.arg("-D").arg(postgres.data());
        Ended::of(init, postgres.home.path()).done();
        postgres.begin();
        let mut create = postgres.command("createdb");
        create.args(["-h", "127.0.0.1", "-p", &postgres.port.to_string(), "-U", "keycloak", "keycloak"]);
        create.env("PGPASSWORD", fs::read_to_string(&own).expect("text").trim_end());
        Ended::of(create, postgres.home.path()).done();
        postgres
    }

    /// Starts it again on what it had.
    pub(crate) fn begin(&mut self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        let service = Service::start(command, self.home.path(), self.port);
        self.service = Some(service.said("database system is ready to accept connections"));
    }

    /// Ends it as its container would be, whoever is connected.
    pub(crate) fn end(&mut self) {
        if let Some(service) = self.service.take() {
            service.end("-INT");
        }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let versions = fs::read_dir("/usr/lib/postgresql").expect("`./tests/run --only real` installs it");
        let newest = versions.map(|version| version.expect("an entry").path()).max().expect("a version");
        let program = newest.join("bin").join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.home.path()).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Killed, it would leave shared memory behind.
        self.end();
    }
}
