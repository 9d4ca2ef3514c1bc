//! A session is lost, its peer is told, and both talk again: every pair of roles, with the error message made by either side.

use libtest_mimic::Failed;
use serde_json::json;

use waxwing_protocol::{
    DecryptionErrorMessage, PlaintextContent, PreKeySignalMessage, SenderKeyMessage, SignalMessage, Timestamp,
};
use waxwing_tests::{
    group::Member,
    ours::{Device, Ratchet, Use},
    peer::{BundleChoice, Ciphertext, MessageType, Party, PartyOptions, PrekeyKind, Version},
};

use super::{Boxed, PAIRINGS, addresses, agreement, expect};
use crate::stage::{self, alice};

pub(super) fn trials() -> Vec<(String, Boxed)> {
    let mut trials: Vec<(String, Boxed)> = Vec::new();
    for (version, kyber, ratchet) in PAIRINGS {
        let agreement = agreement(kyber, ratchet);
        for (what, story) in [("we_lose", we_lose as Story), ("the_library_loses", they_lose)] {
            let name = format!("waxwing::repair::{what}_the_session::{version}::{agreement}");
            trials.push((name.clone(), Box::new(move || runs(&name, (version, kyber, ratchet), story))));
        }
    }
    for version in Version::ALL {
        let name = format!("waxwing::repair::decryption_errors_are_byte_for_byte_equal::{version}");
        trials.push((name.clone(), Box::new(move || errors(&name, version))));
    }
    trials
}

