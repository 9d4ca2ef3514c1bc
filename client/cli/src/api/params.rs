//! What methods take. Implements spec/22-client-api.md §22.3.
//!
//! Each is read from the command line and from JSON; the docs of fields are the help of one and the schema of the other. People are
//! named by the name you gave them, by their account id, or by its beginning; messages by their id or its beginning.
use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })+) => { $(
        $(#[$doc])*
        #[derive(Args, Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
    )+ };
}

/// As [`params!`], for those that cannot do without a value.
macro_rules! required {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })+) => { $(
        $(#[$doc])*
        #[derive(Args, Clone, Debug, Deserialize, JsonSchema, Serialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
    )+ };
}

params! {
    /// Of `status`.
    Status {}
    /// Of `doctor`.
    Doctor {
        /// Also look through the whole database
        #[arg(long)]
        database: bool,
    }
    /// Of `whoami`.
    Whoami {}
    /// Of `invite`.
    Invite {
        /// It ends with the first request by it that you accept
        #[arg(long)]
        once: bool,
        /// Days until it ends [default: 7]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=60))]
        days: Option<u32>,
        /// Also as a code for a camera
        #[arg(long)]
        qr: bool,
    }
    /// Of `links`.
    Links {}
    /// Of `contact.list`.
    ContactList {
        /// Also those who were rejected
        #[arg(long)]
        all: bool,
    }
    /// Of `requests`.
    Requests {}
    /// Of `name.list`.
    NameList {}
    /// Of `list`.
    List {}
    /// Of `receive`.
    Receive {
        /// Whose place it is: each program that receives has a name of its own
        #[arg(long, default_value = "cli")]
        #[serde(default = "cli")]
        consumer: String,
        /// Seconds to wait for the first one [default: 5]
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=600))]
        wait: Option<u32>,
        /// At most so many events
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: Option<u32>,
        /// Go on until interrupted (command line only)
        #[arg(long)]
        #[serde(skip)]
        follow: bool,
    }
    /// Of `events.next`.
    EventsNext {
        /// Whose place it is, if no cursor is given
        #[arg(long, default_value = "cli")]
        #[serde(default = "cli")]
        consumer: String,
        /// Events after this one; without it, after what the consumer acknowledged last
        #[arg(long)]
        after: Option<u64>,
        /// Seconds to wait for one [default: 0]
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=600))]
        wait: Option<u32>,
        /// At most so many
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: Option<u32>,
    }
    /// Of `events.subscribe`.
    EventsSubscribe {
        /// Whose place it is, if no cursor is given
        #[arg(long, default_value = "cli")]
        #[serde(default = "cli")]
        consumer: String,
        /// Events after this one; without it, after what the consumer acknowledged last
        #[arg(long)]
        after: Option<u64>,
    }
    /// Of `daemon.stop`.
    DaemonStop {}
}

