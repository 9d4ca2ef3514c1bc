//! What a relay announces. Implements spec/14-relay-messages.md §14.1.
use alloc::vec::Vec;
use core::time::Duration;

use crate::{frame::Price, message, proto::relay as proto, time::Timestamp};

/// The relay's clock, what it asks, and what it allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Info {
    /// Now, by the relay's clock; more than 5 minutes from ours is shown to the person.
    pub time: Timestamp,
    /// Admission and proof of work.
    pub price: Price,
    /// Quotas.
    pub limits: Limits,
    /// The signed statement that this server moved, as it was signed; verify it before use. At most 4,096 bytes.
    pub moved: Option<Vec<u8>>,
}
message::message!(Info = proto::Info { time, price, limits, moved });

/// The relay's quotas. 0 means that the relay does not offer it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of a mailbox.
    pub mailbox_bytes: u64,
    /// Envelopes of a mailbox.
    pub mailbox_envelopes: u32,
    /// Requests without an answer on one connection.
    pub requests_in_flight: u32,
    /// Deliveries without an ack on one subscription; at most 1,024.
    pub push_window: u32,
    /// Recipients of one fan-out; at most 5,000.
    pub fan_out_recipients: u32,
    /// Bytes of a register.
    pub register_bytes: u32,
    /// Writes to a register in an hour.
    pub register_writes_per_hour: u32,
    /// Bytes of a blob.
    pub blob_bytes: u64,
    /// How long a blob lives after its last chunk was written.
    pub blob_lifetime: Duration,
}
message::message!(
    Limits = proto::Limits {
        mailbox_bytes,
        mailbox_envelopes,
        requests_in_flight,
        push_window,
        fan_out_recipients,
        register_bytes,
        register_writes_per_hour,
        blob_bytes,
        blob_lifetime,
    }
);

impl Default for Limits {
    /// FLOWS' and DESIGN's numbers (spec §14.1).
    fn default() -> Self {
        Self {
            mailbox_bytes: 64 << 20,
            mailbox_envelopes: 20_000,
            requests_in_flight: 256,
            push_window: 256,
            fan_out_recipients: 5_000,
            register_bytes: 8 << 20,
            register_writes_per_hour: 600,
            blob_bytes: 2 << 30,
            blob_lifetime: Duration::from_secs(30 * 86_400),
        }
    }
}
