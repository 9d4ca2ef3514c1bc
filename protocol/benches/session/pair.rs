//! Two of our sessions that talk to each other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::{
    Budget, BundleIn, DeviceId, IdentityKeyPair, KyberPrekey, KyberPrekeyId, KyberPrekeyIn, KyberPrekeyRef,
    LastResortUses, LocalDevice, Opened, PreKeySignalMessage, PrivatePrekeys, RegistrationId, Session, SignalMessage,
    SignedPrekey, SignedPrekeyId, SignedPrekeyIn, Timestamp,
};

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);

std::thread_local! {
    /// What sealing draws from, which is mostly nothing.
    static RNG: RefCell<ChaCha20Rng> = RefCell::new(ChaCha20Rng::seed_from_u64(9));
}

#[derive(Clone, Copy)]
pub(crate) enum Ratchet {
    Double,
    Triple,
}

pub(crate) struct Pair {
    pub(crate) alice: Session,
    pub(crate) bob: Session,
}

impl Pair {
    /// A conversation that is well under way: all five receiving chains are in use on either side, and Alice's next message
    /// continues a chain that Bob knows.
    pub(crate) fn talking() -> Self {
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        let mut pair = Self::first_message(Ratchet::Triple, rng);
        for _ in 0..6 {
            let back = seal(&mut pair.bob, b"pong");
            deliver(&mut pair.alice, &back, rng);
            let there = seal(&mut pair.alice, b"ping");
            deliver(&mut pair.bob, &there, rng);
        }
        pair
    }

    /// The same in a session with or without the post-quantum ratchet.
    pub(crate) fn with(ratchet: Ratchet) -> Self {
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        let mut pair = Self::first_message(ratchet, rng);
        let back = seal(&mut pair.bob, b"pong");
        deliver(&mut pair.alice, &back, rng);
        pair
    }

    fn first_message(ratchet: Ratchet, rng: &mut ChaCha20Rng) -> Self {
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
        let at_alice = LocalDevice { identity: &alice, registration_id: RegistrationId(1), addresses: None };
        let at_bob = LocalDevice { identity: &bob, registration_id: RegistrationId(2), addresses: None };
        let mut pair = Self { alice: Session::new(), bob: Session::new() };
        match ratchet {
            Ratchet::Triple => pair.alice.initiate(at_alice, &bundle, NOW, rng),
            Ratchet::Double => pair.alice.initiate_without_post_quantum_ratchet(at_alice, &bundle, NOW, rng),
        }
        .unwrap()
        .commit();
        let message = PreKeySignalMessage::decode(&seal(&mut pair.alice, b"hello")).unwrap();
        let prekeys = PrivatePrekeys {
            signed: &signed,
            one_time: None,
            kyber: Some(KyberPrekeyRef::OneTime(&kyber)),
            uses: &LastResortUses::new(),
        };
        let accepted = match ratchet {
            Ratchet::Triple => pair.bob.accept(at_bob, prekeys, &message, rng),
            Ratchet::Double => pair.bob.accept_without_post_quantum_ratchet(at_bob, prekeys, &message, rng),
        };
        assert_eq!(accepted.unwrap().commit(), b"hello");
        pair
    }

    /// Makes Bob keep the keys of `count` messages of Alice's; the last of them is returned, to come late.
    pub(crate) fn keep(&mut self, count: usize) -> Option<SignalMessage> {
        let late = (0..count).map(|_| seal(&mut self.alice, b"late")).last();
        let next = seal(&mut self.alice, b"in time");
        deliver(&mut self.bob, &next, &mut ChaCha20Rng::seed_from_u64(7));
        late.map(|bytes| SignalMessage::decode(&bytes).unwrap())
    }
}

pub(crate) fn seal(session: &mut Session, plaintext: &[u8]) -> Vec<u8> {
    RNG.with_borrow_mut(|rng| session.seal(plaintext, NOW, rng).unwrap().commit().into_bytes())
}

pub(crate) fn open<'s>(session: &'s mut Session, message: &SignalMessage, rng: &mut ChaCha20Rng) -> Opened<'s> {
    session.open(message, &mut Budget::default(), rng).unwrap()
}

pub(crate) fn deliver(session: &mut Session, bytes: &[u8], rng: &mut ChaCha20Rng) -> Vec<u8> {
    open_bytes(session, bytes, rng).commit()
}

/// One message as an app exchanges it: what must be persisted is made on either side.
pub(crate) fn exchange_with_deltas(from: &mut Session, to: &mut Session, plaintext: &[u8], rng: &mut ChaCha20Rng) {
    let sealed = from.seal(plaintext, NOW, rng).unwrap();
    drop(black_box(sealed.delta()));
    let bytes = sealed.commit().into_bytes();
    let opened = open_bytes(to, &bytes, rng);
    drop(black_box(opened.delta()));
    drop(black_box(opened.commit()));
}

fn open_bytes<'s>(session: &'s mut Session, bytes: &[u8], rng: &mut ChaCha20Rng) -> Opened<'s> {
    open(session, &SignalMessage::decode(bytes).unwrap(), rng)
}

pub(crate) fn records(session: &Session) -> BTreeMap<Vec<u8>, Vec<u8>> {
    session.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect()
}
