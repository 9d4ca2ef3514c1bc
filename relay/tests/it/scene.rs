//! Owners, keys, envelopes and watchers for tests of stores.
use std::sync::{Arc, Mutex};

use waxwing_relay::store::{Admitted, Life, NewEnvelope, NewMailbox, PutError, Store, StoredEnvelope, Via, Watcher};
use waxwing_wire::{
    delivery::LaneHash,
    id::{DeliveryId, MailboxId},
    padding::{Envelope, EnvelopeSize},
    relay::{Ack, AddLane, LaneNumber, NewLane, mailbox_id},
    time::Timestamp,
};

/// A moment to begin at: any will do.
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);
pub(crate) const HOUR: u64 = 3_600_000;
pub(crate) const DAY: u64 = 24 * HOUR;

pub(crate) fn after(milliseconds: u64) -> Timestamp {
    Timestamp(NOW.0 + milliseconds)
}

/// Somebody with a mailbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner(pub(crate) u8);

impl Owner {
    pub(crate) fn new_mailbox(self) -> NewMailbox {
        NewMailbox { owner_key: [self.0; 32], close_hash: self.close_hash(), invite: None }
    }

    pub(crate) fn close_hash(self) -> [u8; 32] {
        [self.0 ^ 0xff; 32]
    }

    pub(crate) fn mailbox(self) -> MailboxId {
        mailbox_id(&[self.0; 32])
    }

    /// The hash of one of this mailbox's keys.
    pub(crate) fn key(self, key: u8) -> LaneHash {
        LaneHash::of(&self.mailbox(), &[key; 16])
    }

    pub(crate) async fn create(self, store: &impl Store) {
        store.create_mailbox(self.new_mailbox(), NOW).await.unwrap();
    }

    /// A mailbox with a lane for contacts, whose key is [`CONTACTS`].
    pub(crate) async fn with_contacts(self, store: &impl Store) -> LaneNumber {
        self.create(store).await;
        self.lane(store, NewLane::Contacts, CONTACTS).await
    }

    pub(crate) async fn lane(self, store: &impl Store, lane: NewLane, key: u8) -> LaneNumber {
        let ends = (lane == NewLane::Introduction).then(|| after(365 * DAY));
        store.add_lane(&self.mailbox(), AddLane { lane, hash: self.key(key), ends }, NOW).await.unwrap()
    }

    pub(crate) fn envelope(self, number: u64) -> NewEnvelope {
        self.sized(number, EnvelopeSize::B2560)
    }

    pub(crate) fn sized(self, number: u64, size: EnvelopeSize) -> NewEnvelope {
        let envelope = envelope(number, size);
        NewEnvelope {
            mailbox: self.mailbox(),
            via: Via::Lane(self.key(CONTACTS)),
            delivery: delivery(number),
            hash: envelope.hash(),
            life: Life::Fortnight,
            envelope: Arc::new(envelope),
        }
    }

    /// Puts, and waits until that is on stable storage.
    pub(crate) async fn put(self, store: &impl Store, number: u64) {
        put(store, self.envelope(number), NOW).await.unwrap();
    }

    /// Numbers of the store and of the envelopes, of everything that waits.
    pub(crate) async fn waiting(self, store: &impl Store, now: Timestamp) -> Vec<(u64, u64)> {
        let read = store.read(&self.mailbox(), 0, u64::MAX, u32::MAX, now).await.unwrap();
        read.iter().map(|one| (one.sequence, number_of(one))).collect()
    }

    /// The numbers of the envelopes that wait.
    pub(crate) async fn numbers(self, store: &impl Store, now: Timestamp) -> Vec<u64> {
        self.waiting(store, now).await.into_iter().map(|(_, number)| number).collect()
    }

    pub(crate) async fn ack(self, store: &impl Store, up_to: u64, also: &[u64]) {
        let ack = Ack::new(up_to, also.to_vec()).unwrap();
        store.ack(&self.mailbox(), &ack, NOW).await.unwrap().await.unwrap();
    }
}

/// The key of a contacts' lane.
pub(crate) const CONTACTS: u8 = 1;

/// Puts, waits, and tells whether it was there before.
pub(crate) async fn put(store: &impl Store, envelope: NewEnvelope, now: Timestamp) -> Result<bool, PutError> {
    let Admitted { repeated, commit } = store.put(envelope, now).await?;
    commit.await?;
    Ok(repeated)
}

pub(crate) fn delivery(number: u64) -> DeliveryId {
    DeliveryId::from_bytes((u128::from(number) << 64 | 7).to_be_bytes())
}

/// An envelope that tells its number.
pub(crate) fn envelope(number: u64, size: EnvelopeSize) -> Envelope {
    let mut bytes = vec![0xe5; size.bytes()];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Envelope::new(bytes).unwrap()
}

pub(crate) fn number_of(stored: &StoredEnvelope) -> u64 {
    let bytes = stored.envelope.as_bytes();
    let number = u64::from_be_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes[8..].iter().all(|byte| *byte == 0xe5), "an envelope comes back as it went in");
    assert_eq!(stored.delivery, delivery(number & u64::from(u32::MAX)));
    number
}

/// What a watcher heard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Heard {
    Admitted { sequence: u64, number: u64, lane: LaneNumber },
    Online { number: u64, lane: LaneNumber },
    LaneFull { lane: LaneNumber, turned_away: u64 },
    Superseded,
    Ended,
}

/// Writes down what it hears.
#[derive(Debug, Default)]
pub(crate) struct Ear(Mutex<Vec<Heard>>);

impl Ear {
    pub(crate) fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn hear(&self, heard: Heard) {
        self.0.lock().unwrap().push(heard);
    }
}

impl Watcher for Ear {
    fn admitted(&self, envelope: StoredEnvelope) {
        let number = number_of(&envelope);
        self.hear(Heard::Admitted { sequence: envelope.sequence, number, lane: envelope.lane });
    }

    fn online(&self, lane: LaneNumber, envelope: Arc<Envelope>) {
        let number = u64::from_be_bytes(envelope.as_bytes()[..8].try_into().unwrap());
        self.hear(Heard::Online { number, lane });
    }

    fn lane_full(&self, lane: LaneNumber, turned_away: u64) {
        self.hear(Heard::LaneFull { lane, turned_away });
    }

    fn acked(&self, _: &Ack) {}

    fn superseded(&self) {
        self.hear(Heard::Superseded);
    }

    fn ended(&self) {
        self.hear(Heard::Ended);
    }
}
