//! Sessions that live through what a network, a disk and a peer may do to them.

use waxwing_tests::peer::Peer;

use crate::{
    Peers, schedule, session_states, sessions_refused,
    stage::{Setup, Stage},
    transcript::{
        Initiator::{self, Both, Library, Us},
        Transcript,
    },
};

pub fn record(peers: &Peers) -> Vec<Transcript> {
    let (old, new) = (&peers.v0_72_1, &peers.v0_90_0);
    let mut transcripts = Vec::new();
    for (peer, suite, starter) in [(old, 3, Us), (old, 3, Library), (new, 4, Us), (new, 4, Library)] {
        transcripts.extend([
            out_of_order(peer, suite, starter),
            across_chains(peer, suite, starter),
            restart_at_every_step(peer, suite, starter),
        ]);
    }
    for (peer, suite) in [(old, 3), (old, 4), (new, 4)] {
        for order in [Crossing::OursFirst, Crossing::TheirsFirst, Crossing::OursLost, Crossing::TheirsLost] {
            transcripts.push(simultaneous(peer, suite, order));
        }
    }
    transcripts.extend([
        ping_pong(old, 3),
        ping_pong(new, 4),
        duplicates(old, 3),
        duplicates(new, 4),
        first_message_lost(old, 3, Us),
        first_message_lost(new, 4, Library),
        reverse(old, 3),
        plaintext_sizes(new),
        wrapped_after_the_answer(old, 3),
        wrapped_after_the_answer(new, 4),
        skipped_by_the_library(old),
        skipped_by_us(old),
        jump_of_the_library(old),
        jump_of_ours(old),
        receiving_chains(old),
        receiving_chains_of_the_library(old),
    ]);
    transcripts.extend(session_states::record(peers));
    transcripts.extend(sessions_refused::record(peers));
    transcripts.extend(schedule::record(peers));
    transcripts
}

/// A session that both ends have used.
pub fn established<'p>(peer: &'p Peer, name: &str, setup: &Setup) -> Stage<'p> {
    let mut s = Stage::new(peer, name, setup);
    match setup.initiator {
        Library => {
            s.library_initiates();
            s.receive(b"first");
            s.send(b"answer");
            s.receive(b"acknowledged");
        }
        _ => {
            s.we_initiate();
            s.send(b"first");
            s.receive(b"answer");
            s.send(b"acknowledged");
        }
    }
    s
}

fn who(starter: Initiator) -> &'static str {
    if starter == Us { "our session" } else { "the library's session" }
}

fn out_of_order(peer: &Peer, suite: u8, starter: Initiator) -> Transcript {
    let name = format!("messages out of order within a chain open in {}, version {suite}", who(starter));
    let mut s = established(peer, &name, &Setup::new(suite, starter));
    let theirs = [&b"0"[..], b"1", b"2", b"3", b"4"].map(|text| s.library_seals(text));
    for index in [3, 1, 0, 4, 2] {
        s.open(theirs[index]);
    }
    let ours = [&b"0"[..], b"1", b"2", b"3", b"4"].map(|text| s.seal(text));
    for index in [4, 0, 2, 3, 1] {
        s.delivered(ours[index]);
    }
    s.library_record();
    s.done()
}

fn across_chains(peer: &Peer, suite: u8, starter: Initiator) -> Transcript {
    let name = format!("messages of earlier chains open after later ones in {}, version {suite}", who(starter));
    let mut s = established(peer, &name, &Setup::new(suite, starter));
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in [b"round 1", b"round 2", b"round 3"] {
        theirs.push(s.library_seals(round));
        s.receive(b"in time");
        ours.push(s.seal(round));
        s.send(b"in time");
    }
    for index in [1, 2, 0] {
        s.open(theirs[index]);
        s.delivered(ours[index]);
    }
    s.receive(b"on we go");
    s.library_record();
    s.done()
}

fn restart_at_every_step(peer: &Peer, suite: u8, starter: Initiator) -> Transcript {
    let name = format!("a restart after every step changes nothing in {}, version {suite}", who(starter));
    let mut s = Stage::new(peer, &name, &Setup::new(suite, starter));
    if starter == Us {
        s.we_initiate();
        s.restart();
        let first = s.seal(b"first");
        s.restart();
        s.send(b"second");
        s.restart();
        s.delivered(first);
    } else {
        s.library_initiates();
        let first = s.library_seals(b"first");
        s.receive(b"second");
        s.restart();
        s.open(first);
        s.restart();
        s.send(b"answer");
    }
    s.restart();
    for round in [b"round 1", b"round 2"] {
        let late = s.library_seals(round);
        s.receive(b"theirs");
        s.restart();
        s.send(b"ours");
        s.restart();
        s.open(late);
        s.restart();
    }
    s.library_record();
    s.done()
}

