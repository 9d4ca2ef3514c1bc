//! What a contact's objects say, once they are verified. Implements spec/20-client.md §20.7.
use core::cmp::Ordering;

use waxwing_wire::{
    content::{ContactCopy, IdentityBlock, Introduction},
    delivery::DeliverySecret,
    history,
    id::AccountId,
    keys::{ReachKey, RecoveryPublicKey},
    keyserver::VerifiedAccount,
    manifest::{Manifest, ManifestIn},
    statement::{GenerationStatement, GenerationStatementIn},
    time::Timestamp,
};

use super::Contact;
use crate::interface::IdentityEvent;

/// An account's objects, verified from the account id down.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) recovery: RecoveryPublicKey,
    pub(crate) statement: GenerationStatement,
    pub(crate) manifest: Manifest,
}

/// What taking objects changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct News {
    /// Other devices than before, by their own word.
    pub(crate) devices: bool,
    /// A higher generation.
    pub(crate) generation: bool,
    /// Two histories were signed.
    pub(crate) fork: bool,
    /// Anything that is to be saved.
    pub(crate) any: bool,
}

impl Objects {
    /// Verifies what a message carries about its sender.
    pub(crate) fn of_block(block: &IdentityBlock, account: &AccountId, now: Timestamp) -> Option<Self> {
        let recovery = RecoveryPublicKey::from_bytes(&block.recovery_key).ok()?;
        Self::verify(recovery, &block.statement, &block.manifest, account, now)
    }

    /// Whose an identity block claims to be: the account that its recovery key commits to.
    pub(crate) fn account_of(block: &IdentityBlock) -> Option<AccountId> {
        Some(RecoveryPublicKey::from_bytes(&block.recovery_key).ok()?.account_id())
    }

    /// Verifies what another own device says about a contact; none if it does not say enough.
    pub(crate) fn of_copy(copy: &ContactCopy, now: Timestamp) -> Option<Self> {
        let recovery = RecoveryPublicKey::from_bytes(&copy.recovery_key?).ok()?;
        Self::verify(recovery, copy.statement.as_deref()?, copy.manifest.as_deref()?, &copy.account, now)
    }

    /// Verifies what a contact, or another own device, says is new; `known` is the statement that it may leave out.
    pub(crate) fn of_introduction(
        introduction: &Introduction,
        recovery: RecoveryPublicKey,
        known: Option<&GenerationStatement>,
        now: Timestamp,
    ) -> Option<Self> {
        let statement = match &introduction.statement {
            Some(bytes) => GenerationStatementIn::decode(bytes).ok()?.verify(&recovery).ok()?,
            None => known?.clone(),
        };
        let manifest = ManifestIn::decode(introduction.manifest.as_deref()?).ok()?.verify(&statement, now).ok()?;
        Some(Self { recovery, statement, manifest })
    }

    fn verify(
        recovery: RecoveryPublicKey,
        statement: &[u8],
        manifest: &[u8],
        account: &AccountId,
        now: Timestamp,
    ) -> Option<Self> {
        if recovery.account_id() != *account {
            return None;
        }
        let statement = GenerationStatementIn::decode(statement).ok()?.verify(&recovery).ok()?;
        let manifest = ManifestIn::decode(manifest).ok()?.verify(&statement, now).ok()?;
        Some(Self { recovery, statement, manifest })
    }
}

impl From<VerifiedAccount> for Objects {
    fn from(account: VerifiedAccount) -> Self {
        let VerifiedAccount { recovery_key, statement, manifest } = account;
        Self { recovery: recovery_key, statement, manifest }
    }
}

impl Contact {
    /// Takes objects from wherever they came: of two manifests the greater counts (spec §11.6.1).
    pub(crate) fn take(&mut self, objects: Objects, now: Timestamp) -> News {
        let Objects { recovery, statement, manifest } = objects;
        let mut news = News::default();
        let Some(known) = &self.manifest else {
            let generation = manifest.content().generation();
            self.accepted_generation.get_or_insert(generation);
            self.log.add(now, IdentityEvent::FirstSeen(generation));
            (self.recovery, self.statement, self.manifest) = (Some(recovery), Some(statement), Some(manifest));
            return News { any: true, ..news };
        };
        news.fork = !self.forked && history::compatible(known, &manifest).is_err();
        self.forked |= news.fork;
        news.any = news.fork;
        if news.fork {
            self.log.add(now, IdentityEvent::Fork);
        }
        if history::precedence(&manifest, known) != Ordering::Greater {
            return news;
        }
        news.any = true;
        news.generation = manifest.content().generation() > known.content().generation();
        news.devices = manifest.content().devices() != known.content().devices();
        self.log.add_change(now, known, &manifest);
        if news.generation {
            self.heard.clear();
            // It beats every branch of the one before.
            self.forked = false;
        }
        // Device ids begin anew with a generation, and a mailbox of a device that is gone takes nothing.
        self.places.retain(|place| !news.generation && manifest.device(place.device).is_some());
        (self.statement, self.manifest) = (Some(statement), Some(manifest));
        news
    }

    /// Whether one of them is new.
    pub(crate) fn take_secrets(&mut self, reach: Option<&ReachKey>, contacts: Option<&DeliverySecret>) -> bool {
        let new_reach = reach.filter(|new| self.reach_key.as_ref().is_none_or(|known| !known.is(new)));
        if let Some(new) = new_reach {
            self.reach_key = Some(ReachKey::from_bytes(new.as_bytes()));
            // What is known of their mailboxes may be old: look.
            self.wanted.reach = true;
        }
        let new_contacts = contacts.filter(|new| self.contacts_secret.as_ref() != Some(new));
        if let Some(new) = new_contacts {
            self.contacts_secret = Some(DeliverySecret::from_bytes(new.expose()));
        }
        new_reach.is_some() || new_contacts.is_some()
    }
}
