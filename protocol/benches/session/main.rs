//! What a session costs: time in units of one X25519 agreement of x25519-dalek (a "ladder") measured right before, and
//! allocations, beside `vodozemac` (Olm) where it has the operation.
//!
//! ```sh
//! cargo bench -p waxwing-protocol --bench session            # everything, some four minutes; ends with the table
//! cargo bench -p waxwing-protocol --bench session -- round   # one group
//! ```
//! Time is the thread's own processor time, in criterion's median over batches of 32. A ratio survives another machine and
//! a moderate load, a microsecond does not; on a machine that others use, run it thrice and take the middle.
//!
//! The crate that counts allocations replaces the allocator: it adds some 2 ns to each while timing, which nobody gains
//! from. Allocations are the mean of 16 runs. What is measured goes from plaintext to the bytes that travel, and back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a benchmark that cannot go on stops"
)]

mod epoch;
mod olm;
mod pair;
mod table;

use std::hint::black_box;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::{Session, SignalMessage};
use x25519_dalek::{PublicKey, StaticSecret};

use self::olm::OlmPair;
use self::pair::{NOW, Pair, deliver, open};
use self::table::Table;

const PAYLOAD: [u8; 1024] = [0x57; 1024];

fn main() {
    let mut criterion = table::criterion();
    let mut table = Table::new(&mut criterion);
    same_chain(&mut table);
    round(&mut table);
    skipping(&mut table);
    keeping(&mut table);
    records(&mut table);
    table.print();
    if std::env::args().any(|argument| argument == "--bench") {
        epoch::print();
    }
    criterion.final_summary();
}

/// The unit: a variable-base agreement by the Montgomery ladder.
fn ladder(table: &mut Table<'_>, group: &'static str) {
    let ours = StaticSecret::from([0x77; 32]);
    let theirs = PublicKey::from(&StaticSecret::from([0x33; 32]));
    table.measure(group, table::LADDER, || (), |()| ours.diffie_hellman(&theirs));
}

/// Messages of one chain, in order.
fn same_chain(table: &mut Table<'_>) {
    ladder(table, "encrypt");
    let (mut pair, rng) = (Pair::talking(), &mut ChaCha20Rng::seed_from_u64(1));
    table.floor("encrypt", "seal, commit", 0.12);
    table.measure("encrypt", "seal, commit", || (), |()| pair.alice.seal(&PAYLOAD, NOW, rng).unwrap().commit());
    table.measure(
        "encrypt",
        "seal, delta, commit",
        || (),
        |()| {
            let sealed = pair.alice.seal(&PAYLOAD, NOW, rng).unwrap();
            (sealed.delta(), sealed.commit())
        },
    );
    let mut olm = OlmPair::talking();
    table.measure("encrypt", "vodozemac", || (), |()| olm.alice.encrypt(PAYLOAD).unwrap().to_parts());

    ladder(table, "decrypt");
    let (mut pair, rng) = (Pair::talking(), &mut ChaCha20Rng::seed_from_u64(2));
    let Pair { alice, bob } = &mut pair;
    table.floor("decrypt", "decode, open, commit", 0.12);
    table.measure("decrypt", "decode, open, commit", || pair::seal(alice, &PAYLOAD), |bytes| deliver(bob, &bytes, rng));
    table.measure(
        "decrypt",
        "decode, open, delta, commit",
        || pair::seal(alice, &PAYLOAD),
        |bytes| {
            let message = SignalMessage::decode(&bytes).unwrap();
            let opened = open(bob, &message, rng);
            (opened.delta(), opened.commit())
        },
    );
    let OlmPair { alice, bob } = &mut OlmPair::talking();
    table.measure("decrypt", "vodozemac", || olm::encrypt(alice, &PAYLOAD), |bytes| olm::decrypt(bob, &bytes));
}

/// Two messages, one each way, so that each is the first of a new chain.
fn round(table: &mut Table<'_>) {
    ladder(table, "round");
    let (Pair { mut alice, mut bob }, rng) = (Pair::talking(), &mut ChaCha20Rng::seed_from_u64(3));
    table.floor("round", "2 encrypt, 2 decrypt", 4.5);
    table.measure(
        "round",
        "2 encrypt, 2 decrypt",
        || (),
        |()| {
            let there = pair::seal(&mut alice, &PAYLOAD);
            deliver(&mut bob, &there, rng);
            let back = pair::seal(&mut bob, &PAYLOAD);
            deliver(&mut alice, &back, rng);
        },
    );
    table.measure(
        "round",
        "the same with 4 deltas",
        || (),
        |()| {
            pair::exchange_with_deltas(&mut alice, &mut bob, &PAYLOAD, rng);
            pair::exchange_with_deltas(&mut bob, &mut alice, &PAYLOAD, rng);
        },
    );
    let OlmPair { mut alice, mut bob } = OlmPair::talking();
    table.measure(
        "round",
        "vodozemac",
        || (),
        |()| {
            let there = olm::encrypt(&mut alice, &PAYLOAD);
            olm::decrypt(&mut bob, &there);
            let back = olm::encrypt(&mut bob, &PAYLOAD);
            olm::decrypt(&mut alice, &back);
        },
    );
}

