#![no_main]
//! What a device asks inside a bound request (spec 15.4).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::keyserver::DeviceRequest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = DeviceRequest::decode(bytes) {
        let encoded = value.encode().expect("what was decoded is encodable");
        assert_eq!(encoded, bytes, "one form");
        assert_eq!(DeviceRequest::decode(&encoded).as_ref(), Ok(&value));
    }
});
