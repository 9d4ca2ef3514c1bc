//! Registers in memory, for tests and simulated worlds. Nothing in it outlives the process.
use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use waxwing_wire::{
    id::RegisterId,
    relay::{RegisterEntry, RegisterHead, RegisterPage, VersionHash},
};

use super::{Change, Disk, PAGE_BYTES, PAGE_ENTRIES, Rules, Settle, Shelf};
use crate::store::{Unavailable, lock};

/// Registers in memory.
pub type MemoryRegisters = Shelf<Memory>;

impl MemoryRegisters {
    /// None yet.
    #[must_use]
    pub fn in_memory(rules: Rules) -> Self {
        Self::new(Memory::default(), [], rules)
    }
}

/// Entries by version.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<RegisterId, Kept>>);

#[derive(Debug)]
struct Kept {
    head: RegisterHead,
    entries: BTreeMap<u64, (VersionHash, RegisterEntry)>,
}

impl Disk for Memory {
    async fn change(&self, change: Change, settle: Settle) -> Result<(), Unavailable> {
        {
            let mut registers = lock(&self.0);
            if let Some(chain) = change.chain {
                let kept = Kept { head: chain.head, entries: BTreeMap::new() };
                let kept = registers.entry(change.register).or_insert(kept);
                kept.head = chain.head;
                kept.entries.extend(change.entry.map(|entry| (chain.head.version, entry)));
                kept.entries = kept.entries.split_off(&chain.oldest);
            } else {
                registers.remove(&change.register);
            }
        }
        settle(Ok(()));
        Ok(())
    }

    async fn page(&self, register: &RegisterId, from: u64) -> Result<Option<RegisterPage>, Unavailable> {
        let registers = lock(&self.0);
        let Some(kept) = registers.get(register) else { return Ok(None) };
        let mut page = RegisterPage { head: kept.head, first: 0, before: kept.head.hash, entries: Vec::new() };
        let mut bytes = 0_usize;
        for (version, (before, entry)) in kept.entries.range(from..).take(PAGE_ENTRIES) {
            bytes = bytes.saturating_add(entry.sealed().len());
            if bytes > PAGE_BYTES && !page.entries.is_empty() {
                break;
            }
            if page.entries.is_empty() {
                (page.first, page.before) = (*version, *before);
            }
            page.entries.push(entry.clone());
        }
        Ok(Some(page))
    }
}
