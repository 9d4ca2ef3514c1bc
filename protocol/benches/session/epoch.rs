//! What the post-quantum ratchet costs, message by message through whole epochs: beside the same conversation without it, and
//! what is stored and held in memory meanwhile.
//!
//! A message is sealed and opened many times without being committed, which leaves the sessions where they are; the shortest
//! time is taken, and a ladder is timed in between. So every message has a figure, also those that come once in an epoch.

use std::hint::black_box;

use cpu_time::ThreadTime;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::{Session, SignalMessage};
use x25519_dalek::{PublicKey, StaticSecret};

use super::PAYLOAD;
use super::pair::{NOW, Pair, Ratchet, open, records};

/// How a conversation goes.
#[derive(Clone, Copy)]
enum Talk {
    /// In turns.
    Alternating,
    /// So many messages one way, then as many the other way.
    Bursts(usize),
    /// As bursts, of which only every second message arrives: later chunks stand in for lost ones.
    Lossy(usize),
}

/// One message's costs in ladders.
#[derive(Clone, Copy, Default)]
struct Cost {
    seal: f64,
    open: f64,
    /// A message with its own ratchet step costs two agreements more.
    is_turn: bool,
    /// Whether a key pair was made, encapsulated to, or decapsulated with: these messages come once in an epoch.
    with_kem: bool,
}

/// What a conversation came to.
struct Walk {
    costs: Vec<Cost>,
    epochs: u64,
    /// Bytes that a sealed or opened message had to write.
    written: Vec<usize>,
    stored: usize,
    heap: usize,
}

pub(crate) fn print() {
    println!(
        "\nThe post-quantum ratchet through epochs, in ladders; goals: same chain 0.15, round 5.1, erasure code 0.3"
    );
    println!(
        "{:24} {:>6} {:>7} {:>7} {:>7} {:>7} {:>8} {:>9} {:>8} {:>8} {:>8} {:>7}",
        "", "epochs", "seal", "worst", "open", "worst", "of both", "with KEM", "written", "at most", "stored", "heap"
    );
    let conversations = [
        ("alternating", Talk::Alternating, 270),
        ("bursts of 60", Talk::Bursts(60), 600),
        ("bursts of 100, half lost", Talk::Lossy(100), 1_000),
    ];
    for (name, talk, messages) in conversations {
        let [double, triple] = [Ratchet::Double, Ratchet::Triple].map(|ratchet| walk(ratchet, talk, messages));
        line(&format!("{name}, without"), &double, &double);
        line(name, &triple, &double);
    }
    println!(
        "seal, open: mean and worst of messages without ratchet step and KEM. of both: what the third ratchet adds at most to\n\
         sealing and opening one message, KEM apart. with KEM: the dearest message of an epoch, all it costs."
    );
}

