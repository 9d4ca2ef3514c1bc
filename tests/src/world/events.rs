//! How a world goes on: what happens next, and what engines want done.
use rand_chacha::rand_core::Rng as _;
use waxwing_engine::{CallId, CommandError, Input, Link, Output, Purpose, store::Batch};
use waxwing_wire::{
    content::Standing,
    keyserver, relay,
    relay::{Delivery, OnlineDelivery, RelayPush, RequestId, ServerFrame},
    request::Exporter,
    time::Timestamp,
};

use super::{
    World,
    device::{Device, DeviceIndex},
    network::{Connection, ConnectionId, Direction, Event, Server},
};

impl World {
    /// The next event.
    pub(super) fn step(&mut self) {
        let Some((time, event)) = self.network.pop() else { return };
        self.now.fetch_max(time, std::sync::atomic::Ordering::Relaxed);
        match event {
            Event::Begins(id) => self.begins(id),
            Event::Established(id) => {
                if let Some(Connection { device, link, exporter, .. }) = self.network.connections.get(&id) {
                    let (device, link, exporter) = (*device, *link, *exporter);
                    let _ = self.feed(device, Input::Connected { link, exporter });
                }
            }
            Event::Over(device, link) => {
                let _ = self.feed(device, Input::Disconnected { link });
            }
            Event::RelayRequest(id, call, request) => self.relay_takes(id, call, *request),
            Event::KeyserverRequest(id, call, request) => self.keyserver_takes(id, call, *request),
            Event::RelayFrame(id, frame) => self.device_takes(id, *frame),
            Event::KeyserverReply(id, reply) => {
                let Some(connection) = self.network.connections.get_mut(&id) else { return };
                if let Some(call) = connection.calls.remove(&reply.id.number()) {
                    let device = connection.device;
                    let _ = self.feed(device, Input::KeyserverReplied { call, result: reply.result });
                }
            }
            Event::Solved(device, life, call, nonce) => {
                if self.devices[device.0].life == life {
                    let _ = self.feed(device, Input::Solved { call, nonce });
                }
            }
            Event::Wake(device, life, at) => {
                // A later wish replaces the one before.
                if (self.devices[device.0].life, self.devices[device.0].wakes_at) == (life, at) {
                    let _ = self.feed(device, Input::Woke);
                }
            }
            Event::Revive(device) => {
                if !self.devices[device.0].is_off {
                    self.revive(device);
                }
            }
            Event::RelayRestarts => self.relay_restarts(),
            Event::Partition => self.partition(),
            Event::Trouble(trouble) => self.befall(trouble),
            Event::RelayForgets(relay, snapshot) => self.relay_forgets(relay, &snapshot),
        }
    }

    pub(super) fn feed(&mut self, device: DeviceIndex, input: Input) -> Result<(), CommandError> {
        let now = self.clock_of(device);
        self.print(device, "<-", &input);
        let Device { engine, rng, .. } = &mut self.devices[device.0];
        let Some(engine) = engine else { return Ok(()) };
        let result = engine.handle(input, now, rng);
        self.perform(device);
        result
    }

    pub(super) fn clock_of(&self, device: DeviceIndex) -> Timestamp {
        Timestamp(self.now().0.saturating_add_signed(self.devices[device.0].ahead))
    }

    /// Performs outputs in their order; the device may crash before each of them.
    pub(super) fn perform(&mut self, device: DeviceIndex) {
        loop {
            let Some(engine) = &mut self.devices[device.0].engine else { return };
            let Some(output) = engine.poll() else { return };
            if self.chance(self.weather.crash) || self.devices[device.0].count_down() {
                self.fault("crash");
                self.crash(device);
                let wait = self.between(100, 5_000);
                let at = self.now().0 + wait;
                self.network.at(at, Event::Revive(device));
                return;
            }
            self.perform_one(device, output);
        }
    }

