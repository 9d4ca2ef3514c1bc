//! A first message, mutated: decoding is total, and what a responder accepts says what the honest one says.
#![no_main]

mod protocol_harness;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use protocol_harness::{NOW, Party, records, rng, spoil};
use waxwing_protocol::{PreKeySignalMessage, Session};

static PARTIES: LazyLock<(Party, Party)> = LazyLock::new(|| (Party::new(1), Party::new(2)));
static HONEST: LazyLock<PreKeySignalMessage> = LazyLock::new(|| {
    let mut session = PARTIES.0.initiate(&PARTIES.1);
    PreKeySignalMessage::decode(session.seal(b"hello", NOW, &mut rng(400)).unwrap().commit().as_bytes()).unwrap()
});

fuzz_target!(|data: &[u8]| {
    let (alice, bob) = &*PARTIES;
    let honest = &*HONEST;
    let bytes = spoil(honest.as_bytes(), data);
    let Ok(message) = PreKeySignalMessage::decode(&bytes) else { return };
    assert_eq!(message.as_bytes(), bytes);
    assert_eq!(message.suite(), message.message().suite());
    assert_eq!(message.suite().version() == 4, message.kyber_prekey_id().is_some());
    let _ = format!("{message:?}");

    let mut session = Session::new();
    let prekeys = bob.prekeys_for(&message);
    match session.accept(bob.local(alice), prekeys, &message, &mut rng(200)) {
        Err(_) => assert_eq!(records(&session), records(&Session::new())),
        Ok(opened) => {
            assert_eq!(opened.commit(), b"hello");
            // Spec §5.10: nothing but the registration id and the encoding may differ.
            assert_eq!(message.message(), honest.message());
            assert_eq!(message.base_key(), honest.base_key());
            assert_eq!(message.identity_key(), honest.identity_key());
            assert_eq!(message.signed_prekey_id(), honest.signed_prekey_id());
            assert_eq!(message.one_time_prekey_id(), honest.one_time_prekey_id());
            assert_eq!(message.kyber_prekey_id(), honest.kyber_prekey_id());
        }
    }
});
