//! The edges of spec §5.5, §5.7 and §5.8, at both ends alike.

use libtest_mimic::Failed;

use waxwing_protocol::{IdentityEvent, SealError};
use waxwing_tests::{
    ours::{Device, Ratchet, Use},
    peer::{BundleChoice, MessageType, Party, PartyOptions, PrekeyKind, Version},
    schedule::OpenFailure,
};

use super::{Boxed, PAIRINGS, agreement, expect};
use crate::stage::{self, alice, bob};

type Scene = fn(Version, Ratchet) -> Result<(), Failed>;

const SCENES: [(&str, Scene); 5] = [
    ("we_keep_the_newest_2000_skipped_and_no_more", we_keep_2000),
    ("the_library_keeps_the_newest_2000_that_we_skipped", they_keep_2000),
    ("the_longest_jump_opens_and_one_more_is_refused", jump_cap),
    ("a_reinstalled_peer_is_reported_and_then_understood", identity_changes),
    ("several_first_messages_before_the_answer_arrive_in_any_order", repeated_wrapping),
];

pub(super) fn trials() -> Vec<(String, Boxed)> {
    let mut trials: Vec<(String, Boxed)> = Vec::new();
    for (version, kyber, ratchet) in PAIRINGS.into_iter().filter(|(_, kyber, _)| *kyber) {
        for (name, scene) in SCENES {
            let agreement = agreement(kyber, ratchet);
            let name = format!("waxwing::limits::{version}::{agreement}::{name}");
            trials.push((name, Box::new(move || scene(version, ratchet))));
        }
    }
    trials
}

/// Both with an acknowledged session that we initiated.
fn established(
    version: Version,
    ratchet: Ratchet,
    then: impl FnOnce(Device, Party<'_>) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let peer = stage::peer(version);
    peer.reset()?;
    let party = peer.create_party(&PartyOptions::new("peer", bob()))?;
    let mut device = Device::new(1, alice(), bob(), Use::Once).with(ratchet);
    device.process_bundle(&bundle(&party)?);
    let first = device.encrypt(b"first");
    party.decrypt(&alice(), &first)?;
    let answer = party.encrypt(&alice(), b"answer")?;
    expect(device.decrypt(&answer).is_ok(), "the answer opens")?;
    then(device, party)
}

fn bundle(party: &Party<'_>) -> Result<waxwing_tests::peer::Bundle, Failed> {
    for kind in [PrekeyKind::OneTime, PrekeyKind::Signed, PrekeyKind::Kyber] {
        party.generate_prekey(kind, 1)?;
    }
    Ok(party.bundle(BundleChoice { one_time: Some(1), signed: 1, kyber: Some(1) })?)
}

fn we_keep_2000(version: Version, ratchet: Ratchet) -> Result<(), Failed> {
    established(version, ratchet, |mut device, party| {
        // The answer was number 0 of this chain.
        let first = party.encrypt(&alice(), b"1: dropped")?;
        let second = party.encrypt(&alice(), b"2: the oldest kept")?;
        party.skip(&alice(), 1_999)?;
        let last = party.encrypt(&alice(), b"2002")?;
        expect(device.decrypt(&last) == Ok(b"2002".to_vec()), "a message opens over 2,001 skipped ones")?;
        expect(device.decrypt(&first) == Err(OpenFailure::Duplicate), "the oldest skipped one is gone")?;
        device.restart();
        expect(device.decrypt(&second) == Ok(b"2: the oldest kept".to_vec()), "the 2,000th newest is kept")?;
        expect(device.decrypt(&second) == Err(OpenFailure::Duplicate), "once")
    })
}

fn they_keep_2000(version: Version, ratchet: Ratchet) -> Result<(), Failed> {
    established(version, ratchet, |mut device, party| {
        // A new chain of ours began with the answer: its numbers start at 0.
        let first = device.encrypt(b"0: dropped");
        let second = device.encrypt(b"1: the oldest kept");
        for _ in 0..1_999 {
            device.encrypt(b"skipped");
        }
        let last = device.encrypt(b"2001");
        expect(*party.decrypt(&alice(), &last)?.plaintext == *b"2001", "the library opens it")?;
        expect(party.decrypt(&alice(), &first).is_err_and(|error| error.is_duplicate()), "the oldest is gone")?;
        expect(*party.decrypt(&alice(), &second)?.plaintext == *b"1: the oldest kept", "the 2,000th newest is kept")
    })
}

fn jump_cap(version: Version, ratchet: Ratchet) -> Result<(), Failed> {
    established(version, ratchet, |mut device, party| {
        // The post-quantum ratchet counts from the last message, the Double Ratchet from the next.
        party.skip(&alice(), if ratchet == Ratchet::Triple { 24_999 } else { 25_000 })?;
        let at_the_cap = party.encrypt(&alice(), b"cap")?;
        let one_more = party.encrypt(&alice(), b"beyond")?;
        let refused = device.decrypt(&one_more);
        expect(
            matches!(&refused, Err(OpenFailure::Refused(text)) if text.contains("25001 messages ahead")),
            &format!("a jump of 25,001 is refused: {refused:?}"),
        )?;
        expect(device.decrypt(&at_the_cap) == Ok(b"cap".to_vec()), "a jump of 25,000 opens")?;
        expect(device.decrypt(&one_more) == Ok(b"beyond".to_vec()), "and then the next")
    })
}

fn identity_changes(version: Version, ratchet: Ratchet) -> Result<(), Failed> {
    established(version, ratchet, |mut device, party| {
        let before = party.info().identity_public.clone();
        let peer = stage::peer(version);
        party.forget()?;
        let party = peer.create_party(&PartyOptions::new("peer", bob()))?;
        device.add_one_time_prekeys(7, Use::Once);
        party.process_bundle(&alice(), &device.bundle(Some(7), Some(7)))?;
        let first = party.encrypt(&alice(), b"it is me, really")?;
        expect(device.decrypt(&first).is_ok(), "the reinstalled peer's message opens")?;
        let Some(IdentityEvent::Changed { from, to }) = device.last_identity_event else {
            return Err(format!("no change reported: {:?}", device.last_identity_event).into());
        };
        expect(from.to_bytes()[..] == before[..], "the old identity is named")?;
        expect(to.to_bytes()[..] == party.info().identity_public[..], "and the new one")?;
        let answer = device.encrypt(b"hello again");
        expect(*party.decrypt(&alice(), &answer)?.plaintext == *b"hello again", "the answer opens")
    })
}

fn repeated_wrapping(version: Version, ratchet: Ratchet) -> Result<(), Failed> {
    let peer = stage::peer(version);
    peer.reset()?;
    let party = peer.create_party(&PartyOptions::new("peer", bob()))?;
    let mut device = Device::new(2, alice(), bob(), Use::Once).with(ratchet);
    device.process_bundle(&bundle(&party)?);
    let messages: Vec<_> = (0..4u8).map(|i| device.encrypt(&[i])).collect();
    for i in [2u8, 0, 3, 1] {
        let message = &messages[usize::from(i)];
        expect(message.kind == MessageType::PreKey, "every message before the answer is wrapped")?;
        expect(*party.decrypt(&alice(), message)?.plaintext == [i], "it opens in any order")?;
    }
    device.wait(31 * 24 * 60 * 60 * 1000);
    expect(device.try_encrypt(b"too late").err() == Some(SealError::UnacknowledgedTooLong), "30 days are the limit")
}
