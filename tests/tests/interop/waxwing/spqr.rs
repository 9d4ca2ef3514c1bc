//! The Triple Ratchet opposite the library, through many epochs: spec/06-spqr.md.
//!
//! What the fact sheet says nobody had confirmed by running code stands here by name: sending towards the library, message
//! keys of epochs from 1 on, the second half-step under the third ratchet, trimming.

use libtest_mimic::Failed;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use waxwing_tests::{
    ours::{Device, Ratchet, Use},
    peer::{
        BundleChoice, Ciphertext, Party, PartyOptions, Peer, PrekeyKind,
        Version::{self, V0_90_0, V0_103_0},
    },
    schedule::{self, Endpoint, OpenFailure, PartyEnd, Role},
};

use super::{Boxed, expect};
use crate::stage::{self, alice, bob};
use crate::witness::SpqrHeader;

/// Schedules of each trial unless the environment asks for another number: 200 in all.
const SCHEDULES: u64 = 50;
/// Steps of one schedule: some 200 messages, two epochs and more.
const STEPS: u32 = 520;

pub(super) fn trials() -> Vec<(String, Boxed)> {
    let mut trials: Vec<(String, Boxed)> = Vec::new();
    for version in [V0_90_0, V0_103_0] {
        for role in [Role::Initiator, Role::Responder] {
            let mut add = |what: &str, proof: fn(&str, Version, Role) -> Result<(), Failed>| {
                let name = format!("waxwing::spqr::{version}::we_are_{role}::{what}");
                trials.push((name.clone(), Box::new(move || proof(&name, version, role))));
            };
            add("two_hundred_and_fifty_round_trips_go_through_five_epochs", round_trips);
            add("one_sided_bursts_with_loss_go_through_many_epochs", bursts);
            add("schedules", schedules);
            add("late_messages_open_for_one_more_epoch_and_not_for_two", late_epochs);
            add("a_silent_side_leaves_the_conversation_working", silent);
        }
    }
    trials
}

/// Ours and theirs with a session that the initiator begins with its first message.
fn meet<'p>(peer: &'p Peer, seed: u64, role: Role) -> Result<(Device, Party<'p>), Failed> {
    peer.reset()?;
    let mut device = Device::new(seed, alice(), bob(), Use::Often).with(Ratchet::Triple);
    let party = peer.create_party(&PartyOptions::new("peer", bob()))?;
    match role {
        Role::Initiator => {
            for kind in [PrekeyKind::OneTime, PrekeyKind::Signed, PrekeyKind::Kyber] {
                party.generate_prekey(kind, 1)?;
            }
            device.process_bundle(&party.bundle(BundleChoice { one_time: Some(1), signed: 1, kyber: Some(1) })?);
            say(&mut device, &party, b"first")?;
            hear(&mut device, &party, b"answer")?;
        }
        Role::Responder => {
            party.process_bundle(&alice(), &device.bundle(Some(1), Some(1)))?;
            hear(&mut device, &party, b"first")?;
            say(&mut device, &party, b"answer")?;
        }
    }
    Ok((device, party))
}

/// We send, the library opens.
fn say(device: &mut Device, party: &Party<'_>, text: &[u8]) -> Result<Ciphertext, Failed> {
    let message = device.encrypt(text);
    let opened = party.decrypt(&alice(), &message)?;
    expect(*opened.plaintext == *text, "the library opens what we say")?;
    Ok(message)
}

/// The library sends, we open.
fn hear(device: &mut Device, party: &Party<'_>, text: &[u8]) -> Result<Ciphertext, Failed> {
    let message = party.encrypt(&alice(), text)?;
    let opened = device.decrypt(&message);
    expect(opened.as_deref() == Ok(text), &format!("we open what the library says: {opened:?}"))?;
    Ok(message)
}

fn epoch(device: &Device) -> u64 {
    device.session().post_quantum_epoch().expect("a session with the third ratchet")
}

