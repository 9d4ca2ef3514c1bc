//! Registers: versioned ciphertexts with an agreed order. Implements spec/14-relay-messages.md §14.7.
//!
//! ```text
//! version 1 (snapshot) ── 2 (change) ── 3 (change) ── 4 (snapshot: may evict 1 to 3) ── 5 (last: read-only from here)
//! hash(v) = SHA-256(label ‖ 0x00 ‖ register ‖ v[8] ‖ kind[1] ‖ hash(v-1) ‖ SHA-256(entry))       hash(0) = 0^32
//! ```
//! Invariants: whoever knows a version's hash knows everything before it; an entry has one of the sizes of its kind.
use alloc::vec::Vec;
use core::{fmt, time::Duration};

use sha2::{Digest, Sha256};

use super::{Capability, Verifier};
use crate::{
    frame::Admission,
    id::RegisterId,
    label,
    message::{self, Broken, FromWire, ToWire},
    proto::relay as proto,
};

/// Creates a register with its first version, a snapshot.
#[derive(Debug, Eq, PartialEq)]
pub struct CreateRegister {
    /// Derived from a secret, so that those who have it find it.
    pub register: RegisterId,
    /// For changes.
    pub write_verifier: Verifier,
    /// For reading.
    pub read_verifier: Verifier,
    /// For snapshots and the end.
    pub seal_verifier: Verifier,
    /// By what right.
    pub admission: Admission,
    /// Version 1, of a snapshot's size.
    pub snapshot: Vec<u8>,
}

impl ToWire<proto::CreateRegister> for CreateRegister {
    fn to_wire(&self) -> proto::CreateRegister {
        let Self { register, write_verifier, read_verifier, seal_verifier, admission, snapshot } = self;
        proto::CreateRegister {
            register: register.to_wire(),
            write_verifier: write_verifier.to_wire(),
            read_verifier: read_verifier.to_wire(),
            seal_verifier: seal_verifier.to_wire(),
            admission: admission.to_wire(),
            snapshot: snapshot.to_wire(),
        }
    }
}

impl FromWire<proto::CreateRegister> for CreateRegister {
    fn from_wire(wire: proto::CreateRegister) -> Result<Self, Broken> {
        if !EntryKind::Snapshot.admits(wire.snapshot.len()) {
            return Err(Broken::rule("§14.7.2").at("CreateRegister", "snapshot"));
        }
        Ok(Self {
            register: FromWire::from_wire(wire.register)?,
            write_verifier: FromWire::from_wire(wire.write_verifier)?,
            read_verifier: FromWire::from_wire(wire.read_verifier)?,
            seal_verifier: FromWire::from_wire(wire.seal_verifier)?,
            admission: FromWire::from_wire(wire.admission)?,
            snapshot: wire.snapshot,
        })
    }
}

/// Writes the version after `version`, if that is the newest.
#[derive(Debug, Eq, PartialEq)]
pub struct WriteRegister {
    /// Which.
    pub register: RegisterId,
    /// The write capability for a change, the seal capability for a snapshot or the last version.
    pub capability: Capability,
    /// The version that the writer built on.
    pub version: u64,
    /// Its hash.
    pub hash: VersionHash,
    /// What follows it.
    pub entry: RegisterEntry,
}
message::message!(WriteRegister = proto::WriteRegister { register, capability, version, hash, entry });

/// One version's content.
#[derive(Clone, Eq, PartialEq)]
pub struct RegisterEntry {
    kind: EntryKind,
    sealed: Vec<u8>,
}

impl RegisterEntry {
    /// Takes a sealed object of a size of its kind; none otherwise.
    #[must_use]
    pub fn new(kind: EntryKind, sealed: Vec<u8>) -> Option<Self> {
        if kind.admits(sealed.len()) { Some(Self { kind, sealed }) } else { None }
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> EntryKind {
        self.kind
    }

    /// The sealed object.
    #[must_use]
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }
}

impl ToWire<proto::RegisterEntry> for RegisterEntry {
    fn to_wire(&self) -> proto::RegisterEntry {
        proto::RegisterEntry { kind: self.kind.to_wire(), sealed: self.sealed.clone() }
    }
}

impl FromWire<proto::RegisterEntry> for RegisterEntry {
    fn from_wire(wire: proto::RegisterEntry) -> Result<Self, Broken> {
        let kind = EntryKind::from_wire(wire.kind).map_err(|broken| broken.at("RegisterEntry", "kind"))?;
        Self::new(kind, wire.sealed).ok_or(Broken::rule("§14.7.2").at("RegisterEntry", "sealed"))
    }
}
message::required!(RegisterEntry = proto::RegisterEntry);

impl fmt::Debug for RegisterEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, sealed } = self;
        f.debug_struct("RegisterEntry").field("kind", kind).field("bytes", &sealed.len()).finish()
    }
}

