//! What tests tell a world to do.
use std::time::Duration;

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use waxwing_engine::{
    Command, CommandError, Engine, Input, Joining, Link, LinkUses, MessageText, NewAccount, Purpose, ReadMessage,
    Settings, State, Witness,
    store::{MemoryStore, StoredMessage},
};
use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeliveryId},
    keyserver::AccountObjects,
    link::ContactLink,
    padding::Envelope,
    relay::{self, Delivery, EndLane, LaneNumber, RelayPush, RelayRequest, RequestId},
};

use super::{
    Person, World,
    device::{Device, DeviceIndex, PersonIndex, Told},
    judge::{Fate, Said},
    network::Server,
};

/// One-time prekeys of each kind: few, since a world has few first messages and making them costs most of it.
const ONE_TIME_PREKEYS: usize = 4;

impl World {
    /// Somebody with an account and so many devices, each reachable; devices take turns with the relays.
    pub fn person(&mut self, devices: usize) -> PersonIndex {
        let person = PersonIndex(self.people.len());
        let settings = Settings { one_time_prekeys: ONE_TIME_PREKEYS, ..Settings::default() };
        let relay = self.relays[person.0 % self.relays.len()].address.clone();
        let mut rng = self.fork_rng();
        let new = NewAccount {
            relay,
            key_servers: vec![self.keyservers[0].address.clone()],
            relay_admission: None,
            keyserver_admission: None,
        };
        let created = Engine::create(new, settings, self.now(), &mut rng).expect("one key server fits");
        let words = created.words;
        let first = self.add_device(created.engine, settings, rng);
        let account = self.devices[first.0].account;
        self.people.push(Person { account, devices: vec![first], words });
        self.run_until_ready(first);
        for number in 1..devices {
            self.link(person, number);
        }
        person
    }

    /// One more device of somebody, listed by the first.
    pub fn link(&mut self, person: PersonIndex, number: usize) -> DeviceIndex {
        let first = self.people[person.0].devices[0];
        let mut rng = self.fork_rng();
        let relay = self.relays[(person.0 + number) % self.relays.len()].address.clone();
        let joining = Joining::new(relay, &mut rng);
        let place = self.engine(first).next_place().expect("there is room");
        self.command(first, Command::AddDevice { device: joining.device(place) }).expect("the first is the primary");
        let provisioning = self.engine(first).provision(joining.mailbox()).expect("the first is the primary");
        let settings = self.devices[first.0].settings;
        let engine =
            Engine::join(joining, place.id, provisioning, settings, self.now(), &mut rng).expect("it is listed");
        let device = self.add_device(engine, settings, rng);
        self.people[person.0].devices.push(device);
        self.run_until_ready(device);
        device
    }

    /// Two people who accepted each other, with so many devices.
    pub fn two_friends(&mut self, alices: usize, bobs: usize) -> (PersonIndex, PersonIndex) {
        let (alice, bob) = (self.person(alices), self.person(bobs));
        self.befriend(alice, bob);
        (alice, bob)
    }

    /// The first adds the second by a link and says hello; the second accepts.
    pub fn befriend(&mut self, one: PersonIndex, other: PersonIndex) {
        self.add_by_link(one, other);
        self.say(self.device(one, 0), other, "hello");
        let account = self.account(one);
        let at = self.device(other, 0);
        assert!(self.run_until(Duration::from_secs(600), |world| world.is_told(at, Told::Request(account))));
        self.command(at, Command::Accept { account }).expect("there is a request");
        self.settle();
    }

    /// Somebody loses every device and begins their next generation by the 24 words.
    pub fn recover(&mut self, person: PersonIndex) -> DeviceIndex {
        for device in std::mem::take(&mut self.people[person.0].devices) {
            self.switch_off(device);
        }
        let (relay, key_server) = (self.relays[0].address.clone(), self.keyservers[0].address.clone());
        let new = NewAccount { relay, key_servers: vec![key_server], relay_admission: None, keyserver_admission: None };
        let (account, now) = (self.people[person.0].account, self.now());
        let objects = self.keyservers[0].account(account, now).verify(&account, now).expect("it is genuine");
        let settings = Settings { one_time_prekeys: ONE_TIME_PREKEYS, ..Settings::default() };
        let mut rng = self.fork_rng();
        let words = &self.people[person.0].words;
        let engine = Engine::recover(words, objects, new, settings, now, &mut rng).expect("the words are theirs");
        let device = self.add_device(engine, settings, rng);
        self.people[person.0].devices.push(device);
        self.run_until_ready(device);
        device
    }

