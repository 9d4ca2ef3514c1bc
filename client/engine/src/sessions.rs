//! Sessions with devices, and what is known beside them. Implements spec/20-client.md §20.8.
//!
//! Invariant: a session's memory never runs ahead of the batch: what is committed here is in the batch that is saved before anything
//! leaves; whoever cannot save it drops the engine.
use std::collections::BTreeMap;

use waxwing_protocol::{Delta, IdentityKey, RecordError, Session, sealed::Trust};
use waxwing_wire::{
    id::{AccountId, DeviceId},
    keys::{CertificatePublicKey, IdentityPublicKey},
    padding::EnvelopeSize,
    time::Timestamp,
};

use crate::{
    convert,
    records::{self, PeerRecord},
    stage::Stage,
    store::{Record, SecretBytes, Table},
    times,
};

/// Requests to send everything again that one device may make in [`times::REPAIR`].
const MOST_ASKED_AGAIN: u8 = 4;

/// A device of somebody, or of ours.
pub(crate) type Device = (AccountId, DeviceId);

#[derive(Debug, Default)]
pub(crate) struct Sessions(BTreeMap<Device, Peer>);

/// One device that there is, or was, a session with.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) session: Session,
    /// The envelope that the opening took: both sides use it until the session is acknowledged and for three answers (FLOWS a).
    pub(crate) opening: Option<EnvelopeSize>,
    pub(crate) answers_left: u8,
    /// When something of theirs was opened last.
    pub(crate) heard: Timestamp,
    /// When the answer that acknowledges their session is due.
    pub(crate) answer_at: Option<Timestamp>,
    pub(crate) repaired: Timestamp,
    /// When it is asked to send again what could not be opened; it was asked too lately for that.
    pub(crate) ask_at: Option<Timestamp>,
    /// The session is to be begun anew with a fresh bundle.
    pub(crate) renew: bool,
    /// When the session that nobody acknowledged was begun.
    pub(crate) begun: Timestamp,
    /// In memory: work that messages which fail may still cost (spec §5.7).
    pub(crate) budget: waxwing_protocol::Budget,
    /// In memory: since when it asked for things again, and how often.
    asked_again: (Timestamp, u8),
    /// In memory: by which key the device's certificates are checked, with what was checked already.
    trust: Option<(CertificatePublicKey, Trust)>,
    /// In memory: the device's key in the protocol's form; to check it costs as much as an agreement.
    identity: Option<IdentityKey>,
}

impl Sessions {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(crate) fn get(&self, device: &Device) -> Option<&Peer> {
        self.0.get(device)
    }

    pub(crate) fn get_mut(&mut self, device: &Device) -> Option<&mut Peer> {
        self.0.get_mut(device)
    }

    pub(crate) fn entry(&mut self, device: Device) -> &mut Peer {
        self.0.entry(device).or_insert_with(|| Peer::new(Session::new()))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&Device, &mut Peer)> {
        self.0.iter_mut()
    }

    /// Forgets everything shared with the devices of an account that are not listed. Their identity keys, as far as they were used.
    pub(crate) fn retain(
        &mut self,
        account: &AccountId,
        listed: impl Fn(DeviceId) -> bool,
        stage: &mut Stage,
    ) -> Vec<IdentityKey> {
        let gone = self.0.keys().filter(|(of, device)| of == account && !listed(*device));
        let gone: Vec<Device> = gone.copied().collect();
        let mut identities = Vec::new();
        for device in gone {
            if let Some(peer) = self.0.remove(&device) {
                identities.extend(peer.identity);
                for (key, _) in peer.session.records() {
                    stage.delete(Table::Session, record_key(&device, key.as_bytes()));
                }
                stage.delete(Table::Peer, device_key(&device));
            }
        }
        identities
    }

    /// Every record, as if all had changed.
    #[cfg(feature = "conformance")]
    pub(crate) fn save_all(&self, stage: &mut Stage) {
        for (device, peer) in &self.0 {
            peer.put(device, stage);
            for (key, value) in peer.session.records() {
                stage.put(Table::Session, record_key(device, key.as_bytes()), SecretBytes::new(value.to_vec()));
            }
        }
    }

    /// The earliest answer, or question.
    pub(crate) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.values().flat_map(|peer| [peer.answer_at, peer.ask_at]).flatten().filter(|at| *at > now).min()
    }

    /// Restores from the records of both tables, in the order of their keys.
    pub(crate) fn restore<'r>(
        sessions: impl Iterator<Item = &'r Record>,
        peers: impl Iterator<Item = &'r Record>,
    ) -> Result<Self, Damaged> {
        /// Of one session: keys and values.
        type Records<'r> = Vec<(&'r [u8], &'r [u8])>;
        let mut all: BTreeMap<Device, Records<'r>> = BTreeMap::new();
        for record in sessions {
            let (device, key) = split_key(&record.key).ok_or(Damaged)?;
            all.entry(device).or_default().push((key, record.value.as_slice()));
        }
        let mut restored = Self::default();
        for (device, records) in all {
            let session = Session::load(records).map_err(|_: RecordError| Damaged)?;
            restored.0.insert(device, Peer::new(session));
        }
        for record in peers {
            let (device, _) = split_key(&record.key).ok_or(Damaged)?;
            let facts: PeerRecord = records::decode(&record.value).ok_or(Damaged)?;
            restored.entry(device).take_record(&facts);
        }
        Ok(restored)
    }
}

