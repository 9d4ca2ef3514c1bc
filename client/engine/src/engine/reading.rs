//! What an opened content does. Implements spec/20-client.md §20.14 and spec/16-content.md.
//!
//! Invariants: a message is shown once, whatever comes twice (S4); a receipt is owed only to contacts, for messages that are shown (D1); what only
//! own devices may say is dropped from anybody else.
use rand_core::CryptoRng;
use waxwing_wire::{
    content::{
        Body, ChainHash, ContactCopy, Content, Conversation, MessageId, MessageReference, PassedOn, ReadMarker,
        ReadMarkers, Receipt, ReceiptState, Standing,
    },
    id::{AccountId, Generation, Sequence},
    time::Timestamp,
};

use super::{Engine, contents::kept};
use crate::{
    contacts::{Contact, Counted, Objects, Owed, Taken},
    interface::{Event, IdentityEvent, State},
    outbox, random,
    sessions::Device,
    store::{StoredMessage, Write, sequence_in},
    times,
};

impl Engine {
    /// A content of an authenticated device. `lane` is the one that it came by; 0 the strangers'.
    #[expect(clippy::too_many_arguments, reason = "what a content comes with")]
    pub(super) fn read(
        &mut self,
        from: Device,
        content: Content,
        hash: ChainHash,
        encoded: &[u8],
        lane: u32,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) {
        let own = self.own.account();
        if content.conversation != Conversation::Account(own) {
            // Written to somebody else, and passed on by them or by a server.
            return self.stage.notify(Event::Quarantined);
        }
        if let Some(block) = &content.identity {
            self.take_block(&from.0, block, now, rng);
        }
        if from.0 == own {
            self.compare_manifests(from, &content, now, rng);
            return self.read_own(from, content, now, rng);
        }
        self.compare_manifests(from, &content, now, rng);
        self.pass_on(from, &content, encoded, now, rng);
        self.read_peer(from, content, hash, lane, now, rng);
    }

    /// How to reach them stands in whatever they say before they know that we heard them. Somebody who was added here, and says that, added us.
    fn take_block(
        &mut self,
        account: &AccountId,
        block: &waxwing_wire::content::IdentityBlock,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) {
        if *account == self.own.account() || Objects::account_of(block) != Some(*account) {
            return;
        }
        let Some(contact) = self.contacts.get_mut(account) else { return };
        let secrets = contact.take_secrets(Some(&block.reach_key), Some(&block.contacts_secret));
        let newly = contact.standing == Standing::Added;
        if newly {
            contact.stand(Standing::Accepted);
            contact.accepted_us = true;
            contact.log.add(now, IdentityEvent::AcceptedUs);
        }
        if !newly && !secrets {
            return;
        }
        contact.save(&mut self.stage);
        if newly {
            self.stage.notify(Event::ContactAccepted { account: *account, by_peer: true });
        }
        self.copy_contact(account, now, rng);
    }

    fn read_peer(
        &mut self,
        from: Device,
        content: Content,
        hash: ChainHash,
        lane: u32,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) {
        let account = from.0;
        for id in self.outbox.expired_again(&account, now, &mut self.stage) {
            self.set_state(&account, id, State::Queued);
        }
        match content.body {
            Body::Receipt(receipt) => self.take_receipt(&account, &receipt),
            Body::Accepted(introduction) => {
                self.take_introduction(&account, &introduction, true, now, rng);
            }
            Body::Update(introduction) => self.take_introduction(&account, &introduction, false, now, rng),
            Body::Resend(_) => self.send_again(from, now),
            // Own devices' words from somebody else are nobody's.
            Body::ReadMarkers(_) | Body::SentCopy(_) | Body::ContactCopy(_) | Body::PassedOn(_) | Body::OwnLinks(_) => {
            }
            Body::Empty | Body::Typing(_) | Body::ProfileKey(_) | Body::GroupPart(_) => {}
            // About something that is not here: nothing to show, and nothing to tell its author (D1).
            ref body if target(body).is_some_and(|target| !self.was_seen(&(target.author, target.id))) => {
                self.count(from, &content, hash, now, rng);
            }
            ref body => {
                let text = shown(body, &content.fallback);
                let message = Incoming {
                    from,
                    id: content.id,
                    sequence: content.sequence,
                    generation: content.own_manifest.generation,
                    previous: content.previous,
                    sent: content.sent,
                    text,
                };
                self.show(message, hash, content, now, rng);
                self.end_once(&account, lane);
            }
        }
    }

