//! From an envelope to a relay that has it on stable storage. Implements spec/20-client.md §20.11.
//!
//! ```text
//! key refused ─▶ look the account up ─▶ device moved: there │ gone: dropped by the manifest │ as before: by the strangers' lane, with work
//! ```
use rand_core::CryptoRng;
use waxwing_wire::{
    address::ServerAddress,
    frame::{ErrorCode, ServerError, Work},
    id::DeliveryId,
    padding::Envelope,
    pow::Puzzle,
    relay::{Credential, Put, RelayReply, RelayRequest, Ttl},
    time::Timestamp,
};

use super::Engine;
use crate::{
    interface::{Link, Purpose, State},
    outbox::{EntryKey, Route},
    random,
    task::{Destination, Task},
    times,
};

/// Puts without an answer on one connection.
const IN_FLIGHT: usize = 64;

impl Engine {
    pub(super) fn put_sealed(&mut self, now: Timestamp) {
        let mut asked = 0_usize;
        for destination in self.outbox.destinations() {
            if self.links.is_asked(&Task::Put(destination)) {
                asked = asked.saturating_add(1);
                continue;
            }
            if asked >= IN_FLIGHT {
                break;
            }
            if self.is_stale_opening(&destination, now) {
                self.begin_anew(&destination);
                continue;
            }
            if self.redirect(&destination, now) && self.put(&destination, now) {
                asked = asked.saturating_add(1);
            }
        }
    }

    /// An opening that did not leave for a day names prekeys that may be gone when it arrives.
    fn is_stale_opening(&self, destination: &Destination, now: Timestamp) -> bool {
        let envelope = self.outbox.envelope(destination);
        envelope.is_some_and(|envelope| envelope.opening && now.since(envelope.made) >= times::UNSENT_OPENING)
    }

    fn begin_anew(&mut self, destination: &Destination) {
        let device = (destination.account, destination.device);
        if let Some(peer) = self.sessions.get_mut(&device) {
            peer.renew = true;
            peer.save(&device, &mut self.stage);
        }
        self.outbox.unseal(destination, &mut self.stage);
    }

    /// After a refusal: follows the device to where it is now. Whether the envelope may go.
    fn redirect(&mut self, destination: &Destination, now: Timestamp) -> bool {
        let Some(contact) = self.contacts.get(&destination.account) else { return false };
        if contact.is_deleted() || !contact.is_wanted() || contact.unaccepted_generation().is_some() {
            return false;
        }
        let place = contact.place(destination.device).cloned();
        let looking = contact.wanted.account || contact.wanted.reach;
        let Some(envelope) = self.outbox.envelope_mut(destination) else { return false };
        if !envelope.refused {
            return true;
        }
        if looking || !self.links.is_due(&Task::Put(*destination), now) {
            return false;
        }
        envelope.refused = false;
        match place {
            Some(place) if place.mailbox != envelope.mailbox => {
                (envelope.server, envelope.mailbox, envelope.by_work) = (place.server, place.mailbox, false);
            }
            // The key is no longer theirs: the lane of those who pay.
            _ => envelope.by_work = true,
        }
        envelope.save_again(destination, &mut self.stage);
        true
    }

    /// Whether it was asked, or is being prepared.
    fn put(&mut self, destination: &Destination, now: Timestamp) -> bool {
        let Some(envelope) = self.outbox.envelope(destination) else { return false };
        let (server, mailbox) = (envelope.server.clone(), envelope.mailbox);
        let Some(link) = self.link_for(destination, &server) else { return false };
        let by = if envelope.by_work {
            match self.work(link, destination, now) {
                Some(work) => Credential::Work(work),
                None => return true,
            }
        } else {
            let contact = self.contacts.get(&destination.account);
            match contact.and_then(|contact| contact.delivery_key(&mailbox)) {
                Some(key) => Credential::Key(key),
                None => {
                    if let Some(envelope) = self.outbox.envelope_mut(destination) {
                        envelope.by_work = true;
                    }
                    return self.put(destination, now);
                }
            }
        };
        let task = Task::Put(*destination);
        if !self.links.may(link, &server, &task, now, &mut self.stage) {
            return false;
        }
        let Some(envelope) = self.outbox.envelope(destination) else { return false };
        let Ok(bytes) = Envelope::new(envelope.envelope.clone()) else { return false };
        let put = Put { mailbox, delivery: envelope.delivery, ttl: Ttl::Fortnight, by, envelope: bytes };
        self.links.ask_relay(link, task, RelayRequest::Put(put), now, &mut self.stage);
        true
    }

