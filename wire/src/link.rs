//! Contact links and QR codes. Implements spec/11-identity.md §11.12.5 to §11.12.7.
//!
//! ```text
//! waxwing:contact/1/<base32 of {account id, reach key, token?, key servers} ‖ 4 check bytes>
//! WAXWING:CONTACT/1/<the same in upper case>            in QR codes: alphanumeric mode, a third shorter
//! ```
//! Invariants: a link has one text in lower case; a truncated or mistyped one is refused, not half believed. Nothing in a link
//! is signed: who gives it is who is added.
//! Not here: asking the person, and refusing servers on private networks ([`ServerAddress::is_public`]).
use alloc::{format, string::String, vec::Vec};
use core::{fmt, str::FromStr};

use prost::Message as _;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    address::{self, AddressError, ServerAddress},
    base32,
    canonical::{self, CanonicalError, Mode},
    id::AccountId,
    keys::{IntroductionToken, ReachKey},
    label, proto,
};

/// What whoever holds the link can do: find the account, see where it takes messages, and introduce themselves.
pub struct ContactLink {
    account: AccountId,
    reach_key: ReachKey,
    token: Option<IntroductionToken>,
    key_servers: Vec<ServerAddress>,
}

impl ContactLink {
    /// Puts a link together.
    ///
    /// # Errors
    /// If there are not 1 to 4 key servers.
    pub fn new(
        account: AccountId,
        reach_key: ReachKey,
        token: Option<IntroductionToken>,
        key_servers: Vec<ServerAddress>,
    ) -> Result<Self, LinkError> {
        if key_servers.is_empty() || key_servers.len() > MAX_SERVERS {
            return Err(LinkError::ServerCount);
        }
        Ok(Self { account, reach_key, token, key_servers })
    }

    /// Whom it leads to.
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        self.account
    }

    /// Opens the account's reach entries.
    #[must_use]
    pub fn reach_key(&self) -> &ReachKey {
        &self.reach_key
    }

    /// Pays for the introduction; without one, proof of work does.
    #[must_use]
    pub fn token(&self) -> Option<&IntroductionToken> {
        self.token.as_ref()
    }

    /// Where the account's manifest is kept.
    #[must_use]
    pub fn key_servers(&self) -> &[ServerAddress] {
        &self.key_servers
    }

    /// The link, lower case. It is a secret between the two people.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let payload = proto::identity::ContactLink {
            account: self.account.as_bytes().to_vec(),
            reach_key: self.reach_key.as_bytes().to_vec(),
            token: self.token.as_ref().map(|token| token.as_bytes().to_vec()),
            key_servers: self.key_servers.iter().map(ServerAddress::to_proto).collect(),
        };
        let mut bytes = Zeroizing::new(payload.encode_to_vec());
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        Zeroizing::new(format!("{PREFIX}{}", base32::encode(&bytes)))
    }

    /// The link as a QR code carries it: upper case, only characters of the alphanumeric mode.
    #[must_use]
    pub fn to_qr_text(&self) -> Zeroizing<String> {
        Zeroizing::new(self.to_text().to_ascii_uppercase())
    }
}

impl FromStr for ContactLink {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        if text.len() > MAX_TEXT {
            return Err(LinkError::Text);
        }
        let text = address::fold(text.trim());
        let digits = text.strip_prefix(PREFIX).ok_or(LinkError::Prefix)?;
        let bytes = Zeroizing::new(base32::decode(digits).ok_or(LinkError::Text)?);
        let (payload, found) = bytes.split_last_chunk::<CHECK>().ok_or(LinkError::Text)?;
        if *found != check(payload) {
            return Err(LinkError::Check);
        }
        let payload: proto::identity::ContactLink = canonical::decode(payload, Mode::Strict)?;
        let secret = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map(Zeroizing::new).map_err(|_| LinkError::Text);
        let token = payload.token.map(|token| secret(&token)).transpose()?;
        Self::new(
            AccountId::try_from(payload.account.as_slice()).map_err(|_| LinkError::Text)?,
            ReachKey::from_bytes(&*secret(&payload.reach_key)?),
            token.map(|token| IntroductionToken::from_bytes(&token)),
            payload.key_servers.iter().map(ServerAddress::parse).collect::<Result<_, _>>()?,
        )
    }
}

impl fmt::Debug for ContactLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, reach_key: _, token: _, key_servers } = self;
        f.debug_struct("ContactLink")
            .field("account", account)
            .field("key_servers", key_servers)
            .finish_non_exhaustive()
    }
}

