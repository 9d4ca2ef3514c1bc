#![no_main]
//! Records of an engine, damaged as the input says: it loads or says that the store is damaged; what loads goes on, and what it
//! would save loads again.
#[path = "../../client/engine/tests/town/mod.rs"]
mod town;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use waxwing_engine::{
    Engine, Input,
    store::{Record, Table},
};

use town::{NOW, SETTINGS, Town};

static GENUINE: LazyLock<Vec<Record>> = LazyLock::new(|| {
    let town = Town::with_two_friends();
    town.residents[0].store.load_now()
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

    fn some(&mut self) -> Vec<u8> {
        let length = self.number().min(self.0.len());
        let (some, rest) = self.0.split_at(length);
        self.0 = rest;
        some.to_vec()
    }
}

fuzz_target!(|input: &[u8]| {
    let mut input = Bytes(input);
    let mut records = GENUINE.clone();
    while !input.0.is_empty() {
        let at = input.number() % records.len().max(1);
        match input.byte() % 8 {
            // A record of the input's own.
            0 => {
                let table = Table::ALL[usize::from(input.byte()) % Table::ALL.len()];
                let key = input.some();
                records.push(Record { table, key, value: input.some().into() });
            }
            1 => drop((!records.is_empty()).then(|| records.remove(at))),
            operation => {
                let Some(record) = records.get_mut(at) else { continue };
                let bytes: &mut Vec<u8> = if operation == 2 { &mut record.key } else { &mut record.value };
                let place = input.number() % (bytes.len() + 1);
                match operation {
                    2 | 3 => bytes.get_mut(place).into_iter().for_each(|byte| *byte ^= input.byte()),
                    4 => bytes.truncate(place),
                    5 => drop(bytes.splice(place..place, input.some())),
                    6 => *bytes = input.some(),
                    _ => {
                        let new = input.some();
                        let end = (place + new.len()).min(bytes.len());
                        drop(bytes.splice(place..end, new));
                    }
                }
            }
        }
    }
    let Ok(Some(mut engine)) = Engine::load(&records, SETTINGS) else { return };
    let held = engine.records();
    assert!(matches!(Engine::load(&held, SETTINGS), Ok(Some(_))), "what it would save loads");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let _ = engine.handle(Input::Woke, NOW, &mut rng);
    while engine.poll().is_some() {}
});