required! {
    /// Of `revoke_link`.
    RevokeLink {
        /// Its id, which `links` shows
        link: String,
    }
    /// Of `add`.
    Add {
        /// waxwing:contact/1/…, or a name at your key server, or NAME@wxs-… for one at another
        link: String,
        /// What you call them
        #[arg(long)]
        name: Option<String>,
        /// Seconds to wait for a key server that is asked about a name [default: 15]
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=600))]
        #[serde(default)]
        wait: Option<u32>,
    }
    /// Of `name.claim`.
    NameClaim {
        /// 3 to 32 of a-z, 0-9 and single hyphens, the first a letter
        name: String,
        /// Nobody finds you by it; it is yours all the same
        #[arg(long)]
        #[serde(default)]
        unlisted: bool,
        /// For a key server that gives names to those who were invited: 32 hexadecimal digits
        #[arg(long, value_name = "CODE")]
        #[serde(default)]
        invitation: Option<String>,
        /// Seconds to wait for the key server [default: 15]
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=600))]
        #[serde(default)]
        wait: Option<u32>,
    }
    /// Of `name.release`.
    NameRelease {
        /// Which
        name: String,
        /// Seconds to wait for the key server [default: 15]
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=600))]
        #[serde(default)]
        wait: Option<u32>,
    }
    /// Of `contact.show`.
    ContactShow {
        /// Whom
        who: String,
    }
    /// Of `contact.accept`.
    ContactAccept {
        /// Whom
        who: String,
        /// What you call them
        #[arg(long)]
        name: Option<String>,
    }
    /// Of `contact.reject`.
    ContactReject {
        /// Whom
        who: String,
    }
    /// Of `contact.block`.
    ContactBlock {
        /// Whom
        who: String,
    }
    /// Of `contact.unblock`.
    ContactUnblock {
        /// Whom
        who: String,
    }
    /// Of `contact.rename`.
    ContactRename {
        /// Whom
        who: String,
        /// How; without it they have no name here any more
        name: Option<String>,
    }
    /// Of `contact.remove`.
    ContactRemove {
        /// Whom
        who: String,
    }
    /// Of `send`.
    Send {
        /// To whom
        to: String,
        /// What it says, up to 32,768 bytes; `-` or nothing: from standard input
        text: Option<String>,
        /// Seconds to wait until a relay has it [default: 15 alone, 0 with a daemon]
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=600))]
        wait: Option<u32>,
    }
    /// Of `read`.
    Read {
        /// Whose conversation
        chat: String,
        /// At most so many
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: Option<u32>,
        /// Leave them unread
        #[arg(long)]
        #[serde(default)]
        peek: bool,
    }
    /// Of `history`.
    History {
        /// Whose conversation
        chat: String,
        /// Those before this message
        #[arg(long, value_name = "MESSAGE")]
        before: Option<String>,
        /// Those around this message
        #[arg(long, value_name = "MESSAGE", conflicts_with = "before")]
        around: Option<String>,
        /// At most so many [default: 20]
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: Option<u32>,
    }
    /// Of `search`.
    Search {
        /// Words or their beginnings; "several words in a row"; characters in a row of scripts without spaces
        query: String,
        /// In this conversation only
        #[arg(long = "in", value_name = "CHAT")]
        #[serde(rename = "in")]
        chat: Option<String>,
        /// By this author only; `me` is you
        #[arg(long, value_name = "WHO")]
        from: Option<String>,
        /// Written then or later: 2026-11-27 or 2026-11-27T09:30
        #[arg(long, value_name = "DATE")]
        since: Option<String>,
        /// At most so many [default: 20]
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: Option<u32>,
    }
    /// Of `mark_read`.
    MarkRead {
        /// Whose conversation
        chat: String,
        /// Up to this message only
        #[arg(long, value_name = "MESSAGE")]
        up_to: Option<String>,
    }
    /// Of `mute`.
    Mute {
        /// Whose messages
        who: String,
        /// So long, like 8h or 2d; without it for ever
        #[arg(long = "for", value_name = "TIME")]
        #[serde(rename = "for")]
        length: Option<String>,
        /// No longer
        #[arg(long, conflicts_with = "length")]
        #[serde(default)]
        off: bool,
    }
    /// Of `verify`.
    Verify {
        /// Whose
        who: String,
        /// What they read to you: 60 digits; if they are the same, the contact is verified
        #[arg(long, value_name = "DIGITS")]
        number: Option<String>,
        /// What a camera read from their screen, as hexadecimal digits
        #[arg(long, value_name = "HEX", conflicts_with = "number")]
        scanned: Option<String>,
        /// You compared it yourself, and it was the same
        #[arg(long, conflicts_with_all = ["number", "scanned"])]
        #[serde(default)]
        same: bool,
        /// Take it back
        #[arg(long, conflicts_with_all = ["number", "scanned", "same"])]
        #[serde(default)]
        forget: bool,
        /// Also as a code for their camera
        #[arg(long)]
        #[serde(default)]
        qr: bool,
    }
    /// Of `trust`.
    Trust {
        /// Whom
        who: String,
    }
    /// Of `identity.log`.
    IdentityLog {
        /// Whose
        who: String,
    }
    /// Of `export`.
    Export {
        /// A file that is not there yet; nobody else may read it
        file: String,
        /// How
        #[arg(long, value_enum, default_value_t)]
        #[serde(default)]
        format: ExportFormat,
    }
    /// Of `events.ack`.
    EventsAck {
        /// Whose place it is
        #[arg(long, default_value = "cli")]
        #[serde(default = "cli")]
        consumer: String,
        /// The last event that it has
        cursor: u64,
    }
    /// Of `events.forget`.
    EventsForget {
        /// Whose place it is
        consumer: String,
    }
}

/// How messages are exported.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// A line of JSON for every message and read marker
    #[default]
    Json,
    /// For people
    Text,
}

/// The consumer of whoever names none.
fn cli() -> String {
    "cli".into()
}
