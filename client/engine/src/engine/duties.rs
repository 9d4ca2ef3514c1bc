//! What is due by the clock: receipts, answers, news of this account. Implements spec/20-client.md §20.12.
use rand_core::CryptoRng;
use waxwing_wire::{content::Body, delivery::DeliverySecret, id::AccountId, time::Timestamp};

use super::Engine;
use crate::{
    interface::State,
    outbox::{EntryKey, Route},
    random,
    sessions::Device,
    store::Table,
    times,
};

impl Engine {
    pub(super) fn do_duties(&mut self, now: Timestamp, rng: &mut impl CryptoRng) {
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let receipts = self.contacts.iter().filter(|contact| due(contact.owed.at)).map(|contact| contact.account);
        let receipts: Vec<AccountId> = receipts.collect();
        receipts.iter().for_each(|account| self.send_receipts(account, now, rng));
        let news = self.contacts.iter().filter(|contact| due(contact.news_at)).map(|contact| contact.account);
        let news: Vec<AccountId> = news.collect();
        news.iter().for_each(|account| self.send_news(account, now, rng));
        // Strangers wait until the person has decided.
        let wanted = |device: &Device| self.contacts.get(&device.0).is_some_and(super::Contact::is_wanted);
        let answers = self.sessions.iter_mut().filter(|(device, peer)| due(peer.answer_at) && wanted(device));
        let answers: Vec<Device> = answers
            .map(|(device, peer)| {
                peer.answer_at = None;
                peer.save(device, &mut self.stage);
                *device
            })
            .collect();
        for device in answers {
            self.signal_device(device, Body::Empty, now, now, rng);
        }
        self.ask_for_gaps(now, rng);
        // All entries are looked at, for days that have gone by.
        if now.since(self.looked_at_outbox) >= times::LOOK {
            self.looked_at_outbox = now;
            for (conversation, id) in self.outbox.tidy(now, &mut self.stage) {
                self.set_state(&conversation, id, State::MayHaveExpired);
            }
        }
        self.forget_old_ids(now);
    }

    /// Devices of which something is missing, or could not be opened, are asked for it, each at most once in [`times::REPAIR`] (E6).
    fn ask_for_gaps(&mut self, now: Timestamp, rng: &mut impl CryptoRng) {
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let own = self.own.account();
        let mut devices: Vec<Device> = Vec::new();
        for contact in self.contacts.iter_mut() {
            let (account, wanted) = (contact.account, contact.is_wanted());
            let heard = contact.heard.iter_mut().map(|(device, heard)| ((account, *device), heard));
            let copied = contact.copied.iter_mut().map(|(device, heard)| ((own, *device), heard));
            let mut changed = false;
            for (device, heard) in heard.chain(copied).filter(|(_, heard)| due(heard.ask_at)) {
                heard.ask(now);
                changed = true;
                devices.extend(wanted.then_some(device));
            }
            if changed {
                contact.save(&mut self.stage);
            }
        }
        for (device, peer) in self.sessions.iter_mut().filter(|(_, peer)| due(peer.ask_at)) {
            peer.ask_at = None;
            peer.save(device, &mut self.stage);
            devices.push(*device);
        }
        devices.sort_unstable();
        devices.dedup();
        devices.retain(|device| self.contacts.get(&device.0).is_some_and(super::Contact::is_wanted));
        devices.into_iter().for_each(|device| self.ask_again(device, now, rng));
    }

    /// When a device is asked for what is missing: not before what is only late had the time to come, nor too often.
    pub(super) fn gap_due(&self, device: &Device, now: Timestamp, rng: &mut impl CryptoRng) -> Timestamp {
        let asked = self.sessions.get(device).map_or(Timestamp(0), |peer| peer.repaired);
        let least = now.saturating_add(random::between(times::GAP_DELAY, rng));
        least.max(asked.saturating_add(times::REPAIR))
    }

