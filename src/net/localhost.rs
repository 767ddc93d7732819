//! Names below `localhost` are this machine, whatever DNS says of them: RFC 6761 section 6.3.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Asks the system for every other name. Few systems know `mcp.localhost`; browsers and curl do.
#[derive(Debug)]
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // reqwest puts the port in.
            let addresses: Vec<SocketAddr> = if is_local(name.as_str()) {
                // Programs that serve on loopback mostly do so on the first only.
                vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()]
            } else {
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect()
            };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn is_local(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_of_this_machine_are_not_asked_for() {
        for name in ["localhost", "mcp.localhost", "a.b.LocalHost", "auth.localhost."] {
            let found: Vec<_> = Resolver.resolve(name.parse().unwrap()).await.unwrap().collect();
            assert_eq!(found, ["127.0.0.1:0", "[::1]:0"].map(|address| address.parse().unwrap()), "{name}");
        }
        for name in ["localhost.example", "notlocalhost", "localhost.localdomain", ""] {
            assert!(!is_local(name), "{name}");
        }
    }
}
