//! One process owns a profile, and answers everybody else. Implements spec/22-client-api.md §22.1 and §22.2.
//!
//! ```text
//! verb, bot ──daemon.sock, one JSON a line──▶ conversation ─▶ Service ─▶ Client      several at once
//! program ──stdin, stdout of `waxwing rpc`──▶ conversation ─▶ …
//! ```
//! Invariants: whoever can open the socket is the system's user that runs the daemon; a line has an end; a client that does not read
//! stops nobody but itself.
mod conversation;
mod line;
mod remote;
mod socket;

pub use self::{
    conversation::converse,
    remote::{Remote, RemoteNotes},
    socket::serve,
};

/// The socket's name in the profile's folder.
pub const SOCKET: &str = "daemon.sock";
/// The longest line of a request.
pub const MOST_LINE: usize = 1 << 20;
