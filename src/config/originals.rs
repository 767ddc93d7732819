//! The variables of the original program: what they mean here, and which of them mean nothing any more.
//!
//! An empty one counts as unset. A variable of ours beats them without a word.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    Key,
    keys::keys,
    problem::{Report, quoted},
    raw::{Value, Variables, Written},
    values,
};

/// What the original's variables say about `key`; `below` is the value that the file or the default gives it.
pub(super) fn value(key: &Key, variables: &Variables, below: Option<&Value>, report: &mut Report) -> Option<Value> {
    if key.path == "server.listen" {
        return host_and_port(variables, below, report);
    }
    if let Some((value, origin)) = key.original.first().and_then(|name| variables.get_filled(name)) {
        // A FastAPI program's env file may write a list as JSON.
        let written = serde_json::from_str(value).map_or_else(|_| Written::Text(value.to_owned()), Written::List);
        return Some(Value { written, origin: origin.to_owned(), hint: None });
    }
    if key.path == "issuer.url" { keycloak(variables, report) } else { None }
}

/// `HOST` and `PORT` replace the halves of the listening address. Other programs use these names too: hence the
/// warning, and hence a `HOST` that is a machine's name is left alone, since some shells set it to that.
fn host_and_port(variables: &Variables, below: Option<&Value>, report: &mut Report) -> Option<Value> {
    let host = variables.get_filled("HOST").and_then(|(host, _)| {
        let address = if host == "localhost" { Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { host.parse().ok() };
        if address.is_none() {
            let host = quoted(host);
            report
                .warn(format!("`HOST` is {host}, no IP address, and ignored; `SECUREMCP_LISTEN` says where to listen"));
        }
        address
    });
    let port = variables.get_filled("PORT").map(|(port, _)| port.to_owned());
    let names = match (host, &port) {
        (Some(_), Some(_)) => "`HOST` and `PORT`",
        (Some(_), None) => "`HOST`",
        (None, Some(_)) => "`PORT`",
        (None, None) => return None,
    };
    let below = below.and_then(|value| match &value.written {
        Written::Text(text) => values::listen(text).ok(),
        _ => None,
    });
    let (default_host, default_port) =
        below.map_or((IpAddr::V4(Ipv4Addr::LOCALHOST), 8000), |address| (address.ip(), address.port()));
    let port = port.unwrap_or_else(|| default_port.to_string());
    let address = match host.unwrap_or(default_host) {
        IpAddr::V4(host) => format!("{host}:{port}"),
        IpAddr::V6(host) => format!("[{host}]:{port}"),
    };
    report.warn(format!("{names} set the listening address {}; set `SECUREMCP_LISTEN` instead", quoted(&address)));
    Some(Value::text(address, names))
}

fn keycloak(variables: &Variables, report: &mut Report) -> Option<Value> {
    let (url, realm) = (variables.get_filled("KEYCLOAK_URL"), variables.get_filled("KEYCLOAK_REALM"));
    let (set, missing) = match (url, realm) {
        (None, None) => return None,
        (Some((url, url_origin)), Some((realm, realm_origin))) => {
            let mut value = Value::text(
                format!("{}/realms/{realm}", url.trim_end_matches('/')),
                format!("{url_origin} and {realm_origin}"),
            );
            value.hint = Some(
                "set `SECUREMCP_ISSUER` to the issuer's name in its tokens, and `SECUREMCP_ISSUER_BACKCHANNEL_URL` to where \
                 it is reached from here",
            );
            return Some(value);
        }
        (Some((_, origin)), None) => (origin, "KEYCLOAK_REALM"),
        (None, Some((_, origin))) => (origin, "KEYCLOAK_URL"),
    };
    report.problem_with_hint(
        format!("{set} is set without `{missing}`, expected both: together they name the issuer"),
        format!("set `{missing}`, or `SECUREMCP_ISSUER` in place of both"),
    );
    Some(Value::broken())
}

/// Warns of variables that did something in the original and do nothing here.
///
/// `APP_NAME`, `DEBUG` and the like belong to half of all programs: they are mentioned only when a variable that is
/// plainly the original's is set as well.
pub(super) fn warn_of_ignored(variables: &Variables, report: &mut Report) {
    for name in variables.filled_names() {
        if let Some(instead) = instead_of_prefixed(name) {
            report.warn(format!("`{name}` has no effect; {instead}"));
        }
    }
    let shared = ["HOST", "PORT", "LOG_LEVEL", "LOG_FORMAT"];
    let is_telling = |name: &str| {
        instead_of_prefixed(name).is_some()
            || !shared.contains(&name) && keys().iter().any(|key| key.original.contains(&name))
    };
    if !variables.filled_names().any(is_telling) {
        return;
    }
    for (name, instead) in [
        ("APP_NAME", "`server.resource` names this server"),
        ("APP_VERSION", "the version is the program's own"),
        ("CONTAINER_ENV", "`SECUREMCP_ISSUER_BACKCHANNEL_URL` says where the issuer is reached"),
        ("DEBUG", "set `SECUREMCP_LOG_LEVEL=debug` instead"),
        ("WORKERS", "one process uses every core"),
    ] {
        if variables.get_filled(name).is_some() {
            report.warn(format!("`{name}` has no effect; {instead}"));
        }
    }
}

/// What replaces the original's three views of one address, if `name` is one of them.
fn instead_of_prefixed(name: &str) -> Option<&'static str> {
    let (view, of) = name.split_once('_').filter(|(view, _)| matches!(*view, "EXTERNAL" | "INTERNAL" | "PUBLIC"))?;
    if of.starts_with("KEYCLOAK") {
        Some(match view {
            "INTERNAL" => "set `SECUREMCP_ISSUER_BACKCHANNEL_URL` to where the issuer is reached instead",
            _ => "set `SECUREMCP_ISSUER` to the issuer's name instead",
        })
    } else if ["BASE", "MCP", "SERVER"].iter().any(|start| of.starts_with(start)) {
        Some("set `SECUREMCP_RESOURCE` to the URL that names this server instead")
    } else {
        None
    }
}
