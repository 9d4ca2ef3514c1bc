//! Decoding a `SignalMessage` is total, bounded, and keeps the bytes that its MAC covers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_protocol::{MAX_MESSAGE_LEN, SignalMessage};

fuzz_target!(|data: &[u8]| {
    let Ok(message) = SignalMessage::decode(data) else { return };
    assert_eq!(message.as_bytes(), data);
    assert!(data.len() <= MAX_MESSAGE_LEN);
    assert_eq!(message.suite().version(), data[0] >> 4);
    // The parts come out of the message, not out of a length that it promises.
    let parts = [Some(message.ciphertext()), message.pq_ratchet(), message.addresses()];
    assert!(parts.iter().flatten().map(|part| part.len()).sum::<usize>() < data.len());
    if let Ok(key) = message.ratchet_key() {
        assert_eq!(waxwing_protocol::RatchetKey::parse(&key.to_bytes()), Ok(key));
    }
    let _ = format!("{message:?}");
});
