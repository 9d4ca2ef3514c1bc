#![no_main]
//! A fan-out by itself (spec 14.6).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::relay::FanOut;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = FanOut::decode(bytes) {
        let encoded = value.encode().expect("what was decoded is encodable");
        assert_eq!(encoded, bytes, "one form");
        assert_eq!(FanOut::decode(&encoded).as_ref(), Ok(&value));
    }
});
