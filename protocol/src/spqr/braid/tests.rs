//! The state machine alone: what each state makes of each payload, and two of them over a network that loses, repeats and
//! reorders.
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "test arithmetic is small")]

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::super::erasure::Chunk;
use super::*;

const AUTH_KEY: [u8; 32] = [7; 32];

struct End {
    braid: Braid,
    secrets: BTreeMap<u64, [u8; 32]>,
}

impl End {
    fn pair() -> (Self, Self) {
        let end = |role| Self { braid: Braid::new(&AUTH_KEY, role), secrets: BTreeMap::new() };
        (end(Role::Initiator), end(Role::Responder))
    }

    fn send(&mut self, rng: &mut ChaCha20Rng) -> (Epoch, Payload) {
        let epoch = self.braid.epoch();
        let turn = self.braid.clone().send(rng);
        self.note(epoch, turn.secret);
        self.braid = turn.braid;
        (self.braid.epoch(), turn.payload)
    }

    fn receive(&mut self, (epoch, payload): &(Epoch, Payload)) {
        let ours = self.braid.epoch();
        let (braid, secret) = self.braid.clone().receive(*epoch, payload).expect("an honest peer's message");
        self.note(ours, secret);
        self.braid = braid;
    }

    fn note(&mut self, epoch: Epoch, secret: Option<EpochSecret>) {
        if let Some(secret) = secret {
            assert!(self.secrets.insert(epoch.0, *secret.as_bytes()).is_none(), "an epoch has one secret");
        }
    }
}

const fn kind(payload: &Payload) -> &'static str {
    match payload {
        Payload::None => "None",
        Payload::Header(_) => "Hdr",
        Payload::EncapsulationKey(_) => "Ek",
        Payload::EncapsulationKeyCt1Ack(_) => "EkCt1Ack",
        Payload::Ct1Ack => "Ct1Ack",
        Payload::Ct1(_) => "Ct1",
        Payload::Ct2(_) => "Ct2",
    }
}

/// Runs of equal payloads with their epochs.
fn runs(said: &[(Epoch, Payload)]) -> Vec<(u64, &'static str, usize)> {
    let mut runs: Vec<(u64, &str, usize)> = Vec::new();
    for (epoch, payload) in said {
        match runs.last_mut() {
            Some((of, same, count)) if (*of, *same) == (epoch.0, kind(payload)) => *count += 1,
            _ => runs.push((epoch.0, kind(payload), 1)),
        }
    }
    runs
}

#[test]
fn in_strict_alternation_everything_is_said_once_in_order() {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let (mut alice, mut bob) = End::pair();
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for _ in 0..130 {
        there.push(alice.send(rng));
        bob.receive(there.last().unwrap());
        back.push(bob.send(rng));
        alice.receive(back.last().unwrap());
    }
    let key_side = |epoch| [(epoch, "Hdr", 3), (epoch, "Ek", 29), (epoch, "EkCt1Ack", 7), (epoch, "Ct1Ack", 4)];
    let ciphertext_side =
        |epoch, waiting| [(epoch, "None", waiting), (epoch, "Ct1", 30), (epoch, "None", 6), (epoch, "Ct2", 5)];
    assert_eq!(runs(&there)[..12], [key_side(1), ciphertext_side(2, 3), key_side(3)].concat());
    assert_eq!(runs(&back)[..12], [ciphertext_side(1, 2), key_side(2), ciphertext_side(3, 3)].concat());
    assert_eq!((alice.secrets.len(), &alice.secrets), (3, &bob.secrets));
}

/// Drives two ends to the point where `alice` is in a state that `until` accepts; her peer is then as it was before her
/// state changed, or after.
fn drive(until: impl Fn(&Braid, &Braid) -> bool) -> (End, End, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let (mut alice, mut bob) = End::pair();
    for _ in 0..1000 {
        if until(&alice.braid, &bob.braid) {
            return (alice, bob, rng);
        }
        let message = alice.send(&mut rng);
        if until(&alice.braid, &bob.braid) {
            return (alice, bob, rng);
        }
        bob.receive(&message);
        if until(&alice.braid, &bob.braid) {
            return (alice, bob, rng);
        }
        let message = bob.send(&mut rng);
        if until(&alice.braid, &bob.braid) {
            return (alice, bob, rng);
        }
        alice.receive(&message);
    }
    panic!("the state was never reached");
}

