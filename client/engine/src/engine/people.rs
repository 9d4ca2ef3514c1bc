//! What the person notes of people, and asks about them. Implements spec/20-client.md §20.7.
//!
//! Invariants: nothing here is told to any server or contact; own devices follow by copies (spec §16.7).
use rand_core::CryptoRng;
use waxwing_wire::{
    content::{ContactName, Standing},
    id::AccountId,
    manifest::Device,
    time::Timestamp,
};

use super::{Contact, Engine};
use crate::interface::{
    CommandError, ContactView, FailReason, IdentityChange, IdentityEvent, LinkId, SafetyNumber, Verification,
};

impl Engine {
    pub(super) fn rename(
        &mut self,
        account: &AccountId,
        name: Option<ContactName>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        let news = self.noted(account)?.notes.name.set(name);
        self.follow(account, news, now, rng);
        Ok(())
    }

    pub(super) fn mute(
        &mut self,
        account: &AccountId,
        until: Option<Timestamp>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        let news = self.noted(account)?.notes.muted_until.set(until);
        self.follow(account, news, now, rng);
        Ok(())
    }

    pub(super) fn set_verified(
        &mut self,
        account: &AccountId,
        verification: Verification,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        let contact = self.noted(account)?;
        let (value, event) = match verification {
            Verification::Unverified => (None, IdentityEvent::Unverified),
            Verification::Verified => {
                let manifest = contact.manifest.as_ref().ok_or(CommandError::NothingKnown)?;
                if contact.forked {
                    return Err(CommandError::Forked);
                }
                (Some(manifest.content().generation()), IdentityEvent::Verified)
            }
        };
        let news = contact.notes.verified.set(value);
        if news {
            contact.log.add(now, event);
        }
        self.follow(account, news, now, rng);
        Ok(())
    }

    /// Takes somebody off the contacts; what they write next is a request.
    pub(super) fn remove(
        &mut self,
        account: &AccountId,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        self.noted(account)?.stand(Standing::Removed);
        self.remove_here(account);
        self.copy_contact(account, now, rng);
        Ok(())
    }

    /// They are removed, here or on another device. Sessions and keys stay: what they write next comes by them, and without them it
    /// could only be put aside as unreadable.
    pub(super) fn remove_here(&mut self, account: &AccountId) {
        self.give_up(account, FailReason::Removed);
        if let Some(contact) = self.contacts.get_mut(account) {
            contact.forget();
            contact.save(&mut self.stage);
        }
    }

    pub(super) fn revoke_link(
        &mut self,
        link: LinkId,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        if !self.mailbox.revoke(link, now, &mut self.stage) {
            return Err(CommandError::UnknownLink);
        }
        self.tell_links(now, rng);
        Ok(())
    }

    /// Somebody was accepted: a link that was made for one person has served.
    pub(super) fn link_served(&mut self, account: &AccountId, now: Timestamp, rng: &mut impl CryptoRng) {
        let lane = self.contacts.get(account).map_or(0, |contact| contact.came_by);
        if self.mailbox.served(lane, &mut self.stage) {
            self.tell_links(now, rng);
        }
    }

    /// Whoever something may be noted of.
    fn noted(&mut self, account: &AccountId) -> Result<&mut Contact, CommandError> {
        if *account == self.own.account() {
            return Err(CommandError::OwnAccount);
        }
        self.contacts.known_mut(account).ok_or(CommandError::UnknownContact)
    }

    /// What changed is saved, and the other devices hear of it.
    fn follow(&mut self, account: &AccountId, news: bool, now: Timestamp, rng: &mut impl CryptoRng) {
        let Some(contact) = self.contacts.get(account).filter(|_| news) else { return };
        contact.save(&mut self.stage);
        self.copy_contact(account, now, rng);
    }

    /// What is known of somebody; none if they are not known, or were removed.
    #[must_use]
    pub fn contact(&self, account: &AccountId) -> Option<ContactView> {
        let others = Some(account).filter(|account| **account != self.own.account())?;
        Some(self.contacts.known(others)?.view(self.own.newest))
    }

    /// Everybody that is known, by account.
    pub fn contact_views(&self) -> impl Iterator<Item = ContactView> {
        let known = self.contacts().map(|(account, _)| account);
        known.filter_map(|account| self.contact(&account))
    }

    /// What the person and somebody else compare; none as long as nothing verified is known of them. It takes 10,400 hashes.
    #[must_use]
    pub fn safety_number(&self, account: &AccountId) -> Option<SafetyNumber> {
        let others = Some(account).filter(|account| **account != self.own.account())?;
        SafetyNumber::between(&self.own.recovery, self.contacts.known(others)?.recovery.as_ref()?)
    }
}

impl Contact {
    fn view(&self, now: Timestamp) -> ContactView {
        let manifest = self.manifest.as_ref();
        let place = manifest.map(|manifest| manifest.content());
        let change = self.unaccepted_generation();
        ContactView {
            account: self.account,
            name: self.notes.name.value().clone(),
            standing: self.standing,
            accepted_us: self.accepted_us,
            verification: if self.is_verified() { Verification::Verified } else { Verification::Unverified },
            muted_until: *self.notes.muted_until.value(),
            generation: place.map(|content| content.generation()),
            sequence: place.map(|content| content.sequence()),
            devices: self.devices().iter().map(Device::id).collect(),
            identity_change: change.map(|(from, to)| IdentityChange { account: self.account, from, to }),
            forked: self.forked,
            deleted: self.is_deleted(),
            expires: manifest.map(|manifest| manifest.expires()),
            stale: manifest.is_some_and(|manifest| now >= manifest.expires()),
            log: self.log.entries().to_vec(),
        }
    }
}