#[derive(Clone, Copy)]
enum Crossing {
    OursFirst,
    TheirsFirst,
    OursLost,
    TheirsLost,
}

fn simultaneous(peer: &Peer, suite: u8, order: Crossing) -> Transcript {
    let what = match order {
        Crossing::OursFirst => "ours arrives first and the library writes next",
        Crossing::TheirsFirst => "theirs arrives first and we write next",
        Crossing::OursLost => "ours is lost",
        Crossing::TheirsLost => "theirs is lost",
    };
    let name = format!("both start at the same time with {}, version {suite}: {what}", peer.version());
    let mut s = Stage::new(peer, &name, &Setup::new(suite, Both));
    s.we_initiate();
    s.library_initiates();
    let ours = s.seal(b"ours");
    let theirs = s.library_seals(b"theirs");
    match order {
        Crossing::OursFirst => {
            s.delivered(ours);
            s.open(theirs);
            s.receive(b"the library writes next");
            s.send(b"and we answer");
        }
        Crossing::TheirsFirst => {
            s.open(theirs);
            s.delivered(ours);
            s.send(b"we write next");
            s.receive(b"and the library answers");
        }
        Crossing::OursLost => {
            s.open(theirs);
            s.send(b"answer to theirs");
            s.receive(b"on we go");
        }
        Crossing::TheirsLost => {
            s.delivered(ours);
            s.receive(b"answer to ours");
            s.send(b"on we go");
        }
    }
    s.receive(b"agreed");
    s.library_record();
    s.done()
}

fn ping_pong(peer: &Peer, suite: u8) -> Transcript {
    let name =
        format!("every turn is a ratchet step: six rounds with {}, version {suite}, with its records", peer.version());
    let mut s = established(peer, &name, &Setup::new(suite, Library));
    for _ in 0..6 {
        s.send(b"ping");
        s.receive(b"pong");
        s.library_record();
    }
    s.done()
}

fn duplicates(peer: &Peer, suite: u8) -> Transcript {
    let name = format!("a message opens once, version {suite}: at once, late, in an earlier chain, after a restart");
    let mut s = established(peer, &name, &Setup::new(suite, Library));
    let late = s.library_seals(b"late");
    let sent = s.receive(b"in time");
    s.refuse(sent, "OpenError::Duplicate { counter: 2 }");
    s.open(late);
    s.refuse(late, "OpenError::Duplicate { counter: 1 }");
    let ours = s.send(b"turn");
    s.delivered_in_vain(ours, "old counter");
    s.receive(b"of the next chain");
    s.refuse(late, "OpenError::Duplicate { counter: 1 }");
    s.refuse(sent, "OpenError::Duplicate { counter: 2 }");
    s.restart();
    s.refuse(sent, "OpenError::Duplicate { counter: 2 }");
    s.send(b"nothing is broken");
    s.done()
}

fn first_message_lost(peer: &Peer, suite: u8, starter: Initiator) -> Transcript {
    let name = format!("{} begins with its third message, version {suite}", who(starter));
    let mut s = Stage::new(peer, &name, &Setup::new(suite, starter));
    if starter == Us {
        s.we_initiate();
        let first = s.seal(b"late");
        s.we_skip(1);
        s.send(b"third");
        s.receive(b"answer");
        s.send(b"ordinary");
        s.delivered(first);
    } else {
        s.library_initiates();
        let first = s.library_seals(b"late");
        s.library_skips(1);
        s.receive(b"third");
        s.send(b"answer");
        s.receive(b"ordinary");
        s.open(first);
    }
    s.library_record();
    s.done()
}

fn reverse(peer: &Peer, suite: u8) -> Transcript {
    let mut s = established(peer, "a dozen messages arrive in reverse order at both ends", &Setup::new(suite, Us));
    let theirs: Vec<u32> = (0..12u8).map(|i| s.library_seals(&[i])).collect();
    let ours: Vec<u32> = (0..12u8).map(|i| s.seal(&[i])).collect();
    for message in theirs.into_iter().rev() {
        s.open(message);
    }
    for message in ours.into_iter().rev() {
        s.delivered(message);
    }
    s.done()
}

