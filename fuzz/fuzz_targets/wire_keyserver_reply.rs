#![no_main]
//! What a key server says (spec 15).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::keyserver::Reply;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = Reply::decode(bytes) {
        let encoded = value.encode().expect("what was decoded is encodable");
        assert_eq!(encoded, bytes, "one form");
        assert_eq!(Reply::decode(&encoded).as_ref(), Ok(&value));
    }
});