/// Why a text is no contact link (spec §11.12). Safe to show and to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum LinkError {
    /// Something else, or a newer kind of link: update.
    #[error("§11.12.5: not a contact link of version 1")]
    Prefix,
    /// Characters that no link has, or far too many or few: copy it again.
    #[error("§11.12.5: the link is damaged")]
    Text,
    /// Truncated or mistyped: copy it again.
    #[error("§11.12.6: the link's check does not fit")]
    Check,
    /// What it carries breaks the encoding.
    #[error(transparent)]
    Encoding(#[from] CanonicalError),
    /// An address in it is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No key server, or more than 4.
    #[error("§11.12.7: a link names 1 to {MAX_SERVERS} key servers")]
    ServerCount,
}

fn check(payload: &[u8]) -> [u8; CHECK] {
    let [a, b, c, d, ..] = label::LINK.hash(payload);
    [a, b, c, d]
}

const PREFIX: &str = "waxwing:contact/1/";
const MAX_SERVERS: usize = 4;
const CHECK: usize = 4;
/// Longer than the longest link: 2,048 bytes of payload in base32 and some white space.
const MAX_TEXT: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::ServerKey;

    fn link(token: Option<[u8; 32]>, hosts: &[&str]) -> ContactLink {
        let key = ServerKey::from_seed(&[5; 32]).public_key();
        let hosts = hosts.iter().map(|host| host.parse().expect(host)).collect();
        let server = ServerAddress::new(key, hosts).expect("an address");
        let token = token.map(|token| IntroductionToken::from_bytes(&token));
        ContactLink::new(AccountId::from_bytes([1; 32]), ReachKey::from_bytes(&[2; 32]), token, alloc::vec![server])
            .expect("a link")
    }

    #[test]
    fn a_qr_text_is_alphanumeric_and_means_the_same() {
        let link = link(Some([3; 32]), &["keys.example.org:4433"]);
        let text = link.to_qr_text();
        let alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
        assert!(text.chars().all(|character| alphabet.contains(character)), "{}", text.as_str());
        let read: ContactLink = text.parse().expect("our own link");
        assert_eq!(read.to_text(), link.to_text());
        assert!(text.len() < 400, "{} characters", text.len());
    }

    #[test]
    fn any_one_changed_or_missing_character_is_refused() {
        let text = link(Some([3; 32]), &["keys.example.org:4433", "192.0.2.1:1"]).to_text();
        for place in 0..text.len() {
            let mut changed: Vec<u8> = text.bytes().collect();
            changed[place] = if changed[place] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(changed.parse::<ContactLink>().is_err(), "{place}");
            assert!(text[..place].parse::<ContactLink>().is_err(), "{place}");
        }
        assert!(format!("{}a", text.as_str()).parse::<ContactLink>().is_err());
        assert_eq!("https://example.org".parse::<ContactLink>().err(), Some(LinkError::Prefix));
        assert_eq!(text.replace("/1/", "/2/").parse::<ContactLink>().err(), Some(LinkError::Prefix));
        assert_eq!("x".repeat(1 << 20).parse::<ContactLink>().err(), Some(LinkError::Text));
    }

    #[test]
    fn a_payload_that_is_not_canonical_is_refused_though_its_check_fits() {
        let mut bytes = base32::decode(&link(None, &["a.b:1"]).to_text()[PREFIX.len()..]).expect("base32");
        bytes.truncate(bytes.len() - CHECK);
        let mut unknown = bytes.clone();
        unknown.extend_from_slice(&[0x50, 0x01]);
        let mut critical = bytes.clone();
        critical.extend_from_slice(&[0xc0, 0x3e, 0x01]);
        let mut no_servers = bytes.clone();
        no_servers.truncate(68);
        for (bytes, rule) in [(unknown, "§10.4.11"), (critical, "§10.4.10"), (no_servers, "§11.12.7")] {
            let mut checked = bytes.clone();
            checked.extend_from_slice(&check(&bytes));
            let error = format!("{PREFIX}{}", base32::encode(&checked)).parse::<ContactLink>().expect_err(rule);
            assert!(format!("{error}").starts_with(rule), "{error}");
        }
    }

    #[test]
    fn a_link_prints_no_secret() {
        let shown = format!("{:?}", link(Some([3; 32]), &["a.b:1"]));
        assert!(!shown.contains("3, 3") && !shown.contains("2, 2"), "{shown}");
    }

    proptest! {
        #[test]
        fn a_link_reads_and_writes_itself(account: [u8; 32], reach_key: [u8; 32], token: Option<[u8; 32]>) {
            let original = ContactLink { account: AccountId::from_bytes(account), ..link(token, &["[2001:db8::1]:9"]) };
            let original = ContactLink { reach_key: ReachKey::from_bytes(&reach_key), ..original };
            let read: ContactLink = original.to_text().parse().expect("our own link");
            prop_assert_eq!(read.to_text(), original.to_text());
            prop_assert_eq!(read.account_id(), original.account_id());
            prop_assert!(read.reach_key().is(original.reach_key()));
            prop_assert_eq!(read.token().is_some(), token.is_some());
        }
    }
}