    pub(super) fn perform_one(&mut self, device: DeviceIndex, output: Output) {
        self.print(device, "->", &output);
        let output = match &mut self.planted {
            Some(bug) => bug(device, output),
            None => Some(output),
        };
        let Some(output) = output else { return };
        match output {
            Output::Save(batch) => self.save(device, &batch),
            Output::Connect { link, server } => {
                self.look_for_rashness(device, link);
                self.connect(device, link, server.key().as_bytes());
            }
            Output::Disconnect { link } => {
                if let Some(id) = self.network.by_link.get(&(device, link)).copied() {
                    self.drop_connection(id);
                }
            }
            Output::Relay { link, call, request } => {
                self.look_for_rashness(device, link);
                self.observer.relay(self.now(), device, link, &request);
                self.travels_there(device, link, |id| Event::RelayRequest(id, call, Box::new(request)));
            }
            Output::Keyserver { link, call, request } => {
                self.look_for_rashness(device, link);
                self.observer.keyserver(self.now(), device, link, &request);
                self.travels_there(device, link, |id| Event::KeyserverRequest(id, call, Box::new(request)));
            }
            Output::Solve { call, puzzle } => {
                let nonce = puzzle.solve(0..u64::MAX).expect("an easy puzzle has a solution");
                let (at, life) = (self.now().0 + 50, self.devices[device.0].life);
                self.network.at(at, Event::Solved(device, life, call, nonce));
            }
            Output::Notify(event) => self.devices[device.0].tell(event),
            Output::WakeAt(at) => {
                let real = at.0.saturating_add_signed(-self.devices[device.0].ahead).max(self.now().0 + 1);
                let state = &mut self.devices[device.0];
                state.wakes_at = at.0;
                self.network.at(real, Event::Wake(device, state.life, at.0));
            }
            _ => {}
        }
    }

    fn save(&mut self, device: DeviceIndex, batch: &Batch) {
        let now = self.now().0;
        let state = &mut self.devices[device.0];
        state.saves += 1;
        let fails = state.failing_save == Some(state.saves) || state.full_until > now;
        if fails || state.store.save_now(batch).is_err() {
            self.fault("save refused");
            self.crash(device);
            let at = self.now().0 + 1_000;
            self.network.at(at, Event::Revive(device));
        }
    }

    /// No server is contacted because of somebody whom the person does not want to talk to, or has not accepted.
    fn look_for_rashness(&mut self, device: DeviceIndex, link: Link) {
        let (Purpose::Directory(account) | Purpose::Conversation(account) | Purpose::Receipts(account)) = link.purpose
        else {
            return;
        };
        let Some(engine) = &self.devices[device.0].engine else { return };
        let is_own = account == engine.account_id();
        let wanted = |standing| matches!(standing, Standing::Added | Standing::Accepted);
        let is_wanted = engine.contacts().any(|(contact, standing)| contact == account && wanted(standing));
        if !is_own && !is_wanted {
            self.observer
                .rash
                .push(format!("{device:?} contacted a server because of {account}, whom nobody accepted"));
        }
    }

    pub(super) fn connect(&mut self, device: DeviceIndex, link: Link, key: &[u8; 32]) {
        let now = self.now().0;
        let latency = self.latency();
        let relay = self.relays.iter().position(|host| host.address.key().as_bytes() == key).map(Server::Relay);
        let keyserver =
            || self.keyservers.iter().position(|host| host.address.key().as_bytes() == key).map(Server::Keyserver);
        let Some(server) = relay.or_else(keyserver) else {
            return self.network.at(now + latency, Event::Over(device, link));
        };
        if !self.network.is_reachable(device, server, now) || self.chance(self.weather.refused) {
            self.fault("connection refused");
            // Refused at once, or never answered: then the engine gives up by itself.
            if self.chance(32_768) {
                self.network.at(now + latency, Event::Over(device, link));
            }
            return;
        }
        let id = self.network.fresh_id();
        let mut exporter = [0; 32];
        self.rng.fill_bytes(&mut exporter);
        let connection = Connection {
            device,
            link,
            server,
            exporter: Exporter::from_bytes(exporter),
            last_there: now + latency,
            last_here: now + latency,
            next_request: 1,
            calls: std::collections::BTreeMap::new(),
        };
        self.network.connections.insert(id, connection);
        if let Some(old) = self.network.by_link.insert((device, link), id) {
            self.drop_connection(old);
            self.network.by_link.insert((device, link), id);
        }
        self.network.at(now + latency, Event::Begins(id));
    }

    pub(super) fn begins(&mut self, id: ConnectionId) {
        let latency = self.latency();
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        match connection.server {
            Server::Relay(index) => self.relays[index].connect(id, connection.exporter),
            Server::Keyserver(index) => self.keyservers[index].connect(id, connection.exporter),
        }
        let at = (self.now.load(std::sync::atomic::Ordering::Relaxed) + latency).max(connection.last_here + 1);
        connection.last_here = at;
        self.network.at(at, Event::Established(id));
    }

