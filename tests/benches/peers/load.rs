//! The load that everybody gets: connections with so many envelopes in flight on each, closed loop.
use std::{
    io, thread,
    time::{Duration, Instant},
};

pub(crate) const CONNECTIONS: usize = 64;
pub(crate) const IN_FLIGHT: usize = 4;
pub(crate) const BYTES: usize = 2_560;
pub(crate) const MAILBOXES: usize = 1_000;

/// A connection that is asked in order and answers in order.
pub(crate) trait Line: Send {
    /// Asks that an envelope be kept.
    fn send(&mut self, mailbox: usize, envelope: &[u8]) -> io::Result<()>;
    /// What was asked leaves.
    fn flush(&mut self) -> io::Result<()>;
    /// Waits for the next answer: kept.
    fn answer(&mut self) -> io::Result<()>;
}

pub(crate) struct Measured {
    /// A second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Measured {
    pub(crate) fn of(mut times: Vec<Duration>, elapsed: Duration) -> Self {
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
        Self { rate: times.len() as f64 / elapsed.as_secs_f64(), p50: at(50), p99: at(99) }
    }
}

/// Measures lines that are there, each in a thread of its own.
pub(crate) fn measure(lines: Vec<Box<dyn Line>>, time: Duration) -> Measured {
    let begun = Instant::now();
    let threads = lines.into_iter().enumerate();
    let threads: Vec<_> =
        threads.map(|(number, line)| thread::spawn(move || drive(line, number, begun, time))).collect();
    let times = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    Measured::of(times, begun.elapsed())
}

fn drive(mut line: Box<dyn Line>, number: usize, begun: Instant, time: Duration) -> Vec<Duration> {
    let envelope = envelope(number);
    let (mut sent, mut times) = (std::collections::VecDeque::new(), Vec::new());
    let mut next = number;
    loop {
        while begun.elapsed() < time && sent.len() < IN_FLIGHT {
            sent.push_back(Instant::now());
            line.send(next % MAILBOXES, &envelope).unwrap();
            next += CONNECTIONS;
        }
        line.flush().unwrap();
        let Some(asked) = sent.pop_front() else { return times };
        line.answer().unwrap();
        times.push(asked.elapsed());
    }
}

/// As ciphertext is: it cannot be packed.
fn envelope(seed: usize) -> Vec<u8> {
    let mut state = seed as u64 | 1 << 40;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..BYTES).map(|_| byte()).collect()
}

pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
