//! Two parties on a bad network with bad power: every schedule of sending, loss, reordering, duplication, forgery, restart,
//! crash around the transaction, reset and simultaneous initiation.
//!
//! The model is exact: a message opens to what was sent unless it was delivered before or its chain was displaced by five
//! newer ones. ATTACKS B1 (replay), B2 (order: every counter is authenticated, gaps show), B4 (failed opens), B6 (no message
//! key twice), B7 (simultaneous initiation converges).
//!
//! More cases: `WAXWING_CASES=100000 cargo test -p waxwing-protocol --release --test it model`. A failure prints the smallest
//! schedule that shows it.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;
use waxwing_protocol::{CiphertextMessage, MessageKind, OpenError, PreKeySignalMessage, SignalMessage, Suite};

use crate::device::{Device, Failure, Fate};
use crate::party::OneTime;

const CHAINS_KEPT: usize = 5;

#[derive(Clone, Debug)]
enum Op {
    Send(Side, Fate),
    Deliver(Side, usize, Fate),
    Lose(Side, usize),
    Repeat(Side, usize),
    Forge(Side, usize, usize),
    Restart(Side),
    Archive(Side),
    Initiate(Side, OneTime),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    A,
    B,
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::A), Just(Side::B)]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![8 => Just(Fate::Lives), 1 => Just(Fate::DiesBefore), 1 => Just(Fate::DiesAfter)]
}

fn op() -> impl Strategy<Value = Op> {
    let at = any::<usize>;
    prop_oneof![
        30 => (side(), fate()).prop_map(|(side, fate)| Op::Send(side, fate)),
        30 => (side(), at(), fate()).prop_map(|(side, at, fate)| Op::Deliver(side, at, fate)),
        5 => (side(), at()).prop_map(|(side, at)| Op::Lose(side, at)),
        5 => (side(), at()).prop_map(|(side, at)| Op::Repeat(side, at)),
        5 => (side(), at(), at()).prop_map(|(side, at, bit)| Op::Forge(side, at, bit)),
        3 => side().prop_map(Op::Restart),
        1 => side().prop_map(Op::Archive),
        2 => (side(), prop_oneof![Just(OneTime::With), Just(OneTime::Without)])
            .prop_map(|(side, one_time)| Op::Initiate(side, one_time)),
    ]
}

#[derive(Clone)]
struct Flying {
    message: CiphertextMessage,
    plaintext: Vec<u8>,
    /// Names the state it was sealed in.
    base_key: [u8; 33],
    ratchet_key: [u8; 33],
}

struct World {
    suite: Suite,
    devices: [Device; 2],
    inboxes: [Vec<Flying>; 2],
    delivered: [Vec<Flying>; 2],
    heard: [HashMap<[u8; 33], Vec<[u8; 33]>>; 2],
    /// Every (ratchet key, counter) that ever left.
    headers: BTreeSet<([u8; 33], u32)>,
    sent: u32,
}

impl World {
    fn new(seed: u64, suite: Suite) -> Self {
        Self {
            suite,
            devices: [Device::new(1, seed), Device::new(2, seed)],
            inboxes: [Vec::new(), Vec::new()],
            delivered: [Vec::new(), Vec::new()],
            heard: [HashMap::new(), HashMap::new()],
            headers: BTreeSet::new(),
            sent: 0,
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Send(from, fate) => self.send(from, fate),
            Op::Deliver(to, at, fate) => {
                self.deliver(to, at, fate);
            }
            Op::Lose(to, at) => {
                self.take(to, at);
            }
            Op::Repeat(to, at) => self.repeat(to, at),
            Op::Forge(to, at, bit) => self.forge(to, at, bit),
            Op::Restart(side) => self.devices[side as usize].restart(),
            Op::Archive(side) => self.devices[side as usize].archive(),
            Op::Initiate(side, one_time) => {
                let suite = self.suite;
                let (device, peer) = self.pair(side);
                device.initiate(&peer.party, suite, one_time);
            }
        }
    }

    fn pair(&mut self, side: Side) -> (&mut Device, &mut Device) {
        let [a, b] = &mut self.devices;
        match side {
            Side::A => (a, b),
            Side::B => (b, a),
        }
    }

    fn send(&mut self, from: Side, fate: Fate) {
        let device = &mut self.devices[from as usize];
        if !device.session.is_established() {
            return;
        }
        let plaintext = self.sent.to_be_bytes().to_vec();
        self.sent += 1;
        let Some(message) = device.seal(&plaintext, fate) else { return };
        let base_key = device.session.base_key().unwrap().to_bytes();
        let inner = inner(&message);
        let ratchet_key = inner.ratchet_key().unwrap().to_bytes();
        assert!(self.headers.insert((ratchet_key, inner.counter())), "B6: a message key was used twice");
        self.inboxes[1 - from as usize].push(Flying { message, plaintext, base_key, ratchet_key });
    }

    fn is_kept(&self, at: Side, flying: &Flying) -> bool {
        let heard = self.heard[at as usize].get(&flying.base_key).map(Vec::as_slice).unwrap_or_default();
        let position = heard.iter().position(|key| *key == flying.ratchet_key);
        position.is_none_or(|position| position + CHAINS_KEPT >= heard.len())
    }

