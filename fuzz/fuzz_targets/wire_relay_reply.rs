#![no_main]
//! What a relay says (spec 14).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::relay::ServerFrame;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = ServerFrame::decode(bytes) {
        let encoded = value.encode().expect("what was decoded is encodable");
        assert_eq!(encoded, bytes, "one form");
        assert_eq!(ServerFrame::decode(&encoded).as_ref(), Ok(&value));
    }
});