/// What an entry is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EntryKind {
    /// Builds on the version before: a power of two from 512 to 16,384 bytes.
    Change,
    /// Stands alone and may evict what is before it: a power of two from 4,096 to 1,048,576 bytes.
    Snapshot,
    /// As a change; nothing follows it.
    Last,
}
message::numbered!(EntryKind "§14.7.1" { Change = 1, Snapshot = 2, Last = 3 });

impl EntryKind {
    fn admits(self, bytes: usize) -> bool {
        let classes = match self {
            Self::Change | Self::Last => 512..=16_384,
            Self::Snapshot => 4_096..=1_048_576,
        };
        bytes.is_power_of_two() && classes.contains(&bytes)
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Change => 1,
            Self::Snapshot => 2,
            Self::Last => 3,
        }
    }
}

/// The hash that names a version and everything before it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct VersionHash([u8; 32]);

impl VersionHash {
    /// What stands before version 1.
    pub const NONE: Self = Self([0; 32]);

    /// Takes the bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of the version that follows this one.
    #[must_use]
    pub fn next(&self, register: &RegisterId, version: u64, entry: &RegisterEntry) -> Self {
        let hash = Sha256::new().chain_update(label::REGISTER_VERSION.0).chain_update([0]);
        let hash = hash.chain_update(register.as_bytes()).chain_update(version.to_be_bytes());
        let hash = hash.chain_update([entry.kind.byte()]).chain_update(self.0);
        Self(hash.chain_update(Sha256::digest(&entry.sealed)).finalize().into())
    }
}
message::fixed!(VersionHash);

/// Asks for versions from a number on. If they are evicted, the page begins with the oldest snapshot that is there.
#[derive(Debug, Eq, PartialEq)]
pub struct ReadRegister {
    /// Which.
    pub register: RegisterId,
    /// The read capability.
    pub capability: Capability,
    /// The first version wanted, from 1.
    pub from: u64,
}
message::message!(ReadRegister = proto::ReadRegister { register, capability, from });

/// Asks for the head when it is past a version, or when patience ends.
#[derive(Debug, Eq, PartialEq)]
pub struct AwaitRegister {
    /// Which.
    pub register: RegisterId,
    /// The read capability.
    pub capability: Capability,
    /// The version that is known.
    pub after: u64,
    /// How many milliseconds to wait at most; up to 60,000.
    pub patience: u32,
}
message::message!(AwaitRegister = proto::AwaitRegister { register, capability, after, patience });

impl AwaitRegister {
    /// How long to wait at most.
    #[must_use]
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.patience.into())
    }
}

/// Ends a register and everything in it.
#[derive(Debug, Eq, PartialEq)]
pub struct DeleteRegister {
    /// Which.
    pub register: RegisterId,
    /// The seal capability.
    pub capability: Capability,
}
message::message!(DeleteRegister = proto::DeleteRegister { register, capability });

/// The newest version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RegisterHead {
    /// From 1.
    pub version: u64,
    /// Its hash.
    pub hash: VersionHash,
    /// Whether it is the last.
    pub ended: bool,
}
message::message!(RegisterHead = proto::RegisterHead { version, hash, ended });

/// Some versions in order. The relay fills a page up to 1 MiB; the next one begins after it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegisterPage {
    /// The newest version.
    pub head: RegisterHead,
    /// The first version on this page; 0 if there is none.
    pub first: u64,
    /// The hash of the version before it.
    pub before: VersionHash,
    /// At most 1,024.
    pub entries: Vec<RegisterEntry>,
}

impl RegisterPage {
    /// The hash after this page's entries: a reader compares it with what it knows, or with the head.
    #[must_use]
    pub fn hash(&self, register: &RegisterId) -> VersionHash {
        let versions = self.first..;
        let step = |hash: VersionHash, (entry, version): (&RegisterEntry, u64)| hash.next(register, version, entry);
        self.entries.iter().zip(versions).fold(self.before, step)
    }
}

impl ToWire<proto::RegisterPage> for RegisterPage {
    fn to_wire(&self) -> proto::RegisterPage {
        let Self { head, first, before, entries } = self;
        proto::RegisterPage {
            head: head.to_wire(),
            first: *first,
            before: before.to_wire(),
            entries: entries.to_wire(),
        }
    }
}

impl FromWire<proto::RegisterPage> for RegisterPage {
    fn from_wire(wire: proto::RegisterPage) -> Result<Self, Broken> {
        let head: RegisterHead = FromWire::from_wire(wire.head).map_err(|broken| broken.at("RegisterPage", "head"))?;
        let count = u64::try_from(wire.entries.len()).unwrap_or(u64::MAX);
        let fits = if count == 0 { wire.first == 0 } else { wire.first > 0 };
        let end = wire.first.checked_add(count).ok_or(Broken::rule("§14.7.3").at("RegisterPage", "first"))?;
        if !fits || (count > 0 && end.saturating_sub(1) > head.version) {
            return Err(Broken::rule("§14.7.3").at("RegisterPage", "first"));
        }
        Ok(Self {
            head,
            first: wire.first,
            before: FromWire::from_wire(wire.before)?,
            entries: FromWire::from_wire(wire.entries)?,
        })
    }
}