    fn deliver(&mut self, to: Side, at: usize, fate: Fate) -> bool {
        let Some(flying) = self.take(to, at) else { return false };
        if !self.is_kept(to, &flying) {
            return true;
        }
        let (device, peer) = self.pair(to);
        let outcome = device.open(&flying.message, &peer.party, fate);
        match outcome {
            Ok(plaintext) => assert_eq!(plaintext, flying.plaintext),
            // Never acknowledged, so it comes again; if it was persisted, as a duplicate.
            Err(Failure::Died) if fate == Fate::DiesBefore => {
                self.inboxes[to as usize].push(flying);
                return true;
            }
            Err(Failure::Died) => {}
            Err(failure) => panic!("{to:?} did not open a message: {failure:?}"),
        }
        let heard = self.heard[to as usize].entry(flying.base_key).or_default();
        if !heard.contains(&flying.ratchet_key) {
            heard.push(flying.ratchet_key);
        }
        self.delivered[to as usize].push(flying);
        true
    }

    /// B1: however often and late a message comes again, it is recognised.
    fn repeat(&mut self, to: Side, at: usize) {
        let count = self.delivered[to as usize].len();
        if count == 0 {
            return;
        }
        let flying = self.delivered[to as usize][at % count].clone();
        let is_kept = self.is_kept(to, &flying);
        let (device, peer) = self.pair(to);
        let outcome = device.open(&flying.message, &peer.party, Fate::Lives);
        match outcome {
            Err(Failure::Open(OpenError::Duplicate { .. })) => {}
            Err(_) if !is_kept => {}
            other => panic!("{to:?} opened a message twice, or forgot it: {other:?}"),
        }
    }

    /// A flipped bit anywhere in the authenticated message inside.
    fn forge(&mut self, to: Side, at: usize, bit: usize) {
        let count = self.inboxes[to as usize].len();
        if count == 0 {
            return;
        }
        let message = inner(&self.inboxes[to as usize][at % count].message);
        let mut bytes = message.as_bytes().to_vec();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let device = &mut self.devices[to as usize];
        let before: Vec<_> = device.session.records().map(|(key, value)| (key, value.to_vec())).collect();
        if let Ok(forged) = SignalMessage::decode(&bytes) {
            assert!(
                device.session.open(&forged, &mut device.budget, &mut device.rng).is_err(),
                "B10: bit {bit} is free"
            );
            device.budget = waxwing_protocol::Budget::default();
        }
        let after: Vec<_> = device.session.records().map(|(key, value)| (key, value.to_vec())).collect();
        assert_eq!(before, after, "B4: a forgery moved the session");
    }

    fn take(&mut self, to: Side, at: usize) -> Option<Flying> {
        let inbox = &mut self.inboxes[to as usize];
        if inbox.is_empty() { None } else { Some(inbox.swap_remove(at % inbox.len())) }
    }

    /// B7: whatever happened, two round trips later both use one acknowledged session.
    fn converge(&mut self) {
        for to in [Side::A, Side::B] {
            while self.deliver(to, 0, Fate::Lives) {}
        }
        if !self.devices.iter().any(|device| device.session.is_established()) {
            return;
        }
        for from in [Side::A, Side::B, Side::A, Side::B] {
            self.send(from, Fate::Lives);
            while self.deliver(if from == Side::A { Side::B } else { Side::A }, 0, Fate::Lives) {}
        }
        for device in &self.devices {
            assert!(device.session.is_established() && device.session.is_acknowledged(), "B7: not converged");
        }
        let [a, b] = &self.devices;
        assert_eq!(a.session.base_key(), b.session.base_key(), "B7: different sessions");
    }
}

fn inner(message: &CiphertextMessage) -> SignalMessage {
    match message.kind() {
        MessageKind::Signal => SignalMessage::decode(message.as_bytes()).unwrap(),
        MessageKind::PreKey => PreKeySignalMessage::decode(message.as_bytes()).unwrap().message().clone(),
    }
}

fn run(seed: u64, suite: Suite, both: bool, ops: &[Op]) {
    let mut world = World::new(seed, suite);
    world.apply(&Op::Initiate(Side::A, OneTime::With));
    if both {
        world.apply(&Op::Initiate(Side::B, OneTime::Without));
    }
    for op in ops {
        world.apply(op);
    }
    world.converge();
}

proptest! {
    #![proptest_config(crate::cases(48))]

    /// ATTACKS B1, B2, B4, B6, B7.
    #[test]
    fn no_schedule_wedges_a_pqxdh_session_or_uses_a_key_twice(
        seed: u64, both: bool, ops in prop::collection::vec(op(), 0..120)
    ) {
        run(seed, Suite::Pqxdh, both, &ops);
    }

    /// ATTACKS B1, B2, B4, B6, B7.
    #[test]
    fn no_schedule_wedges_an_x3dh_session_or_uses_a_key_twice(
        seed: u64, both: bool, ops in prop::collection::vec(op(), 0..120)
    ) {
        run(seed, Suite::X3dh, both, &ops);
    }
}
