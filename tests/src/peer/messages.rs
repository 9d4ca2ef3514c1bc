//! Messages taken apart and put together by the library's own code.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Bytes, Peer, PeerError};

/// What the library tells of a `SignalMessage`. It has no accessor for the ratchet key, the previous counter and the
/// addresses.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct SignalMessageFields {
    /// The high nibble of the version byte.
    pub version: u32,
    /// The index in its chain.
    pub counter: u32,
    /// AES-CBC.
    pub ciphertext: Bytes,
    /// Absent in 0.72.1.
    pub pq_ratchet: Option<Bytes>,
    /// The message as the library serialises it again.
    pub serialized: Bytes,
}

/// The parts from which the library makes a `SignalMessage`, with its MAC.
#[derive(Clone, Debug, Serialize)]
pub struct SignalMessageParts {
    /// 3 or 4.
    pub version: u32,
    /// 32 bytes.
    pub mac_key: Bytes,
    /// 33 bytes.
    pub ratchet_key: Bytes,
    /// The index in its chain.
    pub counter: u32,
    /// As the library counts it.
    pub previous_counter: u32,
    /// Any bytes.
    pub ciphertext: Bytes,
    /// 33 bytes, in the MAC.
    pub sender_identity: Bytes,
    /// 33 bytes, in the MAC.
    pub receiver_identity: Bytes,
    /// Not in 0.72.1.
    pub pq_ratchet: Option<Bytes>,
}

/// What the library tells of a `PreKeySignalMessage`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct PreKeySignalMessageFields {
    /// The high nibble of the version byte.
    pub version: u32,
    /// The sender's.
    pub registration_id: u32,
    /// The one-time prekey, if any.
    pub prekey_id: Option<u32>,
    /// The signed prekey.
    pub signed_prekey_id: u32,
    /// The message as the library serialises it again.
    pub serialized: Bytes,
}

/// What the library tells of a `SenderKeyMessage`, or, with `chain_key` instead of `ciphertext`, of a
/// `SenderKeyDistributionMessage`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct SenderKeyMessageFields {
    /// A UUID.
    pub distribution: String,
    /// 31 bits.
    pub chain_id: u32,
    /// The index in the chain.
    pub iteration: u32,
    /// Only of a message.
    pub ciphertext: Option<Bytes>,
    /// Only of a distribution message; 32 bytes.
    pub chain_key: Option<Bytes>,
    /// The message as the library serialises it again.
    pub serialized: Bytes,
}

/// A decryption error message.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct DecryptionError {
    /// When the message that failed was sent, milliseconds.
    pub timestamp: u64,
    /// Which device sent it.
    pub device: u32,
    /// Its ratchet key, 33 bytes; absent for group messages.
    pub ratchet_key: Option<Bytes>,
    /// The message as the library serialises it again.
    pub serialized: Bytes,
}

/// A server certificate of sealed sender.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct ServerCertificateFields {
    /// Its id.
    pub key_id: u32,
    /// 33 bytes.
    pub key: Bytes,
    /// What is signed.
    pub certificate: Bytes,
    /// 64 bytes.
    pub signature: Bytes,
    /// The certificate as the library serialises it again.
    pub serialized: Bytes,
}

/// A sender certificate of sealed sender.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct SenderCertificateFields {
    /// The sender's.
    pub uuid: String,
    /// The sender's phone number, if it tells.
    pub e164: Option<String>,
    /// The sender's.
    pub device: u32,
    /// The sender's identity, 33 bytes.
    pub key: Bytes,
    /// Milliseconds.
    pub expires: u64,
    /// What is signed.
    pub certificate: Bytes,
    /// 64 bytes.
    pub signature: Bytes,
    /// Who signed it.
    pub server_certificate: Bytes,
    /// The certificate as the library serialises it again.
    pub serialized: Bytes,
}

/// Unidentified sender message content.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct UsmcFields {
    /// The type of the message inside, as the library numbers it.
    #[serde(rename = "type")]
    pub kind: super::MessageType,
    /// The message inside.
    pub contents: Bytes,
    /// The sender's certificate.
    pub certificate: Bytes,
    /// 0 default, 1 resendable, 2 implicit.
    pub hint: u32,
    /// If any.
    pub group_id: Option<Bytes>,
    /// The content as the library serialises it again.
    pub serialized: Bytes,
}

/// A multi-recipient message as its sender uploads it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct SentFields {
    /// Who gets it.
    pub recipients: Vec<RecipientOfSent>,
    /// Who is named only to be left out.
    pub excluded: Vec<String>,
}

