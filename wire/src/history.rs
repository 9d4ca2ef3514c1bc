//! Which manifest of an account counts. Implements spec/11-identity.md §11.6.
//!
//! ```text
//! generation 0:  0 ─ 1 ─ 2 ─ 3                 a higher generation beats everything below it
//!                      └ 2' ─ 3' ─ 4'          a fork: 4' counts, and the fork is reported
//! generation 1:  0 ─ 1                         ◀── counts
//! ```
//! Invariants: [`precedence`] is a total order over verified manifests, so the winner of a set is its maximum and the order
//! of arrival cannot change it; [`History::chain`] is one chain of contents that contains the winner.
//! Not here: verification ([`crate::manifest`]), what a person is shown.
use alloc::{collections::BTreeMap, vec::Vec};
use core::cmp::{Ordering, Reverse};

use thiserror::Error;

use crate::{
    id::{AccountId, Generation, Sequence},
    manifest::{ContentHash, Manifest},
};

/// Which of two manifests of one account counts: the greater one. Total: equal only if they are the same bytes.
///
/// Generation, then whether final, then sequence, then the lower content hash (a fork), then the later dates (a renewal),
/// then the lower bytes. None of it depends on a clock or on what was seen before (spec §11.6.1).
#[must_use]
pub fn precedence(one: &Manifest, other: &Manifest) -> Ordering {
    let key = |manifest: &Manifest| {
        let content = manifest.content();
        let place = (content.generation(), content.is_final(), content.sequence(), Reverse(manifest.content_hash()));
        (place, manifest.issued(), manifest.expires())
    };
    key(one).cmp(&key(other)).then_with(|| other.signed().cmp(&one.signed()))
}

/// Whether both contents can stand in one chain: the links and rules that any two of one generation keep (spec §11.6.3).
///
/// # Errors
/// The rule that says they cannot. Contents of different generations never exclude each other.
pub fn compatible(one: &Manifest, other: &Manifest) -> Result<(), ForkError> {
    let (earlier, later) =
        if one.content().sequence() <= other.content().sequence() { (one, other) } else { (other, one) };
    let (before, after) = (earlier.content(), later.content());
    if before.generation() != after.generation() {
        return Ok(());
    }
    let sequence = after.sequence();
    if before.sequence() == sequence {
        let same = earlier.content_hash() == later.content_hash();
        return if same { Ok(()) } else { Err(ForkError::TwoContents { sequence: sequence.0 }) };
    }
    if before.is_final() {
        return Err(ForkError::AfterFinal { sequence: sequence.0 });
    }
    if before.sequence().next() == Some(sequence) && after.previous() != earlier.content_hash() {
        return Err(ForkError::OtherPredecessor { sequence: sequence.0 });
    }
    if after.last_device() < before.last_device() {
        return Err(ForkError::DeviceReused { sequence: sequence.0 });
    }
    for device in after.devices() {
        let known = before.devices().iter().find(|known| known.id() == device.id());
        let possible = match known {
            Some(known) => device.is(known),
            // Not listed then: it joined since, under an id that had not been given yet.
            None => device.joined() > before.sequence() && Some(device.id()) > before.last_device(),
        };
        if !possible {
            return Err(ForkError::DeviceReused { sequence: sequence.0 });
        }
        if known.is_some_and(|known| !device.capabilities().include(known.capabilities())) {
            return Err(ForkError::CapabilityVanished { sequence: sequence.0 });
        }
    }
    Ok(())
}

