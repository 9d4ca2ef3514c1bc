//! Multiplications by secrets: agreement and signature.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use dudect_bencher::rand::Rng as _;
use dudect_bencher::{BenchRng, Class, CtRunner};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::{IdentityKeyPair, hazmat};

use super::{class, samples};

/// Clamping leaves one bit of it: what a table lookup or a skipped addition would show most.
const SPARSE: [u8; 32] = [0; 32];

const MESSAGE: [u8; 33] = [5; 33];

pub(crate) fn agree(runner: &mut CtRunner, rng: &mut BenchRng) {
    let theirs = *IdentityKeyPair::from_private_key(&[0x33; 32]).public_key();
    let keys: Vec<_> = private_keys(rng).map(|(class, key)| (class, IdentityKeyPair::from_private_key(&key))).collect();
    for (class, ours) in &keys {
        runner.run_one(*class, || hazmat::agree(ours, &theirs));
    }
}

pub(crate) fn agree_variable_time(runner: &mut CtRunner, rng: &mut BenchRng) {
    let theirs = EdwardsPoint::mul_base_clamped([0x33; 32]);
    // The leak is meant to be large: so few samples suffice that nobody waits for it.
    let keys: Vec<_> = private_keys(rng)
        .map(|(class, key)| (class, Scalar::from_bytes_mod_order(clamp_integer(key))))
        .take(samples(20))
        .collect();
    for (class, ours) in &keys {
        runner.run_one(*class, || {
            EdwardsPoint::vartime_double_scalar_mul_basepoint(ours, &theirs, &Scalar::ZERO).to_montgomery()
        });
    }
}

pub(crate) fn sign_key(runner: &mut CtRunner, rng: &mut BenchRng) {
    let inputs: Vec<_> =
        private_keys(rng).map(|(class, key)| (class, IdentityKeyPair::from_private_key(&key))).collect();
    let seeds: Vec<[u8; 32]> = inputs.iter().map(|_| random(rng)).collect();
    for ((class, key), seed) in inputs.iter().zip(&seeds) {
        runner.run_one(*class, || hazmat::sign(key, &MESSAGE, &mut ChaCha20Rng::from_seed(*seed)));
    }
}

pub(crate) fn sign_nonce(runner: &mut CtRunner, rng: &mut BenchRng) {
    let key = IdentityKeyPair::from_private_key(&random(rng));
    let fixed = random(rng);
    let seeds: Vec<_> = private_keys(rng)
        .map(|(class, seed)| match class {
            Class::Left => (class, fixed),
            Class::Right => (class, seed),
        })
        .collect();
    for (class, seed) in &seeds {
        runner.run_one(*class, || hazmat::sign(&key, &MESSAGE, &mut ChaCha20Rng::from_seed(*seed)));
    }
}

/// Left the same each time, right random.
fn private_keys(rng: &mut BenchRng) -> impl Iterator<Item = (Class, [u8; 32])> {
    (0..samples(100)).map(|_| {
        // Drawn in either case, so that both classes are made alike.
        let (class, key) = (class(rng), random(rng));
        match class {
            Class::Left => (class, SPARSE),
            Class::Right => (class, key),
        }
    })
}

fn random(rng: &mut BenchRng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}
