//! What the times of puts give away about who talks to whom: people who talk, what a relay sees of it, and the attack on that (D2).
//!
//! The attack is the statistical disclosure of Martiny, Kaptchuk, Aviv, Roche and Wustrow, "Improving Signal's Sealed Sender" (NDSS 2021): who
//! gets something soon after the target got something, more often than at other times, talks with the target.
//!
//! ```text
//! Echo: the puts that one message makes, as seen or made up ─┐
//!        Traffic: people who talk in bursts, with some more ─┴─▶ Log: times, mailboxes ──▶ Simulated: who comes after the target
//! ```
//! What is assumed, mostly for the relay:
//! - All people are at one relay, and it sees each put's mailbox and time. It does not look at source addresses, connections and lanes: the
//!   observer of worlds has no address and no lane of a put. Sizes tell nothing: a receipt is as large as a text.
//! - It knows which mailboxes are one account's: devices show by getting things together. Each device has one mailbox, all the time.
//! - Everybody is always online, so that every receipt comes within its delay, which the relay knows; nobody else's traffic is there to hide in.
//! - Nights are left out, there are no groups, and nothing is said when a message is read.
//!
//! Not here: what one message makes between engines (`tests/tests/world/disclosure.rs`).
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test's model: whatever goes wrong in it is to be loud"
)]
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

/// So many people.
pub const PEOPLE: usize = 100;
/// Each writes so many messages, on average.
pub const MESSAGES_EACH: usize = 1_000;
/// The attack is looked at after so many messages of the pair.
pub const LOOKS: [usize; 4] = [5, 10, 50, 100];
/// Windows at any time, for the background.
const WINDOWS: usize = 5_000;

/// A put that something makes, so many milliseconds later: for which device of an account.
#[derive(Clone, Copy, Debug)]
pub struct Caused {
    /// Which device.
    pub device: usize,
    /// How much later.
    pub after: u64,
}

/// The puts that one message makes.
#[derive(Clone, Debug, Default)]
pub struct Echo {
    /// To the reader's devices.
    pub messages: Vec<Caused>,
    /// To the author's other devices.
    pub copies: Vec<Caused>,
    /// To the author's devices.
    pub receipts: Vec<Caused>,
    /// To the reader's other devices, which hear that the receipt is done.
    pub told: Vec<Caused>,
    /// What comes until then needs no receipt of its own.
    pub closes: u64,
}

/// What a message makes, and how long the relay looks.
#[derive(Clone, Debug)]
pub struct Design {
    /// For the reader of a table.
    pub name: &'static str,
    /// Each message makes one of these.
    pub echoes: Vec<Echo>,
    /// Milliseconds that the relay looks for what follows.
    pub window: u64,
    /// Whether people answer each other; otherwise one speaks and the other listens.
    pub answers: bool,
}

impl Design {
    /// As Signal does: one mailbox for an account, a receipt for each message within a second.
    #[must_use]
    pub fn prompt() -> Self {
        let put = |after| vec![Caused { device: 0, after }];
        let echo = |number: u64| Echo { messages: put(0), receipts: put(100 + number * 10), ..Echo::default() };
        Self::measured("a receipt within a second", (0..=90).map(echo).collect())
    }

    /// As it was seen; the window covers all of it.
    #[must_use]
    pub fn measured(name: &'static str, echoes: Vec<Echo>) -> Self {
        let delays = echoes.iter().flat_map(|echo| echo.copies.iter().chain(&echo.receipts)).map(|put| put.after);
        let window = delays.max().expect("something comes back");
        Self { name, echoes, window, answers: true }
    }

    /// Everybody switched receipts off; the relay looks as before.
    #[must_use]
    pub fn without_receipts(self, name: &'static str) -> Self {
        let silent = |echo: Echo| Echo { receipts: Vec::new(), told: Vec::new(), ..echo };
        Self { name, echoes: self.echoes.into_iter().map(silent).collect(), ..self }
    }

    /// Nobody answers anybody.
    #[must_use]
    pub fn unanswered(self, name: &'static str) -> Self {
        Self { name, answers: false, ..self }
    }
}

/// Somebody says something to somebody.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// When, in milliseconds.
    pub at: u64,
    /// Who.
    pub from: usize,
    /// To whom.
    pub to: usize,
}

/// Who said something to whom, in its order.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Of each.
    pub friends: Vec<Vec<usize>>,
    /// All of them.
    pub messages: Vec<Message>,
}