    /// A relay pushes something to a device, under a number that it has not used.
    pub fn inject(&mut self, device: DeviceIndex, lane: u32, envelope: &[u8]) {
        self.injected += 1;
        let is_owner = |link: &Link| matches!(link.purpose, Purpose::Owner(_));
        let connections = self.network.connections.values();
        let mut links = connections.filter(|connection| connection.device == device).map(|connection| connection.link);
        let link = links.find(is_owner).expect("the device is connected");
        let push = RelayPush::Delivery(Delivery {
            sequence: relay::Sequence(self.injected),
            lane: LaneNumber(lane),
            delivery: DeliveryId::from_bytes([0xee; 16]),
            envelope: Envelope::new(envelope.to_vec()).expect("of a size"),
        });
        let _ = self.feed(device, Input::Pushed { link, push });
    }

    /// Somebody without an account takes as many bundles of a device as they want. Whether the key server lists it.
    pub fn drain(&mut self, of: DeviceIndex, times: usize) -> bool {
        let (account, device) = (self.devices[of.0].account, self.engine(of).device_id());
        let now = self.now();
        (0..times).all(|_| self.keyservers[0].fetch_bundle(account, device, now))
    }

    /// Takes a device of somebody off the list, and off the world; it may not have said anything.
    pub fn unlink(&mut self, person: PersonIndex, number: usize) {
        let device = self.people[person.0].devices.remove(number);
        let place = self.engine(device).device_id();
        self.switch_off(device);
        let first = self.device(person, 0);
        self.command(first, Command::RemoveDevice { device: place }).expect("the first is the primary");
    }

    /// The owner of a mailbox ends a lane, whose engine knows nothing of it. Whether it was connected.
    pub fn end_lane(&mut self, device: DeviceIndex, lane: u32) -> bool {
        let now = self.now();
        let is_owner = |link: &Link| matches!(link.purpose, Purpose::Owner(_));
        let mut connections = self.network.connections.iter();
        let found = connections.find(|(_, connection)| connection.device == device && is_owner(&connection.link));
        let Some((id, connection)) = found else { return false };
        let Server::Relay(index) = connection.server else { panic!("an owner's connection is with a relay") };
        let body = RelayRequest::EndLane(EndLane { lane: LaneNumber(lane), ends: now });
        let request = relay::Request { id: RequestId::new(u32::MAX).expect("from 1"), body };
        let id = *id;
        let taken = self.relays[index].take(id, request);
        self.relay_sends(index);
        taken
    }

    /// The second makes a link.
    pub fn make_link(&mut self, person: PersonIndex) -> ContactLink {
        let of = self.device(person, 0);
        self.command(of, Command::MakeLink { lifetime: Duration::from_secs(30 * 86_400), uses: LinkUses::Many })
            .expect("a link");
        // The lane of the link's token is made before anybody uses it.
        self.run_for(Duration::from_secs(5));
        self.devices[of.0].links.pop().expect("the link was told")
    }

    /// Two friends whose sessions are acknowledged, and the first answers given: what they say now is as large as usual.
    pub fn talk_until_usual(&mut self, one: PersonIndex, other: PersonIndex) {
        for number in 0..4 {
            for (person, to) in [(one, other), (other, one)] {
                for device in self.people[person.0].devices.clone() {
                    self.say(device, to, &format!("as usual {number}"));
                }
                self.run_for(Duration::from_secs(30));
            }
        }
        self.settle();
    }

    /// How far a message has come, by its text.
    #[must_use]
    pub fn state(&self, device: DeviceIndex, with: PersonIndex, text: &str) -> State {
        let page = self.devices[device.0].store.page_now(&self.account(with), None, usize::MAX);
        page.iter().find(|message| message.text == text).expect("the message is there").state
    }

    /// How far a message has come.
    #[must_use]
    pub fn state_of(&self, device: DeviceIndex, with: PersonIndex, id: MessageId) -> State {
        self.devices[device.0].store.message_now(&self.account(with), &id).expect("the message is there").state
    }

    /// The second makes a link, by which the first adds them.
    pub fn add_by_link(&mut self, one: PersonIndex, other: PersonIndex) {
        let link = self.make_link(other);
        self.command(self.device(one, 0), Command::Add { link }).expect("it is somebody else's");
    }

    /// Says something, which the judge expects to be shown. Its name.
    pub fn say(&mut self, by: DeviceIndex, to: PersonIndex, text: &str) -> MessageId {
        let id = self.message_id();
        self.say_as(by, to, id, text, Fate::Delivered)
    }

    /// Says something that its recipient is not to see. Its name.
    pub fn say_in_vain(&mut self, by: DeviceIndex, to: PersonIndex, text: &str) -> MessageId {
        let id = self.message_id();
        self.say_as(by, to, id, text, Fate::Lost)
    }

