//! Envelopes on their way in. Implements spec/17-relay.md §17.3 and §17.4 up to the commit.
//!
//! ```text
//! room for its bytes ──▶ mailbox's lock: Ledger::admit ──▶ Disk::insert ──▶ Ledger::take, pending, Watcher::admitted     the commit follows
//! ```
//! Invariants: what is turned away changes nothing but counts and the tokens that it spent; numbers go out in the order of the lock.
use core::time::Duration;
use std::sync::{Arc, MutexGuard, atomic::Ordering};

use waxwing_wire::{
    id::{DeliveryId, MailboxId},
    padding::EnvelopeHash,
    time::Timestamp,
};

use super::{
    Admitted, Commit, Life, NewEnvelope, NewFanOut, PutError, Recipient, StoredEnvelope, Unavailable, Via, Watcher,
    directory::SHARDS,
    disk::{Content, Disk, Insert},
    lock,
    mailbox::Pending,
    mailboxes::{AT_ONCE, Shared, identity},
};
use crate::ledger::{Admission, Arrival, Denied, Full, Held, Remembered};

/// An envelope on its way in, alone or by a fan-out.
struct Incoming {
    mailbox: MailboxId,
    via: Via,
    delivery: DeliveryId,
    hash: EnvelopeHash,
    life: Life,
    content: Content,
}

impl<D: Disk> Shared<D> {
    /// One envelope; its commit follows.
    pub(super) async fn accept(&self, envelope: NewEnvelope, now: Timestamp) -> Result<Admitted, PutError> {
        let bytes = envelope.envelope.size().bytes();
        self.disk.room(bytes).await?;
        let NewEnvelope { mailbox, via, delivery, hash, life, envelope } = envelope;
        let incoming = Incoming { mailbox, via, delivery, hash, life, content: Content::Whole(envelope) };
        let admitted = self.put(&incoming, now);
        if admitted.as_ref().map_or(true, |admitted| admitted.repeated) {
            self.disk.spare(bytes);
        }
        admitted
    }

    /// One shared part for many: what became of each, in their order.
    pub(super) async fn accept_each(
        &self,
        new: NewFanOut,
        now: Timestamp,
    ) -> Result<Vec<Result<Admitted, PutError>>, Unavailable> {
        let NewFanOut { delivery, life, shared, recipients } = new;
        let bytes = shared.size().bytes();
        self.disk.room(bytes).await?;
        let (digest, body) = (shared.digest(), self.disk.body());
        let mut outcomes = Vec::with_capacity(recipients.len());
        for part in recipients.chunks(AT_ONCE) {
            outcomes.extend(part.iter().map(|recipient| {
                let Recipient { mailbox, lane, header } = *recipient;
                let content = Content::Part { header, shared: Arc::clone(&shared), body };
                let hash = EnvelopeHash::of_header(&header, &digest);
                self.put(&Incoming { mailbox, via: Via::Lane(lane), delivery, hash, life, content }, now)
            }));
            // Others have their turn: a fan-out may have thousands.
            tokio::task::yield_now().await;
        }
        self.disk.spare(bytes);
        Ok(outcomes)
    }

    /// What is kept by nobody: shown to whoever watches at the moment.
    pub(super) fn pass(&self, new: NewEnvelope, now: Timestamp) -> Result<(), PutError> {
        let mailbox = self.directory.live_or_nobody(&new.mailbox).ok_or(PutError::Refused)?;
        let mut inner = mailbox.lock();
        let lane = inner.ledger.pass(new.via, new.envelope.size(), self.rules.puts, now);
        if inner.ended {
            return Err(PutError::Refused);
        }
        let lane = lane.map_err(|denied| told(denied, None, now))?;
        if let Some(watcher) = &inner.watcher {
            watcher.online(lane, new.envelope);
        }
        Ok(())
    }

