//! The engine: one device's sub-machines, and what passes between them. Implements spec/20-client.md.
//!
//! ```text
//! input ─▶ handle: one of them takes it ─▶ settle: each looks at what it wants done and does what can be done now ─▶ stage ─▶ poll
//! ```
//! Nothing is remembered to be done but what the records say: a part of the engine that wants something looks at its own state in each
//! round and asks; after a crash it looks again. So there is no queue that a crash could empty.
//! Invariants: one `Save` comes before everything that relies on it; memory that was not saved is never used: a failed save ends the engine.
mod commands;
#[cfg(feature = "conformance")]
mod conformance;
mod contents;
mod delivery;
mod directory;
mod duties;
mod inbox;
mod naming;
mod people;
mod reading;
mod registration;
mod replies;
mod sealing;
mod searching;
mod status;
#[cfg(feature = "conformance")]
mod watch;

use std::collections::BTreeMap;

use rand_core::CryptoRng;
use thiserror::Error;
use waxwing_protocol::sealed::Agreements;
use waxwing_wire::{
    content::{MessageId, Standing},
    id::{AccountId, DeviceId},
    keyserver::VerifiedAccount,
    manifest::Place,
    time::Timestamp,
};
use zeroize::Zeroizing;

use crate::{
    contacts::{Contact, Contacts, Objects},
    interface::{ClockSkew, CommandError, Input, Output, Purpose},
    links::Links,
    mailbox::Mailbox,
    names::{OwnNames, Searches},
    outbox::Outbox,
    own::{Joining, NewAccount, NewAccountError, Own, Provisioning, Published, RecoverError},
    prekeys::Prekeys,
    sessions::Sessions,
    stage::{Changed, Stage},
    store::{Record, Table},
    task::Task,
};

#[cfg(feature = "conformance")]
pub use self::watch::Witness;

/// One device of one account.
pub struct Engine {
    settings: Settings,
    own: Own,
    mailbox: Mailbox,
    contacts: Contacts,
    sessions: Sessions,
    /// In memory: what this device's identity key and others' agree on (spec §8.9).
    agreements: Agreements,
    prekeys: Prekeys,
    outbox: Outbox,
    links: Links<Task>,
    names: OwnNames,
    searches: Searches,
    /// Authors and messages that were taken, and when: what comes again is not shown again (S4).
    seen: BTreeMap<(AccountId, MessageId), Timestamp>,
    quarantined: u32,
    looked_at_ids: Timestamp,
    looked_at_outbox: Timestamp,
    /// When the account's manifest was asked for because it is old.
    looked_at_manifest: Timestamp,
    /// The manifest that the key server is being given.
    publishing: Option<Published>,
    /// While something is taken that the other devices know already.
    quiet: bool,
    /// `Ready` was said.
    is_ready: bool,
    /// The last clock that was told to be off.
    skew: Option<ClockSkew>,
    /// The newest time that is in the store.
    saved_time: Timestamp,
    stage: Stage,
    /// What names the message key of the envelope that was taken last.
    #[cfg(feature = "conformance")]
    opened: Option<Vec<u8>>,
}

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many one-time prekeys of each kind the key server is to hold: 1 to 200.
    pub one_time_prekeys: usize,
    /// Whether servers that other people name may lie in private networks (spec §11.12.4).
    pub allow_private_servers: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { one_time_prekeys: 200, allow_private_servers: false }
    }
}

/// A new account.
#[derive(Debug)]
pub struct Created {
    /// Its first device.
    pub engine: Engine,
    /// The 24 words: show them once, have them checked, keep them nowhere.
    pub words: Zeroizing<String>,
}

/// Why an engine cannot be loaded. The store is left as it was.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum LoadError {
    /// A record is damaged, or of a newer version.
    #[error("a record of table {table:?} is damaged or newer than this version")]
    Damaged {
        /// Of which table.
        table: Table,
    },
}

/// The provisioning is not of an account that lists this device at that place.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the account does not list this device")]
pub struct NotListed;

