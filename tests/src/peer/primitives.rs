//! The library's primitives, as witnesses for ours.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Bytes, Peer, PeerError};

/// An X25519 (33 and 32 bytes) or Kyber1024 (1569 and 3169 bytes) key pair.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct KeyPair {
    /// With its type byte.
    pub public: Bytes,
    /// X25519 without, Kyber with its type byte.
    pub private: Bytes,
}

/// A service id in all its encodings.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct ServiceId {
    /// A UUID, or `PNI:` and a UUID.
    pub string: String,
    /// 16 bytes (ACI) or 17 (PNI).
    pub binary: Bytes,
    /// 17 bytes.
    pub fixed_width: Bytes,
}

/// The arguments of a fingerprint.
#[derive(Clone, Debug, Serialize)]
pub struct FingerprintInput {
    /// 2 to 1,000,000; Signal uses 5200.
    pub iterations: u32,
    /// 1 or 2.
    pub version: u32,
    /// Our stable identifier.
    pub local_id: Bytes,
    /// Our identity key.
    pub local_key: Bytes,
    /// Their stable identifier.
    pub remote_id: Bytes,
    /// Their identity key.
    pub remote_key: Bytes,
}

/// A safety number.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Fingerprint {
    /// 60 digits.
    pub display: String,
    /// The protobuf in the QR code.
    pub scannable: Bytes,
}

#[derive(Deserialize)]
struct Valid {
    valid: bool,
}

#[derive(Deserialize)]
struct Signature {
    signature: Bytes,
}

/// Every error is a [`PeerError`]: a key or an argument that the library does not take.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Peer {
    /// A random X25519 key pair.
    pub fn generate_key_pair(&self) -> Result<KeyPair, PeerError> {
        self.call("key_pair", json!({}))
    }

    /// The key pair of a private key of 32 bytes; shows what the library makes of it (clamping).
    pub fn key_pair(&self, private: &[u8]) -> Result<KeyPair, PeerError> {
        self.call("key_pair", json!({ "private": Bytes::from(private) }))
    }

    /// Parses a public key and serialises it again.
    pub fn public_key(&self, public: &[u8]) -> Result<Bytes, PeerError> {
        #[derive(Deserialize)]
        struct Parsed {
            public: Bytes,
        }
        self.call::<Parsed>("public_key", json!({ "public": Bytes::from(public) })).map(|parsed| parsed.public)
    }

    /// X25519, 32 bytes.
    pub fn agree(&self, private: &[u8], public: &[u8]) -> Result<Bytes, PeerError> {
        #[derive(Deserialize)]
        struct Shared {
            shared: Bytes,
        }
        let fields = json!({ "private": Bytes::from(private), "public": Bytes::from(public) });
        self.call::<Shared>("agree", fields).map(|answer| answer.shared)
    }

    /// XEdDSA, 64 bytes.
    pub fn sign(&self, private: &[u8], message: &[u8]) -> Result<Bytes, PeerError> {
        let fields = json!({ "private": Bytes::from(private), "message": Bytes::from(message) });
        self.call::<Signature>("sign", fields).map(|answer| answer.signature)
    }

    /// Verifies an XEdDSA signature.
    pub fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, PeerError> {
        let fields = json!({ "public": Bytes::from(public), "message": Bytes::from(message),
            "signature": Bytes::from(signature) });
        self.call::<Valid>("verify", fields).map(|answer| answer.valid)
    }

    /// The signature with which an identity acknowledges another one of the same account.
    pub fn sign_alternate_identity(&self, private: &[u8], other: &[u8]) -> Result<Bytes, PeerError> {
        let fields = json!({ "private": Bytes::from(private), "other": Bytes::from(other) });
        self.call::<Signature>("alternate_identity_sign", fields).map(|answer| answer.signature)
    }

    /// Verifies such a signature.
    pub fn verify_alternate_identity(&self, public: &[u8], other: &[u8], signature: &[u8]) -> Result<bool, PeerError> {
        let fields = json!({ "public": Bytes::from(public), "other": Bytes::from(other),
            "signature": Bytes::from(signature) });
        self.call::<Valid>("alternate_identity_verify", fields).map(|answer| answer.valid)
    }

    /// A random Kyber1024 key pair. No version offers encapsulation or decapsulation by itself.
    pub fn generate_kyber(&self) -> Result<KeyPair, PeerError> {
        self.call("kyber_generate", json!({}))
    }

    /// Parses a Kyber public key and serialises it again.
    pub fn kyber_public(&self, public: &[u8]) -> Result<Bytes, PeerError> {
        #[derive(Deserialize)]
        struct Parsed {
            public: Bytes,
        }
        self.call::<Parsed>("kyber_public", json!({ "public": Bytes::from(public) })).map(|parsed| parsed.public)
    }

    /// Parses a Kyber secret key and serialises it again.
    pub fn kyber_private(&self, private: &[u8]) -> Result<Bytes, PeerError> {
        #[derive(Deserialize)]
        struct Parsed {
            private: Bytes,
        }
        self.call::<Parsed>("kyber_private", json!({ "private": Bytes::from(private) })).map(|parsed| parsed.private)
    }

    /// HKDF-SHA256.
    pub fn hkdf(&self, salt: Option<&[u8]>, ikm: &[u8], info: &[u8], length: usize) -> Result<Bytes, PeerError> {
        #[derive(Deserialize)]
        struct Output {
            output: Bytes,
        }
        let fields = json!({ "salt": salt.map(Bytes::from), "ikm": Bytes::from(ikm), "info": Bytes::from(info),
            "length": length });
        self.call::<Output>("hkdf", fields).map(|answer| answer.output)
    }

    /// AES-256-GCM-SIV; the tag is appended.
    pub fn aes_gcm_siv_encrypt(
        &self,
        key: &[u8],
        nonce: &[u8],
        ad: &[u8],
        plaintext: &[u8],
    ) -> Result<Bytes, PeerError> {
        #[derive(Deserialize)]
        struct Encrypted {
            ciphertext: Bytes,
        }
        let fields = json!({ "key": Bytes::from(key), "nonce": Bytes::from(nonce), "ad": Bytes::from(ad),
            "plaintext": Bytes::from(plaintext) });
        self.call::<Encrypted>("aes_gcm_siv_encrypt", fields).map(|answer| answer.ciphertext)
    }

    /// Parses a service id and shows its encodings.
    pub fn service_id(&self, string: &str) -> Result<ServiceId, PeerError> {
        self.call("service_id", json!({ "string": string }))
    }

    /// A safety number.
    pub fn fingerprint(&self, input: &FingerprintInput) -> Result<Fingerprint, PeerError> {
        self.call("fingerprint", json!(input))
    }

    /// Compares our scannable safety number with theirs.
    pub fn compare_fingerprints(&self, ours: &[u8], theirs: &[u8]) -> Result<bool, PeerError> {
        #[derive(Deserialize)]
        struct Compared {
            equal: bool,
        }
        let fields = json!({ "ours": Bytes::from(ours), "theirs": Bytes::from(theirs) });
        self.call::<Compared>("fingerprint_compare", fields).map(|answer| answer.equal)
    }
}
