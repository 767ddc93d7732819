//! A range of IP addresses, as RFC 4632 and RFC 4291 write it.

use std::{fmt, net::IpAddr, str::FromStr};

/// `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

/// A text that is no address range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an IP address or network such as `10.0.0.0/8`")]
pub struct NotANetwork(String);

impl IpNetwork {
    /// Whether `address` is in the range. A listener on `[::]` sees IPv4 peers as `::ffff:a.b.c.d`: these are IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let ((own, width), (other, other_width)) = (bits(self.address), bits(address.to_canonical()));
        let host_bits = u32::from(width - self.prefix);
        width == other_width && (own ^ other).checked_shr(host_bits).unwrap_or(0) == 0
    }

    /// Whether it is every address of its family.
    pub const fn is_everything(&self) -> bool {
        self.prefix == 0
    }
}

impl FromStr for IpNetwork {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let refused = || NotANetwork(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let (_, width) = bits(address);
        let prefix = prefix.map_or(Ok(width), str::parse).map_err(|_| refused())?;
        // A mapped address would never match, because peers are compared in their canonical form.
        if prefix > width || address.to_canonical() != address {
            return Err(refused());
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

/// The address as a number, and how many bits it has.
const fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (address.to_bits() as u128, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<IpNetwork>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn the_prefix_decides() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("10.1.2.3/8", "10.9.9.9", "9.255.255.255"),
            ("192.168.1.128/25", "192.168.1.255", "192.168.1.127"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("fd00::/8", "fdff::1", "fe80::1"),
            ("::1", "::1", "::2"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("::/0", "2001:db8::1", "203.0.113.9"),
        ] {
            assert!(contains(network, inside), "{inside} in {network}");
            assert!(!contains(network, outside), "{outside} in {network}");
        }
    }

    #[test]
    fn a_mapped_peer_counts_as_ipv4() {
        assert!(contains("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(!contains("::/0", "::ffff:10.0.0.1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in
            ["", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "fd00::/129", "proxy", "10.0.0", "::ffff:10.0.0.0/104"]
        {
            assert_eq!(bad.parse::<IpNetwork>(), Err(NotANetwork(bad.to_owned())), "{bad}");
        }
    }

    #[test]
    fn it_prints_as_it_is_written() {
        assert_eq!("fd00::/8".parse::<IpNetwork>().unwrap().to_string(), "fd00::/8");
        assert_eq!("10.0.0.1".parse::<IpNetwork>().unwrap().to_string(), "10.0.0.1/32");
    }
}
