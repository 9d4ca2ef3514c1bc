//! A device: a disk, and a client on it that may be off.
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use rand_chacha::ChaCha20Rng;
use waxwing_client::{
    Options,
    engine::{Engine, Settings},
    simulation::{Disk, Moment, SimulatedClient},
};
use waxwing_net::ClientConfig;
use waxwing_wire::{id::MailboxId, time::Timestamp};

use super::{Wired, clock, machine};
use crate::world::{DeviceIndex, PersonIndex};

pub(super) struct Device {
    pub(super) disk: Disk,
    /// None while it is off.
    pub(super) client: Option<SimulatedClient>,
    pub(super) machine: IpAddr,
    pub(super) mailbox: MailboxId,
    /// Milliseconds that its clock is ahead.
    pub(super) ahead: Arc<AtomicI64>,
    options: Options,
}

impl Wired {
    /// How a device is set up that comes next.
    pub(super) fn options(&self, ahead: &Arc<AtomicI64>) -> Options {
        let ahead = Arc::clone(ahead);
        let network = ClientConfig {
            clock: clock(self.began, move || ahead.load(Ordering::Relaxed)),
            machine: self.network.machine(machine(3, self.devices.len() + 1)),
            ..ClientConfig::default()
        };
        // Few one-time keys: making them costs most of a world. The servers are at private addresses.
        Options { engine: Settings { one_time_prekeys: 4, allow_private_servers: true }, network }
    }

    pub(super) async fn add_device(
        &mut self,
        person: PersonIndex,
        engine: Engine,
        rng: ChaCha20Rng,
        options: Options,
        ahead: Arc<AtomicI64>,
    ) -> DeviceIndex {
        let index = DeviceIndex(self.devices.len());
        let (disk, mailbox) = (Disk::new(), engine.mailbox_id());
        let client = SimulatedClient::create(engine, &disk, options.clone(), rng).await.expect("its disk is empty");
        let mut condition = client.condition().clone();
        let machine = machine(3, index.0 + 1);
        self.devices.push(Device { disk, client: Some(client), machine, mailbox, ahead, options });
        self.people[person.0].devices.push(index);
        condition.wait_for(|condition| condition.ready).await.expect("it is open");
        index
    }

    /// Its disk, which a test may spoil.
    #[must_use]
    pub fn disk(&self, device: DeviceIndex) -> &Disk {
        &self.devices[device.0].disk
    }

    /// Its process ends in the middle of what it does.
    pub fn crash(&mut self, device: DeviceIndex) {
        let Device { client, disk, machine, .. } = &mut self.devices[device.0];
        disk.end_at_no_save();
        if let Some(client) = client.take() {
            self.network.end(*machine);
            client.crash();
        }
    }

    /// Its process ends in its next save; until it is revived, somebody who asks it something waits in vain.
    pub fn crash_in_save(&mut self, device: DeviceIndex, moment: Moment) {
        let Device { disk, machine, .. } = &self.devices[device.0];
        let (network, machine) = (self.network.clone(), *machine);
        disk.end_at_next_save(moment, move || network.end(machine));
    }

    /// It begins anew with what its disk holds; if that takes nothing, later.
    pub async fn revive(&mut self, device: DeviceIndex) {
        let rng = self.fork_rng();
        let Device { client, disk, options, .. } = &mut self.devices[device.0];
        if client.is_none() {
            *client = SimulatedClient::open(disk, options.clone(), rng).await.expect("what an engine saved loads");
        }
    }

    /// The time of the world.
    pub(super) fn now(&self) -> Timestamp {
        clock(self.began, || 0).now()
    }

    pub(super) fn client(&self, device: DeviceIndex) -> &SimulatedClient {
        self.devices[device.0].client.as_ref().expect("the device is on")
    }
}
