//! Where a connection comes from, without saying it. Implements spec/18-transport.md §18.5.2.
//!
//! Invariants: an address goes in and a keyed hash comes out; the key lives in memory and dies with the process, so that a
//! [`Source`] says nothing to whoever holds it later; its debug form shows nothing at all.
use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv6Addr},
};

/// What rate limits are counted against: an IPv4 address, or the /64 of an IPv6 address. Opaque, good for this process only.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Source(u64);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(..)")
    }
}

/// Hashes addresses under a key of its own.
#[derive(Default)]
pub(crate) struct Sources(RandomState);

impl Sources {
    pub(crate) fn of(&self, address: IpAddr) -> Source {
        let network = match address.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)
            }
        };
        Source(self.0.hash_one(network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sources: &Sources, address: &str) -> Source {
        sources.of(address.parse().expect(address))
    }

    #[test]
    fn one_host_is_one_source_whatever_it_does_with_its_64_bits() {
        let sources = Sources::default();
        assert_eq!(of(&sources, "2001:db8:1:2::1"), of(&sources, "2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_eq!(of(&sources, "192.0.2.7"), of(&sources, "::ffff:192.0.2.7"));
        assert_ne!(of(&sources, "192.0.2.7"), of(&sources, "192.0.2.8"));
        assert_ne!(of(&sources, "2001:db8:1:2::1"), of(&sources, "2001:db8:1:3::1"));
    }

    #[test]
    fn d4_a_source_prints_nothing_and_means_nothing_to_another_process() {
        let (one, other) = (Sources::default(), Sources::default());
        assert_ne!(of(&one, "192.0.2.7"), of(&other, "192.0.2.7"));
        assert_eq!(format!("{:?}", of(&one, "192.0.2.7")), "Source(..)");
    }
}
