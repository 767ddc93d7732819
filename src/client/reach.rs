//! How far inside an address lies: what a server may point its clients to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Where a URL leads, by its text, without asking a resolver. The order is from inside out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// This machine.
    Loopback,
    /// A network of our own: private, link-local, shared or unspecified addresses.
    Private,
    /// Names, and every other address.
    Public,
}

impl Reach {
    /// Of the URL's host.
    pub(super) fn of(url: &Url) -> Self {
        match url.host() {
            Some(Host::Ipv4(address)) => Self::of_address(address.into()),
            Some(Host::Ipv6(address)) => Self::of_address(address.into()),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                if name == "localhost" || name.ends_with(".localhost") { Self::Loopback } else { Self::Public }
            }
            None => Self::Public,
        }
    }

    fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            address if address.is_loopback() => Self::Loopback,
            // Connecting to it reaches this machine.
            address if address.is_unspecified() => Self::Loopback,
            IpAddr::V4(address) if is_private_v4(address) => Self::Private,
            IpAddr::V6(address) if is_private_v6(address) => Self::Private,
            _ => Self::Public,
        }
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    // 100.64.0.0/10 is RFC 6598's shared space; 169.254.169.254 is where clouds keep credentials.
    address.is_private() || address.is_link_local() || (first == 100 && (64..128).contains(&second)) || first == 0
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_unique_local() || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_is_told_from_outside_however_it_is_written() {
        for (url, reach) in [
            ("http://127.0.0.1:1", Reach::Loopback),
            ("http://127.1", Reach::Loopback),
            ("http://0x7f000001", Reach::Loopback),
            ("https://[::ffff:127.0.0.1]", Reach::Loopback),
            ("https://[::1]", Reach::Loopback),
            ("https://0.0.0.0", Reach::Loopback),
            ("https://LOCALHOST.", Reach::Loopback),
            ("https://a.localhost", Reach::Loopback),
            ("https://10.0.0.1", Reach::Private),
            ("https://172.31.0.1", Reach::Private),
            ("https://192.168.1.1", Reach::Private),
            ("https://169.254.169.254", Reach::Private),
            ("https://100.64.0.1", Reach::Private),
            ("https://[fd00::1]", Reach::Private),
            ("https://[fe80::1]", Reach::Private),
            ("https://[::ffff:10.0.0.1]", Reach::Private),
            ("https://172.32.0.1", Reach::Public),
            ("https://8.8.8.8", Reach::Public),
            ("https://kc.example", Reach::Public),
        ] {
            assert_eq!(Reach::of(&Url::parse(url).unwrap()), reach, "{url}");
        }
    }
}
