//! What this server is called: its resource identifiers, and the hosts and origins that may be used with it.

use std::{collections::BTreeSet, net::SocketAddr};

use url::Url;

use crate::{config, oauth::Resource};

/// Where MCP is served.
pub(super) const MCP_PATH: &str = "/mcp";
/// MCP Inspector's pages, which a developer runs beside a loopback server.
const INSPECTOR_ORIGINS: [&str; 2] = ["http://localhost:6274", "http://127.0.0.1:6274"];

/// The names of this server. On loopback there are three, a closed set; anywhere else there is the configured one. Never is
/// anything taken from `Host` but the choice among them.
#[derive(Debug)]
pub(super) struct Names {
    /// Every resource and the authority (`host:port`, lower case) it answers to. The first is the principal one.
    resources: Vec<(String, Resource)>,
    hosts: BTreeSet<String>,
    origins: BTreeSet<String>,
}

impl Names {
    /// Names for a server that listens on `address`.
    pub(super) fn new(settings: &config::Server, address: SocketAddr) -> Self {
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let resources: Vec<Resource> = match &settings.resource {
            Some(resource) => vec![resource.clone()],
            None => loopback_hosts(address)
                .iter()
                .map(|host| format!("{scheme}://{host}:{}{MCP_PATH}", address.port()))
                .map(|name| Resource::parse(&name).expect("https, or http on loopback"))
                .collect(),
        };
        let resources: Vec<_> = resources.into_iter().map(|resource| (authority(&resource.url()), resource)).collect();
        let mut hosts: BTreeSet<String> = resources.iter().map(|(host, _)| host.clone()).collect();
        hosts.extend(settings.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()));
        let mut origins: BTreeSet<String> =
            resources.iter().map(|(_, resource)| resource.url().origin().ascii_serialization()).collect();
        if settings.allowed_origins.is_empty() && settings.resource.is_none() {
            origins.extend(INSPECTOR_ORIGINS.map(str::to_owned));
        }
        let configured = settings.allowed_origins.iter().filter_map(|origin| Url::parse(origin).ok());
        origins.extend(configured.map(|url| url.origin().ascii_serialization()));
        Self { resources, hosts, origins }
    }

    /// The principal resource.
    pub(super) fn resource(&self) -> &Resource {
        &self.resources[0].1
    }

    /// All resources.
    pub(super) fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().map(|(_, resource)| resource)
    }

    /// What a certificate of this server is for: names and addresses without ports.
    pub(super) fn certified_hosts(&self) -> Vec<String> {
        let bare = |host: &String| {
            let url = Url::parse(&format!("https://{host}")).ok()?;
            Some(url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned())
        };
        self.hosts.iter().filter_map(bare).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The index of the resource that answers to this host; the principal one for other allowed hosts.
    pub(super) fn resource_index(&self, host: &str) -> usize {
        self.resources.iter().position(|(name, _)| name.eq_ignore_ascii_case(host)).unwrap_or_default()
    }

    /// Where this path is under the name of that resource: what a client calls, whoever forwards it here.
    pub(super) fn url_of(&self, resource: usize, path: &str) -> Url {
        let mut url = self.resources[resource].1.url();
        if path != MCP_PATH {
            let base = url.path().strip_suffix(MCP_PATH).unwrap_or_default().to_owned();
            url.set_path(&format!("{base}{path}"));
        }
        url
    }

    /// Whether a request may name this host. A default port may be written or left out.
    pub(super) fn allows_host(&self, host: &str) -> bool {
        if self.hosts.contains(host) {
            return true;
        }
        let host = host.to_ascii_lowercase();
        let bare = host.strip_suffix(":443").or_else(|| host.strip_suffix(":80")).unwrap_or(&host);
        self.hosts.contains(&host) || self.hosts.contains(bare)
    }

    /// Whether a page of this origin may call.
    pub(super) fn allows_origin(&self, origin: &str) -> bool {
        // Browsers send exactly the serialisation of RFC 6454 section 6.2; whatever differs from it is not a browser's.
        self.origins.contains(origin)
    }
}

/// The names of this machine to itself, and the address itself.
pub(super) fn loopback_hosts(address: SocketAddr) -> Vec<String> {
    let own = match address {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    };
    let mut hosts = vec![own];
    for name in ["127.0.0.1", "localhost", "[::1]"] {
        if !hosts.iter().any(|host| host == name) {
            hosts.push(name.to_owned());
        }
    }
    hosts
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_what_is_in_front_of_the_resource() {
        let named = |resource: &str| Names {
            resources: vec![(String::new(), Resource::parse(resource).unwrap())],
            hosts: BTreeSet::new(),
            origins: BTreeSet::new(),
        };
        for (resource, path, expected) in [
            ("https://h/mcp", "/mcp", "https://h/mcp"),
            ("https://h/mcp", "/api/v1/me", "https://h/api/v1/me"),
            ("https://h/team/a/mcp", "/mcp", "https://h/team/a/mcp"),
            ("https://h/team/a/mcp", "/api/v1/me", "https://h/team/a/api/v1/me"),
            ("https://h/tools", "/mcp", "https://h/tools"),
            ("https://h/tools", "/api/v1/me", "https://h/api/v1/me"),
            ("https://h", "/mcp", "https://h/"),
        ] {
            assert_eq!(named(resource).url_of(0, path).as_str(), expected);
        }
    }
}
