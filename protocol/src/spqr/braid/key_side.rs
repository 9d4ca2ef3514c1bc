//! The states of whoever makes the key pair (spec/06-spqr.md §6.7).

use alloc::sync::Arc;

use rand_core::CryptoRng;

use super::super::authenticator::{self, MAC};
use super::super::erasure::{Decoder, Decoding, Part};
use super::super::kem::{CT1, CT2, DecapsulationKey};
use super::super::message::Payload;
use super::{Base, Braid, BraidError, Heard, NoHeaderReceived, Turn};

/// Nothing said yet.
#[derive(Clone, Debug)]
pub(crate) struct KeysUnsampled {
    pub(crate) base: Base,
}

/// Says the header.
#[derive(Clone, Debug)]
pub(crate) struct KeysSampled {
    pub(crate) base: Base,
    pub(crate) key: DecapsulationKey,
    pub(crate) header_mac: [u8; MAC],
    pub(crate) next_chunk: u16,
}

/// The header arrived: says the encapsulation key, hears ct1.
#[derive(Clone, Debug)]
pub(crate) struct HeaderSent {
    pub(crate) base: Base,
    pub(crate) key: DecapsulationKey,
    pub(crate) next_chunk: u16,
    pub(crate) ct1: Arc<Decoder>,
}

/// ct1 is complete: says so with the encapsulation key.
#[derive(Clone, Debug)]
pub(crate) struct Ct1Received {
    pub(crate) base: Base,
    pub(crate) key: DecapsulationKey,
    pub(crate) next_chunk: u16,
    pub(crate) ct1: Arc<[u8; CT1]>,
}

/// The encapsulation key arrived: hears ct2.
#[derive(Clone, Debug)]
pub(crate) struct EkSentCt1Received {
    pub(crate) base: Base,
    pub(crate) key: DecapsulationKey,
    pub(crate) ct1: Arc<[u8; CT1]>,
    pub(crate) ct2: Arc<Decoder>,
}

impl KeysUnsampled {
    pub(super) fn send(self, rng: &mut impl CryptoRng) -> Turn {
        let Self { base } = self;
        let key = DecapsulationKey::generate(rng);
        let header_mac = base.authenticator.header_mac(base.epoch, key.header());
        KeysSampled { base, key, header_mac, next_chunk: 0 }.send()
    }
}

impl KeysSampled {
    pub(super) fn send(mut self) -> Turn {
        let mut message = [0; 96];
        let (header, mac) = message.split_at_mut(64);
        header.copy_from_slice(self.key.header());
        mac.copy_from_slice(&self.header_mac);
        let chunk = Part::Header.encode(&message, self.next_chunk);
        self.next_chunk = self.next_chunk.wrapping_add(1);
        Turn::said(Braid::KeysSampled(self), Payload::Header(chunk))
    }

    pub(super) fn receive(self, payload: &Payload) -> Braid {
        let Payload::Ct1(_) = payload else { return Braid::KeysSampled(self) };
        let Self { base, key, header_mac: _, next_chunk: _ } = self;
        HeaderSent { base, key, next_chunk: 0, ct1: Arc::new(Decoder::new(Part::Ciphertext1)) }.receive(payload)
    }
}

impl HeaderSent {
    pub(super) fn send(mut self) -> Turn {
        let chunk = Part::EncapsulationKey.encode(self.key.vector(), self.next_chunk);
        self.next_chunk = self.next_chunk.wrapping_add(1);
        Turn::said(Braid::HeaderSent(self), Payload::EncapsulationKey(chunk))
    }

    pub(super) fn receive(self, payload: &Payload) -> Braid {
        let Payload::Ct1(chunk) = payload else { return Braid::HeaderSent(self) };
        let Self { base, key, next_chunk, ct1 } = self;
        match Arc::unwrap_or_clone(ct1).with(chunk) {
            Decoding::Incomplete(ct1) => Braid::HeaderSent(Self { base, key, next_chunk, ct1: Arc::new(ct1) }),
            Decoding::Complete(bytes) => {
                let ct1 = Arc::new(array(&bytes));
                Braid::Ct1Received(Ct1Received { base, key, next_chunk, ct1 })
            }
        }
    }
}

impl Ct1Received {
    pub(super) fn send(mut self) -> Turn {
        let chunk = Part::EncapsulationKey.encode(self.key.vector(), self.next_chunk);
        self.next_chunk = self.next_chunk.wrapping_add(1);
        Turn::said(Braid::Ct1Received(self), Payload::EncapsulationKeyCt1Ack(chunk))
    }

    pub(super) fn receive(self, payload: &Payload) -> Braid {
        let Payload::Ct2(chunk) = payload else { return Braid::Ct1Received(self) };
        let Self { base, key, next_chunk: _, ct1 } = self;
        match Decoder::new(Part::Ciphertext2).with(chunk) {
            Decoding::Incomplete(ct2) => {
                Braid::EkSentCt1Received(EkSentCt1Received { base, key, ct1, ct2: Arc::new(ct2) })
            }
            // Five chunks are needed.
            Decoding::Complete(_) => Braid::Ct1Received(Self { base, key, next_chunk: 0, ct1 }),
        }
    }
}

impl EkSentCt1Received {
    /// The end of the epoch: the peer learns of it by our next message.
    pub(super) fn receive(self, payload: &Payload) -> Result<Heard, BraidError> {
        let Payload::Ct2(chunk) = payload else { return Ok((Braid::EkSentCt1Received(self), None)) };
        let Self { base, key, ct1, ct2 } = self;
        let bytes = match Arc::unwrap_or_clone(ct2).with(chunk) {
            Decoding::Incomplete(ct2) => {
                let ct2 = Arc::new(ct2);
                return Ok((Braid::EkSentCt1Received(Self { base, key, ct1, ct2 }), None));
            }
            Decoding::Complete(bytes) => bytes,
        };
        let Base { epoch, authenticator } = base;
        let (ct2, mac) = bytes.split_at(CT2);
        let secret = key.decapsulate(epoch, &ct1, &array(ct2));
        let authenticator = authenticator.update(epoch, secret.as_bytes());
        if !authenticator::is_equal(&authenticator.ciphertext_mac(epoch, &ct1[..], ct2), mac) {
            return Err(BraidError::Ciphertext);
        }
        let next = NoHeaderReceived::new(Base { epoch: epoch.next(), authenticator });
        Ok((Braid::NoHeaderReceived(next), Some(secret)))
    }
}

/// The first N bytes of a part whose size the code guarantees.
pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    for (byte, source) in array.iter_mut().zip(bytes) {
        *byte = *source;
    }
    array
}
