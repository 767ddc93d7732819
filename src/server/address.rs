//! Where a request comes from, which behind a proxy is not where its connection comes from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header, request::Parts};

use super::limiter::Key;
use crate::config::IpNetwork;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where a connection does not say whence it comes.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The address of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address(IpAddr);

impl Address {
    /// As the layers in front found it.
    pub(super) fn of_request(parts: &Parts) -> Self {
        parts.extensions.get::<Self>().copied().unwrap_or(Self(UNKNOWN))
    }

    /// The peer, unless that is one of our proxies: then the nearest hop that is none. Anybody may write what stands to
    /// the left of that hop.
    pub(super) fn of(peer: Option<SocketAddr>, headers: &HeaderMap, proxies: &[IpNetwork]) -> Self {
        let peer = peer.map_or(UNKNOWN, |peer| peer.ip().to_canonical());
        let is_proxy = |address: IpAddr| proxies.iter().any(|proxy| proxy.contains(address));
        if !is_proxy(peer) {
            return Self(peer);
        }
        let nearest = |name: &HeaderName, read: fn(&str) -> Option<IpAddr>| {
            let values = headers.get_all(name).iter().rev();
            let mut elements = values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(','));
            // A header that says nothing readable is there all the same: the other one must not decide alone.
            let mut found = headers.contains_key(name).then_some(peer);
            // What is no address was written by the hop before it, which is the last one known.
            while let Some(address) = elements.next().and_then(|element| read(element.trim())) {
                found = Some(address);
                if !is_proxy(address) {
                    break;
                }
            }
            found
        };
        match (nearest(&X_FORWARDED_FOR, node), nearest(&header::FORWARDED, forwarded_for)) {
            (Some(address), None) | (None, Some(address)) => Self(address),
            // A proxy writes one of them and passes on the other: a caller who sends that one decides nothing by it.
            (Some(one), Some(other)) if one == other => Self(one),
            _ => Self(peer),
        }
    }

    /// By what it is counted.
    pub(super) const fn key(&self) -> Key<'static> {
        Key::Address(self.network())
    }

    /// What is one caller's: an address of IPv4, or all of a /64.
    pub(super) const fn network(&self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !(u64::MAX as u128))),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]`, the first and the last also with a port.
fn node(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// The `for` of an element of `Forwarded` (RFC 7239 section 4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    node(value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const PROXIES: [&str; 2] = ["10.0.0.0/8", "fd00::/8"];

    fn address(peer: &str, lines: &[(&'static str, &'static str)]) -> String {
        let proxies = PROXIES.map(|proxy| proxy.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Address::of(Some(SocketAddr::new(peer.parse().unwrap(), 9)), &headers, &proxies).to_string()
    }

    #[test]
    fn h25_forwarded_headers_count_from_a_proxy_only() {
        for line in [("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=198.51.100.1")] {
            assert_eq!(address("203.0.113.9", &[line]), "203.0.113.9");
            assert_eq!(address("10.0.0.1", &[line]), "198.51.100.1");
            assert_eq!(address("::ffff:10.0.0.1", &[line]), "198.51.100.1");
        }
    }

    #[test]
    fn h25_the_rightmost_hop_that_is_no_proxy_counts() {
        for (value, expected) in [
            ("1.1.1.1, 198.51.100.1", "198.51.100.1"),
            ("1.1.1.1,198.51.100.1,10.9.9.9 , fd00::1", "198.51.100.1"),
            ("198.51.100.1:4711", "198.51.100.1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
            // Nobody but proxies, or words: the last hop that is known.
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("198.51.100.1, unknown", "10.0.0.1"),
            ("198.51.100.1, unknown, 10.0.0.2", "10.0.0.2"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(address("10.0.0.1", &[("x-forwarded-for", value)]), expected, "{value}");
        }
        let lines = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "198.51.100.2")];
        assert_eq!(address("10.0.0.1", &lines), "198.51.100.2", "lines are one list");
        for value in ["for=1.1.1.1, proto=https;For=\"198.51.100.1:80\"", "for=\"1, for=198.51.100.1;by=10.0.0.1"] {
            assert_eq!(address("10.0.0.1", &[("forwarded", value)]), "198.51.100.1", "{value}");
        }
        assert_eq!(address("10.0.0.1", &[("forwarded", "for=_hidden")]), "10.0.0.1");
    }

    #[test]
    fn h25_the_header_that_the_proxy_passes_on_decides_nothing() {
        let written = ("x-forwarded-for", "198.51.100.1");
        assert_eq!(address("10.0.0.1", &[written, ("forwarded", "for=192.0.2.7")]), "10.0.0.1");
        assert_eq!(address("10.0.0.1", &[written, ("forwarded", "for=198.51.100.1")]), "198.51.100.1");
        let unreadable = ("x-forwarded-for", "unknown");
        assert_eq!(address("10.0.0.1", &[unreadable, ("forwarded", "for=192.0.2.7")]), "10.0.0.1");
    }

    #[test]
    fn h25_a_64_is_one_caller_and_an_ipv4_address_is_one() {
        let key = |text: &str| Address(text.parse().unwrap()).key();
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("198.51.100.1"), key("198.51.100.2"));
    }
}
