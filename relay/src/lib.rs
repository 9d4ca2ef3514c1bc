//! A blind relay: mailboxes of ciphertext envelopes, durable before it says so. Implements spec/17-relay.md.
pub mod ledger;
pub mod registers;
#[allow(dead_code, reason = "what a store on a disk needs comes before it")]
pub mod store;
