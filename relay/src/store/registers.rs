//! Registers: versions that build on each other, in an agreed order. Implements spec/17-relay.md §17.8.
//!
//! ```text
//! write ──▶ capability ──▶ ended? ──▶ builds on the newest? ──▶ writes of this hour ──▶ quota ──▶ one transaction ──▶ head, whoever waits
//! ```
//! Invariants: one write at a time for a register; the head in memory is that of the file; what is left begins with a snapshot.
use core::{fmt, time::Duration};
use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use tokio::sync::watch;
use waxwing_wire::{
    id::RegisterId,
    relay::{
        Capability, EntryKind, RegisterEntry, RegisterHead, RegisterPage, Verifier, VerifierKind, VersionHash,
        WriteRegister,
    },
    time::Timestamp,
};

use super::{
    Mailboxes, Unavailable,
    disk::{Change, Disk},
    lock,
};

/// Where registers live. The same conformance suite says what every implementation does.
pub trait Registers: Send + Sync + 'static {
    /// Makes a register with its first version; the same again is no error and spends no invitation.
    fn create_register(
        &self,
        new: NewRegister,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), RegisterCreateError>> + Send;

    /// Writes the version after the one it names, if that is the newest.
    fn write_register(
        &self,
        write: &WriteRegister,
        now: Timestamp,
    ) -> impl Future<Output = Result<RegisterHead, RegisterWriteError>> + Send;

    /// Versions from a number on, at most a page; from the oldest snapshot that is there, if they are evicted.
    fn read_register(
        &self,
        register: &RegisterId,
        capability: &Capability,
        from: u64,
    ) -> impl Future<Output = Result<RegisterPage, RegisterError>> + Send;

    /// The newest version.
    ///
    /// # Errors
    /// [`RegisterError::Refused`].
    fn register_head(&self, register: &RegisterId, capability: &Capability) -> Result<RegisterHead, RegisterError>;

    /// The newest version, as soon as it is above `after`. How long to wait is the caller's: dropped, it waits no more.
    fn await_register(
        &self,
        register: &RegisterId,
        capability: &Capability,
        after: u64,
    ) -> impl Future<Output = Result<RegisterHead, RegisterError>> + Send;

    /// Ends a register and everything in it, for who has the seal capability.
    fn delete_register(
        &self,
        register: &RegisterId,
        capability: &Capability,
    ) -> impl Future<Output = Result<(), RegisterError>> + Send;
}

/// A register to be made.
#[derive(Clone)]
pub struct NewRegister {
    /// Its id.
    pub register: RegisterId,
    /// For changes.
    pub write_verifier: Verifier,
    /// For reading.
    pub read_verifier: Verifier,
    /// For snapshots and the end.
    pub seal_verifier: Verifier,
    /// Version 1. A snapshot.
    pub snapshot: RegisterEntry,
    /// SHA-256 over the invitation that is spent for it, if it is admitted by one.
    pub invite: Option<[u8; 32]>,
}

impl fmt::Debug for NewRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewRegister").field("register", &self.register).finish_non_exhaustive()
    }
}

