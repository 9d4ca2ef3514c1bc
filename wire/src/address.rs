//! Where servers are. Implements spec/11-identity.md §11.12.1 to §11.12.4.
//!
//! ```text
//! wxs-<base32 of the Ed25519 key>/relay.example.org:4433/192.0.2.7:4433/[2001:db8::7]:4433
//! ```
//! Invariants: an address has one text; hosts are lower-case DNS names or canonical literals, so nothing in them can hide.
//! Not here: resolving names, and checking what they resolve to (the network crate asks [`is_public`] again).
use alloc::{string::String, vec::Vec};
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use thiserror::Error;

use crate::{base32, keys::ServerPublicKey, proto};

/// A server's key and the hosts to try in order, 1 to 4.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerAddress {
    key: ServerPublicKey,
    hosts: Vec<Host>,
}

impl ServerAddress {
    /// Puts key and hosts together.
    ///
    /// # Errors
    /// If there is no host, more than 4, or one twice.
    pub fn new(key: ServerPublicKey, hosts: Vec<Host>) -> Result<Self, AddressError> {
        if hosts.is_empty() || hosts.len() > MAX_HOSTS {
            return Err(AddressError::HostCount);
        }
        for (index, host) in hosts.iter().enumerate() {
            if hosts.iter().take(index).any(|other| other == host) {
                return Err(AddressError::HostCount);
            }
        }
        Ok(Self { key, hosts })
    }

    /// The key the server must prove.
    #[must_use]
    pub fn key(&self) -> &ServerPublicKey {
        &self.key
    }

    /// Where to try it, in this order.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Whether no host names, by itself, a private or local network. An address from other people that does is refused
    /// unless the person configured it (§11.12.4).
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.hosts.iter().all(Host::is_public)
    }

    pub(crate) fn parse(address: &proto::identity::ServerAddress) -> Result<Self, AddressError> {
        let key = ServerPublicKey::from_bytes(&address.key).map_err(|_| AddressError::Key)?;
        Self::new(key, address.hosts.iter().map(|host| host.parse()).collect::<Result<_, _>>()?)
    }

    pub(crate) fn to_proto(&self) -> proto::identity::ServerAddress {
        proto::identity::ServerAddress {
            key: self.key.as_bytes().to_vec(),
            hosts: self.hosts.iter().map(|host| host.0.clone()).collect(),
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", base32::encode(self.key.as_bytes()))?;
        self.hosts.iter().try_for_each(|Host(host)| write!(f, "/{host}"))
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > MAX_TEXT {
            return Err(AddressError::HostCount);
        }
        let text = fold(text);
        let mut parts = text.strip_prefix(PREFIX).ok_or(AddressError::Prefix)?.split('/');
        let key = parts.next().filter(|key| key.len() == KEY_TEXT).and_then(base32::decode).ok_or(AddressError::Key)?;
        let key = ServerPublicKey::from_bytes(&key).map_err(|_| AddressError::Key)?;
        // One host more than allowed is enough to know that there are too many.
        let hosts = parts.take(MAX_HOSTS.saturating_add(1)).map(str::parse).collect::<Result<_, _>>()?;
        Self::new(key, hosts)
    }
}

/// `host:port`: a DNS name or an address literal, and a port from 1. At most 260 bytes.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Host(String);

