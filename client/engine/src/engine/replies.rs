//! What servers answer, sorted by what was asked.
use rand_core::CryptoRng;
use waxwing_wire::{
    frame::{ErrorCode, ServerError},
    id::AccountId,
    keyserver::{KeyserverReply, VerifiedBundles},
    pow::Nonce,
    reach::ReachRecordIn,
    relay::RelayReply,
    time::Timestamp,
};

use super::{Engine, naming::step_of};
use crate::{
    contacts::{Contact, Objects, Place},
    convert,
    interface::CallId,
    mailbox,
    task::Task,
};

impl Engine {
    pub(super) fn on_relay_reply(
        &mut self,
        call: CallId,
        result: Result<RelayReply, ServerError>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) {
        let Some((_, task)) = self.links.answered(call, now) else { return };
        if let Ok(RelayReply::Info(info)) = &result {
            self.skew = mailbox::tell_skew(info.time, now, &mut self.stage).or(self.skew);
        }
        let outcome = match task {
            Task::Put(destination) => {
                let stored = result.and_then(|reply| if reply == RelayReply::Done { Ok(()) } else { Err(forged()) });
                self.on_put(destination, stored, now, rng)
            }
            Task::PutInfo(destination) => self.on_put_info(destination, result),
            task => self.mailbox.replied(task, result, now, &mut self.stage),
        };
        self.note(task, outcome, now, rng);
    }

    pub(super) fn on_solved(&mut self, call: CallId, nonce: Nonce, now: Timestamp) {
        match self.links.answered(call, now) {
            Some((_, Task::MailboxWork)) => self.mailbox.solved(nonce),
            Some((_, Task::AccountWork)) => self.own.nonce = Some(nonce),
            Some((_, Task::PutWork(destination))) => {
                if let Some(envelope) = self.outbox.envelope_mut(&destination) {
                    envelope.nonce = Some(nonce);
                }
            }
            _ => {}
        }
    }

    pub(super) fn on_keyserver_reply(
        &mut self,
        call: CallId,
        result: Result<KeyserverReply, ServerError>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) {
        let Some((link, task)) = self.links.answered(call, now) else { return };
        let name = step_of(&task);
        let is_bound = matches!(task, Task::StoreReach | Task::UploadPrekeys | Task::PrekeyIds) || name.is_some();
        if let Some(link) = link.filter(|_| is_bound) {
            match &result {
                Err(error) if !is_of_the_inside(error) => self.links.close(link, &mut self.stage),
                _ => self.links.count_bound(&link),
            }
        }
        let outcome = match (task, result) {
            (Task::Lookup(id) | Task::FetchListed(id), result) => self.on_search_reply(&id, result, now, rng),
            (Task::ClaimName(_) | Task::SetListing(_) | Task::Unlist(_) | Task::ReleaseName(_), result) => {
                self.on_name_reply(name, result.as_ref().map_err(|error| *error))
            }
            (Task::AccountInfo, Ok(KeyserverReply::Info(info))) => {
                self.skew = mailbox::tell_skew(info.time, now, &mut self.stage).or(self.skew);
                self.own.price = Some(info.price);
                Ok(())
            }
            (Task::CreateAccount, Ok(KeyserverReply::Done)) => {
                self.own.registered = true;
                self.published();
                Ok(())
            }
            (Task::Publish, Ok(KeyserverReply::Done)) => {
                self.published();
                Ok(())
            }
            (Task::Publish, Err(error)) if error.code == ErrorCode::ManifestConflict => {
                // The server has another one: look at it, and go on from there.
                let own = self.own.account();
                self.want(&own, true, false);
                Err(error)
            }
            (Task::StoreReach, Ok(_)) => {
                self.own.reach_stored = true;
                self.own.save(&mut self.stage);
                Ok(())
            }
            (Task::UploadPrekeys, Ok(_)) => {
                self.prekeys.uploaded(&mut self.stage);
                Ok(())
            }
            (Task::UploadPrekeys, Err(error)) if is_of_the_inside(&error) => {
                self.prekeys.refused();
                Err(error)
            }
            (Task::PrekeyIds, Ok(KeyserverReply::PrekeyIds(ids))) => {
                self.prekeys.compare(&ids, &self.own, now, &mut self.stage, rng);
                Ok(())
            }
            (Task::FetchAccount(account), Ok(KeyserverReply::Account(objects))) => {
                self.want_no_more(&account, true);
                match objects.verify(&account, now) {
                    Ok(verified) => {
                        self.take_objects(&account, verified.into(), now, rng);
                        Ok(())
                    }
                    Err(_) => Err(forged()),
                }
            }
            (Task::FetchReach(account), Ok(KeyserverReply::Reach(reach))) => {
                self.want_no_more(&account, false);
                let is_genuine = self.take_reach(&account, &reach.records);
                // A device that joined just now is listed before it says where it takes messages: asked again after a wait.
                if is_genuine && self.has_all_places(&account) { Ok(()) } else { Err(forged()) }
            }
            (Task::FetchBundles(account), Ok(KeyserverReply::Bundles(bundles))) => {
                match bundles.verify(&account, &[], now) {
                    Ok(verified) => self.take_bundles(&account, verified, now, rng),
                    Err(_) => Err(forged()),
                }
            }
            (Task::AccountInfo | Task::CreateAccount, Err(error)) => {
                (self.own.price, self.own.nonce) = (None, None);
                Err(error)
            }
            (_, Err(error)) => Err(error),
            // An answer to something else: a server that is broken.
            (_, Ok(_)) => Err(forged()),
        };
        self.note(task, outcome, now, rng);
    }

