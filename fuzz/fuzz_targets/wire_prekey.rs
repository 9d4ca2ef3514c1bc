#![no_main]
//! Prekeys (spec 11.10).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::prekey::PrekeyIn;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(object) = PrekeyIn::decode(bytes) {
        assert_eq!(object.encode(), bytes);
    }
});
