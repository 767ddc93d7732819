//! nginx with the configuration that ships, at addresses of the tests.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;

use super::{Service, free_port, root};

/// What it stands in front of, and where.
#[derive(Debug)]
pub(crate) struct Edge<'a> {
    pub(crate) http_port: u16,
    pub(crate) https_port: u16,
    pub(crate) mcp_host: &'a str,
    pub(crate) auth_host: &'a str,
    pub(crate) replicas: [u16; 2],
    pub(crate) keycloak: u16,
    /// The network whose callers may administrate Keycloak.
    pub(crate) administrators: &'a str,
    /// PEM files.
    pub(crate) certificate: &'a Path,
    pub(crate) key: &'a Path,
    pub(crate) spread: Spread,
}

/// Which replica gets a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spread {
    /// As it ships: by session, and by chance where there is none.
    BySession,
    /// One after the other, whatever the request.
    InTurn,
}

/// A running nginx.
#[derive(Debug)]
pub(crate) struct Nginx(Option<Service>);

impl Nginx {
    /// Starts it with its files in `home`, and waits until it is up.
    pub(crate) fn start(home: &Path, edge: &Edge<'_>) -> Self {
        let listen = |port: u16| format!("127.0.0.1:{port}");
        let text = |path: &Path| path.display().to_string();
        let health = free_port();
        let values = [
            ("TEMP", text(home)),
            ("HTTP_LISTEN", listen(edge.http_port)),
            ("HTTPS_LISTEN", listen(edge.https_port)),
            ("HEALTH_LISTEN", listen(health)),
            ("REDIRECT_PORT", format!(":{}", edge.https_port)),
            ("MCP_HOST", edge.mcp_host.to_owned()),
            ("AUTH_HOST", edge.auth_host.to_owned()),
            ("SECUREMCP_1", listen(edge.replicas[0])),
            ("SECUREMCP_2", listen(edge.replicas[1])),
            ("KEYCLOAK", listen(edge.keycloak)),
            ("ADMIN_NETWORK", edge.administrators.to_owned()),
            ("TLS_CERTIFICATE", text(edge.certificate)),
            ("TLS_KEY", text(edge.key)),
            ("ACME_ROOT", text(home)),
        ];
        write_nginx_configuration(home, &values.each_ref().map(|(name, value)| (*name, value.as_str())));
        if let Spread::InTurn = edge.spread {
            let (path, by_session) = (home.join("upstreams.conf"), "hash $affinity consistent;");
            let shipped = fs::read_to_string(&path).expect("it was written");
            assert!(shipped.contains(by_session), "{shipped}");
            // Its workers take turns together.
            fs::write(&path, shipped.replace(by_session, "zone securemcp 64k;")).expect("the directory is writable");
        }
        let mut command = Command::new("nginx");
        // In its container it is no root that would give its workers to another account.
        let account = if rustix::process::geteuid().is_root() { "user root; " } else { "" };
        command.arg("-c").arg(home.join("nginx.conf")).args(["-g", &format!("{account}daemon off;")]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir(home);
        Self(Some(Service::start(command, home, health).ready(health, "/", 200)))
    }

    /// What it has printed so far: a line for each request among it.
    pub(crate) fn log(&self) -> String {
        self.0.as_ref().expect("it runs").log()
    }

    /// How many requests to this path each upstream has answered, by its address.
    pub(crate) fn answered(&self, path: &str) -> BTreeMap<String, usize> {
        let mut answered = BTreeMap::new();
        for line in self.log().lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            let upstream = line["upstream"].as_str().unwrap_or_default();
            if line["path"] == path && !upstream.is_empty() {
                *answered.entry(upstream.to_owned()).or_default() += 1;
            }
        }
        answered
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers would outlive it if it were killed.
        if let Some(nginx) = self.0.take() {
            nginx.end("-TERM");
        }
    }
}

/// Fills in the templates of compose/nginx as the image of nginx does: `${NGINX_<name>}` becomes the value.
///
/// Then `nginx -c <to>/nginx.conf` takes them.
pub(crate) fn write_nginx_configuration(to: &Path, values: &[(&str, &str)]) {
    let mut texts = 0;
    for entry in fs::read_dir(root().join("compose/nginx")).expect("it ships") {
        let path = entry.expect("an entry").path();
        let mut text = fs::read_to_string(&path).expect("text");
        for (name, value) in values {
            text = text.replace(&format!("${{NGINX_{name}}}"), value);
        }
        assert!(!text.contains("${"), "{}: {text}", path.display());
        fs::write(to.join(path.file_stem().expect("a name")), text).expect("the directory is writable");
        texts += 1;
    }
    assert_eq!(texts, 8);
}