    /// A content that is not shown has its place in its device's count all the same.
    fn count(
        &mut self,
        (account, device): Device,
        content: &Content,
        hash: ChainHash,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) {
        let ask_at = self.gap_due(&(account, device), now, rng);
        let Some(contact) = self.contacts.get_mut(&account) else { return };
        let heard = contact.heard_of(device);
        let order = heard.take(&counted(content, hash), now).order;
        if order.is_asked() {
            heard.ask_at.get_or_insert(ask_at);
        }
        contact.save(&mut self.stage);
        if order.is_told() {
            self.stage.notify(Event::Gap { conversation: account, device });
        }
    }

    /// A message of theirs: into the store, once.
    fn show(&mut self, message: Incoming, hash: ChainHash, content: Content, now: Timestamp, rng: &mut impl CryptoRng) {
        let Incoming { from: (account, device), id, sequence, generation, previous, sent, text } = message;
        let known = self.was_seen(&(account, id));
        let ask_at = self.gap_due(&(account, device), now, rng);
        let Some(contact) = self.contacts.get_mut(&account) else { return };
        // Whoever was removed, and writes again, asks as anybody else.
        if contact.standing == Standing::Removed && !known {
            contact.stand(Standing::Asking);
            self.stage.notify(Event::Request { account });
        }
        let heard = contact.heard_of(device);
        let Taken { order, stands } = heard.take(&Counted { sequence, previous, hash, sent }, now);
        if order.is_asked() {
            heard.ask_at.get_or_insert(ask_at);
        }
        // Again, too: the receipt may have been lost with a session. A stranger's waits for the person's yes (D1).
        contact.owed.delivered.retain(|owed| *owed != id);
        if contact.is_wanted() || contact.owed.delivered.len() < Owed::MOST_OF_STRANGERS {
            contact.owed.delivered.push(id);
        }
        contact.owe(now, rng);
        if contact.is_wanted() && contact.owed.delivered.len() >= Owed::MOST {
            contact.owed.at = Some(now);
        }
        contact.save(&mut self.stage);
        if known {
            return;
        }
        self.mark_seen(account, id, now);
        self.stage.write(Write::Message(StoredMessage {
            conversation: account,
            id,
            author: account,
            device,
            sequence: sequence_in(generation, sequence),
            sent: stands,
            stored: now,
            state: State::Delivered,
            text,
            content: kept(content),
        }));
        if order.is_told() {
            self.stage.notify(Event::Gap { conversation: account, device });
        }
        self.stage.notify(Event::Message { conversation: account, id, author: account });
    }

    fn take_receipt(&mut self, account: &AccountId, receipt: &Receipt) {
        let state = match receipt.state {
            ReceiptState::Delivered => State::Delivered,
            ReceiptState::Read | ReceiptState::Viewed => State::Read,
        };
        for id in &receipt.ids {
            // A receipt for what was never written here changes nothing; one that comes twice counts once.
            let news = self.outbox.received(&(*account, *id), &mut self.stage);
            if self.was_seen(&(self.own.account(), *id)) && (news || state == State::Read) {
                self.set_state(account, *id, state);
            }
        }
    }

    fn take_introduction(
        &mut self,
        account: &AccountId,
        introduction: &waxwing_wire::content::Introduction,
        accepted: bool,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) {
        let Some(contact) = self.contacts.get(account) else { return };
        // Objects first, by the way that tells the person what they change.
        if let Some(recovery) = contact.recovery
            && let Some(objects) = Objects::of_introduction(introduction, recovery, contact.statement.as_ref(), now)
        {
            self.take_objects(account, objects, now, rng);
        }
        let Some(contact) = self.contacts.get_mut(account) else { return };
        let secrets = contact.take_secrets(introduction.reach_key.as_ref(), introduction.contacts_secret.as_ref());
        let newly = accepted && !contact.accepted_us;
        contact.accepted_us |= accepted;
        if newly {
            contact.log.add(now, IdentityEvent::AcceptedUs);
        }
        if newly && contact.standing == Standing::Added {
            contact.stand(Standing::Accepted);
        }
        contact.save(&mut self.stage);
        if newly && contact.is_wanted() {
            self.stage.notify(Event::ContactAccepted { account: *account, by_peer: true });
        }
        if newly || secrets {
            self.copy_contact(account, now, rng);
        }
    }