    fn published(&mut self) {
        // What was sent, which need not be what there is by now.
        self.own.published = self.publishing.take().or(self.own.published);
        self.own.save(&mut self.stage);
    }

    /// A task is over: done, or to be tried again after a wait that grows.
    fn note(&mut self, task: Task, outcome: Result<(), ServerError>, now: Timestamp, rng: &mut impl CryptoRng) {
        match outcome {
            Ok(()) => self.links.succeeded(&task),
            Err(error) => {
                let again = match task {
                    // What an answer to a question about work says is about the put.
                    Task::PutInfo(destination) | Task::PutWork(destination) => Task::Put(destination),
                    task => task,
                };
                self.links.failed(again, error.retry_after, now, rng);
            }
        }
    }

    /// Where an account's devices take messages; false if nothing of it is genuine.
    fn take_reach(&mut self, account: &AccountId, records: &[Vec<u8>]) -> bool {
        let Some(contact) = self.contacts.get_mut(account) else { return true };
        let (Some(manifest), Some(key)) = (&contact.manifest, &contact.reach_key) else { return true };
        let mut places: Vec<Place> = Vec::new();
        let mut opened = false;
        for record in records {
            let Ok(record) = ReachRecordIn::decode(record).and_then(|record| record.verify(manifest)) else { continue };
            // One under another reach key is of a time before, or after, what is known here.
            let Ok(entry) = record.open(key, manifest) else { continue };
            opened = true;
            let device = entry.signer().device;
            let known = contact.place(device).map_or(0, |place| place.number);
            let allowed = |address: &&waxwing_wire::reach::MailboxAddress| {
                self.settings.allow_private_servers || address.server.is_public()
            };
            let address = entry.mailboxes().iter().find(allowed);
            if let Some(address) = address.filter(|_| entry.number() >= known) {
                let (server, mailbox) = (address.server.clone(), address.mailbox);
                places.push(Place { device, server, mailbox, number: entry.number() });
            }
        }
        for place in places {
            contact.places.retain(|known| known.device != place.device);
            contact.places.push(place);
        }
        contact.save(&mut self.stage);
        // A device whose place is not there is asked for again, after a wait: it was listed a moment ago, or the server withholds it.
        let all = contact.devices().iter().all(|device| contact.place(device.id()).is_some());
        all && (opened || records.is_empty())
    }

    fn has_all_places(&self, account: &AccountId) -> bool {
        let is_this = |device| *account == self.own.account() && device == self.own.device;
        let has_place = |contact: &Contact, device| contact.place(device).is_some() || is_this(device);
        let contact = self.contacts.get(account);
        contact.is_none_or(|contact| contact.devices().iter().all(|device| has_place(contact, device.id())))
    }

