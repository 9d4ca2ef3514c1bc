//! An app moves from the library to us without losing a session: spec §5.11.

use libtest_mimic::Failed;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use waxwing_tests::{
    ours::Device,
    peer::{
        PartyOptions,
        Version::{self, V0_72_1, V0_90_0},
    },
    schedule::{self, OpenFailure, PartyEnd, Role},
};

use super::{Boxed, expect};
use crate::stage::{self, Agreement, Pair, alice, bob};

pub(super) fn trials() -> Vec<(String, Boxed)> {
    let mut trials: Vec<(String, Boxed)> = Vec::new();
    for (version, kyber) in [(V0_72_1, false), (V0_72_1, true)] {
        let agreement = if kyber { "pqxdh" } else { "x3dh" };
        for role in [Role::Initiator, Role::Responder] {
            let name = format!("waxwing::import::{version}::{agreement}::the_{role}_moves_to_us_in_mid_conversation");
            trials.push((name.clone(), Box::new(move || moves(&name, version, kyber, role))));
        }
        let name = format!("waxwing::import::{version}::{agreement}::we_emit_the_same_bytes_from_the_same_record");
        trials.push((name.clone(), Box::new(move || same_bytes(&name, version, kyber))));
    }
    let name = "waxwing::import::0.90.0::a_session_that_0.72.1_downgraded_moves_to_us".to_string();
    trials.push((name, Box::new(downgraded)));
    let name = "waxwing::import::0.90.0::states_with_spqr_are_left_out_and_counted".to_string();
    trials.push((name, Box::new(with_spqr)));
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
        for turn in 0..rng.next_u32() % 6 {
            let (from, to) =
                if turn % 2 == 0 { (&pair.responder, &pair.initiator) } else { (&pair.initiator, &pair.responder) };
            for i in 0..=rng.next_u32() % 5 {
                let text = vec![turn as u8, i as u8];
                let message = from.encrypt(&to.address(), &text)?;
                let moving = if role == Role::Initiator { &pair.initiator } else { &pair.responder };
                if rng.next_u32().is_multiple_of(3) && to.address() == moving.address() {
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
        expect(
            device.decrypt(&first) == Err(OpenFailure::Duplicate) || role == Role::Initiator,
            "a duplicate is known",
        )?;
        let mut staying_end = PartyEnd { party: staying, remote: device.address.clone() };
        for text in [b"one", b"two"] {
            let message = device.encrypt(text);
            let opened = schedule::Endpoint::open(&mut staying_end, &message);
            expect(opened.as_deref() == Ok(&text[..]), "the library opens what we say now")?;
            let answer = staying.encrypt(&device.address, text)?;
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
        compare(b"")?;
        compare(b"a second first message")?;
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

fn with_spqr() -> Result<(), Failed> {
    let peer = stage::peer(V0_90_0);
    peer.create_party(&PartyOptions::new("unused", bob()))?.forget()?;
    let pair = Pair::established(&peer, &peer, Agreement::PQXDH)?;
    let (device, left_out) = Device::take_over(1, &pair.responder, alice())?;
    expect(left_out == 1 && !device.session().is_established(), "a session with SPQR must be established anew")
}
