//! A5: the same first message, again and again. A one-time key is gone after its first use; a last-resort key's uses are
//! remembered (spec §2.4). The test keeps them as the documentation tells an embedder to.

use std::collections::BTreeMap;

use waxwing_protocol::{
    AcceptError, Budget, Consumed, LastResortUse, LastResortUses, OpenError, Opened, PreKeySignalMessage,
    PrivatePrekeys, RespondError, Session, Suite,
};

use crate::device::store;
use crate::party::{Kyber, OneTime, Party, first_message, rng};

/// A responder with a database: what it keeps across restarts is bytes and ids.
struct Device {
    party: Party,
    kyber: Kyber,
    has_one_time: bool,
    has_kyber: bool,
    /// As they are stored.
    uses: Vec<[u8; 42]>,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    session: Session,
}

#[derive(Debug, Eq, PartialEq)]
enum Refused {
    /// The database has no such prekey any more.
    KeyGone,
    Accept(AcceptError),
    Open(OpenError),
}

impl Device {
    fn new(party: Party, kyber: Kyber) -> Self {
        Self {
            party,
            kyber,
            has_one_time: true,
            has_kyber: true,
            uses: Vec::new(),
            records: BTreeMap::new(),
            session: Session::new(),
        }
    }

    fn receive(&mut self, peer: &Party, message: &PreKeySignalMessage) -> Result<Vec<u8>, Refused> {
        let rng = &mut rng(99);
        if self.session.is_named_by(message) {
            let opened = self.session.open_first(message, &mut Budget::default(), rng);
            return opened.map(Opened::commit).map_err(Refused::Open);
        }
        if (message.one_time_prekey_id().is_some() && !self.has_one_time)
            || (message.kyber_prekey_id().is_some() && !self.has_kyber)
        {
            return Err(Refused::KeyGone);
        }
        let uses: LastResortUses = self.uses.iter().map(|bytes| LastResortUse::from_bytes(bytes).unwrap()).collect();
        let prekeys = PrivatePrekeys { uses: &uses, ..self.party.prekeys_for(message, self.kyber) };
        let local = self.party.local(peer);
        let opened = match message.suite() {
            Suite::X3dh => self.session.accept_without_post_quantum_secrecy(local, prekeys, message, rng),
            _ => self.session.accept(local, prekeys, message, rng),
        };
        let opened = opened.map_err(Refused::Accept)?;
        let delta = opened.delta();
        store(&mut self.records, &delta);
        let Consumed { one_time_prekey, kyber_prekey, last_resort_use } = delta.consumed();
        self.has_one_time &= one_time_prekey.is_none();
        self.has_kyber &= kyber_prekey.is_none();
        self.uses.extend(last_resort_use.map(|last_resort_use| last_resort_use.to_bytes()));
        Ok(opened.commit())
    }

    fn restart(&mut self) {
        self.session = Session::load(&self.records).unwrap();
    }

    /// The session is lost, or was deleted; prekeys and uses are not.
    fn lose_session(&mut self) {
        self.session = Session::new();
        self.records.clear();
    }
}

