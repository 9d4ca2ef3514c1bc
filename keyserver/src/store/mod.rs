//! What a key server keeps, behind one trait. Implements the durable half of spec/19-keyserver.md (§19.2 to §19.7, §19.10).
//!
//! ```text
//! service (verifies) ──▶ one call = one transaction: look, decide, write ──▶ stable storage ──▶ the answer
//!                                    └── entries of the log of changes, in the same transaction
//! ```
//! Invariants: what a method says it did is on stable storage when it returns; a one-time key leaves the store once, over
//! crashes and between processes that share a database; whatever fails leaves the store as it was; only verified objects enter,
//! as the bytes that were signed; a device has a place here exactly while the current manifest lists it.
//! Not here: who may ask, signatures, limits ([`crate::service`]); clocks: `now` is an argument.
use std::future::Future;

use waxwing_wire::{
    id::{AccountId, DeviceId, Generation, Sequence},
    keys::{RecoveryPublicKey, ServerPublicKey},
    keyserver::{AccountObjects, Bundles, PrekeyIds, PrekeyState},
    listing::Listing,
    manifest::{ContentHash, Manifest},
    name::Name,
    prekey::Prekey,
    reach::ReachRecord,
    signer::Signer,
    statement::GenerationStatement,
    time::Timestamp,
};

pub use self::{
    change::{Change, ChangeKind},
    operator::{Finding, Invitation, InvitationState, InviteId, NewInvitation, OperatorError, Stats},
};

mod change;
mod check;
pub mod memory;
mod operator;
#[cfg(feature = "sqlite")]
pub mod sqlite;

