//! The Double Ratchet's key schedule. Implements spec/05-ratchet.md §5.2 and §5.3.
//!
//! ```text
//! RootKey ──DH ratchet step──▶ RootKey'        ChainKey(n) ──0x02──▶ ChainKey(n+1)
//!                     └──────▶ ChainKey(0)          └──────0x01──▶ MessageSeed ──▶ MessageKeys
//! ```
//! Invariants: a chain only moves forward; message keys seal or open exactly one message.
//! Not here: when to step, what to keep of skipped messages (`session`).

mod chain;
mod message_keys;
mod root;

pub(crate) use self::chain::{ChainExhausted, ChainKey};
pub(crate) use self::message_keys::{MessageKeys, MessageSeed, PqSalt};
pub(crate) use self::root::RootKey;
