//! Somebody with an engine and a store.
use std::collections::VecDeque;

use rand_chacha::ChaCha20Rng;
use waxwing_engine::{
    Command, CommandError, Engine, Event, Input, Link, Output,
    store::{Batch, MemoryStore, StoredMessage, Write},
};
use waxwing_wire::{
    id::{AccountId, MailboxId},
    time::Timestamp,
};

use super::SETTINGS;

/// Takes what is saved.
pub type Mirror = Box<dyn FnMut(&Batch)>;

pub struct Resident {
    engine: Option<Engine>,
    pub store: MemoryStore,
    /// What else is told of each save, before the store has it.
    pub mirror: Option<Mirror>,
    pub rng: ChaCha20Rng,
    /// What it is to take next.
    pub inputs: VecDeque<Input>,
    /// What the person was told.
    pub events: Vec<Event>,
    pub wakes_at: Option<Timestamp>,
    pub mailbox: Option<MailboxId>,
    pub subscribed: Option<(Link, MailboxId)>,
    /// Puts so far, and saves.
    pub puts: usize,
    pub saves: u64,
    /// Bytes of the largest record that was saved.
    pub largest_record: usize,
    /// How often a save failed, and the engine with it.
    pub crashes: usize,
    pub(super) bound_requests: u32,
    /// The clock of the device is so many milliseconds ahead.
    pub ahead: u64,
    /// Of the account, if it was made here.
    pub words: String,
}

impl Resident {
    pub(super) fn new(engine: Engine, rng: ChaCha20Rng) -> Self {
        Self {
            engine: Some(engine),
            store: MemoryStore::new(),
            mirror: None,
            rng,
            inputs: VecDeque::new(),
            events: Vec::new(),
            wakes_at: None,
            mailbox: None,
            subscribed: None,
            puts: 0,
            saves: 0,
            largest_record: 0,
            crashes: 0,
            bound_requests: 0,
            ahead: 0,
            words: String::new(),
        }
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("the engine is up")
    }

    pub fn handle(&mut self, input: Input, now: Timestamp) {
        let now = Timestamp(now.0.saturating_add(self.ahead));
        if let Some(engine) = &mut self.engine {
            // What is refused changes nothing; whoever gives the command looks at what it led to.
            let _ = engine.handle(input, now, &mut self.rng);
        }
    }

    pub(super) fn order(&mut self, command: Command, now: Timestamp) -> Result<(), CommandError> {
        self.engine.as_mut().expect("the engine is up").handle(Input::Command(command), now, &mut self.rng)
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.engine.as_mut()?.poll()
    }

    /// A save that fails ends the engine: it begins again with what is stored.
    pub(super) fn save(&mut self, batch: &Batch) {
        self.saves += 1;
        for write in batch.writes() {
            if let Write::Put(record) = write {
                self.largest_record = self.largest_record.max(record.value.len());
            }
        }
        if let Some(mirror) = &mut self.mirror {
            mirror(batch);
        }
        if self.store.save_now(batch).is_err() {
            self.crashes += 1;
            self.store.refuse_after(None);
            self.restart();
        }
    }

    /// The engine is dropped, and another is loaded from the store; connections and what was asked are gone.
    pub fn restart(&mut self) {
        self.engine = None;
        let engine = Engine::load(&self.store.load_now(), SETTINGS).expect("what was saved loads");
        self.engine = Some(engine.expect("something was saved"));
        self.inputs.clear();
        (self.subscribed, self.wakes_at) = (None, None);
        self.inputs.push_back(Input::Woke);
    }

    /// All of a conversation, oldest first.
    pub fn messages(&self, conversation: &AccountId) -> Vec<StoredMessage> {
        let mut all = self.store.page_now(conversation, None, usize::MAX);
        all.reverse();
        all
    }

    pub fn texts(&self, conversation: &AccountId) -> Vec<String> {
        self.messages(conversation).into_iter().map(|message| message.text).collect()
    }
}
