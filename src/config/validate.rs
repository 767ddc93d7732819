//! What the values mean, and whether they may stand together. Every problem is reported before anything is refused.

use std::{collections::BTreeMap, path::PathBuf};

use url::Url;

use super::{
    ClientSettings, Config, Environment, Fallback, IssuerChoice, IssuerSettings, Limits, Log, Purpose, Server, keys,
    problem::{Report, quoted},
    raw::{Value, Values, Written, items},
    upstream,
    values::{self, Refusal, refused},
};
use crate::{
    oauth::{Scopes, is_https_or_loopback, is_loopback},
    secret::Secret,
};

/// Makes a configuration of the values. It is only good if nothing was reported: what could not be read has its
/// default.
pub(super) fn validate(purpose: Purpose, values: &Values, environment: &Environment, report: &mut Report) -> Config {
    let mut reader = Reader { values: &values.by_path, report };
    let state_dir = state_dir(&mut reader, environment);
    let config = Config {
        state_dir,
        server: server(&mut reader),
        issuer: issuer(&mut reader),
        scopes_supported: scopes(&mut reader),
        upstream: upstream::read(&mut reader, environment),
        limits: limits(&mut reader),
        log: log(&mut reader),
        client: client(&mut reader, values.token.clone()),
        warnings: Vec::new(),
    };
    // What a file that could not be read would have set is unknown.
    if values.is_whole {
        check_issuer(&mut reader);
        if purpose == Purpose::Serve {
            check_exposure(&config, &mut reader);
        }
    }
    config
}

fn state_dir(reader: &mut Reader<'_>, environment: &Environment) -> PathBuf {
    let named = reader.optional("state_dir", values::text).map(|path| environment.absolute(path));
    let found = named.or_else(|| environment.xdg("XDG_STATE_HOME", ".local/state"));
    if found.is_none() && reader.is_unset("state_dir") {
        let message = "`state_dir` is not set and, without `HOME`, has no default";
        reader.report.problem_with_hint(message, "set `SECUREMCP_STATE_DIR`");
    }
    found.unwrap_or_default()
}

fn server(reader: &mut Reader<'_>) -> Server {
    Server {
        listen: reader.required("server.listen", values::listen),
        resource: reader.optional("server.resource", values::resource),
        audiences: reader.list("server.audiences", values::text).unwrap_or_default(),
        trusted_proxies: reader.list("server.trusted_proxies", values::proxy).unwrap_or_default(),
        allowed_hosts: reader.list("server.allowed_hosts", values::host).unwrap_or_default(),
        allowed_origins: reader.list("server.allowed_origins", values::origin).unwrap_or_default(),
        max_body_bytes: reader.required("server.max_body_bytes", values::body_bytes),
        drain_timeout: reader.required("server.drain_timeout", values::duration),
    }
}

fn issuer(reader: &mut Reader<'_>) -> IssuerSettings {
    let url = reader.optional("issuer.url", values::issuer);
    let backchannel_url = reader.fetched_from("issuer.backchannel_url");
    let jwks_uri = reader.fetched_from("issuer.jwks_uri");
    let face_network = reader.required("embedded.face_network", values::switch);
    let resources = reader.list("embedded.resources", values::resource).unwrap_or_default();
    IssuerSettings {
        choice: match url {
            Some(url) => IssuerChoice::External { url, backchannel_url, jwks_uri },
            None => IssuerChoice::Embedded { face_network, resources },
        },
        algorithms: reader.filled_list("issuer.algorithms", values::algorithm).unwrap_or_default(),
        leeway: reader.required("issuer.leeway", values::leeway),
        allowed_clients: reader.filled_list("issuer.allowed_clients", values::text),
    }
}

fn scopes(reader: &mut Reader<'_>) -> Option<Scopes> {
    let scopes = reader.filled_list("scopes.supported", |text| Scopes::parse(text).map_err(refused))?;
    Some(scopes.iter().fold(Scopes::none(), |all, more| all.union(more)))
}

fn limits(reader: &mut Reader<'_>) -> Limits {
    Limits {
        sessions_per_principal: reader.required("limits.sessions_per_principal", values::number_from_1),
        sessions: reader.required("limits.sessions", values::number_from_1),
        session_idle: reader.required("limits.session_idle", values::duration_from_1s),
    }
}

fn log(reader: &mut Reader<'_>) -> Log {
    Log {
        level: reader.required("log.level", values::log_level),
        format: reader.required("log.format", values::log_format),
    }
}

fn client(reader: &mut Reader<'_>, token: Option<Secret>) -> ClientSettings {
    let secret = |text: &str| values::text(text).map(Secret::new);
    ClientSettings {
        server: reader.required("client.server", values::resource),
        id: reader.optional("client.id", values::text),
        secret: reader.optional("client.secret", secret),
        token,
        initial_access_token: reader.optional("client.initial_access_token", secret),
        issuer: reader.quietly("issuer.url", values::issuer),
        issuer_backchannel_url: reader.quietly("issuer.backchannel_url", values::http_url),
    }
}

/// Where an issuer is reached means nothing without knowing which one.
fn check_issuer(reader: &mut Reader<'_>) {
    for path in ["issuer.backchannel_url", "issuer.jwks_uri"] {
        if let Some(value) = reader.values.get(path).filter(|_| reader.is_unset("issuer.url")) {
            let message = format!("{}: `{path}` is set without `issuer.url`", value.origin);
            reader.report.problem_with_hint(message, "set `SECUREMCP_ISSUER` to the issuer's name in its tokens");
        }
    }
}

