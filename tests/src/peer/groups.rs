//! Sender keys of a party.

use serde::Deserialize;
use serde_json::json;

use super::{Address, Bytes, Ciphertext, Party, PeerError};

/// Every error is a [`PeerError`].
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Party<'_> {
    /// The distribution message of its own sender key, which is made if there is none. `distribution` is a UUID.
    pub fn distribute(&self, distribution: &str) -> Result<Bytes, PeerError> {
        #[derive(Deserialize)]
        struct Distribution {
            message: Bytes,
        }
        let answer: Distribution = self.call("group_distribute", json!({ "distribution": distribution }))?;
        Ok(answer.message)
    }

    /// Takes a sender's distribution message.
    pub fn process_distribution(&self, sender: &Address, message: &Bytes) -> Result<(), PeerError> {
        self.act("group_process", json!({ "sender": sender, "message": message }))
    }

    /// Encrypts to the group.
    pub fn group_encrypt(&self, distribution: &str, plaintext: &[u8]) -> Result<Ciphertext, PeerError> {
        self.call("group_encrypt", json!({ "distribution": distribution, "plaintext": Bytes::from(plaintext) }))
    }

    /// Encrypts messages that nobody will see.
    pub fn group_skip(&self, distribution: &str, count: u32) -> Result<(), PeerError> {
        self.act("group_skip", json!({ "distribution": distribution, "count": count }))
    }

    /// Decrypts a sender's group message.
    pub fn group_decrypt(&self, sender: &Address, body: &[u8]) -> Result<Bytes, PeerError> {
        #[derive(Deserialize)]
        struct Decrypted {
            plaintext: Bytes,
        }
        let fields = json!({ "sender": sender, "body": Bytes::from(body) });
        self.call::<Decrypted>("group_decrypt", fields).map(|answer| answer.plaintext)
    }

    /// The serialised sender key record, with its secrets.
    pub fn export_sender_key(&self, sender: &Address, distribution: &str) -> Result<Bytes, PeerError> {
        #[derive(Deserialize)]
        struct Record {
            record: Bytes,
        }
        let fields = json!({ "sender": sender, "distribution": distribution });
        self.call::<Record>("sender_key_export", fields).map(|answer| answer.record)
    }

    /// Forgets a sender key record; of the own one, the next distribution message is of a new key.
    pub fn remove_sender_key(&self, sender: &Address, distribution: &str) -> Result<(), PeerError> {
        self.act("sender_key_remove", json!({ "sender": sender, "distribution": distribution }))
    }

    /// Replaces a sender key record.
    pub fn import_sender_key(&self, sender: &Address, distribution: &str, record: &Bytes) -> Result<(), PeerError> {
        self.act("sender_key_import", json!({ "sender": sender, "distribution": distribution, "record": record }))
    }
}
