//! A client's hands. So far: what it keeps ([`store`], spec/21-client-store.md).
#![forbid(unsafe_code)]

pub mod store;