/// Beyond loopback: TLS in front, a name of its own, and no embedded issuer by accident.
fn check_exposure(config: &Config, reader: &mut Reader<'_>) {
    let server = &config.server;
    let faces_network = !server.listen.ip().to_canonical().is_loopback();
    if faces_network {
        let exposed = format!(
            "{}: `server.listen` is `{}`, beyond loopback",
            reader.values["server.listen"].origin, server.listen
        );
        if reader.is_unset("server.trusted_proxies") || reader.is_empty("server.trusted_proxies") {
            reader.report.problem_with_hint(
                format!("{exposed}, expected a TLS proxy in front of it"),
                "put a TLS proxy in front and declare it with `server.trusted_proxies`, or listen on `127.0.0.1`",
            );
        }
        if reader.is_unset("server.resource") {
            reader.report.problem_with_hint(
                format!("{exposed}, expected `server.resource` to name the server"),
                "set `SECUREMCP_RESOURCE` to the https URL that clients use, such as `https://mcp.example.com/mcp`",
            );
        }
    }
    let remote = server.resource.as_ref().filter(|resource| !is_loopback(&resource.url()));
    let may_face_network = reader.quietly("embedded.face_network", values::switch) != Some(false);
    if may_face_network || !reader.is_unset("issuer.url") {
        return;
    }
    let exposed = match remote {
        Some(resource) => format!("`server.resource` is {}", quoted(resource.as_str())),
        None if faces_network => format!("`server.listen` is `{}`", server.listen),
        None => return,
    };
    reader.report.problem_with_hint(
        format!(
            "{exposed}, but the embedded issuer is for loopback unless `--embedded-issuer-on-network` says otherwise"
        ),
        "name the issuer that people log in to with `issuer.url`, or keep the server on loopback",
    );
}

pub(super) struct Reader<'a> {
    pub(super) values: &'a BTreeMap<&'static str, Value>,
    pub(super) report: &'a mut Report,
}

impl Reader<'_> {
    pub(super) fn optional<T>(&mut self, path: &'static str, parse: impl Fn(&str) -> Result<T, Refusal>) -> Option<T> {
        match &self.values.get(path)?.written {
            Written::Text(text) => parse(text).map_err(|refusal| self.refuse(path, &refusal)).ok(),
            Written::List(_) => {
                self.refuse(path, "is a list, expected one value");
                None
            }
            Written::Section(_) | Written::Broken => None,
        }
    }

    /// The value of a key that has a default.
    pub(super) fn required<T>(&mut self, path: &'static str, parse: impl Fn(&str) -> Result<T, Refusal>) -> T {
        self.optional(path, &parse).unwrap_or_else(|| {
            let default = keys::find(path).map(|key| key.default);
            let Some(Fallback::Value(text)) = default else { unreachable!("`{path}` has a default in the table") };
            parse(text).unwrap_or_else(|refusal| unreachable!("the default of `{path}` {refusal}"))
        })
    }

    fn list<T>(&mut self, path: &'static str, parse: impl Fn(&str) -> Result<T, Refusal>) -> Option<Vec<T>> {
        let items: Vec<String> = match &self.values.get(path)?.written {
            Written::Text(text) => items(text).collect(),
            Written::List(items) => items.clone(),
            Written::Section(_) | Written::Broken => return None,
        };
        let mut good = Vec::new();
        for item in items {
            match parse(&item) {
                Ok(value) => good.push(value),
                Err(refusal) => self.refuse(path, &format!("has an item that {refusal}")),
            }
        }
        Some(good)
    }

    /// A list that means nothing without an item.
    fn filled_list<T>(&mut self, path: &'static str, parse: impl Fn(&str) -> Result<T, Refusal>) -> Option<Vec<T>> {
        if self.is_empty(path) {
            self.refuse(path, "is an empty list, expected at least one item");
        }
        self.list(path, parse)
    }

    /// A URL that keys or metadata come from.
    pub(super) fn fetched_from(&mut self, path: &'static str) -> Option<Url> {
        let url = self.optional(path, values::http_url)?;
        if !is_https_or_loopback(&url) {
            self.report.warn(format!(
                "`{path}` is plain http to another machine: use it only where nobody can change its answers on the way"
            ));
        }
        Some(url)
    }

    /// A value that has been judged already.
    fn quietly<T>(&self, path: &str, parse: impl Fn(&str) -> Result<T, Refusal>) -> Option<T> {
        match &self.values.get(path)?.written {
            Written::Text(text) => parse(text).ok(),
            _ => None,
        }
    }

    fn is_unset(&self, path: &str) -> bool {
        !self.values.contains_key(path)
    }

    fn is_empty(&self, path: &str) -> bool {
        self.values.get(path).is_some_and(|value| match &value.written {
            Written::Text(text) => items(text).next().is_none(),
            Written::List(items) => items.is_empty(),
            Written::Section(entries) => entries.is_empty(),
            Written::Broken => false,
        })
    }

    fn refuse(&mut self, path: &'static str, refusal: &str) {
        let value = &self.values[path];
        let message = format!("{}: `{path}` {refusal}", value.origin);
        match value.hint {
            Some(hint) => self.report.problem_with_hint(message, hint),
            None => self.report.problem(message),
        };
    }
}