fn line(name: &str, walk: &Walk, double: &Walk) {
    let plain = |cost: &&Cost| !cost.is_turn && !cost.with_kem;
    let any_turn = |cost: &&Cost| cost.is_turn;
    // In strict alternation every message is a turn.
    let has_plain = walk.costs.iter().any(|cost| plain(&cost));
    let of = |walk: &Walk, part: fn(&Cost) -> f64| -> Vec<f64> {
        walk.costs.iter().filter(|cost| if has_plain { plain(cost) } else { !cost.with_kem }).map(part).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let worst = |values: Vec<f64>| values.into_iter().fold(0.0, f64::max);
    let [seal, open]: [fn(&Cost) -> f64; 2] = [|cost| cost.seal, |cost| cost.open];
    let added = worst(of(walk, seal)) + worst(of(walk, open)) - mean(&of(double, seal)) - mean(&of(double, open));
    let dearest = worst(walk.costs.iter().filter(|cost| cost.with_kem).map(|cost| cost.seal + cost.open).collect());
    println!(
        "{name:24} {:6} {:7.3} {:7.3} {:7.3} {:7.3} {added:8.3} {dearest:9.3} {:8.0} {:8} {:8} {:7}",
        walk.epochs,
        mean(&of(walk, seal)),
        worst(of(walk, seal)),
        mean(&of(walk, open)),
        worst(of(walk, open)),
        walk.written.iter().sum::<usize>() as f64 / walk.written.len() as f64,
        walk.written.iter().max().unwrap(),
        walk.stored,
        walk.heap,
    );
    if walk.costs.iter().all(|cost| any_turn(&cost)) {
        let all: f64 = walk.costs.iter().map(|cost| cost.seal + cost.open).sum();
        println!(
            "{:24} a round costs {:.2} ladders in the mean, KEM included",
            "",
            2.0 * all / walk.costs.len() as f64
        );
    }
}

fn walk(ratchet: Ratchet, talk: Talk, messages: usize) -> Walk {
    let mut pair = Pair::with(ratchet);
    let mut walk = Walk { costs: Vec::new(), epochs: 0, written: Vec::new(), stored: 0, heap: 0 };
    let rng = &mut ChaCha20Rng::seed_from_u64(11);
    let (period, is_lossy) = match talk {
        Talk::Alternating => (1, false),
        Talk::Bursts(count) => (count, false),
        Talk::Lossy(count) => (count, true),
    };
    for at in 0..messages {
        let Pair { alice, bob } = &mut pair;
        let (from, to) = if at / period % 2 == 0 { (alice, bob) } else { (bob, alice) };
        let (seal, draws) = cheapest(|| {
            let mut counted = ChaCha20Rng::seed_from_u64(at as u64);
            drop(black_box(from.seal(&PAYLOAD, NOW, &mut counted).unwrap()));
            counted.get_word_pos() > 0
        });
        let sealed = from.seal(&PAYLOAD, NOW, rng).unwrap();
        walk.written.push(size(&sealed.delta()));
        let bytes = sealed.commit().into_bytes();
        if is_lossy && at % 2 == 1 && at % period + 1 != period {
            continue;
        }
        let message = SignalMessage::decode(&bytes).unwrap();
        let (open_cost, ()) = cheapest(|| {
            let message = SignalMessage::decode(&bytes).unwrap();
            drop(black_box(open(to, &message, rng)));
        });
        let epoch = to.post_quantum_epoch();
        let opened = open(to, &message, rng);
        walk.written.push(size(&opened.delta()));
        drop(opened.commit());
        // The end of an epoch shows by the message that its receiver answers with; the encapsulation's second half by the
        // payload's type changing to Ct2. Both are opened at a price that no chunk has.
        let is_turn = at % period == 0;
        let with_kem = draws || open_cost > KEM_SHOWS + if is_turn { 2.5 } else { 0.0 };
        walk.costs.push(Cost { seal, open: open_cost, is_turn, with_kem });
        walk.epochs = epoch.unwrap_or(0);
        for session in [&pair.alice, &pair.bob] {
            let records = records(session);
            walk.stored = walk.stored.max(records.values().map(Vec::len).sum());
            walk.heap = walk.heap.max(heap(session));
        }
    }
    walk
}

/// A decapsulation or an encapsulation is some 0.35 ladders; what is asked of a chunk is less than 0.3.
const KEM_SHOWS: f64 = 0.45;

fn size(delta: &waxwing_protocol::Delta) -> usize {
    delta.writes().map(|(key, value)| key.as_bytes().len() + value.map_or(0, <[u8]>::len)).sum()
}

/// What a copy of it takes, from its records.
fn heap(session: &Session) -> usize {
    let records = records(session);
    let mut copy = None;
    let counted = allocation_counter::measure(|| copy = Some(Session::load(&records).unwrap()));
    usize::try_from(counted.bytes_current).unwrap()
}

/// The shortest of many times, in ladders of the same moments.
fn cheapest<T>(mut routine: impl FnMut() -> T) -> (f64, T) {
    const TIMES: usize = 25;
    let ours = StaticSecret::from([0x77; 32]);
    let theirs = PublicKey::from(&StaticSecret::from([0x33; 32]));
    let (mut ladder, mut shortest, mut result) = (f64::MAX, f64::MAX, None);
    for _ in 0..TIMES {
        let start = ThreadTime::now();
        result = Some(routine());
        shortest = shortest.min(start.elapsed().as_nanos() as f64);
        let start = ThreadTime::now();
        drop(black_box(ours.diffie_hellman(&theirs)));
        ladder = ladder.min(start.elapsed().as_nanos() as f64);
    }
    (shortest / ladder, result.unwrap())
}
