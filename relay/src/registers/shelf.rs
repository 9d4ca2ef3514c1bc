//! All registers of a relay: chains in memory, entries on a [`Disk`]. Implements spec/20-relay-objects.md §20.2.
//!
//! Invariants: one change of a register at a time, in the order in which they came; the chain in memory moves when the disk has
//! moved ([`Settle`]), whether or not anybody still waits for the answer.
use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, RwLock},
};

use futures_util::future::{Either, select};
use tokio::sync::{Mutex as Turn, Notify, OwnedMutexGuard};
use waxwing_wire::{
    id::RegisterId,
    relay::{
        AwaitRegister, Capability, CreateRegister, DeleteRegister, ReadRegister, RegisterEntry, RegisterHead,
        RegisterPage, VerifierKind, VersionHash, WriteRegister,
    },
    time::Timestamp,
};

use super::{
    CreateError, DeleteError, ReadError, Registers, Rules, WriteError,
    chain::{Chain, needed},
};
use crate::store::{Unavailable, lock};

/// Where entries are, and a copy of every chain that outlives the process.
pub trait Disk: Send + Sync + 'static {
    /// Does a change wholly or not at all and calls `settle` when it is known which; in the order of the calls.
    fn change(&self, change: Change, settle: Settle) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// A register's newest version and its entries from `from` on; none if it is not there.
    fn page(
        &self,
        register: &RegisterId,
        from: u64,
    ) -> impl Future<Output = Result<Option<RegisterPage>, Unavailable>> + Send;
}

/// What a disk shall do.
#[derive(Debug)]
pub struct Change {
    /// With which register.
    pub register: RegisterId,
    /// What it is afterwards; none deletes it.
    pub chain: Option<Chain>,
    /// Its new newest entry, and the hash of the version before; versions before [`Chain::oldest`] go.
    pub entry: Option<(VersionHash, RegisterEntry)>,
}

impl Change {
    /// About how much memory it takes until it is done.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.entry.as_ref().map_or(0, |(_, entry)| entry.sealed().len()).saturating_add(size_of::<Self>())
    }
}

/// Called once, when a change is on stable storage or has failed.
pub type Settle = Box<dyn FnOnce(Result<(), Unavailable>) + Send>;

/// Registers on a disk.
#[derive(Debug)]
pub struct Shelf<D> {
    rules: Rules,
    slots: Slots,
    disk: D,
}

type Slots = Arc<RwLock<HashMap<RegisterId, Arc<Slot>>>>;

/// A register's place. None is its chain before it is made and after it is deleted.
#[derive(Debug, Default)]
struct Slot {
    chain: Mutex<Option<Chain>>,
    turn: Arc<Turn<()>>,
    changed: Notify,
}

impl<D: Disk> Shelf<D> {
    /// Registers whose entries are on `disk`.
    pub fn new(disk: D, chains: impl IntoIterator<Item = (RegisterId, Chain)>, rules: Rules) -> Self {
        let slot = |chain| Arc::new(Slot { chain: Mutex::new(Some(chain)), ..Slot::default() });
        let slots = chains.into_iter().map(|(register, chain)| (register, slot(chain))).collect();
        Self { rules, slots: Arc::new(RwLock::new(slots)), disk }
    }

    /// Where the entries are.
    pub const fn disk(&self) -> &D {
        &self.disk
    }

    /// How many registers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.slots.read().unwrap_or_else(std::sync::PoisonError::into_inner).len()
    }

    fn slot(&self, register: &RegisterId) -> Option<Arc<Slot>> {
        self.slots.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(register).cloned()
    }

    /// The register's chain for whoever holds this capability. Absent and wrong: the same steps, the same answer.
    fn authorised(
        &self,
        slot: Option<&Slot>,
        register: &RegisterId,
        capability: &Capability,
        kind: VerifierKind,
    ) -> Option<Chain> {
        let chain = slot.and_then(|slot| *lock(&slot.chain));
        let present = chain.is_some();
        let chain = chain.unwrap_or(Chain::ABSENT);
        let admits = chain.admits(register, capability, kind);
        (admits & present).then_some(chain)
    }

    /// Waits for the disk. What it did shows in memory even if nobody waits any longer.
    async fn settle(&self, change: Change, slot: &Arc<Slot>, turn: OwnedMutexGuard<()>) -> Result<(), Unavailable> {
        let (slot, slots) = (Arc::clone(slot), Arc::clone(&self.slots));
        let (register, chain) = (change.register, change.chain);
        let settle = move |done: Result<(), Unavailable>| {
            if done.is_ok() {
                *lock(&slot.chain) = chain;
            }
            // A slot without a chain is of no use: it was never made, or is deleted.
            if lock(&slot.chain).is_none() {
                let mut slots = slots.write().unwrap_or_else(std::sync::PoisonError::into_inner);
                if slots.get(&register).is_some_and(|there| Arc::ptr_eq(there, &slot)) {
                    slots.remove(&register);
                }
            }
            slot.changed.notify_waiters();
            drop(turn);
        };
        self.disk.change(change, Box::new(settle)).await
    }

    /// The slot in which a register may be made, and the turn to do it.
    async fn vacancy(&self, register: RegisterId) -> (Arc<Slot>, OwnedMutexGuard<()>) {
        loop {
            let slot = {
                let mut slots = self.slots.write().unwrap_or_else(std::sync::PoisonError::into_inner);
                Arc::clone(slots.entry(register).or_default())
            };
            let turn = Arc::clone(&slot.turn).lock_owned().await;
            // Whoever had the turn before may have taken the slot away.
            if self.slot(&register).is_some_and(|there| Arc::ptr_eq(&there, &slot)) {
                return (slot, turn);
            }
        }
    }
}

