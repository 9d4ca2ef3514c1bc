//! ML-KEM-768 (FIPS 203) in pieces. Implements spec/06-spqr.md §6.5.
//!
//! ```text
//! encapsulation key = vector[1152] ‖ ρ[32]     header = ρ ‖ SHA3-256(vector ‖ ρ)
//! ciphertext        = ct1[960] ‖ ct2[128]      ct1 needs the header only, ct2 the vector
//! ```
//! Both halves together are an ordinary ciphertext: decapsulation and ct2 come from the unsplit functions. What must be
//! kept between ct1 and ct2 is therefore only the 32 bytes that the encapsulation was made from.
//! Secrets become libcrux values for one call only; SECURITY.md says what that leaves behind.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use libcrux_ml_kem::mlkem768::{self, MlKem768Ciphertext, MlKem768PrivateKey, MlKem768PublicKey, incremental};
use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::Epoch;
use crate::crypto::{Salt, hkdf_with};
use crate::label;

pub(crate) const HEADER: usize = 64;
pub(crate) const VECTOR: usize = 1152;
pub(crate) const DECAPSULATION_KEY: usize = 2400;
pub(crate) const CT1: usize = 960;
pub(crate) const CT2: usize = 128;
/// What libcrux keeps between ct1 and ct2: r and e2 as 16-bit coefficients, low byte first, then m.
pub(crate) const ENCAPSULATION_STATE: usize = incremental::encaps_state_len();

/// A FIPS 203 decapsulation key, which holds the encapsulation key: `dk_PKE`[1152] ‖ vector[1152] ‖ ρ[32] ‖ H(ek)[32] ‖ z[32].
/// Cloning shares it.
#[derive(Clone)]
pub(crate) struct DecapsulationKey(pub(crate) Arc<DecapsulationKeyBytes>);

#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct DecapsulationKeyBytes(Box<[u8; DECAPSULATION_KEY]>);

/// What an encapsulation is made from (FIPS 203's m): between ct1 and ct2 it stands for the epoch's secret. Cloning shares it.
#[derive(Clone)]
pub(crate) struct EncapsulationSeed(Arc<SeedBytes>);

#[derive(Zeroize, ZeroizeOnDrop)]
struct SeedBytes([u8; 32]);

/// What an epoch contributes: derived from the KEM's shared secret, and bound to the epoch.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct EpochSecret(Box<[u8; 32]>);

/// The encapsulation key is not the header's, or a coefficient of it is not reduced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct InvalidEncapsulationKey;

impl DecapsulationKey {
    /// Draws 64 bytes.
    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut randomness = Zeroizing::new([0; 64]);
        rng.fill_bytes(randomness.as_mut());
        let pair = mlkem768::generate_key_pair(*randomness);
        Self::from_bytes(pair.sk())
    }

    pub(crate) fn from_bytes(bytes: &[u8; DECAPSULATION_KEY]) -> Self {
        Self(Arc::new(DecapsulationKeyBytes(Box::new(*bytes))))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; DECAPSULATION_KEY] {
        &self.0.0
    }

    /// 1,152 bytes.
    pub(crate) fn vector(&self) -> &[u8] {
        self.0.0.split_at(VECTOR).1.split_at(VECTOR).0
    }

    /// 64 bytes: ρ and the hash stand side by side in the key.
    pub(crate) fn header(&self) -> &[u8] {
        self.0.0.split_at(VECTOR.saturating_mul(2)).1.split_at(HEADER).0
    }

    /// Infallible by design (implicit rejection): what is wrong shows in the MAC.
    pub(crate) fn decapsulate(&self, epoch: Epoch, ct1: &[u8; CT1], ct2: &[u8; CT2]) -> EpochSecret {
        let mut ciphertext = [0; CT1 + CT2];
        let (first, second) = ciphertext.split_at_mut(CT1);
        first.copy_from_slice(ct1);
        second.copy_from_slice(ct2);
        let key = MlKem768PrivateKey::from(&*self.0.0);
        let mut shared = mlkem768::decapsulate(&key, &MlKem768Ciphertext::from(&ciphertext));
        let secret = EpochSecret::derive(epoch, &shared);
        shared.zeroize();
        secret
    }
}

