//! Networks that guests must not connect to. Resolved addresses are checked.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr as _;

/// Blocked networks.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    private: bool,
    ranges: Vec<IpNet>,
}

impl Networks {
    /// Parses `private`, addresses, and networks such as `10.0.0.0/8`; returns the text that is none of these.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let mut networks = Self::default();
        for text in texts {
            if text == "private" {
                networks.private = true;
            } else {
                let range = IpNet::from_str(text).or_else(|_| IpAddr::from_str(text).map(IpNet::from));
                networks.ranges.push(range.map_err(|_| text.clone())?);
            }
        }
        Ok(networks)
    }

    /// The entry that blocks `address`. An IPv4 address embedded in an IPv6 address counts as the IPv4 address.
    pub fn find(&self, address: IpAddr) -> Option<String> {
        let address = unwrap_ipv4(address);
        if self.private && is_private(address) {
            return Some("private".to_owned());
        }
        self.ranges.iter().find(|range| range.contains(&address)).map(ToString::to_string)
    }
}

/// Extracts the IPv4 address from IPv4-mapped addresses and from those with the well-known NAT64 prefix (RFC 6052 §2.1).
fn unwrap_ipv4(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let nat64 = (v6.to_bits() >> 32) == (0x0064_ff9b_u128 << 64);
    let low = Ipv4Addr::from_bits(u32::try_from(v6.to_bits() & u128::from(u32::MAX)).unwrap_or(0));
    if nat64 { IpAddr::V4(low) } else { v6.to_ipv4_mapped().map_or(address, IpAddr::V4) }
}

/// Whether `address` is reachable from the internet. The wildcard addresses (`0.0.0.0`, `::`) count as private.
pub fn is_public(address: IpAddr) -> bool {
    !is_private(unwrap_ipv4(address))
}

/// Whether `address` is not globally reachable (by the registries of RFC 6890).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

fn is_private_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
}

fn is_private_v6(v6: Ipv6Addr) -> bool {
    let [first, second, third, ..] = v6.segments();
    v6.is_loopback()
        || v6.is_unspecified()
        || v6.is_multicast()
        || v6.is_unique_local()
        || v6.is_unicast_link_local()
        || (first == 0x2001 && second == 0x0db8)
        || (first == 0x2001 && second < 0x0200)
        // 6to4 and local-use NAT64 can embed private IPv4 addresses; the others are not routed.
        || first == 0x2002
        || (first == 0x0064 && second == 0xff9b && third == 1)
        || (first == 0x0100 && second == 0 && third == 0)
        || (first & 0xffc0) == 0xfec0
        || (first == 0x3fff && second < 0x1000)
        || v6.to_bits() >> 32 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(networks: &[&str], address: &str) -> bool {
        let texts: Vec<String> = networks.iter().map(|&text| text.to_owned()).collect();
        Networks::parse(&texts).expect("networks").find(address.parse().expect(address)).is_some()
    }

    #[test]
    fn private_covers_addresses_not_globally_reachable() {
        for (address, expected) in [
            ("10.0.0.1", true),
            ("2002:0a00:0001::1", true),
            ("64:ff9b:1::1", true),
            ("64:ff9b:2::1", false),
            ("100::1", true),
            ("100:0:1::1", false),
            ("fec0::1", true),
            ("3fff:fff::1", true),
            ("3fff:1000::1", false),
            ("127.0.0.1", true),
            ("169.254.169.254", true),
            ("172.15.255.255", false),
            ("172.16.0.0", true),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("192.168.1.1", true),
            ("100.63.255.255", false),
            ("100.64.0.0", true),
            ("100.128.0.0", false),
            ("0.0.0.0", true),
            ("255.255.255.255", true),
            ("8.8.8.8", false),
            ("::1", true),
            ("::", true),
            ("fe80::1", true),
            ("fd00::1", true),
            ("::ffff:10.0.0.1", true),
            ("::ffff:8.8.8.8", false),
            ("64:ff9b::a00:1", true),
            ("64:ff9b::808:808", false),
            ("2606:4700::1111", false),
        ] {
            assert_eq!(blocks(&["private"], address), expected, "{address}");
            assert!(!blocks(&[], address), "{address}");
        }
    }

    #[test]
    fn networks_include_their_first_and_last_address() {
        for (network, address, expected) in [
            ("10.1.0.0/16", "10.1.255.255", true),
            ("10.1.0.0/16", "10.2.0.0", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("8.8.8.8", "8.8.8.8", true),
            ("8.8.8.8", "8.8.8.9", false),
            ("2001:db8::/32", "2001:db8:ffff::", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ] {
            assert_eq!(blocks(&[network], address), expected, "{network} {address}");
        }
    }

    #[test]
    fn refuses_invalid_networks() {
        for text in ["privat", "10.0.0.0/33", "10.0.0/8", "::/129", ""] {
            assert_eq!(Networks::parse(&[text.to_owned()]).map(|_| ()), Err(text.to_owned()));
        }
    }

    #[test]
    fn recognizes_public_addresses() {
        for (address, expected) in [
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("172.31.0.1", false),
            ("172.32.0.1", true),
            ("8.8.8.8", true),
            ("::1", false),
            ("::", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("2a00:1450::1", true),
            ("::ffff:8.8.8.8", true),
            ("::ffff:10.0.0.1", false),
        ] {
            let found = is_public(address.parse().expect("an address"));
            assert_eq!(found, expected, "{address}");
        }
    }
}