    fn put(&self, new: &Incoming, now: Timestamp) -> Result<Admitted, PutError> {
        let mailbox = self.directory.live_or_nobody(&new.mailbox).ok_or(PutError::Refused)?;
        let tag = self.tags.tag(&new.mailbox, &new.delivery, &identity(&new.hash));
        let mut guard = mailbox.lock();
        self.sweep(&mut guard, new.mailbox, now);
        // What has just ended makes room for this one.
        guard.count();
        let inner = &mut *guard;
        let acked = self.remembered(tag.id).and_then(|mut remembered| remembered.check(tag.id, now));
        let arrival = Arrival { via: new.via, tag, acked, size: new.content.size(), rate: self.rules.puts };
        let admission = inner.ledger.admit(&arrival, now);
        if inner.ended {
            return Err(PutError::Refused);
        }
        let slot = match admission {
            Ok(Admission::New(slot)) => slot,
            Ok(Admission::Waiting(sequence)) => {
                let commit = inner.pending(sequence).map_or(Commit::done(), |pending| pending.commit.clone());
                return Ok(Admitted { repeated: true, commit });
            }
            Ok(Admission::Acked) => return Ok(Admitted { repeated: true, commit: Commit::done() }),
            Err(denied) => {
                if let Denied::Full(_) = denied {
                    self.counts.turned_away.fetch_add(1, Ordering::Relaxed);
                }
                return Err(told(denied, inner.watcher.as_ref(), now));
            }
        };
        if !self.budget.admits(new.content.size().bytes()) {
            return Err(Unavailable.into());
        }
        let ends = now.saturating_add(new.life.duration());
        let ticket = self.disk.insert(Insert {
            mailbox: Arc::clone(&mailbox),
            sequence: slot.sequence,
            lane: slot.lane,
            pool: slot.pool,
            ends,
            delivery: new.delivery,
            hash: new.hash,
            content: new.content.clone(),
            admitted: slot.admitted,
        });
        let ticket = ticket.ok_or(Unavailable)?;
        inner.ledger.take(&slot, &arrival, ticket.place, ticket.back, ends);
        self.schedule(inner, new.mailbox);
        if ticket.commit.outcome().is_none() {
            let (content, commit) = (new.content.clone(), ticket.commit.clone());
            inner.pending.push_back(Pending { sequence: slot.sequence, delivery: new.delivery, content, commit });
        }
        if let Some(watcher) = &inner.watcher {
            let (delivery, envelope) = (new.delivery, new.content.whole());
            watcher.admitted(StoredEnvelope { sequence: slot.sequence, lane: slot.lane, delivery, envelope });
        }
        Ok(Admitted { repeated: false, commit: ticket.commit })
    }

    /// Acked envelopes are known again.
    pub(super) fn remember(&self, gone: &[Held], now: Timestamp) {
        for held in gone {
            if let Some(mut remembered) = self.remembered(held.tag().id) {
                remembered.insert(held.tag(), now);
            }
        }
    }

    fn remembered(&self, id: u64) -> Option<MutexGuard<'_, Remembered>> {
        // The low bits choose the place in a map, the highest its group: take some between.
        let shard = usize::try_from(id >> 40).unwrap_or_default() % SHARDS;
        self.remembered.get(shard).map(lock)
    }
}

/// What the sender hears, after the owner did.
fn told(denied: Denied, watcher: Option<&Arc<dyn Watcher>>, now: Timestamp) -> PutError {
    match denied {
        Denied::Refused => PutError::Refused,
        Denied::Conflict => PutError::Conflict,
        Denied::TooOften(retry_after) => PutError::TooOften { retry_after },
        Denied::Size => PutError::Size,
        Denied::Numbers => PutError::Unavailable(Unavailable),
        Denied::Full(Full { lane, turned_away, first, room_at }) => {
            if let Some(watcher) = watcher.filter(|_| first) {
                watcher.lane_full(lane, turned_away);
            }
            let retry_after = room_at.map(|at| at.since(now)).filter(|after| *after <= PATIENCE);
            PutError::LaneFull { retry_after }
        }
    }
}

/// The longest `retry_after` (spec §13.5).
const PATIENCE: Duration = Duration::from_secs(7 * 86_400);
