//! What changed about who a contact is, and when. Implements spec/20-client.md §20.7.6.
use waxwing_wire::{
    id::{DeviceId, Generation},
    manifest::Manifest,
    time::Timestamp,
};

use crate::{
    interface::{IdentityEvent, LogEntry},
    records::LogRecord,
};

/// Entries that are kept: the first one, and the newest.
const MOST: usize = 32;

/// The entries of one contact, oldest first.
#[derive(Debug, Default)]
pub(crate) struct IdentityLog(Vec<LogEntry>);

impl IdentityLog {
    pub(crate) fn entries(&self) -> &[LogEntry] {
        &self.0
    }

    pub(crate) fn add(&mut self, at: Timestamp, event: IdentityEvent) {
        if self.0.len() >= MOST {
            // Since when they are known stays.
            self.0.remove(1);
        }
        self.0.push(LogEntry { at, event });
    }

    /// What a manifest changed that counts from now on.
    pub(super) fn add_change(&mut self, at: Timestamp, before: &Manifest, after: &Manifest) {
        let (from, to) = (before.content().generation(), after.content().generation());
        if from != to {
            self.add(at, IdentityEvent::Generation { from, to });
        }
        // Device ids begin anew with a generation: all are others.
        let same = |of: &Manifest, device: DeviceId| from == to && of.device(device).is_some();
        for device in before.content().devices().iter().filter(|device| !same(after, device.id())) {
            self.add(at, IdentityEvent::DeviceRemoved(device.id()));
        }
        for device in after.content().devices().iter().filter(|device| !same(before, device.id())) {
            self.add(at, IdentityEvent::DeviceAdded(device.id()));
        }
        if after.content().is_final() && !before.content().is_final() {
            self.add(at, IdentityEvent::Deleted);
        }
    }

    pub(super) fn records(&self) -> Vec<LogRecord> {
        let record = |LogEntry { at, event }: &LogEntry| {
            let (kind, one, other) = match *event {
                IdentityEvent::FirstSeen(generation) => (1, generation.0, 0),
                IdentityEvent::Generation { from, to } => (2, from.0, to.0),
                IdentityEvent::GenerationAccepted(generation) => (3, generation.0, 0),
                IdentityEvent::DeviceAdded(device) => (4, device.value().into(), 0),
                IdentityEvent::DeviceRemoved(device) => (5, device.value().into(), 0),
                IdentityEvent::Verified => (6, 0, 0),
                IdentityEvent::Unverified => (7, 0, 0),
                IdentityEvent::Accepted => (8, 0, 0),
                IdentityEvent::AcceptedUs => (9, 0, 0),
                IdentityEvent::Fork => (10, 0, 0),
                IdentityEvent::Deleted => (11, 0, 0),
            };
            LogRecord { at: at.0, kind, one, other }
        };
        self.0.iter().map(record).collect()
    }

    /// None: a record is damaged, or of a newer version.
    pub(super) fn restore(records: &[LogRecord]) -> Option<Self> {
        let entry = |record: &LogRecord| {
            let generation = Generation(record.one);
            let device = || DeviceId::try_from(record.one).ok();
            let event = match record.kind {
                1 => IdentityEvent::FirstSeen(generation),
                2 => IdentityEvent::Generation { from: generation, to: Generation(record.other) },
                3 => IdentityEvent::GenerationAccepted(generation),
                4 => IdentityEvent::DeviceAdded(device()?),
                5 => IdentityEvent::DeviceRemoved(device()?),
                6 => IdentityEvent::Verified,
                7 => IdentityEvent::Unverified,
                8 => IdentityEvent::Accepted,
                9 => IdentityEvent::AcceptedUs,
                10 => IdentityEvent::Fork,
                11 => IdentityEvent::Deleted,
                _ => return None,
            };
            Some(LogEntry { at: Timestamp(record.at), event })
        };
        let entries: Option<Vec<LogEntry>> = records.iter().map(entry).collect();
        entries.map(Self)
    }
}
