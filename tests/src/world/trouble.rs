//! What befalls servers and devices in bad times, beside the weather.
use std::time::Duration;

use super::{
    World,
    device::DeviceIndex,
    network::{Direction, Event, Server},
    relay::{Backup, Snapshot},
};
use waxwing_engine::store::{Batch, Table, Write};

/// One thing that goes wrong, with whom and for how long by chance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// Frames of one direction between a device and a server get lost for up to 20 seconds; they are sent again.
    OneWay,
    /// The key server answers nobody for up to 30 seconds.
    KeyserverAway,
    /// A relay begins anew without what it accepted in up to 10 seconds before.
    RelayForgets,
    /// A device's disk takes nothing for up to 15 seconds: each save fails, and its program begins anew.
    DiskFull,
    /// A device's clock jumps, by up to an hour in either direction.
    ClockJumps,
    /// A device forgets its sessions.
    SessionsReset,
    /// Somebody takes all one-time prekeys of a device.
    PrekeysTaken,
    /// A relay ends the contacts' lane of a device.
    LaneEnds,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::OneWay,
        Self::KeyserverAway,
        Self::RelayForgets,
        Self::DiskFull,
        Self::ClockJumps,
        Self::SessionsReset,
        Self::PrekeysTaken,
        Self::LaneEnds,
    ];

    /// As faults are counted.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneWay => "one way only",
            Self::KeyserverAway => "key server away",
            Self::RelayForgets => "relay forgot",
            Self::DiskFull => "disk full",
            Self::ClockJumps => "clock jumped",
            Self::SessionsReset => "sessions reset",
            Self::PrekeysTaken => "prekeys taken",
            Self::LaneEnds => "lane ended",
        }
    }
}

impl World {
    /// Each of these happens about so often, for so long.
    pub fn schedule_troubles(&mut self, troubles: &[Trouble], mean: Duration, time: Duration) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let until = self.now().0 + millis(time);
        for trouble in troubles {
            let mut at = self.now().0;
            loop {
                at += self.between(1, 2 * millis(mean));
                if at >= until {
                    break;
                }
                self.network.at(at, Event::Trouble(*trouble));
            }
        }
    }

    /// Forgets what is scheduled for other moments than these, in milliseconds from now.
    pub fn keep_scheduled(&mut self, wanted: impl Fn(u64) -> bool) {
        let now = self.now().0;
        self.network.keep_scheduled(|at| wanted(at.saturating_sub(now)));
    }

    /// It happens now.
    pub fn befall(&mut self, trouble: Trouble) {
        let now = self.now().0;
        let device = DeviceIndex(self.one_of(self.devices.len()));
        match trouble {
            Trouble::OneWay => {
                let server = self.some_server();
                let direction = if self.chance(32_768) { Direction::There } else { Direction::Here };
                let until = now + self.between(500, 20_000);
                self.network.held.insert((device, server, direction), until);
            }
            Trouble::KeyserverAway => {
                let server = Server::Keyserver(self.one_of(self.keyservers.len()));
                let until = now + self.between(5_000, 30_000);
                self.network.away.insert(server, until);
            }
            Trouble::RelayForgets => {
                let relay = self.one_of(self.relays.len());
                let snapshot = self.relays[relay].snapshot(&self.mailboxes());
                let at = now + self.between(100, 10_000);
                return self.network.at(at, Event::RelayForgets(relay, snapshot));
            }
            Trouble::DiskFull => self.devices[device.0].full_until = now + self.between(1_000, 15_000),
            Trouble::ClockJumps => {
                let ahead = i64::try_from(self.between(0, 7_200_000)).expect("two hours") - 3_600_000;
                self.set_clock(device, ahead);
            }
            Trouble::SessionsReset => return self.reset_sessions(device),
            Trouble::PrekeysTaken => {
                // One whose device begins anew, or is not listed yet, has none.
                if self.devices[device.0].engine.is_none() || !self.drain(device, 8) {
                    return;
                }
            }
            Trouble::LaneEnds => {
                if !self.end_lane(device, CONTACTS) {
                    return;
                }
            }
        }
        self.fault(trouble.name());
    }

    /// A device loses all of its sessions, as if their records had been damaged and dropped.
    pub fn reset_sessions(&mut self, device: DeviceIndex) {
        let is_on = self.devices[device.0].engine.is_some();
        self.crash(device);
        let mut batch = Batch::new();
        let store = &mut self.devices[device.0].store;
        let sessions = store.load_now().into_iter().filter(|record| record.table == Table::Session);
        for record in sessions {
            batch.push(Write::Delete { table: record.table, key: record.key });
        }
        store.save_now(&batch).expect("it takes what is deleted");
        self.fault(Trouble::SessionsReset.name());
        if is_on {
            self.revive(device);
        }
    }

    pub(super) fn relay_forgets(&mut self, relay: usize, snapshot: &Snapshot) {
        self.fault(Trouble::RelayForgets.name());
        for id in self.network.of_server(Server::Relay(relay)) {
            self.break_connection(id);
        }
        self.relays[relay].forget_since(snapshot);
    }

    /// A relay lost its disk: it is there, and knows of nothing.
    pub fn relay_loses_everything(&mut self, relay: usize) {
        for id in self.network.of_server(Server::Relay(relay)) {
            self.break_connection(id);
        }
        self.relays[relay].lose_everything();
    }

    /// A copy of all that a relay keeps.
    #[must_use]
    pub fn relay_backup(&self, relay: usize) -> Backup {
        self.relays[relay].backup(&self.mailboxes())
    }

    /// A relay is put back to a copy of an earlier time.
    pub fn relay_goes_back(&mut self, relay: usize, backup: Backup) {
        for id in self.network.of_server(Server::Relay(relay)) {
            self.break_connection(id);
        }
        self.relays[relay].go_back_to(backup);
    }

    /// How many envelopes wait in a device's mailbox.
    #[must_use]
    pub fn waiting(&self, device: DeviceIndex) -> u32 {
        let mailbox = self.devices[device.0].mailbox;
        self.relays.iter().map(|relay| relay.waiting(&mailbox)).sum()
    }

    fn mailboxes(&self) -> Vec<waxwing_wire::id::MailboxId> {
        self.devices.iter().map(|device| device.mailbox).collect()
    }

    fn some_server(&mut self) -> Server {
        let number = self.one_of(self.relays.len() + self.keyservers.len());
        match number.checked_sub(self.relays.len()) {
            None => Server::Relay(number),
            Some(number) => Server::Keyserver(number),
        }
    }
}

/// The contacts' lane, by the number that each mailbox gives to it.
const CONTACTS: u32 = 1;
