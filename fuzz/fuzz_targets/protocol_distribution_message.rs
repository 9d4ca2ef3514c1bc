//! Decoding a `SenderKeyDistributionMessage` is total; its values, encoded anew, are the canonical message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_protocol::SenderKeyDistributionMessage;

fuzz_target!(|data: &[u8]| {
    let Ok(message) = SenderKeyDistributionMessage::decode(data) else { return };
    assert_eq!(message.as_bytes(), data);
    let _ = format!("{message:?}");
    let canonical = message.encode();
    assert!(canonical.len() <= data.len());
    let again = SenderKeyDistributionMessage::decode(&canonical).unwrap();
    assert_eq!(again.encode(), canonical);
    assert_eq!(again.signing_key(), message.signing_key());
    assert_eq!((again.chain_id(), again.iteration()), (message.chain_id(), message.iteration()));
});