const fn name(braid: &Braid) -> &'static str {
    match braid {
        Braid::KeysUnsampled(_) => "KeysUnsampled",
        Braid::KeysSampled(_) => "KeysSampled",
        Braid::HeaderSent(_) => "HeaderSent",
        Braid::Ct1Received(_) => "Ct1Received",
        Braid::EkSentCt1Received(_) => "EkSentCt1Received",
        Braid::NoHeaderReceived(_) => "NoHeaderReceived",
        Braid::HeaderReceived(_) => "HeaderReceived",
        Braid::Ct1Sampled(_) => "Ct1Sampled",
        Braid::EkReceivedCt1Sampled(_) => "EkReceivedCt1Sampled",
        Braid::Ct1Acknowledged(_) => "Ct1Acknowledged",
        Braid::Ct2Sampled(_) => "Ct2Sampled",
    }
}

/// Each state alone: the state that each payload of its epoch leads to, by their number in spec §6.2.
/// Chunks are the first of their part, far from completing it.
#[test]
fn each_state_takes_what_it_waits_for_and_ignores_the_rest() {
    let chunk = Chunk { index: 40_000, data: [9; 32] };
    let payloads = [
        Payload::None,
        Payload::Header(chunk),
        Payload::EncapsulationKey(chunk),
        Payload::EncapsulationKeyCt1Ack(chunk),
        Payload::Ct1Ack,
        Payload::Ct1(chunk),
        Payload::Ct2(chunk),
    ];
    for (state, changes) in [
        ("KeysUnsampled", vec![]),
        ("KeysSampled", vec![(5, "HeaderSent")]),
        ("HeaderSent", vec![]),
        ("Ct1Received", vec![(6, "EkSentCt1Received")]),
        ("EkSentCt1Received", vec![]),
        ("NoHeaderReceived", vec![]),
        ("HeaderReceived", vec![]),
        ("Ct1Sampled", vec![(3, "Ct1Acknowledged")]),
        ("Ct2Sampled", vec![]),
    ] {
        let is_it = |braid: &Braid| name(braid) == state;
        let (alice, bob, _) = drive(|alice, bob| is_it(alice) || is_it(bob));
        let braid = if is_it(&alice.braid) { alice.braid } else { bob.braid };
        for (at, payload) in payloads.iter().enumerate() {
            let (after, secret) = braid.clone().receive(braid.epoch(), payload).unwrap();
            let expected = changes.iter().find(|(changed, _)| *changed == at).map_or(state, |(_, next)| *next);
            assert_eq!((name(&after), secret.is_none()), (expected, true), "{state} hears {}", kind(payload));
        }
        // Older epochs are ignored, newer ones refused; but Ct2Sampled ends with the next.
        assert_eq!(name(&braid.clone().receive(braid.epoch().previous(), &payloads[1]).unwrap().0), state);
        let next = braid.clone().receive(braid.epoch().next(), &Payload::None).map(|(braid, _)| name(&braid));
        if state == "Ct2Sampled" {
            assert_eq!(next, Ok("KeysUnsampled"));
        } else {
            assert_eq!(next, Err(BraidError::Future(braid.epoch().next().0)), "{state}");
        }
        let beyond = braid.epoch().next().next();
        assert_eq!(braid.receive(beyond, &Payload::None).err(), Some(BraidError::Future(beyond.0)), "{state}");
    }
}

#[test]
fn the_key_may_arrive_before_or_after_the_acknowledgement() {
    let rng = &mut ChaCha20Rng::seed_from_u64(3);
    // Bob's ct1 is lost, Alice's key arrives whole: EkReceivedCt1Sampled.
    let (mut alice, mut bob, _) = drive(|alice, _| name(alice) == "HeaderSent");
    while name(&bob.braid) == "Ct1Sampled" {
        bob.receive(&alice.send(rng));
        let _lost = bob.send(rng);
    }
    assert_eq!(name(&bob.braid), "EkReceivedCt1Sampled");
    // What is lost of ct1 is replaced by later chunks.
    while name(&alice.braid) == "HeaderSent" {
        alice.receive(&bob.send(rng));
    }
    assert_eq!(name(&alice.braid), "Ct1Received");
    bob.receive(&alice.send(rng));
    assert_eq!(name(&bob.braid), "Ct2Sampled");

    // Alice's key is lost, Bob's ct1 arrives: Ct1Acknowledged, then the key to its end.
    let (mut alice, mut bob, _) = drive(|alice, _| name(alice) == "HeaderSent");
    while name(&alice.braid) == "HeaderSent" {
        let _lost = alice.send(rng);
        alice.receive(&bob.send(rng));
    }
    bob.receive(&alice.send(rng));
    assert_eq!(name(&bob.braid), "Ct1Acknowledged");
    while name(&bob.braid) == "Ct1Acknowledged" {
        assert_eq!(bob.send(rng).1, Payload::None);
        bob.receive(&alice.send(rng));
    }
    assert_eq!(name(&bob.braid), "Ct2Sampled");
    while name(&alice.braid) != "NoHeaderReceived" {
        alice.receive(&bob.send(rng));
    }
    assert_eq!(alice.secrets, bob.secrets);
}