    /// Says something to somebody who does not answer: they see it, and nothing comes back.
    pub fn say_unanswered(&mut self, by: DeviceIndex, to: PersonIndex, text: &str) -> MessageId {
        let id = self.message_id();
        self.say_as(by, to, id, text, Fate::Shown)
    }

    /// Says something whose recipient cannot get it before something else happened: see [`Self::expect`].
    pub fn say_later(&mut self, by: DeviceIndex, to: PersonIndex, text: &str) -> MessageId {
        self.say_in_vain(by, to, text)
    }

    /// From now on a message that was said in vain is to be shown.
    pub fn expect(&mut self, id: MessageId) {
        let said = self.said.iter_mut().find(|said| said.id == id).expect("it was said");
        said.fate = Fate::Delivered;
        said.theirs.clone_from(&self.people[said.to.0].devices);
    }

    /// Whether a device shows that somebody wrote that.
    #[must_use]
    pub fn shows(&self, device: DeviceIndex, with: PersonIndex, text: &str) -> bool {
        let page = self.devices[device.0].store.page_now(&self.account(with), None, usize::MAX);
        page.iter().any(|message| message.text == text)
    }

    /// The person reads a message of somebody.
    pub fn read(&mut self, device: DeviceIndex, of: PersonIndex, id: MessageId) {
        let account = self.account(of);
        let message = self.devices[device.0].store.message_now(&account, &id).expect("it is shown");
        let StoredMessage { device: written_on, sequence, .. } = message;
        let messages = vec![ReadMessage { id, device: written_on, sequence }];
        self.command(device, Command::MarkRead { account, messages }).expect("it is there");
    }

    /// What the key server has of somebody.
    pub fn objects(&mut self, person: PersonIndex) -> AccountObjects {
        let (account, now) = (self.account(person), self.now());
        self.keyservers[0].account(account, now)
    }

    fn say_as(&mut self, by: DeviceIndex, to: PersonIndex, id: MessageId, text: &str, fate: Fate) -> MessageId {
        let author = self.person_of(by);
        let (ours, theirs) = (self.people[author.0].devices.clone(), self.people[to.0].devices.clone());
        self.said.push(Said { by, to, id, text: text.to_owned(), fate, author, ours, theirs });
        let conversation = self.people[to.0].account;
        // A command that was taken is in the store, unless the device stopped before the save: then the person says it again.
        while self.devices[by.0].store.message_now(&conversation, &id).is_none() {
            // A person whose device is off waits until it is on.
            assert!(self.run_until(Duration::from_secs(600), |world| world.devices[by.0].engine.is_some()));
            let text = MessageText::new(text.to_owned()).expect("a text");
            self.command(by, Command::Send { to: conversation, id, text }).expect("they are contacts");
        }
        id
    }

    /// Tells a device something, and performs what comes of it.
    ///
    /// # Errors
    /// What the engine answers.
    pub fn command(&mut self, device: DeviceIndex, command: Command) -> Result<(), CommandError> {
        let weather = std::mem::replace(&mut self.weather.crash, 0);
        let result = self.feed(device, Input::Command(command));
        self.weather.crash = weather;
        result
    }

    /// Which device of somebody.
    #[must_use]
    pub fn device(&self, person: PersonIndex, number: usize) -> DeviceIndex {
        self.people[person.0].devices[number]
    }

    /// All devices of somebody.
    #[must_use]
    pub fn devices(&self, person: PersonIndex) -> &[DeviceIndex] {
        &self.people[person.0].devices
    }

    /// Somebody's account.
    #[must_use]
    pub fn account(&self, person: PersonIndex) -> AccountId {
        self.people[person.0].account
    }

    /// Whose a device is.
    #[must_use]
    pub fn person_of(&self, device: DeviceIndex) -> PersonIndex {
        let owns = |person: &Person| person.devices.contains(&device);
        PersonIndex(self.people.iter().position(owns).expect("every device is somebody's"))
    }

    /// What a device's store holds.
    #[must_use]
    pub fn store(&self, device: DeviceIndex) -> &MemoryStore {
        &self.devices[device.0].store
    }

    /// The engine of a device that is on.
    #[must_use]
    pub fn engine(&self, device: DeviceIndex) -> &Engine {
        self.devices[device.0].engine.as_ref().expect("the device is on")
    }

    /// The engine of a device, unless it is off or has crashed.
    #[must_use]
    pub fn engine_if_up(&self, device: DeviceIndex) -> Option<&Engine> {
        self.devices[device.0].engine.as_ref()
    }

    /// Whether a device's person was told that.
    #[must_use]
    pub fn is_told(&self, device: DeviceIndex, told: Told) -> bool {
        self.devices[device.0].told.contains(&told)
    }

