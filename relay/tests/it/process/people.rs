//! Owners and senders that have `waxwing-wire` and `waxwing-net`, and nothing else.
use std::time::Duration;

use waxwing_net::{Backlog, Client, ClientConfig, Pushes, RelayConnection, RequestError, Trust};
use waxwing_wire::{
    address::ServerAddress,
    delivery::{DeliveryKey, LaneHash},
    frame::Admission,
    id::MailboxId,
    keys::CloseCapability,
    relay::{
        Ack, AddLane, Authenticate, CreateMailbox, Credential, Delivery, NewLane, OwnerKey, Put, RelayPush, RelayReply,
        RelayRequest, Subscribe, Subscribed, Ttl,
    },
};

use crate::scene::{delivery, envelope};
use waxwing_wire::padding::EnvelopeSize;

/// Somebody with a mailbox.
#[derive(Clone, Copy)]
pub(super) struct Person {
    seed: [u8; 32],
    key: [u8; 16],
}

impl Person {
    pub(super) fn new(number: u64) -> Self {
        let (mut seed, mut key) = ([0x5a; 32], [0xa5; 16]);
        seed[..8].copy_from_slice(&number.to_be_bytes());
        key[..8].copy_from_slice(&number.to_be_bytes());
        Self { seed, key }
    }

    /// With bytes of the test's choice.
    pub(super) const fn marked(seed: [u8; 32], key: [u8; 16]) -> Self {
        Self { seed, key }
    }

    fn owner_key(&self) -> OwnerKey {
        OwnerKey::from_seed(&self.seed)
    }

    pub(super) fn mailbox(&self) -> MailboxId {
        self.owner_key().mailbox()
    }

    pub(super) fn capability(&self) -> CloseCapability {
        CloseCapability::from_bytes(&self.seed.map(|byte| byte ^ 0xff))
    }

    pub(super) fn put(&self, number: u64) -> RelayRequest {
        RelayRequest::Put(Put {
            mailbox: self.mailbox(),
            delivery: delivery(number),
            ttl: Ttl::Fortnight,
            by: Credential::Key(DeliveryKey::from_bytes(self.key)),
            envelope: envelope(number, EnvelopeSize::B2560),
        })
    }

    pub(super) const fn key(&self) -> &[u8; 16] {
        &self.key
    }

    pub(super) fn create_by(&self, connection: &RelayConnection, admission: Admission) -> RelayRequest {
        let key = self.owner_key();
        RelayRequest::CreateMailbox(CreateMailbox {
            owner_key: *key.public_key().as_bytes(),
            close_hash: self.capability().hash(),
            admission,
            signature: key.prove(&connection.exporter()),
        })
    }

    /// Makes the mailbox and a contacts' lane, if they are not there, and owns it on the connection.
    pub(super) async fn create(&self, connection: &RelayConnection) {
        let create = self.create_by(connection, Admission::Open);
        assert_eq!(connection.request(create).await, Ok(RelayReply::Done));
        let hash = LaneHash::of(&self.mailbox(), &self.key);
        let lane = RelayRequest::AddLane(AddLane { lane: NewLane::Contacts, hash, ends: None });
        assert!(matches!(connection.request(lane).await, Ok(RelayReply::LaneAdded(_))));
    }

    /// Owns the mailbox on the connection, and subscribes.
    pub(super) async fn subscribe(
        &self,
        connection: RelayConnection,
        after: u64,
        window: u32,
    ) -> Result<Subscription, RequestError> {
        let key = self.owner_key();
        let proof = Authenticate { mailbox: key.mailbox(), signature: key.prove(&connection.exporter()) };
        let backlog = connection.backlog().await?;
        let pushes = connection.pushes().await.unwrap();
        assert_eq!(connection.request(RelayRequest::Authenticate(proof)).await?, RelayReply::Done);
        match connection.request(RelayRequest::Subscribe(Subscribe { after, window })).await? {
            RelayReply::Subscribed(subscribed) => Ok(Subscription { connection, pushes, backlog, subscribed }),
            other => panic!("{other:?}"),
        }
    }
}

/// An owner's connection.
pub(super) struct Subscription {
    pub(super) connection: RelayConnection,
    pub(super) pushes: Pushes,
    pub(super) backlog: Backlog,
    pub(super) subscribed: Subscribed,
}

impl Subscription {
    /// What had waited, acked as it comes; what comes live meanwhile is kept for later.
    pub(super) async fn drain_backlog(&mut self) -> Vec<(u64, u64)> {
        let mut came = Vec::new();
        loop {
            match self.backlog.next().await.unwrap().unwrap() {
                RelayPush::Delivery(delivery) => {
                    came.push((delivery.sequence.0, number_of(&delivery)));
                    // The backlog has half of the window; acks keep it coming.
                    if came.len() % 4 == 0 {
                        self.ack(delivery.sequence.0).await;
                    }
                }
                RelayPush::BacklogEnd(end) => {
                    assert_eq!(end.sequence, self.subscribed.newest);
                    return came;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) async fn ack(&self, up_to: u64) {
        let ack = RelayRequest::Ack(Ack::new(up_to, Vec::new()).unwrap());
        assert_eq!(self.connection.request(ack).await, Ok(RelayReply::Done));
    }
}

/// What an envelope of [`Person::put`] says.
pub(super) fn number_of(delivery: &Delivery) -> u64 {
    u64::from_be_bytes(delivery.envelope.as_bytes()[..8].try_into().unwrap())
}

pub(super) fn client() -> Client {
    Client::new(ClientConfig { attempt: Duration::from_secs(30), ..ClientConfig::default() }).unwrap()
}

pub(super) async fn connect(client: &Client, address: &ServerAddress) -> RelayConnection {
    client.relay(address, Trust::Configured).await.unwrap()
}