impl Host {
    /// `host:port`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name or literal, without brackets.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.0.rsplit_once(':').map_or("", |(name, _)| name);
        name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default()
    }

    fn is_public(&self) -> bool {
        let name = self.name();
        match name.parse::<IpAddr>() {
            Ok(address) => is_public(address),
            Err(_) => name.contains('.') && !LOCAL_DOMAINS.iter().any(|local| name.ends_with(local)),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Host {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > MAX_HOST {
            return Err(AddressError::Host);
        }
        let (name, port) = text.rsplit_once(':').ok_or(AddressError::Port)?;
        let canonical_port = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
        if !canonical_port || port.parse::<u16>().is_err() {
            return Err(AddressError::Port);
        }
        let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let good = match literal {
            Some(inner) => inner.parse::<Ipv6Addr>().is_ok_and(|address| is_canonical(address, inner)),
            None => is_ipv4(name).unwrap_or_else(|| is_domain(name)),
        };
        if good { Ok(Self(text.into())) } else { Err(AddressError::Host) }
    }
}

/// Whether an address is one of the public internet: not private, local, shared, documentation, multicast or reserved
/// (IANA special-purpose registries; mapped and translated IPv4 is judged as IPv4).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Why a text or message is no server address (spec §11.12). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum AddressError {
    /// The text does not begin with `wxs-`.
    #[error("§11.12.1: not a server address")]
    Prefix,
    /// The key is none.
    #[error("§11.12.1: the server's key is not usable")]
    Key,
    /// No host, more than 4, or one twice.
    #[error("§11.12.2: an address has 1 to 4 different hosts")]
    HostCount,
    /// A host is neither a lower-case DNS name nor a canonical address literal.
    #[error("§11.12.3: a host is not a name or an address")]
    Host,
    /// The port is missing or not 1 to 65535.
    #[error("§11.12.3: a port is missing or out of range")]
    Port,
}

/// QR codes carry upper case at a third less: a text without any lower-case letter is folded; mixed case is left to fail.
pub(crate) fn fold(text: &str) -> alloc::borrow::Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) { text.into() } else { text.to_ascii_lowercase().into() }
}

fn is_canonical(address: Ipv6Addr, text: &str) -> bool {
    // `Display` writes RFC 5952's form; it is at most 45 bytes.
    alloc::format!("{address}") == text
}

/// None if the name is no dotted quad of digits at all.
fn is_ipv4(name: &str) -> Option<bool> {
    let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    // A name whose last label is a number would be read as an address by some resolver (WHATWG URL, "ends in a number").
    numeric.then(|| name.parse::<Ipv4Addr>().is_ok())
}

fn is_domain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let letters = label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    letters && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let [s0, s1, s2, s3, s4, s5, s6, s7] = address.segments();
    let [a, b] = s6.to_be_bytes();
    let [c, d] = s7.to_be_bytes();
    match (s0, s1) {
        // RFC 6052 translation of an IPv4 address.
        (0x64, 0xff9b) => [s2, s3, s4, s5] == [0; 4] && is_public_v4(Ipv4Addr::new(a, b, c, d)),
        // 6to4 and Teredo hide an IPv4 address; documentation; the protocol assignments.
        (0x2002, _) | (0x2001, 0x0db8) | (0x2001, 0..=0x1ff) | (0x3fff, 0..=0x0fff) => false,
        // Of the rest only 2000::/3 is given out.
        _ => s0 & 0xe000 == 0x2000,
    }
}

