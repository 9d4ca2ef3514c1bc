//! One shared part for many. Implements spec/17-relay.md §17.20.
//!
//! Invariant: each recipient is as one put; whether a mailbox is absent, or the key wrong or ended, is one outcome by one way.
use std::sync::Arc;

use waxwing_wire::{
    frame::ErrorCode,
    padding::{Envelope, SharedPart},
    relay::{FanOut, Outcome, Outcomes, Recipients, RelayReply, Ttl},
};

use super::{Outbox, Session, failure::Failure};
use crate::store::{Admitted, Life, NewEnvelope, NewFanOut, PutError, Recipient, Store, Via};

impl<S: Store, O: Outbox> Session<S, O> {
    /// Takes it in for everybody, and answers after the last commit.
    pub(super) async fn fan_out(&self, fan_out: FanOut) -> Result<RelayReply, Failure> {
        let server = self.server();
        let most = usize::try_from(server.settings.limits.fan_out_recipients).unwrap_or(usize::MAX);
        if fan_out.recipients.len() > most {
            return Err(ErrorCode::TooManyRecipients.into());
        }
        // Each recipient is as one put. More than a number can say are not admitted above.
        self.pay(u32::try_from(fan_out.recipients.len()).unwrap_or(u32::MAX), server.now())?;
        let FanOut { delivery, ttl, shared, recipients } = fan_out;
        let life = match ttl {
            Ttl::OnlineOnly => return Ok(self.fan_out_online((delivery, &shared), &recipients)),
            Ttl::Day => Life::Day,
            Ttl::Fortnight => Life::Fortnight,
        };
        let recipients = recipients.iter().map(|recipient| Recipient {
            mailbox: recipient.mailbox,
            lane: recipient.lane_hash(),
            header: recipient.header,
        });
        let fan_out = NewFanOut { delivery, life, shared: Arc::new(shared), recipients: recipients.collect() };
        let admitted = server.store.fan_out(fan_out, server.now()).await?;
        let mut outcomes = Vec::with_capacity(admitted.len());
        for outcome in admitted {
            outcomes.push(match outcome {
                Ok(Admitted { repeated, commit }) => {
                    if repeated {
                        server.counters.count_repeated();
                    }
                    commit.await.map_or(Outcome::Failed, |()| Outcome::Accepted)
                }
                Err(error) => outcome_of(self.counted(error)),
            });
        }
        Ok(RelayReply::Outcomes(Outcomes { outcomes }))
    }

    fn fan_out_online(
        &self,
        (delivery, shared): (waxwing_wire::id::DeliveryId, &SharedPart),
        recipients: &Recipients,
    ) -> RelayReply {
        let (server, now) = (self.server(), self.server().now());
        let outcomes = recipients.iter().map(|recipient| {
            let envelope = Envelope::of_parts(&recipient.header, shared);
            let new = NewEnvelope {
                mailbox: recipient.mailbox,
                via: Via::Lane(recipient.lane_hash()),
                delivery,
                hash: envelope.hash(),
                life: Life::Day,
                envelope: Arc::new(envelope),
            };
            server
                .store
                .put_online(new, now)
                .map_or_else(|error| outcome_of(self.counted(error)), |()| Outcome::Accepted)
        });
        RelayReply::Outcomes(Outcomes { outcomes: outcomes.collect() })
    }
}

fn outcome_of(error: PutError) -> Outcome {
    match error {
        // A token's lane takes none of this size; whoever has only a token does not fan out.
        PutError::Refused | PutError::Size => Outcome::Refused,
        PutError::Conflict => Outcome::Conflict,
        // It takes more later, either way.
        PutError::LaneFull { .. } | PutError::TooOften { .. } => Outcome::LaneFull,
        PutError::Unavailable(_) => Outcome::Failed,
    }
}
