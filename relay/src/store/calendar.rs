//! When to look for what has ended. Implements spec/17-relay.md §17.6.
//!
//! Invariants: a mailbox with something in it stands here at or before the first moment at which anything of it ends; nothing on
//! the way of a put scans, and no table has an index for this.
use std::{collections::BTreeSet, sync::Mutex};

use waxwing_wire::{id::MailboxId, time::Timestamp};

use super::lock;

#[derive(Debug, Default)]
pub(crate) struct Calendar(Mutex<BTreeSet<(Timestamp, MailboxId)>>);

impl Calendar {
    pub(crate) fn add(&self, at: Timestamp, mailbox: MailboxId) {
        lock(&self.0).insert((at, mailbox));
    }

    /// At most so many that are due; whether there are more.
    pub(crate) fn due(&self, now: Timestamp, most: usize) -> (Vec<MailboxId>, bool) {
        let mut dates = lock(&self.0);
        let mut due = Vec::new();
        while due.len() < most {
            match dates.first() {
                Some((at, _)) if *at <= now => due.extend(dates.pop_first().map(|(_, mailbox)| mailbox)),
                _ => return (due, false),
            }
        }
        let more = dates.first().is_some_and(|(at, _)| *at <= now);
        (due, more)
    }
}