const PREFIX: &str = "wxs-";
/// Base32 of 32 bytes.
const KEY_TEXT: usize = 52;
const MAX_HOSTS: usize = 4;
/// Prefix, key, and four hosts of the greatest length with a slash each.
const MAX_TEXT: usize = PREFIX.len() + KEY_TEXT + MAX_HOSTS * (MAX_HOST + 1);
/// A DNS name of 253 bytes, a colon, 5 digits.
const MAX_HOST: usize = 260;
const LOCAL_DOMAINS: [&str; 6] = [".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test"];

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;
    use crate::keys::ServerKey;

    fn key() -> String {
        base32::encode(ServerKey::from_seed(&[3; 32]).public_key().as_bytes())
    }

    #[test]
    fn an_address_reads_and_writes_itself() {
        for hosts in [
            "relay.example.org:4433",
            "192.0.2.7:1",
            "[2001:db8::7]:65535/relay.example.org:443",
            "xn--bcher-kva.example:4433",
        ] {
            let text = format!("wxs-{}/{hosts}", key());
            let address: ServerAddress = text.parse().expect(hosts);
            assert_eq!(address.to_string(), text);
            assert_eq!(text.to_uppercase().parse(), Ok(address.clone()), "QR codes use upper case");
            assert_eq!(ServerAddress::parse(&address.to_proto()), Ok(address));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_rule() {
        let key = key();
        let long = "a".repeat(64);
        let small_order = base32::encode(&[0; 32]);
        for (text, error) in [
            (String::new(), AddressError::Prefix),
            (format!("wxa-{key}/a.b:1"), AddressError::Prefix),
            (format!("wxs-{}/a.b:1", &key[1..]), AddressError::Key),
            (format!("wxs-{small_order}/a.b:1"), AddressError::Key),
            (format!("wxs-{key}"), AddressError::HostCount),
            (format!("wxs-{key}/"), AddressError::Port),
            (format!("wxs-{key}/a.b:1/a.b:1"), AddressError::HostCount),
            (format!("wxs-{key}/a:1/b:1/c:1/d:1/e:1"), AddressError::HostCount),
            (format!("wxs-{key}/a.b"), AddressError::Port),
            (format!("wxs-{key}/a.b:0"), AddressError::Port),
            (format!("wxs-{key}/a.b:01"), AddressError::Port),
            (format!("wxs-{key}/a.b:+1"), AddressError::Port),
            (format!("wxs-{key}/a.b:65536"), AddressError::Port),
            (format!("wxs-{key}/A.b:1"), AddressError::Host),
            (format!("wxs-{key}/a_b.c:1"), AddressError::Host),
            (format!("wxs-{key}/-a.c:1"), AddressError::Host),
            (format!("wxs-{key}/a..c:1"), AddressError::Host),
            (format!("wxs-{key}/a.c.:1"), AddressError::Host),
            (format!("wxs-{key}/{long}.c:1"), AddressError::Host),
            (format!("wxs-{key}/bücher.example:1"), AddressError::Host),
            (format!("wxs-{key}/1.2.3:1"), AddressError::Host),
            (format!("wxs-{key}/01.2.3.4:1"), AddressError::Host),
            (format!("wxs-{key}/2130706433:1"), AddressError::Host),
            (format!("wxs-{key}/[::1:1"), AddressError::Host),
            (format!("wxs-{key}/[2001:0db8::7]:1"), AddressError::Host),
            (format!("wxs-{key}/a@b.c:1"), AddressError::Host),
        ] {
            assert_eq!(text.parse::<ServerAddress>(), Err(error), "{text}");
        }
    }

    #[test]
    fn addresses_that_reach_into_private_networks_are_not_public() {
        for host in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "[::]",
            "[::1]",
            "[fe80::1]",
            "[fc00::1]",
            "[fd12::1]",
            "[ff02::1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::a00:1]",
            "[2002:a00:1::]",
            "[2001:db8::1]",
            "localhost",
            "relay",
            "printer.local",
            "db.internal",
            "a.localhost",
            "nas.home.arpa",
        ] {
            let host: Host = format!("{host}:443").parse().expect(host);
            assert!(!host.is_public(), "{host}");
        }
        for host in
            ["8.8.8.8", "172.32.0.1", "[2a00:1450::1]", "[64:ff9b::808:808]", "relay.example.org", "100.128.0.1"]
        {
            let host: Host = format!("{host}:443").parse().expect(host);
            assert!(host.is_public(), "{host}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_is_what_would_be_written(text in "wxs-[a-z2-7]{52}(/[a-z0-9.:\\[\\]-]{1,30}){0,3}") {
            if let Ok(address) = text.parse::<ServerAddress>() {
                prop_assert_eq!(address.to_string(), text);
            }
        }

        #[test]
        fn a_host_that_parses_writes_itself(text in "[a-z0-9.\\[\\]:-]{1,40}:[0-9]{1,5}") {
            if let Ok(host) = text.parse::<Host>() {
                prop_assert_eq!(format!("{}", host), text);
                prop_assert!(host.port() > 0);
            }
        }
    }
}
