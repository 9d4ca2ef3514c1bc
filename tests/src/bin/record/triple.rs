//! The Triple Ratchet: epochs, the erasure code, limits, and what is refused (spec/06-spqr.md).

use waxwing_tests::peer::Peer;

use crate::{
    Peers,
    sessions::established,
    stage::{Setup, Stage},
    transcript::{
        Initiator::{self, Both, Library, Us},
        Transcript,
    },
    triple_refused,
    witness::{SignalMessage, SpqrHeader},
};

/// Chunks that the longest part needs.
const LONGEST: u32 = 36;

pub fn record(peers: &Peers) -> Vec<Transcript> {
    let new = &peers.v0_103_0;
    let mut transcripts = Vec::new();
    for peer in [&peers.v0_90_0, new] {
        for starter in [Us, Library] {
            transcripts.extend([first_message_and_answer(peer, starter), epochs(peer, starter), bursts(peer, starter)]);
        }
    }
    for starter in [Us, Library] {
        transcripts.extend([
            later_chunks(new, starter),
            reversed(new, starter),
            duplicates(new, starter),
            restart_at_every_step(new, starter),
            late_epochs(new, starter),
            silence(new, starter),
            simultaneous(new, starter),
            reset(new, starter),
        ]);
    }
    transcripts.extend([
        archive_and_promotion(new),
        skipped_by_the_library(new),
        skipped_by_us(new),
        jump_of_the_library(new),
        jump_of_ours(new),
    ]);
    transcripts.extend(triple_refused::record(peers));
    transcripts
}

pub fn who(starter: Initiator) -> &'static str {
    if starter == Us { "our session" } else { "the library's session" }
}

fn first_message_and_answer(peer: &Peer, starter: Initiator) -> Transcript {
    let name = format!("first messages and answers in {} with {}", who(starter), peer.version());
    let mut s = Stage::new(peer, &name, &Setup::triple(starter));
    if starter == Us {
        s.we_initiate();
        s.send(b"first");
        s.send(b"second");
    } else {
        s.library_initiates();
        s.receive(b"first");
        s.receive(b"second");
    }
    for round in [b"round 1", b"round 2"] {
        s.send(round);
        s.receive(round);
    }
    s.library_record();
    s.done()
}

/// Every message is the first of a chain. An epoch takes 44 rounds.
fn epochs(peer: &Peer, starter: Initiator) -> Transcript {
    let name = format!("a hundred rounds in {} with {}, two epochs", who(starter), peer.version());
    let mut s = established(peer, &name, &Setup::triple(starter));
    for round in 0..100u8 {
        s.send(&[round]);
        s.receive(&[round]);
        if round % 25 == 24 {
            s.library_record();
            s.restart();
        }
    }
    assert!(s.key_epoch() >= 2, "{name}: key epoch {}", s.key_epoch());
    s.done()
}

/// What is lost is never shown: half of all messages, so that parts arrive in mixtures of chunks.
fn bursts(peer: &Peer, starter: Initiator) -> Transcript {
    let name = format!("bursts of which half is lost in {} with {}, two epochs and more", who(starter), peer.version());
    let mut s = established(peer, &name, &Setup::triple(starter));
    let mut turn = 0u8;
    while s.key_epoch() < 2 {
        turn += 1;
        for number in 0..20u8 {
            let text = [turn, number];
            match (turn % 2, number % 3) {
                (0, 0) => s.we_skip(3),
                (_, 0) => s.library_skips(3),
                (0, _) => drop(s.send(&text)),
                _ => drop(s.receive(&text)),
            }
        }
    }
    s.library_record();
    s.done()
}

fn later_chunks(peer: &Peer, starter: Initiator) -> Transcript {
    let name = format!("every part arrives in chunks beyond the part itself in {}, through an epoch", who(starter));
    let mut s = Stage::new(peer, &name, &Setup::triple(starter));
    let first = usize::from(starter == Library);
    if starter == Us {
        s.we_initiate();
    } else {
        s.library_initiates();
    }
    let mut newest = 0;
    for turn in 0.. {
        if turn > 0 && s.engine.device.session().post_quantum_epoch() >= Some(1) {
            break;
        }
        if turn % 2 == first {
            s.we_skip(LONGEST);
        } else {
            s.library_skips(LONGEST);
        }
        for number in 0..=LONGEST as u8 {
            let message = if turn % 2 == first { s.send(&[number]) } else { s.receive(&[number]) };
            newest =
                newest.max(SpqrHeader::of(&s.message(message)).and_then(|header| header.chunk).map_or(0, |it| it.0));
        }
    }
    assert!(newest >= 2 * u64::from(LONGEST), "{name}: chunk {newest}");
    s.library_record();
    s.done()
}

