#![no_main]
//! A put by itself (spec 14.6).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::relay::Put;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = Put::decode(bytes) {
        let encoded = value.encode().expect("what was decoded is encodable");
        assert_eq!(encoded, bytes, "one form");
        assert_eq!(Put::decode(&encoded).as_ref(), Ok(&value));
    }
});
