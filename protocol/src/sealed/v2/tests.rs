use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::address::{DeviceAddress, DeviceId, ServiceId};
use crate::curve::PrivateKey;
use crate::identity::IdentityKeyPair;
use crate::sealed::{CertificateKeyPair, ContentKind, Issuer, Sender, SenderCertificate, ServerReference};
use crate::time::Timestamp;

fn certificate(sender: &IdentityKeyPair, rng: &mut ChaCha20Rng) -> SenderCertificate {
    let issuer = Issuer::self_signed(CertificateKeyPair::generate(rng), rng).unwrap();
    let sender = Sender {
        address: DeviceAddress { service_id: ServiceId::aci([7; 16]), device_id: DeviceId::new(1).unwrap() },
        e164: None,
        identity_key: *sender.public_key(),
        expires: Timestamp(1),
    };
    issuer.issue(sender, ServerReference::Embedded, rng)
}

/// ATTACKS B11: the sender knows both recipients and may choose any M for each; the shared part fits only one.
#[test]
fn b11_a_header_that_hides_another_message_key_does_not_open_the_shared_part() {
    let rng = &mut ChaCha20Rng::seed_from_u64(11);
    let (sender, recipient) = (IdentityKeyPair::generate(rng), IdentityKeyPair::generate(rng));
    let certificate = certificate(&sender, rng);
    let content = Content::new(&certificate, ContentKind::Plaintext, b"one");
    let (honest, other) = (Seal::generate(rng), Seal::generate(rng));
    let shared = honest.shared(&content).unwrap();

    let header = honest.header(sender.pair(), recipient.pair().public(), None).unwrap();
    assert!(open(&header, &shared, recipient.pair(), &mut Agreements::new()).is_ok());

    // C and AT are right for everything but M: the ephemeral key is the honest one.
    let mixed = Seal {
        message_key: MessageKey(Box::new(*other.message_key.0)),
        ephemeral: KeyPair::from_private(PrivateKey::from_bytes(honest.ephemeral.private().as_bytes())),
        cipher_key: Zeroizing::new(*other.cipher_key),
    };
    let header = mixed.header(sender.pair(), recipient.pair().public(), None).unwrap();
    // Even a ciphertext under the other K, as colliding ciphertexts of GCM-SIV would be, does not help.
    for shared in [shared, mixed.shared(&content).unwrap()] {
        assert_eq!(open(&header, &shared, recipient.pair(), &mut Agreements::new()), Err(OpenError::Forged));
    }
}

/// ATTACKS B14: the tag's derivation and the mask's get the same kind of secret; labels keep their outputs apart.
#[test]
fn b14_mask_and_tag_of_one_secret_share_no_bytes() {
    let rng = &mut ChaCha20Rng::seed_from_u64(14);
    let (one, two) = (KeyPair::generate(rng), KeyPair::generate(rng));
    let secret = one.agree(two.public()).unwrap();
    let parties =
        Parties { ephemeral: EncodedKey::from_point(one.public()), recipient: EncodedKey::from_point(two.public()) };
    let mask = parties.mask(&secret, &[0; 32]);
    let tag = parties.tag(&secret, &[0; 32], &EncodedKey::from_point(one.public()));
    assert_ne!(mask[..16], tag);
}

#[test]
fn a_seal_draws_32_bytes_and_nothing_else_is_random() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (sender, recipient) = (IdentityKeyPair::generate(&mut rng), IdentityKeyPair::generate(&mut rng));
    let certificate = certificate(&sender, &mut rng);
    let content = Content::new(&certificate, ContentKind::Signal, b"message");
    let mut drawn = rng.clone();
    let one = content.seal_fan_out(&sender, &[*recipient.public_key()], &mut rng).unwrap();
    let two = content.seal_fan_out(&sender, &[*recipient.public_key()], &mut drawn.clone()).unwrap();
    assert_eq!(one, two);
    drawn.fill_bytes(&mut [0; 32]);
    assert_eq!(drawn.next_u64(), rng.next_u64());
}
