//! Telling the key server who this device is. Implements spec/20-client.md §20.6.
//!
//! ```text
//! account ─▶ manifest, whenever it is newer than what was published ─▶ reach record ─▶ prekeys ─▶ prekeys looked after
//! ```
//! Everything that a device signs is bound to the connection and counted (spec §11.11), so one thing is asked at a time.
use rand_core::CryptoRng;
use waxwing_wire::{
    frame::{Admission, InviteToken, Work},
    keyserver::{
        Bound, CreateAccount, DeviceRequest, KeyserverRequest, PublishManifest, StoreReach, UploadPrekeys, batch_hash,
    },
    manifest::Manifest,
    pow::Puzzle,
    reach::MailboxAddress,
    time::Timestamp,
};

use super::{Engine, naming::step_of};
use crate::{
    contacts::Objects,
    interface::{Event, Link, Purpose},
    own::Published,
    random,
    task::Task,
    times,
};

/// The key server announces no way in but by an invitation.
pub(super) struct OnlyByInvitation;

impl Engine {
    /// Whether somebody who has the account id can find this device and begin a session with it.
    pub(super) fn is_registered(&self) -> bool {
        self.own.registered && self.own.reach_stored && self.prekeys.are_ready()
    }

    pub(super) fn registration_due(&self, now: Timestamp) -> Option<Timestamp> {
        let issued = self.own.manifest.issued();
        let renewal = match self.own.root {
            Some(_) => issued.saturating_add(times::RENEWAL),
            None => issued.saturating_add(times::RENEWAL).max(self.looked_at_manifest).saturating_add(times::ROTATION),
        };
        let upkeep = self.is_registered().then_some(self.own.upkeep_at);
        core::iter::once(renewal).chain(upkeep).filter(|at| *at > now).min()
    }

    /// Asks for the next thing that the key server does not have.
    pub(super) fn register(&mut self, now: Timestamp, rng: &mut impl CryptoRng) {
        self.renew(now);
        self.prekeys.rotate(&self.own, now, &mut self.stage, rng);
        let Some(step) = self.next_step(now) else { return };
        let Some(server) = self.own.key_server().cloned() else { return };
        let link = Link { server: *server.key().as_bytes(), purpose: Purpose::OwnDirectory };
        if self.links.is_busy(&link) || self.links.is_asked(&Task::AccountWork) {
            return;
        }
        if self.links.may(link, &server, &step, now, &mut self.stage) {
            self.ask_step(link, step, now, rng);
        }
    }

    fn next_step(&self, now: Timestamp) -> Option<Task> {
        if !self.own.registered {
            return Some(Task::CreateAccount);
        }
        if self.own.root.is_some() && self.own.published != Some(Published::of(&self.own.manifest)) {
            return Some(Task::Publish);
        }
        if !self.own.reach_stored && self.mailbox.is_ready() {
            return Some(Task::StoreReach);
        }
        if self.prekeys.is_unsure() {
            return Some(Task::PrekeyIds);
        }
        if self.prekeys.has_batch() {
            return Some(Task::UploadPrekeys);
        }
        if !self.is_registered() {
            return None;
        }
        if self.own.upkeep_at <= now {
            return Some(Task::PrekeyIds);
        }
        self.next_name_step(now)
    }

    fn ask_step(&mut self, link: Link, step: Task, now: Timestamp, rng: &mut impl CryptoRng) {
        if let Some((name, step)) = step_of(&step) {
            return self.ask_for_name(link, name, step, now);
        }
        match step {
            Task::CreateAccount => self.ask_create(link, now),
            Task::Publish => {
                let Some(Published { reference: current, .. }) = self.own.published else { return };
                let new_generation = current.generation != self.own.manifest.content().generation();
                let request = KeyserverRequest::PublishManifest(PublishManifest {
                    current,
                    statement: new_generation.then(|| self.own.statement.encode()),
                    manifest: self.own.manifest.encode(),
                });
                self.publishing = Some(Published::of(&self.own.manifest));
                self.links.ask_keyserver(link, Task::Publish, request, now, &mut self.stage);
            }
            Task::StoreReach => {
                if let Some(record) = self.reach_record(rng) {
                    self.ask_bound(link, step, &DeviceRequest::StoreReach(StoreReach { record }), Vec::new(), now);
                }
            }
            Task::UploadPrekeys => {
                if let Some(prekeys) = self.prekeys.batch(&self.own) {
                    let upload = DeviceRequest::UploadPrekeys(UploadPrekeys { batch: batch_hash(&prekeys) });
                    self.ask_bound(link, step, &upload, prekeys, now);
                }
            }
            _ => {
                // The next time follows from nothing but chance (A6).
                self.own.upkeep_at = now.saturating_add(random::between(times::UPKEEP, rng));
                self.own.save(&mut self.stage);
                self.ask_bound(link, Task::PrekeyIds, &DeviceRequest::PrekeyIds, Vec::new(), now);
            }
        }
    }

