//! The erasure code: a long message travels as chunks of 32 bytes, any n distinct ones of which give it back. Implements
//! spec/06-spqr.md §6.6.
//!
//! ```text
//! message = row 0 ‖ … ‖ row n-1      lane j of row i is p_j(i), degree of p_j at most n-1
//! chunk x = (p_0(x), …, p_15(x))     chunk i is row i for i < n
//! ```
//! The decoder interpolates as chunks arrive instead of at the end: it always holds the values at 0 to n-1 of the
//! polynomials of least degree through what it has, so the n-th chunk costs as little as any other (some n row products) and
//! what has to be stored is hardly more than the chunks.
//!
//! Invariants: the same chunk again changes nothing; what comes after completion is not looked at.
//! Everything here is public data, so nothing has to be constant-time.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

pub(crate) use super::gf16::LANES;
use super::gf16::{self, Multiples, Row};

/// Bytes of a chunk.
pub(crate) const CHUNK: usize = 2 * LANES;

/// What is sent in chunks (spec §6.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// Header and its MAC: 96 bytes.
    Header,
    /// The encapsulation key's vector: 1,152 bytes.
    EncapsulationKey,
    /// The ciphertext's first part: 960 bytes.
    Ciphertext1,
    /// The ciphertext's second part and the MAC: 160 bytes.
    Ciphertext2,
}

/// One chunk as it travels: its number, and its sixteen elements, big-endian.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Chunk {
    pub(crate) index: u16,
    pub(crate) data: [u8; CHUNK],
}

/// What came of a part so far.
#[derive(Clone)]
pub(crate) struct Decoder {
    part: Part,
    /// The numbers of the chunks that came, in their order.
    seen: Vec<u16>,
    /// Values at 0 to n-1 of the interpolation through what came; zero at first.
    rows: Box<[Row]>,
    /// Π (i - x) over what came, for i from 0 to n-1: zero where the row is final.
    factors: Box<[u16]>,
}

/// What a chunk led to.
#[derive(Debug)]
pub(crate) enum Decoding {
    Incomplete(Decoder),
    /// The whole part.
    Complete(Box<[u8]>),
}

impl Part {
    /// n: how many chunks give the part back.
    pub(crate) const fn chunks(self) -> usize {
        self.denominators().len()
    }

    /// 1 / Π (i - j) over j ≠ i, for i from 0 to n-1.
    const fn denominators(self) -> &'static [u16] {
        match self {
            Self::Header => &HEADER,
            Self::EncapsulationKey => &ENCAPSULATION_KEY,
            Self::Ciphertext1 => &CIPHERTEXT1,
            Self::Ciphertext2 => &CIPHERTEXT2,
        }
    }

    /// Chunk `index` of `message`, which is as long as the part.
    pub(crate) fn encode(self, message: &[u8], index: u16) -> Chunk {
        let (stored, _) = message.as_chunks::<CHUNK>();
        if let Some(data) = stored.get(usize::from(index)) {
            return Chunk { index, data: *data };
        }
        let rows: Vec<Row> = stored.iter().map(to_row).collect();
        Chunk { index, data: to_bytes(&gf16::combine(&self.weights(index), &rows)) }
    }

    /// The message whose elements these are: lane j has `p_j(i)` for i from 0 to n-1.
    pub(crate) fn message_of_values(self, lanes: &[Vec<u16>; LANES]) -> Option<Vec<u8>> {
        self.message(lanes, |lane, i| lane.get(usize::from(i)).copied())
    }

    /// The message whose polynomials these are: lane j has the n coefficients of `p_j`, lowest first.
    pub(crate) fn message_of_coefficients(self, lanes: &[Vec<u16>; LANES]) -> Option<Vec<u8>> {
        self.message(lanes, |lane, i| lane.iter().rev().copied().reduce(|value, next| gf16::mul(value, i) ^ next))
    }

    fn message(self, lanes: &[Vec<u16>; LANES], value: impl Fn(&[u16], u16) -> Option<u16>) -> Option<Vec<u8>> {
        let n = u16::try_from(self.chunks()).ok()?;
        if lanes.iter().any(|lane| lane.len() != self.chunks()) {
            return None;
        }
        let elements = (0..n).flat_map(|i| lanes.iter().map(move |lane| (lane, i)));
        let bytes = elements.map(|(lane, i)| value(lane, i).map(u16::to_be_bytes)).collect::<Option<Vec<_>>>()?;
        Some(bytes.as_flattened().to_vec())
    }

    /// Lagrange's: p(x) = Σ weight · p(i) for polynomials of degree below n. Products from both ends spare divisions.
    fn weights(self, x: u16) -> Vec<u16> {
        let denominators = self.denominators();
        let mut weights = Vec::with_capacity(denominators.len());
        let mut product = 1;
        for (denominator, i) in denominators.iter().zip(0u16..) {
            weights.push(gf16::mul(*denominator, product));
            product = gf16::mul(product, x ^ i);
        }
        let (mut product, mut i) = (1, u16::try_from(weights.len()).unwrap_or(u16::MAX));
        for weight in weights.iter_mut().rev() {
            i = i.wrapping_sub(1);
            *weight = gf16::mul(*weight, product);
            product = gf16::mul(product, x ^ i);
        }
        weights
    }
}

