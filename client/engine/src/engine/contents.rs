//! What this device says: made, counted, and put into the outbox. Implements spec/20-client.md §20.10 and spec/16-content.md §16.1.
use rand_core::CryptoRng;
use waxwing_wire::{
    content::{Body, ChainHash, Content, Conversation, MessageId, Receipt, ReceiptState, SentCopy, Standing, Text},
    id::AccountId,
    time::Timestamp,
};

use super::Engine;
use crate::{
    interface::{CommandError, FailReason, State},
    outbox::{Audience, Entry, Route},
    random,
    sessions::Device,
    store::{StoredMessage, Write, sequence_in},
};

impl Engine {
    /// A message of a person: counted, shown, copied to own devices.
    pub(super) fn say(
        &mut self,
        to: &AccountId,
        id: MessageId,
        text: String,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        let body =
            Body::Text(Text { text: text.clone(), mentions: Vec::new(), attachments: Vec::new(), view_once: false });
        let contact = self.contacts.get(to).ok_or(CommandError::UnknownContact)?;
        let sent = contact.last_sent.max(now);
        let sequence = contact.sequence.saturating_add(1);
        let previous = if sequence == 1 { zero() } else { contact.previous };
        let content = self.content(to, id, sent, (sequence, previous), body);
        let encoded = content.encode().map_err(|_| CommandError::TooLong)?;
        if let Some(contact) = self.contacts.get_mut(to) {
            (contact.sequence, contact.previous, contact.last_sent) = (sequence, Content::chain_hash(&encoded), sent);
            contact.save(&mut self.stage);
        }
        self.stage.write(Write::Message(StoredMessage {
            conversation: *to,
            id,
            author: self.own.account(),
            device: self.own.device,
            sequence: sequence_in(self.own.manifest.content().generation(), sequence),
            sent,
            stored: now,
            state: State::Queued,
            text,
            content: kept(content),
        }));
        self.mark_seen(self.own.account(), id, now);
        self.copy_sent(&encoded, now, rng);
        let entry = Entry { awaits_receipt: true, ..Entry::new(encoded, Audience::Peer, now) };
        self.outbox.add((*to, id), entry, &mut self.stage);
        // Whoever is behind on our devices hears of them with the next message.
        self.tell_news_if_behind(to, now, rng);
        Ok(())
    }

