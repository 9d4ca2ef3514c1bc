//! Where in an outbox there is something to do, so that nobody looks at every entry with every input. Implements spec/20-client.md §20.10.5.
//!
//! ```text
//! entry changed ─▶ note ─▶ open · to be compared with the manifests · due for a device, or later · delivered · without a receipt
//! ```
//! Invariant: it says what the entries say, and nothing else; it is noted after each change of one, and made anew at a start.
use std::collections::{BTreeMap, BTreeSet};

use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
    time::Timestamp,
};

use super::{Entry, EntryKey, Route, TargetState};
use crate::sessions::Device;

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// What each entry is noted with.
    noted: BTreeMap<EntryKey, Noted>,
    /// Those with something to do, in the order in which they were made.
    open: BTreeMap<u64, EntryKey>,
    /// The same by conversation, with the devices that they were compared with last.
    conversations: BTreeMap<AccountId, Conversation>,
    /// What waits to be sealed for a device, and may be.
    due: BTreeMap<Device, BTreeMap<u64, EntryKey>>,
    /// What waits for its time.
    later: BTreeMap<(Timestamp, u64, Device), EntryKey>,
    /// Delivered, and kept for who asks again.
    kept: BTreeMap<(AccountId, Route), BTreeMap<u64, EntryKey>>,
    /// Sent, without the receipt that they await.
    unanswered: BTreeSet<(AccountId, Timestamp, MessageId)>,
}

#[derive(Debug, Default)]
struct Conversation {
    open: BTreeMap<u64, EntryKey>,
    /// Of those, the ones that were not compared with `listed`.
    new: BTreeSet<u64>,
    listed: Option<Listed>,
}

/// The devices that entries of a conversation are for.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Listed {
    /// Whether any manifest of the account is known.
    pub(crate) known: bool,
    pub(crate) devices: Vec<DeviceId>,
    /// In the conversation with oneself: the other devices of this account.
    pub(crate) siblings: Vec<DeviceId>,
}

#[derive(Debug)]
struct Noted {
    order: u64,
    is_open: bool,
    waiting: Vec<(Timestamp, Device)>,
    kept: Option<Route>,
    unanswered: Option<Timestamp>,
}

impl Noted {
    fn of(entry: &Entry) -> Self {
        let is_open = entry.sent.is_none();
        let waiting = entry.targets.iter().filter(|(_, target)| is_open && target.state == TargetState::Waiting);
        Self {
            order: entry.order,
            is_open,
            waiting: waiting.map(|(device, target)| (target.not_before, *device)).collect(),
            kept: (entry.delivered && !is_open).then_some(entry.route),
            unanswered: entry.sent.filter(|_| entry.awaits_receipt && !entry.delivered),
        }
    }
}

impl Queue {
    /// An entry is new or was changed; none: it is gone.
    pub(super) fn note(&mut self, key: &EntryKey, entry: Option<&Entry>) {
        let was_open = self.forget(key, entry.is_some_and(|entry| entry.sent.is_none()));
        let Some(noted) = entry.map(Noted::of) else { return };
        let order = noted.order;
        if noted.is_open && !was_open {
            self.open.insert(order, *key);
            let conversation = self.conversations.entry(key.0).or_default();
            conversation.open.insert(order, *key);
            conversation.new.insert(order);
        }
        for (not_before, device) in &noted.waiting {
            self.later.insert((*not_before, order, *device), *key);
        }
        if let Some(route) = noted.kept {
            self.kept.entry((key.0, route)).or_default().insert(order, *key);
        }
        if let Some(sent) = noted.unanswered {
            self.unanswered.insert((key.0, sent, key.1));
        }
        self.noted.insert(*key, noted);
    }

