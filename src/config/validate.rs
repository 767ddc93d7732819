//! What the values mean, and whether they may stand together. Every problem is reported before anything is refused.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    ClientSettings, Config, Dpop, Environment, Introspection, IssuerChoice, IssuerSettings, Limits, Log, Purpose,
    Redis, Server, embedded, keys,
    problem::{Report, quoted},
    raw::Values,
    reader::Reader,
    tls, upstream,
    values::{self, refused},
    vouched,
};
use crate::{
    oauth::{Resource, Scopes, is_loopback},
    secret::Secret,
};

/// Makes a configuration of the values. It is only good if nothing was reported: what could not be read has its
/// default.
pub(super) fn validate(purpose: Purpose, values: &Values, environment: &Environment, report: &mut Report) -> Config {
    let mut reader = Reader { values: &values.by_path, report };
    let state_dir = state_dir(&mut reader, environment);
    let config = Config {
        state_dir,
        server: server(&mut reader, environment),
        issuer: issuer(&mut reader),
        redis: redis(&mut reader),
        scopes_supported: scopes(&mut reader, "scopes.supported"),
        dpop: Dpop {
            required_for: scopes(&mut reader, "scopes.require_dpop").unwrap_or_else(Scopes::none),
            nonce: reader.required("server.dpop_nonce", values::switch),
        },
        upstream: upstream::read(&mut reader, environment),
        limits: limits(&mut reader),
        log: log(&mut reader, environment),
        client: client(&mut reader, environment, values.token.clone()),
        effective: Vec::new(),
        warnings: Vec::new(),
    };
    // What a file that could not be read would have set is unknown.
    if values.is_whole {
        check_issuer(&mut reader);
        if purpose == Purpose::Serve {
            check_exposure(&config, &mut reader);
            check_loopback_documents(&config.server, &mut reader);
            check_metrics(&config.server, &mut reader);
            check_audit(&mut reader);
            check_registration(&config.client, &mut reader);
        }
    }
    config
}