    /// What another device of this account says is new about it.
    fn take_own_introduction(
        &mut self,
        introduction: waxwing_wire::content::Introduction,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) {
        let own = self.own.account();
        if let Some(objects) =
            Objects::of_introduction(&introduction, self.own.recovery, Some(&self.own.statement), now)
        {
            self.take_objects(&own, objects, now, rng);
        }
        if let Some(secret) = introduction.contacts_secret.filter(|new| *new != self.own.contacts_secret) {
            self.own.contacts_secret = secret;
            self.secret_replaced(now);
        }
    }

    /// A device began anew because it could not open what we sent.
    fn send_again(&mut self, from: Device, now: Timestamp) {
        let is_wanted = self.contacts.get(&from.0).is_some_and(Contact::is_wanted);
        if is_wanted && self.sessions.get_mut(&from).is_some_and(|peer| peer.may_ask_again(now)) {
            let since = outbox::ago(now, times::TTL);
            self.outbox.again(&from.0, from, since, &mut self.stage);
        }
    }

    /// What another device of this account says.
    fn read_own(&mut self, from: Device, content: Content, now: Timestamp, rng: &mut impl CryptoRng) {
        match content.body {
            Body::SentCopy(copy) => {
                if let Ok(inner) = Content::decode(&copy.content) {
                    self.read_copy(from, inner, &copy.content, now, rng);
                }
            }
            Body::ContactCopy(copy) => self.merge(&copy, now, rng),
            Body::PassedOn(passed) => self.read_passed_on(passed, now, rng),
            Body::ReadMarkers(ReadMarkers { markers }) => self.merge_markers(&markers),
            Body::Update(introduction) => self.take_own_introduction(introduction, now, rng),
            Body::OwnLinks(links) => self.mailbox.take_links(&links, now, &mut self.stage),
            Body::Resend(_) => self.send_again(from, now),
            _ => {}
        }
    }

    /// What another device of this account sent to somebody.
    fn read_copy(&mut self, from: Device, inner: Content, encoded: &[u8], now: Timestamp, rng: &mut impl CryptoRng) {
        let Conversation::Account(peer) = inner.conversation else { return };
        let own = self.own.account();
        let ask_at = self.gap_due(&from, now, rng);
        let is_missing = |contact: &Contact| contact.standing == Standing::Asking;
        if inner.sequence > 0 && self.contacts.get(&peer).is_none_or(is_missing) {
            // Whoever is written to is a contact there: the copy that says so was lost.
            let device = self.sessions.entry(from);
            device.ask_at.get_or_insert(ask_at);
            device.save(&from, &mut self.stage);
        }
        if let Some(contact) = self.contacts.get_mut(&peer).filter(|_| inner.sequence > 0) {
            let heard = contact.copied_of(from.1);
            if heard.take(&counted(&inner, Content::chain_hash(encoded)), now).order.is_asked() {
                heard.ask_at.get_or_insert(ask_at);
            }
            contact.save(&mut self.stage);
        }
        match &inner.body {
            Body::Receipt(receipt) => {
                // It is done: once for the account.
                if let Some(contact) = self.contacts.get_mut(&peer) {
                    let list = match receipt.state {
                        ReceiptState::Delivered => &mut contact.owed.delivered,
                        ReceiptState::Read | ReceiptState::Viewed => &mut contact.owed.read,
                    };
                    list.retain(|id| !receipt.ids.contains(id));
                    contact.save(&mut self.stage);
                }
            }
            Body::Accepted(_) | Body::Update(_) => {
                if let Some(contact) = self.contacts.get_mut(&peer) {
                    (contact.told, contact.news_at) = (Some(inner.own_manifest), None);
                    contact.save(&mut self.stage);
                }
            }
            Body::SentCopy(_) | Body::PassedOn(_) | Body::ContactCopy(_) | Body::ReadMarkers(_) | Body::OwnLinks(_) => {
            }
            body if inner.sequence > 0 && !self.was_seen(&(own, inner.id)) => {
                let id = inner.id;
                self.mark_seen(own, id, now);
                self.stage.write(Write::Message(StoredMessage {
                    conversation: peer,
                    id,
                    author: own,
                    device: from.1,
                    sequence: sequence_in(inner.own_manifest.generation, inner.sequence),
                    sent: inner.sent,
                    stored: now,
                    state: State::Sent,
                    text: shown(body, &inner.fallback),
                    content: kept(inner),
                }));
                self.stage.notify(Event::Message { conversation: peer, id, author: own });
            }
            _ => {}
        }
    }

