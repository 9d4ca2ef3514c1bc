//! What a test sees that has every device's keys.
use waxwing_protocol::sealed::{Message, OwnDevice, SealedMessage, Trust};
use waxwing_wire::time::Timestamp;

use super::Engine;
use crate::convert;

impl Engine {
    /// What names the message key of an envelope for this device: who sealed it, the ratchet key and the counter. Two envelopes of one name
    /// that are not the same bytes were sealed with one key (B6). Nothing is believed of it and nothing changes; none if it is not for this
    /// device.
    #[must_use]
    pub fn message_key_name(&self, envelope: &[u8]) -> Option<Vec<u8>> {
        let inside = SealedMessage::from_envelope(envelope).ok()?.open(&self.own.identity).ok()?;
        let claims = inside.claims().clone();
        let key = inside.certificate().embedded_server_key()?;
        let own = OwnDevice { address: self.own.address()?, e164: None };
        let verified = inside.verify(&Trust::new([&key]), convert::time(Timestamp(0)), own).ok()?;
        let message = match verified.decode_message().ok()? {
            Message::Signal(message) => message,
            Message::PreKey(first) => first.message().clone(),
            _ => return None,
        };
        let sender = format!("{:?}", claims.address);
        let parts = [sender.as_bytes(), &message.ratchet_key().ok()?.to_bytes(), &message.counter().to_be_bytes()];
        Some(parts.concat())
    }
}
