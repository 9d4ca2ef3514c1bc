//! An app moves from the library to us without losing a session: spec §5.11.

use std::collections::BTreeSet;

use libtest_mimic::Failed;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use waxwing_tests::{
    ours::Device,
    peer::{
        Address, Party,
        Version::{self, V0_72_1, V0_90_0, V0_103_0},
    },
    schedule::{self, OpenFailure, PartyEnd, Role},
};

use super::{Boxed, expect};
use crate::stage::{self, Agreement, Pair, alice};
use crate::witness::{SpqrHeader, State};

/// Agreements that both ends of a session can have with one version of the library.
const CONVERSATIONS: [(Version, bool); 4] = [(V0_72_1, false), (V0_72_1, true), (V0_90_0, true), (V0_103_0, true)];

pub(super) fn trials() -> Vec<(String, Boxed)> {
    let mut trials: Vec<(String, Boxed)> = Vec::new();
    for (version, kyber) in CONVERSATIONS {
        let agreement = match (version, kyber) {
            (V0_72_1, true) => "pqxdh",
            (_, true) => "triple",
            _ => "x3dh",
        };
        for role in [Role::Initiator, Role::Responder] {
            let name = format!("waxwing::import::{version}::{agreement}::the_{role}_moves_to_us_in_mid_conversation");
            trials.push((name.clone(), Box::new(move || moves(&name, version, kyber, role))));
        }
        let name = format!("waxwing::import::{version}::{agreement}::we_emit_the_same_bytes_from_the_same_record");
        trials.push((name.clone(), Box::new(move || same_bytes(&name, version, kyber))));
    }
    for version in [V0_90_0, V0_103_0] {
        let name =
            format!("waxwing::import::{version}::triple::every_state_of_the_exchange_moves_and_says_the_same_bytes");
        trials.push((name, Box::new(move || every_state(version))));
    }
    let name = "waxwing::import::0.90.0::a_session_that_0.72.1_downgraded_moves_to_us".to_string();
    trials.push((name, Box::new(downgraded)));
    trials
}

/// Both parties of the library talk with losses and detours; then one of them becomes ours and hears the rest.
fn moves(name: &str, version: Version, kyber: bool, role: Role) -> Result<(), Failed> {
    let peer = stage::peer(version);
    stage::runs(name, |seed| {
        peer.reset()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let pair = Pair::with_session(&peer, &peer, Agreement { kyber, one_time: true })?;
        let first = pair.send(b"first")?;
        pair.answer_of(&first)?;
        let mut late = Vec::new();
        // Through an epoch and a half where there are any.
        let turns = rng.next_u32() % if version == V0_72_1 { 6 } else { 60 };
        for turn in 0..turns {
            let (from, to) =
                if turn % 2 == 0 { (&pair.responder, &pair.initiator) } else { (&pair.initiator, &pair.responder) };
            for i in 0..=rng.next_u32() % 5 {
                let text = vec![turn as u8, i as u8];
                let message = from.encrypt(&to.address(), &text)?;
                let moving = if role == Role::Initiator { &pair.initiator } else { &pair.responder };
                // In chains that will not have been displaced.
                let may_be_late = turn + 6 > turns && to.address() == moving.address();
                if rng.next_u32().is_multiple_of(3) && may_be_late {
                    late.push((message, text));
                } else {
                    to.decrypt(&from.address(), &message)?;
                }
            }
        }
        let (moving, staying) = match role {
            Role::Initiator => (&pair.initiator, &pair.responder),
            Role::Responder => (&pair.responder, &pair.initiator),
        };
        let (mut device, left_out) = Device::take_over(seed, moving, staying.address())?;
        expect(left_out == 0, "every state moves")?;
        for (message, text) in late {
            expect(device.decrypt(&message) == Ok(text), "what was late still opens")?;
        }
        // Once its chain is gone, a duplicate is of no session.
        let is_known = matches!(device.decrypt(&first), Err(OpenFailure::Duplicate));
        expect(is_known || role == Role::Initiator || turns > 8, "a duplicate is known")?;
        let mut staying_end = PartyEnd { party: staying, remote: device.address.clone() };
        let rounds = if version == V0_72_1 { 2 } else { 50u32 };
        for round in 0..rounds {
            let text = round.to_be_bytes();
            let message = device.encrypt(&text);
            let opened = schedule::Endpoint::open(&mut staying_end, &message);
            expect(opened.as_deref() == Ok(&text[..]), "the library opens what we say now")?;
            let answer = staying.encrypt(&device.address, &text)?;
            expect(device.decrypt(&answer).as_deref() == Ok(&text[..]), "and we its answer")?;
        }
        Ok(())
    })
}

