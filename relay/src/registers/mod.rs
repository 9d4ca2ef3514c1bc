//! Registers: versioned ciphertexts with an agreed order. Implements spec/20-relay-objects.md §20.1 to §20.3.
//!
//! ```text
//! request ──▶ Shelf: whose turn, which chain ──▶ Chain (pure): may it follow? ──▶ Disk: one transaction, one fsync
//!                      ▲                                                            │
//!                      └────────────── the chain as it is now, those who wait ◀── settle
//! ```
//! Invariants: an answer names only what is on stable storage; a dropped request is done or not done, never half; absent
//! registers and wrong capabilities take one path to one [`Refused`](ReadError::Refused).
//! Not here: admission (the caller decides it), clocks and timers: `now` and patience are arguments.
use std::future::Future;

use waxwing_wire::{
    frame::ErrorCode,
    id::RegisterId,
    relay::{
        AwaitRegister, Capability, CreateRegister, DeleteRegister, Limits, ReadRegister, RegisterHead, RegisterPage,
        WriteRegister,
    },
    time::Timestamp,
};

use crate::store::Unavailable;

mod chain;
mod memory;
mod shelf;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use chain::Chain;
pub use memory::{Memory, MemoryRegisters};
pub use shelf::{Change, Disk, Settle, Shelf};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteRegisters;

/// Where registers live.
pub trait Registers: Send + Sync + 'static {
    /// Makes a register with its version 1. The same verifiers and snapshot again: done. The admission was judged before.
    fn create(
        &self,
        register: CreateRegister,
        now: Timestamp,
    ) -> impl Future<Output = Result<RegisterHead, CreateError>> + Send;

    /// Writes the version after the newest, and gives the head that it makes.
    fn write(
        &self,
        write: WriteRegister,
        now: Timestamp,
    ) -> impl Future<Output = Result<RegisterHead, WriteError>> + Send;

    /// Versions from a number on: at most 1,024 entries of together 1 MiB, at least one if there is one.
    fn read(&self, read: &ReadRegister) -> impl Future<Output = Result<RegisterPage, ReadError>> + Send;

    /// The newest version, for whoever may read.
    ///
    /// # Errors
    /// [`ReadError::Refused`]: absent, or not the read capability.
    fn head(&self, register: &RegisterId, capability: &Capability) -> Result<RegisterHead, ReadError>;

    /// The head as soon as it is past `after`, or as it is when `patience` is over. [`AwaitRegister::patience`] says how long that
    /// may be; the caller owns the clock.
    fn wait(
        &self,
        wait: &AwaitRegister,
        patience: impl Future<Output = ()> + Send,
    ) -> impl Future<Output = Result<RegisterHead, ReadError>> + Send;

    /// Ends a register and everything in it; who waits for it is refused.
    fn delete(&self, delete: &DeleteRegister) -> impl Future<Output = Result<(), DeleteError>> + Send;
}

/// What every register may hold and take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rules {
    /// Bytes of a register's entries.
    pub bytes: u64,
    /// Writes in an hour, the first version not among them.
    pub writes_per_hour: u32,
}

impl From<&Limits> for Rules {
    fn from(limits: &Limits) -> Self {
        Self { bytes: limits.register_bytes.into(), writes_per_hour: limits.register_writes_per_hour }
    }
}

impl Default for Rules {
    /// What [`Limits`] announces unless configured: 8 MiB, 600 writes.
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

/// Why no register was made.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum CreateError {
    /// The id has other verifiers or another first version.
    #[error("the register exists otherwise")]
    Taken,
    /// The snapshot is larger than registers may be here, or of no size of its class.
    #[error("the register's quota is smaller than its snapshot")]
    Full,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why nothing was written.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum WriteError {
    /// Absent, or not the capability for an entry of this kind: one answer.
    #[error("refused")]
    Refused,
    /// It has its last version.
    #[error("the register has its last version")]
    Ended,
    /// It does not build on the newest version, which this is: no error on the wire but `register_conflict`.
    #[error("version {} is the newest", .0.version)]
    Conflict(RegisterHead),
    /// The hour's writes are used up.
    #[error("no more writes in this hour")]
    Limit {
        /// When the next hour begins.
        retry_after: core::time::Duration,
    },
    /// The entry does not fit the quota; a snapshot makes room.
    #[error("the register is full")]
    Full,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why nothing was read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum ReadError {
    /// Absent, or not the read capability: one answer.
    #[error("refused")]
    Refused,
    /// The store did not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why nothing was deleted.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum DeleteError {
    /// Absent, or not the seal capability: one answer.
    #[error("refused")]
    Refused,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl CreateError {
    /// The wire's code (spec §13.5).
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Taken => ErrorCode::Taken,
            Self::Full => ErrorCode::RegisterFull,
            Self::Unavailable(_) => ErrorCode::StoreUnavailable,
        }
    }
}

impl WriteError {
    /// The wire's code (spec §13.5); none for a conflict, whose reply is `register_conflict`.
    #[must_use]
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused => Some(ErrorCode::Refused),
            Self::Ended => Some(ErrorCode::RegisterEnded),
            Self::Conflict(_) => None,
            Self::Limit { .. } => Some(ErrorCode::WriteLimit),
            Self::Full => Some(ErrorCode::RegisterFull),
            Self::Unavailable(_) => Some(ErrorCode::StoreUnavailable),
        }
    }
}

impl ReadError {
    /// The wire's code (spec §13.5).
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Refused => ErrorCode::Refused,
            Self::Unavailable(_) => ErrorCode::StoreUnavailable,
        }
    }
}

impl DeleteError {
    /// The wire's code (spec §13.5).
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Refused => ErrorCode::Refused,
            Self::Unavailable(_) => ErrorCode::StoreUnavailable,
        }
    }
}

/// Entries on a page, at most (spec §14.7.3).
const PAGE_ENTRIES: usize = 1_024;
/// Their bytes, at most, unless the first alone has as many.
const PAGE_BYTES: usize = 1 << 20;
