//! The field GF(2^16) with reduction polynomial x^16 + x^12 + x^3 + x + 1. Implements spec/06-spqr.md §6.6.
//!
//! An element is a `u16`, bit i standing for x^i; addition is `^`. Multiplication takes no tables and no branches. It would
//! not have to: everything that is coded here is public (encapsulation keys, ciphertexts and their MACs).
//!
//! ```text
//! mul(a, b)                 one product
//! combine(weights, rows)    Σ weight · row: the doublings are shared by all rows
//! Multiples::of(row)        row · f for many f: the doublings are made once
//! ```

/// Sixteen elements: what one chunk carries (spec §6.6).
pub(crate) type Row = [u16; LANES];

pub(crate) const LANES: usize = 16;

/// x^16, reduced.
const REDUCED: u16 = 0x100B;

/// A product.
pub(crate) const fn mul(a: u16, b: u16) -> u16 {
    let mut product = carryless(a, b);
    // Each fold lowers the degree: 30, 26, 22, 18, 14.
    let mut folds = 0u8;
    while folds < 4 {
        let high = product >> 16;
        product = (product & 0xFFFF) ^ high ^ (high << 1) ^ (high << 3) ^ (high << 12);
        folds = folds.wrapping_add(1);
    }
    let [low, next, _, _] = product.to_le_bytes();
    u16::from_le_bytes([low, next])
}

/// Polynomials over GF(2) multiplied with integer multiplications: every fourth bit is kept, so that what carries stays in
/// the three bits between.
const fn carryless(a: u16, b: u16) -> u32 {
    let [a0, a1, a2, a3] = every_fourth(a);
    let [b0, b1, b2, b3] = every_fourth(b);
    let z0 = a0.wrapping_mul(b0) ^ a1.wrapping_mul(b3) ^ a2.wrapping_mul(b2) ^ a3.wrapping_mul(b1);
    let z1 = a0.wrapping_mul(b1) ^ a1.wrapping_mul(b0) ^ a2.wrapping_mul(b3) ^ a3.wrapping_mul(b2);
    let z2 = a0.wrapping_mul(b2) ^ a1.wrapping_mul(b1) ^ a2.wrapping_mul(b0) ^ a3.wrapping_mul(b3);
    let z3 = a0.wrapping_mul(b3) ^ a1.wrapping_mul(b2) ^ a2.wrapping_mul(b1) ^ a3.wrapping_mul(b0);
    (z0 & 0x1111_1111) | (z1 & 0x2222_2222) | (z2 & 0x4444_4444) | (z3 & 0x8888_8888)
}

const fn every_fourth(a: u16) -> [u32; 4] {
    let [low, high] = a.to_le_bytes();
    let a = u32::from_le_bytes([low, high, 0, 0]);
    [a & 0x1111, a & 0x2222, a & 0x4444, a & 0x8888]
}

/// 1/a, that is a^(2^16 - 2); 0 for 0.
pub(crate) const fn inverse(a: u16) -> u16 {
    let mut square = mul(a, a);
    let mut product = square;
    let mut squarings = 1u8;
    while squarings < 15 {
        square = mul(square, square);
        product = mul(product, square);
        squarings = squarings.wrapping_add(1);
    }
    product
}

/// Σ weight · row.
pub(crate) fn combine(weights: &[u16], rows: &[Row]) -> Row {
    let mut sum = [0; LANES];
    for bit in BITS_DESCENDING {
        double(&mut sum);
        for (weight, row) in weights.iter().zip(rows) {
            add_if(&mut sum, row, weight & bit != 0);
        }
    }
    sum
}

/// row · x^i for i from 0 to 15.
pub(crate) struct Multiples([Row; 16]);

impl Multiples {
    pub(crate) fn of(row: &Row) -> Self {
        let mut multiples = [[0; LANES]; 16];
        let mut multiple = *row;
        for slot in &mut multiples {
            *slot = multiple;
            double(&mut multiple);
        }
        Self(multiples)
    }

    /// sum += row · factor.
    pub(crate) fn add_to(&self, sum: &mut Row, factor: u16) {
        for (multiple, bit) in self.0.iter().zip(BITS_DESCENDING.iter().rev()) {
            add_if(sum, multiple, factor & bit != 0);
        }
    }
}

/// All lanes times x.
fn double(row: &mut Row) {
    for lane in row {
        let carry = 0u16.wrapping_sub(*lane >> 15);
        *lane = (*lane << 1) ^ (carry & REDUCED);
    }
}

/// A mask instead of a branch: the compiler makes vector instructions of it.
fn add_if(sum: &mut Row, row: &Row, condition: bool) {
    let mask = 0u16.wrapping_sub(u16::from(condition));
    for (lane, added) in sum.iter_mut().zip(row) {
        *lane ^= added & mask;
    }
}

const BITS_DESCENDING: [u16; 16] =
    [0x8000, 0x4000, 0x2000, 0x1000, 0x800, 0x400, 0x200, 0x100, 0x80, 0x40, 0x20, 0x10, 8, 4, 2, 1];

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "test arithmetic is small")]

    use proptest::prelude::*;

    use super::*;

    /// The definition: shift, add, reduce bit by bit.
    fn naive(a: u16, b: u16) -> u16 {
        let mut product = 0u32;
        for bit in 0..16 {
            if b >> bit & 1 == 1 {
                product ^= u32::from(a) << bit;
            }
        }
        for bit in (16..32).rev() {
            if product >> bit & 1 == 1 {
                product ^= 0x1_100B << (bit - 16);
            }
        }
        product as u16
    }

    #[test]
    fn every_element_but_zero_has_an_inverse() {
        assert_eq!(inverse(0), 0);
        for a in 1..=u16::MAX {
            assert_eq!(mul(a, inverse(a)), 1, "{a}");
        }
    }

    proptest! {
        #[test]
        fn products_are_those_of_the_definition(a: u16, b: u16) {
            prop_assert_eq!(mul(a, b), naive(a, b));
        }

        #[test]
        fn rows_are_multiplied_lane_by_lane(rows: [[u16; 16]; 5], weights: [u16; 5]) {
            let mut expected = [0; 16];
            for (row, weight) in rows.iter().zip(weights) {
                for (lane, element) in expected.iter_mut().zip(row) {
                    *lane ^= naive(*element, weight);
                }
            }
            prop_assert_eq!(combine(&weights, &rows), expected);
            let mut sum = [0; 16];
            for (row, weight) in rows.iter().zip(weights) {
                Multiples::of(row).add_to(&mut sum, weight);
            }
            prop_assert_eq!(sum, expected);
        }
    }
}