    /// A proof of work for a put; none while it is being found.
    fn work(&mut self, link: Link, destination: &Destination, now: Timestamp) -> Option<Work> {
        let envelope = self.outbox.envelope(destination)?;
        let server: ServerAddress = envelope.server.clone();
        let (Some(price), nonce) = (envelope.price, envelope.nonce) else {
            let task = Task::PutInfo(*destination);
            let waits = !self.links.is_due(&Task::Put(*destination), now);
            if !waits && self.links.may(link, &server, &task, now, &mut self.stage) {
                self.links.ask_relay(link, task, RelayRequest::Info, now, &mut self.stage);
            }
            return None;
        };
        if let Some(nonce) = nonce {
            return Some(Work { challenge: price.challenge, nonce });
        }
        let task = Task::PutWork(*destination);
        if self.links.is_due(&task, now) {
            let hash = Envelope::new(envelope.envelope.clone()).ok()?.hash();
            let puzzle = Puzzle::put(&price.challenge, &envelope.mailbox, &hash, price.strangers);
            self.links.ask_work(task, puzzle, now, &mut self.stage);
        }
        None
    }

    /// Copies on our own relay go by the owner's connection, which is one of ours already; everything else by an anonymous one.
    pub(super) fn link_for(&self, destination: &Destination, server: &ServerAddress) -> Option<Link> {
        let key: EntryKey = (destination.conversation, destination.id);
        let is_ours = destination.account == self.own.account();
        let purpose = if is_ours && server.key() == self.own.relay.key() {
            Purpose::Owner(self.mailbox.id())
        } else if self.outbox.get(&key)?.route == Route::Receipts {
            Purpose::Receipts(destination.account)
        } else {
            Purpose::Conversation(destination.account)
        };
        Some(Link { server: *server.key().as_bytes(), purpose })
    }

    pub(super) fn on_put_info(
        &mut self,
        destination: Destination,
        result: Result<RelayReply, ServerError>,
    ) -> Result<(), ServerError> {
        match (result, self.outbox.envelope_mut(&destination)) {
            (Ok(RelayReply::Info(info)), Some(envelope)) => {
                envelope.price = Some(info.price);
                Ok(())
            }
            (Err(error), _) => Err(error),
            (Ok(RelayReply::Info(_)), None) => Ok(()),
            (Ok(_), _) => Err(ErrorCode::Unexpected.into()),
        }
    }

    pub(super) fn on_put(
        &mut self,
        destination: Destination,
        result: Result<(), ServerError>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), ServerError> {
        let mut error = match result {
            Ok(()) => {
                if self.outbox.accepted(&destination, now, &mut self.stage) {
                    self.tell_sent(&(destination.conversation, destination.id));
                }
                return Ok(());
            }
            Err(error) => error,
        };
        let Some(envelope) = self.outbox.envelope_mut(&destination) else { return Ok(()) };
        match error.code {
            ErrorCode::Refused => {
                envelope.refused = true;
                self.want(&destination.account, true, true);
            }
            // Somebody used the id, by chance or not: another one.
            ErrorCode::DeliveryConflict => {
                envelope.delivery = DeliveryId::from_bytes(random::bytes(rng));
                envelope.save_again(&destination, &mut self.stage);
                return Ok(());
            }
            ErrorCode::WorkRequired => (envelope.price, envelope.nonce) = (None, None),
            // The relay says when something in it ends; its owner may fetch it long before.
            ErrorCode::LaneFull => error.retry_after = error.retry_after.map(|after| after.min(times::LANE_FULL)),
            _ => {}
        }
        Err(error)
    }

    pub(super) fn tell_sent(&mut self, key: &EntryKey) {
        if self.outbox.get(key).is_some_and(|entry| entry.awaits_receipt && !entry.delivered) {
            self.set_state(&key.0, key.1, State::Sent);
        }
    }
}
