//! Names at key servers: those that the person looks for, and those of this account. Implements spec/20-client.md §20.18.
//!
//! ```text
//! search:  asked ─▶ listing ─▶ account ─▶ a contact, or why not       one record until it is over
//! own:     claiming ─▶ held ◀─▶ listed ─▶ releasing ─▶ (none)         one record each
//! ```
//! Invariants: a search ends with an answer to the person, also after a crash; only what is in a record is done.
//! Not here: what is asked of servers (`engine/searching`, `engine/naming`).
mod own;
mod search;

pub(crate) use self::{
    own::{OwnNames, Shown, Step},
    search::{SearchId, Searches, Sought},
};
