#![no_main]
//! Manifests (spec 11.5): as they come; and any bytes as the body, signed by the right key, so that the fuzzer is not stopped by
//! the signature. A manifest that verifies then is one that stands alone in its history.
use std::sync::LazyLock;

use ed25519_dalek::{Signer, SigningKey};
use libfuzzer_sys::fuzz_target;
use waxwing_wire::{
    history::{self, History, Step},
    id::Generation,
    keys::{RecoveryKey, RootKey},
    manifest::ManifestIn,
    statement::GenerationStatement,
    time::Timestamp,
};

static STATEMENT: LazyLock<GenerationStatement> = LazyLock::new(|| {
    let recovery = RecoveryKey::from_seed(&[1; 32]);
    let root = RootKey::from_seed(&[2; 32]).public_key();
    recovery.sign_statement(Generation(0), &root, None).verify(&recovery.public_key()).unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(object) = ManifestIn::decode(bytes) {
        assert_eq!(object.encode(), bytes);
    }
    let mut message = b"waxwing/1 manifest\0".to_vec();
    message.extend_from_slice(bytes);
    let signature = SigningKey::from_bytes(&[2; 32]).sign(&message).to_bytes();
    let mut signed = vec![0x0a];
    let mut length = bytes.len();
    while length >= 0x80 {
        signed.push(length as u8 | 0x80);
        length >>= 7;
    }
    signed.push(length as u8);
    signed.extend_from_slice(bytes);
    signed.extend_from_slice(&[0x12, 64]);
    signed.extend_from_slice(&signature);
    let Ok(object) = ManifestIn::decode(&signed) else { return };
    assert_eq!(object.encode(), signed);
    if let Ok(manifest) = object.verify(&STATEMENT, Timestamp(u64::MAX)) {
        assert_eq!(manifest.encode(), signed);
        assert_eq!(history::step(Some(&manifest), &manifest), Ok(Step::Same));
        assert_eq!(History::new(manifest).fork(), None);
    }
});
