//! Where a device takes messages. Implements spec/11-identity.md §11.7.
//!
//! ```text
//! ReachEntry  = signed by the device {signer, number, mailbox addresses}          travels end to end, or sealed
//! ReachRecord = signed by the device {signer, reach key number, number, sealed entry}   what the key server keeps
//! ```
//! Invariants: an entry or record exists only verified under the manifest; whoever has no reach key learns no address.
//! Not here: the sealing construction ([`crate::sealed`]).
use alloc::vec::Vec;

use prost::Message as _;
use rand_core::CryptoRng;
use thiserror::Error;

use crate::{
    address::{AddressError, ServerAddress},
    canonical::{self, CanonicalError, Mode},
    id::MailboxId,
    keys::{DeviceKey, ReachKey},
    label,
    manifest::Manifest,
    proto::{self, identity::ReachBody, identity::ReachRecordBody},
    sealed::{self, ObjectSecret, OpenError, Purpose, SealError},
    signature::{SignatureError, SignedIn},
    signer::{Signer, SignerError},
};

/// A mailbox and the relay it is on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailboxAddress {
    /// The relay.
    pub server: ServerAddress,
    /// The mailbox there.
    pub mailbox: MailboxId,
}

/// Most mailboxes of one device.
pub const MAX_MAILBOXES: usize = 8;

/// A reach entry as it came.
#[derive(Clone, Debug)]
pub struct ReachEntryIn {
    signed: SignedIn,
    signer: Signer,
    number: u32,
    mailboxes: Vec<MailboxAddress>,
}

impl ReachEntryIn {
    /// Reads the bytes that travel.
    ///
    /// # Errors
    /// The rule of §10.4 or §11.7 that they break.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReachError> {
        Self::parse(SignedIn::decode(bytes, MAX_ENTRY)?)
    }

    /// Checks that the device is listed in `manifest` and signed the entry.
    ///
    /// # Errors
    /// [`ReachError::Signer`] or [`ReachError::Signature`].
    pub fn verify(self, manifest: &Manifest) -> Result<ReachEntry, ReachError> {
        let Self { signed, signer, number, mailboxes } = self;
        signed.verify(&signer.key(manifest)?.0, label::REACH).map_err(ReachError::Signature)?;
        Ok(ReachEntry { signed, signer, number, mailboxes })
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }

    fn parse(signed: SignedIn) -> Result<Self, ReachError> {
        let body: ReachBody = canonical::decode(&signed.body, Mode::SignedBody)?;
        if body.format != FORMAT {
            return Err(ReachError::Format { found: body.format });
        }
        let signer = Signer::parse(&body.account, body.generation, body.device)?;
        let mut mailboxes: Vec<MailboxAddress> = Vec::with_capacity(body.mailboxes.len());
        for address in body.mailboxes {
            let server = ServerAddress::parse(&address.server.unwrap_or_default())?;
            let mailbox = MailboxId::try_from(address.mailbox.as_slice()).map_err(|_| ReachError::Mailboxes)?;
            let known = mailboxes.iter().any(|other| other.server.key() == server.key() && other.mailbox == mailbox);
            if known {
                return Err(ReachError::Mailboxes);
            }
            mailboxes.push(MailboxAddress { server, mailbox });
        }
        if mailboxes.is_empty() {
            return Err(ReachError::Mailboxes);
        }
        Ok(Self { signed, signer, number: body.number, mailboxes })
    }
}

/// Where one device takes messages, as it says itself (spec §11.7).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReachEntry {
    signed: SignedIn,
    signer: Signer,
    number: u32,
    mailboxes: Vec<MailboxAddress>,
}

impl ReachEntry {
    /// Which device.
    #[must_use]
    pub fn signer(&self) -> Signer {
        self.signer
    }

    /// Of two entries of a device the higher number counts.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Seals the entry for whoever has `key` (spec §11.7, §12.6). A device seals one entry per number.
    ///
    /// # Errors
    /// None for an entry that exists: the longest one fits the largest size.
    pub fn seal(&self, key: &ReachKey, rng: &mut impl CryptoRng) -> Result<Vec<u8>, SealError> {
        let secret = ObjectSecret::of_reach_entry(key.as_bytes(), self.signer.device, u64::from(self.number));
        let context = sealed_context(self.signer, self.number);
        sealed::seal(&secret, Purpose::ReachEntry, &context, &self.encode(), rng)
    }

    /// Its mailboxes, 1 to 8, to be tried in this order.
    #[must_use]
    pub fn mailboxes(&self) -> &[MailboxAddress] {
        &self.mailboxes
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }
}

/// What the key server keeps of an entry, as it came.
#[derive(Clone, Debug)]
pub struct ReachRecordIn {
    signed: SignedIn,
    signer: Signer,
    reach_key: u32,
    number: u32,
    sealed: Vec<u8>,
}

