//! What a register is apart from its entries, and what may follow. Pure. Implements spec/20-relay-objects.md §20.1.
//!
//! ```text
//! oldest (a snapshot) ── change ── … ── head            bytes = the sizes of all of these
//! ```
//! Invariants: the oldest entry that is kept is a snapshot; nothing follows a last version; a chain that is refused a write is
//! as it was, its hour too.
use core::time::Duration;

use waxwing_wire::{
    id::RegisterId,
    relay::{
        Capability, CreateRegister, EntryKind, RegisterEntry, RegisterHead, Verifier, VerifierKind, VersionHash,
        WriteRegister,
    },
    time::Timestamp,
};

use super::{CreateError, Rules, WriteError};

/// A register without its entries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Chain {
    /// Who may write changes.
    pub(super) write: Verifier,
    /// Who may read.
    pub(super) read: Verifier,
    /// Who may write snapshots and the last version, and delete.
    pub(super) seal: Verifier,
    /// Version 1's hash: tells a repeated creation from another one.
    pub(super) first: VersionHash,
    /// The newest version.
    pub(super) head: RegisterHead,
    /// The oldest version that is kept.
    pub(super) oldest: u64,
    /// Bytes of the entries that are kept.
    pub(super) bytes: u64,
    /// When the hour began in which writes are counted.
    pub(super) hour: Timestamp,
    /// Writes in it.
    pub(super) writes: u32,
}

impl Chain {
    /// What stands in for an absent register: nobody knows a capability of it.
    pub(super) const ABSENT: Self = Self {
        write: Verifier::from_bytes([0; 32]),
        read: Verifier::from_bytes([0; 32]),
        seal: Verifier::from_bytes([0; 32]),
        first: VersionHash::NONE,
        head: RegisterHead { version: 0, hash: VersionHash::NONE, ended: false },
        oldest: 0,
        bytes: 0,
        hour: Timestamp::EPOCH,
        writes: 0,
    };

    /// The chain of a new register, and its first entry.
    pub(super) fn begin(
        register: CreateRegister,
        now: Timestamp,
        rules: Rules,
    ) -> Result<(Self, RegisterEntry), CreateError> {
        let CreateRegister { register, write_verifier, read_verifier, seal_verifier, admission: _, snapshot } =
            register;
        let entry = RegisterEntry::new(EntryKind::Snapshot, snapshot).ok_or(CreateError::Full)?;
        let bytes = size(&entry);
        if bytes > rules.bytes {
            return Err(CreateError::Full);
        }
        let first = VersionHash::NONE.next(&register, 1, &entry);
        let chain = Self {
            write: write_verifier,
            read: read_verifier,
            seal: seal_verifier,
            first,
            head: RegisterHead { version: 1, hash: first, ended: false },
            oldest: 1,
            bytes,
            hour: now,
            writes: 0,
        };
        Ok((chain, entry))
    }

    /// Whether `other` asks for what this register began as.
    pub(super) fn began_as(&self, other: &Self) -> bool {
        (self.write, self.read, self.seal, self.first) == (other.write, other.read, other.seal, other.first)
    }

    /// Whether a capability is the one for `kind`. Constant time.
    pub(super) fn admits(&self, register: &RegisterId, capability: &Capability, kind: VerifierKind) -> bool {
        let verifier = match kind {
            VerifierKind::ReadRegister => &self.read,
            VerifierKind::WriteRegister => &self.write,
            _ => &self.seal,
        };
        verifier.admits(capability, kind, register.as_bytes())
    }

    /// The chain with `write` at its end. The capability was judged before.
    pub(super) fn follow(&self, write: &WriteRegister, now: Timestamp, rules: Rules) -> Result<Self, WriteError> {
        if self.head.ended {
            return Err(WriteError::Ended);
        }
        if (write.version, write.hash) != (self.head.version, self.head.hash) {
            return Err(WriteError::Conflict(self.head));
        }
        let (hour, writes) = self.count(now, rules)?;
        let version = self.head.version.checked_add(1).ok_or(WriteError::Ended)?;
        let kind = write.entry.kind();
        let (oldest, before) = if kind == EntryKind::Snapshot { (version, 0) } else { (self.oldest, self.bytes) };
        let bytes = before.saturating_add(size(&write.entry));
        if bytes > rules.bytes {
            return Err(WriteError::Full);
        }
        let hash = self.head.hash.next(&write.register, version, &write.entry);
        let head = RegisterHead { version, hash, ended: kind == EntryKind::Last };
        Ok(Self { head, oldest, bytes, hour, writes, ..*self })
    }

    /// The hour and its writes with one more.
    fn count(&self, now: Timestamp, rules: Rules) -> Result<(Timestamp, u32), WriteError> {
        // A clock that was set back must not make an hour longer than one.
        let began = self.hour.min(now);
        let elapsed = now.since(began);
        let (hour, writes) = if elapsed >= HOUR { (now, 0) } else { (began, self.writes) };
        if writes >= rules.writes_per_hour {
            return Err(WriteError::Limit { retry_after: HOUR.saturating_sub(now.since(hour)) });
        }
        Ok((hour, writes.saturating_add(1)))
    }
}

/// What a capability must be of to write an entry of this kind.
pub(super) const fn needed(kind: EntryKind) -> VerifierKind {
    match kind {
        EntryKind::Change => VerifierKind::WriteRegister,
        EntryKind::Snapshot | EntryKind::Last => VerifierKind::SealRegister,
    }
}

fn size(entry: &RegisterEntry) -> u64 {
    u64::try_from(entry.sealed().len()).unwrap_or(u64::MAX)
}

const HOUR: Duration = Duration::from_secs(3_600);
