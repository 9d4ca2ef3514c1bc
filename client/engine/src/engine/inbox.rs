//! From a push to an ack. Implements spec/20-client.md §20.13.
//!
//! ```text
//! envelope ─open seal─▶ who claims to have sent it ─▶ known device: certificate, session │ unknown: session, then the identity block inside
//!        ─▶ content ─▶ what it does ─▶ saved ─▶ acked
//!        └▶ cannot be opened ─▶ quarantine ─▶ saved ─▶ acked; the session is begun anew
//! ```
//! Invariants: nothing changes for what is not authentic, but for the quarantine; no server is asked because of somebody who is not wanted;
//! whatever was dealt with is acked, so that nothing clogs the mailbox.
use rand_core::CryptoRng;
use waxwing_protocol::{
    AcceptError, OpenError, PreKeySignalMessage, RespondError, Session,
    sealed::{self, ContentIn, Message, OwnDevice, SealedMessage, Trust},
};
use waxwing_wire::{
    content::{Body, Content, IdentityBlock, Resend, Standing},
    id::{AccountId, DeviceId},
    keys::CertificatePublicKey,
    padding::EnvelopeSize,
    relay::{BacklogEnd, Delivery, OnlineDelivery, RelayPush},
    time::Timestamp,
};

use super::Engine;
use crate::{
    contacts::{Contact, Objects},
    convert,
    interface::{Event, Link, Purpose},
    random,
    sessions::{self, Device},
    store::{SecretBytes, Table},
    times,
};

/// Envelopes that could not be opened and are kept.
const MOST_QUARANTINED: u32 = 100;

/// What came of an envelope.
enum Outcome {
    /// A content of an authenticated device.
    Content { from: Device, content: Box<Content>, hash: waxwing_wire::content::ChainHash, encoded: Vec<u8>, lane: u32 },
    /// Opened before, or from somebody whose messages are dropped.
    Nothing,
    /// It cannot be opened; by whom it claims to be, if that is a device known here.
    Unreadable(Option<Device>),
}

impl Engine {
    pub(super) fn on_push(&mut self, link: Link, push: RelayPush, now: Timestamp, rng: &mut impl CryptoRng) {
        if link.purpose != Purpose::Owner(self.mailbox.id()) {
            return;
        }
        match push {
            RelayPush::Delivery(Delivery { sequence, lane, envelope, .. }) => {
                if !self.mailbox.is_known(sequence.0) {
                    self.take_envelope(envelope.as_bytes(), lane.0, now, rng);
                    self.mailbox.dealt_with(sequence.0);
                }
            }
            RelayPush::OnlineDelivery(OnlineDelivery { lane, envelope }) => {
                self.take_envelope(envelope.as_bytes(), lane.0, now, rng);
            }
            RelayPush::LaneFull(_) => self.stage.notify(Event::MailboxFull),
            RelayPush::Superseded => self.mailbox.unsubscribed(),
            RelayPush::BacklogEnd(BacklogEnd { sequence }) => self.mailbox.backlog_ended(sequence),
            RelayPush::GoingAway(_) => {}
        }
    }

    fn take_envelope(&mut self, envelope: &[u8], lane: u32, now: Timestamp, rng: &mut impl CryptoRng) {
        #[cfg(feature = "conformance")]
        {
            self.opened = None;
        }
        match self.open(envelope, lane, now, rng) {
            Outcome::Content { from, content, hash, encoded, lane } => {
                self.read(from, *content, hash, &encoded, lane, now, rng);
            }
            Outcome::Nothing => {}
            Outcome::Unreadable(from) => {
                self.quarantine(envelope);
                if let Some(device) = from {
                    self.repair(device, now, rng);
                }
            }
        }
    }

