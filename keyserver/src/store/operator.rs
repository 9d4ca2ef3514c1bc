//! What an operator does and sees. Implements spec/19-keyserver.md §19.9. Nothing here names an account.
use waxwing_wire::time::Timestamp;

use super::Unavailable;

/// An invitation's place in the order they were made, from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InviteId(pub u64);

/// An invitation to be made: only its hash is kept.
#[derive(Clone, Copy, Debug)]
pub struct NewInvitation {
    /// SHA-256 over the 16 bytes.
    pub hash: [u8; 32],
}

/// An invitation as the operator sees it. What it served for is not kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Invitation {
    /// Which.
    pub id: InviteId,
    /// The one it hangs below.
    pub below: Option<InviteId>,
    /// When it was made.
    pub minted: Timestamp,
    /// Whether it can serve.
    pub state: InvitationState,
}

/// Whether an invitation can serve.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvitationState {
    /// It can, once.
    Open,
    /// It did.
    Spent,
    /// It was revoked before it did.
    Revoked,
}

/// Counts over the whole store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Accounts that are not deleted.
    pub accounts: u64,
    /// Tombstones.
    pub deleted: u64,
    /// Devices that current manifests list.
    pub devices: u64,
    /// Names that accounts have.
    pub names: u64,
    /// Names that rest.
    pub resting: u64,
    /// One-time keys, of both kinds.
    pub one_time_keys: u64,
    /// Invitations that can serve.
    pub open_invitations: u64,
    /// Entries of the log of changes.
    pub changes: u64,
}

/// Something stored that breaks a rule. Safe to log: where it is by number, never whose.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The table and row, or another place without a name of anybody.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

/// Why the operator's wish was not done.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum OperatorError {
    /// There is no invitation of that number.
    #[error("no such invitation")]
    NoInvitation,
    /// The invitation it should hang below is revoked.
    #[error("the invitation is revoked")]
    Revoked,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
