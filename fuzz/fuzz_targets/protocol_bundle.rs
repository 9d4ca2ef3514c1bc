//! A bundle, mutated: whatever verifies has the owner's keys and signatures, except the one-time prekey, which nobody signs.
#![no_main]

mod protocol_harness;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use protocol_harness::{NOW, Party, Published, rng, spoil};
use waxwing_protocol::Session;

static PARTIES: LazyLock<(Party, Party)> = LazyLock::new(|| (Party::new(1), Party::new(2)));
static HONEST: LazyLock<Published> = LazyLock::new(|| PARTIES.1.published());

fuzz_target!(|data: &[u8]| {
    let Some((slots, data)) = data.split_first() else { return };
    let mut bundle = HONEST.clone();
    let Published {
        identity_key,
        signed_prekey,
        signed_prekey_signature,
        one_time_prekey,
        kyber_prekey,
        kyber_prekey_signature,
    } = &mut bundle;
    let fields =
        [identity_key, signed_prekey, signed_prekey_signature, one_time_prekey, kyber_prekey, kyber_prekey_signature];
    for (index, field) in fields.into_iter().enumerate() {
        if slots >> index & 1 == 1 {
            *field = spoil(field, data);
        }
    }
    let verified = bundle.bundle_in().verify();
    let classical = bundle.bundle_in().verify_without_post_quantum_secrecy();
    assert_eq!(verified.is_ok(), classical.is_ok());
    let Ok(verified) = verified else { return };
    let unsigned = bundle.one_time_prekey.clone();
    bundle.one_time_prekey.clone_from(&HONEST.one_time_prekey);
    assert!(bundle == *HONEST, "a signature was forged");
    bundle.one_time_prekey = unsigned;

    let mut session = Session::new();
    session.initiate(PARTIES.0.local(&PARTIES.1), &verified, NOW, &mut rng(300)).unwrap().commit();
    assert!(session.seal(b"hello", NOW, &mut rng(400)).is_ok());
});
