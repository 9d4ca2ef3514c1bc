//! What befalls whom, and when it is good again.
use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use tokio::time::sleep_until;
use waxwing_client::simulation::Moment;
use waxwing_net::simulation::Way;

use super::Wired;
use crate::world::DeviceIndex;

/// Something that goes wrong, with whom and for how long by chance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// A device and a server do not reach each other for up to 20 seconds.
    Partition,
    /// Nothing gets from a device to a server, or back, for up to 20 seconds.
    OneWay,
    /// A relay's process ends, and begins anew within 10 seconds with what it accepted.
    RelayCrashes,
    /// The key server is away for up to 30 seconds.
    KeyserverAway,
    /// A device's process ends, at once or in its next save, and begins anew within 5 seconds.
    ClientCrashes,
    /// A device's disk takes nothing for up to 15 seconds.
    DiskFull,
    /// A device's clock jumps, by up to an hour in either direction.
    ClockJumps,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Partition,
        Self::OneWay,
        Self::RelayCrashes,
        Self::KeyserverAway,
        Self::ClientCrashes,
        Self::DiskFull,
        Self::ClockJumps,
    ];

    /// As faults are counted.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::OneWay => "one way only",
            Self::RelayCrashes => "relay crashed",
            Self::KeyserverAway => "key server away",
            Self::ClientCrashes => "client crashed",
            Self::DiskFull => "disk full",
            Self::ClockJumps => "clock jumped",
        }
    }
}

/// Events by their time.
#[derive(Default)]
pub(super) struct Agenda {
    events: BTreeMap<(Duration, u64), Event>,
    count: u64,
}

#[derive(Clone, Copy)]
enum Event {
    Begins(Trouble),
    /// A way is open again.
    Opens(Way),
    RelayStarts(usize),
    KeyserverStarts,
    Revives(DeviceIndex),
    DiskHasRoom(DeviceIndex),
}

impl Agenda {
    fn at(&mut self, time: Duration, event: Event) {
        self.count += 1;
        self.events.insert((time, self.count), event);
    }
}

impl Wired {
    /// Each of these happens about so often, for so long.
    pub fn schedule(&mut self, troubles: &[Trouble], mean: Duration, time: Duration) {
        let until = self.elapsed() + time;
        for trouble in troubles {
            let mut at = self.elapsed();
            loop {
                at += self.chance_up_to(2 * mean);
                if at >= until {
                    break;
                }
                self.agenda.at(at, Event::Begins(*trouble));
            }
        }
    }

    /// Forgets what is scheduled for other moments than these, in milliseconds from now.
    pub fn keep_scheduled(&mut self, wanted: impl Fn(u64) -> bool) {
        let now = self.elapsed();
        let from_now = |at: Duration| u64::try_from(at.saturating_sub(now).as_millis()).unwrap_or(u64::MAX);
        self.agenda.events.retain(|(at, _), event| !matches!(event, Event::Begins(_)) || wanted(from_now(*at)));
    }

    /// Goes on for so long, with what happens meanwhile.
    pub async fn run_for(&mut self, time: Duration) {
        let end = self.elapsed() + time;
        while let Some(entry) = self.agenda.events.first_entry()
            && entry.key().0 <= end
        {
            let at = entry.key().0;
            let event = entry.remove();
            sleep_until(self.began + at).await;
            self.happen(event).await;
        }
        sleep_until(self.began + end).await;
    }

    /// Everything is good from now on, and everybody is there.
    pub async fn heal(&mut self) {
        for event in std::mem::take(&mut self.agenda.events).into_values() {
            if !matches!(event, Event::Begins(_)) {
                self.happen(event).await;
            }
        }
        self.network.set(waxwing_net::simulation::Faults::default());
        self.network.open_all();
        self.relays.iter_mut().for_each(super::Server::start);
        self.keyserver.start();
        for device in (0..self.devices.len()).map(DeviceIndex) {
            self.devices[device.0].disk.set_full(false);
            self.revive(device).await;
        }
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Event::Begins(trouble) => self.befall(trouble),
            Event::Opens(way) => self.network.open(way),
            Event::RelayStarts(relay) => self.relays[relay].start(),
            Event::KeyserverStarts => self.keyserver.start(),
            Event::Revives(device) => {
                self.trace("revives");
                // If it saved nothing it is still on.
                self.crash(device);
                self.revive(device).await;
            }
            Event::DiskHasRoom(device) => {
                self.devices[device.0].disk.set_full(false);
                self.revive(device).await;
            }
        }
    }

    fn befall(&mut self, trouble: Trouble) {
        self.fault(trouble.name());
        let now = self.elapsed();
        let device = DeviceIndex(self.one_of(self.devices.len()));
        match trouble {
            Trouble::Partition => {
                let (there, back) = self.ways(device);
                let until = now + self.chance_up_to(Duration::from_secs(20));
                self.close(there, until);
                self.close(back, until);
            }
            Trouble::OneWay => {
                let (there, back) = self.ways(device);
                let way = if self.one_of(2) == 0 { there } else { back };
                let until = now + self.chance_up_to(Duration::from_secs(20));
                self.close(way, until);
            }
            Trouble::RelayCrashes => {
                let relay = self.one_of(self.relays.len());
                self.relays[relay].crash();
                let at = now + self.chance_up_to(Duration::from_secs(10));
                self.agenda.at(at, Event::RelayStarts(relay));
            }
            Trouble::KeyserverAway => {
                self.keyserver.crash();
                let at = now + self.chance_up_to(Duration::from_secs(30));
                self.agenda.at(at, Event::KeyserverStarts);
            }
            Trouble::ClientCrashes => {
                match self.one_of(3) {
                    0 => self.crash(device),
                    1 => self.crash_in_save(device, Moment::Before),
                    _ => self.crash_in_save(device, Moment::After),
                }
                let at = now + self.chance_up_to(Duration::from_secs(5));
                self.agenda.at(at, Event::Revives(device));
            }
            Trouble::DiskFull => {
                self.devices[device.0].disk.set_full(true);
                let at = now + self.chance_up_to(Duration::from_secs(15));
                self.agenda.at(at, Event::DiskHasRoom(device));
            }
            Trouble::ClockJumps => {
                let hour = 3_600_000;
                let ahead = i64::try_from(self.between(0, 2 * hour)).expect("an hour") - 3_600_000;
                self.devices[device.0].ahead.store(ahead, Ordering::Relaxed);
            }
        }
    }

    fn close(&mut self, way: Way, until: Duration) {
        self.network.close(way);
        self.agenda.at(until, Event::Opens(way));
    }

    /// Between a device and some server.
    fn ways(&mut self, device: DeviceIndex) -> (Way, Way) {
        let number = self.one_of(self.relays.len() + 1);
        let server = self.relays.get(number).unwrap_or(&self.keyserver).machine();
        let (device, server) = (Some(self.devices[device.0].machine), Some(server));
        (Way { from: device, to: server }, Way { from: server, to: device })
    }

    fn chance_up_to(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.between(1, u64::try_from(most.as_millis()).expect("minutes")))
    }
}
