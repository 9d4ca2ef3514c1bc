//! The comparison of MACs. An attacker who could see how many bytes were right would forge one byte by byte.

use std::cell::RefCell;
use std::hint::black_box;

use dudect_bencher::rand::Rng as _;
use dudect_bencher::{BenchRng, Class, CtRunner};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::{
    Budget, BundleIn, DeviceId, IdentityKeyPair, KyberPrekey, KyberPrekeyId, KyberPrekeyIn, KyberPrekeyRef,
    LastResortUses, LocalDevice, OpenError, PreKeySignalMessage, PrivatePrekeys, RegistrationId, Session,
    SignalMessage, SignedPrekey, SignedPrekeyId, SignedPrekeyIn, Timestamp, hazmat,
};

use super::{class, samples};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// One comparison takes less than the clock's resolution.
const REPETITIONS: usize = 64;

pub(crate) fn compare(runner: &mut CtRunner, rng: &mut BenchRng) {
    compare_by(runner, rng, hazmat::macs_are_equal);
}

pub(crate) fn compare_early_exit(runner: &mut CtRunner, rng: &mut BenchRng) {
    compare_by(runner, rng, early_exit);
}

pub(crate) fn open(runner: &mut CtRunner, rng: &mut BenchRng) {
    open_and(runner, rng, |_, _| true);
}

pub(crate) fn open_early_exit(runner: &mut CtRunner, rng: &mut BenchRng) {
    open_and(runner, rng, early_exit);
}

/// What must never be written: it stops at the first byte that differs.
#[inline(never)]
fn early_exit(ours: &[u8; 8], theirs: &[u8; 8]) -> bool {
    for (ours, theirs) in ours.iter().zip(theirs) {
        if black_box(ours) != black_box(theirs) {
            return false;
        }
    }
    true
}

fn compare_by(runner: &mut CtRunner, rng: &mut BenchRng, equal: fn(&[u8; 8], &[u8; 8]) -> bool) {
    let mut inputs = Vec::new();
    for _ in 0..samples(1000) {
        let (class, mut ours) = (class(rng), [0; 8]);
        rng.fill_bytes(&mut ours);
        inputs.push((class, ours, forge(&ours, class)));
    }
    for (class, ours, theirs) in inputs {
        runner.run_one(class, || {
            for _ in 0..REPETITIONS {
                black_box(equal(black_box(&ours), black_box(&theirs)));
            }
        });
    }
}

/// Wrong in the first byte, or only in the last.
fn forge(mac: &[u8; 8], class: Class) -> [u8; 8] {
    let [mut first, middle @ .., mut last] = *mac;
    match class {
        Class::Left => first ^= 1,
        Class::Right => last ^= 1,
    }
    let mut forged = [first; 8];
    forged[1..7].copy_from_slice(&middle);
    forged[7] = last;
    forged
}

/// Times the opening of forgeries of one real message; `then` is timed too, with the real MAC and the forged one.
fn open_and(runner: &mut CtRunner, rng: &mut BenchRng, then: fn(&[u8; 8], &[u8; 8]) -> bool) {
    let (mut alice, bob) = sessions();
    let real = alice.seal(b"a short text", NOW, &mut ChaCha20Rng::seed_from_u64(8)).unwrap().commit().into_bytes();
    let (body, mac) = real.split_last_chunk::<8>().unwrap();
    let bob = RefCell::new((bob, ChaCha20Rng::seed_from_u64(1)));
    for class in [Class::Left, Class::Right] {
        let forged = SignalMessage::decode(&[body, &forge(mac, class)[..]].concat()).unwrap();
        let (bob, rng) = &mut *bob.borrow_mut();
        let error = bob.open(&forged, &mut Budget::default(), rng).map(drop);
        assert_eq!(error, Err(OpenError::Forged), "what is timed is the refusal of a wrong MAC");
    }
    // A leak of nanoseconds shows in two million openings.
    for _ in 0..samples(2000) {
        let class = class(rng);
        let forged = forge(mac, class);
        // Made right before, so that forgeries of both classes lie where the one before them lay.
        let message = SignalMessage::decode(&[body, &forged[..]].concat()).unwrap();
        runner.run_one(class, || {
            let (bob, rng) = &mut *bob.borrow_mut();
            let refused = bob.open(&message, &mut Budget::default(), rng).is_err();
            (refused, then(black_box(mac), black_box(&forged)))
        });
    }
}

/// Two sessions; Alice's next message continues a chain that Bob knows, so that opening it is cheap and even.
fn sessions() -> (Session, Session) {
    let rng = &mut ChaCha20Rng::seed_from_u64(7);
    let (alice, bob) = (IdentityKeyPair::generate(rng), IdentityKeyPair::generate(rng));
    let signed = SignedPrekey::generate(SignedPrekeyId(1), &bob, rng);
    let kyber = KyberPrekey::generate(KyberPrekeyId(1), &bob, rng);
    let bundle = BundleIn {
        registration_id: RegistrationId(2),
        device_id: DeviceId::new(1).unwrap(),
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
    };
    let bundle = bundle.verify().unwrap();
    let local = |identity| LocalDevice { identity, registration_id: RegistrationId(1), addresses: None };
    let (mut at_alice, mut at_bob) = (Session::new(), Session::new());
    at_alice.initiate(local(&alice), &bundle, NOW, rng).unwrap().commit();
    let first = at_alice.seal(b"hello", NOW, rng).unwrap().commit();
    let first = PreKeySignalMessage::decode(first.as_bytes()).unwrap();
    let uses = LastResortUses::new();
    let prekeys =
        PrivatePrekeys { signed: &signed, one_time: None, kyber: Some(KyberPrekeyRef::OneTime(&kyber)), uses: &uses };
    assert_eq!(at_bob.accept(local(&bob), prekeys, &first, rng).unwrap().commit(), b"hello");
    for _ in 0..2 {
        let message = at_bob.seal(b"answer", NOW, rng).unwrap().commit();
        let message = SignalMessage::decode(message.as_bytes()).unwrap();
        assert_eq!(at_alice.open(&message, &mut Budget::default(), rng).unwrap().commit(), b"answer");
        let message = at_alice.seal(b"again", NOW, rng).unwrap().commit();
        let message = SignalMessage::decode(message.as_bytes()).unwrap();
        assert_eq!(at_bob.open(&message, &mut Budget::default(), rng).unwrap().commit(), b"again");
    }
    (at_alice, at_bob)
}
