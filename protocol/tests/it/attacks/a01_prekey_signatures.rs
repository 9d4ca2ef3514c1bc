//! A1: a server that puts its own prekey into a bundle. Every signature is verified before anything is computed, and only
//! [`waxwing_protocol::BundleIn::verify`] makes the value that a session starts from: nothing can be sent.

use waxwing_protocol::{BundleError, IdentityKeyPair, KyberPrekey, KyberPrekeyId, SignedPrekey, SignedPrekeyId};

use crate::party::{Party, Published, rng};

/// The errors of both functions that verify.
fn errors(published: &Published) -> [Option<BundleError>; 2] {
    let bundle = published.bundle_in();
    [bundle.verify().err(), bundle.verify_without_post_quantum_secrecy().err()]
}

fn with_signed(published: &Published, signature: &[u8]) -> Published {
    Published { signed_prekey_signature: signature.to_vec(), ..published.clone() }
}

fn with_kyber(published: &Published, signature: &[u8]) -> Published {
    let (id, key, _) = published.kyber_prekey.clone().unwrap();
    Published { kyber_prekey: Some((id, key, signature.to_vec())), ..published.clone() }
}

const SIGNED: [Option<BundleError>; 2] = [Some(BundleError::SignedPrekeySignature); 2];
const KYBER: [Option<BundleError>; 2] = [Some(BundleError::KyberPrekeySignature); 2];

#[test]
fn a1_a_bundle_with_any_bit_of_a_signature_flipped_is_refused() {
    let honest = Party::new(2, &mut rng(1)).published();
    assert_eq!(errors(&honest), [None; 2]);
    let kyber_signature = honest.kyber_prekey.clone().unwrap().2;
    for bit in 0..512 {
        let flip = |signature: &[u8]| {
            let mut flipped = signature.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        };
        assert_eq!(errors(&with_signed(&honest, &flip(&honest.signed_prekey_signature))), SIGNED, "bit {bit}");
        assert_eq!(errors(&with_kyber(&honest, &flip(&kyber_signature))), KYBER, "bit {bit}");
    }
}

#[test]
fn a1_a_bundle_with_a_signature_missing_or_of_another_size_is_refused() {
    let honest = Party::new(2, &mut rng(1)).published();
    let (signed, kyber) = (&honest.signed_prekey_signature, honest.kyber_prekey.clone().unwrap().2);
    for len in (0..64).chain([65, 96, 128]) {
        let resize = |signature: &[u8]| {
            let mut resized = signature.to_vec();
            resized.resize(len, 0);
            resized
        };
        assert_eq!(errors(&with_signed(&honest, &resize(signed))), SIGNED, "{len} bytes");
        assert_eq!(errors(&with_kyber(&honest, &resize(&kyber))), KYBER, "{len} bytes");
    }
    for byte in [0x00, 0xFF] {
        assert_eq!(errors(&with_signed(&honest, &[byte; 64])), SIGNED);
        assert_eq!(errors(&with_kyber(&honest, &[byte; 64])), KYBER);
    }
}

#[test]
fn a1_a_bundle_with_the_signatures_swapped_or_of_other_keys_or_people_is_refused() {
    let rng = &mut rng(1);
    let party = Party::new(2, rng);
    let honest = party.published();
    let mallory = IdentityKeyPair::generate(rng);
    let (signed, kyber) = (party.signed.signature().as_bytes(), party.kyber.signature().as_bytes());
    assert_eq!(errors(&with_signed(&honest, kyber)), SIGNED);
    assert_eq!(errors(&with_kyber(&honest, signed)), KYBER);

    for signer in [&party.identity, &mallory] {
        let other = SignedPrekey::generate(SignedPrekeyId(9), signer, rng);
        assert_eq!(errors(&with_signed(&honest, other.signature().as_bytes())), SIGNED);
        let other = KyberPrekey::generate(KyberPrekeyId(9), signer, rng);
        assert_eq!(errors(&with_kyber(&honest, other.signature().as_bytes())), KYBER);
    }

    // The server's own prekeys, signed by the server: the attack itself.
    let injected = SignedPrekey::generate(party.signed.id(), &mallory, rng);
    let mut bundle = with_signed(&honest, injected.signature().as_bytes());
    bundle.signed_prekey = injected.public_key().to_bytes().into();
    assert_eq!(errors(&bundle), SIGNED);
    let injected = KyberPrekey::generate(party.kyber.id(), &mallory, rng);
    let mut bundle = with_kyber(&honest, injected.signature().as_bytes());
    bundle.kyber_prekey.as_mut().unwrap().1 = injected.public_key().to_bytes().into();
    assert_eq!(errors(&bundle), KYBER);
    // Under the server's identity key everything is refused that the owner signed.
    let bundle = Published { identity_key: mallory.public_key().to_bytes().into(), ..honest };
    assert_eq!(errors(&bundle), SIGNED);
}
