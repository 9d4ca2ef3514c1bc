//! One thing to deliver, and to whom.
use std::collections::BTreeMap;

use waxwing_wire::{
    content::{Body, Content, MessageId},
    id::{AccountId, DeviceId},
    time::Timestamp,
};

use super::EntryKey;
use crate::{
    records::{self, OutboxRecord, TargetRecord},
    sessions::Device,
    stage::Stage,
    store::Table,
    times,
};

#[derive(Debug)]
pub(crate) struct Entry {
    /// Encoded, without an identity block.
    pub(crate) content: Vec<u8>,
    pub(crate) audience: Audience,
    pub(crate) route: Route,
    pub(crate) targets: BTreeMap<Device, Target>,
    pub(crate) made: Timestamp,
    /// A message that a person wrote: its state is shown, and it is sent anew when it may have expired.
    pub(crate) awaits_receipt: bool,
    /// When every relay had it.
    pub(crate) sent: Option<Timestamp>,
    /// A receipt came, or none is awaited.
    pub(crate) delivered: bool,
    /// In memory: the person was told that it may have expired.
    pub(crate) told_expired: bool,
    pub(crate) order: u64,
}

/// For which devices.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Audience {
    /// All of the conversation's account, as its manifest lists them.
    Peer,
    /// Those that were named.
    Named,
    /// The other devices of this account.
    Siblings,
}

/// Over which connections.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Route {
    /// The conversation's.
    Conversation,
    /// The one for receipts.
    Receipts,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    pub(crate) state: TargetState,
    pub(crate) not_before: Timestamp,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TargetState {
    /// To be sealed.
    Waiting,
    /// An envelope is on its way.
    Sealed,
    /// Its relay has it.
    Done,
}

impl Entry {
    pub(crate) const fn new(content: Vec<u8>, audience: Audience, made: Timestamp) -> Self {
        Self {
            content,
            audience,
            route: Route::Conversation,
            targets: BTreeMap::new(),
            made,
            awaits_receipt: false,
            sent: None,
            delivered: false,
            told_expired: false,
            order: 0,
        }
    }

    /// For these devices alone, each not before its time.
    pub(crate) fn named(
        content: Vec<u8>,
        devices: impl IntoIterator<Item = (Device, Timestamp)>,
        made: Timestamp,
    ) -> Self {
        let target = |(device, not_before)| (device, Target { state: TargetState::Waiting, not_before });
        Self { targets: devices.into_iter().map(target).collect(), ..Self::new(content, Audience::Named, made) }
    }

    /// Whether it says something about a session that was, which is not said again: a question for what was lost would be answered once more,
    /// and count as one more question.
    pub(super) fn is_of_the_moment(&self) -> bool {
        let content = Content::decode(&self.content);
        content.is_ok_and(|content| matches!(content.body, Body::Resend(_) | Body::Empty))
    }

    /// Whether its envelopes may have ended unseen.
    pub(super) fn may_have_expired(&self, now: Timestamp) -> bool {
        self.awaits_receipt && !self.delivered && self.sent.is_some_and(|sent| now.since(sent) >= times::TTL)
    }

    pub(super) fn save(&self, key: &EntryKey, stage: &mut Stage) {
        let targets = self.targets.iter().map(|((account, device), target)| TargetRecord {
            account: account.as_bytes().to_vec(),
            device: device.value().into(),
            state: match target.state {
                TargetState::Waiting => 1,
                TargetState::Sealed => 2,
                TargetState::Done => 3,
            },
            not_before: target.not_before.0,
        });
        let record = OutboxRecord {
            content: self.content.clone(),
            audience: match self.audience {
                Audience::Peer => 1,
                Audience::Named => 2,
                Audience::Siblings => 3,
            },
            targets: targets.collect(),
            made: self.made.0,
            awaits_receipt: self.awaits_receipt,
            sent: self.sent.map_or(0, |at| at.0),
            by_receipts: self.route == Route::Receipts,
            order: self.order,
            delivered: self.delivered,
        };
        stage.put_message(Table::Outbox, record_key(key), &record);
    }

    pub(super) fn delete(key: &EntryKey, stage: &mut Stage) {
        stage.delete(Table::Outbox, record_key(key));
    }

    pub(super) fn restore(record: &[u8]) -> Option<Self> {
        let mut record: OutboxRecord = records::decode(record)?;
        let mut targets = BTreeMap::new();
        for target in &record.targets {
            let device =
                (AccountId::try_from(target.account.as_slice()).ok()?, DeviceId::try_from(target.device).ok()?);
            let state = match target.state {
                1 => TargetState::Waiting,
                2 => TargetState::Sealed,
                3 => TargetState::Done,
                _ => return None,
            };
            targets.insert(device, Target { state, not_before: Timestamp(target.not_before) });
        }
        Some(Self {
            content: core::mem::take(&mut record.content),
            audience: match record.audience {
                1 => Audience::Peer,
                2 => Audience::Named,
                3 => Audience::Siblings,
                _ => return None,
            },
            route: if record.by_receipts { Route::Receipts } else { Route::Conversation },
            targets,
            made: Timestamp(record.made),
            awaits_receipt: record.awaits_receipt,
            sent: (record.sent != 0).then_some(Timestamp(record.sent)),
            delivered: record.delivered,
            told_expired: false,
            order: record.order,
        })
    }
}

fn record_key((conversation, id): &EntryKey) -> Vec<u8> {
    conversation.as_bytes().iter().chain(id.as_bytes()).copied().collect()
}

pub(super) fn key_of(key: &[u8]) -> Option<EntryKey> {
    let (conversation, id) = key.split_first_chunk::<32>()?;
    Some((AccountId::from_bytes(*conversation), MessageId::from_bytes(id.try_into().ok()?)))
}
