//! Texts as people write them, for benchmarks: words by Zipf's law from a made-up vocabulary, a third of a line up to several.
#![allow(dead_code, reason = "each benchmark uses a part")]
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Script {
    Latin,
    Chinese,
}

pub(crate) struct Texts {
    pub(crate) rng: ChaCha20Rng,
    pub(crate) script: Script,
}

impl Texts {
    pub(crate) fn new(script: Script) -> Self {
        Self { rng: ChaCha20Rng::seed_from_u64(1), script }
    }

    /// 1 to `most`, the small ones often.
    pub(crate) fn zipf(&mut self, most: f64) -> u64 {
        let uniform = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        most.powf(uniform) as u64
    }

    pub(crate) fn text(&mut self) -> String {
        let words = 2 + self.zipf(120.0);
        let words: Vec<_> = (0..words).map(|_| self.word()).collect();
        words.join(if self.script == Script::Latin { " " } else { "" })
    }

    fn word(&mut self) -> String {
        let rank = self.zipf(30_000.0);
        match self.script {
            Script::Latin => latin(rank),
            Script::Chinese => {
                let character = |number: u64| char::from_u32(0x4e00 + number as u32).unwrap();
                [character(rank % 173 * 17), character(rank / 173 * 16)].iter().collect()
            }
        }
    }
}

fn latin(rank: u64) -> String {
    let syllables =
        ["ka", "lo", "mi", "ster", "un", "be", "ra", "ting", "so", "ve", "de", "nor", "pa", "qui", "el", "ash"];
    let (mut rest, mut word) = (rank, String::new());
    loop {
        word.push_str(syllables[(rest % 16) as usize]);
        rest /= 16;
        if rest == 0 {
            return word;
        }
    }
}
