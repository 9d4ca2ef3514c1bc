#![no_main]
//! Bound requests (spec 11.11).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::request::BoundRequestIn;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(object) = BoundRequestIn::decode(bytes) {
        assert_eq!(object.encode(), bytes);
    }
});