/// What `candidate` is to an account that stands at `current`: what a key server accepts and stores, and the check a
/// primary makes before it publishes (spec §11.6.2). Strict: nothing is skipped.
///
/// # Errors
/// Why it is not accepted; the account stays where it is.
pub fn step(current: Option<&Manifest>, candidate: &Manifest) -> Result<Step, StepError> {
    let next = candidate.content();
    let Some(current) = current else {
        return if next.sequence() == Sequence(0) { Ok(Step::First) } else { Err(StepError::Gap) };
    };
    let content = current.content();
    if next.account_id() != content.account_id() {
        return Err(StepError::Account);
    }
    match next.generation().cmp(&content.generation()) {
        Ordering::Less => return Err(StepError::LowerGeneration { current: content.generation().0 }),
        Ordering::Greater if next.sequence() == Sequence(0) => return Ok(Step::Generation),
        Ordering::Greater => return Err(StepError::Gap),
        Ordering::Equal => {}
    }
    if candidate == current {
        return Ok(Step::Same);
    }
    if candidate.content_hash() == current.content_hash() {
        let newer = precedence(candidate, current) == Ordering::Greater;
        return if newer { Ok(Step::Renewal) } else { Err(StepError::Older) };
    }
    if next.sequence() < content.sequence() {
        return Err(StepError::Older);
    }
    compatible(current, candidate)?;
    if content.sequence().next() != Some(next.sequence()) {
        return Err(StepError::Gap);
    }
    if candidate.issued() < current.issued() {
        return Err(StepError::Dates);
    }
    Ok(Step::Next)
}

/// How an accepted manifest follows (spec §11.6.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// The first of the account that is known here.
    First,
    /// The very same bytes: nothing to store.
    Same,
    /// The same content with newer dates.
    Renewal,
    /// The next content of the chain.
    Next,
    /// The first content of a higher generation.
    Generation,
}

/// What is known of one account: every verified content of its highest generation, each with its newest dates.
#[derive(Clone, Debug)]
pub struct History {
    account: AccountId,
    /// Keyed by place and hash, so that both sides of a fork are kept.
    contents: BTreeMap<(Sequence, ContentHash), Manifest>,
}

impl History {
    /// Begins with one verified manifest.
    #[must_use]
    pub fn new(manifest: Manifest) -> Self {
        let mut contents = BTreeMap::new();
        let account = manifest.content().account_id();
        contents.insert((manifest.content().sequence(), manifest.content_hash()), manifest);
        Self { account, contents }
    }

    /// Takes one more verified manifest, from whomever and in whatever order.
    ///
    /// # Errors
    /// If it is another account's, or [`MAX_CONTENTS`] are held; nothing changes then.
    pub fn insert(&mut self, manifest: Manifest) -> Result<Inserted, HistoryError> {
        let content = manifest.content();
        if content.account_id() != self.account {
            return Err(HistoryError::Account);
        }
        match content.generation().cmp(&self.generation()) {
            Ordering::Less => return Ok(Inserted::Old),
            Ordering::Greater => {
                *self = Self::new(manifest);
                return Ok(Inserted::NewGeneration);
            }
            Ordering::Equal => {}
        }
        let place = (content.sequence(), manifest.content_hash());
        if let Some(known) = self.contents.get_mut(&place) {
            let newer = precedence(&manifest, known) == Ordering::Greater;
            if newer {
                *known = manifest;
            }
            return Ok(if newer { Inserted::Renewal } else { Inserted::Old });
        }
        if self.contents.len() >= MAX_CONTENTS {
            return Err(HistoryError::Full);
        }
        let wins = self.winner().is_none_or(|winner| precedence(&manifest, winner) == Ordering::Greater);
        self.contents.insert(place, manifest);
        Ok(if wins { Inserted::Newer } else { Inserted::Old })
    }

    /// The manifest that counts: the greatest by [`precedence`]. There always is one.
    #[must_use]
    pub fn winner(&self) -> Option<&Manifest> {
        self.contents.values().max_by(|one, other| precedence(one, other))
    }

