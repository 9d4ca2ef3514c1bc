//! What engines save is what they are: a store and the memory that it was saved from are equal, and damage shows.
use core::time::Duration;

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use waxwing_engine::{
    Command, Engine, LinkUses, LoadError, Purpose,
    store::{Record, Table},
};
use waxwing_wire::{
    frame::{ErrorCode, InviteToken},
    name::Name,
};

use crate::{
    cases,
    town::{SETTINGS, Town},
};

/// Every table has a record: friends, somebody who was only asked, links, quarantine, envelopes that were not
/// taken, a name that is listed and one that is not given yet, one that is looked for.
fn lively() -> Town {
    let mut town = Town::with_two_friends();
    let carol = town.settle_in(3);
    town.command(0, Command::MakeLink { lifetime: Duration::from_secs(86_400), uses: LinkUses::Many });
    town.befriend(carol, 0);
    let bob = town.account(1);
    town.holds_deliveries = true;
    for number in 0..3 {
        town.say(0, bob, &format!("text {number}"));
    }
    town.holds_deliveries = false;
    town.out_of_reach = Some(|purpose| matches!(purpose, Purpose::Name(_)));
    let (one, other): (Name, Name) = ("one-name".parse().expect("a name"), "other".parse().expect("a name"));
    town.command(0, Command::ClaimName { name: one, listed: true, admission: None });
    town.keyserver.refusals = [ErrorCode::Overloaded].into();
    let admission = Some(InviteToken::from_bytes([3; 16]));
    town.command(0, Command::ClaimName { name: other, listed: false, admission });
    town.command(0, Command::AddByName { name: other, server: None });
    town.run();
    town
}

/// Without what no engine keeps in memory.
fn stored(town: &Town, index: usize) -> Vec<Record> {
    let records = town.residents[index].store.load_now();
    records.into_iter().filter(|record| record.table != Table::Quarantine).collect()
}

fn names(records: &[Record]) -> Vec<(Table, &[u8])> {
    records.iter().map(|record| (record.table, record.key.as_slice())).collect()
}

fn assert_equal(one: &[Record], other: &[Record], except: Option<Table>) {
    assert_eq!(names(one), names(other));
    for (one, other) in one.iter().zip(other) {
        assert!(Some(one.table) == except || one.value == other.value, "{:?} differs", one.table);
    }
}

#[test]
fn a_store_holds_what_is_in_memory() {
    let town = lively();
    for (index, resident) in town.residents.iter().enumerate() {
        // The newest time that was seen is saved once a minute.
        assert_equal(&resident.engine().records(), &stored(&town, index), Some(Table::Account));
    }
}

#[test]
fn what_is_loaded_is_what_was_saved() {
    let town = lively();
    let mut tables = Vec::new();
    for index in 0..town.residents.len() {
        let saved = stored(&town, index);
        let engine = Engine::load(&saved, SETTINGS).unwrap().expect("there is an account");
        assert_equal(&engine.records(), &saved, None);
        let again = Engine::load(&engine.records(), SETTINGS).unwrap().expect("there is an account");
        assert_equal(&again.records(), &saved, None);
        tables.extend(saved.iter().map(|record| record.table));
    }
    for table in Table::ALL
        .into_iter()
        .filter(|table| !matches!(table, Table::Quarantine | Table::Envelope | Table::LastResortUse))
    {
        assert!(tables.contains(&table), "{table:?} was tested");
    }
}

#[test]
fn an_empty_store_is_no_engine_and_an_account_without_a_mailbox_is_damaged() {
    assert!(Engine::load(&[], SETTINGS).unwrap().is_none());
    let town = Town::with_two_friends();
    let mut saved = stored(&town, 0);
    saved.retain(|record| record.table != Table::Mailbox);
    assert!(matches!(Engine::load(&saved, SETTINGS), Err(LoadError::Damaged { table: Table::Mailbox })));
}

/// Whatever happened to a record: the engine loads, or says which table is damaged; if it loads, what it holds loads again.
fn load_damaged(records: &[Record]) -> bool {
    match Engine::load(records, SETTINGS) {
        Err(LoadError::Damaged { .. }) => false,
        Err(error) => panic!("{error} is not of a damaged store"),
        Ok(engine) => {
            let held = engine.expect("there is an account record").records();
            assert!(matches!(Engine::load(&held, SETTINGS), Ok(Some(_))), "what it would save loads");
            true
        }
    }
}

#[test]
fn a_damaged_record_is_found_or_harmless() {
    let town = lively();
    let whole: Vec<Record> = town.residents[0].store.load_now();
    let (mut loaded, mut found) = (0, 0);
    for seed in cases(600) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut below = |bound: usize| rng.next_u32() as usize % bound.max(1);
        let mut records = whole.clone();
        // Tables in turn, so that the few records of one are not lost among the many of another.
        let table = Table::ALL[below(Table::ALL.len())];
        let of: Vec<usize> = (0..records.len()).filter(|at| records[*at].table == table).collect();
        let Some(at) = of.get(below(of.len())) else { continue };
        let record = &mut records[*at];
        let bytes: &mut Vec<u8> = if below(8) == 0 { &mut record.key } else { &mut record.value };
        let place = below(bytes.len());
        match below(5) {
            0 => bytes.truncate(place),
            1 if !bytes.is_empty() => bytes[place] ^= 1 << below(8),
            2 if !bytes.is_empty() => bytes[place] = below(256) as u8,
            3 => bytes.insert(place, below(256) as u8),
            _ => bytes.extend_from_within(..place),
        }
        println!("seed {seed}: {table:?}");
        if load_damaged(&records) { loaded += 1 } else { found += 1 }
    }
    // Without both, the test would say nothing.
    assert!(std::env::var_os("WAXWING_SEED").is_some() || loaded > 20 && found > 20, "{loaded} loaded, {found} found");
}

#[test]
fn every_byte_of_the_account_and_a_contact_may_be_wrong() {
    let town = lively();
    let whole = stored(&town, 0);
    for table in [Table::Account, Table::Mailbox, Table::Contact] {
        let at = whole.iter().position(|record| record.table == table).unwrap();
        for place in (0..whole[at].value.len()).step_by(7) {
            let mut records = whole.clone();
            records[at].value[place] ^= 0x81;
            println!("{table:?}, byte {place}");
            load_damaged(&records);
            records[at].value.truncate(place);
            load_damaged(&records);
        }
    }
}

#[test]
fn a_record_of_a_later_version_is_damaged_or_loads() {
    let town = lively();
    let whole = stored(&town, 0);
    for at in 0..whole.len() {
        // Unknown fields are a later version's additions; unknown numbers are not guessed.
        let mut records = whole.clone();
        records[at].value.extend_from_slice(&[0xf8, 0x06, 0x01]);
        load_damaged(&records);
        let mut records = whole.clone();
        records[at].value.iter_mut().for_each(|byte| *byte = 0xff);
        load_damaged(&records);
    }
}
