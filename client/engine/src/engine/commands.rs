//! What a person wants. Implements spec/20-client.md §20.2.
use std::collections::BTreeMap;

use core::time::Duration;

use rand_core::CryptoRng;
use waxwing_wire::{
    content::{Body, Conversation, MessageId, ReadMarker, ReadMarkers, Standing},
    id::{AccountId, DeviceId},
    keys::{IntroductionToken, ReachKey},
    link::ContactLink,
    manifest::{Device, Draft},
    time::Timestamp,
};

use super::{Contact, Engine, searching::Found};
use crate::{
    interface::{Command, CommandError, Event, FailReason, IdentityEvent, LinkUses, MessageText, ReadMessage},
    outbox::Route,
    store::Write,
    times,
};

impl Engine {
    pub(super) fn on_command(
        &mut self,
        command: Command,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        match command {
            Command::MakeLink { lifetime, uses } => self.make_link(lifetime, uses, now, rng),
            Command::RevokeLink { link } => self.revoke_link(link, now, rng),
            Command::Add { link } => self.add(&link, None, now, rng),
            Command::AddByName { name, server } => self.add_by_name(name, server, now),
            Command::ClaimName { name, listed, admission } => self.claim_name(name, listed, admission.as_ref()),
            Command::ReleaseName { name } => self.release_name(&name),
            Command::Send { to, id, text } => self.send(&to, id, text, now, rng),
            Command::Accept { account } => self.accept(&account, now, rng),
            Command::Ignore { account } => self.put_away(&account, Standing::Ignored, now, rng),
            Command::Block { account } => self.put_away(&account, Standing::Blocked, now, rng),
            Command::Unblock { account } => self.unblock(&account, now, rng),
            Command::Rename { account, name } => self.rename(&account, name, now, rng),
            Command::Remove { account } => self.remove(&account, now, rng),
            Command::SetVerified { account, verification } => self.set_verified(&account, verification, now, rng),
            Command::Mute { account, until } => self.mute(&account, until, now, rng),
            Command::MarkRead { account, messages } => self.mark_read(&account, &messages, now, rng),
            Command::AcceptIdentity { account } => self.accept_identity(&account, now, rng),
            Command::AddDevice { device } => self.add_device(device, now, rng),
            Command::RemoveDevice { device } => {
                self.change_devices(|draft| draft.remove(device).map_err(|_| CommandError::DeviceList), now, rng)
            }
            Command::SendReceipts(wanted) => {
                self.own.receipts = wanted;
                self.own.save(&mut self.stage);
                Ok(())
            }
        }
    }

    fn make_link(
        &mut self,
        lifetime: Duration,
        uses: LinkUses,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        let key_servers = self.own.manifest.content().key_servers().to_vec();
        let token =
            self.mailbox.add_token(lifetime, uses, now, &mut self.stage, rng).ok_or(CommandError::TooManyLinks)?;
        let token = IntroductionToken::from_bytes(token.as_bytes());
        let reach_key = ReachKey::from_bytes(self.own.reach_key.as_bytes());
        let link = ContactLink::new(self.own.account(), reach_key, Some(token), key_servers);
        let link = link.map_err(|_| CommandError::DeviceList)?;
        self.tell_links(now, rng);
        self.stage.notify(Event::LinkMade { link });
        Ok(())
    }

    /// Adds who a link leads to. `found`: what a name led to besides.
    pub(super) fn add(
        &mut self,
        link: &ContactLink,
        found: Option<Found>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        let account = link.account_id();
        if account == self.own.account() {
            return Err(CommandError::OwnAccount);
        }
        if !self.settings.allow_private_servers && link.key_servers().iter().any(|server| !server.is_public()) {
            return Err(CommandError::PrivateServer);
        }
        let standing = self.contacts.get(&account).map(|contact| contact.standing);
        if standing == Some(Standing::Blocked) {
            return Err(CommandError::Blocked);
        }
        self.contacts.add(link, &mut self.stage)?;
        if let Some(found) = found {
            self.take_found(&account, found, now, rng);
        }
        if standing == Some(Standing::Asking) {
            // They asked, and the person went to meet them: that is a yes.
            return self.say_accepted(&account, now, rng);
        }
        self.copy_contact(&account, now, rng);
        Ok(())
    }

