//! What all mailboxes hold together. Implements spec/17-relay.md §17.3.9.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes of all mailboxes' envelopes, each counted in every mailbox that holds it, and how many there may be.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    most: u64,
    held: AtomicU64,
    /// Whether the operator was told; so one flood is one line of the log.
    told: AtomicBool,
}

impl Budget {
    pub(super) fn new(most: u64) -> Self {
        Self { most, ..Self::default() }
    }

    /// A mailbox holds other bytes than before.
    pub(super) fn change(&self, before: u64, after: u64) {
        match after.checked_sub(before) {
            Some(more) => self.held.fetch_add(more, Ordering::Relaxed),
            None => self.held.fetch_sub(before.saturating_sub(after), Ordering::Relaxed),
        };
    }

    /// Whether so many bytes more stay within it. Those who ask at the same moment may all be told that they do.
    pub(super) fn admits(&self, more: usize) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        let fits = held.saturating_add(u64::try_from(more).unwrap_or(u64::MAX)) <= self.most;
        if !fits && !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!("mailboxes hold all that they may together; envelopes are turned away");
        } else if fits && self.told.load(Ordering::Relaxed) && self.told.swap(false, Ordering::Relaxed) {
            tracing::info!("mailboxes have room again");
        }
        fits
    }
}