    /// What came for the account before its writer knew of this device.
    fn read_passed_on(&mut self, passed: PassedOn, now: Timestamp, rng: &mut impl CryptoRng) {
        let PassedOn { author, device, content } = passed;
        let Ok(inner) = Content::decode(&content) else { return };
        if inner.conversation != Conversation::Account(self.own.account()) || author == self.own.account() {
            return;
        }
        if self.contacts.get(&author).is_some_and(Contact::is_wanted) {
            let hash = Content::chain_hash(&content);
            self.read_peer((author, device), inner, hash, u32::MAX, now, rng);
        }
    }

    /// What another device of this account knows of a contact (spec §16.7.1).
    fn merge(&mut self, copy: &ContactCopy, now: Timestamp, rng: &mut impl CryptoRng) {
        let account = copy.account;
        if account == self.own.account() {
            return;
        }
        if self.contacts.get(&account).is_none() && self.contacts.insert(Contact::new(account, copy.standing)).is_none()
        {
            return;
        }
        let Some(contact) = self.contacts.get_mut(&account) else { return };
        let (was_wanted, was_standing) = (contact.is_wanted(), contact.standing);
        let was_verified = *contact.notes.verified.value();
        if (copy.revision, copy.standing) > (contact.revision, contact.standing) {
            (contact.revision, contact.standing) = (copy.revision, copy.standing);
        }
        contact.take_secrets(copy.reach_key.as_ref(), copy.contacts_secret.as_ref());
        if contact.token.is_none() {
            contact.token =
                copy.token.as_ref().map(|token| waxwing_wire::keys::IntroductionToken::from_bytes(token.as_bytes()));
        }
        if contact.key_servers.is_empty() {
            contact.key_servers.clone_from(&copy.key_servers);
        }
        let is_wanted = contact.is_wanted();
        let is_put_away =
            was_standing != contact.standing && matches!(contact.standing, Standing::Ignored | Standing::Blocked);
        let noted = copy.notes.as_ref().is_some_and(|notes| contact.notes.take(notes));
        match (*contact.notes.verified.value(), is_wanted && !was_wanted) {
            (verified, _) if verified != was_verified => contact.log.add(now, verified_event(verified)),
            (_, true) => contact.log.add(now, IdentityEvent::Accepted),
            _ => {}
        }
        let is_removed = was_standing != contact.standing && contact.standing == Standing::Removed;
        contact.owe(now, rng);
        contact.save(&mut self.stage);
        if let Some(objects) = Objects::of_copy(copy, now) {
            self.take_objects_quietly(&account, objects, now, rng);
        }
        if is_put_away {
            self.put_away_here(&account);
        }
        if is_removed {
            self.remove_here(&account);
        }
        if noted || is_removed {
            self.stage.notify(Event::ContactChanged { account });
        }
        if is_wanted && !was_wanted {
            self.link_served(&account, now, rng);
            self.stage.notify(Event::ContactAccepted { account, by_peer: false });
        }
    }

    /// As [`Self::take_objects`], for what a sibling knows already: it is not told again.
    fn take_objects_quietly(
        &mut self,
        account: &AccountId,
        objects: Objects,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) {
        self.quiet = true;
        self.take_objects(account, objects, now, rng);
        self.quiet = false;
    }

    fn merge_markers(&mut self, markers: &[ReadMarker]) {
        for marker in markers {
            if let Conversation::Account(conversation) = marker.conversation {
                self.stage.write(Write::Read { conversation, device: marker.device, sequence: marker.sequence });
            }
        }
    }

