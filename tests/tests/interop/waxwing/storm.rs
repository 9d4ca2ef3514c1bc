//! Everything at once: loss, reordering, duplicates, restarts of either side from its records, sessions reset by either
//! side, both sides initiating at the same time.
//!
//! The expectation is exact: a message opens to what was sent unless it was delivered before, or is of a chain that five
//! newer ones displaced. At the end both sides talk, and what they say arrives.

use std::collections::HashMap;

use libtest_mimic::Failed;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use waxwing_tests::{
    ours::{Device, Ratchet, Use},
    peer::{BundleChoice, Bytes, Ciphertext, MessageType, Party, PartyOptions, PrekeyKind, Version},
    schedule::OpenFailure,
};

use super::{Boxed, PAIRINGS, addresses, agreement, expect};
use crate::stage;

/// Steps of one storm.
const STEPS: u32 = 80;
/// The library and we keep as many receiving chains.
const CHAINS_KEPT: usize = 5;

pub(super) fn trials() -> Vec<(String, Boxed)> {
    PAIRINGS
        .iter()
        .map(|&(version, kyber, ratchet)| {
            let name = format!("waxwing::storm::{version}::{}", agreement(kyber, ratchet));
            (name.clone(), Box::new(move || storms(&name, version, kyber, ratchet)) as Boxed)
        })
        .collect()
}

fn storms(name: &str, version: Version, kyber: bool, ratchet: Ratchet) -> Result<(), Failed> {
    let peer = stage::peer(version);
    stage::runs(name, |seed| {
        peer.reset()?;
        let (here, there) = addresses(seed);
        let party = peer.create_party(&PartyOptions::new("peer", there.clone()))?;
        party.generate_prekey(PrekeyKind::Signed, 1)?;
        let mut storm = Storm {
            rng: ChaCha8Rng::seed_from_u64(seed),
            device: Device::new(seed, here, there, Use::Often).with(ratchet),
            party,
            kyber,
            next_prekey: 2,
            inboxes: [Vec::new(), Vec::new()],
            delivered: [Vec::new(), Vec::new()],
            heard: [HashMap::new(), HashMap::new()],
        };
        storm.run().map_err(|failed| format!("seed {seed}: {}", failed.message().unwrap_or("failed")).into())
    })
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Ours,
    Theirs,
}

#[derive(Clone)]
struct Flying {
    message: Ciphertext,
    plaintext: Vec<u8>,
    /// The base key of the state it was sealed in.
    state: Bytes,
    ratchet_key: Vec<u8>,
}

struct Storm<'p> {
    rng: ChaCha8Rng,
    device: Device,
    party: Party<'p>,
    kyber: bool,
    next_prekey: u32,
    /// Towards ours, towards theirs.
    inboxes: [Vec<Flying>; 2],
    delivered: [Vec<Flying>; 2],
    /// Per receiver and state, the sender's ratchet keys in the order they were heard.
    heard: [HashMap<Bytes, Vec<Vec<u8>>>; 2],
}

