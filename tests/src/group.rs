//! A group member's device made of our own crate: its sender key, and what it keeps of every other device's.
//!
//! As [`ours::Device`](crate::ours::Device) it keeps the records that deltas told it to keep, and asserts after every
//! operation that they are what memory would write anew.

#![allow(clippy::expect_used, clippy::panic, reason = "a panic is the report")]

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use waxwing_protocol::{
    Budget, DistributionId, GroupDelta, GroupOpenError, PeerSenderKeys, SenderKey, SenderKeyDistributionMessage,
    SenderKeyMessage, import,
};

use crate::peer::{Address, Party, PeerError};
use crate::schedule::OpenFailure;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Our end of a group.
#[derive(Debug)]
pub struct Member {
    /// Where it is.
    pub address: Address,
    distribution_id: DistributionId,
    own: Option<(SenderKey, Records)>,
    peers: BTreeMap<(String, u32), (PeerSenderKeys, Records)>,
    rng: ChaCha20Rng,
}

impl Member {
    /// A member that has neither a sender key nor anybody else's. `distribution` is a UUID.
    pub fn new(seed: u64, address: Address, distribution: &str) -> Self {
        let digits: String = distribution.chars().filter(|c| *c != '-').collect();
        let uuid = hex::decode(digits).expect("a UUID").try_into().expect("a UUID");
        let distribution_id = DistributionId(uuid);
        Self { address, distribution_id, own: None, peers: BTreeMap::new(), rng: ChaCha20Rng::seed_from_u64(seed) }
    }

    /// Takes over from a party of the library: its own sender key and its keys of `senders`, from the library's records.
    ///
    /// # Errors
    /// The driver's.
    pub fn take_over(
        seed: u64,
        party: &Party<'_>,
        distribution: &str,
        is_sender: bool,
        senders: &[Address],
    ) -> Result<Self, PeerError> {
        let mut member = Self::new(seed, party.address(), distribution);
        if is_sender {
            let record = party.export_sender_key(&member.address, distribution)?;
            let key = import::sender_key(&record, member.distribution_id).expect("an own sender key imports");
            let records = records(key.records());
            member.own = Some((key, records));
        }
        for sender in senders {
            let record = party.export_sender_key(sender, distribution)?;
            let keys = import::peer_sender_keys(&record, member.distribution_id).expect("sender keys import");
            let records = records(keys.records());
            member.peers.insert((sender.name.clone(), sender.device), (keys, records));
        }
        member.restart();
        Ok(member)
    }

    /// Replaces the sender key.
    pub fn rotate(&mut self) {
        let key = SenderKey::generate(self.distribution_id, &mut self.rng);
        let records = records(key.records());
        self.own = Some((key, records));
    }

    /// The distribution message of the sender key, which is made if there is none.
    pub fn distribute(&mut self) -> Vec<u8> {
        if self.own.is_none() {
            self.rotate();
        }
        self.own.as_ref().expect("just made").0.distribution_message().as_bytes().to_vec()
    }

    /// Seals one message.
    pub fn encrypt(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let (key, stored) = self.own.as_mut().expect("it has distributed its sender key");
        let sealed = key.seal(plaintext, &mut self.rng).expect("there are numbers left");
        store(stored, &sealed.delta());
        let message = sealed.commit();
        assert_eq!(*stored, records(key.records()), "what deltas stored is not what the sender key is");
        message.as_bytes().to_vec()
    }

    /// Takes a sender's distribution message.
    pub fn process(&mut self, sender: &Address, message: &[u8]) {
        let message = SenderKeyDistributionMessage::decode(message).expect("it decodes");
        let (keys, stored) = self.peer(sender);
        let processed = keys.process(&message).expect("it is of this group");
        store(stored, &processed.delta());
        processed.commit();
        let is_same = stored.is_empty() || *stored == records(keys.records());
        assert!(is_same, "what deltas stored is not what there is");
    }

    /// Opens a sender's message.
    ///
    /// # Errors
    /// A duplicate, or any other reason as text.
    pub fn decrypt(&mut self, sender: &Address, body: &[u8]) -> Result<Vec<u8>, OpenFailure> {
        let message = SenderKeyMessage::decode(body).map_err(|error| OpenFailure::Refused(error.to_string()))?;
        let (keys, stored) = self.peer(sender);
        let outcome = match keys.open(&message, &mut Budget::default()) {
            Ok(opened) => {
                store(stored, &opened.delta());
                Ok(opened.commit())
            }
            Err(GroupOpenError::Duplicate { .. }) => Err(OpenFailure::Duplicate),
            Err(error) => Err(OpenFailure::Refused(error.to_string())),
        };
        let is_same = stored.is_empty() || *stored == records(keys.records());
        assert!(is_same, "what deltas stored is not what there is");
        outcome
    }

    /// Forgets everything but what was stored.
    pub fn restart(&mut self) {
        if let Some((key, stored)) = &mut self.own {
            *key = SenderKey::load(&*stored).expect("our own records load");
        }
        for (keys, stored) in self.peers.values_mut() {
            *keys = PeerSenderKeys::load(self.distribution_id, &*stored).expect("our own records load");
        }
    }

    fn peer(&mut self, sender: &Address) -> (&mut PeerSenderKeys, &mut Records) {
        let distribution_id = self.distribution_id;
        let entry = self.peers.entry((sender.name.clone(), sender.device));
        let (keys, stored) = entry.or_insert_with(|| (PeerSenderKeys::new(distribution_id), Records::new()));
        (keys, stored)
    }
}

fn records<K: AsRef<[u8]>, V: AsRef<Vec<u8>>>(records: impl Iterator<Item = (K, V)>) -> Records {
    records.map(|(key, value)| (key.as_ref().to_vec(), value.as_ref().clone())).collect()
}

fn store(records: &mut Records, delta: &GroupDelta) {
    for (key, value) in delta.writes() {
        match value {
            Some(value) => records.insert(key.as_bytes().to_vec(), value.to_vec()),
            None => records.remove(key.as_bytes()),
        };
    }
}
