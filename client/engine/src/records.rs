//! What the engine writes into its records: protobuf, so that a later version reads an earlier one's. Implements spec/20-client.md §20.4.
//!
//! Invariants: a field number never changes its meaning; every record is wiped when dropped and shows nothing.
use core::fmt;

use prost::Message;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Declares a record: its fields are wiped, and its debug form is its name.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Message, Zeroize, ZeroizeOnDrop)]
        #[prost(skip_debug)]
        pub(crate) struct $name { $($(#[$attr])* pub(crate) $field: $type,)* }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

record!(
    /// This device and its account.
    OwnRecord {
        #[prost(bytes = "vec", tag = "1")]
        recovery_key: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        statement: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")]
        manifest: Vec<u8>,
        #[prost(bytes = "vec", optional, tag = "4")]
        root_seed: Option<Vec<u8>>,
        #[prost(uint32, tag = "5")]
        device: u32,
        #[prost(uint32, tag = "6")]
        registration: u32,
        #[prost(bytes = "vec", tag = "7")]
        identity: Vec<u8>,
        #[prost(bytes = "vec", tag = "8")]
        signing_seed: Vec<u8>,
        #[prost(bytes = "vec", tag = "9")]
        certificate: Vec<u8>,
        #[prost(uint32, tag = "10")]
        reach_key_number: u32,
        #[prost(bytes = "vec", tag = "11")]
        reach_key: Vec<u8>,
        #[prost(bytes = "vec", tag = "12")]
        contacts_secret: Vec<u8>,
        #[prost(bytes = "vec", tag = "13")]
        groups_secret: Vec<u8>,
        #[prost(bytes = "vec", tag = "14")]
        own_secret: Vec<u8>,
        #[prost(string, tag = "15")]
        relay: String,
        #[prost(bool, tag = "16")]
        registered: bool,
        #[prost(uint64, tag = "25")]
        published_issued: u64,
        #[prost(uint32, tag = "18")]
        reach_number: u32,
        #[prost(bool, tag = "19")]
        reach_stored: bool,
        #[prost(bytes = "vec", optional, tag = "20")]
        relay_admission: Option<Vec<u8>>,
        #[prost(bytes = "vec", optional, tag = "21")]
        keyserver_admission: Option<Vec<u8>>,
        #[prost(bool, tag = "22")]
        no_receipts: bool,
        #[prost(uint64, tag = "23")]
        newest: u64,
        #[prost(uint64, tag = "24")]
        upkeep_at: u64,
        #[prost(bytes = "vec", tag = "17")]
        published_reference: Vec<u8>,
        #[prost(uint64, tag = "26")]
        rotated: u64,
        #[prost(uint32, tag = "27")]
        listing_number: u32,
    }
);

record!(
    /// The mailbox of this device.
    MailboxRecord {
        #[prost(bytes = "vec", tag = "1")]
        owner_seed: Vec<u8>,
        #[prost(bool, tag = "2")]
        created: bool,
        #[prost(uint32, tag = "3")]
        contacts: u32,
        #[prost(uint32, tag = "4")]
        groups: u32,
        #[prost(uint32, tag = "5")]
        own: u32,
        #[prost(message, repeated, tag = "6")]
        tokens: Vec<TokenRecord>,
        #[prost(bytes = "vec", tag = "7")]
        close_hash: Vec<u8>,
        #[prost(bytes = "vec", tag = "8")]
        contacts_hash: Vec<u8>,
    }
);

record!(
    /// An introduction token and whether the relay knows its lane.
    TokenRecord {
        #[prost(bytes = "vec", tag = "1")]
        token: Vec<u8>,
        #[prost(uint64, tag = "2")]
        ends: u64,
        #[prost(uint32, tag = "3")]
        lane: u32,
        #[prost(bool, tag = "4")]
        revoked: bool,
        #[prost(bool, tag = "5")]
        once: bool,
    }
);

record!(
    /// A name of this account.
    NameRecord {
        #[prost(uint32, tag = "1")]
        state: u32,
        #[prost(bool, tag = "2")]
        listed: bool,
        #[prost(bytes = "vec", optional, tag = "3")]
        invite: Option<Vec<u8>>,
        #[prost(message, optional, tag = "4")]
        shown: Option<ShownRecord>,
    }
);

record!(
    /// Under what a name is listed.
    ShownRecord {
        #[prost(uint32, tag = "1")]
        generation: u32,
        #[prost(uint32, tag = "2")]
        device: u32,
        #[prost(uint32, tag = "3")]
        reach_key_number: u32,
    }
);

record!(
    /// A name that the person looks for.
    SearchRecord {
        #[prost(string, tag = "1")]
        server: String,
        #[prost(uint64, tag = "2")]
        asked: u64,
    }
);

record!(
    /// A contact.
    ContactRecord {
        #[prost(uint32, tag = "1")]
        standing: u32,
        #[prost(uint64, tag = "2")]
        revision: u64,
        #[prost(bytes = "vec", optional, tag = "3")]
        recovery_key: Option<Vec<u8>>,
        #[prost(bytes = "vec", optional, tag = "4")]
        statement: Option<Vec<u8>>,
        #[prost(bytes = "vec", optional, tag = "5")]
        manifest: Option<Vec<u8>>,
        #[prost(bytes = "vec", optional, tag = "6")]
        reach_key: Option<Vec<u8>>,
        #[prost(bytes = "vec", optional, tag = "7")]
        contacts_secret: Option<Vec<u8>>,
        #[prost(bytes = "vec", optional, tag = "8")]
        token: Option<Vec<u8>>,
        #[prost(string, repeated, tag = "9")]
        key_servers: Vec<String>,
        #[prost(message, repeated, tag = "10")]
        places: Vec<PlaceRecord>,
        #[prost(uint64, tag = "11")]
        sequence: u64,
        #[prost(bytes = "vec", tag = "12")]
        previous: Vec<u8>,
        #[prost(message, repeated, tag = "13")]
        heard: Vec<HeardRecord>,
        #[prost(uint64, tag = "14")]
        last_sent: u64,
        #[prost(uint32, optional, tag = "15")]
        accepted_generation: Option<u32>,
        #[prost(bytes = "vec", tag = "16")]
        told: Vec<u8>,
        #[prost(uint64, tag = "17")]
        news_at: u64,
        #[prost(bool, tag = "18")]
        accepted_us: bool,
        #[prost(bool, tag = "19")]
        forked: bool,
        #[prost(uint32, tag = "21")]
        before_block: u32,
        #[prost(bytes = "vec", tag = "22")]
        owed_delivered: Vec<u8>,
        #[prost(bytes = "vec", tag = "23")]
        owed_read: Vec<u8>,
        #[prost(uint64, tag = "24")]
        owed_at: u64,
        #[prost(uint32, tag = "25")]
        came_by: u32,
        #[prost(message, repeated, tag = "29")]
        copied: Vec<HeardRecord>,
        #[prost(bool, tag = "26")]
        owes_secret: bool,
        #[prost(message, optional, tag = "27")]
        notes: Option<NotesRecord>,
        #[prost(message, repeated, tag = "28")]
        log: Vec<LogRecord>,
    }
);

record!(
    /// What the person noted of a contact.
    NotesRecord {
        #[prost(uint64, tag = "1")]
        name_revision: u64,
        #[prost(string, optional, tag = "2")]
        name: Option<String>,
        #[prost(uint64, tag = "3")]
        verified_revision: u64,
        #[prost(uint32, optional, tag = "4")]
        verified: Option<u32>,
        #[prost(uint64, tag = "5")]
        muted_revision: u64,
        #[prost(uint64, optional, tag = "6")]
        muted_until: Option<u64>,
    }
);

record!(
    /// Something that changed about who a contact is.
    LogRecord {
        #[prost(uint64, tag = "1")]
        at: u64,
        #[prost(uint32, tag = "2")]
        kind: u32,
        #[prost(uint32, tag = "3")]
        one: u32,
        #[prost(uint32, tag = "4")]
        other: u32,
    }
);

record!(
    /// Where a device of a contact takes messages.
    PlaceRecord {
        #[prost(uint32, tag = "1")]
        device: u32,
        #[prost(string, tag = "2")]
        server: String,
        #[prost(bytes = "vec", tag = "3")]
        mailbox: Vec<u8>,
        #[prost(uint32, tag = "4")]
        number: u32,
    }
);

record!(
    /// The newest counted content of a device in a conversation.
    HeardRecord {
        #[prost(uint32, tag = "1")]
        device: u32,
        #[prost(uint64, tag = "2")]
        sequence: u64,
        #[prost(bytes = "vec", tag = "3")]
        hash: Vec<u8>,
        #[prost(uint64, tag = "4")]
        sent: u64,
        #[prost(uint64, repeated, tag = "5")]
        missing: Vec<u64>,
        #[prost(uint64, tag = "6")]
        ask_at: u64,
        #[prost(uint64, repeated, tag = "7")]
        missing_before: Vec<u64>,
        #[prost(bool, tag = "8")]
        is_dropped: bool,
        #[prost(uint32, tag = "9")]
        asked: u32,
        #[prost(uint64, repeated, tag = "10")]
        missing_after: Vec<u64>,
    }
);

record!(
    /// What is known of one device beside the session with it.
    PeerRecord {
        #[prost(uint32, tag = "1")]
        opening: u32,
        #[prost(uint32, tag = "2")]
        answers_left: u32,
        #[prost(uint64, tag = "3")]
        heard: u64,
        #[prost(uint64, tag = "4")]
        answer_at: u64,
        #[prost(uint64, tag = "5")]
        repaired: u64,
        #[prost(bool, tag = "6")]
        renew: bool,
        #[prost(uint64, tag = "7")]
        begun: u64,
        #[prost(uint64, tag = "8")]
        ask_at: u64,
    }
);

record!(
    /// A private prekey.
    PrekeyRecord {
        #[prost(bytes = "vec", tag = "1")]
        private: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        signature: Vec<u8>,
        #[prost(uint64, tag = "3")]
        made: u64,
        #[prost(uint64, tag = "4")]
        replaced: u64,
        #[prost(bool, tag = "5")]
        uploaded: bool,
    }
);

record!(
    /// Something to deliver.
    OutboxRecord {
        #[prost(bytes = "vec", tag = "1")]
        content: Vec<u8>,
        #[prost(uint32, tag = "2")]
        audience: u32,
        #[prost(message, repeated, tag = "3")]
        targets: Vec<TargetRecord>,
        #[prost(uint64, tag = "4")]
        made: u64,
        #[prost(bool, tag = "5")]
        awaits_receipt: bool,
        #[prost(uint64, tag = "6")]
        sent: u64,
        #[prost(bool, tag = "7")]
        by_receipts: bool,
        #[prost(uint64, tag = "8")]
        order: u64,
        #[prost(bool, tag = "9")]
        delivered: bool,
    }
);

record!(
    /// One device that something is for.
    TargetRecord {
        #[prost(bytes = "vec", tag = "1")]
        account: Vec<u8>,
        #[prost(uint32, tag = "2")]
        device: u32,
        #[prost(uint32, tag = "3")]
        state: u32,
        #[prost(uint64, tag = "4")]
        not_before: u64,
    }
);

record!(
    /// A sealed envelope on its way.
    EnvelopeRecord {
        #[prost(string, tag = "1")]
        server: String,
        #[prost(bytes = "vec", tag = "2")]
        mailbox: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")]
        delivery: Vec<u8>,
        #[prost(bytes = "vec", tag = "4")]
        envelope: Vec<u8>,
        #[prost(uint64, tag = "5")]
        made: u64,
        #[prost(bool, tag = "6")]
        opening: bool,
        #[prost(bool, tag = "7")]
        by_work: bool,
    }
);

/// Decodes a record; damaged storage otherwise.
pub(crate) fn decode<M: Message + Default>(bytes: &[u8]) -> Option<M> {
    M::decode(bytes).ok()
}
