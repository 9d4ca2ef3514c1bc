//! What is to be delivered. Implements spec/20-client.md §20.10.
//!
//! ```text
//! entry ──for each device──▶ Waiting ──seal──▶ Sealed (envelope) ──put, accepted──▶ Done
//!                               ▲  device gone, opening too old │
//!                               └───────────────────────────────┘
//! all Done ─▶ sent ─▶ delivered, by a receipt ─▶ kept for who asks again ─▶ forgotten
//! ```
//! Invariants: an entry is saved before anything of it leaves; an envelope is saved with the ratchet step that made it, and the same bytes
//! go out until they are accepted; nothing is sealed twice for a device unless it asked, or its session was begun anew.
//! Not here: how it is sealed (`seal`), how it travels (`delivery`).
mod entry;
mod envelope;
mod queue;
#[cfg(test)]
mod tests;
mod underway;

use std::collections::BTreeMap;

use core::time::Duration;

use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
    time::Timestamp,
};

pub(crate) use self::{
    entry::{Audience, Entry, Route, Target, TargetState},
    envelope::SealedEnvelope,
    queue::Listed,
};
use self::{queue::Queue, underway::Underway};
use crate::{
    sessions::Device,
    stage::Stage,
    store::{Record, Table},
    task::Destination,
    times,
};

/// Conversation and message.
pub(crate) type EntryKey = (AccountId, MessageId);

/// Delivered entries of each route that are kept in a conversation for a device that asks again.
const KEPT: usize = 32;
/// Among own devices, who get copies of all conversations.
const KEPT_OF_COPIES: usize = 256;
/// Envelopes for one device that wait for their relay; what comes after them is sealed when one of them is there. Twice what is asked at
/// once, so that nobody waits for a seal.
const MOST_UNDERWAY: usize = 128;

#[derive(Debug)]
pub(crate) struct Outbox {
    own: AccountId,
    entries: BTreeMap<EntryKey, Entry>,
    queue: Queue,
    envelopes: Underway,
    next: u64,
}

impl Outbox {
    /// Nothing to deliver, yet, by a device of this account.
    pub(crate) fn new(own: AccountId) -> Self {
        Self { own, entries: BTreeMap::new(), queue: Queue::default(), envelopes: Underway::default(), next: 0 }
    }

    /// Takes something to deliver.
    pub(crate) fn add(&mut self, key: EntryKey, mut entry: Entry, stage: &mut Stage) {
        entry.order = self.next;
        self.next = self.next.saturating_add(1);
        self.entries.insert(key, entry);
        self.changed(&key, stage);
    }

    pub(crate) fn contains(&self, key: &EntryKey) -> bool {
        self.entries.contains_key(key)
    }

    pub(crate) fn get(&self, key: &EntryKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Entries whose devices have to be brought up to what is listed now, oldest first: each new one, and all of a conversation whose devices
    /// are others than the last time.
    pub(crate) fn take_uncompared(&mut self, listed: impl Fn(&AccountId) -> Listed) -> Vec<EntryKey> {
        self.queue.take_uncompared(listed)
    }

    /// Messages of the person's that are not at all relays, oldest first, and what they are for.
    pub(crate) fn open_messages(&self) -> impl Iterator<Item = (&EntryKey, impl Iterator<Item = (&Device, &Target)>)> {
        let open = self.queue.open().filter_map(|key| self.entries.get_key_value(key));
        open.filter(|(_, entry)| entry.awaits_receipt).map(|(key, entry)| (key, entry.targets.iter()))
    }

    /// Brings the targets of an entry up to the devices there are: new ones are added, those that are gone are dropped with their
    /// envelopes.
    pub(crate) fn reconcile(
        &mut self,
        key: &EntryKey,
        devices: &[Device],
        listed: impl Fn(&Device) -> bool,
        mut not_before: impl FnMut() -> Timestamp,
        stage: &mut Stage,
    ) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let gone: Vec<Device> = entry.targets.keys().filter(|device| !listed(device)).copied().collect();
        for device in &gone {
            entry.targets.remove(device);
            let destination = destination(key, device);
            if self.envelopes.remove(&destination) {
                SealedEnvelope::delete(&destination, stage);
            }
        }
        let mut changed = !gone.is_empty();
        let grows = entry.audience != Audience::Named && entry.sent.is_none();
        for device in devices.iter().filter(|_| grows) {
            if !entry.targets.contains_key(device) {
                let target = Target { state: TargetState::Waiting, not_before: not_before() };
                entry.targets.insert(*device, target);
                changed = true;
            }
        }
        if changed {
            self.changed(key, stage);
        }
    }

