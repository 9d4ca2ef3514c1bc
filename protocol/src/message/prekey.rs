//! `PreKeySignalMessage`: a ratchet message with what the responder needs to join the session (spec §4.4).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::error::DecodeError;
use super::framing::{self, CURRENT_VERSION, Versions};
use super::proto::PreKeyBody;
use super::signal::SignalMessage;
use crate::address::RegistrationId;
use crate::curve::{BaseKey, Decoded, IdentityKey};
use crate::kyber::KyberCiphertext;
use crate::prekey::{KyberPrekeyId, LastResortKey, LastResortUse, OneTimePrekeyId, SignedPrekeyId};
use crate::suite::Suite;

const VERSIONS: Versions = Versions { oldest: 3, newest: 4 };

/// A first message as it travels: version ‖ protobuf, with a [`SignalMessage`] inside (spec §4.4).
///
/// Decoding does not authenticate: even the identity key is a claim until a session opened the message.
#[derive(Clone, Eq, PartialEq)]
pub struct PreKeySignalMessage {
    bytes: Box<[u8]>,
    parts: Box<PreKeyParts>,
}

#[derive(Clone, Eq, PartialEq)]
pub(crate) struct PreKeyParts {
    pub(crate) registration_id: RegistrationId,
    pub(crate) one_time_prekey_id: Option<OneTimePrekeyId>,
    pub(crate) signed_prekey_id: SignedPrekeyId,
    /// There if and only if the suite is PQXDH.
    pub(crate) kyber: Option<(KyberPrekeyId, KyberCiphertext)>,
    pub(crate) base_key: Decoded<BaseKey>,
    pub(crate) identity_key: Decoded<IdentityKey>,
    pub(crate) message: SignalMessage,
}

/// What an unacknowledged session wraps its messages in.
pub(crate) struct PreKeyWrapper<'a> {
    pub(crate) suite: Suite,
    pub(crate) registration_id: RegistrationId,
    pub(crate) one_time_prekey_id: Option<OneTimePrekeyId>,
    pub(crate) signed_prekey_id: SignedPrekeyId,
    pub(crate) kyber: Option<&'a (KyberPrekeyId, KyberCiphertext)>,
    pub(crate) base_key: &'a BaseKey,
    pub(crate) identity_key: &'a IdentityKey,
}

/// Wraps a whole `SignalMessage` (spec §4.4).
pub(crate) fn wrap(wrapper: &PreKeyWrapper<'_>, message: Vec<u8>) -> Vec<u8> {
    let body = PreKeyBody {
        pre_key_id: wrapper.one_time_prekey_id.map(|id| id.0),
        base_key: Some(wrapper.base_key.to_bytes().into()),
        identity_key: Some(wrapper.identity_key.to_bytes().into()),
        message: Some(message),
        registration_id: Some(wrapper.registration_id.0),
        signed_pre_key_id: Some(wrapper.signed_prekey_id.0),
        kyber_pre_key_id: wrapper.kyber.map(|(id, _)| id.0),
        kyber_ciphertext: wrapper.kyber.map(|(_, ciphertext)| ciphertext.to_bytes().into()),
    };
    framing::frame(wrapper.suite.version(), CURRENT_VERSION, &body, 0)
}

impl PreKeySignalMessage {
    /// Parses `bytes` (spec §4.4), the message inside included.
    ///
    /// # Errors
    /// [`DecodeError`]: the sender, or whoever touched the bytes, is at fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        framing::check_length(bytes, 1)?;
        let (version, body) = framing::split_version(bytes, VERSIONS)?;
        let suite = Suite::from_version(version).ok_or(DecodeError::UnknownVersion { got: version })?;
        let body: PreKeyBody = framing::decode(body)?;