type Story = fn(u64, bool, &mut Device, &Party<'_>) -> Result<(), Failed>;

fn runs(name: &str, (version, kyber, ratchet): (Version, bool, Ratchet), story: Story) -> Result<(), Failed> {
    let peer = stage::peer(version);
    stage::runs(name, |seed| {
        peer.reset()?;
        let (here, there) = addresses(seed);
        let party = peer.create_party(&PartyOptions::new("peer", there.clone()))?;
        let mut device = Device::new(seed, here, there, Use::Often).with(ratchet);
        party.generate_prekey(PrekeyKind::Signed, 1)?;
        if seed % 4 < 2 {
            device.process_bundle(&fresh_bundle(&party, 2, kyber)?);
        } else {
            party.process_bundle(&device.address, &device.bundle(None, kyber.then_some(1)))?;
            let first = party.encrypt(&device.address, b"first")?;
            expect(device.decrypt(&first) == Ok(b"first".into()), "we open the first message")?;
        }
        // Some turns, so that the session is anywhere but at its start.
        for turn in 0..seed % 3 + 1 {
            to_them(&mut device, &party, &turn.to_be_bytes())?;
            to_us(&mut device, &party, &turn.to_be_bytes())?;
        }
        story(seed, kyber, &mut device, &party)?;
        for _ in 0..2 {
            to_us(&mut device, &party, b"in the end")?;
            to_them(&mut device, &party, b"both talk")?;
        }
        let last = device.encrypt(b"and the session is acknowledged");
        expect(last.kind == MessageType::Whisper, "no first message is needed any more")
    })
}

/// The library sends what we cannot read; our error makes it archive and begin anew.
fn we_lose(seed: u64, kyber: bool, device: &mut Device, party: &Party<'_>) -> Result<(), Failed> {
    device.lose_session();
    let unreadable = party.encrypt(&device.address, b"unreadable")?;
    expect(device.decrypt(&unreadable).is_err(), "we have no session")?;
    let error = error_for(&unreadable, seed, party.address().device);
    let content = PlaintextContent::new(error.clone());
    let heard = party.peer().extract_decryption_error(&party.peer().plaintext_body(content.as_bytes())?)?;
    expect(*heard.serialized == *error.encode(), "the library reads our error")?;
    let key = heard.ratchet_key.ok_or("a ratchet key")?;
    expect(party.ratchet_key_matches(&device.address, &key)?, "it is about the library's current state")?;
    party.archive_session(&device.address)?;
    party.process_bundle(&device.address, &device.bundle(None, kyber.then_some(1)))?;
    expect(!party.ratchet_key_matches(&device.address, &key)?, "the same error resets nothing again")?;
    to_us(device, party, b"again")
}

/// We send what the library cannot read; its error makes us archive and begin anew.
fn they_lose(seed: u64, kyber: bool, device: &mut Device, party: &Party<'_>) -> Result<(), Failed> {
    party.remove_session(&device.address)?;
    let unreadable = device.encrypt(b"unreadable");
    expect(party.decrypt(&device.address, &unreadable).is_err(), "the library has no session")?;
    let original =
        json!({ "original": unreadable.body, "type": unreadable.kind, "timestamp": seed % (1 << 40), "device": 1 });
    let message = party.peer().construct("decryption_error", original)?;
    let content = party.peer().construct("plaintext", json!({ "message": message }))?;
    expect(device.hear_complaint(&content), "it is about our current state")?;
    expect(!device.hear_complaint(&content), "the same error resets nothing again")?;
    device.process_bundle(&fresh_bundle(party, 3, kyber)?);
    expect(!device.hear_complaint(&content), "nor the new session")?;
    to_them(device, party, b"again")
}

/// For messages of every kind our error is the library's, and each reads the other's.
fn errors(name: &str, version: Version) -> Result<(), Failed> {
    let peer = stage::peer(version);
    stage::runs(name, |seed| {
        let mut group = Member::new(seed, alice(), "d1d1d1d1-7000-11eb-b32a-33b8a8a487a6");
        group.distribute();
        let group_message = Ciphertext { kind: MessageType::SenderKey, body: group.encrypt(b"text").into() };
        let (here, there) = addresses(seed);
        let mut device = Device::new(seed, here.clone(), there.clone(), Use::Often);
        let other = Device::new(seed ^ 1, there, here, Use::Often);
        device.process_bundle(&other.bundle(None, Some(1)));
        let first = device.encrypt(b"text");
        let inner = PreKeySignalMessage::decode(&first.body)?.message().as_bytes().to_vec();
        let inner = Ciphertext { kind: MessageType::Whisper, body: inner.into() };
        for original in [&first, &inner, &group_message] {
            let (timestamp, sender) = (seed % (1 << 53), seed as u32 % 200);
            let ours = error_for(original, timestamp, sender);
            let fields =
                json!({ "original": original.body, "type": original.kind, "timestamp": timestamp, "device": sender });
            let theirs = peer.construct("decryption_error", fields)?;
            expect(*theirs == *ours.encode(), "the error messages are equal")?;
            expect(DecryptionErrorMessage::decode(&theirs)? == ours, "we read theirs")?;
            let content = peer.construct("plaintext", json!({ "message": theirs }))?;
            expect(*content == *PlaintextContent::new(ours).as_bytes(), "the contents are equal")?;
        }
        Ok(())
    })
}

fn error_for(original: &Ciphertext, timestamp: u64, device: u32) -> DecryptionErrorMessage {
    let timestamp = Timestamp(timestamp % (1 << 53));
    let body = &original.body;
    let error = match original.kind {
        MessageType::PreKey => DecryptionErrorMessage::for_original(
            &PreKeySignalMessage::decode(body).expect("it decodes"),
            timestamp,
            device,
        ),
        MessageType::Whisper => {
            DecryptionErrorMessage::for_original(&SignalMessage::decode(body).expect("it decodes"), timestamp, device)
        }
        MessageType::SenderKey => DecryptionErrorMessage::for_original(
            &SenderKeyMessage::decode(body).expect("it decodes"),
            timestamp,
            device,
        ),
        MessageType::Plaintext => panic!("plaintext content cannot fail to decrypt"),
    };
    error.expect("the ratchet key is a point")
}

fn fresh_bundle(party: &Party<'_>, id: u32, kyber: bool) -> Result<waxwing_tests::peer::Bundle, Failed> {
    party.generate_prekey(PrekeyKind::OneTime, id)?;
    party.generate_prekey(PrekeyKind::Kyber, id)?;
    Ok(party.bundle(BundleChoice { one_time: Some(id), signed: 1, kyber: kyber.then_some(id) })?)
}

fn to_us(device: &mut Device, party: &Party<'_>, text: &[u8]) -> Result<(), Failed> {
    let message = party.encrypt(&device.address, text)?;
    expect(device.decrypt(&message).as_deref() == Ok(text), "we open the library's message")
}

fn to_them(device: &mut Device, party: &Party<'_>, text: &[u8]) -> Result<(), Failed> {
    let message = device.encrypt(text);
    let opened = party.decrypt(&device.address, &message)?;
    expect(*opened.plaintext == *text, "the library opens our message")
}