/// One message after n that did not come; the table shows the cost of each of the n.
fn skipping(table: &mut Table<'_>) {
    ladder(table, "skip");
    for (skipped, name, dropped) in [
        (1_000, "1,000: open, delta, commit", "1,000: open, drop"),
        (10_000, "10,000: open, delta, commit", "10,000: open, drop"),
        (24_999, "24,999: open, delta, commit", "24,999: open, drop"),
    ] {
        let (Pair { mut alice, mut bob }, rng) = (Pair::talking(), &mut ChaCha20Rng::seed_from_u64(4));
        let records = pair::records(&bob);
        for _ in 0..skipped {
            pair::seal(&mut alice, b"");
        }
        let message = SignalMessage::decode(&pair::seal(&mut alice, &PAYLOAD)).unwrap();
        table.each(skipped);
        table.measure(
            "skip",
            name,
            || Session::load(&records).unwrap(),
            |mut bob| {
                let opened = open(&mut bob, &message, rng);
                let written = (opened.delta(), opened.commit());
                (written, bob)
            },
        );
        table.each(skipped);
        table.measure("skip", dropped, || (), |()| drop(open(&mut bob, &message, rng)));
    }
    let OlmPair { mut alice, bob } = OlmPair::talking();
    let record = olm::record(&bob);
    for _ in 0..1_000 {
        olm::encrypt(&mut alice, b"");
    }
    let message = olm::encrypt(&mut alice, &PAYLOAD);
    table.each(1_000);
    table.measure(
        "skip",
        "1,000: vodozemac",
        || olm::load(&record),
        |mut bob| {
            olm::decrypt(&mut bob, &message);
            bob
        },
    );
}

/// Whether a session that keeps the keys of 2,000 messages costs more than one that keeps none.
fn keeping(table: &mut Table<'_>) {
    ladder(table, "keep");
    for (kept, seal_name, open_name, late_name) in [
        (0, "none: seal, delta, commit", "none: open, delta, commit", ""),
        (2_000, "2,000: seal, delta, commit", "2,000: open, delta, commit", "2,000: open a late one, delta"),
    ] {
        let (mut pair, rng) = (Pair::talking(), &mut ChaCha20Rng::seed_from_u64(5));
        let late = pair.keep(kept);
        let Pair { alice, bob } = &mut pair;
        table.measure(
            "keep",
            seal_name,
            || (),
            |()| {
                let sealed = bob.seal(&PAYLOAD, NOW, rng).unwrap();
                (sealed.delta(), sealed.commit())
            },
        );
        table.measure(
            "keep",
            open_name,
            || SignalMessage::decode(&pair::seal(alice, &PAYLOAD)).unwrap(),
            |message| {
                let opened = open(bob, &message, rng);
                (opened.delta(), opened.commit(), message)
            },
        );
        if let Some(late) = late {
            table.measure(
                "keep",
                late_name,
                || (),
                |()| {
                    let opened = open(bob, &late, rng);
                    drop(black_box(opened.delta()));
                },
            );
        }
    }
}

/// What persisting costs: the delta of one message, and whole sessions.
fn records(table: &mut Table<'_>) {
    ladder(table, "records");
    for (kept, names) in [
        (0, ["none: delta of a sent message", "none: delta of an opened one", "none: all records", "none: load"]),
        (
            2_000,
            ["2,000: delta of a sent message", "2,000: delta of an opened one", "2,000: all records", "2,000: load"],
        ),
    ] {
        let (mut pair, rng) = (Pair::talking(), &mut ChaCha20Rng::seed_from_u64(6));
        pair.keep(kept);
        let Pair { alice, bob } = &mut pair;
        let sealed = bob.seal(&PAYLOAD, NOW, rng).unwrap();
        table.measure("records", names[0], || (), |()| sealed.delta());
        drop(sealed);
        let message = SignalMessage::decode(&pair::seal(alice, &PAYLOAD)).unwrap();
        let opened = open(bob, &message, rng);
        table.measure("records", names[1], || (), |()| opened.delta());
        drop(opened);
        table.measure("records", names[2], || (), |()| bob.records().count());
        let records = pair::records(bob);
        table.measure("records", names[3], || (), |()| Session::load(&records).unwrap());
    }
    let OlmPair { bob, .. } = OlmPair::talking();
    let record = olm::record(&bob);
    table.measure("records", "vodozemac: pickle as JSON", || (), |()| olm::record(&bob));
    table.measure("records", "vodozemac: load it", || (), |()| olm::load(&record));
}