impl EncapsulationSeed {
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Arc::new(SeedBytes(*bytes)))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0.0
    }

    /// The second part, once the whole encapsulation key is there: checked against the header, and every coefficient against
    /// the modulus (FIPS 203 §7.2).
    pub(crate) fn second_part(
        &self,
        header: &[u8; HEADER],
        vector: &[u8; VECTOR],
    ) -> Result<[u8; CT2], InvalidEncapsulationKey> {
        incremental::validate_pk_bytes(header, vector).map_err(|_| InvalidEncapsulationKey)?;
        let mut key = [0; VECTOR + 32];
        let (head, tail) = key.split_at_mut(VECTOR);
        head.copy_from_slice(vector);
        tail.copy_from_slice(header.split_at(32).0);
        let (ciphertext, mut shared) = mlkem768::encapsulate(&MlKem768PublicKey::from(&key), self.0.0);
        shared.zeroize();
        ciphertext.as_slice().split_at(CT1).1.try_into().map_err(|_| InvalidEncapsulationKey)
    }
}

/// Makes the first part and the epoch's secret from a header. Draws 32 bytes.
pub(crate) fn encapsulate(
    epoch: Epoch,
    header: &[u8; HEADER],
    rng: &mut impl CryptoRng,
) -> (EncapsulationSeed, Box<[u8; CT1]>, EpochSecret) {
    let mut randomness = Zeroizing::new([0; 32]);
    rng.fill_bytes(randomness.as_mut());
    encapsulate_from(epoch, header, EncapsulationSeed::from_bytes(&randomness))
}

/// The second part from libcrux's own state, for what the official library left half done. None if a coefficient is none
/// that an encapsulation has.
pub(crate) fn second_part_of_state(state: &[u8; ENCAPSULATION_STATE], vector: &[u8; VECTOR]) -> Option<[u8; CT2]> {
    const Q: u16 = 3329;
    const ETA2: u16 = 2;
    let (coefficients, _) = state.split_last_chunk::<32>()?.0.as_chunks::<2>();
    let (r, e2) = coefficients.split_at_checked(3 * 256)?;
    let is_below = |bound: u16| move |bytes: &[u8; 2]| i16::from_le_bytes(*bytes).unsigned_abs() < bound;
    let is_possible = r.iter().all(is_below(Q)) && e2.iter().all(is_below(ETA2 + 1));
    is_possible.then(|| incremental::encapsulate2(state, vector).value)
}

/// [`encapsulate`] from given randomness.
#[expect(clippy::expect_used, reason = "every size is a constant of the same crate")]
pub(crate) fn encapsulate_from(
    epoch: Epoch,
    header: &[u8; HEADER],
    seed: EncapsulationSeed,
) -> (EncapsulationSeed, Box<[u8; CT1]>, EpochSecret) {
    // The state that would spare the second part some work is not kept: it is 2,080 bytes, and secret.
    let mut state = Zeroizing::new([0; ENCAPSULATION_STATE]);
    let mut shared = Zeroizing::new([0; 32]);
    let ct1 =
        incremental::encapsulate1(header, seed.0.0, &mut state[..], &mut shared[..]).expect("sizes are constants");
    let secret = EpochSecret::derive(epoch, &shared);
    (seed, Box::new(ct1.value), secret)
}

impl EpochSecret {
    fn derive(epoch: Epoch, shared: &[u8; 32]) -> Self {
        let info = [label::SPQR_EPOCH_SECRET.as_bytes(), &epoch.to_bytes()];
        let [secret] = &*hkdf_with::<1>(Salt::None, &[shared], &info);
        Self(Box::new(*secret))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn for_test(bytes: [u8; 32]) -> Self {
        Self(Box::new(bytes))
    }
}

impl fmt::Debug for DecapsulationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecapsulationKey(..)")
    }
}

impl fmt::Debug for EncapsulationSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncapsulationSeed(..)")
    }
}

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochSecret(..)")
    }
}

#[cfg(test)]
mod tests;
