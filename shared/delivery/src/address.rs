//! Which addresses a counterparty may have: public ones.
//!
//! The ranges are the IANA special-purpose registries for IPv4 (RFC 6890 and successors) and IPv6, plus every way in
//! which an IPv6 address carries an IPv4 one. The rule is "refuse what is listed" for IPv4 and "accept only global unicast"
//! for IPv6, as the registries suggest.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address belongs to the public internet.
///
/// `false` for private, loopback, link-local (where cloud metadata lives), shared, documentation, benchmark, multicast,
/// reserved and unspecified addresses, and for IPv6 forms that lead to any of those.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        // This network, private, loopback.
        0 | 10 | 127 => true,
        // Shared address space of carriers (and of some clouds' metadata), RFC 6598.
        100 => (64..128).contains(&b),
        // Link-local; 169.254.169.254 and 169.254.170.2 hand out credentials.
        169 => b == 254,
        172 => (16..32).contains(&b),
        // Private; protocol assignments; documentation; the retired 6to4 relay.
        192 => b == 168 || (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99),
        // Benchmarking, documentation.
        198 => b == 18 || b == 19 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        // Multicast, reserved, broadcast.
        224.. => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // ::ffff:a.b.c.d, the mapped form that connects over IPv4.
        [0, 0, 0, 0, 0, 0xffff, high, low] => is_public_v4(embedded(high, low)),
        // 64:ff9b::a.b.c.d, translated by NAT64 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(embedded(high, low)),
        // 6to4 (RFC 3056) and Teredo (RFC 4380) carry an IPv4 address; neither has a place in a bank.
        [0x2002, ..] | [0x2001, 0, ..] => false,
        // Protocol assignments 2001::/23, documentation 2001:db8::/32 and 3fff::/20.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Global unicast is 2000::/3. Loopback, unique local, link-local, site-local and multicast lie outside.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// The name has an address that is not public. Found in the error chain of a failed connection.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to an address that is not public")]
pub(crate) struct NotPublic;

/// Resolves names with the system's resolver and refuses a name as soon as one of its addresses is not public.
///
/// One is enough: a name that answers with a public and a private address at once is an attack, not a bank.
pub(crate) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // Port 0 is replaced by the URL's port when connecting.
            let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if addresses.iter().all(|address| is_public(address.ip())) {
                Ok(Box::new(addresses.into_iter()) as Addrs)
            } else {
                Err(NotPublic.into())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> bool {
        !is_public(text.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_accepted() {
        for text in
            ["1.1.1.1", "8.8.8.8", "100.63.0.1", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.0.1"]
        {
            assert!(!refused(text), "{text}");
        }
        for text in ["2606:4700:4700::1111", "2400:3200::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"] {
            assert!(!refused(text), "{text}");
        }
    }

    #[test]
    fn private_loopback_and_reserved_addresses_are_refused() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(refused(text), "{text}");
        }
    }

    #[test]
    fn fault_24_metadata_and_link_local_addresses_are_refused() {
        for text in ["169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254", "fe80::1"] {
            assert!(refused(text), "{text}");
        }
    }

    #[test]
    fn fault_24_an_ipv6_form_does_not_hide_an_ipv4_address() {
        for text in [
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:0:7f00:1::",
            "::127.0.0.1",
            "::",
            "::1",
        ] {
            assert!(refused(text), "{text}");
        }
    }

    #[test]
    fn ipv6_ranges_that_are_not_global_unicast_are_refused() {
        for text in
            ["fc00::1", "fdff::1", "fec0::1", "ff02::1", "2001:db8::1", "2001:10::1", "3fff::1", "100::1"]
        {
            assert!(refused(text), "{text}");
        }
    }
}
