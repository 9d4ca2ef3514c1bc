//! Starting a state from a verified bundle (spec §3.4), and giving one up.

use alloc::boxed::Box;
use alloc::vec::Vec;

use rand_core::CryptoRng;

use super::delta::{Delta, IdentityEvent, Write};
use super::receiving::ReceivingChains;
use super::record;
use super::state::{SendingChain, State, Unacknowledged};
use super::{LocalDevice, MAX_ARCHIVED, Session};
use crate::agreement::{self, Consumed, Initiation, NonContributoryAgreement};
use crate::curve::{RatchetKey, RatchetPair};
use crate::prekey::{Bundle, ClassicalBundle, Offer};
use crate::spqr::{Role, Spqr};
use crate::suite::Suite;
use crate::time::Timestamp;

/// A state that was started and a session that does not have it yet.
#[must_use = "persist the delta, then commit; drop to leave the session unchanged"]
#[derive(Debug)]
pub struct Initiated<'s> {
    session: &'s mut Session,
    state: Box<State>,
}

/// A session about to archive its current state.
#[must_use = "persist the delta, then commit; drop to leave the session unchanged"]
#[derive(Debug)]
pub struct Archived<'s> {
    session: &'s mut Session,
}

impl Session {
    /// Starts a state by PQXDH (spec §3.4) with the post-quantum ratchet (spec §6); a current one is archived. Nothing is
    /// sent: the next [`Self::seal`] makes the first message.
    ///
    /// That the bundle's [`identity_key`](Bundle::identity_key) is the right person's is for the caller to know;
    /// [`Delta::identity`] tells whether it is the one from before. Draws 96 random bytes.
    ///
    /// # Errors
    /// [`NonContributoryAgreement`]: use another bundle.
    pub fn initiate(
        &mut self,
        local: LocalDevice<'_>,
        bundle: &Bundle,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Initiated<'_>, NonContributoryAgreement> {
        let mut initiation = agreement::initiate(local.identity, bundle, rng)?;
        // PQXDH always yields it. Were it not there, no session would be better than one without the ratchet.
        let auth_key = initiation.secrets.pq_ratchet_key.take().ok_or(NonContributoryAgreement)?;
        let post_quantum = Box::new(Spqr::new(&auth_key.0, Role::Initiator));
        self.start(local, &bundle.offer, initiation, Some(post_quantum), now, rng)
    }

    /// As [`Self::initiate`] without the post-quantum ratchet, for peers older than the official library's 0.74: who records
    /// the traffic, learns the session's keys once and one day owns a quantum computer reads everything after, for as long as
    /// the session lasts. Peers since 0.92 refuse it.
    ///
    /// # Errors
    /// [`NonContributoryAgreement`]: use another bundle.
    pub fn initiate_without_post_quantum_ratchet(
        &mut self,
        local: LocalDevice<'_>,
        bundle: &Bundle,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Initiated<'_>, NonContributoryAgreement> {
        let initiation = agreement::initiate(local.identity, bundle, rng)?;
        self.start(local, &bundle.offer, initiation, None, now, rng)
    }

    /// As [`Self::initiate`] by X3DH, for peers without Kyber prekeys: whoever records the traffic and one day owns a
    /// quantum computer reads the whole session.
    ///
    /// # Errors
    /// [`NonContributoryAgreement`]: use another bundle.
    pub fn initiate_without_post_quantum_secrecy(
        &mut self,
        local: LocalDevice<'_>,
        bundle: &ClassicalBundle,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Initiated<'_>, NonContributoryAgreement> {
        let initiation = agreement::initiate_without_post_quantum_secrecy(local.identity, bundle, rng)?;
        self.start(local, &bundle.offer, initiation, None, now, rng)
    }

