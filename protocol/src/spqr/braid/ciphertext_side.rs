//! The states of whoever encapsulates (spec/06-spqr.md §6.7).

use alloc::sync::Arc;

use rand_core::CryptoRng;

use super::super::authenticator::{self, MAC};
use super::super::erasure::{Chunk, Decoder, Decoding, Part};
use super::super::kem::{self, CT1, CT2, EncapsulationSeed, HEADER};
use super::super::message::Payload;
use super::key_side::array;
use super::{Base, Braid, BraidError, KeysUnsampled, Turn};

/// Hears the header.
#[derive(Clone, Debug)]
pub(crate) struct NoHeaderReceived {
    pub(crate) base: Base,
    pub(crate) header: Arc<Decoder>,
}

/// The header is there: the next message encapsulates.
#[derive(Clone, Debug)]
pub(crate) struct HeaderReceived {
    pub(crate) base: Base,
    pub(crate) header: [u8; HEADER],
}

/// Says ct1, hears the encapsulation key. The authenticator has the epoch's secret already.
#[derive(Clone, Debug)]
pub(crate) struct Ct1Sampled {
    pub(crate) base: Base,
    pub(crate) encapsulation: Encapsulation,
    pub(crate) next_chunk: u16,
    pub(crate) key: Arc<Decoder>,
}

/// The encapsulation key is there; still says ct1.
#[derive(Clone, Debug)]
pub(crate) struct EkReceivedCt1Sampled {
    pub(crate) base: Base,
    pub(crate) ct1: Arc<[u8; CT1]>,
    pub(crate) next_chunk: u16,
    pub(crate) ct2: SecondPart,
}

/// ct1 arrived; hears the encapsulation key.
#[derive(Clone, Debug)]
pub(crate) struct Ct1Acknowledged {
    pub(crate) base: Base,
    pub(crate) encapsulation: Encapsulation,
    pub(crate) key: Arc<Decoder>,
}

/// Says ct2, until the peer is in the next epoch.
#[derive(Clone, Debug)]
pub(crate) struct Ct2Sampled {
    pub(crate) base: Base,
    pub(crate) ct2: SecondPart,
    pub(crate) next_chunk: u16,
}

/// Half an encapsulation.
#[derive(Clone, Debug)]
pub(crate) struct Encapsulation {
    pub(crate) header: [u8; HEADER],
    pub(crate) seed: EncapsulationSeed,
    pub(crate) ct1: Arc<[u8; CT1]>,
}

/// ct2 and the MAC over both parts.
#[derive(Clone, Debug)]
pub(crate) struct SecondPart(pub(crate) [u8; CT2 + MAC]);

/// What the encapsulation key came to by one more chunk.
enum Key {
    Incomplete(Arc<Decoder>),
    Complete(SecondPart),
}

impl NoHeaderReceived {
    pub(crate) fn new(base: Base) -> Self {
        Self { base, header: Arc::new(Decoder::new(Part::Header)) }
    }

    pub(super) fn receive(self, payload: &Payload) -> Result<Braid, BraidError> {
        let Payload::Header(chunk) = payload else { return Ok(Braid::NoHeaderReceived(self)) };
        let Self { base, header } = self;
        let bytes = match Arc::unwrap_or_clone(header).with(chunk) {
            Decoding::Incomplete(header) => {
                return Ok(Braid::NoHeaderReceived(Self { base, header: Arc::new(header) }));
            }
            Decoding::Complete(bytes) => bytes,
        };
        let (header, mac) = bytes.split_at(HEADER);
        if !authenticator::is_equal(&base.authenticator.header_mac(base.epoch, header), mac) {
            return Err(BraidError::Header);
        }
        Ok(Braid::HeaderReceived(HeaderReceived { base, header: array(header) }))
    }
}

impl HeaderReceived {
    pub(super) fn send(self, rng: &mut impl CryptoRng) -> Turn {
        let Self { base, header } = self;
        let (seed, ct1, secret) = kem::encapsulate(base.epoch, &header, rng);
        let authenticator = base.authenticator.update(base.epoch, secret.as_bytes());
        let base = Base { epoch: base.epoch, authenticator };
        let encapsulation = Encapsulation { header, seed, ct1: Arc::from(ct1) };
        let key = Arc::new(Decoder::new(Part::EncapsulationKey));
        let turn = Ct1Sampled { base, encapsulation, next_chunk: 0, key }.send();
        Turn { secret: Some(secret), ..turn }
    }
}

impl Ct1Sampled {
    pub(super) fn send(mut self) -> Turn {
        let chunk = Part::Ciphertext1.encode(&self.encapsulation.ct1[..], self.next_chunk);
        self.next_chunk = self.next_chunk.wrapping_add(1);
        Turn::said(Braid::Ct1Sampled(self), Payload::Ct1(chunk))
    }