impl Traffic {
    /// A hundred people, a thousand messages of each on average, in talks that begin at any time.
    fn new(answers: bool, span: u64, rng: &mut ChaCha20Rng) -> Self {
        let mut traffic = Self { friends: friends(rng), messages: Vec::new() };
        while traffic.messages.len() < PEOPLE * MESSAGES_EACH {
            let one = below(PEOPLE, rng);
            // The first friend is talked to in two of five talks, the next in two of five of the others, and so on.
            let closeness = (0..).take_while(|_| unit(rng) > 0.4).count();
            let other = traffic.friends[one][closeness % traffic.friends[one].len()];
            let at = rng.next_u64() % span;
            traffic.talk(Message { at, from: one, to: other }, answers, rng);
        }
        traffic.messages.sort_by_key(|message| message.at);
        traffic
    }

    /// A dozen messages on average. Who goes on writes the next one within seconds, who answers takes a minute.
    fn talk(&mut self, first: Message, answers: bool, rng: &mut ChaCha20Rng) {
        let Message { mut at, mut from, mut to } = first;
        loop {
            self.messages.push(Message { at, from, to });
            if unit(rng) < 1.0 / 12.0 {
                return;
            }
            if unit(rng) < 0.5 {
                at += 1_000 + wait(8.0, rng);
            } else {
                at += 2_000 + wait(45.0, rng);
                if answers {
                    (from, to) = (to, from);
                }
            }
        }
    }
}

/// Everybody finds two to five others; most have some seven friends then.
fn friends(rng: &mut ChaCha20Rng) -> Vec<Vec<usize>> {
    let mut friends = vec![Vec::new(); PEOPLE];
    for one in 0..PEOPLE {
        for _ in 0..2 + below(4, rng) {
            let other = below(PEOPLE, rng);
            if other != one && !friends[one].contains(&other) {
                friends[one].push(other);
                friends[other].push(one);
            }
        }
    }
    friends
}

/// What the relay sees, and whose message it is if it is one.
#[derive(Clone, Copy, Debug)]
pub struct Put {
    /// When.
    pub at: u64,
    /// Into whose mailbox.
    pub account: usize,
    /// Which of theirs.
    pub device: usize,
    /// Who wrote it: the relay does not see that.
    pub author: Option<usize>,
}

/// Everything that the relay sees, in its order.
#[derive(Clone, Debug)]
pub struct Log {
    /// All of it.
    pub puts: Vec<Put>,
}

impl Log {
    /// What the relay sees of that traffic.
    pub fn new(traffic: &Traffic, design: &Design, rng: &mut ChaCha20Rng) -> Self {
        let mut puts = Vec::new();
        let mut open: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for Message { at, from, to } in &traffic.messages {
            let echo = &design.echoes[below(design.echoes.len(), rng)];
            let mut put = |account, list: &[Caused], author| {
                puts.extend(list.iter().map(|put| Put { at: at + put.after, account, device: put.device, author }));
            };
            put(*to, &echo.messages, Some(*from));
            put(*from, &echo.copies, None);
            let closes = open.entry((*from, *to)).or_default();
            if *at >= *closes {
                *closes = at + echo.closes;
                put(*from, &echo.receipts, None);
                put(*to, &echo.told, None);
            }
        }
        puts.sort_by_key(|put| put.at);
        Self { puts }
    }

    /// Accounts that get something within a window.
    fn after(&self, at: u64, window: u64) -> BTreeSet<usize> {
        let first = self.puts.partition_point(|put| put.at < at);
        self.puts[first..].iter().take_while(|put| put.at <= at + window).map(|put| put.account).collect()
    }
}

/// What the relay takes for moments at which the pair talks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Sight {
    /// The partner's messages: somebody told it which puts are theirs. More than it has, though what is said in one go comes by one connection.
    Conversation,
    /// Whatever the target's first device gets, of anybody, receipts too; as in the paper the partner is to rank before all who are not the
    /// target's friends.
    Mailbox,
}

/// A log that somebody attacks.
#[derive(Debug)]
pub struct Simulated {
    friends: Vec<Vec<usize>>,
    log: Log,
    window: u64,
    /// How often an account gets something within a window at any time.
    background: Vec<f64>,
    /// Targets with a partner who wrote to them often enough.
    pairs: Vec<(usize, usize)>,
}

impl Simulated {
    /// Everybody talks for so long in total, in milliseconds.
    #[must_use]
    pub fn new(seed: u64, design: &Design, span: u64) -> Self {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        Self::of(Traffic::new(design.answers, span, rng), design, span, rng)
    }

