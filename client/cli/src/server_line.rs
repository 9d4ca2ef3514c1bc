//! What `serve` prints and `init --server` takes. Implements spec/22-client-api.md §22.9.
//!
//! ```text
//! waxwing:server/1/<relay>,<key server>[,<invitation of the relay>,<of the key server>]
//!                   wxs-…/host:port                 32 hexadecimal digits each
//! ```
//! Invariant: one line, no character that a shell reads, but for the brackets of IPv6 literals.
use std::{fmt, str::FromStr};

use waxwing_wire::{address::ServerAddress, frame::InviteToken};

/// Both servers, and for whom they are open.
#[derive(Debug)]
pub struct ServerLine {
    /// The relay.
    pub relay: ServerAddress,
    /// The key server.
    pub keyserver: ServerAddress,
    /// An invitation of each; it serves once.
    pub invitations: Option<(InviteToken, InviteToken)>,
}

impl fmt::Display for ServerLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{},{}", self.relay, self.keyserver)?;
        match &self.invitations {
            None => Ok(()),
            Some((relay, keyserver)) => {
                write!(f, ",{},{}", hex::encode(relay.expose()), hex::encode(keyserver.expose()))
            }
        }
    }
}

impl FromStr for ServerLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.trim().strip_prefix(PREFIX).ok_or_else(|| {
            format!(
                "a server is {PREFIX}…, as `waxwing serve` prints it; for two addresses give --relay and --keyserver"
            )
        })?;
        let address = |part: &str, whose: &str| {
            part.parse::<ServerAddress>()
                .map_err(|error| format!("the {whose}'s address is wrong ({error}); copy it again"))
        };
        let parts: Vec<&str> = rest.split(',').collect();
        let (relay, keyserver, invitations) = match *parts.as_slice() {
            [relay, keyserver] => (relay, keyserver, None),
            [relay, keyserver, one, other] => (relay, keyserver, Some((invitation(one)?, invitation(other)?))),
            _ => return Err("the line is not whole; copy it again".into()),
        };
        Ok(Self { relay: address(relay, "relay")?, keyserver: address(keyserver, "key server")?, invitations })
    }
}

/// From 32 hexadecimal digits.
///
/// # Errors
/// If it is something else.
pub fn invitation(text: &str) -> Result<InviteToken, String> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 16]);
    hex::decode_to_slice(text, bytes.as_mut_slice())
        .map_err(|_| "an invitation is 32 hexadecimal digits; copy it again")?;
    Ok(InviteToken::from_bytes(*bytes))
}

const PREFIX: &str = "waxwing:server/1/";

#[cfg(test)]
mod tests {
    use super::*;

    fn address(seed: u8, host: &str) -> String {
        let key = waxwing_wire::keys::ServerKey::from_seed(&[seed; 32]).public_key();
        ServerAddress::new(key, vec![host.parse().unwrap()]).unwrap().to_string()
    }

    #[test]
    fn a_line_reads_and_writes_itself() {
        let (relay, keyserver) = (address(1, "[::1]:4433"), address(2, "keys.example.org:4434"));
        let token = "00112233445566778899aabbccddeeff";
        for line in [format!("{PREFIX}{relay},{keyserver}"), format!("{PREFIX}{relay},{keyserver},{token},{token}")] {
            assert_eq!(line.parse::<ServerLine>().unwrap().to_string(), line);
        }
    }

    #[test]
    fn what_is_no_line_says_what_to_do() {
        let (relay, keyserver) = (address(1, "[::1]:4433"), address(2, "keys.example.org:4434"));
        for (line, says) in [
            (String::new(), "as `waxwing serve` prints it"),
            (relay.clone(), "as `waxwing serve` prints it"),
            (format!("{PREFIX}{relay}"), "not whole"),
            (format!("{PREFIX}{relay},{keyserver},00"), "not whole"),
            (format!("{PREFIX}{relay},{keyserver},00,00"), "32 hexadecimal digits"),
            (format!("{PREFIX}{},{keyserver}", relay.replacen("wxs-", "wxs-a", 1)), "the relay's address is wrong"),
            (format!("{PREFIX}{relay},wxs-x"), "the key server's address is wrong"),
        ] {
            let error = line.parse::<ServerLine>().unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
