//! Rules that every store decides alike. Implements spec/19-keyserver.md §19.6.
use std::collections::BTreeSet;

use waxwing_wire::{
    keyserver::PrekeyIds,
    manifest::Manifest,
    prekey::{Prekey, PrekeyKind},
    signer::Signer,
};

use super::{ListingError, OwnError, Unavailable};

/// Within which ids of a device are not reused: messages name a Kyber key by its id alone, so both kinds share one space.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum IdSpace {
    Signed,
    OneTime,
    Kyber,
}

impl IdSpace {
    pub(super) const fn of(kind: PrekeyKind) -> Self {
        match kind {
            PrekeyKind::SignedX25519 => Self::Signed,
            PrekeyKind::OneTimeX25519 => Self::OneTime,
            PrekeyKind::OneTimeKyber1024 | PrekeyKind::LastResortKyber1024 => Self::Kyber,
        }
    }
}

/// The ids of a batch; none if one stands twice.
pub(super) fn ids(prekeys: &[Prekey]) -> Option<BTreeSet<(IdSpace, u32)>> {
    let ids: BTreeSet<_> = prekeys.iter().map(|prekey| (IdSpace::of(prekey.facts().kind), prekey.facts().id)).collect();
    if ids.len() == prekeys.len() { Some(ids) } else { None }
}

/// What a store has of a device.
///
/// # Errors
/// If an id stands twice or there are more than 200 of a kind, which no upload allows: the store is damaged.
pub(super) fn prekey_ids(
    signed: Option<u32>,
    last_resort: Option<u32>,
    one_time: Vec<u32>,
    one_time_kyber: Vec<u32>,
) -> Result<PrekeyIds, Unavailable> {
    PrekeyIds::new(signed, last_resort, one_time, one_time_kyber).ok_or(Unavailable)
}

/// Whether a manifest lists the device.
pub(super) fn lists(manifest: &Manifest, signer: Signer) -> bool {
    let content = manifest.content();
    content.generation() == signer.generation && manifest.device(signer.device).is_some()
}

pub(super) const fn listing_error(error: OwnError) -> ListingError {
    match error {
        OwnError::NotListed => ListingError::NotListed,
        OwnError::NotYours => ListingError::NotYours,
        OwnError::Unavailable(unavailable) => ListingError::Unavailable(unavailable),
    }
}