    fn open(&mut self, envelope: &[u8], lane: u32, now: Timestamp, rng: &mut impl CryptoRng) -> Outcome {
        let seal = SealedMessage::from_envelope(envelope).ok();
        let opened = seal.and_then(|seal| seal.open_with(&self.own.identity, &mut self.agreements).ok());
        let Some(inside) = opened else { return Outcome::Unreadable(None) };
        let size = EnvelopeSize::exactly(envelope.len());
        let claims = inside.claims().clone();
        let Ok(device_id) = DeviceId::try_from(u32::from(claims.address.device_id.get())) else {
            return Outcome::Unreadable(None);
        };
        if let Some(contact) = self.contacts.by_service_id(&claims.address.service_id) {
            if matches!(contact.standing, Standing::Blocked | Standing::Ignored) {
                self.shut_out(lane, now, rng);
                return Outcome::Nothing;
            }
            let listed = contact.manifest.as_ref().and_then(|manifest| manifest.device(device_id));
            // The key that the certificate names was looked at when it was decoded; the same bytes are the same key.
            let is_listed = |device: &&waxwing_wire::manifest::Device| {
                convert::untyped(&claims.identity_key.to_bytes()) == device.keys().identity.as_bytes()
            };
            if let Some(key) = listed.filter(is_listed).map(|device| device.keys().certificate) {
                let from = (contact.account, device_id);
                return self.open_known(inside, from, &key, size, lane, now, rng);
            }
        }
        self.open_unknown(inside, device_id, size, lane, now, rng)
    }