    /// What is to be sealed now, oldest first, and for which devices: not more than may be on its way to each.
    pub(crate) fn due(&mut self, now: Timestamp) -> Vec<(EntryKey, Device)> {
        let envelopes = &self.envelopes;
        self.queue.due(now, |device| MOST_UNDERWAY.saturating_sub(envelopes.count(device)))
    }

    /// What goes to a device before anything else is sealed for it; none if there is room.
    pub(crate) fn ahead(&self, device: &Device) -> Option<&Destination> {
        self.envelopes.first(device).filter(|_| self.envelopes.count(device) >= MOST_UNDERWAY)
    }

    /// An envelope was made, in the batch with its ratchet step.
    pub(crate) fn sealed(&mut self, key: &EntryKey, device: Device, envelope: SealedEnvelope, stage: &mut Stage) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if let Some(target) = entry.targets.get_mut(&device) {
            target.state = TargetState::Sealed;
        }
        let destination = destination(key, &device);
        envelope.save(&destination, stage);
        self.envelopes.insert(entry.order, destination, envelope);
        self.changed(key, stage);
    }

    pub(crate) fn envelope(&self, destination: &Destination) -> Option<&SealedEnvelope> {
        self.envelopes.get(destination)
    }

    pub(crate) fn envelope_mut(&mut self, destination: &Destination) -> Option<&mut SealedEnvelope> {
        self.envelopes.get_mut(destination)
    }

    /// Envelopes on their way, in the order of their entries.
    pub(crate) fn destinations(&self) -> Vec<Destination> {
        self.envelopes.in_order().copied().collect()
    }

    /// A relay has it on stable storage. Whether the entry is through with that.
    pub(crate) fn accepted(&mut self, destination: &Destination, now: Timestamp, stage: &mut Stage) -> bool {
        self.drop_envelope(destination, stage);
        let key = (destination.conversation, destination.id);
        if let Some(target) = self.target(destination) {
            target.state = TargetState::Done;
        }
        self.changed(&key, stage);
        self.settle(&key, now, stage)
    }

    /// Whether everything of the entry was accepted, which is noted once.
    pub(crate) fn settle(&mut self, key: &EntryKey, now: Timestamp, stage: &mut Stage) -> bool {
        let Some(entry) = self.entries.get_mut(key) else { return false };
        let is_done = entry.targets.values().all(|target| target.state == TargetState::Done);
        if !is_done || entry.sent.is_some() || (entry.targets.is_empty() && entry.audience == Audience::Peer) {
            return false;
        }
        entry.sent = Some(now);
        if entry.is_of_the_moment() {
            self.remove(key, stage);
            return true;
        }
        if !entry.awaits_receipt {
            entry.delivered = true;
        }
        self.changed(key, stage);
        self.prune(&key.0, stage);
        true
    }

    /// The envelope is thrown away and made anew.
    pub(crate) fn unseal(&mut self, destination: &Destination, stage: &mut Stage) {
        self.drop_envelope(destination, stage);
        let key = (destination.conversation, destination.id);
        if let Some(target) = self.target(destination) {
            target.state = TargetState::Waiting;
        }
        self.changed(&key, stage);
    }

    /// A receipt came. Whether the entry waited for one.
    pub(crate) fn received(&mut self, key: &EntryKey, stage: &mut Stage) -> bool {
        let Some(entry) = self.entries.get_mut(key) else { return false };
        let news = entry.awaits_receipt && !entry.delivered;
        if news {
            entry.delivered = true;
            self.changed(key, stage);
            self.prune(&key.0, stage);
        }
        news
    }

    /// A device says that it could not open what came: everything that was made for it since `since` goes to it again.
    pub(crate) fn again(&mut self, conversation: &AccountId, device: Device, since: Timestamp, stage: &mut Stage) {
        let keys: Vec<EntryKey> =
            self.of(conversation).filter(|(_, entry)| entry.made >= since).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(entry) = self.entries.get_mut(&key).filter(|entry| !entry.is_of_the_moment()) else { continue };
            let Some(target) = entry.targets.get_mut(&device).filter(|target| target.state != TargetState::Waiting)
            else {
                continue;
            };
            *target = Target { state: TargetState::Waiting, not_before: Timestamp(0) };
            entry.sent = None;
            self.changed(&key, stage);
            self.drop_envelope(&destination(&key, &device), stage);
        }
    }

    /// Own devices are listed that were not known when these copies were made: they get what was made since.
    pub(crate) fn copies_again(&mut self, own: &AccountId, devices: &[DeviceId], since: Timestamp, stage: &mut Stage) {
        let copies =
            |entry: &Entry| entry.audience == Audience::Siblings && entry.sent.is_some() && entry.made >= since;
        let keys: Vec<EntryKey> = self.of(own).filter(|(_, entry)| copies(entry)).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            for device in devices {
                let target = Target { state: TargetState::Waiting, not_before: Timestamp(0) };
                entry.targets.entry((*own, *device)).or_insert(target);
            }
            entry.sent = None;
            self.changed(&key, stage);
        }
    }

    /// An account has other devices throughout: whatever has no receipt goes to all of them again.
    pub(crate) fn anew(&mut self, conversation: &AccountId, since: Timestamp, stage: &mut Stage) {
        let unread = self.of(conversation).filter(|(_, entry)| entry.made >= since && !entry.delivered);
        let keys: Vec<EntryKey> = unread.map(|(key, _)| *key).collect();
        for key in keys {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let devices: Vec<Device> = entry.targets.keys().copied().collect();
            entry.targets.clear();
            entry.sent = None;
            self.changed(&key, stage);
            self.queue.compare_again(&key);
            for device in devices {
                self.drop_envelope(&destination(&key, &device), stage);
            }
        }
    }

    /// Messages whose envelopes may have expired without a receipt go out again, now that the peer was heard from. Their ids.
    pub(crate) fn expired_again(
        &mut self,
        conversation: &AccountId,
        now: Timestamp,
        stage: &mut Stage,
    ) -> Vec<MessageId> {
        let mut expired = self.queue.unanswered_since(conversation, ago(now, times::TTL));
        expired.retain(|key| self.entries.get(key).is_some_and(|entry| entry.may_have_expired(now)));
        for key in &expired {
            let Some(entry) = self.entries.get_mut(key) else { continue };
            entry.targets.clear();
            (entry.sent, entry.told_expired) = (None, false);
            self.changed(key, stage);
        }
        expired.into_iter().map(|(_, id)| id).collect()
    }

    /// Forgets what is too old to be sent anew; names what may have expired since the last time.
    pub(crate) fn tidy(&mut self, now: Timestamp, stage: &mut Stage) -> Vec<EntryKey> {
        let old = |entry: &Entry| entry.sent.is_some() && now.since(entry.made) >= times::RESEND;
        let gone: Vec<EntryKey> = self.entries.iter().filter(|(_, entry)| old(entry)).map(|(key, _)| *key).collect();
        gone.iter().for_each(|key| self.remove(key, stage));
        let mut expired = Vec::new();
        for (key, entry) in &mut self.entries {
            if entry.may_have_expired(now) && !entry.told_expired {
                entry.told_expired = true;
                expired.push(*key);
            }
        }
        expired
    }

    /// Nothing more is sent to an account: its entries are forgotten. Their messages.
    pub(crate) fn give_up(&mut self, conversation: &AccountId, stage: &mut Stage) -> Vec<MessageId> {
        let keys: Vec<EntryKey> = self.of(conversation).map(|(key, _)| *key).collect();
        let unsent = keys
            .iter()
            .filter(|key| self.entries.get(key).is_some_and(|entry| entry.awaits_receipt && !entry.delivered));
        let unsent: Vec<MessageId> = unsent.map(|(_, id)| *id).collect();
        keys.iter().for_each(|key| self.remove(key, stage));
        unsent
    }

    /// When something waits for its time.
    pub(crate) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.queue.next_due(now)
    }

    /// Whether anything is on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.queue.is_empty()
    }

    /// Every record, as if all had changed.
    #[cfg(feature = "conformance")]
    pub(crate) fn save_all(&self, stage: &mut Stage) {
        self.entries.iter().for_each(|(key, entry)| entry.save(key, stage));
        self.envelopes.iter().for_each(|(destination, envelope)| envelope.save(destination, stage));
    }

    pub(crate) fn restore(&mut self, record: &Record) -> Option<()> {
        if record.table == Table::Envelope {
            let destination = envelope::destination_of(&record.key)?;
            let entry = self.entries.get(&(destination.conversation, destination.id));
            let order = entry.map_or(0, |entry| entry.order);
            self.envelopes.insert(order, destination, SealedEnvelope::restore(&record.value)?);
            return Some(());
        }
        let key = entry::key_of(&record.key)?;
        let entry = Entry::restore(&record.value)?;
        self.next = self.next.max(entry.order.saturating_add(1));
        // Its envelopes may have come first.
        for device in entry.targets.keys() {
            self.envelopes.place(&destination(&key, device), entry.order);
        }
        self.queue.note(&key, Some(&entry));
        self.entries.insert(key, entry);
        Some(())
    }

    fn of(&self, conversation: &AccountId) -> impl Iterator<Item = (&EntryKey, &Entry)> {
        let first = (*conversation, MessageId::from_bytes([0; 16]));
        self.entries.range(first..).take_while(move |((of, _), _)| of == &first.0)
    }

    fn target(&mut self, destination: &Destination) -> Option<&mut Target> {
        let entry = self.entries.get_mut(&(destination.conversation, destination.id))?;
        entry.targets.get_mut(&(destination.account, destination.device))
    }

    fn drop_envelope(&mut self, destination: &Destination, stage: &mut Stage) {
        if self.envelopes.remove(destination) {
            SealedEnvelope::delete(destination, stage);
        }
    }

    fn remove(&mut self, key: &EntryKey, stage: &mut Stage) {
        let Some(entry) = self.entries.remove(key) else { return };
        self.queue.note(key, None);
        for device in entry.targets.keys() {
            self.drop_envelope(&destination(key, device), stage);
        }
        Entry::delete(key, stage);
    }

    /// Of what was delivered, the newest are kept: receipts, of which there are many, apart from what is said.
    fn prune(&mut self, conversation: &AccountId, stage: &mut Stage) {
        let kept = if *conversation == self.own { KEPT_OF_COPIES } else { KEPT };
        for key in self.queue.surplus(conversation, kept) {
            self.remove(&key, stage);
        }
    }

    /// An entry is not what it was: it is saved, and what there is to do is known.
    fn changed(&mut self, key: &EntryKey, stage: &mut Stage) {
        let Some(entry) = self.entries.get(key) else { return };
        entry.save(key, stage);
        self.queue.note(key, Some(entry));
    }
}

pub(crate) const fn destination(key: &EntryKey, device: &(AccountId, DeviceId)) -> Destination {
    Destination { conversation: key.0, id: key.1, account: device.0, device: device.1 }
}

/// A span of time ago.
pub(crate) fn ago(now: Timestamp, span: Duration) -> Timestamp {
    now.saturating_sub(span)
}