/// What a peer says about its keys is checked before it has any effect; the state that refused is as it was.
#[test]
fn b18_wrong_parts_are_refused_and_leave_the_state_as_it_was() {
    let spoil = |(epoch, payload): (Epoch, Payload)| {
        let spoilt = |chunk: Chunk| Chunk { data: chunk.data.map(|byte| byte ^ 1), ..chunk };
        let payload = match payload {
            Payload::Header(chunk) => Payload::Header(spoilt(chunk)),
            Payload::EncapsulationKeyCt1Ack(chunk) => Payload::EncapsulationKeyCt1Ack(spoilt(chunk)),
            Payload::Ct2(chunk) => Payload::Ct2(spoilt(chunk)),
            other => panic!("{other:?} is not spoilt here"),
        };
        (epoch, payload)
    };
    for (state, kind_to_spoil, error) in [
        ("NoHeaderReceived", "Hdr", BraidError::Header),
        ("Ct1Acknowledged", "EkCt1Ack", BraidError::EncapsulationKey),
        ("EkSentCt1Received", "Ct2", BraidError::Ciphertext),
    ] {
        let rng = &mut ChaCha20Rng::seed_from_u64(4);
        let (mut alice, mut bob) = End::pair();
        let mut refused = 0;
        for turn in 0..120 {
            let (from, to) = if turn % 2 == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
            let message = from.send(rng);
            if name(&to.braid) == state && kind(&message.1) == kind_to_spoil {
                let (epoch, payload) = spoil(message);
                let before = alloc::format!("{:?}", to.braid);
                // Only the last chunk of a part shows that the part is wrong.
                if let Err(found) = to.braid.clone().receive(epoch, &payload) {
                    assert_eq!(found, error);
                    refused += 1;
                }
                assert_eq!(alloc::format!("{:?}", to.braid), before);
            }
            to.receive(&message);
        }
        assert!(refused > 0, "{error:?} was never seen");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// Loss up to 90 %, reordering within a window and repetition: nothing is refused, and what both have is equal.
    #[test]
    fn b18_whatever_arrives_in_whatever_order_both_ends_agree(seed: u64, loss in 0..90u32, bursts in 1..8u32) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (mut alice, mut bob) = End::pair();
        let mut flying: [Vec<(Epoch, Payload)>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..1_500 {
            let side = (rng.next_u32() % 2) as usize;
            for _ in 0..rng.next_u32() % bursts + 1 {
                let end = if side == 0 { &mut alice } else { &mut bob };
                let message = end.send(&mut rng);
                if rng.next_u32() % 100 >= loss {
                    flying[side].push(message);
                }
            }
            while flying[side].len() > 5 || (!flying[side].is_empty() && rng.next_u32() % 3 != 0) {
                let at = rng.next_u32() as usize % flying[side].len();
                let message = if rng.next_u32() % 4 == 0 { flying[side][at] } else { flying[side].swap_remove(at) };
                let end = if side == 0 { &mut bob } else { &mut alice };
                end.receive(&message);
            }
        }
        for (epoch, secret) in &alice.secrets {
            prop_assert!(bob.secrets.get(epoch).is_none_or(|other| other == secret), "epoch {}", epoch);
        }
        let completed = alice.secrets.keys().filter(|epoch| bob.secrets.contains_key(epoch)).count();
        prop_assert!(completed >= if loss < 50 { 4 } else { 0 }, "{completed} epochs at {loss} % loss");
    }
}
