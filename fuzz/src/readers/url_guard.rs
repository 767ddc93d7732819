//! A URL that a stranger has us fetch.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use securemcp::net::{Guard, Options};
use url::{Host, Url};

pub(super) fn read(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(url) = Url::parse(text) else { return };
    let guard = |allow_loopback| Guard::new(Options::with_timeout(Duration::from_secs(1)), allow_loopback);
    if guard(false).check(&url).is_ok() {
        assert_eq!(url.scheme(), "https", "{url}");
        if let Some(address) = address(&url) {
            assert!(!is_special(address), "{url} leads to {address}");
        }
    }
    if guard(true).check(&url).is_ok()
        && let Some(address) = address(&url)
    {
        assert!(address.is_loopback() || !is_special(address), "{url} leads to {address}");
    }
}

fn address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// By the standard library's own lists, and not by those that are under test.
fn is_special(address: IpAddr) -> bool {
    let of_v4 = |address: Ipv4Addr| {
        address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_broadcast()
            || address.is_documentation()
            || address.is_unspecified()
            || address.is_multicast()
    };
    let of_v6 = |address: Ipv6Addr| {
        address.is_loopback()
            || address.is_unspecified()
            || address.is_multicast()
            || address.is_unique_local()
            || address.is_unicast_link_local()
            || address.to_ipv4().is_some_and(of_v4)
    };
    match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => of_v6(address),
    }
}
