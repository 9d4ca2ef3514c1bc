//! B16: a generator that repeats itself, as after a fork or a restored snapshot. Signatures survive it, because their nonces
//! hash key and message besides. (The scheme's own test stands in protocol/src/curve/xeddsa/tests.rs; generators of the
//! operating system come with the client.)

use std::collections::BTreeSet;
use std::convert::Infallible;

use rand_chacha::rand_core::{TryCryptoRng, TryRng};
use waxwing_protocol::{IdentityKeyPair, KyberPrekey, KyberPrekeyId, SignedPrekey, SignedPrekeyId};

struct Stuck(u8);

impl TryRng for Stuck {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes([self.0; 4]))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes([self.0; 8]))
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Stuck {}

/// The same 64 random bytes over two messages under one key: with a nonce made of them alone, the two signatures would give
/// the identity key away.
#[test]
fn b16_a_stuck_generator_repeats_no_nonce_in_prekey_signatures() {
    let mut nonces = BTreeSet::new();
    for stuck in 0..=255 {
        let rng = &mut Stuck(stuck);
        let identities = [IdentityKeyPair::from_private_key(&[1; 32]), IdentityKeyPair::from_private_key(&[2; 32])];
        for identity in identities {
            let signed = SignedPrekey::generate(SignedPrekeyId(1), &identity, rng);
            let kyber = KyberPrekey::generate(KyberPrekeyId(1), &identity, rng);
            for signature in [signed.signature(), kyber.signature()] {
                assert!(nonces.insert(signature.as_bytes()[..32].to_vec()), "the nonce is repeated: {stuck}");
            }
        }
    }
    assert_eq!(nonces.len(), 4 * 256);
}

#[test]
fn b16_the_random_bytes_are_used_where_they_are_good() {
    let identity = IdentityKeyPair::from_private_key(&[1; 32]);
    let private = [5; 32];
    let sign = |byte| {
        // The same key pair and message, other bytes for the nonce.
        let mut drawn = [private, [byte; 32], [byte; 32]].concat().into_iter();
        let mut rng = Scripted(&mut drawn);
        let prekey = SignedPrekey::generate(SignedPrekeyId(1), &identity, &mut rng);
        assert!(drawn.next().is_none(), "32 bytes for the pair, 64 for the nonce");
        (prekey.public_key(), *prekey.signature().as_bytes())
    };
    assert_eq!(sign(1), sign(1));
    assert_eq!(sign(1).0, sign(2).0);
    assert_ne!(sign(1).1[..32], sign(2).1[..32]);
}

struct Scripted<'a>(&'a mut std::vec::IntoIter<u8>);

impl TryRng for Scripted<'_> {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("the crate draws bytes")
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("the crate draws bytes")
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill_with(|| self.0.next().unwrap());
        Ok(())
    }
}

impl TryCryptoRng for Scripted<'_> {}
