//! What a key server does, without a transport. Implements spec/19-keyserver.md §19.1 to §19.8.
//!
//! ```text
//! Keyserver ──session(exporter, source)──▶ Session ──handle(request, now)──▶ Answer
//!     ├ store      everything that lasts                            ├ how many bound requests were accepted
//!     ├ limits     who may ask how often (in memory)                └ nothing else: an anonymous connection is nobody
//!     └ verified   manifests whose signatures were checked (a cache of pure functions of bytes)
//! ```
//! Invariants: nothing enters the store unverified; a request that is answered with an error changed nothing; time is an
//! argument; no authoritative state lives here, so that several processes may serve one store.
//! Not here: connections and their order ([`crate::server`]), the operator ([`crate::admin`]).
use std::sync::Arc;

use waxwing_wire::{keys::ServerPublicKey, request::Exporter};

use crate::store::{Store, Unavailable};

mod account;
mod admission;
mod counters;
mod device;
mod failure;
mod limits;
mod prekeys;
mod session;
mod settings;
mod verified;

use self::{admission::Challenges, limits::Buckets, verified::VerifiedManifests};
pub use self::{
    admission::{AdmissionSettings, invite_hash},
    counters::{Counters, Handed, RequestKind},
    limits::{Limits, Rate},
    session::{Answer, Session, Stream},
    settings::Settings,
};

/// A key server over a store. Cheap to clone.
#[derive(Debug)]
pub struct Keyserver<S>(Arc<Inner<S>>);

#[derive(Debug)]
struct Inner<S> {
    store: S,
    /// The key that its address pins and listings name.
    key: ServerPublicKey,
    settings: Settings,
    challenges: Challenges,
    buckets: Buckets,
    verified: VerifiedManifests,
    counters: Counters,
}

impl<S: Store> Keyserver<S> {
    /// Serves what `store` has, as the server with the public key `key`.
    ///
    /// # Errors
    /// [`Unavailable`]: the store did not give its secret.
    pub async fn new(store: S, key: ServerPublicKey, settings: Settings) -> Result<Self, Unavailable> {
        let challenges = Challenges::new(store.secret().await?);
        let buckets = Buckets::new(settings.limits);
        let (verified, counters) = (VerifiedManifests::default(), Counters::default());
        Ok(Self(Arc::new(Inner { store, key, settings, challenges, buckets, verified, counters })))
    }

    /// A connection begins. `exporter` is what both of its ends export (spec §11.11.1).
    #[must_use]
    pub fn session(&self, exporter: Exporter, source: Source) -> Session<S> {
        Session::new(self.clone(), exporter, source)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.0.store
    }

    /// What was done so far, in counts.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }
}

impl<S> Clone for Keyserver<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Where a connection comes from, as limits see it: a number that means nothing elsewhere and does not outlive the process.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Source(pub u64);
