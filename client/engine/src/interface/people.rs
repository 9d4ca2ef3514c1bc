//! What a person can ask about people.
use waxwing_wire::{
    content::{ContactName, Standing},
    id::{AccountId, DeviceId, Generation, Sequence},
    time::Timestamp,
};

use super::IdentityChange;

/// Everything that is known of an account, but for secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ContactView {
    /// Who.
    pub account: AccountId,
    /// What the person calls them.
    pub name: Option<ContactName>,
    /// What they are to us; never [`Standing::Removed`].
    pub standing: Standing,
    /// They accepted us, as far as we heard.
    pub accepted_us: bool,
    /// Whether the safety number was compared, and still says something.
    pub verification: Verification,
    /// No sound until then; `u64::MAX` for ever. It may be over.
    pub muted_until: Option<Timestamp>,
    /// Of the manifest that counts; none until it is known.
    pub generation: Option<Generation>,
    /// As [`Self::generation`].
    pub sequence: Option<Sequence>,
    /// As the manifest lists them.
    pub devices: Vec<DeviceId>,
    /// A change of generation that waits for the person: nothing is sent to them until then (F9).
    pub identity_change: Option<IdentityChange>,
    /// Two histories of theirs were signed (spec §11.6.4).
    pub forked: bool,
    /// The account is deleted.
    pub deleted: bool,
    /// When the manifest expires.
    pub expires: Option<Timestamp>,
    /// It has expired: sessions go on, and no new one begins (spec §11.5.5).
    pub stale: bool,
    /// What changed about who they are, oldest first; the first entry and the newest 31.
    pub log: Vec<LogEntry>,
}

/// Whether the person compared the safety number with somebody (spec §9).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verification {
    /// Not, or not since what it said was last in doubt.
    Unverified,
    /// In the generation that is theirs now.
    Verified,
}

/// Something that changed about who a contact is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LogEntry {
    /// When it was noticed here, by this device's clock.
    pub at: Timestamp,
    /// What.
    pub event: IdentityEvent,
}

/// What changed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum IdentityEvent {
    /// Their manifest was seen for the first time, of that generation.
    FirstSeen(Generation),
    /// They have another generation.
    Generation {
        /// The one before.
        from: Generation,
        /// The one of now.
        to: Generation,
    },
    /// The person went on with that generation.
    GenerationAccepted(Generation),
    /// A device joined.
    DeviceAdded(DeviceId),
    /// A device is listed no more.
    DeviceRemoved(DeviceId),
    /// The safety number was compared.
    Verified,
    /// The person took that back.
    Unverified,
    /// The person accepted them.
    Accepted,
    /// They accepted us.
    AcceptedUs,
    /// Two histories were signed.
    Fork,
    /// The account is deleted.
    Deleted,
}
