//! A blind relay: mailboxes of ciphertext envelopes, durable before it says so. Implements spec/17-relay.md.
pub mod ledger;
pub mod store;