/// Strict alternation, either side restarted now and then. Keys of epochs from 1 on, both half-steps of the Double Ratchet
/// and sending towards the library: all by 500 messages that open.
fn round_trips(_: &str, version: Version, role: Role) -> Result<(), Failed> {
    let peer = stage::peer(version);
    let (mut device, party) = meet(&peer, 1, role)?;
    for round in 0..250u32 {
        let text = round.to_be_bytes();
        say(&mut device, &party, &text)?;
        hear(&mut device, &party, &text)?;
        if round % 7 == 0 {
            device.restart();
        }
        if round % 31 == 0 {
            restart(&party)?;
        }
    }
    expect(epoch(&device) >= 5, &format!("only epoch {} was reached", epoch(&device)))
}

fn restart(party: &Party<'_>) -> Result<(), Failed> {
    let record = party.export_session(&alice())?;
    party.remove_session(&alice())?;
    party.import_session(&alice(), &record)?;
    Ok(())
}

/// Up to 70 messages one way before the other way: whole parts arrive at once, in any order, with up to 60 % lost, so that
/// chunks beyond the first n are needed; then duplicates of all of them.
fn bursts(name: &str, version: Version, role: Role) -> Result<(), Failed> {
    let peer = stage::peer(version);
    stage::runs(name, |seed| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut device, party) = meet(&peer, seed, role)?;
        let mut newest_chunk = 0;
        for turn in 0..80 {
            let count = 1 + rng.next_u32() % 70;
            let loss = rng.next_u32() % 61;
            let mut burst = Vec::new();
            for i in 0..count {
                let text = [turn as u8, i as u8];
                let message = if turn % 2 == 0 { device.encrypt(&text) } else { party.encrypt(&alice(), &text)? };
                let chunk = SpqrHeader::of(&message).and_then(|header| header.chunk);
                newest_chunk = newest_chunk.max(chunk.map_or(0, |(index, _)| index));
                // The last one always arrives, so that there is a turn.
                if i + 1 == count || rng.next_u32() % 100 >= loss {
                    burst.push((message, text));
                }
            }
            for at in (1..burst.len()).rev() {
                burst.swap(at, rng.next_u32() as usize % (at + 1));
            }
            for (message, text) in &burst {
                open(&mut device, &party, turn, message, &Ok(text.to_vec()))?;
            }
            for (message, _) in burst.iter().take(5) {
                open(&mut device, &party, turn, message, &Err(OpenFailure::Duplicate))?;
            }
            if turn % 5 == 0 {
                device.restart();
            }
        }
        expect(newest_chunk > 36, "chunks beyond the systematic ones were sent")?;
        expect(epoch(&device) >= 6, &format!("seed {seed}: only epoch {} was reached", epoch(&device)))
    })
}

/// Delivers what ours sent in even turns, theirs in odd ones.
fn open(
    device: &mut Device,
    party: &Party<'_>,
    turn: u32,
    message: &Ciphertext,
    expected: &Result<Vec<u8>, OpenFailure>,
) -> Result<(), Failed> {
    let opened = match turn % 2 {
        0 => PartyEnd { party, remote: alice() }.open(message),
        _ => device.decrypt(message),
    };
    if opened == *expected { Ok(()) } else { Err(format!("turn {turn}: {opened:?} instead of {expected:?}").into()) }
}

/// An end of ours that forgets everything but its records now and then.
struct Restless {
    device: Device,
    rng: ChaCha8Rng,
}

impl Restless {
    fn rest(&mut self) {
        if self.rng.next_u32().is_multiple_of(10) {
            self.device.restart();
        }
    }
}

impl Endpoint for Restless {
    fn seal(&mut self, plaintext: &[u8]) -> Result<Ciphertext, String> {
        self.rest();
        self.device.seal(plaintext)
    }

    fn open(&mut self, message: &Ciphertext) -> Result<Vec<u8>, OpenFailure> {
        self.rest();
        self.device.open(message)
    }
}

