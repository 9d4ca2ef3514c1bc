//! Bodies that were fanned out: how many envelopes refer to each, counted in memory. Implements spec/17-relay.md §17.7.
//!
//! Invariants: a body is inserted by the first transaction that commits an envelope of it, and deleted by the one that deletes the
//! last; so a crash leaves none without an envelope, and no row is rewritten because somebody acked.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::store::lock;

#[derive(Clone, Debug, Default)]
pub(super) struct Shares(Arc<Mutex<HashMap<u64, Share>>>);

#[derive(Debug, Default)]
struct Share {
    /// Envelopes, in the file or on their way.
    count: u32,
    /// Whether it is in the file.
    written: bool,
}

/// What remains of a body when an envelope less refers to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Left {
    /// Others do.
    Shared,
    /// Nobody does; it may be in the file.
    Nobody,
}

impl Shares {
    /// Bodies that a file has, by the place that each envelope refers to.
    pub(super) fn of(bodies: impl IntoIterator<Item = u64>) -> Self {
        let mut shares: HashMap<u64, Share> = HashMap::new();
        for body in bodies {
            let share = shares.entry(body).or_default();
            (share.count, share.written) = (share.count.saturating_add(1), true);
        }
        Self(Arc::new(Mutex::new(shares)))
    }

    /// An envelope more refers to it.
    pub(super) fn enter(&self, body: u64) {
        let mut shares = lock(&self.0);
        let share = shares.entry(body).or_default();
        share.count = share.count.saturating_add(1);
    }

    /// An envelope less.
    pub(super) fn leave(&self, body: u64) -> Left {
        let mut shares = lock(&self.0);
        let Some(share) = shares.get_mut(&body) else { return Left::Nobody };
        share.count = share.count.saturating_sub(1);
        if share.count > 0 {
            return Left::Shared;
        }
        shares.remove(&body);
        Left::Nobody
    }

    pub(super) fn is_written(&self, body: u64) -> bool {
        lock(&self.0).get(&body).is_some_and(|share| share.written)
    }

    /// The transaction that inserted it is committed.
    pub(super) fn written(&self, body: u64) {
        if let Some(share) = lock(&self.0).get_mut(&body) {
            share.written = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_goes_with_its_last_envelope() {
        let shares = Shares::of([7, 7, 9]);
        shares.enter(7);
        assert!(shares.is_written(7) && !shares.is_written(8));
        assert_eq!([shares.leave(7), shares.leave(7), shares.leave(7)], [Left::Shared, Left::Shared, Left::Nobody]);
        assert!(!shares.is_written(7));
        shares.enter(8);
        assert!(!shares.is_written(8));
        shares.written(8);
        assert!(shares.is_written(8));
        assert_eq!((shares.leave(8), shares.leave(9)), (Left::Nobody, Left::Nobody));
    }
}
