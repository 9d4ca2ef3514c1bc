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
    /// What did not come yet, and between which times it stands when it does.
    missing: BTreeMap<u64, Span>,
    /// When the device is asked to send again what is missing, if it is missing by then.
    pub(crate) ask_at: Option<Timestamp>,
    /// How often it was asked for that: a question can be lost, too.
    asked: u32,
    /// What was said before the next content is not missing: it was dropped, and is not asked for.
    is_dropped: bool,
}

/// Where those stand on the screen that were written before and after what is missing.
#[derive(Clone, Copy, Debug)]
struct Span {
    after: Timestamp,
    before: Timestamp,
}

impl Span {
    /// As it says, but between them. Their device's clock goes forward, so that one rule for all that are missing between two keeps their order.
    fn place(self, sent: Timestamp) -> Timestamp {
        sent.max(self.after).min(self.before)
    }
}

/// A counted content of a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) sequence: u64,
    pub(crate) previous: ChainHash,
    pub(crate) hash: ChainHash,
    /// When it was written, as it says.
    pub(crate) sent: Timestamp,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) order: Order,
    /// When it stands, for the order on the screen: as it says, but not before what its device wrote earlier, nor after what it wrote later.
    pub(crate) stands: Timestamp,
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

    /// Takes a content that was opened. Nobody wrote it later than `now`: a clock that is ahead would hold its messages below all others for ever.
    pub(crate) fn take(&mut self, content: &Counted, now: Timestamp) -> Taken {
        let Counted { sequence, previous, hash, sent } = *content;
        if sequence <= self.sequence {
            let missed = self.missing.remove(&sequence);
            if self.missing.is_empty() {
                (self.ask_at, self.asked) = (None, 0);
            }
            let span = missed.unwrap_or(Span { after: Timestamp(0), before: self.sent });
            return Taken { order: Order::Fits, stands: span.place(sent) };
        }
        let after = self.sent;
        self.sent = after.max(sent.min(now));
        let order = self.order_of(sequence, previous);
        if order.is_asked() {
            self.miss_until(sequence, Span { after, before: self.sent });
        }
        (self.sequence, self.hash, self.is_dropped) = (sequence, hash, false);
        Taken { order, stands: self.sent }
    }

    fn order_of(&self, sequence: u64, previous: ChainHash) -> Order {
        match sequence == self.sequence.saturating_add(1) {
            true if previous == self.hash || self.sequence == 0 => Order::Fits,
            true => Order::Broken,
            false if self.sequence == 0 && self.is_dropped => Order::Fits,
            false if self.sequence == 0 => Order::Late,
            false => Order::Gap,
        }
    }

    fn miss_until(&mut self, sequence: u64, span: Span) {
        let next = self.sequence.saturating_add(1);
        self.missing.extend((next..sequence).rev().take(MOST_MISSING).map(|missing| (missing, span)));
        while self.missing.len() > MOST_MISSING {
            self.missing.pop_first();
        }
        self.asked = 0;
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

    pub(super) fn record(&self) -> HeardRecord {
        HeardRecord {
            device: self.device.value().into(),
            sequence: self.sequence,
            hash: self.hash.as_bytes().to_vec(),
            sent: self.sent.0,
            missing: self.missing.keys().copied().collect(),
            missing_after: self.missing.values().map(|span| span.after.0).collect(),
            missing_before: self.missing.values().map(|span| span.before.0).collect(),
            ask_at: self.ask_at.map_or(0, |at| at.0),
            is_dropped: self.is_dropped,
            asked: self.asked,
        }
    }

    pub(super) fn restore(record: &HeardRecord) -> Option<Self> {
        let after = record.missing_after.iter().chain(core::iter::repeat(&0));
        let before = record.missing_before.iter().chain(core::iter::repeat(&times::LATEST.0));
        let spans =
            after.zip(before).map(|(after, before)| Span { after: Timestamp(*after), before: Timestamp(*before) });
        Some(Self {
            device: DeviceId::try_from(record.device).ok()?,
            sequence: record.sequence,
            hash: ChainHash::from_bytes(record.hash.as_slice().try_into().ok()?),
            sent: Timestamp(record.sent),
            missing: record.missing.iter().copied().zip(spans).collect(),
            ask_at: (record.ask_at != 0).then_some(Timestamp(record.ask_at)),
            is_dropped: record.is_dropped,
            asked: record.asked,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// S5: in whatever order contents come, and whatever the reader's clock does meanwhile, they stand as they were written.
        #[test]
        fn they_stand_as_they_were_written(
            written in vec((0..500_u64, 0..4_u8, 0..4_000_u64), 1..12),
            order in vec(any::<prop::sample::Index>(), 12),
        ) {
            let hash = ChainHash::from_bytes([7; 32]);
            let (mut sent, mut waiting) = (1_000, Vec::new());
            for (sequence, (pause, is_late, clock)) in (1..).zip(written) {
                sent = pause.saturating_add(sent);
                waiting.push((Counted { sequence, previous: hash, hash, sent: Timestamp(sent) }, is_late == 0, clock));
            }
            let mut heard = Heard::new(DeviceId::try_from(1).expect("a number"));
            let mut places = BTreeMap::new();
            for chance in order {
                let Some((_, is_late, _)) = waiting.first() else { break };
                let next = if *is_late { chance.index(waiting.len()) } else { 0 };
                let (content, _, clock) = waiting.remove(next);
                places.insert(content.sequence, heard.take(&content, Timestamp(clock)).stands);
                heard = Heard::restore(&heard.record()).expect("its own record");
            }
            prop_assert!(places.values().is_sorted(), "{places:?}");
        }
    }
}