/// One recipient of a multi-recipient message.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct RecipientOfSent {
    /// A service id.
    pub service_id: String,
    /// Its devices.
    pub devices: Vec<u32>,
    /// Their registration ids, in the same order.
    pub registration_ids: Vec<u32>,
    /// What every one of these devices receives.
    pub received: Bytes,
}

#[derive(Deserialize)]
struct Constructed {
    bytes: Bytes,
}

#[derive(Deserialize)]
struct Valid {
    valid: bool,
}

/// Every error is a [`PeerError`]: bytes or parts that the library does not take.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Peer {
    /// Parses a `SignalMessage`.
    pub fn decode_signal_message(&self, bytes: &[u8]) -> Result<SignalMessageFields, PeerError> {
        self.decode("signal", bytes)
    }

    /// Makes a `SignalMessage`.
    pub fn construct_signal_message(&self, parts: &SignalMessageParts) -> Result<Bytes, PeerError> {
        self.construct("signal", json!(parts))
    }

    /// Parses a `PreKeySignalMessage`.
    pub fn decode_prekey_message(&self, bytes: &[u8]) -> Result<PreKeySignalMessageFields, PeerError> {
        self.decode("prekey_signal", bytes)
    }

    /// Parses a `SenderKeyMessage`.
    pub fn decode_sender_key_message(&self, bytes: &[u8]) -> Result<SenderKeyMessageFields, PeerError> {
        self.decode("sender_key", bytes)
    }

    /// Parses a `SenderKeyDistributionMessage`.
    pub fn decode_distribution_message(&self, bytes: &[u8]) -> Result<SenderKeyMessageFields, PeerError> {
        self.decode("sender_key_distribution", bytes)
    }

    /// Parses a decryption error message.
    pub fn decode_decryption_error(&self, bytes: &[u8]) -> Result<DecryptionError, PeerError> {
        self.decode("decryption_error", bytes)
    }

    /// Parses a server certificate.
    pub fn decode_server_certificate(&self, bytes: &[u8]) -> Result<ServerCertificateFields, PeerError> {
        self.decode("server_certificate", bytes)
    }

    /// Parses a sender certificate.
    pub fn decode_sender_certificate(&self, bytes: &[u8]) -> Result<SenderCertificateFields, PeerError> {
        self.decode("sender_certificate", bytes)
    }

    /// Parses unidentified sender message content.
    pub fn decode_usmc(&self, bytes: &[u8]) -> Result<UsmcFields, PeerError> {
        self.decode("usmc", bytes)
    }

    /// Parses a multi-recipient message and fans it out.
    pub fn decode_sent(&self, bytes: &[u8]) -> Result<SentFields, PeerError> {
        self.decode("sealed_sent", bytes)
    }

    /// The body of a plaintext content: a `Content` protobuf.
    pub fn plaintext_body(&self, bytes: &[u8]) -> Result<Bytes, PeerError> {
        #[derive(Deserialize)]
        struct Body {
            body: Bytes,
        }
        self.decode::<Body>("plaintext", bytes).map(|answer| answer.body)
    }

    /// Any decoder, by the driver's name of the kind.
    pub fn decode<R: DeserializeOwned>(&self, kind: &str, bytes: &[u8]) -> Result<R, PeerError> {
        self.call("decode", json!({ "kind": kind, "bytes": Bytes::from(bytes) }))
    }

    /// Any constructor, by the driver's name of the kind and its fields (`interop/driver/ops/messages.mjs`).
    pub fn construct(&self, kind: &str, mut fields: Value) -> Result<Bytes, PeerError> {
        if let Value::Object(object) = &mut fields {
            object.insert("kind".into(), kind.into());
        }
        self.call::<Constructed>("construct", fields).map(|answer| answer.bytes)
    }

    /// The decryption error inside a plaintext content's body.
    pub fn extract_decryption_error(&self, body: &[u8]) -> Result<DecryptionError, PeerError> {
        self.call("decryption_error_extract", json!({ "body": Bytes::from(body) }))
    }

    /// Verifies a message's MAC; 0.103.0 does not offer it.
    pub fn verify_mac(&self, message: &[u8], sender: &[u8], receiver: &[u8], key: &[u8]) -> Result<bool, PeerError> {
        let fields = json!({ "message": Bytes::from(message), "sender_identity": Bytes::from(sender),
            "receiver_identity": Bytes::from(receiver), "mac_key": Bytes::from(key) });
        self.call::<Valid>("verify_mac", fields).map(|answer| answer.valid)
    }

    /// Verifies the signature on a group message.
    pub fn verify_sender_key_signature(&self, message: &[u8], signing_public: &[u8]) -> Result<bool, PeerError> {
        let fields = json!({ "message": Bytes::from(message), "signing_public": Bytes::from(signing_public) });
        self.call::<Valid>("verify_sender_key_signature", fields).map(|answer| answer.valid)
    }
}