fn reversed(peer: &Peer, starter: Initiator) -> Transcript {
    let name = format!("every burst arrives in reverse order in {}, through an epoch", who(starter));
    let mut s = established(peer, &name, &Setup::triple(starter));
    while s.key_epoch() < 1 {
        let ours: Vec<u32> = (0..LONGEST as u8).map(|number| s.seal(&[number])).collect();
        ours.into_iter().rev().for_each(|message| s.delivered(message));
        let theirs: Vec<u32> = (0..LONGEST as u8).map(|number| s.library_seals(&[number])).collect();
        theirs.into_iter().rev().for_each(|message| s.open(message));
    }
    assert!(s.key_epoch() >= 1, "{name}: key epoch {}", s.key_epoch());
    s.library_record();
    s.done()
}

fn duplicates(peer: &Peer, starter: Initiator) -> Transcript {
    let name = format!("every chunk comes twice in {}, through an epoch", who(starter));
    let mut s = established(peer, &name, &Setup::triple(starter));
    while s.key_epoch() < 1 {
        let ours: Vec<u32> = (0..LONGEST as u8).map(|number| s.send(&[number])).collect();
        ours.into_iter().for_each(|message| s.delivered_in_vain(message, "old counter"));
        let theirs: Vec<u32> = (0..LONGEST as u8).map(|number| s.receive(&[number])).collect();
        for message in theirs {
            let counter = SignalMessage::of(&s.message(message)).fields.number(2).unwrap_or(0);
            s.refuse(message, &format!("OpenError::Duplicate {{ counter: {counter} }}"));
        }
    }
    assert!(s.key_epoch() >= 1, "{name}: key epoch {}", s.key_epoch());
    s.done()
}

/// In every state of the exchange.
fn restart_at_every_step(peer: &Peer, starter: Initiator) -> Transcript {
    let name = format!("a restart after every message changes nothing in {}, through an epoch", who(starter));
    let mut s = established(peer, &name, &Setup::triple(starter));
    for round in 0..50u8 {
        s.send(&[round]);
        s.restart();
        s.receive(&[round]);
        s.restart();
    }
    assert!(s.key_epoch() >= 1, "{name}: key epoch {}", s.key_epoch());
    s.library_record();
    s.done()
}

