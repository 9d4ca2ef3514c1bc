#![no_main]
//! Moved (spec 11.9).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::moved::MovedIn;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(object) = MovedIn::decode(bytes) {
        assert_eq!(object.encode(), bytes);
    }
});