    /// Every message names the manifests that its writer knows: whoever is behind hears of it (DESIGN §3).
    fn compare_manifests(&mut self, from: Device, content: &Content, now: Timestamp, rng: &mut impl CryptoRng) {
        let own_now = self.own.manifest.reference();
        let is_own = from.0 == self.own.account();
        let lowest = self.own.manifest.content().devices().iter().map(waxwing_wire::manifest::Device::id).min();
        let is_first = lowest == Some(self.own.device);
        let Some(contact) = self.contacts.get_mut(&from.0) else { return };
        if let Some(known) = contact.manifest.as_ref().map(waxwing_wire::manifest::Manifest::reference) {
            let theirs = content.own_manifest;
            // Only those that are wanted are looked up, which the look round checks again.
            if place(&theirs) > place(&known) && contact.is_wanted() {
                contact.wanted.account = true;
            }
        }
        if is_own || !contact.is_wanted() {
            return;
        }
        let Some(known) = content.your_manifest else { return };
        if place(&known) < place(&own_now) {
            contact.told = Some(known);
            let wait = if is_first { core::time::Duration::ZERO } else { random::between(times::PASS_ON_DELAY, rng) };
            let at = now.saturating_add(wait);
            contact.news_at = Some(contact.news_at.map_or(at, |before| before.min(at)));
        } else {
            contact.told = Some(known);
        }
        contact.save(&mut self.stage);
    }

    /// Devices that the writer did not know get what it wrote from the one that got it (FLOWS d).
    fn pass_on(&mut self, from: Device, content: &Content, encoded: &[u8], now: Timestamp, rng: &mut impl CryptoRng) {
        let Some(known) = content.your_manifest else { return };
        let current = self.own.manifest.reference();
        let is_contact = self.contacts.get(&from.0).is_some_and(Contact::is_wanted);
        if !is_contact
            || content.sequence == 0
            || known.generation != current.generation
            || known.sequence >= current.sequence
        {
            return;
        }
        let missing: Vec<_> = self
            .own
            .siblings()
            .filter(|device| device.joined() > Sequence(known.sequence.0))
            .map(waxwing_wire::manifest::Device::id)
            .collect();
        let others = self.own.siblings().map(waxwing_wire::manifest::Device::id).filter(|id| !missing.contains(id));
        let is_first = others.min().is_none_or(|least| self.own.device < least);
        let wait = if is_first { core::time::Duration::ZERO } else { random::between(times::PASS_ON_DELAY, rng) };
        for device in missing {
            let body = Body::PassedOn(PassedOn { author: from.0, device: from.1, content: encoded.to_vec() });
            self.signal_device((self.own.account(), device), body, now.saturating_add(wait), now, rng);
        }
    }

    /// A link that was made for one person has served when they are accepted.
    fn end_once(&mut self, account: &AccountId, lane: u32) {
        if let Some(contact) = self.contacts.get_mut(account).filter(|contact| contact.standing == Standing::Asking) {
            contact.came_by = lane;
        }
    }
}

/// A message as it is to be shown.
struct Incoming {
    from: Device,
    id: MessageId,
    sequence: u64,
    generation: Generation,
    previous: ChainHash,
    sent: Timestamp,
    text: String,
}

const fn counted(content: &Content, hash: ChainHash) -> Counted {
    Counted { sequence: content.sequence, previous: content.previous, hash, sent: content.sent }
}

/// What a content is about, if it is about another one.
const fn target(body: &Body) -> Option<&MessageReference> {
    match body {
        Body::Reaction(reaction) => Some(&reaction.target),
        Body::Edit(edit) => Some(&edit.target),
        Body::Delete(delete) => Some(&delete.target),
        Body::Vote(vote) => Some(&vote.target),
        _ => None,
    }
}

const fn verified_event(verified: Option<Generation>) -> IdentityEvent {
    match verified {
        Some(_) => IdentityEvent::Verified,
        None => IdentityEvent::Unverified,
    }
}

/// What a screen shows of a body in a version that knows texts.
fn shown(body: &Body, fallback: &str) -> String {
    match body {
        Body::Text(text) => text.text.clone(),
        Body::Location(location) => location.geo.clone(),
        Body::Poll(poll) => poll.question.clone(),
        _ => fallback.to_owned(),
    }
}

fn place(reference: &waxwing_wire::manifest::ManifestReference) -> (u32, u32) {
    (reference.generation.0, reference.sequence.0)
}