/// Bursts carry the exchange on, so that two epochs pass within the five chains that are kept.
fn late_epochs(peer: &Peer, starter: Initiator) -> Transcript {
    let name = format!("messages one epoch late open and those of two do not, in {}", who(starter));
    let mut s = established(peer, &name, &Setup::triple(starter));
    let mut late: Vec<(u32, u32)> = Vec::new();
    let mut seen = [0; 2];
    for turn in 0..9usize {
        late.push((s.library_seals(b"theirs"), s.seal(b"ours")));
        let newest: Vec<u64> = (0..40u8)
            .map(|number| {
                let message = s.send(&[number]);
                s.key_epoch_of(message)
            })
            .collect();
        let ours = newest[39];
        let mut theirs = 0;
        for number in 0..40u8 {
            let message = s.receive(&[number]);
            theirs = s.key_epoch_of(message);
        }
        // Behind that the chain is gone.
        let Some(&(received, sent)) = turn.checked_sub(3).map(|at| &late[at]) else { continue };
        if ours - s.key_epoch_of(received) <= 1 {
            s.open(received);
        } else {
            s.refuse(received, "OpenError::Forged");
        }
        if theirs - s.key_epoch_of(sent) <= 1 {
            s.delivered(sent);
        } else {
            s.delivered_in_vain(sent, "decryption failed");
        }
        seen[usize::from(ours - s.key_epoch_of(received) <= 1)] += 1;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{name}: {seen:?}");
    s.done()
}

fn silence(peer: &Peer, starter: Initiator) -> Transcript {
    let name = format!("one side is silent for 200 messages, and the exchange goes on, in {}", who(starter));
    let mut s = established(peer, &name, &Setup::triple(starter));
    for _ in 0..4 {
        s.we_skip(49);
        s.send(b"is anybody there?");
    }
    for _ in 0..4 {
        s.library_skips(49);
        s.receive(b"now we are");
    }
    for round in 0..60u8 {
        s.send(&[round]);
        s.receive(&[round]);
    }
    assert!(s.key_epoch() >= 1, "{name}: key epoch {}", s.key_epoch());
    s.library_record();
    s.done()
}

fn simultaneous(peer: &Peer, starter: Initiator) -> Transcript {
    let name = match starter {
        Us => "both start at the same time, and ours arrives first",
        _ => "both start at the same time, and theirs arrives first",
    };
    let mut s = Stage::new(peer, name, &Setup::triple(Both));
    s.we_initiate();
    s.library_initiates();
    let (ours, theirs) = (s.seal(b"ours"), s.library_seals(b"theirs"));
    if starter == Us {
        s.delivered(ours);
        s.open(theirs);
        s.receive(b"the library writes next");
        s.send(b"and we answer");
    } else {
        s.open(theirs);
        s.delivered(ours);
        s.send(b"we write next");
        s.receive(b"and the library answers");
    }
    for round in 0..50u8 {
        s.send(&[round]);
        s.receive(&[round]);
    }
    assert!(s.key_epoch() >= 1, "{name}: key epoch {}", s.key_epoch());
    s.library_record();
    s.done()
}

fn reset(peer: &Peer, starter: Initiator) -> Transcript {
    let name = format!("{} is reset after an epoch; late messages of the old state open", who(starter));
    let mut s = established(peer, &name, &Setup { one_time: 2, kyber: 2, ..Setup::triple(starter) });
    for round in 0..50u8 {
        s.send(&[round]);
        s.receive(&[round]);
    }
    let late = s.library_seals(b"sealed in the old state");
    if starter == Us {
        let lost = s.seal(b"ours in the old state");
        s.archive();
        s.we_initiate();
        s.send(b"a new state");
        s.receive(b"answer in it");
        s.open(late);
        s.delivered(lost);
        s.send(b"in the old state, which the late message promoted");
        s.receive(b"which the library follows");
    } else {
        s.library_archives();
        s.library_initiates();
        s.receive(b"a new state");
        s.send(b"answer in it");
        s.restart();
        s.open(late);
        s.receive(b"on we go in the new state");
    }
    s.library_record();
    s.done()
}

fn archive_and_promotion(peer: &Peer) -> Transcript {
    let name = "an archived state opens in the middle of an epoch, becomes current and goes on";
    let mut s = established(peer, name, &Setup::triple(Library));
    for round in 0..20u8 {
        s.send(&[round]);
        s.receive(&[round]);
    }
    let late = s.library_seals(b"sealed before we archived");
    s.archive();
    s.seal_refused(b"nobody to write to", "SealError::NoSession");
    s.restart();
    s.open(late);
    for round in 0..30u8 {
        s.send(&[round]);
        s.receive(&[round]);
    }
    assert!(s.key_epoch() >= 1, "{name}: key epoch {}", s.key_epoch());
    s.library_record();
    s.done()
}

fn skipped_by_the_library(peer: &Peer) -> Transcript {
    let name = "keys are kept 2,000 messages behind the newest";
    let mut s = established(peer, name, &Setup::triple(Library));
    let oldest = s.library_seals(b"2,001 behind");
    let second = s.library_seals(b"2,000 behind");
    s.library_skips(1_998);
    let last = s.library_seals(b"1 behind");
    s.receive(b"after 2,001 skipped");
    s.refuse(oldest, "OpenError::Duplicate { counter: 1 }");
    s.restart();
    s.open(second);
    s.open(last);
    s.done()
}

fn skipped_by_us(peer: &Peer) -> Transcript {
    let name = "the library keeps our keys 2,000 messages behind the newest";
    let mut s = established(peer, name, &Setup::triple(Us));
    let oldest = s.seal(b"2,001 behind");
    let second = s.seal(b"2,000 behind");
    s.we_skip(1_999);
    s.send(b"after 2,001 skipped");
    s.delivered_in_vain(oldest, "old counter");
    s.delivered(second);
    s.done()
}

fn jump_of_the_library(peer: &Peer) -> Transcript {
    let name = "24,999 skipped messages are jumped over, and 25,000 are not";
    let mut s = established(peer, name, &Setup::triple(Library));
    s.library_skips(24_999);
    let reachable = s.library_seals(b"reachable");
    let too_far = s.library_seals(b"too far, until the other has come");
    s.refuse(too_far, "OpenError::TooFarAhead { counter: 25001, ahead: 25001 }");
    s.open(reachable);
    s.open(too_far);
    s.done()
}

fn jump_of_ours(peer: &Peer) -> Transcript {
    let name = "the library jumps over 24,999 of our messages, and not over 25,000";
    let mut s = established(peer, name, &Setup::triple(Us));
    s.we_skip(24_999);
    let reachable = s.seal(b"reachable");
    let too_far = s.seal(b"too far, until the other has come");
    s.delivered_in_vain(too_far, "decryption failed");
    s.delivered(reachable);
    s.delivered(too_far);
    s.done()
}
