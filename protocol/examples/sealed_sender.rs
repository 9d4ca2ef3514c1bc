//! Alice writes to Bob through a relay that does not learn that it was Alice, nor how long the message is.
//!
//! ```sh
//! cargo run -p waxwing-protocol --example sealed_sender
//! ```

use std::error::Error;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::sealed::{
    CertificateKeyPair, Content, ContentHint, EnvelopeSize, Issuer, Message, OwnDevice, Padding, SealedMessage, Sender,
    ServerReference, Trust,
};
use waxwing_protocol::{
    BundleIn, DeviceAddress, DeviceId, IdentityEvent, IdentityKeyPair, KyberPrekey, KyberPrekeyId, KyberPrekeyIn,
    KyberPrekeyRef, LastResortUses, LocalDevice, PrivatePrekeys, RegistrationId, ServiceId, Session, SignedPrekey,
    SignedPrekeyId, SignedPrekeyIn, Timestamp,
};

fn main() -> Result<(), Box<dyn Error>> {
    // An example must be repeatable; an app passes its operating system's generator.
    let rng = &mut ChaCha20Rng::seed_from_u64(2026);
    let now = Timestamp(1_800_000_000_000);
    let at_alice = DeviceAddress { service_id: ServiceId::aci([0xA1; 16]), device_id: DeviceId::new(1)? };
    let at_bob = DeviceAddress { service_id: ServiceId::aci([0xB0; 16]), device_id: DeviceId::new(1)? };

    // Alice's device certifies itself. Bob knows her certificate key from her verified device list; with a server that
    // certifies (Signal's way) `Issuer::new` takes the server's certificate instead, and Bob trusts that server's root.
    let alice = IdentityKeyPair::generate(rng);
    let certificate_key = CertificateKeyPair::generate(rng);
    let trusted_by_bob = *certificate_key.public_key();
    let expires = Timestamp(1_805_000_000_000);
    let sender = Sender { address: at_alice, e164: None, identity_key: *alice.public_key(), expires };
    let certificate = Issuer::self_signed(certificate_key, rng)?.issue(sender, ServerReference::Embedded, rng);

    // Bob's prekeys, and the session that Alice starts with them.
    let bob = IdentityKeyPair::generate(rng);
    let signed = SignedPrekey::generate(SignedPrekeyId(1), &bob, rng);
    let kyber = KyberPrekey::generate(KyberPrekeyId(1), &bob, rng);
    let bundle = BundleIn {
        registration_id: RegistrationId(4711),
        device_id: at_bob.device_id,
        identity_key: &bob.public_key().to_bytes(),
        signed_prekey: SignedPrekeyIn {
            id: signed.id(),
            public_key: &signed.public_key().to_bytes(),
            signature: signed.signature().as_bytes(),
        },
        one_time_prekey: None,
        kyber_prekey: Some(KyberPrekeyIn {
            id: kyber.id(),
            public_key: &kyber.public_key().to_bytes(),
            signature: kyber.signature().as_bytes(),
        }),
    }
    .verify()?;
    let mut with_bob = Session::new();
    let local = LocalDevice { identity: &alice, registration_id: RegistrationId::generate(rng), addresses: None };
    with_bob.initiate(local, &bundle, now, rng)?.commit();
    let message = with_bob.seal(b"meet me at the old harbour", now, rng)?.commit();

    // The seal: what the relay gets has one of six sizes.
    let content = Content::of_session(&certificate, &message).with_hint(ContentHint::Resendable);
    let size = EnvelopeSize::smallest_for(content.unpadded_len()).ok_or("send it as a blob")?;
    let fan_out = content.with_padding(Padding::To(size)).seal_fan_out(&alice, &[*bundle.identity_key()], rng)?;
    let envelope = fan_out.envelope(0).ok_or("one recipient, one envelope")?;
    println!("the relay sees {} bytes, 48 of them for Bob alone", envelope.len());

    // Bob: open, verify, and only then look for a session with the sender.
    let opened = SealedMessage::from_envelope(&envelope)?.open(&bob)?;
    println!("it claims to be from {}", opened.claims().address.service_id.to_text());
    let own = OwnDevice { address: at_bob, e164: None };
    let verified = opened.verify(&Trust::new([&trusted_by_bob]), now, own)?;

    let Message::PreKey(first) = verified.decode_message()? else { return Err("a first message was sent".into()) };
    let mut with_alice = Session::new();
    let prekeys = PrivatePrekeys {
        signed: &signed,
        one_time: None,
        kyber: Some(KyberPrekeyRef::OneTime(&kyber)),
        uses: &LastResortUses::new(),
    };
    let local = LocalDevice { identity: &bob, registration_id: RegistrationId(4711), addresses: None };
    let text = with_alice.accept(local, prekeys, &first, rng)?;
    // The certificate speaks for the outside; the session must be with the same key.
    if text.identity() != IdentityEvent::First(verified.sender().identity_key) {
        return Err("the message inside is not from the sender of the seal".into());
    }
    println!("{}", String::from_utf8(text.commit())?);
    Ok(())
}
