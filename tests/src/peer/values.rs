//! What travels between us and the driver, as types.

use std::{fmt, ops::Deref};

use serde::{Deserialize, Serialize};

/// A byte string; hex on the wire and in Debug.
#[derive(Clone, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Bytes(#[serde(with = "hex::serde")] Vec<u8>);

impl Bytes {
    /// The bytes themselves.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Bytes {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Bytes {
    fn from(bytes: &[u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..SHOWN) {
            Some(shown) => write!(f, "{}.. ({} bytes)", hex::encode(shown), self.0.len()),
            None => f.write_str(&hex::encode(&self.0)),
        }
    }
}

/// More bytes than this are cut in Debug.
const SHOWN: usize = 80;

/// A user's device, as the library's `ProtocolAddress`: a service id or any other name, and a device id.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Address {
    /// A UUID, `PNI:` and a UUID, or any string.
    pub name: String,
    /// 1 to 127.
    pub device: u32,
}

impl Address {
    /// An address of these parts.
    pub fn new(name: impl Into<String>, device: u32) -> Self {
        Self { name: name.into(), device }
    }
}

/// A party with all its secrets.
#[derive(Clone, Debug, Deserialize)]
pub struct PartyInfo {
    /// The name in its address.
    pub name: String,
    /// Its device id.
    pub device: u32,
    /// 14 bits.
    pub registration_id: u32,
    /// 33 bytes.
    pub identity_public: Bytes,
    /// 32 bytes.
    pub identity_private: Bytes,
    /// The library's protobuf of both.
    pub identity_key_pair: Bytes,
}

/// The three kinds of prekeys.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PrekeyKind {
    /// An X25519 key that is used once.
    OneTime,
    /// An X25519 key that the identity signed.
    Signed,
    /// A Kyber1024 key that the identity signed; used once, or as last resort.
    Kyber,
}

/// A prekey with its secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Prekey {
    /// Its id.
    pub id: u32,
    /// 33 bytes, or 1569 for Kyber.
    pub public: Bytes,
    /// 32 bytes, or 3169 for Kyber.
    pub private: Bytes,
    /// 64 bytes; absent for one-time keys.
    pub signature: Option<Bytes>,
    /// Milliseconds; absent for one-time keys.
    pub timestamp: Option<u64>,
    /// The library's protobuf of all of this.
    pub record: Bytes,
}

/// The half of a prekey that a bundle carries.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PublicPrekey {
    /// Its id.
    pub id: u32,
    /// 33 bytes, or 1569 for Kyber.
    pub public: Bytes,
    /// 64 bytes; absent for one-time keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Bytes>,
}

/// What an initiator fetches.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bundle {
    /// The responder's registration id.
    pub registration_id: u32,
    /// The responder's device id.
    pub device_id: u32,
    /// The responder's identity key, 33 bytes.
    pub identity: Bytes,
    /// May be absent: the server has run out of them.
    pub one_time: Option<PublicPrekey>,
    /// Always there.
    pub signed: PublicPrekey,
    /// Absent only for X3DH.
    pub kyber: Option<PublicPrekey>,
}

/// The library's `CiphertextMessageType`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum MessageType {
    /// 2: an ordinary message of a session.
    Whisper,
    /// 3: a message that carries the agreement.
    PreKey,
    /// 7: a group message.
    SenderKey,
    /// 8: plaintext content.
    Plaintext,
}

impl TryFrom<u8> for MessageType {
    type Error = String;

    fn try_from(value: u8) -> Result<Self, String> {
        match value {
            2 => Ok(Self::Whisper),
            3 => Ok(Self::PreKey),
            7 => Ok(Self::SenderKey),
            8 => Ok(Self::Plaintext),
            _ => Err(format!("no message has type {value}")),
        }
    }
}

impl From<MessageType> for u8 {
    fn from(value: MessageType) -> Self {
        match value {
            MessageType::Whisper => 2,
            MessageType::PreKey => 3,
            MessageType::SenderKey => 7,
            MessageType::Plaintext => 8,
        }
    }
}

/// A message as it leaves an end.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ciphertext {
    /// Says which decoder it is for.
    #[serde(rename = "type")]
    pub kind: MessageType,
    /// The serialised message.
    pub body: Bytes,
}

/// A decrypted message.
#[derive(Clone, Debug, Deserialize)]
pub struct Opened {
    /// What was encrypted.
    pub plaintext: Bytes,
    /// What the library did to the stores meanwhile.
    pub events: Vec<Event>,
}

/// What the library did to a store.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A one-time prekey was used and removed.
    PrekeyRemoved {
        /// Its id.
        id: u32,
    },
    /// A Kyber prekey was used.
    KyberPrekeyUsed {
        /// Its id.
        id: u32,
        /// The signed prekey beside it; 0.72.1 does not tell.
        signed_prekey_id: Option<u32>,
        /// The initiator's base key, 33 bytes; 0.72.1 does not tell.
        base_key: Option<Bytes>,
    },
    /// An identity was seen for the first time, or changed.
    IdentitySaved {
        /// `name.device`.
        address: String,
        /// What it is now, 33 bytes.
        identity: Bytes,
        /// What it was before.
        previous: Option<Bytes>,
    },
}

/// What can be told of a session without its secrets.
#[derive(Clone, Debug, Deserialize)]
pub struct SessionInfo {
    /// Whether one can encrypt with it.
    pub has_current_state: bool,
    /// Bytes of the serialised record.
    pub record_size: usize,
    /// Archived states.
    pub archived: usize,
    /// The current state; absent after archiving.
    pub current: Option<CurrentState>,
}

/// The current state of a session.
#[derive(Clone, Debug, Deserialize)]
pub struct CurrentState {
    /// 3 for X3DH, 4 for PQXDH.
    pub version: u32,
    /// Ours.
    pub local_registration_id: u32,
    /// Theirs.
    pub remote_registration_id: u32,
    /// The initiator's base key, 33 bytes.
    pub base_key: Bytes,
    /// An initiator that has not decrypted anything yet.
    pub unacknowledged: bool,
    /// At most 5.
    pub receiver_chains: usize,
    /// Bytes of SPQR state, 0 if SPQR is off.
    pub spqr_state_size: usize,
}
