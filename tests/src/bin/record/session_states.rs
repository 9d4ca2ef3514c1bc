//! Sessions of more than one state: archived, reset, replaced, lost, replayed, grown old.

use waxwing_tests::peer::Peer;

use crate::{
    Peers, edit,
    sessions::established,
    stage::{NOW, Setup, Stage},
    transcript::{
        Initiator::{Both, Library, Us},
        Transcript,
    },
    witness::Field,
};

pub fn record(peers: &Peers) -> Vec<Transcript> {
    let (old, new) = (&peers.v0_72_1, &peers.v0_90_0);
    vec![
        archive_and_promotion(old, 3),
        archive_and_promotion(new, 4),
        library_archives(new),
        archived_before_the_answer(new),
        reset_by_us(old, 3),
        reset_by_us(new, 4),
        reset_by_the_library(old, 3),
        reset_by_the_library(new, 4),
        states_that_argue(new),
        archived_states(old),
        suites_side_by_side(old),
        reinstalled_peer_writes(new),
        reinstalled_peer_is_written_to(new),
        first_message_replayed(new),
        known_state(new),
        crash_before_commit(new),
        library_lost_its_session(new),
        we_lost_our_session(old),
        thirty_days(old, 3),
        thirty_days(new, 4),
    ]
}

fn archive_and_promotion(peer: &Peer, suite: u8) -> Transcript {
    let name = format!("an archived state opens, becomes current and goes on, version {suite}");
    let mut s = established(peer, &name, &Setup::new(suite, Library));
    let late = s.library_seals(b"sealed before we archived");
    s.archive();
    s.seal_refused(b"nobody to write to", "SealError::NoSession");
    s.restart();
    s.seal_refused(b"nobody to write to", "SealError::NoSession");
    s.open(late);
    s.send(b"promoted");
    s.receive(b"answered");
    s.library_record();
    s.done()
}

fn library_archives(peer: &Peer) -> Transcript {
    let name = "the library promotes the state that our message is of";
    let mut s = established(peer, name, &Setup::new(4, Us));
    s.library_archives();
    s.send(b"still the old state");
    s.receive(b"promoted");
    s.library_record();
    s.done()
}

fn archived_before_the_answer(peer: &Peer) -> Transcript {
    let name = "a state that was archived before its answer came repeats no first messages";
    let mut s = Stage::new(peer, name, &Setup::new(4, Us));
    s.we_initiate();
    s.send(b"first");
    let answer = s.library_seals(b"answer");
    s.archive();
    s.open(answer);
    s.send(b"an ordinary message");
    s.library_record();
    s.done()
}

fn reset_by_us(peer: &Peer, suite: u8) -> Transcript {
    let name = format!("we reset the session, version {suite}; late messages of the old state open");
    let mut s = established(peer, &name, &Setup::with_two(suite, Us));
    let late = s.library_seals(b"sealed in the old state");
    let lost = s.seal(b"ours in the old state");
    s.archive();
    s.we_initiate();
    s.send(b"a new state");
    s.receive(b"answer in it");
    s.open(late);
    s.delivered(lost);
    s.send(b"in the old state, which the late message promoted");
    s.receive(b"which the library follows");
    s.library_record();
    s.done()
}

fn reset_by_the_library(peer: &Peer, suite: u8) -> Transcript {
    let name = format!("the library resets the session, version {suite}; late messages of the old state open");
    let mut s = established(peer, &name, &Setup::with_two(suite, Library));
    let late = s.library_seals(b"sealed in the old state");
    s.library_archives();
    s.library_initiates();
    s.receive(b"a new state");
    s.send(b"answer in it");
    s.restart();
    s.open(late);
    s.receive(b"on we go in the new state");
    s.library_record();
    s.done()
}

fn states_that_argue(peer: &Peer) -> Transcript {
    let name = "two states that both ends write in become one";
    let mut s = Stage::new(peer, name, &Setup::new(4, Both));
    s.we_initiate();
    s.library_initiates();
    let ours = [&b"ours 1"[..], b"ours 2"].map(|text| s.seal(text));
    let theirs = [&b"theirs 1"[..], b"theirs 2"].map(|text| s.library_seals(text));
    s.open(theirs[1]);
    s.delivered(ours[1]);
    // Each now writes in the other's state.
    let (mine, yours) = (s.seal(b"in theirs"), s.library_seals(b"in ours"));
    s.delivered(mine);
    s.open(yours);
    s.open(theirs[0]);
    s.delivered(ours[0]);
    s.restart();
    for _ in 0..2 {
        s.send(b"ping");
        s.receive(b"pong");
    }
    s.library_record();
    s.done()
}

fn archived_states(peer: &Peer) -> Transcript {
    let name = "40 archived states are kept, and the oldest goes first";
    let mut s = Stage::new(peer, name, &Setup { one_time: 0, ..Setup::new(3, Library) });
    let mut late = Vec::new();
    for number in 0..42u8 {
        s.library_initiates();
        s.receive(&[number]);
        if number < 2 {
            late.push(s.library_seals(b"late"));
        }
    }
    s.refuse(late[0], "AcceptError::Respond(Replayed)");
    s.restart();
    s.open(late[1]);
    s.done()
}

fn suites_side_by_side(peer: &Peer) -> Transcript {
    let name = "a session of version 3 is archived by one of version 4, and its messages still open";
    let mut s = established(peer, name, &Setup { one_time: 2, kyber: 1, ..Setup::new(3, Library) });
    let late = s.library_seals(b"version 3");
    s.ask_for(4);
    s.library_initiates();
    let first = s.receive(b"version 4");
    s.send(b"answer");
    s.open(late);
    s.send(b"version 3 again, as the late message promoted it");
    s.refuse(first, "OpenError::Duplicate { counter: 0 }");
    s.receive(b"the library follows");
    s.library_record();
    s.done()
}

