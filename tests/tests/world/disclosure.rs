//! How far the times of receipts give away who talks to whom (D2, spec/90-attacks.md). The model and its assumptions: `waxwing_tests::disclosure`.
//!
//! A hundred people cannot be a hundred engines for a thousand messages each. So what one message makes is measured on real engines here, and
//! the model draws from that.
//!
//! The table: `cargo test --release --workspace --test world -- --ignored --nocapture d2`
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
    time::Duration,
};

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use waxwing_engine::Purpose;
use waxwing_tests::{
    disclosure::{Caused, Design, Echo, LOOKS, Log, Message, PEOPLE, Row, Sight, Simulated, Traffic, number},
    world::{PersonIndex, What, World, for_each_seed},
};

/// Waking hours, in milliseconds.
const DAY: u64 = 16 * 3_600_000;
const FORTNIGHT: u64 = 14 * DAY;

/// The table of all designs. Nothing is asserted: it is what it is.
#[test]
#[ignore = "a figure to be read: a minute"]
fn d2_table() {
    let spans = [("14 days", FORTNIGHT), ("1 day", DAY)];
    let mut rows: BTreeMap<(usize, usize, Sight), Row> = BTreeMap::new();
    let designs = [
        Design::prompt(),
        ours(1),
        ours(2),
        ours(1).without_receipts("ours without receipts, one device each"),
        ours(2).without_receipts("ours without receipts, two devices each"),
        silent(),
    ];
    for_each_seed("disclosure::d2_table --ignored", 5, |seed| {
        for (d, design) in designs.iter().enumerate() {
            for (s, (_, span)) in spans.iter().enumerate() {
                let simulated = Simulated::new(seed, design, *span);
                for sight in [Sight::Conversation, Sight::Mailbox] {
                    rows.entry((d, s, sight)).or_default().add(&simulated.attack(sight, 40));
                }
            }
        }
    });
    println!(
        "How often the partner is first after so many messages of the pair (and the mean rank); who guesses is right once in 99.\n"
    );
    println!("| what one message makes | 1,000 messages in | seen | others in a window | 5 | 10 | 50 | 100 |");
    println!("|---|---|---|---|---|---|---|---|");
    for ((d, s, sight), row) in &rows {
        println!("| {} | {} | {sight:?} | {row}", designs[*d].name, spans[*s].0);
    }
}

/// A message is a put to each device, the receipt one to each of the author's; nothing else, and what talks steadily is acknowledged as often.
#[test]
fn d2_the_model_is_what_engines_do() {
    for devices in [1, 2] {
        for echo in measured(devices) {
            assert_eq!(echo.messages.len(), devices, "one put for each of the reader's devices");
            assert_eq!(echo.copies.len(), devices - 1, "one for each other device of the author");
            assert!(echo.receipts.len() >= devices, "for each of the author's devices: {echo:?}");
            assert!(echo.messages.iter().chain(&echo.copies).all(|put| put.after < 6_000), "{echo:?}");
            assert!(echo.receipts.iter().all(|put| (1_500..12_000).contains(&put.after)), "{echo:?}");
        }
        let design = ours(devices);
        let puts = design.echoes.iter().map(|echo| echo.receipts.len()).sum::<usize>();
        assert!(puts * 10 <= SAMPLES * devices * 13, "once for the account, but for ties: {puts}");
        let (real, modelled) = (real_receipts(devices), modelled_receipts(&design));
        assert!((0.75..1.33).contains(&(modelled / real)), "{modelled} instead of {real} receipts for steady talk");
    }
}

/// The attack works where receipts come at once, and guesses where nothing comes back.
#[test]
fn d2_prompt_receipts_are_found_and_silence_is_not() {
    let [told, seen] = shares(&Design::prompt());
    assert!(told[0] > 0.95, "after five messages: {told:?}");
    assert!(seen[0] > 0.85, "among everything that the target gets, too: {seen:?}");
    let [told, seen] = shares(&silent());
    assert!(told.iter().chain(&seen).all(|share| *share < 0.08), "guesses: {told:?} {seen:?}");
}

/// Whoever gets something all the time is no partner of anybody.
#[test]
fn d2_the_background_is_taken_off() {
    let pair = (0..100).map(|number| Message { at: number * 10_000, from: 1, to: 0 });
    let busy = (0..2_000).map(|number| Message {
        at: number * 500,
        from: 4 + usize::try_from(number % 90).expect("few"),
        to: 3,
    });
    let mut messages: Vec<_> = pair.chain(busy).collect();
    messages.sort_by_key(|message| message.at);
    let traffic = Traffic { friends: vec![Vec::new(); PEOPLE], messages };
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let row = Simulated::of(traffic, &Design::prompt(), 1_000_000, rng).attack(Sight::Conversation, 40);
    assert!((row.first(5) - 1.0).abs() < f64::EPSILON, "{row:?}");
}

/// What the row of D2 says: our waits make it slower, and it gets there.
#[test]
fn d2_late_receipts_are_found_more_slowly() {
    let [told, seen] = shares(&ours(1));
    assert!(told[0] > 0.9, "whoever knows the conversation finds the partner after five messages: {told:?}");
    assert!((0.2..0.65).contains(&seen[0]), "whoever does not has to wait: {seen:?}");
    assert!(seen[2] > 0.9, "and finds them: {seen:?}");
}