impl Decoder {
    pub(crate) fn new(part: Part) -> Self {
        let n = part.chunks();
        let (rows, factors) = (vec![[0; LANES]; n], vec![1; n]);
        Self { part, seen: Vec::new(), rows: rows.into(), factors: factors.into() }
    }

    /// Takes one chunk in.
    pub(crate) fn with(mut self, chunk: &Chunk) -> Decoding {
        let x = chunk.index;
        if self.seen.contains(&x) {
            return Decoding::Incomplete(self);
        }
        // What the interpolation so far has at x, and how a correction there grows.
        let (mut correction, factor) = match (self.rows.get(usize::from(x)), self.factors.get(usize::from(x))) {
            (Some(row), Some(factor)) => (*row, *factor),
            _ => (
                gf16::combine(&self.part.weights(x), &self.rows),
                self.seen.iter().fold(1, |product, seen| gf16::mul(product, x ^ seen)),
            ),
        };
        for (lane, element) in correction.iter_mut().zip(to_row(&chunk.data)) {
            *lane ^= element;
        }
        let correction = Multiples::of(&gf16::combine(&[gf16::inverse(factor)], &[correction]));
        for ((row, factor), i) in self.rows.iter_mut().zip(&mut self.factors).zip(0u16..) {
            if *factor != 0 {
                correction.add_to(row, *factor);
                *factor = gf16::mul(*factor, x ^ i);
            }
        }
        self.seen.push(x);
        if self.seen.len() < self.part.chunks() {
            return Decoding::Incomplete(self);
        }
        Decoding::Complete(self.rows.iter().flat_map(to_bytes).collect())
    }

    pub(crate) const fn part(&self) -> Part {
        self.part
    }

    /// The numbers of the chunks that came.
    pub(crate) fn seen(&self) -> &[u16] {
        &self.seen
    }

    /// What must be stored besides [`Self::seen`]: row and factor for i from 0 to n-1.
    pub(crate) fn stored(&self) -> impl Iterator<Item = ([u8; CHUNK], u16)> {
        self.rows.iter().map(to_bytes).zip(self.factors.iter().copied())
    }

    /// Puts a decoder together again from what [`Self::seen`] and [`Self::stored`] gave; none if they do not fit together.
    pub(crate) fn restore(part: Part, seen: Vec<u16>, stored: &[([u8; CHUNK], u16)]) -> Option<Self> {
        let n = part.chunks();
        let is_final = |i: u16| seen.contains(&i);
        let fits = stored.len() == n
            && seen.len() < n
            && seen.iter().enumerate().all(|(at, x)| !seen.iter().take(at).any(|earlier| earlier == x))
            && stored.iter().zip(0u16..).all(|((_, factor), i)| (*factor == 0) == is_final(i));
        fits.then(|| Self {
            part,
            seen,
            rows: stored.iter().map(|(data, _)| to_row(data)).collect(),
            factors: stored.iter().map(|(_, factor)| *factor).collect(),
        })
    }
}

impl core::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { part, seen, rows: _, factors: _ } = self;
        f.debug_struct("Decoder").field("part", part).field("seen", seen).finish_non_exhaustive()
    }
}

fn to_row(data: &[u8; CHUNK]) -> Row {
    let (pairs, _) = data.as_chunks::<2>();
    let mut row = [0; LANES];
    for (lane, pair) in row.iter_mut().zip(pairs) {
        *lane = u16::from_be_bytes(*pair);
    }
    row
}

fn to_bytes(row: &Row) -> [u8; CHUNK] {
    let mut data = [0; CHUNK];
    let (pairs, _) = data.as_chunks_mut::<2>();
    for (pair, lane) in pairs.iter_mut().zip(row) {
        *pair = lane.to_be_bytes();
    }
    data
}

