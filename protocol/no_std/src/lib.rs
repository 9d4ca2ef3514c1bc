//! A program without the standard library that uses `waxwing-protocol`. What it shows is that it links; what it does is a
//! conversation in each suite.
#![no_std]

extern crate alloc;

mod runtime;

use alloc::vec::Vec;

use rand_core::CryptoRng;
use waxwing_protocol::{
    Budget, BundleIn, DeviceId, IdentityKeyPair, KyberPrekey, KyberPrekeyId, KyberPrekeyIn, KyberPrekeyRef,
    LastResortUses, LocalDevice, OneTimePrekey, OneTimePrekeyId, OneTimePrekeyIn, PreKeySignalMessage, PrivatePrekeys,
    RegistrationId, Session, SignalMessage, SignedPrekey, SignedPrekeyId, SignedPrekeyIn, Suite, Timestamp,
};

use crate::runtime::Counter;

/// The C runtime's entry point: 0 if both suites carried a message there and back.
#[unsafe(no_mangle)]
pub extern "C" fn main() -> i32 {
    let suites = [Suite::Pqxdh, Suite::X3dh];
    let failed = suites.iter().position(|suite| converse(*suite, &mut Counter::new()).is_none());
    failed.map_or(0, |index| 1 + index as i32)
}

/// First message and answer; none if anything went wrong.
fn converse(suite: Suite, rng: &mut impl CryptoRng) -> Option<()> {
    let (alice, bob) = (IdentityKeyPair::generate(rng), IdentityKeyPair::generate(rng));
    let signed = SignedPrekey::generate(SignedPrekeyId(1), &bob, rng);
    let one_time = OneTimePrekey::generate(OneTimePrekeyId(2), rng);
    let kyber = KyberPrekey::generate(KyberPrekeyId(3), &bob, rng);
    let (signed_public, one_time_public) = (signed.public_key().to_bytes(), one_time.public_key().to_bytes());
    let (identity, kyber_public) = (bob.public_key().to_bytes(), kyber.public_key().to_bytes());
    let bundle = BundleIn {
        registration_id: RegistrationId(1),
        device_id: DeviceId::new(1).ok()?,
        identity_key: &identity,
        signed_prekey: SignedPrekeyIn {
            id: signed.id(),
            public_key: &signed_public,
            signature: signed.signature().as_bytes(),
        },
        one_time_prekey: Some(OneTimePrekeyIn { id: one_time.id(), public_key: &one_time_public }),
        kyber_prekey: Some(KyberPrekeyIn {
            id: kyber.id(),
            public_key: &kyber_public,
            signature: kyber.signature().as_bytes(),
        }),
    };
    let now = Timestamp(1_800_000_000_000);
    let local = |identity| LocalDevice { identity, registration_id: RegistrationId(1), addresses: None };

    let mut at_alice = Session::new();
    match suite {
        Suite::X3dh => {
            let bundle = bundle.verify_without_post_quantum_secrecy().ok()?;
            at_alice.initiate_without_post_quantum_secrecy(local(&alice), &bundle, now, rng).ok()?.commit();
        }
        _ => at_alice.initiate(local(&alice), &bundle.verify().ok()?, now, rng).ok()?.commit(),
    }
    let first = at_alice.seal(b"hello", now, rng).ok()?.commit();
    let first = PreKeySignalMessage::decode(first.as_bytes()).ok()?;

    let mut at_bob = Session::new();
    let uses = LastResortUses::new();
    let kyber = (suite != Suite::X3dh).then_some(KyberPrekeyRef::OneTime(&kyber));
    let prekeys = PrivatePrekeys { signed: &signed, one_time: Some(&one_time), kyber, uses: &uses };
    let opened = match suite {
        Suite::X3dh => at_bob.accept_without_post_quantum_secrecy(local(&bob), prekeys, &first, rng),
        _ => at_bob.accept(local(&bob), prekeys, &first, rng),
    };
    is(&opened.ok()?.commit(), b"hello")?;

    let answer = at_bob.seal(b"hello yourself", now, rng).ok()?.commit();
    let answer = SignalMessage::decode(answer.as_bytes()).ok()?;
    is(&at_alice.open(&answer, &mut Budget::default(), rng).ok()?.commit(), b"hello yourself")?;

    let records: Vec<_> = at_alice.records().collect();
    let restored = Session::load(records.iter().map(|(key, value)| (key.as_bytes(), value.as_slice()))).ok()?;
    restored.is_acknowledged().then_some(())
}

fn is(plaintext: &[u8], expected: &[u8]) -> Option<()> {
    (plaintext == expected).then_some(())
}
