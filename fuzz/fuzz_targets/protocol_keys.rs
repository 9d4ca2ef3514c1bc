//! Keys and signatures from any bytes: parsing is total and canonical, agreement equals the reference ladder, and verification
//! equals ed25519-dalek's strict one.
#![no_main]

mod protocol_harness;

use curve25519_dalek::montgomery::MontgomeryPoint;
use ed25519_dalek::VerifyingKey;
use libfuzzer_sys::fuzz_target;
use waxwing_protocol::{
    BaseKey, IdentityKey, IdentityKeyPair, KyberCiphertext, KyberPublicKey, KyberSecretKey, LastResortUse,
    PrekeyPublic, PublicKeyError, RatchetKey, Signature, hazmat,
};

fuzz_target!(|data: &[u8]| {
    kyber(data);
    if let Ok(last_resort_use) = LastResortUse::from_bytes(data) {
        assert_eq!(last_resort_use.to_bytes(), data);
    }
    let strict = IdentityKey::parse(data);
    let ratchet = RatchetKey::parse(data);
    assert_eq!(strict.err(), PrekeyPublic::parse(data).err());
    assert_eq!(strict.err(), BaseKey::parse(data).err());
    match (&strict, &ratchet) {
        (Ok(_), Ok(key)) | (Err(PublicKeyError::MixedOrder), Ok(key)) => assert_eq!(key.to_bytes(), data),
        (Err(one), Err(other)) => assert_eq!(one, other),
        (one, other) => panic!("{one:?}, {other:?}"),
    }
    // private[32] ‖ u[32] ‖ signature[64] ‖ message
    let Some((private, rest)) = data.split_first_chunk::<32>() else { return };
    let Some((u, rest)) = rest.split_first_chunk::<32>() else { return };
    agree_and_verify(private, u, rest);
});

fn agree_and_verify(private: &[u8; 32], u: &[u8; 32], rest: &[u8]) {
    let Ok(key) = IdentityKey::parse(&[&[0x05][..], u].concat()) else { return };
    let ours = IdentityKeyPair::from_private_key(private);
    let secret = x25519_dalek::StaticSecret::from(*private).diffie_hellman(&x25519_dalek::PublicKey::from(*u));
    assert_eq!(*hazmat::agree(&ours, &key).unwrap(), secret.to_bytes());

    let Some((signature, message)) = rest.split_first_chunk::<64>() else { return };
    for key in [&key, ours.public_key()] {
        let mut bare = *signature;
        bare[63] &= 0x7F;
        let u: [u8; 32] = key.to_bytes()[1..].try_into().unwrap();
        let edwards = MontgomeryPoint(u).to_edwards(signature[63] >> 7).unwrap();
        let witness = VerifyingKey::from_bytes(&edwards.compress().0).unwrap();
        let expected = witness.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&bare)).is_ok();
        let verified = hazmat::verify(key, message, &Signature::from_bytes(*signature)).is_ok();
        assert_eq!(verified, expected);
    }
    let signed = hazmat::sign(&ours, message, &mut protocol_harness::rng(1));
    assert!(hazmat::verify(ours.public_key(), message, &signed).is_ok());
}

fn kyber(data: &[u8]) {
    if let Ok(key) = KyberPublicKey::parse(data) {
        assert_eq!(*key.to_bytes(), *data);
        let _ = hazmat::kyber_encapsulate(&key, &mut protocol_harness::rng(1));
    }
    if let Ok(ciphertext) = KyberCiphertext::parse(data) {
        assert_eq!(*ciphertext.to_bytes(), *data);
    }
    if let Ok(key) = KyberSecretKey::parse(data) {
        assert_eq!(**key.to_bytes(), *data);
    }
}
