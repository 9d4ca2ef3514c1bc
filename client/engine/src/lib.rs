//! A client's brain, without hands: inputs in, ordered outputs out. Implements spec/20-client.md.
//!
//! Pure: time and randomness are arguments; sockets, disks and clocks belong to whoever drives it. One engine is one device of one
//! account.
#![forbid(unsafe_code)]

mod contacts;
mod convert;
mod engine;
mod interface;
mod links;
mod mailbox;
mod names;
mod outbox;
mod own;
mod prekeys;
mod random;
mod records;
mod sessions;
mod stage;
pub mod store;
mod task;
mod times;

#[cfg(feature = "conformance")]
pub use self::engine::Witness;
pub use self::engine::{Created, Engine, LoadError, NotListed, Settings};
pub use self::interface::{
    CallId, ClockSkew, Command, CommandError, ConnectionState, ConnectionView, ContactView, Event, FailReason, Health,
    IdentityChange, IdentityEvent, Input, Link, LinkId, LinkUses, LogEntry, MessageText, NameNews, NameRefusal,
    NameView, NotFound, OpenLink, Output, OwnDevice, OwnNameState, PrekeyCounts, Purpose, ReadMessage, SafetyNumber,
    ScanError, SearchView, State, TroubleCause, Verification, WaitReason, Waiting,
};
pub use self::own::{Joining, NewAccount, NewAccountError, Provisioning, RecoverError};
pub use waxwing_wire::content::{ContactName, ContactNameError};
