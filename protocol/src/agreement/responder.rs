//! The responder's side (spec §3.3, §3.5).

use thiserror::Error;

use super::NonContributoryAgreement;
use super::secrets::{Agreed, SessionSecrets};
use crate::identity::IdentityKeyPair;
use crate::message::{PreKeyParts, PreKeySignalMessage};
use crate::prekey::{
    KyberPrekey, KyberPrekeyId, LastResortUse, LastResortUses, OneTimePrekey, OneTimePrekeyId, SignedPrekey,
    SignedPrekeyId,
};
use crate::suite::Suite;

/// The private prekeys that a first message names, loaded by the caller.
#[derive(Clone, Copy, Debug)]
pub struct PrivatePrekeys<'a> {
    /// The one of [`PreKeySignalMessage::signed_prekey_id`].
    pub signed: &'a SignedPrekey,
    /// The one of [`PreKeySignalMessage::one_time_prekey_id`].
    pub one_time: Option<&'a OneTimePrekey>,
    /// The one of [`PreKeySignalMessage::kyber_prekey_id`].
    pub kyber: Option<KyberPrekeyRef<'a>>,
    /// What was answered before: every stored use, or those equal to [`PreKeySignalMessage::last_resort_use`].
    pub uses: &'a LastResortUses,
}

