//! What a u-coordinate is, decided in big integers from the curve's equation alone (RFC 7748 §4.1, §5): the witness that
//! the parser is compared with. Nothing here calls the crate or dalek.
//!
//! The curve is v² = u³ + 486662·u² + u over p = 2^255 - 19; its group has 8·l points. Orders are found with x-only
//! arithmetic: three doublings for small order, a ladder by l for the prime-order subgroup.

use num_bigint::BigUint;

/// What the 32 bytes of a u-coordinate are.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::curve) enum Class {
    /// 2^255 - 19 or more as a 256-bit number: a second encoding of another value.
    NonCanonical,
    /// No point of the curve has it.
    Twist,
    /// Its order divides 8.
    SmallOrder,
    /// Its order is a multiple of l, and greater.
    MixedOrder,
    /// Its order is l: what honest keys are.
    Prime,
}

pub(in crate::curve) fn classify(bytes: &[u8; 32]) -> Class {
    let field = Field::new();
    let u = BigUint::from_bytes_le(bytes);
    if u >= field.p {
        Class::NonCanonical
    } else if !field.is_on_curve(&u) {
        Class::Twist
    } else if field.is_killed_by_8(&u) {
        Class::SmallOrder
    } else if field.is_killed_by_l(&u) {
        Class::Prime
    } else {
        Class::MixedOrder
    }
}

/// p, the field's modulus.
pub(in crate::curve) fn modulus() -> BigUint {
    (BigUint::from(1_u8) << 255) - BigUint::from(19_u8)
}

/// l, the order of the base point (RFC 7748 §4.1).
pub(in crate::curve) fn group_order() -> BigUint {
    let low = BigUint::parse_bytes(b"14def9dea2f79cd65812631a5cf5d3ed", 16).unwrap();
    (BigUint::from(1_u8) << 252) + low
}

/// A number below 2^256 as 32 little-endian bytes.
pub(in crate::curve) fn to_le_32(number: &BigUint) -> [u8; 32] {
    let mut bytes = number.to_bytes_le();
    bytes.resize(32, 0);
    bytes.try_into().unwrap()
}

struct Field {
    p: BigUint,
    a: BigUint,
}

/// u = x / z; z = 0 is the neutral element.
struct Projective {
    x: BigUint,
    z: BigUint,
}

impl Field {
    fn new() -> Self {
        Self { p: modulus(), a: BigUint::from(486_662_u32) }
    }

    fn mul(&self, a: &BigUint, b: &BigUint) -> BigUint {
        a * b % &self.p
    }

    fn add(&self, a: &BigUint, b: &BigUint) -> BigUint {
        (a + b) % &self.p
    }

    fn sub(&self, a: &BigUint, b: &BigUint) -> BigUint {
        (a + &self.p - b) % &self.p
    }

    /// Euler's criterion for u³ + 486662·u² + u; zero is the square of zero.
    fn is_on_curve(&self, u: &BigUint) -> bool {
        let square = self.mul(u, u);
        let cubic = (self.mul(&square, u) + self.mul(&self.a, &square) + u) % &self.p;
        let exponent = (&self.p - 1_u8) / 2_u8;
        cubic == BigUint::ZERO || cubic.modpow(&exponent, &self.p) == BigUint::from(1_u8)
    }

    fn is_killed_by_8(&self, u: &BigUint) -> bool {
        let mut point = Projective { x: u.clone(), z: BigUint::from(1_u8) };
        for _ in 0..3 {
            point = self.double(&point);
        }
        point.z == BigUint::ZERO
    }

    /// A Montgomery ladder. Its differential additions are right for every u except 0, which has small order.
    fn is_killed_by_l(&self, u: &BigUint) -> bool {
        let mut low = Projective { x: BigUint::from(1_u8), z: BigUint::ZERO };
        let mut high = Projective { x: u.clone(), z: BigUint::from(1_u8) };
        let l = group_order();
        for bit in (0..l.bits()).rev() {
            let sum = self.add_with_difference(&low, &high, u);
            if l.bit(bit) {
                high = self.double(&high);
                low = sum;
            } else {
                low = self.double(&low);
                high = sum;
            }
        }
        low.z == BigUint::ZERO
    }

    /// x' = (x² - z²)², z' = 4xz(x² + Axz + z²).
    fn double(&self, point: &Projective) -> Projective {
        let Projective { x, z } = point;
        let (xx, zz, xz) = (self.mul(x, x), self.mul(z, z), self.mul(x, z));
        let difference = self.sub(&xx, &zz);
        let sum = (&xx + &zz + self.mul(&self.a, &xz)) % &self.p;
        Projective { x: self.mul(&difference, &difference), z: self.mul(&(&xz * 4_u8), &sum) }
    }

    /// x' = ((x₁-z₁)(x₂+z₂) + (x₁+z₁)(x₂-z₂))², z' = u·((x₁-z₁)(x₂+z₂) - (x₁+z₁)(x₂-z₂))²; u is that of the difference.
    fn add_with_difference(&self, one: &Projective, two: &Projective, u: &BigUint) -> Projective {
        let cross = self.mul(&self.sub(&one.x, &one.z), &self.add(&two.x, &two.z));
        let other = self.mul(&self.add(&one.x, &one.z), &self.sub(&two.x, &two.z));
        let (sum, difference) = (self.add(&cross, &other), self.sub(&cross, &other));
        Projective { x: self.mul(&sum, &sum), z: self.mul(u, &self.mul(&difference, &difference)) }
    }
}