    /// Takes an entry out; whether it was open. One that stays open stays where open entries are.
    fn forget(&mut self, key: &EntryKey, stays_open: bool) -> bool {
        let Some(noted) = self.noted.remove(key) else { return false };
        let order = noted.order;
        if noted.is_open && !stays_open {
            self.open.remove(&order);
            if let Some(conversation) = self.conversations.get_mut(&key.0) {
                conversation.open.remove(&order);
                conversation.new.remove(&order);
                if conversation.open.is_empty() {
                    self.conversations.remove(&key.0);
                }
            }
        }
        for (not_before, device) in noted.waiting {
            self.later.remove(&(not_before, order, device));
            take(&mut self.due, &device, order);
        }
        if let Some(route) = noted.kept {
            take(&mut self.kept, &(key.0, route), order);
        }
        if let Some(sent) = noted.unanswered {
            self.unanswered.remove(&(key.0, sent, key.1));
        }
        noted.is_open
    }

    /// An open entry has to be compared with the manifests again.
    pub(super) fn compare_again(&mut self, key: &EntryKey) {
        let Some(noted) = self.noted.get(key).filter(|noted| noted.is_open) else { return };
        if let Some(conversation) = self.conversations.get_mut(&key.0) {
            conversation.new.insert(noted.order);
        }
    }

    /// Open entries, oldest first.
    pub(super) fn open(&self) -> impl Iterator<Item = &EntryKey> {
        self.open.values()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Open entries that have to be compared with what is listed now, oldest first: all of a conversation if that changed, otherwise those that
    /// are new to it. From here on they are taken for compared.
    pub(super) fn take_uncompared(&mut self, listed: impl Fn(&AccountId) -> Listed) -> Vec<EntryKey> {
        let mut all: Vec<(u64, EntryKey)> = Vec::new();
        for (account, conversation) in &mut self.conversations {
            let now = listed(account);
            let new = core::mem::take(&mut conversation.new);
            if conversation.listed.as_ref() == Some(&now) {
                let of = |order: u64| conversation.open.get(&order).map(|key| (order, *key));
                all.extend(new.into_iter().filter_map(of));
            } else {
                all.extend(conversation.open.iter().map(|(order, key)| (*order, *key)));
                conversation.listed = Some(now);
            }
        }
        all.sort_unstable();
        all.into_iter().map(|(_, key)| key).collect()
    }

    /// What may be sealed now, oldest first: as much for each device as `room` says.
    pub(super) fn due(&mut self, now: Timestamp, room: impl Fn(&Device) -> usize) -> Vec<(EntryKey, Device)> {
        while let Some(first) = self.later.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, order, device), key) = first.remove_entry();
            self.due.entry(device).or_default().insert(order, key);
        }
        let each = |(device, waiting): (&Device, &BTreeMap<u64, EntryKey>)| {
            let first = waiting.iter().take(room(device));
            first.map(|(order, key)| (*order, *device, *key)).collect::<Vec<_>>()
        };
        let mut all: Vec<(u64, Device, EntryKey)> = self.due.iter().flat_map(each).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, device, key)| (key, device)).collect()
    }

    /// When something waits for its time.
    pub(super) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.later.keys().map(|(at, ..)| *at).find(|at| *at > now)
    }

    /// Delivered entries of a conversation beyond the newest `most` of each route.
    pub(super) fn surplus(&self, conversation: &AccountId, most: usize) -> Vec<EntryKey> {
        let of = |route| self.kept.get(&(*conversation, route)).into_iter();
        let both = of(Route::Conversation).chain(of(Route::Receipts));
        both.flat_map(|kept| kept.values().take(kept.len().saturating_sub(most))).copied().collect()
    }

    /// What a conversation's account was sent until then, and gave no receipt for.
    pub(super) fn unanswered_since(&self, conversation: &AccountId, until: Timestamp) -> Vec<EntryKey> {
        let first = (*conversation, Timestamp(0), MessageId::from_bytes([0; 16]));
        let last = (*conversation, until, MessageId::from_bytes([0xff; 16]));
        self.unanswered.range(first..=last).map(|(account, _, id)| (*account, *id)).collect()
    }
}

fn take<K: Ord>(all: &mut BTreeMap<K, BTreeMap<u64, EntryKey>>, of: &K, order: u64) {
    if let Some(some) = all.get_mut(of) {
        some.remove(&order);
        if some.is_empty() {
            all.remove(of);
        }
    }
}
