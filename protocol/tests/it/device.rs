//! A party with its disk: sessions are only ever what their records say.

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use waxwing_protocol::{
    AcceptError, Budget, CiphertextMessage, Delta, LastResortUse, MessageKind, OpenError, Opened, PreKeySignalMessage,
    Session, SignalMessage, Suite,
};

use crate::party::{Kyber, NOW, OneTime, Party, rng};

/// What happens to a process around its transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// Nothing: persist, commit.
    Lives,
    /// It dies before it persisted: the operation never was.
    DiesBefore,
    /// It persisted and dies before it committed, sent or acknowledged.
    DiesAfter,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    Open(OpenError),
    Accept(AcceptError),
    Died,
}

pub struct Device {
    pub party: Party,
    pub session: Session,
    pub records: BTreeMap<Vec<u8>, Vec<u8>>,
    pub rng: ChaCha20Rng,
    pub budget: Budget,
}

impl Device {
    pub fn new(name: u8, seed: u64) -> Self {
        let mut rng = rng(seed ^ (u64::from(name) << 56));
        let party = Party::new(name, &mut rng);
        Self { party, session: Session::new(), records: BTreeMap::new(), rng, budget: Budget::default() }
    }

    /// A device whose sessions have the Double Ratchet alone.
    pub fn without_post_quantum_ratchet(name: u8, seed: u64) -> Self {
        let mut device = Self::new(name, seed);
        device.party.ratchet = crate::party::Ratchet::Double;
        device
    }

    /// Forgets everything but the disk.
    pub fn restart(&mut self) {
        self.session = Session::load(&self.records).unwrap();
        self.check();
    }

    pub fn initiate(&mut self, peer: &Party, suite: Suite, one_time: OneTime) {
        let Self { party, session, records, rng, .. } = self;
        let initiated = party.initiate_in(session, peer, suite, one_time, rng);
        store(records, &initiated.delta());
        initiated.commit();
        self.check();
    }

    pub fn archive(&mut self) {
        let archived = self.session.archive();
        store(&mut self.records, &archived.delta());
        archived.commit();
        self.check();
    }

    /// None if the process died: then nothing was sent.
    pub fn seal(&mut self, plaintext: &[u8], fate: Fate) -> Option<CiphertextMessage> {
        let sealed = self.session.seal(plaintext, NOW, &mut crate::party::draw()).unwrap();
        if fate != Fate::DiesBefore {
            store(&mut self.records, &sealed.delta());
        }
        if fate == Fate::Lives {
            let message = sealed.commit();
            self.check();
            return Some(message);
        }
        drop(sealed);
        self.restart();
        None
    }

    pub fn open(&mut self, message: &CiphertextMessage, peer: &Party, fate: Fate) -> Result<Vec<u8>, Failure> {
        let before = self.records.clone();
        let outcome = self.try_open(message, peer, fate);
        match outcome {
            Err(Failure::Died) => self.restart(),
            // B4: whatever fails leaves every byte as it was, on disk and in memory.
            Err(_) => assert_eq!(self.records, before),
            Ok(_) => {}
        }
        self.check();
        outcome
    }

    fn try_open(&mut self, message: &CiphertextMessage, peer: &Party, fate: Fate) -> Result<Vec<u8>, Failure> {
        let Self { party, session, records, rng, budget, .. } = self;
        let opened = match message.kind() {
            MessageKind::Signal => {
                let message = SignalMessage::decode(message.as_bytes()).unwrap();
                session.open(&message, budget, rng).map_err(Failure::Open)?
            }
            MessageKind::PreKey => {
                let message = PreKeySignalMessage::decode(message.as_bytes()).unwrap();
                if session.is_named_by(&message) {
                    session.open_first(&message, budget, rng).map_err(Failure::Open)?
                } else {
                    party.accept(session, peer, &message, Kyber::LastResort, rng).map_err(Failure::Accept)?
                }
            }
        };
        let used = settle(opened, records, fate)?;
        let (plaintext, last_resort_use) = used;
        if let Some(last_resort_use) = last_resort_use {
            party.uses.insert(last_resort_use);
        }
        Ok(plaintext)
    }

    /// What deltas stored is what the session would write anew.
    fn check(&self) {
        if !self.records.is_empty() {
            let anew: BTreeMap<_, _> =
                self.session.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
            assert_eq!(anew, self.records);
        }
    }
}

fn settle(
    opened: Opened<'_>,
    records: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    fate: Fate,
) -> Result<(Vec<u8>, Option<LastResortUse>), Failure> {
    let delta = opened.delta();
    if fate != Fate::DiesBefore {
        store(records, &delta);
    }
    if fate != Fate::Lives {
        return Err(Failure::Died);
    }
    Ok((opened.commit(), delta.consumed().last_resort_use))
}

pub fn store(records: &mut BTreeMap<Vec<u8>, Vec<u8>>, delta: &Delta) {
    for (key, value) in delta.writes() {
        match value {
            Some(value) => records.insert(key.as_bytes().to_vec(), value.to_vec()),
            None => records.remove(key.as_bytes()),
        };
    }
}