impl<D: Disk> Registers for Shelf<D> {
    async fn create(&self, register: CreateRegister, now: Timestamp) -> Result<RegisterHead, CreateError> {
        let id = register.register;
        let (chain, entry) = Chain::begin(register, now, self.rules)?;
        let (slot, turn) = self.vacancy(id).await;
        let there = *lock(&slot.chain);
        match there {
            Some(there) if there.began_as(&chain) => Ok(there.head),
            Some(_) => Err(CreateError::Taken),
            None => {
                let entry = Some((VersionHash::NONE, entry));
                self.settle(Change { register: id, chain: Some(chain), entry }, &slot, turn).await?;
                Ok(chain.head)
            }
        }
    }

    async fn write(&self, write: WriteRegister, now: Timestamp) -> Result<RegisterHead, WriteError> {
        let id = write.register;
        let kind = needed(write.entry.kind());
        let slot = self.slot(&id);
        let allowed = self.authorised(slot.as_deref(), &id, &write.capability, kind);
        let (Some(_), Some(slot)) = (allowed, slot) else { return Err(WriteError::Refused) };
        let turn = Arc::clone(&slot.turn).lock_owned().await;
        // It may have been deleted, or deleted and made anew by somebody else, while others had their turn.
        let chain = self.authorised(Some(&*slot), &id, &write.capability, kind).ok_or(WriteError::Refused)?;
        let next = chain.follow(&write, now, self.rules)?;
        let change = Change { register: id, chain: Some(next), entry: Some((chain.head.hash, write.entry)) };
        self.settle(change, &slot, turn).await?;
        Ok(next.head)
    }

    async fn read(&self, read: &ReadRegister) -> Result<RegisterPage, ReadError> {
        self.head(&read.register, &read.capability)?;
        self.disk.page(&read.register, read.from).await?.ok_or(ReadError::Refused)
    }

    fn head(&self, register: &RegisterId, capability: &Capability) -> Result<RegisterHead, ReadError> {
        let slot = self.slot(register);
        let chain = self.authorised(slot.as_deref(), register, capability, VerifierKind::ReadRegister);
        chain.map(|chain| chain.head).ok_or(ReadError::Refused)
    }

    async fn wait(
        &self,
        wait: &AwaitRegister,
        patience: impl Future<Output = ()> + Send,
    ) -> Result<RegisterHead, ReadError> {
        let mut patience = pin!(patience);
        loop {
            let Some(slot) = self.slot(&wait.register) else { return self.head(&wait.register, &wait.capability) };
            let mut changed = pin!(slot.changed.notified());
            // What changes from here on is heard, so that nothing falls between the look and the waiting.
            changed.as_mut().enable();
            let head = self.head(&wait.register, &wait.capability)?;
            if head.version > wait.after || head.ended {
                return Ok(head);
            }
            if let Either::Right(_) = select(changed, patience.as_mut()).await {
                return self.head(&wait.register, &wait.capability);
            }
        }
    }

    async fn delete(&self, delete: &DeleteRegister) -> Result<(), DeleteError> {
        let id = delete.register;
        let slot = self.slot(&id);
        let kind = VerifierKind::SealRegister;
        let allowed = self.authorised(slot.as_deref(), &id, &delete.capability, kind);
        let (Some(_), Some(slot)) = (allowed, slot) else { return Err(DeleteError::Refused) };
        let turn = Arc::clone(&slot.turn).lock_owned().await;
        self.authorised(Some(&*slot), &id, &delete.capability, kind).ok_or(DeleteError::Refused)?;
        self.settle(Change { register: id, chain: None, entry: None }, &slot, turn).await?;
        Ok(())
    }
}
