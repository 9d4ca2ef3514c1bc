//! What travels, and when it arrives.
//!
//! A connection is ordered and whole while it lives, as QUIC's streams are; when it breaks, what is on its way in either direction is lost, and
//! what had arrived was done. Each link of each attempt is a connection of its own, with an exporter of its own.
use std::collections::BTreeMap;

use waxwing_engine::{CallId, Link};
use waxwing_wire::{
    keyserver::{KeyserverRequest, Reply},
    pow::Nonce,
    relay::{RelayRequest, ServerFrame},
    request::Exporter,
};

use super::{DeviceIndex, Trouble, relay::Snapshot};

/// One attempt of one link.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct ConnectionId(pub(super) u64);

/// Which server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Server {
    Relay(usize),
    Keyserver(usize),
}

pub(super) struct Connection {
    pub(super) device: DeviceIndex,
    pub(super) link: Link,
    pub(super) server: Server,
    pub(super) exporter: Exporter,
    /// When the last frame arrives, there and here: later ones arrive later.
    pub(super) last_there: u64,
    pub(super) last_here: u64,
    pub(super) next_request: u32,
    pub(super) calls: BTreeMap<u32, CallId>,
}

pub(super) enum Event {
    /// A connection attempt arrives.
    Begins(ConnectionId),
    /// The device hears that it is up.
    Established(ConnectionId),
    /// The device hears that a link is over.
    Over(DeviceIndex, Link),
    RelayRequest(ConnectionId, CallId, Box<RelayRequest>),
    KeyserverRequest(ConnectionId, CallId, Box<KeyserverRequest>),
    RelayFrame(ConnectionId, Box<ServerFrame>),
    KeyserverReply(ConnectionId, Box<Reply>),
    Solved(DeviceIndex, u64, CallId, Nonce),
    /// The device's engine asked to be woken, in that life of it.
    Wake(DeviceIndex, u64, u64),
    /// A device that crashed begins anew.
    Revive(DeviceIndex),
    RelayRestarts,
    Partition,
    Trouble(Trouble),
    /// A relay begins anew without what it accepted since.
    RelayForgets(usize, Snapshot),
}

#[derive(Default)]
pub(super) struct Network {
    queue: BTreeMap<(u64, u64), Event>,
    count: u64,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) by_link: BTreeMap<(DeviceIndex, Link), ConnectionId>,
    /// Until when a device cannot reach a server.
    pub(super) partitions: BTreeMap<(DeviceIndex, Server), u64>,
    /// Until when frames of one direction get lost, and are sent again.
    pub(super) held: BTreeMap<(DeviceIndex, Server, Direction), u64>,
    /// Until when a server answers nobody.
    pub(super) away: BTreeMap<Server, u64>,
}

/// Seen from the device.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Direction {
    There,
    Here,
}

impl Network {
    /// Everybody reaches everybody.
    pub(super) fn heal(&mut self) {
        self.partitions.clear();
        self.held.clear();
        self.away.clear();
    }

    /// Whether a connection attempt gets through.
    pub(super) fn is_reachable(&self, device: DeviceIndex, server: Server, now: u64) -> bool {
        let past = |until: Option<&u64>| until.is_none_or(|until| *until <= now);
        let held = |direction| past(self.held.get(&(device, server, direction)));
        past(self.partitions.get(&(device, server)))
            && past(self.away.get(&server))
            && held(Direction::There)
            && held(Direction::Here)
    }

    /// When a frame arrives that would without trouble: what gets lost is sent again until it gets through.
    pub(super) fn arrival(&self, connection: &Connection, direction: Direction, at: u64) -> u64 {
        let held = self.held.get(&(connection.device, connection.server, direction)).copied().unwrap_or(0);
        if held > at { held + 200 } else { at }
    }

    pub(super) fn at(&mut self, time: u64, event: Event) {
        self.count += 1;
        self.queue.insert((time, self.count), event);
    }

    /// Forgets what is to befall somebody at other times than these.
    pub(super) fn keep_scheduled(&mut self, wanted: impl Fn(u64) -> bool) {
        let is_fault = |event: &Event| matches!(event, Event::RelayRestarts | Event::Partition | Event::Trouble(_));
        self.queue.retain(|(at, _), event| !is_fault(event) || wanted(*at));
    }

    pub(super) fn next_time(&self) -> Option<u64> {
        self.queue.keys().next().map(|(time, _)| *time)
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Event)> {
        self.queue.pop_first().map(|((time, _), event)| (time, event))
    }

    pub(super) fn fresh_id(&mut self) -> ConnectionId {
        self.count += 1;
        ConnectionId(self.count)
    }

    /// Forgets a connection: frames of it that arrive later are nobody's.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        let key = (connection.device, connection.link);
        if self.by_link.get(&key) == Some(&id) {
            self.by_link.remove(&key);
        }
        Some(connection)
    }

    pub(super) fn of_device(&self, device: DeviceIndex) -> Vec<ConnectionId> {
        self.connections.iter().filter(|(_, connection)| connection.device == device).map(|(id, _)| *id).collect()
    }

    pub(super) fn of_server(&self, server: Server) -> Vec<ConnectionId> {
        self.connections.iter().filter(|(_, connection)| connection.server == server).map(|(id, _)| *id).collect()
    }
}