#[test]
fn a5_a_first_message_yields_one_plaintext_however_often_it_comes() {
    let duplicate = Refused::Open(OpenError::Duplicate { counter: 0 });
    let replayed = Refused::Accept(AcceptError::Respond(RespondError::Replayed));
    for suite in [Suite::X3dh, Suite::Pqxdh] {
        for one_time in [OneTime::With, OneTime::Without] {
            for kyber in [Kyber::OneTime, Kyber::LastResort] {
                let case = format!("{suite:?}, {one_time:?} one-time prekey, Kyber prekey {kyber:?}");
                let rng = &mut rng(1);
                let (alice, bob) = (Party::new(1, rng), Party::new(2, rng));
                let message = first_message(&mut alice.initiate(&bob, suite, one_time, rng), b"pay 10");
                let mut device = Device::new(bob, kyber);
                assert_eq!(device.receive(&alice, &message), Ok(b"pay 10".to_vec()), "{case}");
                for _ in 0..20 {
                    assert_eq!(device.receive(&alice, &message).as_ref(), Err(&duplicate), "{case}");
                    device.restart();
                }
                // In the archive, under newer states of the same peer, it is still known.
                for round in 0..3 {
                    let archived = device.session.archive();
                    store(&mut device.records, &archived.delta());
                    archived.commit();
                    assert_eq!(device.receive(&alice, &message).as_ref(), Err(&duplicate), "{case}, archived {round}");
                    device.restart();
                    assert_eq!(device.receive(&alice, &message).as_ref(), Err(&duplicate), "{case}, archived {round}");
                }
                // Without the session, what was consumed is all that stands between the replay and a second plaintext.
                let gone = one_time == OneTime::With || (suite == Suite::Pqxdh && kyber == Kyber::OneTime);
                let expected = if gone { &Refused::KeyGone } else { &replayed };
                for _ in 0..20 {
                    device.lose_session();
                    assert_eq!(device.receive(&alice, &message).as_ref(), Err(expected), "{case}");
                }
                assert_eq!(device.uses.len(), usize::from(is_remembered(suite, one_time, kyber)), "{case}");
            }
        }
    }
}

fn is_remembered(suite: Suite, one_time: OneTime, kyber: Kyber) -> bool {
    match suite {
        Suite::X3dh => one_time == OneTime::Without,
        _ => kyber == Kyber::LastResort,
    }
}

/// A caller that forgets to delete the one-time prekey is still safe if the Kyber prekey is the last-resort one.
#[test]
fn a5_a_remembered_use_is_refused_though_the_one_time_prekey_was_kept() {
    let rng = &mut rng(2);
    let (alice, mut bob) = (Party::new(1, rng), Party::new(2, rng));
    let message = first_message(&mut alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng), b"hello");
    let mut session = Session::new();
    let opened = bob.accept(&mut session, &alice, &message, Kyber::LastResort, rng).unwrap();
    let used = opened.delta().consumed().last_resort_use.unwrap();
    bob.uses.insert(used);
    let refused = bob.join(&alice, &message, Kyber::LastResort, rng).unwrap_err();
    assert_eq!(refused, AcceptError::Respond(RespondError::Replayed));
    // Another first message of the same peer under the same keys is none.
    let other = first_message(&mut alice.initiate(&bob, Suite::Pqxdh, OneTime::With, rng), b"and again");
    assert_eq!(bob.join(&alice, &other, Kyber::LastResort, rng).unwrap().1, b"and again");
}

/// The second encoding of the base key that would make a replay look fresh does not parse (A9); nor do changes elsewhere in
/// the message make it look fresh.
#[test]
fn a5_a_replay_in_other_bytes_is_still_a_replay() {
    let rng = &mut rng(3);
    let (alice, mut bob) = (Party::new(1, rng), Party::new(2, rng));
    let message = first_message(&mut alice.initiate(&bob, Suite::Pqxdh, OneTime::Without, rng), b"hello");
    let mut session = Session::new();
    let opened = bob.accept(&mut session, &alice, &message, Kyber::LastResort, rng).unwrap();
    let used = opened.delta().consumed().last_resort_use.unwrap();
    bob.uses.insert(used);
    let framed = crate::proto::Framed::read(message.as_bytes(), 0).unwrap();
    let mut reversed = framed.clone();
    reversed.fields.reverse();
    reversed.fields.push(crate::proto::bytes(100, b"unknown"));
    for disguised in [framed.with_varint(5, 12345), reversed, crate::proto::Framed { version: 0x4F, ..framed }] {
        let message = PreKeySignalMessage::decode(&disguised.write()).unwrap();
        let refused = bob.join(&alice, &message, Kyber::LastResort, rng).unwrap_err();
        assert_eq!(refused, AcceptError::Respond(RespondError::Replayed));
    }
}