    /// Something that is not shown and not counted, for all devices of an account. Its name.
    pub(super) fn signal(
        &mut self,
        to: &AccountId,
        body: Body,
        route: Route,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Option<Vec<u8>> {
        let (id, encoded) = self.uncounted(to, body, now, rng)?;
        let entry = Entry { route, ..Entry::new(encoded.clone(), Audience::Peer, now) };
        self.outbox.add((*to, id), entry, &mut self.stage);
        Some(encoded)
    }

    /// The same for one device, not before its time.
    pub(super) fn signal_device(
        &mut self,
        device: Device,
        body: Body,
        not_before: Timestamp,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) {
        if let Some((id, encoded)) = self.uncounted(&device.0, body, now, rng) {
            self.outbox.add((device.0, id), Entry::named(encoded, [(device, not_before)], now), &mut self.stage);
        }
    }

    /// To the other devices of this account, if there are any.
    pub(super) fn tell_siblings(&mut self, body: Body, now: Timestamp, rng: &mut impl CryptoRng) {
        self.tell_siblings_by(body, Route::Conversation, now, rng);
    }

    fn tell_siblings_by(&mut self, body: Body, route: Route, now: Timestamp, rng: &mut impl CryptoRng) {
        let own = self.own.account();
        if self.own.siblings().next().is_none() {
            return;
        }
        if let Some((id, encoded)) = self.uncounted(&own, body, now, rng) {
            let entry = Entry { route, ..Entry::new(encoded, Audience::Siblings, now) };
            self.outbox.add((own, id), entry, &mut self.stage);
        }
    }

    /// What this device sent, for the others.
    pub(super) fn copy_sent(&mut self, encoded: &[u8], now: Timestamp, rng: &mut impl CryptoRng) {
        self.tell_siblings(Body::SentCopy(SentCopy { content: encoded.to_vec() }), now, rng);
    }

    /// What this device knows of a contact, for the others.
    pub(super) fn copy_contact(&mut self, account: &AccountId, now: Timestamp, rng: &mut impl CryptoRng) {
        let Some(contact) = self.contacts.get(account) else { return };
        if contact.standing == Standing::Asking {
            // The others got the request themselves.
            return;
        }
        let copy = Body::ContactCopy(contact.copy());
        self.tell_siblings(copy, now, rng);
    }

    /// Receipts that are due: once for the account, by a connection of their own; the others hear that it is done.
    pub(super) fn send_receipts(&mut self, to: &AccountId, now: Timestamp, rng: &mut impl CryptoRng) {
        let Some(contact) = self.contacts.get_mut(to) else { return };
        let owed = core::mem::take(&mut contact.owed);
        contact.save(&mut self.stage);
        if !self.own.receipts || !self.contacts.get(to).is_some_and(super::Contact::is_wanted) {
            return;
        }
        for (state, ids) in [(ReceiptState::Delivered, owed.delivered), (ReceiptState::Read, owed.read)] {
            for ids in ids.chunks(MOST_IDS) {
                let receipt = Body::Receipt(Receipt { state, ids: ids.to_vec() });
                if let Some(encoded) = self.signal(to, receipt, Route::Receipts, now, rng) {
                    let copy = Body::SentCopy(SentCopy { content: encoded });
                    self.tell_siblings_by(copy, Route::Receipts, now, rng);
                }
            }
        }
    }

    /// Nothing more goes to an account.
    pub(super) fn give_up(&mut self, account: &AccountId, reason: FailReason) {
        for id in self.outbox.give_up(account, &mut self.stage) {
            self.set_state(account, id, State::Failed(reason));
        }
    }

    /// A message of ours has come so far.
    pub(super) fn set_state(&mut self, conversation: &AccountId, id: MessageId, state: State) {
        self.stage.write(Write::MessageState { conversation: *conversation, id, state });
        self.stage.notify(crate::interface::Event::MessageState { conversation: *conversation, id, state });
    }

    fn uncounted(
        &self,
        to: &AccountId,
        body: Body,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Option<(MessageId, Vec<u8>)> {
        let id = MessageId::from_bytes(random::bytes(rng));
        let encoded = self.content(to, id, now, (0, zero()), body).encode().ok()?;
        Some((id, encoded))
    }

    fn content(
        &self,
        to: &AccountId,
        id: MessageId,
        sent: Timestamp,
        (sequence, previous): (u64, ChainHash),
        body: Body,
    ) -> Content {
        let theirs = self.contacts.get(to).and_then(|contact| contact.manifest.as_ref());
        Content {
            id,
            sent,
            sequence,
            previous,
            conversation: Conversation::Account(*to),
            own_manifest: self.own.manifest.reference(),
            your_manifest: theirs.map(waxwing_wire::manifest::Manifest::reference),
            expires_after: 0,
            reply_to: None,
            fallback: String::new(),
            body,
            identity: None,
            extensions: Vec::new(),
        }
    }
}

/// What is stored of a content: all of it but the hash of the one before, which is compared when it comes, and random bytes to whatever
/// stores it.
pub(super) fn kept(content: Content) -> Vec<u8> {
    // What was decoded, or encoded with the hash, encodes without it.
    Content { previous: ChainHash::NONE, ..content }.encode().unwrap_or_default()
}

/// Ids in one receipt (spec §16.6.1).
const MOST_IDS: usize = 100;

const fn zero() -> ChainHash {
    ChainHash::from_bytes([0; 32])
}