        let base_key = framing::require(body.base_key, "base_key")?;
        let identity_key = framing::require(body.identity_key, "identity_key")?;
        let message = framing::require(body.message, "message")?;
        let signed_prekey_id = framing::require(body.signed_pre_key_id, "signed_pre_key_id")?;
        let kyber = kyber_part(suite, body.kyber_pre_key_id, body.kyber_ciphertext)?;
        let message = SignalMessage::decode(&message)?;
        if message.suite() != suite {
            return Err(DecodeError::Invalid { field: "message" });
        }
        let parts = PreKeyParts {
            registration_id: RegistrationId(body.registration_id.unwrap_or(0)),
            one_time_prekey_id: body.pre_key_id.map(OneTimePrekeyId),
            signed_prekey_id: SignedPrekeyId(signed_prekey_id),
            kyber,
            base_key: BaseKey::decode(&base_key).map_err(DecodeError::key("base_key"))?,
            identity_key: IdentityKey::decode(&identity_key).map_err(DecodeError::key("identity_key"))?,
            message,
        };
        Ok(Self { bytes: bytes.into(), parts: Box::new(parts) })
    }

    /// The bytes that travel.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Which agreement it asks for.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.parts.message.suite()
    }

    /// The sender's registration id, as claimed.
    #[must_use]
    pub fn registration_id(&self) -> RegistrationId {
        self.parts.registration_id
    }

    /// Which one-time prekey the responder must load, if any.
    #[must_use]
    pub fn one_time_prekey_id(&self) -> Option<OneTimePrekeyId> {
        self.parts.one_time_prekey_id
    }

    /// Which signed prekey the responder must load.
    #[must_use]
    pub fn signed_prekey_id(&self) -> SignedPrekeyId {
        self.parts.signed_prekey_id
    }

    /// Which Kyber prekey the responder must load: always one with PQXDH, never with X3DH.
    #[must_use]
    pub fn kyber_prekey_id(&self) -> Option<KyberPrekeyId> {
        self.parts.kyber.as_ref().map(|(id, _)| *id)
    }

    /// The initiator's ephemeral key, which names the session.
    #[must_use]
    pub fn base_key(&self) -> &BaseKey {
        &self.parts.base_key.key
    }

    /// The sender's identity key, as claimed: compare it with what is known before opening.
    #[must_use]
    pub fn identity_key(&self) -> &IdentityKey {
        &self.parts.identity_key.key
    }

    /// The ratchet message inside.
    #[must_use]
    pub fn message(&self) -> &SignalMessage {
        &self.parts.message
    }

    /// What to look up among the stored [`LastResortUse`]s before answering (spec §2.4): none if a one-time prekey alone
    /// makes a replay impossible.
    ///
    /// With PQXDH it is meant for the case that the Kyber prekey is a last-resort one, which only its owner knows.
    #[must_use]
    pub fn last_resort_use(&self) -> Option<LastResortUse> {
        let PreKeyParts { signed_prekey_id, base_key, one_time_prekey_id, .. } = &*self.parts;
        let key = match (&self.parts.kyber, one_time_prekey_id) {
            (Some((id, _)), _) => LastResortKey::Kyber(*id),
            (None, None) => LastResortKey::Signed(*signed_prekey_id),
            (None, Some(_)) => return None,
        };
        Some(LastResortUse { key, signed_prekey_id: *signed_prekey_id, base_key: base_key.key })
    }

    pub(crate) fn parts(&self) -> &PreKeyParts {
        &self.parts
    }
}

/// PQXDH requires both Kyber fields, X3DH has neither: no message can be read as either suite.
fn kyber_part(
    suite: Suite,
    id: Option<u32>,
    ciphertext: Option<Vec<u8>>,
) -> Result<Option<(KyberPrekeyId, KyberCiphertext)>, DecodeError> {
    match (suite, id, ciphertext) {
        (Suite::X3dh, None, None) => Ok(None),
        (Suite::X3dh, _, _) => Err(DecodeError::Invalid { field: "kyber_pre_key_id" }),
        (Suite::Pqxdh, id, ciphertext) => {
            let id = framing::require(id, "kyber_pre_key_id")?;
            let ciphertext = framing::require(ciphertext, "kyber_ciphertext")?;
            Ok(Some((KyberPrekeyId(id), KyberCiphertext::parse(&ciphertext)?)))
        }
    }
}

impl fmt::Debug for PreKeySignalMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PreKeyParts {
            registration_id: _,
            one_time_prekey_id,
            signed_prekey_id,
            kyber: _,
            base_key,
            identity_key,
            message,
        } = &*self.parts;
        f.debug_struct("PreKeySignalMessage")
            .field("one_time_prekey_id", one_time_prekey_id)
            .field("signed_prekey_id", signed_prekey_id)
            .field("kyber_prekey_id", &self.kyber_prekey_id())
            .field("base_key", base_key)
            .field("identity_key", identity_key)
            .field("message", message)
            .finish_non_exhaustive()
    }
}