/// Where accounts live. One conformance suite (`keyserver/tests/it/conformance`) says what every implementation does.
pub trait Store: Send + Sync + 'static {
    /// Takes an account in, spending the invitation in the same transaction. The same manifest for the same account again is
    /// no error and spends nothing.
    fn create_account(
        &self,
        account: NewAccount,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), CreateError>> + Send;

    /// An account's current objects; of a deleted one, its tombstone.
    fn account(&self, account: &AccountId) -> impl Future<Output = Result<Option<StoredAccount>, Unavailable>> + Send;

    /// Puts a manifest into the place of the one at `step.version`, and does what follows from it: devices that it no longer
    /// lists lose their prekeys, reach records and listings; a new generation starts with none; a final one leaves only a
    /// tombstone, and the account's names rest.
    fn publish(&self, step: NewManifest, now: Timestamp) -> impl Future<Output = Result<(), PublishError>> + Send;

    /// Contents from a place on, in order, each with its newest dates; at most `most`. None without an account.
    fn history(
        &self,
        account: &AccountId,
        from: (Generation, Sequence),
        most: u32,
    ) -> impl Future<Output = Result<Option<StoredHistory>, Unavailable>> + Send;

    /// Stores a device's record in the place of the one under the same reach key (spec §19.3.1).
    fn store_reach(&self, record: &ReachRecord) -> impl Future<Output = Result<(), NumberError>> + Send;

    /// All records of an account, by device, in the order they were written. None without an account.
    fn reach(&self, account: &AccountId) -> impl Future<Output = Result<Option<Vec<Vec<u8>>>, Unavailable>> + Send;

    /// Gives a name to an account, spending the invitation in the same transaction. Its own name again is no error and spends
    /// nothing.
    fn claim_name(&self, claim: NewName, now: Timestamp) -> impl Future<Output = Result<(), ClaimError>> + Send;

    /// Gives a name up; it rests (spec §19.4.2). `by` is a device of the account that has it.
    fn release_name(
        &self,
        by: Signer,
        name: &Name,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), OwnError>> + Send;

    /// Shows a listing to whoever looks the name up.
    fn set_listing(&self, listing: &Listing) -> impl Future<Output = Result<(), ListingError>> + Send;

    /// Takes the listing away; that there is none is no error.
    fn unlist(&self, by: Signer, name: &Name) -> impl Future<Output = Result<(), OwnError>> + Send;

    /// The listing of a name; none for an absent, resting or unlisted one, at the same cost.
    fn lookup(&self, name: &Name) -> impl Future<Output = Result<Option<Vec<u8>>, Unavailable>> + Send;

    /// Forgets names whose rest is over.
    fn expire(&self, now: Timestamp) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// Adds a batch, all or nothing. The batch that was accepted last is no error and changes nothing.
    fn upload(&self, batch: Batch) -> impl Future<Output = Result<PrekeyState, UploadError>> + Send;

    /// Which prekeys of a device there are.
    fn prekey_ids(&self, device: Signer) -> impl Future<Output = Result<PrekeyIds, DeviceError>> + Send;

    /// Bundles of all devices, or of those named, with the account's current objects, from one point in time. With
    /// [`Take::OneTime`] each holds one-time keys as long as there are any, and those are gone when this returns.
    fn bundles(
        &self,
        account: &AccountId,
        devices: &[DeviceId],
        take: Take,
    ) -> impl Future<Output = Result<Bundles, BundlesError>> + Send;

    /// The log of changes above `after`, in order, at most `most`: what a transparency log will be built from.
    fn changes(&self, after: u64, most: u32) -> impl Future<Output = Result<Vec<Change>, Unavailable>> + Send;

    /// 32 random bytes that all processes on this store share, made when it was: what challenges derive from.
    fn secret(&self) -> impl Future<Output = Result<[u8; 32], Unavailable>> + Send;

    /// New invitations below another, or at the root.
    fn mint(
        &self,
        invitations: &[NewInvitation],
        below: Option<InviteId>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<InviteId>, OperatorError>> + Send;

    /// Ends an invitation and all below it that have not served; how many that were.
    fn revoke(&self, invitation: InviteId) -> impl Future<Output = Result<u64, OperatorError>> + Send;

    /// Invitations in the order they were made, above `after`, at most `most`.
    fn invitations(
        &self,
        after: InviteId,
        most: u32,
    ) -> impl Future<Output = Result<Vec<Invitation>, Unavailable>> + Send;

    /// Counts.
    fn stats(&self, now: Timestamp) -> impl Future<Output = Result<Stats, Unavailable>> + Send;

    /// Reads everything and verifies every signature and every rule that stored objects obey; what breaks one. `server` is
    /// whose listings are shown.
    fn verify(&self, server: &ServerPublicKey) -> impl Future<Output = Result<Vec<Finding>, Unavailable>> + Send;
}

/// An account to be taken in. The manifest was verified under the statement, and that under the key.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The account id follows from it.
    pub recovery_key: RecoveryPublicKey,
    /// Of the manifest's generation.
    pub statement: GenerationStatement,
    /// The first that is known here.
    pub manifest: Manifest,
    /// SHA-256 over the invitation that is spent for it, if it is admitted by one.
    pub invite: Option<[u8; 32]>,
}

/// A manifest that follows (spec §11.6.2).
#[derive(Clone, Debug)]
pub struct NewManifest {
    /// [`StoredAccount::version`] of what it was checked against.
    pub version: u64,
    /// With a new generation, and only then.
    pub statement: Option<GenerationStatement>,
    /// What follows.
    pub manifest: Manifest,
}

/// An account as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredAccount {
    /// Counts what was published: what compare-and-swap compares.
    pub version: u64,
    /// As they were signed.
    pub objects: AccountObjects,
}

/// Part of a history.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredHistory {
    /// The statements of the generations in it, ascending.
    pub statements: Vec<(Generation, Vec<u8>)>,
    /// Ascending by generation and sequence.
    pub manifests: Vec<StoredManifest>,
}

/// A content with its newest dates.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredManifest {
    /// Its generation.
    pub generation: Generation,
    /// Its place there.
    pub sequence: Sequence,
    /// The content's hash.
    pub content: ContentHash,
    /// The manifest as it was signed.
    pub bytes: Vec<u8>,
}