fn plaintext_sizes(peer: &Peer) -> Transcript {
    let name = "plaintexts around block boundaries, an empty one and a long one";
    let mut s = established(peer, name, &Setup::new(4, Us));
    for len in [0, 1, 15, 16, 17, 31, 32, 33, 1_000] {
        let text: Vec<u8> = (0..len).map(|at| at as u8).collect();
        s.send(&text);
        s.receive(&text);
    }
    s.done()
}

fn wrapped_after_the_answer(peer: &Peer, suite: u8) -> Transcript {
    let name = format!("first messages that the answer has overtaken still open, version {suite}, in both directions");
    let mut s = Stage::new(peer, &name, &Setup::with_two(suite, Both));
    s.we_initiate();
    let ours = [&b"one"[..], b"two", b"three"].map(|text| s.seal(text));
    s.delivered(ours[0]);
    let answer = s.library_seals(b"answer");
    s.open(answer);
    s.send(b"ordinary");
    s.delivered(ours[2]);
    s.delivered(ours[1]);
    s.library_archives();
    s.library_initiates();
    let theirs = [&b"one"[..], b"two", b"three"].map(|text| s.library_seals(text));
    s.open(theirs[1]);
    s.send(b"answer");
    s.receive(b"ordinary");
    s.open(theirs[0]);
    s.restart();
    s.open(theirs[2]);
    s.library_record();
    s.done()
}

fn skipped_by_the_library(peer: &Peer) -> Transcript {
    let name = "2,000 keys of skipped messages are kept, and the oldest goes first";
    let mut s = established(peer, name, &Setup::new(4, Library));
    let oldest = s.library_seals(b"the 2,001st from the end");
    let second = s.library_seals(b"the 2,000th from the end");
    s.library_skips(1_998);
    let last = s.library_seals(b"the last of the skipped");
    s.receive(b"after 2,001 skipped");
    s.refuse(oldest, "OpenError::Duplicate { counter: 1 }");
    s.restart();
    s.open(second);
    s.open(last);
    s.done()
}

fn skipped_by_us(peer: &Peer) -> Transcript {
    let name = "the library keeps 2,000 of our skipped messages, and the oldest goes first";
    let mut s = established(peer, name, &Setup::new(4, Us));
    let oldest = s.seal(b"the 2,001st from the end");
    let second = s.seal(b"the 2,000th from the end");
    s.we_skip(1_999);
    s.send(b"after 2,001 skipped");
    s.delivered_in_vain(oldest, "old counter");
    s.delivered(second);
    s.done()
}

fn jump_of_the_library(peer: &Peer) -> Transcript {
    let name = "25,000 skipped messages are jumped over, and 25,001 are not";
    let mut s = established(peer, name, &Setup::new(4, Library));
    s.library_skips(25_000);
    let reachable = s.library_seals(b"reachable");
    let too_far = s.library_seals(b"too far, until the other has come");
    s.refuse(too_far, "OpenError::TooFarAhead { counter: 25002, ahead: 25001 }");
    s.open(reachable);
    s.open(too_far);
    s.done()
}

fn jump_of_ours(peer: &Peer) -> Transcript {
    let name = "the library jumps over 25,000 of our messages, and not over 25,001";
    let mut s = established(peer, name, &Setup::new(3, Us));
    s.we_skip(25_000);
    let reachable = s.seal(b"reachable");
    let too_far = s.seal(b"too far, until the other has come");
    s.delivered_in_vain(too_far, "decryption failed");
    s.delivered(reachable);
    s.delivered(too_far);
    s.done()
}

fn receiving_chains(peer: &Peer) -> Transcript {
    let name = "five receiving chains are kept, and the oldest goes first";
    let mut s = established(peer, name, &Setup::new(4, Library));
    let mut late = Vec::new();
    for _ in 0..6 {
        late.push(s.library_seals(b"late"));
        s.receive(b"in time");
        s.send(b"turn");
    }
    s.refuse(late[0], "OpenError::Forged");
    for message in &late[1..] {
        s.open(*message);
    }
    s.done()
}

fn receiving_chains_of_the_library(peer: &Peer) -> Transcript {
    let name = "the library keeps five of our chains";
    let mut s = established(peer, name, &Setup::new(4, Us));
    let mut late = Vec::new();
    for _ in 0..6 {
        late.push(s.seal(b"late"));
        s.send(b"in time");
        s.receive(b"turn");
    }
    s.delivered_in_vain(late[0], "decryption failed");
    for message in &late[1..] {
        s.delivered(*message);
    }
    s.done()
}