/// Records that are none of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Damaged;

impl Peer {
    fn new(session: Session) -> Self {
        Self {
            session,
            opening: None,
            answers_left: 0,
            heard: Timestamp(0),
            answer_at: None,
            repaired: Timestamp(0),
            ask_at: None,
            renew: false,
            begun: Timestamp(0),
            budget: waxwing_protocol::Budget::default(),
            asked_again: (Timestamp(0), 0),
            trust: None,
            identity: None,
        }
    }

    /// What the device's certificates are checked by, if its manifest lists that key; none if it is none.
    pub(crate) fn trust_in(&mut self, key: &CertificatePublicKey) -> Option<&mut Trust> {
        if self.trust.as_ref().is_none_or(|(known, _)| known != key) {
            self.trust = Some((*key, Trust::new([&convert::certificate_key(key)?])));
        }
        self.trust.as_mut().map(|(_, trust)| trust)
    }

    /// The device's key as its manifest lists it, in the protocol's form; none if it is none.
    pub(crate) fn identity(&mut self, listed: &IdentityPublicKey) -> Option<IdentityKey> {
        let known = self.identity.filter(|known| convert::untyped(&known.to_bytes()) == listed.as_bytes());
        self.identity = known.or_else(|| convert::identity_key(listed));
        self.identity
    }

    /// The device's key, found to be the one that its manifest lists.
    pub(crate) const fn found_identity(&mut self, identity: IdentityKey) {
        self.identity = Some(identity);
    }

    /// Whether it gets again what it asks for: each time costs us everything that it may have missed. A device asks once in
    /// [`times::REPAIR`] by itself, and several of its requests may come at once.
    pub(crate) fn may_ask_again(&mut self, now: Timestamp) -> bool {
        let (since, asked) = &mut self.asked_again;
        if now.since(*since) >= times::REPAIR {
            (*since, *asked) = (now, 0);
        }
        *asked = asked.saturating_add(1);
        *asked <= MOST_ASKED_AGAIN
    }

    /// Whether the next message would be sealed by a session that may be used.
    pub(crate) fn is_usable(&self, now: Timestamp) -> bool {
        let stale = !self.session.is_acknowledged() && now.since(self.begun) >= times::UNACKNOWLEDGED;
        self.session.is_established() && !self.renew && !stale
    }

    /// Has its record written with the next save.
    #[expect(clippy::unused_self, reason = "whoever has changed it says so")]
    pub(crate) fn save(&self, device: &Device, stage: &mut Stage) {
        stage.peer_changed(*device);
    }

    /// Writes its record.
    pub(crate) fn put(&self, device: &Device, stage: &mut Stage) {
        let record = PeerRecord {
            opening: self.opening.map_or(0, |size| u32::try_from(size.bytes()).unwrap_or(0)),
            answers_left: self.answers_left.into(),
            heard: self.heard.0,
            answer_at: self.answer_at.map_or(0, |at| at.0),
            repaired: self.repaired.0,
            renew: self.renew,
            begun: self.begun.0,
            ask_at: self.ask_at.map_or(0, |at| at.0),
        };
        stage.put_message(Table::Peer, device_key(device), &record);
    }

    fn take_record(&mut self, record: &PeerRecord) {
        self.opening = usize::try_from(record.opening).ok().and_then(EnvelopeSize::exactly);
        self.answers_left = u8::try_from(record.answers_left).unwrap_or(0);
        self.heard = Timestamp(record.heard);
        self.answer_at = (record.answer_at != 0).then_some(Timestamp(record.answer_at));
        self.repaired = Timestamp(record.repaired);
        self.renew = record.renew;
        self.begun = Timestamp(record.begun);
        self.ask_at = (record.ask_at != 0).then_some(Timestamp(record.ask_at));
    }
}

/// Puts what a session's step changed into the batch.
pub(crate) fn write(device: &Device, delta: &Delta, stage: &mut Stage) {
    for (key, value) in delta.writes() {
        let key = record_key(device, key.as_bytes());
        match value {
            Some(value) => stage.put(Table::Session, key, SecretBytes::new(value.to_vec())),
            None => stage.delete(Table::Session, key),
        }
    }
}

fn device_key((account, device): &Device) -> Vec<u8> {
    account.as_bytes().iter().copied().chain([device.value()]).collect()
}

fn record_key(device: &Device, key: &[u8]) -> Vec<u8> {
    let mut whole = device_key(device);
    whole.extend_from_slice(key);
    whole
}

fn split_key(key: &[u8]) -> Option<(Device, &[u8])> {
    let (account, rest) = key.split_first_chunk::<32>()?;
    let (device, rest) = rest.split_first()?;
    Some(((AccountId::from_bytes(*account), DeviceId::try_from(u32::from(*device)).ok()?), rest))
}
