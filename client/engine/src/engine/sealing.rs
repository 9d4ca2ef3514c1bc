//! From a content to an envelope for one device. Implements spec/20-client.md §20.10.
//!
//! Invariants: nothing is sealed for a device that no believed manifest lists, nor under a generation that the person has not accepted; the
//! ratchet step and the envelope are in one batch.
use std::collections::BTreeSet;

use rand_core::CryptoRng;
use waxwing_protocol::{SealError, sealed};
use waxwing_wire::{
    content::Content,
    id::{AccountId, DeliveryId},
    manifest::Device as Listing,
    padding::EnvelopeSize,
    time::Timestamp,
};

use super::{Engine, directory::Bundles};
use crate::{
    convert,
    outbox::{Audience, EntryKey, Listed, Route, SealedEnvelope},
    random,
    sessions::{self, Device},
    times,
};

impl Engine {
    /// Seals what waits and can be sealed; returns the devices that need a bundle first.
    pub(super) fn seal_waiting(&mut self, now: Timestamp, rng: &mut impl CryptoRng) -> Bundles {
        self.follow_manifests(now, rng);
        let mut bundles = Bundles::new();
        let mut not_yet = BTreeSet::new();
        for (key, device) in self.outbox.due(now) {
            if not_yet.contains(&device) {
                continue;
            }
            match self.seal(&key, device, now, rng) {
                Ok(envelope) => self.outbox.sealed(&key, device, envelope, &mut self.stage),
                Err(NotYet::This) => {}
                Err(NotYet::Device(why)) => {
                    not_yet.insert(device);
                    match why {
                        Lack::Bundle => {
                            bundles.entry(device.0).or_default().insert(device.1);
                        }
                        Lack::Place => self.want(&device.0, false, true),
                        Lack::Objects | Lack::Leave => {}
                    }
                }
            }
        }
        bundles
    }

    /// The devices of entries follow the manifests.
    fn follow_manifests(&mut self, now: Timestamp, rng: &mut impl CryptoRng) {
        let (own, contacts) = (&self.own, &self.contacts);
        let listed = |account: &AccountId| {
            let contact = contacts.get(account);
            let siblings = own.siblings().filter(|_| *account == own.account());
            Listed {
                known: contact.is_some_and(|contact| contact.manifest.is_some()),
                devices: contact.map_or(&[][..], super::Contact::devices).iter().map(Listing::id).collect(),
                siblings: siblings.map(Listing::id).collect(),
            }
        };
        for key in self.outbox.take_uncompared(listed) {
            self.bring_up_to_date(&key, now, rng);
            if self.outbox.settle(&key, now, &mut self.stage) {
                self.tell_sent(&key);
            }
        }
    }

    fn bring_up_to_date(&mut self, key: &EntryKey, now: Timestamp, rng: &mut impl CryptoRng) {
        let Some(entry) = self.outbox.get(key) else { return };
        let own = self.own.account();
        let contacts = &self.contacts;
        let of = |account: AccountId| contacts.get(&account).map_or(&[][..], super::Contact::devices);
        // That a receipt is being sent is said to the other devices at once, so that they do not send another.
        let (receipt_delay, copy_delay) = match entry.route {
            Route::Receipts => (Some(times::RECEIPT_AFTER_COPY), None),
            Route::Conversation => (None, Some(times::COPY_DELAY)),
        };
        let (devices, delay): (Vec<Device>, _) = match entry.audience {
            Audience::Peer => (of(key.0).iter().map(|device| (key.0, device.id())).collect(), receipt_delay),
            Audience::Siblings => (self.own.siblings().map(|device| (own, device.id())).collect(), copy_delay),
            Audience::Named => (Vec::new(), None),
        };
        let known = self.contacts.get(&key.0).is_some_and(|contact| contact.manifest.is_some());
        let listed = |device: &Device| !known || of(device.0).iter().any(|listed| listed.id() == device.1);
        let not_before = || delay.map_or(Timestamp(0), |delay| now.saturating_add(random::between(delay, rng)));
        self.outbox.reconcile(key, &devices, listed, not_before, &mut self.stage);
    }

