//! The formats of single-call vectors (spec/vectors/README.md): keys, and messages byte by byte.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hex::Hex;

/// A key, a signature or a key pair; `error` is ours, absent where we accept.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "case", rename_all = "snake_case", deny_unknown_fields)]
pub enum KeyCase {
    /// 32 private bytes, as they are or clamped by whoever loads them, and their public key.
    KeyPair { name: String, library: String, private: Hex, public: Hex },
    /// Bytes in the place of a Curve25519 public key.
    PublicKey {
        name: String,
        library: String,
        bytes: Hex,
        verdict: String,
        /// As identity key, prekey or base key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        strict: Option<String>,
        /// As ratchet key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ratchet: Option<String>,
    },
    /// A signature over a signed prekey's 33 bytes.
    Signature {
        name: String,
        library: String,
        public: Hex,
        message: Hex,
        signature: Hex,
        verdict: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A Kyber prekey with its secret half and its identity's signature.
    KyberPrekey { name: String, library: String, identity: Hex, public: Hex, private: Hex, signature: Hex },
    /// Bytes in the place of a Kyber public key.
    KyberPublicKey {
        name: String,
        library: String,
        bytes: Hex,
        verdict: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Bytes in the place of a Kyber secret key.
    KyberSecretKey {
        name: String,
        library: String,
        bytes: Hex,
        verdict: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

/// Bytes in the place of a message, and what they mean.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MessageCase {
    pub name: String,
    pub format: Format,
    pub library: String,
    /// What the library's decoder says.
    pub verdict: String,
    pub bytes: Hex,
    /// So many zero bytes stand at `at` in `bytes` and are left out there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zeros: Option<Zeros>,
    /// The field names are spec §4's; numbers are numbers, byte strings hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<BTreeMap<String, Value>>,
    /// Whether the bytes are what we would write ourselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Which decoder.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Signal,
    PrekeySignal,
    SenderKey,
    SenderKeyDistribution,
    DecryptionError,
    PlaintextContent,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Zeros {
    pub at: usize,
    pub count: usize,
}

impl MessageCase {
    /// The whole message.
    pub fn message(&self) -> Vec<u8> {
        let mut message = self.bytes.to_vec();
        if let Some(Zeros { at, count }) = self.zeros {
            message.splice(at..at, std::iter::repeat_n(0, count));
        }
        message
    }
}

/// A session record of the library's, and what it did next (06-imports.json).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ImportCase {
    pub library: String,
    /// Of the post-quantum ratchet's exchange, by its number in spec §6.9.
    pub state: u64,
    pub record: Hex,
    /// It sealed `plaintext` to `bytes`; or it opened `bytes` to `plaintext`.
    pub seals: bool,
    pub plaintext: Hex,
    pub bytes: Hex,
}
