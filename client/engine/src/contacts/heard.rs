//! What a device of a contact wrote, counted: gaps show (E6, B2).
use std::collections::BTreeMap;

use waxwing_wire::{content::ChainHash, id::DeviceId, time::Timestamp};

use crate::{records::HeardRecord, times};

/// Numbers that are waited for; older ones are given up.
const MOST_MISSING: usize = 64;

/// The newest counted content of one device.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) device: DeviceId,
    sequence: u64,
    hash: ChainHash,
    /// What is shown never goes back in time within one device's messages (S5).
    sent: Timestamp,
    /// What did not come yet, with when the one stands that came before it and was written later.
    missing: BTreeMap<u64, Timestamp>,
    /// When the device is asked to send again what is missing, if it is missing by then.
    pub(crate) ask_at: Option<Timestamp>,
    /// How often it was asked for that: a question can be lost, too.
    asked: u32,
    /// What was said before the next content is not missing: it was dropped, and is not asked for.
    is_dropped: bool,
}

/// Questions for what is missing; who has not answered them does not have it.
const MOST_ASKED: u32 = 3;

/// What a content says about those before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    /// The next one, or one that was waited for.
    Fits,
    /// Others before it did not come yet.
    Gap,
    /// The first that came, and not the first that there is. Those before it may be lost, or were not for this device: they are asked for, which
    /// brings what was, and nothing is said.
    Late,
    /// It names another predecessor than came: somebody changed what was there.
    Broken,
}

impl Order {
    /// Whether its device is asked for what came before.
    pub(crate) const fn is_asked(self) -> bool {
        matches!(self, Self::Gap | Self::Late)
    }

    /// Whether the person is told.
    pub(crate) const fn is_told(self) -> bool {
        matches!(self, Self::Gap | Self::Broken)
    }
}

impl Heard {
    pub(crate) const fn new(device: DeviceId) -> Self {
        let hash = ChainHash::from_bytes([0; 32]);
        Self {
            device,
            sequence: 0,
            hash,
            sent: Timestamp(0),
            missing: BTreeMap::new(),
            ask_at: None,
            asked: 0,
            is_dropped: false,
        }
    }

    /// Takes the count of a content that was opened.
    pub(crate) fn take(&mut self, sequence: u64, previous: ChainHash, hash: ChainHash) -> Order {
        if sequence <= self.sequence {
            self.missing.remove(&sequence);
            if self.missing.is_empty() {
                (self.ask_at, self.asked) = (None, 0);
            }
            return Order::Fits;
        }
        let next = self.sequence.saturating_add(1);
        let order = match sequence == next {
            true if previous == self.hash || self.sequence == 0 => Order::Fits,
            true => Order::Broken,
            false if self.sequence == 0 && self.is_dropped => Order::Fits,
            false if self.sequence == 0 => Order::Late,
            false => Order::Gap,
        };
        if order.is_asked() {
            // Of a device of which nothing was shown yet, nothing says when those before were written.
            let before = if self.sent == Timestamp(0) { times::LATEST } else { self.sent };
            self.missing.extend((next..sequence).rev().take(MOST_MISSING).map(|missing| (missing, before)));
            while self.missing.len() > MOST_MISSING {
                self.missing.pop_first();
            }
            self.asked = 0;
        }
        (self.sequence, self.hash, self.is_dropped) = (sequence, hash, false);
        order
    }

    /// The device is asked for what is missing, at `now`: when it is asked again, since a question or its answer can be lost, too.
    pub(crate) fn ask(&mut self, now: Timestamp) {
        let wait = times::REPAIR.saturating_mul(1 << self.asked.min(MOST_ASKED));
        self.asked = self.asked.saturating_add(1);
        self.ask_at = (self.asked < MOST_ASKED).then(|| now.saturating_add(wait));
    }

    /// What comes is dropped from now on: when it is taken again, what was dropped is not missing.
    pub(crate) fn begin_anew(&mut self) {
        (self.sequence, self.ask_at, self.is_dropped) = (0, None, true);
        self.missing.clear();
    }

    /// When a message stands, for the order on the screen: as it says, but not before what its device wrote earlier, nor after what it wrote
    /// later. Before [`Self::take`].
    pub(crate) fn clock(&mut self, sequence: u64, sent: Timestamp) -> Timestamp {
        if sequence > self.sequence {
            self.sent = self.sent.max(sent);
            return self.sent;
        }
        self.missing.get(&sequence).map_or(sent, |before| sent.min(*before))
    }

    pub(super) fn record(&self) -> HeardRecord {
        HeardRecord {
            device: self.device.value().into(),
            sequence: self.sequence,
            hash: self.hash.as_bytes().to_vec(),
            sent: self.sent.0,
            missing: self.missing.keys().copied().collect(),
            missing_before: self.missing.values().map(|before| before.0).collect(),
            ask_at: self.ask_at.map_or(0, |at| at.0),
            is_dropped: self.is_dropped,
            asked: self.asked,
        }
    }

    pub(super) fn restore(record: &HeardRecord) -> Option<Self> {
        let before =
            record.missing_before.iter().map(|before| Timestamp(*before)).chain(core::iter::repeat(times::LATEST));
        Some(Self {
            device: DeviceId::try_from(record.device).ok()?,
            sequence: record.sequence,
            hash: ChainHash::from_bytes(record.hash.as_slice().try_into().ok()?),
            sent: Timestamp(record.sent),
            missing: record.missing.iter().copied().zip(before).collect(),
            ask_at: (record.ask_at != 0).then_some(Timestamp(record.ask_at)),
            is_dropped: record.is_dropped,
            asked: record.asked,
        })
    }
}
