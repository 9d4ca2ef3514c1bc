//! What is asked of key servers about others. Implements spec/20-client.md §20.7.
//!
//! Invariants: one anonymous connection for each account that is asked about; nothing is asked because of somebody who is not wanted here.
use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;
use waxwing_wire::{
    address::ServerAddress,
    id::{AccountId, DeviceId},
    keyserver::{FetchAccount, FetchBundles, FetchReach, KeyserverRequest},
    manifest::Device,
    time::Timestamp,
};

use super::Engine;
use crate::{
    contacts::Objects,
    interface::{Event, IdentityChange, Link, Purpose},
    task::Task,
    times,
};

/// Devices that a bundle is needed for.
pub(super) type Bundles = BTreeMap<AccountId, BTreeSet<DeviceId>>;

impl Engine {
    /// Notes that an account is to be looked at anew.
    pub(super) fn want(&mut self, account: &AccountId, objects: bool, reach: bool) {
        if let Some(contact) = self.contacts.get_mut(account) {
            contact.wanted.account |= objects;
            contact.wanted.reach |= reach;
        }
    }

    pub(super) fn want_no_more(&mut self, account: &AccountId, objects: bool) {
        if let Some(contact) = self.contacts.get_mut(account) {
            if objects {
                contact.wanted.account = false;
            } else {
                contact.wanted.reach = false;
            }
        }
    }

    /// Asks what is missing, for those only that the person wants to talk to.
    pub(super) fn look_up(&mut self, bundles: &Bundles, now: Timestamp) {
        let wanted = self.contacts.iter().filter(|contact| {
            let wanted = contact.wanted.account || contact.wanted.reach || contact.manifest.is_none();
            contact.is_wanted() && (wanted || bundles.contains_key(&contact.account))
        });
        let wanted: Vec<(AccountId, Option<ServerAddress>)> =
            wanted.map(|contact| (contact.account, contact.key_server().cloned())).collect();
        for (account, server) in wanted {
            let allowed = |server: &ServerAddress| self.settings.allow_private_servers || server.is_public();
            let Some(server) = server.filter(allowed) else { continue };
            let link = Link { server: *server.key().as_bytes(), purpose: Purpose::Directory(account) };
            if let Some((task, request)) = self.next_question(&account, bundles)
                && !self.asks(&account)
                && self.links.may(link, &server, &task, now, &mut self.stage)
            {
                self.links.ask_keyserver(link, task, request, now, &mut self.stage);
            }
        }
    }

    fn asks(&self, account: &AccountId) -> bool {
        let tasks = [Task::FetchAccount(*account), Task::FetchReach(*account), Task::FetchBundles(*account)];
        tasks.iter().any(|task| self.links.is_asked(task))
    }

    /// Objects first, since everything else is verified under them.
    fn next_question(&self, account: &AccountId, bundles: &Bundles) -> Option<(Task, KeyserverRequest)> {
        let contact = self.contacts.get(account)?;
        if contact.manifest.is_none() || contact.wanted.account {
            let request = KeyserverRequest::FetchAccount(FetchAccount { account: *account });
            return Some((Task::FetchAccount(*account), request));
        }
        if contact.wanted.reach {
            let request = KeyserverRequest::FetchReach(FetchReach { account: *account });
            return Some((Task::FetchReach(*account), request));
        }
        let devices = bundles.get(account)?.iter().copied().collect();
        let request = KeyserverRequest::FetchBundles(FetchBundles::new(*account, devices)?);
        Some((Task::FetchBundles(*account), request))
    }

    /// Takes verified objects of an account, and tells what they change.
    pub(super) fn take_objects(
        &mut self,
        account: &AccountId,
        objects: Objects,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) {
        if *account == self.own.account() {
            return self.take_own_objects(objects, now, rng);
        }
        let Some(contact) = self.contacts.get_mut(account) else { return };
        let before = contact.manifest.as_ref().map(|manifest| manifest.content().generation());
        let news = contact.take(objects, now);
        if !news.any {
            return;
        }
        contact.save(&mut self.stage);
        let manifest = contact.manifest.clone();
        let is_shown = contact.is_wanted();
        if let (true, Some(from), Some(manifest)) = (news.generation, before, &manifest) {
            // Sessions with devices of a generation that is over are void, as is what waits for them.
            self.forget_devices(account, |_| false);
            let to = manifest.content().generation();
            let change = IdentityChange { account: *account, from, to };
            self.want(account, false, true);
            if is_shown {
                self.stage.notify(Event::IdentityChanged(change));
            }
        } else if let (true, Some(manifest)) = (news.devices, &manifest) {
            self.forget_devices(account, |device| manifest.device(device).is_some());
            self.want(account, false, true);
            if is_shown {
                self.stage.notify(Event::DevicesChanged { account: *account });
            }
        }
        if news.fork && is_shown {
            self.stage.notify(Event::Fork { account: *account });
        }
        if manifest.is_some_and(|manifest| manifest.content().is_final()) {
            self.give_up(account, crate::interface::FailReason::AccountDeleted);
        }
        if !self.quiet {
            self.copy_contact(account, now, rng);
        }
    }

    /// This account's own manifest, as another device or the key server has it.
    fn take_own_objects(&mut self, objects: Objects, now: Timestamp, rng: &mut impl CryptoRng) {
        let own = self.own.account();
        let Objects { statement, manifest, .. } = objects;
        let known = &self.own.manifest;
        if waxwing_wire::history::compatible(known, &manifest).is_err() {
            self.stage.notify(Event::Fork { account: own });
        }
        if waxwing_wire::history::precedence(&manifest, known) == core::cmp::Ordering::Greater {
            self.own.statement = statement;
            let known: Vec<DeviceId> = known.content().devices().iter().map(Device::id).collect();
            let listed = manifest.content().devices().iter().map(Device::id);
            let joined: Vec<DeviceId> = listed.filter(|id| !known.contains(id)).collect();
            // What was said here meanwhile was copied to those that were known.
            let since = manifest.issued().saturating_sub(times::BEFORE_JOINING);
            self.take_own_manifest(manifest);
            self.outbox.copies_again(&own, &joined, since, &mut self.stage);
            self.want(&own, false, true);
            self.spread_news(now, rng);
        }
    }
}
