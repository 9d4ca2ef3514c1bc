//! The twelve kinds of edge cases of `Taming the many EdDSAs` (Chalkias, Garillot, Nikolaenko, 2020), built anew, with the
//! verdict of our rule (spec §1.5): cofactorless, s < l, A and R of large order, R canonical. ATTACKS A10.
//!
//! Each case says which of the two textbook equations it satisfies, so that a refusal is our strictness and not a signature
//! that nobody would take. ed25519-dalek's strict verification, which has the same rule, is the second witness.

use curve25519_dalek::constants::EIGHT_TORSION;
use num_bigint::BigUint;

use super::*;
use crate::curve::tests::classify::{group_order, to_le_32};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Accepted,
    /// The key does not parse: no signature under it is looked at.
    KeyRefused,
    SignatureRefused,
}

use Verdict::{Accepted, KeyRefused, SignatureRefused};

/// The equations over decoded points, with h over the bytes given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Satisfies {
    /// sB = R + hA.
    Cofactorless,
    /// Only 8sB = 8R + 8hA.
    CofactoredOnly,
    /// Only if s is reduced first.
    UnlessRangeChecked,
}

struct Case {
    name: &'static str,
    public: [u8; 32],
    message: Vec<u8>,
    signature: [u8; 64],
    satisfies: Satisfies,
    verdict: Verdict,
}

const A: u64 = 0x1234_5678_9ABC_DEF1;
const R: u64 = 0x0FED_CBA9_8765_4321;

fn torsion(order: u8) -> EdwardsPoint {
    // EIGHT_TORSION[i] is i times a point of order 8.
    EIGHT_TORSION[usize::from(8 / order) % 8]
}

/// R ‖ s where s = r + h·a, for a message that makes `accept(h mod 8)` true. `public` and `commitment` are the bytes hashed.
fn search(
    public: [u8; 32],
    commitment: [u8; 32],
    r: Scalar,
    a: Scalar,
    accept: impl Fn(u8) -> bool,
) -> (Vec<u8>, [u8; 64]) {
    for counter in 0_u32..10_000 {
        let message = counter.to_le_bytes();
        let h = challenge(&CompressedEdwardsY(commitment), &public, &[&message]);
        if accept(h.as_bytes()[0] % 8) {
            return (message.to_vec(), join(&commitment, (r + h * a).as_bytes()));
        }
    }
    panic!("one in eight messages fits");
}

fn join(commitment: &[u8; 32], s: &[u8; 32]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(commitment);
    signature[32..].copy_from_slice(s);
    signature
}

fn base(k: u64) -> (Scalar, EdwardsPoint) {
    let scalar = Scalar::from(k);
    (scalar, EdwardsPoint::mul_base(&scalar))
}

fn cases() -> Vec<Case> {
    let ((a, public), (r, commitment)) = (base(A), base(R));
    let (zero, t2, t8) = (Scalar::ZERO, torsion(2), torsion(8));
    let mut cases = Vec::new();
    let mut case = |name, public, (message, signature), satisfies, verdict| {
        cases.push(Case { name, public, message, signature, satisfies, verdict });
    };
    let mixed = (public + t8).compress().0;
    let small = t8.compress().0;

    let small_r = t2.compress().0;
    // hA = -R: with A of order 8 and R of order 2, h = 4 mod 8.
    let found = search(small, small_r, zero, zero, |h| h == 4);
    case("0: S = 0, A and R small", small, found, Satisfies::Cofactorless, KeyRefused);
    let found = search(small, (commitment + t2).compress().0, r, zero, |h| h == 4);
    case("1: A small, R mixed", small, found, Satisfies::Cofactorless, KeyRefused);
    let found = search(mixed, small_r, zero, a, |h| h == 4);
    case("2: A mixed, R small", mixed, found, Satisfies::Cofactorless, SignatureRefused);
    let mixed_r = (commitment + t2).compress().0;
    let found = search(mixed, mixed_r, r, a, |h| h == 4);
    case("3: A and R mixed, cofactorless", mixed, found, Satisfies::Cofactorless, Accepted);
    let found = search(mixed, mixed_r, r, a, |h| h != 4);
    case("4: A and R mixed, cofactored only", mixed, found, Satisfies::CofactoredOnly, SignatureRefused);
    let prime_r = commitment.compress().0;
    let found = search(mixed, prime_r, r, a, |h| h != 0);
    case("5: A mixed, R of order l, cofactored only", mixed, found, Satisfies::CofactoredOnly, SignatureRefused);

    let honest = public.compress().0;
    let (message, signature) = search(honest, prime_r, r, a, |_| true);
    for (name, multiple) in [("6: S + l", 1_u8), ("7: S + 7l, beyond 253 bits", 7)] {
        let s = BigUint::from_bytes_le(&signature[32..]) + group_order() * multiple;
        let shifted = (message.clone(), join(&prime_r, &to_le_32(&s)));
        case(name, honest, shifted, Satisfies::UnlessRangeChecked, SignatureRefused);
    }

    // y = p + 1 and x = 0: the neutral element by a second name.
    let second_name = non_canonical_identity();
    let found = search(mixed, second_name, zero, a, |h| h == 0);
    case("8: R small and not canonical, A mixed", mixed, found, Satisfies::Cofactorless, SignatureRefused);
    let found = search(honest, second_name, zero, a, |_| true);
    case("9: R small and not canonical, A honest", honest, found, Satisfies::Cofactorless, SignatureRefused);
    let found = search(second_name, prime_r, r, zero, |_| true);
    case("10: A small and not canonical, R honest", second_name, found, Satisfies::Cofactorless, KeyRefused);
    let found = search(second_name, mixed_r, r, zero, |_| true);
    case("11: A small and not canonical, R mixed", second_name, found, Satisfies::CofactoredOnly, KeyRefused);
    cases
}