    fn seal(
        &mut self,
        key: &EntryKey,
        device: Device,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<SealedEnvelope, NotYet> {
        let (account, id) = device;
        let contact = self.contacts.get(&account).ok_or(Lack::Objects)?;
        if !contact.is_wanted() || contact.unaccepted_generation().is_some() || contact.is_deleted() {
            return Err(Lack::Leave.into());
        }
        // Nobody believes a device whose manifest has expired: it waits for the renewed one.
        if self.own.manifest.expires() <= now {
            return Err(Lack::Leave.into());
        }
        let listed = contact.manifest.as_ref().ok_or(Lack::Objects)?.device(id).ok_or(Lack::Leave)?;
        let listed = listed.keys().identity;
        let place = contact.place(id).cloned().ok_or(Lack::Place)?;
        let peer = self.sessions.entry(device);
        let recipient = peer.identity(&listed).ok_or(Lack::Leave)?;
        if !peer.is_usable(now) {
            return Err(Lack::Bundle.into());
        }
        let opening = !peer.session.is_acknowledged();
        let entry = self.outbox.get(key).ok_or(NotYet::This)?;
        let plaintext = if opening { self.own.with_identity(&entry.content) } else { Some(entry.content.clone()) };
        let plaintext = plaintext.ok_or(NotYet::This)?;
        let step = match peer.session.seal(&plaintext, convert::time(now), rng) {
            Ok(step) => step,
            Err(SealError::NoSession | SealError::UnacknowledgedTooLong | SealError::ChainExhausted) => {
                peer.renew = true;
                peer.save(&device, &mut self.stage);
                return Err(Lack::Bundle.into());
            }
            Err(_) => return Err(NotYet::This),
        };
        let certificate = self.own.certificate(rng).ok_or(Lack::Leave)?.clone();
        let content =
            sealed::Content::of_session(&certificate, step.message()).with_hint(sealed::ContentHint::Resendable);
        let smallest = sealed::EnvelopeSize::smallest_for(content.unpadded_len()).ok_or(NotYet::This)?;
        let smallest = EnvelopeSize::exactly(smallest.bytes()).ok_or(NotYet::This)?;
        // Until it is acknowledged and for three answers, every message is as large as the opening.
        let size = match peer.opening {
            Some(size) if opening || peer.answers_left > 0 => size.max(smallest),
            _ => smallest,
        };
        let padded = content.with_padding(sealed::Padding::To(convert::size(size)));
        self.agreements.keep(&self.own.identity, &recipient);
        let sealed = padded.seal_fan_out_with(&self.own.identity, &[recipient], &self.agreements, rng);
        let sealed = sealed.map_err(|_| NotYet::This)?;
        let envelope = sealed.envelope(0).ok_or(NotYet::This)?;
        sessions::write(&device, &step.delta(), &mut self.stage);
        let _ = step.commit();
        if opening {
            peer.opening.get_or_insert(size);
        } else {
            peer.answers_left = peer.answers_left.saturating_sub(1);
        }
        // Whatever is said acknowledges what they began.
        peer.answer_at = None;
        peer.save(&device, &mut self.stage);
        Ok(SealedEnvelope {
            server: place.server,
            mailbox: place.mailbox,
            delivery: DeliveryId::from_bytes(random::bytes(rng)),
            envelope,
            made: now,
            opening,
            by_work: false,
            price: None,
            nonce: None,
            refused: false,
        })
    }
}

/// Why something is not sealed yet.
#[derive(Clone, Copy, Debug)]
enum NotYet {
    /// It is the same for everything that waits for this device.
    Device(Lack),
    /// It is this content; what comes after it may go.
    This,
}

/// What a device lacks.
#[derive(Clone, Copy, Debug)]
enum Lack {
    /// Nothing verified is known of the account.
    Objects,
    /// Where the device takes messages is not known.
    Place,
    /// There is no session.
    Bundle,
    /// The person decides first, or the device is gone.
    Leave,
}

impl From<Lack> for NotYet {
    fn from(lack: Lack) -> Self {
        Self::Device(lack)
    }
}

impl crate::own::Own {
    /// A content with this account's identity block, for who has not acknowledged the session.
    fn with_identity(&self, content: &[u8]) -> Option<Vec<u8>> {
        let mut content = Content::decode(content).ok()?;
        content.identity = Some(self.identity_block());
        content.encode().ok()
    }
}
