//! A town: engines, one relay and one key server that do just what engines ask, without a network; time passes when the town says so.
//!
//! Less than the simulated world (tests/src/world), whose servers are the real ones and whose network breaks; small enough for
//! benchmarks and fuzzers, which use it too, and open enough to push whatever one likes at an engine.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    reason = "for tests, each of which uses a part"
)]
mod keyserver;
mod liar;
mod relay;
mod resident;

use core::time::Duration;

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use waxwing_engine::{
    Command, CommandError, Engine, Event, Input, Joining, LinkUses, MessageText, NewAccount, Output, Purpose, Settings,
};
use waxwing_wire::{
    address::ServerAddress,
    content::MessageId,
    frame::{ErrorCode, ServerError},
    id::AccountId,
    keys::ServerKey,
    link::ContactLink,
    pow::{Challenge, Difficulty},
    relay::RelayRequest,
    request::Exporter,
    time::Timestamp,
};

use self::relay::Relay;
pub use self::{keyserver::Keyserver, liar::Liar, relay::Letter, resident::Resident};

/// When every town begins.
pub const NOW: Timestamp = Timestamp(1_800_000_000_000);

pub struct Town {
    pub now: Timestamp,
    pub residents: Vec<Resident>,
    relay: Relay,
    pub keyserver: Keyserver,
    relay_address: ServerAddress,
    pub keyserver_address: ServerAddress,
    next_id: u128,
    /// Envelopes stay at the relay until this is taken back.
    pub holds_deliveries: bool,
    /// Outputs are performed after each input; otherwise after all that are there.
    pub one_by_one: bool,
    /// Servers lie by it.
    pub liar: Option<Liar>,
    /// Connections that cannot be made.
    pub out_of_reach: Option<fn(&Purpose) -> bool>,
    /// Connections that come up and end at once.
    pub ends_at_once: Option<fn(&Purpose) -> bool>,
    /// What the relay says to every put, and when it may be tried again.
    pub puts_fail: Option<(ErrorCode, Duration)>,
}