fn non_canonical_identity() -> [u8; 32] {
    to_le_32(&(crate::curve::tests::classify::modulus() + 1_u8))
}

fn satisfied(case: &Case) -> Satisfies {
    let commitment: [u8; 32] = case.signature[..32].try_into().unwrap();
    let s: [u8; 32] = case.signature[32..].try_into().unwrap();
    let h = challenge(&CompressedEdwardsY(commitment), &case.public, &[&case.message]);
    let decode = |bytes| CompressedEdwardsY(bytes).decompress().unwrap();
    let difference =
        EdwardsPoint::mul_base(&Scalar::from_bytes_mod_order(s)) - decode(commitment) - times(&h, decode(case.public));
    let in_range = BigUint::from_bytes_le(&s) < group_order();
    match (difference == torsion(1), difference.mul_by_cofactor() == torsion(1)) {
        (true, _) if in_range => Satisfies::Cofactorless,
        (true, _) => Satisfies::UnlessRangeChecked,
        (false, true) => Satisfies::CofactoredOnly,
        (false, false) => panic!("{}: satisfies nothing", case.name),
    }
}

/// Scalar multiplication of any point by the integer h, without assuming that l kills it.
fn times(h: &Scalar, point: EdwardsPoint) -> EdwardsPoint {
    let bits = (0..256).rev().map(|bit| h.as_bytes()[bit / 8] >> (bit % 8) & 1);
    bits.fold(torsion(1), |sum, bit| if bit == 1 { sum + sum + point } else { sum + sum })
}

#[test]
fn the_twelve_edge_cases_get_the_verdict_of_our_rule() {
    let cases = cases();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let name = case.name;
        assert_eq!(satisfied(&case), case.satisfies, "{name}");
        let verdict = match to_xeddsa(&case.public, &case.signature) {
            None => KeyRefused,
            Some((point, signature)) => match point.verify(&[&case.message], &signature) {
                Ok(()) => Accepted,
                Err(InvalidSignature) => SignatureRefused,
            },
        };
        assert_eq!(verdict, case.verdict, "{name}");
        let witness = VerifyingKey::from_bytes(&case.public).unwrap();
        let strictly = witness.verify_strict(&case.message, &EdSignature::from_bytes(&case.signature)).is_ok();
        assert_eq!(strictly, verdict == Accepted, "{name}: ed25519-dalek");
    }
}

/// Only keys whose bytes something else authenticates may have a torsion part; names of people may not.
#[test]
fn no_identity_key_reaches_the_cases_with_mixed_order() {
    for case in cases().iter().filter(|case| case.verdict == Accepted || case.name.contains("A mixed")) {
        let u = CompressedEdwardsY(case.public).decompress().unwrap().to_montgomery().to_bytes();
        let mut bytes = [0x05; 33];
        bytes[1..].copy_from_slice(&u);
        let error = crate::curve::PublicKeyError::MixedOrder;
        assert_eq!(crate::curve::IdentityKey::parse(&bytes), Err(error), "{}", case.name);
    }
}

/// s + l, ..., s + 7l all fit below the sign bit; each is another encoding of a good signature.
#[test]
fn every_multiple_of_l_added_to_s_is_refused() {
    let pair = pair(&[9; 32]);
    let signature = pair.sign(&[b"m"], &mut ChaCha20Rng::seed_from_u64(1));
    let mut bare = signature.0;
    bare[63] &= 0x7F;
    for multiple in 1_u8..8 {
        let s = BigUint::from_bytes_le(&bare[32..]) + group_order() * multiple;
        let mut shifted = join(&bare[..32].try_into().unwrap(), &to_le_32(&s));
        assert_eq!(shifted[63] >> 7, 0, "it fits");
        shifted[63] |= signature.0[63] & 0x80;
        assert_eq!(pair.public().verify(&[b"m"], &Signature(shifted)), Err(InvalidSignature), "S + {multiple} l");
    }
    // High bits that a verifier might mask away.
    for high in [0x10, 0x20, 0x40] {
        let mut masked = signature;
        masked.0[63] |= high;
        assert_eq!(pair.public().verify(&[b"m"], &masked), Err(InvalidSignature), "bit {high:#x}");
    }
}
