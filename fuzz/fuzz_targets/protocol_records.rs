//! Loading damaged records is total, and canonical: what loads is written again as the same bytes, and can be used.
#![no_main]

mod protocol_harness;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use protocol_harness::{NOW, Party, Records, records, rng, spoil};
use waxwing_protocol::{Budget, PreKeySignalMessage, Session, SignalMessage};

static HONEST: LazyLock<Vec<(Vec<u8>, Vec<u8>)>> = LazyLock::new(honest);

fn honest() -> Vec<(Vec<u8>, Vec<u8>)> {
    let (alice, bob) = (Party::new(1), Party::new(2));
    let mut at_alice = alice.initiate(&bob);
    let first =
        PreKeySignalMessage::decode(at_alice.seal(b"first", NOW, &mut rng(400)).unwrap().commit().as_bytes()).unwrap();
    let mut at_bob = Session::new();
    let accepted = at_bob.accept(bob.local(&alice), bob.prekeys_for(&first), &first, &mut rng(500)).unwrap();
    let _ = accepted.commit();
    // Kept keys, and an archived state under one that is not acknowledged.
    for _ in 0..3 {
        let _ = at_alice.seal(b"lost", NOW, &mut rng(401)).unwrap().commit();
    }
    let later =
        PreKeySignalMessage::decode(at_alice.seal(b"later", NOW, &mut rng(402)).unwrap().commit().as_bytes()).unwrap();
    let _ = at_bob.open_first(&later, &mut Budget::default(), &mut rng(501)).unwrap().commit();
    let bundle = alice.published().bundle_in().verify().unwrap();
    at_bob.initiate(bob.local(&alice), &bundle, NOW, &mut rng(502)).unwrap().commit();
    records(&at_bob).into_iter().collect()
}

fuzz_target!(|data: &[u8]| {
    let [which, key, data @ ..] = data else { return };
    let mut damaged = HONEST.clone();
    let len = damaged.len();
    let (name, value) = &mut damaged[usize::from(*which) % len];
    *value = spoil(value, data);
    if key & 1 == 1 {
        *name = spoil(name, data);
    }
    let damaged: Records = damaged.into_iter().collect();
    let Ok(mut session) = Session::load(&damaged) else { return };
    assert!(records(&session) == damaged, "not canonical");
    // Whatever it is, using it does not panic.
    if let Ok(sealed) = session.seal(b"text", NOW, &mut rng(403)) {
        let bytes = sealed.commit().into_bytes();
        if let Ok(message) = SignalMessage::decode(&bytes) {
            let _ = session.open(&message, &mut Budget::new(500), &mut rng(503)).map(|opened| opened.commit());
        }
    }
    session.archive().commit();
    assert!(Session::load(records(&session)).is_ok());
});