    /// Archives the current state, so that the next message needs a new agreement; messages of the old state still open.
    pub const fn archive(&mut self) -> Archived<'_> {
        Archived { session: self }
    }

    /// The initiator's first ratchet step: the responder's signed prekey stands in for its ratchet key, and the agreement's
    /// chain is kept for what the responder may send before it steps (spec §5.1).
    fn start(
        &mut self,
        local: LocalDevice<'_>,
        offer: &Offer,
        initiation: Initiation,
        post_quantum: Option<Box<Spqr>>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Initiated<'_>, NonContributoryAgreement> {
        let Initiation { secrets, base_key, kyber } = initiation;
        let (signed_prekey_id, signed_prekey) = offer.signed_prekey;
        let ratchet = RatchetPair::generate(rng);
        let (root_key, chain_key) = secrets.root_key.step(&ratchet.private, &signed_prekey.point)?;
        let theirs = RatchetKey::from_point(&signed_prekey.point);
        let one_time_prekey_id = offer.one_time_prekey.map(|(id, _)| id);
        let state = Box::new(State {
            serial: self.next_serial,
            suite: if kyber.is_some() { Suite::Pqxdh } else { Suite::X3dh },
            local_identity: *local.identity.public_key(),
            remote_identity: offer.identity_key.key,
            local_registration_id: local.registration_id,
            remote_registration_id: offer.registration_id,
            addresses: local.addresses,
            base_key,
            root_key,
            post_quantum,
            sending: SendingChain::new(ratchet, chain_key, 0),
            receiving: ReceivingChains::starting_with(theirs, secrets.chain_key),
            unacknowledged: Some(Unacknowledged { since: now, one_time_prekey_id, signed_prekey_id, kyber }),
        });
        Ok(Initiated { session: self, state })
    }

    /// What replacing the current state by a new one writes, the new one's own records apart.
    pub(super) fn write_replaced(&self, serial: u32, writes: &mut Vec<Write>) {
        let archived = self.current.iter().chain(&self.archived).map(|state| state.serial).take(MAX_ARCHIVED);
        writes.push(record::head_write(serial.wrapping_add(1), Some(serial), archived));
        self.write_demoted(writes);
    }

    /// What archiving the current state writes, the head apart: its own record, and the deletion of the oldest.
    pub(super) fn write_demoted(&self, writes: &mut Vec<Write>) {
        let Some(current) = &self.current else { return };
        current.write_archived(writes);
        for state in self.archived.iter().skip(MAX_ARCHIVED.saturating_sub(1)) {
            state.write_deleted(writes);
        }
    }

    /// Makes `state` the current one.
    pub(super) fn replace_current(&mut self, state: Box<State>) {
        self.demote_current();
        self.next_serial = self.next_serial.max(state.serial.wrapping_add(1));
        self.current = Some(state);
    }

    pub(super) fn demote_current(&mut self) {
        if let Some(mut old) = self.current.take() {
            old.unacknowledged = None;
            self.archived.insert(0, old);
            self.archived.truncate(MAX_ARCHIVED);
        }
    }

    /// What a peer's identity is in the light of what we knew.
    pub(super) fn identity_event(&self, to: crate::curve::IdentityKey) -> IdentityEvent {
        match self.known_identity() {
            None => IdentityEvent::First(to),
            Some(from) if from == to => IdentityEvent::Unchanged,
            Some(from) => IdentityEvent::Changed { from, to },
        }
    }
}

impl Initiated<'_> {
    /// What must be on disk before [`Self::commit`].
    pub fn delta(&self) -> Delta {
        let mut writes = Vec::new();
        self.session.write_replaced(self.state.serial, &mut writes);
        self.state.write_all(&mut writes);
        let identity = self.session.identity_event(self.state.remote_identity);
        Delta { writes, consumed: Consumed::default(), identity }
    }

    /// Makes the new state current.
    pub fn commit(self) {
        self.session.replace_current(self.state);
    }
}

impl Archived<'_> {
    /// What must be on disk before [`Self::commit`].
    pub fn delta(&self) -> Delta {
        let Self { session } = self;
        let mut writes = Vec::new();
        if session.current.is_some() {
            let archived = session.states().map(|state| state.serial).take(MAX_ARCHIVED);
            writes.push(record::head_write(session.next_serial, None, archived));
            session.write_demoted(&mut writes);
        }
        Delta { writes, consumed: Consumed::default(), identity: IdentityEvent::Unchanged }
    }

    /// Leaves the session without a current state.
    pub fn commit(self) {
        self.session.demote_current();
    }
}
