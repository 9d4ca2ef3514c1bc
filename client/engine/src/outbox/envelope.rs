//! A sealed envelope on its way to one device.
use waxwing_wire::{
    address::ServerAddress,
    content::MessageId,
    frame::Price,
    id::{AccountId, DeliveryId, DeviceId, MailboxId},
    pow::Nonce,
    time::Timestamp,
};

use crate::{
    records::{self, EnvelopeRecord},
    stage::Stage,
    store::Table,
    task::Destination,
};

#[derive(Debug)]
pub(crate) struct SealedEnvelope {
    pub(crate) server: ServerAddress,
    pub(crate) mailbox: MailboxId,
    pub(crate) delivery: DeliveryId,
    pub(crate) envelope: Vec<u8>,
    pub(crate) made: Timestamp,
    /// It begins a session: thrown away if it does not leave within a day.
    pub(crate) opening: bool,
    /// The key was refused: it goes by the strangers' lane.
    pub(crate) by_work: bool,
    /// In memory: what the relay asks, and what was found.
    pub(crate) price: Option<Price>,
    pub(crate) nonce: Option<Nonce>,
    /// In memory: it was refused, and the account is being looked at anew.
    pub(crate) refused: bool,
}

impl SealedEnvelope {
    pub(super) fn save(&self, destination: &Destination, stage: &mut Stage) {
        let record = EnvelopeRecord {
            server: self.server.to_string(),
            mailbox: self.mailbox.as_bytes().to_vec(),
            delivery: self.delivery.as_bytes().to_vec(),
            envelope: self.envelope.clone(),
            made: self.made.0,
            opening: self.opening,
            by_work: self.by_work,
        };
        stage.put_message(Table::Envelope, key(destination), &record);
    }

    /// Saves a change of where it goes.
    pub(crate) fn save_again(&self, destination: &Destination, stage: &mut Stage) {
        self.save(destination, stage);
    }

    pub(super) fn delete(destination: &Destination, stage: &mut Stage) {
        stage.delete(Table::Envelope, key(destination));
    }

    pub(super) fn restore(record: &[u8]) -> Option<Self> {
        let mut record: EnvelopeRecord = records::decode(record)?;
        Some(Self {
            server: record.server.parse().ok()?,
            mailbox: MailboxId::try_from(record.mailbox.as_slice()).ok()?,
            delivery: DeliveryId::try_from(record.delivery.as_slice()).ok()?,
            envelope: core::mem::take(&mut record.envelope),
            made: Timestamp(record.made),
            opening: record.opening,
            by_work: record.by_work,
            price: None,
            nonce: None,
            refused: false,
        })
    }
}

/// conversation[32] ‖ message id[16] ‖ account[32] ‖ device[1].
fn key(destination: &Destination) -> Vec<u8> {
    let Destination { conversation, id, account, device } = destination;
    let parts = conversation.as_bytes().iter().chain(id.as_bytes()).chain(account.as_bytes()).copied();
    parts.chain([device.value()]).collect()
}

pub(super) fn destination_of(key: &[u8]) -> Option<Destination> {
    let (conversation, rest) = key.split_first_chunk::<32>()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    let (account, rest) = rest.split_first_chunk::<32>()?;
    let [device] = rest else { return None };
    Some(Destination {
        conversation: AccountId::from_bytes(*conversation),
        id: MessageId::from_bytes(*id),
        account: AccountId::from_bytes(*account),
        device: DeviceId::try_from(u32::from(*device)).ok()?,
    })
}
