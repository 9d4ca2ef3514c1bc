//! The envelopes on their way: in the order of their entries, and by device.
//!
//! Invariant: each is once in the order and once with its device.
use std::collections::{BTreeMap, BTreeSet};

use super::SealedEnvelope;
use crate::{sessions::Device, task::Destination};

#[derive(Debug, Default)]
pub(super) struct Underway {
    all: BTreeMap<Destination, (u64, SealedEnvelope)>,
    in_order: BTreeSet<(u64, Destination)>,
    of_device: BTreeMap<Device, BTreeSet<(u64, Destination)>>,
}

impl Underway {
    /// An envelope of the entry with that order.
    pub(super) fn insert(&mut self, order: u64, destination: Destination, envelope: SealedEnvelope) {
        self.remove(&destination);
        self.in_order.insert((order, destination));
        self.of_device.entry(device(&destination)).or_default().insert((order, destination));
        self.all.insert(destination, (order, envelope));
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, destination: &Destination) -> bool {
        self.take(destination).is_some()
    }

    /// The envelope's entry has that order, as it turns out.
    pub(super) fn place(&mut self, destination: &Destination, order: u64) {
        if let Some((_, envelope)) = self.take(destination) {
            self.insert(order, *destination, envelope);
        }
    }

    fn take(&mut self, destination: &Destination) -> Option<(u64, SealedEnvelope)> {
        let (order, envelope) = self.all.remove(destination)?;
        self.in_order.remove(&(order, *destination));
        let device = device(destination);
        if let Some(some) = self.of_device.get_mut(&device) {
            some.remove(&(order, *destination));
            if some.is_empty() {
                self.of_device.remove(&device);
            }
        }
        Some((order, envelope))
    }

    pub(super) fn get(&self, destination: &Destination) -> Option<&SealedEnvelope> {
        self.all.get(destination).map(|(_, envelope)| envelope)
    }

    pub(super) fn get_mut(&mut self, destination: &Destination) -> Option<&mut SealedEnvelope> {
        self.all.get_mut(destination).map(|(_, envelope)| envelope)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Destination, &SealedEnvelope)> {
        self.all.iter().map(|(destination, (_, envelope))| (destination, envelope))
    }

    /// In the order of their entries.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Destination> {
        self.in_order.iter().map(|(_, destination)| destination)
    }

    /// How many there are for a device.
    pub(super) fn count(&self, device: &Device) -> usize {
        self.of_device.get(device).map_or(0, BTreeSet::len)
    }

    /// The oldest for a device.
    pub(super) fn first(&self, device: &Device) -> Option<&Destination> {
        Some(&self.of_device.get(device)?.first()?.1)
    }
}

const fn device(destination: &Destination) -> Device {
    (destination.account, destination.device)
}