impl Storm<'_> {
    fn run(&mut self) -> Result<(), Failed> {
        match self.below(3) {
            0 => self.initiate(Side::Ours)?,
            1 => self.initiate(Side::Theirs)?,
            _ => {
                self.initiate(Side::Ours)?;
                self.initiate(Side::Theirs)?;
                self.send(Side::Ours)?;
                self.send(Side::Theirs)?;
            }
        }
        for _ in 0..STEPS {
            self.step()?;
        }
        for side in [Side::Ours, Side::Theirs] {
            while self.deliver(side)? {}
        }
        self.calm()
    }

    fn step(&mut self) -> Result<(), Failed> {
        let side = if self.below(2) == 0 { Side::Ours } else { Side::Theirs };
        match self.below(40) {
            0..15 => self.send(side),
            15..30 => self.deliver(side).map(drop),
            30..33 => {
                self.take(side);
                Ok(())
            }
            33..36 => self.repeat(side),
            36..39 => self.restart(side),
            _ => self.initiate(side),
        }
    }

    /// Two round trips after the storm everything arrives.
    fn calm(&mut self) -> Result<(), Failed> {
        if !self.can_send(Side::Ours)? && !self.can_send(Side::Theirs)? {
            return Ok(());
        }
        for side in [Side::Ours, Side::Theirs, Side::Ours, Side::Theirs] {
            self.send(side)?;
            while self.deliver(other(side))? {}
        }
        expect(self.can_send(Side::Ours)? && self.can_send(Side::Theirs)?, "both sides can send in the end")?;
        let last = self.device.encrypt(b"last");
        expect(last.kind == MessageType::Whisper, "both sides agree on one acknowledged session")?;
        expect(*self.party.decrypt(&self.device.address, &last)?.plaintext == *b"last", "it opens")
    }

    fn initiate(&mut self, side: Side) -> Result<(), Failed> {
        let id = self.next_prekey;
        self.next_prekey += 1;
        match side {
            Side::Ours => {
                for kind in [PrekeyKind::OneTime, PrekeyKind::Kyber] {
                    self.party.generate_prekey(kind, id)?;
                }
                let one_time = (self.below(2) == 0).then_some(id);
                let choice = BundleChoice { one_time, signed: 1, kyber: self.kyber.then_some(id) };
                let bundle = self.party.bundle(choice)?;
                if self.below(2) == 0 {
                    self.device.archive();
                }
                self.device.process_bundle(&bundle);
            }
            Side::Theirs => {
                let kyber_use = if self.below(2) == 0 { Use::Once } else { Use::Often };
                self.device.add_one_time_prekeys(id, kyber_use);
                let one_time = (self.below(2) == 0).then_some(id);
                let bundle = self.device.bundle(one_time, self.kyber.then_some(id));
                self.party.process_bundle(&self.device.address, &bundle)?;
            }
        }
        Ok(())
    }

    fn can_send(&self, side: Side) -> Result<bool, Failed> {
        Ok(match side {
            Side::Ours => self.device.session().is_established(),
            Side::Theirs => match self.party.session_info(&self.device.address) {
                Ok(info) => info.has_current_state,
                Err(_) => false,
            },
        })
    }

    fn send(&mut self, from: Side) -> Result<(), Failed> {
        if !self.can_send(from)? {
            return Ok(());
        }
        let mut plaintext = vec![0; self.below(40)];
        self.rng.fill_bytes(&mut plaintext);
        let (message, state) = match from {
            Side::Ours => {
                let message = self.device.encrypt(&plaintext);
                let state = self.device.session().base_key().expect("it just sealed").to_bytes();
                (message, Bytes::from(state))
            }
            Side::Theirs => {
                let message = self.party.encrypt(&self.device.address, &plaintext)?;
                let info = self.party.session_info(&self.device.address)?;
                (message, info.current.ok_or("no current state")?.base_key)
            }
        };
        let ratchet_key = ratchet_key(&message);
        self.inboxes[other(from) as usize].push(Flying { message, plaintext, state, ratchet_key });
        Ok(())
    }

    fn open(&mut self, at: Side, message: &Ciphertext) -> Result<Vec<u8>, OpenFailure> {
        match at {
            Side::Ours => self.device.decrypt(message),
            Side::Theirs => match self.party.decrypt(&self.device.address, message) {
                Ok(opened) => Ok(opened.plaintext.into_vec()),
                Err(error) if error.is_duplicate() => Err(OpenFailure::Duplicate),
                Err(error) => Err(OpenFailure::Refused(error.to_string())),
            },
        }
    }

    /// Whether the chain is none that newer ones displaced.
    fn is_kept(&self, at: Side, flying: &Flying) -> bool {
        let heard = self.heard[at as usize].get(&flying.state).map(Vec::as_slice).unwrap_or_default();
        match heard.iter().position(|key| *key == flying.ratchet_key) {
            Some(position) => position + CHAINS_KEPT >= heard.len(),
            None => true,
        }
    }

    fn deliver(&mut self, to: Side) -> Result<bool, Failed> {
        let Some(flying) = self.take(to) else { return Ok(false) };
        if !self.is_kept(to, &flying) {
            return Ok(true);
        }
        let opened = self.open(to, &flying.message);
        if opened.as_deref() != Ok(&flying.plaintext) {
            return Err(format!("{to:?} got a message and said {opened:?}").into());
        }
        let heard = self.heard[to as usize].entry(flying.state.clone()).or_default();
        if !heard.contains(&flying.ratchet_key) {
            heard.push(flying.ratchet_key.clone());
        }
        self.delivered[to as usize].push(flying);
        Ok(true)
    }

    fn repeat(&mut self, to: Side) -> Result<(), Failed> {
        let count = self.delivered[to as usize].len();
        if count == 0 {
            return Ok(());
        }
        let index = self.below(count);
        let flying = self.delivered[to as usize][index].clone();
        if !self.is_kept(to, &flying) {
            return Ok(());
        }
        match self.open(to, &flying.message) {
            Err(OpenFailure::Duplicate) => Ok(()),
            other => Err(format!("{to:?} got a message twice and said {other:?}").into()),
        }
    }

    fn restart(&mut self, side: Side) -> Result<(), Failed> {
        match side {
            Side::Ours => self.device.restart(),
            Side::Theirs => {
                if self.can_send(side)? {
                    let record = self.party.export_session(&self.device.address)?;
                    self.party.remove_session(&self.device.address)?;
                    self.party.import_session(&self.device.address, &record)?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, to: Side) -> Option<Flying> {
        let count = self.inboxes[to as usize].len();
        if count == 0 {
            return None;
        }
        let index = self.below(count);
        Some(self.inboxes[to as usize].swap_remove(index))
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.rng.next_u64() % bound.max(1) as u64) as usize
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::Ours => Side::Theirs,
        Side::Theirs => Side::Ours,
    }
}

fn ratchet_key(message: &Ciphertext) -> Vec<u8> {
    let inner = match message.kind {
        MessageType::PreKey => {
            waxwing_protocol::PreKeySignalMessage::decode(&message.body).expect("it decodes").message().clone()
        }
        _ => waxwing_protocol::SignalMessage::decode(&message.body).expect("it decodes"),
    };
    inner.ratchet_key().expect("a point").to_bytes().to_vec()
}
