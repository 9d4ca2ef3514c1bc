//! Importing records of the official library is total; what was imported can be stored as ours.
#![no_main]

mod protocol_harness;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use protocol_harness::{Party, records};
use waxwing_protocol::{Session, import};

static PARTY: LazyLock<Party> = LazyLock::new(|| Party::new(1));

fuzz_target!(|data: &[u8]| {
    let identity = &PARTY.identity;
    if let Ok(pair) = import::identity_key_pair(data) {
        let again = waxwing_protocol::IdentityKeyPair::from_private_key(&pair.private_key());
        assert_eq!(again.public_key(), pair.public_key());
    }
    let _ = import::one_time_prekey(data);
    let _ = import::signed_prekey(data, identity);
    let _ = import::kyber_prekey(data, identity);
    if let Ok(imported) = import::session(data, None) {
        let written = records(&imported.session);
        assert!(records(&Session::load(&written).unwrap()) == written);
    }
});
