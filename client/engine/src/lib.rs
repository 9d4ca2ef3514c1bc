//! A client's brain, without hands: inputs in, ordered outputs out. Implements spec/20-client.md.
//!
//! Pure: time and randomness are arguments; sockets, disks and clocks belong to whoever drives it. One engine is one device of one
//! account.
#![forbid(unsafe_code)]

mod interface;
pub mod store;

pub use self::interface::{
    CallId, Command, CommandError, Event, FailReason, IdentityChange, Input, Link, MessageText, Output, Purpose, State,
};
