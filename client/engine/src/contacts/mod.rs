//! Who this account knows. Implements spec/20-client.md §20.7.
//!
//! ```text
//!  add ──▶ Added ──heard from──▶ Accepted ◀──accept── Asking ◀── a stranger's message
//!                                   │ block               │ ignore, block
//!                                   ▼                     ▼
//!                                Blocked               Ignored
//! ```
//! Invariants: a manifest is kept only verified, and the greater of two counts (spec §11.6.1); nothing is sent under a generation that the
//! person has not accepted (F9); two contacts never have one service id.
//! Not here: asking a key server (`directory`), sessions with their devices (`sessions`).
mod contact;
mod heard;
mod log;
mod news;
mod notes;

use std::collections::BTreeMap;

use waxwing_protocol::ServiceId;
use waxwing_wire::{content::Standing, id::AccountId, link::ContactLink, time::Timestamp};

pub(crate) use self::{
    contact::{Contact, Owed, Place},
    heard::{Counted, Heard, Taken},
    news::Objects,
};
use crate::{convert, interface::CommandError, records, stage::Stage, store::Table};

/// All contacts, requests and blocked accounts.
#[derive(Debug, Default)]
pub(crate) struct Contacts {
    contacts: BTreeMap<AccountId, Contact>,
    /// Signal's structures name an account by its service id.
    by_service_id: BTreeMap<ServiceId, AccountId>,
}

impl Contacts {
    pub(crate) const fn new() -> Self {
        Self { contacts: BTreeMap::new(), by_service_id: BTreeMap::new() }
    }

    pub(crate) fn restore(&mut self, account: AccountId, record: &[u8]) -> Option<()> {
        let contact = Contact::restore(account, &records::decode(record)?)?;
        self.insert(contact)
    }

    /// None if another contact has its service id.
    pub(crate) fn insert(&mut self, contact: Contact) -> Option<()> {
        let (account, service_id) = (contact.account, convert::service_id(&contact.account));
        if self.by_service_id.get(&service_id).is_some_and(|known| *known != account) {
            return None;
        }
        self.by_service_id.insert(service_id, account);
        self.contacts.insert(account, contact);
        Some(())
    }

    pub(crate) fn by_service_id(&self, service_id: &ServiceId) -> Option<&Contact> {
        self.contacts.get(self.by_service_id.get(service_id)?)
    }

    pub(crate) fn get(&self, account: &AccountId) -> Option<&Contact> {
        self.contacts.get(account)
    }

    /// Whoever is known, and was not removed.
    pub(crate) fn known(&self, account: &AccountId) -> Option<&Contact> {
        self.get(account).filter(|contact| contact.standing != Standing::Removed)
    }

    /// As [`Self::known`].
    pub(crate) fn known_mut(&mut self, account: &AccountId) -> Option<&mut Contact> {
        self.get_mut(account).filter(|contact| contact.standing != Standing::Removed)
    }

    pub(crate) fn get_mut(&mut self, account: &AccountId) -> Option<&mut Contact> {
        self.contacts.get_mut(account)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Contact> {
        self.contacts.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Contact> {
        self.contacts.values_mut()
    }

    /// Adds who a link leads to, or takes its news.
    pub(crate) fn add(&mut self, link: &ContactLink, stage: &mut Stage) -> Result<(), CommandError> {
        let account = link.account_id();
        if !self.contacts.contains_key(&account) {
            self.insert(Contact::new(account, Standing::Added)).ok_or(CommandError::ServiceIdTaken)?;
        }
        let contact = self.get_mut(&account).ok_or(CommandError::UnknownContact)?;
        contact.take_link(link);
        match contact.standing {
            // Who takes what we send need not be asked again.
            Standing::Removed if contact.accepted_us => contact.stand(Standing::Accepted),
            Standing::Ignored | Standing::Removed => contact.stand(Standing::Added),
            _ => {}
        }
        // Whoever asked and is added by hand is accepted.
        if contact.standing == Standing::Asking {
            contact.stand(Standing::Accepted);
        }
        contact.save(stage);
        Ok(())
    }

    /// The earliest time at which a contact is to be told something.
    pub(crate) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let times = |contact: &Contact| {
            let asks = contact.heard.values().chain(contact.copied.values()).filter_map(|heard| heard.ask_at);
            asks.chain([contact.news_at, contact.owed.at].into_iter().flatten()).filter(|at| *at > now).min()
        };
        self.contacts.values().filter_map(times).min()
    }
}

pub(crate) fn key(account: &AccountId) -> Vec<u8> {
    account.as_bytes().to_vec()
}

impl Contact {
    /// Has its record written with the next save.
    pub(crate) fn save(&self, stage: &mut Stage) {
        stage.contact_changed(self.account);
    }

    /// Writes its record.
    pub(crate) fn put(&self, stage: &mut Stage) {
        stage.put_message(Table::Contact, key(&self.account), &self.record());
    }
}
