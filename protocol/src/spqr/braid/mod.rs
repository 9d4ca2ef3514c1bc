//! The exchange's state machine: one struct per state, transitions consume it. Implements spec/06-spqr.md §6.7 (ML-KEM
//! Braid).
//!
//! ```text
//!            key side (epoch e)                                ciphertext side (epoch e)
//!
//!            KeysUnsampled ◀─────────────────────┐             NoHeaderReceived ◀───────────────┐
//!  send Hdr 0      │                             │   header, MAC right │                        │
//!            KeysSampled ── Hdr ──▶              │             HeaderReceived                   │
//!  first Ct1       │                             │   send Ct1 0, secret│                        │
//!            HeaderSent ── Ek ──▶                │             Ct1Sampled ── Ct1 ──▶            │
//!  ct1 complete    │                             │     ek ┌────────────┤────────────┐ ack       │
//!            Ct1Received ── EkCt1Ack ──▶         │  EkReceivedCt1Sampled      Ct1Acknowledged   │
//!  first Ct2       │                             │  ── Ct1 ──▶  │             │ ── None ──▶     │
//!            EkSentCt1Received ── Ct1Ack ──▶     │          ack └──────┬──────┘ ek              │
//!  ct2, MAC right, │ secret                      │             Ct2Sampled ── Ct2 ──▶            │
//!                  └── epoch e+1 ────────────────┼──────────────────── │ ───────────────────────┘
//!                                                └── first message of ─┘
//!                                                    epoch e+1
//! ```
//! A message of an older epoch is ignored, one of a newer epoch is an error but in `Ct2Sampled`. What a state has no use for
//! is ignored.
//!
//! Cloning a state shares its keys; an operation works on a clone, so the state that failed is untouched.

mod ciphertext_side;
mod key_side;

use rand_core::CryptoRng;
use thiserror::Error;

pub(crate) use self::ciphertext_side::{
    Ct1Acknowledged, Ct1Sampled, Ct2Sampled, EkReceivedCt1Sampled, Encapsulation, HeaderReceived, NoHeaderReceived,
    SecondPart,
};
pub(crate) use self::key_side::{Ct1Received, EkSentCt1Received, HeaderSent, KeysSampled, KeysUnsampled};
use super::authenticator::Authenticator;
use super::kem::EpochSecret;
use super::message::Payload;
use super::{Epoch, Role};

/// Any state.
#[derive(Clone, Debug)]
pub(crate) enum Braid {
    KeysUnsampled(KeysUnsampled),
    KeysSampled(KeysSampled),
    HeaderSent(HeaderSent),
    Ct1Received(Ct1Received),
    EkSentCt1Received(EkSentCt1Received),
    NoHeaderReceived(NoHeaderReceived),
    HeaderReceived(HeaderReceived),
    Ct1Sampled(Ct1Sampled),
    EkReceivedCt1Sampled(EkReceivedCt1Sampled),
    Ct1Acknowledged(Ct1Acknowledged),
    Ct2Sampled(Ct2Sampled),
}

/// What every state has.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(crate) epoch: Epoch,
    pub(crate) authenticator: Authenticator,
}

/// What a state says, and what it becomes by that.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) braid: Braid,
    pub(crate) payload: Payload,
    /// Of [`Base::epoch`], where it just came to be.
    pub(crate) secret: Option<EpochSecret>,
}

/// What a state becomes by what it heard.
pub(crate) type Heard = (Braid, Option<EpochSecret>);

/// What an authentic peer said is wrong: it is broken, or an attacker had its keys.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub(crate) enum BraidError {
    #[error("epoch {0} is not there yet")]
    Future(u64),
    #[error("the header's MAC is wrong")]
    Header,
    #[error("the encapsulation key is not the header's")]
    EncapsulationKey,
    #[error("the ciphertext's MAC is wrong")]
    Ciphertext,
}

impl Braid {
    /// The initiator begins with the keys.
    pub(crate) fn new(auth_key: &[u8; 32], role: Role) -> Self {
        let base = Base { epoch: Epoch::FIRST, authenticator: Authenticator::new(auth_key) };
        match role {
            Role::Initiator => Self::KeysUnsampled(KeysUnsampled { base }),
            Role::Responder => Self::NoHeaderReceived(NoHeaderReceived::new(base)),
        }
    }

    pub(crate) const fn base(&self) -> &Base {
        match self {
            Self::KeysUnsampled(KeysUnsampled { base })
            | Self::KeysSampled(KeysSampled { base, .. })
            | Self::HeaderSent(HeaderSent { base, .. })
            | Self::Ct1Received(Ct1Received { base, .. })
            | Self::EkSentCt1Received(EkSentCt1Received { base, .. })
            | Self::NoHeaderReceived(NoHeaderReceived { base, .. })
            | Self::HeaderReceived(HeaderReceived { base, .. })
            | Self::Ct1Sampled(Ct1Sampled { base, .. })
            | Self::EkReceivedCt1Sampled(EkReceivedCt1Sampled { base, .. })
            | Self::Ct1Acknowledged(Ct1Acknowledged { base, .. })
            | Self::Ct2Sampled(Ct2Sampled { base, .. }) => base,
        }
    }

    pub(crate) const fn epoch(&self) -> Epoch {
        self.base().epoch
    }

    /// What the next message carries. Draws 64 bytes in [`KeysUnsampled`], 32 in [`HeaderReceived`].
    pub(crate) fn send(self, rng: &mut impl CryptoRng) -> Turn {
        match self {
            Self::KeysUnsampled(state) => state.send(rng),
            Self::KeysSampled(state) => state.send(),
            Self::HeaderSent(state) => state.send(),
            Self::Ct1Received(state) => state.send(),
            Self::EkSentCt1Received(_) => Turn::said(self, Payload::Ct1Ack),
            Self::NoHeaderReceived(_) | Self::Ct1Acknowledged(_) => Turn::said(self, Payload::None),
            Self::HeaderReceived(state) => state.send(rng),
            Self::Ct1Sampled(state) => state.send(),
            Self::EkReceivedCt1Sampled(state) => state.send(),
            Self::Ct2Sampled(state) => state.send(),
        }
    }

    /// Takes what an authentic message carried.
    pub(crate) fn receive(self, epoch: Epoch, payload: &Payload) -> Result<Heard, BraidError> {
        let ours = self.epoch();
        if epoch < ours {
            return Ok((self, None));
        }
        if epoch > ours {
            return match self {
                Self::Ct2Sampled(state) if epoch == ours.next() => Ok((state.answered(), None)),
                _ => Err(BraidError::Future(epoch.0)),
            };
        }
        match self {
            Self::KeysSampled(state) => Ok((state.receive(payload), None)),
            Self::HeaderSent(state) => Ok((state.receive(payload), None)),
            Self::Ct1Received(state) => Ok((state.receive(payload), None)),
            Self::EkSentCt1Received(state) => state.receive(payload),
            Self::NoHeaderReceived(state) => Ok((state.receive(payload)?, None)),
            Self::Ct1Sampled(state) => Ok((state.receive(payload)?, None)),
            Self::EkReceivedCt1Sampled(state) => Ok((state.receive(payload), None)),
            Self::Ct1Acknowledged(state) => Ok((state.receive(payload)?, None)),
            Self::KeysUnsampled(_) | Self::HeaderReceived(_) | Self::Ct2Sampled(_) => Ok((self, None)),
        }
    }
}

impl Turn {
    const fn said(braid: Braid, payload: Payload) -> Self {
        Self { braid, payload, secret: None }
    }
}

#[cfg(test)]
mod tests;