/// From one record, one plaintext and one clock, both libraries make the same message: before and after the answer.
fn same_bytes(name: &str, version: Version, kyber: bool) -> Result<(), Failed> {
    let peer = stage::peer(version);
    stage::runs(name, |seed| {
        peer.reset()?;
        let pair = Pair::with_session(&peer, &peer, Agreement { kyber, one_time: seed.is_multiple_of(2) })?;
        let compare = |text: &[u8]| -> Result<(), Failed> {
            let (mut device, _) = Device::take_over(seed, &pair.initiator, pair.responder.address())?;
            let theirs = pair.send(text)?;
            let ours = device.encrypt(text);
            expect(ours == theirs, "our message is the library's, byte for byte")?;
            pair.answer_of(&theirs)?;
            Ok(())
        };
        if version == V0_72_1 {
            compare(b"")?;
        } else {
            // It draws a key pair.
            pair.answer_of(&pair.send(b"first")?)?;
        }
        if version == V0_90_0 {
            // Without keys of the third ratchet, as its peer might not have it.
            pair.answer_of(&pair.send(b"second")?)?;
        } else {
            compare(b"a second first message")?;
        }
        pair.hear_of(&pair.answer(b"answer")?)?;
        compare(b"an ordinary one")?;
        compare(&[7; 1000])
    })
}

fn downgraded() -> Result<(), Failed> {
    let (old, new) = (stage::peer(V0_72_1), stage::peer(V0_90_0));
    let pair = Pair::established(&old, &new, Agreement::PQXDH)?;
    let (mut device, left_out) = Device::take_over(1, &pair.responder, alice())?;
    expect(left_out == 0, "a session without SPQR moves")?;
    let message = device.encrypt(b"from our side");
    expect(*pair.hear_of(&message)?.plaintext == *b"from our side", "it goes on")
}

/// The library talks with itself until either end was in each of the eleven states; in every second epoch half of ct1 is
/// lost, so that the key arrives before it. At each message the sender's record, in our hands, says the same bytes as in the
/// library's, unless something is drawn; and the receiver's opens them.
fn every_state(version: Version) -> Result<(), Failed> {
    const KEYS_UNSAMPLED: u64 = 1;
    const HEADER_RECEIVED: u64 = 7;
    const CT1_SAMPLED: u64 = 8;
    let peer = stage::peer(version);
    let pair = Pair::established(&peer, &peer, Agreement::PQXDH)?;
    let (mut seen, mut same) = ([BTreeSet::new(), BTreeSet::new()], 0);
    for turn in 0..330 {
        for (from, to, end) in [(&pair.initiator, &pair.responder, 0), (&pair.responder, &pair.initiator, 1)] {
            let state = state_of(from, &to.address())?;
            let (mut ours, left_out) = Device::take_over(1, from, to.address())?;
            expect(left_out == 0, &format!("state {state} of turn {turn} moves"))?;
            let (message, theirs) = (ours.encrypt(b"text"), from.encrypt(&to.address(), b"text")?);
            let is_drawn = [KEYS_UNSAMPLED, HEADER_RECEIVED].contains(&state);
            expect(is_drawn || message == theirs, &format!("our message in state {state} is the library's"))?;
            same += u32::from(message == theirs);
            seen[end].insert(state);

            let epoch = SpqrHeader::of(&theirs).ok_or("a header")?.epoch;
            if state == CT1_SAMPLED && (epoch / 2).is_multiple_of(2) && turn % 2 == 0 {
                continue;
            }
            let (mut hearer, _) = Device::take_over(2, to, from.address())?;
            expect(hearer.decrypt(&theirs).as_deref() == Ok(&b"text"[..]), "we hear what the library says")?;
            to.decrypt(&from.address(), &theirs)?;
        }
    }
    for seen in &seen {
        expect(seen.iter().copied().eq(1..=11), &format!("only states {seen:?} were seen"))?;
    }
    expect(same > 600, &format!("only {same} messages were the same"))
}

/// The state's number in spec §6.9, which is a tag in the library's record.
fn state_of(party: &Party<'_>, remote: &Address) -> Result<u64, Failed> {
    let state = State::of(&party.export_session(remote)?);
    Ok(state.spqr().ok_or("the state has no third ratchet")?.exchange_state())
}
