//! What tests tell a world to do.
use std::{
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use waxwing_client::{
    CommandFailed, Event,
    engine::{Command, Created, Engine, Joining, LinkUses, MessageText, NewAccount},
};
use waxwing_wire::{content::MessageId, id::AccountId, link::ContactLink};

use super::{Person, Wired};
use crate::world::{
    DeviceIndex, PersonIndex,
    judge::{Fate, Said},
};

impl Wired {
    /// Somebody with an account and two devices, each reachable; devices take turns with the relays.
    pub async fn person(&mut self) -> PersonIndex {
        let person = PersonIndex(self.people.len());
        let ahead = Arc::new(AtomicI64::new(0));
        let options = self.options(&ahead);
        let mut rng = self.fork_rng();
        let new = NewAccount {
            relay: self.relays[person.0 % self.relays.len()].address(),
            key_servers: vec![self.keyserver.address()],
            relay_admission: None,
            keyserver_admission: None,
        };
        let created = Engine::create(new, options.engine, self.now(), &mut rng);
        let Created { engine, .. } = created.expect("one key server fits");
        self.people.push(Person { account: engine.account_id(), devices: Vec::new() });
        let first = self.add_device(person, engine, rng, options, ahead).await;
        self.link(person, first).await;
        person
    }

    /// A second device, listed by the first.
    async fn link(&mut self, person: PersonIndex, first: DeviceIndex) {
        let ahead = Arc::new(AtomicI64::new(0));
        let options = self.options(&ahead);
        let mut rng = self.fork_rng();
        let relay = self.relays[(person.0 + 1) % self.relays.len()].address();
        let joining = Joining::new(relay, &mut rng);
        let client = self.client(first);
        let place = client.look(Engine::next_place).await.expect("it is on").expect("there is room");
        let device = joining.device(place);
        client.command(Command::AddDevice { device }).await.expect("the first is the primary");
        let mailbox = joining.mailbox();
        let provisioning = client.look(move |engine| engine.provision(mailbox)).await.expect("it is on");
        let provisioning = provisioning.expect("the first is the primary");
        let engine = Engine::join(joining, place.id, provisioning, options.engine, self.now(), &mut rng);
        self.add_device(person, engine.expect("it is listed"), rng, options, ahead).await;
    }

    /// The first adds the second by a link and says hello; the second accepts.
    pub async fn befriend(&mut self, one: PersonIndex, other: PersonIndex) {
        let (by, at) = (self.device(one, 0), self.device(other, 0));
        let (lifetime, account) = (Duration::from_secs(30 * 86_400), self.account(one));
        let link: ContactLink = self.client(at).make_link(lifetime, LinkUses::Many).await.expect("a link");
        self.run_for(Duration::from_secs(5)).await;
        self.client(by).command(Command::Add { link }).await.expect("it is somebody else's");
        self.say(by, other, "hello").await;
        let asked = |event: &Event| *event == Event::Request { account };
        for _ in 0..600 {
            if self.devices[at.0].disk.events().iter().any(asked) {
                break;
            }
            self.run_for(Duration::from_secs(1)).await;
        }
        self.client(at).command(Command::Accept { account }).await.expect("there is a request");
        // Answers, copies and receipts.
        self.run_for(Duration::from_secs(90)).await;
    }

    /// Says something, and again until it is stored: a person whose device is off or full waits.
    pub async fn say(&mut self, by: DeviceIndex, to: PersonIndex, text: &str) {
        let id = self.expect(by, to, text);
        let account = self.account(to);
        while self.devices[by.0].disk.look(|store| store.message_now(&account, &id).is_none()) {
            if !self.send(by, account, id, text).await {
                self.run_for(Duration::from_millis(500)).await;
            }
        }
    }

    /// The same without a look at whether it is stored.
    pub async fn say_once(&mut self, by: DeviceIndex, to: PersonIndex, text: &str) {
        let id = self.expect(by, to, text);
        assert!(self.send(by, self.account(to), id, text).await, "the device is on, and says that it stores");
    }

    /// The judge expects it to be shown.
    fn expect(&mut self, by: DeviceIndex, to: PersonIndex, text: &str) -> MessageId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(self.said.len() + 1).to_be_bytes());
        let id = MessageId::from_bytes(id);
        let author = self.people.iter().position(|person| person.devices.contains(&by)).map(PersonIndex);
        let author = author.expect("every device is somebody's");
        let (ours, theirs) = (self.people[author.0].devices.clone(), self.people[to.0].devices.clone());
        self.said.push(Said { by, to, id, text: text.to_owned(), fate: Fate::Delivered, author, ours, theirs });
        id
    }

    /// Whether the driver says that it is stored.
    async fn send(&self, by: DeviceIndex, to: AccountId, id: MessageId, text: &str) -> bool {
        let Some(client) = &self.devices[by.0].client else { return false };
        let text = MessageText::new(text.to_owned()).expect("a text");
        // A process that ended does not answer.
        match tokio::time::timeout(PATIENCE, client.command(Command::Send { to, id, text })).await {
            Ok(Err(CommandFailed::Refused(error))) => panic!("{error}"),
            answer => matches!(answer, Ok(Ok(()))),
        }
    }

    /// Somebody's account.
    #[must_use]
    pub fn account(&self, person: PersonIndex) -> AccountId {
        self.people[person.0].account
    }
}

const PATIENCE: Duration = Duration::from_secs(3);