    /// Begins sessions with the devices that something waits for.
    fn take_bundles(
        &mut self,
        account: &AccountId,
        bundles: VerifiedBundles,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), ServerError> {
        self.take_objects(account, Objects::from(bundles.account), now, rng);
        let mut all = true;
        let mut began = false;
        for bundle in &bundles.bundles {
            let device = (*account, bundle.device);
            let Some(contact) = self.contacts.get(account) else { break };
            let Some(listed) = contact.manifest.as_ref().and_then(|manifest| manifest.device(bundle.device)) else {
                continue;
            };
            let identity = *listed.keys();
            let peer = self.sessions.entry(device);
            if peer.is_usable(now) {
                continue;
            }
            let started = signal_bundle(bundle, &identity).and_then(|bundle| {
                let local = self.own.local(account, device.1);
                let initiated = peer.session.initiate(local, &bundle, now_of(now), rng).ok()?;
                crate::sessions::write(&device, &initiated.delta(), &mut self.stage);
                initiated.commit();
                Some(())
            });
            if started.is_none() {
                all = false;
                continue;
            }
            (peer.renew, peer.begun, peer.opening, peer.answers_left) = (false, now, None, 3);
            peer.answer_at = None;
            peer.save(&device, &mut self.stage);
            began = true;
        }
        // Nothing of what was asked for: it is asked again after a wait, not at once for ever.
        if all && began { Ok(()) } else { Err(forged()) }
    }
}

fn now_of(now: Timestamp) -> waxwing_protocol::Timestamp {
    convert::time(now)
}

/// A bundle in Signal's words, its signatures verified and its identity the one that the manifest lists.
fn signal_bundle(
    bundle: &waxwing_wire::keyserver::VerifiedBundle,
    keys: &waxwing_wire::manifest::DeviceKeys,
) -> Option<waxwing_protocol::Bundle> {
    use waxwing_protocol::{
        BundleIn, KyberPrekeyId, KyberPrekeyIn, OneTimePrekeyId, OneTimePrekeyIn, RegistrationId, SignedPrekeyId,
        SignedPrekeyIn,
    };
    let identity = convert::identity_key(&keys.identity)?.to_bytes();
    let signed = bundle.signed.facts();
    let kyber = bundle.kyber.facts();
    let one_time = bundle.one_time.as_ref().map(waxwing_wire::prekey::Prekey::facts);
    let bundle = BundleIn {
        registration_id: RegistrationId(keys.registration.value().into()),
        device_id: convert::device_id(bundle.device)?,
        identity_key: &identity,
        signed_prekey: SignedPrekeyIn {
            id: SignedPrekeyId(signed.id),
            public_key: &signed.key,
            signature: signed.identity_signature.as_ref()?.as_bytes(),
        },
        one_time_prekey: one_time
            .map(|facts| OneTimePrekeyIn { id: OneTimePrekeyId(facts.id), public_key: &facts.key }),
        kyber_prekey: Some(KyberPrekeyIn {
            id: KyberPrekeyId(kyber.id),
            public_key: &kyber.key,
            signature: kyber.identity_signature.as_ref()?.as_bytes(),
        }),
    };
    bundle.verify().ok()
}

/// Whether a server took the bound request and refused what was asked in it: it counts all the same (spec §19.5). Of other errors nobody knows
/// whether it counts: the next request has a connection of its own.
const fn is_of_the_inside(error: &ServerError) -> bool {
    matches!(
        error.code,
        ErrorCode::PrekeyIdUsed
            | ErrorCode::TooManyPrekeys
            | ErrorCode::StaleNumber
            | ErrorCode::InvalidName
            | ErrorCode::NameTaken
            | ErrorCode::NotYourName
            | ErrorCode::QuotaExceeded
            | ErrorCode::NotAdmitted
            | ErrorCode::WorkRequired
    )
}

/// The server's answer is not genuine, or not to what was asked: as if it could not answer.
pub(super) fn forged() -> ServerError {
    ServerError::from(ErrorCode::Unexpected)
}
