//! Decoding the sent form is total and linear, and every recipient's received form is found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_protocol::sealed::{NotAddressed, SealedMessage, SentMessage};

fuzz_target!(|data: &[u8]| {
    let Ok(sent) = SentMessage::decode(data) else { return };
    for recipient in sent.recipients() {
        assert!(!recipient.devices.is_empty());
        let received = sent.received_by(recipient.service_id).unwrap();
        assert_eq!(received.len(), 1 + 48 + sent.shared().len());
        let _ = SealedMessage::decode(&received);
    }
    for account in sent.excluded() {
        assert_eq!(sent.received_by(*account), Err(NotAddressed::Excluded));
    }
});
