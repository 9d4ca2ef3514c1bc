#![no_main]
//! What a network hands to an engine, as the input says: envelopes of noise and genuine ones that were changed, replies to anything
//! that decode, connections that come and go. Nothing panics, no message that was there changes, nothing is shown that was not
//! written, and a hundred envelopes are kept at most.
#[path = "../../client/engine/tests/town/mod.rs"]
mod town;

use core::time::Duration;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use waxwing_engine::{
    CallId, Command, Engine, Input, Link, Output, Purpose,
    store::{MemoryStore, Table},
};
use waxwing_wire::{
    frame::ErrorCode,
    id::{AccountId, DeliveryId},
    keyserver::Reply,
    name::Name,
    padding::{Envelope, EnvelopeSize},
    pow::Nonce,
    relay::{Delivery, LaneNumber, RelayPush, Sequence, ServerFrame},
    request::Exporter,
};

use town::{Letter, NOW, SETTINGS, Town};

struct Scene {
    store: MemoryStore,
    letters: Vec<Letter>,
    alice: AccountId,
    owner: Link,
    keyserver: [u8; 32],
}

/// That Bob asks for, and looks for.
fn name() -> Name {
    "somebody".parse().expect("a name")
}

const TEXTS: [&str; 2] = ["one", "two"];

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let mut town = Town::with_two_friends();
    town.holds_deliveries = true;
    let (alice, bob) = (town.account(0), town.account(1));
    for text in TEXTS {
        town.say(0, bob, text);
    }
    town.out_of_reach = Some(|purpose| matches!(purpose, Purpose::Name(_)));
    town.keyserver.refusals = [ErrorCode::Overloaded].into();
    town.command(1, Command::ClaimName { name: name(), listed: true, admission: None });
    town.command(1, Command::AddByName { name: name(), server: None });
    let keyserver = *town.keyserver_address.key().as_bytes();
    let (owner, _) = town.residents[1].subscribed.expect("Bob's mailbox is subscribed to");
    Scene { store: town.residents[1].store.clone(), letters: town.waiting(1).clone(), alice, owner, keyserver }
});

/// Takes the input apart; zeros when it is used up.
struct Bytes<'i>(&'i [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    fn number(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    fn some(&mut self) -> &[u8] {
        let length = self.number().min(self.0.len());
        let (some, rest) = self.0.split_at(length);
        self.0 = rest;
        some
    }
}

fn link(input: &mut Bytes<'_>) -> Link {
    let (server, purpose) = match input.byte() % 7 {
        0 => (SCENE.owner.server, Purpose::Conversation(SCENE.alice)),
        1 => (SCENE.owner.server, Purpose::Receipts(SCENE.alice)),
        2 => (SCENE.keyserver, Purpose::Directory(SCENE.alice)),
        3 => (SCENE.keyserver, Purpose::OwnDirectory),
        4 => (SCENE.keyserver, Purpose::Name(name())),
        _ => return SCENE.owner,
    };
    Link { server, purpose }
}

fn envelope(input: &mut Bytes<'_>) -> Envelope {
    let letter = &SCENE.letters[usize::from(input.byte()) % SCENE.letters.len()];
    let mut bytes = letter.envelope.as_bytes().to_vec();
    if input.byte().is_multiple_of(2) {
        let size = EnvelopeSize::ALL[usize::from(input.byte()) % EnvelopeSize::ALL.len()];
        bytes = input.some().to_vec();
        bytes.resize(size.bytes(), 0);
    } else {
        for _ in 0..input.byte() % 4 {
            let place = input.number() % bytes.len();
            bytes[place] ^= input.byte();
        }
    }
    Envelope::new(bytes).expect("a size there is")
}

fuzz_target!(|input: &[u8]| {
    let mut input = Bytes(input);
    let scene = &*SCENE;
    let mut store = scene.store.clone();
    let before = store.page_now(&scene.alice, None, usize::MAX);
    let mut engine = Engine::load(&store.load_now(), SETTINGS).expect("it was saved").expect("there is an account");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut now = NOW.saturating_add(Duration::from_secs(3_600));
    while !input.0.is_empty() {
        let call = CallId(u64::from(input.byte() % 32));
        let taken = match input.byte() % 8 {
            0 => Input::Connected { link: link(&mut input), exporter: Exporter::from_bytes([1; 32]) },
            1 => Input::Disconnected { link: link(&mut input) },
            2 => match ServerFrame::decode(input.some()) {
                Ok(ServerFrame::Reply { result, .. }) => Input::RelayReplied { call, result },
                Ok(ServerFrame::Push(push)) => Input::Pushed { link: link(&mut input), push },
                Err(_) => continue,
            },
            3 => match Reply::decode(input.some()) {
                Ok(reply) => Input::KeyserverReplied { call, result: reply.result },
                Err(_) => continue,
            },
            4 => Input::Solved { call, nonce: Nonce(u64::from(input.byte())) },
            5 => {
                now = now.saturating_add(Duration::from_secs(1 << (input.byte() % 40)));
                Input::Woke
            }
            _ => {
                let delivery = DeliveryId::from_bytes([1; 16]);
                let (sequence, lane) = (Sequence(u64::from(input.byte())), LaneNumber(u32::from(input.byte())));
                let envelope = envelope(&mut input);
                let push = RelayPush::Delivery(Delivery { sequence, lane, delivery, envelope });
                Input::Pushed { link: link(&mut input), push }
            }
        };
        let _ = engine.handle(taken, now, &mut rng);
        while let Some(output) = engine.poll() {
            if let Output::Save(batch) = output {
                store.save_now(&batch).expect("a store in memory takes all");
            }
        }
    }
    let after = store.page_now(&scene.alice, None, usize::MAX);
    assert!(before.iter().all(|message| after.contains(message)), "what was there is there");
    let new = after.iter().filter(|message| !before.contains(message));
    new.for_each(|message| assert!(TEXTS.contains(&message.text.as_str()), "nobody wrote that"));
    assert!(store.count(Table::Quarantine) <= 100);
    Engine::load(&store.load_now(), SETTINGS).expect("what was saved loads");
});
