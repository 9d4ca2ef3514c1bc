//! Mailboxes, their owners and lanes. Implements spec/17-relay.md §17.12.
//!
//! Invariant: an absent mailbox and a wrong signature go the same way: one look into memory, one verification.
use waxwing_wire::{
    frame::ErrorCode,
    id::MailboxId,
    relay::{
        AddLane, Authenticate, CloseMailbox, CreateMailbox, EndLane, LaneAdded, OwnerPublicKey, RelayReply, RotateLane,
        mailbox_id,
    },
    signature::Signature,
};

use super::{Outbox, Session, failure::Failure};
use crate::store::{CreateError, NewMailbox, Store};

impl<S: Store, O: Outbox> Session<S, O> {
    /// §17.12.1.
    pub(super) async fn create_mailbox(&self, create: CreateMailbox) -> Result<RelayReply, Failure> {
        let CreateMailbox { owner_key, close_hash, admission, signature } = create;
        let mailbox = mailbox_id(&owner_key);
        self.may_own(&mailbox)?;
        let (server, now) = (self.server(), self.server().now());
        let invite = server.settings.admission.admit(&admission, &mailbox, &server.challenges, now)?;
        self.prove(&mailbox, Some(owner_key), &signature)?;
        // Whoever asks again after a lost answer makes nothing; only the owner hears the difference.
        if server.store.owner_key(&mailbox).is_none() {
            server.buckets.mailboxes.take(self.source, now).map_err(Failure::rate)?;
        }
        let created = server.store.create_mailbox(NewMailbox { owner_key, close_hash, invite }, now).await;
        if let Err(CreateError::Unavailable(_)) = created {
            server.buckets.mailboxes.give_back(&self.source);
        }
        created?;
        // Owners' requests come one after the other: nobody set it meanwhile.
        let _ = self.owner.set(mailbox);
        Ok(RelayReply::Done)
    }

    /// §17.12.2.
    pub(super) fn authenticate(&self, authenticate: &Authenticate) -> Result<RelayReply, Failure> {
        let Authenticate { mailbox, signature } = authenticate;
        self.may_own(mailbox)?;
        self.prove(mailbox, self.server().store.owner_key(mailbox), signature)?;
        let _ = self.owner.set(*mailbox);
        Ok(RelayReply::Done)
    }

    /// §17.12.3.
    pub(super) async fn add_lane(&self, lane: AddLane) -> Result<RelayReply, Failure> {
        let (mailbox, server) = (self.owned()?, self.server());
        let lane = server.store.add_lane(&mailbox, lane, server.now()).await?;
        Ok(RelayReply::LaneAdded(LaneAdded { lane }))
    }

    /// §17.12.3.
    pub(super) async fn rotate_lane(&self, lane: RotateLane) -> Result<RelayReply, Failure> {
        let (mailbox, server) = (self.owned()?, self.server());
        let lane = server.store.rotate_lane(&mailbox, lane, server.now()).await?;
        Ok(RelayReply::LaneAdded(LaneAdded { lane }))
    }

    /// §17.12.3.
    pub(super) async fn end_lane(&self, lane: EndLane) -> Result<RelayReply, Failure> {
        let (mailbox, server) = (self.owned()?, self.server());
        server.store.end_lane(&mailbox, lane, server.now()).await?;
        Ok(RelayReply::Done)
    }

    /// §17.12.3.
    pub(super) async fn mailbox_state(&self) -> Result<RelayReply, Failure> {
        let (mailbox, server) = (self.owned()?, self.server());
        Ok(RelayReply::MailboxState(server.store.state(&mailbox, server.now()).await?))
    }

    /// §17.12.4.
    pub(super) async fn close_mailbox(&self, close: &CloseMailbox) -> Result<RelayReply, Failure> {
        let CloseMailbox { mailbox, capability } = close;
        self.server().store.close_mailbox(mailbox, capability.hash(), self.server().now()).await?;
        Ok(RelayReply::Done)
    }

    /// §17.12.5.
    pub(super) async fn delete_mailbox(&self) -> Result<RelayReply, Failure> {
        let (mailbox, server) = (self.owned()?, self.server());
        server.store.delete_mailbox(&mailbox, server.now()).await?;
        Ok(RelayReply::Done)
    }

    /// A connection is the owner's of at most one mailbox.
    fn may_own(&self, mailbox: &MailboxId) -> Result<(), Failure> {
        match self.owner.get() {
            Some(owned) if owned != mailbox => Err(ErrorCode::Unexpected.into()),
            _ => Ok(()),
        }
    }

    /// §17.12.2: verifies with somebody's key whether or not there is one, and says `Refused` either way.
    fn prove(&self, mailbox: &MailboxId, key: Option<[u8; 32]>, signature: &Signature) -> Result<(), Failure> {
        let nobody = *self.server().nobody.as_bytes();
        let verified = OwnerPublicKey::from_bytes(&key.unwrap_or(nobody))
            .and_then(|key| key.verify_owner(&self.exporter, mailbox, signature));
        if verified.is_ok() && key.is_some() { Ok(()) } else { Err(ErrorCode::Refused.into()) }
    }
}
