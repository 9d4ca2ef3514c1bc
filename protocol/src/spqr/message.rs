//! The `pq_ratchet` field of a message. Implements spec/06-spqr.md §6.2.
//!
//! ```text
//! version[1] ‖ varint epoch ‖ varint index ‖ type[1] ‖ [varint chunk number ‖ chunk[32]] ‖ (ignored)
//! ```
//! Invariants: decoding is total; what is encoded is canonical. Whether it may be believed, the message's MAC says.

use alloc::vec::Vec;

use thiserror::Error;

use super::Epoch;
use super::erasure::{CHUNK, Chunk};

/// The one version there is.
pub(crate) const VERSION: u8 = 1;

/// What one message carries for the ratchet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    /// The epoch that the sender works on; the message is keyed from the one before.
    pub(crate) epoch: Epoch,
    /// The message's number in its epoch and direction, from 1; 0 in the first epoch says that there is no key yet.
    pub(crate) index: u32,
    pub(crate) payload: Payload,
}

/// What the exchange has to say (ML-KEM Braid's messages).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Payload {
    None,
    Header(Chunk),
    EncapsulationKey(Chunk),
    /// The same, and: ct1 is complete.
    EncapsulationKeyCt1Ack(Chunk),
    Ct1Ack,
    Ct1(Chunk),
    Ct2(Chunk),
}

/// Why a field is no message. Safe to log.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub(crate) enum MessageError {
    /// Version 0, or an empty field: the sender does without.
    #[error("no post-quantum ratchet")]
    Absent,
    #[error("malformed")]
    Malformed,
}

impl Message {
    /// Reads the version and, whatever it is unless 0, the rest as version 1: a later version begins like this one, so that
    /// a peer of this version can answer it.
    pub(crate) fn decode(field: &[u8]) -> Result<(u8, Self), MessageError> {
        let (version, mut rest) = match field.split_first() {
            None | Some((0, _)) => return Err(MessageError::Absent),
            Some((version, rest)) => (*version, rest),
        };
        let epoch = Epoch::from_wire(varint(&mut rest)?).ok_or(MessageError::Malformed)?;
        let index = u32::try_from(varint(&mut rest)?).map_err(|_| MessageError::Malformed)?;
        let (kind, rest) = rest.split_first().ok_or(MessageError::Malformed)?;
        let payload = match *kind {
            NONE => Payload::None,
            HEADER => Payload::Header(chunk(rest)?),
            ENCAPSULATION_KEY => Payload::EncapsulationKey(chunk(rest)?),
            ENCAPSULATION_KEY_CT1_ACK => Payload::EncapsulationKeyCt1Ack(chunk(rest)?),
            CT1_ACK => Payload::Ct1Ack,
            CT1 => Payload::Ct1(chunk(rest)?),
            CT2 => Payload::Ct2(chunk(rest)?),
            _ => return Err(MessageError::Malformed),
        };
        Ok((version, Self { epoch, index, payload }))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut field = Vec::with_capacity(LONGEST);
        field.push(VERSION);
        put_varint(&mut field, self.epoch.0);
        put_varint(&mut field, self.index.into());
        let (kind, chunk) = match &self.payload {
            Payload::None => (NONE, None),
            Payload::Header(chunk) => (HEADER, Some(chunk)),
            Payload::EncapsulationKey(chunk) => (ENCAPSULATION_KEY, Some(chunk)),
            Payload::EncapsulationKeyCt1Ack(chunk) => (ENCAPSULATION_KEY_CT1_ACK, Some(chunk)),
            Payload::Ct1Ack => (CT1_ACK, None),
            Payload::Ct1(chunk) => (CT1, Some(chunk)),
            Payload::Ct2(chunk) => (CT2, Some(chunk)),
        };
        field.push(kind);
        if let Some(Chunk { index, data }) = chunk {
            put_varint(&mut field, (*index).into());
            field.extend_from_slice(data);
        }
        field
    }
}

/// What follows the chunk is for later versions.
fn chunk(mut rest: &[u8]) -> Result<Chunk, MessageError> {
    let index = u16::try_from(varint(&mut rest)?).map_err(|_| MessageError::Malformed)?;
    let (data, _) = rest.split_first_chunk::<CHUNK>().ok_or(MessageError::Malformed)?;
    Ok(Chunk { index, data: *data })
}