    /// Sends a frame to the server, in order, unless the connection breaks with it.
    pub(super) fn travels_there(&mut self, device: DeviceIndex, link: Link, event: impl FnOnce(ConnectionId) -> Event) {
        let Some(id) = self.network.by_link.get(&(device, link)).copied() else { return };
        if self.chance(self.weather.broken) {
            return self.break_connection(id);
        }
        let latency = self.latency();
        let now = self.now().0;
        let Some(connection) = self.network.connections.get(&id) else { return };
        let arrival = self.network.arrival(connection, Direction::There, now + latency);
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        connection.last_there = arrival.max(connection.last_there + 1);
        let at = connection.last_there;
        self.network.at(at, event(id));
    }

    pub(super) fn relay_takes(&mut self, id: ConnectionId, call: CallId, body: relay::RelayRequest) {
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let Server::Relay(index) = connection.server else { return };
        let number = connection.next_request;
        connection.next_request += 1;
        connection.calls.insert(number, call);
        if let relay::RelayRequest::Put(put) = &body {
            self.watch(put);
        }
        let request = relay::Request { id: RequestId::new(number).expect("from 1"), body };
        if !self.relays[index].take(id, request) {
            self.break_connection(id);
        }
        self.relay_sends(index);
    }

    pub(super) fn relay_sends(&mut self, index: usize) {
        for (id, mut frame) in self.relays[index].frames() {
            if self.is_evil(id, &mut frame) {
                continue;
            }
            let is_push = matches!(frame, ServerFrame::Push(RelayPush::Delivery(_)));
            if self.chance(self.weather.broken) {
                self.break_connection(id);
                continue;
            }
            if is_push && self.chance(self.weather.doubled) {
                self.fault("doubled");
                let again = frame.encode().map(|bytes| ServerFrame::decode(&bytes).expect("what was encoded"));
                let at = self.now().0 + self.latency() * 3;
                self.network.at(at, Event::RelayFrame(id, Box::new(again.expect("it encodes"))));
            }
            let overtakes = is_push && self.chance(self.weather.overtaken);
            let latency = self.latency();
            let now = self.now().0;
            let Some(connection) = self.network.connections.get(&id) else { continue };
            let arrival = self.network.arrival(connection, Direction::Here, now + latency);
            let Some(connection) = self.network.connections.get_mut(&id) else { continue };
            let at = if overtakes { arrival } else { arrival.max(connection.last_here + 1) };
            connection.last_here = connection.last_here.max(at);
            if overtakes {
                self.fault("overtaken");
            }
            self.network.at(at, Event::RelayFrame(id, Box::new(frame)));
        }
    }

    pub(super) fn keyserver_takes(&mut self, id: ConnectionId, call: CallId, body: keyserver::KeyserverRequest) {
        let now = self.now();
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let Server::Keyserver(index) = connection.server else { return };
        if self.network.away.get(&connection.server).is_some_and(|until| *until > now.0) {
            return;
        }
        let number = connection.next_request;
        connection.next_request += 1;
        connection.calls.insert(number, call);
        let request = keyserver::Request { id: RequestId::new(number).expect("from 1"), body };
        let Some(mut reply) = self.keyservers[index].take(id, request, now) else { return };
        if let Some(evil) = &mut self.evil_keyserver {
            evil(&mut reply.result);
        }
        if self.chance(self.weather.broken) {
            return self.break_connection(id);
        }
        let latency = self.latency();
        let Some(connection) = self.network.connections.get(&id) else { return };
        let arrival = self.network.arrival(connection, Direction::Here, now.0 + latency);
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        connection.last_here = arrival.max(connection.last_here + 1);
        let at = connection.last_here;
        self.network.at(at, Event::KeyserverReply(id, Box::new(reply)));
    }

    pub(super) fn device_takes(&mut self, id: ConnectionId, frame: ServerFrame) {
        let Some(connection) = self.network.connections.get_mut(&id) else { return };
        let (device, link) = (connection.device, connection.link);
        let input = match frame {
            ServerFrame::Reply { id: number, result } => match connection.calls.remove(&number.number()) {
                Some(call) => Input::RelayReplied { call, result },
                None => return,
            },
            ServerFrame::Push(push) => {
                let hash = match &push {
                    RelayPush::Delivery(Delivery { envelope, .. })
                    | RelayPush::OnlineDelivery(OnlineDelivery { envelope, .. }) => Some(*envelope.hash().as_bytes()),
                    _ => None,
                };
                let _ = self.feed(device, Input::Pushed { link, push });
                return hash.into_iter().for_each(|hash| self.watch_taken(device, hash));
            }
        };
        let _ = self.feed(device, input);
    }
}
