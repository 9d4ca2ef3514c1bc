//! What methods give. Implements spec/22-client-api.md §22.4.
//!
//! Times are milliseconds since 1970. Texts are as people wrote them: who shows them makes them safe ([`crate::text`]).
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })+) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
    )+ };
}

answers! {
    /// Nothing more to say.
    Done {}

    /// How this device is.
    StatusAnswer {
        /// Others can reach this device.
        ready: bool,
        /// Everything that was to be sent is at its relays.
        quiet: bool,
        /// A daemon answers.
        daemon: bool,
        /// Why nothing can be stored, if that is so.
        failing: Option<String>,
        /// Messages that were not read.
        unread: u64,
        /// People who ask to write.
        requests: u64,
        /// People who are contacts.
        contacts: u64,
        /// Messages that are not at their relays yet.
        waiting: Vec<WaitingMessage>,
        /// Names that are being looked for.
        #[serde(default)]
        looking_for: Vec<LookingFor>,
        /// Connections.
        connections: Vec<Connection>,
        /// The newest event.
        cursor: u64,
    }

    /// A message that is not at its relays yet.
    WaitingMessage {
        /// In whose conversation.
        conversation: Who,
        /// Which.
        id: String,
        /// Why: a name of spec §22.6.
        reason: String,
        /// The same in words.
        text: String,
        /// When something is tried next.
        next_try: Option<u64>,
    }

    /// A name that is being looked for.
    LookingFor {
        /// The name.
        name: String,
        /// At which key server: its address.
        server: String,
        /// Since when; after a day it is given up.
        since: u64,
    }

    /// A connection.
    Connection {
        /// `own_relay`, `own_keyserver`, `relay`, `receipts`, `keyserver`, `name`: a name is being looked for.
        purpose: String,
        /// For whom, if for somebody.
        contact: Option<Who>,
        /// Where.
        server: String,
        /// `up`, `connecting`, `down`.
        state: String,
        /// Since when, or when it is tried next.
        at: u64,
        /// Tries that failed.
        failures: u32,
        /// Why it is down.
        reason: Option<String>,
        /// The round trip in microseconds.
        round_trip_us: Option<u64>,
        /// Packets sent.
        sent: Option<u64>,
        /// Packets lost.
        lost: Option<u64>,
    }

    /// What was looked at.
    DoctorAnswer {
        /// One after another.
        checks: Vec<Check>,
    }

    /// Something that was looked at.
    Check {
        /// What.
        name: String,
        /// `ok`, `warning`, `failure`.
        outcome: String,
        /// How it is.
        detail: String,
        /// What to do.
        advice: Option<String>,
    }

    /// Who this is.
    WhoamiAnswer {
        /// The account.
        account: String,
        /// This device of it.
        device: u8,
        /// All devices of it.
        devices: Vec<OwnDevice>,
        /// Where this device takes messages.
        relay: String,
        /// Where the account is kept.
        key_servers: Vec<String>,
        /// The profile's folder.
        profile: String,
        /// Receipts are sent.
        receipts: bool,
    }

    /// A device of this account.
    OwnDevice {
        /// Its number.
        device: u8,
        /// It is this one.
        this: bool,
        /// It holds the account's root key.
        primary: bool,
    }

    /// A link. It is a secret between you and those you give it to.
    InviteAnswer {
        /// Its name.
        id: String,
        /// waxwing:contact/1/…
        link: String,
        /// The same for a code, if it was asked for.
        qr: Option<String>,
        /// When it ends.
        ends: u64,
        /// It ends with the first request that is accepted.
        once: bool,
        /// The relay knows it: it works.
        ready: bool,
    }

    /// Open links.
    LinksAnswer {
        /// Each.
        links: Vec<OpenLink>,
    }

    /// An open link.
    OpenLink {
        /// Its name.
        id: String,
        /// When it ends.
        ends: u64,
        /// It ends with the first request that is accepted.
        once: bool,
        /// The relay knows it: it works.
        ready: bool,
    }

    /// Somebody, as conversations name them.
    Who {
        /// The account.
        account: String,
        /// What you call them.
        name: Option<String>,
    }

    /// Whom a link or a name led to.
    AddAnswer {
        /// The contact.
        contact: Contact,
        /// How a name led to them; none: it was a link.
        by_name: Option<ByName>,
    }

    /// A key server said whose a name is, and was believed.
    ByName {
        /// The name.
        name: String,
        /// The server's address.
        server: String,
        /// The safety number of you two, 60 digits in groups of five: compare it, and nobody needs to be believed.
        safety_number: Option<String>,
    }

    /// Names of this account.
    NamesAnswer {
        /// Each.
        names: Vec<OwnName>,
    }

    /// A name of this account.
    NameAnswer {
        /// The name, as it is now.
        name: OwnName,
    }

    /// A name of this account.
    OwnName {
        /// The name.
        name: String,
        /// `claiming`, `held`, `listed`, `releasing`.
        state: String,
        /// Whoever looks it up is to find this account.
        listed: bool,
        /// What to tell others: the name and the key server that knows it.
        address: String,
    }

    /// A contact.
    ContactAnswer {
        /// The contact.
        contact: Contact,
    }

    /// Contacts.
    ContactsAnswer {
        /// Each.
        contacts: Vec<Contact>,
    }

    /// A contact.
    Contact {
        /// The account.
        account: String,
        /// What you call them.
        name: Option<String>,
        /// `added`, `asking`, `accepted`, `ignored`, `blocked`.
        standing: String,
        /// They accepted you.
        accepted_us: bool,
        /// The safety number was compared.
        verified: bool,
        /// No sound until then; the greatest number is for ever.
        muted_until: Option<u64>,
        /// How often the account was begun anew.
        generation: Option<u32>,
        /// Their devices.
        devices: Vec<u8>,
        /// Their identity changed: nothing is sent until you say `trust`.
        identity_changed: bool,
        /// Two histories of the account were signed.
        forked: bool,
        /// The account is deleted.
        deleted: bool,
        /// What is known of it is older than it may be for new sessions.
        stale: bool,
        /// Messages of theirs that were not read.
        unread: u64,
        /// Another contact's name looks the same.
        looks_like_another: bool,
    }

    /// What became of a message.
    SendAnswer {
        /// Its name.
        id: String,
        /// The beginning of its name that is enough to type.
        short: String,
        /// To whom.
        to: Who,
        /// `queued`, `failed`, `sent`, `may_have_expired`, `delivered`, `read`.
        state: String,
        /// Why it is not sent yet: a name of spec §22.6.
        reason: Option<String>,
        /// The same in words.
        text: Option<String>,
        /// When something is tried next.
        next_try: Option<u64>,
    }

    /// A message.
    Message {
        /// Its name.
        id: String,
        /// The beginning of its name that is enough to type.
        short: String,
        /// In whose conversation.
        conversation: Who,
        /// Who wrote it.
        author: Who,
        /// It was this account.
        mine: bool,
        /// When it was written, by the author's clock.
        sent: u64,
        /// When it came here.
        stored: u64,
        /// What became of it, if it is yours.
        state: Option<String>,
        /// Why it failed.
        reason: Option<String>,
        /// What it says.
        body: String,
    }

    /// Messages, oldest first.
    MessagesAnswer {
        /// Whose conversation.
        conversation: Who,
        /// Each.
        messages: Vec<Message>,
        /// There are older ones.
        more: bool,
    }

    /// What came.
    ReceiveAnswer {
        /// Messages of others, and those of yours from other devices.
        messages: Vec<Message>,
        /// People who ask to write.
        requests: Vec<Who>,
        /// Contacts whose identity changed.
        identity_changes: Vec<Who>,
        /// Acknowledge up to here (`events.ack`) once they are safe; the command line does, once they are shown.
        cursor: u64,
        /// There is more: ask again.
        more: bool,
    }

    /// Conversations, the newest first.
    ListAnswer {
        /// Each.
        conversations: Vec<Conversation>,
        /// Unread in all of them.
        unread: u64,
    }

    /// A conversation.
    Conversation {
        /// With whom.
        contact: Contact,
        /// The last message.
        last: Option<Message>,
    }

    /// What was found, stored last first.
    SearchAnswer {
        /// Each.
        hits: Vec<Hit>,
    }

    /// A message that was found.
    Hit {
        /// The message; `history --around` shows it where it stands.
        message: Message,
        /// The piece of it.
        snippet: String,
        /// Bytes of the piece that were looked for: from, to.
        found: Vec<(u32, u32)>,
    }

    /// A safety number.
    VerifyAnswer {
        /// The contact, as it is now.
        contact: Contact,
        /// 60 digits in groups of five: both see the same.
        number: String,
        /// What a camera reads, as hexadecimal digits.
        scannable: String,
        /// Whether what was given is the same.
        same: Option<bool>,
        /// Whether the code is to be shown.
        qr: bool,
    }

    /// What changed about who somebody is, oldest first.
    IdentityLogAnswer {
        /// Who.
        contact: Who,
        /// Each.
        entries: Vec<IdentityLogEntry>,
    }

    /// Something that changed.
    IdentityLogEntry {
        /// When it was noticed here.
        at: u64,
        /// `first_seen`, `generation`, `generation_accepted`, `device_added`, `device_removed`, `verified`, `unverified`, `accepted`,
        /// `accepted_us`, `fork`, `deleted`.
        event: String,
        /// The same in words.
        text: String,
    }

    /// What was written.
    ExportAnswer {
        /// Where.
        file: String,
        /// How many lines.
        lines: u64,
    }

    /// Events.
    EventsAnswer {
        /// Each.
        events: Vec<EventNote>,
        /// That of the last one, or what was asked for.
        cursor: u64,
    }

    /// An event, with the message that it is about.
    EventNote {
        /// Its place; acknowledge it once you are done with it.
        cursor: u64,
        /// As spec §23.4 has it: `event` is its kind.
        event: Map<String, Value>,
        /// The message, if one came.
        message: Option<Message>,
    }

    /// Notifications `event` follow.
    SubscribeAnswer {
        /// After which event.
        after: u64,
    }
}