/// What stays if people switch receipts off.
#[test]
fn d2_answers_and_own_copies_tell_without_receipts() {
    let [told, _] = shares(&ours(1).without_receipts(""));
    assert!(told[1] < 0.4, "answers come later than receipts: {told:?}");
    assert!(told[3] > 0.4, "they tell, too: {told:?}");
    let [told, _] = shares(&ours(2).without_receipts(""));
    assert!(told[1] > 0.9, "copies for own devices tell what receipts told: {told:?}");
}

/// How often partners are first, by what the relay takes for their messages and by how many there were.
fn shares(design: &Design) -> [[f64; 4]; 2] {
    let logs: Vec<_> = (1..=2).map(|seed| Simulated::new(seed, design, FORTNIGHT)).collect();
    [Sight::Conversation, Sight::Mailbox].map(|sight| {
        let mut row = Row::default();
        logs.iter().for_each(|log| row.add(&log.attack(sight, 40)));
        LOOKS.map(|look| row.first(look))
    })
}

const SAMPLES: usize = 40;

static MEASURED: [LazyLock<Vec<Echo>>; 2] = [LazyLock::new(|| measure(1)), LazyLock::new(|| measure(2))];

/// What messages make between engines of accounts with so many devices.
fn measured(devices: usize) -> &'static [Echo] {
    &MEASURED[devices - 1]
}

fn measure(devices: usize) -> Vec<Echo> {
    let mut world = World::new(6, 1);
    let (alice, bob) = world.two_friends(devices, devices);
    world.talk_until_usual(alice, bob);
    (0..SAMPLES).map(|number| echo(&mut world, alice, bob, number)).collect()
}

/// Says something, and sorts what follows. Here alone it is looked at who put what.
#[expect(clippy::panic, reason = "what is put and not known is a finding")]
fn echo(world: &mut World, alice: PersonIndex, bob: PersonIndex, number: usize) -> Echo {
    world.forget_observed();
    let said = world.now();
    world.say(world.device(alice, 0), bob, &format!("measured {number}"));
    world.run_for(Duration::from_secs(30));
    let mut echo = Echo::default();
    let mut sizes = BTreeSet::new();
    for seen in world.observed() {
        let What::Put { mailbox, size, .. } = seen.what else { continue };
        let place =
            |person| world.devices(person).iter().position(|device| world.engine(*device).mailbox_id() == mailbox);
        let after = seen.at.0 - said.0;
        let (whose, device) = match (place(alice), place(bob)) {
            (Some(device), None) => (alice, device),
            (None, Some(device)) => (bob, device),
            other => panic!("somebody's mailbox: {other:?}"),
        };
        let list = match (world.person_of(seen.device) == alice, seen.link.purpose, whose == alice) {
            (true, Purpose::Conversation(_), false) => &mut echo.messages,
            (true, Purpose::Owner(_), true) => &mut echo.copies,
            (false, Purpose::Receipts(_), true) => &mut echo.receipts,
            (false, Purpose::Owner(_), false) => &mut echo.told,
            _ => panic!("nothing else is put: {seen:?}"),
        };
        list.push(Caused { device, after });
        sizes.insert(size.bytes());
    }
    assert_eq!(sizes.len(), 1, "texts, copies and receipts are of one size: {sizes:?}");
    echo
}

/// How many receipts an author's first device gets for a minute of steady talk.
fn real_receipts(devices: usize) -> f64 {
    let mut world = World::new(7, 1);
    let (alice, bob) = world.two_friends(devices, devices);
    world.talk_until_usual(alice, bob);
    world.forget_observed();
    for number in 0..STEADY {
        world.say(world.device(alice, 0), bob, &format!("steady {number}"));
        world.run_for(Duration::from_secs(1));
    }
    world.run_for(Duration::from_secs(30));
    let mailbox = world.engine(world.device(alice, 0)).mailbox_id();
    let to_her = |what: &What| matches!(what, What::Put { mailbox: to, .. } if *to == mailbox);
    number(world.observed().iter().filter(|seen| to_her(&seen.what)).count())
}

const STEADY: u64 = 100;

fn modelled_receipts(design: &Design) -> f64 {
    let messages = (0..STEADY).map(|number| Message { at: number * 1_000, from: 0, to: 1 }).collect();
    let traffic = Traffic { friends: Vec::new(), messages };
    let logs = (0..20).map(|seed| Log::new(&traffic, design, &mut ChaCha20Rng::seed_from_u64(seed)));
    let to_her = |log: Log| log.puts.iter().filter(|put| (put.account, put.device) == (0, 0)).count();
    number(logs.map(to_her).sum()) / 20.0
}

/// As our engines were seen to do it.
fn ours(devices: usize) -> Design {
    let first = |list: &[Caused]| list.iter().map(|put| put.after).min();
    let all = |list: fn(&Echo) -> &[Caused]| measured(2).iter().filter_map(|echo| first(list(echo))).sum::<u64>();
    // How long a receipt waits for more shows only where other devices hear of it; it is the same share of the delay for one.
    let (told, sent) = (all(|echo| &echo.told), all(|echo| &echo.receipts));
    let mut echoes = measured(devices).to_vec();
    for echo in &mut echoes {
        echo.closes = first(&echo.receipts).expect("there is a receipt") * told / sent;
    }
    Design::measured(["ours, one device each", "ours, two devices each"][devices - 1], echoes)
}

/// Nothing comes back by itself.
fn silent() -> Design {
    ours(1).without_receipts("").unanswered("ours without receipts, and nobody answers")
}
