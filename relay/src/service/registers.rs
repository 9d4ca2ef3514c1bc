//! Registers as a session serves them. Implements spec/17-relay.md §17.21.
//!
//! Invariants: absent and wrong capability are one answer by one way; a wait holds one place of its connection's requests in flight
//! and ends with its patience, the connection or the relay.
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use waxwing_wire::{
    frame::{Admission, ErrorCode, ServerError},
    id::MailboxId,
    relay::{
        AwaitRegister, CreateRegister, DeleteRegister, EntryKind, ReadRegister, RegisterEntry, RelayReply,
        WriteRegister,
    },
    time::Timestamp,
};

use super::{Outbox, Session, failure::Failure};
use crate::store::{NewRegister, RegisterCreateError, RegisterWriteError, Store};

impl<S: Store, O: Outbox> Session<S, O> {
    /// §17.21.1.
    pub(super) async fn create_register(&self, create: CreateRegister) -> Result<RelayReply, Failure> {
        let CreateRegister { register, write_verifier, read_verifier, seal_verifier, admission, snapshot } = create;
        let (server, now) = (self.server(), self.server().now());
        let (owner, invite) = match admission {
            Admission::Owner => (Some(self.owned()?), None),
            other => {
                let admission = &server.settings.admission;
                (None, admission.admit_storage(&other, register.as_bytes(), &server.challenges, now)?)
            }
        };
        let snapshot = RegisterEntry::new(EntryKind::Snapshot, snapshot).ok_or(Failure::from(ErrorCode::EntrySize))?;
        let bucket = &server.buckets.registers;
        bucket.take(self.source, now).map_err(Failure::rate)?;
        if let Some(Err(failure)) = owner.map(|owner| server.allowances.take(owner, now)) {
            bucket.give_back(&self.source);
            return Err(failure);
        }
        let new = NewRegister { register, write_verifier, read_verifier, seal_verifier, snapshot, invite };
        let created = server.store.create_register(new, now).await;
        if let Err(RegisterCreateError::Unavailable(_)) = created {
            bucket.give_back(&self.source);
        }
        created?;
        Ok(RelayReply::Done)
    }

    /// §17.21.2.
    pub(super) async fn write_register(&self, write: &WriteRegister) -> Result<RelayReply, Failure> {
        match self.server().store.write_register(write, self.server().now()).await {
            Ok(head) => Ok(RelayReply::RegisterHead(head)),
            Err(RegisterWriteError::Conflict(head)) => Ok(RelayReply::RegisterConflict(head)),
            Err(error) => Err(failed(error)),
        }
    }

    /// §17.21.3.
    pub(super) async fn read_register(&self, read: &ReadRegister) -> Result<RelayReply, Failure> {
        let ReadRegister { register, capability, from } = read;
        Ok(RelayReply::RegisterPage(self.server().store.read_register(register, capability, *from).await?))
    }

    /// §17.21.4.
    pub(super) async fn await_register(&self, wait: &AwaitRegister) -> Result<RelayReply, Failure> {
        let AwaitRegister { register, capability, after, patience: _ } = wait;
        let store = &self.server().store;
        let news = std::pin::pin!(store.await_register(register, capability, *after));
        let patience = std::pin::pin!(self.outbox.pause(wait.patience().min(LONGEST_PATIENCE)));
        let (over, draining) = (std::pin::pin!(self.drain_begins()), select(news, patience));
        let head = match select(draining, over).await {
            Either::Left((Either::Left((head, _)), _)) => head?,
            Either::Left((Either::Right(_), _)) => store.register_head(register, capability)?,
            Either::Right(_) => return Err(Failure::draining()),
        };
        Ok(RelayReply::RegisterHead(head))
    }

    /// §17.21.5.
    pub(super) async fn delete_register(&self, delete: &DeleteRegister) -> Result<RelayReply, Failure> {
        let DeleteRegister { register, capability } = delete;
        self.server().store.delete_register(register, capability).await?;
        Ok(RelayReply::Done)
    }
}

fn failed(error: RegisterWriteError) -> Failure {
    match error {
        RegisterWriteError::Refused => ErrorCode::Refused.into(),
        RegisterWriteError::Ended => ErrorCode::RegisterEnded.into(),
        // Answered before: a conflict is no failure.
        RegisterWriteError::Conflict(_) => ErrorCode::Unexpected.into(),
        RegisterWriteError::Limit { retry_after } => {
            Failure(ServerError { code: ErrorCode::WriteLimit, retry_after: Some(retry_after) })
        }
        RegisterWriteError::Full => ErrorCode::RegisterFull.into(),
        RegisterWriteError::Unavailable(unavailable) => unavailable.into(),
    }
}

/// How many registers, or blobs, each owner made in this hour. In memory alone, so that nothing on disk joins one to a mailbox.
#[derive(Debug)]
pub(crate) struct Allowances {
    each: u32,
    hour: Mutex<Hour>,
}

#[derive(Debug, Default)]
struct Hour {
    number: u64,
    made: HashMap<MailboxId, u32>,
}

impl Allowances {
    /// So many an hour.
    pub(super) fn new(each: u32) -> Self {
        Self { each, hour: Mutex::default() }
    }

    /// One of them.
    pub(super) fn take(&self, owner: MailboxId, now: Timestamp) -> Result<(), Failure> {
        let (number, into) = (now.as_millis().div_euclid(HOUR), now.as_millis().rem_euclid(HOUR));
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        if hour.number != number {
            *hour = Hour { number, made: HashMap::new() };
        }
        let made = hour.made.entry(owner).or_default();
        if *made >= self.each {
            let retry_after = Some(Duration::from_millis(HOUR.saturating_sub(into)));
            return Err(Failure(ServerError { code: ErrorCode::RateLimited, retry_after }));
        }
        *made = made.saturating_add(1);
        Ok(())
    }
}

/// Milliseconds.
const HOUR: u64 = 3_600_000;
/// A client has some of its own, and one for each group that it hosts.
pub(super) const REGISTERS_PER_HOUR: u32 = 32;
/// §14.7.4.
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);
