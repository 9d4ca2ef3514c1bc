//! Decoding a `SenderKeyMessage` is total; its values, encoded anew, are the canonical message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_protocol::SenderKeyMessage;

fuzz_target!(|data: &[u8]| {
    let Ok(message) = SenderKeyMessage::decode(data) else { return };
    assert_eq!(message.as_bytes(), data);
    let _ = format!("{message:?}");
    let (id, ciphertext) = (message.distribution_id(), message.ciphertext().to_vec());
    let anew = SenderKeyMessage::new(id, message.chain_id(), message.iteration(), ciphertext, |_| *message.signature());
    let again = SenderKeyMessage::decode(anew.as_bytes()).unwrap();
    assert_eq!(again, anew);
    assert_eq!(again.ciphertext(), message.ciphertext());
    // Never longer than what came: minimal varints, nothing unknown. (The version's low nibble may differ.)
    assert!(anew.as_bytes().len() <= data.len());
});
