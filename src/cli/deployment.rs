//! `securemcp init --compose`: the names, secrets and certificate that the deployment in `compose/` needs.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::json;
use url::Url;

use super::{
    exit::{Exit, Failure},
    init::{Planned, place, there_already},
    surroundings::Surroundings,
};
use crate::{
    clock::SystemClock,
    config::{Config, Environment, Flag, IssuerChoice},
    secret::Secret,
    store::{OwnFile, PrivateDir},
    tls::self_signed,
};

/// The path of the issuer: the realm in `keycloak/` has this name.
const REALM: &str = "/realms/mcp-realm";

/// Secrets that are passwords, each a file of this name.
const PASSWORDS: [&str; 5] = [
    "keycloak_admin_password",
    "keycloak_client_secret",
    "mcp_resource_client_secret",
    "mcp_test_user_password",
    "postgres_password",
];

/// Containers run as accounts of their own, and a mounted file keeps its mode: the directory keeps others out.
const SECRET_MODE: u32 = 0o644;

/// By which names the deployment is called.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    server: String,
    issuer: String,
    port: u16,
}

/// Writes `.env` and `secrets/`, all or nothing, and says how to go on.
///
/// `check` judges settings as `serve --check` does.
pub(super) fn run(
    directory: &Path,
    force: bool,
    flags: &[Flag],
    surroundings: &Surroundings,
    check: impl Fn(&Environment, Vec<Flag>) -> Result<Config, Failure>,
) -> Result<Exit, Failure> {
    let names = Names::of(&check(&surroundings.environment, with_proxy(flags))?)?;
    let secrets = directory.join("secrets");
    let mut texts = vec![(directory.join(".env"), env(&names))];
    texts.extend(secret_files(&names, flags)?.into_iter().map(|(name, text)| (secrets.join(name), text)));
    let paths: Vec<_> = texts.iter().map(|(path, _)| path.clone()).collect();
    let before = paths.iter().map(|path| Ok(OwnFile::at(path)?.read()?)).collect::<Result<Vec<_>, Failure>>()?;
    there_already(&paths, &before, force)?;
    let planned = texts.into_iter().zip(before).map(|((path, text), before)| Planned::at(&path, text, before));
    let planned = planned.collect::<Result<Vec<_>, _>>()?;
    if !directory.is_dir() {
        let problem = format!("there is no directory `{}`", directory.display());
        return Err(Failure::message(Exit::Failed, problem).hint("name the one with compose.yaml".to_owned()));
    }
    PrivateDir::open(&secrets)?;
    place(&planned)?;
    for path in paths.iter().filter(|path| path.starts_with(&secrets)) {
        fs::set_permissions(path, fs::Permissions::from_mode(SECRET_MODE)).map_err(|error| {
            Failure::message(Exit::Failed, format!("cannot let containers read `{}`: {error}", path.display()))
        })?;
    }
    let next = next(directory);
    if surroundings.printer.is_json() {
        surroundings.printer.document(&json!({"files": paths, "next": next}))?;
    } else {
        let count = paths.len() - 1;
        surroundings.printer.note(&format!("wrote `{}`", directory.join(".env").display()));
        surroundings.printer.note(&format!("wrote {count} secrets in `{}`", secrets.display()));
        surroundings.printer.note(&format!("next  {next}"));
    }
    Ok(Exit::Done)
}

/// The server is behind nginx there.
fn with_proxy(flags: &[Flag]) -> Vec<Flag> {
    let proxy = Flag { key: "server.trusted_proxies", value: "127.0.0.1".to_owned(), name: "--trusted-proxy" };
    flags.iter().cloned().chain([proxy]).collect()
}

impl Names {
    /// nginx serves both names at one port, and tells them apart by the host.
    fn of(config: &Config) -> Result<Self, Failure> {
        let (Some(resource), IssuerChoice::External { url: issuer, .. }) =
            (&config.server.resource, &config.issuer.choice)
        else {
            return Err(misfit("`--compose` needs the URLs that clients will use: `--resource` and `--issuer`"));
        };
        let (server, issuer) = (resource.url(), issuer.url());
        for (flag, url, path) in [("--resource", &server, "/mcp"), ("--issuer", &issuer, REALM)] {
            if url.scheme() != "https" || url.path() != path || url.query().is_some() {
                return Err(misfit(format!("`{flag}` is `{url}`, expected `https://<name>{path}`")));
            }
        }
        let (Some(server_host), Some(issuer_host)) = (server.domain(), issuer.domain()) else {
            return Err(misfit(
                "`--resource` and `--issuer` need names, not addresses: nginx tells them apart by name",
            ));
        };
        if server_host == issuer_host || port(&server) != port(&issuer) {
            let problem = format!("`{server}` and `{issuer}`, expected two names at one port");
            return Err(misfit(problem));
        }
        Ok(Self { server: server_host.to_owned(), issuer: issuer_host.to_owned(), port: port(&server) })
    }
}

fn port(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or(443)
}

fn misfit(problem: impl Into<String>) -> Failure {
    let example = "such as `--resource https://mcp.example.com/mcp --issuer https://auth.example.com/realms/mcp-realm`";
    Failure::message(Exit::Configuration, problem.into()).hint(example.to_owned())
}

/// What `docker compose` fills into compose.yaml.
fn env(names: &Names) -> String {
    let mut text = "# Read by `docker compose` in this directory, as `securemcp init --compose` wrote it.\n".to_owned();
    let _ = writeln!(text, "MCP_HOST={}\nAUTH_HOST={}", names.server, names.issuer);
    if names.port != 443 {
        let _ = writeln!(text, "HTTPS_PORT={}", names.port);
    }
    text
}

/// The name and the content of each secret.
fn secret_files(names: &Names, flags: &[Flag]) -> Result<Vec<(&'static str, String)>, Failure> {
    let line = |secret: &Secret| format!("{}\n", secret.expose());
    let mut files: Vec<_> = PASSWORDS.iter().map(|name| (*name, line(&Secret::random()))).collect();
    let redis = Secret::random();
    files.push(("redis_password", line(&redis)));
    files.push(("redis_url", format!("redis://:{}@redis:6379/0\n", redis.expose())));
    let given = |key: &str| flags.iter().find(|flag| flag.key == key).map(|flag| PathBuf::from(&flag.value));
    let (certificate, key) = if let Some((certificate, key)) = given("server.tls_cert").zip(given("server.tls_key")) {
        (text(&certificate)?, text(&key)?)
    } else {
        let hosts = [names.server.clone(), names.issuer.clone()];
        let made = self_signed(&hosts, SystemClock::shared().since_epoch()).map_err(|error| {
            Failure::message(Exit::Failed, format!("cannot make a certificate for {hosts:?}: {error}"))
        })?;
        (made.certificate, made.key.expose().to_owned())
    };
    files.extend([("tls_certificate", certificate), ("tls_key", key)]);
    Ok(files)
}

fn text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::message(Exit::Failed, format!("cannot read `{}`: {error}", path.display())))
}

/// The command that starts it.
fn next(directory: &Path) -> String {
    if directory == Path::new(".") {
        return "docker compose up --wait".to_owned();
    }
    format!("docker compose --project-directory {} up --wait", directory.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_port_than_443_is_written() {
        let names = |port| Names { server: "mcp.example".to_owned(), issuer: "auth.example".to_owned(), port };
        assert!(env(&names(443)).ends_with("MCP_HOST=mcp.example\nAUTH_HOST=auth.example\n"));
        assert!(env(&names(8443)).ends_with("AUTH_HOST=auth.example\nHTTPS_PORT=8443\n"));
    }
}
