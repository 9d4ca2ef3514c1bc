//! A relay that believes everybody, but for the lanes: a put enters by the key of one, or by work.
use std::collections::BTreeMap;

use waxwing_engine::Purpose;
use waxwing_wire::{
    delivery::LaneHash,
    frame::{ErrorCode, ServerError},
    id::MailboxId,
    padding::Envelope,
    relay::{
        Credential, Delivery, Info, LaneAdded, LaneNumber, Limits, Put, RelayPush, RelayReply, RelayRequest, Sequence,
        Subscribed,
    },
    time::Timestamp,
};

use super::price;

#[derive(Default)]
pub(super) struct Relay {
    mailboxes: BTreeMap<MailboxId, Mailbox>,
}

#[derive(Default)]
struct Mailbox {
    lanes: Vec<LaneHash>,
    waiting: Vec<Letter>,
    newest: u64,
    /// The highest number that was pushed to the subscription.
    pushed: u64,
}

/// An envelope in a mailbox.
#[derive(Clone)]
pub struct Letter {
    pub sequence: u64,
    pub lane: u32,
    pub delivery: waxwing_wire::id::DeliveryId,
    pub envelope: Envelope,
}

impl Letter {
    pub fn push(&self) -> RelayPush {
        RelayPush::Delivery(Delivery {
            sequence: Sequence(self.sequence),
            lane: LaneNumber(self.lane),
            delivery: self.delivery,
            envelope: self.envelope.clone(),
        })
    }
}

/// Deliveries without an ack.
const WINDOW: usize = 256;

impl Relay {
    pub(super) fn waiting(&mut self, mailbox: MailboxId) -> &mut Vec<Letter> {
        &mut self.mailboxes.entry(mailbox).or_default().waiting
    }

    /// A subscription begins: everything that waits is pushed again.
    pub(super) fn begin(&mut self, mailbox: MailboxId) {
        self.mailboxes.entry(mailbox).or_default().pushed = 0;
    }

    /// What the window lets through and was not pushed yet.
    pub(super) fn push(&mut self, mailbox: MailboxId) -> Vec<RelayPush> {
        let mailbox = self.mailboxes.entry(mailbox).or_default();
        let pushed = mailbox.pushed;
        let next: Vec<&Letter> =
            mailbox.waiting.iter().take(WINDOW).filter(|letter| letter.sequence > pushed).collect();
        let pushes = next.iter().map(|letter| letter.push()).collect();
        mailbox.pushed = next.last().map_or(pushed, |letter| letter.sequence);
        pushes
    }

    pub(super) fn answer(
        &mut self,
        purpose: Purpose,
        request: RelayRequest,
        now: Timestamp,
    ) -> Result<RelayReply, ServerError> {
        let own = if let Purpose::Owner(mailbox) = purpose {
            self.mailboxes.entry(mailbox).or_default()
        } else {
            return match request {
                RelayRequest::Put(put) => self.put(put),
                RelayRequest::Info => Ok(RelayReply::Info(info(now))),
                _ => Err(ErrorCode::Unexpected.into()),
            };
        };
        match request {
            RelayRequest::Info => Ok(RelayReply::Info(info(now))),
            RelayRequest::AddLane(lane) => {
                own.lanes.push(lane.hash);
                let number = u32::try_from(own.lanes.len()).expect("a few lanes");
                Ok(RelayReply::LaneAdded(LaneAdded { lane: LaneNumber(number) }))
            }
            RelayRequest::Subscribe(_) => {
                let waiting = u32::try_from(own.waiting.len()).expect("a few letters");
                Ok(RelayReply::Subscribed(Subscribed { newest: own.newest, waiting }))
            }
            RelayRequest::Ack(ack) => {
                own.waiting.retain(|letter| {
                    letter.sequence > ack.up_to() && ack.also().binary_search(&letter.sequence).is_err()
                });
                Ok(RelayReply::Done)
            }
            RelayRequest::EndLane(end) => {
                // No key has that hash.
                let lane = usize::try_from(end.lane.0).expect("a few lanes") - 1;
                own.lanes[lane] = LaneHash::from_bytes([0; 32]);
                Ok(RelayReply::Done)
            }
            RelayRequest::Put(put) => self.put(put),
            _ => Ok(RelayReply::Done),
        }
    }

    fn put(&mut self, put: Put) -> Result<RelayReply, ServerError> {
        let Put { mailbox: id, delivery, by, envelope, .. } = put;
        let mailbox = self.mailboxes.entry(id).or_default();
        let lane = match &by {
            Credential::Work(_) => 0,
            Credential::Key(key) => {
                let hash = key.lane_hash(&id);
                let lane = mailbox.lanes.iter().position(|lane| *lane == hash).ok_or(ErrorCode::Refused)?;
                u32::try_from(lane + 1).expect("a few lanes")
            }
        };
        mailbox.newest += 1;
        mailbox.waiting.push(Letter { sequence: mailbox.newest, lane, delivery, envelope });
        Ok(RelayReply::Done)
    }
}

fn info(now: Timestamp) -> Info {
    Info { time: now, price: price(), limits: Limits::default(), moved: None }
}