    /// From a device that a manifest lists which is believed here.
    #[expect(clippy::too_many_arguments, reason = "what an envelope comes with")]
    fn open_known(
        &mut self,
        inside: ContentIn,
        from: Device,
        key: &CertificatePublicKey,
        size: Option<EnvelopeSize>,
        lane: u32,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Outcome {
        let Some(address) = self.own.address() else { return Outcome::Unreadable(None) };
        let peer = self.sessions.entry(from);
        let Some(trust) = peer.trust_in(key) else { return Outcome::Unreadable(None) };
        let own = OwnDevice { address, e164: None };
        let Ok(verified) = inside.verify(trust, convert::time(now), own) else { return Outcome::Unreadable(None) };
        trust.remember(verified.certificate());
        let identity = verified.sender().identity_key;
        // The next one of this device costs a third less.
        peer.found_identity(identity);
        self.agreements.keep(&self.own.identity, &identity);
        let message = verified.decode_message();
        #[cfg(feature = "conformance")]
        if let Ok(message) = &message {
            self.opened = super::watch::key_name(&verified.sender().address, message);
        }
        let opened = match message {
            Ok(Message::Signal(message)) => {
                let budget = &mut peer.budget;
                match peer.session.open(&message, budget, rng) {
                    Ok(opened) => {
                        sessions::write(&from, &opened.delta(), &mut self.stage);
                        opened.commit()
                    }
                    Err(OpenError::Duplicate { .. }) => return Outcome::Nothing,
                    Err(_) => return Outcome::Unreadable(Some(from)),
                }
            }
            Ok(Message::PreKey(message)) if *message.identity_key() == identity => {
                match self.open_first(from, &message, size, now, rng) {
                    Ok(opened) => opened,
                    Err(outcome) => return outcome,
                }
            }
            _ => return Outcome::Unreadable(Some(from)),
        };
        self.heard(from, now);
        self.decode(from, &opened, lane)
    }

    /// A first message, or one more of a session that we have not answered.
    fn open_first(
        &mut self,
        from: Device,
        message: &PreKeySignalMessage,
        size: Option<EnvelopeSize>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, Outcome> {
        let peer = self.sessions.entry(from);
        if peer.session.is_named_by(message) {
            return match peer.session.open_first(message, &mut peer.budget, rng) {
                Ok(opened) => {
                    sessions::write(&from, &opened.delta(), &mut self.stage);
                    Ok(opened.commit())
                }
                Err(OpenError::Duplicate { .. }) => Err(Outcome::Nothing),
                Err(_) => Err(Outcome::Unreadable(Some(from))),
            };
        }
        let local = self.own.local(&from.0, from.1);
        let Some(prekeys) = self.prekeys.of(message) else { return Err(Outcome::Unreadable(Some(from))) };
        let (delta, plaintext) = match peer.session.accept(local, prekeys, message, rng) {
            Ok(opened) => (opened.delta(), opened.commit()),
            // It was answered before (A5): the same message again.
            Err(AcceptError::Respond(RespondError::Replayed)) => return Err(Outcome::Nothing),
            Err(_) => return Err(Outcome::Unreadable(Some(from))),
        };
        sessions::write(&from, &delta, &mut self.stage);
        self.prekeys.consume(delta.consumed(), &mut self.stage);
        (peer.opening, peer.answers_left, peer.renew) = (size, 3, false);
        // Whoever is a contact is answered once, so that the session gets acknowledged; whoever becomes one, then.
        let wait = random::between(times::ANSWER_DELAY, rng);
        peer.answer_at = Some(now.saturating_add(wait));
        peer.save(&from, &mut self.stage);
        Ok(plaintext)
    }

    /// From a device that is not known here: who it is, stands inside.
    fn open_unknown(
        &mut self,
        inside: ContentIn,
        device: DeviceId,
        size: Option<EnvelopeSize>,
        lane: u32,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Outcome {
        let Some(introduced) = self.introduce(inside, device, now, rng) else { return Outcome::Unreadable(None) };
        let Introduced { account, objects, block, message } = introduced;
        let known = self.contacts.get(&account).map(|contact| contact.standing);
        if matches!(known, Some(Standing::Blocked | Standing::Ignored)) {
            return Outcome::Nothing;
        }
        if known.is_none() && self.contacts.insert(Contact::new(account, Standing::Asking)).is_none() {
            return Outcome::Unreadable(None);
        }
        self.take_objects(&account, objects, now, rng);
        let from = (account, device);
        let listed = self.contacts.get(&account).and_then(|contact| contact.manifest.as_ref()?.device(device).cloned());
        let Some(listed) = listed else {
            // The manifest that counts no longer lists it.
            return Outcome::Unreadable(None);
        };
        let is_listed =
            convert::identity_key(&listed.keys().identity).is_some_and(|key| key == *message.identity_key());
        if !is_listed {
            return Outcome::Unreadable(None);
        }
        // Only now: a device that was taken off the list says where to write no more.
        if let Some(contact) = self.contacts.get_mut(&account) {
            contact.take_secrets(Some(&block.reach_key), Some(&block.contacts_secret));
            contact.save(&mut self.stage);
        }
        if known.is_none() {
            self.stage.notify(Event::Request { account });
        }
        match self.open_first(from, &message, size, now, rng) {
            Ok(plaintext) => {
                self.heard(from, now);
                self.decode(from, &plaintext, lane)
            }
            Err(outcome) => outcome,
        }
    }

    /// Opens a stranger's first message in a session that is thrown away, to see who it is; nothing is consumed or changed.
    fn introduce(
        &mut self,
        inside: ContentIn,
        device: DeviceId,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Option<Introduced> {
        let address = self.own.address()?;
        let key = inside.certificate().embedded_server_key()?;
        let own = OwnDevice { address, e164: None };
        // That the key is the device's is found out below.
        let verified = inside.verify(&Trust::new([&key]), convert::time(now), own).ok()?;
        let sealed::Sender { address: claimed, identity_key, .. } = verified.sender().clone();
        let message = verified.decode_message().ok()?;
        #[cfg(feature = "conformance")]
        {
            self.opened = super::watch::key_name(&claimed, &message);
        }
        let Message::PreKey(message) = message else { return None };
        if *message.identity_key() != identity_key {
            return None;
        }
        let plaintext = self.peek(&claimed, &message, rng)?;
        let content = Content::decode(&plaintext).ok()?;
        let block = content.identity?;
        let account = Objects::account_of(&block)?;
        if convert::service_id(&account) != claimed.service_id
            || account == self.own.account() && device == self.own.device
        {
            return None;
        }
        let objects = Objects::of_block(&block, &account, now)?;
        let listed = objects.manifest.device(device)?;
        let same_identity = convert::identity_key(&listed.keys().identity)? == identity_key;
        let same_certificate = convert::certificate_key(&listed.keys().certificate)? == key;
        (same_identity && same_certificate).then_some(Introduced { account, objects, block, message })
    }

    /// What a first message says, without keeping anything of it.
    fn peek(
        &mut self,
        claimed: &waxwing_protocol::DeviceAddress,
        message: &PreKeySignalMessage,
        rng: &mut impl CryptoRng,
    ) -> Option<Vec<u8>> {
        let prekeys = self.prekeys.of(message)?;
        let mut session = Session::new();
        let local = self.own.local_towards(*claimed);
        let opened = session.accept(local, prekeys, message, rng).ok()?;
        Some(opened.plaintext().to_vec())
    }

    fn decode(&mut self, from: Device, plaintext: &[u8], lane: u32) -> Outcome {
        let Ok(mut content) = Content::decode(plaintext) else {
            // It is authentic, and its session has moved on: the writer is broken, or newer.
            self.quarantine(plaintext);
            return Outcome::Nothing;
        };
        // The hash of a content is that of the content without what depends on the reader's session (spec §16.1.4).
        let block = content.identity.take();
        let encoded = if block.is_some() { content.encode().unwrap_or_default() } else { plaintext.to_vec() };
        content.identity = block;
        let hash = Content::chain_hash(&encoded);
        Outcome::Content { from, content: Box::new(content), hash, encoded, lane }
    }

    fn heard(&mut self, from: Device, now: Timestamp) {
        let peer = self.sessions.entry(from);
        peer.heard = now;
        peer.budget = waxwing_protocol::Budget::default();
        peer.save(&from, &mut self.stage);
    }

    /// Kept for a later version, or for whoever looks for the fault; bounded.
    fn quarantine(&mut self, bytes: &[u8]) {
        let slot = self.quarantined.checked_rem(MOST_QUARANTINED).unwrap_or(0);
        self.quarantined = self.quarantined.saturating_add(1);
        self.stage.put(Table::Quarantine, slot.to_be_bytes().to_vec(), SecretBytes::new(bytes.to_vec()));
        self.stage.notify(Event::Quarantined);
    }

    /// Messages of a known device cannot be opened: a new session, and what was lost again.
    fn repair(&mut self, device: Device, now: Timestamp, rng: &mut impl CryptoRng) {
        let is_contact = self.contacts.get(&device.0).is_some_and(Contact::is_wanted);
        if !is_contact {
            return;
        }
        let peer = self.sessions.entry(device);
        let next = peer.repaired.saturating_add(times::REPAIR);
        if now < next {
            // What is lost now is asked for as soon as it may be.
            peer.ask_at.get_or_insert(next);
            return peer.save(&device, &mut self.stage);
        }
        peer.renew = true;
        self.stage.notify(Event::SessionRepaired { account: device.0, device: device.1 });
        self.ask_again(device, now, rng);
    }

    /// Asks a device for what it sent and did not come, or could not be opened.
    pub(super) fn ask_again(&mut self, device: Device, now: Timestamp, rng: &mut impl CryptoRng) {
        let peer = self.sessions.entry(device);
        (peer.repaired, peer.ask_at) = (now, None);
        peer.save(&device, &mut self.stage);
        self.signal_device(device, Body::Resend(Resend { ids: Vec::new() }), now, now, rng);
    }
}

/// Somebody who said who they are, verified.
struct Introduced {
    account: AccountId,
    objects: Objects,
    block: IdentityBlock,
    message: PreKeySignalMessage,
}
