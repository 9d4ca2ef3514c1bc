//! Decoding a content is total.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_protocol::hazmat::decode_sealed_content;
use waxwing_protocol::sealed::{OwnDevice, Trust};
use waxwing_protocol::{DeviceAddress, DeviceId, ServiceId, Timestamp};

fuzz_target!(|data: &[u8]| {
    let Ok(content) = decode_sealed_content(data) else { return };
    let _ = format!("{content:?} {:?}", content.claims());
    let address = DeviceAddress { service_id: ServiceId::aci([1; 16]), device_id: DeviceId::new(1).unwrap() };
    assert!(content.verify(&Trust::default(), Timestamp(0), OwnDevice { address, e164: None }).is_err());
});