    fn send(
        &mut self,
        to: &AccountId,
        id: MessageId,
        text: MessageText,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        self.wanted(to)?;
        let own = self.own.account();
        if self.outbox.contains(&(*to, id)) {
            // Asked twice: sent once.
            return Ok(());
        }
        if self.was_seen(&(own, id)) {
            return Err(CommandError::IdTaken);
        }
        if self.contacts.get(to).is_some_and(Contact::is_deleted) {
            return Err(CommandError::UnknownContact);
        }
        self.say(to, id, text.into_string(), now, rng)
    }

    fn accept(&mut self, account: &AccountId, now: Timestamp, rng: &mut impl CryptoRng) -> Result<(), CommandError> {
        let contact = self.contacts.known_mut(account).ok_or(CommandError::UnknownContact)?;
        match contact.standing {
            Standing::Blocked => return Err(CommandError::Blocked),
            Standing::Accepted | Standing::Added => return Ok(()),
            Standing::Asking | Standing::Ignored | Standing::Removed => {}
        }
        contact.stand(Standing::Accepted);
        contact.save(&mut self.stage);
        self.say_accepted(account, now, rng)
    }

    /// To all of their devices: how to reach us; to ours: that it was done.
    fn say_accepted(
        &mut self,
        account: &AccountId,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        let accepted = Body::Accepted(self.own.introduction());
        if let Some(encoded) = self.signal(account, accepted, Route::Conversation, now, rng) {
            self.copy_sent(&encoded, now, rng);
        }
        if let Some(contact) = self.contacts.get_mut(account) {
            contact.told = Some(self.own.manifest.reference());
            // They wrote first, which says that they take what we send.
            contact.accepted_us = true;
            contact.log.add(now, IdentityEvent::Accepted);
            contact.owe(now, rng);
            contact.save(&mut self.stage);
        }
        self.link_served(account, now, rng);
        self.want(account, false, true);
        self.copy_contact(account, now, rng);
        self.stage.notify(Event::ContactAccepted { account: *account, by_peer: false });
        Ok(())
    }

    fn put_away(
        &mut self,
        account: &AccountId,
        standing: Standing,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        if *account == self.own.account() {
            return Err(CommandError::OwnAccount);
        }
        let contact = self.contacts.known_mut(account).ok_or(CommandError::UnknownContact)?;
        contact.stand(standing);
        self.put_away_here(account);
        self.tell_links(now, rng);
        self.copy_contact(account, now, rng);
        Ok(())
    }

    /// They are put away, here or on another device: nothing more goes to them, and nobody comes by their way.
    pub(super) fn put_away_here(&mut self, account: &AccountId) {
        let Some(contact) = self.contacts.get_mut(account) else { return };
        contact.owed = crate::contacts::Owed::default();
        contact.news_at = None;
        contact.drop_what_comes();
        let lane = contact.came_by;
        contact.save(&mut self.stage);
        // Whoever comes by the same link comes no more: it was theirs (FLOWS g).
        self.mailbox.revoke_by_lane(lane, &mut self.stage);
        self.give_up(account, FailReason::Blocked);
    }

    /// The other devices follow in what links there are.
    pub(super) fn tell_links(&mut self, now: Timestamp, rng: &mut impl CryptoRng) {
        let links = self.mailbox.links();
        self.tell_siblings(Body::OwnLinks(links), now, rng);
    }

    /// Lists a device, which hears of the contacts and of the links.
    fn add_device(&mut self, device: Device, now: Timestamp, rng: &mut impl CryptoRng) -> Result<(), CommandError> {
        let id = device.id();
        self.change_devices(|draft| draft.add(device).map_err(|_| CommandError::DeviceList), now, rng)?;
        let own = self.own.account();
        let known =
            self.contacts.iter().filter(|contact| contact.account != own && contact.standing != Standing::Asking);
        let copies: Vec<Body> = known.map(|contact| Body::ContactCopy(contact.copy())).collect();
        for body in copies.into_iter().chain([Body::OwnLinks(self.mailbox.links())]) {
            self.signal_device((own, id), body, now, now, rng);
        }
        Ok(())
    }