/// A Kyber prekey and whether it may answer once or often.
#[derive(Clone, Copy, Debug)]
pub enum KyberPrekeyRef<'a> {
    /// For one session: delete it afterwards.
    OneTime(&'a KyberPrekey),
    /// For as many as it takes until it is rotated, each first message once.
    LastResort(&'a KyberPrekey),
}

/// What a first message used up. Apply it in the same transaction that stores the session.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[must_use = "delete and store what it says, together with the session"]
pub struct Consumed {
    /// Delete this one-time prekey's private half.
    pub one_time_prekey: Option<OneTimePrekeyId>,
    /// Delete this one-time Kyber prekey's secret half.
    pub kyber_prekey: Option<KyberPrekeyId>,
    /// Remember this use for as long as its last-resort key exists.
    pub last_resort_use: Option<LastResortUse>,
}

/// What the responder has after an agreement. Nothing is authenticated yet: that happens when the message inside opens.
#[derive(Debug)]
pub struct Response {
    pub(crate) secrets: SessionSecrets,
    pub(crate) consumed: Consumed,
}

impl Response {
    /// The keys that the session starts from.
    #[must_use]
    pub const fn secrets(&self) -> &SessionSecrets {
        &self.secrets
    }
}

/// Why a first message could not be answered. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RespondError {
    /// The message asks for X3DH, which gives up post-quantum secrecy. Call the function that is named so, if this peer
    /// is known to have nothing better; never because a message says so.
    #[error("the message asks for X3DH, which was not asked for")]
    ClassicalSuite,
    /// The message asks for PQXDH; call the function without a longer name.
    #[error("the message asks for PQXDH, not X3DH")]
    PostQuantumSuite,
    /// The caller loaded another signed prekey than the message names, or has none of that id any more.
    #[error("the message names signed prekey {}", expected.0)]
    SignedPrekey {
        /// The id that the message names.
        expected: SignedPrekeyId,
    },
    /// The caller loaded another one-time prekey than the message names, or none. If that key is gone it was used before:
    /// the message is a replay, or the peer must start anew.
    #[error("the message names another one-time prekey than was given")]
    OneTimePrekey {
        /// The id that the message names.
        expected: Option<OneTimePrekeyId>,
    },
    /// The caller loaded another Kyber prekey than the message names, or none.
    #[error("the message names another Kyber prekey than was given")]
    KyberPrekey {
        /// The id that the message names.
        expected: Option<KyberPrekeyId>,
    },
    /// A last-resort prekey already answered this very message: a replay. Drop it.
    #[error("this first message was answered before")]
    Replayed,
    /// See [`NonContributoryAgreement`].
    #[error("{0}")]
    NonContributory(#[from] NonContributoryAgreement),
}

impl From<crate::curve::NonContributory> for RespondError {
    fn from(error: crate::curve::NonContributory) -> Self {
        Self::NonContributory(error.into())
    }
}

/// PQXDH (version 4).
///
/// # Errors
/// [`RespondError`]; nothing is consumed.
pub fn respond(
    ours: &IdentityKeyPair,
    prekeys: PrivatePrekeys<'_>,
    message: &PreKeySignalMessage,
) -> Result<Response, RespondError> {
    let parts = message.parts();
    let Some((kyber_id, ciphertext)) = &parts.kyber else { return Err(RespondError::ClassicalSuite) };
    check_ids(parts, prekeys)?;
    let wrong_kyber = RespondError::KyberPrekey { expected: Some(*kyber_id) };
    let reference = prekeys.kyber.ok_or(wrong_kyber)?;
    if reference.prekey().id() != *kyber_id {
        return Err(wrong_kyber);
    }
    let mut consumed = Consumed { one_time_prekey: parts.one_time_prekey_id, ..Consumed::default() };
    match reference {
        KyberPrekeyRef::OneTime(prekey) => consumed.kyber_prekey = Some(prekey.id()),
        KyberPrekeyRef::LastResort(_) => consumed.last_resort_use = fresh_use(message, prekeys.uses)?,
    }
    let kem = reference.prekey().secret_key().decapsulate(ciphertext);
    Ok(Response { secrets: agree(ours, prekeys, parts)?.into_pqxdh(&kem), consumed })
}

/// X3DH (version 3), for peers without Kyber prekeys. It gives up secrecy against whoever records the traffic and one day
/// owns a quantum computer.
///
/// # Errors
/// [`RespondError`]; nothing is consumed.
pub fn respond_without_post_quantum_secrecy(
    ours: &IdentityKeyPair,
    prekeys: PrivatePrekeys<'_>,
    message: &PreKeySignalMessage,
) -> Result<Response, RespondError> {
    if message.suite() != Suite::X3dh {
        return Err(RespondError::PostQuantumSuite);
    }
    let parts = message.parts();
    check_ids(parts, prekeys)?;
    if prekeys.kyber.is_some() {
        return Err(RespondError::KyberPrekey { expected: None });
    }
    let last_resort_use = fresh_use(message, prekeys.uses)?;
    let consumed = Consumed { one_time_prekey: parts.one_time_prekey_id, kyber_prekey: None, last_resort_use };
    Ok(Response { secrets: agree(ours, prekeys, parts)?.into_x3dh(), consumed })
}

/// What must be remembered of this message; refused if it is remembered already.
fn fresh_use(message: &PreKeySignalMessage, uses: &LastResortUses) -> Result<Option<LastResortUse>, RespondError> {
    match message.last_resort_use() {
        Some(this) if uses.contains(&this) => Err(RespondError::Replayed),
        this => Ok(this),
    }
}

fn check_ids(parts: &PreKeyParts, prekeys: PrivatePrekeys<'_>) -> Result<(), RespondError> {
    if prekeys.signed.id() != parts.signed_prekey_id {
        return Err(RespondError::SignedPrekey { expected: parts.signed_prekey_id });
    }
    if prekeys.one_time.map(OneTimePrekey::id) != parts.one_time_prekey_id {
        return Err(RespondError::OneTimePrekey { expected: parts.one_time_prekey_id });
    }
    Ok(())
}

fn agree(ours: &IdentityKeyPair, prekeys: PrivatePrekeys<'_>, parts: &PreKeyParts) -> Result<Agreed, RespondError> {
    let base_key = &parts.base_key.point;
    Ok(Agreed {
        dh1: prekeys.signed.pair().agree(&parts.identity_key.point)?,
        dh2: ours.pair().agree(base_key)?,
        dh3: prekeys.signed.pair().agree(base_key)?,
        dh4: match prekeys.one_time {
            None => None,
            Some(one_time) => Some(one_time.pair().agree(base_key)?),
        },
    })
}

impl<'a> KyberPrekeyRef<'a> {
    const fn prekey(self) -> &'a KyberPrekey {
        match self {
            Self::OneTime(prekey) | Self::LastResort(prekey) => prekey,
        }
    }
}