fn reinstalled_peer_writes(peer: &Peer) -> Transcript {
    let name = "a reinstalled peer writes: another identity, which the caller is told";
    let mut s = established(peer, name, &Setup::with_two(4, Library));
    let late = s.library_seals(b"from the old identity");
    s.peer_reinstalls();
    s.library_initiates();
    s.receive(b"it is still me");
    s.send(b"is it?");
    s.open(late);
    s.receive(b"from the new identity, which becomes current again");
    s.library_record();
    s.done()
}

fn reinstalled_peer_is_written_to(peer: &Peer) -> Transcript {
    let name = "a bundle of a reinstalled peer has another identity, which the caller is told";
    let mut s = established(peer, name, &Setup::new(4, Us));
    let lost = s.seal(b"in the old session");
    s.peer_reinstalls();
    s.delivered_in_vain(lost, "not found");
    s.we_initiate();
    s.send(b"to the new identity");
    s.receive(b"answer");
    s.library_record();
    s.done()
}

fn first_message_replayed(peer: &Peer) -> Transcript {
    let name = "a replayed first message is a duplicate at every later stage";
    let mut s = Stage::new(peer, name, &Setup::with_two(4, Library));
    s.library_initiates();
    let first = s.receive(b"first");
    let duplicate = "OpenError::Duplicate { counter: 0 }";
    s.refuse(first, duplicate);
    s.send(b"answer");
    s.refuse(first, duplicate);
    s.receive(b"ordinary");
    s.refuse(first, duplicate);
    s.archive();
    s.refuse(first, duplicate);
    s.library_archives();
    s.library_initiates();
    s.receive(b"another session");
    s.refuse(first, duplicate);
    s.restart();
    s.refuse(first, duplicate);
    s.done()
}

fn known_state(peer: &Peer) -> Transcript {
    let name = "a later first message of a known state must name its identity, and its prekeys mean nothing any more";
    let mut s = Stage::new(peer, name, &Setup::new(4, Library));
    s.library_initiates();
    s.receive(b"it begins the state");
    let next = s.library_seals(b"it names the state");
    let genuine = s.body(next);
    let other = edit::with_bytes(&genuine, 3, &edit::other_key(4));
    s.refuse_changed(next, "identity_key: somebody else's", &other, "OpenError::Forged");
    let ids = [1, 6, 7].into_iter().fold(genuine, |body, id| edit::with(&body, id, Field::Number(99)));
    let mut ciphertext = edit::bytes_of(&ids, 8);
    ciphertext[900] ^= 1;
    let changed = edit::with_bytes(&ids, 8, &ciphertext);
    s.open_changed(next, "other prekey ids, and a flipped bit in the Kyber ciphertext", &changed);
    s.send(b"answer");
    s.done()
}

fn crash_before_commit(peer: &Peer) -> Transcript {
    let name = "a message that was opened and not committed opens again";
    let mut s = Stage::new(peer, name, &Setup::new(4, Library));
    s.library_initiates();
    let first = s.library_seals(b"first");
    s.open_and_crash(first);
    s.open(first);
    s.send(b"answer");
    let second = s.library_seals(b"with a ratchet step");
    s.open_and_crash(second);
    s.restart();
    s.open(second);
    s.library_skips(3);
    let third = s.library_seals(b"with skipped keys");
    s.open_and_crash(third);
    s.restart();
    s.open(third);
    s.refuse(third, "OpenError::Duplicate { counter: 4 }");
    s.send(b"on we go");
    s.done()
}

fn library_lost_its_session(peer: &Peer) -> Transcript {
    let name = "the library lost its session and starts another";
    let mut s = established(peer, name, &Setup::with_two(4, Library));
    s.party.remove_session(&s.us()).unwrap();
    let lost = s.seal(b"to nobody");
    s.delivered_in_vain(lost, "not found");
    s.library_initiates();
    s.receive(b"another session");
    s.send(b"answer");
    s.library_record();
    s.done()
}

fn we_lost_our_session(peer: &Peer) -> Transcript {
    let name = "we lost our session: ordinary messages are of no session, and we start another";
    let mut s = established(peer, name, &Setup { one_time: 2, ..Setup::new(3, Us) });
    s.forget();
    let lost = s.library_seals(b"to nobody");
    s.refuse(lost, "OpenError::NoSession");
    s.seal_refused(b"from nobody", "SealError::NoSession");
    s.we_initiate();
    s.send(b"another session");
    s.receive(b"answer");
    s.refuse(lost, "OpenError::Forged");
    s.library_record();
    s.done()
}

fn thirty_days(peer: &Peer, suite: u8) -> Transcript {
    const DAY: u64 = 24 * 60 * 60 * 1_000;
    let name = format!("30 days without an answer, and we write no more, version {suite}");
    let mut s = Stage::new(peer, &name, &Setup::with_two(suite, Us));
    s.we_initiate();
    let first = s.seal(b"first");
    s.clock(NOW + 30 * DAY);
    s.send(b"on the last millisecond");
    s.clock(NOW + 30 * DAY + 1);
    s.seal_refused(b"too late", "SealError::UnacknowledgedTooLong");
    s.restart();
    s.seal_refused(b"too late", "SealError::UnacknowledgedTooLong");
    s.delivered(first);
    s.receive(b"the answer");
    s.clock(NOW + 300 * DAY);
    s.send(b"an answered session has no end");
    s.done()
}
