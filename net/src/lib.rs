//! QUIC endpoints, TLS with pinned server keys, framed streams. The only crate that names quinn, rustls or aws-lc.
//!
//! Implements spec/18-transport.md, and the parts of spec/13-frames.md that concern streams.
//!
//! ```text
//!  a client's identity                                        a server
//!  Client ── connect(address, service) ──▶ ClientConnection ═══════ Connection ◀── accept ── Listener
//!     └─ RelayConnection, KeyserverConnection                            └─ accept_stream ─▶ Control │ Backlog │ Blob
//!                    └───────────── frames: FrameSender ──▶ FrameReader ─────┘
//! ```
//!
//! Invariants: a connection exists only after TLS 1.3 proved the pinned key; nothing is ever sent before that (no 0-RTT); two
//! [`Client`]s share no port, ticket, token or connection id; no address of a peer leaves this crate, in a log or otherwise
//! ([`Source`] is what there is instead); what a peer makes us keep is bounded.
//! Not here: what the messages mean (`waxwing-wire`), what servers do (`waxwing-relay`, `waxwing-keyserver`), when a client
//! connects again (its engine).

mod alarm;
mod client;
mod clock;
mod close;
pub mod echo;
mod key_file;
mod leaf;
#[cfg(feature = "process")]
pub mod process;
mod request;
mod server;
mod service;
mod silence;
#[cfg(feature = "simulation")]
pub mod simulation;
mod socket;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod transport;

/// Log targets of the libraries below, which trace addresses and connection ids: leave them off at every level (spec §18.11).
pub const UNLOGGED: &[&str] = &["quinn", "quinn_proto", "quinn_udp", "rustls"];

pub use alarm::Alarm;
pub use client::{Attempt, AttemptError, Client, ClientConfig, ClientConnection, ConnectError, Path, Trust};
pub use clock::Clock;
pub use close::{CloseCode, Ended};
pub use key_file::{KeyFileError, load_or_create};
pub use leaf::LeafNumber;
pub use request::{
    Backlog, BlobTransfer, BoundError, ChunkSink, ChunkSource, KeyserverConnection, Pending, Pushes, RelayConnection,
    RequestError, TransferError,
};
pub use server::{
    Accepted, Connection, ConnectionHandle, Counts, Drained, Limits, Listener, ListenerConfig, Pace, Retry,
};
pub use service::Service;
pub use socket::{BindError, Machine, Socket};
pub use source::Source;
pub use stream::{Batch, BlobStream, FrameReader, FrameSender, FramedStream, SendError, StreamError, TrySendError};