/// Why no register was made.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum RegisterCreateError {
    /// The invitation is unknown or spent.
    #[error("the invitation is unknown or spent")]
    Invite,
    /// The id has another register, or the first version is no snapshot.
    #[error("the register exists otherwise")]
    Taken,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a register did not answer.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum RegisterError {
    /// It is absent, or the capability is not its.
    #[error("refused")]
    Refused,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why nothing was written, in order of precedence.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum RegisterWriteError {
    /// It is absent, or the capability is not its, or not for this kind of entry.
    #[error("refused")]
    Refused,
    /// It has its last version.
    #[error("the register has ended")]
    Ended,
    /// The write builds on another version than the newest, which this is.
    #[error("the write builds on another version than the newest")]
    Conflict(RegisterHead),
    /// Too many writes in this hour.
    #[error("too many writes in this hour")]
    Limit {
        /// When the hour is over.
        retry_after: Duration,
    },
    /// The quota is used up: a snapshot makes room.
    #[error("the register is full")]
    Full,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A register in memory: everything but the entries' bytes.
pub struct Register {
    pub(crate) number: u64,
    pub(crate) id: RegisterId,
    pub(crate) verifiers: Verifiers,
    /// The hash of version 1.
    pub(crate) first: VersionHash,
    inner: Mutex<Inner>,
    head: watch::Sender<Option<RegisterHead>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Verifiers {
    pub(crate) write: Verifier,
    pub(crate) read: Verifier,
    pub(crate) seal: Verifier,
}

#[derive(Debug)]
struct Inner {
    head: RegisterHead,
    /// What is there, ascending and without gaps; the first is a snapshot.
    entries: VecDeque<EntryMark>,
    bytes: u64,
    hour: Hour,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryMark {
    pub(crate) version: u64,
    pub(crate) kind: EntryKind,
    pub(crate) bytes: u32,
}

/// Writes since a moment that is less than an hour ago.
#[derive(Clone, Copy, Debug, Default)]
struct Hour {
    since: Timestamp,
    writes: u32,
}

/// A version to be written, with what goes for it.
#[derive(Debug)]
pub struct Version {
    pub(crate) register: u64,
    pub(crate) version: u64,
    pub(crate) before: VersionHash,
    pub(crate) hash: VersionHash,
    pub(crate) entry: RegisterEntry,
    /// Versions below this are evicted.
    pub(crate) keep_from: u64,
}

impl Register {
    pub(crate) fn new(
        number: u64,
        id: RegisterId,
        verifiers: Verifiers,
        first: VersionHash,
        head: RegisterHead,
        entries: VecDeque<EntryMark>,
    ) -> Self {
        let bytes = entries.iter().map(|entry| u64::from(entry.bytes)).sum();
        let inner = Mutex::new(Inner { head, entries, bytes, hour: Hour::default() });
        Self { number, id, verifiers, first, inner, head: watch::Sender::new(Some(head)) }
    }

    fn admits(&self, capability: &Capability, kind: VerifierKind) -> bool {
        let verifier = match kind {
            VerifierKind::WriteRegister => &self.verifiers.write,
            VerifierKind::SealRegister => &self.verifiers.seal,
            _ => &self.verifiers.read,
        };
        verifier.admits(capability, kind, self.id.as_bytes())
    }

    /// What a write does, or why it is not done.
    fn plan(
        &self,
        write: &WriteRegister,
        rules: &RegisterRules,
        now: Timestamp,
    ) -> Result<Version, RegisterWriteError> {
        let inner = lock(&self.inner);
        let RegisterHead { version, hash, ended } = inner.head;
        if ended {
            return Err(RegisterWriteError::Ended);
        }
        if write.version != version || write.hash != hash {
            return Err(RegisterWriteError::Conflict(inner.head));
        }
        let age = now.since(inner.hour.since);
        if age < HOUR && inner.hour.writes >= rules.writes_per_hour {
            return Err(RegisterWriteError::Limit { retry_after: HOUR.saturating_sub(age) });
        }
        let next = version.checked_add(1).ok_or(RegisterWriteError::Ended)?;
        let keep_from = inner.room_for(&write.entry, next, rules).ok_or(RegisterWriteError::Full)?;
        Ok(Version {
            register: self.number,
            version: next,
            before: hash,
            hash: hash.next(&self.id, next, &write.entry),
            entry: write.entry.clone(),
            keep_from,
        })
    }

    /// The version is in the file.
    fn wrote(&self, mark: EntryMark, keep_from: u64, head: RegisterHead, now: Timestamp) {
        let mut inner = lock(&self.inner);
        while inner.entries.front().is_some_and(|entry| entry.version < keep_from) {
            let gone = inner.entries.pop_front().map_or(0, |entry| u64::from(entry.bytes));
            inner.bytes = inner.bytes.saturating_sub(gone);
        }
        inner.bytes = inner.bytes.saturating_add(mark.bytes.into());
        inner.entries.push_back(mark);
        inner.head = head;
        if now.since(inner.hour.since) >= HOUR {
            inner.hour = Hour { since: now, writes: 0 };
        }
        inner.hour.writes = inner.hour.writes.saturating_add(1);
        drop(inner);
        self.head.send_replace(Some(head));
    }

    /// Which versions a page has: the first and how many; and the head.
    fn page(&self, from: u64) -> (RegisterHead, u64, u32) {
        let inner = lock(&self.inner);
        let oldest = inner.entries.front().map_or(0, |entry| entry.version);
        let first = from.max(oldest);
        let (mut count, mut bytes) = (0_u32, 0_u32);
        for entry in inner.entries.iter().filter(|entry| entry.version >= first) {
            bytes = bytes.saturating_add(entry.bytes);
            if (count > 0 && bytes > PAGE) || count >= ENTRIES {
                break;
            }
            count = count.saturating_add(1);
        }
        (inner.head, first, count)
    }
}

impl Inner {
    /// From which version on to keep what is there, so that the entry fits; none if it does not.
    fn room_for(&self, entry: &RegisterEntry, version: u64, rules: &RegisterRules) -> Option<u64> {
        let oldest = self.entries.front().map_or(version, |entry| entry.version);
        let size = entry_bytes(entry);
        let fits = |bytes: u64| bytes.saturating_add(size.into()) <= rules.bytes;
        // Whoever may end it must be able to, however full it is.
        if fits(self.bytes) || entry.kind() == EntryKind::Last {
            return Some(oldest);
        }
        if entry.kind() != EntryKind::Snapshot {
            return None;
        }
        // As little as makes room: up to one of the later snapshots, or everything before this one.
        let mut left = self.bytes;
        for mark in &self.entries {
            if mark.kind == EntryKind::Snapshot && mark.version > oldest && fits(left) {
                return Some(mark.version);
            }
            left = left.saturating_sub(mark.bytes.into());
        }
        if fits(0) { Some(version) } else { None }
    }
}

/// The quotas of a register (spec §14.1).
#[derive(Clone, Copy, Debug)]
pub struct RegisterRules {
    /// Bytes of all its entries together.
    pub bytes: u64,
    /// Writes in an hour.
    pub writes_per_hour: u32,
}

impl Default for RegisterRules {
    /// 8 MiB and 600.
    fn default() -> Self {
        Self { bytes: 8 << 20, writes_per_hour: 600 }
    }
}

/// All registers by id.
#[derive(Debug)]
pub(crate) struct RegisterDirectory {
    registers: RwLock<HashMap<RegisterId, Arc<Register>>>,
    /// Stands for every register that is not there.
    nobody: Arc<Register>,
}

impl RegisterDirectory {
    pub(crate) fn new([write, read, seal]: [[u8; 32]; 3]) -> Self {
        let [write, read, seal] = [write, read, seal].map(Verifier::from_bytes);
        let head = RegisterHead { version: 0, hash: VersionHash::NONE, ended: true };
        let (id, verifiers) = (RegisterId::from_bytes([0; 16]), Verifiers { write, read, seal });
        let nobody = Register::new(0, id, verifiers, VersionHash::NONE, head, VecDeque::new());
        Self { registers: RwLock::default(), nobody: Arc::new(nobody) }
    }

    pub(crate) fn count(&self) -> usize {
        self.registers.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn find(&self, id: &RegisterId) -> Option<Arc<Register>> {
        self.registers.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    pub(crate) fn insert(&self, register: Arc<Register>) {
        self.registers.write().unwrap_or_else(PoisonError::into_inner).insert(register.id, register);
    }

    fn remove(&self, id: &RegisterId) {
        let removed = self.registers.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(register) = removed {
            register.head.send_replace(None);
        }
    }

    /// The register that the capability is of. Absent and wrong take the same way.
    fn admitted(&self, id: &RegisterId, capability: &Capability, kind: VerifierKind) -> Option<Arc<Register>> {
        let found = self.find(id);
        let admits = found.as_ref().unwrap_or(&self.nobody).admits(capability, kind);
        found.filter(|_| admits)
    }
}

impl<D: Disk> Registers for Mailboxes<D> {
    async fn create_register(&self, new: NewRegister, now: Timestamp) -> Result<(), RegisterCreateError> {
        let shared = &self.shared;
        let turn = shared.turn(new.register.as_bytes()).await?;
        let NewRegister { register: id, write_verifier, read_verifier, seal_verifier, snapshot, invite } = new;
        let verifiers = Verifiers { write: write_verifier, read: read_verifier, seal: seal_verifier };
        let first = VersionHash::NONE.next(&id, 1, &snapshot);
        if let Some(found) = shared.registers.find(&id) {
            let same = found.verifiers == verifiers && found.first == first;
            return if same { Ok(()) } else { Err(RegisterCreateError::Taken) };
        }
        let bytes = entry_bytes(&snapshot);
        if snapshot.kind() != EntryKind::Snapshot || u64::from(bytes) > shared.rules.register.bytes {
            return Err(RegisterCreateError::Taken);
        }
        let room = usize::try_from(bytes).unwrap_or(usize::MAX);
        shared.disk.room(room).await?;
        let invite = match invite.map(|hash| lock(&shared.invites).take(&hash)) {
            None => None,
            Some(Some(taken)) => Some(taken),
            Some(None) => {
                shared.disk.spare(room);
                return Err(RegisterCreateError::Invite);
            }
        };
        let number = shared.next.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        let head = RegisterHead { version: 1, hash: first, ended: false };
        let mark = EntryMark { version: 1, kind: EntryKind::Snapshot, bytes };
        let register = Arc::new(Register::new(number, id, verifiers, first, head, [mark].into()));
        lock(&register.inner).hour = Hour { since: now, writes: 0 };
        let before = VersionHash::NONE;
        let version = Version { register: number, version: 1, before, hash: first, entry: snapshot, keep_from: 1 };
        let (keeping, row) = (
            Arc::clone(shared),
            Change::CreateRegister { register: Arc::clone(&register), version, invite: invite.map(|taken| taken.id) },
        );
        let commit = shared.disk.change(
            row,
            Box::new(move |outcome| {
                match (outcome, invite) {
                    (Ok(()), _) => keeping.registers.insert(register),
                    (Err(Unavailable), Some(taken)) => lock(&keeping.invites).give_back(taken),
                    (Err(Unavailable), None) => {}
                }
                keeping.disk.spare(room);
                drop(turn);
            }),
        );
        Ok(commit.await?)
    }

    async fn write_register(&self, write: &WriteRegister, now: Timestamp) -> Result<RegisterHead, RegisterWriteError> {
        let shared = &self.shared;
        let kind = match write.entry.kind() {
            EntryKind::Change => VerifierKind::WriteRegister,
            EntryKind::Snapshot | EntryKind::Last => VerifierKind::SealRegister,
        };
        let refused = RegisterWriteError::Refused;
        shared.registers.admitted(&write.register, &write.capability, kind).ok_or(refused)?;
        let bytes = entry_bytes(&write.entry);
        let room = usize::try_from(bytes).unwrap_or(usize::MAX);
        shared.disk.room(room).await?;
        let spare = Spare { disk: &shared.disk, bytes: room };
        let turn = shared.turn(write.register.as_bytes()).await?;
        // It may have gone while this waited for its turn.
        let register = shared.registers.find(&write.register).ok_or(refused)?;
        let version = register.plan(write, &shared.rules.register, now)?;
        let ended = version.entry.kind() == EntryKind::Last;
        let head = RegisterHead { version: version.version, hash: version.hash, ended };
        let mark = EntryMark { version: version.version, kind: version.entry.kind(), bytes };
        let keep_from = version.keep_from;
        let commit = shared.disk.change(
            Change::WriteRegister { version },
            Box::new(move |outcome| {
                if outcome.is_ok() {
                    register.wrote(mark, keep_from, head, now);
                }
                drop(turn);
            }),
        );
        let committed = commit.await;
        drop(spare);
        Ok(committed.map(|()| head)?)
    }

    async fn read_register(
        &self,
        register: &RegisterId,
        capability: &Capability,
        from: u64,
    ) -> Result<RegisterPage, RegisterError> {
        let found = self.shared.registers.admitted(register, capability, VerifierKind::ReadRegister);
        let found = found.ok_or(RegisterError::Refused)?;
        // What was to be read may be evicted before it is: then the page begins later.
        for _ in 0..ATTEMPTS {
            let (head, first, count) = found.page(from);
            if count == 0 {
                return Ok(RegisterPage { head, first: 0, before: VersionHash::NONE, entries: Vec::new() });
            }
            let (before, entries) = self.shared.disk.versions(found.number, first, count).await?;
            if entries.len() == usize::try_from(count).unwrap_or(usize::MAX) {
                return Ok(RegisterPage { head, first, before, entries });
            }
        }
        Err(RegisterError::Unavailable(Unavailable))
    }

    fn register_head(&self, register: &RegisterId, capability: &Capability) -> Result<RegisterHead, RegisterError> {
        let found = self.shared.registers.admitted(register, capability, VerifierKind::ReadRegister);
        Ok(lock(&found.ok_or(RegisterError::Refused)?.inner).head)
    }

    async fn await_register(
        &self,
        register: &RegisterId,
        capability: &Capability,
        after: u64,
    ) -> Result<RegisterHead, RegisterError> {
        let found = self.shared.registers.admitted(register, capability, VerifierKind::ReadRegister);
        let mut heads = found.ok_or(RegisterError::Refused)?.head.subscribe();
        let head = heads.wait_for(|head| head.is_none_or(|head| head.version > after)).await;
        // None, or no sender: it was deleted meanwhile.
        head.ok().and_then(|head| *head).ok_or(RegisterError::Refused)
    }

    async fn delete_register(&self, register: &RegisterId, capability: &Capability) -> Result<(), RegisterError> {
        let shared = Arc::clone(&self.shared);
        let turn = self.shared.turn(register.as_bytes()).await?;
        let found = self.shared.registers.admitted(register, capability, VerifierKind::SealRegister);
        let found = found.ok_or(RegisterError::Refused)?;
        let id = *register;
        let commit = self.shared.disk.change(
            Change::DeleteRegister { register: found.number },
            Box::new(move |outcome| {
                if outcome.is_ok() {
                    shared.registers.remove(&id);
                }
                drop(turn);
            }),
        );
        Ok(commit.await?)
    }
}

/// Gives room back, whatever becomes of the write.
struct Spare<'d, D: Disk> {
    disk: &'d D,
    bytes: usize,
}

impl<D: Disk> Drop for Spare<'_, D> {
    fn drop(&mut self) {
        self.disk.spare(self.bytes);
    }
}

fn entry_bytes(entry: &RegisterEntry) -> u32 {
    u32::try_from(entry.sealed().len()).unwrap_or(u32::MAX)
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register").field("number", &self.number).finish_non_exhaustive()
    }
}

const HOUR: Duration = Duration::from_secs(3_600);
/// Bytes and entries of a page.
const PAGE: u32 = 1 << 20;
const ENTRIES: u32 = 1_024;
const ATTEMPTS: u8 = 4;
