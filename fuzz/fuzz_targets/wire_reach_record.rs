#![no_main]
//! Reach records (spec 11.7).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::reach::ReachRecordIn;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(object) = ReachRecordIn::decode(bytes) {
        assert_eq!(object.encode(), bytes);
    }
});