/// A name for an account.
#[derive(Clone, Debug)]
pub struct NewName {
    /// Which.
    pub name: Name,
    /// For whom.
    pub account: AccountId,
    /// How many names the account may hold, resting ones counted.
    pub most: u32,
    /// SHA-256 over the invitation that is spent for it, if it is admitted by one.
    pub invite: Option<[u8; 32]>,
}

/// Verified prekeys of one device.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose they all are.
    pub device: Signer,
    /// [`waxwing_wire::keyserver::batch_hash`] of them.
    pub hash: [u8; 32],
    /// At most 202; at most one of a kind that is no one-time kind.
    pub prekeys: Vec<Prekey>,
    /// How many one-time keys of a kind are kept; at most 200.
    pub most: u32,
}

/// Whether a fetch may have one-time keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Take {
    /// As long as there are any.
    OneTime,
    /// None: last resort, nothing is used up.
    LastResort,
}

/// Most contents that are kept of an account, the newest (spec §19.2.4).
pub const MAX_CONTENTS: u32 = 1_024;

/// Most reach records of a device, the those written last (spec §15.3.3).
pub const MAX_REACH_KEYS: usize = 2;

/// How long a released name belongs to nobody else (spec §19.4.2).
pub const REST: core::time::Duration = core::time::Duration::from_secs(90 * 24 * 60 * 60);

/// The store did not do it; nothing was accepted, nothing changed. Try again.
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
#[error("the store is unavailable; nothing was accepted")]
pub struct Unavailable;

/// Why an account was not taken in.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum CreateError {
    /// It exists with another manifest.
    #[error("the account exists")]
    Taken,
    /// The invitation is unknown, spent or revoked.
    #[error("the invitation is unknown or spent")]
    Invite,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a manifest did not take its place.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum PublishError {
    /// Another one came first: look again.
    #[error("another manifest came first")]
    Conflict,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a device was not served.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum DeviceError {
    /// The current manifest does not list it (any more).
    #[error("the device is not listed")]
    NotListed,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a reach record was not stored.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum NumberError {
    /// See [`DeviceError::NotListed`].
    #[error("the device is not listed")]
    NotListed,
    /// The number is not above the one that is there.
    #[error("the number does not ascend")]
    Stale,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a name was not given.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum ClaimError {
    /// It, or one that looks like it, is another's or rests.
    #[error("the name is taken")]
    Taken,
    /// The account holds as many as it may, resting ones counted.
    #[error("no more names for this account")]
    Quota,
    /// The invitation is unknown, spent or revoked.
    #[error("the invitation is unknown or spent")]
    Invite,
    /// There is no such account, or it is deleted.
    #[error("no such account")]
    NoAccount,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why nothing was done with a name.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum OwnError {
    /// See [`DeviceError::NotListed`].
    #[error("the device is not listed")]
    NotListed,
    /// The account does not have it.
    #[error("the name is not the account's")]
    NotYours,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a listing is not shown.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum ListingError {
    /// See [`DeviceError::NotListed`].
    #[error("the device is not listed")]
    NotListed,
    /// The account does not have the name.
    #[error("the name is not the account's")]
    NotYours,
    /// Generation and number are not above those of any listing that was shown for the account under this name.
    #[error("the number does not ascend")]
    Stale,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why prekeys were not stored.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum UploadError {
    /// See [`DeviceError::NotListed`].
    #[error("the device is not listed")]
    NotListed,
    /// An id stands twice in the batch or was there before (spec §19.6.2).
    #[error("a prekey id was used before")]
    IdUsed,
    /// There would be more one-time keys of a kind than are kept.
    #[error("too many one-time keys")]
    TooMany,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why there are no bundles.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, thiserror::Error, PartialEq)]
pub enum BundlesError {
    /// No such account.
    #[error("no such account")]
    NoAccount,
    /// It was deleted.
    #[error("the account is deleted")]
    Deleted,
    /// A device that was named is not listed, or no device has uploaded what a bundle needs. Nothing was used up.
    #[error("no prekeys")]
    NoPrekeys,
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
