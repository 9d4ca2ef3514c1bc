//! What identity keys agree on, kept from one message to the next (spec §8.9).
//!
//! ```text
//! open ─▶ DH(S, R), S of the content ─▶ newest ──keep(S)──▶ kept        seal ─▶ DH(S, R) of kept
//! ```
//! Invariants: an agreement is used for the very two keys that it was computed from; which bytes are sealed, and whether a message
//! opens, does not depend on what is kept.
//! Not here: whose keys are worth keeping (the caller knows who is a contact).

use alloc::collections::BTreeMap;
use core::fmt;

use crate::curve::{Decoded, EncodedKey, IdentityKey, KeyPair, NonContributory, SharedSecret};
use crate::identity::IdentityKeyPair;

/// Agreements between own identity keys and those of others. Each is the same for every message between two devices, and computing it
/// is a third of what opening an envelope costs. Secret: whoever has one can make messages that seem sealed by the other device, as
/// whoever has our identity key can. It lives in memory only, and is wiped when dropped.
#[derive(Default)]
pub struct Agreements {
    kept: BTreeMap<Parties, Agreement>,
    /// The one that the last message took, from whomever it came: kept if the caller says so before the next one.
    newest: Option<(Parties, Agreement)>,
}

/// Whose: the public keys of both.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Parties {
    ours: EncodedKey,
    theirs: EncodedKey,
}

/// What they agree on, and the other's key, checked and decoded.
struct Agreement {
    theirs: Decoded<IdentityKey>,
    secret: SharedSecret,
}

impl Agreements {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { kept: BTreeMap::new(), newest: None }
    }

    /// Keeps what `ours` and `theirs` agree on, for messages in either direction.
    pub fn keep(&mut self, ours: &IdentityKeyPair, theirs: &IdentityKey) {
        let parties = Parties::new(ours.pair(), theirs.encoded());
        if self.kept.contains_key(&parties) {
            return;
        }
        let newest = self.newest.take().filter(|(of, _)| *of == parties).map(|(_, agreement)| agreement);
        let computed = || {
            let theirs = Decoded { key: *theirs, point: theirs.encoded().point().ok()? };
            Agreement::compute(ours.pair(), &theirs).ok()
        };
        // A key that agrees on nothing is refused where it is used.
        if let Some(agreement) = newest.or_else(computed) {
            self.kept.insert(parties, agreement);
        }
    }

    /// Wipes everything that was kept with `theirs`: the device is gone.
    pub fn forget(&mut self, theirs: &IdentityKey) {
        self.newest = None;
        self.kept.retain(|parties, _| parties.theirs != theirs.encoded());
    }

    /// The other's key, if it was checked for `ours` before.
    pub(super) fn decoded(&self, ours: &KeyPair, theirs: EncodedKey) -> Option<Decoded<IdentityKey>> {
        self.kept.get(&Parties::new(ours, theirs)).map(|agreement| agreement.theirs)
    }

    /// What is kept for the two.
    pub(super) fn kept(&self, ours: &KeyPair, theirs: EncodedKey) -> Option<&SharedSecret> {
        self.kept.get(&Parties::new(ours, theirs)).map(|agreement| &agreement.secret)
    }

    /// As [`Self::kept`], computed if it is not.
    pub(super) fn of(
        &mut self,
        ours: &KeyPair,
        theirs: &Decoded<IdentityKey>,
    ) -> Result<&SharedSecret, NonContributory> {
        let parties = Parties::new(ours, theirs.key.encoded());
        if let Some(agreement) = self.kept.get(&parties) {
            return Ok(&agreement.secret);
        }
        let computed = Agreement::compute(ours, theirs)?;
        Ok(&self.newest.insert((parties, computed)).1.secret)
    }
}

impl Agreement {
    fn compute(ours: &KeyPair, theirs: &Decoded<IdentityKey>) -> Result<Self, NonContributory> {
        Ok(Self { theirs: *theirs, secret: ours.agree(&theirs.point)? })
    }
}

impl Parties {
    fn new(ours: &KeyPair, theirs: EncodedKey) -> Self {
        Self { ours: EncodedKey::from_point(ours.public()), theirs }
    }
}

impl fmt::Debug for Agreements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, newest: _ } = self;
        f.debug_struct("Agreements").field("kept", &kept.len()).finish_non_exhaustive()
    }
}
