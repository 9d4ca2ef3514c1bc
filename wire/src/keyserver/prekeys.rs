//! Prekeys: what there is, and what is handed out. Implements spec/15-keyserver-messages.md §15.5.
use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use super::AccountObjects;
use crate::{
    id::{AccountId, DeviceId},
    label,
    message::{self, Broken, FromWire, ToWire},
    proto::keyserver as proto,
};

/// How many prekeys of a device the server has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PrekeyState {
    /// Id of the signed X25519 prekey.
    pub signed: Option<u32>,
    /// Id of the last-resort Kyber prekey.
    pub last_resort: Option<u32>,
    /// One-time X25519 prekeys left; at most 200.
    pub one_time: u32,
    /// One-time Kyber prekeys left; at most 200.
    pub one_time_kyber: u32,
    /// [`PrekeyIds::digest`]: differs from the device's own if the server lost or kept something.
    pub digest: [u8; 32],
}
message::message!(PrekeyState = proto::PrekeyState { signed, last_resort, one_time, one_time_kyber, digest });

/// Which prekeys of a device the server has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PrekeyIds {
    signed: Option<u32>,
    last_resort: Option<u32>,
    one_time: Vec<u32>,
    one_time_kyber: Vec<u32>,
}

impl PrekeyIds {
    /// The most one-time prekeys of a kind.
    pub const MOST: usize = 200;

    /// Sorts ids; none if one stands twice or there are more than 200 of a kind.
    #[must_use]
    pub fn new(
        signed: Option<u32>,
        last_resort: Option<u32>,
        mut one_time: Vec<u32>,
        mut one_time_kyber: Vec<u32>,
    ) -> Option<Self> {
        one_time.sort_unstable();
        one_time_kyber.sort_unstable();
        Self::in_order(signed, last_resort, one_time, one_time_kyber)
    }

    fn in_order(signed: Option<u32>, last_resort: Option<u32>, one_time: Vec<u32>, kyber: Vec<u32>) -> Option<Self> {
        let fits = |ids: &[u32]| ids.is_sorted_by(|one, two| one < two) && ids.len() <= Self::MOST;
        let fit = fits(&one_time) && fits(&kyber);
        if fit { Some(Self { signed, last_resort, one_time, one_time_kyber: kyber }) } else { None }
    }

    /// Ids of the one-time X25519 prekeys, ascending.
    #[must_use]
    pub fn one_time(&self) -> &[u32] {
        &self.one_time
    }

    /// Ids of the one-time Kyber prekeys, ascending.
    #[must_use]
    pub fn one_time_kyber(&self) -> &[u32] {
        &self.one_time_kyber
    }

    /// Counts and digest.
    #[must_use]
    pub fn state(&self) -> PrekeyState {
        let count = |ids: &[u32]| u32::try_from(ids.len()).unwrap_or(u32::MAX);
        PrekeyState {
            signed: self.signed,
            last_resort: self.last_resort,
            one_time: count(&self.one_time),
            one_time_kyber: count(&self.one_time_kyber),
            digest: self.digest(),
        }
    }

    /// SHA-256 over label, 0x00, signed id, last-resort id, and count and ids of either kind, 4 bytes each; 0 for an absent id
    /// (spec §15.5.2).
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new().chain_update(label::PREKEY_DIGEST.0).chain_update([0]);
        for id in [self.signed, self.last_resort] {
            hash.update(id.unwrap_or(0).to_be_bytes());
        }
        for ids in [&self.one_time, &self.one_time_kyber] {
            hash.update(u32::try_from(ids.len()).unwrap_or(u32::MAX).to_be_bytes());
            ids.iter().for_each(|id| hash.update(id.to_be_bytes()));
        }
        hash.finalize().into()
    }
}

impl ToWire<proto::PrekeyIds> for PrekeyIds {
    fn to_wire(&self) -> proto::PrekeyIds {
        let Self { signed, last_resort, one_time, one_time_kyber } = self.clone();
        proto::PrekeyIds { signed, last_resort, one_time, one_time_kyber }
    }
}

impl FromWire<proto::PrekeyIds> for PrekeyIds {
    fn from_wire(wire: proto::PrekeyIds) -> Result<Self, Broken> {
        let proto::PrekeyIds { signed, last_resort, one_time, one_time_kyber } = wire;
        Self::in_order(signed, last_resort, one_time, one_time_kyber)
            .ok_or(Broken::rule("§15.5.1").at("PrekeyIds", "one_time"))
    }
}

/// Asks for what one needs to write to devices. Each one-time prekey is handed out once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FetchBundles {
    account: AccountId,
    devices: Vec<DeviceId>,
}

impl FetchBundles {
    /// For all devices, or for at most 16, whose order does not matter.
    #[must_use]
    pub fn new(account: AccountId, mut devices: Vec<DeviceId>) -> Option<Self> {
        devices.sort_unstable();
        Self::in_order(account, devices)
    }

    fn in_order(account: AccountId, devices: Vec<DeviceId>) -> Option<Self> {
        let fit = devices.is_sorted_by(|one, two| one < two) && devices.len() <= 16;
        if fit { Some(Self { account, devices }) } else { None }
    }

    /// Whose.
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// Which, ascending; none means all.
    #[must_use]
    pub fn devices(&self) -> &[DeviceId] {
        &self.devices
    }
}

impl ToWire<proto::FetchBundles> for FetchBundles {
    fn to_wire(&self) -> proto::FetchBundles {
        let devices = self.devices.iter().map(|device| device.value().into()).collect();
        proto::FetchBundles { account: self.account.to_wire(), devices }
    }
}

impl FromWire<proto::FetchBundles> for FetchBundles {
    fn from_wire(wire: proto::FetchBundles) -> Result<Self, Broken> {
        let devices: Result<_, _> = wire.devices.into_iter().map(DeviceId::from_wire).collect();
        Self::in_order(FromWire::from_wire(wire.account)?, devices?)
            .ok_or(Broken::rule("§15.5.3").at("FetchBundles", "devices"))
    }
}

/// An account's objects and prekeys of its devices. Unverified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bundles {
    /// Statement and manifest.
    pub account: AccountObjects,
    /// At most 16. A device that was asked for and has uploaded nothing is missing.
    pub bundles: Vec<Bundle>,
}
message::message!(Bundles = proto::Bundles { account, bundles });

/// The prekeys of one device, as it signed them. Unverified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bundle {
    /// Which.
    pub device: DeviceId,
    /// The signed X25519 prekey.
    pub signed: Vec<u8>,
    /// A one-time X25519 prekey, if there was one.
    pub one_time: Option<Vec<u8>>,
    /// A one-time Kyber prekey, or the last resort.
    pub kyber: Vec<u8>,
    /// Whether it is the last resort: the opening has no forward secrecy until that is rotated.
    pub last_resort: bool,
}
message::message!(Bundle = proto::Bundle { device, signed, one_time, kyber, last_resort });