/// Protobuf's: seven bits a byte, least significant first, at most ten bytes.
fn varint(rest: &mut &[u8]) -> Result<u64, MessageError> {
    let mut value = 0u64;
    for shift in (0u32..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(MessageError::Malformed)?;
        *rest = after;
        let bits = u64::from(byte & 0x7F);
        let placed = bits.checked_shl(shift).unwrap_or(0);
        if placed.checked_shr(shift) != Some(bits) {
            return Err(MessageError::Malformed);
        }
        value |= placed;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(MessageError::Malformed)
}

fn put_varint(field: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        field.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    field.push(low);
}

const NONE: u8 = 0;
const HEADER: u8 = 1;
const ENCAPSULATION_KEY: u8 = 2;
const ENCAPSULATION_KEY_CT1_ACK: u8 = 3;
const CT1_ACK: u8 = 4;
const CT1: u8 = 5;
const CT2: u8 = 6;

/// Version, epoch, index, type, chunk number, chunk.
const LONGEST: usize = 1 + 10 + 5 + 1 + 3 + CHUNK;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::collection::vec as vec_of;
    use proptest::prelude::*;

    use super::*;

    fn payload() -> impl Strategy<Value = Payload> {
        (0..7u8, any::<u16>(), any::<[u8; 32]>()).prop_map(|(kind, index, data)| {
            let chunk = Chunk { index, data };
            match kind {
                1 => Payload::Header(chunk),
                2 => Payload::EncapsulationKey(chunk),
                3 => Payload::EncapsulationKeyCt1Ack(chunk),
                4 => Payload::Ct1Ack,
                5 => Payload::Ct1(chunk),
                6 => Payload::Ct2(chunk),
                _ => Payload::None,
            }
        })
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes(epoch in 1..=u64::MAX, index: u32, payload in payload(), rest in vec_of(any::<u8>(), 0..8)) {
            let message = Message { epoch: Epoch(epoch), index, payload };
            let mut field = message.encode();
            prop_assert!(field.len() <= LONGEST);
            prop_assert_eq!(Message::decode(&field), Ok((1, message)));
            for shorter in 1..field.len() {
                prop_assert_eq!(Message::decode(&field[..shorter]), Err(MessageError::Malformed));
            }
            field.extend(rest);
            prop_assert_eq!(Message::decode(&field), Ok((1, message)), "what follows is ignored");
        }

        #[test]
        fn any_bytes_are_a_message_or_an_error(field in vec_of(any::<u8>(), 0..80)) {
            if let Ok((version, message)) = Message::decode(&field) {
                prop_assert_eq!(version, field[0]);
                prop_assert_eq!(Message::decode(&message.encode()), Ok((1, message)));
            }
        }
    }

    #[test]
    fn the_first_message_of_the_library_decodes() {
        let mut field = vec![1, 1, 0, 1, 0];
        field.extend([7; 32]);
        let payload = Payload::Header(Chunk { index: 0, data: [7; 32] });
        assert_eq!(Message::decode(&field), Ok((1, Message { epoch: Epoch::FIRST, index: 0, payload })));
    }

    #[test]
    fn what_no_message_begins_with_is_refused() {
        for (name, field, error) in [
            ("empty", &[][..], MessageError::Absent),
            ("version 0", &[0, 1, 1, 0], MessageError::Absent),
            ("epoch 0", &[1, 0, 1, 0], MessageError::Malformed),
            ("an index beyond 32 bits", &[1, 1, 0x80, 0x80, 0x80, 0x80, 0x10, 0], MessageError::Malformed),
            (
                "an epoch beyond 64 bits",
                &[1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 1, 0],
                MessageError::Malformed,
            ),
            (
                "a varint of eleven bytes",
                &[1, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0, 1, 0],
                MessageError::Malformed,
            ),
            ("type 7", &[1, 1, 1, 7], MessageError::Malformed),
        ] {
            assert_eq!(Message::decode(field), Err(error), "{name}");
        }
    }
}
