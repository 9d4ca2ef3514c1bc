//! Why a message is not there yet. Implements spec/22-client-api.md §22.6.
use std::time::Duration;

use waxwing_client::engine::{State, WaitReason, Waiting};
use waxwing_wire::{content::MessageId, id::AccountId};

use super::Service;
use crate::api::ApiError;

impl Service {
    pub(super) async fn waiting_for(&self, id: &MessageId) -> Result<Option<Waiting>, ApiError> {
        let id = *id;
        Ok(self.client.look(move |engine| engine.waiting().into_iter().find(|waiting| waiting.id == id)).await?)
    }

    /// Waits until a message has left, but no longer than that.
    pub(super) async fn left(&self, to: &AccountId, id: &MessageId, patience: Duration) -> Result<(), ApiError> {
        if patience.is_zero() {
            return Ok(());
        }
        let reader = self.client.reader();
        let mut changes = self.client.changes();
        let left = async {
            loop {
                changes.now();
                let message = reader.message(to, id).await?;
                // The engine's state changes with an event, and an event changes the condition.
                if message.is_some_and(|message| message.state != State::Queued) || changes.next().await.is_err() {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(patience, left).await.unwrap_or(Ok(()))
    }
}

/// The name of a reason; it never changes its meaning.
pub(super) const fn name(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::IdentityChange => "identity_change",
        WaitReason::NoServer => "no_server",
        WaitReason::LookingUp => "looking_up",
        WaitReason::KeyserverUnreachable => "keyserver_unreachable",
        WaitReason::NoMailbox => "no_mailbox",
        WaitReason::NoKeys => "no_keys",
        WaitReason::Scheduled => "scheduled",
        WaitReason::Connecting => "connecting",
        WaitReason::RelayUnreachable => "relay_unreachable",
        WaitReason::RelayBusy => "relay_busy",
        WaitReason::Refused => "refused",
        WaitReason::ProvingWork => "proving_work",
        WaitReason::Sending => "sending",
        _ => "other",
    }
}

/// The same in words.
pub(super) const fn words(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::IdentityChange => "their identity changed, and you have not looked at that yet",
        WaitReason::NoServer => "no server is known that knows them: ask them for a new link",
        WaitReason::LookingUp => "their key server is being asked about them",
        WaitReason::KeyserverUnreachable => "their key server cannot be reached",
        WaitReason::NoMailbox => "one of their devices is nowhere to be reached yet",
        WaitReason::NoKeys => "keys for a session with them are being asked for",
        WaitReason::Scheduled => "it leaves at a random time",
        WaitReason::Connecting => "connecting to their relay",
        WaitReason::RelayUnreachable => "their relay cannot be reached",
        WaitReason::RelayBusy => "their relay said no for now",
        WaitReason::Refused => "their relay does not take it any more: their address is being looked up anew",
        WaitReason::ProvingWork => "a proof of work is being made, which strangers' messages cost",
        WaitReason::Sending => "the relay was given it and has not answered",
        _ => "for a reason of a newer version",
    }
}
