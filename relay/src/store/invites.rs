//! Invitations in a tree, for the operator. Implements spec/17-relay.md §17.11.3.
//!
//! Invariants: one serves once; what one served for is not kept, nor its hash after it did; whoever revokes one ends all below it that have not
//! served, also those that are about to.
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    Unavailable,
    disk::{Change, Disk},
    lock,
    mailboxes::Mailboxes,
};

/// An invitation's place in the order they were made, from 1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InviteId(pub u64);

/// An invitation as the operator sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Invitation {
    /// Which.
    pub id: InviteId,
    /// The one it hangs below.
    pub below: Option<InviteId>,
    /// Whether it can serve.
    pub state: InvitationState,
}

/// Whether an invitation can serve.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvitationState {
    /// It can, once.
    Open,
    /// It did.
    Spent,
    /// It was revoked before it did.
    Revoked,
}

/// Why the operator's wish was not done.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum InviteError {
    /// There is no invitation of that number.
    #[error("no such invitation")]
    Absent,
    /// The invitation it should hang below is revoked.
    #[error("the invitation is revoked")]
    Revoked,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// One that is about to serve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) id: InviteId,
    hash: [u8; 32],
}

/// All invitations.
#[derive(Debug, Default)]
pub(crate) struct Invites {
    open: HashMap<[u8; 32], InviteId>,
    all: BTreeMap<InviteId, Row>,
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    below: Option<InviteId>,
    state: InvitationState,
    /// Revoked, or below one that is: if it does not serve after all, it never does.
    barred: bool,
}

impl Invites {
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn can_serve(&self, hash: &[u8; 32]) -> bool {
        self.open.contains_key(hash)
    }

    /// One that can serve, about to; [`Self::give_back`] if it does not.
    pub(crate) fn take(&mut self, hash: &[u8; 32]) -> Option<Taken> {
        let id = self.open.remove(hash)?;
        if let Some(row) = self.all.get_mut(&id) {
            row.state = InvitationState::Spent;
        }
        Some(Taken { id, hash: *hash })
    }

    pub(crate) fn give_back(&mut self, Taken { id, hash }: Taken) {
        let Some(row) = self.all.get_mut(&id) else { return };
        if row.barred {
            row.state = InvitationState::Revoked;
        } else {
            row.state = InvitationState::Open;
            self.open.insert(hash, id);
        }
    }

    /// The number of the next one, below another or none; of the one that there is with this hash.
    pub(crate) fn number(&mut self, hash: &[u8; 32], below: Option<InviteId>) -> Result<(InviteId, bool), InviteError> {
        if let Some(below) = below {
            match self.all.get(&below) {
                None => return Err(InviteError::Absent),
                Some(row) if row.barred => return Err(InviteError::Revoked),
                Some(_) => {}
            }
        }
        if let Some(id) = self.open.get(hash) {
            return Ok((*id, false));
        }
        self.last = self.last.saturating_add(1);
        Ok((InviteId(self.last), true))
    }

    /// One that is in the file. Barred is also what was on its way while the one above it was revoked.
    pub(crate) fn insert(&mut self, invitation: Invitation, hash: Option<[u8; 32]>, barred: bool) {
        let Invitation { id, below, state } = invitation;
        self.last = self.last.max(id.0);
        let barred = barred || below.and_then(|below| self.all.get(&below)).is_some_and(|row| row.barred);
        let state = if barred && state == InvitationState::Open { InvitationState::Revoked } else { state };
        if let (InvitationState::Open, Some(hash)) = (state, hash) {
            self.open.insert(hash, id);
        }
        self.all.insert(id, Row { below, state, barred });
    }

    /// An invitation and all below it.
    pub(crate) fn tree(&self, id: InviteId) -> Result<Vec<InviteId>, InviteError> {
        if !self.all.contains_key(&id) {
            return Err(InviteError::Absent);
        }
        let mut tree = vec![id];
        // A parent always has the lower number.
        for (one, row) in self.all.range(id..) {
            if row.below.is_some_and(|below| tree.binary_search(&below).is_ok()) {
                tree.push(*one);
            }
        }
        Ok(tree)
    }

    /// These are revoked; how many could have served.
    pub(crate) fn revoke(&mut self, tree: &[InviteId]) -> u64 {
        let mut ended = 0_u64;
        for id in tree {
            if let Some(row) = self.all.get_mut(id) {
                row.barred = true;
                if row.state == InvitationState::Open {
                    row.state = InvitationState::Revoked;
                    ended = ended.saturating_add(1);
                }
            }
        }
        self.open.retain(|_, id| tree.binary_search(id).is_err());
        ended
    }

    pub(crate) fn list(&self) -> Vec<Invitation> {
        self.all.iter().map(|(id, row)| Invitation { id: *id, below: row.below, state: row.state }).collect()
    }
}

impl<D: Disk> Mailboxes<D> {
    /// Adds an invitation, by its hash, below another or none; its number.
    ///
    /// # Errors
    /// [`InviteError`]; there is no new one.
    pub async fn mint(&self, hash: [u8; 32], below: Option<InviteId>) -> Result<InviteId, InviteError> {
        let shared = Arc::clone(&self.shared);
        let (id, new) = lock(&shared.invites).number(&hash, below)?;
        if new {
            let settle = move |outcome: Result<(), Unavailable>| {
                if outcome.is_ok() {
                    let invitation = Invitation { id, below, state: InvitationState::Open };
                    lock(&shared.invites).insert(invitation, Some(hash), false);
                }
            };
            self.shared.disk.change(Change::Mint { id, hash, below }, Box::new(settle)).await?;
        }
        Ok(id)
    }

    /// Ends an invitation and all below it that have not served; how many that were.
    ///
    /// # Errors
    /// [`InviteError`]; nothing has changed.
    pub async fn revoke(&self, id: InviteId) -> Result<u64, InviteError> {
        let tree = lock(&self.shared.invites).tree(id)?;
        let (shared, row) = (Arc::clone(&self.shared), Change::Revoke { tree: tree.clone() });
        let (ended, told) = (Arc::new(AtomicU64::new(0)), tree);
        let counted = Arc::clone(&ended);
        let settle = move |outcome: Result<(), Unavailable>| {
            if outcome.is_ok() {
                counted.store(lock(&shared.invites).revoke(&told), Ordering::Relaxed);
            }
        };
        self.shared.disk.change(row, Box::new(settle)).await?;
        Ok(ended.load(Ordering::Relaxed))
    }

    /// All invitations, in the order in which they were made.
    #[must_use]
    pub fn invitations(&self) -> Vec<Invitation> {
        lock(&self.shared.invites).list()
    }
}
