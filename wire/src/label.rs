//! Every string that separates one use of a key from another. Mirrors spec/00-conventions.md §0.2, table 2.
//!
//! Invariants: labels are ASCII without 0x00 and are always followed by 0x00 where they are used (spec §10.5), so that no
//! label with its input can be read as another label with another input; a test compares this file with the table.
use alloc::vec::Vec;

use sha2::{Digest, Sha256};

/// One row of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Label(pub(crate) &'static str);

impl Label {
    /// `label ‖ 0x00 ‖ context`: what is signed, or the `info` of an HKDF (spec §10.5).
    pub(crate) fn with(self, context: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len().saturating_add(context.len()).saturating_add(1));
        bytes.extend_from_slice(self.0.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(context);
        bytes
    }

    /// `SHA-256(label ‖ 0x00 ‖ content)` (spec §10.5).
    pub(crate) fn hash(self, content: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(self.0.as_bytes()).chain_update([0]).chain_update(content).finalize().into()
    }
}

// Identity, spec/11.
pub(crate) const ACCOUNT_ID: Label = Label("waxwing/1 account id");
pub(crate) const RECOVERY_KEY: Label = Label("waxwing/1 recovery key");
pub(crate) const ROOT_KEY: Label = Label("waxwing/1 root key");
pub(crate) const REACH_KEY: Label = Label("waxwing/1 reach key");
pub(crate) const CLOSE_CAPABILITY: Label = Label("waxwing/1 close capability");
pub(crate) const CLOSE_HASH: Label = Label("waxwing/1 close hash");
pub(crate) const STATEMENT: Label = Label("waxwing/1 generation statement");
pub(crate) const MANIFEST: Label = Label("waxwing/1 manifest");
pub(crate) const CONTENT: Label = Label("waxwing/1 manifest content");
pub(crate) const DEVICE: Label = Label("waxwing/1 device");
pub(crate) const REACH: Label = Label("waxwing/1 reach entry");
pub(crate) const REACH_RECORD: Label = Label("waxwing/1 reach record");
pub(crate) const LISTING: Label = Label("waxwing/1 listing");
pub(crate) const MOVED: Label = Label("waxwing/1 moved");
pub(crate) const PREKEY: Label = Label("waxwing/1 prekey");
pub(crate) const REQUEST: Label = Label("waxwing/1 request");
/// A TLS exporter label (RFC 8446 §7.5), used by TLS and not by [`Label::with`].
pub(crate) const EXPORTER: Label = Label("EXPORTER-waxwing/1 connection");
pub(crate) const LINK: Label = Label("waxwing/1 link check");

// Sealed objects, spec/12.
pub(crate) const SEALED_REACH_ENTRY: Label = Label("waxwing/1 sealed reach entry");
pub(crate) const SEALED_PROFILE: Label = Label("waxwing/1 sealed profile");
pub(crate) const SEALED_BLOB: Label = Label("waxwing/1 sealed blob");
pub(crate) const SEALED_CHANGE: Label = Label("waxwing/1 sealed change");
pub(crate) const SEALED_SNAPSHOT: Label = Label("waxwing/1 sealed snapshot");
pub(crate) const SEALED_PROVISIONING: Label = Label("waxwing/1 sealed provisioning");
pub(crate) const SEALED_BACKUP: Label = Label("waxwing/1 sealed backup");
pub(crate) const SEALED_STORE_KEY: Label = Label("waxwing/1 sealed store key");
pub(crate) const REACH_ENTRY_KEY: Label = Label("waxwing/1 reach entry key");

// Relay, spec/14.
pub(crate) const MAILBOX_ID: Label = Label("waxwing/1 mailbox id");
pub(crate) const ENVELOPE: Label = Label("waxwing/1 envelope");
pub(crate) const DELIVERY_KEY: Label = Label("waxwing/1 delivery key");
pub(crate) const INTRODUCTION_KEY: Label = Label("waxwing/1 introduction key");
pub(crate) const LANE: Label = Label("waxwing/1 lane");
pub(crate) const PROOF_OF_WORK: Label = Label("waxwing/1 proof of work");
pub(crate) const MAILBOX_OWNER: Label = Label("waxwing/1 mailbox owner");
pub(crate) const REGISTER_WRITE_VERIFIER: Label = Label("waxwing/1 register write verifier");
pub(crate) const REGISTER_READ_VERIFIER: Label = Label("waxwing/1 register read verifier");
pub(crate) const REGISTER_SEAL_VERIFIER: Label = Label("waxwing/1 register seal verifier");
pub(crate) const REGISTER_VERSION: Label = Label("waxwing/1 register version");
pub(crate) const BLOB_WRITE_VERIFIER: Label = Label("waxwing/1 blob write verifier");
pub(crate) const BLOB_READ_VERIFIER: Label = Label("waxwing/1 blob read verifier");

// Key server, spec/15.
pub(crate) const PREKEY_BATCH: Label = Label("waxwing/1 prekey batch");
pub(crate) const PREKEY_DIGEST: Label = Label("waxwing/1 prekey digest");

// Content, spec/16.
pub(crate) const CONTENT_CHAIN: Label = Label("waxwing/1 content chain");

/// Every label of this crate, for the test; a new constant is added here too.
#[cfg(test)]
const ALL: &[Label] = &[
    // Identity.
    ACCOUNT_ID,
    RECOVERY_KEY,
    ROOT_KEY,
    REACH_KEY,
    CLOSE_CAPABILITY,
    CLOSE_HASH,
    STATEMENT,
    MANIFEST,
    CONTENT,
    DEVICE,
    REACH,
    REACH_RECORD,
    LISTING,
    MOVED,
    PREKEY,
    REQUEST,
    EXPORTER,
    LINK,
    SEALED_REACH_ENTRY,
    SEALED_PROFILE,
    SEALED_BLOB,
    SEALED_CHANGE,
    SEALED_SNAPSHOT,
    SEALED_PROVISIONING,
    SEALED_BACKUP,
    SEALED_STORE_KEY,
    REACH_ENTRY_KEY,
    MAILBOX_ID,
    ENVELOPE,
    DELIVERY_KEY,
    INTRODUCTION_KEY,
    LANE,
    PROOF_OF_WORK,
    MAILBOX_OWNER,
    REGISTER_WRITE_VERIFIER,
    REGISTER_READ_VERIFIER,
    REGISTER_SEAL_VERIFIER,
    REGISTER_VERSION,
    BLOB_WRITE_VERIFIER,
    BLOB_READ_VERIFIER,
    PREKEY_BATCH,
    PREKEY_DIGEST,
    CONTENT_CHAIN,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b14_labels_are_distinct_ascii_and_no_label_contains_the_separator() {
        for (index, label) in ALL.iter().enumerate() {
            assert!(label.0.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{}", label.0);
            assert!(label.0.trim_start_matches("EXPORTER-").starts_with("waxwing/"), "{}", label.0);
            assert!(!ALL[..index].contains(label), "{} stands twice", label.0);
        }
    }

    #[test]
    fn b14_the_table_of_the_specification_has_exactly_these_labels() {
        let spec = include_str!("../../spec/00-conventions.md");
        let table = spec.split("### Table 2").nth(1).expect("table 2 exists");
        let rows: Vec<_> = table.lines().filter_map(|line| line.split('`').nth(1)).collect();
        for label in ALL {
            assert_eq!(rows.iter().filter(|row| **row == label.0).count(), 1, "{} in table 2", label.0);
        }
    }
}
