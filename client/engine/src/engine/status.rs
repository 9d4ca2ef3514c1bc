//! What a person can ask about this device. Implements spec/20-client.md §20.15.
//!
//! Invariant: a question changes nothing, and asks no server.
use waxwing_wire::{
    id::{AccountId, Sequence},
    time::Timestamp,
};

use super::Engine;
use crate::{
    interface::{ConnectionState, ConnectionView, Health, Link, OwnDevice, Purpose, WaitReason, Waiting},
    outbox::{EntryKey, SealedEnvelope, Target, TargetState, destination},
    sessions::Device,
    task::{Destination, Task},
};

/// A reason, and when something is tried next.
type Reason = (WaitReason, Option<Timestamp>);

impl Engine {
    /// Every message of the person's that is not yet at all relays of its recipient, oldest first, and why.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        let now = self.own.newest;
        let messages = self.outbox.open_messages();
        messages
            .map(|((conversation, id), targets)| {
                let key = (*conversation, *id);
                let open = targets.filter(|(_, target)| target.state != TargetState::Done);
                let reasons = open.map(|(device, target)| self.why_target(&key, device, target, now));
                // Those devices count that are furthest behind.
                let (reason, next_try) = reasons.min().unwrap_or_else(|| self.why_account(conversation, now));
                Waiting { conversation: key.0, id: key.1, reason, next_try }
            })
            .collect()
    }

    /// How it goes with finding out who an account is: why nothing is known yet, and when a server is asked next.
    #[must_use]
    pub fn lookup(&self, account: &AccountId) -> (WaitReason, Option<Timestamp>) {
        self.why_account(account, self.own.newest)
    }

    /// The connections of this device: those that are up, and those that were of use lately.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionView> {
        self.links.views()
    }

    /// How this device is.
    #[must_use]
    pub fn health(&self) -> Health {
        let devices = self.own.manifest.content().devices().iter().map(|device| OwnDevice {
            device: device.id(),
            is_this: device.id() == self.own.device,
            is_primary: device.joined() == Sequence(0),
        });
        Health {
            mailbox_ready: self.mailbox.is_ready(),
            registered: self.is_registered(),
            prekeys: self.prekeys.counts(),
            manifest_expires: self.own.manifest.expires(),
            clock_skew: self.skew,
            quarantined: self.quarantined,
            open_links: self.mailbox.open_links(self.own.newest),
            devices: devices.collect(),
            receipts: self.own.receipts,
        }
    }

    /// Why nothing can be said to any device of an account.
    fn why_account(&self, account: &AccountId, now: Timestamp) -> Reason {
        let account = *account;
        let Some(contact) = self.contacts.get(&account) else { return (WaitReason::NoServer, None) };
        if contact.unaccepted_generation().is_some() {
            return (WaitReason::IdentityChange, None);
        }
        if contact.manifest.is_none() || contact.wanted.account {
            return self.why_asked(account, Task::FetchAccount(account), WaitReason::LookingUp, now);
        }
        self.why_asked(account, Task::FetchReach(account), WaitReason::LookingUp, now)
    }

    /// Why something is not at the relay of one device.
    fn why_target(&self, key: &EntryKey, device: &Device, target: &Target, now: Timestamp) -> Reason {
        let account = device.0;
        let Some(contact) = self.contacts.get(&account).filter(|contact| contact.manifest.is_some()) else {
            return self.why_account(&account, now);
        };
        if contact.unaccepted_generation().is_some() {
            return (WaitReason::IdentityChange, None);
        }
        if target.state == TargetState::Sealed {
            return self.why_sealed(&destination(key, device), now);
        }
        if target.not_before > now {
            return (WaitReason::Scheduled, Some(target.not_before));
        }
        if contact.place(device.1).is_none() {
            let reason = if contact.wanted.account { WaitReason::LookingUp } else { WaitReason::NoMailbox };
            return self.why_asked(account, Task::FetchReach(account), reason, now);
        }
        if let Some(ahead) = self.outbox.ahead(device) {
            return self.why_sealed(ahead, now);
        }
        self.why_asked(account, Task::FetchBundles(account), WaitReason::NoKeys, now)
    }

    /// Something is being asked of a key server about an account: how that goes. `answered` is the reason once it answers and says no.
    fn why_asked(&self, account: AccountId, task: Task, answered: WaitReason, now: Timestamp) -> Reason {
        let server = self.contacts.get(&account).and_then(|contact| contact.key_server());
        let allowed =
            |server: &&waxwing_wire::address::ServerAddress| self.settings.allow_private_servers || server.is_public();
        let Some(server) = server.filter(allowed) else { return (WaitReason::NoServer, None) };
        let link = Link { server: *server.key().as_bytes(), purpose: Purpose::Directory(account) };
        if let Some(ConnectionState::Down { next_try }) = self.links.state(&link) {
            return (WaitReason::KeyserverUnreachable, Some(next_try));
        }
        match (answered, self.links.waits_until(&task, now)) {
            (WaitReason::NoMailbox, None) => (WaitReason::LookingUp, None),
            (WaitReason::LookingUp, Some(until)) => (WaitReason::KeyserverUnreachable, Some(until)),
            (reason, until) => (reason, until),
        }
    }

    /// An envelope is there: why the relay has not taken it.
    fn why_sealed(&self, destination: &Destination, now: Timestamp) -> Reason {
        let Some(envelope) = self.outbox.envelope(destination) else { return (WaitReason::Sending, None) };
        let task = Task::Put(*destination);
        let until = self.links.waits_until(&task, now);
        if envelope.refused {
            return (WaitReason::Refused, until);
        }
        let state = self.link_for(destination, &envelope.server).and_then(|link| self.links.state(&link));
        match state {
            Some(ConnectionState::Down { next_try }) => (WaitReason::RelayUnreachable, Some(next_try)),
            _ if until.is_some() => (WaitReason::RelayBusy, until),
            Some(ConnectionState::Up { .. }) if is_working(envelope) => (WaitReason::ProvingWork, None),
            Some(ConnectionState::Up { .. }) => (WaitReason::Sending, None),
            Some(ConnectionState::Connecting { .. }) | None => (WaitReason::Connecting, None),
        }
    }
}

const fn is_working(envelope: &SealedEnvelope) -> bool {
    envelope.by_work && envelope.nonce.is_none()
}