    fn ask_create(&mut self, link: Link, now: Timestamp) {
        let Some(admission) = self.admission(link, now) else { return };
        let request = KeyserverRequest::CreateAccount(CreateAccount {
            recovery_key: *self.own.recovery.as_bytes(),
            statement: self.own.statement.encode(),
            manifest: self.own.manifest.encode(),
            admission,
        });
        self.publishing = Some(Published::of(&self.own.manifest));
        self.links.ask_keyserver(link, Task::CreateAccount, request, now, &mut self.stage);
    }

    /// By what right the account is made; none while that is being found out.
    fn admission(&mut self, link: Link, now: Timestamp) -> Option<Admission> {
        if let Some(token) = &self.own.keyserver_admission {
            return Some(Admission::Invite(InviteToken::from_bytes(*token)));
        }
        self.priced(link, now).unwrap_or_else(|OnlyByInvitation| {
            // There is none: the price may change.
            self.own.price = None;
            None
        })
    }

    /// What the key server announces that it takes: nothing, or work; none while that is being found out.
    pub(super) fn priced(&mut self, link: Link, now: Timestamp) -> Result<Option<Admission>, OnlyByInvitation> {
        let Some(price) = self.own.price else {
            if self.links.is_due(&Task::AccountInfo, now) {
                self.links.ask_keyserver(link, Task::AccountInfo, KeyserverRequest::Info, now, &mut self.stage);
            }
            return Ok(None);
        };
        if price.open {
            return Ok(Some(Admission::Open));
        }
        if let Some(nonce) = self.own.nonce {
            return Ok(Some(Admission::Work(Work { challenge: price.challenge, nonce })));
        }
        let difficulty = price.admission.ok_or(OnlyByInvitation)?;
        if self.links.is_due(&Task::AccountWork, now) {
            let puzzle = Puzzle::account(&price.challenge, &self.own.account(), difficulty);
            self.links.ask_work(Task::AccountWork, puzzle, now, &mut self.stage);
        }
        Ok(None)
    }

    pub(super) fn ask_bound(
        &mut self,
        link: Link,
        task: Task,
        request: &DeviceRequest,
        prekeys: Vec<Vec<u8>>,
        now: Timestamp,
    ) {
        let Some((exporter, number)) = self.links.binding(&link) else { return };
        let Ok(bytes) = request.encode() else { return };
        let Ok(signed) = self.own.signing.sign_request(self.own.signer(), exporter, number, &bytes) else { return };
        let bound = KeyserverRequest::Bound(Bound { request: signed.encode(), prekeys });
        self.links.ask_keyserver(link, task, bound, now, &mut self.stage);
    }

    /// Where this device takes messages, signed and sealed. A number is used once (spec §12.6): what is stored again is another record.
    fn reach_record(&mut self, rng: &mut impl CryptoRng) -> Option<Vec<u8>> {
        self.own.reach_number = self.own.reach_number.saturating_add(1);
        self.own.save(&mut self.stage);
        let number = self.own.reach_number;
        let address = MailboxAddress { server: self.own.relay.clone(), mailbox: self.mailbox.id() };
        let entry = self.own.signing.sign_reach_entry(self.own.signer(), number, &[address]).ok()?;
        let entry = entry.verify(&self.own.manifest).ok()?;
        let sealed = entry.seal(&self.own.reach_key, rng).ok()?;
        let record = self.own.signing.sign_reach_record(self.own.signer(), self.own.reach_key_number, number, &sealed);
        record.ok().map(|record| record.encode())
    }

    /// The primary renews the manifest when a third of its life is over (spec §11.5.5).
    fn renew(&mut self, now: Timestamp) {
        let Some(root) = &self.own.root else { return self.look_for_renewal(now) };
        if now.since(self.own.manifest.issued()) < times::RENEWAL || self.own.manifest.content().is_final() {
            return;
        }
        let renewed = self.own.manifest.renew(root, now).map(|manifest| manifest.verify(&self.own.statement, now));
        if let Ok(Ok(manifest)) = renewed {
            self.take_own_manifest(manifest);
        }
    }

    /// A renewal differs by its date alone, so no message tells of it: a linked device asks for it, once a day.
    fn look_for_renewal(&mut self, now: Timestamp) {
        let is_old = now.since(self.own.manifest.issued()) >= times::RENEWAL.saturating_add(times::ROTATION);
        if is_old && now.since(self.looked_at_manifest) >= times::ROTATION {
            self.looked_at_manifest = now;
            let own = self.own.account();
            self.want(&own, true, false);
        }
    }

    /// This account's manifest is another one from now on.
    pub(super) fn take_own_manifest(&mut self, manifest: Manifest) {
        self.own.manifest = manifest.clone();
        self.own.save(&mut self.stage);
        let own = self.own.account();
        if let Some(itself) = self.contacts.get_mut(&own) {
            let objects = Objects { recovery: self.own.recovery, statement: self.own.statement.clone(), manifest };
            itself.take(objects, self.own.newest);
            itself.save(&mut self.stage);
        }
        let manifest = self.own.manifest.clone();
        self.forget_devices(&own, |device| manifest.device(device).is_some());
        if self.own.manifest.device(self.own.device).is_none() {
            self.stage.notify(Event::Unlisted);
        }
    }
}
