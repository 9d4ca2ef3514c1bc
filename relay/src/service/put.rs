//! Envelopes on their way in. Implements spec/17-relay.md §17.13.
//!
//! Invariant: absent mailbox, wrong key and ended key go the same way: one hash of the key, one call of the store.
use std::sync::Arc;

use waxwing_wire::{
    frame::ErrorCode,
    padding::EnvelopeSize,
    relay::{Credential, Put, RelayReply, Ttl},
    time::Timestamp,
};

use super::{Limit, Outbox, Session, failure::Failure};
use crate::store::{Life, NewEnvelope, PutError, Store, Via};

impl<S: Store, O: Outbox> Session<S, O> {
    /// Takes an envelope in, and answers after its commit.
    pub(super) async fn put(&self, put: Put) -> Result<RelayReply, Failure> {
        let Put { mailbox, delivery, ttl, by, envelope } = put;
        let (server, now) = (self.server(), self.server().now());
        // First, and whatever the mailbox is: who comes too often costs little and learns nothing.
        self.pay(1, now)?;
        let hash = envelope.hash();
        let via = match by {
            Credential::Key(key) => Via::Lane(key.lane_hash(&mailbox)),
            // Said before anything is looked up, so that it does not say whether the mailbox exists.
            Credential::Work(_) if envelope.size() > LARGEST_OF_STRANGERS => return Err(ErrorCode::EnvelopeSize.into()),
            Credential::Work(work) => {
                server.settings.admission.stranger(&work, (&mailbox, &hash), &server.challenges, now)?;
                Via::Strangers
            }
        };
        let life = if ttl == Ttl::Day { Life::Day } else { Life::Fortnight };
        let envelope = NewEnvelope { mailbox, via, delivery, hash, life, envelope: Arc::new(envelope) };
        if ttl == Ttl::OnlineOnly {
            server.store.put_online(envelope, now).map_err(|error| self.counted(error))?;
            return Ok(RelayReply::Done);
        }
        let admitted = server.store.put(envelope, now).await.map_err(|error| self.counted(error))?;
        if admitted.repeated {
            server.counters.count_repeated();
        }
        admitted.commit.await?;
        Ok(RelayReply::Done)
    }

    /// Takes so many puts out of the buckets of this connection's source and of everybody (spec §17.11.5).
    pub(super) fn pay(&self, count: u32, now: Timestamp) -> Result<(), Failure> {
        let server = self.server();
        server.buckets.put(self.source, count, now).map_err(|(limit, retry_after)| {
            server.counters.count_limited(limit, count);
            Failure::rate(retry_after)
        })
    }

    /// Counts what a mailbox did not take because it came too often.
    pub(super) fn counted(&self, error: PutError) -> PutError {
        if let PutError::TooOften { .. } = error {
            self.server().counters.count_limited(Limit::Mailbox, 1);
        }
        error
    }
}

const LARGEST_OF_STRANGERS: EnvelopeSize = EnvelopeSize::B16384;