impl ReachRecordIn {
    /// Reads the bytes that travel.
    ///
    /// # Errors
    /// The rule of §10.4 or §11.7 that they break.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReachError> {
        Self::parse(SignedIn::decode(bytes, MAX_RECORD)?)
    }

    /// Checks that the device is listed in `manifest` and signed the record.
    ///
    /// # Errors
    /// [`ReachError::Signer`] or [`ReachError::Signature`].
    pub fn verify(self, manifest: &Manifest) -> Result<ReachRecord, ReachError> {
        let Self { signed, signer, reach_key, number, sealed } = self;
        signed.verify(&signer.key(manifest)?.0, label::REACH_RECORD).map_err(ReachError::Signature)?;
        Ok(ReachRecord { signed, signer, reach_key, number, sealed })
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }

    fn parse(signed: SignedIn) -> Result<Self, ReachError> {
        let body: ReachRecordBody = canonical::decode(&signed.body, Mode::SignedBody)?;
        let ReachRecordBody { format, account, generation, device, reach_key, number, sealed } = body;
        if format != FORMAT {
            return Err(ReachError::Format { found: format });
        }
        let signer = Signer::parse(&account, generation, device)?;
        if !SEALED_SIZES.contains(&sealed.len()) {
            return Err(ReachError::Size);
        }
        Ok(Self { signed, signer, reach_key, number, sealed })
    }
}

/// A sealed reach entry that its device vouches for (spec §11.7).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReachRecord {
    signed: SignedIn,
    signer: Signer,
    reach_key: u32,
    number: u32,
    sealed: Vec<u8>,
}

impl ReachRecord {
    /// Which device.
    #[must_use]
    pub fn signer(&self) -> Signer {
        self.signer
    }

    /// The number of the generation's reach key that opens it.
    #[must_use]
    pub fn reach_key(&self) -> u32 {
        self.reach_key
    }

    /// Of two records of a device under one reach key the higher number counts.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The sealed entry. 1,024, 2,048 or 4,096 bytes.
    #[must_use]
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// Opens the record with the reach key of its number, and verifies what is inside (spec §11.7.2).
    ///
    /// # Errors
    /// [`ReachError::Open`] if it is another key's, [`ReachError::Record`] if another entry is inside, or why the entry does
    /// not verify.
    pub fn open(&self, key: &ReachKey, manifest: &Manifest) -> Result<ReachEntry, ReachError> {
        let secret = ObjectSecret::of_reach_entry(key.as_bytes(), self.signer.device, u64::from(self.number));
        let context = sealed_context(self.signer, self.number);
        let bytes = sealed::open(&secret, Purpose::ReachEntry, &context, &self.sealed)?;
        let entry = ReachEntryIn::decode(&bytes)?.verify(manifest)?;
        if (entry.signer, entry.number) == (self.signer, self.number) { Ok(entry) } else { Err(ReachError::Record) }
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }
}

impl DeviceKey {
    /// Signs where `signer`, whose key this is, takes messages.
    ///
    /// # Errors
    /// The rule that the mailboxes break.
    pub fn sign_reach_entry(
        &self,
        signer: Signer,
        number: u32,
        mailboxes: &[MailboxAddress],
    ) -> Result<ReachEntryIn, ReachError> {
        let mailboxes = mailboxes.iter().map(|MailboxAddress { server, mailbox }| proto::identity::MailboxAddress {
            server: Some(server.to_proto()),
            mailbox: mailbox.as_bytes().to_vec(),
        });
        let body = ReachBody {
            format: FORMAT,
            account: signer.account.as_bytes().to_vec(),
            generation: signer.generation.0,
            device: u32::from(signer.device.value()),
            number,
            mailboxes: mailboxes.collect(),
        };
        ReachEntryIn::parse(SignedIn::sign(&self.0, label::REACH, body.encode_to_vec()))
    }

    /// Signs a sealed entry for the key server.
    ///
    /// # Errors
    /// If `sealed` has no size of a sealed reach entry.
    pub fn sign_reach_record(
        &self,
        signer: Signer,
        reach_key: u32,
        number: u32,
        sealed: &[u8],
    ) -> Result<ReachRecordIn, ReachError> {
        let body = ReachRecordBody {
            format: FORMAT,
            account: signer.account.as_bytes().to_vec(),
            generation: signer.generation.0,
            device: u32::from(signer.device.value()),
            reach_key,
            number,
            sealed: sealed.to_vec(),
        };
        ReachRecordIn::parse(SignedIn::sign(&self.0, label::REACH_RECORD, body.encode_to_vec()))
    }
}

/// Why a reach entry or record was refused (spec §11.7). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ReachError {
    /// The bytes break the encoding.
    #[error(transparent)]
    Encoding(#[from] CanonicalError),
    /// Made by a newer version: update.
    #[error("§11.3.2: format {found} is not known")]
    Format {
        /// The format number found.
        found: u32,
    },
    /// The manifest has no key for it.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The device did not sign it.
    #[error("§11.3.3: {0}")]
    Signature(SignatureError),
    /// A server address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The record does not open: sealed under another reach key, or altered.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No mailbox, or one twice.
    #[error("§11.7.1: an entry has 1 to {MAX_MAILBOXES} different mailboxes")]
    Mailboxes,
    /// The record holds the entry of another device or number.
    #[error("§11.7.2: record and entry do not belong together")]
    Record,
    /// The sealed entry has a size that would speak of its content.
    #[error("§11.7.3: not a size of a sealed reach entry")]
    Size,
}

/// account id ‖ device id ‖ number: the place a sealed entry is bound to (spec §12.1).
fn sealed_context(signer: Signer, number: u32) -> Vec<u8> {
    let mut context = signer.account.as_bytes().to_vec();
    context.push(signer.device.value());
    context.extend_from_slice(&u64::from(number).to_be_bytes());
    context
}

const FORMAT: u32 = 1;
const MAX_ENTRY: usize = 3840;
const MAX_RECORD: usize = 4352;
/// The sizes of sealed reach entries (spec §12.4).
const SEALED_SIZES: [usize; 3] = [1_024, 2_048, 4_096];
