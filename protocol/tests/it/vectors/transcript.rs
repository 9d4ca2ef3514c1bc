//! The format of recorded transcripts (spec/vectors/README.md): who the two ends are, with all their secrets, and what
//! happened, step by step. The recorder writes it, the replay reads it.

use serde::{Deserialize, Serialize};

use super::hex::Hex;

/// A conversation of our end with Signal's library.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Transcript {
    /// What it shows.
    pub name: String,
    /// Which version of the library was at the other end.
    pub library: String,
    /// What our end asks for at first: 3 X3DH, 4 PQXDH.
    pub suite: u8,
    /// Which ratchets its PQXDH sessions have.
    #[serde(default, skip_serializing_if = "Ratchet::is_double")]
    pub ratchet: Ratchet,
    /// Who sends the first message that counts.
    pub initiator: Initiator,
    /// 32 bytes: the key of the stream that our end's operations draw from (`ChaCha20`).
    pub seed: Hex,
    /// Our clock at first, milliseconds.
    pub now: u64,
    /// Our end.
    pub us: Owner,
    /// The library's end.
    pub peer: Owner,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Initiator {
    Us,
    Library,
    Both,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ratchet {
    /// The Double Ratchet alone, by the functions that say so.
    #[default]
    Double,
    Triple,
}

/// A device with all its secrets.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    pub address: Address,
    pub registration_id: u32,
    pub identity_private: Hex,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed: Vec<PrekeySecret>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_time: Vec<PrekeySecret>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kyber: Vec<PrekeySecret>,
}

/// A service id (a UUID, or `PNI:` and a UUID) or any other name, and a device id.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    pub name: String,
    pub device: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PrekeySecret {
    pub id: u32,
    /// 32 bytes, or 3,169 for Kyber.
    pub private: Hex,
    /// Absent for one-time prekeys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Hex>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub last_resort: bool,
}

/// What an initiator was handed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    pub registration_id: u32,
    pub device_id: u32,
    pub identity: Hex,
    pub signed: PublicPrekey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_time: Option<PublicPrekey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kyber: Option<PublicPrekey>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PublicPrekey {
    pub id: u32,
    pub public: Hex,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Hex>,
}

/// One step. What goes in comes first in each; what came out (`drawn`, `bytes`, `error` and so on) is what a replay
/// compares.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// We verify a bundle and start a state.
    WeInitiate {
        bundle: Bundle,
        /// How the library's bundle was changed, if it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changed: Option<String>,
        /// What the library says to the same bundle.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        library: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<Identity>,
        #[serde(default, skip_serializing_if = "is_zero")]
        drawn: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// We seal.
    WeSeal {
        /// Names it from here on.
        message: u32,
        plaintext: Hex,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<Kind>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<Hex>,
        #[serde(default, skip_serializing_if = "is_zero")]
        drawn: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// We seal this many messages of one zero byte, which nobody gets.
    WeSkip { count: u32 },
    /// The library opened, or refused, what we sealed.
    LibraryOpens {
        message: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The library sealed.
    LibrarySeals { message: u32, plaintext: Hex, kind: Kind, bytes: Hex },
    /// We open what the library sealed, or refuse it.
    WeOpen {
        message: u32,
        /// What was done to it on the way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        change: Option<Change>,
        /// The budget, if not the default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budget: Option<u32>,
        /// We crash before we commit.
        #[serde(default, skip_serializing_if = "is_false")]
        dropped: bool,
        /// What the library says to the same bytes with our keys.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        library: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<Identity>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consumed: Option<Consumed>,
        #[serde(default, skip_serializing_if = "is_zero")]
        drawn: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// We archive the current state.
    WeArchive,
    /// We forget everything but our records.
    WeRestart,
    /// We lose our records with this peer; prekeys, and the uses of last-resort keys, stay.
    WeForget,
    /// From here on we ask for this suite.
    WeAskFor {
        suite: u8,
        #[serde(default, skip_serializing_if = "Ratchet::is_double")]
        ratchet: Ratchet,
    },
    /// Our clock, milliseconds.
    Clock { now: u64 },
    /// The library's end is another device from here on, at the same address.
    PeerReinstalls { peer: Owner },
    /// The library's session record; `chains` of its chains stand at the same place in ours, and have the same keys.
    LibraryRecord {
        record: Hex,
        /// States that the import leaves out, because they keep a sparse post-quantum ratchet.
        #[serde(default, skip_serializing_if = "is_zero")]
        left_out: u64,
        #[serde(default, skip_serializing_if = "is_zero")]
        chains: u64,
    },
}

/// Which decoder a message is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Prekey,
    Signal,
}

/// What we learn of the peer's identity; absent if nothing new.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    First,
    Changed,
}

/// What a first message used up.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Consumed {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_time: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kyber: Option<u32>,
    /// The 42 bytes to remember.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_resort_use: Option<Hex>,
}

/// One replacement in a message's bytes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// In words.
    pub what: String,
    /// Where it begins.
    pub at: usize,
    /// How many bytes go.
    pub remove: usize,
    /// What takes their place.
    pub insert: Hex,
}

impl Change {
    /// The smallest replacement that makes `to` of `from`.
    #[allow(dead_code, reason = "the recorder's")]
    pub fn between(what: &str, from: &[u8], to: &[u8]) -> Self {
        let at = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        let (from, to) = (&from[at..], &to[at..]);
        let tail = from.iter().rev().zip(to.iter().rev()).take_while(|(a, b)| a == b).count();
        Self { what: what.into(), at, remove: from.len() - tail, insert: (&to[..to.len() - tail]).into() }
    }

    pub fn apply(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let end = self.at.checked_add(self.remove)?;
        Some([bytes.get(..self.at)?, &self.insert, bytes.get(end..)?].concat())
    }
}

impl Ratchet {
    pub fn is_double(&self) -> bool {
        *self == Self::Double
    }
}

pub fn is_false(value: &bool) -> bool {
    !value
}

pub fn is_zero(value: &u64) -> bool {
    *value == 0
}
