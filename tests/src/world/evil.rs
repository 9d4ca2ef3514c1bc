//! Servers that lie, and what is watched of message keys.
use waxwing_engine::{
    Engine, Joining, Output,
    store::{Batch, Record, Table, Write},
};
use waxwing_wire::{
    frame::ServerError,
    keyserver::{AccountObjects, KeyserverReply},
    manifest::Draft,
    padding::Envelope,
    relay::{Delivery, Put, RelayPush, ServerFrame},
    words::AccountSecret,
};

use super::{
    Delivered, World,
    device::{Device, DeviceIndex, PersonIndex},
    network::ConnectionId,
};

/// What an evil relay does with something that it is to deliver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Evil {
    /// What it should.
    Deliver,
    /// Nothing; it keeps it back each time.
    Drop,
    /// It delivers other bytes.
    Corrupt,
}

/// Decides about each delivery to a device.
pub type EvilRelay = Box<dyn FnMut(DeviceIndex, &Delivery) -> Evil>;

/// Changes what key servers answer.
pub type EvilKeyserver = Box<dyn FnMut(&mut Result<KeyserverReply, ServerError>)>;

/// Performs an output of a device in the place of the program around its engine: what is given back is done.
pub type Planted = Box<dyn FnMut(DeviceIndex, Output) -> Option<Output>>;

impl World {
    /// What whoever has somebody's words can sign beside them: a list in the place of their next one, with a device of another account's.
    pub fn fork(&mut self, of: PersonIndex, ghost: PersonIndex) -> AccountObjects {
        let now = self.now();
        let secret = AccountSecret::from_words(&self.people[of.0].words).expect("they are theirs");
        let account = self.account(of);
        let mut objects = self.objects(of);
        let known = objects.verify(&account, now).expect("it is genuine").manifest;
        let mut draft = Draft::after(&known).expect("there is room");
        let mut rng = self.fork_rng();
        let relay = self.engine(self.device(ghost, 0)).own_servers().next().expect("they have a relay").clone();
        let joining = Joining::new(relay, &mut rng);
        draft.add(joining.device(draft.place().expect("there is room"))).expect("it joins there");
        let root = secret.root_key(known.content().generation());
        objects.manifest = draft.sign(&root, now).expect("it can be signed").encode();
        objects
    }

    /// A device goes on from sessions that it had before, as from a copy of its store.
    pub fn put_sessions_back(&mut self, device: DeviceIndex, records: Vec<Record>) {
        self.crash(device);
        let sessions = records.into_iter().filter(|record| record.table == Table::Session).map(Write::Put);
        let batch: Batch = sessions.collect();
        self.devices[device.0].store.save_now(&batch).expect("it takes what it had");
        self.revive(device);
    }

    /// Whether every device that is on has taken, and acked, what was in its mailbox.
    #[must_use]
    pub fn mailboxes_are_empty(&self) -> bool {
        let listed = self.people.iter().flat_map(|person| &person.devices);
        let on = listed.filter(|device| self.devices[device.0].engine.is_some());
        on.map(|device| self.waiting(*device)).all(|waiting| waiting == 0)
    }

    /// Whether the relays keep a frame back; they may change it, too.
    pub(super) fn is_evil(&mut self, id: ConnectionId, frame: &mut ServerFrame) -> bool {
        let (Some(connection), ServerFrame::Push(RelayPush::Delivery(delivery))) =
            (self.network.connections.get(&id), frame)
        else {
            return false;
        };
        let (at, lane, size) = (self.now(), delivery.lane.0, delivery.envelope.size());
        self.observer.delivered.push(Delivered { at, device: connection.device, lane, size });
        let Some(evil) = &mut self.evil_relay else { return false };
        match evil(connection.device, delivery) {
            Evil::Deliver => false,
            Evil::Drop => {
                self.fault("dropped by a relay");
                true
            }
            Evil::Corrupt => {
                let mut bytes = delivery.envelope.as_bytes().to_vec();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                delivery.envelope = Envelope::new(bytes).expect("of the same size");
                self.fault("corrupted by a relay");
                false
            }
        }
    }

    /// Notes an envelope whose message key is to be looked at, as only its recipient can.
    pub(super) fn watch(&mut self, put: &Put) {
        let hash = *put.envelope.hash().as_bytes();
        if let Some(recorded) = &mut self.recorded {
            recorded.push((put.mailbox, put.envelope.as_bytes().to_vec()));
        }
        // The same bytes again are the same key.
        if !self.observer.is_new(hash) {
            return;
        }
        self.unwatched.insert(hash, (put.mailbox, put.envelope.as_bytes().to_vec()));
    }

    /// A device has taken an envelope: if it opened it, it knows the key, and nobody has to open it once more.
    pub(super) fn watch_taken(&mut self, device: DeviceIndex, hash: [u8; 32]) {
        let engine = self.devices[device.0].engine.as_mut();
        let Some(name) = engine.and_then(Engine::take_key_name) else { return };
        self.observer.sealed(name, hash);
        self.unwatched.remove(&hash);
    }

    /// Looks at what no device has opened by now: it is on its way, or nobody takes it.
    pub(super) fn watch_waiting(&mut self) {
        for (hash, (mailbox, envelope)) in std::mem::take(&mut self.unwatched) {
            let mut devices = self.devices.iter_mut().filter(|device| device.mailbox == mailbox);
            let Some(Device { engine: Some(engine), witness, .. }) = devices.next() else {
                self.unwatched.insert(hash, (mailbox, envelope));
                continue;
            };
            if let Some(name) = engine.message_key_name(&envelope, witness) {
                self.observer.sealed(name, hash);
            }
        }
    }
}