    /// What the relay sees of that, and what it learns before it attacks anybody.
    pub fn of(traffic: Traffic, design: &Design, span: u64, rng: &mut ChaCha20Rng) -> Self {
        let log = Log::new(&traffic, design, rng);
        let mut seen = vec![0; PEOPLE];
        for _ in 0..WINDOWS {
            log.after(rng.next_u64() % span, design.window).iter().for_each(|account| seen[*account] += 1);
        }
        let background = seen.into_iter().map(|count| number(count) / number(WINDOWS)).collect();
        let mut counts: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        traffic.messages.iter().for_each(|message| *counts.entry((message.to, message.from)).or_default() += 1);
        let mut pairs: Vec<_> =
            counts.into_iter().filter(|(_, count)| *count >= LOOKS[3]).map(|(pair, _)| pair).collect();
        (1..pairs.len()).for_each(|last| pairs.swap(last, below(last + 1, rng)));
        Self { friends: traffic.friends, log, window: design.window, background, pairs }
    }

    /// Where so many partners rank, after each number of their messages.
    #[must_use]
    pub fn attack(&self, sight: Sight, pairs: usize) -> Row {
        let mut row = Row { others: self.background.iter().sum(), logs: 1.0, ..Row::default() };
        for (target, partner) in self.pairs.iter().take(pairs) {
            self.disclose(*target, *partner, sight, &mut row);
        }
        row
    }

    fn disclose(&self, target: usize, partner: usize, sight: Sight, row: &mut Row) {
        let friends = &self.friends[target];
        let is_rival = |account: &usize| {
            ![target, partner].contains(account) && (sight == Sight::Conversation || !friends.contains(account))
        };
        let rivals: Vec<usize> = (0..PEOPLE).filter(is_rival).collect();
        let (mut hits, mut windows, mut messages) = (vec![0; PEOPLE], 0, 0);
        for put in self.log.puts.iter().filter(|put| (put.account, put.device) == (target, 0)) {
            let is_of_pair = put.author == Some(partner);
            if sight == Sight::Conversation && !is_of_pair {
                continue;
            }
            windows += 1;
            self.log.after(put.at, self.window).iter().for_each(|account| hits[*account] += 1);
            if is_of_pair {
                messages += 1;
                if LOOKS.contains(&messages) {
                    let score = |account: usize| number(hits[account]) - number(windows) * self.background[account];
                    row.rank(messages, score(partner), rivals.iter().map(|rival| score(*rival)));
                }
            }
        }
    }
}

/// What an attack got, for each number of messages.
#[derive(Clone, Debug, Default)]
pub struct Row {
    looks: BTreeMap<usize, Ranks>,
    others: f64,
    logs: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ranks {
    first: f64,
    sum: f64,
    tries: f64,
}

impl Row {
    /// Whoever has the same score shares a rank: a relay has to guess among them.
    fn rank(&mut self, look: usize, partner: f64, rivals: impl Iterator<Item = f64>) {
        let (mut before, mut same) = (0.0, 0.0);
        for rival in rivals {
            before += f64::from(u8::from(rival > partner));
            same += f64::from(u8::from((rival - partner).abs() < f64::EPSILON));
        }
        let ranks = self.looks.entry(look).or_default();
        ranks.first += if before < 0.5 { 1.0 / (1.0 + same) } else { 0.0 };
        ranks.sum += 1.0 + before + same / 2.0;
        ranks.tries += 1.0;
    }

    /// Of another log, too.
    pub fn add(&mut self, other: &Self) {
        for (look, ranks) in &other.looks {
            let sum = self.looks.entry(*look).or_default();
            *sum = Ranks { first: sum.first + ranks.first, sum: sum.sum + ranks.sum, tries: sum.tries + ranks.tries };
        }
        self.others += other.others;
        self.logs += other.logs;
    }

    /// How often the partner was first after so many messages.
    #[must_use]
    pub fn first(&self, look: usize) -> f64 {
        let ranks = self.looks[&look];
        ranks.first / ranks.tries
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} |", self.others / self.logs)?;
        for ranks in self.looks.values() {
            write!(f, " {:.1}% ({:.1}) |", 100.0 * ranks.first / ranks.tries, ranks.sum / ranks.tries)?;
        }
        Ok(())
    }
}

fn below(end: usize, rng: &mut ChaCha20Rng) -> usize {
    usize::try_from(rng.next_u64() % u64::try_from(end).expect("few")).expect("below it")
}

fn unit(rng: &mut ChaCha20Rng) -> f64 {
    f64::from(rng.next_u32()) / f64::from(u32::MAX)
}

/// An exponential time around so many seconds, in milliseconds.
fn wait(seconds: f64, rng: &mut ChaCha20Rng) -> u64 {
    let drawn = Duration::from_secs_f64(-seconds * (1.0 - unit(rng)).max(1e-9).ln());
    u64::try_from(drawn.as_millis()).expect("minutes")
}

/// A small count.
#[must_use]
pub fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("few"))
}
