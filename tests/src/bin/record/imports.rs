//! The library's session records in every state of the post-quantum ratchet's exchange (spec/06-spqr.md §6.10), each with what the
//! library did next: it sealed a message, or opened one.

use std::collections::BTreeSet;

use waxwing_tests::peer::{self, BundleChoice, Party, PartyOptions, Peer, PrekeyKind};

use crate::{
    case::ImportCase,
    stage::{ALICE, BOB},
    witness::{SpqrHeader, State},
};

const KEYS_UNSAMPLED: u64 = 1;
const HEADER_RECEIVED: u64 = 7;
const CT1_SAMPLED: u64 = 8;

/// Two of the library's parties talk until each state was seen before a message was sealed and before one was opened. In every
/// second epoch half of ct1 is lost, so that the key arrives before it.
pub fn record(peer: &Peer) -> Vec<ImportCase> {
    peer.reset().unwrap();
    let [alice, bob] = [("alice", ALICE, 1), ("bob", BOB, 2)].map(|(handle, name, device)| {
        peer.create_party(&PartyOptions::new(handle, peer::Address::new(name, device))).unwrap()
    });
    for kind in [PrekeyKind::Signed, PrekeyKind::OneTime, PrekeyKind::Kyber] {
        bob.generate_prekey(kind, 1).unwrap();
    }
    let bundle = bob.bundle(BundleChoice { one_time: Some(1), signed: 1, kyber: Some(1) }).unwrap();
    alice.process_bundle(&bob.address(), &bundle).unwrap();
    pass(&alice, &bob);
    pass(&bob, &alice);

    let (mut cases, mut sealed, mut opened) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for turn in 0..400u32 {
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            let text = turn.to_be_bytes();
            let [mut sender, mut receiver] = [case(from, to), case(to, from)];
            let message = from.encrypt(&to.address(), &text).unwrap();
            for case in [&mut sender, &mut receiver] {
                (case.plaintext, case.bytes) = ((&text).into(), (&*message.body).into());
            }
            // What was drawn for it, nobody knows.
            if ![KEYS_UNSAMPLED, HEADER_RECEIVED].contains(&sender.state) && sealed.insert(sender.state) {
                cases.push(ImportCase { seals: true, ..sender.clone() });
            }
            let epoch = SpqrHeader::of(&message).unwrap().epoch;
            if sender.state == CT1_SAMPLED && (epoch / 2).is_multiple_of(2) && turn % 2 == 0 {
                continue;
            }
            if opened.insert(receiver.state) {
                cases.push(receiver);
            }
            to.decrypt(&from.address(), &message).unwrap();
            // Two states end with the next message that is sent: they hear one only if two come in a row.
            let mut receiver = case(to, from);
            if [KEYS_UNSAMPLED, HEADER_RECEIVED].contains(&receiver.state) && opened.insert(receiver.state) {
                let message = from.encrypt(&to.address(), &text).unwrap();
                (receiver.plaintext, receiver.bytes) = ((&text).into(), (&*message.body).into());
                cases.push(receiver);
                to.decrypt(&from.address(), &message).unwrap();
            }
        }
    }
    assert_eq!((sealed.len(), opened.len()), (9, 11), "states {sealed:?} sealed and {opened:?} opened");
    cases
}

fn pass(from: &Party<'_>, to: &Party<'_>) {
    let message = from.encrypt(&to.address(), b"first").unwrap();
    to.decrypt(&from.address(), &message).unwrap();
}

fn case(party: &Party<'_>, other: &Party<'_>) -> ImportCase {
    let record = party.export_session(&other.address()).unwrap();
    let state = State::of(&record).spqr().unwrap().exchange_state();
    ImportCase {
        library: party.peer().version().to_string(),
        state,
        record: (&*record).into(),
        seals: false,
        plaintext: (&[][..]).into(),
        bytes: (&[][..]).into(),
    }
}