impl Town {
    pub fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let mut address = |host: &str| {
            let key = ServerKey::generate(&mut rng).public_key();
            ServerAddress::new(key, vec![host.parse().expect("a host")]).expect("an address")
        };
        Self {
            now: NOW,
            residents: Vec::new(),
            relay: Relay::default(),
            keyserver: Keyserver::new(price()),
            relay_address: address("relay.example.org:4433"),
            keyserver_address: address("keys.example.org:4433"),
            next_id: 1,
            holds_deliveries: false,
            one_by_one: false,
            liar: None,
            out_of_reach: None,
            ends_at_once: None,
            puts_fail: None,
        }
    }

    /// Two people who accepted each other, with acknowledged sessions in both directions.
    pub fn with_two_friends() -> Self {
        let mut town = Self::new();
        let (one, other) = (town.settle_in(1), town.settle_in(2));
        town.befriend(one, other);
        town
    }

    /// Somebody with an account, reachable.
    pub fn settle_in(&mut self, seed: u64) -> usize {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let created = Engine::create(self.new_account(), SETTINGS, self.now, &mut rng).expect("one key server fits");
        let mut resident = Resident::new(created.engine, rng);
        resident.words = created.words.to_string();
        self.move_in(resident)
    }

    /// A second device of an account.
    pub fn join(&mut self, primary: usize, seed: u64) -> usize {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let joining = Joining::new(self.relay_address.clone(), &mut rng);
        let place = self.residents[primary].engine().next_place().expect("there is room");
        let mailbox = joining.mailbox();
        self.command(primary, Command::AddDevice { device: joining.device(place) });
        let provisioning = self.residents[primary].engine().provision(mailbox).expect("it is the primary");
        let engine = Engine::join(joining, place.id, provisioning, SETTINGS, self.now, &mut rng);
        self.move_in(Resident::new(engine.expect("it is listed"), rng))
    }

    /// The account's next generation, by its words: the device that has them is gone.
    pub fn recover(&mut self, lost: usize, seed: u64) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let account = self.account(lost);
        let current = self.objects_of(&account).verify(&account, self.now).expect("the key server has it");
        let words = self.residents[lost].words.clone();
        let engine = Engine::recover(&words, current, self.new_account(), SETTINGS, self.now, &mut rng);
        let mut resident = Resident::new(engine.expect("these are the words"), rng);
        resident.words = words;
        self.residents[lost] = resident;
        self.run();
        assert!(self.residents[lost].engine().is_ready(), "the servers do what is asked");
    }

    fn move_in(&mut self, resident: Resident) -> usize {
        self.residents.push(resident);
        let index = self.residents.len() - 1;
        self.run();
        assert!(self.residents[index].engine().is_ready(), "the servers do what is asked");
        index
    }

    fn new_account(&self) -> NewAccount {
        NewAccount {
            relay: self.relay_address.clone(),
            key_servers: vec![self.keyserver_address.clone()],
            relay_admission: None,
            keyserver_admission: None,
        }
    }

    /// The first adds the second by a link and says hello; the second accepts and answers.
    pub fn befriend(&mut self, one: usize, other: usize) {
        let link = self.make_link(other);
        self.befriend_by(link, one, other);
    }

    pub fn make_link(&mut self, by: usize) -> ContactLink {
        self.make_link_for(by, LinkUses::Many)
    }

    pub fn make_link_for(&mut self, by: usize, uses: LinkUses) -> ContactLink {
        self.command(by, Command::MakeLink { lifetime: Duration::from_secs(30 * 86_400), uses });
        let links = self.residents[by].events.drain(..);
        let links = links.filter_map(|event| if let Event::LinkMade { link } = event { Some(link) } else { None });
        links.reduce(|_, newest| newest).expect("a link was made")
    }

    /// As [`Self::befriend`], by a link that is there.
    pub fn befriend_by(&mut self, link: ContactLink, one: usize, other: usize) {
        let (ones, others) = (self.account(one), self.account(other));
        self.command(one, Command::Add { link });
        self.say(one, others, "hello");
        self.pass(Duration::from_secs(120));
        self.command(other, Command::Accept { account: ones });
        self.say(other, ones, "hello to you");
        self.pass(Duration::from_secs(120));
        self.say(one, others, "nice");
        self.say(other, ones, "is it not");
        self.pass(Duration::from_secs(120));
    }

    pub fn account(&self, index: usize) -> AccountId {
        self.residents[index].engine().account_id()
    }

    pub fn message_id(&mut self) -> MessageId {
        self.next_id += 1;
        MessageId::from_bytes(self.next_id.to_be_bytes())
    }

    /// Says something, and has it arrive if nothing is held.
    pub fn say(&mut self, by: usize, to: AccountId, text: &str) -> MessageId {
        let id = self.message_id();
        let text = MessageText::new(text.to_owned()).expect("a text");
        self.command(by, Command::Send { to, id, text });
        id
    }

    pub fn command(&mut self, by: usize, command: Command) {
        self.residents[by].inputs.push_back(Input::Command(command));
        self.run();
    }

    /// As [`Self::command`], with what came of it.
    pub fn order(&mut self, by: usize, command: Command) -> Result<(), CommandError> {
        let now = self.now;
        let result = self.residents[by].order(command, now);
        self.run();
        result
    }

    /// Runs until nobody has anything to do at this moment.
    pub fn run(&mut self) {
        let mut moved = true;
        while moved {
            moved = false;
            for index in 0..self.residents.len() {
                moved |= self.step(index);
            }
        }
    }

    /// Lets time pass; whoever asked to be woken is woken at that time.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now.saturating_add(span);
        loop {
            self.run();
            let next = self.residents.iter().filter_map(|resident| resident.wakes_at).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            for resident in &mut self.residents {
                if resident.wakes_at.is_some_and(|at| at <= self.now) {
                    resident.wakes_at = None;
                    resident.inputs.push_back(Input::Woke);
                }
            }
        }
        self.now = end;
        self.run();
    }

    /// The envelopes that wait for somebody.
    pub fn waiting(&mut self, index: usize) -> &mut Vec<Letter> {
        let mailbox = self.residents[index].mailbox.expect("the resident has a mailbox");
        self.relay.waiting(mailbox)
    }

    /// What the key server hands out about an account.
    pub fn objects_of(&self, account: &AccountId) -> waxwing_wire::keyserver::AccountObjects {
        self.keyserver.objects_of(account)
    }

    /// One thing that a resident takes, or does; false if there is nothing.
    pub fn step(&mut self, index: usize) -> bool {
        self.deliver(index);
        let resident = &mut self.residents[index];
        let mut moved = false;
        while let Some(input) = resident.inputs.pop_front() {
            moved = true;
            let input = if let Some(liar) = &mut self.liar { liar.instead_of(input) } else { input };
            resident.handle(input, self.now);
            if self.one_by_one {
                break;
            }
        }
        while let Some(output) = self.residents[index].poll() {
            moved = true;
            self.perform(index, output);
        }
        moved
    }

    fn deliver(&mut self, index: usize) {
        let resident = &mut self.residents[index];
        let Some((link, mailbox)) = resident.subscribed.filter(|_| !self.holds_deliveries) else { return };
        for letter in self.relay.push(mailbox) {
            resident.inputs.push_back(Input::Pushed { link, push: letter });
        }
    }

    fn perform(&mut self, index: usize, output: Output) {
        let now = self.now;
        let resident = &mut self.residents[index];
        match output {
            Output::Save(batch) => resident.save(&batch),
            Output::Connect { link, .. } => {
                if self.out_of_reach.is_some_and(|is_out| is_out(&link.purpose)) {
                    return resident.inputs.push_back(Input::Disconnected { link });
                }
                let exporter = Exporter::from_bytes([9; 32]);
                if link.purpose == Purpose::OwnDirectory {
                    resident.bound_requests = 0;
                }
                resident.inputs.push_back(Input::Connected { link, exporter });
                if self.ends_at_once.is_some_and(|ends| ends(&link.purpose)) {
                    resident.inputs.push_back(Input::Disconnected { link });
                }
            }
            Output::Disconnect { .. } => {}
            Output::Relay { link, call, request } => {
                match (&request, link.purpose) {
                    (RelayRequest::CreateMailbox(_) | RelayRequest::Authenticate(_), Purpose::Owner(mailbox)) => {
                        resident.mailbox = Some(mailbox);
                    }
                    (RelayRequest::Subscribe(_), Purpose::Owner(mailbox)) => {
                        resident.subscribed = Some((link, mailbox));
                        self.relay.begin(mailbox);
                    }
                    (RelayRequest::Put(_), _) => resident.puts += 1,
                    _ => {}
                }
                let result = match self.puts_fail.filter(|_| matches!(request, RelayRequest::Put(_))) {
                    Some((code, wait)) => Err(ServerError { retry_after: Some(wait), ..code.into() }),
                    None => self.relay.answer(link.purpose, request, now),
                };
                resident.inputs.push_back(Input::RelayReplied { call, result });
            }
            Output::Keyserver { call, request, .. } => {
                let number = resident.bound_requests;
                let result = self.keyserver.answer(request, number, now);
                if result.1 {
                    resident.bound_requests += 1;
                }
                resident.inputs.push_back(Input::KeyserverReplied { call, result: result.0 });
            }
            Output::Solve { call, puzzle } => {
                let nonce = puzzle.solve(0..u64::MAX).expect("an easy puzzle has a solution");
                resident.inputs.push_back(Input::Solved { call, nonce });
            }
            Output::Notify(event) => resident.events.push(event),
            Output::WakeAt(at) => resident.wakes_at = Some(at),
            _ => {}
        }
    }
}

/// Few prekeys: making them costs most of a town.
pub const SETTINGS: Settings = Settings { one_time_prekeys: 2, allow_private_servers: false };

fn price() -> waxwing_wire::frame::Price {
    waxwing_wire::frame::Price {
        challenge: Challenge::from_bytes([3; 32]),
        ends: Timestamp(u64::MAX),
        open: true,
        invites: false,
        admission: None,
        strangers: Difficulty::try_from(4).expect("4 bits"),
    }
}
