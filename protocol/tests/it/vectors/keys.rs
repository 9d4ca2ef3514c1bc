//! 01-keys.json: keys and signatures, one call each.

use curve25519_dalek::EdwardsPoint;
use waxwing_protocol::{
    BaseKey, BundleError, BundleIn, DeviceId, IdentityKey, IdentityKeyPair, KyberPrekey, KyberPrekeyId, KyberPublicKey,
    KyberSecretKey, PrekeyPublic, PublicKeyError, RatchetKey, RegistrationId, Signature, SignedPrekeyId,
    SignedPrekeyIn,
};

use super::case::KeyCase;
use super::device::array;

#[test]
fn keys_and_signatures_are_as_the_library_has_them() {
    let cases: Vec<KeyCase> = super::read("01-keys.json");
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut signs = [0, 0];
    for case in &cases {
        check(case, &mut signs);
    }
    assert!(signs[0] >= 3 && signs[1] >= 3, "signatures with both sign bits: {signs:?}");
}

fn check(case: &KeyCase, signs: &mut [u32; 2]) {
    match case {
        KeyCase::KeyPair { name, library: _, private, public } => {
            let pair = IdentityKeyPair::from_private_key(&array(private).unwrap());
            assert_eq!(pair.public_key().to_bytes()[..], **public, "{name}");
        }
        KeyCase::PublicKey { name, library: _, bytes, verdict: _, strict, ratchet } => {
            let named = |error: Option<PublicKeyError>| error.map(|error| format!("PublicKeyError::{error:?}"));
            let as_strict = [
                named(IdentityKey::parse(bytes).err()),
                named(PrekeyPublic::parse(bytes).err()),
                named(BaseKey::parse(bytes).err()),
            ];
            assert_eq!(as_strict, [(); 3].map(|()| strict.clone()), "{name}");
            assert_eq!(named(RatchetKey::parse(bytes).err()), *ratchet, "{name} as ratchet key");
        }
        KeyCase::Signature { name, library: _, public, message, signature, verdict: _, error } => {
            assert_eq!(verified(public, message, signature), *error, "{name}");
            if error.is_none() {
                signs[usize::from(signature[63] >> 7)] += 1;
            }
        }
        KeyCase::KyberPrekey { name, library: _, identity, public, private, signature } => {
            let identity = IdentityKeyPair::from_private_key(&array(identity).unwrap());
            let sign = EdwardsPoint::mul_base_clamped(*identity.private_key()).compress().0[31] >> 7;
            assert_eq!(signature[63] >> 7, sign, "{name}: the signature carries the sign of its key");
            let signature = Signature::from_bytes(array(signature).unwrap());
            let prekey = KyberPrekey::restore(KyberPrekeyId(1), private, signature, &identity)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(*prekey.public_key().to_bytes(), **public, "{name}");
            assert_eq!(**prekey.secret_key().to_bytes(), **private, "{name}");
        }
        KeyCase::KyberPublicKey { name, library: _, bytes, verdict: _, error } => {
            let ours = KyberPublicKey::parse(bytes).err().map(|error| format!("PublicKeyError::{error:?}"));
            assert_eq!(ours, *error, "{name}");
        }
        KeyCase::KyberSecretKey { name, library: _, bytes, verdict: _, error } => {
            let ours = KyberSecretKey::parse(bytes).err().map(|error| format!("KyberSecretKeyError::{error:?}"));
            assert_eq!(ours, *error, "{name}");
        }
    }
}

/// A signed prekey's signature, where every embedder meets it: in a bundle.
fn verified(public: &[u8], message: &[u8], signature: &[u8]) -> Option<String> {
    let bundle = BundleIn {
        registration_id: RegistrationId(1),
        device_id: DeviceId::new(1).unwrap(),
        identity_key: public,
        signed_prekey: SignedPrekeyIn { id: SignedPrekeyId(1), public_key: message, signature },
        one_time_prekey: None,
        kyber_prekey: None,
    };
    let verified: Result<_, BundleError> = bundle.verify_without_post_quantum_secrecy();
    verified.err().map(|error| format!("BundleError::{error:?}"))
}
