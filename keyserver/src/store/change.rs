//! The log of changes: one entry for each thing that a transparency log will have to show. Implements spec/19-keyserver.md §19.7.
use waxwing_wire::{
    id::{AccountId, Generation, Sequence},
    manifest::ContentHash,
    name::Name,
    time::Timestamp,
};

/// One change, at its place in the one order of the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// Ascends without gaps from 1, in the order of commits.
    pub number: u64,
    /// Whose.
    pub account: AccountId,
    /// What happened.
    pub kind: ChangeKind,
    /// When, by the server's clock; never below the entry before it.
    pub at: Timestamp,
}

/// What changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ChangeKind {
    /// A content became current: a new account, the next of a chain, a new generation, or a final one. Renewals are no change.
    Content {
        /// Its generation.
        generation: Generation,
        /// Its place there.
        sequence: Sequence,
        /// Its hash.
        content: ContentHash,
    },
    /// The account got a name.
    NameClaimed(Name),
    /// The account gave a name up, or was deleted.
    NameReleased(Name),
}
