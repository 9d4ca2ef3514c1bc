//! Envelopes on their way in. Implements spec/17-relay.md §17.13.
//!
//! Invariant: absent mailbox, wrong key and ended key go the same way: one hash of the key, one call of the store.
use std::sync::Arc;

use waxwing_wire::{
    frame::ErrorCode,
    padding::EnvelopeSize,
    relay::{Credential, Put, RelayReply, Ttl},
};

use super::{Outbox, Session, failure::Failure};
use crate::store::{Life, NewEnvelope, Store, Via};

impl<S: Store, O: Outbox> Session<S, O> {
    /// Takes an envelope in, and answers after its commit.
    pub(super) async fn put(&self, put: Put) -> Result<RelayReply, Failure> {
        let Put { mailbox, delivery, ttl, by, envelope } = put;
        let (server, now) = (self.server(), self.server().now());
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
            server.store.put_online(envelope, now)?;
            return Ok(RelayReply::Done);
        }
        let admitted = server.store.put(envelope, now).await?;
        if admitted.repeated {
            server.counters.count_repeated();
        }
        admitted.commit.await?;
        Ok(RelayReply::Done)
    }
}

const LARGEST_OF_STRANGERS: EnvelopeSize = EnvelopeSize::B16384;
