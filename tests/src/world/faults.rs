//! What goes wrong: connections, servers and devices.
use std::time::Duration;

use rand_chacha::rand_core::Rng as _;
use waxwing_engine::{Engine, Input, Link};

use super::{
    World,
    device::{Device, DeviceIndex},
    network::{ConnectionId, Event, Server},
};

impl World {
    /// The connection is over; the device hears of it later.
    pub(super) fn break_connection(&mut self, id: ConnectionId) {
        let Some((device, link)) = self.drop_connection(id) else { return };
        self.fault("connection broken");
        let at = self.now().0 + self.between(10, 30_000);
        self.network.at(at, Event::Over(device, link));
    }

    pub(super) fn drop_connection(&mut self, id: ConnectionId) -> Option<(DeviceIndex, Link)> {
        let connection = self.network.remove(id)?;
        match connection.server {
            Server::Relay(index) => self.relays[index].disconnect(id),
            Server::Keyserver(index) => self.keyservers[index].disconnect(id),
        }
        Some((connection.device, connection.link))
    }

    /// The program ends; what it has not saved is gone.
    pub(super) fn crash(&mut self, device: DeviceIndex) {
        let state = &mut self.devices[device.0];
        state.engine = None;
        state.life += 1;
        for id in self.network.of_device(device) {
            self.drop_connection(id);
        }
    }

    pub(super) fn revive(&mut self, device: DeviceIndex) {
        let Device { engine, store, settings, ahead, system_ahead, .. } = &mut self.devices[device.0];
        if engine.is_some() {
            return;
        }
        *engine = Engine::load(&store.load_now(), *settings).expect("what an engine saved loads");
        // Its driver goes on from the newest time that was saved.
        let newest = engine.as_ref().map_or(0, |engine| engine.newest_time().0);
        let real = self.now.load(std::sync::atomic::Ordering::Relaxed);
        let saved_ahead = i64::try_from(newest).expect("a time") - i64::try_from(real).expect("a time");
        *ahead = saved_ahead.max(*system_ahead);
        self.watch_waiting();
        let _ = self.feed(device, Input::Woke);
    }

    /// Relays begin anew and connections are cut from time to time, as the weather says; tests call this once, for so long.
    pub fn schedule_weather(&mut self, time: Duration) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let until = self.now().0 + millis(time);
        for (mean, partition) in [(self.weather.relay_restarts, false), (self.weather.partitions, true)] {
            let Some(mean) = mean.map(millis) else { continue };
            let mut at = self.now().0;
            loop {
                at += self.between(1, 2 * mean);
                if at >= until {
                    break;
                }
                self.network.at(at, if partition { Event::Partition } else { Event::RelayRestarts });
            }
        }
    }

    pub(super) fn relay_restarts(&mut self) {
        self.fault("relay restarted");
        let index = self.one_of(self.relays.len());
        for id in self.network.of_server(Server::Relay(index)) {
            self.break_connection(id);
        }
        self.relays[index].restart();
    }

    pub(super) fn partition(&mut self) {
        self.fault("partition");
        let device = DeviceIndex(self.one_of(self.devices.len()));
        let servers = self.relays.len() + self.keyservers.len();
        let number = self.one_of(servers);
        let server = match number.checked_sub(self.relays.len()) {
            None => Server::Relay(number),
            Some(number) => Server::Keyserver(number),
        };
        let until = self.now().0 + self.between(500, 20_000);
        self.network.partitions.insert((device, server), until);
        for id in self.network.of_device(device) {
            if self.network.connections.get(&id).is_some_and(|connection| connection.server == server) {
                self.break_connection(id);
            }
        }
    }

    pub(super) fn latency(&mut self) -> u64 {
        let (least, most) = self.weather.latency;
        self.between(least, most)
    }

    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.rng.next_u64() % (most - least + 1)
    }

    pub(super) fn one_of(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).expect("a world is small");
        usize::try_from(self.between(0, count - 1)).expect("less than a size")
    }

    pub(super) fn chance(&mut self, of: u16) -> bool {
        of > 0 && self.rng.next_u64() % 65_536 < u64::from(of)
    }
}