impl Engine {
    /// Makes an account and its first device. Everything is in the first save.
    ///
    /// # Errors
    /// If the key servers do not fit into a manifest.
    pub fn create(
        new: NewAccount,
        settings: Settings,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Created, NewAccountError> {
        let (own, mailbox, words) = Own::create(new, now, rng)?;
        Ok(Created { engine: Self::begin(own, mailbox, settings, now, rng), words })
    }

    /// Begins the next generation of an account by its 24 words, with this as its only device. `current` is what the key server has, verified
    /// under the account id that the person gave. Contacts are told by nobody: each hears of it with what is said next.
    ///
    /// # Errors
    /// [`RecoverError`].
    pub fn recover(
        words: &str,
        current: VerifiedAccount,
        new: NewAccount,
        settings: Settings,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, RecoverError> {
        let (own, mailbox) = Own::recover(words, &Objects::from(current), new, now, rng)?;
        Ok(Self::begin(own, mailbox, settings, now, rng))
    }

    /// Runs a device that was listed by its account.
    ///
    /// # Errors
    /// [`NotListed`].
    pub fn join(
        joining: Joining,
        device: DeviceId,
        provisioning: Provisioning,
        settings: Settings,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, NotListed> {
        let (own, mailbox) = joining.join(device, provisioning, now).ok_or(NotListed)?;
        Ok(Self::begin(own, mailbox, settings, now, rng))
    }

    fn begin(own: Own, mailbox: Mailbox, settings: Settings, now: Timestamp, rng: &mut impl CryptoRng) -> Self {
        let prekeys = Prekeys::new(settings.one_time_prekeys.min(waxwing_wire::keyserver::PrekeyIds::MOST));
        let mut engine = Self::with(own, mailbox, prekeys, settings);
        engine.own.save(&mut engine.stage);
        engine.mailbox.save(&mut engine.stage);
        let itself = engine.itself(now);
        itself.save(&mut engine.stage);
        // Nobody else has this account's service id yet.
        let _ = engine.contacts.insert(itself);
        engine.prekeys.begin(&engine.own, now, &mut engine.stage, rng);
        engine.settle(now, rng);
        engine
    }

    fn with(own: Own, mailbox: Mailbox, prekeys: Prekeys, settings: Settings) -> Self {
        Self {
            settings,
            saved_time: own.newest,
            outbox: Outbox::new(own.account()),
            own,
            mailbox,
            contacts: Contacts::new(),
            sessions: Sessions::new(),
            agreements: Agreements::new(),
            prekeys,
            links: Links::new(),
            names: OwnNames::new(),
            searches: Searches::new(),
            seen: BTreeMap::new(),
            quarantined: 0,
            looked_at_ids: Timestamp(0),
            looked_at_outbox: Timestamp(0),
            looked_at_manifest: Timestamp(0),
            publishing: None,
            quiet: false,
            is_ready: false,
            skew: None,
            stage: Stage::new(),
            #[cfg(feature = "conformance")]
            opened: None,
        }
    }

    /// This account as its devices know each other: by the secret for own devices.
    fn itself(&self, now: Timestamp) -> Contact {
        let mut contact = Contact::new(self.own.account(), Standing::Accepted);
        let objects = Objects {
            recovery: self.own.recovery,
            statement: self.own.statement.clone(),
            manifest: self.own.manifest.clone(),
        };
        contact.take(objects, now);
        contact.take_secrets(Some(&self.own.reach_key), Some(&self.own.own_secret));
        contact.accepted_us = true;
        contact
    }

    /// Loads what a store holds; none if it holds nothing.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(records: &[Record], settings: Settings) -> Result<Option<Self>, LoadError> {
        let of = |table: Table| records.iter().filter(move |record| record.table == table);
        let damaged = |table: Table| LoadError::Damaged { table };
        let Some(account) = of(Table::Account).next() else { return Ok(None) };
        let own = Own::restore(&account.value).ok_or(damaged(Table::Account))?;
        let mailbox = of(Table::Mailbox).next().and_then(|record| Mailbox::restore(&record.value));
        let prekeys = Prekeys::new(settings.one_time_prekeys.min(waxwing_wire::keyserver::PrekeyIds::MOST));
        let mut engine = Self::with(own, mailbox.ok_or(damaged(Table::Mailbox))?, prekeys, settings);
        engine.sessions =
            Sessions::restore(of(Table::Session), of(Table::Peer)).map_err(|_| damaged(Table::Session))?;
        for record in records {
            let restored = match record.table {
                Table::Account | Table::Mailbox | Table::Session | Table::Peer => Some(()),
                Table::Contact => {
                    account_of(&record.key).and_then(|account| engine.contacts.restore(account, &record.value))
                }
                Table::Prekey | Table::LastResortUse => engine.prekeys.restore(&engine.own, record),
                Table::Outbox | Table::Envelope => engine.outbox.restore(record),
                Table::Seen => engine.restore_seen(record),
                Table::Name => engine.names.restore(&record.key, &record.value),
                Table::Search => engine.searches.restore(&record.key, &record.value),
                Table::Quarantine => {
                    engine.quarantined = engine.quarantined.saturating_add(1);
                    Some(())
                }
            };
            restored.ok_or(damaged(record.table))?;
        }
        Ok(Some(engine))
    }

    /// Takes one input. What comes of it is polled; several inputs may be taken before that, and are saved in one transaction.
    ///
    /// # Errors
    /// [`CommandError`]: the command was refused and changed nothing.
    pub fn handle(&mut self, input: Input, now: Timestamp, rng: &mut impl CryptoRng) -> Result<(), CommandError> {
        let now = self.own.advance(now);
        let result = match input {
            Input::Command(command) => self.on_command(command, now, rng),
            Input::Connected { link, exporter } => {
                self.links.connected(link, exporter, now);
                Ok(())
            }
            Input::Disconnected { link } => {
                self.on_disconnected(link, now, rng);
                Ok(())
            }
            Input::RelayReplied { call, result } => {
                self.on_relay_reply(call, result, now, rng);
                Ok(())
            }
            Input::KeyserverReplied { call, result } => {
                self.on_keyserver_reply(call, result, now, rng);
                Ok(())
            }
            Input::Pushed { link, push } => {
                self.on_push(link, push, now, rng);
                Ok(())
            }
            Input::Solved { call, nonce } => {
                self.on_solved(call, nonce, now);
                Ok(())
            }
            Input::Woke => {
                self.stage.woke();
                Ok(())
            }
        };
        self.settle(now, rng);
        result
    }

    /// What to do next; none: wait for the next input.
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(Changed { contacts, peers }) = self.stage.take_changed() {
            // One that is gone by now was deleted in the same batch.
            let contacts = contacts.iter().filter_map(|account| self.contacts.get(account));
            contacts.for_each(|contact| contact.put(&mut self.stage));
            let peers = peers.iter().filter_map(|device| Some((device, self.sessions.get(device)?)));
            peers.for_each(|(device, peer)| peer.put(device, &mut self.stage));
        }
        self.stage.next()
    }

    /// Each part does what it can do now.
    fn settle(&mut self, now: Timestamp, rng: &mut impl CryptoRng) {
        self.links.tidy(now, &mut self.stage, rng);
        self.mailbox.pump(&self.own, &mut self.links, now, &mut self.stage);
        self.register(now, rng);
        self.do_duties(now, rng);
        let bundles = self.seal_waiting(now, rng);
        self.search(now);
        self.look_up(&bundles, now);
        self.put_sealed(now);
        self.tell_ready();
        if now.since(self.saved_time) >= core::time::Duration::from_secs(60) && self.stage.has_writes() {
            self.saved_time = now;
            self.own.save(&mut self.stage);
        }
        let due = self.next_due(now);
        self.stage.wake_at(due);
    }

    /// This account.
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        self.own.account()
    }