static HEADER: [u16; 3] = denominators();
static ENCAPSULATION_KEY: [u16; 36] = denominators();
static CIPHERTEXT1: [u16; 30] = denominators();
static CIPHERTEXT2: [u16; 5] = denominators();

/// At compile time.
#[expect(clippy::indexing_slicing, clippy::as_conversions, reason = "checked by the compiler, which runs it")]
const fn denominators<const N: usize>() -> [u16; N] {
    let mut denominators = [1; N];
    let mut i = 0;
    while i < N {
        let mut product = 1;
        let mut j = 0;
        while j < N {
            if i != j {
                product = gf16::mul(product, (i ^ j) as u16);
            }
            j = j.wrapping_add(1);
        }
        denominators[i] = gf16::inverse(product);
        i = i.wrapping_add(1);
    }
    denominators
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "test arithmetic is small")]

    use proptest::collection::vec as vec_of;
    use proptest::prelude::*;

    use super::*;

    const PARTS: [Part; 4] = [Part::Header, Part::EncapsulationKey, Part::Ciphertext1, Part::Ciphertext2];

    /// Lagrange by the textbook: the value at `x` of the polynomials through `points`.
    fn naive(points: &[(u16, Row)], x: u16) -> Row {
        let mut value = [0; LANES];
        for (i, row) in points {
            let mut weight = 1;
            for (j, _) in points {
                if i != j {
                    weight = gf16::mul(weight, gf16::mul(x ^ j, gf16::inverse(i ^ j)));
                }
            }
            for (lane, element) in value.iter_mut().zip(row) {
                *lane ^= gf16::mul(weight, *element);
            }
        }
        value
    }

    fn message(part: Part, seed: u64) -> Vec<u8> {
        let mut state = seed;
        (0..part.chunks() * CHUNK)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect()
    }

    fn part() -> impl Strategy<Value = Part> {
        (0..4usize).prop_map(|at| PARTS[at])
    }

    #[test]
    fn sizes_are_those_of_the_specification() {
        assert_eq!(PARTS.map(|part| part.chunks() * CHUNK), [96, 1152, 960, 160]);
    }

    proptest! {
        #[test]
        fn chunks_are_those_of_the_textbook(part in part(), seed: u64, index: u16) {
            let message = message(part, seed);
            let points: Vec<_> = (0..).zip(message.as_chunks::<CHUNK>().0.iter().map(to_row)).collect();
            prop_assert_eq!(part.encode(&message, index).data, to_bytes(&naive(&points, index)));
        }

        /// Any n distinct chunks, in any order, with repetitions, and stored in between.
        #[test]
        fn any_n_chunks_in_any_order_decode(part in part(), seed: u64, mut indices in vec_of(0..200u16, 200), stored: bool) {
            let message = message(part, seed);
            // Enough distinct ones to end.
            indices.extend((0..40).map(|i| u16::MAX - i));
            let mut decoder = Decoder::new(part);
            let mut seen: Vec<u16> = Vec::new();
            for index in indices {
                if !seen.contains(&index) {
                    seen.push(index);
                }
                let points: Vec<_> = seen.iter().map(|x| (*x, to_row(&part.encode(&message, *x).data))).collect();
                match decoder.with(&part.encode(&message, index)) {
                    Decoding::Complete(decoded) => {
                        prop_assert_eq!(seen.len(), part.chunks());
                        prop_assert_eq!(&*decoded, &message[..]);
                        return Ok(());
                    }
                    Decoding::Incomplete(next) => decoder = next,
                }
                if seed % 8 == 0 {
                    let first = naive(&points, 0);
                    prop_assert_eq!(decoder.rows[0], first, "the interpolation so far");
                }
                if stored {
                    let rows: Vec<_> = decoder.stored().collect();
                    decoder = Decoder::restore(part, decoder.seen().to_vec(), &rows).expect("it fits together");
                }
            }
            prop_assert!(false, "n chunks did not complete");
        }

        #[test]
        fn a_chunk_number_that_came_is_not_looked_at_again(part in part(), seed: u64, index: u16, flipped in 0..CHUNK) {
            let message = message(part, seed);
            let chunk = part.encode(&message, index);
            let Decoding::Incomplete(decoder) = Decoder::new(part).with(&chunk) else { panic!("one is too few") };
            let mut other = chunk;
            other.data[flipped] ^= 1;
            let Decoding::Incomplete(after) = decoder.clone().with(&other) else { panic!("one is too few") };
            prop_assert_eq!(after.rows, decoder.rows);
            prop_assert_eq!(after.seen, decoder.seen);
        }
    }
}
