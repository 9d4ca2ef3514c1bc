//! What a test sees that has every device's keys.
use core::fmt;
use std::collections::BTreeMap;

use waxwing_protocol::{
    DeviceAddress,
    sealed::{Agreements, Message, OwnDevice, SealedMessage, Trust},
};
use waxwing_wire::time::Timestamp;

use super::Engine;
use crate::convert;

/// What is kept of whoever sealed for one device, so that a test that looks at each envelope does not cost more than what it tests. It never changes
/// what is seen.
#[derive(Default)]
pub struct Witness {
    agreements: Agreements,
    /// The certificate of each device that sealed something, and a trust that remembers it.
    trusts: BTreeMap<Vec<u8>, Trust>,
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agreements: _, trusts } = self;
        f.debug_struct("Witness").field("trusts", &trusts.len()).finish_non_exhaustive()
    }
}

impl Engine {
    /// What names the message key of an envelope for this device: who sealed it, the ratchet key and the counter. Two envelopes of one name
    /// that are not the same bytes were sealed with one key (B6). Nothing is believed of it and nothing changes; none if it is not for this
    /// device.
    #[must_use]
    pub fn message_key_name(&self, envelope: &[u8], witness: &mut Witness) -> Option<Vec<u8>> {
        let seal = SealedMessage::from_envelope(envelope).ok()?;
        let inside = seal.open_with(&self.own.identity, &mut witness.agreements).ok()?;
        let claims = inside.claims().clone();
        witness.agreements.keep(&self.own.identity, &claims.identity_key);
        let own = OwnDevice { address: self.own.address()?, e164: None };
        let trust = match witness.trusts.entry(inside.certificate().as_bytes().to_vec()) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                new.insert(Trust::new([&inside.certificate().embedded_server_key()?]))
            }
        };
        let verified = inside.verify(trust, convert::time(Timestamp(0)), own).ok()?;
        trust.remember(verified.certificate());
        key_name(&claims.address, &verified.decode_message().ok()?)
    }

    /// As [`Self::message_key_name`], of the envelope that was taken last, if it was opened as far as that: it costs nothing more. Asked once.
    #[must_use]
    pub fn take_key_name(&mut self) -> Option<Vec<u8>> {
        self.opened.take()
    }
}

pub(super) fn key_name(sender: &DeviceAddress, message: &Message) -> Option<Vec<u8>> {
    let message = match message {
        Message::Signal(message) => message,
        Message::PreKey(first) => first.message(),
        _ => return None,
    };
    let sender = format!("{sender:?}");
    let parts = [sender.as_bytes(), &message.ratchet_key().ok()?.to_bytes(), &message.counter().to_be_bytes()];
    Some(parts.concat())
}