    fn unblock(&mut self, account: &AccountId, now: Timestamp, rng: &mut impl CryptoRng) -> Result<(), CommandError> {
        let contact = self.contacts.known_mut(account).ok_or(CommandError::UnknownContact)?;
        if contact.standing != Standing::Blocked {
            return Ok(());
        }
        let before = contact.before_block.unwrap_or(Standing::Accepted);
        contact.stand(before);
        // It may have been replaced meanwhile.
        contact.owes_secret = true;
        contact.save(&mut self.stage);
        self.copy_contact(account, now, rng);
        Ok(())
    }

    fn mark_read(
        &mut self,
        account: &AccountId,
        messages: &[ReadMessage],
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        let known = messages.iter().filter(|message| self.was_seen(&(*account, message.id)));
        let known: Vec<ReadMessage> = known.copied().collect();
        let mut newest: BTreeMap<DeviceId, u64> = BTreeMap::new();
        for ReadMessage { device, sequence, .. } in &known {
            let before = newest.entry(*device).or_default();
            *before = (*before).max(*sequence);
        }
        if newest.is_empty() {
            return Err(CommandError::UnknownMessage);
        }
        let receipts = self.own.receipts;
        let contact = self.contacts.get_mut(account).ok_or(CommandError::UnknownContact)?;
        if contact.is_wanted() && receipts {
            let before = contact.owed.read.len();
            for ReadMessage { id, .. } in &known {
                if !contact.owed.read.contains(id) {
                    contact.owed.read.push(*id);
                }
            }
            if contact.owed.read.len() > before {
                contact.owe(now, rng);
                contact.save(&mut self.stage);
            }
        }
        let conversation = Conversation::Account(*account);
        let mut markers = Vec::new();
        for (device, sequence) in newest {
            self.stage.write(Write::Read { conversation: *account, device, sequence });
            markers.push(ReadMarker { conversation, author: *account, device, sequence });
        }
        self.tell_siblings(Body::ReadMarkers(ReadMarkers { markers }), now, rng);
        Ok(())
    }

    /// The person saw that somebody's generation changed, and goes on.
    fn accept_identity(
        &mut self,
        account: &AccountId,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        let contact = self.contacts.known_mut(account).ok_or(CommandError::UnknownContact)?;
        let (_, to) = contact.unaccepted_generation().ok_or(CommandError::NoIdentityChange)?;
        contact.accepted_generation = Some(to);
        contact.log.add(now, IdentityEvent::GenerationAccepted(to));
        contact.save(&mut self.stage);
        self.want(account, false, true);
        // Whatever of the last time has no receipt goes to the new devices (FLOWS f).
        self.outbox.anew(account, outbox_since(now), &mut self.stage);
        let _ = rng;
        Ok(())
    }

    fn change_devices(
        &mut self,
        change: impl FnOnce(&mut Draft) -> Result<(), CommandError>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), CommandError> {
        let root = self.own.root.as_ref().ok_or(CommandError::NotPrimary)?;
        let mut draft = Draft::after(&self.own.manifest).map_err(|_| CommandError::DeviceList)?;
        change(&mut draft)?;
        // A manifest is not issued before the one before it (spec §11.6.2).
        let issued = now.max(self.own.manifest.issued());
        let manifest = draft.sign(root, issued).and_then(|manifest| manifest.verify(&self.own.statement, now));
        self.take_own_manifest(manifest.map_err(|_| CommandError::DeviceList)?);
        let news = Body::Update(self.own.introduction());
        self.tell_siblings(news, now, rng);
        self.spread_news(now, rng);
        let own = self.own.account();
        self.want(&own, false, true);
        Ok(())
    }

    /// Whether something may be sent to them.
    fn wanted(&self, account: &AccountId) -> Result<(), CommandError> {
        if *account == self.own.account() {
            return Err(CommandError::OwnAccount);
        }
        match self.contacts.get(account).ok_or(CommandError::UnknownContact)?.standing {
            Standing::Added | Standing::Accepted => Ok(()),
            Standing::Asking | Standing::Ignored => Err(CommandError::NotAccepted),
            Standing::Removed => Err(CommandError::UnknownContact),
            Standing::Blocked => Err(CommandError::Blocked),
        }
    }
}

fn outbox_since(now: Timestamp) -> Timestamp {
    crate::outbox::ago(now, times::RESEND)
}