    /// How often.
    #[must_use]
    pub fn told(&self, device: DeviceIndex) -> &[Told] {
        &self.devices[device.0].told
    }

    /// A device crashes in the place of the output after so many more; false once it did.
    pub fn crash_after(&mut self, device: DeviceIndex, outputs: u64) {
        self.devices[device.0].outputs_left = Some(outputs);
    }

    /// Whether a crash that was asked for has not come yet.
    #[must_use]
    pub fn awaits_crash(&self, device: DeviceIndex) -> bool {
        self.devices[device.0].outputs_left.is_some()
    }

    /// The save of a device after so many more fails; the engine is dropped, and loaded again a second later.
    pub fn fail_save_after(&mut self, device: DeviceIndex, saves: u64) {
        let state = &mut self.devices[device.0];
        state.failing_save = Some(state.saves + saves + 1);
    }

    /// Whether a failure that was asked for has not come yet.
    #[must_use]
    pub fn awaits_failing_save(&self, device: DeviceIndex) -> bool {
        let state = &self.devices[device.0];
        state.failing_save.is_some_and(|failing| failing > state.saves)
    }

    /// A device is off until [`Self::switch_on`].
    pub fn switch_off(&mut self, device: DeviceIndex) {
        self.devices[device.0].is_off = true;
        self.crash(device);
    }

    /// A device goes on with what its store holds.
    pub fn switch_on(&mut self, device: DeviceIndex) {
        self.devices[device.0].is_off = false;
        self.revive(device);
    }

    /// A device's system clock is wrong by so many milliseconds from now on.
    pub fn set_clock(&mut self, device: DeviceIndex, ahead: i64) {
        let state = &mut self.devices[device.0];
        state.system_ahead = ahead;
        if state.ahead < ahead {
            state.ahead = ahead;
            // What was to be done by then is.
            let _ = self.feed(device, Input::Woke);
        }
    }

    /// Fair weather from now on, and everybody who should be on is.
    pub fn heal(&mut self) {
        self.weather = super::Weather::calm();
        self.network.heal();
        self.devices.iter_mut().for_each(|device| device.full_until = 0);
        let off: Vec<_> = (0..self.devices.len()).map(DeviceIndex).collect();
        for device in off {
            if self.devices[device.0].engine.is_none() && !self.devices[device.0].is_off {
                self.revive(device);
            }
        }
    }

    /// Runs until everything that was said was received, in fair weather, at most a virtual hour.
    pub fn settle(&mut self) {
        self.run_until(Duration::from_secs(3_600), |world| world.judge().faults.is_empty());
        // Receipts, answers and copies of the last minute.
        self.run_for(Duration::from_secs(75));
    }

    /// Goes on for so long.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Goes on until something holds, at most for so long; whether it holds. It is looked at once in a while.
    pub fn run_until(&mut self, most: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.now().saturating_add(most).0;
        let mut look_at = self.now().0;
        let held = loop {
            if self.now().0 >= look_at {
                if holds(self) {
                    break true;
                }
                look_at = self.now().0 + 500;
            }
            match self.network.next_time() {
                Some(time) if time <= end => self.step(),
                _ => {
                    self.now.store(end, std::sync::atomic::Ordering::Relaxed);
                    break holds(self);
                }
            }
        };
        self.watch_waiting();
        held
    }

    pub(super) fn run_until_ready(&mut self, device: DeviceIndex) {
        let ready = |world: &Self| world.devices[device.0].engine.as_ref().is_some_and(Engine::is_ready);
        assert!(self.run_until(Duration::from_secs(600), ready), "a device becomes reachable");
    }

    pub(super) fn add_device(&mut self, engine: Engine, settings: Settings, rng: ChaCha20Rng) -> DeviceIndex {
        let index = DeviceIndex(self.devices.len());
        let (account, mailbox) = (engine.account_id(), engine.mailbox_id());
        self.devices.push(Device {
            engine: Some(engine),
            store: MemoryStore::new(),
            rng,
            account,
            settings,
            life: 1,
            wakes_at: 0,
            mailbox,
            system_ahead: 0,
            ahead: 0,
            full_until: 0,
            witness: Witness::default(),
            told: Vec::new(),
            links: Vec::new(),
            outputs_left: None,
            saves: 0,
            failing_save: None,
            is_off: false,
        });
        // A driver says that it began once that is stored; whoever crashes before has nothing, and begins anew.
        let crash = std::mem::replace(&mut self.weather.crash, 0);
        self.perform(index);
        self.weather.crash = crash;
        index
    }

    pub(super) fn fork_rng(&mut self) -> ChaCha20Rng {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        ChaCha20Rng::from_seed(seed)
    }
}
