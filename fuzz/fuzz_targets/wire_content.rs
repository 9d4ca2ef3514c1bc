#![no_main]
//! Contents (spec 16).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::content::Content;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = Content::decode(bytes) {
        let encoded = value.encode().expect("what was decoded is encodable");
        assert_eq!(encoded, bytes, "one form");
        assert_eq!(Content::decode(&encoded).as_ref(), Ok(&value));
    }
});