    /// The account's generation as far as it is known.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.contents.values().next().map_or(Generation(0), |manifest| manifest.content().generation())
    }

    /// The winner and, newest first, everything known that can stand in one chain with it: at most one content per
    /// sequence.
    #[must_use]
    pub fn chain(&self) -> Vec<&Manifest> {
        let mut sorted: Vec<_> = self.contents.values().collect();
        sorted.sort_by(|one, other| precedence(other, one));
        let mut chain: Vec<&Manifest> = Vec::new();
        for manifest in sorted {
            if chain.iter().all(|member| compatible(member, manifest).is_ok()) {
                chain.push(manifest);
            }
        }
        chain
    }

    /// Evidence that the root of this generation signed two histories, if there is any: it is in two hands, or broken.
    /// Only a new generation mends that, and people are told (spec §11.6.4).
    #[must_use]
    pub fn fork(&self) -> Option<(&Manifest, &Manifest, ForkError)> {
        let contents: Vec<_> = self.contents.values().collect();
        contents.iter().enumerate().find_map(|(index, one)| {
            let others = contents.iter().skip(index.saturating_add(1));
            others.copied().find_map(|other| compatible(one, other).err().map(|rule| (*one, other, rule)))
        })
    }

    /// Forgets contents below `sequence`, the winner excepted: what a caller no longer wants to compare with.
    pub fn prune(&mut self, sequence: Sequence) {
        let winner = self.winner().map(|winner| (winner.content().sequence(), winner.content_hash()));
        self.contents.retain(|place, _| place.0 >= sequence || Some(*place) == winner);
    }
}

/// What a manifest changed in a [`History`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Inserted {
    /// It is of a higher generation: everything before is over, sessions and trust are the person's decision.
    NewGeneration,
    /// It counts now; look at [`History::fork`].
    Newer,
    /// A known content with newer dates.
    Renewal,
    /// Nothing that counts changed; if it is a new branch, [`History::fork`] shows it.
    Old,
}

/// Why two contents exclude each other (spec §11.6.3). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ForkError {
    /// Two contents at one place.
    #[error("§11.6.3.1: two contents with sequence {sequence}")]
    TwoContents {
        /// Where.
        sequence: u32,
    },
    /// The later one does not name the earlier one.
    #[error("§11.6.3.2: content {sequence} names another predecessor")]
    OtherPredecessor {
        /// Of the later one.
        sequence: u32,
    },
    /// A content after a final one.
    #[error("§11.6.3.3: content {sequence} follows a final one")]
    AfterFinal {
        /// Of the later one.
        sequence: u32,
    },
    /// A device id stands for another device, came back, or was slipped in behind its time.
    #[error("§11.6.3.4: content {sequence} reuses a device id")]
    DeviceReused {
        /// Of the later one.
        sequence: u32,
    },
    /// A device can do less than before.
    #[error("§11.6.3.5: a capability vanished in content {sequence}")]
    CapabilityVanished {
        /// Of the later one.
        sequence: u32,
    },
}

/// Why a manifest is not the next one (spec §11.6.2). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum StepError {
    /// Another account's.
    #[error("§11.6.2.1: the manifest is of another account")]
    Account,
    /// Of a generation that is over: nothing returns.
    #[error("§11.6.2.2: generation {current} has begun")]
    LowerGeneration {
        /// The generation that counts.
        current: u32,
    },
    /// Contents between are missing: send those first.
    #[error("§11.6.2.3: contents in between are missing")]
    Gap,
    /// Known already, or behind: fetch the newest and go on from there.
    #[error("§11.6.2.4: a newer manifest is known")]
    Older,
    /// It branches off: fetch the newest; if both are real, begin a new generation.
    #[error(transparent)]
    Fork(#[from] ForkError),
    /// Issued before its predecessor: the signer's clock went back.
    #[error("§11.6.2.5: issued before its predecessor")]
    Dates,
}

/// Why a [`History`] did not take a manifest. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum HistoryError {
    /// Another account's.
    #[error("§11.6.2.1: the manifest is of another account")]
    Account,
    /// [`MAX_CONTENTS`] are held: prune.
    #[error("§11.6.5: {MAX_CONTENTS} contents are held")]
    Full,
}

/// Most contents that a [`History`] holds (spec §11.6.5).
pub const MAX_CONTENTS: usize = 1024;