    /// Tells an account our newest manifest, reach key and secret; the other devices hear that it is done.
    fn send_news(&mut self, account: &AccountId, now: Timestamp, rng: &mut impl CryptoRng) {
        let current = self.own.manifest.reference();
        let Some(contact) = self.contacts.get_mut(account) else { return };
        contact.news_at = None;
        let is_behind = (contact.told != Some(current) || contact.owes_secret) && contact.is_wanted();
        contact.told = Some(current);
        contact.owes_secret = false;
        contact.save(&mut self.stage);
        if !is_behind {
            return;
        }
        let news = Body::Update(self.own.introduction());
        if let Some(encoded) = self.signal(account, news, Route::Conversation, now, rng) {
            self.copy_sent(&encoded, now, rng);
        }
    }

    /// Whoever is being written to hears of our devices at once.
    pub(super) fn tell_news_if_behind(&mut self, account: &AccountId, now: Timestamp, rng: &mut impl CryptoRng) {
        let current = self.own.manifest.reference();
        let is_behind = self
            .contacts
            .get(account)
            .is_some_and(|contact| contact.owes_secret || contact.told.is_some_and(|told| told != current));
        if is_behind {
            self.send_news(account, now, rng);
        }
    }

    /// Contacts to whom nothing is said hear of our devices within three days, never all at once (DESIGN §3).
    pub(super) fn spread_news(&mut self, now: Timestamp, rng: &mut impl CryptoRng) {
        let own = self.own.account();
        let current = self.own.manifest.reference();
        for contact in self.contacts.iter_mut() {
            let is_behind = contact.owes_secret || contact.told.is_some_and(|told| told != current);
            if is_behind && contact.account != own && contact.is_wanted() {
                contact.news_at = Some(now.saturating_add(random::between(times::NEWS_DELAY, rng)));
                contact.save(&mut self.stage);
            }
        }
    }

    /// Somebody who is put away goes on sending by the contacts' lane: everybody else gets another secret (FLOWS g). The device with the
    /// lowest number does it, so that two do not do it at once.
    pub(super) fn shut_out(&mut self, lane: u32, now: Timestamp, rng: &mut impl CryptoRng) {
        let is_lowest = self.own.siblings().all(|device| device.id() > self.own.device);
        if is_lowest && self.mailbox.is_of_contacts(lane) && now.since(self.own.rotated) >= times::ROTATION {
            self.own.contacts_secret = DeliverySecret::generate(rng);
            self.secret_replaced(now);
            let news = Body::Update(self.own.introduction());
            self.tell_siblings(news, now, rng);
            self.spread_news(now, rng);
        }
    }

    /// The contacts' secret is another one from now on; contacts hear of it with what is said next, or within three days.
    pub(super) fn secret_replaced(&mut self, now: Timestamp) {
        self.own.rotated = now;
        self.own.save(&mut self.stage);
        let own = self.own.account();
        for contact in self.contacts.iter_mut().filter(|contact| contact.account != own && contact.is_wanted()) {
            contact.owes_secret = true;
            contact.save(&mut self.stage);
        }
    }

    /// Whether something that has this name was taken before.
    pub(super) fn was_seen(&self, key: &EntryKey) -> bool {
        self.seen.contains_key(key)
    }

    pub(super) fn mark_seen(&mut self, author: AccountId, id: waxwing_wire::content::MessageId, now: Timestamp) {
        self.seen.insert((author, id), now);
        let value = crate::store::SecretBytes::new(now.0.to_be_bytes().to_vec());
        self.stage.put(Table::Seen, seen_key(&(author, id)), value);
    }

    fn forget_old_ids(&mut self, now: Timestamp) {
        // Looked at once an hour at most: the set is long.
        if now.since(self.looked_at_ids) < core::time::Duration::from_secs(3_600) {
            return;
        }
        self.looked_at_ids = now;
        let old = self.seen.iter().filter(|(_, at)| now.since(**at) >= times::SEEN).map(|(key, _)| *key);
        let old: Vec<EntryKey> = old.collect();
        for key in old {
            self.seen.remove(&key);
            self.stage.delete(Table::Seen, seen_key(&key));
        }
    }
}

pub(super) fn seen_key((author, id): &EntryKey) -> Vec<u8> {
    author.as_bytes().iter().chain(id.as_bytes()).copied().collect()
}
