//! Sealed sender: certificates, version 1 to one device, version 2 to many.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Address, Bytes, Event, Party, Peer, PeerError};

/// What a server certifies of a sender.
#[derive(Clone, Debug, Serialize)]
pub struct SenderCertificateRequest {
    /// The sender's service id.
    pub uuid: String,
    /// The sender's phone number, if it tells.
    pub e164: Option<String>,
    /// The sender's device id.
    pub device: u32,
    /// The sender's identity key, 33 bytes.
    pub key: Bytes,
    /// Milliseconds.
    pub expires: u64,
    /// The server's certificate.
    pub server_certificate: Bytes,
    /// The server's private key, 32 bytes.
    pub server_private: Bytes,
}

/// What goes into the content beside the message.
#[derive(Clone, Debug, Default)]
pub struct UsmcOptions {
    /// The sender's certificate.
    pub certificate: Bytes,
    /// 0 default, 1 resendable, 2 implicit.
    pub hint: u32,
    /// If any.
    pub group_id: Option<Bytes>,
}

/// A version 1 message opened down to the plaintext.
#[derive(Clone, Debug, Deserialize)]
pub struct OpenedSealed {
    /// What was encrypted.
    pub plaintext: Bytes,
    /// The sender's service id.
    pub uuid: String,
    /// The sender's phone number, if it tells.
    pub e164: Option<String>,
    /// The sender's device id.
    pub device: u32,
    /// What the library did to the stores meanwhile.
    pub events: Vec<Event>,
}

#[derive(Deserialize)]
struct Certificate {
    certificate: Bytes,
}

#[derive(Deserialize)]
struct Usmc {
    usmc: Bytes,
}

/// Every error is a [`PeerError`].
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Peer {
    /// A server certificate, signed by the trust root.
    pub fn server_certificate(&self, key_id: u32, key: &[u8], trust_root: &[u8]) -> Result<Bytes, PeerError> {
        let fields =
            json!({ "key_id": key_id, "key": Bytes::from(key), "trust_root_private": Bytes::from(trust_root) });
        self.call::<Certificate>("server_certificate", fields).map(|answer| answer.certificate)
    }

    /// A sender certificate, signed by the server.
    pub fn sender_certificate(&self, request: &SenderCertificateRequest) -> Result<Bytes, PeerError> {
        self.call::<Certificate>("sender_certificate", json!(request)).map(|answer| answer.certificate)
    }

    /// Whether a sender certificate is valid under one of these trust roots at this time (milliseconds).
    pub fn validate_certificate(&self, certificate: &Bytes, roots: &[Bytes], time: u64) -> Result<bool, PeerError> {
        #[derive(Deserialize)]
        struct Valid {
            valid: bool,
        }
        let fields = json!({ "certificate": certificate, "trust_roots": roots, "time": time });
        self.call::<Valid>("certificate_validate", fields).map(|answer| answer.valid)
    }

    /// What the server hands to the only recipient of a version 2 message.
    pub fn received_by_single(&self, sent: &Bytes) -> Result<Bytes, PeerError> {
        #[derive(Deserialize)]
        struct Received {
            received: Bytes,
        }
        self.call::<Received>("sealed_for_single", json!({ "sent": sent })).map(|answer| answer.received)
    }

    /// Wraps a plaintext content into unidentified sender message content.
    pub fn plaintext_usmc(&self, content: &Bytes, options: &UsmcOptions) -> Result<Bytes, PeerError> {
        let fields = with_options(json!({ "content": content }), options);
        self.call::<Usmc>("usmc_plaintext", fields).map(|answer| answer.usmc)
    }
}

/// Every error is a [`PeerError`].
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Party<'_> {
    /// Encrypts in the session and wraps the message into unidentified sender message content.
    pub fn encrypt_usmc(&self, remote: &Address, plaintext: &[u8], options: &UsmcOptions) -> Result<Bytes, PeerError> {
        let fields = with_options(json!({ "remote": remote, "plaintext": Bytes::from(plaintext) }), options);
        self.call::<Usmc>("usmc_encrypt", fields).map(|answer| answer.usmc)
    }

    /// Encrypts to the group and wraps the message into unidentified sender message content.
    pub fn group_encrypt_usmc(
        &self,
        distribution: &str,
        plaintext: &[u8],
        options: &UsmcOptions,
    ) -> Result<Bytes, PeerError> {
        let fields =
            with_options(json!({ "distribution": distribution, "plaintext": Bytes::from(plaintext) }), options);
        self.call::<Usmc>("usmc_group_encrypt", fields).map(|answer| answer.usmc)
    }

    /// Seals content for one recipient, version 1.
    pub fn seal(&self, remote: &Address, usmc: &Bytes) -> Result<Bytes, PeerError> {
        #[derive(Deserialize)]
        struct Sealed {
            sealed: Bytes,
        }
        self.call::<Sealed>("sealed_encrypt", json!({ "remote": remote, "usmc": usmc })).map(|answer| answer.sealed)
    }

    /// Seals content for recipients with whom it has sessions, version 2, in the sent form.
    pub fn seal_multi(&self, to: &[Address], excluded: &[String], usmc: &Bytes) -> Result<Bytes, PeerError> {
        #[derive(Deserialize)]
        struct Sent {
            sent: Bytes,
        }
        let fields = json!({ "recipients": to, "excluded": excluded, "usmc": usmc });
        self.call::<Sent>("sealed_encrypt_multi", fields).map(|answer| answer.sent)
    }

    /// Opens a version 1 message, or a version 2 message in its received form, down to the content.
    pub fn open_usmc(&self, sealed: &Bytes) -> Result<Bytes, PeerError> {
        self.call::<Usmc>("sealed_decrypt_usmc", json!({ "sealed": sealed })).map(|answer| answer.usmc)
    }

    /// Opens a version 1 message down to the plaintext, with every check. `time` is in milliseconds.
    pub fn open_sealed(&self, sealed: &Bytes, trust_root: &Bytes, time: u64) -> Result<OpenedSealed, PeerError> {
        self.call("sealed_decrypt", json!({ "sealed": sealed, "trust_root": trust_root, "time": time }))
    }
}

fn with_options(mut fields: Value, UsmcOptions { certificate, hint, group_id }: &UsmcOptions) -> Value {
    if let Value::Object(object) = &mut fields {
        object.insert("certificate".into(), json!(certificate));
        object.insert("hint".into(), json!(hint));
        object.insert("group_id".into(), json!(group_id));
    }
    fields
}
