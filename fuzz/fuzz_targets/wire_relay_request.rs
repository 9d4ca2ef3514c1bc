#![no_main]
//! Requests to a relay (spec 14).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::relay::Request;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = Request::decode(bytes) {
        let encoded = value.encode().expect("what was decoded is encodable");
        assert_eq!(encoded, bytes, "one form");
        assert_eq!(Request::decode(&encoded).as_ref(), Ok(&value));
    }
});
