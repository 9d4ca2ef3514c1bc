#![no_main]
//! Reach entries (spec 11.7).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::reach::ReachEntryIn;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(object) = ReachEntryIn::decode(bytes) {
        assert_eq!(object.encode(), bytes);
    }
});
