//! What somebody sees who sees everything that travels.
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash as _, Hasher},
};

use waxwing_engine::{Link, Purpose};
use waxwing_wire::{
    id::{AccountId, DeliveryId, MailboxId},
    keyserver::KeyserverRequest,
    name::Name,
    padding::{EnvelopeHash, EnvelopeSize},
    relay::{Credential, Put, RelayRequest, Ttl},
    time::Timestamp,
};

use super::DeviceIndex;

/// Something that a device asked of a server.
#[derive(Clone, Debug, Hash)]
pub struct Observed {
    /// When.
    pub at: Timestamp,
    /// By whom; a server does not see it.
    pub device: DeviceIndex,
    /// Over which connection.
    pub link: Link,
    /// What.
    pub what: What,
}

/// What was asked.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum What {
    /// A put.
    Put {
        /// Whose mailbox.
        mailbox: MailboxId,
        /// Under which id.
        delivery: DeliveryId,
        /// Whether by a key; by work otherwise.
        by_key: bool,
        /// How large.
        size: EnvelopeSize,
        /// Which bytes.
        hash: [u8; 32],
        /// Whether it is to be stored.
        stored: bool,
    },
    /// Something else of a relay.
    Relay(&'static str),
    /// Something of a key server about an account.
    Directory(&'static str, AccountId),
    /// Something of a key server about a name.
    Name(&'static str, Name),
    /// Something of a key server for one's own account.
    OwnDirectory(&'static str),
}

/// An envelope that a relay delivered to a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Delivered {
    /// When it left.
    pub at: Timestamp,
    /// To whom.
    pub device: DeviceIndex,
    /// By which lane: 0 the strangers', 1 contacts, 2 groups, 3 own, links from 4.
    pub lane: u32,
    /// How large.
    pub size: EnvelopeSize,
}

#[derive(Default)]
pub(super) struct Observer {
    pub(super) delivered: Vec<Delivered>,
    pub(super) all: Vec<Observed>,
    /// Envelopes by their bytes: the same bytes go to one mailbox under one id, or somebody sealed twice under one key.
    envelopes: BTreeMap<[u8; 32], (MailboxId, DeliveryId)>,
    pub(super) reused: u64,
    /// What names a message key, and the envelope that was sealed with it.
    keys: BTreeMap<Vec<u8>, [u8; 32]>,
    /// Envelopes that were looked at.
    watched: BTreeSet<[u8; 32]>,
    /// Envelopes that were sealed with a key of another one (B6).
    pub(super) reused_keys: u64,
    /// Servers that were contacted because of somebody who is not wanted.
    pub(super) rash: Vec<String>,
    trace: Trace,
}

/// Everything that was asked, as bytes: two worlds that went the same way have the same.
#[derive(Default)]
struct Trace(Vec<u8>);

impl Hasher for Trace {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl Observer {
    pub(super) fn relay(&mut self, at: Timestamp, device: DeviceIndex, link: Link, request: &RelayRequest) {
        let what = match request {
            RelayRequest::Put(put) => self.put(put),
            RelayRequest::Info => What::Relay("info"),
            RelayRequest::CreateMailbox(_) => What::Relay("create"),
            RelayRequest::Authenticate(_) => What::Relay("authenticate"),
            RelayRequest::AddLane(_) => What::Relay("add lane"),
            RelayRequest::EndLane(_) => What::Relay("end lane"),
            RelayRequest::RotateLane(_) => What::Relay("rotate lane"),
            RelayRequest::Subscribe(_) => What::Relay("subscribe"),
            RelayRequest::Ack(_) => What::Relay("ack"),
            _ => What::Relay("other"),
        };
        self.note(Observed { at, device, link, what });
    }

    pub(super) fn keyserver(&mut self, at: Timestamp, device: DeviceIndex, link: Link, request: &KeyserverRequest) {
        let what = match (request, link.purpose) {
            (KeyserverRequest::FetchAccount(_), Purpose::Directory(account)) => What::Directory("account", account),
            (KeyserverRequest::FetchReach(_), Purpose::Directory(account)) => What::Directory("reach", account),
            (KeyserverRequest::FetchBundles(_), Purpose::Directory(account)) => What::Directory("bundles", account),
            (KeyserverRequest::Lookup(_), Purpose::Name(name)) => What::Name("lookup", name),
            (KeyserverRequest::FetchAccount(_), Purpose::Name(name)) => What::Name("account", name),
            (KeyserverRequest::CreateAccount(_), _) => What::OwnDirectory("create"),
            (KeyserverRequest::PublishManifest(_), _) => What::OwnDirectory("publish"),
            (KeyserverRequest::Bound(_), _) => What::OwnDirectory("bound"),
            (KeyserverRequest::Info, _) => What::OwnDirectory("info"),
            _ => What::OwnDirectory("other"),
        };
        self.note(Observed { at, device, link, what });
    }

    fn put(&mut self, put: &Put) -> What {
        let hash: EnvelopeHash = put.envelope.hash();
        let hash = *hash.as_bytes();
        let place = (put.mailbox, put.delivery);
        if *self.envelopes.entry(hash).or_insert(place) != place {
            self.reused += 1;
        }
        What::Put {
            mailbox: put.mailbox,
            delivery: put.delivery,
            by_key: matches!(put.by, Credential::Key(_)),
            size: put.envelope.size(),
            hash,
            stored: put.ttl != Ttl::OnlineOnly,
        }
    }

    /// Whether no envelope of these bytes was looked at before.
    pub(super) fn is_new(&mut self, hash: [u8; 32]) -> bool {
        self.watched.insert(hash)
    }

    /// An envelope with the name of its message key.
    pub(super) fn sealed(&mut self, key: Vec<u8>, hash: [u8; 32]) {
        if *self.keys.entry(key).or_insert(hash) != hash {
            self.reused_keys += 1;
        }
    }

    /// How many message keys were seen.
    #[cfg(test)]
    pub(super) fn keys_seen(&self) -> usize {
        self.keys.len()
    }

    fn note(&mut self, observed: Observed) {
        observed.hash(&mut self.trace);
        self.all.push(observed);
    }

    pub(super) fn trace(&self) -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::digest(&self.trace.0).into()
    }
}