fn check_audit(reader: &mut Reader<'_>) {
    if let Some(key) = reader.values.get("audit.key").filter(|_| reader.is_unset("audit.file")) {
        let message = format!("{}: `audit.key` is set without `audit.file`", key.origin);
        reader
            .report
            .problem_with_hint(message, "name a file with `--audit-file`: only its lines vouch for each other");
    }
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

fn server(reader: &mut Reader<'_>, environment: &Environment) -> Server {
    let listen: SocketAddr = reader.required("server.listen", values::listen);
    let resource = reader.optional("server.resource", values::resource);
    let tls = tls::tls(reader, environment, resource.as_ref());
    let faces_network = !is_loopback_address(listen) || resource.as_ref().is_some_and(is_remote);
    let requires_https = reader.optional("server.require_https", values::switch).unwrap_or(faces_network);
    let hsts_max_age = reader.required("server.hsts_max_age", values::duration);
    Server {
        listen,
        resource,
        hsts_max_age: (tls.is_some() && requires_https).then_some(hsts_max_age).filter(|age| !age.is_zero()),
        tls,
        audiences: reader.list("server.audiences", values::text).unwrap_or_default(),
        trusted_proxies: reader.list("server.trusted_proxies", values::proxy).unwrap_or_default(),
        allowed_hosts: reader.list("server.allowed_hosts", values::host).unwrap_or_default(),
        allowed_origins: reader.list("server.allowed_origins", values::origin).unwrap_or_default(),
        docs_client_id: docs_client_id(reader),
        max_body_bytes: reader.required("server.max_body_bytes", values::body_bytes),
        drain_timeout: reader.required("server.drain_timeout", values::duration),
        metrics_listen: reader.optional("server.metrics_listen", values::listen),
    }
}

/// The embedded issuer knows the page without it.
fn docs_client_id(reader: &mut Reader<'_>) -> Option<String> {
    let path = "server.docs_client_id";
    let client_id = reader.optional(path, values::text);
    if let Some(value) = reader.values.get(path).filter(|_| reader.is_unset("issuer.url")) {
        let message = format!("{}: `{path}` is for an issuer elsewhere, and the embedded one is on", value.origin);
        reader.report.warn(message);
    }
    client_id
}

fn issuer(reader: &mut Reader<'_>) -> IssuerSettings {
    let url = reader.optional("issuer.url", values::issuer);
    let backchannel_url = reader.fetched_from("issuer.backchannel_url");
    let jwks_uri = reader.fetched_from("issuer.jwks_uri");
    let face_network = reader.required("embedded.face_network", values::switch);
    let cimd_allow_loopback = reader.required("embedded.cimd_allow_loopback", values::switch);
    let resources = reader.list("embedded.resources", values::resource).unwrap_or_default();
    let (users, auto_approve) = (embedded::users(reader), embedded::auto_approve(reader));
    IssuerSettings {
        choice: match url {
            Some(url) => IssuerChoice::External { url, backchannel_url, jwks_uri },
            None => IssuerChoice::Embedded { face_network, cimd_allow_loopback, resources, users, auto_approve },
        },
        introspection: introspection(reader),
        algorithms: reader.filled_list("issuer.algorithms", values::algorithm).unwrap_or_default(),
        leeway: reader.required("issuer.leeway", values::leeway),
        allowed_clients: reader.filled_list("issuer.allowed_clients", values::text),
    }
}

/// A client id makes the difference; the endpoint alone is what the original's environment has.
fn introspection(reader: &mut Reader<'_>) -> Option<Introspection> {
    let endpoint = reader.fetched_from("issuer.introspection.endpoint");
    let client_id = reader.optional("issuer.introspection.client_id", values::text);
    let client_secret =
        reader.optional("issuer.introspection.client_secret", |text| values::text(text).map(Secret::new));
    for (path, needs) in [
        ("issuer.introspection.client_id", "issuer.introspection.client_secret"),
        ("issuer.introspection.client_secret", "issuer.introspection.client_id"),
    ] {
        if let Some(value) = reader.values.get(path).filter(|_| reader.is_unset(needs)) {
            let variable = keys::find(needs).and_then(|key| key.variable).unwrap_or_default();
            let message = format!("{}: `{path}` is set without `{needs}`", value.origin);
            reader.report.problem_with_hint(message, format!("set `{variable}`, or unset both to take JWTs"));
        }
    }
    if let (None, Some(value)) = (&client_id, reader.values.get("issuer.introspection.endpoint")) {
        reader.report.warn(format!(
            "{}: the issuer is not asked about tokens: that needs `issuer.introspection.client_id` and its secret",
            value.origin
        ));
    }
    Some(Introspection { endpoint, client_id: client_id?, client_secret: client_secret? })
}

fn redis(reader: &mut Reader<'_>) -> Option<Redis> {
    let url = reader.optional("redis.url", values::redis_url);
    let ttl = reader.required("redis.ttl", values::duration_from_1s);
    Some(Redis { url: url?, ttl })
}

fn scopes(reader: &mut Reader<'_>, path: &'static str) -> Option<Scopes> {
    let scopes = reader.filled_list(path, |text| Scopes::parse(text).map_err(refused))?;
    Some(scopes.iter().fold(Scopes::none(), |all, more| all.union(more)))
}

fn limits(reader: &mut Reader<'_>) -> Limits {
    Limits {
        per_client: reader.required("limits.per_client", values::rate),
        per_address: reader.required("limits.per_address", values::rate),
        sessions_per_principal: reader.required("limits.sessions_per_principal", values::number_from_1),
        sessions: reader.required("limits.sessions", values::number_from_1),
        session_idle: reader.required("limits.session_idle", values::duration_from_1s),
        unread_bytes: reader.required("limits.unread_bytes", values::number_from_1),
    }
}

fn log(reader: &mut Reader<'_>, environment: &Environment) -> Log {
    let mut file = |path| reader.optional(path, |text| values::file_to_write(text, environment));
    let (file, audit_file) = (file("log.file"), file("audit.file"));
    let audit_key = reader.optional("audit.key", values::audit_key);
    Log {
        file,
        audit_file,
        audit_key,
        level: reader.required("log.level", values::log_level),
        format: reader.required("log.format", values::log_format),
    }
}

fn client(reader: &mut Reader<'_>, environment: &Environment, token: Option<Secret>) -> ClientSettings {
    let secret = |text: &str| values::text(text).map(Secret::new);
    ClientSettings {
        server: reader.required("client.server", values::resource),
        id: reader.optional("client.id", values::text),
        secret: reader.optional("client.secret", secret),
        private_key: vouched::private_key(reader),
        vouched_by: vouched::vouched_by(reader, environment),
        metadata_url: reader.optional("client.metadata_url", values::document_url),
        dpop: reader.required("client.dpop", values::switch),
        token,
        keeps_tokens: reader.required("client.token_store", values::token_store),
        initial_access_token: reader
            .optional("client.initial_access_token", |text| values::bearer_token(text).map(Secret::new)),
        use_dcr: reader.required("client.use_dcr", values::switch),
        registration_key: reader.optional("client.registration_key", values::registration_key),
        keycloak_admin: reader.optional("client.keycloak_admin", values::text),
        keycloak_admin_password: reader.optional("client.keycloak_admin_password", secret),
        issuer: reader.quietly("issuer.url", values::issuer),
        issuer_backchannel_url: reader.quietly("issuer.backchannel_url", values::http_url),
    }
}

/// Where an issuer is reached means nothing without knowing which one.
fn check_issuer(reader: &mut Reader<'_>) {
    for path in ["issuer.backchannel_url", "issuer.jwks_uri", "issuer.introspection.client_id"] {
        if let Some(value) = reader.values.get(path).filter(|_| reader.is_unset("issuer.url")) {
            let message = format!("{}: `{path}` is set without `issuer.url`", value.origin);
            reader.report.problem_with_hint(message, "set `SECUREMCP_ISSUER` to the issuer's name in its tokens");
        }
    }
}

fn is_loopback_address(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn is_remote(resource: &Resource) -> bool {
    !is_loopback(&resource.url())
}

/// What the server needs to register a client for itself; nobody is there to be asked for a password.
fn check_registration(client: &ClientSettings, reader: &mut Reader<'_>) {
    if let Some(key) = reader.values.get("client.registration_key")
        && reader.is_unset("redis.url")
    {
        reader.report.warn(format!("{}: `client.registration_key` has no effect without `redis.url`", key.origin));
    }
    if !client.use_dcr {
        return;
    }
    let origin = &reader.values["client.use_dcr"].origin;
    if reader.is_unset("issuer.url") {
        reader.report.warn(format!(
            "{origin}: `client.use_dcr` has no effect: the embedded issuer makes this account's client by itself"
        ));
    } else if client.keycloak_admin.is_some() && reader.is_unset("client.keycloak_admin_password") {
        reader.report.problem_with_hint(
            format!("{origin}: `client.use_dcr` is to use `client.keycloak_admin`, which has no password"),
            "set `SECUREMCP_KEYCLOAK_ADMIN_PASSWORD` or `SECUREMCP_KEYCLOAK_ADMIN_PASSWORD_FILE`, or bring an initial \
             access token and unset `SECUREMCP_KEYCLOAK_ADMIN`",
        );
    }
}

/// Two listeners cannot share a port.
fn check_metrics(server: &Server, reader: &mut Reader<'_>) {
    let (listen, Some(metrics)) = (server.listen, server.metrics_listen) else { return };
    let is_any = listen.ip().is_unspecified() || metrics.ip().is_unspecified();
    let overlap = listen.ip() == metrics.ip() || is_any && listen.is_ipv4() == metrics.is_ipv4();
    if overlap && listen.port() == metrics.port() && metrics.port() != 0 {
        let origin = &reader.values["server.metrics_listen"].origin;
        reader.report.problem_with_hint(
            format!("{origin}: `server.metrics_listen` is `{metrics}`, where `server.listen` is too: `{listen}`"),
            "choose another port for metrics, such as `127.0.0.1:9464`",
        );
    }
}

/// Beyond loopback: TLS, here or in front, a name of its own, and no embedded issuer by accident.
fn check_exposure(config: &Config, reader: &mut Reader<'_>) {
    let server = &config.server;
    let faces_network = !is_loopback_address(server.listen);
    let has_proxy = !reader.is_unset("server.trusted_proxies") && !reader.is_empty("server.trusted_proxies");
    // A certificate that cannot be used has been reported already.
    let is_plain = !has_proxy && !tls::is_wanted(reader);
    let ways =
        "set `server.tls_cert` and `server.tls_key`, or declare the TLS proxy in front with `server.trusted_proxies`";
    if faces_network {
        let exposed = format!(
            "{}: `server.listen` is `{}`, beyond loopback",
            reader.values["server.listen"].origin, server.listen
        );
        if is_plain {
            let hint = format!("{ways}, or listen on `127.0.0.1`");
            reader.report.problem_with_hint(format!("{exposed}, expected TLS, here or in front of it"), hint);
        }
        if reader.is_unset("server.resource") {
            reader.report.problem_with_hint(
                format!("{exposed}, expected `server.resource` to name the server"),
                "set `SECUREMCP_RESOURCE` to the https URL that clients use, such as `https://mcp.example.com/mcp`",
            );
        }
    }
    if is_plain && !faces_network && reader.quietly("server.require_https", values::switch) == Some(true) {
        let origin = &reader.values["server.require_https"].origin;
        reader
            .report
            .problem_with_hint(format!("{origin}: `server.require_https` is `true`, but there is no TLS"), ways);
    }
    if let IssuerChoice::Embedded { auto_approve: Some(_), .. } = &config.issuer.choice
        && faces_network
    {
        let origin = &reader.values["embedded.auto_approve"].origin;
        reader.report.problem_with_hint(
            format!(
                "{origin}: `embedded.auto_approve` is set, and `server.listen` is `{}`, beyond loopback",
                server.listen
            ),
            "unset `embedded.auto_approve`: people log in, and are asked",
        );
    }
    let remote = server.resource.as_ref().filter(|resource| is_remote(resource));
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

/// Whoever reaches the server then has it fetch from this machine, so nobody from elsewhere may.
fn check_loopback_documents(server: &Server, reader: &mut Reader<'_>) {
    if reader.quietly("embedded.cimd_allow_loopback", values::switch) != Some(true) {
        return;
    }
    let remote = server.resource.as_ref().filter(|resource| is_remote(resource));
    let obstacles = [
        (!reader.is_unset("issuer.url")).then(|| "`issuer.url` names an issuer elsewhere".to_owned()),
        (!is_loopback_address(server.listen)).then(|| format!("`server.listen` is `{}`", server.listen)),
        remote.map(|resource| format!("`server.resource` is {}", quoted(resource.as_str()))),
        (!server.trusted_proxies.is_empty()).then(|| "`server.trusted_proxies` declares a proxy in front".to_owned()),
    ];
    let origin = &reader.values["embedded.cimd_allow_loopback"].origin;
    for obstacle in obstacles.into_iter().flatten() {
        reader.report.problem_with_hint(
            format!(
                "{origin}: `embedded.cimd_allow_loopback` is for an embedded issuer on loopback only, but {obstacle}"
            ),
            "serve the documents of clients by https on the public internet, and leave the switch out",
        );
    }
}