/// Loss, reordering, duplicates, restarts, from the first message on.
fn schedules(name: &str, version: Version, role: Role) -> Result<(), Failed> {
    let peer = stage::peer(version);
    stage::runs_of(SCHEDULES, name, |seed| {
        peer.reset()?;
        let (here, there) = super::addresses(seed);
        let mut device = Device::new(seed, here.clone(), there.clone(), Use::Once).with(Ratchet::Triple);
        let party = peer.create_party(&PartyOptions::new("peer", there))?;
        match role {
            Role::Initiator => {
                for kind in [PrekeyKind::OneTime, PrekeyKind::Signed, PrekeyKind::Kyber] {
                    party.generate_prekey(kind, 1)?;
                }
                device.process_bundle(&party.bundle(BundleChoice { one_time: None, signed: 1, kyber: Some(1) })?);
            }
            Role::Responder => party.process_bundle(&here, &device.bundle(Some(1), Some(1))).map(drop)?,
        }
        let mut ours = Restless { device, rng: ChaCha8Rng::seed_from_u64(seed) };
        let mut theirs = PartyEnd { party: &party, remote: here };
        let outcome = match role {
            Role::Initiator => schedule::run(seed, STEPS, &mut ours, &mut theirs),
            Role::Responder => schedule::run(seed, STEPS, &mut theirs, &mut ours),
        };
        let outcome = outcome.map_err(|mismatch| Failed::from(format!("seed {seed}: {mismatch}")))?;
        expect(outcome.opened >= 60, &format!("seed {seed} makes a dull schedule: {outcome:?}"))
    })
}

/// Trimming: both ends keep the epoch before the one they send with, so a message of it opens late, and one of the epoch
/// before that does not, at either end. Bursts let two epochs pass within the five chains that the Double Ratchet keeps.
fn late_epochs(_: &str, version: Version, role: Role) -> Result<(), Failed> {
    const LATE: usize = 3;
    let peer = stage::peer(version);
    let (mut device, party) = meet(&peer, 3, role)?;
    let mut late: Vec<(Ciphertext, Ciphertext)> = Vec::new();
    let mut seen = [0u32; 2];
    for _ in 0..16 {
        late.push((device.encrypt(b"late"), party.encrypt(&alice(), b"late")?));
        let mut newest = [0, 0];
        for i in 0..40u32 {
            newest[0] = key_epoch(&say(&mut device, &party, &i.to_be_bytes())?);
        }
        for i in 0..40u32 {
            newest[1] = key_epoch(&hear(&mut device, &party, &i.to_be_bytes())?);
        }
        let Some((ours, theirs)) = late.len().checked_sub(LATE + 1).map(|at| &late[at]) else { continue };
        for (behind, opened) in [
            (newest[0] - key_epoch(theirs), device.decrypt(theirs)),
            (newest[1] - key_epoch(ours), PartyEnd { party: &party, remote: alice() }.open(ours)),
        ] {
            let is_kept = behind <= 1;
            expect(opened.is_ok() == is_kept, &format!("a message {behind} epochs late ends with {opened:?}"))?;
            seen[usize::from(is_kept)] += 1;
        }
    }
    expect(seen.iter().all(|count| *count > 0), &format!("kept epochs and others were tried: {seen:?}"))
}

fn key_epoch(message: &Ciphertext) -> u64 {
    SpqrHeader::of(message).expect("a header").epoch - 1
}

/// B18: one side's chunks never arrive, for as long as it likes: the other goes on, and when they arrive again the exchange
/// does as well.
fn silent(_: &str, version: Version, role: Role) -> Result<(), Failed> {
    let peer = stage::peer(version);
    let (mut device, party) = meet(&peer, 4, role)?;
    for i in 0..300u32 {
        say(&mut device, &party, &i.to_be_bytes())?;
    }
    expect(epoch(&device) == 0, "an epoch takes two")?;
    for i in 0..300u32 {
        hear(&mut device, &party, &i.to_be_bytes())?;
    }
    for i in 0..60u32 {
        say(&mut device, &party, &i.to_be_bytes())?;
        hear(&mut device, &party, &i.to_be_bytes())?;
    }
    expect(epoch(&device) >= 1, "the exchange goes on")
}
