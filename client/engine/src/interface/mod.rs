//! What goes into the engine and what comes out of it. Implements spec/20-client.md §20.1 to §20.3.
//!
//! ```text
//! person ──Command──▶┐                      ┌──▶ Save      one transaction of the store
//! network ──────────▶│ Engine::handle ─────▶├──▶ Connect, Relay, Keyserver, Disconnect
//! clock ──Woke──────▶┘       poll           ├──▶ Solve     proof of work
//!                                           └──▶ Notify, WakeAt
//! ```
//! Invariants: outputs are performed in their order; everything that an output relies on was saved by an output before it. A save
//! that fails ends the engine's life: drop it, and load another from the store, as after a crash.
mod command;
mod event;
mod link;
mod name;
mod people;
mod safety_number;
mod status;

use waxwing_wire::{
    address::ServerAddress,
    frame::ServerError,
    keyserver::{KeyserverReply, KeyserverRequest},
    pow::{Nonce, Puzzle},
    relay::{RelayPush, RelayReply, RelayRequest},
    request::Exporter,
    time::Timestamp,
};

pub use self::{
    command::{Command, CommandError, MessageText, ReadMessage},
    event::{Event, FailReason, IdentityChange, State, TroubleCause},
    link::{CallId, Link, Purpose},
    name::{NameNews, NameRefusal, NameView, NotFound, OwnNameState, SearchView},
    people::{ContactView, IdentityEvent, LogEntry, Verification},
    safety_number::{SafetyNumber, ScanError},
    status::{
        ClockSkew, ConnectionState, ConnectionView, Health, LinkId, LinkUses, OpenLink, OwnDevice, PrekeyCounts,
        WaitReason, Waiting,
    },
};
use crate::store::Batch;

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "inputs are taken one by one, and not kept")]
pub enum Input {
    /// The person wants something.
    Command(Command),
    /// A connection that was asked for is up. The exporter is the TLS connection's (spec §11.11.1).
    Connected {
        /// Which.
        link: Link,
        /// What signatures on it are bound to.
        exporter: Exporter,
    },
    /// A connection is over, or could not be made. Calls without a reply get none; what was sent may have been done.
    Disconnected {
        /// Which.
        link: Link,
    },
    /// A relay answered.
    RelayReplied {
        /// The call.
        call: CallId,
        /// What came of it.
        result: Result<RelayReply, ServerError>,
    },
    /// A key server answered.
    KeyserverReplied {
        /// The call.
        call: CallId,
        /// What came of it.
        result: Result<KeyserverReply, ServerError>,
    },
    /// A relay said something unasked.
    Pushed {
        /// Over which connection.
        link: Link,
        /// What.
        push: RelayPush,
    },
    /// A proof of work was found.
    Solved {
        /// The call that asked for it.
        call: CallId,
        /// The number.
        nonce: Nonce,
    },
    /// The time of the last `WakeAt` has come.
    Woke,
}

/// What to do next, in this order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Apply in one transaction, on stable storage, before the next output is looked at. If that fails: drop the engine.
    Save(Batch),
    /// Open a connection. Answer: connected or disconnected. Nothing of any other connection may show on it: own socket, no ticket.
    Connect {
        /// Its name.
        link: Link,
        /// Where.
        server: ServerAddress,
    },
    /// Close a connection; no answer.
    Disconnect {
        /// Which.
        link: Link,
    },
    /// Send a request to a relay.
    Relay {
        /// Over which connection; it is up.
        link: Link,
        /// What the reply will name.
        call: CallId,
        /// What is asked.
        request: RelayRequest,
    },
    /// Send a request to a key server.
    Keyserver {
        /// Over which connection; it is up.
        link: Link,
        /// What the reply will name.
        call: CallId,
        /// What is asked.
        request: KeyserverRequest,
    },
    /// Find a proof of work, on a thread of its own.
    Solve {
        /// What the answer will name.
        call: CallId,
        /// For what.
        puzzle: Puzzle,
    },
    /// Tell the person.
    Notify(Event),
    /// Come back at that time with [`Input::Woke`]; it replaces the one before.
    WakeAt(Timestamp),
}
