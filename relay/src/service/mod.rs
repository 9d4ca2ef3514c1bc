//! What a relay does, without a transport. Implements spec/17-relay.md §17.10 to §17.16, §17.20 to §17.22.
//!
//! ```text
//! Relay ──session(exporter, outbox)──▶ Session ──handle(request)──▶ future: drive it, it fills the outbox
//!   ├ store       everything that lasts                 ├ owner         of at most one mailbox
//!   ├ challenges  a function of a secret and the hour    ├ in flight     ids without an answer
//!   └ counters    what happened, never to whom           └ subscription  feed ─▶ backlog stream │ control stream
//! ```
//! Invariants: nothing is answered with done before its commit; absent, wrong and ended are one answer by one path; what a
//! connection makes us keep is bounded; time and randomness are arguments.
//! Not here: connections, streams and tasks (`server`), what a mailbox is ([`crate::store`]).
use std::{fmt, sync::Arc};

use rand_core::CryptoRng;
use waxwing_wire::{
    relay::{Info, OwnerKey, OwnerPublicKey},
    request::Exporter,
    time::Timestamp,
};

use crate::store::Store;

mod admission;
mod blobs;
mod counters;
mod failure;
mod fan_out;
mod feed;
mod mailbox;
mod outbox;
mod put;
mod rates;
mod registers;
mod session;
mod settings;
mod subscription;

use self::{admission::Challenges, rates::Buckets, registers::Allowances};
pub use self::{
    admission::{AdmissionSettings, invite_hash},
    blobs::{BlobAnswer, BlobEnd},
    counters::{Counters, Limit, RequestKind},
    outbox::{Gone, Outbox},
    rates::{Rate, Rates, Source},
    session::Session,
    settings::Settings,
};

/// A relay over a store. Cheap to clone.
pub struct Relay<S>(Arc<Inner<S>>);

pub(crate) struct Inner<S> {
    pub(crate) store: S,
    pub(crate) settings: Settings,
    pub(crate) challenges: Challenges,
    pub(crate) allowances: Allowances,
    pub(crate) blob_allowances: Allowances,
    pub(crate) buckets: Buckets,
    /// Verifies proofs for mailboxes that do not exist, so that they take as long; nobody has its private half.
    pub(crate) nobody: OwnerPublicKey,
    pub(crate) counters: Counters,
    clock: Clock,
}

impl<S: Store> Relay<S> {
    /// Serves what `store` has. Challenges derive from `rng`: they change when the process is started anew.
    pub fn new(store: S, settings: Settings, clock: Clock, rng: &mut impl CryptoRng) -> Self {
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        let challenges = Challenges::new(secret);
        let nobody = OwnerKey::generate(rng).public_key();
        let allowances = Allowances::new(registers::REGISTERS_PER_HOUR);
        let blob_allowances = Allowances::new(blobs::BLOBS_PER_HOUR);
        let counters = Counters::default();
        let buckets = Buckets::new(settings.rates);
        let inner =
            Inner { store, settings, challenges, allowances, blob_allowances, buckets, nobody, counters, clock };
        Self(Arc::new(inner))
    }

    /// A connection begins, from `source`. `exporter` is what both of its ends export (spec §11.11.1); what the client gets goes to `outbox`.
    pub fn session<O: Outbox>(&self, exporter: Exporter, source: Source, outbox: O) -> Arc<Session<S, O>> {
        Session::new(self.clone(), exporter, source, outbox)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.0.store
    }

    /// What happened so far, in counts.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// What an operator decided.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Now, by the relay's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.now()
    }

    pub(crate) fn inner(&self) -> &Inner<S> {
        &self.0
    }
}

impl<S> Inner<S> {
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock.0)()
    }

    /// What `info` answers (spec §14.1).
    pub(crate) fn info(&self) -> Info {
        let Self { settings, challenges, .. } = self;
        let now = self.now();
        let price = settings.admission.price(challenges, now);
        Info { time: now, price, limits: settings.limits, moved: settings.moved.clone() }
    }
}

impl<S> Clone for Relay<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for Relay<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("counters", &self.0.counters).finish_non_exhaustive()
    }
}

/// The time of day, as an argument.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Whatever `now` says: the operating system's clock in a server, a counter in a simulated world.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(..)")
    }
}