    /// An acknowledgement without a chunk comes only after the encapsulation key arrived: here it means nothing.
    pub(super) fn receive(self, payload: &Payload) -> Result<Braid, BraidError> {
        let (chunk, is_acknowledged) = match payload {
            Payload::EncapsulationKey(chunk) => (chunk, false),
            Payload::EncapsulationKeyCt1Ack(chunk) => (chunk, true),
            _ => return Ok(Braid::Ct1Sampled(self)),
        };
        let Self { base, encapsulation, next_chunk, key } = self;
        Ok(match (encapsulation.hear(&base, key, chunk)?, is_acknowledged) {
            (Key::Complete(ct2), true) => Braid::Ct2Sampled(Ct2Sampled { base, ct2, next_chunk: 0 }),
            (Key::Complete(ct2), false) => {
                let ct1 = encapsulation.ct1;
                Braid::EkReceivedCt1Sampled(EkReceivedCt1Sampled { base, ct1, next_chunk, ct2 })
            }
            (Key::Incomplete(key), true) => Braid::Ct1Acknowledged(Ct1Acknowledged { base, encapsulation, key }),
            (Key::Incomplete(key), false) => Braid::Ct1Sampled(Self { base, encapsulation, next_chunk, key }),
        })
    }
}

impl EkReceivedCt1Sampled {
    pub(super) fn send(mut self) -> Turn {
        let chunk = Part::Ciphertext1.encode(&self.ct1[..], self.next_chunk);
        self.next_chunk = self.next_chunk.wrapping_add(1);
        Turn::said(Braid::EkReceivedCt1Sampled(self), Payload::Ct1(chunk))
    }

    pub(super) fn receive(self, payload: &Payload) -> Braid {
        match payload {
            Payload::Ct1Ack | Payload::EncapsulationKeyCt1Ack(_) => {
                let Self { base, ct1: _, next_chunk: _, ct2 } = self;
                Braid::Ct2Sampled(Ct2Sampled { base, ct2, next_chunk: 0 })
            }
            _ => Braid::EkReceivedCt1Sampled(self),
        }
    }
}

impl Ct1Acknowledged {
    pub(super) fn receive(self, payload: &Payload) -> Result<Braid, BraidError> {
        let (Payload::EncapsulationKey(chunk) | Payload::EncapsulationKeyCt1Ack(chunk)) = payload else {
            return Ok(Braid::Ct1Acknowledged(self));
        };
        let Self { base, encapsulation, key } = self;
        Ok(match encapsulation.hear(&base, key, chunk)? {
            Key::Complete(ct2) => Braid::Ct2Sampled(Ct2Sampled { base, ct2, next_chunk: 0 }),
            Key::Incomplete(key) => Braid::Ct1Acknowledged(Self { base, encapsulation, key }),
        })
    }
}

impl Ct2Sampled {
    pub(super) fn send(mut self) -> Turn {
        let chunk = Part::Ciphertext2.encode(&self.ct2.0, self.next_chunk);
        self.next_chunk = self.next_chunk.wrapping_add(1);
        Turn::said(Braid::Ct2Sampled(self), Payload::Ct2(chunk))
    }

    /// The peer is in the next epoch: the sides change.
    pub(super) fn answered(self) -> Braid {
        let Self { base: Base { epoch, authenticator }, .. } = self;
        Braid::KeysUnsampled(KeysUnsampled { base: Base { epoch: epoch.next(), authenticator } })
    }
}

impl Encapsulation {
    /// `base` has the authenticator with this epoch's secret.
    fn hear(&self, base: &Base, key: Arc<Decoder>, chunk: &Chunk) -> Result<Key, BraidError> {
        let vector = match Arc::unwrap_or_clone(key).with(chunk) {
            Decoding::Incomplete(key) => return Ok(Key::Incomplete(Arc::new(key))),
            Decoding::Complete(vector) => vector,
        };
        let ct2 = self.seed.second_part(&self.header, &array(&vector));
        let ct2 = ct2.map_err(|_| BraidError::EncapsulationKey)?;
        Ok(Key::Complete(SecondPart::new(base, &self.ct1, &ct2)))
    }
}

impl SecondPart {
    /// `base` has the authenticator with this epoch's secret.
    pub(crate) fn new(base: &Base, ct1: &[u8; CT1], ct2: &[u8; CT2]) -> Self {
        let mac = base.authenticator.ciphertext_mac(base.epoch, ct1, ct2);
        let mut second_part = [0; CT2 + MAC];
        let (head, tail) = second_part.split_at_mut(CT2);
        head.copy_from_slice(ct2);
        tail.copy_from_slice(&mac);
        Self(second_part)
    }
}
