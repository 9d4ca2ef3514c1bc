//! Seeded conversations over a network that loses, reorders and duplicates, with restarts and archivings on our side.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use waxwing_tests::peer::Peer;

use crate::{
    Peers,
    stage::{Setup, Stage, digest},
    transcript::{
        Initiator::{Library, Us},
        Transcript,
    },
};

const STEPS: u32 = 50;
/// A receiver keeps five chains; messages older than that are given up.
const CHAINS: u32 = 4;

pub fn record(peers: &Peers) -> Vec<Transcript> {
    let mut transcripts = Vec::new();
    for (peer, suite) in [(&peers.v0_72_1, 3), (&peers.v0_72_1, 4), (&peers.v0_90_0, 4)] {
        for initiator in [Us, Library] {
            let who = if initiator == Us { "our" } else { "its" };
            let name = format!(
                "loss, reordering, duplicates and restarts in {who} session with {}, version {suite}",
                peer.version()
            );
            transcripts.push(Run::new(peer, &name, &Setup::new(suite, initiator)).record());
        }
    }
    transcripts
}

struct Run<'p> {
    stage: Stage<'p>,
    rng: ChaCha8Rng,
    ends: [End; 2],
}

/// What an end has in flight and in memory; 0 is ours, 1 the library's.
#[derive(Default)]
struct End {
    inbox: Vec<Flying>,
    delivered: Vec<Flying>,
    heard: u32,
    chain: u32,
}

#[derive(Clone, Copy)]
struct Flying {
    message: u32,
    chain: u32,
}

impl<'p> Run<'p> {
    fn new(peer: &'p Peer, name: &str, setup: &Setup) -> Self {
        let mut stage = Stage::new(peer, name, setup);
        let initiator = usize::from(setup.initiator == Library);
        if initiator == 0 {
            stage.we_initiate();
        } else {
            stage.library_initiates();
        }
        let ends = [(); 2].map(|()| End { chain: 1, ..End::default() });
        let mut run = Self { stage, rng: ChaCha8Rng::from_seed(digest("schedule", name)), ends };
        run.send(initiator);
        run.deliver(1 - initiator);
        run
    }

    fn record(mut self) -> Transcript {
        for _ in 0..STEPS {
            let end = self.below(2);
            match self.below(20) {
                0..8 => self.send(end),
                8..14 => self.deliver(end),
                14..16 => drop(self.take(end)),
                16..18 => self.repeat(end),
                _ => self.stage.restart(),
            }
        }
        for end in [0, 1] {
            while !self.ends[end].inbox.is_empty() {
                self.deliver(end);
            }
        }
        self.stage.send(b"the end");
        self.stage.receive(b"the end");
        self.stage.library_record();
        self.stage.done()
    }

    fn send(&mut self, from: usize) {
        let mut text = vec![0; self.below(40)];
        self.rng.fill_bytes(&mut text);
        let message = if from == 0 { self.stage.seal(&text) } else { self.stage.library_seals(&text) };
        let flying = Flying { message, chain: self.ends[from].chain };
        self.ends[1 - from].inbox.push(flying);
    }

    fn deliver(&mut self, to: usize) {
        let Some(flying) = self.take(to) else { return };
        if flying.chain + CHAINS <= self.ends[to].heard {
            return;
        }
        if to == 0 {
            self.stage.open(flying.message);
        } else {
            self.stage.delivered(flying.message);
        }
        let end = &mut self.ends[to];
        if flying.chain > end.heard {
            end.heard = flying.chain;
            end.chain += 1;
        }
        end.delivered.push(flying);
    }

    fn repeat(&mut self, to: usize) {
        let count = self.ends[to].delivered.len();
        if count == 0 {
            return;
        }
        let index = self.below(count);
        let flying = self.ends[to].delivered[index];
        if flying.chain + CHAINS <= self.ends[to].heard {
            return;
        }
        if to == 0 {
            let error = self.stage.what_we_say(flying.message, &self.stage.body(flying.message));
            assert!(error.starts_with("OpenError::Duplicate"), "{error}");
            self.stage.refuse(flying.message, &error);
        } else {
            self.stage.delivered_in_vain(flying.message, "old counter");
        }
    }

    fn take(&mut self, to: usize) -> Option<Flying> {
        let count = self.ends[to].inbox.len();
        (count > 0).then(|| {
            let index = self.below(count);
            self.ends[to].inbox.swap_remove(index)
        })
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.rng.next_u64() % bound as u64) as usize
    }
}