    /// This device of it.
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        self.own.device
    }

    /// Where this device takes messages.
    #[must_use]
    pub fn mailbox_id(&self) -> waxwing_wire::id::MailboxId {
        self.mailbox.id()
    }

    /// The relay and the key servers of this account's own, which the person chose.
    pub fn own_servers(&self) -> impl Iterator<Item = &waxwing_wire::address::ServerAddress> {
        core::iter::once(&self.own.relay).chain(self.own.manifest.content().key_servers())
    }

    /// The newest time that was ever seen: whoever gives it an earlier one is not believed.
    #[must_use]
    pub fn newest_time(&self) -> Timestamp {
        self.own.newest
    }

    /// Whether others can reach this device.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether everything is here that had waited at the relay when this connection to it was made. What comes later comes by itself.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.mailbox.is_drained()
    }

    /// Whether everything that was to be sent is at its relays, and the own relay knows which links are open.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.outbox.is_quiet() && self.mailbox.knows_links(self.own.newest)
    }

    /// Where the next device of this account joins; none if there is no room, or the account is deleted.
    #[must_use]
    pub fn next_place(&self) -> Option<Place> {
        waxwing_wire::manifest::Draft::after(&self.own.manifest).ok()?.place().ok()
    }

    /// What a device that was listed needs, whose mailbox is that one; none if this is not the primary.
    #[must_use]
    pub fn provision(&self, mailbox: waxwing_wire::id::MailboxId) -> Option<Provisioning> {
        self.own.provision(mailbox)
    }

    /// The accounts that are known here, and what they are; this account is not among them.
    pub fn contacts(&self) -> impl Iterator<Item = (AccountId, Standing)> {
        let own = self.own.account();
        self.contacts
            .iter()
            .filter(move |contact| contact.account != own && contact.standing != Standing::Removed)
            .map(|contact| (contact.account, contact.standing))
    }

    /// Forgets everything shared with the devices of an account that are not listed.
    fn forget_devices(&mut self, account: &AccountId, listed: impl Fn(DeviceId) -> bool) {
        let gone = self.sessions.retain(account, listed, &mut self.stage);
        gone.iter().for_each(|identity| self.agreements.forget(identity));
    }

    fn tell_ready(&mut self) {
        let is_ready = self.mailbox.is_ready() && self.is_registered();
        if is_ready && !self.is_ready {
            self.stage.notify(crate::interface::Event::Ready);
        }
        self.is_ready = is_ready;
    }

    fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let parts = [
            self.links.next_due(now),
            self.contacts.next_due(now),
            self.sessions.next_due(now),
            self.outbox.next_due(now),
            self.prekeys.next_due(),
            self.registration_due(now),
            self.searches.next_due(now),
        ];
        // What is overdue waits for a connection or for a person, whose coming is an input; it does not hide what comes after it.
        parts.into_iter().flatten().filter(|at| *at > now).min()
    }

    fn on_disconnected(&mut self, link: crate::interface::Link, now: Timestamp, rng: &mut impl CryptoRng) {
        if matches!(link.purpose, Purpose::Owner(_)) {
            self.mailbox.down();
        }
        self.links.disconnected(link, now, &mut self.stage, rng);
    }

    fn restore_seen(&mut self, record: &Record) -> Option<()> {
        let (account, id) = record.key.split_first_chunk::<32>()?;
        let id = MessageId::from_bytes(id.try_into().ok()?);
        let at = u64::from_be_bytes(record.value.as_slice().try_into().ok()?);
        self.seen.insert((AccountId::from_bytes(*account), id), Timestamp(at));
        Some(())
    }
}

fn account_of(key: &[u8]) -> Option<AccountId> {
    AccountId::try_from(key).ok()
}

impl core::fmt::Debug for Engine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Engine")
            .field("account", &self.own.account())
            .field("device", &self.own.device)
            .finish_non_exhaustive()
    }
}
